"""The feature maps of a layer as a picture."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from attar.errors import ArgumentError
from attar.figures.picture import DPI, Picture, fit
from attar.figures.scales import number
from attar.figures.tiles import (
    GAP,
    LABEL_HEIGHT,
    MARGIN,
    Head,
    Sheet,
    Tiles,
    check_gamma,
    choose,
    label_width,
    pick,
    read_maps,
)
from attar.tables import shape_text

__all__ = ["feature_maps"]

Scales = Literal["map", "shared"]

# In inches.
_WIDTH, _WIDTH_MAX = 12.0, 16.0  # of many maps: what is aimed at, and what numbers may make of it
_TILE_MAX, _TILE_MIN = 3.2, 0.25
_ASPECT = 1.5  # of the whole picture, where the maps may be laid in several ways


def feature_maps(
    maps: ArrayLike,
    *,
    gamma: float = 1.0,
    channels: int | Sequence[int] | None = None,
    columns: int | None = None,
    title: str | None = None,
    normalize: Scales = "map",
    dpi: float = DPI,
) -> Picture:
    """Draw the feature maps of a layer side by side.

    Below each map stands its channel, and where its colour scale ends; its peak, the value farthest
    from 0, where all have one scale. Maps without a negative
    value are drawn from black, 0, to bright; others with white at 0, red above and blue below. As
    in `stages`, a scale ends where the strongest 1 % of what is shown begins. A map that is 0
    everywhere is dead: its place is grey and crossed out.

    Parameters
    ----------
    maps : array_like, (H, W, C) or (1, H, W, C)
        As `Sequential.trace` gives them. Also a vector, (K,) or (1, K), as a dense layer answers:
        drawn as maps of one pixel, on one scale.
    gamma : float, default 1.0
        Below 1 it brightens what is faint: a value's place on the scale, 0 to 1, is raised to it.
    channels : int or sequence of int, optional
        So many of the strongest maps, the strongest first (by their mean without signs); or the
        channels themselves. By default all, in order.
    columns : int, optional
        How many maps stand in a row. By default as makes the picture about as wide as a page.
    title : str, optional
        What stands above.
    normalize : {"map", "shared"}, default "map"
        Whether each map has a scale of its own, so that weak ones are visible, or all share one,
        so that they can be compared.
    dpi : float, default 220
        Pixels per inch; the picture is about 12 inches wide.

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
    >>> maps[1, 2, 0] = 5
    >>> figure = feature_maps(maps, channels=2, title="conv2d")
    >>> [text.get_text() for text in figure.texts if text.get_fontsize() < 8]
    ['0', '5', '1', 'dead']
    """
    operation = "figures.feature_maps"
    check_gamma(operation, gamma)
    if normalize not in get_args(Scales):
        raise ArgumentError(
            f"{operation}: normalize is {normalize!r}; accepted are 'map' and 'shared'"
        )
    values = read_maps(operation, maps)
    height, width = values.shape[:2]
    picked = pick(operation, channels, values)
    shown = len(picked)
    columns = min(_columns(operation, columns, shown, width / height), shown)

    limit = max(round(min(_TILE_MAX, _WIDTH / columns - GAP) * dpi), 2)
    box = fit(height, width, limit, round(_TILE_MIN * dpi))
    tiles = choose(values, picked, box, shared=normalize == "shared")
    numbered = columns * (label_width(tiles) + GAP) <= _WIDTH_MAX
    column = max(box[1], round(label_width(tiles) * dpi)) if numbered else box[1]
    end, scale = "n", "each map has its own scale" + (", n stands below it" if numbered else "")
    if tiles.shared:
        end, scale = number(tiles.reaches[0]), "one scale, below each map its peak"
    bar = (tiles.signed, f"≥ {end}" if tiles.cut else end)
    strongest = isinstance(channels, int | np.integer)
    head = Head(title, _facts(tiles, values.shape, strongest), [bar], scale, gamma)
    gap, margin, above = (round(inches * dpi) for inches in (GAP, MARGIN, head.height()))
    row = box[0] + round(LABEL_HEIGHT * dpi) + gap

    sheet = Sheet(
        2 * margin + columns * (column + gap) - gap,
        above + math.ceil(shown / columns) * row + margin - gap,
        dpi,
        head,
    )
    for place in range(shown):
        down, across = divmod(place, columns)
        top, left = above + down * row, margin + across * (column + gap)
        sheet.lay_labelled(top, left, tiles, place, gamma, column if numbered else None)
    return sheet.figure()


def _facts(tiles: Tiles, shape: tuple[int, ...], strongest: bool) -> str:
    """Return how many maps there are, of what size, and what is odd about them."""
    height, width, count = shape
    shown = len(tiles.channels)
    some = ""
    if strongest and shown < count:
        some = f"the {shown} strongest of "
    elif tiles.channels != list(range(count)) and not strongest:
        some = f"{shown} of "
    facts = [f"{some}{count} map{'s' * (count > 1)} of {shape_text((height, width))}"]
    if any(tiles.dead):
        facts.append(f"{sum(tiles.dead)} dead: 0 everywhere")
    if np.isnan(tiles.values).any():
        facts.append("NaN is green")
    return " · ".join(facts)


def _columns(operation: str, columns: int | None, count: int, aspect: float) -> int:
    """Return how many maps stand in a row: as asked for, or so that rows are full."""
    if columns is not None:
        if not isinstance(columns, int | np.integer) or columns < 1:
            raise ArgumentError(
                f"{operation}: columns is {columns!r}; accepted is a number of at least 1"
            )
        return int(columns)
    ideal = math.sqrt(_ASPECT * count / aspect)
    full = [
        columns
        for columns in range(max(math.ceil(ideal / 1.5), 1), math.floor(ideal * 1.5) + 1)
        if count % columns == 0
    ]
    return min(full, key=lambda columns: abs(math.log(columns / ideal)), default=math.ceil(ideal))
