"""What the layers compute that PyTorch has none of, in PyTorch's own operations.

They are the definitions of the layers, run where attar has no kernel: on other devices, for other
dtypes. Second derivatives are theirs too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["blur", "generalised_mean", "max_blur", "polyphase", "soft"]

_BORDERS = {"reflect": "reflect", "circular": "circular", "zeros": "constant"}
_NORMS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}


def soft(x: Tensor, kernel_size: Sequence[int], stride: Any, padding: Any) -> Tensor:
    """Mean of each window, every value weighted by its exponential; padding has no weight."""
    (high, wide), (down, right), (top, left) = kernel_size, stride, padding
    padded = functional.pad(x, (left, left, top, top), value=-math.inf)
    windows = padded.unfold(2, high, down).unfold(3, wide, right).flatten(-2)
    weights = windows.softmax(-1)
    values = torch.where(windows == -math.inf, 0, windows)
    return (weights * values).sum(-1)


def generalised_mean(x: Tensor, p: Tensor, eps: float) -> Tensor:
    """Return the p-th root of the mean of the p-th powers, over each map."""
    axes = tuple(range(2, x.ndim))
    wide = x.float() if x.dtype.itemsize < 4 else x
    return wide.clamp(min=eps).pow(p).mean(axes, keepdim=True).pow(1 / p).to(x.dtype)


def blur(x: Tensor, size: Sequence[int], stride: Sequence[int], border: str) -> Tensor:
    """Filter with a row of Pascal's triangle along both axes, at every stride-th place."""
    sides = [side for taps in reversed(size) for side in ((taps - 1) // 2, taps // 2)]
    padded = functional.pad(x, sides, mode=_BORDERS[border])
    rows = [
        torch.tensor([math.comb(taps - 1, k) / 2 ** (taps - 1) for k in range(taps)])
        for taps in size
    ]
    kernel = torch.outer(*rows).to(x).expand(x.shape[1], 1, *size)
    return functional.conv2d(padded, kernel, stride=list(stride), groups=x.shape[1])


def max_blur(
    x: Tensor, kernel_size: Any, size: Sequence[int], stride: Sequence[int], padding: Any,
    border: str,
) -> Tensor:  # fmt: skip
    """Take the maximum at every place, then blur."""
    maxima = functional.max_pool2d(x, kernel_size, stride=1, padding=padding)
    return blur(maxima, size, stride, border)


def polyphase(x: Tensor, stride: Sequence[int], norm: str) -> Tensor:
    """Keep, of each image, the phase of the stride with the largest norm."""
    down, right = stride
    n, channels, high, wide = x.shape
    rows, columns = -(-high // down), -(-wide // right)
    filled = functional.pad(x, (0, columns * right - wide, 0, rows * down - high))
    cells = filled.view(n, channels, rows, down, columns, right).permute(0, 3, 5, 1, 2, 4)
    phases = cells.flatten(1, 2)  # (N, phases, C, rows, columns)
    norms = torch.linalg.vector_norm(phases.detach().double(), _NORMS[norm], dim=(2, 3, 4))
    chosen = norms.argmax(1).view(n, 1, 1, 1, 1).expand(n, 1, channels, rows, columns)
    return phases.gather(1, chosen).squeeze(1)
