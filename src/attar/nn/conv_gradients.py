"""Gradients of filter, detect and condense for the image, the filters and their bias."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, copy_into, core_view, empty_aligned, number_of
from attar.geometry import Axis
from attar.nn.conv_winners import BAND_BYTES
from attar.nn.extract_plan import ExtractPlan
from attar.nn.fused import TILE_ROWS, FusedConv, Resolved
from attar.nn.layout import as_volumes
from attar.nn.pooling import core_pool

__all__ = ["filter_grad", "input_grad"]


def filter_grad(
    plan: ExtractPlan, g: Array, cells: Array, x: Array, filters: Array, bias: Array | None
) -> None:
    """Write the gradients for the filters and, where asked for, their bias."""
    whole = plan.taps is None
    found = filters if whole else np.empty(plan.cut(filters).shape, g.dtype)
    _core.conv_filter_grad(
        plan.volumes(g), plan.volumes(cells), plan.volumes(x), found, bias,
        plan.core_y, plan.core_x, plan.pool,
    )  # fmt: skip
    if not whole:
        filters[plan.taps] = found


def input_grad(plan: ExtractPlan, g: Array, cells: Array, weights: Array, image: Array) -> None:
    """Write the gradient for the image.

    Where Winograd's tiles fit, it is the convolution of what flows into the map, some rows at a
    time, with the filters turned round. Elsewhere each filter is added where it lay.
    """
    conv = _turned(plan, weights, image)
    if conv is None:
        _core.conv_input_grad(
            plan.volumes(g), plan.volumes(cells), plan.cut(weights), plan.volumes(image),
            plan.core_y, plan.core_x, plan.pool,
        )  # fmt: skip
        return
    g, cells = plan.channels_last(g), plan.channels_last(cells)
    answer = plan.channels_last_view(image)
    n, height, _, _ = answer.shape
    row_bytes = plan.x.out * g.shape[-1] * g.itemsize
    together = max(1, BAND_BYTES // (row_bytes * plan.y.out))  # images whose maps fit a band
    rows = max(1, BAND_BYTES // row_bytes // TILE_ROWS) * TILE_ROWS
    map_shape = (1, plan.y.out, plan.x.out, g.shape[-1])
    bands = [
        _Band.of(plan, conv, map_shape, first, min(first + rows, height))
        for first in range(0, height, rows)
    ]
    most = max(band.map_rows for band in bands)
    maps = empty_aligned((min(n, together), most, *map_shape[2:]), g.dtype)
    turned = empty_aligned((min(n, together), min(rows, height), *answer.shape[2:]), g.dtype)
    for i in range(0, n, together):
        images = slice(i, min(n, i + together))
        for band in bands:
            flows = maps[: images.stop - i, : band.map_rows]
            band.unpool(plan, g[images], cells[images], flows)
            target = answer[images, band.answer]
            into = target if not plan.channels_first else turned[: len(target), : band.rows]
            conv.compute(band.filter, flows[:, band.needed], into)
            if into is not target:
                copy_into(target, into)


def _turned(plan: ExtractPlan, weights: Array, image: Array) -> FusedConv | None:
    """Return the convolution of the map that gives the gradient, if Winograd's tiles fit."""
    y, x = plan.y, plan.x
    height, width = plan.channels_last_view(image).shape[1:3]
    top, left = 2 - y.pad_before, 2 - x.pad_before
    bottom, right = height + 2 - y.out - top, width + 2 - x.out - left
    plain = plan.strides == plan.dilations == (1, 1) and weights.shape[:2] == (3, 3)
    if not plain or plan.groups > 1 or min(top, left, bottom, right) < 0:
        return None
    conv = FusedConv(
        weights[::-1, ::-1].transpose(0, 1, 3, 2), padding=((top, bottom), (left, right))
    )
    path = conv.path((1, y.out, x.out, weights.shape[3]))
    return conv if path.startswith("winograd") else None


class _Band(NamedTuple):
    """Some rows of the image's gradient, and the rows of the map that they are computed of."""

    answer: slice
    rows: int
    pooled: slice  # windows that flow into the map there
    map_rows: int
    written: slice  # of the band of the map: what those windows see
    needed: slice
    filter: Resolved
    pool: _core.Pool | None

    @classmethod
    def of(
        cls, plan: ExtractPlan, conv: FusedConv, shape: tuple[int, ...], first: int, last: int
    ) -> _Band:
        rows = conv.rows(shape, first, last)
        begin, end = rows.begin, rows.end
        windows = _reaching(plan.pool_y, begin, end)
        axis, top, bottom = plan.pool_y.part(windows.start, windows.stop)
        low, high = min(begin, top), max(end, bottom)
        pool = core_pool((axis, plan.pool_x), "MAX") if plan.kind == "MAX" else None
        written, needed = slice(top - low, bottom - low), slice(begin - low, end - low)
        answer = slice(first, last)
        return cls(answer, last - first, windows, high - low, written, needed, rows.resolved, pool)

    def unpool(self, plan: ExtractPlan, g: Array, cells: Array, flows: Array) -> None:
        """Write what flows into a band of the map."""
        flows[:, : self.written.start] = 0
        flows[:, self.written.stop :] = 0
        into, g, cells = flows[:, self.written], g[:, self.pooled], cells[:, self.pooled]
        if self.pool is not None:
            _core.max_pool_grad(
                as_volumes(g, False), as_volumes(cells, False), as_volumes(into, False),
                self.pool, number_of(g),
            )  # fmt: skip
        elif plan.relu:
            for one, features, answer in zip(g, cells, into, strict=True):  # dense, each
                _core.relu_grad(
                    core_view(one), core_view(features), core_view(answer), number_of(g)
                )
        else:
            into[...] = g


def _reaching(pool: Axis, begin: int, end: int) -> slice:
    """Return the windows, one at least, among which are all that see the rows [begin, end)."""
    first = -(-(begin + pool.pad_before - pool.extent + 1) // pool.stride)
    last = (end - 1 + pool.pad_before) // pool.stride
    first = min(max(first, 0), pool.out - 1)
    return slice(first, min(max(last, first), pool.out - 1) + 1)
