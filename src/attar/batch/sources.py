"""What a data set is made of: folders, globs, lists, archives and tables, as rows."""

from __future__ import annotations

import csv
import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from attar.batch.archives import ARCHIVES, members
from attar.batch.files import Files, files_at
from attar.batch.rows import Row
from attar.batch.tables import TABLES, cells, paths_in
from attar.errors import ArgumentError, ImageNotFoundError
from attar.images import SUFFIXES

__all__ = ["expand_braces", "list_rows"]

_LISTS = (".txt", ".lst", ".csv", ".tsv")
_COLUMNS = ("path", "file", "filename", "image", "image_path", "url")
_OWN = "-attar"  # how the names of pictures end that attar wrote
_GLOB = re.compile(r"[*?\[{]")

Place = str | os.PathLike[str]


def list_rows(source: Place | Sequence[Place], *, column: str | None = None) -> Iterator[Row]:
    """List the images of a data set, one after the other, in an order that depends on it alone.

    Parameters
    ----------
    source : path, address, or several
        - A folder: the pictures in it and in its sub-folders, sorted, without hidden ones and those
          that attar wrote; where there are none, the archives and tables.
        - A glob: ``photos/**/*.jpg``, ``train-{000..127}.tar``.
        - A list: ``.txt`` with a path or an address in each line; ``.csv`` and ``.tsv`` with a
          column of them. Paths are relative to the list's folder.
        - An archive: ``.tar``, also compressed; ``.zip``. Of a WebDataset the pictures.
        - A table: ``.parquet`` with a column of images, or of paths.
        - A picture.

        Each may be an address that fsspec knows, such as ``s3://bucket/photos``.
    column : str, optional
        Of a table or list, where that is not clear.

    Returns
    -------
    iterator of Row
        Names are relative to a folder or to the fixed part of a glob; images in archives and tables
        are called ``train.tar/1.jpg`` and ``train.parquet#12``. A name that comes a second time is
        refused: it would not be clear which is meant.

    Raises
    ------
    ImageNotFoundError, ArgumentError (both ValueError)
        There is nothing, or nothing that could be an image.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("b.png", "a.jpg", "notes.md"):
    ...     _ = (folder / name).write_bytes(b"...")
    >>> [(row.path, row.size) for row in list_rows(folder)]
    [('a.jpg', 3), ('b.png', 3)]
    """
    places = [source] if isinstance(source, str | os.PathLike) else list(source)
    if not places:
        raise ArgumentError("batch: no source is named")
    several = len(places) > 1
    for place in places:
        rows = _rows(os.fspath(place), column, several)
        first = next(rows, None)
        if first is None:
            raise ImageNotFoundError(f"batch: there are no images in {os.fspath(place)}")
        yield from itertools.chain([first], rows)


def _rows(place: str, column: str | None, several: bool) -> Iterator[Row]:
    files = files_at(place)
    if files.is_folder(place):
        prefix = f"{PurePosixPath(place.rstrip('/')).name}/" if several else ""
        return _folder(files, place, prefix, column)
    if files.exists(place):
        return _file(files, place, PurePosixPath(place).name, column)
    if _GLOB.search(place):
        return _glob(files, place, column)
    raise ImageNotFoundError(f"batch: there is no file or folder {place}")


def _folder(files: Files, folder: str, prefix: str, column: str | None) -> Iterator[Row]:
    found = False
    for path in files.walk(folder):
        name = files.relative(path, folder)
        stem, suffix = posixpath.splitext(name)
        if suffix.lower() in SUFFIXES and not stem.endswith(_OWN):
            found = True
            yield _picture(files, path, prefix + name)
    if found:
        return
    for path in files.walk(folder):
        name = files.relative(path, folder)
        if _kind(name) in ("archive", "table"):
            yield from _file(files, path, prefix + name, column)


def _glob(files: Files, pattern: str, column: str | None) -> Iterator[Row]:
    fixed = re.split(r"[^/]*[*?\[{]", pattern, maxsplit=1)[0]
    for each in expand_braces(pattern):
        if not _GLOB.search(each) and not files.exists(each):
            raise ImageNotFoundError(f"batch: there is no file {each} (of {pattern})")
        for path in files.glob(each):
            name = files.relative(path, fixed) if fixed else path
            if _suffix(name) in SUFFIXES or _kind(name) != "other":
                yield from _file(files, path, name, column)


def _file(files: Files, path: str, name: str, column: str | None) -> Iterator[Row]:
    kind = _kind(path)
    if kind == "archive":
        return members(files, path, name)
    if kind == "list":
        return _list(files, path, column)
    if kind == "table":
        paths = paths_in(files, path, column)
        return cells(files, path, name, column) if paths is None else _named(files, path, paths)
    return iter([_picture(files, path, name)])


def _picture(files: Files, path: str, name: str) -> Row:
    size, modified = files.state(path)
    return Row(name, files.absolute(path), "file", 0, size, modified)


def _list(files: Files, path: str, column: str | None) -> Iterator[Row]:
    lines = files.lines(path)
    if _suffix(path) in (".csv", ".tsv"):
        table = csv.DictReader(lines, delimiter="\t" if _suffix(path) == ".tsv" else ",")
        heads = list(table.fieldnames or [])
        known = [name for name in _COLUMNS if name in heads]
        chosen = column or (known or heads or [""])[0]
        if chosen not in heads:
            raise ArgumentError(
                f"batch: {path} has no column {chosen!r}; it has {', '.join(heads) or 'none'}"
            )
        return _named(files, path, (row[chosen] or "" for row in table))
    return _named(files, path, lines)


def _named(files: Files, table: str, paths: Iterable[str]) -> Iterator[Row]:
    """Give rows for paths that are relative to the folder of their list."""
    for line in paths:
        name = line.strip()
        if not name:
            continue
        path = name if "://" in name else files.join(files.parent(table), name)
        if _kind(path) in ("archive", "table"):
            yield from _file(files_at(path), path, name, None)
            continue
        # What is not there is found out where it is read: a row that says so, and no end of all.
        try:
            yield _picture(files_at(path), path, name)
        except OSError:
            yield Row(name, path)


def _kind(path: str) -> str:
    name = path.lower()
    if name.endswith(ARCHIVES):
        return "archive"
    if name.endswith(TABLES):
        return "table"
    return "list" if name.endswith(_LISTS) else "other"


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def expand_braces(pattern: str) -> Iterator[str]:
    """Write out ``{000..127}`` and ``{train,val}``, from left to right.

    Examples
    --------
    >>> [*expand_braces("{a,b}-{08..10}.tar")]
    ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar', 'b-09.tar', 'b-10.tar']
    """
    found = re.search(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}", pattern)
    if found is None:
        yield pattern
        return
    first, last, names = found.groups()
    if names is None:
        width = len(first) if first.startswith("0") else 0
        choices: Iterable[str] = (f"{i:0{width}d}" for i in range(int(first), int(last) + 1))
    else:
        choices = names.split(",")
    for choice in choices:
        for rest in expand_braces(pattern[found.end() :]):
            yield pattern[: found.start()] + choice + rest
