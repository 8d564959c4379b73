"""Threads, the instruction set in use, versions."""

from __future__ import annotations

import operator
import platform
from typing import Literal, overload

import numpy as np

import attar
from attar import _core
from attar.errors import ArgumentError, DTypeError

__all__ = ["get_num_threads", "set_num_threads", "show_config"]


def set_num_threads(count: int) -> None:
    """Use `count` threads, at least 1, from the next call on.

    Results do not depend on it, to the bit. The default is the number of processors that this
    process may use (affinity and cgroup limits considered), or ``ATTAR_NUM_THREADS``.

    Examples
    --------
    >>> import attar
    >>> before = attar.get_num_threads()
    >>> attar.set_num_threads(1)
    >>> attar.get_num_threads()
    1
    >>> attar.set_num_threads(before)
    """
    try:
        threads = operator.index(count)
    except TypeError:
        raise DTypeError(
            f"set_num_threads: count must be a whole number of at least 1, got {count!r}"
        ) from None
    if not 1 <= threads <= 2**31 - 1:
        raise ArgumentError(f"set_num_threads: count must be at least 1, got {threads}")
    _core.set_num_threads(threads)


def get_num_threads() -> int:
    """Return the number of threads that a call may use.

    Examples
    --------
    >>> import attar
    >>> attar.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, object]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, object] | None:
    """Print what attar runs on: threads, instruction set, versions.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dictionary (the argument of `numpy.show_config`).

    Examples
    --------
    >>> import attar
    >>> sorted(attar.show_config("dicts"))
    ['attar', 'available_isas', 'isa', 'machine', 'numpy', 'python', 'threads', 'vector_bits']
    """
    config: dict[str, object] = {
        "attar": attar.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "isa": _core.isa(),
        "available_isas": _core.available_isas(),
        "vector_bits": 8 * _core.vector_bytes(),
        "threads": _core.get_num_threads(),
    }
    if mode == "dicts":
        return config
    if mode != "stdout":
        raise ArgumentError(f"show_config: mode must be 'stdout' or 'dicts', got {mode!r}")
    for name, value in config.items():
        print(f"{name:>14}  {', '.join(value) if isinstance(value, list) else value}")
    return None
