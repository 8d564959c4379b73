"""What all figures share: the picture itself, its pixels and files, text and maps on it."""

import io
import math
import os
from pathlib import Path
from typing import IO, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attar import png
from attar.errors import ArgumentError

__all__ = ["Picture", "write"]

Array = NDArray[Any]
Box = tuple[float, float, float, float]  # left, top, width, height

INK, FAINT_INK, PAPER, EDGE = "#1a1a1a", "#555555", "#ffffff", "#b8b8b8"
TITLE_POINTS, TEXT_POINTS, SMALL_POINTS = 12.0, 9.5, 8.5
DPI = 220


class Picture(Figure):
    """A Matplotlib figure that a notebook shows without pyplot.

    Examples
    --------
    >>> Picture(figsize=(1, 1))._repr_png_()[1:4]
    b'PNG'
    """

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        write(self, file)
        return file.getvalue()


def write(figure: Figure, target: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write a figure: by the suffix of a path, or as PNG to an open file.

    The same figure gives the same bytes: there is no date and no random identifier in them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure, in its own size and resolution.
    target : path or binary file
        A path ends in ``.png``, ``.svg``, ``.pdf`` or another format that Matplotlib writes.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> write(Picture(figsize=(1, 1)), file)
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    if not isinstance(target, str | os.PathLike):
        target.write(png.encode(pixels(figure), figure.dpi))
        return
    suffix = Path(target).suffix.lower()
    if suffix == ".png":
        Path(target).write_bytes(png.encode(pixels(figure), figure.dpi))
        return
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    with mpl.rc_context({"svg.hashsalt": "attar"}):
        figure.savefig(target, format=suffix[1:], dpi=figure.dpi, metadata=undated)


def pixels(figure: Figure) -> Array:
    """Draw a figure and return its pixels, uint8 (H, W, 3)."""
    shown_on = figure.canvas
    try:
        canvas: Any = FigureCanvasAgg(figure)  # Its methods have no types.
        canvas.draw()
        rgba: Array = np.asarray(canvas.buffer_rgba())
        return rgba[:, :, :3]
    finally:
        figure.set_canvas(shown_on)


class Canvas(NamedTuple):
    """The size of a figure in inches, to place things from its top left corner."""

    width: float
    height: float

    def box(self, left: float, top: float, width: float, height: float) -> Box:
        """Return Matplotlib's rectangle: fractions of the figure, from the bottom left."""
        return (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )


def blank(width: float, height: float, dpi: float) -> tuple[Picture, Canvas]:
    """Return an empty figure of this size in inches."""
    figure = Picture(figsize=(width, height), dpi=dpi, facecolor=PAPER)
    return figure, Canvas(width, height)


def add_image(
    figure: Picture,
    canvas: Canvas,
    box: Box,
    label: str,
    values: Array,
    cmap: Colormap | None,
    norm: Normalize | None,
) -> Axes:
    """Show values, or colours, in a box in inches."""
    axes = figure.add_axes(canvas.box(*box), label=label)
    # nearest: the values have been reduced already, and enlarged pixels are to be seen as such.
    # rgba: the same pixels in 10 ms less, since a map is then resampled once, without its mask.
    axes.imshow(
        values,
        cmap=cmap,
        norm=norm,
        aspect="auto",
        interpolation="nearest",
        interpolation_stage="rgba",
    )
    axes.set_axis_off()
    return axes


def write_line(
    figure: Picture,
    canvas: Canvas,
    x: float,
    y: float,
    text: str,
    points: float,
    *,
    weight: str = "normal",
    color: str = INK,
    align: str = "center",
) -> None:
    """Write one line, at inches from the top left corner."""
    figure.text(
        x / canvas.width,
        1 - y / canvas.height,
        text,
        fontsize=points,
        fontweight=weight,
        color=color,
        horizontalalignment=align,
        verticalalignment="center",
        parse_math=False,  # A name may hold a dollar sign.
    )


def fit(height: int, width: int, limit: int, least: int) -> tuple[int, int]:
    """Return the pixels that a map of `height` × `width` is drawn on, within `limit` a side.

    Small maps get a whole number of pixels for each value. A side is never below `least`, or a
    strip would be too thin to see.

    Examples
    --------
    >>> fit(28, 14, 100, 4), fit(300, 200, 100, 4), fit(1, 500, 100, 4)
    ((84, 42), (100, 67), (4, 100))
    """
    longest = max(height, width)
    if longest > limit:
        # A whole number of values into one, when that leaves three quarters or more.
        factor = longest / limit
        scale = 1 / math.ceil(factor) if longest / math.ceil(factor) > 0.75 * limit else 1 / factor
    else:
        scale = limit // longest
    return max(round(height * scale), least), max(round(width * scale), least)


def shortened(name: str, length: int) -> str:
    """Return a name with its middle left out where it is longer.

    Examples
    --------
    >>> shortened("block5_convolution3", 11)
    'bloc…ution3'
    """
    if len(name) <= length:
        return name
    return f"{name[: length // 2 - 1]}…{name[len(name) - (length - length // 2) :]}"


def check_index(function: str, name: str, value: int, count: int) -> None:
    """Refuse an index that is out of range; negative ones count from the end."""
    if not -count <= value < count:
        raise ArgumentError(f"{function}: {name} is {value}; there is only 0 … {count - 1}")
