"""Arrays in files: opened without being read, and written whole or not at all."""

from __future__ import annotations

import contextlib
import math
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.errors import ArgumentError, AttarError, ImageError, ImageNotFoundError
from attar.files import atomic_path
from attar.on_disk import let_go

__all__ = ["ARRAY_SUFFIXES", "CHUNK_ROWS", "append_to", "open_array", "write_array"]

Array: TypeAlias = NDArray[Any]

ARRAY_SUFFIXES = (".npy", ".zarr")

CHUNK_ROWS = 64
"""Of a new Zarr array. Few, since a band of an image is to fill whole chunks."""

_CHUNK_COLUMNS = 4096  # with as many rows 1 MiB of float32

_PART_BYTES = 16 << 20


def open_array(path: Path) -> Any:
    """Open a ``.npy`` file as a memory map, or a Zarr array, for reading.

    Raises
    ------
    ImageNotFoundError, ImageError (both ValueError)
        There is no such file, or no array of numbers in it.
    AttarError
        Zarr is not installed.
    """
    if not path.exists():
        raise ImageNotFoundError(f"cannot read {path}: there is no such file")
    try:
        if path.suffix.lower() == ".zarr":
            return _zarr().open_array(path, mode="r")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except AttarError:
        raise
    except Exception as error:  # damaged files make both raise errors of many kinds
        raise ImageError(f"cannot read {path}: it holds no array of numbers ({error})") from error
    if not isinstance(array, np.memmap):  # a .npz archive under another name
        raise ImageError(f"cannot read {path}: it holds several arrays; save one of them as .npy")
    return array


@contextlib.contextmanager
def append_to(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[Callable[[Array], None]]:
    """Yield what writes the next rows of a new ``.npy`` or ``.zarr`` array.

    The array is there under its name when the block succeeds, and else what was there before.

    Parameters
    ----------
    path : pathlib.Path
        Its folder has to exist. A Zarr array of that name is replaced, another folder is not.
    shape : tuple of int
        Rows are counted along its first axis.
    dtype : dtype

    Raises
    ------
    ArgumentError
        The folder does not exist, or there is a folder of that name that is no Zarr array.
    AttarError
        Zarr is not installed, or not all rows were written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "map.npy"
    >>> with append_to(path, (3, 2), np.dtype(np.float32)) as append:
    ...     append(np.zeros((1, 2), np.float32))
    ...     append(np.ones((2, 2), np.float32))
    >>> np.load(path).tolist()
    [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    """
    into = _into_zarr if path.suffix.lower() == ".zarr" else _into_npy
    done = 0
    with into(path, shape, dtype) as write:

        def append(rows: Array) -> None:
            nonlocal done
            write(done, rows)
            done += rows.shape[0]

        yield append
        if done != shape[0]:
            raise AttarError(f"cannot write {path}: {done} of {shape[0]} rows were written")


def write_array(path: Path, array: Any) -> None:
    """Write an array, a memory map or a Zarr array to a new file, as `append_to` does."""
    row_bytes = math.prod(array.shape[1:]) * array.dtype.itemsize
    count = CHUNK_ROWS * max(1, _PART_BYTES // max(1, row_bytes * CHUNK_ROWS))
    with append_to(path, tuple(array.shape), array.dtype) as append:
        for begin in range(0, array.shape[0], count):
            append(np.asarray(array[begin : begin + count]))
            let_go(array)


@contextlib.contextmanager
def _into_npy(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[Callable[[int, Array], None]]:
    # Not a memory map: on a full disk a write to one ends the process.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

        def write(_: int, rows: Array) -> None:
            file.write(np.ascontiguousarray(rows, dtype).data)

        yield write


@contextlib.contextmanager
def _into_zarr(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[Callable[[int, Array], None]]:
    if not path.parent.is_dir():
        raise ArgumentError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.exists() and not any((path / name).is_file() for name in ("zarr.json", ".zarray")):
        raise ArgumentError(f"cannot write {path}: what is there is no Zarr array")
    token = secrets.token_hex(4)
    temporary = path.with_name(f".{path.stem[:40]}.{token}{path.suffix}")
    chunks = tuple(max(1, n) for n in (*map(min, shape, (CHUNK_ROWS, _CHUNK_COLUMNS)), *shape[2:]))
    try:
        # In a thread, while the next rows are computed. It is waited for when the block is
        # interrupted too: Zarr writes in threads of its own, and would go on while the array is
        # removed.
        with ThreadPoolExecutor(1) as writer:
            create = partial(_zarr().create_array, shape=shape, chunks=chunks, dtype=dtype)
            array = writer.submit(create, store=temporary).result()
            pending: list[Future[None]] = []

            def write(begin: int, rows: Array) -> None:
                while pending:
                    pending.pop().result()
                rows_of_array = slice(begin, begin + rows.shape[0])
                pending.append(writer.submit(array.__setitem__, rows_of_array, rows))

            yield write
            while pending:
                pending.pop().result()
        if path.exists():  # a folder cannot be replaced by a rename
            aside = path.with_name(f".{path.stem[:40]}.{token}.old")
            path.rename(aside)
            temporary.rename(path)
            shutil.rmtree(aside)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise AttarError(
            f'a Zarr array needs zarr, which is not installed: pip install "attar[zarr]" ({error})'
        ) from error
    return zarr
