"""An extraction as a picture: Input, Filter, Detect, Condense."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError
from attar.extraction import Extraction
from attar.figures.panels import (
    Panel,
    draw_rows,
    drawn_pixels,
    grid_of,
    input_panel,
    reduced_input_panel,
)
from attar.figures.picture import DPI, Picture, check_index
from attar.figures.scales import (
    ACTIVE_MAP,
    SIGNED_MAP,
    active_norm,
    colormap,
    percent,
    signed_norm,
)
from attar.shrink import Reduction, Shrinking, shrink_to
from attar.spec import ExtractionSpec

__all__ = ["StagesByRows", "stages"]

Array = NDArray[Any]


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
    image = pick_image("figures.stages", extraction, index)
    maps = pick_maps("figures.stages", extraction, index, channel)
    if not all(values.size for values in (image, *maps.values())):
        raise ArgumentError(f"figures.stages: nothing to draw, a map has no pixels: {extraction!r}")
    spec = extraction.spec
    grid = grid_of(image.shape[0], image.shape[1], dpi)
    found = {
        name: _Reduced(
            values.shape,
            shrink_to(values, grid.height, grid.width, _REDUCTIONS[name]),
            int(np.count_nonzero(values)) if _has_dead_space(name, spec) else 0,
        )
        for name, values in maps.items()
    }
    panels = [input_panel(image, grid), *_panels(spec, found, channel)]
    figure, _ = draw_rows(panels, grid, dpi)
    return figure


class StagesByRows:
    """`stages` of an extraction whose maps come some rows at a time: the same picture.

    Only what the panels show is kept.

    Parameters
    ----------
    spec : ExtractionSpec
    shapes : dict of str to tuple of int
        Of the maps ``"image"``, ``"filter"``, ``"detect"`` and ``"condense"``, without a batch:
        (H, W) or (H, W, K).
    channel, dpi
        As of `stages`.

    Examples
    --------
    >>> import attar
    >>> found = attar.extract(np.eye(4, dtype="float32"), [[1.0]])
    >>> maps = {"image": found.image, "filter": found.filter, "detect": found.detect,
    ...     "condense": found.condense}
    >>> by_rows = StagesByRows(found.spec, {name: map.shape for name, map in maps.items()})
    >>> for name, map in maps.items():
    ...     by_rows.add(name, map[:1])
    ...     by_rows.add(name, map[1:])
    >>> from attar.figures.picture import pixels
    >>> bool((pixels(by_rows.figure()) == pixels(found.figure())).all())
    True
    """

    def __init__(
        self,
        spec: ExtractionSpec,
        shapes: Mapping[Any, tuple[int, ...]],
        *,
        channel: int = 0,
        dpi: float = DPI,
    ) -> None:
        self._spec, self._channel, self._dpi = spec, channel, dpi
        self._image_shape = shapes["image"]
        self._grid = grid_of(self._image_shape[0], self._image_shape[1], dpi)
        box = self._grid.height, self._grid.width
        self._image = Shrinking(self._image_shape, *box, "mean")
        self._names = {stage: name for name, stage in _shown(spec).items()}
        self._shapes = {name: shapes[stage][:2] for stage, name in self._names.items()}
        self._maps = {
            name: Shrinking(shape, *box, _REDUCTIONS[name]) for name, shape in self._shapes.items()
        }
        self._active = dict.fromkeys(self._maps, 0)

    def add(self, stage: str, rows: Array) -> None:
        """Take the next rows of a map, (h, W) or (h, W, K)."""
        if stage == "image":
            self._image.add(drawn_pixels(rows))
            return
        name = self._names.get(stage)
        if name is None:
            return
        values = rows[:, :, self._channel] if rows.ndim == 3 else rows
        self._maps[name].add(values)
        if _has_dead_space(name, self._spec):
            self._active[name] += int(np.count_nonzero(values))

    def figure(self) -> Picture:
        """Draw the picture, once all rows were taken."""
        found = {
            name: _Reduced(self._shapes[name], shrinking.result(), self._active[name])
            for name, shrinking in self._maps.items()
        }
        first = reduced_input_panel(self._image_shape, self._image.result())
        panels = [first, *_panels(self._spec, found, self._channel)]
        figure, _ = draw_rows(panels, self._grid, self._dpi)
        return figure


def pick_image(operation: str, extraction: Extraction, index: int) -> Array:
    """Return image `index` as (H, W) or (H, W, C)."""
    image = extraction.image
    if image.ndim == 4:
        check_index(operation, "index", index, image.shape[0])
        one: Array = image[index]
        return one
    check_index(operation, "index", index, 1)
    return image


def pick_maps(operation: str, extraction: Extraction, index: int, channel: int) -> dict[str, Array]:
    """Return the maps to show, each (H', W'): those kept, of the steps that were done."""
    found = {
        "filter": extraction.filter,
        "detect": extraction.detect,
        "condense": extraction.condense,
    }
    return {
        name: _pick_map(operation, values, extraction.image.ndim, index, channel)
        for name, stage in _shown(extraction.spec).items()
        if (values := found[stage]) is not None
    }


def _shown(spec: ExtractionSpec) -> dict[str, str]:
    """Return the panels behind that of the image, and which map each shows."""
    names = {"filter": "filter"}
    if spec.activation is not None:
        names["detect"] = "detect"
    if spec.pool is not None:
        names["condense"] = "condense"
    last = list(names)[-1]
    # Where a map is that of the step before, only the condensed map is sure to be kept.
    return names | {last: "condense"}


def _pick_map(operation: str, values: Array, image_rank: int, index: int, channel: int) -> Array:
    one = values[index] if image_rank == 4 else values
    filters = one.shape[2] if one.ndim == 3 else 1
    check_index(operation, "channel", channel, filters)
    return one[:, :, channel] if one.ndim == 3 else one


class _Reduced(NamedTuple):
    """What is shown of a map (H, W)."""

    shape: tuple[int, ...]  # of the map itself
    values: Array  # reduced
    active: int  # how many of the map's values are not 0


# A map is reduced by its mean, but for the signed one.
_REDUCTIONS: dict[str, Reduction] = {"filter": "extreme", "detect": "mean", "condense": "mean"}


def _has_dead_space(name: str, spec: ExtractionSpec) -> bool:
    return name != "filter" and spec.activation is not None


def _panels(spec: ExtractionSpec, maps: dict[str, _Reduced], channel: int) -> list[Panel]:
    signed = spec.activation is None
    features = [one.values for name, one in maps.items() if name != "filter"]
    norm = signed_norm(features) if signed else active_norm(features)
    several = spec.kernel_shape[3] if len(spec.kernel_shape) == 4 else 1
    captions = _captions(spec, maps)
    if several > 1:
        which = f"channel {channel % several} of 0 … {several - 1}"
        first = next(iter(captions))
        captions[first] = (*captions[first], which)

    return [
        Panel(
            label=name,
            title=name.capitalize(),
            size=(one.shape[0], one.shape[1]),
            values=one.values,
            cmap=colormap(SIGNED_MAP if name == "filter" or signed else ACTIVE_MAP),
            norm=signed_norm([one.values]) if name == "filter" else norm,
            captions=captions[name],
        )
        for name, one in maps.items()
    ]


def _captions(spec: ExtractionSpec, maps: dict[str, _Reduced]) -> dict[str, tuple[str, ...]]:
    """Return what stands under each map, about the very map that is shown."""
    height, width = spec.kernel_shape[:2]
    captions: dict[str, tuple[str, ...]] = dict.fromkeys(maps, ())
    if "filter" in maps:
        captions["filter"] = (f"{spec.kernel or 'kernel'} {height} × {width}",)
    if spec.activation is None:
        return captions  # A signed map has no dead space to speak of.
    active = {
        name: one.active / math.prod(one.shape) for name, one in maps.items() if name != "filter"
    }
    for name, fraction in active.items():
        captions[name] = (f"dead space {percent(1 - fraction)}",)
    if "condense" in active and active.get("detect"):
        ratio = active["condense"] / active["detect"]
        captions["condense"] += (f"intensification {ratio:.2f}×",)
    return captions
