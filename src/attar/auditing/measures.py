"""The measures that there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attar.auditing.cost import Cost, CostSection
from attar.auditing.lost import Lost, LostSection
from attar.auditing.measure import Measure, Section
from attar.auditing.position import Position, PositionSection
from attar.auditing.shift import Shift
from attar.auditing.shift_section import ShiftSection
from attar.auditing.shifts import MODES
from attar.auditing.space import Space, SpaceSection
from attar.errors import ArgumentError, DTypeError

__all__ = ["NAMES", "SECTIONS", "measures_of", "spoken_of"]

SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        "shift": ShiftSection,
        "lost": LostSection,
        "space": SpaceSection,
        "position": PositionSection,
        "cost": CostSection,
    }
)
"""What each of them finds."""

NAMES = tuple(SECTIONS)


def measures_of(
    asked: Iterable[str | Measure], *, shifts: Sequence[str] | None, seed: int
) -> tuple[Measure, ...]:
    """Return the measures that were asked for, in the order of `NAMES`.

    Parameters
    ----------
    asked : iterable of str or Measure
        Names, or measures with settings of their own.
    shifts : sequence of str, optional
        The modes of "shift".
    seed : int
        Of the measures that are named.

    Raises
    ------
    ArgumentError (a ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> [measure.name for measure in measures_of(["shift"], shifts=["crop"], seed=0)]
    ['shift']
    """
    given = [asked] if isinstance(asked, str) else list(asked)
    modes = (shifts,) if isinstance(shifts, str) else MODES if shifts is None else tuple(shifts)
    makers: dict[str, Callable[[], Measure]] = {
        "shift": lambda: Shift(seed=seed, modes=modes),
        "lost": Lost,
        "space": lambda: Space(seed=seed),
        "position": lambda: Position(seed=seed),
        "cost": Cost,
    }
    found: dict[str, Measure] = {}
    for one in given:
        if isinstance(one, str) and one not in makers:
            raise ArgumentError(f"audit: measures are {', '.join(NAMES)}, got {one!r}")
        if not isinstance(one, str) and getattr(one, "name", None) not in NAMES:
            raise DTypeError(f"audit: measures must be names or measures of attar, got {one!r}")
        measure = makers[one]() if isinstance(one, str) else one
        if measure.name in found:
            raise ArgumentError(f"audit: measures has {measure.name!r} twice")
        found[measure.name] = measure
    if not found:
        raise ArgumentError(f"audit: measures is empty; accepted are {', '.join(NAMES)}")
    return tuple(found[name] for name in NAMES if name in found)


def spoken_of(sections: Mapping[str, Any]) -> list[int]:
    """Return the images that the page shows, by their number among those seen."""
    shift = sections.get("shift")
    if not isinstance(shift, ShiftSection):
        return []
    return sorted({one.index for mode in shift.modes for one in mode.fragile})
