"""How long a user waits before anything happens: the import, and the shell command."""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.measure import failure

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def _wall_ms(command: list[str], cwd: str) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    wall = 1e3 * (time.perf_counter() - begin)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no message"]
        message = f"{' '.join(command)}: exit {done.returncode}: {lines[-1]}"
        if "ModuleNotFoundError" in lines[-1]:
            raise ImportError(message)
        raise RuntimeError(message)
    return wall


def _in_turns(commands: dict[str, list[str]], repeats: int) -> dict[str, dict[str, Any]]:
    """Time whole processes, one of each in every round, from an empty directory."""
    samples: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as empty:
        for command in commands.values():
            _wall_ms(command, empty)  # the file system's cache is warm from here on
        for _ in range(repeats):
            for name, command in commands.items():
                samples[name].append(_wall_ms(command, empty))
    return {
        name: {
            "best_ms": min(values),
            "median_ms": statistics.median(values),
            "samples_ms": values,
        }
        for name, values in samples.items()
    }


def measure_import(repeats: int = 15) -> dict[str, Any]:
    """Return the time of `import attar` in fresh processes, less what Python alone takes."""
    python = sys.executable
    try:
        timed = _in_turns(
            {
                "python": [python, "-c", "pass"],
                "import numpy": [python, "-c", "import numpy"],
                "import attar": [python, "-c", "import attar"],
            },
            repeats,
        )
    except Exception as error:
        return failure(error)
    listed = subprocess.run(
        [python, "-X", "importtime", "-c", "import attar"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    match = re.search(r"\|\s*(\d+) \| attar$", listed, re.MULTILINE)
    return {
        "status": "measured",
        **timed,
        "best_ms": timed["import attar"]["best_ms"] - timed["python"]["best_ms"],
        "median_ms": timed["import attar"]["median_ms"] - timed["python"]["median_ms"],
        "importtime_ms": int(match[1]) / 1e3 if match else None,
        "modules": listed.count("\n") - 1,
    }


def measure_command(repeats: int = 10) -> dict[str, Any]:
    """Return the wall time of the whole process ``attar extract examples/<photo>``."""
    program = shutil.which("attar", path=str(Path(sys.executable).parent)) or shutil.which("attar")
    examples = sorted((ROOT / "examples").rglob("*"))
    photos = [path for path in examples if path.suffix.lower() in PICTURES]
    if program is None:
        return failure(ImportError("no program named attar beside this Python"))
    if not photos:
        return failure(FileNotFoundError("examples/ has no picture"))
    try:
        timed = _in_turns({"command": [program, "extract", str(photos[0])]}, repeats)
    except Exception as error:
        return failure(error)
    command = f"attar extract {photos[0].relative_to(ROOT).as_posix()}"
    return {"status": "measured", "command": command, **timed["command"]}
