"""Condense: the maximum, the mean or the norm of each window."""

from __future__ import annotations

import math
import numbers
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import (
    Array,
    Return,
    answer_array,
    core_view,
    from_caller,
    number_of,
    require_float,
    require_real,
)
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import (
    AnyAxis,
    Axis,
    Bins,
    flag,
    freeze,
    parse_padding,
    pool_axes,
    spatial_values,
)
from attar.nn.layout import Layout, layout_of, require_room

__all__ = [
    "PoolPlan",
    "avg_pool",
    "core_pool",
    "exponent",
    "global_pool",
    "lp_pool",
    "max_pool",
    "plan_axes",
    "plan_global_pool",
    "plan_pool",
    "pool",
    "pooling_kind",
    "require_poolable",
    "run_pool",
]

_POOLING_TYPES = {"MAX": "MAX", "AVG": "AVG", "AVERAGE": "AVG", "LP": "LP"}
_KINDS = ("MAX", "AVG", "LP")


def pool(
    input: Any,
    window_shape: Any,
    pooling_type: str,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    p: float = 2.0,
    out: Any = None,
) -> Any:
    """Condense: the maximum, the mean or the norm of each window.

    Padding never wins: a maximum is taken over, and a mean divides by, the real values that a
    window sees. NaN propagates.

    Parameters
    ----------
    input : (N, W, C), (N, H, W, C) or (N, D, H, W, C) array
        Or with the channels second, for ``"NCW"``, ``"NCHW"`` and ``"NCDHW"``. One image without
        N is taken too, where `data_format` or as many numbers in `window_shape` as there are
        spatial axes tell it from a batch. A maximum takes every real dtype: float16, bfloat16,
        float32, float64, int8 to int64, uint8 to uint64. Mean and norm take the floating ones.
    window_shape : int, or one int for each spatial axis
    pooling_type : {"MAX", "AVG", "LP"}
        The norm is that of ONNX's LpPool: ``(sum of |x|^p)^(1/p)``.
    strides : int or ints, optional
        1 by default, as in tf.nn. (Layers default to the window.)
    padding : {"SAME", "VALID"} or pairs
        As in `conv2d`.
    data_format : str, optional
        Channels last by default.
    dilations : int or ints, optional
    name : str, optional
        Ignored.
    ceil_mode : bool
        Keep the last window also where it reaches over the end, with PyTorch's meaning.
    count_include_pad : bool
        Let a mean divide by the cells of padding too, with PyTorch's meaning.
    p : float
        Of a norm: larger than 0 and finite.
    out : array, optional
        Where to write the answer; it must not overlap the input.

    Returns
    -------
    Array of the input's layout and dtype. Sums are made in that dtype, those of float16 and
    bfloat16 in float32.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> nn.pool(image, 2, "MAX", strides=2)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    return _pool(
        "nn.pool", "window_shape", input, window_shape, pooling_type, strides, padding,
        data_format, dilations, ceil_mode, count_include_pad, p, out,
    )  # fmt: skip


def max_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    name: str | None = None,
    *,
    dilations: Any = None,
    ceil_mode: bool = False,
    out: Any = None,
) -> Any:
    """Condense to the maximum of each window: `pool` with ``"MAX"``, in tf.nn's words.

    Parameters
    ----------
    input : array of any real dtype, batch and layout as in `pool`
    ksize : int, or one int for each spatial axis
        The window.
    strides, padding, data_format, name, dilations, ceil_mode, out
        As in `pool`.

    Returns
    -------
    Array of the input's layout and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([3, -1, -2, -5], np.int8).reshape(1, 4, 1)
    >>> nn.max_pool(row, 2, 2, "VALID").ravel()
    array([ 3, -2], dtype=int8)
    """
    return _pool(
        "nn.max_pool", "ksize", input, ksize, "MAX", strides, padding,
        data_format, dilations, ceil_mode, False, 2.0, out,
    )  # fmt: skip


def avg_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    name: str | None = None,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    out: Any = None,
) -> Any:
    """Condense to the mean of each window: `pool` with ``"AVG"``, in tf.nn's words.

    Parameters
    ----------
    input : array of float16, bfloat16, float32 or float64, batch and layout as in `pool`
    ksize : int, or one int for each spatial axis
        The window.
    strides, padding, data_format, name, ceil_mode, count_include_pad, out
        As in `pool`.

    Returns
    -------
    Array of the input's layout and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([1, 3, 5], np.float32).reshape(1, 3, 1)
    >>> nn.avg_pool(row, 2, 2, "SAME").ravel()
    array([2., 5.], dtype=float32)
    """
    return _pool(
        "nn.avg_pool", "ksize", input, ksize, "AVG", strides, padding,
        data_format, None, ceil_mode, count_include_pad, 2.0, out,
    )  # fmt: skip


def lp_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    name: str | None = None,
    *,
    p: float = 2.0,
    dilations: Any = None,
    ceil_mode: bool = False,
    out: Any = None,
) -> Any:
    """Condense to the p-norm of each window: `pool` with ``"LP"``.

    As in ONNX's LpPool it is ``(sum of |x|^p)^(1/p)``, and padding adds nothing. PyTorch's
    `lp_pool` leaves out the magnitude, so that there the sum may be negative.

    Parameters
    ----------
    input : array of float16, bfloat16, float32 or float64, batch and layout as in `pool`
    ksize : int, or one int for each spatial axis
        The window.
    strides, padding, data_format, name, dilations, ceil_mode, out
        As in `pool`.
    p : float
        Larger than 0 and finite.

    Returns
    -------
    Array of the input's layout and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([3, -4, 5, 12], np.float32).reshape(1, 4, 1)
    >>> nn.lp_pool(row, 2, 2, "VALID").ravel()
    array([ 5., 13.], dtype=float32)
    """
    return _pool(
        "nn.lp_pool", "ksize", input, ksize, "LP", strides, padding,
        data_format, dilations, ceil_mode, False, p, out,
    )  # fmt: skip


def global_pool(
    input: Any,
    pooling_type: str,
    data_format: str | None = None,
    *,
    keepdims: bool = False,
    p: float = 2.0,
    out: Any = None,
) -> Any:
    """Condense each map to one number, its maximum, mean or norm.

    Parameters
    ----------
    input : array, batch and layout as in `pool`
        One image without a batch needs `data_format`.
    pooling_type : {"MAX", "AVG", "LP"}
    data_format : str, optional
        Channels last by default.
    keepdims : bool
        Keep the spatial axes, of size 1.
    p : float
        Of a norm: larger than 0 and finite.
    out : array, optional
        Where to write the answer; it must not overlap the input.

    Returns
    -------
    (N, C), of the input's dtype, as Keras' global layers give it.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    >>> nn.global_pool(image, "AVG")
    array([[3., 4.]], dtype=float32)
    """
    operation = "nn.global_pool"
    x, give_back = from_caller(operation, "input", input)
    plan = plan_global_pool(operation, x.shape, pooling_type, data_format, keepdims=keepdims, p=p)
    return run_pool(operation, plan, x, give_back, out)


# ------------------------------------------------------------------ resolve, then compute


class PoolPlan(NamedTuple):
    """Everything about a pool that follows from shapes and options.

    Attributes
    ----------
    pool : _core.Pool
    kind : {"MAX", "AVG", "LP"}
    axes : tuple of Axis or Bins
        Of the spatial axes, as the core has them: without the taps that meet no input for any
        output, except where a mean counts them.
    in_shape, out_shape : tuple of int
        Of the caller's arrays.
    layout : Layout
        ``layout.channels_first``, ``layout.batched``, ``layout.dims``.
    """

    pool: _core.Pool
    kind: str
    axes: tuple[AnyAxis, ...]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    layout: Layout

    def volumes(self, array: Array) -> Array:
        """View an input as the core wants it."""
        return core_view(self.layout.volumes(array))

    def answer_volumes(self, array: Array) -> Array:
        """View an answer, whose spatial axes may have been left out, as the core wants it."""
        if len(self.out_shape) != len(self.in_shape):
            n, _, channels = self.layout.split(self.in_shape)
            outs = tuple(axis.out for axis in self.axes)
            array = array.reshape(self.layout.join(n, outs, channels))  # axes of 1: no copy
        return self.volumes(array)

    @property
    def winner_dtype(self) -> np.dtype[Any]:
        """The smallest unsigned dtype that holds every tap of a window."""
        return np.min_scalar_type(math.prod(axis.window for axis in self.axes) - 1)


def plan_pool(
    operation: str,
    shape: tuple[int, ...],
    window_shape: Any,
    pooling_type: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: Any = None,
    dilations: Any = None,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    p: Any = 2.0,
    window_argument: str = "window_shape",
) -> PoolPlan:
    """Check the options of a pool and resolve them for an input of this shape, from a cache."""
    return _plan_pool(
        operation,
        shape,
        window_argument,
        freeze(operation, window_argument, window_shape),
        freeze(operation, "pooling_type", pooling_type),
        freeze(operation, "strides", strides),
        freeze(operation, "padding", padding),
        freeze(operation, "data_format", data_format),
        freeze(operation, "dilations", dilations),
        flag(operation, "ceil_mode", ceil_mode),
        flag(operation, "count_include_pad", count_include_pad),
        exponent(operation, p),
    )


def plan_global_pool(
    operation: str,
    shape: tuple[int, ...],
    pooling_type: Any,
    data_format: Any = None,
    *,
    keepdims: bool = False,
    p: Any = 2.0,
) -> PoolPlan:
    """Resolve a pool with one window for everything."""
    return _plan_global_pool(
        operation,
        shape,
        freeze(operation, "pooling_type", pooling_type),
        freeze(operation, "data_format", data_format),
        flag(operation, "keepdims", keepdims),
        exponent(operation, p),
    )


def plan_axes(
    operation: str,
    shape: tuple[int, ...],
    layout: Layout,
    axes: tuple[AnyAxis, ...],
    kind: str,
    count_include_pad: bool = False,
    p: float = 2.0,
) -> PoolPlan:
    """Make the plan of a pool whose windows are known."""
    n, _, channels = layout.split(shape)
    out_shape = layout.join(n, tuple(axis.out for axis in axes), channels)
    require_room(operation, "the answer", out_shape)
    counted = count_include_pad and kind == "AVG"
    if not counted:
        axes = tuple(axis.trim()[0] for axis in axes)
    pool = core_pool(axes, kind, counted, p)
    return PoolPlan(pool, kind, axes, shape, out_shape, layout)


def core_pool(
    axes: tuple[AnyAxis, ...], kind: str, count_include_pad: bool = False, p: float = 2.0
) -> _core.Pool:
    """Hand the axes to the core, those of depth and height 1 added."""
    whole = Axis(1, 1, 1, 1, 0, 0, 1)
    z, y, x = map(_core_axis, (whole,) * (3 - len(axes)) + axes)
    return _core.Pool(z, y, x, kind, count_include_pad, p)


def _core_axis(axis: AnyAxis) -> _core.Axis:
    return _core.Axis.irregular(*axis) if isinstance(axis, Bins) else _core.Axis(*axis)


def pooling_kind(
    operation: str, pooling_type: Any, accepted: tuple[str, ...] = ("MAX", "AVG")
) -> str:
    """Read the name of a kind of pooling."""
    kind = _POOLING_TYPES.get(pooling_type.upper()) if isinstance(pooling_type, str) else None
    if kind is None or kind not in accepted:
        *names, last = map(repr, accepted)
        raise ArgumentError(
            f"{operation}: pooling_type must be {', '.join(names)} or {last}, got {pooling_type!r}"
        )
    return kind


def require_poolable(operation: str, argument: str, kind: str, array: Array) -> Array:
    """Return the array such that the core can take its maximum, mean or norm."""
    if kind == "MAX":
        return require_real(operation, argument, array)
    return require_float(operation, argument, array, half=True)


def run_pool(operation: str, plan: PoolPlan, x: Array, give_back: Return, out: Any) -> Any:
    """Compute what is planned, into `out` where there is one."""
    x = require_poolable(operation, "input", plan.kind, x)
    result = answer_array(operation, out, plan.out_shape, x.dtype, x)
    if result.size:
        _core.pool(plan.volumes(x), plan.answer_volumes(result), plan.pool, number_of(x))
    return give_back(result) if out is None else out


def _pool(
    operation: str, window_argument: str, input: Any, window_shape: Any, pooling_type: Any,
    strides: Any, padding: Any, data_format: Any, dilations: Any, ceil_mode: bool,
    count_include_pad: bool, p: Any, out: Any,
) -> Any:  # fmt: skip
    x, give_back = from_caller(operation, "input", input)
    plan = plan_pool(
        operation, x.shape, window_shape, pooling_type, strides, padding, data_format, dilations,
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, p=p,
        window_argument=window_argument,
    )  # fmt: skip
    return run_pool(operation, plan, x, give_back, out)


def exponent(operation: str, p: Any) -> float:
    """Check the p of a norm."""
    if isinstance(p, bool) or not isinstance(p, numbers.Real):
        raise DTypeError(f"{operation}: p must be a number, got {p!r}")
    value = float(p)
    if not 0 < value < math.inf:
        raise ArgumentError(f"{operation}: p must be larger than 0 and finite, got {p!r}")
    return value


@lru_cache(maxsize=1024)
def _plan_pool(
    operation: str,
    shape: tuple[int, ...],
    window_argument: str,
    window_shape: Any,
    pooling_type: Any,
    strides: Any,
    padding: Any,
    data_format: Any,
    dilations: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    p: float,
) -> PoolPlan:
    layout = layout_of(operation, shape, data_format, window_shape)
    dims, first, _ = layout
    kind = pooling_kind(operation, pooling_type, _KINDS)
    axes = pool_axes(
        operation,
        layout.split(shape)[1],
        spatial_values(operation, window_argument, window_shape, dims, first),
        spatial_values(operation, "strides", 1 if strides is None else strides, dims, first),
        spatial_values(operation, "dilations", 1 if dilations is None else dilations, dims, first),
        parse_padding(operation, "padding", padding, dims, first),
        ceil_mode,
    )
    if count_include_pad:
        padded = tuple(axis.size + axis.pad_before + axis.pad_after for axis in axes)
        require_room(operation, "the padded input", padded)
    return plan_axes(operation, shape, layout, axes, kind, count_include_pad, p)


@lru_cache(maxsize=1024)
def _plan_global_pool(
    operation: str,
    shape: tuple[int, ...],
    pooling_type: Any,
    data_format: Any,
    keepdims: bool,
    p: float,
) -> PoolPlan:
    layout = layout_of(operation, shape, data_format)
    kind = pooling_kind(operation, pooling_type, _KINDS)
    n, sizes, channels = layout.split(shape)
    if min(sizes) < 1:
        raise ShapeError(f"{operation}: an image must not be empty, got shape {shape}")
    axes = tuple(Axis(size, size, 1, 1, 0, 0, 1) for size in sizes)
    plan = plan_axes(operation, shape, layout, axes, kind, p=p)
    if keepdims:
        return plan
    return plan._replace(out_shape=(n, channels) if layout.batched else (channels,))
