"""Feature maps as small pictures side by side: read, chosen, coloured, laid into one array."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.figures.picture import (
    FAINT_INK,
    SMALL_POINTS,
    TEXT_POINTS,
    TITLE_POINTS,
    Picture,
    add_image,
    blank,
    check_index,
    write_line,
)
from attar.figures.scales import colours, limits, number, reach_of
from attar.shrink import shrink_to

Array = NDArray[Any]

# In inches.
GAP, MARGIN = 0.07, 0.20  # between tiles, around all
LABEL_HEIGHT = 0.15  # below a tile
_TITLE, _LINE, _HEAD_MARGIN = 0.30, 0.20, 0.12
_BAR_WIDTH, _BAR_HEIGHT, _SPACE = 0.6, 0.09, 0.05

_LABEL_POINTS = 7.0
_DEAD_PAPER, _DEAD_INK = (0xE6, 0xE6, 0xE6), (0xB8, 0xB8, 0xB8)
DEAD_TEXT = "#b3261e"


def read_maps(function: str, maps: ArrayLike) -> Array:
    """Return maps as (H, W, C); a vector becomes maps of one pixel.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        They are no maps of one image, hold no real numbers, or have no pixels.
    """
    values = np.asarray(maps)
    shape = values.shape
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"{function}: maps hold {values.dtype}; accepted are real numbers")
    if values.ndim in (2, 4) and shape[0] == 1:
        values = values[0]
    if values.ndim == 1:
        values = values[None, None]
    if values.ndim != 3:
        raise ShapeError(
            f"{function}: maps have shape {shape}; accepted are the maps of one image, (H, W, C) "
            "or (1, H, W, C), and a vector, (K,) or (1, K)"
        )
    if not values.size:
        raise ArgumentError(f"{function}: nothing to draw, maps of shape {shape} have no pixels")
    return values


class Tiles(NamedTuple):
    """The maps of one layer that are shown, as they are shown."""

    channels: list[int]
    values: Array  # (h, w, number of channels), reduced to the box where they are larger
    box: tuple[int, int]  # the height and width of a tile, in pixels of the file
    reaches: list[float]  # where the colour scale of each one ends
    dead: list[bool]
    signed: bool
    shared: bool  # whether all have one colour scale
    cut: bool  # whether values lie beyond the colour scales

    def label(self, place: int) -> str:
        """Return what stands below a tile: the end of its scale, or with one scale its peak."""
        if self.dead[place]:
            return "dead"
        if not self.shared:
            return number(self.reaches[place])
        low, high = limits(self.values[:, :, place])
        return number(high if high >= -low else low)


def check_gamma(operation: str, gamma: float) -> None:
    """Refuse an exponent that makes no colour scale."""
    if not 0 < gamma < float("inf"):
        raise ArgumentError(f"{operation}: gamma is {gamma!r}; accepted are numbers above 0")


def pick(operation: str, channels: int | Sequence[int] | None, maps: Array) -> list[int]:
    """Return the channels that are asked for: all, so many of the strongest, or those named."""
    count = maps.shape[2]
    if channels is None:
        return list(range(count))
    if isinstance(channels, int | np.integer):
        if channels < 1:
            raise ArgumentError(
                f"{operation}: channels is {channels}; accepted are a number of at least 1, and "
                "a list of channels"
            )
        strength = np.nansum(np.abs(maps), axis=(0, 1), dtype=np.float64)
        return [int(channel) for channel in np.argsort(-strength, kind="stable")[:channels]]
    picked = list(channels)
    if not picked:
        raise ArgumentError(f"{operation}: channels is empty; name at least one")
    for channel in picked:
        if not isinstance(channel, int | np.integer):
            raise DTypeError(f"{operation}: channels holds {channel!r}; accepted are whole numbers")
        check_index(operation, "one of channels", int(channel), count)
    return [int(channel) % count for channel in picked]


def choose(maps: Array, channels: list[int], box: tuple[int, int], *, shared: bool) -> Tiles:
    """Return the maps of these channels as they are shown in boxes of this size."""
    maps = maps[:, :, channels]
    signed = bool((maps < 0).any())
    shown = shrink_to(maps, *box, "extreme" if signed else "mean")
    each = [shown[:, :, place] for place in range(len(channels))]
    # A pixel alone would always be as bright as a scale of its own goes.
    shared = shared or shown.shape[:2] == (1, 1)
    reaches = [reach_of(each)] * len(each) if shared else [reach_of([values]) for values in each]
    with np.errstate(invalid="ignore"):
        cut = bool((np.abs(shown) > np.array(reaches)).any())
    dead: list[bool] = np.logical_not(maps.any(axis=(0, 1))).tolist()
    return Tiles(channels, shown, box, reaches, dead, signed, shared, cut)


def paint(tiles: Tiles, place: int, gamma: float) -> Array:
    """Return one tile as colours, uint8 (height, width, 3)."""
    height, width = tiles.box
    if tiles.dead[place]:
        return _crossed(height, width)
    values = tiles.values[:, :, place]
    coloured = colours(values, tiles.reaches[place], gamma, signed=tiles.signed)
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    tile: Array = coloured[rows[:, None], columns]
    return tile


def _crossed(height: int, width: int) -> Array:
    """Return a tile of grey paper with its diagonals, which no map has."""
    tile = np.empty((height, width, 3), np.uint8)
    tile[:] = _DEAD_PAPER
    steps = np.linspace(0, 1, 2 * max(height, width))
    down, across = np.rint(steps * (height - 1)), np.rint(steps * (width - 1))
    for thickness in range(2):
        rows = np.minimum(down + thickness, height - 1).astype(int)
        tile[rows, across.astype(int)] = tile[rows, width - 1 - across.astype(int)] = _DEAD_INK
    return tile


def label_width(tiles: Tiles) -> float:
    """Return the width in inches of the longest label: channel and number."""
    return max(
        _width(f"{channel}  {tiles.label(place)}", _LABEL_POINTS)
        for place, channel in enumerate(tiles.channels)
    )


class Head(NamedTuple):
    """What stands above the tiles: a title, what they are, and the scales of their colours.

    Attributes
    ----------
    title : str or None
    facts : str
    bars : list of (bool, str)
        For each kind of scale whether it is signed, and where it ends.
    scale : str
        About the scales.
    gamma : float
    """

    title: str | None
    facts: str
    bars: list[tuple[bool, str]]
    scale: str
    gamma: float

    def height(self) -> float:
        """Return its height in inches."""
        return 2 * _HEAD_MARGIN + (_TITLE if self.title else 0) + 2 * _LINE

    def width(self) -> float:
        """Return the inches that the longest of its lines takes."""
        ends = sum(
            _BAR_WIDTH + 5 * _SPACE + _width(_low(*bar) + bar[1], SMALL_POINTS) for bar in self.bars
        )
        return max(
            _width(self.title or "", 1.15 * TITLE_POINTS),  # bold
            _width(self.facts, TEXT_POINTS),
            ends + _width(self.about(), SMALL_POINTS),
        )

    def about(self) -> str:
        """Return what is said about the scales."""
        return self.scale if self.gamma == 1 else f"{self.scale} · gamma {number(self.gamma)}"


def _width(text: str, points: float) -> float:
    """Return about how many inches a line takes; digits are the widest of what is common."""
    return 0.64 * points / 72 * len(text)


def _low(signed: bool, end: str) -> str:
    return f"−{end.removeprefix('≥ ')}" if signed else "0"


class Sheet:
    """A page in pixels on which tiles are laid, and text over them.

    One array for all tiles, since each axes of Matplotlib takes 10 ms.

    Parameters
    ----------
    width, height : int
        In pixels of the file, with head and margins.
    dpi : float
    head : Head
        It may make the page wider.
    """

    def __init__(self, width: int, height: int, dpi: float, head: Head) -> None:
        width = max(width, math.ceil((head.width() + 2 * MARGIN) * dpi))
        self._pixels = np.full((height, width, 3), 255, np.uint8)
        self._dpi = dpi
        self._lines: list[tuple[float, float, str, float, dict[str, Any]]] = []
        self._write_head(head)

    def lay(self, top: int, left: int, tile: Array) -> None:
        """Lay a tile, in pixels from the top left corner."""
        self._pixels[top : top + tile.shape[0], left : left + tile.shape[1]] = tile

    def write(self, x: float, y: float, text: str, points: float, **style: Any) -> None:
        """Write a line, in inches from the top left corner."""
        self._lines.append((x, y, text, points, {"align": "left"} | style))

    def lay_labelled(
        self, top: int, left: int, tiles: Tiles, place: int, gamma: float, column: int | None
    ) -> None:
        """Lay a tile with its channel below it, and the end of its scale, `column` wide."""
        self.lay(top, left, paint(tiles, place, gamma))
        x, y = left / self._dpi, (top + tiles.box[0]) / self._dpi + LABEL_HEIGHT / 2
        color = DEAD_TEXT if tiles.dead[place] else FAINT_INK
        self.write(x, y, str(tiles.channels[place]), _LABEL_POINTS, color=color)
        if column is not None:
            x += column / self._dpi
            self.write(x, y, tiles.label(place), _LABEL_POINTS, color=color, align="right")

    def _write_head(self, head: Head) -> None:
        y = _HEAD_MARGIN + _LINE / 2
        if head.title:
            self.write(MARGIN, y + 0.03, head.title, TITLE_POINTS, weight="bold")
            y += _TITLE
        self.write(MARGIN, y, head.facts, TEXT_POINTS, color=FAINT_INK)
        x, y = MARGIN, y + _LINE
        for signed, end in head.bars:
            low = _low(signed, end)
            self.write(x, y, low, SMALL_POINTS, color=FAINT_INK)
            x += _width(low, SMALL_POINTS) + _SPACE
            top, left = round((y - _BAR_HEIGHT / 2) * self._dpi), round(x * self._dpi)
            self.lay(top, left, self._bar(signed, head.gamma))
            x += _BAR_WIDTH + _SPACE
            self.write(x, y, end, SMALL_POINTS, color=FAINT_INK)
            x += _width(end, SMALL_POINTS) + 3 * _SPACE
        self.write(x, y, head.about(), SMALL_POINTS, color=FAINT_INK)

    def _bar(self, signed: bool, gamma: float) -> Array:
        width, height = round(_BAR_WIDTH * self._dpi), max(round(_BAR_HEIGHT * self._dpi), 1)
        values = np.linspace(-1.0 if signed else 0.0, 1.0, max(width, 2))
        return colours(values, 1.0, gamma, signed=signed)[None].repeat(height, 0)

    def figure(self) -> Picture:
        """Return the figure; all that was laid is one axes, labelled ``"maps"``."""
        height, width = (side / self._dpi for side in self._pixels.shape[:2])
        figure, canvas = blank(width, height, self._dpi)
        add_image(figure, canvas, (0, 0, width, height), "maps", self._pixels, None, None)
        for x, y, text, points, style in self._lines:
            write_line(figure, canvas, x, y, text, points, **style)
        return figure
