"""What a pixel of a map looks at, drawn on the image."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.extraction import Extraction
from attar.figures.panels import PANEL_MAX, Grid, Panel, draw_rows, input_panel
from attar.figures.picture import DPI, EDGE, INK, PAPER, Picture, fit, shortened
from attar.figures.scales import ACTIVE_MAP, SIGNED_MAP, active_norm, colormap, signed_norm
from attar.figures.sequence import pick_image, pick_maps
from attar.graph import Graph
from attar.layers import Conv2D, Layer, MaxPooling2D
from attar.receptive import Box, ReceptiveField
from attar.receptive import receptive_field as find_field
from attar.shrink import Reduction, shrink_to

__all__ = ["receptive_field"]

Array = NDArray[Any]

_LINE = "#00c2e0"  # in none of the colour scales, and rare in photographs; its rim is dark
_OUTSIDE = 0xE6  # grey paper: there is no image here
_PANEL_MIN, _PART_MIN, _COLUMN_MIN = 0.1, 1.6, 1.9  # in inches
_MARGIN = 0.5  # of the image's longer side, at most, is shown of what lies outside
_LEAST = 9  # pixels of the file that a box takes at least: a smaller one would be a dot
_GRID_MAX = 24  # pixels of the image a side; beyond, lines between them would hide them
_NAME_MAX = 30


def receptive_field(
    image: ArrayLike | Extraction,
    field: ReceptiveField | None = None,
    *,
    at: Sequence[int] | None = None,
    index: int = 0,
    channel: int = 0,
    dpi: float = DPI,
) -> Picture:
    """Draw what a pixel of a map looks at: its box on the image, and that part magnified.

    The solid box holds what reaches the pixel. The dashed one is there where it is larger: the same
    without borders, with what lies outside of the image, on grey, where there is padding.

    Of an extraction, the window of the pool is drawn on the detected map too, and the pixel on the
    condensed one.

    Parameters
    ----------
    image : array_like, (H, W), (H, W, C) or (1, H, W, C), or Extraction
        The image that `field` was asked for, in [0, 1] where it is coloured.
    field : ReceptiveField, optional
        What `Sequential.receptive_field` returns. An extraction has its own.
    at : (y, x), optional
        Of an extraction: the pixel of the condensed map, by default that in its middle.
    index, channel : int, default 0
        Of an extraction: which image of a batch, and which filter's maps.
    dpi : float, default 220
        Pixels per inch; a panel is at most 3.2 inches wide and high.

    Returns
    -------
    Picture
        A `matplotlib.figure.Figure`; its axes have the labels ``"input"``, ``"field"`` and, of an
        extraction, ``"detect"`` and ``"condense"``.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)
        Also where the box lies outside of the image: it is of another one.

    Examples
    --------
    >>> import attar
    >>> from attar import Sequential, features, layers
    >>> model = Sequential([layers.Conv2D(8, 3, padding="same"), layers.MaxPool2D()])
    >>> model.build((None, 32, 32, 1))
    >>> field = model.receptive_field("max_pooling2d", at=(0, 5))
    >>> figure = receptive_field(features.car(32), field)
    >>> [text.get_text() for text in figure.texts if "rows" in text.get_text()]
    ['rows 0–2, columns 9–12']

    >>> result = attar.extract(features.car(32), "edge")
    >>> figure = receptive_field(result, at=(0, 5))
    >>> [axes.get_label() for axes in figure.axes if axes.get_label() != "scales"]
    ['input', 'field', 'detect', 'condense']
    """
    operation = "figures.receptive_field"
    if isinstance(image, Extraction):
        if field is not None:
            raise ArgumentError(f"{operation}: an extraction has its own field; say at=(y, x)")
        pixels = pick_image(operation, image, index)
        maps = pick_maps(operation, image, index, channel)
        field, window = _of_extraction(operation, image, pixels, maps, at)
    else:
        if not isinstance(field, ReceptiveField):
            raise DTypeError(
                f"{operation}: field must be what Sequential.receptive_field returns, got {field!r}"
            )
        if at is not None:
            raise ArgumentError(f"{operation}: at is for an extraction; the field has its own")
        pixels, maps, window = _read_image(operation, image), {}, None
    height, width = pixels.shape[:2]
    if field.box is not None and (field.box.bottom > height or field.box.right > width):
        raise ShapeError(
            f"{operation}: the field reaches to row {field.box.bottom - 1} and column "
            f"{field.box.right - 1}; the image has {height} × {width} pixels"
        )

    limit, least = max(round(PANEL_MAX * dpi), 2), max(round(_PANEL_MIN * dpi), 1)
    seen, part = _image_views(pixels, field)
    boxes = [fit(*seen.region.shape, limit, least)]
    # As high as the image beside it, so that there is no paper above and below that.
    boxes.append(fit(*part.region.shape, max(boxes[0][0], round(_PART_MIN * dpi)), least))
    views = [seen, part]
    if maps:  # of one size, so that condensing shows as coarser pixels
        box = fit(height, width, limit, least)
        views += _map_views(maps, window, field.at, box)
        boxes += [box] * (len(views) - 2)
    high, wide = max(height for height, _ in boxes), max(width for _, width in boxes)
    grid = Grid(wide, high, max(wide, round(_COLUMN_MIN * dpi)))
    panels = [
        Panel(
            view.label, view.title, view.size, view.paint(box), None, None, view.captions,
            has_bar=False, box=box,
        )
        for view, box in zip(views, boxes, strict=True)
    ]  # fmt: skip
    figure, axes = draw_rows(panels, grid, dpi)
    for view, box, drawn in zip(views, boxes, axes, strict=True):
        view.outline(drawn, box)
    _connect(figure, views, boxes, axes)
    return figure


# ------------------------------------------------------------------ what is looked at


def _of_extraction(
    operation: str,
    result: Extraction,
    image: Array,
    maps: dict[str, Array],
    at: Sequence[int] | None,
) -> tuple[ReceptiveField, ReceptiveField | None]:
    """Return what a pixel of the last map looks at: in the image, and in the map that is pooled."""
    last = list(maps)[-1]
    height, width = maps[last].shape
    if at is None:
        at = (height // 2, width // 2)
    pixel = tuple(at)
    if len(pixel) != 2 or not all(isinstance(o, int | np.integer) for o in pixel):
        raise ArgumentError(f"{operation}: at must be (y, x), got {at!r}")
    y, x = (int(o) for o in pixel)
    if not (0 <= y < height and 0 <= x < width):
        raise ArgumentError(
            f"{operation}: the map of {last!r} has {height} × {width} pixels, got at={(y, x)}"
        )
    spec = result.spec
    steps: list[Layer] = [Conv2D(1, spec.kernel_shape[:2], spec.conv_stride, spec.conv_padding)]
    if spec.pool is not None:
        steps.append(MaxPooling2D(spec.pool_size, spec.pool_stride, spec.pool_padding))
    shape = (1, *image.shape[:2], 1)
    graph = Graph.chain(steps)
    field = find_field(graph, len(steps) - 1, last, shape, (y, x))
    if spec.pool is None:
        return field, None
    filtered = tuple(size or 1 for size in graph.shapes(shape)[0])
    return field, find_field(Graph.chain(steps[1:]), 0, last, filtered, (y, x))


def _read_image(operation: str, image: ArrayLike) -> Array:
    values = np.asarray(image)
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"{operation}: image holds {values.dtype}; accepted are real numbers")
    if values.dtype == np.uint8:
        values = values / np.float32(255)
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim not in (2, 3) or not values.size:
        raise ShapeError(
            f"{operation}: image has shape {np.shape(image)}; accepted are (H, W), (H, W, C) and "
            "(1, H, W, C)"
        )
    return values if values.dtype.kind == "f" else values.astype(np.float32)


# ------------------------------------------------------------------ how it is shown


class _View(NamedTuple):
    """A part of an image or a map, which may reach beyond it, and boxes on it."""

    label: str
    title: str
    size: tuple[int, int]
    values: Array  # (H, W) or (H, W, 3 | 4), all of the image
    cmap: Colormap | None
    norm: Normalize | None
    region: Box
    solid: Box | None
    dashed: Box | None
    captions: tuple[str, ...]
    has_lines: bool = False  # between pixels

    def scale(self, box: tuple[int, int]) -> tuple[float, float]:
        """Return the pixels of the file for one of the image, down and across."""
        height, width = self.region.shape
        return box[0] / height, box[1] / width

    def paint(self, box: tuple[int, int]) -> Array:
        """Return the region as colours, uint8, with grey where there is no image."""
        down, across = self.scale(box)
        painted = np.full((*box, 3), _OUTSIDE, np.uint8)
        height, width = self.values.shape[:2]
        top, bottom = max(self.region.top, 0), min(self.region.bottom, height)
        left, right = max(self.region.left, 0), min(self.region.right, width)
        if top >= bottom or left >= right:
            return painted
        rows = slice(*(round((y - self.region.top) * down) for y in (top, bottom)))
        columns = slice(*(round((x - self.region.left) * across) for x in (left, right)))
        part = self.values[top:bottom, left:right]
        painted[rows, columns] = self._coloured(
            part, rows.stop - rows.start, columns.stop - columns.start
        )
        return painted

    def _coloured(self, part: Array, height: int, width: int) -> Array:
        signed = self.norm is not None and (self.norm.vmin or 0) < 0
        small = shrink_to(part, height, width, "extreme" if signed else "mean")
        if self.cmap is None or self.norm is None:
            rgb = np.nan_to_num(np.clip(small, 0, 1))
            if rgb.shape[2] == 4:  # on white paper
                rgb = rgb[..., :3] * rgb[..., 3:] + (1 - rgb[..., 3:])
            shown = np.rint(rgb * 255).astype(np.uint8)
        else:
            shown = self.cmap(self.norm(small), bytes=True)[..., :3]
        rows = np.arange(height) * shown.shape[0] // height
        columns = np.arange(width) * shown.shape[1] // width
        enlarged: Array = shown[rows[:, None], columns]
        return enlarged

    def corners(self, box: tuple[int, int], part: Box) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of a part, as the axes count."""
        down, across = self.scale(box)
        y0, y1 = ((y - self.region.top) * down for y in (part.top, part.bottom))
        x0, x1 = ((x - self.region.left) * across for x in (part.left, part.right))
        more_y, more_x = max(0.0, (_LEAST - y1 + y0) / 2), max(0.0, (_LEAST - x1 + x0) / 2)
        return x0 - more_x - 0.5, y0 - more_y - 0.5, x1 + more_x - 0.5, y1 + more_y - 0.5

    def outline(self, axes: Axes, box: tuple[int, int]) -> None:
        """Draw the boxes, and lines between pixels."""
        if self.has_lines:
            down, across = self.scale(box)
            for y in range(1, self.region.shape[0]):
                axes.axhline(y * down - 0.5, color=EDGE, linewidth=0.5, alpha=0.7)
            for x in range(1, self.region.shape[1]):
                axes.axvline(x * across - 0.5, color=EDGE, linewidth=0.5, alpha=0.7)
        for part, style in ((self.dashed, (0, (4, 2))), (self.solid, "solid")):
            if part is None:
                continue
            x0, y0, x1, y1 = self.corners(box, part)
            axes.add_patch(
                Rectangle(
                    (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=_LINE, linewidth=1.6,
                    linestyle=style, clip_on=style != "solid",
                    path_effects=[withStroke(linewidth=3.0, foreground=INK)],
                )
            )  # fmt: skip


def _image_views(image: Array, field: ReceptiveField) -> list[_View]:
    """Return the image with the boxes, and the part of it that the larger box holds."""
    height, width = image.shape[:2]
    whole = Box(0, height, 0, width)
    small = input_panel(image, Grid(min(width, 512), min(height, 512), 0))
    values = image if small.cmap is None or image.ndim == 2 else image.mean(2, dtype=image.dtype)
    reach = max(round(_MARGIN * max(height, width)), 8)
    shown = Box(
        *np.clip(field.unclipped[:2], -reach, height + reach).tolist(),
        *np.clip(field.unclipped[2:], -reach, width + reach).tolist(),
    )
    dashed = None if field.unclipped == field.box else field.unclipped
    if field.box is None:
        seen = "sees nothing of the image"
    else:
        top, bottom, left, right = field.box
        seen = f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"
    beyond = ("dashed: without borders",) if dashed is not None else ()
    pixel = f"pixel ({field.at[0]}, {field.at[1]})"
    fine = max(shown.shape) <= _GRID_MAX
    return [
        _View(
            "input", "Input", (height, width), values, small.cmap, small.norm,
            _around(whole, shown), field.box, dashed, (seen, *beyond, *small.captions),
        ),
        _View(
            "field", "Receptive field", field.unclipped.shape, values, small.cmap, small.norm,
            shown, field.box, dashed, (pixel, f"of {shortened(field.layer, _NAME_MAX)}"), fine,
        ),
    ]  # fmt: skip


def _around(whole: Box, part: Box) -> Box:
    """Return the image and what of the part lies outside, with room for a line."""
    room = max(round(0.03 * max(whole.shape)), 1)
    return Box(
        whole.top if part.top >= whole.top else part.top - room,
        whole.bottom if part.bottom <= whole.bottom else part.bottom + room,
        whole.left if part.left >= whole.left else part.left - room,
        whole.right if part.right <= whole.right else part.right + room,
    )


def _map_views(
    maps: dict[str, Array],
    window: ReceptiveField | None,
    at: tuple[int, int],
    box: tuple[int, int],
) -> list[_View]:
    """Return the maps of an extraction: the one that is pooled with the window, the last one."""
    last = list(maps)[-1]
    names = [name for name in ("detect", "filter") if name in maps and name != last][:1]
    pooled = [maps[name] for name in names] if window is not None else []
    signed = any((values < 0).any() for values in [*pooled, maps[last]])
    how: Reduction = "extreme" if signed else "mean"
    shown = [shrink_to(values, *box, how) for values in [*pooled, maps[last]]]
    norm = (signed_norm if signed else active_norm)(shown)
    cmap = colormap(SIGNED_MAP if signed else ACTIVE_MAP)
    pixel = Box(at[0], at[0] + 1, at[1], at[1] + 1)
    views = []
    for values, name in zip(pooled, names, strict=False):
        part = None if window is None else window.box
        caption = "window " + " × ".join(map(str, window.size)) if window else ""
        views.append(_map_view(name, values, cmap, norm, part, caption))
    views.append(_map_view(last, maps[last], cmap, norm, pixel, f"pixel ({at[0]}, {at[1]})"))
    return views


def _map_view(
    name: str, values: Array, cmap: Colormap, norm: Normalize, part: Box | None, caption: str
) -> _View:
    height, width = values.shape
    whole = Box(0, height, 0, width)
    return _View(
        name, name.capitalize(), (height, width), values, cmap, norm, whole, part, None, (caption,)
    )


def _connect(
    figure: Picture, views: list[_View], boxes: list[tuple[int, int]], axes: list[Axes]
) -> None:
    """Draw lines from the box on the image to what is magnified beside it."""
    image, magnified = views[:2]
    _, y0, x1, y1 = image.corners(boxes[0], magnified.region)
    height = boxes[1][0]
    for start, end in (((x1, y0), (-0.5, -0.5)), ((x1, y1), (-0.5, height - 0.5))):
        line = ConnectionPatch(
            start, end, "data", "data", axesA=axes[0], axesB=axes[1],
            color=INK, linewidth=0.7, path_effects=[withStroke(linewidth=1.6, foreground=PAPER)],
        )  # fmt: skip
        figure.add_artist(line)
