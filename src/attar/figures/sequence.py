"""An extraction as a picture: Input, Filter, Detect, Condense."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError
from attar.extraction import Extraction
from attar.figures.panels import Grid, Panel, draw_rows, grid_of, input_panel
from attar.figures.picture import DPI, Picture, check_index
from attar.figures.scales import (
    ACTIVE_MAP,
    SIGNED_MAP,
    active_norm,
    colormap,
    percent,
    signed_norm,
)
from attar.shrink import shrink_to

__all__ = ["stages"]

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
    grid = grid_of(image.shape[0], image.shape[1], dpi)
    figure, _ = draw_rows(_panels(extraction, image, maps, channel, grid), grid, dpi)
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
        name: _pick_map(operation, values, extraction.image.ndim, index, channel)
        for name, values in found.items()
        if values is not None
    }


def _pick_map(operation: str, values: Array, image_rank: int, index: int, channel: int) -> Array:
    one = values[index] if image_rank == 4 else values
    filters = one.shape[2] if one.ndim == 3 else 1
    check_index(operation, "channel", channel, filters)
    return one[:, :, channel] if one.ndim == 3 else one


def _panels(
    extraction: Extraction,
    image: Array,
    maps: dict[str, Array],
    channel: int,
    grid: Grid,
) -> list[Panel]:
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

    panels = [input_panel(image, grid)]
    for name, values in shown.items():
        diverging = name == "filter" or signed
        panels.append(
            Panel(
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
