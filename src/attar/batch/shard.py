"""`process_shard`: rows in, features out. It depends on nothing but what it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attar.batch.columns import Outcome, feature_tables, pyarrow, schema
from attar.batch.config import BatchConfig
from attar.batch.extractor import Extractor
from attar.batch.reading import Reader, fetched
from attar.batch.rows import Row
from attar.errors import AttarError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["outcomes", "process_shard"]


def process_shard(rows: Sequence[Row], config: BatchConfig) -> pa.Table:
    """Extract the features of some images, as a table.

    Parameters
    ----------
    rows : sequence of Row
    config : BatchConfig

    Returns
    -------
    pyarrow.Table
        A row for each of `rows`, in order: ``path``, ``content_hash`` (SHA-256 of the bytes),
        ``image_shape``, ``shape``, ``features`` (float32, flat: ``reshape(shape)`` gives the map)
        and ``error``, the reason where there are no features.

    Raises
    ------
    ArgumentError, ModelError (both ValueError)
        The configuration itself cannot be carried out. A bad image is no error.

    Examples
    --------
    >>> from attar.batch.config import ThreeSteps
    >>> config = BatchConfig(ThreeSteps.of("edge"), reduce="gap")
    >>> table = process_shard([Row("gone.png", "/nowhere/gone.png")], config)
    >>> table.num_rows, table["features"][0].as_py() is None
    (1, True)
    """
    found = feature_tables(outcomes(rows, config))
    return pyarrow().concat_tables([schema().empty_table(), *found])


def outcomes(
    rows: Iterable[Row],
    config: BatchConfig,
    *,
    skip: Mapping[int, str] | None = None,
    begin: Callable[[int], None] | None = None,
) -> Iterator[Outcome]:
    """Give what becomes of each row, one after the other.

    Parameters
    ----------
    rows : iterable of Row
    config : BatchConfig
    skip : mapping of int to str
        Places of rows that are not to be tried, and the reason.
    begin : callable
        Called with the place of each row before it is tried.
    """
    extractor = _extractor(config)
    with Reader() as reader:
        for place, (row, read) in enumerate(fetched(rows, reader, skip or ())):
            if skip and place in skip:
                yield Outcome(row, None, 0, None, None, skip[place])
                continue
            if begin is not None:
                begin(place)
            yield _outcome(row, read, extractor)


def _outcome(row: Row, read: Callable[[], bytes], extractor: Extractor) -> Outcome:
    data = None
    digest = None
    try:
        data = read()
        digest = hashlib.sha256(data).hexdigest()
        features = extractor(data, row.path)
    except (AttarError, OSError, MemoryError) as error:
        size = 0 if data is None else len(data)
        return Outcome(row, digest, size, None, None, _reason(error, row))
    return Outcome(row, digest, len(data), features.image_shape, features.values, None)


def _reason(error: BaseException, row: Row) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    text = " ".join(str(error).split()) or type(error).__name__
    for name in (row.path, repr(row.path)):
        text = text.removeprefix(f"cannot read {name}: ")
    return text


_opened: list[Extractor] = []  # the last one of this process: opening a model takes a while


def _extractor(config: BatchConfig) -> Extractor:
    if not _opened or _opened[0].config != config:
        _opened[:] = [Extractor(config)]
    return _opened[0]
