"""Images in Parquet: a column of their bytes, or of their paths."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from attar.batch.columns import pyarrow
from attar.batch.files import Files
from attar.batch.rows import Row
from attar.errors import ArgumentError, ImageError

__all__ = ["TABLES", "cells", "image_column", "opened_table", "paths_in"]

TABLES = (".parquet", ".pq")
_IMAGES = ("image", "img", "jpg", "jpeg", "png", "bytes", "picture", "photo")
_PATHS = ("path", "file", "filename", "file_name", "image_path", "image", "url")


@contextlib.contextmanager
def opened_table(files: Files, path: str) -> Iterator[Any]:
    """Open a Parquet file while the block runs.

    Raises
    ------
    ImageError (a ValueError)
        It is damaged.
    """
    pa = pyarrow()
    from pyarrow import parquet

    with files.open(path) as file:
        try:
            table = parquet.ParquetFile(file)
        except (pa.ArrowException, ValueError) as error:
            raise ImageError(f"batch: {path} is damaged, or no Parquet file: {error}") from error
        with table:
            yield table


def image_column(schema: Any, column: str | None, path: str) -> str | None:
    """Return the name of the column with images; None where there are paths instead."""
    types = pyarrow().types
    names: list[str] = list(schema.names)
    if column is not None and column not in names:
        raise ArgumentError(f"batch: {path} has no column {column!r}; it has {', '.join(names)}")

    def holds_bytes(name: str) -> bool:
        kind = schema.field(name).type
        if types.is_struct(kind):
            inner = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
            return "bytes" in inner and _is_binary(inner["bytes"])
        return bool(_is_binary(kind))

    def holds_text(name: str) -> bool:
        kind = schema.field(name).type
        return bool(types.is_string(kind) or types.is_large_string(kind))

    if column is not None:
        if holds_bytes(column):
            return column
        if holds_text(column):
            return None
        raise ArgumentError(
            f"batch: column {column!r} of {path} holds {schema.field(column).type}; accepted are "
            "bytes, a struct with bytes, and paths as text"
        )
    images = [name for name in names if holds_bytes(name)]
    chosen = [name for name in images if name.lower() in _IMAGES] or images
    if len(chosen) > 1:
        raise ArgumentError(
            f"batch: {path} has several columns that may be images: {', '.join(chosen)}; name one "
            "(--column)"
        )
    if chosen:
        return chosen[0]
    if not any(name in _PATHS and holds_text(name) for name in names):
        raise ArgumentError(
            f"batch: {path} has no column of images or paths that is known by name; name one "
            f"(--column) of {', '.join(names)}"
        )
    return None


def paths_in(files: Files, path: str, column: str | None) -> Iterator[str] | None:
    """Give the paths in a table; None where it holds images."""
    with opened_table(files, path) as table:
        names = table.schema_arrow.names
        if image_column(table.schema_arrow, column, path) is not None:
            return None
    chosen = column or next(name for name in _PATHS if name in names)

    def paths() -> Iterator[str]:
        with opened_table(files, path) as table:
            for batch in table.iter_batches(columns=[chosen], use_threads=False):
                for value in batch.column(0).to_pylist():
                    yield value or ""

    return paths()


def cells(files: Files, path: str, name: str, column: str | None) -> Iterator[Row]:
    """Give a row for each cell of the column with images."""
    with opened_table(files, path) as table:
        count = table.metadata.num_rows
        chosen = image_column(table.schema_arrow, column, path)
    _, modified = files.state(path)
    container = f"{files.absolute(path)}#{chosen}"
    for number in range(count):
        yield Row(f"{name}#{number}", container, "cell", number, -1, modified)


def _is_binary(kind: Any) -> bool:
    types = pyarrow().types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )
