"""Which shards a data set is cut into, and which of them are finished."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, NamedTuple, TypedDict

from attar.batch.columns import read_columns
from attar.batch.config import BatchConfig, differences
from attar.batch.manifest import Changes, Manifest, changes, repeated, write_manifest
from attar.batch.outputs import ARRAY, INDEX, Shard, table_name
from attar.batch.rows import Row
from attar.batch.store import Store, to_json
from attar.errors import ArgumentError
from attar.tables import count

__all__ = [
    "OWN",
    "Done",
    "Plan",
    "done",
    "finished_record",
    "forget",
    "make_plan",
    "read_plan",
    "record",
]

OWN = "_attar"
"""The folder with what a batch needs to go on. Readers of Parquet leave such names out."""

_SCHEMA = "attar.batch.plan/1"
_PLAN = f"{OWN}/plan.json"
_LISTING = f"{OWN}/listing.parquet"
_DONE = f"{OWN}/done"
_TABLE = re.compile(r"(^|/)\d{6,}-[0-9a-f]{16}\.parquet$")

# Few images make small shards, so that no worker is idle; the rest is the same on every machine.
_SHARDS, _FEWEST, _MOST = 64, 8, 256
_NAMED = 3  # images that a message names


class Done(TypedDict):
    """What is written down of a finished shard.

    ``bytes`` are those of the pictures; ``seconds`` what it took.
    """

    shard: str
    images: int
    failed: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What has to be done.

    Attributes
    ----------
    config : BatchConfig
    source : list of str
        As it was named.
    images : int
    shards : list of str
        Names, in order.
    manifest : str
        Name of the file with the images.
    version : str
        Of attar, when it began.
    """

    config: BatchConfig
    source: list[str]
    images: int
    shards: list[str]
    manifest: str
    version: str

    def shard(self, store: Store, number: int) -> Shard:
        """Return a shard with its images."""
        return self._shard(Manifest(store, self.manifest), number)

    def jobs(self, store: Store, numbers: Iterable[int]) -> Iterator[Shard]:
        """Give some shards; their images are read when they are asked for."""
        manifest = Manifest(store, self.manifest)
        for number in numbers:
            yield self._shard(manifest, number)

    def _shard(self, manifest: Manifest, number: int) -> Shard:
        begin = number * self.config.shard_images
        return Shard(self.shards[number], begin, manifest.rows(number))


class Planned(NamedTuple):
    """A plan, and in what its source differs from that of an earlier run."""

    plan: Plan
    changes: Changes | None


def make_plan(
    store: Store,
    source: list[str],
    rows: Iterable[Row],
    config: BatchConfig,
    version: str,
    *,
    shard_images: int | None,
    update: bool,
    fresh: bool,
) -> Planned:
    """List the images, compare them with those of an earlier run, write down what is to be done.

    Parameters
    ----------
    store : Store
        The output.
    source : list of str
        How the source was named.
    rows : iterable of Row
    config : BatchConfig
    version : str
    shard_images : int or None
        None for what suits the number of images, or what it was before.
    update : bool
        Whether images may have changed, or be gone.
    fresh : bool
        Whether to remove what an earlier run wrote.

    Raises
    ------
    ArgumentError (a ValueError)
        The output is of another configuration, or images changed; the message says what.
    """
    before = None if fresh else read_plan(store)
    if before is not None and not done(store, before):
        before = None  # nothing was extracted that could be mixed with something else
    left = iter(rows)
    if before is not None:
        config = replace(config, shard_images=shard_images or before.config.shard_images)
        if differ := differences(before.config.as_dict(), config.as_dict()):
            raise ArgumentError(
                f"batch: what is in {store.address} was extracted in another way, which differs in "
                f"{', '.join(differ)}. Name another output, or begin anew with fresh (--fresh)"
            )
    else:
        first = list(islice(left, _SHARDS * _MOST + 1))
        fitting = min(max(-(-len(first) // _SHARDS), _FEWEST), _MOST)
        config = replace(config, shard_images=shard_images or fitting)
        left = chain(first, left)
    shards = write_manifest(store, _LISTING, left, config.shard_images)
    if names := repeated(store, _LISTING):
        raise ArgumentError(
            f"batch: {count(len(names))} names come more than once in the source, so that it would "
            f"not be clear whose features are whose: {', '.join(names[:_NAMED])}"
        )
    if before is None:
        _clear(store)
    found: Changes | None = None
    if before is not None and shards != before.shards:
        found = changes(Manifest(store, before.manifest), Manifest(store, _LISTING))
        if (found.changed or found.gone) and not update:
            raise ArgumentError(_refusal(store, found))
        shards = write_manifest(store, _LISTING, found.rows, config.shard_images)
    images = len(Manifest(store, _LISTING))
    digest = hashlib.sha256("\n".join(shards).encode()).hexdigest()
    manifest = f"{OWN}/manifest-{digest[:16]}.parquet"
    store.rename(_LISTING, manifest)
    plan = Plan(config, source, images, shards, manifest, version)
    _write(store, plan)
    _remove_stale(store, plan)
    return Planned(plan, found)


def _refusal(store: Store, found: Changes) -> str:
    parts = [
        f"{count(len(names))} {what} ({', '.join(names[:_NAMED])}{', …' * (len(names) > _NAMED)})"
        for names, what in ((found.changed, "changed"), (found.gone, "are gone"))
        if names
    ]
    return (
        f"batch: of the images in {store.address}, {' and '.join(parts)} in the source since; say "
        "update (--update) to compute anew what that touches, and to forget what is gone"
    )


def _write(store: Store, plan: Plan) -> None:
    values = {
        "schema": _SCHEMA,
        "attar": plan.version,
        "source": plan.source,
        "config": plan.config.as_dict(),
        "images": plan.images,
        "manifest": plan.manifest,
        "shards": plan.shards,
    }
    with store.write(_PLAN) as file:
        file.write(to_json(values))


def read_plan(store: Store) -> Plan | None:
    """Return the plan of an output; None where there is none.

    Raises
    ------
    ArgumentError (a ValueError)
        There is something that is none.
    """
    try:
        values: dict[str, Any] = json.loads(store.read(_PLAN))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ArgumentError(f"batch: {store.address}/{_PLAN} is damaged: {error}") from error
    if values.get("schema") != _SCHEMA:
        raise ArgumentError(
            f"batch: {store.address} was written by another version of attar (its plan is "
            f"{values.get('schema')!r}, known is {_SCHEMA!r}); name another output"
        )
    return Plan(
        BatchConfig.from_dict(values["config"]),
        values["source"],
        values["images"],
        values["shards"],
        values["manifest"],
        values["attar"],
    )


# ------------------------------------------------------------------ what is finished


def record(store: Store, done: Done) -> None:
    """Write down that a shard is finished: the last thing that is done for it."""
    with store.write(f"{_DONE}/{done['shard']}.json") as file:
        file.write(to_json(done))


def done(store: Store, plan: Plan) -> dict[str, Done]:
    """Return what is written down of the shards that are finished."""
    there = {name.removesuffix(".json") for name in store.names(_DONE)}
    names = [name for name in plan.shards if name in there]
    found = store.read_all([f"{_DONE}/{name}.json" for name in names])
    return {
        name: json.loads(record)
        for name, record in zip(names, found, strict=True)
        if record is not None
    }


def finished_record(store: Store, name: str) -> Done | None:
    """Return what is written down of one shard; None where it is not finished."""
    try:
        record: Done = json.loads(store.read(f"{_DONE}/{name}.json"))
    except FileNotFoundError:
        return None
    return record


def forget(store: Store, names: Iterable[str]) -> None:
    """Have shards done again."""
    for name in names:
        store.remove(f"{_DONE}/{name}.json")


def _clear(store: Store) -> None:
    """Remove what a batch wrote, and nothing else; the new listing stays."""
    for name in store.names(""):
        if _TABLE.search(name) or name == "zarr.json":
            store.remove(name)
    store.remove(ARRAY)
    store.remove(INDEX)
    for name in store.names(OWN):
        if name != "lock" and f"{OWN}/{name}" != _LISTING:
            store.remove(f"{OWN}/{name}")
    store.remove(_DONE)


def _remove_stale(store: Store, plan: Plan) -> None:
    """Remove what belongs to shards that are none any more."""
    forget(store, {name.removesuffix(".json") for name in store.names(_DONE)} - {*plan.shards})
    current = {table_name(plan.config.format, name) for name in plan.shards}
    folder = "" if plan.config.format == "parquet" else f"{INDEX}/"
    for name in (f"{folder}{each}" for each in store.names(folder)):
        if not _TABLE.search(name) or name in current:
            continue
        if plan.config.format == "npy":
            for file in _files(store.read(name)):
                store.remove(file)
        store.remove(name)
    for name in store.names(OWN):
        if name.startswith("manifest-") and f"{OWN}/{name}" != plan.manifest:
            store.remove(f"{OWN}/{name}")


def _files(table: bytes) -> list[str]:
    column = read_columns(table, "file")["file"]
    return [name for name in column.to_pylist() if name is not None]
