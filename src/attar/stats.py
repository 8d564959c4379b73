"""The numbers of an extraction: measured, as JSON, and as a table."""

import dataclasses
import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.on_disk import let_go

__all__ = ["ExtractionStats", "MapStats", "measure", "measure_map", "table_rows"]

Array: TypeAlias = NDArray[Any]

_PART_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class MapStats:
    """The numbers of one map, over all of its images and filters.

    Attributes
    ----------
    size : tuple of int
        ``(height, width)`` in pixels.
    minimum, maximum : float or None
        The extreme values, NaN left out. None when nothing is left.
    dead_space : float or None
        The fraction that is exactly 0, in [0, 1]. None for an empty map.
    active_fraction : float or None
        ``1 - dead_space``. A NaN counts as active: it is not 0.

    Examples
    --------
    >>> measure_map(np.eye(4))
    MapStats(size=(4, 4), minimum=0.0, maximum=1.0, dead_space=0.75, active_fraction=0.25)
    """

    size: tuple[int, int]
    minimum: float | None
    maximum: float | None
    dead_space: float | None
    active_fraction: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ExtractionStats:
    """The numbers of an extraction. What was not computed is None.

    Attributes
    ----------
    image, filter, detect, condense : MapStats or None
        One per stage. `filter` and `detect` are None where ``stages=False`` skipped them.
    intensification : float or None
        Active fraction of `condense` over active fraction of `detect`: 4 means that a pixel
        of the condensed map is four times as likely to hold a feature. None when nothing is
        active, or when `detect` is None.

    Examples
    --------
    >>> stats = measure(np.eye(4), None, np.eye(4), np.eye(2))
    >>> stats.detect.dead_space, stats.condense.dead_space, stats.intensification
    (0.75, 0.5, 2.0)
    """

    image: MapStats
    filter: MapStats | None
    detect: MapStats | None
    condense: MapStats
    intensification: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as nested dicts of plain values that strict JSON takes.

        JSON has no infinity, so infinite values are the strings ``"inf"`` and ``"-inf"``,
        which `float` reads back.

        Examples
        --------
        >>> stats = measure(np.array([[0, np.inf]]), None, None, np.eye(2))
        >>> stats.as_dict()["image"]["maximum"]
        'inf'
        """
        return {key: _finite(value) for key, value in dataclasses.asdict(self).items()}


def measure(
    image: Array,
    filtered: Array | None,
    detected: Array | None,
    condensed: Array,
    *,
    with_image: bool = True,
) -> ExtractionStats:
    """Measure the maps of one extraction.

    Parameters
    ----------
    image : ndarray, (H, W), (H, W, C) or (N, H, W, C)
    filtered, detected, condensed : ndarray, or None where a map was not kept
        With the batch axis in front where the image has one.
    with_image : bool
        False leaves the numbers of the image out, but for its size.

    Examples
    --------
    >>> detected = np.eye(4)
    >>> measure(detected, None, detected, np.eye(2)).intensification
    2.0
    """
    batched = len(image.shape) == 4
    # One computation where a step was left out and two stages are the same array.
    known: dict[int, MapStats] = {}

    def once(values: Array) -> MapStats:
        return known.setdefault(id(values), measure_map(values, batched=batched))

    before = None if detected is None else once(detected)
    after = once(condensed)
    return ExtractionStats(
        image=once(image) if with_image else unmeasured(image, batched=batched),
        filter=None if filtered is None else once(filtered),
        detect=before,
        condense=after,
        intensification=_intensification(before, after),
    )


def measure_map(values: Array, *, batched: bool = False) -> MapStats:
    """Measure one map: ``(H, W)`` or ``(H, W, K)``, with the batch in front if `batched`.

    Examples
    --------
    >>> measure_map(np.eye(2))
    MapStats(size=(2, 2), minimum=0.0, maximum=1.0, dead_space=0.5, active_fraction=0.5)
    """
    size = _size(values, batched)
    if 0 in values.shape:
        return MapStats(size, None, None, None, None)
    lowest = highest = math.nan
    active = 0
    # In parts: of a map on disk, no more than one of them is in memory.
    count = max(1, _PART_BYTES // (values.nbytes // values.shape[0]))
    for begin in range(0, values.shape[0], count):
        part = np.asarray(values[begin : begin + count])
        # fmin and fmax step over NaN, and unlike nanmin they neither copy nor warn.
        lowest = float(np.fmin(lowest, np.fmin.reduce(part, None)))
        highest = float(np.fmax(highest, np.fmax.reduce(part, None)))
        active += int(np.count_nonzero(part))
        let_go(values)
    total = math.prod(values.shape)
    return MapStats(
        size=size,
        minimum=None if math.isnan(lowest) else lowest,
        maximum=None if math.isnan(highest) else highest,
        dead_space=(total - active) / total,
        active_fraction=active / total,
    )


def unmeasured(values: Array, *, batched: bool = False) -> MapStats:
    """Return the size of a map alone."""
    return MapStats(_size(values, batched), None, None, None, None)


def _size(values: Array, batched: bool) -> tuple[int, int]:
    height, width = values.shape[1:3] if batched else values.shape[:2]
    return height, width


def _intensification(before: MapStats | None, after: MapStats) -> float | None:
    if before is None or not before.active_fraction or after.active_fraction is None:
        return None
    return after.active_fraction / before.active_fraction


def _finite(value: Any) -> Any:
    """Return `value` with every infinity in it as text."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def table_rows(stats: ExtractionStats) -> list[tuple[str, str, str, str]]:
    """Return the table that a notebook shows, in rows of stage, size, range, dead space."""
    stages = (
        ("image", stats.image),
        ("filter", stats.filter),
        ("detect", stats.detect),
        ("condense", stats.condense),
    )
    rows = []
    for name, one in stages:
        if one is None:
            continue
        span = "" if one.minimum is None else f"{one.minimum:.3g} … {one.maximum:.3g}"
        # The dead space of an image or of a signed map says nothing about features.
        empty = name in ("image", "filter") or one.dead_space is None
        dead = "" if empty else f"{one.dead_space:.1%}"
        rows.append((name, f"{one.size[0]} × {one.size[1]}", span, dead))
    if stats.intensification is not None:
        rows.append(("intensification", f"{stats.intensification:.2f}×", "", ""))
    return rows
