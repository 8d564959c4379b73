"""Frozen dataclasses to plain values for JSON and back, by the types of their fields."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar, Union, cast, get_args, get_origin, get_type_hints

__all__ = ["LayeredSection", "PlainSection", "as_plain", "from_plain"]

T = TypeVar("T")
L = TypeVar("L")


def as_plain(value: Any) -> Any:
    """Return dicts, lists and numbers; None for what is no finite number.

    Examples
    --------
    >>> as_plain(((1, 2.5), float("nan")))
    [[1, 2.5], None]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [as_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return the dataclass that `as_plain` made such a dict from."""
    found: T = _read(kind, values)
    return found


class PlainSection:
    """What the sections of an audit share: a frozen dataclass that JSON can hold."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return cast(dict[str, Any], as_plain(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` was made from."""
        return from_plain(cls, values)


class LayeredSection(PlainSection, Generic[L]):
    """A section that says something of each layer."""

    layers: tuple[L, ...]

    def layer(self, name: str) -> L:
        """Return the layer of this name."""
        return next(each for each in self.layers if each.name == name)  # type: ignore[attr-defined]


def _read(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (Union, types.UnionType):
        kind = next((each for each in get_args(kind) if each is not types.NoneType), Any)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(  # type: ignore[operator]  # a class, not one of its instances
            **{
                field.name: _read(hints[field.name], value[field.name])
                for field in dataclasses.fields(kind)
            }
        )
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        repeated = inner[1:] == (Ellipsis,)
        return tuple(
            _read(inner[0] if repeated else inner[i], each) for i, each in enumerate(value)
        )
    return value
