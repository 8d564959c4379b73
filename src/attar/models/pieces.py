"""How many images and which layers are computed at once, so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from attar.models.protocol import Described

__all__ = ["Planned", "Sizes", "planned", "scaled", "sizes_of"]

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


class Sizes(NamedTuple):
    """How many bytes answers to one image take, as float32.

    Attributes
    ----------
    of : dict of str to int
        Of what can be watched.
    image, largest : int
        Of the image, and of the largest answer.
    """

    of: dict[str, int]
    image: int
    largest: int


def sizes_of(described: Described, image: tuple[int, int, int]) -> Sizes:
    """Return the sizes for an image that is described."""
    sizes = [(call.name, _FLOAT32 * math.prod(call.shape)) for call in described.calls]
    largest = max((size for _, size in sizes), default=0)
    return Sizes(dict(sizes), _FLOAT32 * math.prod(image), largest)


def scaled(small: Sizes, large: Sizes, image_bytes: int) -> Sizes:
    """Estimate the sizes for another image, by those of two: what grows, grows as the image does.

    Examples
    --------
    >>> small = Sizes({"map": 100, "class": 8}, image=10, largest=100)
    >>> large = Sizes({"map": 200, "class": 8}, image=20, largest=200)
    >>> scaled(small, large, 100)
    Sizes(of={'map': 1000, 'class': 8}, image=100, largest=1000)
    """
    ratio = image_bytes / large.image

    def at(before: int, behind: int) -> int:
        return behind if before == behind else math.ceil(behind * ratio)

    of = {name: at(small.of.get(name, 0), size) for name, size in large.of.items()}
    return Sizes(of, image_bytes, at(small.largest, large.largest))


def planned(sizes: Sizes, watch: Sequence[str], budget_bytes: int) -> Planned:
    """Plan pieces whose answers, with what is computed for them, fit into a budget.

    What a framework needs at once is taken as the image and twice the largest answer: the map that
    is read, and the one that is written.

    Examples
    --------
    >>> sizes = Sizes({"a": 1000, "b": 1000, "c": 500}, image=200, largest=1000)
    >>> planned(sizes, ["a", "c"], 100_000)
    Planned(images=27, groups=(('a', 'c'),))
    >>> planned(sizes, ["a", "c"], 3_500)
    Planned(images=1, groups=(('a',), ('c',)))
    """
    working = sizes.image + 2 * sizes.largest
    groups: list[list[str]] = [[]]
    held = 0
    for name in watch:
        size = sizes.of.get(name, 0)
        if groups[-1] and working + held + size > budget_bytes:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += size
    most = max(sum(sizes.of.get(name, 0) for name in group) for group in groups)
    images = budget_bytes // max(1, working + most)
    return Planned(min(max(1, images), _MOST_IMAGES), tuple(map(tuple, groups)))
