"""What the answers of a shard are kept as: Parquet, a file for each image, or one Zarr array."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from attar.batch.columns import (
    Outcome,
    feature_tables,
    index_table,
    readable,
    schema,
)
from attar.batch.config import BatchConfig, Format
from attar.batch.extractor import Extractor
from attar.batch.rows import Row
from attar.batch.store import FolderStore, Store, missing, sync
from attar.errors import ArgumentError

__all__ = ["ARRAY", "INDEX", "Output", "Shard", "output_for", "table_name"]

ARRAY = "features"
"""The Zarr array, and the folder of ``.npy`` files."""

INDEX = "index"
"""The folder of tables, where features are not in them."""

_CHUNK_BYTES = 8 << 20
_LONGEST_NAME = 200  # bytes; file systems allow 255


class Shard(NamedTuple):
    """Some consecutive images.

    Attributes
    ----------
    name : str
        Its number, and a hash of what it is made of.
    begin : int
        Place of its first image among all.
    rows : list of Row
    """

    name: str
    begin: int
    rows: list[Row]


def table_name(format: Format, shard: str) -> str:
    """Return the name of the table of a shard: apart, where there are other files beside it.

    Examples
    --------
    >>> table_name("parquet", "000000-0f"), table_name("zarr", "000000-0f")
    ('000000-0f.parquet', 'index/000000-0f.parquet')
    """
    return f"{shard}.parquet" if format == "parquet" else f"{INDEX}/{shard}.parquet"


class Output(Protocol):
    """How the answers of shards are kept. Writing a shard again writes the same."""

    def prepare(self, store: Store, images: int) -> None:
        """Make what all shards share, for so many images."""
        ...

    def write(self, store: Store, shard: Shard, found: Iterator[Outcome]) -> None:
        """Keep what became of a shard, for good. Its table comes last."""
        ...


def output_for(config: BatchConfig) -> Output:
    """Return how answers are kept.

    Raises
    ------
    ArgumentError (a ValueError)
        Zarr, and features differ in shape from image to image.
    """
    kinds: dict[Format, type[Any]] = {"parquet": _Tables, "npy": _Files, "zarr": _Array}
    output: Output = kinds[config.format](config)
    return output


class _Tables:
    """Features in a column. Row groups are written as they come, so that few are in memory."""

    def __init__(self, config: BatchConfig) -> None:
        self._config = config

    def prepare(self, store: Store, images: int) -> None:
        """Nothing is shared."""

    def write(self, store: Store, shard: Shard, found: Iterator[Outcome]) -> None:
        name = table_name("parquet", shard.name)
        with store.write(name) as file, _writer(file, "features") as writer:
            for table in feature_tables(found):
                writer.write_table(table)


class _Files:
    """A ``.npy`` file for each image, under its name."""

    def __init__(self, config: BatchConfig) -> None:
        self._config = config

    def prepare(self, store: Store, images: int) -> None:
        """Nothing is shared."""

    def write(self, store: Store, shard: Shard, found: Iterator[Outcome]) -> None:
        held, names = [], []
        for place, outcome in enumerate(found):
            name = None
            if outcome.features is not None:
                name = f"{ARRAY}/{file_name(outcome.row.path, shard.begin + place)}"
                with store.write(name) as file:
                    np.save(file, outcome.features, allow_pickle=False)
                outcome = outcome._replace(features=_shape_alone(outcome.features))
            held.append(outcome)
            names.append(name)
        _write_index(store, table_name("npy", shard.name), held, "file", names)


class _Array:
    """One array of all images, (N, ...). A chunk never belongs to two shards."""

    def __init__(self, config: BatchConfig) -> None:
        self._config = config
        self._kept: Any = None

    def prepare(self, store: Store, images: int) -> None:
        zarr = _zarr()
        shape = Extractor(self._config).shape
        if shape is None:
            raise ArgumentError(
                "batch: format is 'zarr', one array of all images, whose features must have one "
                "shape: state a size (--size), or take another format (parquet, npy)"
            )
        target = _zarr_store(store)
        whole = (images, *shape)
        each = max(1, 4 * int(np.prod(shape)))
        chunk = _divisor(self._config.shard_images, max(1, _CHUNK_BYTES // each))
        group = zarr.open_group(target, mode="a", zarr_format=3)
        if ARRAY in group:
            if group[ARRAY].shape != whole:
                group[ARRAY].resize(whole)
            return
        group.create_array(
            ARRAY, shape=whole, chunks=(chunk, *shape), dtype="float32", fill_value=np.nan
        )

    def write(self, store: Store, shard: Shard, found: Iterator[Outcome]) -> None:
        array = self._array(store)
        chunk = array.chunks[0]
        held: list[Outcome] = []
        block = np.full((chunk, *array.shape[1:]), np.nan, np.float32)
        for outcome in found:
            place = len(held) % chunk
            block[place] = np.nan if outcome.features is None else outcome.features
            if outcome.features is not None:
                outcome = outcome._replace(features=_shape_alone(outcome.features))
            held.append(outcome)
            if place == chunk - 1 or len(held) == len(shard.rows):
                first = shard.begin + len(held) - 1 - place
                array[first : first + place + 1] = block[: place + 1]
                if isinstance(store, FolderStore):
                    number = (first // chunk, *(0 for _ in array.shape[1:]))
                    sync(store.folder / ARRAY / array.metadata.encode_chunk_key(number))
        index = [None if each.features is None else shard.begin + i for i, each in enumerate(held)]
        _write_index(store, table_name("zarr", shard.name), held, "index", index)

    def _array(self, store: Store) -> Any:
        if self._kept is None:
            self._kept = _zarr().open_array(_zarr_store(store), path=ARRAY, mode="r+")
        return self._kept


# ------------------------------------------------------------------ tables


def _writer(file: Any, kept: str) -> Any:
    from pyarrow import parquet

    return parquet.ParquetWriter(
        file,
        schema(kept),
        compression="zstd",
        compression_level=1,
        use_dictionary=["error"],
        write_statistics=["path", "content_hash", "error"],
    )


def _write_index(
    store: Store, name: str, held: Sequence[Outcome], kept: str, values: Sequence[Any]
) -> None:
    with store.write(name) as file, _writer(file, kept) as writer:
        writer.write_table(index_table(held, kept, values))


def _shape_alone(features: Any) -> Any:
    """Stand in for features that are written: the shape is still wanted, the memory is not."""
    return np.broadcast_to(np.float32(0), features.shape)


# ------------------------------------------------------------------ names of files


def file_name(path: str, place: int) -> str:
    """Return the name of the file for an image: its own, where a file system takes that.

    Parameters
    ----------
    path : str
        What the image is called.
    place : int
        Its place among all, which makes a name its own again that had to be changed.

    Examples
    --------
    >>> file_name("cats/1.jpg", 7), file_name("../etc/passwd", 7), file_name("s3://b/1.jpg", 8)
    ('cats/1.jpg.npy', 'etc/passwd~7.npy', 's3/b/1.jpg~8.npy')
    """
    parts = [
        re.sub(r'[\x00-\x1f<>:"|?*\\~]', "_", part).strip()
        for part in re.split(r"[/\\]+", readable(path).replace("://", "/"))
    ]
    *folders, name = [_cut(part) for part in parts if part not in ("", ".", "..")] or ["image"]
    # A folder must not be called what a file may be.
    kept = "/".join([*(re.sub(r"\.npy$", ".npy_", folder) for folder in folders), name])
    return kept + (f"~{place}" if kept != path else "") + ".npy"


def _cut(part: str) -> str:
    return part.encode()[:_LONGEST_NAME].decode(errors="ignore")


# ------------------------------------------------------------------ Zarr


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise missing("zarr", "zarr", error) from error
    return zarr


def _zarr_store(store: Store) -> Any:
    if isinstance(store, FolderStore):
        return store.folder
    return _zarr().storage.FsspecStore.from_url(store.address)


def _divisor(number: int, most: int) -> int:
    """Return the largest divisor that is at most `most`.

    Examples
    --------
    >>> _divisor(256, 100), _divisor(7, 3)
    (64, 1)
    """
    return next(each for each in range(min(number, most), 0, -1) if number % each == 0)
