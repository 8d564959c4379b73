"""One shard, from its images to its record: what every engine does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from attar.batch.columns import Outcome
from attar.batch.config import BatchConfig
from attar.batch.outputs import Shard, output_for
from attar.batch.plan import Done, record
from attar.batch.shard import outcomes
from attar.batch.store import Store

__all__ = ["Tally", "Tell", "compute"]


class Tally(NamedTuple):
    """How far a shard is.

    Attributes
    ----------
    images, failed : int
        Images that are done, and those of them without features.
    bytes : int
        Of their files.
    """

    images: int = 0
    failed: int = 0
    bytes: int = 0


Tell = Callable[[Tally], None]
"""Called before each image, and behind the last one, with what is done of the shard."""


def compute(
    store: Store,
    shard: Shard,
    config: BatchConfig,
    *,
    skip: Mapping[int, str] | None = None,
    tell: Tell | None = None,
) -> Done:
    """Extract the features of a shard, keep them, and write down that it is finished.

    Parameters
    ----------
    store : Store
    shard : Shard
    config : BatchConfig
    skip : mapping of int to str
        Places of images that are not to be tried, and the reason.
    tell : callable
        Called before each image, and once more when all of them are done.
    """
    begun = time.monotonic()
    tally = Tally()

    def counted(found: Iterator[Outcome]) -> Iterator[Outcome]:
        nonlocal tally
        for each in found:
            tally = Tally(
                tally.images + 1, tally.failed + (each.error is not None), tally.bytes + each.size
            )
            yield each
        if tell is not None:
            tell(tally)

    begin = None if tell is None else lambda place: tell(tally)
    found = outcomes(shard.rows, config, skip=skip, begin=begin)
    output_for(config).write(store, shard, counted(found))
    done = Done(
        shard=shard.name,
        images=tally.images,
        failed=tally.failed,
        bytes=tally.bytes,
        seconds=round(time.monotonic() - begun, 6),
    )
    record(store, done)
    return done
