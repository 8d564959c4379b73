"""Layers of PyTorch without a stride, and those that condense behind them.

They are made of PyTorch's own operations, so that what is repaired trains on any device, compiles,
and exports as ONNX. They have no weights: a state dict keeps its keys.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.repairing.kinds import Kind, taps_for, weights_of

__all__ = ["Blur2d", "DenseAvgPool2d", "DenseMaxPool2d", "Phase2d", "StrongestPhase2d"]

Pair: TypeAlias = tuple[int, int]


class Blur2d(nn.Module):
    """Blur each channel, and keep every stride-th value.

    Parameters
    ----------
    kind : Kind
        With the taps of the filter along the axes that have a stride, fewer where the map has too
        few cells, and what lies beyond the border.
    stride : (int, int)
    """

    def __init__(self, kind: Kind, stride: Pair) -> None:
        super().__init__()
        self.kind, self.stride = kind, stride

    def forward(self, input: Tensor) -> Tensor:
        """Condense (N, C, H, W)."""
        high, wide = (
            taps_for(self.kind, step, int(size))
            for step, size in zip(self.stride, input.shape[2:], strict=True)
        )
        sides = (wide // 2, wide // 2, high // 2, high // 2)
        padded = functional.pad(input, sides, mode=self.kind.border) if any(sides) else input
        # As sums of slices: so nothing depends on the number of channels, one image takes a third
        # of the time that a depthwise convolution takes, and it exports as ONNX.
        (rows, columns), (down, right) = input.shape[2:], self.stride
        tall = sum(
            weight * padded[:, :, k : k + rows : down] for k, weight in enumerate(weights_of(high))
        )
        blurred: Tensor = sum(
            weight * tall[:, :, :, k : k + columns : right]
            for k, weight in enumerate(weights_of(wide))
        )
        return blurred

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"{self.kind.name}, stride={self.stride}, border={self.kind.border!r}"


class _Phases(nn.Module):
    """What looks at the phases of a stride.

    Parameters
    ----------
    stride : (int, int)
    surplus : (int, int)
        How many of the last rows and columns no stride would count.
    """

    def __init__(self, stride: Pair, surplus: Pair = (0, 0)) -> None:
        super().__init__()
        self.stride, self.surplus = stride, surplus

    def _phases(self, x: Tensor) -> Tensor:
        """Return (N, phases, C, rows, columns), with zeros where the map has no cell."""
        (down, right), (n, channels, high, wide) = self.stride, x.shape
        # Not -(-size // step): an exporter may divide negative numbers otherwise than Python.
        rows, columns = (
            (size - more + step - 1) // step
            for size, more, step in zip((high, wide), self.surplus, self.stride, strict=True)
        )
        filled = functional.pad(x, (0, columns * right - wide, 0, rows * down - high))
        cells = filled.reshape(n, channels, rows, down, columns, right)
        return cells.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"stride={self.stride}, surplus={self.surplus}"


class StrongestPhase2d(_Phases):
    """Tell which phase of the stride has the largest energy, for each image: (N,) of int64."""

    def forward(self, input: Tensor) -> Tensor:
        """Choose a phase of (N, C, H, W)."""
        # In double precision: sums of the same numbers in another order must stay equal.
        energies = self._phases(input.detach()).double().square().sum((2, 3, 4))
        return energies.argmax(1)


class Phase2d(_Phases):
    """Keep the phase of a stride that was chosen; cells that it lacks are 0."""

    def forward(self, input: Tensor, chosen: Tensor) -> Tensor:
        """Condense (N, C, H, W) by the choices (N,)."""
        phases = self._phases(input)
        places = chosen.view(-1, 1, 1, 1, 1).expand(-1, 1, *phases.shape[2:])
        return phases.gather(1, places).squeeze(1)


class _Dense(nn.Module):
    """A pool at every place where one with a stride would have a window, and between.

    Parameters
    ----------
    kernel_size : (int, int)
    sides : (int, int, int, int)
        Padding at the left, right, top and bottom, which never wins and does not count.
    wraps : bool
        Whether the map goes on at its other side instead.
    """

    def __init__(
        self, kernel_size: Pair, sides: tuple[int, int, int, int], wraps: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size, self.sides, self.wraps = kernel_size, sides, wraps

    def _padded(self, x: Tensor, value: float) -> Tensor:
        if not any(self.sides):
            return x
        if self.wraps:
            return functional.pad(x, self.sides, mode="circular")
        return functional.pad(x, self.sides, value=value)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"kernel_size={self.kernel_size}, sides={self.sides}, wraps={self.wraps}"


class DenseMaxPool2d(_Dense):
    """`torch.nn.MaxPool2d` without its stride."""

    def forward(self, input: Tensor) -> Tensor:
        """Take the maxima of (N, C, H, W)."""
        return functional.max_pool2d(self._padded(input, float("-inf")), self.kernel_size, 1)


class DenseAvgPool2d(_Dense):
    """`torch.nn.AvgPool2d` without its stride.

    Parameters
    ----------
    kernel_size, sides, wraps
        As of the other pool.
    divisor : int, optional
        What sums are divided by; by default how many real values there are.
    """

    def __init__(
        self,
        kernel_size: Pair,
        sides: tuple[int, int, int, int],
        wraps: bool = False,
        divisor: int | None = None,
    ) -> None:
        super().__init__(kernel_size, sides, wraps)
        self.divisor = divisor

    def forward(self, input: Tensor) -> Tensor:
        """Take the means of (N, C, H, W)."""
        sums = self._sums(input)
        if self.divisor is not None:
            return sums / self.divisor
        return sums / self._sums(torch.ones_like(input[:1, :1]))

    def _sums(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(self._padded(x, 0), self.kernel_size, 1, divisor_override=1)
