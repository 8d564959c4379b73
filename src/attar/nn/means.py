"""Means that lean towards the larger values: softly in each window, or by a power over a map."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from attar import _core
from attar.arrays import Array, answer_array, from_caller, number_of, require_float, require_grad
from attar.errors import ArgumentError, DTypeError
from attar.geometry import Axis
from attar.nn.pooling import PoolPlan, exponent, plan_global_pool, plan_pool

__all__ = ["gem_pool", "gem_pool_grad", "soft_pool", "soft_pool_grad"]


def soft_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    *,
    out: Any = None,
) -> Any:
    """Condense to the mean of each window, every value x weighted by ``exp(x)``.

    ``sum of exp(x) * x / sum of exp(x)``: between mean and maximum, nearer to the maximum the
    more the values differ. A. Stergiou, R. Poppe and G. Kalliatakis, "Refining activation
    downsampling with SoftPool", ICCV 2021.

    Parameters
    ----------
    input : array of float16, bfloat16, float32 or float64, batch and layout as in `pool`
    ksize : int, or one int for each spatial axis
        The window.
    strides, padding, data_format
        As in `pool`. Padding is not there: it has no weight.
    out : array, optional
        Where to write the answer; it must not overlap the input.

    Returns
    -------
    Array of the input's layout and dtype. It is computed in that dtype, for float16 and bfloat16
    in float32. The largest value of a window is taken out of the exponents, so nothing overflows.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([1, 1, 0, 1000], np.float32).reshape(1, 4, 1)
    >>> nn.soft_pool(row, 2, 2, "VALID").ravel()
    array([   1., 1000.], dtype=float32)
    """
    operation = "nn.soft_pool"
    x, give_back = from_caller(operation, "input", input)
    plan = plan_pool(
        operation, x.shape, ksize, "MAX", strides, padding, data_format, window_argument="ksize"
    )
    x = require_float(operation, "input", x, half=True)
    result = answer_array(operation, out, plan.out_shape, x.dtype, x)
    if result.size:
        plan.layout.volumes(result)[...] = _soft(plan, x)[0]
    return give_back(result) if out is None else out


def soft_pool_grad(
    grad: Any,
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
) -> Any:
    """Gradient of `soft_pool` for its input.

    A value x with the share w of the weights of a window gets ``w * (1 + x - answer)`` of the
    gradient of that window's answer.

    Parameters
    ----------
    grad : array of the input's dtype
        The gradient for the answer, with its shape.
    input : array
        What `soft_pool` was given.
    ksize, strides, padding, data_format
        As in `soft_pool`.

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
    >>> row = np.array([3, 3, 5, 5], np.float32).reshape(1, 4, 1)
    >>> nn.soft_pool_grad(np.ones((1, 2, 1), np.float32), row, 2, 2, "VALID").ravel()
    array([0.5, 0.5, 0.5, 0.5], dtype=float32)
    """
    operation = "nn.soft_pool_grad"
    x, give_back = from_caller(operation, "input", input)
    g, _ = from_caller(operation, "grad", grad)
    plan = plan_pool(
        operation, x.shape, ksize, "MAX", strides, padding, data_format, window_argument="ksize"
    )
    x = require_float(operation, "input", x, half=True)
    g = require_grad(operation, g, plan.out_shape, x)
    result = np.zeros(x.shape, _wide(x))
    if result.size:
        means, largest, weights = _soft(plan, x)
        share = plan.layout.volumes(g) / weights
        for seen, there in _taps(plan):
            value = plan.layout.volumes(x)[there].astype(result.dtype, copy=False)
            weight = np.exp(_difference(value, largest[seen]))
            with np.errstate(invalid="ignore"):  # 0 * -inf is 0 here
                slope = weight * (1 + _difference(value, means[seen]))
            slope = np.where(weight == 0, 0, slope)
            plan.layout.volumes(result)[there] += share[seen] * slope
    return give_back(result.astype(x.dtype, copy=False))


def gem_pool(
    input: Any,
    p: float = 3.0,
    eps: float = 1e-6,
    data_format: str | None = None,
    *,
    keepdims: bool = False,
) -> Any:
    """Condense each map to one number, its generalised mean: ``(mean of max(x, eps)^p)^(1/p)``.

    The mean for p = 1, nearer to the maximum the larger p is. F. Radenović, G. Tolias and
    O. Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018.

    Parameters
    ----------
    input : array of float16, bfloat16, float32 or float64, batch and layout as in `pool`
        One image without a batch needs `data_format`.
    p : float
        Larger than 0 and finite.
    eps : float
        Larger than 0 and finite. Smaller values count as this.
    data_format : str, optional
        Channels last by default.
    keepdims : bool
        Keep the spatial axes, of size 1.

    Returns
    -------
    (N, C), of the input's dtype. It is computed in float64.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> nn.gem_pool(np.array([1, 7], np.float32).reshape(1, 2, 1), p=2)
    array([[5.]], dtype=float32)
    """
    operation = "nn.gem_pool"
    x, give_back = from_caller(operation, "input", input)
    plan = plan_global_pool(operation, x.shape, "LP", data_format, keepdims=keepdims, p=p)
    p, eps = exponent(operation, p), _positive(operation, "eps", eps)
    x = require_float(operation, "input", x, half=True)
    mean = _generalised_mean(plan, x, p, eps)[0]
    return give_back(mean.astype(x.dtype).reshape(plan.out_shape))


def gem_pool_grad(
    grad: Any,
    input: Any,
    p: float = 3.0,
    eps: float = 1e-6,
    data_format: str | None = None,
) -> Any:
    """Gradient of `gem_pool` for its input; values below `eps` get none.

    Parameters
    ----------
    grad : array of the input's dtype
        The gradient for the answer: (N, C), or with spatial axes of size 1.
    input : array
        What `gem_pool` was given.
    p, eps, data_format
        As in `gem_pool`.

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
    >>> row = np.array([3, 3, -1], np.float32).reshape(1, 3, 1)
    >>> nn.gem_pool_grad(np.full((1, 1), 3, np.float32), row, p=1).ravel()
    array([1., 1., 0.], dtype=float32)
    """
    operation = "nn.gem_pool_grad"
    x, give_back = from_caller(operation, "input", input)
    g, _ = from_caller(operation, "grad", grad)
    plan = plan_global_pool(
        operation, x.shape, "LP", data_format, keepdims=g.ndim == x.ndim, p=p
    )  # fmt: skip
    p, eps = exponent(operation, p), _positive(operation, "eps", eps)
    x = require_float(operation, "input", x, half=True)
    g = require_grad(operation, g, plan.out_shape, x)
    mean, values = _generalised_mean(plan, x, p, eps)
    count = np.prod(values.shape[1:-1])
    with np.errstate(invalid="ignore"):  # inf / inf is NaN: there is no slope
        slope = (values / mean) ** (p - 1) / count
    result = np.empty(x.shape, x.dtype)
    given = np.where(plan.layout.volumes(x) < eps, 0, slope * plan.answer_volumes(g))
    plan.layout.volumes(result)[...] = given
    return give_back(result)


# ------------------------------------------------------------------ compute


def _wide(x: Array) -> np.dtype[Any]:
    return x.dtype if x.dtype.itemsize >= 4 else np.dtype(np.float32)


def _taps(plan: PoolPlan) -> Iterator[tuple[Any, Any]]:
    """Yield for each tap of the window which outputs see a value there, and these values.

    Both as an index into volumes (n, z, y, x, c).
    """
    axes = []
    for axis in plan.axes:
        assert isinstance(axis, Axis)
        along = []
        for k in range(axis.window):
            offset = k * axis.dilation - axis.pad_before
            first = max(0, -(offset // axis.stride))
            last = min(axis.out - 1, (axis.size - 1 - offset) // axis.stride)
            if first <= last:
                at = first * axis.stride + offset
                end = last * axis.stride + offset + 1
                along.append((slice(first, last + 1), slice(at, end, axis.stride)))
        axes.append(along)
    everything = (slice(None),) * (4 - len(axes))
    for taps in itertools.product(*axes):
        yield (
            (*everything, *(tap[0] for tap in taps)),
            (*everything, *(tap[1] for tap in taps)),
        )


def _difference(values: Array, other: Array) -> Array:
    """``values - other``, 0 where they are equal: also inf - inf."""
    with np.errstate(invalid="ignore"):
        difference: Array = values - other
    return np.where(values == other, 0, difference)


def _soft(plan: PoolPlan, x: Array) -> tuple[Array, Array, Array]:
    """Return means, largest values and sums of weights, as volumes in the working dtype."""
    volumes = plan.layout.volumes
    maxima = np.empty(plan.out_shape, x.dtype)
    _core.pool(plan.volumes(x), plan.volumes(maxima), plan.pool, number_of(x))
    largest = volumes(maxima).astype(_wide(x), copy=False)
    sums, weights = np.zeros_like(largest), np.zeros_like(largest)
    for seen, there in _taps(plan):
        value = volumes(x)[there].astype(largest.dtype, copy=False)
        weight = np.exp(_difference(value, largest[seen]))
        weights[seen] += weight
        with np.errstate(invalid="ignore"):  # 0 * -inf is 0 here
            sums[seen] += np.where(weight == 0, 0, weight * value)
    return sums / weights, largest, weights


def _generalised_mean(plan: PoolPlan, x: Array, p: float, eps: float) -> tuple[Array, Array]:
    """Return the means and the values that they were taken of, as volumes in float64."""
    values = np.maximum(plan.layout.volumes(x).astype(np.float64), eps)
    over = (1, 2, 3)
    # Powers of what is at most 1 cannot overflow.
    largest = values.max(axis=over, keepdims=True)
    scale = np.where(np.isfinite(largest), largest, 1)
    powers = (values / scale) ** p
    return powers.mean(axis=over, keepdims=True) ** (1 / p) * scale, values


def _positive(operation: str, argument: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DTypeError(f"{operation}: {argument} must be a number, got {value!r}") from None
    if not 0 < number < np.inf:
        raise ArgumentError(
            f"{operation}: {argument} must be larger than 0 and finite, got {value!r}"
        )
    return number
