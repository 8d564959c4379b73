"""Processes of this machine, one for each core."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from attar.batch.config import BatchConfig
from attar.batch.keeper import Keeper
from attar.batch.outputs import Shard
from attar.batch.plan import Done
from attar.batch.store import Store
from attar.batch.work import Tally, compute

__all__ = ["run_here", "run_local"]

Told = Callable[[str, Tally], None]
"""Called with the name of a shard, and how far it is; from any thread."""


def run_local(
    shards: Iterable[Shard],
    config: BatchConfig,
    store: Store,
    workers: int,
    tell: Told,
    image_seconds: float,
) -> Iterator[Done]:
    """Have worker processes compute shards; give the records in the order in which they end.

    A worker is given its next shard when it has finished one, so that none waits for another and no
    more than `workers` shards are in memory. The first error ends all.
    """
    left = iter(shards)
    taking = threading.Lock()
    ended: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()
    keepers = [Keeper(config, store.address, image_seconds) for _ in range(workers)]
    stopped = threading.Event()

    def work(keeper: Keeper) -> None:
        try:
            while not stopped.is_set():
                with taking:
                    shard = next(left, None)
                if shard is None:
                    break
                name = shard.name
                ended.put(keeper.compute(shard, lambda tally, name=name: tell(name, tally)))  # type: ignore[misc]
        except BaseException as error:
            ended.put(error)
        finally:
            ended.put(None)

    threads = [threading.Thread(target=work, args=(keeper,), daemon=True) for keeper in keepers]
    for thread in threads:
        thread.start()
    try:
        working = len(threads)
        while working:
            # Waiting with a limit, since Ctrl-C does not reach a wait without one everywhere.
            try:
                message = ended.get(timeout=0.5)
            except queue.Empty:
                continue
            if message is None:
                working -= 1
            elif isinstance(message, BaseException):
                raise message
            else:
                yield message
    finally:
        stopped.set()
        for keeper in keepers:
            keeper.close()
        for thread in threads:
            thread.join()


def run_here(
    shards: Iterable[Shard], config: BatchConfig, store: Store, tell: Told
) -> Iterator[Done]:
    """Compute shards in this process: for files that no other one sees, as those of ``memory://``."""
    for shard in shards:
        name = shard.name
        yield compute(store, shard, config, tell=lambda tally, name=name: tell(name, tally))  # type: ignore[misc]
