"""Filter, detect and condense, with the cell of each window that won."""

from __future__ import annotations

from typing import NamedTuple

from attar import _core
from attar.arrays import Array, copy_into, empty_aligned, number_of
from attar.nn.extract_plan import ExtractPlan
from attar.nn.fused import FusedConv, Resolved
from attar.nn.layout import as_volumes
from attar.nn.pooling import core_pool

__all__ = ["BAND_BYTES", "filter_and_condense", "filter_and_detect"]

BAND_BYTES = 2 << 20
"""About what is there at a time of the map between filter and pool."""

_FEW_CHANNELS = 4
"""Winograd's kernels save little here, and what they round makes other cells win near ties."""


def filter_and_detect(
    plan: ExtractPlan, x: Array, weights: Array, bias: Array | None, output: Array
) -> None:
    """Filter and detect into `output`, where there is no pool."""
    if not output.size:
        return
    conv = _fused(plan, weights, bias, relu=plan.relu)
    image, answer = plan.channels_last(x), plan.channels_last_view(output)
    if plan.channels_first:
        maps = empty_aligned(answer.shape, answer.dtype)
        conv.run(image, maps)
        copy_into(answer, maps)
    else:
        conv.run(image, answer)


def filter_and_condense(
    plan: ExtractPlan, x: Array, weights: Array, bias: Array | None, output: Array, winners: Array
) -> None:
    """Filter, detect and condense into `output`, and write which cells won into `winners`.

    Some rows of the map at a time: the maxima of a band are taken before the next is computed.
    """
    if not output.size:
        return
    conv = _fused(plan, weights, bias, relu=False)
    image = plan.channels_last(x)
    answer, cells = (
        as_volumes(output, plan.channels_first),
        as_volumes(winners, plan.channels_first),
    )
    n, _, height, _, filters = answer.shape
    row_bytes = plan.x.out * filters * x.itemsize
    together = max(1, BAND_BYTES // (row_bytes * plan.y.out))  # images whose maps fit a band
    rows = max(1, BAND_BYTES // row_bytes // plan.pool_y.stride)
    bands = [
        _Band.of(plan, conv, image.shape, first, min(first + rows, height))
        for first in range(0, height, rows)
    ]
    most = max(band.map_rows for band in bands)
    maps = empty_aligned((min(n, together), most, plan.x.out, filters), x.dtype)
    for i in range(0, n, together):
        for band in bands:
            part = image[i : i + together, band.image]
            band_maps = maps[: len(part), : band.map_rows]
            conv.compute(band.filter, part, band_maps)
            _core.pool_winners(
                as_volumes(band_maps, False), answer[i : i + together, :, band.answer],
                cells[i : i + together, :, band.answer], band.pool, number_of(x), plan.relu,
            )  # fmt: skip


class _Band(NamedTuple):
    """Some rows of the answer, and what they are computed of."""

    answer: slice
    map_rows: int
    image: slice
    filter: Resolved
    pool: _core.Pool

    @classmethod
    def of(
        cls, plan: ExtractPlan, conv: FusedConv, shape: tuple[int, ...], first: int, last: int
    ) -> _Band:
        pool_y, top, bottom = plan.pool_y.part(first, last)
        rows = conv.rows(shape, top, bottom)
        pool = core_pool((pool_y, plan.pool_x), "MAX")
        image = slice(rows.begin, rows.end)
        return cls(slice(first, last), bottom - top, image, rows.resolved, pool)


def _fused(plan: ExtractPlan, weights: Array, bias: Array | None, *, relu: bool) -> FusedConv:
    return FusedConv(
        weights,
        bias,
        strides=plan.strides,
        padding=plan.padding,
        dilations=plan.dilations,
        activation="relu" if relu else None,
        precision="exact" if weights.shape[2] <= _FEW_CHANNELS else "fast",
    )
