"""Convolutions one behind the other, some rows of each at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attar.arrays import Array, empty_aligned
from attar.nn.fused import TILE_ROWS, FusedConv, Resolved

__all__ = ["InBands"]


class _Call(NamedTuple):
    """Some rows of one convolution.

    Rows are counted in what holds them: the image, the answer, or the band of the map between.
    """

    stage: int
    resolved: Resolved
    source: slice
    target: slice
    kept: slice  # of the band that is written to: rows that move to its top first


class InBands:
    """Convolutions one behind the other of which only a band of every map between is ever there.

    The last one's rows are computed some at a time. For them the others compute the rows that are
    still missing, each row once; what nobody needs any more makes room. The answer is that of the
    convolutions one by one: to the bit, but for Winograd's, whose tiles begin at other rows.

    Parameters
    ----------
    convs : sequence of FusedConv
    input_shape : (N, H, W, C)
    band_bytes : int
        About what the largest band may take.

    Examples
    --------
    >>> import numpy as np
    >>> conv = FusedConv(np.ones((3, 3, 1, 1), np.float32), padding="SAME")
    >>> image = np.arange(64, dtype=np.float32).reshape(1, 16, 4, 1)
    >>> two = InBands([conv, conv], image.shape, band_bytes=64)
    >>> out, between, whole = (np.empty_like(image) for _ in range(3))
    >>> two.run(image, out)
    >>> conv.run(image, between)
    >>> conv.run(between, whole)
    >>> bool((out == whole).all())
    True
    """

    def __init__(
        self, convs: Sequence[FusedConv], input_shape: tuple[int, ...], band_bytes: int
    ) -> None:
        self._convs = tuple(convs)
        self._images = input_shape[0]
        shapes: list[tuple[int, ...]] = [(1, *input_shape[1:])]
        for conv in self._convs:
            shapes.append(conv.output_shape(shapes[-1]))
        self._shapes = shapes
        self._dtype = self._convs[0].filters.dtype
        largest = max(_bytes(shape, self._dtype) for shape in shapes[1:-1])
        rows = shapes[-1][1] * band_bytes // largest // TILE_ROWS * TILE_ROWS
        self._heights = [0] * (len(convs) - 1)
        self._calls = self._schedule(max(TILE_ROWS, rows))
        self._spare: list[list[Array]] = []

    def _schedule(self, rows: int) -> list[_Call]:
        calls = []
        count, heights = len(self._convs), [shape[1] for shape in self._shapes[1:]]
        done, tops = [0] * count, [0] * count  # rows computed; the first that its band holds
        for until in range(rows, heights[-1] + rows, rows):
            goals = [0] * count
            goals[-1] = min(until, heights[-1])
            for i in range(count - 1, 0, -1):
                end = self._needs(i, 0, goals[i])[1] if goals[i] > done[i] else 0
                goals[i - 1] = min(
                    heights[i - 1], max(done[i - 1], -(-end // TILE_ROWS) * TILE_ROWS)
                )
            for i in range(count):
                if goals[i] == done[i]:
                    continue
                begin, end, resolved = self._convs[i].rows(self._shapes[i], done[i], goals[i])
                top = tops[i - 1] if i else 0
                kept = slice(0, 0)
                if i < count - 1:
                    # What the next convolution still needs of the rows that are there.
                    needed, _ = self._needs(i + 1, done[i + 1], heights[i + 1])
                    first = min(max(needed, tops[i]), done[i])
                    kept = slice(first - tops[i], done[i] - tops[i])
                    tops[i] = first
                    self._heights[i] = max(self._heights[i], goals[i] - first)
                target = slice(done[i] - tops[i], goals[i] - tops[i])
                calls.append(_Call(i, resolved, slice(begin - top, end - top), target, kept))
                done[i] = goals[i]
        return calls

    def _needs(self, stage: int, first: int, last: int) -> tuple[int, int]:
        return self._convs[stage].needs(self._shapes[stage], first, last)

    @property
    def path(self) -> str:
        """The kernels, in order."""
        kernels = zip(self._convs, self._shapes, strict=False)
        return " → ".join(conv.path(shape) for conv, shape in kernels)

    @property
    def workspace_bytes(self) -> int:
        """What `run` takes beside its input and its answer: the bands, and a kernel's workspace."""
        kernels = max(self._convs[c.stage].workspace_of(c.resolved) for c in self._calls)
        return kernels + sum(_bytes(shape, self._dtype) for shape in self._band_shapes())

    def _band_shapes(self) -> list[tuple[int, ...]]:
        between = zip(self._heights, self._shapes[1:-1], strict=True)
        return [(1, height, *shape[2:]) for height, shape in between]

    def run(self, x: Array, out: Array) -> None:
        """Write the answer to `x`, (N, H, W, C), into `out`."""
        try:
            bands = self._spare.pop()
        except IndexError:
            bands = [empty_aligned(shape, self._dtype) for shape in self._band_shapes()]
        for i in range(self._images):
            maps = [x[i : i + 1], *bands, out[i : i + 1]]
            for stage, resolved, source, target, kept in self._calls:
                into = maps[stage + 1]
                if kept.start:
                    into[:, : kept.stop - kept.start] = into[:, kept]
                self._convs[stage].compute(resolved, maps[stage][:, source], into[:, target])
        self._spare.append(bands)


def _bytes(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> int:
    return math.prod(shape) * dtype.itemsize
