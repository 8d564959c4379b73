"""Filter, detect and condense an image that is larger than memory, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attar import _core
from attar.arrays import Array, require_float
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.nn.extract_plan import ExtractPlan
from attar.nn.pooling import core_pool
from attar.on_disk import is_on_disk, let_go, read_part

__all__ = ["BAND_BYTES", "extract_on_disk", "extract_rows"]

BAND_BYTES = 16 << 20
"""About how much of the image is in memory at a time."""

Rows = Callable[[int, int], Array]


def extract_rows(
    plan: ExtractPlan,
    filters: Array,
    bias: Array | None,
    rows: Rows,
    write: Callable[[int, int, Array], None],
    band_bytes: int = BAND_BYTES,
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
        batch of one.
    write : callable
        Given first, last and their answer, puts it where it belongs. From the top to the bottom.
    band_bytes : int
    """
    height = plan.y.size
    width_bytes = plan.x.size * filters.shape[2] * plan.groups * filters.itemsize
    step = plan.pool_y.stride * plan.y.stride
    count = max(1, band_bytes // max(1, width_bytes * step))
    weights = plan.cut(filters)
    out_rows = plan.pool_y.out
    shape = list(plan.out_shape)
    axis = 2 if plan.channels_first else 1
    for first in range(0, out_rows, count):
        last = min(first + count, out_rows)
        pool_y, top, bottom = plan.pool_y.part(first, last)
        y, begin, end = plan.y.part(top, bottom)
        band = rows(begin, min(end, height))
        shape[axis] = last - first
        answer = np.empty(shape, filters.dtype)
        _core.extract(
            plan.volumes(band), weights, bias, plan.volumes(answer), _core.Axis(*y), plan.core_x,
            core_pool((pool_y, plan.pool_x), plan.kind), plan.relu,
        )  # fmt: skip
        write(first, last, answer)


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
    _check_out(operation, input, result, plan.out_shape)
    if not shape[0] > 0 or not np.prod(plan.out_shape):
        return result
    one = plan_of((1, *shape[1:]))
    first_axis = slice(None)
    for i in range(shape[0]):

        def part(begin: int, end: int, i: int = i) -> tuple[Any, ...]:
            rows = slice(begin, end)
            return (i, first_axis, rows) if plan.channels_first else (i, rows)

        def read(begin: int, end: int) -> Array:
            found = read_part(input, part(begin, end))[None]
            return require_float(operation, "input", found)

        def write(first: int, last: int, answer: Array) -> None:
            result[part(first, last)] = answer[0]
            let_go(result)

        extract_rows(one, filters, bias, read, write)
    return result


def _check_out(operation: str, input: Any, out: Any, shape: tuple[int, ...]) -> None:
    if tuple(out.shape) != shape:
        raise ShapeError(f"{operation}: out must have the shape {shape}, got {tuple(out.shape)}")
    if out.dtype != input.dtype:
        raise DTypeError(f"{operation}: out must be {input.dtype} like the input, got {out.dtype}")
    if isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise ArgumentError(f"{operation}: out is read-only")
        if isinstance(input, np.ndarray) and np.may_share_memory(input, out):
            raise ArgumentError(f"{operation}: out must not share memory with an input")
    elif not is_on_disk(out):
        raise DTypeError(
            f"{operation}: out must be an array, a memory map or a Zarr array, got "
            f"{type(out).__name__}"
        )
