"""How much memory the fused kernel needs beyond image and answer, in a process of its own.

Counted: every page that becomes resident during one call of `nn.extract` with `out`, by the peak
of the resident set (VmHWM, reset before the call). Not counted: image, kernel and answer, all
touched before; the library, its code and the stacks of its threads, which a call on a 256² image
of the same kind has brought in. Scratch that grows with the image is counted.
The kernel's counters are exact to some dozens of pages a core, a few hundred KB.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.measure import failure
from benchmarks.rows import EXTRACTIONS, TRAININGS, Extraction, TrainingStep


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def _bytes_added(call: Callable[[], Any]) -> int:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = _status_bytes("VmRSS")
    call()
    return max(0, _status_bytes("VmHWM") - before)


def extra_bytes_here(workload: Extraction, threads: int) -> int:
    """Run the call in this process, which should be fresh, and return the bytes that it added."""
    import dataclasses

    import numpy as np

    import attar
    import attar.nn

    attar.set_num_threads(threads)
    image, kernel = workload.draw()
    out = np.ones(workload.output_shape, np.float32)
    options = {"window_shape": workload.window, "pool_strides": workload.stride}
    small = dataclasses.replace(workload, image_shape=(1, 256, 256, workload.image_shape[3]))
    small_out = np.ones(small.output_shape, np.float32)
    attar.nn.extract(small.draw()[0], kernel, **options, out=small_out)
    return _bytes_added(lambda: attar.nn.extract(image, kernel, **options, out=out))


def training_bytes_here(key: str, index: int, workload: TrainingStep, threads: int) -> int:
    """Take a step in this process, which should be fresh, and return the bytes that it added.

    By the peer's way of this index. Not counted: image, weights and the gradient of the answer,
    made before; the library and what a step on 32² images of the same kind has brought in.
    """
    import dataclasses

    from benchmarks.peers import find

    peer: Any = find(key)
    peer.load(threads)
    small = dataclasses.replace(workload, image_shape=(1, 32, 32, workload.image_shape[3]))
    list(peer.train(small, *small.draw()).values())[index].call()
    way = list(peer.train(workload, *workload.draw()).values())[index]
    return _bytes_added(way.call)


def _fresh(call: str) -> Any:
    """Return what a call prints as JSON in a process of its own."""
    code = f"from benchmarks import memory, rows; print({call})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise (ImportError if last.startswith("ModuleNotFoundError") else RuntimeError)(last)
    return json.loads(done.stdout)


def measure(threads: int, repeats: int = 3) -> dict[str, Any]:
    """Return the largest of some fresh processes: ``{status, row, extra_bytes, …}``."""
    row = EXTRACTIONS[0]
    call = f"memory.extra_bytes_here(rows.select([{row.name!r}])[0], {threads})"
    try:
        runs = [_fresh(call) for _ in range(repeats)]
    except (ImportError, RuntimeError) as error:
        return failure(error)
    return {
        "status": "measured",
        "row": row.name,
        "extra_bytes": max(runs),
        "runs": runs,
        "image_bytes": 4 * row.image_shape[1] * row.image_shape[2] * row.image_shape[3],
    }


TRAINING_WAYS = (("attar", 0), ("attar", 1), ("torch", 0), ("torch_channels_last", 0))
"""Peers that train, and which of their ways."""


def measure_training(threads: int, repeats: int = 3) -> dict[str, Any]:
    """Return the least bytes of some fresh processes for each peer, by the best of its ways."""
    from benchmarks.peers import find

    row = TRAININGS[0]
    found: dict[str, int] = {}
    try:
        for key, index in TRAINING_WAYS:
            call = (
                f"memory.training_bytes_here({key!r}, {index}, rows.select([{row.name!r}])[0], "
                f"{threads})"
            )
            name, least = find(key).name, min(_fresh(call) for _ in range(repeats))
            found[name] = min(least, found.get(name, least))
    except (ImportError, RuntimeError) as error:
        return failure(error)
    return {"status": "measured", "row": row.name, "extra_bytes": found}
