"""Condense such that a shift of the image is not lost: blur before the stride, or choose it."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, answer_array, from_caller, number_of, require_float, require_grad
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Axis, blur_axes, flag, freeze, spatial_values
from attar.nn.layout import Layout, layout_of
from attar.nn.pooling import PoolPlan, plan_pool
from attar.nn.winners import run_pool_winners

__all__ = [
    "PolyphasePool",
    "blur_pool",
    "blur_pool_grad",
    "max_blur_pool",
    "max_blur_pool_grad",
    "polyphase_pool",
    "polyphase_pool_grad",
]

_BORDERS = ("zero", "reflect", "circular")
_NORMS = ("l1", "l2", "linf")
_LARGEST_FILTER = 7


def blur_pool(
    input: Any,
    size: Any = 3,
    strides: Any = 2,
    data_format: str | None = None,
    *,
    border: str = "reflect",
    out: Any = None,
) -> Any:
    """Blur, then keep every stride-th value: a stride without aliasing.

    The filter is a row of Pascal's triangle along each axis, divided by its sum: [1 2 1] / 4 for
    size 3. R. Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.

    Parameters
    ----------
    input : (N, W, C) or (N, H, W, C) array of float16, bfloat16, float32 or float64
        Or with the channels second, for ``"NCW"`` and ``"NCHW"``. Batch as in `pool`.
    size : int, or one int for each spatial axis
        Of the filter, 1 to 7. It takes ``(size - 1) // 2`` cells before and ``size // 2`` behind
        each output's own.
    strides : int, or one int for each spatial axis
    data_format : str, optional
        Channels last by default.
    border : {"reflect", "circular", "zero"}
        What lies beyond the image: the image mirrored at its outermost cells, which are not
        repeated; its other end; zeros.
    out : array, optional
        Where to write the answer; it must not overlap the input.

    Returns
    -------
    Array with ``ceil(size / stride)`` outputs along each axis, of the input's layout and dtype.
    Sums are made in that dtype, those of float16 and bfloat16 in float32.

    Raises
    ------
    ShapeError
        Also where the image has too few cells to be mirrored.
    ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([0, 0, 4, 0, 0, 8], np.float32).reshape(1, 6, 1)
    >>> nn.blur_pool(row).ravel()
    array([0., 2., 2.], dtype=float32)
    """
    return _blur(
        "nn.blur_pool", input, 1, "VALID", size, strides, data_format, border, out
    )  # fmt: skip


def max_blur_pool(
    input: Any,
    ksize: Any = 2,
    size: Any = 3,
    strides: Any = 2,
    padding: Any = "VALID",
    data_format: str | None = None,
    *,
    border: str = "reflect",
    out: Any = None,
) -> Any:
    """Take the maximum at every place, blur, then keep every stride-th value; in one pass.

    What becomes of a max pool with a stride when it is anti-aliased. The map of the maxima is
    never written to memory.

    Parameters
    ----------
    input : array of float16, bfloat16, float32 or float64, batch and layout as in `blur_pool`
    ksize : int, or one int for each spatial axis
        The window of the maximum.
    size, strides
        Of the filter, as in `blur_pool`.
    padding : {"SAME", "VALID"} or pairs
        Of the maximum, as in `conv2d`. It never wins.
    data_format, border, out
        As in `blur_pool`; the border is that of the map of the maxima.

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
    >>> row = np.array([0, 0, 4, 0, 0, 8], np.float32).reshape(1, 6, 1)
    >>> nn.max_blur_pool(row).ravel()
    array([2., 3., 4.], dtype=float32)
    """
    return _blur(
        "nn.max_blur_pool", input, ksize, padding, size, strides, data_format, border, out
    )  # fmt: skip


def blur_pool_grad(
    grad: Any,
    input_shape: Any,
    size: Any = 3,
    strides: Any = 2,
    data_format: str | None = None,
    *,
    border: str = "reflect",
) -> Any:
    """Gradient of `blur_pool` for its input.

    Parameters
    ----------
    grad : array of float16, bfloat16, float32 or float64
        The gradient for the answer, with its shape.
    input_shape : ints
        Of the input.
    size, strides, data_format, border
        As in `blur_pool`.

    Returns
    -------
    Array of shape `input_shape`, of the dtype of `grad`.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> nn.blur_pool_grad(np.ones((1, 2, 1), np.float32), (1, 4, 1), border="zero").ravel()
    array([0.5 , 0.5 , 0.5 , 0.25], dtype=float32)
    """
    operation = "nn.blur_pool_grad"
    shape = _read_shape(operation, input_shape)
    g, give_back = from_caller(operation, "grad", grad)
    plan = _plan(operation, shape, 1, "VALID", size, strides, data_format, border)
    g = require_grad(operation, g, plan.out_shape)
    return give_back(_run_blur_grad(plan, g))


def max_blur_pool_grad(
    grad: Any,
    input: Any,
    ksize: Any = 2,
    size: Any = 3,
    strides: Any = 2,
    padding: Any = "VALID",
    data_format: str | None = None,
    *,
    border: str = "reflect",
) -> Any:
    """Gradient of `max_blur_pool` for its input: the first of the largest values gets it.

    Parameters
    ----------
    grad : array of the input's dtype
        The gradient for the answer, with its shape.
    input : array
        What `max_blur_pool` was given.
    ksize, size, strides, padding, data_format, border
        As in `max_blur_pool`.

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
    >>> row = np.array([0, 0, 4, 0, 0, 8], np.float32).reshape(1, 6, 1)
    >>> nn.max_blur_pool_grad(np.ones((1, 3, 1), np.float32), row).ravel()
    array([0.5 , 0.  , 1.25, 0.75, 0.  , 0.5 ], dtype=float32)
    """
    operation = "nn.max_blur_pool_grad"
    x, give_back = from_caller(operation, "input", input)
    g, _ = from_caller(operation, "grad", grad)
    plan = _plan(operation, x.shape, ksize, padding, size, strides, data_format, border)
    x = require_float(operation, "input", x, half=True)
    g = require_grad(operation, g, plan.out_shape, x)
    result = np.zeros(x.shape, x.dtype)
    if result.size:
        maps = plan.maps
        _, winners = run_pool_winners(operation, maps, x)
        map_grad = _run_blur_grad(plan, g)
        _core.max_pool_grad(
            maps.volumes(map_grad), maps.volumes(winners), maps.volumes(result), maps.pool,
            number_of(x),
        )  # fmt: skip
    return give_back(result)


class PolyphasePool(NamedTuple):
    """What `polyphase_pool` returns with ``return_phase=True``.

    Attributes
    ----------
    output : array
    phase : (N, number of spatial axes) array of int64
        Where in each image the first value of the output was.
    """

    output: Any
    phase: Any


def polyphase_pool(
    input: Any,
    strides: Any = 2,
    norm: str = "l2",
    data_format: str | None = None,
    *,
    return_phase: bool = False,
) -> Any:
    """Keep every stride-th value, from where there is most to keep.

    A stride of s can begin at s places along each axis: the phases of the image. Which of them a
    fixed stride keeps depends on where the object lies. Here each image keeps the phase with the
    largest norm. If the image is shifted, the phases change places but hardly their values, so
    the same one is kept: for a circular shift and sizes that the stride divides, the answer is
    the old one, shifted by a whole number of its own cells, and what is pooled globally behind it
    does not change at all. A. Chaman and I. Dokmanić, "Truly shift-invariant convolutional neural
    networks", CVPR 2021.

    Parameters
    ----------
    input : array of float16, bfloat16, float32 or float64, batch and layout as in `pool`
    strides : int, or one int for each spatial axis
    norm : {"l2", "l1", "linf"}
        Over all values of a phase, in all channels, in float64. NaN counts as the largest. Of
        equal norms the first wins, row by row.
    data_format : str, optional
        Channels last by default.
    return_phase : bool
        Return the phases too.

    Returns
    -------
    Array with ``ceil(size / stride)`` outputs along each axis, of the input's layout and dtype,
    or a `PolyphasePool`. Where a stride does not divide the size, the phases that end earlier are
    filled up with 0.

    Raises
    ------
    ShapeError, ArgumentError (both ValueError), DTypeError (a TypeError)

    Examples
    --------
    >>> import numpy as np
    >>> from attar import nn
    >>> row = np.array([1, 5, 2, 6, 3, 7], np.float32).reshape(1, 6, 1)
    >>> nn.polyphase_pool(row).ravel()
    array([5., 6., 7.], dtype=float32)
    >>> nn.polyphase_pool(np.roll(row, 1, axis=1)).ravel()
    array([7., 5., 6.], dtype=float32)
    """
    operation = "nn.polyphase_pool"
    with_phase = flag(operation, "return_phase", return_phase)
    x, give_back = from_caller(operation, "input", input)
    plan = _polyphase_plan(operation, x.shape, strides, norm, data_format)
    x = require_float(operation, "input", x, half=True)
    output = np.zeros(plan.out_shape, x.dtype)
    phases = _strongest_phases(plan, x, norm)
    volumes = plan.layout.volumes
    for image, kept, phase in zip(volumes(x), volumes(output), phases, strict=True):
        part = plan.part(image, phase)
        kept[tuple(map(slice, part.shape))] = part
    if not with_phase:
        return give_back(output)
    phases = phases[:, -plan.layout.dims :]
    return PolyphasePool(give_back(output), give_back(phases if plan.layout.batched else phases[0]))


def polyphase_pool_grad(
    grad: Any,
    input: Any,
    strides: Any = 2,
    norm: str = "l2",
    data_format: str | None = None,
) -> Any:
    """Gradient of `polyphase_pool` for its input: what was kept gets it.

    Parameters
    ----------
    grad : array of the input's dtype
        The gradient for the answer, with its shape.
    input : array
        What `polyphase_pool` was given.
    strides, norm, data_format
        As in `polyphase_pool`.

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
    >>> row = np.array([1, 5, 2, 6, 3], np.float32).reshape(1, 5, 1)
    >>> nn.polyphase_pool_grad(np.ones((1, 3, 1), np.float32), row).ravel()
    array([0., 1., 0., 1., 0.], dtype=float32)
    """
    operation = "nn.polyphase_pool_grad"
    x, give_back = from_caller(operation, "input", input)
    g, _ = from_caller(operation, "grad", grad)
    plan = _polyphase_plan(operation, x.shape, strides, norm, data_format)
    x = require_float(operation, "input", x, half=True)
    g = require_grad(operation, g, plan.out_shape, x)
    result = np.zeros(x.shape, x.dtype)
    volumes = plan.layout.volumes
    phases = _strongest_phases(plan, x, norm)
    for image, kept, phase in zip(volumes(result), volumes(g), phases, strict=True):
        part = plan.part(image, phase)
        part[...] = kept[tuple(map(slice, part.shape))]
    return give_back(result)


# ------------------------------------------------------------------ resolve, then compute


class _BlurPlan(NamedTuple):
    blur: _core.Blur
    filter: _core.Blur  # the same without the maximum
    maps: PoolPlan  # of the maxima
    out_shape: tuple[int, ...]


def _blur(
    operation: str, input: Any, ksize: Any, padding: Any, size: Any, strides: Any,
    data_format: Any, border: Any, out: Any,
) -> Any:  # fmt: skip
    x, give_back = from_caller(operation, "input", input)
    plan = _plan(operation, x.shape, ksize, padding, size, strides, data_format, border)
    x = require_float(operation, "input", x, half=True)
    result = answer_array(operation, out, plan.out_shape, x.dtype, x)
    if result.size:
        _core.blur(plan.maps.volumes(x), plan.maps.volumes(result), plan.blur, number_of(x))
    return give_back(result) if out is None else out


def _run_blur_grad(plan: _BlurPlan, grad: Array) -> Array:
    """Gradient for the map of the maxima."""
    result = np.empty(plan.maps.out_shape, grad.dtype)
    if result.size:
        volumes = plan.maps.volumes
        _core.blur_grad(volumes(grad), volumes(result), plan.filter, number_of(grad))
    return result


def _plan(
    operation: str, shape: tuple[int, ...], ksize: Any, padding: Any, size: Any, strides: Any,
    data_format: Any, border: Any,
) -> _BlurPlan:  # fmt: skip
    if not isinstance(border, str) or border not in _BORDERS:
        raise ArgumentError(
            f"{operation}: border must be 'zero', 'reflect' or 'circular', got {border!r}"
        )
    return _cached_plan(
        operation,
        shape,
        freeze(operation, "ksize", ksize),
        freeze(operation, "padding", padding),
        freeze(operation, "size", size),
        freeze(operation, "strides", strides),
        freeze(operation, "data_format", data_format),
        border,
    )


@lru_cache(maxsize=1024)
def _cached_plan(
    operation: str,
    shape: tuple[int, ...],
    ksize: Any,
    padding: Any,
    size: Any,
    strides: Any,
    data_format: Any,
    border: str,
) -> _BlurPlan:
    layout = _layout(operation, shape, data_format, size, ksize, strides)
    dims, first, _ = layout
    if dims > 2:
        raise ShapeError(
            f"{operation}: input must have 1 or 2 spatial axes, got {dims} in shape {shape}"
        )
    sizes = spatial_values(operation, "size", size, dims, first)
    if max(sizes) > _LARGEST_FILTER:
        raise ArgumentError(
            f"{operation}: size must be 1 to {_LARGEST_FILTER} along each axis, got {size!r}"
        )
    maps = plan_pool(
        operation, shape, spatial_values(operation, "ksize", ksize, dims, first), "MAX", 1,
        padding, data_format, window_argument="ksize",
    )  # fmt: skip
    n, map_sizes, channels = layout.split(maps.out_shape)
    axes = blur_axes(
        operation, map_sizes, sizes, spatial_values(operation, "strides", strides, dims, first),
        border,
    )  # fmt: skip
    same = tuple(Axis(axis.size, 1, 1, 1, 0, 0, axis.size) for axis in axes)
    return _BlurPlan(
        _core_blur(maps.axes, axes, border),
        _core_blur(same, axes, border),
        maps,
        layout.join(n, tuple(axis.out for axis in axes), channels),
    )


def _layout(operation: str, shape: tuple[int, ...], data_format: Any, *per_axis: Any) -> Layout:
    numbers = next((value for value in per_axis if isinstance(value, tuple)), None)
    return layout_of(operation, shape, data_format, numbers)


def _core_blur(maxima: tuple[Any, ...], axes: tuple[Axis, ...], border: str) -> _core.Blur:
    whole = (Axis(1, 1, 1, 1, 0, 0, 1),) * (2 - len(axes))
    max_y, max_x = (_core.Axis(*axis) for axis in whole + maxima)
    y, x = whole + axes
    return _core.Blur(
        max_y, max_x, _core.Axis(*y), _core.Axis(*x), _binomial(y.window), _binomial(x.window),
        border,
    )  # fmt: skip


def _binomial(size: int) -> list[float]:
    return [math.comb(size - 1, k) / 2 ** (size - 1) for k in range(size)]


def _read_shape(operation: str, input_shape: Any) -> tuple[int, ...]:
    shape = freeze(operation, "input_shape", input_shape)
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ArgumentError(
            f"{operation}: input_shape must be the sizes of the input, got {input_shape!r}"
        )
    return shape


class _PolyphasePlan(NamedTuple):
    layout: Layout
    strides: tuple[int, int, int]
    phases: list[tuple[int, ...]]  # those that hold anything
    out_shape: tuple[int, ...]

    def part(self, volume: Array, phase: Any) -> Array:
        """View the values of one phase of an image, (z, y, x, c)."""
        return volume[
            tuple(slice(i, None, stride) for i, stride in zip(phase, self.strides, strict=True))
        ]


def _polyphase_plan(
    operation: str, shape: tuple[int, ...], strides: Any, norm: Any, data_format: Any
) -> _PolyphasePlan:
    if not isinstance(norm, str) or norm not in _NORMS:
        raise ArgumentError(f"{operation}: norm must be 'l1', 'l2' or 'linf', got {norm!r}")
    steps = freeze(operation, "strides", strides)
    layout = _layout(operation, shape, freeze(operation, "data_format", data_format), steps)
    dims, first, _ = layout
    n, sizes, channels = layout.split(shape)
    if min(sizes) < 1:
        raise ShapeError(f"{operation}: an image must not be empty, got shape {shape}")
    steps = spatial_values(operation, "strides", steps, dims, first)
    z, y, x = (1,) * (3 - dims) + steps
    whole = (1,) * (3 - dims) + sizes
    filled = (range(min(size, step)) for size, step in zip(whole, (z, y, x), strict=True))
    return _PolyphasePlan(
        layout,
        (z, y, x),
        list(itertools.product(*filled)),
        layout.join(n, tuple(-(-size // step) for size, step in zip(sizes, steps, strict=True)),
                    channels),
    )  # fmt: skip


def _strongest_phases(plan: _PolyphasePlan, x: Array, norm: str) -> Array:
    """Return the phase of each image, (N, 3).

    A choice between nearly equal norms must not depend on the order in which they were summed:
    otherwise a shift could change it. Squares of float32 are exact in float64, and sums nearly.
    """
    chosen = []
    for image in plan.layout.volumes(x):
        # Squares of float64 could overflow, or vanish.
        wide = x.dtype == np.float64 and norm != "linf"
        exponent = int(np.frexp(np.abs(image).max(initial=0))[1]) if wide else 0
        norms = [_norm(plan.part(image, phase), norm, exponent) for phase in plan.phases]
        chosen.append(plan.phases[int(np.argmax(norms))])
    return np.array(chosen, np.int64).reshape(-1, 3)


def _norm(part: Array, norm: str, exponent: int) -> float:
    """Return a number that grows with the norm of ``part / 2^exponent``."""
    if norm == "linf":
        return float(np.abs(part).max(initial=0))
    values = np.ldexp(part.astype(np.float64), -exponent)
    return float(np.abs(values).sum() if norm == "l1" else np.square(values, out=values).sum())
