"""Outcomes as tables: the columns of what a batch writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.batch.rows import Row
from attar.batch.store import missing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "GROUP_BYTES",
    "Outcome",
    "feature_tables",
    "index_table",
    "parquet_file",
    "pyarrow",
    "read_columns",
    "readable",
    "schema",
]

GROUP_BYTES = 32 << 20
"""About how many bytes of features are gathered before they are written."""


class Outcome(NamedTuple):
    """What became of a row: features, or the reason why there are none.

    Attributes
    ----------
    row : Row
    content_hash : str or None
        SHA-256 of the bytes of the picture, as hexadecimal digits; None where none were read.
    size : int
        Bytes of the picture.
    image_shape : tuple of int or None
    features : ndarray, float32, or None
    error : str or None
    """

    row: Row
    content_hash: str | None
    size: int
    image_shape: tuple[int, ...] | None
    features: NDArray[np.float32] | None
    error: str | None


def schema(kept: str = "features") -> pa.Schema:
    """Return the columns.

    Parameters
    ----------
    kept : {"features", "file", "index"}
        The features themselves, float32 and flat; the name of the file that has them; or their
        place along the first axis of a Zarr array.
    """
    pa = pyarrow()
    types = {"features": pa.list_(pa.float32()), "file": pa.string(), "index": pa.int64()}
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("content_hash", pa.string()),
            pa.field("image_shape", pa.list_(pa.int32())),
            pa.field("shape", pa.list_(pa.int32())),
            pa.field(kept, types[kept]),
            pa.field("error", pa.string()),
        ]
    )


def feature_tables(found: Iterable[Outcome]) -> Iterator[pa.Table]:
    """Gather outcomes into tables with features, of about `GROUP_BYTES` each."""
    held: list[Outcome] = []
    held_bytes = 0
    for outcome in found:
        held.append(outcome)
        held_bytes += 0 if outcome.features is None else outcome.features.nbytes
        if held_bytes >= GROUP_BYTES:
            yield _feature_table(held)
            held, held_bytes = [], 0
    if held:
        yield _feature_table(held)


def _feature_table(held: Sequence[Outcome]) -> pa.Table:
    pa = pyarrow()
    sizes = [0 if each.features is None else each.features.size for each in held]
    offsets = np.zeros(len(held) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    there = [each.features.reshape(-1) for each in held if each.features is not None]
    numbers = np.concatenate(there) if there else np.empty(0, np.float32)
    lists = pa.ListArray.from_arrays(
        offsets, numbers, mask=pa.array([each.features is None for each in held])
    )
    return index_table(held, "features", lists)


def index_table(held: Sequence[Outcome], kept: str, values: Any) -> pa.Table:
    """Return a table of outcomes, with `values` in the column `kept`."""
    pa = pyarrow()
    columns = schema(kept)
    shapes = [None if each.features is None else each.features.shape for each in held]
    contents = {
        "path": [readable(each.row.path) for each in held],
        "content_hash": [each.content_hash for each in held],
        "image_shape": [each.image_shape for each in held],
        "shape": shapes,
        kept: values,
        "error": [None if each.error is None else readable(each.error) for each in held],
    }
    return pa.table([pa.array(contents[field.name], field.type) for field in columns], columns)


def parquet_file(table: bytes) -> Any:
    """Open a Parquet file that is in memory, whose parts are to be read with ``use_threads=False``.

    So none of pyarrow's threads is started, as is done by `parquet.read_table` and for files of
    Python: one that begins while the process ends ends it with SIGABRT.
    """
    from pyarrow import parquet

    return parquet.ParquetFile(pyarrow().BufferReader(table))


def read_columns(table: bytes, *names: str) -> Any:
    """Return some columns of a Parquet file."""
    return parquet_file(table).read(columns=list(names), use_threads=False)


def readable(text: str) -> str:
    r"""Return text that UTF-8 can hold: bytes of a name that are none are written ``\xff``.

    Examples
    --------
    >>> print(readable("caf\udce9.jpg"))
    caf\xe9.jpg
    """
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def pyarrow() -> Any:
    """Return the package.

    Raises
    ------
    AttarError
        It is not installed.
    """
    try:
        import pyarrow as package
    except ImportError as error:
        raise missing("pyarrow", "batch", error) from error
    return package
