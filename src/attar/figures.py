"""Pictures: one function per figure, each takes a result and returns a Matplotlib figure.

Nothing here touches pyplot, so nothing needs a display, changes a global setting or has to be
closed. Positions are computed, in pixels of the file: a map is shown at a whole number of file
pixels per value where it is small, and reduced once, by a rule that fits it, where it is large.
"""

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from attar import png
from attar.errors import ArgumentError
from attar.extraction import Extraction
from attar.shrink import shrink_to

__all__ = ["Picture", "kernel", "stages"]

Array = NDArray[Any]
Box = tuple[float, float, float, float]  # left, top, width, height

# Red for what the filter likes, blue for its opposite, white for no response; told apart with
# every kind of colour blindness. Magma is even in lightness, so brighter is always stronger.
_SIGNED_MAP = "RdBu_r"
_ACTIVE_MAP = "magma"
_NAN_COLOR = "#2aa876"  # in neither of the two, so that a NaN cannot pass for a value
_INK, _FAINT_INK, _PAPER, _EDGE = "#1a1a1a", "#555555", "#ffffff", "#b8b8b8"

# In inches. A figure of four panels is then about as wide as a page, with text that is
# still legible when a README shows it at half of its size.
_PANEL_MAX, _PANEL_MIN, _COLUMN_MIN = 3.2, 0.25, 1.6
_MARGIN, _GAP = 0.20, 0.25
_HEAD, _FOOT = 0.58, 0.72
_BAR_TOP, _BAR_HEIGHT = 0.10, 0.09
_TITLE_POINTS, _TEXT_POINTS, _SMALL_POINTS = 12.0, 9.5, 8.5
_DPI = 220

_STRONGEST = 0.01  # the fraction of active pixels that may lie beyond the colour scale

_CELL_MAX, _CELL_MIN = 0.62, 0.42
_NUMBERED_CELLS_MAX = 15  # a side; beyond, numbers would be too small to read


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
    extraction: Extraction, *, index: int = 0, channel: int = 0, dpi: float = _DPI
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
        _check_index("figures.kernel", "in_channel", in_channel, weights.shape[2])
        _check_index("figures.kernel", "channel", channel, weights.shape[3])
        weights = weights[:, :, in_channel, channel]
    rows, columns = weights.shape
    cell = max(_CELL_MIN, min(_CELL_MAX, 6 / max(rows, columns)))
    legible = max(rows, columns) <= _NUMBERED_CELLS_MAX
    if not legible:
        cell = 6 / max(rows, columns)
    figure, canvas = _blank(columns * cell + 0.2, rows * cell + 0.2, _DPI)
    reach = float(np.abs(weights).max()) or 1.0
    norm, cmap = Normalize(-reach, reach), _colormap(_SIGNED_MAP)
    axes = _add_image(
        figure, canvas, (0.1, 0.1, columns * cell, rows * cell), "kernel", weights, cmap, norm
    )
    # Lines between cells, so that white cells are seen to be cells.
    for x in range(1, columns):
        axes.axvline(x - 0.5, color=_EDGE, linewidth=0.6)
    for y in range(1, rows):
        axes.axhline(y - 0.5, color=_EDGE, linewidth=0.6)
    if numbers and legible:
        _write_numbers(axes, weights, cmap, norm, cell)
    return figure


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
        target.write(png.encode(_pixels(figure), figure.dpi))
        return
    suffix = Path(target).suffix.lower()
    if suffix == ".png":
        Path(target).write_bytes(png.encode(_pixels(figure), figure.dpi))
        return
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
    with mpl.rc_context({"svg.hashsalt": "attar"}):
        figure.savefig(target, format=suffix[1:], dpi=figure.dpi, metadata=undated)


def _pixels(figure: Figure) -> Array:
    """Draw a figure and return its pixels, uint8 (H, W, 3)."""
    shown_on = figure.canvas
    try:
        canvas: Any = FigureCanvasAgg(figure)  # Its methods have no types.
        canvas.draw()
        rgba: Array = np.asarray(canvas.buffer_rgba())
        return rgba[:, :, :3]
    finally:
        figure.set_canvas(shown_on)


def _pick_image(extraction: Extraction, index: int) -> Array:
    """Return image `index` as (H, W) or (H, W, C)."""
    image = extraction.image
    if image.ndim == 4:
        _check_index("figures.stages", "index", index, image.shape[0])
        one: Array = image[index]
        return one
    _check_index("figures.stages", "index", index, 1)
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
    _check_index("figures.stages", "channel", channel, filters)
    return one[:, :, channel] if one.ndim == 3 else one


def _check_index(function: str, name: str, value: int, count: int) -> None:
    # Negative numbers count from the end, as everywhere in Python.
    if not -count <= value < count:
        raise ArgumentError(f"{function}: {name} is {value}; there is only 0 … {count - 1}")


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
    norm = _signed_norm(features) if signed else _active_norm(features)
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
                cmap=_colormap(_SIGNED_MAP if diverging else _ACTIVE_MAP),
                norm=_signed_norm([values]) if name == "filter" else norm,
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
        captions[name] = (f"dead space {_percent(1 - fraction)}",)
    if "condense" in active and active.get("detect"):
        ratio = active["condense"] / active["detect"]
        captions["condense"] += (f"intensification {ratio:.2f}×",)
    return captions


def _percent(fraction: float) -> str:
    """Return a fraction as a percentage that says 0 or 100 only when it is exactly that."""
    if 0 < fraction < 0.01:
        return "< 1 %"
    if 0.99 < fraction < 1:
        return "> 99 %"
    return f"{fraction:.0%}".replace("%", " %")


def _input_panel(image: Array, grid: _Grid) -> _Panel:
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels in (3, 4):
        values = np.clip(shrink_to(image, grid.height, grid.width, "mean"), 0, 1)
        # Matplotlib casts colours to bytes, where a NaN is no number at all.
        return _input(image, np.nan_to_num(values), None, "")
    gray = image if image.ndim == 2 else image.mean(axis=2, dtype=image.dtype)
    values = shrink_to(gray, grid.height, grid.width, "mean")
    lowest, highest = _limits(values)
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
        cmap=None if norm is None else _colormap("gray"),
        norm=norm,
        captions=(caption,) if caption else (),
    )


def _grid(height: int, width: int, dpi: float) -> _Grid:
    """Choose the box of a panel for an image of `height` × `width`."""
    limit = max(round(_PANEL_MAX * dpi), 2)
    longest = max(height, width)
    if longest > limit:
        # A whole number of pixels into one, when that leaves the panel at three quarters or more.
        factor = longest / limit
        scale = 1 / math.ceil(factor) if longest / math.ceil(factor) > 0.75 * limit else 1 / factor
    else:
        scale = limit // longest
    # A strip is drawn thicker than it is, or there would be nothing to see.
    least = round(_PANEL_MIN * dpi)
    box_width, box_height = max(round(width * scale), least), max(round(height * scale), least)
    return _Grid(box_width, box_height, max(box_width, round(_COLUMN_MIN * dpi)))


def _limits(values: Array) -> tuple[float, float]:
    """Return the least and the greatest finite value; (0, 0) when there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _reach(maps: Sequence[Array]) -> float:
    """Return the end of a colour scale that starts at 0: where the strongest 1 % begins.

    The responses of an edge filter have a long tail. A scale up to the very strongest leaves
    the whole picture dark for the sake of some specks. Zeros do not count, or the scale of a
    nearly dead map would be its noise.
    """
    reaches = []
    for values in maps:
        strength = np.abs(values[np.isfinite(values) & (values != 0)])
        if strength.size:
            place = min(int(strength.size * (1 - _STRONGEST)), strength.size - 1)
            reaches.append(float(np.partition(strength, place)[place]))
    return max(reaches, default=1.0)


def _signed_norm(maps: Sequence[Array]) -> Normalize:
    """Return limits that are centred at 0."""
    reach = _reach(maps)
    return Normalize(-reach, reach)


def _active_norm(maps: Sequence[Array]) -> Normalize:
    """Return one pair of limits for all of `maps`, from 0."""
    return Normalize(0.0, _reach(maps))


def _colormap(name: str) -> Colormap:
    return mpl.colormaps[name].with_extremes(bad=_NAN_COLOR)


class _Canvas(NamedTuple):
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


def _blank(width: float, height: float, dpi: float) -> tuple[Picture, _Canvas]:
    figure = Picture(figsize=(width, height), dpi=dpi, facecolor=_PAPER)
    return figure, _Canvas(width, height)


def _draw_row(panels: list[_Panel], grid: _Grid, dpi: float) -> Picture:
    # Whole pixels everywhere: an image whose box is off by half a pixel loses a row or a column.
    margin, gap = round(_MARGIN * dpi), round(_GAP * dpi)
    head, foot = round(_HEAD * dpi), round(_FOOT * dpi)
    count = len(panels)
    width = 2 * margin + count * grid.column + (count - 1) * gap
    figure, canvas = _blank(width / dpi, (head + grid.height + foot) / dpi, dpi)
    centres = []
    for number, panel in enumerate(panels):
        column = margin + number * (grid.column + gap)
        left = column + (grid.column - grid.width) // 2
        box = (left / dpi, head / dpi, grid.width / dpi, grid.height / dpi)
        _add_image(figure, canvas, box, panel.label, panel.values, panel.cmap, panel.norm)
        centre = (column + grid.column / 2) / dpi
        centres.append(centre)
        _write(figure, canvas, centre, 0.20, panel.title, _TITLE_POINTS, weight="bold")
        size = f"{panel.size[0]} × {panel.size[1]}"
        _write(figure, canvas, centre, 0.43, size, _TEXT_POINTS, color=_FAINT_INK)
    _draw_feet(figure, canvas, panels, centres, (head + grid.height) / dpi)
    return figure


def _draw_feet(
    figure: Picture, canvas: _Canvas, panels: list[_Panel], centres: list[float], top: float
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
            beyond = _limits(panel.values)
            ends = (
                (_end(low, beyond[0], "≤"), -beside, "right"),
                (_end(high, beyond[1], "≥"), beside, "left"),
            )
            for text, offset, align in ends:
                _write(figure, canvas, centre + offset, middle, text, _SMALL_POINTS, align=align)
            first = top + 0.34
        for line, caption in enumerate(panel.captions):
            _write(figure, canvas, centre, first + 0.19 * line, caption, _TEXT_POINTS)
    scales.set_xlim(0, canvas.width)
    scales.set_ylim(0, 1)
    scales.set_axis_off()


def _add_image(
    figure: Picture,
    canvas: _Canvas,
    box: Box,
    label: str,
    values: Array,
    cmap: Colormap | None,
    norm: Normalize | None,
) -> Axes:
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


def _write(
    figure: Picture,
    canvas: _Canvas,
    x: float,
    y: float,
    text: str,
    points: float,
    *,
    weight: str = "normal",
    color: str = _INK,
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


def _write_numbers(
    axes: Axes, weights: Array, cmap: Colormap, norm: Normalize, cell: float
) -> None:
    texts = [_number(float(value)) for value in weights.flat]
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
            color=_PAPER if dark else _INK,
            horizontalalignment="center",
            verticalalignment="center",
            parse_math=False,
        )


def _end(limit: float, extreme: float, sign: str) -> str:
    """Return the number at an end of a colour bar, marked when values lie beyond it."""
    beyond = abs(extreme) > abs(limit) and extreme * limit > 0
    return f"{sign} {_number(limit)}" if beyond else _number(limit)


def _number(value: float) -> str:
    """Return a number to three digits, with a minus sign that is as wide as a plus."""
    text = f"{value:.3g}"
    if "e" in text:  # Two digits, and no zero in the exponent: it has to fit beside its bar.
        digits, exponent = f"{value:.1e}".split("e")
        text = f"{digits}e{int(exponent)}"
    return text.replace("-", "−")
