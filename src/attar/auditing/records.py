"""Sections as plain values for JSON, and back."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

__all__ = ["from_plain", "known", "plain"]

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Return a dataclass, and what is in it, as values that strict JSON takes.

    What is no number (NaN, infinity) becomes None.

    Examples
    --------
    >>> plain({"shape": (2, 3), "error": float("nan")})
    {'shape': [2, 3], 'error': None}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return the dataclass that `plain` was given.

    Parameters
    ----------
    kind : type
        A dataclass of plain values, tuples, dicts and other such dataclasses.
    values : mapping
        Fields that it does not know are passed over: a newer version may have written them.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     at: tuple[int, int]
    >>> from_plain(Point, plain(Point((1, 2))))
    Point(at=(1, 2))
    """
    hints = get_type_hints(kind)
    given = {
        each.name: _read(hints[each.name], values[each.name])
        for each in dataclasses.fields(kind)  # type: ignore[arg-type]
        if each.name in values
    }
    return kind(**given)


def _read(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin in (types.UnionType, Union):
        return _read(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_read(each, inner) for each, inner in zip(kinds, value, strict=True))
    if origin is dict:
        return {key: _read(arguments[1], inner) for key, inner in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, value)
    return value


def known(number: float) -> float | None:
    """Return a number, or None where it is none.

    Examples
    --------
    >>> known(0.5), known(float("nan"))
    (0.5, None)
    """
    return float(number) if math.isfinite(number) else None
