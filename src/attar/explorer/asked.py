"""Questions of the page: plain JSON, read field by field, each checked where it is read."""

import json
import math
import reprlib
from collections.abc import Sequence
from typing import Any

from attar.errors import ArgumentError

__all__ = ["Asked"]


class Asked:
    """What the page asked for: a JSON object whose fields are checked as they are read.

    Every reader raises ArgumentError with the name of the field, what it is and what is accepted.

    Examples
    --------
    >>> asked = Asked("extract.maps", {"stride": 2, "pool": "max"})
    >>> asked.count("stride", 1, most=16), asked.choice("pool", ("max", "average"))
    (2, 'max')
    >>> asked.number("bias", 0.0)
    0.0
    >>> asked.count("stride", 1, most=1)
    Traceback (most recent call last):
    attar.errors.ArgumentError: extract.maps: stride is 2; accepted are whole numbers from 1 to 1
    """

    def __init__(self, what: str, fields: object) -> None:
        if not isinstance(fields, dict):
            raise ArgumentError(f"{what}: got {_brief(fields)}; accepted is an object")
        self.what = what
        self.fields: dict[str, Any] = fields

    @classmethod
    def parse(cls, what: str, text: str | bytes) -> "Asked":
        """Read a question from JSON text."""
        try:
            return cls(what, json.loads(text))
        except (ValueError, RecursionError):
            raise ArgumentError(f"{what}: what came is no JSON") from None

    def inner(self, name: str, *, required: bool = True) -> "Asked":
        """Return an object inside this one; an empty one where it is absent and not required."""
        value = self.fields.get(name)
        if value is None and not required:
            value = {}
        return Asked(f"{self.what}: {name}", value)

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def _refuse(self, name: str, accepted: str) -> ArgumentError:
        value = self.fields.get(name)
        received = "missing" if value is None else _brief(value)
        return ArgumentError(f"{self.what}: {name} is {received}; accepted are {accepted}")

    def count(self, name: str, default: int | None = None, *, least: int = 1, most: int) -> int:
        """Return a whole number."""
        value: Any = self.fields.get(name, default)
        if not _is_number(value) or value != int(value) or not least <= value <= most:
            raise self._refuse(name, f"whole numbers from {least} to {most}")
        return int(value)

    def number(
        self,
        name: str,
        default: float | None = None,
        *,
        least: float = -math.inf,
        most: float = math.inf,
    ) -> float:
        """Return a finite number, within the range of float32."""
        value: Any = self.fields.get(name, default)
        if not _is_number(value) or not least <= value <= most:
            raise self._refuse(name, f"numbers from {least:g} to {most:g}")
        return float(value)

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return one of `choices`."""
        value = self.fields.get(name, default)
        if value not in choices:
            raise self._refuse(name, ", ".join(choices))
        return str(value)

    def text(self, name: str, default: str | None = None, *, most: int = 200) -> str:
        """Return a text of at most so many characters."""
        value = self.fields.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise self._refuse(name, f"texts of at most {most} characters")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise self._refuse(name, "true and false")
        return value

    def numbers(self, name: str, *, least: int = 0, most: int) -> list[float]:
        """Return a list of finite numbers."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self._refuse(name, f"lists of {least} to {most} numbers")
        if not all(_is_number(each) for each in value):
            raise self._refuse(name, "lists of finite numbers")
        return [float(each) for each in value]

    def rows(self, name: str, *, most: int) -> list[list[float]]:
        """Return rows of finite numbers, all of one length, at most `most` each way."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise self._refuse(name, f"1 to {most} rows of numbers")
        table = Asked(self.what, {f"{name}[{i}]": row for i, row in enumerate(value)})
        rows = [table.numbers(key, least=1, most=most) for key in table.fields]
        if len({len(row) for row in rows}) != 1:
            raise self._refuse(name, "rows of one length")
        return rows


# What float32 holds, which the kernels compute with.
_MOST = 3.4e38


def _is_number(value: object) -> bool:
    """Whether it is a finite number of JSON, which has no NaN; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_MOST <= value <= _MOST


def _brief(value: object) -> str:
    """Write a value in few words, whatever its size and however deep it is."""
    return reprlib.repr(value)[:60]
