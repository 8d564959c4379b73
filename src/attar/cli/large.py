"""Images for ``attar extract`` that are read by rows, and answers that are written by rows."""

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attar.errors import ArgumentError, AttarError, ImageError
from attar.files import atomic_path

if TYPE_CHECKING:
    from attar.extraction import Extraction
    from attar.images import Color

__all__ = ["ARRAYS", "extract_large", "is_large"]

ARRAYS = (".npy", ".zarr")
"""Suffixes of arrays: of images, and of condensed maps that are written by rows."""

_PIXELS = 50_000_000  # of a TIFF file that is read whole: 200 MB as floats
_CHUNK_BYTES = 8 << 20


def is_large(path: Path) -> bool:
    """Whether an image is read by rows: an array in a file, or a TIFF file of many pixels."""
    if path.suffix.lower() in ARRAYS:
        return True
    return path.suffix.lower() in (".tif", ".tiff") and _pixels(path) > _PIXELS


def _pixels(path: Path) -> int:
    """Return how many pixels a TIFF file says that it has; 0 where it says nothing."""
    from PIL import TiffImagePlugin

    try:
        with TiffImagePlugin.TiffImageFile(path) as image:
            return int(image.size[0] * image.size[1])
    except Exception:  # reading it whole will tell what is wrong
        return 0


def extract_large(
    path: Path,
    target: Path,
    color: "Color",
    shape_of: Callable[[tuple[int, ...]], tuple[int, ...]],
    run: Callable[[Any, Any], "Extraction"],
) -> "Extraction":
    """Condense an image by rows into a file by rows.

    Parameters
    ----------
    path, target : Path
    color : {"gray", "rgb"}
        Of a TIFF file; an array is taken as it is.
    shape_of : callable
        Given the shape of an image, returns that of its condensed map.
    run : callable
        Given the image and where to write, extracts.
    """
    if target.suffix.lower() not in ARRAYS:
        raise ArgumentError(
            f"it is read by rows, and no picture of it is drawn; name a file for its condensed "
            f"map, {' or '.join(ARRAYS)} (-o)"
        )
    with _opened(path, color) as image:
        dtype = np.dtype(np.float64 if image.dtype == np.float64 else np.float32)
        with _written(target, shape_of(tuple(image.shape)), dtype) as out:
            return run(image, out)


@contextlib.contextmanager
def _opened(path: Path, color: "Color") -> Iterator[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        yield _mapped(path)
    elif suffix == ".zarr":
        yield _zarr_array(path)
    else:
        from attar.rasters import TiffRaster

        with TiffRaster(path, color) as raster:
            yield raster


def _mapped(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ImageError(f"cannot read {path}: no array of numbers ({error})") from error


def _zarr_array(path: Path) -> Any:
    zarr = _zarr()
    try:
        return zarr.open_array(path, mode="r")
    except Exception as error:  # of many kinds, which have no base in common
        raise ImageError(f"cannot read {path}: no Zarr array ({error})") from error


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise AttarError(
            f'this needs zarr, which is not installed: pip install "attar[zarr]" ({error})'
        ) from error
    return zarr


@contextlib.contextmanager
def _written(target: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Any]:
    """Yield an array on disk that is there whole, under its name, when the block succeeds."""
    if target.suffix.lower() == ".npy":
        with atomic_path(target) as temporary:
            out = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
            yield out
            out.flush()
        return
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}{target.suffix}")
    rows = max(1, _CHUNK_BYTES // max(1, dtype.itemsize * int(np.prod(shape[1:]))))
    chunks = (min(rows, shape[0]), *shape[1:])
    try:
        yield _zarr().create_array(store=temporary, shape=shape, chunks=chunks, dtype=dtype)
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
