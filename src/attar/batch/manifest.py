"""The images of a data set as they were listed, kept beside what comes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

from attar.batch.columns import parquet_file, pyarrow, read_columns, readable
from attar.batch.rows import Kind, Row
from attar.batch.store import Store

__all__ = ["Changes", "Manifest", "changes", "repeated", "shard_name", "write_manifest"]

_DIGITS = 16  # of a hash in a name: 64 bits


class Manifest:
    """A list of images, a row group for each shard.

    Parameters
    ----------
    store : Store
    name : str
        Of its file.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._file = parquet_file(store.read(name))

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return int(self._file.metadata.num_row_groups)

    def rows(self, shard: int) -> list[Row]:
        """Return the images of a shard."""
        return _rows(self._file.read_row_group(shard, use_threads=False))

    def __iter__(self) -> Iterator[Row]:
        for shard in range(self.shards):
            yield from self.rows(shard)


def write_manifest(store: Store, name: str, rows: Iterable[Row], shard_images: int) -> list[str]:
    """Write a list of images; return the names of its shards.

    Parameters
    ----------
    store : Store
    name : str
    rows : iterable of Row
        Read once, a shard at a time.
    shard_images : int
        Images of a shard; the last one may have fewer.
    """
    from pyarrow import parquet

    names: list[str] = []
    left = iter(rows)
    with (
        store.write(name) as file,
        parquet.ParquetWriter(file, _schema(), compression="zstd") as writer,
    ):
        while held := list(islice(left, shard_images)):
            names.append(shard_name(len(names), held))
            writer.write_table(_table(held))
    return names


def repeated(store: Store, name: str) -> list[str]:
    """Return the names that several images of a manifest have."""
    import pyarrow.compute as pc

    paths = read_columns(store.read(name), "path")["path"]
    if pc.count_distinct(paths).as_py() == len(paths):
        return []
    counts = pc.value_counts(paths)
    return [readable(_text(each["values"])) for each in counts.to_pylist() if each["counts"] > 1]


def shard_name(number: int, rows: Sequence[Row]) -> str:
    """Return the name of a shard: its number, and a hash of the images that it is made of.

    Where an image changed, was added or is gone, it is another shard.

    Examples
    --------
    >>> shard_name(3, [Row("1.jpg", "/a/1.jpg", size=7)])
    '000003-b8b889c6b71a8543'
    >>> shard_name(3, [Row("1.jpg", "/b/1.jpg", size=7)])
    '000003-b8b889c6b71a8543'
    """
    digest = hashlib.sha256()
    for row in rows:
        said = f"{row.path}\0{row.kind}\0{row.offset}\0{row.size}\0{row.modified}\0"
        digest.update(said.encode(errors="surrogateescape"))
    return f"{number:06d}-{digest.hexdigest()[:_DIGITS]}"


class Changes(NamedTuple):
    """In what a list of images differs from an earlier one.

    Attributes
    ----------
    added, changed, gone : list of str
        Names of images.
    rows : list of Row
        The new list: what was there before in its old order, then what is new.
    """

    added: list[str]
    changed: list[str]
    gone: list[str]
    rows: list[Row]


def changes(before: Iterable[Row], now: Iterable[Row]) -> Changes:
    """Compare two lists of images.

    Examples
    --------
    >>> a, b, c = (Row(name, f"/{name}", size=1) for name in "abc")
    >>> found = changes([b, c], [a, b._replace(size=2)])
    >>> found.added, found.changed, found.gone, [row.path for row in found.rows]
    (['a'], ['b'], ['c'], ['b', 'a'])
    """
    left = {row.path: row for row in now}
    kept, changed, gone = [], [], []
    for old in before:
        new = left.pop(old.path, None)
        if new is None:
            gone.append(old.path)
            continue
        kept.append(new)
        if new._replace(container="") != old._replace(container=""):
            changed.append(old.path)
    return Changes([*left], changed, gone, [*kept, *left.values()])


# ------------------------------------------------------------------ as tables


def _schema() -> Any:
    pa = pyarrow()
    return pa.schema(
        [
            # Names of files are bytes; most are UTF-8.
            pa.field("path", pa.binary(), nullable=False),
            pa.field("container", pa.binary(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("modified", pa.int64(), nullable=False),
        ]
    )


def _table(rows: Sequence[Row]) -> Any:
    pa = pyarrow()
    columns = list(zip(*rows, strict=True))
    for i in range(2):
        columns[i] = tuple(text.encode(errors="surrogateescape") for text in columns[i])
    schema = _schema()
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)],
        schema,
    )


def _rows(table: Any) -> list[Row]:
    paths, containers, kinds, *numbers = (column.to_pylist() for column in table.columns)
    return [
        Row(_text(path), _text(container), cast(Kind, kind), *rest)
        for path, container, kind, *rest in zip(paths, containers, kinds, *numbers, strict=True)
    ]


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
