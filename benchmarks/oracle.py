"""The right answer in float64 NumPy, and how far from it an answer is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Workload

TOLERANCE = 1e-4
"""Largest difference from float64, relative to the largest value of the right answer."""

STRIP_BYTES = 256 << 20


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return the "SAME" padding before and after: TensorFlow's rule, the odd pixel after."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def extract(
    workload: Workload, image: NDArray[np.float32], kernel: NDArray[np.float32]
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


OPERATIONS = {"extract": extract}


def difference(answer: NDArray[Any], right: NDArray[np.float64]) -> float:
    """Return the largest difference relative to the largest right value; inf for another shape."""
    if answer.shape != right.shape:
        return float("inf")
    scale = max(float(np.abs(right).max()), 1e-30)
    worst = float(np.abs(answer - right).max()) / scale
    return worst if np.isfinite(worst) else float("inf")
