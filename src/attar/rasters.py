"""Images that are read some rows at a time."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from attar.images import Color, scale_pixels
from attar.on_disk import RowReader
from attar.operands import WHITE, as_floats

__all__ = ["ArrayRaster", "Raster", "RasterPixels"]

Array: TypeAlias = NDArray[Any]


@runtime_checkable
class Raster(Protocol):
    """An image whose rows are asked for from the top to the bottom.

    Attributes
    ----------
    shape : tuple of int
        (H, W) or (H, W, C).
    dtype : dtype
        float32 or float64.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the floats."""
        ...

    def rows(self, begin: int, end: int) -> Array:
        """Return the rows [begin, end), of this dtype; good until the next call."""
        ...


class ArrayRaster:
    """An image in an array, a memory map or a Zarr array, as `attar.extract` sees it.

    Parameters
    ----------
    array : array, memory map or Zarr array, (H, W), (H, W, C) or (N, H, W, C)
        Of float32 or float64, uint8, which is divided by 255, or uint16, by 65535.
    index : int, optional
        Which image of a batch.
    color : {"keep", "gray", "luma", "rgb"}
        As of `attar.read_image`, where the image is (H, W) or (H, W, 3).

    Raises
    ------
    DTypeError (a TypeError)

    Examples
    --------
    >>> ArrayRaster(np.array([[0, 51], [102, 255]], np.uint8)).rows(1, 2)
    array([[0.4, 1. ]], dtype=float32)
    """

    def __init__(self, array: Any, index: int | None = None, color: Color = "keep") -> None:
        self._reader = RowReader(array, () if index is None else (index,))
        shape = tuple(array.shape)
        self._pixels = RasterPixels(shape if index is None else shape[1:], array.dtype, color)

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""
        return self._pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the floats."""
        return self._pixels.dtype

    def rows(self, begin: int, end: int) -> Array:
        """Return the rows [begin, end), of this dtype; good until the next call."""
        return self._pixels.floats(self._reader.read(begin, end))

    def close(self) -> None:
        """Let go of what is in memory."""
        self._reader.close()


class RasterPixels:
    """What becomes of the pixels of an image: their floats and colours, in one place.

    Parameters
    ----------
    shape : tuple of int
        (H, W) or (H, W, C), as they are stored.
    dtype : dtype
    color : {"keep", "gray", "luma", "rgb"}

    Examples
    --------
    >>> pixels = RasterPixels((9, 9, 3), np.dtype(np.uint8), "gray")
    >>> pixels.shape, pixels.floats(np.array([[[255, 0, 0]]], np.uint8))
    ((9, 9), array([[0.299]], dtype=float32))
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], color: Color) -> None:
        in_colour = len(shape) == 3 and shape[2] == 3
        changed = (color in ("gray", "luma") and in_colour) or (color == "rgb" and len(shape) == 2)
        self._color: Color = color if changed else "keep"
        self._white = float(WHITE.get(dtype.newbyteorder("="), 1))
        self.shape = shape
        if changed:
            self.shape = shape[:2] if in_colour else (*shape, 3)
        self.dtype = np.dtype(np.float32) if changed else as_floats(np.empty(0, dtype)).dtype

    def floats(self, values: Array) -> Array:
        """Return some rows as `attar.read_image` and `attar.extract` have them."""
        if self._color == "keep":
            return as_floats(values)
        return scale_pixels(values, self._white, self._color)
