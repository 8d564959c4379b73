"""Check the answers, then time the peers in turns.

A *sample* is the mean over enough calls to last 2 ms; a peer's number is the best of its samples.
In every round each peer gives one sample, in a new random order, so that a slow minute of the
machine is everybody's. A sample starts when the process has been quiet (threads of the peer before
may still spin, waiting for work) and after one untimed call.

Slow peers get fewer samples (`samples_due`), so that a whole run takes minutes.
"""

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from benchmarks import oracle
from benchmarks.peers import OWN, Peer, Way, find
from benchmarks.rows import Work

SAMPLE_SECONDS = 2e-3
QUIET_SECONDS = 10e-3
QUIET_LIMIT_SECONDS = 1.0
TRIALS = 3
"""Samples that decide which of a peer's ways is its best."""
PEER_SECONDS = 0.6
"""What the samples of one peer on one row may take, all together, untimed calls included."""
FEWEST_SAMPLES = 3
"""Of a peer that is slower than that allows."""
CONTENDER = 1.5
"""A peer within this factor of the fastest gets every sample, as attar does."""
SLOW_SECONDS = 2.0
"""A way of which one call takes longer is called once: to be checked, and that is its sample."""


class WrongAnswer(Exception):  # noqa: N818, it is what the report calls it
    """A way of a peer does other work than it was asked for."""


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


def best_way(
    ways: Mapping[str, Way], workload: Work, right: NDArray[Any]
) -> tuple[dict[str, Any], Way]:
    """Check every way against the right answer and return the fastest, with what was found.

    A way that fails is left out, as long as another one works.

    Raises
    ------
    WrongAnswer
        A way's answer is further from `right` than the tolerance, or of another dtype. Then nothing
        of the peer is timed: it does other work.
    """
    trials: dict[str, float] = {}
    failed: dict[str, BaseException] = {}
    worst = 0.0
    for name, way in ways.items():
        begin = time.perf_counter()
        try:
            answer = way.call()
        except Exception as error:
            failed[name] = error
            continue
        first = time.perf_counter() - begin
        worst = max(worst, _check(name, way.read(answer), workload, right))
        if first > SLOW_SECONDS:
            trials[name] = first
        else:
            del answer  # so that the trial finds the memory as every later call does
            trials[name] = _trial(way, trials.values())
            answer = way.call()
        _spoil(way.read(answer))
        del answer
        wait_until_quiet()
    if not trials:
        raise next(iter(failed.values()))
    fastest = min(trials, key=lambda name: trials[name])
    found = {
        "way": fastest,
        "trial_ms": {name: 1e3 * seconds for name, seconds in trials.items()},
        "failed_ways": {name: failure(error)["reason"] for name, error in failed.items()},
        "difference": worst,
    }
    return found, ways[fastest]


def _check(name: str, answer: NDArray[Any], workload: Work, right: NDArray[Any]) -> float:
    """Return how far the answer is from the right one; raise if that is too far."""
    if workload.operation != "extract" and answer.dtype.name != workload.dtype:
        raise WrongAnswer(f"{name} answers in {answer.dtype.name}, not in {workload.dtype}")
    distance, allowed = oracle.difference(answer, right), oracle.tolerance(workload)
    if distance > allowed:
        raise WrongAnswer(
            f"{name} differs from {right.dtype} by {distance:.2g} of the largest value;"
            f" at most {allowed:.0e} is equal"
        )
    return distance


def _spoil(answer: NDArray[Any]) -> None:
    """Overwrite it: ways may share a buffer, and the next one has to fill it itself."""
    if answer.flags.writeable:
        answer.fill(77)


def _trial(way: Way, others: Iterable[float]) -> float:
    """Return the best of some samples; of one, where others are twice as fast."""
    hopeless = 2 * min(others, default=float("inf"))
    best = float("inf")
    for _ in range(TRIALS):
        best = min(best, seconds_per_call(way.call, SAMPLE_SECONDS))
        if best > min(hopeless, SLOW_SECONDS):
            break
    return best


def measure_row(workload: Work, peers: Mapping[str, Peer], repeats: int) -> dict[str, Any]:
    """Return what each peer did on one row: ``{key: {status, …}}``."""
    given = workload.draw()
    right = oracle.OPERATIONS[workload.operation](workload, *given)
    results: dict[str, Any] = {}
    racing: dict[str, Way] = {}
    for key, peer in peers.items():
        operation = getattr(peer, workload.operation, None)
        try:
            if key in workload.left_out:
                raise NotImplementedError(workload.left_out[key])
            if operation is None:
                raise NotImplementedError(f"{peer.name} has no {workload.operation}")
            found, racing[key] = best_way(operation(workload, *given), workload, right)
            results[key] = {"status": "measured", **found, "samples_ms": []}
        except WrongAnswer as error:
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


def samples_due(trials: Mapping[str, float], repeats: int) -> dict[str, int]:
    """Return how many samples each peer gets, of what one call of it has taken in seconds.

    attar, and whoever comes near the fastest peer, all of them; others as many as fit in
    `PEER_SECONDS`; a very slow one none but that call.
    """
    near = CONTENDER * min((t for key, t in trials.items() if key not in OWN), default=0.0)
    due = {}
    for key, seconds in trials.items():
        fit = int(PEER_SECONDS / (2 * max(seconds, SAMPLE_SECONDS)))
        if seconds > SLOW_SECONDS:
            due[key] = 0
        elif key in OWN or seconds <= near:
            due[key] = repeats
        else:
            due[key] = min(repeats, max(fit, FEWEST_SAMPLES))
    return due


def _race(racing: Mapping[str, Way], results: dict[str, Any], repeats: int) -> None:
    trials = {key: 1e-3 * min(results[key]["trial_ms"].values()) for key in racing}
    due = samples_due(trials, repeats)
    for key in racing:
        if not due[key]:
            results[key]["samples_ms"].append(1e3 * trials[key])
    order = list(racing)
    shuffle = random.Random(0).shuffle
    for turn in range(repeats):
        shuffle(order)
        for key in order:
            if turn * due[key] % repeats >= due[key]:  # fewer samples, evenly over the rounds
                continue
            wait_until_quiet()
            racing[key].call()
            seconds = seconds_per_call(racing[key].call, SAMPLE_SECONDS)
            results[key]["samples_ms"].append(1e3 * seconds)
