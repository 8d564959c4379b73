"""Images in archives: where their bytes begin."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from attar.batch.files import Files
from attar.batch.rows import Kind, Row
from attar.errors import ImageError
from attar.images import SUFFIXES

__all__ = ["ARCHIVES", "FAULTS", "members", "unpacked"]

_COMPRESSED = (
    ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz",
)  # fmt: skip
ARCHIVES = (".tar", ".zip", *_COMPRESSED)

FAULTS: tuple[type[Exception], ...] = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
    ValueError,
)  # fmt: skip
"""What the readers of archives raise for one that is damaged."""


def members(files: Files, path: str, name: str) -> Iterator[Row]:
    """List the pictures of an archive, in its order.

    Raises
    ------
    ImageError (a ValueError)
        It is damaged.
    """
    size, modified = files.state(path)
    container = files.absolute(path)
    try:
        found = _zipped if path.lower().endswith(".zip") else _tarred
        for row in found(files, path, container):
            yield row._replace(path=f"{name}/{row.path}", modified=modified)
    except FAULTS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"batch: {path} ({size} bytes) is damaged, or no archive of its suffix: {error}"
        ) from error


def _zipped(files: Files, path: str, container: str) -> Iterator[Row]:
    with files.open(path) as file, zipfile.ZipFile(file) as archive:
        for number, member in enumerate(archive.infolist()):
            if not member.is_dir() and _is_picture(member.filename):
                yield Row(member.filename, container, "member", number, member.file_size)


def _tarred(files: Files, path: str, container: str) -> Iterator[Row]:
    kind: Kind = "stream" if path.lower().endswith(_COMPRESSED) else "range"
    with files.open(path) as file, unpacked(file, path) as archive:
        for member in archive:
            archive.members = []  # tarfile keeps what it saw, and there may be millions
            if member.isdir() or not _is_picture(member.name):
                continue
            if member.isreg() and not member.issparse():
                yield Row(member.name, container, kind, member.offset_data, member.size)
            else:  # a row that fails: nothing is left out without a word
                yield Row(member.name, container, kind, -1, 0)


def unpacked(file: BinaryIO, path: str) -> Any:
    """Open a tar archive to read it from its beginning to its end."""
    if path.lower().endswith(_COMPRESSED):
        return tarfile.open(fileobj=file, mode="r|*")
    return tarfile.open(fileobj=file, mode="r:")


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(
        part.startswith(".") and part not in (".", "..") for part in path.parts
    )
