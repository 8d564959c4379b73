"""What the tests of `attar.batch` share: small data sets, and outputs to compare."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from attar import write_image


def pictures(folder, count=12, size=(24, 32), suffix="png"):
    """Write pictures whose pixels follow from their number; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        write_image(folder / f"{i:03d}.{suffix}", image)
    return folder


def kept(output):
    """Return what an output holds, as bytes by name, without what only helps to go on."""
    output = Path(output)
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and "_attar" not in path.relative_to(output).parts
    }


def command(*arguments, **options):
    """Start ``attar batch`` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "attar", "batch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def workers_of(process):
    """Return the numbers of the worker processes that a run has now (Linux)."""
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    try:
        return [int(number) for each in children for number in each.read_text().split()]
    except OSError:  # it ended meanwhile
        return []
