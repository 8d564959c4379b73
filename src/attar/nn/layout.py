"""Layouts and sizes: what every function of `attar.nn` resolves before it computes."""

from __future__ import annotations

import math
import os

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError, ShapeError

__all__ = ["as_volumes", "is_channels_first", "join_shape", "require_room", "split_shape"]

CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
CHANNELS_FIRST = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
_MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # bytes


def is_channels_first(operation: str, data_format: str | None, dims: int) -> bool:
    last, first = CHANNELS_LAST[dims], CHANNELS_FIRST[dims]
    if data_format is None or data_format == last:
        return False
    if data_format == first:
        return True
    raise ArgumentError(
        f"{operation}: data_format must be {last!r} or {first!r} for an input of rank "
        f"{dims + 2}, got {data_format!r}"
    )


def split_shape(shape: tuple[int, ...], channels_first: bool) -> tuple[int, tuple[int, ...], int]:
    """Batch, spatial sizes and channels of a shape."""
    if channels_first:
        return shape[0], shape[2:], shape[1]
    return shape[0], shape[1:-1], shape[-1]


def join_shape(
    n: int, sizes: tuple[int, ...], channels: int, channels_first: bool
) -> tuple[int, ...]:
    return (n, channels, *sizes) if channels_first else (n, *sizes, channels)


def require_room(operation: str, what: str, shape: tuple[int, ...]) -> None:
    """Refuse what this machine could not hold: asked for, it would be found out by dying of it."""
    needed = math.prod(shape) * np.dtype(np.float32).itemsize
    if needed > _MEMORY // 2:
        raise ShapeError(
            f"{operation}: {what} would have the shape {shape}, {needed / 2**30:.0f} GiB in "
            f"float32, more than half of this machine's {_MEMORY / 2**30:.0f}; use less padding, "
            "larger strides or a smaller input"
        )


def as_volumes(array: Array, channels_first: bool) -> Array:
    """View an array of rank 3 to 5 as the core wants it: (n, z, y, x, c), any strides."""
    last = np.moveaxis(array, 1, -1) if channels_first else array
    missing = 5 - last.ndim
    return last[(slice(None),) + (None,) * missing]
