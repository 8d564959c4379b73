"""Where maps lie in memory: lifetimes packed into one piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Buffer", "largest_at_once", "pack"]

# Placements that are tried for the smallest size before a good one is taken. Chains and residual
# bases need about one for each buffer.
_TRIES = 20_000


class Buffer(NamedTuple):
    """A piece of memory that is needed for some steps.

    Attributes
    ----------
    size : int
        Bytes.
    first, last : int
        The steps, both included, in which it must be there.
    """

    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether there is a step in which both must be there."""
        return self.first <= other.last and other.first <= self.last


def largest_at_once(buffers: list[Buffer]) -> int:
    """Return the bytes that some step needs at once: no packing is smaller.

    Examples
    --------
    >>> largest_at_once([Buffer(4, 0, 1), Buffer(3, 1, 2), Buffer(2, 2, 3)])
    7
    """
    return max(
        (
            sum(other.size for other in buffers if other.first <= step <= other.last)
            for step in {buffer.first for buffer in buffers}
        ),
        default=0,
    )


def pack(buffers: list[Buffer]) -> tuple[list[int], int]:
    """Place buffers such that those that are there at the same time do not overlap.

    It looks for a packing that is no larger than what some step needs at once. Where none is found
    in reasonable time, the largest come first, each into the tightest gap that holds it.

    Returns
    -------
    list of int
        The offset of each buffer.
    int
        The size of the whole.

    Examples
    --------
    >>> pack([Buffer(4, 0, 1), Buffer(3, 1, 2), Buffer(4, 2, 3), Buffer(5, 3, 4)])
    ([0, 4, 0, 4], 9)
    """
    size = largest_at_once(buffers)
    offsets = _search(buffers, size)
    if offsets is None:
        offsets = _best_fit(buffers)
        size = max(offset + buffer.size for offset, buffer in zip(offsets, buffers, strict=True))
    return offsets, size


def _search(buffers: list[Buffer], size: int) -> list[int] | None:
    """Try the two ends of every gap, buffer after buffer as they come, and go back where none."""
    order = sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -buffers[i].size))
    placed: dict[int, int] = {}
    choices: list[Iterator[int]] = []
    for _ in range(_TRIES):
        if len(placed) == len(order):
            return [placed[i] for i in range(len(buffers))]
        current = order[len(placed)]
        if len(choices) == len(placed):
            choices.append(iter(_places(buffers, placed, buffers[current], size)))
        place = next(choices[-1], None)
        if place is not None:
            placed[current] = place
            continue
        choices.pop()
        if not placed:
            return None
        del placed[order[len(placed) - 1]]
    return None


def _best_fit(buffers: list[Buffer]) -> list[int]:
    placed: dict[int, int] = {}
    enough = sum(buffer.size for buffer in buffers)
    for i in sorted(range(len(buffers)), key=lambda i: -buffers[i].size):
        placed[i] = _places(buffers, placed, buffers[i], enough)[0]
    return [placed[i] for i in range(len(buffers))]


def _places(buffers: list[Buffer], placed: dict[int, int], buffer: Buffer, size: int) -> list[int]:
    """Return the two ends of every gap below `size` that holds the buffer, the tightest first."""
    taken = sorted(
        (offset, offset + buffers[i].size)
        for i, offset in placed.items()
        if buffers[i].meets(buffer)
    )
    gaps = []
    begin = 0
    for offset, end in [*taken, (size, size)]:
        if offset - begin >= buffer.size:
            gaps.append((offset - begin, begin, offset - buffer.size))
        begin = max(begin, end)
    places = [place for _, low, high in sorted(gaps) for place in (low, high)]
    return list(dict.fromkeys(places))
