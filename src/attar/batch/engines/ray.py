"""A Ray cluster, by Ray Data.

What travels is the number of a shard, and its record back. Each actor keeps one worker process of
its own, as the local engine does, so that an image which kills it is found in the same way. Where a
node dies, Ray gives its shards to others; what was finished there is found in the output.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

from attar.batch.keeper import Keeper
from attar.batch.plan import Done, Plan, finished_record, read_plan
from attar.batch.store import Store, missing, open_store
from attar.batch.work import Tally
from attar.errors import AttarError

__all__ = ["run_on_ray"]


def run_on_ray(
    plan: Plan, numbers: list[int], store: Store, workers: int | None, image_seconds: float
) -> Iterator[Done]:
    """Have a Ray cluster compute shards; give the records in the order in which they end.

    Parameters
    ----------
    plan : Plan
    numbers : list of int
        Of the shards.
    store : Store
        The output, which every node must see at this address.
    workers : int or None
        At most so many actors; None for as many as the cluster has processors.
    image_seconds : float
        That an image may take.

    Raises
    ------
    AttarError
        Ray is missing; or a node wrote what is not seen from here.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise missing("ray", "ray", error) from error
    own = not ray.is_initialized()
    if own:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        most = max(1, min(workers or int(ray.cluster_resources().get("CPU", 1)), len(numbers)))
        tasks = ray.data.from_items(
            [{"number": number} for number in numbers], override_num_blocks=len(numbers)
        )
        answers = tasks.map_batches(
            _Actor,
            fn_constructor_args=(store.address, image_seconds),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
            num_cpus=1,
        )
        for answer in answers.iter_rows():
            yield _record(answer, store)
    finally:
        if own:
            ray.shutdown()


def _record(answer: dict[str, Any], store: Store) -> Done:
    if answer["error"]:
        error: BaseException = pickle.loads(answer["error"])
        raise error
    record: Done = json.loads(answer["record"])
    if finished_record(store, record["shard"]) is None:
        raise AttarError(
            f"batch: a node of the cluster wrote to {store.address}, of which "
            "nothing is seen here; name an output that all nodes share"
        )
    return record


class _Actor:
    """Computes shards of a plan that it reads from the output."""

    def __init__(self, address: str, image_seconds: float) -> None:
        self._store = open_store(address)
        plan = read_plan(self._store)
        if plan is None:
            raise AttarError(
                f"batch: a node of the cluster sees no plan in {address}; name an output that all "
                "nodes share"
            )
        self._plan = plan
        self._keeper = Keeper(plan.config, address, image_seconds)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        answers: dict[str, list[Any]] = {"record": [], "error": []}
        for number in batch["number"].tolist():
            record, error = "", b""
            try:
                record = json.dumps(self._done(number))
            except (AttarError, OSError, MemoryError) as failed:
                error = pickle.dumps(failed)
            answers["record"].append(record)
            answers["error"].append(error)
        return answers

    def _done(self, number: int) -> Done:
        # Ray may ask once more for what it lost together with a node.
        found = finished_record(self._store, self._plan.shards[number])
        if found is not None:
            return found
        return self._keeper.compute(self._plan.shard(self._store, number), _nothing)

    def __del__(self) -> None:
        keeper = getattr(self, "_keeper", None)
        if keeper is not None:
            keeper.close()


def _nothing(tally: Tally) -> None:
    """Nobody looks on from another machine."""
