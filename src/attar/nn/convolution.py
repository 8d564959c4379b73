"""Filter and detect, and the three steps in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from attar import _core
from attar.arrays import (
    answer_array,
    core_view,
    from_caller,
    number_of,
    require_real,
)
from attar.errors import ArgumentError
from attar.nn.extract_plan import plan_extract, read_filters, read_operands
from attar.nn.streaming import extract_on_disk
from attar.on_disk import is_on_disk

__all__ = ["conv2d", "extract", "relu"]


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
    *,
    bias: Any = None,
    out: Any = None,
) -> Any:
    """Filter: slide each kernel over the image and sum the products.

    As in every convnet this is a cross-correlation: the kernel is not flipped.

    Parameters
    ----------
    input : (N, H, W, C) array of float32 or float64, or (N, C, H, W) for ``"NCHW"``
    filters : (kh, kw, C / groups, K) array of the input's dtype
        The number of groups follows from the channels: group g of the K filters sees group g of
        the C channels.
    strides : int, or 1, 2 or 4 ints
        Steps along height and width.
    padding : {"SAME", "VALID"} or pairs
        In any case, with TensorFlow's meaning: ``"SAME"`` pads with zeros so that there are
        ``ceil(size / stride)`` outputs, the odd cell at the bottom and right. Or
        ``[[top, bottom], [left, right]]``, or pairs for all four axes.
    data_format : {"NHWC", "NCHW"}
    dilations : int, or 1, 2 or 4 ints, optional
        Steps from tap to tap.
    name : str, optional
        Ignored.
    bias : (K,) array, optional
        Added to each feature map.
    out : array, optional
        Where to write the answer; it must not overlap an input.

    Returns
    -------
    (N, OH, OW, K) or (N, K, OH, OW), of the input's dtype. Products are summed in that dtype.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.eye(4, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> kernel = np.ones((2, 2, 1, 1), np.float32)
    >>> nn.conv2d(image, kernel, strides=2, padding="VALID")[0, :, :, 0]
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """
    return _extract(
        "nn.conv2d", input, filters, bias, out,
        strides=strides, padding=padding, dilations=dilations, data_format=data_format,
    )  # fmt: skip


def relu(features: Any, name: str | None = None, *, out: Any = None) -> Any:
    """Detect: keep what is positive, ``max(features, 0)``. NaN stays NaN.

    Parameters
    ----------
    features : array of any real dtype and any shape
        float16, bfloat16, float32, float64, int8 to int64, uint8 to uint64.
    name : str, optional
        Ignored.
    out : array, optional
        Where to write the answer; it must not overlap `features`.

    Returns
    -------
    Array of the same shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> nn.relu(np.array([-1.5, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    x, give_back = from_caller("nn.relu", "features", features)
    x = require_real("nn.relu", "features", x)
    result = answer_array("nn.relu", out, x.shape, x.dtype, x)
    dense = result if result.flags.c_contiguous else np.empty(x.shape, x.dtype)
    if dense.size:
        _core.relu(core_view(np.ascontiguousarray(x)), core_view(dense), number_of(x))
    if dense is not result:
        result[...] = dense
    return give_back(result) if out is None else out


def extract(
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
    out: Any = None,
) -> Any:
    """Filter, detect and condense in one pass.

    The answer is that of `conv2d`, `relu` and `pool` one after the other, but the maps between
    them are never written to memory. Memory maps and Zarr arrays are read, and as `out` written,
    some rows at a time, so that images may be larger than memory.

    Parameters
    ----------
    input : (N, H, W, C) array of float32 or float64, or (N, C, H, W) for ``"NCHW"``
        In memory, a memory map or a Zarr array.
    filters : (kh, kw, C / groups, K) array of the input's dtype
    bias : (K,) array, optional
    strides, padding, dilations
        Of the filter, as in `conv2d`.
    activation : {"relu", None}
    window_shape, pooling_type, pool_strides, pool_padding
        Of the pool, as in `pool`, except that the stride is the window by default.
        ``pooling_type=None`` stops before the pool.
    data_format : {"NHWC", "NCHW"}
    out : array, memory map or Zarr array, optional
        Where to write the answer; it must not overlap an input.

    Returns
    -------
    (N, OH, OW, K) or (N, K, OH, OW), of the input's dtype; `out` where it is given.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.zeros((1, 4, 4, 1), np.float32)
    >>> image[:, :, 2:] = 1
    >>> edge = np.array([[-1, 1]], np.float32).reshape(1, 2, 1, 1)
    >>> nn.extract(image, edge)[0, :, :, 0]
    array([[1., 0.],
           [1., 0.]], dtype=float32)
    """
    if isinstance(pooling_type, str) and pooling_type == "NONE":
        raise ArgumentError("nn.extract: pooling_type must be 'MAX', 'AVG' or None, got 'NONE'")
    return _extract(
        "nn.extract", input, filters, bias, out,
        strides=strides, padding=padding, dilations=dilations, data_format=data_format,
        activation=activation, window_shape=window_shape,
        pooling_type="NONE" if pooling_type is None else pooling_type,

        pool_strides=pool_strides, pool_padding=pool_padding,
    )  # fmt: skip


# ------------------------------------------------------------------ resolve, then compute


def _extract(
    operation: str, input: Any, filters: Any, bias: Any, out: Any, **arguments: Any
) -> Any:
    if (type(input) is not np.ndarray or out is not None) and (
        is_on_disk(input) or is_on_disk(out)
    ):
        return _on_disk(operation, input, filters, bias, out, **arguments)
    x, weights, offsets, plan, give_back = read_operands(
        operation, input, filters, bias, **arguments
    )
    result = answer_array(operation, out, plan.out_shape, x.dtype, x, weights, offsets)
    if result.size:
        _core.extract(
            plan.volumes(x), plan.cut(weights), offsets, plan.volumes(result),
            plan.core_y, plan.core_x, plan.pool, plan.relu,
        )  # fmt: skip
    return give_back(result) if out is None else out


def _on_disk(
    operation: str, input: Any, filters: Any, bias: Any, out: Any, **arguments: Any
) -> Any:
    if not is_on_disk(input):
        input, _ = from_caller(operation, "input", input)
    # Filters are checked against one pixel of the kind that the images are of.
    like = np.empty((1,) * len(input.shape), input.dtype)
    weights, offsets = read_filters(operation, like, filters, bias)
    arguments["in_memory"] = not is_on_disk(out)
    return extract_on_disk(
        operation, input, out,
        lambda shape: plan_extract(operation, tuple(shape), weights.shape, **arguments),
        weights, offsets,
    )  # fmt: skip
