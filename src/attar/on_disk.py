"""Arrays that are on disk: their rows are read from the top to the bottom, and let go of."""

from __future__ import annotations

import contextlib
import math
import mmap
import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowReader", "is_on_disk", "let_go", "rows_of_a_chunk"]

Array: TypeAlias = NDArray[Any]

_MOST_CHUNK_BYTES = 64 << 20
"""Of chunks beside one another that are kept until all their rows were asked for."""


def is_on_disk(array: object) -> bool:
    """Whether an array is mapped from a file, or a Zarr array, so that parts of it are read.

    Examples
    --------
    >>> is_on_disk(np.zeros(3))
    False
    """
    if isinstance(array, np.memmap):
        return array.ndim > 0 and getattr(array, "_mmap", None) is not None
    return _is_zarr(array)


def _is_zarr(array: object) -> bool:
    zarr = sys.modules.get("zarr")
    return zarr is not None and isinstance(array, zarr.Array)


def let_go(array: Any) -> None:
    """Let go of the pages of a mapped file that are in memory; what was written to them stays.

    The pages of a private mapping (``mode="c"``) are nowhere else, so they are kept.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and getattr(array, "mode", "c") != "c":
        with contextlib.suppress(AttributeError, OSError, ValueError):  # not on every system
            mapped.madvise(mmap.MADV_DONTNEED)


def rows_of_a_chunk(array: Any, axis: int, *, written: bool = False) -> int:
    """Return how many rows of an array are stored together: 1 where each may be had alone.

    Parameters
    ----------
    array : array, memory map or Zarr array
    axis : int
        The one that counts rows.
    written : bool
        What is written together rather than what is read together: a shard, where there are some.
    """
    if not _is_zarr(array):
        return 1
    chunks = (array.shards if written else None) or array.chunks
    return max(1, int(chunks[axis]))


class RowReader:
    """The rows of one image of an array, asked for from the top to the bottom.

    A chunk of a Zarr array is decoded once: rows that were not asked for yet are kept. Where the
    chunks beside one another take more than 64 MiB, they are decoded as often as they are needed.

    Parameters
    ----------
    array : array, memory map or Zarr array
    before : tuple
        What is picked along the axes in front of the one that counts rows.

    Examples
    --------
    >>> images = np.arange(24).reshape(2, 4, 3)
    >>> RowReader(images, (1,)).read(2, 4)
    array([[18, 19, 20],
           [21, 22, 23]])
    """

    def __init__(self, array: Any, before: tuple[Any, ...] = ()) -> None:
        self._array = array
        self._before = before
        place = len(before)  # of the axis of rows in the array, and in what is read
        self._axis = sum(isinstance(index, slice) for index in before)
        self._height = int(array.shape[place])
        self._together = rows_of_a_chunk(array, place)
        others = [n for i, n in enumerate(array.shape) if i > place]
        others += [
            n for n, index in zip(array.shape, before, strict=False) if isinstance(index, slice)
        ]
        self._row_bytes = math.prod(others) * array.dtype.itemsize
        if self._together * self._row_bytes > _MOST_CHUNK_BYTES:
            self._together = 1
        self._first, self._held = 0, self._part(0, 0)

    def _part(self, begin: int, end: int) -> Array:
        return np.asarray(self._array[(*self._before, slice(begin, end))])

    def read(self, begin: int, end: int) -> Array:
        """Return the rows [begin, end); good until the next call."""
        if not _is_zarr(self._array):
            let_go(self._array)
            return self._part(begin, end)
        there = self._first + self._held.shape[self._axis]
        if not self._first <= begin <= there:
            self._first = there = begin
            self._held = self._part(0, 0)
        if end > there:
            until = min(-(-end // self._together) * self._together, self._height)
            kept = self._rows(begin, there)
            read = self._part(there, until)
            self._held = np.concatenate([kept, read], axis=self._axis) if kept.size else read
            self._first = begin
        return self._rows(begin, end)

    def _rows(self, begin: int, end: int) -> Array:
        rows = slice(begin - self._first, end - self._first)
        return self._held[(slice(None),) * self._axis + (rows,)]

    def close(self) -> None:
        """Let go of what is in memory."""
        let_go(self._array)
        self._held = self._part(0, 0)
