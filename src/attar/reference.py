"""Every operation in a few lines of NumPy: the definition, and the oracle of the tests.

Nothing here is fast and nothing falls back to it. Arrays are channels-last, (N, *spatial, C),
with any number of spatial axes; an `Axis` for each says where the windows lie. Those of a pool may
be `Bins`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.geometry import AnyAxis, Axis

__all__ = [
    "avg_pool_grad",
    "blur",
    "conv",
    "extract",
    "gem_pool",
    "lp_pool_grad",
    "max_pool_grad",
    "max_unpool",
    "max_unpool_grad",
    "polyphase",
    "pool",
    "pool_winners",
    "relu",
    "relu_grad",
    "soft_pool",
]

Array = NDArray[Any]


def _windows(axes: Sequence[AnyAxis]) -> Iterator[tuple[Any, list[list[int]]]]:
    """Yield every output position with the input positions of its taps along each axis."""
    for position in itertools.product(*(range(axis.out) for axis in axes)):
        yield position, [axis.taps(o) for axis, o in zip(axes, position, strict=True)]


def _seen(axes: Sequence[AnyAxis]) -> Iterator[tuple[Any, Any]]:
    """Yield every output position with the index of the inputs that its window sees: no padding."""
    seen = [
        [[at for at in axis.taps(o) if 0 <= at < axis.size] for o in range(axis.out)]
        for axis in axes
    ]
    for position in itertools.product(*(range(axis.out) for axis in axes)):
        along = (cells[o] for cells, o in zip(seen, position, strict=True))
        yield position, (slice(None), *np.ix_(*along))


def _divisor(axes: Sequence[AnyAxis], position: Sequence[int], count_include_pad: bool) -> int:
    """Count the cells that the mean at an output position is over."""
    divisor = 1
    for axis, o in zip(axes, position, strict=True):
        pads = (axis.pad_before, axis.pad_after) if count_include_pad else (0, 0)
        divisor *= sum(-pads[0] <= at < axis.size + pads[1] for at in axis.taps(o))
    return divisor


def conv(input: Array, filters: Array, axes: Sequence[Axis], bias: Array | None = None) -> Array:
    """Cross-correlate, padding with zeros: what convnets call a convolution.

    ``out[n, o, k] = bias[k] + sum of input[n, at(o, t), c] * filters[t, c, k]`` over the taps t
    and channels c, where at(o, t) is the input that tap t of output o falls on.

    Parameters
    ----------
    input : (N, *spatial, C)
    filters : (*window, C / groups, K)
        Group g of the filters sees group g of the channels.
    bias : (K,), optional

    Returns
    -------
    (N, *out, K), of the input's dtype.

    Examples
    --------
    >>> row = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    >>> step = np.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> conv(row, step, [Axis(3, 2, 1, 1, 0, 0, 2)]).ravel()
    array([1., 2.])
    """
    channels, count = filters.shape[-2:]
    groups = input.shape[-1] // channels
    padded = np.pad(
        input,
        [(0, 0), *((axis.pad_before, axis.pad_after + axis.extent) for axis in axes), (0, 0)],
    )
    out = np.zeros((len(input), *(axis.out for axis in axes), count), input.dtype)
    for position, taps in _windows(axes):
        at = [np.add(along, axis.pad_before) for along, axis in zip(taps, axes, strict=True)]
        patch = padded[np.ix_(np.arange(len(input)), *at, np.arange(input.shape[-1]))]
        for group in range(groups):
            c = slice(group * channels, (group + 1) * channels)
            k = slice(group * count // groups, (group + 1) * count // groups)
            out[:, *position, k] = np.tensordot(
                patch[..., c], filters[..., k], axes=filters.ndim - 1
            )
    return out if bias is None else out + bias


def conv_grad(
    grad: Array, input: Array, filters: Array, axes: Sequence[Axis]
) -> tuple[Array, Array, Array]:
    """Add, for every product of `conv`, what flows into its sum times the other factor.

    Parameters
    ----------
    grad : (N, *out, K)
    input, filters
        As in `conv`.

    Returns
    -------
    Gradients for the input, the filters and the bias, of their shapes and the dtype of `grad`.

    Examples
    --------
    >>> row = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    >>> step = np.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> grad = np.array([10.0, 100.0]).reshape(1, 2, 1)
    >>> for one in conv_grad(grad, row, step, [Axis(3, 2, 1, 1, 0, 0, 2)]):
    ...     print(one.ravel())
    [-10. -90. 100.]
    [210. 420.]
    [110.]
    """
    channels, count = filters.shape[-2:]
    groups = input.shape[-1] // channels
    pads = [(0, 0), *((axis.pad_before, axis.pad_after + axis.extent) for axis in axes), (0, 0)]
    padded = np.pad(input, pads).astype(grad.dtype)
    for_input, for_filters = np.zeros_like(padded), np.zeros(filters.shape, grad.dtype)
    for position, taps in _windows(axes):
        at = [np.add(along, axis.pad_before) for along, axis in zip(taps, axes, strict=True)]
        for group in range(groups):
            c = np.arange(group * channels, (group + 1) * channels)
            k = slice(group * count // groups, (group + 1) * count // groups)
            patch = np.ix_(np.arange(len(input)), *at, c)
            flow = grad[:, *position, k]
            for_input[patch] += np.tensordot(flow, filters[..., k], axes=(1, -1))
            for_filters[..., k] += np.tensordot(padded[patch], flow, axes=(0, 0))
    inside = [slice(axis.pad_before, axis.pad_before + axis.size) for axis in axes]
    return for_input[:, *inside], for_filters, grad.sum(axis=tuple(range(grad.ndim - 1)))


def relu(features: Array) -> Array:
    """``max(features, 0)``; NaN stays NaN.

    Examples
    --------
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    detected: Array = np.maximum(features, features.dtype.type(0))
    return detected


def pool(
    input: Array,
    axes: Sequence[AnyAxis],
    pooling_type: str,
    count_include_pad: bool = False,
    p: float = 2.0,
) -> Array:
    """Take the maximum (``"MAX"``), mean (``"AVG"``) or norm (``"LP"``) of what each window sees.

    Padding is never seen, except that ``count_include_pad`` lets a mean divide by the padding
    as well (not by what lies beyond it, where ``ceil_mode`` adds a window). The norm is
    ``(sum of |x|^p)^(1/p)``.

    Parameters
    ----------
    input : (N, *spatial, C)

    Returns
    -------
    (N, *out, C), of the input's dtype.

    Examples
    --------
    >>> row = np.array([1.0, 5.0, -2.0]).reshape(1, 3, 1)
    >>> pool(row, [Axis(3, 2, 2, 1, 0, 1, 2)], "MAX").ravel()
    array([ 5., -2.])
    """
    out = np.empty((len(input), *(axis.out for axis in axes), input.shape[-1]), input.dtype)
    over = tuple(range(1, 1 + len(axes)))
    for position, cells in _seen(axes):
        patch = input[cells]
        if pooling_type == "MAX":
            value = patch.max(axis=over)
        elif pooling_type == "LP":
            value = (abs(patch) ** p).sum(axis=over) ** (1 / p)
        else:
            value = patch.sum(axis=over) / _divisor(axes, position, count_include_pad)
        out[:, *position] = value
    return out


def pool_winners(input: Array, axes: Sequence[AnyAxis]) -> Array:
    """Tell which tap of each window holds the maximum: the first of the largest, in memory order.

    NaN is larger than everything. Taps are counted through the last axis first, those on padding
    too; for `Bins`, through windows that are all as large as the largest.

    Parameters
    ----------
    input : (N, *spatial, C)

    Returns
    -------
    (N, *out, C) of int64

    Examples
    --------
    >>> row = np.array([1.0, 5.0, 5.0, -2.0]).reshape(1, 4, 1)
    >>> pool_winners(row, [Axis(4, 3, 2, 1, 1, 1, 2)]).ravel()
    array([2, 0])
    """
    # Where each tap of each window lies; those behind the end of a small one lie nowhere.
    lies = [
        np.array([(axis.taps(o) + [-1] * axis.window)[: axis.window] for o in range(axis.out)])
        for axis in axes
    ]
    n, *sizes, channels = input.shape
    out = np.full((n, *(axis.out for axis in axes), channels), -1)
    best = np.zeros(out.shape, input.dtype)
    for offset, tap in enumerate(itertools.product(*(range(axis.window) for axis in axes))):
        at = [along[:, k] for along, k in zip(lies, tap, strict=True)]
        seen = [(i >= 0) & (i < size) for i, size in zip(at, sizes, strict=True)]
        near = [i.clip(0, size - 1) for i, size in zip(at, sizes, strict=True)]
        value = input[np.ix_(np.arange(n), *near, np.arange(channels))]
        wins = (out < 0) | (value > best) | ((value != value) & (best == best))
        wins &= functools.reduce(np.logical_and.outer, seen)[None, ..., None]
        out[wins] = offset
        best[wins] = value[wins]
    return out


def max_unpool(input: Array, argmax: Array, sizes: Sequence[int]) -> Array:
    """Put each value where `argmax` says that it was, the later over the earlier, and 0 elsewhere.

    Parameters
    ----------
    input : (N, *out, C)
    argmax : (N, *out, C)
        Positions in one image of shape (*sizes, C), counted in memory order.

    Returns
    -------
    (N, *sizes, C), of the input's dtype.

    Examples
    --------
    >>> maxima = np.array([5.0, 7.0]).reshape(1, 2, 1)
    >>> max_unpool(maxima, np.array([1, 2]).reshape(1, 2, 1), [4]).ravel()
    array([0., 5., 7., 0.])
    """
    out = np.zeros((len(input), *sizes, input.shape[-1]), input.dtype)
    for image, values, positions in zip(out, input, argmax, strict=True):
        for value, position in zip(values.ravel(), positions.ravel(), strict=True):
            image[np.unravel_index(position, image.shape)] = value
    return out


def extract(
    input: Array,
    filters: Array,
    bias: Array | None,
    axes: Sequence[Axis],
    activation: str | None,
    pool_axes: Sequence[Axis] | None,
    pooling_type: str = "MAX",
) -> Array:
    """Filter, detect, condense, one after the other.

    Examples
    --------
    >>> row = np.array([3.0, 1.0, 2.0, 7.0]).reshape(1, 4, 1)
    >>> step = np.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> axis = Axis(4, 2, 1, 1, 0, 0, 3)
    >>> extract(row, step, None, [axis], "relu", [Axis(3, 3, 3, 1, 0, 0, 1)]).ravel()
    array([5.])
    """
    maps = conv(input, filters, axes, bias)
    if activation == "relu":
        maps = relu(maps)
    return maps if pool_axes is None else pool(maps, pool_axes, pooling_type)


def max_pool_grad(grad: Array, winners: Array, axes: Sequence[AnyAxis]) -> Array:
    """Add what flows into each maximum to what flows to its winner.

    Parameters
    ----------
    grad : (N, *out, C)
    winners : (N, *out, C) of whole numbers
        As `pool_winners` counts them. One that lies nowhere gets nothing.

    Returns
    -------
    (N, *spatial, C), of the dtype of `grad`.

    Examples
    --------
    >>> axis = Axis(4, 3, 2, 1, 1, 1, 2)
    >>> grad, winners = np.array([10.0, 20.0]), np.array([2, 0])
    >>> max_pool_grad(grad.reshape(1, 2, 1), winners.reshape(1, 2, 1), [axis]).ravel()
    array([ 0., 30.,  0.,  0.])
    """
    n, channels = len(grad), grad.shape[-1]
    out = np.zeros((n, *(axis.size for axis in axes), channels), grad.dtype)
    window = [axis.window for axis in axes]
    for position, taps in _windows(axes):
        for image, channel in itertools.product(range(n), range(channels)):
            at = (image, *position, channel)
            if winners[at] >= np.prod(window):
                continue
            tap = np.unravel_index(int(winners[at]), window)
            if any(k >= len(along) for k, along in zip(tap, taps, strict=True)):
                continue
            cell = [along[k] for k, along in zip(tap, taps, strict=True)]
            if all(0 <= i < axis.size for i, axis in zip(cell, axes, strict=True)):
                out[image, *cell, channel] += grad[at]
    return out


def avg_pool_grad(grad: Array, axes: Sequence[AnyAxis], count_include_pad: bool = False) -> Array:
    """Divide what flows into each mean, and add it to what flows to all that the window sees.

    Parameters
    ----------
    grad : (N, *out, C)
    count_include_pad : bool
        As in `pool`.

    Returns
    -------
    (N, *spatial, C), of the dtype of `grad`.

    Examples
    --------
    >>> grad = np.array([10.0, 20.0]).reshape(1, 2, 1)
    >>> avg_pool_grad(grad, [Axis(3, 2, 1, 1, 0, 0, 2)]).ravel()
    array([ 5., 15., 10.])
    """
    out = np.zeros((len(grad), *(axis.size for axis in axes), grad.shape[-1]), grad.dtype)
    for position, cells in _seen(axes):
        flow = grad[:, *position] / _divisor(axes, position, count_include_pad)
        out[cells] += flow[:, *(None,) * len(axes)]
    return out


def lp_pool_grad(grad: Array, input: Array, axes: Sequence[AnyAxis], p: float = 2.0) -> Array:
    """Multiply what flows into each norm y by ``sign(x) |x|^(p-1) y^(1-p)``, 0 where x or y is 0.

    Parameters
    ----------
    grad : (N, *out, C)
    input : (N, *spatial, C)

    Returns
    -------
    (N, *spatial, C), of the dtype of `grad`.

    Examples
    --------
    >>> row, grad = np.array([3.0, -4.0]).reshape(1, 2, 1), np.full((1, 1, 1), 10.0)
    >>> lp_pool_grad(grad, row, [Axis(2, 2, 1, 1, 0, 0, 1)]).ravel()
    array([ 6., -8.])
    """
    out = np.zeros(input.shape, grad.dtype)
    norms = pool(input, axes, "LP", p=p)
    for position, cells in _seen(axes):
        x, (y, flow) = input[cells], (a[:, *position] for a in (norms, grad))
        y, flow = (a[:, *(None,) * len(axes)] for a in (y, flow))
        safe_x, safe_y = np.where(x == 0, 1, abs(x)), np.where(y == 0, 1, y)
        slope = np.where((x == 0) | (y == 0), 0, np.sign(x) * safe_x ** (p - 1) * safe_y ** (1 - p))
        out[cells] += flow * slope
    return out


def max_unpool_grad(grad: Array, argmax: Array) -> Array:
    """Take what flows to where `argmax` says that each value was put.

    Parameters
    ----------
    grad : (N, *sizes, C)
    argmax : (N, *out, C)
        Positions in one image of `grad`, counted in memory order.

    Returns
    -------
    (N, *out, C), of the dtype of `grad`.

    Examples
    --------
    >>> grad = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
    >>> max_unpool_grad(grad, np.array([1, 2]).reshape(1, 2, 1)).ravel()
    array([2., 3.])
    """
    return np.stack([image.ravel()[at] for image, at in zip(grad, argmax, strict=True)])


def relu_grad(grad: Array, features: Array) -> Array:
    """Let pass what flows into positive features, and into NaN.

    Examples
    --------
    >>> relu_grad(np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 3.])
    """
    with np.errstate(invalid="ignore"):  # bfloat16 warns of comparisons with NaN
        passed: Array = np.where(features <= 0, grad.dtype.type(0), grad)
    return passed


def blur(input: Array, axes: Sequence[Axis], weights: Sequence[Array], border: str) -> Array:
    """Filter with a separable kernel: one row of `weights` for each spatial axis.

    Beyond the border lie zeros (``"zero"``), the image mirrored at its outermost cells, which are
    not repeated (``"reflect"``), or its other end (``"circular"``).

    Parameters
    ----------
    input : (N, *spatial, C)

    Returns
    -------
    (N, *out, C), of the input's dtype.

    Examples
    --------
    >>> row = np.array([4.0, 8.0, 0.0]).reshape(1, 3, 1)
    >>> blur(row, [Axis(3, 3, 1, 1, 1, 1, 3)], [np.array([0.25, 0.5, 0.25])], "reflect").ravel()
    array([6., 5., 4.])
    """
    mode: Any = {"zero": "constant", "reflect": "reflect", "circular": "wrap"}[border]
    out = input
    for i, (axis, row) in enumerate(zip(axes, weights, strict=True), start=1):
        line = np.moveaxis(out, i, 0)
        pads = [(axis.pad_before, axis.pad_after), *[(0, 0)] * (out.ndim - 1)]
        padded = np.pad(line, pads, mode)
        taps = [np.array(axis.taps(o)) + axis.pad_before for o in range(axis.out)]
        sums = [np.tensordot(row, padded[at], axes=1) for at in taps]
        out = np.moveaxis(np.array(sums, input.dtype), 0, i)
    return out


def polyphase(input: Array, strides: Sequence[int], norm: str) -> tuple[Array, Array]:
    """Keep the phase of each image that has the largest norm.

    Phase (i, j) is every stride-th value from row i and column j on, zeros added at its end so
    that all phases have ``ceil(size / stride)`` values along each axis. Its norm is taken over
    all its values and channels; NaN is the largest; the first of equals is kept.

    Parameters
    ----------
    input : (N, *spatial, C)
    norm : {"l1", "l2", "linf"}

    Returns
    -------
    (N, *out, C) and the phases, (N, number of spatial axes).

    Examples
    --------
    >>> row = np.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1)
    >>> kept, phase = polyphase(row, [2], "l2")
    >>> kept.ravel(), phase
    (array([1., 3., 5.]), array([[0]]))
    """
    pads = [(0, -size % stride) for size, stride in zip(input.shape[1:-1], strides, strict=True)]
    padded = np.pad(input, [(0, 0), *pads, (0, 0)])
    order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
    answers, chosen = [], []
    for image in padded:
        phases = list(itertools.product(*map(range, strides)))
        parts = [
            image[tuple(slice(i, None, s) for i, s in zip(phase, strides, strict=True))]
            for phase in phases
        ]
        norms = [np.linalg.norm(part.ravel().astype(np.float64), order) for part in parts]
        best = int(np.argmax(norms))
        answers.append(parts[best])
        chosen.append(phases[best])
    return np.array(answers), np.array(chosen)


def soft_pool(input: Array, axes: Sequence[Axis]) -> Array:
    """Take the mean of each window, every value x weighted by exp(x). Padding is never seen.

    Examples
    --------
    >>> row = np.log([[1.0], [3.0]]).reshape(1, 2, 1)
    >>> pooled = soft_pool(row, [Axis(2, 2, 2, 1, 0, 0, 1)])
    >>> bool(np.isclose(pooled.item(), 0.75 * np.log(3)))
    True
    """
    out = np.empty((len(input), *(axis.out for axis in axes), input.shape[-1]), input.dtype)
    over = tuple(range(1, 1 + len(axes)))
    for position, cells in _seen(axes):
        patch = input[cells]
        weights = np.exp(patch - patch.max(axis=over, keepdims=True))
        out[:, *position] = (weights * patch).sum(axis=over) / weights.sum(axis=over)
    return out


def gem_pool(input: Array, p: float, eps: float) -> Array:
    """Take the generalised mean of each channel of an image, ``(mean of max(x, eps)^p)^(1/p)``.

    Examples
    --------
    >>> bool(np.isclose(gem_pool(np.array([1.0, 7.0]).reshape(1, 2, 1), 2.0, 1e-6).item(), 5.0))
    True
    """
    over = tuple(range(1, input.ndim - 1))
    mean: Array = np.mean(np.maximum(input, eps) ** p, axis=over) ** (1 / p)
    return mean
