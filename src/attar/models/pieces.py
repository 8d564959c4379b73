"""How many images and which layers are computed at once, so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from attar.models.protocol import Described

__all__ = ["Planned", "planned"]

_FLOAT32 = 4  # bytes
_MOST_IMAGES = 64  # in a piece: more are no faster


class Planned(NamedTuple):
    """What is computed at once.

    Attributes
    ----------
    images : int
        At most; at least 1.
    groups : tuple of tuple of str
        Names of layers. At least one group, which may be empty.
    """

    images: int
    groups: tuple[tuple[str, ...], ...]


def planned(
    described: Described, watch: Sequence[str], image: tuple[int, int, int], budget_bytes: int
) -> Planned:
    """Plan pieces whose answers, with what is computed for them, fit into a budget.

    What a framework needs at once is taken as the image and twice the largest answer: the map that
    is read, and the one that is written.

    Examples
    --------
    >>> from attar.models.calls import PIXEL, Call
    >>> calls = tuple(Call(n, "ReLU", "detect", (-1,), (8, 8, 4), PIXEL) for n in "abc")
    >>> planned(Described(calls, (2,)), ["a", "c"], (8, 8, 4), 100_000)
    Planned(images=19, groups=(('a', 'c'),))
    >>> planned(Described(calls, (2,)), ["a", "c"], (8, 8, 4), 4_000)
    Planned(images=1, groups=(('a',), ('c',)))
    """
    sizes = {call.name: _FLOAT32 * math.prod(call.shape) for call in described.calls}
    working = _FLOAT32 * math.prod(image) + 2 * max(sizes.values(), default=0)
    groups: list[list[str]] = [[]]
    held = 0
    for name in watch:
        size = sizes.get(name, 0)
        if groups[-1] and working + held + size > budget_bytes:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += size
    largest = max(sum(sizes.get(name, 0) for name in group) for group in groups)
    images = budget_bytes // max(1, working + largest)
    return Planned(min(max(1, images), _MOST_IMAGES), tuple(map(tuple, groups)))
