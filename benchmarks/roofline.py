"""What this machine can do: copy memory, and multiply matrices.

No filter can be faster than reading and writing once. The matmul is a stand-in for the processor's
peak of multiply-adds, taken without compiling anything.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.machine import last_level_cache_bytes
from benchmarks.measure import failure, tell, wait_until_quiet
from benchmarks.rows import Work

CHUNK_BYTES = (1 << 20, 8 << 20, 1 << 40)
"""Sizes of the pieces that a thread copies; the last is one piece a thread."""

MATMUL_SIZE = 1024


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


def matmul_speed(threads: int, repeats: int = 15) -> dict[str, Any]:
    """Return the best of some float32 products of two 1024² matrices by PyTorch, in FLOP/s.

    Each is taken as the peers' samples are, after a pause: the system may let two threads share a
    core for as long as both keep busy.
    """
    try:
        import torch

        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")  # the default: no bfloat16 inside
        a, b, c = torch.rand(3, MATMUL_SIZE, MATMUL_SIZE, dtype=torch.float32)
        best = float("inf")
        with torch.inference_mode():
            for _ in range(repeats):
                wait_until_quiet()
                torch.mm(a, b, out=c)
                begin = time.perf_counter()
                torch.mm(a, b, out=c)
                best = min(best, time.perf_counter() - begin)
    except Exception as error:  # without PyTorch the column says so
        result = failure(error)
        tell(f"matmul speed: {result['status']} ({result['reason']})")
        return result
    return {
        "status": "measured",
        "library": f"PyTorch {torch.__version__}",
        "size": MATMUL_SIZE,
        "flops_per_second": 2 * MATMUL_SIZE**3 / best,
    }


def faster(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the faster of two results of `matmul_speed`."""
    return max(one, other, key=lambda matmul: matmul.get("flops_per_second", 0.0))


def fraction(workload: Work, milliseconds: float, bandwidth: float) -> float | None:
    """Return the part of the copy roofline that this time reaches.

    None when input and answer fit in twice the last cache: then memory is not the limit, and a
    fraction of its speed would say nothing.
    """
    if workload.bytes_moved < 2 * last_level_cache_bytes():
        return None
    return workload.bytes_moved / bandwidth / (milliseconds * 1e-3)


def of_row(
    workload: Work, results: dict[str, Any], bandwidth: float, matmul: dict[str, Any]
) -> dict[str, Any]:
    """Return the limits of one row, and the fraction of each that every measured peer reaches.

    Of the matmul's speed: two operations for each multiply-add of the direct convolution, so that
    an algorithm with fewer multiplications may pass 1. None without a measured matmul, and for
    work that is no convolution.
    """
    times = {
        key: result["best_ms"] for key, result in results.items() if result["status"] == "measured"
    }
    flops = matmul.get("flops_per_second")
    if workload.multiply_adds is None:
        flops = None
    operations = 2 * (workload.multiply_adds or 0)
    return {
        "bytes_moved": workload.bytes_moved,
        "copy_limit_ms": 1e3 * workload.bytes_moved / bandwidth,
        "fraction": {key: fraction(workload, ms, bandwidth) for key, ms in times.items()},
        "matmul_limit_ms": 1e3 * operations / flops if flops else None,
        "matmul_fraction": {
            key: operations / (ms * 1e-3) / flops if flops else None for key, ms in times.items()
        },
    }
