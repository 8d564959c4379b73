"""The right answer in plain NumPy, and how far from it an answer is.

Sums are in float64; maxima are exact. Windows are cut along one axis after the other, and the work
is done in pieces, so that even large windows take seconds and little memory.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import (
    Base,
    Extraction,
    Pooling,
    PoolingGradient,
    Stage,
    TrainingStep,
    Work,
    same_padding,
)

TOLERANCE = 1e-4
"""Largest difference from float64, relative to the largest value of the right answer."""

STRIP_BYTES = 256 << 20


def tolerance(workload: Work) -> float:
    """Return the largest difference that is still the same answer: none for a maximum.

    Training, rounding decides near ties between cells and between a cell and zero. Each takes
    its gradient elsewhere, which is as right, and shows in a sum of some thousands of them.
    """
    if isinstance(workload, TrainingStep):
        return 1e-2
    if isinstance(workload, PoolingGradient) or not isinstance(workload, Pooling):
        return TOLERANCE
    if workload.kind == "MAX":
        return 0.0
    return TOLERANCE if workload.number in ("float32", "float64") else 1e-2


def extract(
    workload: Extraction, image: NDArray[np.float32], kernel: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Filter, detect, condense in float64, a strip of rows at a time so that memory stays small.

    The image is (N, H, W, C), the kernel (kh, kw, C, K), the answer (N, H', W', K).
    """
    n, height, width, _ = workload.image_shape
    kh, kw, _, maps = workload.kernel_shape
    window, stride = workload.window, workload.stride
    top, _ = same_padding(height, window, stride)
    left, right = same_padding(width, window, stride)
    margins = [same_padding(height, kh, 1), same_padding(width, kw, 1)]
    padded = np.pad(image, [(0, 0), *margins, (0, 0)])
    answer = np.empty(workload.output_shape)
    rows_out, columns_out = answer.shape[1:3]
    rows_at_once = max(1, STRIP_BYTES // (8 * n * width * maps * stride))
    for first in range(0, rows_out, rows_at_once):
        last = min(first + rows_at_once, rows_out)
        above = first * stride - top
        below = (last - 1) * stride - top + window
        begin, end = max(above, 0), min(below, height)
        strip = np.zeros((n, end - begin, width, maps))
        for i in range(kh):
            for j in range(kw):
                taps = padded[:, begin + i : end + i, j : j + width].astype(np.float64)
                strip += taps @ kernel[i, j].astype(np.float64)
        # After ReLU nothing is below zero, so padding with zero can never win.
        np.maximum(strip, 0, out=strip)
        strip = np.pad(strip, [(0, 0), (begin - above, below - end), (left, right), (0, 0)])
        condensed = answer[:, first:last]
        condensed[:] = 0
        for i in range(window):
            for j in range(window):
                corner = strip[:, i::stride, j::stride][:, : last - first, :columns_out]
                np.maximum(condensed, corner, out=condensed)
    return answer


def base(
    workload: Base, image: NDArray[np.float32], *weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Run the stages in float64, with a product of matrices for every tap; return (N, H, W, C)."""
    x = image.astype(np.float64)
    for stage, kernel, bias in zip(workload.stages, weights[::2], weights[1::2], strict=True):
        x = _condensed(stage, _detected(stage, x, kernel, bias))
    return x


def train(
    workload: TrainingStep, image: NDArray[np.float32], *arrays: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the gradients of kernels and biases in float64, flat, one behind the other."""
    *weights, gradient = arrays
    kernels, biases = weights[::2], weights[1::2]
    inputs, maps = [image.astype(np.float64)], []
    for stage, kernel, bias in zip(workload.stages, kernels, biases, strict=True):
        maps.append(_detected(stage, inputs[-1], kernel, bias))
        inputs.append(_condensed(stage, maps[-1]))
    back = gradient.astype(np.float64)
    found: list[NDArray[np.float64]] = []
    for i in reversed(range(len(maps))):
        stage, kernel = workload.stages[i], kernels[i]
        if stage.pool:
            back = _spread(stage, maps[i], inputs[i + 1], back)
        back = back * (maps[i] > 0)
        padded = _padded_image(stage, inputs[i])
        to_kernel, to_image = np.empty(kernel.shape), np.zeros(padded.shape)
        for (row, column), taps in _taps(stage, maps[i].shape):
            to_kernel[row, column] = np.tensordot(padded[taps], back, axes=((0, 1, 2),) * 2)
            if i:
                to_image[taps] += back @ kernel[row, column].T.astype(np.float64)
        found += [back.sum(axis=(0, 1, 2)), to_kernel.ravel()]
        back = to_image[:, stage.pad : -stage.pad or None, stage.pad : -stage.pad or None]
    return np.concatenate(found[::-1])


def _padded_image(stage: Stage, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(x, [(0, 0), (stage.pad,) * 2, (stage.pad,) * 2, (0, 0)])


def _taps(
    stage: Stage, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int, int], tuple[slice, ...]]]:
    """Yield each tap of the filter, and where in the padded image it lies for every output."""
    reach = [stage.stride * (size - 1) + 1 for size in shape[1:3]]
    for tap in itertools.product(range(stage.size), repeat=2):
        at = (slice(k, k + r, stage.stride) for k, r in zip(tap, reach, strict=True))
        yield tap, (slice(None), *at)


def _detected(
    stage: Stage, x: NDArray[np.float64], kernel: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float64]:
    n, height, width, _ = x.shape
    rows, columns = stage.sizes(height)[0], stage.sizes(width)[0]
    padded = _padded_image(stage, x)
    answer = np.zeros((n, rows, columns, stage.filters)) + bias
    for (row, column), taps in _taps(stage, answer.shape):
        answer += padded[taps] @ kernel[row, column].astype(np.float64)
    return np.maximum(answer, 0)


def _condensed(stage: Stage, x: NDArray[np.float64]) -> NDArray[np.float64]:
    if not stage.pool:
        return x
    # After ReLU nothing is below zero, so padding with zero can never win.
    around = (stage.pool_pad,) * 2
    x = np.pad(x, [(0, 0), around, around, (0, 0)])
    for axis in (1, 2):
        count = (x.shape[axis] - stage.pool) // 2 + 1
        x = np.moveaxis(x, axis, 0)
        taps = [x[k : k + 2 * (count - 1) + 1 : 2] for k in range(stage.pool)]
        x = np.moveaxis(np.maximum.reduce(taps), 0, axis)
    return x


def _spread(
    stage: Stage, x: NDArray[np.float64], best: NDArray[np.float64], back: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give what flows into each maximum to the first cell that has it."""
    pad = stage.pool_pad
    padded = np.pad(x, [(0, 0), (pad,) * 2, (pad,) * 2, (0, 0)])
    answer, open_ = np.zeros(padded.shape), np.ones(best.shape, bool)
    for row, column in itertools.product(range(stage.pool), repeat=2):
        at = (
            slice(None),
            slice(row, row + 2 * best.shape[1] - 1, 2),
            slice(column, column + 2 * best.shape[2] - 1, 2),
        )
        wins = open_ & (padded[at] == best)
        answer[at] += back * wins
        open_ &= ~wins
    return answer[:, pad : pad + x.shape[1], pad : pad + x.shape[2]]


def pool(workload: Pooling, x: NDArray[Any]) -> NDArray[Any]:
    """Return the maxima in float32 (exact for its narrower types, too), or means and norms."""
    largest = workload.kind == "MAX"
    answer = np.empty(workload.output_shape, np.float32 if largest else np.float64)
    for part in _parts(workload):
        piece = x[part].astype(np.float32 if largest else np.float64)
        if workload.kind == "LP":
            piece *= piece
        for axis, steps in zip(workload.spatial_axes, _axes(workload), strict=True):
            piece = _windows(np.moveaxis(piece, axis, 0), largest, *steps)
            piece = np.moveaxis(piece, 0, axis)
        answer[part] = piece
    if workload.kind == "AVG":
        answer /= _counts(workload)
    return np.sqrt(answer, out=answer) if workload.kind == "LP" else answer


def pool_grad(
    workload: PoolingGradient, x: NDArray[Any], gradient: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the gradient of the input: to the first largest of each window, or to all evenly."""
    answer = np.empty(workload.shape)
    inner = tuple(
        slice(before, before + size)
        for size, (before, _) in zip(workload.sizes, workload.pads, strict=True)
    )
    for part in _parts(workload):
        piece = _padded(workload, x[part], -np.inf)
        back = np.zeros(piece.shape)
        taps = [_at_tap(workload, tap) for tap in itertools.product(*map(range, workload.window))]
        share = gradient[part].astype(np.float64)
        if workload.kind == "AVG":
            share /= _counts(workload)
            for tap in taps:
                back[tap] += share
        else:
            best, winner = piece[taps[0]].copy(), np.zeros(share.shape, np.int64)
            for number, tap in enumerate(taps):
                larger = piece[tap] > best
                best[larger] = piece[tap][larger]
                winner[larger] = number
            for number, tap in enumerate(taps):
                back[tap] += share * (winner == number)
        answer[part] = back[_on_spatial(workload, inner)]
    return answer


def _parts(workload: Pooling) -> Iterator[tuple[slice, ...]]:
    """Yield the pieces of input and answer that are worked on at once: images, or planes."""
    n, channels = workload.shape[0], workload.channels
    bytes_each = 8 * int(np.prod(workload.sizes))
    at_once = max(1, min(channels, STRIP_BYTES // (8 * bytes_each)))
    for image, channel in itertools.product(range(n), range(0, channels, at_once)):
        some = slice(channel, channel + at_once)
        between = (slice(None),) * workload.dims
        one = slice(image, image + 1)
        yield (one, some) if workload.channels_first else (one, *between, some)


def _axes(workload: Pooling) -> Iterator[tuple[int, int, int, tuple[int, int], int]]:
    """Yield window, stride, dilation, padding and number of outputs of each axis."""
    return zip(
        workload.window,
        workload.strides,
        workload.steps,
        workload.pads,
        workload.output_sizes,
        strict=True,
    )


def _windows(
    x: NDArray[Any],
    largest: bool,
    window: int,
    stride: int,
    dilation: int,
    pads: tuple[int, int],
    outputs: int,
) -> NDArray[Any]:
    """Return the maximum or the sum of each window along the first axis.

    Windows of 1, 2, 4, … taps are made each from two of the one before; those that add up to the
    window are put side by side.
    """
    combine = np.maximum if largest else np.add
    if any(pads):
        x = np.pad(x, [pads] + [(0, 0)] * (x.ndim - 1), constant_values=-np.inf if largest else 0)
    reach = (outputs - 1) * stride + 1
    answer = None
    done, taps, power = 0, 1, x
    while True:
        if window & taps:
            start = done * dilation
            piece = power[start : start + reach : stride]
            answer = piece.copy() if answer is None else combine(answer, piece, out=answer)
            done += taps
        if done == window:
            return answer
        power = combine(power[: len(power) - taps * dilation], power[taps * dilation :])
        taps *= 2


def _counts(workload: Pooling) -> NDArray[np.float64]:
    """Return how many values each window sees, shaped to be divided by."""
    counts = np.ones((1,) * len(workload.shape))
    for axis, size, steps in zip(
        workload.spatial_axes, workload.sizes, _axes(workload), strict=True
    ):
        seen = _windows(np.ones(size), False, *steps)
        counts = counts * np.expand_dims(
            seen, [other for other in range(counts.ndim) if other != axis]
        )
    return counts


def _on_spatial(workload: Pooling, slices: tuple[slice, ...]) -> tuple[slice, ...]:
    every = (slice(None),)
    return every * workload.spatial_axes[0] + slices


def _padded(workload: Pooling, x: NDArray[Any], value: float) -> NDArray[Any]:
    around = [(0, 0)] * x.ndim
    for axis, pads in zip(workload.spatial_axes, workload.pads, strict=True):
        around[axis] = pads
    return np.pad(x, around, constant_values=value)


def _at_tap(workload: Pooling, tap: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where in the padded input this tap of every window is."""
    return _on_spatial(
        workload,
        tuple(
            slice(k * dilation, k * dilation + (outputs - 1) * stride + 1, stride)
            for k, (_, stride, dilation, _, outputs) in zip(tap, _axes(workload), strict=True)
        ),
    )


OPERATIONS = {
    "extract": extract,
    "base": base,
    "pool": pool,
    "pool_grad": pool_grad,
    "pool_train": pool_grad,
    "train": train,
}


def difference(answer: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the largest difference relative to the largest right value; inf for another shape."""
    if answer.shape != right.shape:
        return float("inf")
    scale = max(float(np.abs(right).max()), 1e-30)
    with np.errstate(all="ignore"):  # an answer may be any garbage
        worst = float(np.abs(answer.astype(right.dtype) - right).max()) / scale
    return worst if np.isfinite(worst) else float("inf")
