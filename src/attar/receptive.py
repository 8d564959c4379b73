"""Receptive fields: which part of the image a pixel of a map looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from attar.arrays import Array
from attar.geometry import Axis
from attar.graph import INPUT, Graph, shape_argument

__all__ = [
    "Box",
    "Reach",
    "Reaches",
    "ReceptiveField",
    "everything",
    "fields",
    "hull",
    "pixels_behind",
    "receptive_field",
    "through",
]


class Box(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of the image.

    Examples
    --------
    >>> Box(0, 2, 4, 7).shape
    (2, 3)
    """

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.bottom - self.top, self.right - self.left


@dataclass(frozen=True)
class ReceptiveField:
    """What a pixel of a map looks at.

    Attributes
    ----------
    layer : str
    size : (int, int)
        Height and width of the box that a pixel far from every border looks at, in pixels of the
        image.
    stride : (int, int)
        How far apart the boxes of neighbours are. 0 where the map is a single position, as behind
        a global pool or `Flatten`.
    at : (int, int)
        The pixel (y, x) that the boxes are of.
    box : Box or None
        The smallest that holds every pixel of the image that reaches the pixel: exact at borders,
        where padding takes the place of pixels. None where only padding is seen.
    unclipped : Box
        The same as if the image went on and there were no padding; it may begin below 0.

    In a graph with several paths it is the box around those of all of them.
    """

    layer: str
    size: tuple[int, int]
    stride: tuple[int, int]
    at: tuple[int, int]
    box: Box | None
    unclipped: Box

    def __str__(self) -> str:
        (height, width), (down, across) = self.size, self.stride
        seen = (
            "nothing of the image"
            if self.box is None
            else (
                f"rows {self.box.top}–{self.box.bottom - 1}, "
                f"columns {self.box.left}–{self.box.right - 1}"
            )
        )
        return (
            f"{self.layer}: {height} × {width} pixels, every {down} × {across}; "
            f"pixel {self.at} sees {seen}"
        )


class Reach(NamedTuple):
    """Output o along an axis looks at the inputs [begin + o * stride, end + o * stride)."""

    begin: int
    end: int
    stride: int


Reaches: TypeAlias = tuple[Reach, ...]
"""One for each stride by which paths lead to a map; mostly there is one."""


def fields(graph: Graph, input_shape: Sequence[int]) -> list[tuple[Reaches, Reaches]]:
    """Return what the outputs of each node reach along height and width, were there no borders."""
    answers: list[tuple[Reaches, Reaches]] = []
    start = (Reach(0, 1, 1),)
    for node, shapes in zip(graph, graph.input_shapes(input_shape), strict=True):
        windows = node.layer.windows(shape_argument(node.layer, shapes))
        reached: list[list[Reach]] = [[], []]
        for i, shape in zip(node.inputs, shapes, strict=True):
            before = (start, start) if i == INPUT else answers[i]
            for axis in range(2):
                size = shape[axis + 1] if len(shape) == 4 else 1
                # A map that is repeated along an axis where it has one position.
                whole = windows is None or (size == 1 and windows[axis].size != 1)
                window = everything(size or 1) if whole or windows is None else windows[axis]
                reached[axis] += [through(reach, window, whole) for reach in before[axis]]
        answers.append((hull(reached[0]), hull(reached[1])))
    return answers


def everything(size: int) -> Axis:
    """Return the one window over all positions of an axis."""
    return Axis(size, size, 1, 1, 0, 0, 1)


def through(reach: Reach, window: Axis, whole: bool) -> Reach:
    """Return what a window over outputs that reach so far reaches.

    Examples
    --------
    >>> pool = Axis(size=8, window=2, stride=2, dilation=1, pad_before=0, pad_after=0, out=4)
    >>> through(Reach(-1, 2, 1), pool, whole=False)
    Reach(begin=-1, end=3, stride=2)
    """
    begin = reach.begin - window.pad_before * reach.stride
    end = reach.end + (window.extent - 1 - window.pad_before) * reach.stride
    return Reach(begin, end, 0 if whole else reach.stride * window.stride)


def hull(reaches: list[Reach]) -> Reaches:
    """Return what several paths reach together."""
    strides = sorted({reach.stride for reach in reaches})
    alike = [[reach for reach in reaches if reach.stride == stride] for stride in strides]
    return tuple(
        Reach(min(r.begin for r in group), max(r.end for r in group), group[0].stride)
        for group in alike
    )


def receptive_field(
    graph: Graph, index: int, layer: str, input_shape: Sequence[int], at: tuple[int, int]
) -> ReceptiveField:
    """Return what pixel `at` of the map of node `index` looks at."""
    reaches = fields(graph, input_shape)[index]
    (top, bottom), (left, right) = (
        (min(r.begin + r.stride * o for r in axis), max(r.end + r.stride * o for r in axis))
        for axis, o in zip(reaches, at, strict=True)
    )
    sizes = [max(reach.end - reach.begin for reach in axis) for axis in reaches]
    strides = [max(reach.stride for reach in axis) for axis in reaches]
    rows, columns = pixels_behind(graph, index, input_shape, at)
    box = None
    if rows.any() and columns.any():
        (y, x) = np.flatnonzero(rows), np.flatnonzero(columns)
        box = Box(int(y[0]), int(y[-1]) + 1, int(x[0]), int(x[-1]) + 1)
    return ReceptiveField(
        layer,
        (sizes[0], sizes[1]),
        (strides[0], strides[1]),
        at,
        box,
        Box(top, bottom, left, right),
    )


def pixels_behind(
    graph: Graph, index: int, input_shape: Sequence[int], at: tuple[int, int]
) -> tuple[Array, Array]:
    """Return which rows and which columns of the image reach a pixel of a node's map.

    They are followed back from layer to layer, and what falls on padding ends there.
    """
    inputs, answers = graph.input_shapes(input_shape), graph.shapes(input_shape)
    seen: dict[int, list[Array]] = {}

    def note(i: int, marks: list[Array]) -> None:
        old = seen.get(i)
        seen[i] = marks if old is None else [a | b for a, b in zip(old, marks, strict=True)]

    first = [np.zeros(size, bool) for size in _positions(answers[index])]
    for marks, o in zip(first, at, strict=True):
        marks[o] = True
    note(index, first)
    for i in range(index, -1, -1):
        if i not in seen:
            continue
        node = graph.nodes[i]
        windows = node.layer.windows(shape_argument(node.layer, inputs[i]))
        for j, shape in zip(node.inputs, inputs[i], strict=True):
            sizes = _positions(shape)
            if windows is None:
                note(j, [np.ones(size, bool) for size in sizes])
            else:
                note(j, [_back(*each) for each in zip(seen[i], windows, sizes, strict=True)])
    rows, columns = seen[INPUT]
    return rows, columns


def _positions(shape: Sequence[int | None]) -> tuple[int, int]:
    """Height and width of a map; numbers without places are one position."""
    return (shape[1] or 1, shape[2] or 1) if len(shape) == 4 else (1, 1)


def _back(marks: Array, window: Axis, size: int) -> Array:
    """Mark the inputs that the marked outputs look at."""
    found = np.zeros(size, bool)
    if size == 1 and window.size != 1:  # repeated along the axis
        found[:] = marks.any()
        return found
    trimmed, _ = window.trim()  # a window may be far larger than the map
    firsts = np.flatnonzero(marks) * trimmed.stride - trimmed.pad_before
    for tap in range(trimmed.window):
        at = firsts + tap * trimmed.dilation
        found[at[(at >= 0) & (at < size)]] = True
    return found
