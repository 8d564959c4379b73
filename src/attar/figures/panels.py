"""Panels in rows: one size for all, a title above each, captions and a colour scale below."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray

from attar.figures.picture import (
    FAINT_INK,
    SMALL_POINTS,
    TEXT_POINTS,
    TITLE_POINTS,
    Canvas,
    Picture,
    add_image,
    blank,
    fit,
    write_line,
)
from attar.figures.scales import colormap, end, limits
from attar.shrink import shrink_to
from attar.tables import shape_text

Array = NDArray[Any]

# In inches. A figure of four panels is then about as wide as a page, with text that is
# still legible when a README shows it at half of its size.
PANEL_MAX = 3.2
_PANEL_MIN, _COLUMN_MIN = 0.25, 1.6
_MARGIN, _GAP = 0.20, 0.25
_HEAD, _FOOT = 0.58, 0.72
_BAR_TOP, _BAR_HEIGHT = 0.10, 0.09


class Panel(NamedTuple):
    """One panel of a figure: what it shows and what is written around it."""

    label: str
    title: str
    size: tuple[int, ...]  # of the map itself, before it was reduced for display
    values: Array  # (h, w) or (h, w, 3 | 4), already reduced
    cmap: Colormap | None
    norm: Normalize | None
    captions: tuple[str, ...]
    has_bar: bool = True
    box: tuple[int, int] | None = None  # height and width, where they are not those of the grid


class Grid(NamedTuple):
    """The box of every panel, in pixels of the file."""

    width: int
    height: int
    column: int  # the width kept for a panel and its captions: at least `width`


def grid_of(height: int, width: int, dpi: float, panel_max: float = PANEL_MAX) -> Grid:
    """Choose the box of a panel for an image of `height` × `width`."""
    least = round(_PANEL_MIN * dpi)
    box_height, box_width = fit(height, width, max(round(panel_max * dpi), 2), least)
    return Grid(box_width, box_height, max(box_width, round(_COLUMN_MIN * dpi)))


def input_panel(image: Array, grid: Grid) -> Panel:
    """Return the panel of an image (H, W) or (H, W, C), in its own colours or in grey."""
    values = shrink_to(drawn_pixels(image), grid.height, grid.width, "mean")
    return reduced_input_panel(image.shape, values)


def drawn_pixels(image: Array) -> Array:
    """Return what is drawn of an image, or of some of its rows: colours, or (H, W) in grey."""
    if image.ndim == 2 or image.shape[2] in (3, 4):
        return image
    gray: Array = image.mean(axis=2, dtype=image.dtype)
    return gray


def reduced_input_panel(shape: tuple[int, ...], values: Array) -> Panel:
    """Return the panel of an image of this shape, whose `drawn_pixels` have been reduced."""
    if values.ndim == 3:
        # Matplotlib casts colours to bytes, where a NaN is no number at all.
        return _input(shape, np.nan_to_num(np.clip(values, 0, 1)), None, "")
    channels = shape[2] if len(shape) == 3 else 1
    lowest, highest = limits(values)
    # An image keeps its black and white; only one in other units is stretched.
    inside = lowest >= 0 and highest <= 1
    norm = Normalize(0, 1) if inside else Normalize(lowest, max(highest, lowest + 1e-30))
    return _input(shape, values, norm, f"mean of {channels} channels" if channels > 1 else "")


def _input(shape: tuple[int, ...], values: Array, norm: Normalize | None, caption: str) -> Panel:
    return Panel(
        label="input",
        title="Input",
        size=(shape[0], shape[1]),
        values=values,
        cmap=None if norm is None else colormap("gray"),
        norm=norm,
        captions=(caption,) if caption else (),
        has_bar=False,
    )


def draw_rows(
    panels: Sequence[Panel], grid: Grid, dpi: float, per_row: int | None = None
) -> tuple[Picture, list[Axes]]:
    """Draw panels in rows, by default in one; the axes are those of the panels, in order."""
    # Whole pixels everywhere: an image whose box is off by half a pixel loses a row or a column.
    margin, gap = round(_MARGIN * dpi), round(_GAP * dpi)
    head, foot = round(_HEAD * dpi), round(_FOOT * dpi)
    per_row = min(per_row or len(panels), len(panels))
    rows = [panels[first : first + per_row] for first in range(0, len(panels), per_row)]
    width = 2 * margin + per_row * grid.column + (per_row - 1) * gap
    row_height = head + grid.height + foot
    figure, canvas = blank(width / dpi, len(rows) * row_height / dpi, dpi)
    drawn = []
    for number, row in enumerate(rows):
        top = number * row_height
        centres = []
        for place, panel in enumerate(row):
            column = margin + place * (grid.column + gap)
            height, width = panel.box or (grid.height, grid.width)
            left = column + (grid.column - width) // 2
            down = top + head + (grid.height - height) // 2
            box = (left / dpi, down / dpi, width / dpi, height / dpi)
            drawn.append(
                add_image(figure, canvas, box, panel.label, panel.values, panel.cmap, panel.norm)
            )
            centre = (column + grid.column / 2) / dpi
            centres.append(centre)
            y = top / dpi
            write_line(figure, canvas, centre, y + 0.20, panel.title, TITLE_POINTS, weight="bold")
            size = shape_text(panel.size)
            write_line(figure, canvas, centre, y + 0.43, size, TEXT_POINTS, color=FAINT_INK)
        _draw_feet(figure, canvas, row, centres, (top + head + grid.height) / dpi)
    return figure, drawn


def _draw_feet(
    figure: Picture, canvas: Canvas, panels: Sequence[Panel], centres: list[float], top: float
) -> None:
    """Write the captions, and draw all colour bars into one axes, since each axes takes 10 ms."""
    length = 0.5
    bar = top + _BAR_TOP
    scales = figure.add_axes(canvas.box(0, bar, canvas.width, _BAR_HEIGHT), label="scales")
    for panel, centre in zip(panels, centres, strict=True):
        first = top + 0.16
        if panel.has_bar and panel.norm is not None:
            low, high = float(panel.norm.vmin or 0), float(panel.norm.vmax or 0)
            scales.imshow(
                np.linspace(low, high, 128)[None],
                cmap=panel.cmap,
                norm=panel.norm,
                extent=(centre - length / 2, centre + length / 2, 0, 1),
                aspect="auto",
            )
            middle, beside = bar + _BAR_HEIGHT / 2, length / 2 + 0.05
            beyond = limits(panel.values)
            ends = (
                (end(low, beyond[0], "≤"), -beside, "right"),
                (end(high, beyond[1], "≥"), beside, "left"),
            )
            for text, offset, align in ends:
                write_line(figure, canvas, centre + offset, middle, text, SMALL_POINTS, align=align)
            first = top + 0.34
        for line, caption in enumerate(panel.captions):
            write_line(figure, canvas, centre, first + 0.19 * line, caption, TEXT_POINTS)
    scales.set_xlim(0, canvas.width)
    scales.set_ylim(0, 1)
    scales.set_axis_off()
