"""Filter, detect and condense for training: forward with what the way back needs, and that way.

Of the map between filter and pool nothing is kept but, for each window of the pool, which cell
won: a byte. Behind a maximum and ReLU most of that map gets no gradient at all, and the gradients
here compute only with what does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from attar.arrays import (
    Array,
    Return,
    addressable,
    from_caller,
    require_float,
)
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import freeze
from attar.nn.conv_gradients import filter_grad, input_grad
from attar.nn.conv_winners import filter_and_condense, filter_and_detect
from attar.nn.extract_plan import ExtractPlan, plan_extract, read_operands

__all__ = [
    "ExtractGrad",
    "ExtractWithWinners",
    "conv2d_grad",
    "extract_grad",
    "extract_with_winners",
]

_NEEDS = ("input", "filters", "bias")


class ExtractWithWinners(NamedTuple):
    """What `extract_with_winners` returns.

    Attributes
    ----------
    output : array
        The answer of `extract`.
    winners : array shaped like `output`
        What `extract_grad` takes.
    """

    output: Any
    winners: Any


class ExtractGrad(NamedTuple):
    """What `extract_grad` and `conv2d_grad` return; ``None`` for what was not asked for.

    Attributes
    ----------
    input, filters : array or None
        Of the shapes of what they are the gradients for.
    bias : (K,) array or None
    """

    input: Any
    filters: Any
    bias: Any


def extract_with_winners(
    input: Any,
    filters: Any,
    bias: Any = None,
    *,
    strides: Any = 1,
    padding: Any = "SAME",
    dilations: Any = 1,
    activation: str | None = "relu",
    window_shape: Any = 2,
    pooling_type: str | None = "MAX",
    pool_strides: Any = None,
    pool_padding: Any = "SAME",
    data_format: str = "NHWC",
) -> ExtractWithWinners:
    """Filter, detect and condense, and tell where each maximum was found.

    Parameters
    ----------
    input, filters, bias
        As in `extract`: float32 or float64.
    pooling_type : {"MAX", None}
    strides, padding, dilations, activation, window_shape, pool_strides, pool_padding, data_format
        As in `extract`.

    Returns
    -------
    ExtractWithWinners
        ``output`` as from `extract`, but for what Winograd's kernels round, which more than four
        channels may take. ``winners`` is the cell of each window, ``ky * kw + kx``, as
        uint8 where that suffices (else uint16 or uint32), or the largest number of its type where
        ReLU left nothing. Without a pool it is ``output`` itself, whose zeros say the same, or
        ``None`` without ReLU either.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.array([[1, 5, -2, -3], [3, 4, -1, -9]], np.float32).reshape(1, 2, 4, 1)
    >>> output, winners = nn.extract_with_winners(image, np.ones((1, 1, 1, 1), np.float32))
    >>> output.ravel(), winners.ravel()
    (array([5., 0.], dtype=float32), array([  1, 255], dtype=uint8))
    """
    operation = "nn.extract_with_winners"
    x, weights, offsets, plan, give_back = read_operands(
        operation, input, filters, bias, strides=strides, padding=padding, dilations=dilations,
        data_format=data_format, activation=activation, window_shape=window_shape,
        pooling_type=_max_or_none(operation, pooling_type), pool_strides=pool_strides,
        pool_padding=pool_padding,
    )  # fmt: skip
    output = np.empty(plan.out_shape, x.dtype)
    if plan.kind == "NONE":
        filter_and_detect(plan, x, weights, offsets, output)
        result = give_back(output)
        return ExtractWithWinners(result, result if plan.relu else None)
    winners = np.empty(plan.out_shape, _winner_dtype(plan))
    filter_and_condense(plan, x, weights, offsets, output, winners)
    return ExtractWithWinners(give_back(output), give_back(winners))


def extract_grad(
    grad: Any,
    input: Any,
    filters: Any,
    winners: Any,
    *,
    strides: Any = 1,
    padding: Any = "SAME",
    dilations: Any = 1,
    activation: str | None = "relu",
    window_shape: Any = 2,
    pooling_type: str | None = "MAX",
    pool_strides: Any = None,
    pool_padding: Any = "SAME",
    data_format: str = "NHWC",
    needs: Collection[str] = _NEEDS,
) -> ExtractGrad:
    """Gradients of `extract` for its image, its filters and their bias.

    What flows into a window flows to its winner, and from there to the filter and to the image
    under it. What gets no gradient costs nothing.

    Parameters
    ----------
    grad : array shaped like the answer, of float32 or float64
    input, filters : array of the same dtype
        What the answer was computed of.
    winners : array or None
        As `extract_with_winners` returned them for the same arguments.
    strides, padding, dilations, activation, window_shape, pooling_type, pool_strides, pool_padding
        As they were given to it.
    data_format : {"NHWC", "NCHW"}
    needs : collection of {"input", "filters", "bias"}
        Which gradients to compute.

    Returns
    -------
    ExtractGrad
        ``input``, ``filters`` and ``bias``; ``None`` for what was not asked for.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.array([[1, 5, -2, -3], [3, 4, -1, -9]], np.float32).reshape(1, 2, 4, 1)
    >>> kernel = np.full((1, 1, 1, 1), 2, np.float32)
    >>> output, winners = nn.extract_with_winners(image, kernel)
    >>> grads = nn.extract_grad(np.full_like(output, 10), image, kernel, winners)
    >>> grads.input[0, :, :, 0]
    array([[ 0., 20.,  0.,  0.],
           [ 0.,  0.,  0.,  0.]], dtype=float32)
    >>> grads.filters.item(), grads.bias
    (50.0, array([10.], dtype=float32))
    """
    operation = "nn.extract_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, _ = from_caller(operation, "input", input)
    weights, _ = from_caller(operation, "filters", filters)
    plan = plan_extract(
        operation, x.shape, weights.shape, strides=strides, padding=padding, dilations=dilations,
        data_format=data_format, activation=activation, window_shape=window_shape,
        pooling_type=_max_or_none(operation, pooling_type), pool_strides=pool_strides,
        pool_padding=pool_padding,
    )  # fmt: skip
    flows: Array | None = None
    if winners is not None:
        flows, _ = from_caller(operation, "winners", winners)
    return _grads(operation, plan, g, x, weights, flows, needs, give_back)


def conv2d_grad(
    grad: Any,
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
    *,
    needs: Collection[str] = _NEEDS,
) -> ExtractGrad:
    """Gradients of `conv2d` for its image, its filters and their bias.

    Parameters
    ----------
    grad : array shaped like the answer, of float32 or float64
    input, filters : array of the same dtype
        What the answer was computed of.
    strides, padding, data_format, dilations
        As they were given to `conv2d`.
    needs : collection of {"input", "filters", "bias"}
        Which gradients to compute.

    Returns
    -------
    ExtractGrad
        ``input``, ``filters`` and ``bias``; ``None`` for what was not asked for.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    >>> kernel = np.array([10.0, 20.0]).reshape(1, 2, 1, 1)
    >>> grads = nn.conv2d_grad(np.ones((1, 1, 2, 1)), row, kernel, 1, "VALID")
    >>> grads.input.ravel(), grads.filters.ravel(), grads.bias.ravel()
    (array([10., 30., 20.]), array([3., 5.]), array([2.]))
    """
    operation = "nn.conv2d_grad"
    g, give_back = from_caller(operation, "grad", grad)
    x, _ = from_caller(operation, "input", input)
    weights, _ = from_caller(operation, "filters", filters)
    plan = plan_extract(
        operation, x.shape, weights.shape, strides=strides, padding=padding, dilations=dilations,
        data_format=data_format,
    )  # fmt: skip
    return _grads(operation, plan, g, x, weights, None, needs, give_back)


# ------------------------------------------------------------------ resolve, then compute


def _max_or_none(operation: str, pooling_type: Any) -> str:
    if pooling_type is None:
        return "NONE"
    if isinstance(pooling_type, str) and pooling_type.upper() == "MAX":
        return "MAX"
    raise ArgumentError(
        f"{operation}: pooling_type must be 'MAX', whose windows have a winner, or None, "
        f"got {pooling_type!r}"
    )


def _winner_dtype(plan: ExtractPlan) -> np.dtype[Any]:
    # One number more than there are cells: for windows in which ReLU leaves nothing.
    return np.min_scalar_type(plan.pool_y.window * plan.pool_x.window)


def _grads(
    operation: str,
    plan: ExtractPlan,
    g: Array,
    x: Array,
    weights: Array,
    winners: Array | None,
    needs: Collection[str],
    give_back: Return,
) -> ExtractGrad:
    needs = _checked_needs(operation, needs)
    g = require_float(operation, "grad", g)
    if g.shape != plan.out_shape:
        raise ShapeError(
            f"{operation}: grad must have the shape {plan.out_shape} of the answer for an input "
            f"of shape {x.shape} and filters of shape {weights.shape}, got {g.shape}"
        )
    x, weights = _like_grad(operation, "input", x, g), _like_grad(operation, "filters", weights, g)
    weights = np.ascontiguousarray(weights)
    cells = _checked_winners(operation, plan, winners, g)
    image = np.empty(x.shape, g.dtype) if "input" in needs else None
    filters = np.zeros(weights.shape, g.dtype) if "filters" in needs or "bias" in needs else None
    bias = np.zeros(weights.shape[-1:], g.dtype) if "bias" in needs else None
    if g.size:
        if filters is not None:
            filter_grad(plan, g, cells, x, filters, bias)
        if image is not None:
            input_grad(plan, g, cells, weights, image)
    elif image is not None:
        image[...] = 0
    return ExtractGrad(
        None if image is None else give_back(image),
        None if filters is None or "filters" not in needs else give_back(filters),
        None if bias is None else give_back(bias),
    )


def _checked_needs(operation: str, needs: Any) -> tuple[str, ...]:
    names = freeze(operation, "needs", needs)
    if not isinstance(names, tuple) or not all(
        isinstance(name, str) and name in _NEEDS for name in names
    ):
        raise ArgumentError(
            f"{operation}: needs must be some of {', '.join(map(repr, _NEEDS))}, got {needs!r}"
        )
    return names


def _checked_winners(operation: str, plan: ExtractPlan, winners: Array | None, g: Array) -> Array:
    """Return the cells that get something as the core takes them."""
    if plan.kind == "NONE" and not plan.relu:
        return np.broadcast_to(np.uint8(0), g.shape)
    dtype = g.dtype if plan.kind == "NONE" else _winner_dtype(plan)
    if winners is None or winners.dtype != dtype or winners.shape != g.shape:
        got = "None" if winners is None else f"{winners.dtype} of shape {winners.shape}"
        raise (ShapeError if winners is not None and winners.dtype == dtype else DTypeError)(
            f"{operation}: winners must be what nn.extract_with_winners returned, {dtype} of shape "
            f"{g.shape}, got {got}"
        )
    return winners if addressable(winners) and winners.dtype.isnative else winners.astype(dtype)


def _like_grad(operation: str, argument: str, array: Array, g: Array) -> Array:
    if array.dtype != g.dtype:
        raise DTypeError(f"{operation}: {argument} must be {g.dtype} like grad, got {array.dtype}")
    return require_float(operation, argument, array)
