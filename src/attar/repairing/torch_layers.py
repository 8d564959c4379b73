"""Layers of PyTorch without a stride, and those that condense behind them.

They are made of PyTorch's own operations, so that what is repaired trains on any device, compiles,
and exports as ONNX. They have no weights: a state dict keeps its keys.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.repairing.kinds import taps_for, weights_of

__all__ = ["Blur2d", "DenseAvgPool2d", "DenseMaxPool2d", "Phase2d", "StrongestPhase2d"]

Pair: TypeAlias = tuple[int, int]


class Blur2d(nn.Module):
    """Blur each channel, mirrored at the border, and keep every stride-th value.

    Parameters
    ----------
    taps : int
        Of the filter along the axes that have a stride; fewer where the map has too few cells.
    stride : (int, int)
    """

    def __init__(self, taps: int, stride: Pair) -> None:
        super().__init__()
        self.taps, self.stride = taps, stride

    def forward(self, input: Tensor) -> Tensor:
        """Condense (N, C, H, W)."""
        high, wide = (
            taps_for(self.taps, step, int(size))
            for step, size in zip(self.stride, input.shape[2:], strict=True)
        )
        rows, columns = (torch.tensor(weights_of(size)) for size in (high, wide))
        channels = input.shape[1]
        kernel = torch.outer(rows, columns).to(input).expand(channels, 1, high, wide)
        sides = (wide // 2, wide // 2, high // 2, high // 2)
        padded = functional.pad(input, sides, mode="reflect") if any(sides) else input
        return functional.conv2d(padded, kernel, stride=self.stride, groups=channels)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"taps={self.taps}, stride={self.stride}"


class StrongestPhase2d(nn.Module):
    """Tell which phase of the stride has the largest energy, for each image: (N,) of int64."""

    def __init__(self, stride: Pair) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """Choose a phase of (N, C, H, W)."""
        # In double precision: sums of the same numbers in another order must stay equal.
        energies = _phases(input.detach(), self.stride).double().square().sum((2, 3, 4))
        return energies.argmax(1)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"stride={self.stride}"


class Phase2d(nn.Module):
    """Keep the phase of a stride that was chosen; cells that it lacks are 0."""

    def __init__(self, stride: Pair) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, input: Tensor, chosen: Tensor) -> Tensor:
        """Condense (N, C, H, W) by the choices (N,)."""
        phases = _phases(input, self.stride)
        places = chosen.view(-1, 1, 1, 1, 1).expand(-1, 1, *phases.shape[2:])
        return phases.gather(1, places).squeeze(1)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"stride={self.stride}"


def _phases(x: Tensor, stride: Pair) -> Tensor:
    """Return (N, phases, C, rows, columns)."""
    down, right = stride
    n, channels, high, wide = x.shape
    rows, columns = -(-high // down), -(-wide // right)
    filled = functional.pad(x, (0, columns * right - wide, 0, rows * down - high))
    cells = filled.reshape(n, channels, rows, down, columns, right)
    return cells.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)


class _Dense(nn.Module):
    """A pool at every place where one with a stride would have a window, and between.

    Parameters
    ----------
    kernel_size, stride, padding : (int, int)
        Of the pool with a stride.
    ceil_mode : bool
        Of that pool. As much as its last window may reach over the padding is added at the end, but
        no more than leaves a value in each window: so a stride behind keeps as many values.
    """

    def __init__(self, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.added = (0, 0)
        if ceil_mode:
            high, wide = (
                max(0, min(step - 1, size - 1 - pad))
                for size, step, pad in zip(kernel_size, stride, padding, strict=True)
            )
            self.added = (high, wide)

    def _filled(self, input: Tensor, value: float) -> Tensor:
        high, wide = self.added
        return functional.pad(input, (0, wide, 0, high), value=value) if any(self.added) else input

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"kernel_size={self.kernel_size}, padding={self.padding}, added={self.added}"


class DenseMaxPool2d(_Dense):
    """`torch.nn.MaxPool2d` without its stride."""

    def forward(self, input: Tensor) -> Tensor:
        """Take the maxima of (N, C, H, W)."""
        filled = self._filled(input, float("-inf"))
        return functional.max_pool2d(filled, self.kernel_size, 1, self.padding)


class DenseAvgPool2d(_Dense):
    """`torch.nn.AvgPool2d` without its stride.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode
        As of the other pools.
    count_include_pad : bool
        Not together with padding and `ceil_mode`.
    divisor_override : int, optional
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """Take the means of (N, C, H, W)."""
        sums = self._sums(self._filled(input, 0))
        if self.divisor_override is not None:
            return sums / self.divisor_override
        if self.count_include_pad and any(self.padding):
            return sums / (self.kernel_size[0] * self.kernel_size[1])
        return sums / self._sums(self._filled(torch.ones_like(input[:1, :1]), 0))

    def _sums(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, self.kernel_size, 1, self.padding, divisor_override=1)
