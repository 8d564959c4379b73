"""TIFF files that are read some rows at a time, by tifffile."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import AttarError, ImageError, ImageNotFoundError
from attar.images import Color
from attar.rasters import RasterPixels

__all__ = ["TiffRaster"]

Array: TypeAlias = NDArray[Any]

_MOST_BYTES: Final = 64 << 20
"""Of one row, of a strip, and of the tiles beside one another: what is decoded at a time."""

_ORIENTATION: Final = 274
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_NONE: Final = 1
_JPEG: Final = 7
# Those that are told how much they may give. Others decode what their own header says.
_COMPRESSIONS: Final = {
    _NONE: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 50000: "Zstandard",
    _JPEG: "JPEG",
}  # fmt: skip


class TiffRaster(contextlib.AbstractContextManager["TiffRaster"]):
    """The first page of a TIFF file. Its strips or tiles are decoded when their rows are asked for.

    Gray and RGB of 8 or 16 bits, upright, in strips or tiles, not compressed or by LZW, deflate,
    PackBits, Zstandard or JPEG.

    Parameters
    ----------
    path : path
    color : {"keep", "gray", "luma", "rgb"}
        As of `attar.read_image`, with the same numbers.

    Raises
    ------
    AttarError
        tifffile is not installed.
    ImageError, ImageNotFoundError (both ValueError)
        There is no such file; it is damaged; its pixels are of a kind that is only read whole; or
        what is decoded at a time would take more than 64 MiB.

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
        try:
            self._file = tifffile.TiffFile(path)
        except FileNotFoundError:
            raise ImageNotFoundError(f"cannot read {self._name}: there is no such file") from None
        except Exception as error:  # damaged data makes a reader raise nearly anything
            raise self._damaged(error) from error
        try:
            self._page: Any = self._file.pages[0]
            self._check()
        except ImageError:
            self._file.close()
            raise
        except Exception as error:
            self._file.close()
            raise self._damaged(error) from error
        page = self._page
        length = page.tilelength if page.is_tiled else page.rowsperstrip
        self._length = min(length, page.imagelength)
        self._across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        self._inverted = int(page.photometric) == _WHITE_IS_ZERO
        size = (page.imagelength, page.imagewidth)
        self._stored_shape = size if page.samplesperpixel == 1 else (*size, 3)
        self._pixels = RasterPixels(self._stored_shape, page.dtype, color)
        self._first, self._held = 0, np.empty((0, *self._stored_shape[1:]), page.dtype)

    def _damaged(self, error: Exception) -> ImageError:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        return ImageError(f"cannot read {self._name}: damaged or unsupported TIFF ({reason})")

    def _check(self) -> None:
        """Refuse what would not give the pixels of `attar.read_image`, or take much memory."""
        page = self._page
        photometric, compression = int(page.photometric), int(page.compression)
        if min(page.imagelength, page.imagewidth, page.samplesperpixel) < 1:
            raise ImageError(
                f"cannot read {self._name}: its header says {page.imagelength} × {page.imagewidth} "
                "pixels"
            )
        gray = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and page.samplesperpixel == 1
        colours = photometric == _RGB or (photometric == _YCBCR and compression == _JPEG)
        rgb = colours and page.samplesperpixel == 3 and int(page.planarconfig or 1) == 1
        orientation = page.tags.valueof(_ORIENTATION, 1)
        reason = None
        if page.dtype not in (np.uint8, np.uint16) or page.bitspersample != 8 * page.dtype.itemsize:
            reason = f"its samples have {page.bitspersample} bits and the type {page.dtype}"
        elif not gray and not rgb:
            reason = (
                f"it has {page.samplesperpixel} samples a pixel of the kind "
                f"{getattr(page.photometric, 'name', page.photometric)}, in "
                f"{'separate planes' if int(page.planarconfig or 1) == 2 else 'one plane'}"
            )
        elif orientation in range(2, 9):
            reason = f"its orientation is {orientation}, and rows are read from the top"
        elif compression not in _COMPRESSIONS or (compression == _JPEG and page.dtype != np.uint8):
            reason = f"its compression is {getattr(page.compression, 'name', compression)}"
        elif page.imagedepth != 1 or int(page.fillorder or 1) != 1:
            reason = "it has a depth, or its bits are in reverse order"
        if reason is not None:
            raise ImageError(
                f"cannot read {self._name} by rows: {reason}; accepted are gray and RGB of 8 or 16 "
                f"bits, upright, compressed by {', '.join(dict.fromkeys(_COMPRESSIONS.values()))}"
            )
        self._check_memory()

    def _check_memory(self) -> None:
        page = self._page
        pixel_bytes = page.samplesperpixel * page.dtype.itemsize
        # Rows that are neither compressed nor in tiles are read one by one.
        length = 1 if self._is_plain else page.rowsperstrip
        length, width = min(length, page.imagelength), page.imagewidth
        if page.is_tiled:
            length, width = page.tilelength, -(-page.imagewidth // page.tilewidth) * page.tilewidth
        if length * width * pixel_bytes > _MOST_BYTES:
            what = "a row of tiles" if page.is_tiled else "a row" if length == 1 else "a strip"
            raise ImageError(
                f"cannot read {self._name} by rows: {what} takes "
                f"{length * width * pixel_bytes >> 20} MiB and at most {_MOST_BYTES >> 20} are "
                "decoded at a time; save it in smaller strips or tiles"
            )

    @property
    def _is_plain(self) -> bool:
        page = self._page
        return int(page.compression) == _NONE and int(page.predictor) == 1 and not page.is_tiled

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, 3)."""
        return self._pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return self._pixels.dtype

    def rows(self, begin: int, end: int) -> Array:
        """Return the rows [begin, end), in [0, 1]."""
        if self._file.filehandle.closed:
            raise ImageError(f"cannot read {self._name}: the file has been closed")
        there = self._first + len(self._held)
        if not self._first <= begin <= there:
            self._first = there = begin
            self._held = self._held[:0]
        if end > there:
            until = end
            if not self._is_plain:
                until = min(-(-end // self._length) * self._length, self._stored_shape[0])
            held = np.empty((until - begin, *self._stored_shape[1:]), self._page.dtype)
            kept = there - begin
            held[:kept] = self._held[begin - self._first :]
            try:
                self._fill(held[kept:], there)
            except ImageError:
                raise
            except Exception as error:
                raise self._damaged(error) from error
            self._first, self._held = begin, held
        values = self._held[begin - self._first : end - self._first]
        return self._pixels.floats(~values if self._inverted else values)

    def _fill(self, rows: Array, begin: int) -> None:
        """Read the rows from `begin` on."""
        done = 0
        while done < len(rows):
            line, above = divmod(begin + done, self._length)
            left = min(self._length, self._stored_shape[0] - line * self._length) - above
            part = rows[done : done + left]
            if self._is_plain:
                self._read_plain(part, line, above)
            else:
                self._decode(part, line, above)
            done += len(part)

    def _read_plain(self, rows: Array, line: int, above: int) -> None:
        """Read rows of a strip as they lie in the file."""
        row_bytes = rows[0].nbytes
        if self._page.databytecounts[line] < (above + len(rows)) * row_bytes:
            raise ImageError(f"cannot read {self._name}: damaged TIFF (strip {line} is too short)")
        file = self._file.filehandle
        file.seek(self._page.dataoffsets[line] + above * row_bytes)
        if file.readinto(rows.data) != rows.nbytes:
            raise ImageError(f"cannot read {self._name}: the file is cut short")
        if not rows.dtype.newbyteorder(self._file.byteorder).isnative:
            rows.byteswap(inplace=True)

    def _decode(self, rows: Array, line: int, above: int) -> None:
        """Decode a strip, or the tiles beside one another."""
        page, file = self._page, self._file.filehandle
        planes = rows.reshape(len(rows), self._stored_shape[1], -1)
        for number in range(line * self._across, (line + 1) * self._across):
            size = page.databytecounts[number]
            file.seek(page.dataoffsets[number])
            data = file.read(min(size, _MOST_BYTES))
            if not data or len(data) != size:
                raise ImageError(f"cannot read {self._name}: strip or tile {number} is cut short")
            if int(page.compression) == _JPEG:
                self._check_jpeg(data)
            values, place, _ = page.decode(data, number, jpegtables=page.jpegtables)
            left = place[-2]
            room = planes[:, left : left + values.shape[-2]]
            # Tiles reach over the border.
            room[...] = values[0, above : above + len(rows), : room.shape[1]]

    def _check_jpeg(self, data: bytes) -> None:
        """Refuse a picture of another size than its strip or tile: its decoder would make room."""
        import simplejpeg  # type: ignore[import-untyped]

        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        page = self._page
        tiled = page.is_tiled
        most = (page.tilelength, page.tilewidth) if tiled else (self._length, page.imagewidth)
        if height > most[0] or width > most[1]:
            raise ImageError(
                f"cannot read {self._name}: damaged TIFF (a JPEG of {height} × {width} pixels in a "
                f"strip or tile of {most[0]} × {most[1]})"
            )
