"""All layers of a model as one picture."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import ArgumentError, ShapeError
from attar.figures.picture import DPI, FAINT_INK, SMALL_POINTS, TEXT_POINTS, Picture, fit, shortened
from attar.figures.tiles import (
    DEAD_TEXT,
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
from attar.shrink import shrink_to
from attar.tables import shape_text

__all__ = ["contact_sheet"]

Array = NDArray[Any]

_ROWS, _BLOCKS = 24, 4  # more layers than this stand side by side, in so many blocks at most

# In inches.
_TILE, _TILE_SMALL, _TILE_MIN = 0.95, 0.6, 0.1  # small where there are several blocks
_NAME_MIN, _NAME_MAX, _NAME_CHARACTER = 1.3, 2.6, 0.09
_TEXT_HEIGHT, _LINE = 0.5, 0.16


class _Row(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dead: int
    tiles: Tiles


def contact_sheet(
    trace: Mapping[str, ArrayLike],
    *,
    image: ArrayLike | None = None,
    channels: int = 8,
    gamma: float = 1.0,
    title: str | None = None,
    dpi: float = DPI,
) -> Picture:
    """Draw the strongest maps of every layer of a model: a row for each layer, in order.

    All maps have about one size on the sheet, so that condensing shows as coarser pixels. How they
    are coloured, labelled and crossed out where they are dead is as in `feature_maps`; each has a
    scale of its own. More than 24 layers stand in several columns.

    Parameters
    ----------
    trace : mapping of str to array_like
        The maps of one image by the names of the layers, as `Sequential.trace` returns them.
    image : array_like, (H, W), (H, W, 1) or (H, W, 3), optional
        The image in [0, 1], shown in a row above the layers.
    channels : int, default 8
        How many maps of a layer are shown, the strongest first.
    gamma, title, dpi
        As for `feature_maps`.

    Returns
    -------
    Picture
        A `matplotlib.figure.Figure`; its one axes has the label ``"maps"``.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
        As for `feature_maps`; the message names the layer.

    Examples
    --------
    >>> from attar import Sequential, layers
    >>> model = Sequential([layers.Conv2D(4, 3, activation="relu"), layers.MaxPool2D()])
    >>> figure = contact_sheet(model.trace(np.ones((1, 8, 8, 1), np.float32)), channels=2)
    >>> [text.get_text() for text in figure.texts if text.get_fontweight() == "bold"]
    ['conv2d', 'max_pooling2d']
    """
    operation = "figures.contact_sheet"
    check_gamma(operation, gamma)
    if not trace:
        raise ArgumentError(f"{operation}: nothing to draw, trace has no maps")
    count = len(trace) + (image is not None)
    blocks = min(math.ceil(count / _ROWS), _BLOCKS)
    in_block = math.ceil(count / blocks)
    limit = max(round((_TILE if blocks == 1 else _TILE_SMALL) * dpi), 2)
    least = max(round(_TILE_MIN * dpi), 1)
    read = {name: read_maps(f"{operation}: {name}", maps) for name, maps in trace.items()}
    box = _common_box([maps.shape[:2] for maps in read.values()], limit, least)
    rows = [_row(f"{operation}: {name}", name, maps, channels, box) for name, maps in read.items()]

    end = "≥ n" if any(row.tiles.cut for row in rows) else "n"
    bars = [(signed, end) for signed in sorted({row.tiles.signed for row in rows})]
    facts = f"the {channels} strongest maps of each layer, by channel"
    scale = "each map has its own scale, n stands below it"
    head = Head(title, facts, bars, scale, gamma)
    gap, margin, above = (round(inches * dpi) for inches in (GAP, MARGIN, head.height()))
    longest = max(_NAME_CHARACTER * max(map(len, trace)), _NAME_MIN)
    beside = round(min(longest, _NAME_MAX) * dpi)
    column = round(max(label_width(row.tiles) for row in rows) * dpi)
    column = max(column, *(row.tiles.box[1] for row in rows))
    height = max(round(_TEXT_HEIGHT * dpi), box[0], *(row.tiles.box[0] for row in rows))
    height += round(LABEL_HEIGHT * dpi) + gap
    width = beside + max(len(row.tiles.channels) for row in rows) * (column + gap) + 2 * gap
    sheet = Sheet(
        2 * margin + blocks * width - 3 * gap, above + in_block * height + margin, dpi, head
    )

    def corner(number: int) -> tuple[int, int]:
        return above + number % in_block * height, margin + number // in_block * width

    if image is not None:
        top, left = corner(0)
        _describe(sheet, top / dpi, left / dpi, "input", np.shape(image), 0)
        sheet.lay(top, left + beside, _thumbnail(operation, image, box))
    for number, row in enumerate(rows, count - len(rows)):
        top, left = corner(number)
        name = shortened(row.name, int(beside / dpi / _NAME_CHARACTER))
        _describe(sheet, top / dpi, left / dpi, name, row.shape, row.dead)
        for place in range(len(row.tiles.channels)):
            across = left + beside + place * (column + gap)
            sheet.lay_labelled(top, across, row.tiles, place, gamma, column)
    return sheet.figure()


def _common_box(sizes: Sequence[tuple[int, ...]], limit: int, least: int) -> tuple[int, int]:
    """Return the box in which most maps have whole pixels, in the shape of the first map."""
    height, width = sizes[0]
    longest = max(height, width)

    def unevenness(side: int) -> float:
        ratios = [max(side / max(size), max(size) / side) for size in sizes]
        return sum(abs(ratio - round(ratio)) for ratio in ratios)

    side = min(range(limit, limit * 2 // 3, -1), key=unevenness)
    return max(round(side * height / longest), least), max(round(side * width / longest), least)


def _own_box(shape: tuple[int, ...], box: tuple[int, int]) -> tuple[int, int]:
    """Return the common box, or one of its size for what has quite another shape."""
    if 0.75 < (shape[1] / shape[0]) / (box[1] / box[0]) < 1.33:
        return box
    return fit(shape[0], shape[1], max(box), min(*box, max(box) // 8))


def _row(operation: str, name: str, maps: Array, channels: int, box: tuple[int, int]) -> _Row:
    if not isinstance(channels, int | np.integer):
        raise ArgumentError(
            f"{operation}: channels is {channels!r}; accepted is a number of at least 1"
        )
    box = _own_box(maps.shape, box)
    picked = pick(operation, channels, maps)
    dead = int(np.count_nonzero(~maps.any(axis=(0, 1))))
    return _Row(name, maps.shape, dead, choose(maps, picked, box, shared=False))


def _describe(sheet: Sheet, y: float, x: float, name: str, shape: Sequence[int], dead: int) -> None:
    """Write what stands beside the maps of a row."""
    y += _LINE / 2
    sheet.write(x, y, name, TEXT_POINTS, weight="bold")
    sheet.write(x, y + _LINE, shape_text(shape), SMALL_POINTS, color=FAINT_INK)
    if dead:
        text = f"{dead} of {shape[2]} dead"
        sheet.write(x, y + 2 * _LINE, text, SMALL_POINTS, color=DEAD_TEXT)


def _thumbnail(operation: str, image: ArrayLike, box: tuple[int, int]) -> Array:
    """Return the image as colours, uint8 (h, w, 3)."""
    values = np.asarray(image)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in (1, 3) or not values.size:
        raise ShapeError(
            f"{operation}: image has shape {np.shape(image)}; accepted are (H, W), (H, W, 1) and "
            "(H, W, 3)"
        )
    height, width = _own_box(values.shape, box)
    small = np.nan_to_num(np.clip(shrink_to(values, height, width, "mean"), 0, 1))
    rows = np.arange(height) * small.shape[0] // height
    columns = np.arange(width) * small.shape[1] // width
    enlarged = small[rows[:, None], columns]
    coloured: Array = np.rint(np.broadcast_to(enlarged, (height, width, 3)) * 255).astype(np.uint8)
    return coloured
