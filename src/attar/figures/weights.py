"""A kernel as a picture."""

import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from numpy.typing import ArrayLike, NDArray

from attar.figures.picture import DPI, EDGE, INK, PAPER, Picture, add_image, blank, check_index
from attar.figures.scales import SIGNED_MAP, colormap, number

__all__ = ["kernel"]

Array = NDArray[Any]

_CELL_MAX, _CELL_MIN = 0.62, 0.42
_NUMBERED_CELLS_MAX = 15  # a side; beyond, numbers would be too small to read


def kernel(
    kernel: str | os.PathLike[str] | ArrayLike,
    *,
    numbers: bool = True,
    in_channel: int = 0,
    channel: int = 0,
) -> Picture:
    """Draw a kernel as a grid of coloured cells with its numbers in them.

    Red is positive, blue negative, white 0.

    Parameters
    ----------
    kernel : str, os.PathLike or array_like, (kh, kw) or (kh, kw, C, K)
        A kernel, its name, or whatever else `attar.extract` takes as one.
    numbers : bool, default True
        Write each number, to three digits. Kernels of more than 15 cells a side go without.
    in_channel, channel : int, default 0
        Which channel of the image, and which filter, of a ``(kh, kw, C, K)`` kernel.

    Returns
    -------
    Picture
        A `matplotlib.figure.Figure` with one axes, labelled ``"kernel"``.

    Raises
    ------
    ArgumentError
        `in_channel` or `channel` is out of range.

    Examples
    --------
    >>> figure = kernel([[0, 1], [-1, 0.5]])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '1', '−1', '0.5']
    """
    from attar.kernels import parse_kernel

    weights = parse_kernel(kernel)
    if weights.ndim == 4:
        check_index("figures.kernel", "in_channel", in_channel, weights.shape[2])
        check_index("figures.kernel", "channel", channel, weights.shape[3])
        weights = weights[:, :, in_channel, channel]
    rows, columns = weights.shape
    cell = max(_CELL_MIN, min(_CELL_MAX, 6 / max(rows, columns)))
    legible = max(rows, columns) <= _NUMBERED_CELLS_MAX
    if not legible:
        cell = 6 / max(rows, columns)
    figure, canvas = blank(columns * cell + 0.2, rows * cell + 0.2, DPI)
    reach = float(np.abs(weights).max()) or 1.0
    norm, cmap = Normalize(-reach, reach), colormap(SIGNED_MAP)
    axes = add_image(
        figure, canvas, (0.1, 0.1, columns * cell, rows * cell), "kernel", weights, cmap, norm
    )
    # Lines between cells, so that white cells are seen to be cells.
    for x in range(1, columns):
        axes.axvline(x - 0.5, color=EDGE, linewidth=0.6)
    for y in range(1, rows):
        axes.axhline(y - 0.5, color=EDGE, linewidth=0.6)
    if numbers and legible:
        _write_numbers(axes, weights, cmap, norm, cell)
    return figure


def _write_numbers(
    axes: Axes, weights: Array, cmap: Colormap, norm: Normalize, cell: float
) -> None:
    texts = [number(float(value)) for value in weights.flat]
    # A digit is about 0.64 as wide as the text is high; five sixths of the cell may be filled.
    longest = max(max(map(len, texts)), 3)
    points = min(12.0, cell * 72 * 0.84 / (0.64 * longest))
    colours = cmap(norm(weights))
    for place, text in enumerate(texts):
        row, column = divmod(place, weights.shape[1])
        red, green, blue, _ = colours[row, column]
        # Relative luminance (WCAG 2, with 2.2 for the curve of sRGB). At 0.2 the two inks have
        # the same contrast, 4.2 to 1.
        dark = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.2
        axes.text(
            column,
            row,
            text,
            fontsize=points,
            color=PAPER if dark else INK,
            horizontalalignment="center",
            verticalalignment="center",
            parse_math=False,
        )
