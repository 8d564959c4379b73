"""Filter, detect and condense an image that is larger than memory, some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, check_out, number_of, require_float
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import Axis
from attar.nn.extract_plan import ExtractPlan
from attar.nn.pooling import core_pool
from attar.on_disk import RowReader, is_on_disk, let_go, rows_of_a_chunk

__all__ = ["BAND_BYTES", "Maps", "extract_on_disk", "extract_rows", "extract_stages"]

BAND_BYTES = 16 << 20
"""About how much of the image, and of each map, is in memory at a time."""

Rows = Callable[[int, int], Array]


def extract_rows(
    plan: ExtractPlan,
    filters: Array,
    bias: Array | None,
    rows: Rows,
    write: Callable[[int, int, Array], None],
    *,
    together: int = 1,
) -> None:
    """Compute the answer to one image in bands, each with the rows around it that it looks at.

    The answer is that of the whole image to the bit: each band is computed by the same kernel, from
    the same numbers, in the same order.

    Parameters
    ----------
    plan : ExtractPlan
        For an input of one image.
    filters : (kh, kw, C / groups, K) array
    bias : (K,) array, optional
    rows : callable
        Given begin and end, returns those rows of the image in the layout of the plan, with a
        batch of one. From the top to the bottom; neighbours overlap.
    write : callable
        Given first, last and their answer, puts it where it belongs. From the top to the bottom.
    together : int
        Rows of the answer that are stored together: a band is a multiple of them.
    """
    weights = plan.cut(filters)
    in_bytes = _row_bytes(plan, filters) * plan.pool_y.stride * plan.y.stride
    out_bytes = plan.pool_x.out * filters.shape[3] * filters.itemsize
    for first, last in _bands(plan.pool_y.out, max(in_bytes, out_bytes), together):
        pool_y, top, bottom = plan.pool_y.part(first, last)
        answer = _compute(plan, (top, bottom), pool_y, plan.kind, plan.relu, weights, bias, rows)
        write(first, last, answer)


def _row_bytes(plan: ExtractPlan, filters: Array) -> int:
    return int(plan.x.size * filters.shape[2] * plan.groups * filters.itemsize)


def _bands(rows: int, row_bytes: int, together: int) -> Iterator[tuple[int, int]]:
    count = max(1, BAND_BYTES // max(1, row_bytes))
    if together <= 4 * count:  # else a band would hold far more than it should
        count = max(1, count // together) * together
    for first in range(0, rows, count):
        yield first, min(first + count, rows)


def _compute(
    plan: ExtractPlan,
    conv_rows: tuple[int, int],
    pool_y: Axis,
    kind: str,
    relu: bool,
    weights: Array,
    bias: Array | None,
    rows: Rows,
) -> Array:
    """Filter the rows of the image that some rows of the convolution need, and condense them."""
    y, begin, end = plan.y.part(*conv_rows)
    pool_x = plan.pool_x if kind != "NONE" else _each(plan.x.out)
    band = rows(begin, end)
    count, filters = pool_y.out, weights.shape[3]
    if plan.channels_first:
        # One row more: channels that lie side by side in memory, because a map is one number, would
        # be summed in another order than those of the whole answer.
        answer = np.empty((1, filters, count + 1, pool_x.out), weights.dtype)[:, :, :count]
        if plan.pool_y.out * plan.pool_x.out == 1:
            answer = np.empty((1, filters, count, pool_x.out), weights.dtype)
    else:
        answer = np.empty((1, count, pool_x.out, filters), weights.dtype)
    _core.extract(
        plan.volumes(band), weights, bias, plan.volumes(answer), _core.Axis(*y), plan.core_x,
        core_pool((pool_y, pool_x), kind), relu,
    )  # fmt: skip
    return answer


def _each(size: int) -> Axis:
    """Return a pool that leaves every value as it is."""
    return Axis(size, 1, 1, 1, 0, 0, size)


# ------------------------------------------------------------------ with the maps between


class Maps(NamedTuple):
    """Some rows of every map of an image, channels last, without a batch.

    Every row of every map comes once, from the top to the bottom. Some maps may have none.
    """

    filter: Array
    detect: Array
    condense: Array


def extract_stages(
    plan: ExtractPlan,
    filters: Array,
    bias: Array | None,
    rows: Rows,
    visit: Callable[[Maps], None],
    *,
    together: int = 1,
) -> None:
    """Do what `extract_rows` does, and show every map on the way.

    Rows of the filtered map that two bands need are computed by both; each is shown once.

    Parameters
    ----------
    plan, filters, bias, rows, together
        As of `extract_rows`; the plan has channels last.
    visit : callable
        Given the next rows of the maps.
    """
    weights = plan.cut(filters)
    whole = plan.y.out
    map_bytes = plan.x.out * filters.shape[3] * filters.itemsize
    row_bytes = max(_row_bytes(plan, filters) * plan.y.stride, map_bytes)

    def filtered(begin: int, end: int) -> Array:
        each = _each(end - begin)
        band = _compute(plan, (begin, end), each, "NONE", False, weights, bias, rows)
        one: Array = band[0]
        return one

    shown = 0
    pooled_bytes = row_bytes * plan.pool_y.stride
    for first, last in _bands(plan.pool_y.out, pooled_bytes, together):
        pool_y, top, bottom = plan.pool_y.part(first, last)
        for begin, end in _bands(max(0, top - shown), row_bytes, 1):
            _visit_alone(plan, filtered(shown + begin, shown + end), visit)
        shown = max(shown, top)
        band = filtered(top, bottom)
        detected = _detected(plan, band)
        condensed = _condensed(plan, pool_y, detected)
        visit(Maps(band[shown - top :], detected[shown - top :], condensed))
        shown = bottom
    for begin, end in _bands(whole - shown, row_bytes, 1):
        _visit_alone(plan, filtered(shown + begin, shown + end), visit)


def _visit_alone(plan: ExtractPlan, band: Array, visit: Callable[[Maps], None]) -> None:
    """Show rows that no window of the pool sees."""
    nothing = np.empty((0, plan.pool_x.out, band.shape[2]), band.dtype)
    visit(Maps(band, _detected(plan, band), nothing))


def _detected(plan: ExtractPlan, band: Array) -> Array:
    if not plan.relu:
        return band
    detected = np.empty_like(band)
    _core.relu(band, detected, number_of(band))
    return detected


def _condensed(plan: ExtractPlan, pool_y: Axis, detected: Array) -> Array:
    if plan.kind == "NONE":
        return detected
    condensed = np.empty((pool_y.out, plan.pool_x.out, detected.shape[2]), detected.dtype)
    pool = core_pool((pool_y, plan.pool_x), plan.kind)
    _core.pool(
        plan.volumes(detected[None]), plan.volumes(condensed[None]), pool, number_of(detected)
    )
    return condensed


# ------------------------------------------------------------------ arrays on disk


def extract_on_disk(
    operation: str,
    input: Any,
    out: Any,
    plan_of: Callable[[tuple[int, ...]], ExtractPlan],
    filters: Array,
    bias: Array | None,
) -> Any:
    """Compute the answer to images that are on disk, or that goes there.

    Parameters
    ----------
    operation : str
        What errors name.
    input, out : ndarray, memory map or Zarr array; `out` may be None
    plan_of : callable
        Resolves the arguments for the shape of an input.
    filters, bias : ndarray, dense, of the input's dtype
    """
    shape = tuple(input.shape)
    plan = plan_of(shape)
    result = np.empty(plan.out_shape, input.dtype) if out is None else out
    check_stored_out(operation, input, result, plan.out_shape, filters.dtype, filters, bias)
    if not math.prod(plan.out_shape):
        return result
    axis = 2 if plan.channels_first else 1
    channels = (slice(None),) if plan.channels_first else ()
    one = plan_of((1, *shape[1:]))
    image_bytes = max(math.prod(shape[1:]), math.prod(plan.out_shape[1:])) * filters.itemsize
    several = BAND_BYTES // image_bytes
    if several > 1:  # small images: as many at once as are one band of a large one
        several = _bands_of_images(several, input, result)
    for i in range(0, shape[0], max(1, several)):
        if several > 1:
            _extract_images(operation, input, result, i, several, plan_of, filters, bias)
            continue
        reader = RowReader(input, (i, *channels))

        def read(begin: int, end: int, reader: RowReader = reader) -> Array:
            return require_float(operation, "input", reader.read(begin, end)[None])

        def write(first: int, last: int, answer: Array, i: int = i) -> None:
            result[(i, *channels, slice(first, last))] = answer[0]
            let_go(result)

        together = rows_of_a_chunk(result, axis, written=True)
        extract_rows(one, filters, bias, read, write, together=together)
        reader.close()
    return result


def _bands_of_images(several: int, input: Any, result: Any) -> int:
    """Return how many small images to take at once: whole chunks, where that is possible."""
    together = max(rows_of_a_chunk(input, 0), rows_of_a_chunk(result, 0, written=True))
    return max(1, several // together) * together if together <= 4 * several else several


def _extract_images(
    operation: str,
    input: Any,
    result: Any,
    first: int,
    count: int,
    plan_of: Callable[[tuple[int, ...]], ExtractPlan],
    filters: Array,
    bias: Array | None,
) -> None:
    images = require_float(operation, "input", np.asarray(input[first : first + count]))
    plan = plan_of(images.shape)
    answer = np.empty(plan.out_shape, filters.dtype)
    _core.extract(
        plan.volumes(images), plan.cut(filters), bias, plan.volumes(answer),
        plan.core_y, plan.core_x, plan.pool, plan.relu,
    )  # fmt: skip
    result[first : first + count] = answer
    let_go(input)
    let_go(result)


def check_stored_out(
    operation: str,
    input: Any,
    out: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *inputs: Array | None,
) -> None:
    """Refuse an `out`, in memory or on disk, that an answer of this shape cannot be written to."""
    if not is_on_disk(out) or isinstance(out, np.ndarray):
        arrays = (input, *inputs) if isinstance(input, np.ndarray) else inputs
        check_out(operation, out, shape, dtype, *arrays)
        return
    if tuple(out.shape) != shape:
        raise ShapeError(f"{operation}: out must have the shape {shape}, got {tuple(out.shape)}")
    if out.dtype != dtype:
        raise DTypeError(f"{operation}: out must be {dtype} like the input, got {out.dtype}")
    if out.read_only:
        raise ArgumentError(f"{operation}: out is read-only")
    if getattr(input, "store_path", None) == out.store_path:
        raise ArgumentError(f"{operation}: out must not share memory with an input")
