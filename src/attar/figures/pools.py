"""A feature on its way through pools, one behind the other."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar import nn
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.extraction import Extraction
from attar.figures.panels import PANEL_MAX, Panel, draw_rows, grid_of
from attar.figures.picture import DPI, Picture
from attar.figures.scales import (
    ACTIVE_MAP,
    SIGNED_MAP,
    active_norm,
    colormap,
    percent,
    signed_norm,
)
from attar.figures.sequence import pick_maps
from attar.shrink import shrink_to

__all__ = ["pyramid"]

Array = NDArray[Any]
Pool = Literal["max", "average", "blur", "max_blur", "polyphase", "stride"]

_WIDTH, _PER_ROW = 13.0, 7  # inches that are aimed at, panels that fit into them


def pyramid(
    image: ArrayLike | Extraction,
    pools: int = 6,
    *,
    pool: Pool = "max",
    index: int = 0,
    channel: int = 0,
    dpi: float = DPI,
) -> Picture:
    """Draw a feature as it is, and after one pool, two, and so on.

    All panels have one size, so that condensing shows as coarser pixels, and one colour scale, so
    that what fades is seen to fade. Under a panel stands its dead space. Maps with negative values
    are drawn with white at 0, and then have no dead space to speak of.

    Parameters
    ----------
    image : array_like, (H, W), or Extraction
        The feature; of an extraction the detected map, or the condensed one where that was not
        kept.
    pools : int, default 6
        How many pools. Fewer are drawn where a single pixel is left before.
    pool : {"max", "average", "blur", "max_blur", "polyphase", "stride"}, default "max"
        How a map is halved. ``"max"`` and ``"average"`` have windows of 2 × 2; ``"blur"`` is
        `attar.nn.blur_pool` and ``"max_blur"`` `attar.nn.max_blur_pool`, with a filter of 3;
        ``"polyphase"`` is `attar.nn.polyphase_pool`; ``"stride"`` keeps every second value. An odd
        row or column makes a pixel of its own.
    index, channel : int, default 0
        Of an extraction: which image of a batch, and which filter's map.
    dpi : float, default 220
        Pixels per inch; the picture is about 13 inches wide.

    Returns
    -------
    Picture
        A `matplotlib.figure.Figure`; its axes have the labels ``"input"``, ``"pool 1"``,
        ``"pool 2"`` …, and ``"scales"`` for the colour bars of each row.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    Two dots, three pixels apart, are one after three pools:

    >>> from attar import features
    >>> figure = pyramid(features.two_dots(16, 3, at=(1, 2)), pools=3)
    >>> [int((panel.images[0].get_array() > 0).sum()) for panel in figure.axes[:4]]
    [2, 2, 2, 1]
    >>> [text.get_text() for text in figure.texts if "×" in text.get_text()]
    ['16 × 16', '8 × 8', '4 × 4', '2 × 2', 'max pool 2 × 2']
    """
    operation = "figures.pyramid"
    if pool not in get_args(Pool):
        raise ArgumentError(
            f"{operation}: pool is {pool!r}; accepted are {', '.join(get_args(Pool))}"
        )
    if not isinstance(pools, int | np.integer) or isinstance(pools, bool) or pools < 1:
        raise ArgumentError(f"{operation}: pools is {pools!r}; accepted is a number of at least 1")
    maps = [_feature(operation, image, index, channel)]
    name, halve = _POOLS[pool]
    while len(maps) <= pools and maps[-1].size > 1:
        maps.append(halve(maps[-1][None, :, :, None])[0, :, :, 0])

    rows = math.ceil(len(maps) / _PER_ROW)
    per_row = math.ceil(len(maps) / rows)
    height, width = maps[0].shape
    grid = grid_of(height, width, dpi, min(PANEL_MAX, _WIDTH / per_row - 0.25))
    signed = bool((maps[0] < 0).any())
    shown = [
        shrink_to(each, grid.height, grid.width, "extreme" if signed else "mean") for each in maps
    ]
    norm = signed_norm(shown) if signed else active_norm(shown)
    panels = []
    for number, (each, values) in enumerate(zip(maps, shown, strict=True)):
        dead = f"dead space {percent(1 - np.count_nonzero(each) / each.size)}"
        panels.append(
            Panel(
                label=f"pool {number}" if number else "input",
                title=f"{number} pool{'s' * (number > 1)}" if number else "Input",
                size=each.shape,
                values=values,
                cmap=colormap(SIGNED_MAP if signed else ACTIVE_MAP),
                norm=norm,
                captions=(dead,) * (not signed) + (name,) * (number == 1),
            )
        )
    return draw_rows(panels, grid, dpi, per_row)[0]


def _feature(operation: str, image: ArrayLike | Extraction, index: int, channel: int) -> Array:
    """Return the map to begin with, float (H, W)."""
    if isinstance(image, Extraction):
        maps = pick_maps(operation, image, index, channel)
        values = maps.get("detect", maps.get("condense", next(iter(maps.values()))))
    else:
        values = np.asarray(image)
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"{operation}: image holds {values.dtype}; accepted are real numbers")
    if values.ndim != 2:
        raise ShapeError(
            f"{operation}: image has shape {values.shape}; accepted are (H, W), as one channel "
            "image[:, :, 0] has, and an Extraction"
        )
    if not values.size:
        raise ArgumentError(f"{operation}: nothing to draw, image of shape {values.shape}")
    return np.ascontiguousarray(values, np.float64 if values.dtype == np.float64 else np.float32)


def _filter_size(maps: Array) -> tuple[int, int]:
    """Return the filter of a blur; one value has no neighbours to mirror."""
    height, width = (min(3, 2 * size - 1) for size in maps.shape[1:3])
    return height, width


# By name: what a caption calls it, and what halves maps (1, H, W, 1).
_POOLS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "max": ("max pool 2 × 2", lambda maps: nn.max_pool(maps, 2, 2, "SAME")),
    "average": ("average pool 2 × 2", lambda maps: nn.avg_pool(maps, 2, 2, "SAME")),
    "blur": ("blur pool", lambda maps: nn.blur_pool(maps, _filter_size(maps), 2)),
    "max_blur": (
        "max blur pool",
        lambda maps: nn.max_blur_pool(maps, 2, _filter_size(maps), 2, "SAME"),
    ),
    "polyphase": ("polyphase pool", lambda maps: nn.polyphase_pool(maps, 2)),
    "stride": ("every second value", lambda maps: maps[:, ::2, ::2]),
}
