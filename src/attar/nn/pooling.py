"""Condense: the maximum or the mean of each window."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, check_out, from_caller, number_of, require_float
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Axis, freeze, parse_padding, pool_axes, spatial_values
from attar.nn.layout import (
    CHANNELS_LAST,
    as_volumes,
    is_channels_first,
    join_shape,
    require_room,
    split_shape,
)

__all__ = ["core_pool", "pool", "pooling_kind"]

_POOLING_TYPES = {"MAX": "MAX", "AVG": "AVG", "AVERAGE": "AVG"}


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
    out: Any = None,
) -> Any:
    """Condense: the maximum or the mean of each window.

    Padding never wins: a maximum is taken over, and a mean divides by, the real values that a
    window sees. NaN propagates.

    Parameters
    ----------
    input : (N, W, C), (N, H, W, C) or (N, D, H, W, C) array of float32 or float64
        Or with the channels second, for ``"NCW"``, ``"NCHW"`` and ``"NCDHW"``.
    window_shape : int, or one int for each spatial axis
    pooling_type : {"MAX", "AVG"}
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
    out : array, optional
        Where to write the answer; it must not overlap the input.

    Returns
    -------
    Array of the input's layout and dtype. Means are summed in that dtype.

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
    operation = "nn.pool"
    x, give_back = from_caller(operation, "input", input)
    plan = _pool_plan(
        x.shape,
        freeze(operation, "window_shape", window_shape),
        freeze(operation, "pooling_type", pooling_type),
        freeze(operation, "strides", strides),
        freeze(operation, "padding", padding),
        freeze(operation, "data_format", data_format),
        freeze(operation, "dilations", dilations),
        bool(ceil_mode),
        bool(count_include_pad),
    )
    x = require_float(operation, "input", x)
    if out is None:
        result = np.empty(plan.out_shape, x.dtype)
    else:
        result = check_out(operation, out, plan.out_shape, x.dtype, x)
    if result.size:
        _core.pool(plan.volumes(x), plan.volumes(result), plan.pool, number_of(x))
    return give_back(result) if out is None else out


class _PoolPlan(NamedTuple):
    pool: _core.Pool
    out_shape: tuple[int, ...]
    channels_first: bool

    def volumes(self, array: Array) -> Array:
        return as_volumes(array, self.channels_first)


def core_pool(axes: tuple[Axis, ...], kind: str, count_include_pad: bool = False) -> _core.Pool:
    if not count_include_pad:
        axes = tuple(axis.trim()[0] for axis in axes)
    whole = Axis(1, 1, 1, 1, 0, 0, 1)
    z, y, x = (whole,) * (3 - len(axes)) + axes
    return _core.Pool(_core.Axis(*z), _core.Axis(*y), _core.Axis(*x), kind, count_include_pad, 2.0)


def pooling_kind(operation: str, pooling_type: Any) -> str:
    kind = _POOLING_TYPES.get(pooling_type.upper()) if isinstance(pooling_type, str) else None
    if kind is None:
        raise ArgumentError(
            f"{operation}: pooling_type must be 'MAX' or 'AVG', got {pooling_type!r}"
        )
    return kind


@lru_cache(maxsize=1024)
def _pool_plan(
    shape: tuple[int, ...],
    window_shape: Any,
    pooling_type: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilations: Any,
    ceil_mode: bool,
    count_include_pad: bool,
) -> _PoolPlan:
    operation = "nn.pool"
    dims = len(shape) - 2
    if dims not in CHANNELS_LAST:
        raise ShapeError(
            f"{operation}: input must have rank 3, 4 or 5 (batch, 1 to 3 spatial axes, channels), "
            f"got shape {shape}"
        )
    first = is_channels_first(operation, data_format, dims)
    n, sizes, channels = split_shape(shape, first)
    kind = pooling_kind(operation, pooling_type)
    axes = pool_axes(
        operation,
        sizes,
        spatial_values(operation, "window_shape", window_shape, dims, first),
        spatial_values(operation, "strides", 1 if strides is None else strides, dims, first),
        spatial_values(operation, "dilations", 1 if dilations is None else dilations, dims, first),
        parse_padding(operation, "padding", padding, dims, first),
        ceil_mode,
    )
    out_shape = join_shape(n, tuple(axis.out for axis in axes), channels, first)
    require_room(operation, "the answer", out_shape)
    if count_include_pad:
        padded = tuple(axis.size + axis.pad_before + axis.pad_after for axis in axes)
        require_room(operation, "the padded input", padded)
    return _PoolPlan(
        core_pool(axes, kind, count_include_pad),
        out_shape,
        first,
    )
