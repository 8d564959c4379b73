"""Threads that find answers: for each kind of work some of its own.

So a model that runs for a minute on four pages keeps nobody from turning the knobs of another room,
and what is large while it is read, such as a picture, is read by few at a time.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ["Workers"]

P = ParamSpec("P")
R = TypeVar("R")

_THREADS = {"pictures": 2, "models": 1, "exports": 2}
_THREADS_OF_A_ROOM = 8


class Workers:
    """Threads by the kind of their work: the name of a room, or one of the few above."""

    def __init__(self) -> None:
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    async def run(self, kind: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what a call returns, made in a thread that does this kind of work."""
        with self._lock:
            if kind not in self._pools:
                self._pools[kind] = ThreadPoolExecutor(
                    _THREADS.get(kind, _THREADS_OF_A_ROOM), thread_name_prefix=f"attar-{kind}"
                )
            pool = self._pools[kind]
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """Begin nothing more. What is being computed is not waited for."""
        with self._lock:
            for pool in self._pools.values():
                pool.shutdown(wait=False, cancel_futures=True)
