"""Runs of a model: its maps as they are computed, and those that are kept for the next question."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeAlias

from numpy.typing import NDArray

from attar.errors import AttarError
from attar.sequential import Sequential

__all__ = ["Kept", "Progress", "StopError", "maps_of", "one_map"]

Array: TypeAlias = NDArray[Any]
Progress: TypeAlias = Callable[[int, int, str], None]  # layers done, layers in all, the next one


class StopError(AttarError):
    """Nobody waits for the answer any more."""


class Kept:
    """Arrays up to so many bytes; the one used longest ago goes first.

    Examples
    --------
    >>> import numpy as np
    >>> kept = Kept(100)
    >>> kept["a"] = np.zeros(10); kept["b"] = np.ones(10)
    >>> "a" in kept, "b" in kept, kept.nbytes
    (False, True, 80)
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()
        self.nbytes = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._arrays

    def __getitem__(self, key: Hashable) -> Array:
        self._arrays.move_to_end(key)
        return self._arrays[key]

    def __setitem__(self, key: Hashable, array: Array) -> None:
        self.discard(key)
        if array.nbytes > self._most_bytes:
            return
        self._arrays[key] = array
        self.nbytes += array.nbytes
        while self.nbytes > self._most_bytes:
            _, gone = self._arrays.popitem(last=False)
            self.nbytes -= gone.nbytes

    def discard(self, key: Hashable) -> None:
        """Let an array go, if it is there."""
        gone = self._arrays.pop(key, None)
        if gone is not None:
            self.nbytes -= gone.nbytes


def maps_of(
    model: Sequential,
    image: Array,
    run: Hashable,
    kept: Kept,
    stopped: threading.Event,
    progress: Progress,
    until: str | None = None,
) -> Iterator[tuple[str, Array]]:
    """Yield the maps of a run in order, each kept as far as there is room.

    Parameters
    ----------
    model : Sequential
    image : ndarray, (1, H, W, C)
    run : hashable
        Name of this image through this model.
    kept : Kept
        Maps of this and other runs, by ``(run, layer)``.
    stopped : threading.Event
        Looked at between layers.
    progress : callable
        Told before each layer that is computed.
    until : str, optional
        The layer to stop behind.

    Raises
    ------
    StopError
        Nobody waits any more.
    """
    names = model.graph.names()
    names = names if until is None else names[: names.index(until) + 1]
    if all((run, name) in kept for name in names):
        # Held together: another run may take their place before the last is asked for.
        yield from [(name, kept[run, name]) for name in names]
        return
    steps = model.steps(image, until=until)
    for done, name in enumerate(names):
        if stopped.is_set():
            raise StopError("stopped")
        progress(done, len(names), name)
        _, map = next(steps)
        kept[run, name] = map
        yield name, map


def one_map(
    model: Sequential,
    image: Array,
    run: Hashable,
    kept: Kept,
    stopped: threading.Event,
    progress: Progress,
    layer: str,
) -> Array:
    """Return the map of a layer, computed again only where it is not kept."""
    if (run, layer) in kept:
        return kept[run, layer]
    maps = maps_of(model, image, run, kept, stopped, progress, until=layer)
    # All but the last are let go as they come, or there would be no bound to their memory.
    ((_, found),) = deque(maps, maxlen=1)
    return found
