"""Maps beside the numbers that global pooling makes of them."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import ArgumentError, ShapeError
from attar.figures.picture import DPI, FAINT_INK, SMALL_POINTS, TEXT_POINTS, Picture, fit
from attar.figures.scales import number
from attar.figures.tiles import (
    GAP,
    MARGIN,
    Head,
    Sheet,
    check_gamma,
    choose,
    paint,
    pick,
    read_maps,
)
from attar.tables import shape_text

__all__ = ["global_pool"]

Array = NDArray[Any]
Pool = Literal["average", "max"]

# In inches.
_TILE, _TILE_MIN = 0.95, 0.1
_BAR, _BAR_HEIGHT, _NUMBER = 2.6, 0.16, 0.75
_NAME_MIN, _CHARACTER, _SPACE = 0.35, 0.085, 0.12

_ABOVE, _BELOW, _AXIS = (0xB2, 0x18, 0x2B), (0x21, 0x66, 0xAC), (0x55, 0x55, 0x55)


def global_pool(
    maps: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    pool: Pool = "average",
    channels: int | Sequence[int] | None = 8,
    gamma: float = 1.0,
    title: str | None = None,
    dpi: float = DPI,
) -> Picture:
    """Draw maps and, beside each, the score that global pooling makes of it.

    Global pooling condenses a map to a single number: how much of a feature there is, or how strong
    it is where it is strongest, and no longer where. All maps have one colour scale, so that they
    can be compared as the scores are; it ends where the strongest 1 % of what is shown begins. A
    bar is as long as its score, to the right above 0 and to the left below.

    Parameters
    ----------
    maps : array_like, (H, W, C) or (1, H, W, C)
        The maps of a layer, as `Sequential.trace` gives them.
    names : sequence of str, optional
        A name for each of the C maps, such as that of a class. By default the channel's number.
    pool : {"average", "max"}, default "average"
        What the score is: the mean of the map, or its maximum.
    channels : int, sequence of int or None, default 8
        So many maps with the highest scores, the highest first; the channels themselves; or all of
        them, in order.
    gamma : float, default 1.0
        Below 1 it brightens what is faint, as in `feature_maps`.
    title : str, optional
        What stands above.
    dpi : float, default 220
        Pixels per inch.

    Returns
    -------
    Picture
        A `matplotlib.figure.Figure`; its one axes has the label ``"maps"``.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
        `maps` are not those of one image, or another argument is not accepted.

    Examples
    --------
    >>> maps = np.zeros((4, 4, 3), np.float32)
    >>> maps[1, 2, 1] = 8  # one strong pixel
    >>> maps[:, :, 2] = 1  # many weak ones
    >>> def written(figure):
    ...     return [text.get_text() for text in figure.texts][-4:]
    >>> written(global_pool(maps, ["sky", "wheel", "road"], channels=2))
    ['road', '1', 'wheel', '0.5']
    >>> written(global_pool(maps, ["sky", "wheel", "road"], channels=2, pool="max"))
    ['wheel', '8', 'road', '1']
    """
    operation = "figures.global_pool"
    check_gamma(operation, gamma)
    if pool not in get_args(Pool):
        raise ArgumentError(f"{operation}: pool is {pool!r}; accepted are 'average' and 'max'")
    values = read_maps(operation, maps)
    height, width, count = values.shape
    if names is not None and (isinstance(names, str) or len(names) != count):
        raise ShapeError(
            f"{operation}: names must be one for each of the {count} maps, got {names!r}"
        )
    wide = values.astype(np.float64)
    scores: Array = wide.mean((0, 1)) if pool == "average" else wide.max((0, 1))
    picked = _pick(operation, channels, values, scores)
    called = [str(channel) if names is None else str(names[channel]) for channel in picked]
    box = fit(height, width, max(round(_TILE * dpi), 2), max(round(_TILE_MIN * dpi), 1))
    tiles = choose(values, picked, box, shared=True)
    end = number(tiles.reaches[0])
    some = f"the {len(picked)} highest of " if isinstance(channels, int | np.integer) else ""
    facts = (
        f"global {pool} of {some}{count} map{'s' * (count > 1)} of {shape_text((height, width))}"
    )
    head = Head(
        title, facts, [(tiles.signed, f"≥ {end}" if tiles.cut else end)], "one scale", gamma
    )

    gap, margin, above = (round(inches * dpi) for inches in (GAP, MARGIN, head.height()))
    beside, space = max(_CHARACTER * max(map(len, called)), _NAME_MIN), round(_SPACE * dpi)
    named = margin + box[1] + space
    bars = named + round(beside * dpi) + space
    length, digits = round(_BAR * dpi), round(_NUMBER * dpi)
    row = max(box[0], round(2 * _BAR_HEIGHT * dpi)) + gap
    # Bars begin at 0, which is left unless there is something below it.
    reach = float(np.abs(scores[picked][np.isfinite(scores[picked])]).max(initial=0)) or 1.0
    below = bool((scores[picked] < 0).any())
    zero = bars + (digits + length // 2 if below else 0)
    longest = length // 2 if below else length
    right = zero + longest + digits
    sheet = Sheet(right + margin, above + len(picked) * row - gap + margin, dpi, head)
    thick = max(round(_BAR_HEIGHT * dpi), 1)
    for place, (channel, name) in enumerate(zip(picked, called, strict=True)):
        top = above + place * row
        middle = top + (row - gap) // 2
        sheet.lay(top, margin, paint(tiles, place, gamma))
        sheet.write(named / dpi, middle / dpi, name, TEXT_POINTS)
        score = float(scores[channel])
        pixels = round(longest * min(abs(score) / reach, 1)) if np.isfinite(score) else 0
        negative = score < 0
        axis = np.full((2 * thick, max(round(dpi / 110), 1), 3), _AXIS, np.uint8)
        sheet.lay(middle - thick, zero - axis.shape[1], axis)
        if pixels:
            bar = np.full((thick, pixels, 3), _BELOW if negative else _ABOVE, np.uint8)
            left = zero - axis.shape[1] - pixels if negative else zero
            sheet.lay(middle - thick // 2, left, bar)
        text = (zero + (-pixels - space // 2 if negative else pixels + space // 2)) / dpi
        sheet.write(
            text, middle / dpi, number(score), SMALL_POINTS,
            color=FAINT_INK, align="right" if negative else "left",
        )  # fmt: skip
    return sheet.figure()


def _pick(
    operation: str, channels: int | Sequence[int] | None, maps: Array, scores: Array
) -> list[int]:
    """Return the channels that are asked for, by their scores where it is a number of them."""
    if not isinstance(channels, int | np.integer):
        return pick(operation, channels, maps)
    pick(operation, channels, maps)  # refuses what is no number of channels
    return [int(channel) for channel in np.argsort(-scores, kind="stable")[:channels]]
