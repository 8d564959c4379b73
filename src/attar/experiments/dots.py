"""Two dots: at which distance they become one, wherever they lie."""

from __future__ import annotations

import dataclasses
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

__all__ = ["ONE_PEAK", "SAME", "TWO_PEAKS", "DotMap", "TwoDots", "two_dots"]

Array = NDArray[Any]

SAME, ONE_PEAK, TWO_PEAKS = 0, 1, 2
"""What is left of two dots: what one of them alone leaves, up to a factor; one peak; both."""

_MARGIN = 4  # condensed pixels around the dots, so that no blur reaches the border


@dataclasses.dataclass(frozen=True)
class DotMap:
    """What is left of two dots after some pools, for every distance and alignment.

    Attributes
    ----------
    pool : str
    times : int
        How many pools.
    left : tuple of tuple of int
        ``left[distance - 1][alignment]`` is `SAME`, `ONE_PEAK` or `TWO_PEAKS`. The alignment is the
        first dot's column, modulo ``2 ** times``: after that, everything repeats.
    """

    pool: str
    times: int
    left: tuple[tuple[int, ...], ...]

    def always(self, least: int) -> int:
        """Return up to which distance every alignment leaves at most `least`; 0 if there is none.

        Examples
        --------
        >>> DotMap("max", 1, ((0, 1), (1, 1), (1, 2))).always(ONE_PEAK)
        2
        """
        merged = [max(row) <= least for row in self.left]
        return merged.index(False) if False in merged else len(merged)

    def ever(self, least: int) -> int:
        """Return the largest distance at which some alignment leaves at most `least`, or 0.

        Examples
        --------
        >>> DotMap("max", 1, ((0, 1), (1, 1), (1, 2))).ever(SAME)
        1
        """
        return max((d for d, row in enumerate(self.left, 1) if min(row) <= least), default=0)


@dataclasses.dataclass(frozen=True)
class TwoDots(Result):
    """When two dots become one. See `two_dots`.

    Attributes
    ----------
    pools : tuple of str
    times : tuple of int
    maps : tuple of DotMap
        One for each pool and number of pools.
    """

    name: ClassVar[str] = "two-dots"

    pools: tuple[str, ...]
    times: tuple[int, ...]
    maps: tuple[DotMap, ...]

    @property
    def chance(self) -> str:
        """Nothing is random."""
        return "nothing is random: every distance and alignment is tried"

    def map(self, pool: str, times: int) -> DotMap:
        """Return the map after this pool, so many times."""
        return next(one for one in self.maps if (one.pool, one.times) == (pool, times))

    def table(self) -> str:
        """Return up to which distance dots become one, always and for some alignment."""
        head = ("pool", "times", "like one dot: always", "at times", "one peak: always", "at times")

        def up_to(distance: int) -> str:
            return f"≤ {distance}" if distance else "never"

        rows = [
            (
                POOLS[one.pool][0],
                str(one.times),
                *(
                    up_to(reach(least))
                    for least in (SAME, ONE_PEAK)
                    for reach in (one.always, one.ever)
                ),
            )
            for one in self.maps
        ]
        return "Two dots become one at a distance of so many pixels\n" + table(
            head, rows, right=range(1, 6)
        )

    def figure(self) -> Picture:
        """Draw what is left for every distance and alignment."""
        from attar.figures import experiments

        return experiments.two_dots(self)


def two_dots(
    pools: Iterable[str] = ("max", "average", "blur", "max_blur"),
    times: Iterable[int] = (1, 2, 3, 4),
    *,
    progress: Progress | None = None,
) -> TwoDots:
    """Find the distances at which pooling makes two dots one, for every alignment.

    Two dots in one row are drawn at every distance up to three condensed pixels, and at every
    place relative to the windows, and condensed. Then it is seen whether the map is the one that a
    single dot leaves, up to a factor: the two cannot be told from one. If not, whether it
    has one peak or two, where neighbours of one value are one peak.

    Which row the dots are in makes no difference: the maps of these pools, on these images, are a
    profile of the rows times a profile of the columns.

    Parameters
    ----------
    pools : iterable of str
        ``"max"``, ``"average"``: windows of 2 × 2. ``"blur"``: a [1 2 1] filter, then every
        second value. ``"max_blur"``: that after a maximum of 2 × 2, the repair that R. Zhang
        proposed in 2019 for networks with max pools. ``"stride"``: every second value.
    times : iterable of int
        How many pools, each at least 1.
    progress : callable, optional
        Called with the number of maps done, and of all.

    Returns
    -------
    TwoDots

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> result = two_dots(["max"], [1, 2])
    >>> result.map("max", 2).left[3]
    (1, 1, 1, 1)
    >>> print(result.table())
    Two dots become one at a distance of so many pixels
    pool      times  like one dot: always  at times  one peak: always  at times
    ───────────────────────────────────────────────────────────────────────────
    max pool      1                 never       ≤ 1               ≤ 2       ≤ 3
    max pool      2                 never       ≤ 3               ≤ 4       ≤ 7
    """
    pools = read_pools("two_dots", pools)
    times = whole_numbers("two_dots", "times", times, least=1)
    cases = [(pool, count) for pool in pools for count in times]
    maps = tuple(_map(*case) for case in counted(cases, len(cases), progress))
    return TwoDots(pools, times, maps)


def _map(pool: str, times: int) -> DotMap:
    period = 2**times
    size = ((2 * _MARGIN) * period, (2 * _MARGIN + 4) * period)
    row = _MARGIN * period
    columns = [row + alignment for alignment in range(period)]

    def profiles(distance: int) -> Array:
        """Return the brightest of each column of the condensed maps, for every alignment."""
        images = [features.two_dots(size, distance, at=(row, column)) for column in columns]
        brightest: Array = condense(np.stack(images)[..., None], pool, times).max(axis=(1, 3))
        return brightest

    alone = profiles(0)
    left = [
        tuple(_left(*pair) for pair in zip(profiles(distance), alone, strict=True))
        for distance in range(1, 3 * period + 1)
    ]
    return DotMap(pool, times, tuple(left))


def _left(both: Array, alone: Array) -> int:
    """Compare the profile of two dots with that of the first alone.

    Examples
    --------
    >>> _left(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))
    1
    """
    if alone.any() and np.allclose(both / both.max(), alone / alone.max(), atol=1e-6, rtol=0):
        return SAME
    # Values are sums of a few powers of 2, and exact in float32: equal neighbours are equal. The
    # margins are 0, so a peak is where values rise and then fall.
    runs = both[np.flatnonzero(np.diff(both, prepend=np.nan))]
    higher = np.diff(runs)
    peaks = int(np.count_nonzero((higher[:-1] > 0) & (higher[1:] < 0)))
    return ONE_PEAK if peaks == 1 else TWO_PEAKS
