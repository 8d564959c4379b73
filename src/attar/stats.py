"""The numbers of an extraction: measured, as JSON, and as a table."""

import dataclasses
import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ExtractionStats",
    "MapStats",
    "Tally",
    "measure",
    "measure_map",
    "stats_of",
    "table_rows",
]

Array: TypeAlias = NDArray[Any]


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
    image: Array, filtered: Array | None, detected: Array | None, condensed: Array
) -> ExtractionStats:
    """Measure the maps of one extraction.

    Parameters
    ----------
    image : ndarray, (H, W), (H, W, C) or (N, H, W, C)
    filtered, detected, condensed : ndarray, or None where a map was not kept
        With the batch axis in front where the image has one.

    Examples
    --------
    >>> detected = np.eye(4)
    >>> measure(detected, None, detected, np.eye(2)).intensification
    2.0
    """
    batched = image.ndim == 4
    # One computation where a step was left out and two stages are the same array.
    known: dict[int, MapStats] = {}

    def once(values: Array) -> MapStats:
        return known.setdefault(id(values), measure_map(values, batched=batched))

    return stats_of(
        once(image),
        None if filtered is None else once(filtered),
        None if detected is None else once(detected),
        once(condensed),
    )


def stats_of(
    image: MapStats, filtered: MapStats | None, detected: MapStats | None, condensed: MapStats
) -> ExtractionStats:
    """Return the numbers of an extraction whose maps have been measured."""
    gain = _intensification(detected, condensed)
    return ExtractionStats(image, filtered, detected, condensed, gain)


def measure_map(values: Array, *, batched: bool = False) -> MapStats:
    """Measure one map: ``(H, W)`` or ``(H, W, K)``, with the batch in front if `batched`.

    Examples
    --------
    >>> measure_map(np.eye(2))
    MapStats(size=(2, 2), minimum=0.0, maximum=1.0, dead_space=0.5, active_fraction=0.5)
    """
    tally = Tally(values.shape, batched=batched)
    tally.add(values)
    return tally.result()


class Tally:
    """The numbers of a map whose rows come some at a time.

    Parameters
    ----------
    shape : tuple of int
        Of the whole map, as for `measure_map`.
    batched : bool

    Examples
    --------
    >>> tally = Tally((2, 2))
    >>> tally.add(np.array([[1.0, 0.0]]))
    >>> tally.add(np.array([[0.0, 3.0]]))
    >>> tally.result() == measure_map(np.diag([1.0, 3.0]))
    True
    """

    def __init__(self, shape: tuple[int, ...], *, batched: bool = False) -> None:
        self._shape = shape
        self._batched = batched
        self._lowest = self._highest = math.nan
        self._active = 0

    def add(self, values: Array) -> None:
        """Count some of the values."""
        if not values.size:
            return
        # fmin and fmax step over NaN, and unlike nanmin they neither copy nor warn.
        self._lowest = float(np.fmin(self._lowest, np.fmin.reduce(values, None)))
        self._highest = float(np.fmax(self._highest, np.fmax.reduce(values, None)))
        self._active += int(np.count_nonzero(values))

    def result(self) -> MapStats:
        """Return the numbers, once everything is counted."""
        height, width = self._shape[1:3] if self._batched else self._shape[:2]
        total = math.prod(self._shape)
        if not total:
            return MapStats((height, width), None, None, None, None)
        return MapStats(
            size=(height, width),
            minimum=None if math.isnan(self._lowest) else self._lowest,
            maximum=None if math.isnan(self._highest) else self._highest,
            dead_space=(total - self._active) / total,
            active_fraction=self._active / total,
        )


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
