"""Where the output goes: files that appear whole, and stay."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from attar.errors import ArgumentError, AttarError

__all__ = [
    "FolderStore",
    "FsspecStore",
    "Lock",
    "Store",
    "missing",
    "open_store",
    "sync",
    "to_json",
]

_TEMPORARY = ".attar-"  # what names of files begin with that are not finished
_LOCK = "lock"
_SPOOLED_BYTES = 64 << 20


class Store(Protocol):
    """A folder, wherever it is. Names are relative to it, with ``/`` between their parts."""

    address: str

    def write(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Yield a file; when the block succeeds it is there whole, under this name, for good."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, or raise FileNotFoundError."""
        ...

    def read_all(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of many small files; None for those that are not there."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the files that lie in a folder; none where it is not there."""
        ...

    def entries(self) -> list[str]:
        """Return the sorted names of all files and folders at the top."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all in it, where it is there."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in one step where that can be done."""
        ...

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep others out while the block runs, where that can be done."""
        ...

    def holder(self) -> str | None:
        """Return who has the lock; None where nobody has it, or nobody can."""
        ...

    def remove_unfinished(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        ...


class FolderStore:
    """A folder of this machine, or of a file system that it has mounted.

    Examples
    --------
    >>> store = FolderStore(tempfile.mkdtemp())
    >>> with store.write("done/one.txt") as file:
    ...     _ = file.write(b"whole")
    >>> store.names("done"), store.read("done/one.txt")
    (['one.txt'], b'whole')
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        self.address = str(self.folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ArgumentError(f"batch: the output has to be a folder, and {folder} is a file")

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Yield a file of a temporary name; sync it, rename it, and sync the folder."""
        target = self.folder / name
        _make_folders(target.parent)
        temporary = target.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return (self.folder / name).read_bytes()

    def read_all(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of many files."""
        found: list[bytes | None] = []
        for name in names:
            try:
                found.append(self.read(name))
            except FileNotFoundError:
                found.append(None)
        return found

    def names(self, folder: str) -> list[str]:
        """Return the names of the finished files in a folder."""
        try:
            entries = list(os.scandir(self.folder / folder))
        except FileNotFoundError:
            return []
        return sorted(
            entry.name
            for entry in entries
            if entry.is_file() and not entry.name.startswith(_TEMPORARY)
        )

    def entries(self) -> list[str]:
        """Return the names of all that lies in the folder."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []

    def remove(self, name: str) -> None:
        """Remove a file or a folder."""
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        (self.folder / name).replace(self.folder / new)
        _sync_folder((self.folder / new).parent)

    def lock(self) -> Lock:
        """Return a lock that ends with this process, however that ends."""
        return Lock(self.folder / "_attar" / _LOCK)

    def holder(self) -> str | None:
        """Return who has the lock."""
        return self.lock().holder()

    def remove_unfinished(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        for folder, _, files in os.walk(self.folder):
            for name in files:
                if name.startswith(_TEMPORARY):
                    (Path(folder) / name).unlink(missing_ok=True)


class Lock(contextlib.AbstractContextManager[None]):
    """A lock on a file, which the system gives back when its process ends.

    Raises
    ------
    ArgumentError (a ValueError)
        On entering: somebody else has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> None:
        _make_folders(self._path.parent)
        file = self._path.open("ab+")
        if not _locked(file):
            file.seek(0)
            holder = file.read().decode(errors="replace").strip()
            file.close()
            raise ArgumentError(
                f"batch: another run is at work in {self._path.parents[1]} "
                f"({holder or 'unknown'}); wait until it has ended"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        file.flush()
        self._file = file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def holder(self) -> str | None:
        """Return who has it; None if nobody."""
        if not self._path.is_file():
            return None
        with self._path.open("rb") as file:
            return None if _locked(file) else file.read().decode(errors="replace").strip()


class FsspecStore:
    """A folder that fsspec knows the address of, such as ``s3://bucket/features``.

    A file is put there whole when it is finished, which object stores do in one piece. Nobody is
    kept out: two runs at a time do the same work twice, and write the same bytes.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise missing("fsspec", "batch", error) from error
        self.address = address
        try:
            self._system, self._root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise ArgumentError(
                f"batch: the output {address} cannot be reached: {error}"
            ) from error

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Yield a file of this machine, which is then sent whole."""
        with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            path = self._path(name)
            self._system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            with self._system.open(path, "wb") as file:
                shutil.copyfileobj(spool, file, 1 << 20)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return bytes(self._system.cat_file(self._path(name)))

    def read_all(self, names: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of many files, several at a time where the system can do that."""
        if not names:
            return []
        paths = [self._path(name) for name in names]
        found: dict[str, bytes | Exception] = self._system.cat(paths, on_error="return")
        answers = [found[path] for path in paths]
        for each in answers:
            if isinstance(each, Exception) and not isinstance(each, FileNotFoundError):
                raise each
        return [each if isinstance(each, bytes) else None for each in answers]

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder."""
        return sorted(
            entry["name"].rsplit("/", 1)[-1]
            for entry in self._listed(folder)
            if entry["type"] == "file"
        )

    def entries(self) -> list[str]:
        """Return the names of all that lies in the folder."""
        return sorted(entry["name"].rsplit("/", 1)[-1] for entry in self._listed(""))

    def remove(self, name: str) -> None:
        """Remove a file or a folder."""
        with contextlib.suppress(FileNotFoundError):
            self._system.rm(self._path(name), recursive=True)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name; an object store copies it."""
        self._system.mv(self._path(name), self._path(new))

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep nobody out."""
        return contextlib.nullcontext()

    def holder(self) -> None:
        """Nobody has a lock."""

    def remove_unfinished(self) -> None:
        """Nothing is ever there that is not finished."""

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        with contextlib.suppress(FileNotFoundError):
            return list(self._system.ls(self._path(folder), detail=True))
        return []

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/")


def open_store(address: str | os.PathLike[str]) -> FolderStore | FsspecStore:
    """Return the store at a path, or at an address with ``://`` in it."""
    if isinstance(address, str) and "://" in address:
        protocol, path = address.split("://", 1)
        return FolderStore(path) if protocol in ("file", "local") else FsspecStore(address)
    return FolderStore(address)


def missing(package: str, extra: str, error: ImportError) -> AttarError:
    """Return the error for a package that is not installed."""
    return AttarError(
        f"batch: this needs {package}, which is not installed: "
        f'pip install "attar[{extra}]" ({error})'
    )


def to_json(values: Any) -> bytes:
    """Return JSON as it is written to files of a store."""
    return json.dumps(values, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _locked(file: BinaryIO) -> bool:
    """Take the lock on an open file, unless somebody has it."""
    try:
        import fcntl
    except ImportError:  # on Windows; what is written is the same all the same
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, such that they survive a power cut."""
    new = []
    while not folder.is_dir():
        new.append(folder)
        folder = folder.parent
    for each in reversed(new):
        each.mkdir(exist_ok=True)
        _sync_folder(each.parent)


def sync(path: Path) -> None:
    """Have a file that somebody wrote reach the disk, and its name too."""
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(PermissionError, IsADirectoryError):  # Windows has no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
