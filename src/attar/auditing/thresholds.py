"""Limits for the numbers of an audit: what makes it a check that passes or fails."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from attar.errors import ArgumentError

__all__ = ["Check", "checked", "limits"]


@dataclass(frozen=True)
class Check:
    """A limit for a number of an audit.

    Attributes
    ----------
    name : str
        Of the number, one of `AuditReport.numbers`.
    side : {"under", "over"}
        It fails where the number is under, or over, the limit. On the limit it passes.
    limit : float
    value : float or None
        The number; None where it is not known. Then the check fails: what was not measured was
        not kept.

    Examples
    --------
    >>> print(Check("consistency", "under", 0.9, 0.87))
    consistency is 0.87, under 0.9
    >>> Check("consistency", "under", 0.9, 0.9).passed
    True
    """

    name: str
    side: Literal["under", "over"]
    limit: float
    value: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        if self.value is None or math.isnan(self.value):
            return False
        return self.value >= self.limit if self.side == "under" else self.value <= self.limit

    def __str__(self) -> str:
        value = "not known" if self.value is None else f"{self.value:.6g}"
        kept = "not " if self.passed else ""
        return f"{self.name} is {value}, {kept}{self.side} {self.limit:g}"

    @property
    def short(self) -> str:
        """The limit, and whether it is kept."""
        sign = "≥" if self.side == "under" else "≤"
        return f"{sign} {self.limit:g} {'kept' if self.passed else 'NOT kept'}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` was made from."""
        return cls(**{name: value for name, value in values.items() if name != "passed"})


def limits(under: Iterable[str], over: Iterable[str], known: Iterable[str]) -> tuple[Check, ...]:
    """Parse ``name=number``.

    Parameters
    ----------
    under, over : iterable of str
        What must not be under its number, and what must not be over it.
    known : iterable of str
        The names that there are.

    Raises
    ------
    ArgumentError (a ValueError)

    Examples
    --------
    >>> limits(["consistency=0.9"], [], ["consistency", "dead"])
    (Check(name='consistency', side='under', limit=0.9, value=None),)
    >>> limits([], ["ded=0.05"], ["consistency", "dead"])
    Traceback (most recent call last):
    attar.errors.ArgumentError: --fail-over is 'ded=0.05'; accepted are consistency, dead, each with
    =NUMBER
    """
    names = tuple(known)
    found = []
    for side, texts in (("under", under), ("over", over)):
        for text in texts:
            match = re.fullmatch(r"\s*([\w-]+)\s*=\s*([-+.\de]+)\s*(%?)\s*", text)
            name = match[1].replace("-", "_") if match else ""
            try:
                limit = float(match[2]) / (100 if match[3] else 1) if match else math.nan
            except ValueError:
                limit = math.nan
            if name not in names or not math.isfinite(limit):
                raise ArgumentError(
                    f"--fail-{side} is {text!r}; accepted are {', '.join(names)}, each with =NUMBER"
                )
            found.append(Check(name, side, limit))  # type: ignore[arg-type]
    return tuple(found)


def checked(checks: Iterable[Check], numbers: Mapping[str, float]) -> tuple[Check, ...]:
    """Return the checks with the numbers that were found."""
    return tuple(replace(check, value=numbers.get(check.name)) for check in checks)
