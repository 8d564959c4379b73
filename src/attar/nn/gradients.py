"""Gradients: what flows into the answer of a pool, and from there to each of its inputs.

Every function takes ``grad``, the gradient of a loss by the answer of the function that it is named
after, and returns the gradient by its input, of the input's shape and the dtype of both. Each
element is a sum over the windows that see it, in the order of the windows, so it is the same to the
bit whatever the number of threads.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np

from attar import _core
from attar.arrays import (
    Array,
    Return,
    addressable,
    core_view,
    from_caller,
    number_of,
    require_float,
    require_whole,
)
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import AnyAxis, flag, fractional_axis, freeze
from attar.nn.bins import image_layout, plan_adaptive_pool
from attar.nn.layout import layout_of, require_room
from attar.nn.pooling import (
    PoolPlan,
    core_pool,
    exponent,
    plan_axes,
    plan_global_pool,
    plan_pool,
)
from attar.nn.winners import addresses_of, require_index, run_pool_winners

__all__ = [
    "adaptive_pool_grad",
    "avg_pool_grad",
    "fractional_max_pool_grad",
    "global_pool_grad",
    "lp_pool_grad",
    "max_pool_grad",
    "max_unpool_grad",
    "pool_grad",
    "relu_grad",
]


def max_pool_grad(
    grad: Any,
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    *,
    dilations: Any = None,
    ceil_mode: bool = False,
    winners: Any = None,
) -> Any:
    """Gradient of `max_pool`: what flows into a maximum flows to where it was found.

    That is one input for each window, the first of the largest, row by row; the first NaN where
    there is one.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the maxima
    input : array of the same dtype, or its shape
        What the maxima were taken of; with `winners` its shape is enough.
    ksize, strides, padding, data_format, dilations, ceil_mode
        As in `max_pool`.
    winners : array of uint8, uint16 or uint32, shaped like `grad`, optional
        ``argmax`` from `max_pool_with_argmax` with ``index="window"``. Found anew where it is left
        out. A winner that names no cell of the input gives its gradient to nothing.

    Returns
    -------
    Array of the input's shape and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([3, 1, 2, 5], np.float32).reshape(1, 4, 1)
    >>> grad = np.array([10, 20], np.float32).reshape(1, 2, 1)
    >>> nn.max_pool_grad(grad, row, 2, 2, "VALID").ravel()
    array([10.,  0.,  0., 20.], dtype=float32)
    """
    operation = "nn.max_pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, shape = _array_or_shape(operation, input, needed=winners is None)
    plan = plan_pool(
        operation, shape, ksize, "MAX", strides, padding, data_format, dilations,
        ceil_mode=ceil_mode, window_argument="ksize",
    )  # fmt: skip
    if winners is None:
        return _pool_grad(operation, plan, g, x, give_back)
    g = _checked_grad(operation, plan, g)
    given, _ = from_caller(operation, "winners", winners)
    return give_back(_max_grad(plan, g, _checked_winners(operation, plan, given)))


def avg_pool_grad(
    grad: Any,
    input_shape: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Any:
    """Gradient of `avg_pool`: what flows into a mean is divided among what it was taken of.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the means
    input_shape : ints
        Of what the means were taken of; or the array itself.
    ksize, strides, padding, data_format, ceil_mode, count_include_pad
        As in `avg_pool`.

    Returns
    -------
    Array of the shape asked for and the dtype of `grad`.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> grad = np.array([10, 20], np.float32).reshape(1, 2, 1)
    >>> nn.avg_pool_grad(grad, (1, 3, 1), 2, 1, "VALID").ravel()
    array([ 5., 15., 10.], dtype=float32)
    """
    operation = "nn.avg_pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    _, shape = _array_or_shape(operation, input_shape, needed=False, argument="input_shape")
    plan = plan_pool(
        operation, shape, ksize, "AVG", strides, padding, data_format,
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, window_argument="ksize",
    )  # fmt: skip
    return _pool_grad(operation, plan, g, None, give_back)


def lp_pool_grad(
    grad: Any,
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    *,
    p: float = 2.0,
    dilations: Any = None,
    ceil_mode: bool = False,
) -> Any:
    """Gradient of `lp_pool`: ``grad * sign(x) * |x|^(p-1) * y^(1-p)``, y the norm of the window.

    It is 0 where x or y is 0, PyTorch's choice of a subgradient of a norm.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the norms
    input : array of the same dtype
        What the norms were taken of.
    ksize, strides, padding, data_format, p, dilations, ceil_mode
        As in `lp_pool`.

    Returns
    -------
    Array of the input's shape and dtype. It is computed in float64.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([3, -4, 0, 0], np.float32).reshape(1, 4, 1)
    >>> grad = np.array([10, 20], np.float32).reshape(1, 2, 1)
    >>> nn.lp_pool_grad(grad, row, 2, 2, "VALID").ravel()
    array([ 6., -8.,  0.,  0.], dtype=float32)
    """
    operation = "nn.lp_pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, _ = from_caller(operation, "input", input)
    plan = plan_pool(
        operation, x.shape, ksize, "LP", strides, padding, data_format, dilations,
        ceil_mode=ceil_mode, p=p, window_argument="ksize",
    )  # fmt: skip
    return _pool_grad(operation, plan, g, x, give_back, exponent(operation, p))


def pool_grad(
    grad: Any,
    input: Any,
    window_shape: Any,
    pooling_type: str,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    *,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    p: float = 2.0,
) -> Any:
    """Gradient of `pool`, of any type: see `max_pool_grad`, `avg_pool_grad`, `lp_pool_grad`.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the pool's answer
    input : array of the same dtype, or for ``"AVG"`` its shape
    window_shape, pooling_type, strides, padding, data_format, dilations
        As in `pool`.
    ceil_mode, count_include_pad, p
        As in `pool`.

    Returns
    -------
    Array of the input's shape and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([3, 1, 2, 5], np.float32).reshape(1, 4, 1)
    >>> nn.pool_grad(np.ones((1, 3, 1), np.float32), row, 2, "MAX").ravel()
    array([1., 0., 1., 1.], dtype=float32)
    """
    operation = "nn.pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, shape = _array_or_shape(operation, input, needed=_needs_input(pooling_type))
    plan = plan_pool(
        operation, shape, window_shape, pooling_type, strides, padding, data_format, dilations,
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, p=p,
    )  # fmt: skip
    return _pool_grad(operation, plan, g, x, give_back, exponent(operation, p))


def global_pool_grad(
    grad: Any,
    input: Any,
    pooling_type: str,
    data_format: str | None = None,
    *,
    p: float = 2.0,
) -> Any:
    """Gradient of `global_pool`.

    Parameters
    ----------
    grad : (N, C) array of float16, bfloat16, float32 or float64
        Or with the spatial axes that ``keepdims`` keeps.
    input : array of the same dtype, or for ``"AVG"`` its shape
    pooling_type, data_format, p
        As in `global_pool`.

    Returns
    -------
    Array of the input's shape and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> nn.global_pool_grad(np.array([[8.0]]), (1, 2, 2, 1), "AVG").ravel()
    array([2., 2., 2., 2.])
    """
    operation = "nn.global_pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, shape = _array_or_shape(operation, input, needed=_needs_input(pooling_type))
    plan = plan_global_pool(
        operation, shape, pooling_type, data_format, keepdims=g.ndim == len(shape), p=p
    )
    return _pool_grad(operation, plan, g, x, give_back, exponent(operation, p))


def adaptive_pool_grad(
    grad: Any,
    input: Any,
    output_size: Any,
    pooling_type: str,
    data_format: str | None = None,
    *,
    p: float = 2.0,
) -> Any:
    """Gradient of `adaptive_pool`.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the pool's answer
    input : array of the same dtype, or for ``"AVG"`` its shape
    output_size, pooling_type, data_format, p
        As in `adaptive_pool`.

    Returns
    -------
    Array of the input's shape and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> grad = np.array([2, 6, 4], np.float32).reshape(1, 3, 1)
    >>> nn.adaptive_pool_grad(grad, (1, 5, 1), 3, "AVG").ravel()  # of [1 2], [2 3 4], [4 5]
    array([1., 3., 2., 4., 2.], dtype=float32)
    """
    operation = "nn.adaptive_pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, shape = _array_or_shape(operation, input, needed=_needs_input(pooling_type))
    plan = plan_adaptive_pool(operation, shape, output_size, pooling_type, data_format, p=p)
    return _pool_grad(operation, plan, g, x, give_back, exponent(operation, p))


def fractional_max_pool_grad(
    grad: Any,
    input: Any,
    row_pooling_sequence: Any,
    col_pooling_sequence: Any,
    overlapping: bool = False,
    data_format: str | None = None,
) -> Any:
    """Gradient of `fractional_max_pool`.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the maxima
    input : array of the same dtype
        What the maxima were taken of.
    row_pooling_sequence, col_pooling_sequence : whole numbers
        As `fractional_max_pool` returned them.
    overlapping, data_format
        As they were given to it.

    Returns
    -------
    Array of the input's shape and dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.arange(15, dtype=np.float32).reshape(1, 3, 5, 1)
    >>> output, rows, cols = nn.fractional_max_pool(image, 1.5)
    >>> nn.fractional_max_pool_grad(output, image, rows, cols)[0, :, :, 0]
    array([[ 0.,  1.,  0.,  3.,  4.],
           [ 0.,  0.,  0.,  0.,  0.],
           [ 0., 11.,  0., 13., 14.]], dtype=float32)
    """
    operation = "nn.fractional_max_pool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, _ = from_caller(operation, "input", input)
    layout = image_layout(operation, x.shape, data_format)
    height, width = layout.split(x.shape)[1]
    axes = (
        _bins(operation, "row_pooling_sequence", row_pooling_sequence, height, overlapping),
        _bins(operation, "col_pooling_sequence", col_pooling_sequence, width, overlapping),
    )
    plan = plan_axes(operation, x.shape, layout, axes, "MAX")
    return _pool_grad(operation, plan, g, x, give_back)


def max_unpool_grad(
    grad: Any,
    argmax: Any,
    data_format: str | None = None,
    *,
    include_batch_in_index: bool = False,
    index: str = "flat",
) -> Any:
    """Gradient of `max_unpool`: what flows to where each value was put.

    Where two values have the same position, both get what flows there, as in PyTorch.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64, shaped like the answer of `max_unpool`
    argmax : array of whole numbers
        As it was given to `max_unpool`.
    data_format : str, optional
        Channels last by default.
    include_batch_in_index, index
        As in `max_unpool`.

    Returns
    -------
    Array of the shape of `argmax` and the dtype of `grad`.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> grad = np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1)
    >>> nn.max_unpool_grad(grad, np.array([1, 2]).reshape(1, 2, 1)).ravel()
    array([2., 3.], dtype=float32)
    """
    operation = "nn.max_unpool_grad"
    g, give_back = from_caller(operation, "grad", grad)
    positions, _ = from_caller(operation, "argmax", argmax)
    layout = layout_of(operation, g.shape, freeze(operation, "data_format", data_format))
    include_batch = flag(operation, "include_batch_in_index", include_batch_in_index)
    require_index(operation, index, ("flat", "plane"))
    g = require_float(operation, "grad", g, half=True)
    require_whole(operation, "argmax", positions)
    n, _, channels = layout.split(g.shape)
    if positions.ndim != g.ndim or layout.split(positions.shape)[::2] != (n, channels):
        raise ShapeError(
            f"{operation}: argmax must have the batch and the channels of grad, {g.shape}, "
            f"got {positions.shape}"
        )
    result = np.empty(positions.shape, g.dtype)
    if result.size:
        at = addresses_of(operation, layout, g.shape, positions, index, include_batch)
        layout.volumes(result)[...] = np.take(g, at)
    return give_back(result)


def relu_grad(grad: Any, features: Any) -> Any:
    """Gradient of `relu`: `grad` where the feature is positive, 0 where it is not.

    A feature that is NaN lets it pass, as in PyTorch.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64
    features : array of the same shape and dtype
        What went into `relu`, or what came out of it.

    Returns
    -------
    Array of the same shape and dtype.

    Raises
    ------
    ShapeError (a ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> nn.relu_grad(np.array([1.0, 2.0, 3.0]), np.array([-1.5, 0.0, 2.0]))
    array([0., 0., 3.])
    """
    operation = "nn.relu_grad"
    g, give_back = from_caller(operation, "grad", grad)
    g = require_float(operation, "grad", g, half=True)
    x, _ = from_caller(operation, "features", features)
    _require_same_dtype(operation, "features", x, g)
    if g.shape != x.shape:
        raise ShapeError(
            f"{operation}: grad must have the shape of the features, {x.shape}, got {g.shape}"
        )
    result = np.empty(g.shape, g.dtype)
    if result.size:
        _core.relu_grad(
            core_view(np.ascontiguousarray(g)), core_view(np.ascontiguousarray(x)),
            core_view(result), number_of(g),
        )  # fmt: skip
    return give_back(result)


# ------------------------------------------------------------------ resolve, then compute


def _pool_grad(
    operation: str,
    plan: PoolPlan,
    g: Array,
    x: Array | None,
    give_back: Return,
    p: float = 2.0,
) -> Any:
    g = _checked_grad(operation, plan, g)
    if plan.kind == "AVG":
        return give_back(_sum_grad(plan, plan.pool, g))
    assert x is not None
    x = require_float(operation, "input", x, half=True)
    _require_same_dtype(operation, "input", x, g)
    if plan.kind == "LP":
        return give_back(_norm_grad(plan, g, x, p))
    return give_back(_max_grad(plan, g, run_pool_winners(operation, plan, x)[1]))


def _max_grad(plan: PoolPlan, g: Array, winners: Array) -> Array:
    result = np.empty(plan.in_shape, g.dtype)
    if result.size:
        _core.max_pool_grad(
            plan.answer_volumes(g), plan.answer_volumes(winners), plan.volumes(result), plan.pool,
            number_of(g),
        )  # fmt: skip
    return result


def _sum_grad(plan: PoolPlan, pool: _core.Pool, g: Array) -> Array:
    result = np.empty(plan.in_shape, g.dtype)
    if result.size:
        _core.sum_pool_grad(plan.answer_volumes(g), plan.volumes(result), pool, number_of(g))
    return result


def _norm_grad(plan: PoolPlan, g: Array, x: Array, p: float) -> Array:
    # In float64: y^(1-p) alone soon leaves the range of float32, where the product does not.
    wide = x.astype(np.float64)
    norms = np.empty(plan.out_shape)
    if wide.size:
        _core.pool(plan.volumes(wide), plan.answer_volumes(norms), plan.pool, number_of(wide))
    flows = np.zeros(plan.out_shape)
    with np.errstate(all="ignore"):
        np.multiply(g.astype(np.float64), norms ** (1 - p), out=flows, where=norms != 0)
        result = _sum_grad(plan, _sum_pool(plan.axes), flows)
        slopes = np.zeros(x.shape)
        np.power(abs(wide), p - 1, out=slopes, where=wide != 0)
        result *= np.copysign(slopes, wide)
        return result.astype(x.dtype)


@lru_cache(maxsize=256)
def _sum_pool(axes: tuple[AnyAxis, ...]) -> _core.Pool:
    return core_pool(axes, "SUM")


def _needs_input(pooling_type: Any) -> bool:
    """Whether a shape is not enough; types that are none are found out later."""
    return not (isinstance(pooling_type, str) and pooling_type.upper() in ("AVG", "AVERAGE"))


def _array_or_shape(
    operation: str, value: Any, *, needed: bool, argument: str = "input"
) -> tuple[Array | None, tuple[int, ...]]:
    """Read an array and its shape, or where the array is not needed a shape alone."""
    if needed or not isinstance(value, tuple | list):
        array, _ = from_caller(operation, argument, value)
        return array, array.shape
    shape = freeze(operation, argument, value)
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ArgumentError(f"{operation}: {argument} must be an array or its shape, got {value!r}")
    require_room(operation, "the gradient", shape)
    return None, shape


def _checked_grad(operation: str, plan: PoolPlan, g: Array) -> Array:
    g = require_float(operation, "grad", g, half=True)
    if g.shape != plan.out_shape:
        raise ShapeError(
            f"{operation}: grad must have the shape {plan.out_shape} of the answer for an input "
            f"of shape {plan.in_shape}, got {g.shape}"
        )
    return g


def _checked_winners(operation: str, plan: PoolPlan, winners: Array) -> Array:
    smallest, dtype = plan.winner_dtype, winners.dtype
    if dtype.kind != "u" or not smallest.itemsize <= dtype.itemsize <= 4:
        accepted = " or ".join(f"uint{8 * size}" for size in (1, 2, 4) if size >= smallest.itemsize)
        raise DTypeError(
            f"{operation}: winners must be {accepted or 'fewer'} for windows of "
            f"{math.prod(axis.window for axis in plan.axes)} cells, got {dtype}"
        )
    if winners.shape != plan.out_shape:
        raise ShapeError(
            f"{operation}: winners must have the shape of grad, {plan.out_shape}, "
            f"got {winners.shape}"
        )
    whole = addressable(winners) and dtype.isnative
    return winners if whole else winners.astype(dtype.newbyteorder("="))


def _require_same_dtype(operation: str, argument: str, x: Array, g: Array) -> None:
    if x.dtype != g.dtype:
        raise DTypeError(f"{operation}: {argument} must be {g.dtype} like grad, got {x.dtype}")


def _bins(operation: str, argument: str, sequence: Any, size: int, overlapping: Any) -> AnyAxis:
    values, _ = from_caller(operation, argument, sequence)
    require_whole(operation, argument, values)
    ends = values.tolist() if values.ndim == 1 else []
    grows = all(a < b for a, b in itertools.pairwise(ends))
    if len(ends) < 2 or not grows or ends[0] != 0 or ends[-1] != size:
        raise ArgumentError(
            f"{operation}: {argument} must grow from 0 to the size, {size}, got {sequence!r}"
        )
    return fractional_axis(size, ends, flag(operation, "overlapping", overlapping))
