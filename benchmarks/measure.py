"""Check the answers, then time the peers in turns.

A *sample* is the mean over enough calls to last 2 ms; a peer's number is the best of its samples.
In every round each peer gives one sample, in a new random order, so that a slow minute of the
machine is everybody's. A sample starts when the process has been quiet (threads of the peer before
may still spin, waiting for work) and after one untimed call.
"""

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import oracle
from benchmarks.peers import Peer, Way, find
from benchmarks.rows import Workload

SAMPLE_SECONDS = 2e-3
QUIET_SECONDS = 10e-3
QUIET_LIMIT_SECONDS = 1.0
TRIALS = 3
"""Samples that decide which of a peer's ways is its best."""


def tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def wait_until_quiet() -> float:
    """Sleep until the process used less than 5 % of a core for 10 ms; return the seconds slept.

    This is what keeps spinning threads from one peer out of the sample of the next.
    """
    begin = time.perf_counter()
    while (slept := time.perf_counter() - begin) < QUIET_LIMIT_SECONDS:
        before = time.process_time()
        time.sleep(QUIET_SECONDS)
        if time.process_time() - before < 0.05 * QUIET_SECONDS:
            break
    return slept + QUIET_SECONDS


def seconds_per_call(call: Callable[[], Any], at_least: float = 0.0) -> float:
    """Return the mean time of one call, over as many as last `at_least` seconds."""
    calls = 0
    begin = time.perf_counter()
    while True:
        call()
        calls += 1
        elapsed = time.perf_counter() - begin
        if elapsed >= at_least:
            return elapsed / calls


def failure(error: BaseException) -> dict[str, Any]:
    """Return the result of a peer that cannot take part, with the reason."""
    if isinstance(error, ImportError):
        status = "not installed"
    elif isinstance(error, NotImplementedError):
        status = "not supported"
    else:
        status = "error"
    lines = f"{type(error).__name__}: {error}".splitlines()
    return {"status": status, "reason": lines[0][:300]}


def describe_peer(peer: Peer) -> dict[str, Any]:
    """Return what every result says about its peer."""
    return {"name": peer.name, "hand_built": peer.hand_built}


def load_peers(
    keys: Iterable[str], threads: int
) -> tuple[dict[str, Peer], dict[str, dict[str, Any]], dict[str, str]]:
    """Load the peers of these keys: those that loaded, the failures of the others, the versions."""
    peers: dict[str, Peer] = {}
    failures: dict[str, dict[str, Any]] = {}
    versions: dict[str, str] = {}
    for key in keys:
        peer = find(key)
        try:
            versions |= peer.load(threads)
            peers[key] = peer
        except Exception as error:  # whatever a framework raises is a row of the report
            failures[key] = failure(error) | describe_peer(peer)
            tell(f"{peer.name}: {failures[key]['status']} ({failures[key]['reason']})")
    return peers, failures, versions


def best_way(ways: Mapping[str, Way], right: NDArray[np.float64]) -> tuple[dict[str, Any], Way]:
    """Check every way against the right answer and return the fastest, with what was found.

    Raises
    ------
    ValueError
        A way's answer is further from `right` than the tolerance. Then nothing of the peer is
        timed: it does other work.
    """
    trials: dict[str, float] = {}
    worst = 0.0
    for name, way in ways.items():
        distance = oracle.difference(way.read(way.call()), right)
        if distance > oracle.TOLERANCE:
            raise ValueError(
                f"{name} differs from float64 by {distance:.2g} of the largest value;"
                f" at most {oracle.TOLERANCE:.0e} is equal"
            )
        worst = max(worst, distance)
        trials[name] = min(seconds_per_call(way.call, SAMPLE_SECONDS) for _ in range(TRIALS))
        wait_until_quiet()
    fastest = min(trials, key=lambda name: trials[name])
    found = {
        "way": fastest,
        "trial_ms": {name: 1e3 * seconds for name, seconds in trials.items()},
        "difference": worst,
    }
    return found, ways[fastest]


def measure_row(workload: Workload, peers: Mapping[str, Peer], repeats: int) -> dict[str, Any]:
    """Return what each peer did on one row: ``{key: {status, …}}``."""
    image, kernel = workload.draw()
    right = oracle.OPERATIONS[workload.operation](workload, image, kernel)
    results: dict[str, Any] = {}
    racing: dict[str, Way] = {}
    for key, peer in peers.items():
        operation = getattr(peer, workload.operation, None)
        try:
            if operation is None:
                raise NotImplementedError(f"{peer.name} has no {workload.operation}")
            found, racing[key] = best_way(operation(workload, image, kernel), right)
            results[key] = {"status": "measured", **found, "samples_ms": []}
        except ValueError as error:
            results[key] = {"status": "wrong answer", "reason": str(error)}
        except Exception as error:  # whatever a framework raises is a row of the report
            results[key] = failure(error)
        results[key] |= describe_peer(peer)
        if "reason" in results[key]:
            tell(f"  {peer.name}: {results[key]['status']} ({results[key]['reason']})")
    del right
    _race(racing, results, repeats)
    for key in racing:
        samples = results[key]["samples_ms"]
        results[key] |= {"best_ms": min(samples), "median_ms": statistics.median(samples)}
    racing.clear()
    gc.collect()
    return results


def _race(racing: Mapping[str, Way], results: dict[str, Any], repeats: int) -> None:
    order = list(racing)
    shuffle = random.Random(0).shuffle
    for _ in range(repeats):
        shuffle(order)
        for key in order:
            wait_until_quiet()
            racing[key].call()
            seconds = seconds_per_call(racing[key].call, SAMPLE_SECONDS)
            results[key]["samples_ms"].append(1e3 * seconds)
