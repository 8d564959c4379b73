"""An extraction as a picture: Input, Filter, Detect, Condense."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray

from attar.errors import ArgumentError
from attar.extraction import Extraction
from attar.figures.picture import (
    DPI,
    FAINT_INK,
    SMALL_POINTS,
    TEXT_POINTS,
    TITLE_POINTS,
    Canvas,
    Picture,
    add_image,
    blank,
    check_index,
    fit,
    write_line,
)
from attar.figures.scales import (
    ACTIVE_MAP,
    SIGNED_MAP,
    active_norm,
    colormap,
    end,
    limits,
    percent,
    signed_norm,
)
from attar.shrink import shrink_to

__all__ = ["stages"]

Array = NDArray[Any]

# In inches. A figure of four panels is then about as wide as a page, with text that is
# still legible when a README shows it at half of its size.
_PANEL_MAX, _PANEL_MIN, _COLUMN_MIN = 3.2, 0.25, 1.6
_MARGIN, _GAP = 0.20, 0.25
_HEAD, _FOOT = 0.58, 0.72
_BAR_TOP, _BAR_HEIGHT = 0.10, 0.09


class _Panel(NamedTuple):
    """One panel of a figure: what it shows and what is written around it."""

    label: str
    title: str
    size: tuple[int, int]  # of the map itself, before it was reduced for display
    values: Array  # (h, w) or (h, w, 3 | 4), already reduced
    cmap: Colormap | None
    norm: Normalize | None
    captions: tuple[str, ...]


class _Grid(NamedTuple):
    """The box of every panel, in pixels of the file."""

    width: int
    height: int
    column: int  # the width kept for a panel and its captions: at least `width`


def stages(
    extraction: Extraction, *, index: int = 0, channel: int = 0, dpi: float = DPI
) -> Picture:
    """Draw an extraction as the sequence that it is: Input, Filter, Detect, Condense.

    All panels have one size, so that condensing shows as coarser pixels. Filter is signed, with
    white at 0. Detect and Condense share one colour scale, from 0, so that features which
    condensing intensifies are brighter. Under a panel stands the dead space of the map
    that it shows. A step that was left out, or not kept (``stages=False``), has no panel.

    A map that is larger than its panel is reduced to it: Input, Detect and Condense by their
    mean, since a maximum would condense Detect too and make the two look alike; Filter by the
    value farthest from 0, since the two sides of an edge would cancel in a mean. A colour scale
    ends where the strongest 1 % of what is shown begins, so that faint and thin lines stay
    visible; the colour bar then says ≥.

    Parameters
    ----------
    extraction : Extraction
        The result of `attar.extract`.
    index : int, default 0
        Which image of a batch.
    channel : int, default 0
        Which filter's maps, where there are several.
    dpi : float, default 220
        Pixels per inch; a panel is at most 3.2 inches wide and high.

    Returns
    -------
    Picture
        A `matplotlib.figure.Figure`; its axes have the labels ``"input"``, ``"filter"``,
        ``"detect"``, ``"condense"``, and ``"scales"`` for the colour bars.

    Raises
    ------
    ArgumentError
        `index` or `channel` is out of range, or a map has no pixels.

    Examples
    --------
    >>> import numpy as np, attar
    >>> figure = stages(attar.extract(np.eye(4, dtype="float32"), [[1.0]]))
    >>> [axes.get_label() for axes in figure.axes]
    ['input', 'filter', 'detect', 'condense', 'scales']
    """
    image = _pick_image(extraction, index)
    maps = _pick_maps(extraction, index, channel)
    if not all(values.size for values in (image, *maps.values())):
        raise ArgumentError(f"figures.stages: nothing to draw, a map has no pixels: {extraction!r}")
    grid = _grid(image.shape[0], image.shape[1], dpi)
    return _draw_row(_panels(extraction, image, maps, channel, grid), grid, dpi)


def _pick_image(extraction: Extraction, index: int) -> Array:
    """Return image `index` as (H, W) or (H, W, C)."""
    image = extraction.image
    if image.ndim == 4:
        check_index("figures.stages", "index", index, image.shape[0])
        one: Array = image[index]
        return one
    check_index("figures.stages", "index", index, 1)
    return image


def _pick_maps(extraction: Extraction, index: int, channel: int) -> dict[str, Array]:
    """Return the maps to show, each (H', W'): those kept, of the steps that were done."""
    spec = extraction.spec
    if spec.pool is not None:
        last = "condense"
    else:
        last = "filter" if spec.activation is None else "detect"
    found = {"filter": extraction.filter, "detect": extraction.detect}
    if spec.activation is None:
        found["detect"] = None
    found[last] = extraction.condense
    return {
        name: _pick_map(values, extraction.image.ndim, index, channel)
        for name, values in found.items()
        if values is not None
    }


def _pick_map(values: Array, image_rank: int, index: int, channel: int) -> Array:
    one = values[index] if image_rank == 4 else values
    filters = one.shape[2] if one.ndim == 3 else 1
    check_index("figures.stages", "channel", channel, filters)
    return one[:, :, channel] if one.ndim == 3 else one


def _panels(
    extraction: Extraction,
    image: Array,
    maps: dict[str, Array],
    channel: int,
    grid: _Grid,
) -> list[_Panel]:
    spec = extraction.spec
    shown = {
        name: shrink_to(values, grid.height, grid.width, "extreme" if name == "filter" else "mean")
        for name, values in maps.items()
    }
    signed = spec.activation is None
    features = [values for name, values in shown.items() if name != "filter"]
    norm = signed_norm(features) if signed else active_norm(features)
    several = spec.kernel_shape[3] if len(spec.kernel_shape) == 4 else 1
    captions = _captions(extraction, maps)
    if several > 1:
        which = f"channel {channel % several} of 0 … {several - 1}"
        first = next(iter(captions))
        captions[first] = (*captions[first], which)

    panels = [_input_panel(image, grid)]
    for name, values in shown.items():
        diverging = name == "filter" or signed
        panels.append(
            _Panel(
                label=name,
                title=name.capitalize(),
                size=(maps[name].shape[0], maps[name].shape[1]),
                values=values,
                cmap=colormap(SIGNED_MAP if diverging else ACTIVE_MAP),
                norm=signed_norm([values]) if name == "filter" else norm,
                captions=captions[name],
            )
        )
    return panels


def _captions(extraction: Extraction, maps: dict[str, Array]) -> dict[str, tuple[str, ...]]:
    """Return what stands under each map, about the very map that is shown."""
    spec = extraction.spec
    height, width = spec.kernel_shape[:2]
    captions: dict[str, tuple[str, ...]] = dict.fromkeys(maps, ())
    if "filter" in maps:
        captions["filter"] = (f"{spec.kernel or 'kernel'} {height} × {width}",)
    if spec.activation is None:
        return captions  # A signed map has no dead space to speak of.
    active = {
        name: np.count_nonzero(values) / values.size
        for name, values in maps.items()
        if name != "filter"
    }
    for name, fraction in active.items():
        captions[name] = (f"dead space {percent(1 - fraction)}",)
    if "condense" in active and active.get("detect"):
        ratio = active["condense"] / active["detect"]
        captions["condense"] += (f"intensification {ratio:.2f}×",)
    return captions


def _input_panel(image: Array, grid: _Grid) -> _Panel:
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels in (3, 4):
        values = np.clip(shrink_to(image, grid.height, grid.width, "mean"), 0, 1)
        # Matplotlib casts colours to bytes, where a NaN is no number at all.
        return _input(image, np.nan_to_num(values), None, "")
    gray = image if image.ndim == 2 else image.mean(axis=2, dtype=image.dtype)
    values = shrink_to(gray, grid.height, grid.width, "mean")
    lowest, highest = limits(values)
    # An image keeps its black and white; only one in other units is stretched.
    inside = lowest >= 0 and highest <= 1
    norm = Normalize(0, 1) if inside else Normalize(lowest, max(highest, lowest + 1e-30))
    return _input(image, values, norm, f"mean of {channels} channels" if channels > 1 else "")


def _input(image: Array, values: Array, norm: Normalize | None, caption: str) -> _Panel:
    return _Panel(
        label="input",
        title="Input",
        size=(image.shape[0], image.shape[1]),
        values=values,
        cmap=None if norm is None else colormap("gray"),
        norm=norm,
        captions=(caption,) if caption else (),
    )


def _grid(height: int, width: int, dpi: float) -> _Grid:
    """Choose the box of a panel for an image of `height` × `width`."""
    least = round(_PANEL_MIN * dpi)
    box_height, box_width = fit(height, width, max(round(_PANEL_MAX * dpi), 2), least)
    return _Grid(box_width, box_height, max(box_width, round(_COLUMN_MIN * dpi)))


def _draw_row(panels: list[_Panel], grid: _Grid, dpi: float) -> Picture:
    # Whole pixels everywhere: an image whose box is off by half a pixel loses a row or a column.
    margin, gap = round(_MARGIN * dpi), round(_GAP * dpi)
    head, foot = round(_HEAD * dpi), round(_FOOT * dpi)
    count = len(panels)
    width = 2 * margin + count * grid.column + (count - 1) * gap
    figure, canvas = blank(width / dpi, (head + grid.height + foot) / dpi, dpi)
    centres = []
    for number, panel in enumerate(panels):
        column = margin + number * (grid.column + gap)
        left = column + (grid.column - grid.width) // 2
        box = (left / dpi, head / dpi, grid.width / dpi, grid.height / dpi)
        add_image(figure, canvas, box, panel.label, panel.values, panel.cmap, panel.norm)
        centre = (column + grid.column / 2) / dpi
        centres.append(centre)
        write_line(figure, canvas, centre, 0.20, panel.title, TITLE_POINTS, weight="bold")
        size = f"{panel.size[0]} × {panel.size[1]}"
        write_line(figure, canvas, centre, 0.43, size, TEXT_POINTS, color=FAINT_INK)
    _draw_feet(figure, canvas, panels, centres, (head + grid.height) / dpi)
    return figure


def _draw_feet(
    figure: Picture, canvas: Canvas, panels: list[_Panel], centres: list[float], top: float
) -> None:
    """Write the captions, and draw all colour bars into one axes, since each axes takes 10 ms."""
    length = 0.5
    bar = top + _BAR_TOP
    scales = figure.add_axes(canvas.box(0, bar, canvas.width, _BAR_HEIGHT), label="scales")
    for panel, centre in zip(panels, centres, strict=True):
        first = top + 0.16
        if panel.label != "input" and panel.norm is not None:
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
