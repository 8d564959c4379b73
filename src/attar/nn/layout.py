"""Layouts and sizes: what every function of `attar.nn` resolves before it computes."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError, ShapeError

__all__ = [
    "Layout",
    "as_volumes",
    "is_channels_first",
    "join_shape",
    "layout_of",
    "require_room",
    "split_shape",
]

CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
CHANNELS_FIRST = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
_MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # bytes


def is_channels_first(operation: str, data_format: str | None, dims: int) -> bool:
    """Tell the two layouts for this many spatial axes apart."""
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
    """Shape of batch, spatial sizes and channels."""
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


class Layout(NamedTuple):
    """What the axes of an array mean.

    Attributes
    ----------
    dims : int
        Spatial axes, 1 to 3.
    channels_first : bool
    batched : bool
        Whether the first axis counts images. An array without it is one image.
    """

    dims: int
    channels_first: bool
    batched: bool

    def split(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...], int]:
        """Images, spatial sizes and channels of a shape."""
        return split_shape(shape if self.batched else (1, *shape), self.channels_first)

    def join(self, n: int, sizes: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """Shape of images, spatial sizes and channels."""
        shape = join_shape(n, sizes, channels, self.channels_first)
        return shape if self.batched else shape[1:]

    def volumes(self, array: Array) -> Array:
        """View an array of this layout as the core wants it: (n, z, y, x, c), any strides."""
        return as_volumes(array if self.batched else array[None], self.channels_first)


_FORMATS = {
    name: (dims, formats is CHANNELS_FIRST)
    for formats in (CHANNELS_LAST, CHANNELS_FIRST)
    for dims, name in formats.items()
}


def layout_of(
    operation: str, shape: tuple[int, ...], data_format: Any, per_axis: Any = None
) -> Layout:
    """Tell what the axes of a shape mean.

    The number of spatial axes is that of `data_format`. Without one it follows from `per_axis`,
    numbers for each spatial axis or for all axes of a batch, where they fit the rank. Else the
    array is a batch.

    Examples
    --------
    >>> layout_of("pool", (2, 9, 9, 3), None)
    Layout(dims=2, channels_first=False, batched=True)
    >>> layout_of("pool", (9, 9, 3), None, per_axis=(2, 2))
    Layout(dims=2, channels_first=False, batched=False)
    >>> layout_of("pool", (3, 9, 9), "NCHW")
    Layout(dims=2, channels_first=True, batched=False)
    """
    rank = len(shape)
    if data_format is not None:
        if data_format not in _FORMATS:
            accepted = ", ".join(map(repr, _FORMATS))
            raise ArgumentError(
                f"{operation}: data_format must be one of {accepted}, got {data_format!r}"
            )
        dims, first = _FORMATS[data_format]
        if rank not in (dims + 1, dims + 2):
            raise ShapeError(
                f"{operation}: input must have rank {dims + 2}, {data_format}, "
                f"or {dims + 1}, without a batch, got shape {shape}"
            )
        return Layout(dims, first, rank == dims + 2)
    count = len(per_axis) if isinstance(per_axis, tuple) else 0
    for dims in (count, count - 2):
        if dims in CHANNELS_LAST and rank in (dims + 1, dims + 2):
            return Layout(dims, False, rank == dims + 2)
    if rank - 2 not in CHANNELS_LAST:
        raise ShapeError(
            f"{operation}: input must have rank 3, 4 or 5 (batch, 1 to 3 spatial axes, channels), "
            f"got shape {shape}; a single image needs data_format or numbers for each axis"
        )
    return Layout(rank - 2, False, True)
