"""From a row to the bytes of its image."""

from __future__ import annotations

import bisect
import contextlib
import zipfile
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from typing import Any, BinaryIO, Protocol

from attar.batch.archives import FAULTS, unpacked
from attar.batch.files import Files, files_at
from attar.batch.rows import Row
from attar.batch.tables import opened_table
from attar.errors import AttarError, ImageError, ImageNotFoundError

__all__ = ["Reader", "fetched"]

_OPENED = 4  # archives and tables at a time
_AHEAD = 16  # images that are fetched at a time from elsewhere
_AHEAD_BYTES = 64 << 20  # and how much that may be, unless one is larger


class Reader(contextlib.AbstractContextManager["Reader"]):
    """Reads images wherever they are. One for each thread: it keeps archives open.

    Parameters
    ----------
    max_bytes : int
        Of one image: an archive may say that it is small, and unpack to anything.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "1.png"
    >>> _ = path.write_bytes(b"...")
    >>> with Reader() as reader:
    ...     reader.read(Row("1.png", str(path), size=3))
    b'...'
    """

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self._most = max_bytes
        self._opened: OrderedDict[str, _Container] = OrderedDict()

    def __exit__(self, *_: object) -> None:
        while self._opened:
            self._opened.popitem()[1].close()

    def read(self, row: Row) -> bytes:
        """Return the bytes of an image.

        Raises
        ------
        ImageNotFoundError
            Its file is not there.
        ImageError (a ValueError)
            It is too large, changed since it was listed, or what holds it is damaged.
        OSError
            It cannot be read.
        """
        if row.size > self._most:
            raise ImageError(f"it has {row.size} bytes; at most {self._most} are read")
        try:
            data = self._bytes(row)
        except FileNotFoundError as error:
            if isinstance(error, AttarError):
                raise
            raise ImageNotFoundError("there is no such file") from None
        except IsADirectoryError:
            raise ImageError("it is a folder") from None
        except FAULTS as error:
            self._forget(row)
            if isinstance(error, AttarError):
                raise
            raise ImageError(f"what holds it is damaged: {error}") from error
        if len(data) > self._most:
            raise ImageError(f"it has more than {self._most} bytes, which is the most that is read")
        if row.size >= 0 and len(data) != row.size:
            raise ImageError(
                f"it changed while the batch ran: {len(data)} bytes, and {row.size} when it was "
                "listed"
            )
        return data

    def _bytes(self, row: Row) -> bytes:
        if row.kind == "file":
            return files_at(row.container).read(row.container, 0, self._most + 1)
        if row.offset < 0:
            raise ImageError("it is a link, or has holes, in its archive; store it as a plain file")
        if row.kind == "range":
            end = row.offset + row.size
            return files_at(row.container).read(row.container, row.offset, end)
        return self._container(row).read(row, self._most)

    def _container(self, row: Row) -> _Container:
        known = self._opened.get(row.container)
        if known is not None and known.can_read(row):
            self._opened.move_to_end(row.container)
            return known
        self._forget(row)
        path, kind = row.container, _CONTAINERS[row.kind]
        files = files_at(path)
        opened = self._opened[row.container] = kind(files, path)
        if len(self._opened) > _OPENED:
            self._opened.popitem(last=False)[1].close()
        return opened

    def _forget(self, row: Row) -> None:
        known = self._opened.pop(row.container, None)
        if known is not None:
            known.close()


def fetched(
    rows: Iterable[Row], reader: Reader, skip: Container[int] = ()
) -> Iterator[tuple[Row, Callable[[], bytes]]]:
    """Give each image with what reads it: `Reader.read`, which was begun where it takes its time.

    A request to an object store takes as long as decoding several images. So the next ones are
    asked for while others are worked on.

    Parameters
    ----------
    rows : iterable of Row
    reader : Reader
    skip : container of int
        Places of images that are not touched.
    """
    pool = ThreadPoolExecutor(_AHEAD)  # which starts no thread before there is something to do
    ahead: deque[tuple[Row, Callable[[], bytes]]] = deque()
    try:
        for place, row in enumerate(rows):
            far = row.kind in ("file", "range") and "://" in row.container and place not in skip
            if far:
                while ahead and (len(ahead) == _AHEAD or _held(ahead, row) > _AHEAD_BYTES):
                    yield ahead.popleft()
                ahead.append((row, pool.submit(reader.read, row).result))
            else:
                while ahead:
                    yield ahead.popleft()
                yield row, partial(reader.read, row)
        yield from ahead
    finally:
        pool.shutdown(cancel_futures=True)


def _held(ahead: Iterable[tuple[Row, object]], more: Row) -> int:
    """Return how many bytes are waiting, with one more image."""
    return sum(max(row.size, 0) for row, _ in ahead) + max(more.size, 0)


class _Container(Protocol):
    """A file with several images, opened."""

    def can_read(self, row: Row) -> bool: ...
    def read(self, row: Row, most: int) -> bytes: ...
    def close(self) -> None: ...


class _Zip:
    """A zip archive."""

    def __init__(self, files: Files, path: str) -> None:
        self._file = files.open(path)
        self._archive = zipfile.ZipFile(self._file)
        self._members = self._archive.infolist()

    def can_read(self, row: Row) -> bool:
        return True

    def read(self, row: Row, most: int) -> bytes:
        if row.offset >= len(self._members):
            raise ImageError("its archive changed while the batch ran")
        with self._archive.open(self._members[row.offset]) as file:
            return file.read(most + 1)

    def close(self) -> None:
        self._archive.close()
        self._file.close()


class _Stream:
    """A compressed tar archive, which is unpacked from its beginning on."""

    def __init__(self, files: Files, path: str) -> None:
        self._file = files.open(path)
        self._archive: Any = unpacked(self._file, path)

    def can_read(self, row: Row) -> bool:
        return bool(self._archive.fileobj.tell() <= row.offset)

    def read(self, row: Row, most: int) -> bytes:
        stream: BinaryIO = self._archive.fileobj
        stream.seek(row.offset)
        return stream.read(row.size)

    def close(self) -> None:
        self._archive.close()
        self._file.close()


class _Table:
    """A Parquet file, of which a row group is held."""

    def __init__(self, files: Files, container: str) -> None:
        path, self._column = container.rsplit("#", 1)
        self._opened = contextlib.ExitStack()
        self._file = self._opened.enter_context(opened_table(files, path))
        counts = [
            self._file.metadata.row_group(i).num_rows
            for i in range(self._file.metadata.num_row_groups)
        ]
        self._begins = [0, *accumulate(counts)]
        self._held = -1
        self._values: Any = None

    def can_read(self, row: Row) -> bool:
        return True

    def read(self, row: Row, most: int) -> bytes:
        group = bisect.bisect_right(self._begins, row.offset) - 1
        if group >= len(self._begins) - 1:
            raise ImageError("its table changed while the batch ran")
        if group != self._held:
            self._values = None  # before the next one takes memory
            self._values = self._file.read_row_group(
                group, columns=[self._column], use_threads=False
            )[0]
            self._held = group
        value = self._values[row.offset - self._begins[group]].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            raise ImageError("its cell is empty")
        return bytes(data)

    def close(self) -> None:
        self._opened.close()


_CONTAINERS: dict[str, Callable[[Files, str], _Container]] = {
    "member": _Zip,
    "stream": _Stream,
    "cell": _Table,
}
