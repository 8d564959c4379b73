"""Arrays that are on disk: parts of them are read, and what is in memory is let go of."""

from __future__ import annotations

import contextlib
import mmap
import sys
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_on_disk", "let_go", "read_part"]

Array: TypeAlias = NDArray[Any]


def is_on_disk(array: object) -> bool:
    """Whether an array is mapped from a file, or a Zarr array, so that parts of it are read.

    Examples
    --------
    >>> is_on_disk(np.zeros(3))
    False
    """
    if isinstance(array, np.memmap):
        return array.ndim > 0
    zarr = sys.modules.get("zarr")
    return zarr is not None and isinstance(array, zarr.Array)


def read_part(array: Any, part: tuple[Any, ...]) -> Array:
    """Return a part of an array on disk, in memory of its own."""
    values: Array = np.array(array[part])
    let_go(array)
    return values


def let_go(array: Any) -> None:
    """Let go of the pages of a mapped file that are in memory; what was written to them stays.

    The pages of a private mapping (``mode="c"``) are nowhere else, so they are kept.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and getattr(array, "mode", "c") != "c":
        with contextlib.suppress(AttributeError, OSError, ValueError):  # not on every system
            mapped.madvise(mmap.MADV_DONTNEED)
