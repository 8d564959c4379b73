"""Images that are read some rows at a time."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from attar.errors import AttarError, ImageError, ImageNotFoundError
from attar.images import Color, scale_pixels

__all__ = ["Raster", "TiffRaster"]

Array: TypeAlias = NDArray[Any]

_MOST_SEGMENT_BYTES = 256 << 20  # of a strip or a row of tiles, decoded
_JPEG, _YCBCR, _WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 7, 6, 0, 1, 2


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
        """Return the rows [begin, end), of this dtype, in memory of their own."""
        ...


class TiffRaster(contextlib.AbstractContextManager["TiffRaster"]):
    """The first page of a TIFF file. Its strips or tiles are decoded when their rows are asked for.

    Parameters
    ----------
    path : path
    color : {"keep", "gray", "rgb"}
        As of `attar.read_image`, with the same numbers.

    Raises
    ------
    AttarError
        tifffile is not installed.
    ImageError, ImageNotFoundError (both ValueError)
        There is no such file; it is damaged; or its pixels are of a kind that is only read whole.

    Examples
    --------
    >>> import tempfile
    >>> from attar import write_image
    >>> path = f"{tempfile.mkdtemp()}/ramp.tif"
    >>> write_image(path, np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2))
    >>> with TiffRaster(path) as raster:
    ...     raster.shape, raster.rows(1, 3).round(1)
    ((3, 2), array([[0.4, 0.6],
           [0.8, 1. ]], dtype=float32))
    """

    def __init__(self, path: str | os.PathLike[str], color: Color = "keep") -> None:
        try:
            import tifffile
        except ImportError as error:
            raise AttarError(
                "reading a TIFF file by rows needs tifffile, which is not installed: "
                f'pip install "attar[tiff]" ({error})'
            ) from error
        self._name = os.fspath(path)
        self._color = color
        try:
            self._file = tifffile.TiffFile(path)
        except FileNotFoundError:
            raise ImageNotFoundError(f"cannot read {self._name}: there is no such file") from None
        except (tifffile.TiffFileError, OSError, ValueError) as error:
            raise ImageError(f"cannot read {self._name}: damaged TIFF ({error})") from error
        try:
            self._page: Any = self._file.pages[0]
            self._white = self._checked()
        except BaseException:
            self._file.close()
            raise
        length = self._page.tilelength if self._page.is_tiled else self._page.rowsperstrip
        self._length = min(max(1, length), self._page.imagelength)
        across = -(-self._page.imagewidth // self._page.tilewidth) if self._page.is_tiled else 1
        self._across = across
        samples = self._page.samplesperpixel
        band = self._length * self._page.imagewidth * samples * self._page.dtype.itemsize
        if band > _MOST_SEGMENT_BYTES:
            self._file.close()
            raise ImageError(
                f"cannot read {self._name} by rows: one strip takes {band >> 20} MiB, at most "
                f"{_MOST_SEGMENT_BYTES >> 20} are decoded at a time; save it in smaller strips or "
                "tiles"
            )
        self._held: tuple[int, Array] = (0, np.empty((0, *self._raw_shape[1:]), self._page.dtype))

    def _checked(self) -> float:
        """Refuse what would not give the pixels of `attar.read_image`; return white."""
        page = self._page
        orientation = page.tags.get(274)
        kinds = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
        whole = page.bitspersample == 8 * page.dtype.itemsize
        photometric = int(page.photometric)
        gray = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and page.samplesperpixel == 1
        colours = page.samplesperpixel == 3 and int(page.planarconfig or 1) == 1
        rgb = photometric == _RGB or (photometric == _YCBCR and int(page.compression) == _JPEG)
        reasons = [
            (page.dtype not in kinds or not whole, f"its pixels are {page.dtype}"),
            (orientation is not None and orientation.value != 1, "it is turned by a tag"),
            (
                not gray and not (colours and rgb),
                "it is neither gray nor RGB, one beside the other",
            ),
        ]
        for refused, why in reasons:
            if refused:
                raise ImageError(
                    f"cannot read {self._name} by rows: {why}; accepted are gray and RGB of 8 or "
                    "16 bits"
                )
        return kinds[page.dtype]

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def _raw_shape(self) -> tuple[int, ...]:
        size = (self._page.imagelength, self._page.imagewidth)
        return (*size, 3) if self._page.samplesperpixel == 3 else size

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, 3)."""
        size = self._raw_shape[:2]
        if self._color == "keep":
            return self._raw_shape
        return size if self._color == "gray" else (*size, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The floats of `attar.read_image`."""
        return np.dtype(np.float32)

    def rows(self, begin: int, end: int) -> Array:
        """Return the rows [begin, end), in [0, 1]."""
        first, held = self._held
        if not first <= begin <= first + len(held):
            first, held = begin // self._length * self._length, held[:0]
        pieces = [held[begin - first :]]
        at = first + len(held)
        while at < end:
            pieces.append(self._segments(at // self._length)[max(0, begin - at) :])
            at = min(at + self._length, self._raw_shape[0])
        values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        self._held = begin, values
        values = values[: end - begin]
        if int(self._page.photometric) == _WHITE_IS_ZERO:
            values = values.dtype.type(self._white) - values
        return scale_pixels(values, self._white, self._color)

    def _segments(self, line: int) -> Array:
        """Decode one strip, or the tiles beside one another."""
        page, begin = self._page, line * self._length
        height = min(self._length, self._raw_shape[0] - begin)
        found = np.zeros((height, *self._raw_shape[1:]), page.dtype)
        planes = found.reshape(height, self._raw_shape[1], -1)
        for number in range(line * self._across, (line + 1) * self._across):
            try:
                self._file.filehandle.seek(page.dataoffsets[number])
                data = self._file.filehandle.read(page.databytecounts[number])
                values, place, _ = page.decode(data, number, jpegtables=page.jpegtables)
            except Exception as error:  # damaged data makes a decoder raise nearly anything
                raise ImageError(
                    f"cannot read {self._name}: damaged or unsupported TIFF ({error})"
                ) from error
            if values is None:  # an empty segment stands for black
                continue
            left = place[-2]
            values = values.reshape(values.shape[-3:])
            room = planes[:, left : left + values.shape[1]]
            room[...] = values[:height, : room.shape[1]]  # tiles reach over the border
        return found
