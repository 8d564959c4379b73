"""Places of a map: what they see of the image, and where they go when it moves."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attar.models.layers import ModelLayer

__all__ = ["Line", "Moved", "disguised", "independent_places", "is_map", "lines_of"]

Array: TypeAlias = NDArray[Any]


class Line(NamedTuple):
    """The places of a map along one axis.

    Attributes
    ----------
    size : int
        Pixels of the image along it.
    places : int
    stride : int
        Pixels of the image from place to place; 0 where there is one place.
    field : int or None
        How many pixels of the image a place looks at; None where no box says it.

    Examples
    --------
    >>> line = Line(size=8, places=8, stride=1, field=3)
    >>> line.begins, line.inside(0, 8).astype(int).tolist()
    ((-1, -1), [0, 1, 1, 1, 1, 1, 1, 0])
    """

    size: int
    places: int
    stride: int
    field: int | None

    @property
    def begins(self) -> tuple[int, int]:
        """The first and the last pixel at which the field of place 0 may begin.

        A layer tells size and stride of its fields, not where they begin. Padding is the same on
        both sides, or as TensorFlow's "same" has it, and windows that would reach over the end are
        left out. Each of these moves the middle of the map by at most (stride − 1) / 2 pixels
        against the middle of the image, over all layers together: so much is not known. What is
        not counted: windows of an even size that are padded and have no stride, which nearly no
        model has.
        """
        slack = self.size - (self.places - 1) * self.stride - (self.field or self.size)
        unknown = max(self.stride - 1, 0)
        return math.floor((slack - unknown) / 2), math.ceil((slack + unknown) / 2)

    def inside(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return whether the fields lie in the pixels [start, stop), by place, for sure."""
        if self.field is None:
            return np.zeros(self.places, bool)
        first, last = self.begins
        at = np.arange(self.places) * self.stride
        return (at + first >= start) & (at + last + self.field <= stop)

    @property
    def independent(self) -> int:
        """How many places share no pixel; 1 where that is not known."""
        if self.field is None or not self.stride:
            return 1
        return math.ceil(self.places / math.ceil(self.field / self.stride))

    def kept(self, pixels: int) -> tuple[int, int]:
        """Return the places [start, stop) that see neither padding nor what came in.

        Examples
        --------
        >>> Line(size=8, places=8, stride=1, field=3).kept(2)
        (3, 7)
        """
        seen = np.flatnonzero(self.inside(max(0, pixels), self.size + min(0, pixels)))
        return (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, 0)

    def moved(self, pixels: int) -> Moved:
        """Tell which places have a counterpart when the image moves by so many pixels.

        Examples
        --------
        >>> Line(size=16, places=8, stride=2, field=2).moved(3)
        Moved(start=2, stop=8, source=0, fraction=0.5, inside=(3, 7))
        """
        whole = math.floor(pixels / self.stride) if self.stride else 0
        fraction = pixels / self.stride - whole if self.stride else 0.0
        # Place o shows what was at o - whole - fraction.
        reach = whole + (fraction > 0)
        start, stop = max(0, reach), self.places + min(0, whole)
        sees = self.inside(max(0, pixels), self.size + min(0, pixels))
        saw = self.inside(0, self.size)
        good = [
            o
            for o in range(start, max(start, stop))
            if sees[o] and saw[o - whole] and saw[o - reach]
        ]
        inside = (good[0], good[-1] + 1) if good else (start, start)
        return Moved(start, max(start, stop), start - reach, fraction, inside)


class Moved(NamedTuple):
    """Where the places [start, stop) of a map were before the image moved.

    Attributes
    ----------
    start, stop : int
        The places whose counterpart is on the map.
    source : int
        The first of two neighbours between which the counterpart of `start` lies; where `fraction`
        is 0, the counterpart itself.
    fraction : float
        How near it is to the first of the two: 0 or 1 at a place itself. See `before`.
    inside : (int, int)
        The places among them that see neither padding nor what came in at the border, and whose
        counterparts do not.
    """

    start: int
    stop: int
    source: int
    fraction: float
    inside: tuple[int, int]

    def before(self, map: Array, axis: int) -> Array:
        """Return the counterparts, read between places linearly.

        Examples
        --------
        >>> moved = Line(size=8, places=4, stride=2, field=2).moved(3)
        >>> moved.before(np.array([0.0, 10.0, 20.0, 30.0]), 0).tolist()
        [5.0, 15.0]
        """
        count = self.stop - self.start

        def at(first: int) -> Array:
            return map[(slice(None),) * axis + (slice(first, first + count),)]

        if not self.fraction or not count:
            return at(self.source)
        near = map.dtype.type(self.fraction)
        mixed: Array = at(self.source) * near + at(self.source + 1) * (1 - near)
        return mixed


def is_map(layer: ModelLayer) -> bool:
    """Whether a layer answers with several places.

    Its shape must be known: it is one of `Model.layers_at`.
    """
    return len(layer.output_shape) == 3 and _sizes(layer)[:2] != (1, 1)


def lines_of(layer: ModelLayer, size: tuple[int, int]) -> tuple[Line, Line] | None:
    """Return the two axes of a layer's map, for images of one size.

    Where no box tells the stride, it is how many times the map goes into the image; None where that
    is no whole number, or where the answer is no map.
    """
    if not is_map(layer):
        return None
    found = []
    for axis, pixels in enumerate(size):
        places = _sizes(layer)[axis]
        stride = 0
        if places > 1 and layer.stride is not None:
            stride = layer.stride[axis]
        elif places > 1 and pixels % places == 0:
            stride = pixels // places
        elif places > 1:
            return None
        field = None if layer.receptive_field is None else layer.receptive_field[axis]
        found.append(Line(pixels, places, stride, field))
    return found[0], found[1]


def independent_places(layer: ModelLayer, size: tuple[int, int]) -> int:
    """Return how many places of one image share no pixel of it; 1 where no box says it."""
    lines = lines_of(layer, size)
    return 1 if lines is None else math.prod(line.independent for line in lines)


def disguised(layers: tuple[ModelLayer, ...]) -> set[str]:
    """Return the layers whose answer is a map in another shape: `Flatten`, and what follows it.

    They move numbers, or change them one by one: none of them knows more or less than the map.
    """
    by_name = {layer.name: layer for layer in layers}
    found: set[str] = set()
    for layer in layers:
        if is_map(layer) or layer.task not in ("other", "detect") or len(layer.inputs) != 1:
            continue
        before = by_name.get(layer.inputs[0])
        if before is None or not (is_map(before) or before.name in found):
            continue
        if math.prod(_sizes(layer)) == math.prod(_sizes(before)):
            found.add(layer.name)
    return found


def _sizes(layer: ModelLayer) -> tuple[int, ...]:
    return tuple(size or 0 for size in layer.output_shape)
