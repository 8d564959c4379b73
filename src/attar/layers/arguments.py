"""Arguments of layers: what each kind may be, and errors that name the layer."""

from __future__ import annotations

import math
import operator
from typing import Any, TypeAlias

import numpy as np

from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import freeze, parse_padding, spatial_values

__all__ = [
    "Shape",
    "check_data_format",
    "finite_number",
    "pair",
    "read_padding",
    "read_shape",
    "whole_number",
]

Shape: TypeAlias = tuple[int | None, ...]
"""Batch first, channels last; None where a size is not known yet."""

_LARGEST = 2**31 - 1  # of a size or a count


def whole_number(where: str, argument: str, value: Any, least: int = 1) -> int:
    """Check a count."""
    try:
        if isinstance(value, bool | np.bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise DTypeError(f"{where}: {argument} must be a whole number, got {value!r}") from None
    if number < least:
        raise ArgumentError(f"{where}: {argument} must be at least {least}, got {value!r}")
    if number > _LARGEST:
        raise ArgumentError(f"{where}: {argument} must be at most {_LARGEST}, got {value!r}")
    return number


def finite_number(where: str, argument: str, value: Any) -> float:
    """Check a number, which may be an array of one."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise DTypeError(f"{where}: {argument} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ArgumentError(f"{where}: {argument} must be finite, got {value!r}")
    return number


def pair(where: str, argument: str, value: Any) -> tuple[int, int]:
    """Check one number, or one each for height and width; at least 1."""
    high, wide = spatial_values(where, argument, freeze(where, argument, value), 2, False)
    return high, wide


def read_padding(where: str, padding: Any) -> Any:
    """Check ``"valid"``, ``"same"``, in any case, or ((top, bottom), (left, right))."""
    frozen = freeze(where, "padding", padding)
    read = parse_padding(where, "padding", frozen, 2, channels_first=False)
    return read.lower() if isinstance(read, str) else read


def check_data_format(where: str, data_format: Any) -> None:
    """Refuse channels first: it would be another model."""
    if data_format not in (None, "channels_last"):
        raise ArgumentError(
            f"{where}: data_format must be 'channels_last' (or None), got {data_format!r}; "
            "move the channels of the image to the end"
        )


def read_shape(where: str, argument: str, shape: Any, rank: int | None = None) -> Shape:
    """Check a shape, batch first: sizes that are known are at least 1, the batch at least 0."""
    if not isinstance(shape, list | tuple):
        raise DTypeError(f"{where}: {argument} must be a tuple of sizes, got {shape!r}")
    sizes: list[int | None] = []
    for axis, size in enumerate(shape):
        try:
            if isinstance(size, bool):
                raise TypeError
            number = None if size is None else operator.index(size)
        except TypeError:
            raise DTypeError(
                f"{where}: {argument} must be whole numbers or None, got {tuple(shape)}"
            ) from None
        if number is not None and not min(axis, 1) <= number <= _LARGEST:
            raise ShapeError(
                f"{where}: sizes of {argument} must be from 1 to {_LARGEST}, got {tuple(shape)}"
            )
        sizes.append(number)
    if rank is not None and len(sizes) != rank:
        hint = "; one image needs a batch: image[None]" if len(sizes) == rank - 1 == 3 else ""
        wanted = {4: "(batch, height, width, channels)", 2: "(batch, features)"}.get(rank, "")
        raise ShapeError(
            f"{where}: takes an input of rank {rank} {wanted}, got the shape {tuple(shape)}{hint}"
        )
    if not sizes:
        raise ShapeError(f"{where}: {argument} must begin with the batch, got ()")
    return tuple(sizes)
