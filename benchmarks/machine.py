"""What the numbers were measured on."""

import datetime
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

CPU = Path("/sys/devices/system/cpu")


def default_threads() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Return the processor's name as the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model\t")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def slug(text: str) -> str:
    """Return the text as a part of a file name: ``AMD EPYC 7B13`` → ``amd-epyc-7b13``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def cache_bytes() -> dict[str, int]:
    """Return the size of each data cache of the first core, by level: ``{"L1": …, "L2": …}``."""
    sizes = {}
    for index in sorted((CPU / "cpu0/cache").glob("index*")):
        try:
            if (index / "type").read_text().strip() == "Instruction":
                continue
            level = (index / "level").read_text().strip()
            number, unit = re.fullmatch(  # type: ignore[union-attr]
                r"(\d+)([KM]?)", (index / "size").read_text().strip()
            ).groups()
        except (OSError, AttributeError):
            continue
        sizes[f"L{level}"] = int(number) * {"": 1, "K": 1 << 10, "M": 1 << 20}[unit]
    return sizes


def last_level_cache_bytes() -> int:
    """Return the size of the last cache; 32 MiB where the system does not tell."""
    return max(cache_bytes().values(), default=32 << 20)


def _governor() -> str:
    try:
        return (CPU / "cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return "unknown"


def _attar_config() -> dict[str, Any]:
    try:
        import attar

        return attar.show_config("dicts")
    except Exception as error:  # attar may not be built: the peers are measured all the same
        return {"error": f"{type(error).__name__}: {error}"}


def describe(threads: int, versions: dict[str, str]) -> dict[str, Any]:
    """Return the machine, the versions and the time, as the results keep them."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": default_threads(),
        "threads": threads,
        "cache_bytes": cache_bytes(),
        "governor": _governor(),
        "system": platform.platform(terse=True),
        "architecture": platform.machine(),
        "attar": _attar_config(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, **versions},
    }
