"""Files where they are: on this machine, or behind an address that fsspec knows."""

from __future__ import annotations

import glob
import io
import os
import posixpath
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from attar.batch.store import missing
from attar.errors import ArgumentError

__all__ = ["Files", "files_at"]


class Files(Protocol):
    """What is asked of a file system. Paths are strings, as they were named."""

    def exists(self, path: str) -> bool: ...  # noqa: D102
    def is_folder(self, path: str) -> bool: ...  # noqa: D102

    def walk(self, folder: str) -> Iterator[str]:
        """Give the files in a folder and its sub-folders, sorted, without hidden ones."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """Return the files that a pattern fits, sorted."""
        ...

    def state(self, path: str) -> tuple[int, int]:
        """Return size in bytes and time of the last change in ns; -1 and 0 where unknown."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file to read it, anywhere in it."""
        ...

    def read(self, path: str, begin: int, end: int) -> bytes:
        """Return the bytes [begin, end) of a file; fewer where it ends before."""
        ...

    def lines(self, path: str) -> Iterator[str]:
        """Give the lines of a text in UTF-8."""
        ...

    def absolute(self, path: str) -> str: ...  # noqa: D102
    def relative(self, path: str, folder: str) -> str: ...  # noqa: D102
    def parent(self, path: str) -> str: ...  # noqa: D102
    def join(self, folder: str, name: str) -> str: ...  # noqa: D102


class _Shared:
    """What is text alone."""

    def open(self, path: str) -> BinaryIO:
        raise NotImplementedError

    def lines(self, path: str) -> Iterator[str]:
        with self.open(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape")
            for line in text:
                yield line.rstrip("\r\n")

    def parent(self, path: str) -> str:
        return posixpath.dirname(path)

    def join(self, folder: str, name: str) -> str:
        return posixpath.join(folder, name)


class _Local(_Shared):
    """Files of this machine."""

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def is_folder(self, path: str) -> bool:
        return Path(path).is_dir()

    def walk(self, folder: str) -> Iterator[str]:
        # A sub-folder that is a link is followed, but for one that leads back.
        yield from self._walk(folder, (os.path.realpath(folder),))

    def _walk(self, folder: str, above: tuple[str, ...]) -> Iterator[str]:
        # Text instead of paths, here and below: there may be millions of them.
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
        for name, is_folder in found:
            if name.startswith("."):
                continue
            path = posixpath.join(folder, name)
            if not is_folder:
                yield path
                continue
            real = os.path.realpath(path)
            if real not in above:
                yield from self._walk(path, (*above, real))

    def glob(self, pattern: str) -> list[str]:
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207 (of text, with any beginning)
        return sorted(path for path in found if Path(path).is_file())

    def state(self, path: str) -> tuple[int, int]:
        found = os.stat(path)  # noqa: PTH116
        return found.st_size, found.st_mtime_ns

    def open(self, path: str) -> BinaryIO:
        return Path(path).open("rb")

    def read(self, path: str, begin: int, end: int) -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123 (text, as above)
            if begin:
                file.seek(begin)
            # No more than there is: Python takes memory for all that is asked for.
            there = os.fstat(file.fileno()).st_size
            return file.read(min(end, there) - begin) if there > begin else b""

    def absolute(self, path: str) -> str:
        return path if posixpath.isabs(path) else str(Path(path).absolute())

    def relative(self, path: str, folder: str) -> str:
        inside = folder.rstrip("/") + "/"
        if path.startswith(inside):
            return path[len(inside) :]
        return posixpath.relpath(path, folder)


class _Remote(_Shared):
    """Files behind an address."""

    def __init__(self, protocol: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise missing("fsspec", "batch", error) from error
        self._protocol = protocol
        try:
            self._system: Any = fsspec.filesystem(protocol)
        except (ImportError, ValueError) as error:
            raise ArgumentError(f"batch: {protocol}:// cannot be reached: {error}") from error

    def exists(self, path: str) -> bool:
        return bool(self._system.exists(path))

    def is_folder(self, path: str) -> bool:
        return bool(self._system.isdir(path))

    def walk(self, folder: str) -> Iterator[str]:
        for path in sorted(self._system.find(folder)):
            full = self._address(path)
            parts = self.relative(full, folder).split("/")
            if not any(part.startswith(".") for part in parts):
                yield full

    def glob(self, pattern: str) -> list[str]:
        found = sorted(self._system.glob(pattern))
        return [self._address(path) for path in found if self._system.isfile(path)]

    def state(self, path: str) -> tuple[int, int]:
        found = self._system.info(path)
        modified = found.get("mtime") or found.get("LastModified") or found.get("created")
        seconds = modified.timestamp() if hasattr(modified, "timestamp") else modified
        size = found.get("size")
        return -1 if size is None else int(size), int((seconds or 0) * 1e9)

    def open(self, path: str) -> BinaryIO:
        return cast(BinaryIO, self._system.open(path, "rb"))

    def read(self, path: str, begin: int, end: int) -> bytes:
        return bytes(self._system.cat_file(path, start=begin, end=end))

    def absolute(self, path: str) -> str:
        return path

    def parent(self, path: str) -> str:
        return path.rsplit("/", 1)[0]

    def join(self, folder: str, name: str) -> str:
        return f"{folder}/{name}"

    def relative(self, path: str, folder: str) -> str:
        bare, base = (str(self._system._strip_protocol(each)) for each in (path, folder))
        return bare.removeprefix(base.rstrip("/")).lstrip("/")

    def _address(self, path: str) -> str:
        return str(self._system.unstrip_protocol(path))


_LOCAL = _Local()


def files_at(path: str) -> Files:
    """Return the file system of a path or an address.

    Raises
    ------
    ArgumentError (a ValueError)
        It cannot be reached: a package is missing, or nobody knows its kind.

    Examples
    --------
    >>> files_at("photos").join("photos", "1.jpg")
    'photos/1.jpg'
    """
    return _remote(path.split("://", 1)[0]) if "://" in path else _LOCAL


@lru_cache(maxsize=16)
def _remote(protocol: str) -> Files:
    return _Remote(protocol)
