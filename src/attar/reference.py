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

__all__ = ["conv", "extract", "max_unpool", "pool", "pool_winners", "relu"]

Array = NDArray[Any]


def _windows(axes: Sequence[AnyAxis]) -> Iterator[tuple[Any, list[list[int]]]]:
    """Yield every output position with the input positions of its taps along each axis."""
    for position in itertools.product(*(range(axis.out) for axis in axes)):
        yield position, [axis.taps(o) for axis, o in zip(axes, position, strict=True)]


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
    for position, taps in _windows(axes):
        seen = [
            np.array([at for at in along if 0 <= at < axis.size])
            for along, axis in zip(taps, axes, strict=True)
        ]
        patch = input[np.ix_(np.arange(len(input)), *seen, np.arange(input.shape[-1]))]
        over = tuple(range(1, 1 + len(axes)))
        if pooling_type == "MAX":
            value = patch.max(axis=over)
        elif pooling_type == "LP":
            value = (abs(patch) ** p).sum(axis=over) ** (1 / p)
        else:
            divisor = np.prod([len(along) for along in seen])
            if count_include_pad:
                divisor = np.prod(
                    [
                        sum(-axis.pad_before <= at < axis.size + axis.pad_after for at in along)
                        for along, axis in zip(taps, axes, strict=True)
                    ]
                )
            value = patch.sum(axis=over) / divisor
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
