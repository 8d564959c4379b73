"""How fast this machine copies memory: no filter can be faster than reading and writing once."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.machine import last_level_cache_bytes
from benchmarks.rows import Workload

CHUNK_BYTES = (1 << 20, 8 << 20, 1 << 40)
"""Sizes of the pieces that a thread copies; the last is one piece a thread."""


def copy_bandwidth(threads: int, repeats: int = 7) -> float:
    """Return bytes read plus bytes written a second, the best over chunk sizes and repeats.

    NumPy's copy releases the GIL and is the C library's memcpy, which writes large pieces past the
    caches. Each array is at least four times the last cache.
    """
    size = max(256 << 20, 4 * last_level_cache_bytes())
    source = np.ones(size, np.uint8)
    target = np.zeros(size, np.uint8)
    share = -(-size // threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as workers:
        for chunk in CHUNK_BYTES:
            pieces = [
                [
                    slice(start, min(start + chunk, end))
                    for start in range(end - share, end, min(chunk, share))
                ]
                for end in range(share, size + 1, share)
            ]

            def copy(mine: list[slice]) -> None:
                for piece in mine:
                    np.copyto(target[piece], source[piece])

            for _ in range(repeats):
                begin = time.perf_counter()
                list(workers.map(copy, pieces))
                best = min(best, time.perf_counter() - begin)
    return 2 * size / best


def fraction(workload: Workload, milliseconds: float, bandwidth: float) -> float | None:
    """Return the part of the copy roofline that this time reaches.

    None when image and answer fit in twice the last cache: then memory is not the limit, and a
    fraction of its speed would say nothing.
    """
    if workload.bytes_moved < 2 * last_level_cache_bytes():
        return None
    return workload.bytes_moved / bandwidth / (milliseconds * 1e-3)


def of_row(workload: Workload, results: dict[str, Any], bandwidth: float) -> dict[str, Any]:
    """Return the roofline of one row, and the fraction that each measured peer reaches."""
    return {
        "bytes_moved": workload.bytes_moved,
        "copy_limit_ms": 1e3 * workload.bytes_moved / bandwidth,
        "fraction": {
            key: fraction(workload, result["best_ms"], bandwidth)
            for key, result in results.items()
            if result["status"] == "measured"
        },
    }
