"""A shifted circle: whether it stays the same after some pools."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from attar import features
from attar.experiments.condensing import POOLS, condense, read_pools
from attar.experiments.results import Progress, Result, counted, whole_numbers
from attar.tables import table

if TYPE_CHECKING:
    from attar.figures import Picture
    from attar.figures.experiments import CircleMaps

__all__ = ["Circles", "DistinctMaps", "circle", "condensed_circles"]

Array = NDArray[Any]

_LESSON = 4  # the lesson's r_shrink


@dataclasses.dataclass(frozen=True)
class DistinctMaps:
    """How many different maps the shifts of one circle leave.

    Attributes
    ----------
    pool : str
    r_shrink, radius : int
        In pixels.
    distinct : tuple of int
        After each number of pools.
    change : tuple of float
        How far a shift moves the map, after each number of pools: the norm of the difference to
        the unshifted map over the norm of that, mean over all shifts but none.
    """

    pool: str
    r_shrink: int
    radius: int
    distinct: tuple[int, ...]
    change: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Circles(Result):
    """How many different maps are left of a shifted circle. See `circle`.

    Attributes
    ----------
    size : int
        Of the image, pixels a side.
    reach : int
        The largest shift, in pixels.
    shifts : int
        How many there are.
    times : tuple of int
        How many pools.
    counts : tuple of DistinctMaps
        One for each pool and radius.
    """

    name: ClassVar[str] = "circle"

    size: int
    reach: int
    shifts: int
    times: tuple[int, ...]
    counts: tuple[DistinctMaps, ...]

    @property
    def chance(self) -> str:
        """Nothing is random."""
        return f"nothing is random: all {self.shifts} shifts are tried"

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that are compared."""
        return tuple(dict.fromkeys(one.pool for one in self.counts))

    def of(self, r_shrink: int, pool: str = "max") -> DistinctMaps:
        """Return the numbers of one circle."""
        return next(one for one in self.counts if (one.pool, one.r_shrink) == (pool, r_shrink))

    def table(self) -> str:
        """Return the numbers of different maps, and how far they moved, a row for each circle."""
        after = [f"{count}×" for count in self.times]
        head = ("r_shrink", "radius", *after, *(f"moved {count}" for count in after))
        parts = []
        for pool in self.pools:
            rows = [
                (
                    f"{one.r_shrink}",
                    f"{one.radius}",
                    *map(str, one.distinct),
                    *(f"{part:.0%}".replace("%", " %") for part in one.change),
                    "the lesson's" if one.r_shrink == _LESSON and self.size == 64 else "",
                )
                for one in self.counts
                if one.pool == pool
            ]
            title = f"Different maps of a circle at {self.shifts} places, after {POOLS[pool][0]}"
            parts.append(f"{title}\n{table((*head, ''), rows, right=range(len(head)))}")
        return "\n\n".join(parts)

    def figure(self) -> Picture:
        """Draw the numbers against the radius, and the maps of two circles."""
        from attar.figures import experiments

        return experiments.circle(self, [self._example(r_shrink) for r_shrink in self._shown()])

    def _shown(self) -> list[int]:
        """Return the lesson's circle, and the one that leaves the most maps in the end."""
        of_first = [one for one in self.counts if one.pool == self.pools[0]]
        worst = max(of_first, key=lambda one: (one.distinct[-1], one.change[-1])).r_shrink
        lesson = [one.r_shrink for one in of_first if one.r_shrink == _LESSON]
        return list(dict.fromkeys([*lesson, worst]))

    def _example(self, r_shrink: int) -> CircleMaps:
        from attar.figures.experiments import CircleMaps

        pool, times = self.pools[0], self.times[-1]
        maps = condensed_circles(r_shrink, self.size, self.reach, pool, times)
        different = np.unique(maps, axis=0)[::-1]
        image = features.circle(self.size, r_shrink=r_shrink)
        many = f"{len(different)} map" + "s" * (len(different) > 1)
        return CircleMaps(f"r_shrink {r_shrink}: {many}", image, different)


def circle(
    r_shrinks: Iterable[int] = tuple(range(3, 29)),
    *,
    size: int = 64,
    reach: int = 3,
    times: Iterable[int] = (1, 2, 3, 4),
    pools: Iterable[str] = ("max", "average"),
    progress: Progress | None = None,
) -> Circles:
    """Count the different maps that all shifts of a circle leave after some pools.

    The lesson shifts a circle at random by up to 3 pixels, condenses it four times, and finds
    always the same map. Here every shift is tried, and circles of other sizes as well. Two maps are
    the same if every value is.

    Parameters
    ----------
    r_shrinks : iterable of int
        How much smaller the radius is than half of the image; the lesson's circle has 4.
        `features.circle` says how it is drawn.
    size : int, default 64
        Pixels a side.
    reach : int, default 3
        The largest shift; there are ``(2 * reach + 1) ** 2``. What comes in at the border
        repeats it.
    times : iterable of int
        How many pools, each at least 1.
    pools : iterable of str
        As of `two_dots`.
    progress : callable, optional
        Called with the number of circles done, and of all.

    Returns
    -------
    Circles

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> result = circle([4, 8])
    >>> result.of(4).distinct, result.of(8).distinct
    ((49, 49, 45, 1), (49, 49, 49, 25))
    """
    r_shrinks = whole_numbers("circle", "r_shrinks", r_shrinks)
    times = whole_numbers("circle", "times", times, least=1)
    pools = read_pools("circle", pools)
    whole_numbers("circle", "size", (size,), least=1)
    whole_numbers("circle", "reach", (reach,))
    cases = [(pool, r_shrink) for pool in pools for r_shrink in r_shrinks]
    counts = []
    for pool, r_shrink in counted(cases, len(cases), progress):
        maps = [condensed_circles(r_shrink, size, reach, pool, count) for count in times]
        distinct = tuple(len({one.tobytes() for one in some}) for some in maps)
        change = tuple(map(_change, maps))
        counts.append(DistinctMaps(pool, r_shrink, size // 2 - r_shrink, distinct, change))
    return Circles(size, reach, (2 * reach + 1) ** 2, times, tuple(counts))


def _change(maps: Array) -> float:
    """Return how far the maps of all shifts are from that of none, which is in the middle."""
    still = maps[len(maps) // 2]
    moved = np.linalg.norm(maps - still, axis=(1, 2)) / np.linalg.norm(still)
    return float(moved.sum() / max(len(maps) - 1, 1))


def condensed_circles(r_shrink: int, size: int, reach: int, pool: str, times: int) -> Array:
    """Return the map of every shift, (shifts, h, w).

    Examples
    --------
    >>> condensed_circles(4, 64, 3, "max", 4).shape
    (49, 4, 4)
    """
    image = features.circle(size, r_shrink=r_shrink)
    offsets = range(-reach, reach + 1)
    shifted = [
        features.shift(image, dy, dx, mode="replicate")
        for dy, dx in itertools.product(offsets, offsets)
    ]
    return condense(np.stack(shifted)[..., None], pool, times)[..., 0]
