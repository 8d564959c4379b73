"""How far a batch is, while it runs and afterwards."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from attar.batch.columns import read_columns
from attar.batch.outputs import table_name
from attar.batch.plan import Done, Plan, done, read_plan
from attar.batch.store import Store, open_store
from attar.batch.work import Tally
from attar.errors import ArgumentError
from attar.tables import count

__all__ = ["BatchReport", "Failure", "Progress", "ProgressCounter", "failures", "status"]

SCHEMA = "attar.batch/1"


class Failure(NamedTuple):
    """An image without features, and why."""

    path: str
    error: str


@dataclass(frozen=True)
class BatchReport:
    """What there is of a batch.

    Attributes
    ----------
    destination : str
    source : list of str
    images, shards : int
        Of the data set.
    images_done, shards_done : int
        Finished and kept, by this run or an earlier one.
    failed : int
        Of those, images without features: their rows say why.
    bytes : int
        Of the pictures that are done.
    images_now : int
        Images that this run did.
    seconds : float
        That this run took.
    added : int
        Images that an earlier run did not know.
    running : str or None
        Who is at work on it, where that is known.
    """

    destination: str
    source: list[str]
    images: int
    shards: int
    images_done: int
    shards_done: int
    failed: int
    bytes: int
    images_now: int = 0
    seconds: float = 0.0
    added: int = 0
    running: str | None = None

    @property
    def finished(self) -> bool:
        """Whether every image is done."""
        return self.shards_done == self.shards

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that `json.dumps` takes."""
        values = {"schema": SCHEMA, **asdict(self), "finished": self.finished}
        values["seconds"] = round(self.seconds, 3)
        return values

    def failures(self, most: int = 20) -> list[Failure]:
        """Return the first images without features, and why."""
        store = open_store(self.destination)
        plan = read_plan(store)
        return [] if plan is None else failures(store, plan, most)

    def __str__(self) -> str:
        left = self.images - self.images_done
        lines = [
            f"{self.destination}: {count(self.images_done)} of {count(self.images)} images in "
            f"{count(self.shards_done)} of {count(self.shards)} shards"
        ]
        if self.failed:
            lines.append(f"  {count(self.failed)} without features; the column error says why")
        if self.images_now and self.seconds:
            rate = self.images_now / self.seconds
            lines.append(f"  {count(self.images_now)} now, {rate:.4g} images/s")
        if self.running is not None:
            lines.append(f"  a run is at work: {self.running}")
        elif left:
            lines.append(f"  {count(left)} left: the same command goes on")
        return "\n".join(lines)


def report_of(store: Store, plan: Plan, **more: Any) -> BatchReport:
    """Return the report of an output."""
    records = done(store, plan).values()
    return BatchReport(
        destination=store.address,
        source=plan.source,
        images=plan.images,
        shards=len(plan.shards),
        images_done=sum(each["images"] for each in records),
        shards_done=len(records),
        failed=sum(each["failed"] for each in records),
        bytes=sum(each["bytes"] for each in records),
        **more,
    )


def status(destination: str | os.PathLike[str]) -> BatchReport:
    """Look at the output of a batch, finished or not, while it runs or not.

    Parameters
    ----------
    destination : path or address

    Raises
    ------
    ArgumentError (a ValueError)
        There is none.

    Examples
    --------
    >>> status("/nowhere")
    Traceback (most recent call last):
    attar.errors.ArgumentError: batch: there is no output of a batch in /nowhere
    """
    store = open_store(destination)
    plan = read_plan(store)
    if plan is None:
        raise ArgumentError(f"batch: there is no output of a batch in {store.address}")
    return report_of(store, plan, running=store.holder())


def failures(store: Store, plan: Plan, most: int) -> list[Failure]:
    """Return the first images without features, and why."""
    found: list[Failure] = []
    for each in done(store, plan).values():
        if len(found) >= most:
            break
        if each["failed"]:
            found.extend(_failures_of(store, table_name(plan.config.format, each["shard"])))
    return found[:most]


def _failures_of(store: Store, name: str) -> Iterator[Failure]:
    table = read_columns(store.read(name), "path", "error")
    for path, error in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if error is not None:
            yield Failure(path, error)


# ------------------------------------------------------------------ while it runs


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    images, total : int
        Done, by this run or an earlier one; and of how many.
    failed : int
        Of those done, without features.
    images_now, bytes_now : int
        What this run did.
    seconds : float
        Since it began.
    """

    images: int
    total: int
    failed: int
    images_now: int
    bytes_now: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Of this run, on average."""
        return self.images_now / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Bytes of pictures that this run read, on average."""
        return self.bytes_now / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated; None where nothing is done yet."""
        if not self.images_now:
            return None
        return (self.total - self.images) / self.images_per_second


class ProgressCounter:
    """Adds up what several workers say, and passes it on now and then."""

    def __init__(
        self, before: BatchReport, tell: Callable[[Progress], None], every: float = 0.1
    ) -> None:
        self._before = before
        self._tell = tell
        self._every = every
        self._lock = threading.Lock()
        self._shards: dict[str, Tally] = {}
        self._ended = Tally()
        self._begun = self._told = time.monotonic()

    def __call__(self, shard: str, tally: Tally) -> None:
        """Note how far a shard is."""
        with self._lock:
            self._shards[shard] = tally
            now = time.monotonic()
            if now - self._told < self._every:
                return
            self._told = now
            self._tell(self.progress)

    def end(self, record: Done) -> None:
        """Note that a shard is finished."""
        with self._lock:
            self._shards.pop(record["shard"], None)
            tally = Tally(record["images"], record["failed"], record["bytes"])
            self._ended = _sum(self._ended, tally)
            self._tell(self.progress)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        now = _sum(self._ended, *self._shards.values())
        return Progress(
            self._before.images_done + now.images,
            self._before.images,
            self._before.failed + now.failed,
            now.images,
            now.bytes,
            time.monotonic() - self._begun,
        )


def _sum(*tallies: Tally) -> Tally:
    return Tally(*map(sum, zip(*tallies, strict=True)))
