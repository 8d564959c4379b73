"""Condense to a size that is asked for: windows that follow from it, and differ by a cell."""

from __future__ import annotations

import math
import numbers
import operator
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import numpy as np

from attar.arrays import from_caller
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import adaptive_axis, flag, fractional_axis, fractional_sequence, freeze
from attar.nn.layout import Layout, layout_of, require_room
from attar.nn.pooling import (
    PoolPlan,
    exponent,
    plan_axes,
    pooling_kind,
    require_poolable,
    run_pool,
)

__all__ = [
    "FractionalPool",
    "adaptive_pool",
    "fractional_max_pool",
    "plan_adaptive_pool",
    "spatial_pyramid_pool",
]

_MOST_BINS = 2**22  # along one axis: each is kept as two numbers


def adaptive_pool(
    input: Any,
    output_size: Any,
    pooling_type: str,
    data_format: str | None = None,
    *,
    p: float = 2.0,
    out: Any = None,
) -> Any:
    """Condense to `output_size`, whatever the size of the input.

    Output o of an axis looks at the inputs from ``floor(o * size / out)`` up to, not including,
    ``ceil((o + 1) * size / out)``: PyTorch's rule. Where the size does not divide, neighbours
    share a cell.

    Parameters
    ----------
    input : array, batch, layout and dtypes as in `pool`
    output_size : int, or one int or None for each spatial axis
        None keeps the size of an axis.
    pooling_type : {"MAX", "AVG", "LP"}
    data_format : str, optional
        Channels last by default.
    p : float
        Of a norm: larger than 0 and finite.
    out : array, optional
        Where to write the answer; it must not overlap the input.

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
    >>> row = np.array([1, 2, 3, 4, 5], np.float32).reshape(1, 5, 1)
    >>> nn.adaptive_pool(row, 3, "AVG").ravel()  # of [1 2], [2 3 4], [4 5]
    array([1.5, 3. , 4.5], dtype=float32)
    """
    operation = "nn.adaptive_pool"
    x, give_back = from_caller(operation, "input", input)
    plan = plan_adaptive_pool(operation, x.shape, output_size, pooling_type, data_format, p=p)
    return run_pool(operation, plan, x, give_back, out)


class FractionalPool(NamedTuple):
    """What `fractional_max_pool` returns.

    Attributes
    ----------
    output : array
        The maxima.
    row_pooling_sequence, col_pooling_sequence : arrays of int64
        The boundaries of the windows along height and width, from 0 to the size.
    """

    output: Any
    row_pooling_sequence: Any
    col_pooling_sequence: Any


def fractional_max_pool(
    input: Any,
    pooling_ratio: Any,
    pseudo_random: bool = False,
    overlapping: bool = False,
    seed: int | None = 0,
    data_format: str | None = None,
    name: str | None = None,
) -> FractionalPool:
    """Condense by a ratio that need not be whole, with windows drawn at random.

    There are ``floor(size / ratio)`` outputs. Window o reaches from boundary o to boundary o + 1
    of a random sequence from 0 to the size, whose steps are ``floor(size / outputs)`` or one
    more. Graham, Fractional Max-Pooling, 2014: https://arxiv.org/abs/1412.6071

    Parameters
    ----------
    input : (N, H, W, C) array of any real dtype, or (N, C, H, W) for ``"NCHW"``
        Or one image without N.
    pooling_ratio : number, or 1, 2 or 4 numbers
        At least 1; of height and width, or of all axes with 1 for batch and channels.
    pseudo_random : bool
        Draw ``ceil(alpha * (o + u))`` with one u, not the order of the steps.
    overlapping : bool
        Let a window look at the cell behind its last boundary too.
    seed : int, optional
        The same seed gives the same windows, 0 too (in tf.nn it means a new one at each call).
        None draws anew.
    data_format : {"NHWC", "NCHW"}, optional
    name : str, optional
        Ignored.

    Returns
    -------
    FractionalPool
        ``output``, of the input's layout and dtype, ``row_pooling_sequence`` and
        ``col_pooling_sequence``.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.arange(35, dtype=np.float32).reshape(1, 5, 7, 1)
    >>> output, rows, cols = nn.fractional_max_pool(image, 1.5)
    >>> output.shape, rows, cols
    ((1, 3, 4, 1), array([0, 1, 3, 5]), array([0, 2, 4, 6, 7]))
    """
    operation = "nn.fractional_max_pool"
    x, give_back = from_caller(operation, "input", input)
    layout = image_layout(operation, x.shape, data_format)
    pseudo_random = flag(operation, "pseudo_random", pseudo_random)
    overlapping = flag(operation, "overlapping", overlapping)
    generator = Random(_seed(operation, seed))
    _, sizes, _ = layout.split(x.shape)
    ratios = _ratios(operation, pooling_ratio, layout)
    sequences = []
    for size, ratio in zip(sizes, ratios, strict=True):
        outputs = math.floor(size / ratio)
        if outputs < 1:
            raise ShapeError(
                f"{operation}: pooling_ratio must be at most the size, {sizes}, "
                f"got {pooling_ratio!r}"
            )
        sequences.append(fractional_sequence(size, outputs, pseudo_random, generator))
    rows, cols = sequences
    axes = tuple(
        fractional_axis(size, sequence, overlapping)
        for size, sequence in zip(sizes, sequences, strict=True)
    )
    plan = plan_axes(operation, x.shape, layout, axes, "MAX")
    return FractionalPool(
        run_pool(operation, plan, x, give_back, None),
        give_back(np.array(rows)),
        give_back(np.array(cols)),
    )


def spatial_pyramid_pool(
    input: Any,
    levels: Any = (1, 2, 4),
    pooling_type: str = "MAX",
    data_format: str | None = None,
) -> Any:
    """Condense images of any size to vectors of one length: spatial pyramid pooling.

    Each level cuts the image into ``level`` bins along every axis, as `adaptive_pool` does. He,
    Zhang, Ren, Sun, Spatial Pyramid Pooling in Deep Convolutional Networks, 2014:
    https://arxiv.org/abs/1406.4729

    Parameters
    ----------
    input : array, batch, layout and dtypes as in `pool`
        One image without a batch needs `data_format`.
    levels : int or ints
    pooling_type : {"MAX", "AVG", "LP"}
    data_format : str, optional
        Channels last by default.

    Returns
    -------
    (N, C * (sum of level²)), of the input's dtype
        Level after level in the order given; in a level bin after bin, row by row; in a bin the
        channels. (``level`` alone for one spatial axis, ``level³`` for three.)

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    >>> nn.spatial_pyramid_pool(image, (1, 2))
    array([[8., 4., 5., 7., 8.]], dtype=float32)
    """
    operation = "nn.spatial_pyramid_pool"
    x, give_back = from_caller(operation, "input", input)
    levels = freeze(operation, "levels", levels)
    levels = levels if isinstance(levels, tuple) else (levels,)
    if not levels or not all(isinstance(level, int) for level in levels):
        raise ArgumentError(f"{operation}: levels must be whole numbers, got {levels!r}")
    plans = [
        plan_adaptive_pool(operation, x.shape, level, pooling_type, data_format, argument="levels")
        for level in levels
    ]
    layout, kind = plans[0].layout, plans[0].kind
    x = require_poolable(operation, "input", kind, x)
    n, _, channels = layout.split(x.shape)
    bins = [level**layout.dims for level in levels]
    shape = (n, sum(bins) * channels)[not layout.batched :]
    require_room(operation, "the answer", shape)
    result = np.empty(shape, x.dtype)
    pyramid = result.reshape(n, sum(bins), channels)
    begin = 0
    for plan, level, count in zip(plans, levels, bins, strict=True):
        part = pyramid[:, begin : begin + count].reshape(n, *(level,) * layout.dims, channels)
        if layout.channels_first:
            part = np.moveaxis(part, -1, 1)
        run_pool(operation, plan, x, give_back, part if layout.batched else part[0])
        begin += count
    return give_back(result)


# ------------------------------------------------------------------ resolve, then compute


def image_layout(operation: str, shape: tuple[int, ...], data_format: Any) -> Layout:
    """Tell what the axes of images in two dimensions mean; channels last by default."""
    data_format = "NHWC" if data_format is None else freeze(operation, "data_format", data_format)
    if data_format not in ("NHWC", "NCHW"):
        raise ArgumentError(
            f"{operation}: data_format must be 'NHWC' or 'NCHW', got {data_format!r}"
        )
    return layout_of(operation, shape, data_format)


def plan_adaptive_pool(
    operation: str,
    shape: tuple[int, ...],
    output_size: Any,
    pooling_type: Any,
    data_format: Any = None,
    *,
    p: Any = 2.0,
    argument: str = "output_size",
) -> PoolPlan:
    """Resolve an adaptive pool, from a cache."""
    return _plan_adaptive_pool(
        operation,
        shape,
        freeze(operation, argument, output_size),
        freeze(operation, "pooling_type", pooling_type),
        freeze(operation, "data_format", data_format),
        exponent(operation, p),
        argument,
    )


@lru_cache(maxsize=256)
def _plan_adaptive_pool(
    operation: str,
    shape: tuple[int, ...],
    output_size: Any,
    pooling_type: Any,
    data_format: Any,
    p: float,
    argument: str,
) -> PoolPlan:
    layout = layout_of(operation, shape, data_format, output_size)
    kind = pooling_kind(operation, pooling_type, ("MAX", "AVG", "LP"))
    n, sizes, channels = layout.split(shape)
    if min(sizes) < 1:
        raise ShapeError(f"{operation}: an image must not be empty, got shape {shape}")
    outs = output_size if isinstance(output_size, tuple) else (output_size,) * layout.dims
    if len(outs) != layout.dims or (output_size is None):
        raise ArgumentError(
            f"{operation}: {argument} must be one number or {layout.dims} (the spatial axes), "
            f"got {output_size!r}"
        )
    outs = tuple(size if out is None else out for out, size in zip(outs, sizes, strict=True))
    if not all(isinstance(out, int) and out >= 1 for out in outs):
        raise ArgumentError(f"{operation}: {argument} must be at least 1, got {output_size!r}")
    require_room(operation, "the answer", layout.join(n, outs, channels))
    for out, size in zip(outs, sizes, strict=True):
        if size % out and out > _MOST_BINS:
            raise ArgumentError(
                f"{operation}: {argument} must be at most {_MOST_BINS} or divide the size, "
                f"{size}, got {output_size!r}"
            )
    axes = tuple(adaptive_axis(size, out) for out, size in zip(outs, sizes, strict=True))
    return plan_axes(operation, shape, layout, axes, kind, p=p)


def _ratios(operation: str, pooling_ratio: Any, layout: Layout) -> tuple[float, ...]:
    if hasattr(pooling_ratio, "tolist"):
        pooling_ratio = pooling_ratio.tolist()
    given = tuple(pooling_ratio) if isinstance(pooling_ratio, list | tuple) else (pooling_ratio,)
    if any(isinstance(ratio, bool) or not isinstance(ratio, numbers.Real) for ratio in given):
        raise DTypeError(f"{operation}: pooling_ratio must be numbers, got {pooling_ratio!r}")
    ratios = tuple(map(float, given))
    if not all(1 <= ratio < math.inf for ratio in ratios):
        raise ArgumentError(f"{operation}: pooling_ratio must be at least 1, got {pooling_ratio!r}")
    if len(ratios) == 1:
        return ratios * 2
    if len(ratios) == 4:
        others = ratios[:2] if layout.channels_first else ratios[::3]
        ratios = ratios[2:] if layout.channels_first else ratios[1:3]
        if others != (1, 1):
            raise ArgumentError(
                f"{operation}: pooling_ratio must be 1 for batch and channels, "
                f"got {pooling_ratio!r}"
            )
    if len(ratios) != 2:
        raise ArgumentError(
            f"{operation}: pooling_ratio must be one number, 2 (height and width) or 4 (all "
            f"axes), got {pooling_ratio!r}"
        )
    return ratios


def _seed(operation: str, seed: Any) -> int | None:
    try:
        return None if seed is None else operator.index(seed)
    except TypeError:
        raise DTypeError(
            f"{operation}: seed must be a whole number or None, got {seed!r}"
        ) from None
