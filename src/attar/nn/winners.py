"""Which of its inputs a maximum is, and the way back."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, core_view, from_caller, number_of, require_real, require_whole
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import Axis, flag, freeze
from attar.nn.layout import CHANNELS_FIRST, CHANNELS_LAST, Layout, layout_of, require_room
from attar.nn.pooling import PoolPlan, plan_pool

__all__ = ["MaxPoolWithArgmax", "max_pool_with_argmax", "max_unpool", "run_pool_winners"]


class MaxPoolWithArgmax(NamedTuple):
    """What `max_pool_with_argmax` returns.

    Attributes
    ----------
    output : array
        The maxima.
    argmax : array of whole numbers, shaped like `output`
        Where they were found.
    """

    output: Any
    argmax: Any


def max_pool_with_argmax(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = "NHWC",
    output_dtype: Any = np.int64,
    include_batch_in_index: bool = False,
    name: str | None = None,
    *,
    dilations: Any = None,
    ceil_mode: bool = False,
    index: str = "flat",
) -> MaxPoolWithArgmax:
    """Condense to the maximum of each window, and tell where it was.

    That is the first of the largest values, row by row; the first NaN where there is one.

    Parameters
    ----------
    input : array of any real dtype, batch and layout as in `pool`
    ksize : int, or one int for each spatial axis
        The window.
    strides, padding, data_format, name, dilations, ceil_mode
        As in `pool`.
    output_dtype : {int64, int32}
        Of `argmax`, except for ``index="window"``.
    include_batch_in_index : bool
        Count ``"flat"`` positions from the first image on, not in each image anew.
    index : {"flat", "plane", "window"}
        ``"flat"`` is TensorFlow's position in a channels-last image, ``(y * W + x) * C + c``,
        whatever the layout of the input. ``"plane"`` is PyTorch's position in one channel,
        ``y * W + x``. ``"window"`` is the tap of the window, ``ky * kw + kx``, as uint8 where
        that suffices (else uint16 or uint32); taps that meet no input for any output are not
        counted. A depth axis comes before the height in each.

    Returns
    -------
    MaxPoolWithArgmax
        ``output`` and ``argmax``, both in the input's layout.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.array([[1, 5, 2, 0], [3, 4, 9, 9]], np.float32).reshape(1, 2, 4, 1)
    >>> output, argmax = nn.max_pool_with_argmax(image, 2, 2, "VALID")
    >>> output.ravel(), argmax.ravel()
    (array([5., 9.], dtype=float32), array([1, 6]))
    """
    operation = "nn.max_pool_with_argmax"
    x, give_back = from_caller(operation, "input", input)
    plan = plan_pool(
        operation, x.shape, ksize, "MAX", strides, padding, data_format, dilations,
        ceil_mode=ceil_mode, window_argument="ksize",
    )  # fmt: skip
    require_index(operation, index, ("flat", "plane", "window"))
    include_batch = flag(operation, "include_batch_in_index", include_batch_in_index)
    dtype = _index_dtype(operation, output_dtype)
    if index != "window":
        _require_to_fit(operation, plan, dtype, index, include_batch)
    x = require_real(operation, "input", x)
    output, winners = run_pool_winners(operation, plan, x)
    if index != "window":
        winners = _positions(plan, winners, dtype, index, include_batch)
    return MaxPoolWithArgmax(give_back(output), give_back(winners))


def max_unpool(
    input: Any,
    argmax: Any,
    output_shape: Any,
    data_format: str | None = None,
    *,
    include_batch_in_index: bool = False,
    index: str = "flat",
) -> Any:
    """Undo a maximum as far as can be: each value where it was, and 0 elsewhere.

    Where two values have the same position, as those of overlapping windows may, the one that
    comes later in a channels-last array stays.

    Parameters
    ----------
    input : array of any real dtype, batch and layout as in `pool`
    argmax : array of whole numbers, shaped like `input`
        As from `max_pool_with_argmax`.
    output_shape : int or ints
        Of the answer: its spatial axes, or all axes.
    data_format : str, optional
        Channels last by default.
    include_batch_in_index : bool
        Whether ``"flat"`` positions count from the first image on.
    index : {"flat", "plane"}
        What `argmax` holds, as in `max_pool_with_argmax`.

    Returns
    -------
    Array of the shape asked for and the input's dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([2, 7, 5, 1], np.float32).reshape(1, 4, 1)
    >>> maxima, where = nn.max_pool_with_argmax(row, 2, 2, "VALID", "NWC")
    >>> nn.max_unpool(maxima, where, row.shape).ravel()
    array([0., 7., 5., 0.], dtype=float32)
    """
    operation = "nn.max_unpool"
    x, give_back = from_caller(operation, "input", input)
    positions, _ = from_caller(operation, "argmax", argmax)
    frozen = freeze(operation, "output_shape", output_shape)
    layout = layout_of(operation, x.shape, freeze(operation, "data_format", data_format), frozen)
    out_shape = _unpooled_shape(operation, x.shape, layout, frozen)
    require_index(operation, index, ("flat", "plane"))
    include_batch = flag(operation, "include_batch_in_index", include_batch_in_index)
    x = require_real(operation, "input", x)
    require_whole(operation, "argmax", positions)
    if positions.shape != x.shape:
        raise ShapeError(
            f"{operation}: argmax must have the shape of the input, {x.shape}, "
            f"got {positions.shape}"
        )
    result = np.zeros(out_shape, x.dtype)
    if x.size:
        at = addresses_of(operation, layout, out_shape, positions, index, include_batch)
        # Unlike an assignment to result[at], put() is a plain loop: the last of two values stays.
        np.put(core_view(result), at, core_view(layout.volumes(x)))
    return give_back(result)


# ------------------------------------------------------------------ resolve, then compute


def run_pool_winners(operation: str, plan: PoolPlan, x: Array) -> tuple[Array, Array]:
    """Compute the maxima and the tap of each: (output, winners), for a plan with ``"MAX"``."""
    if plan.winner_dtype.itemsize > 4:
        raise ShapeError(
            f"{operation}: a window must have at most {2**32} taps, "
            f"got {tuple(axis.window for axis in plan.axes)}"
        )
    output = np.empty(plan.out_shape, x.dtype)
    winners = np.empty(plan.out_shape, plan.winner_dtype)
    if output.size:
        _core.pool_winners(
            plan.volumes(x), plan.answer_volumes(output), plan.answer_volumes(winners), plan.pool,
            number_of(x), False,
        )  # fmt: skip
    return output, winners


def require_index(operation: str, index: Any, accepted: tuple[str, ...]) -> None:
    if not isinstance(index, str) or index not in accepted:
        *names, last = map(repr, accepted)
        raise ArgumentError(
            f"{operation}: index must be {', '.join(names)} or {last}, got {index!r}"
        )


def _index_dtype(operation: str, output_dtype: Any) -> np.dtype[Any]:
    wanted = getattr(output_dtype, "as_numpy_dtype", output_dtype)  # of TensorFlow's dtypes
    for dtype in (np.dtype(np.int32), np.dtype(np.int64)):
        with suppress(TypeError, ValueError):  # what NumPy does not understand
            if dtype == wanted:
                return dtype
    raise DTypeError(f"{operation}: output_dtype must be int32 or int64, got {output_dtype!r}")


def _require_to_fit(
    operation: str, plan: PoolPlan, dtype: np.dtype[Any], index: str, include_batch: bool
) -> None:
    n, sizes, channels = plan.layout.split(plan.in_shape)
    last = _count(n, sizes, channels, index, include_batch) - 1
    if last > np.iinfo(dtype).max:
        raise ArgumentError(
            f"{operation}: output_dtype must be int64 for an input of shape {plan.in_shape}: "
            f"positions up to {last} do not fit {dtype}"
        )


def _count(n: int, sizes: tuple[int, ...], channels: int, index: str, include_batch: bool) -> int:
    """How many positions there are."""
    count = math.prod(sizes)
    if index == "flat":
        count *= channels * (n if include_batch else 1)
    return count


def _positions(
    plan: PoolPlan, winners: Array, dtype: np.dtype[Any], index: str, include_batch: bool
) -> Array:
    """Positions in the input from taps of the windows.

    A position is that of the window's first tap and the tap's distance from it: one look-up in a
    small table, and one addition.
    """
    n, sizes, channels = plan.layout.split(plan.in_shape)
    taps, firsts = places_of(plan)
    per_channel = np.zeros(channels, np.int64)
    if index == "flat":
        taps, firsts, per_channel = taps * channels, firsts * channels, np.arange(channels)
    if plan.layout.channels_first:
        image = np.add.outer(per_channel, firsts)
    else:
        image = np.add.outer(firsts, per_channel)
    positions: Array = taps.astype(dtype).take(winners)
    images = positions.reshape(n, image.size)  # a view
    images += image.ravel().astype(dtype)
    if index == "flat" and include_batch:
        images += (np.arange(n) * (math.prod(sizes) * channels)).astype(dtype)[:, None]
    return positions


def places_of(plan: PoolPlan) -> tuple[Array, Array]:
    """Return where in a plane each tap lies from its window's first, and each window's first.

    The taps in one row, the windows in the shape of the plane of the answer.
    """
    taps, firsts = np.zeros((), np.int64), np.zeros((), np.int64)
    _, sizes, _ = plan.layout.split(plan.in_shape)
    for axis, size in zip(plan.axes, sizes, strict=True):
        if isinstance(axis, Axis):
            begins, step = np.arange(axis.out) * axis.stride - axis.pad_before, axis.dilation
        else:
            begins, step = np.array(axis.begins), 1
        taps = np.add.outer(taps * size, np.arange(axis.window) * step)
        firsts = np.add.outer(firsts * size, begins)
    return taps.ravel(), firsts


def _unpooled_shape(
    operation: str, shape: tuple[int, ...], layout: Layout, output_shape: Any
) -> tuple[int, ...]:
    n, _, channels = layout.split(shape)
    wanted = output_shape if isinstance(output_shape, tuple) else (output_shape,)
    sizes = wanted
    if len(wanted) == len(shape):
        _, sizes, _ = layout.split(wanted)
    whole = layout.join(n, sizes, channels)
    if len(sizes) != layout.dims or wanted not in (sizes, whole):
        form = (CHANNELS_FIRST if layout.channels_first else CHANNELS_LAST)[layout.dims]
        raise ShapeError(
            f"{operation}: output_shape must be {layout.dims} (the spatial axes) or "
            f"{len(shape)} numbers ({form[0 if layout.batched else 1 :]}) with the batch and the "
            f"channels of the input, {shape}, got {output_shape!r}"
        )
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ShapeError(f"{operation}: output_shape must be at least 1, got {output_shape!r}")
    require_room(operation, "the answer", whole)
    return whole


def addresses_of(
    operation: str,
    layout: Layout,
    out_shape: tuple[int, ...],
    positions: Array,
    index: str,
    include_batch: bool,
) -> Array:
    """Where in the memory of the answer each value belongs; the values in channels-last order."""
    n, sizes, channels = layout.split(out_shape)
    plane = math.prod(sizes)
    at = layout.volumes(positions).astype(np.int64, order="C")
    count = _count(n, sizes, channels, index, include_batch)
    for found in (at.min(), at.max()):
        if not 0 <= found < count:
            raise ArgumentError(
                f"{operation}: argmax must lie in [0, {count}) for an answer of shape "
                f"{out_shape}, got {found}"
            )
    if index == "plane":
        if layout.channels_first:
            at += np.arange(channels) * plane
        else:
            at *= channels
            at += np.arange(channels)
    elif layout.channels_first:
        pixel, channel = np.divmod(at, channels)
        at = channel * plane + pixel
        if include_batch:  # then pixels are counted from the first image on
            at += pixel // plane * ((channels - 1) * plane)
    if index == "plane" or not include_batch:
        at += (np.arange(n) * (plane * channels))[:, None, None, None, None]
    return at
