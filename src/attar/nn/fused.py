"""A convolution with all that follows it, prepared once and run often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from attar.arrays import Array, require_float
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Axis, Padding, conv_axes, pool_axes
from attar.nn.convolution import extract

__all__ = ["FusedConv", "Pool"]


@dataclass(frozen=True)
class Pool:
    """The pool at the end of a `FusedConv`. Padding never wins; means divide by real values.

    Attributes
    ----------
    kind : {"MAX", "AVG"}
    window, strides : tuple of int
        (vertical, horizontal).
    padding : {"SAME", "VALID"} or ((top, bottom), (left, right))
    ceil_mode : bool
        As in `attar.nn.pool`.
    """

    kind: Literal["MAX", "AVG"]
    window: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding = "VALID"
    ceil_mode: bool = False


class FusedConv:
    """Convolution, bias, activation and pool as one operation whose weights stay.

    Parameters
    ----------
    filters : (kh, kw, C / groups, K) array of float32 or float64
        The number of groups follows from the channels of the input.
    bias : (K,) array of the same dtype, optional
    strides, dilations : tuple of int
        (vertical, horizontal).
    padding : {"SAME", "VALID"} or ((top, bottom), (left, right))
    activation : {"relu", None}
    pool : Pool, optional
    precision : {"fast", "exact"}
        ``"exact"`` sums products as they are; ``"fast"`` may use algorithms that save
        multiplications and round a little more.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.eye(4, dtype=np.float32).reshape(1, 4, 4, 1)
    >>> conv = FusedConv(np.ones((1, 1, 1, 1), np.float32), pool=Pool("MAX", (2, 2), (2, 2)))
    >>> out = np.empty(conv.output_shape(image.shape), np.float32)
    >>> conv.run(image, out)
    >>> out[0, :, :, 0]
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        filters: Array,
        bias: Array | None = None,
        *,
        strides: tuple[int, int] = (1, 1),
        padding: Padding = "VALID",
        dilations: tuple[int, int] = (1, 1),
        activation: Literal["relu"] | None = None,
        pool: Pool | None = None,
        precision: Literal["fast", "exact"] = "fast",
    ) -> None:
        self.filters = np.ascontiguousarray(require_float("nn.FusedConv", "filters", filters))
        if self.filters.ndim != 4:
            raise ShapeError(
                "nn.FusedConv: filters must have rank 4, (height, width, channels, filters), got "
                f"shape {self.filters.shape}"
            )
        if precision not in ("fast", "exact"):
            raise ArgumentError(
                f"nn.FusedConv: precision must be 'fast' or 'exact', got {precision!r}"
            )
        self.bias = bias
        self.strides, self.padding, self.dilations = strides, padding, dilations
        self.activation = activation
        self.pool = pool
        self.precision = precision
        self._axes = lru_cache(maxsize=64)(self._resolve)

    def _resolve(self, height: int, width: int) -> tuple[Axis, ...]:
        axes = conv_axes(
            "nn.FusedConv",
            (height, width),
            (self.filters.shape[0], self.filters.shape[1]),
            self.strides,
            self.dilations,
            self.padding,
        )
        if self.pool is None:
            return axes
        return pool_axes(
            "nn.FusedConv",
            tuple(axis.out for axis in axes),
            self.pool.window,
            self.pool.strides,
            (1, 1),
            self.pool.padding,
            self.pool.ceil_mode,
        )

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return (N, OH, OW, K) for an input of (N, H, W, C)."""
        n, height, width, _ = input_shape
        y, x = self._axes(height, width)
        return n, y.out, x.out, self.filters.shape[3]

    def path(self, input_shape: tuple[int, ...]) -> str:
        """Name the kernel that an input of this shape is computed by."""
        return "direct"

    def workspace(self, input_shape: tuple[int, ...]) -> int:
        """Return the bytes that a run takes beside its input and its answer."""
        return 0

    def run(self, x: Array, out: Array) -> None:
        """Write the answer to `x`, (N, H, W, C), of the filters' dtype, into `out`."""
        options: dict[str, Any] = {"pooling_type": None}
        if self.pool is not None:
            options = {
                "pooling_type": self.pool.kind,
                "window_shape": self.pool.window,
                "pool_strides": self.pool.strides,
                "pool_padding": tuple(map(_exact_padding, self._axes(*x.shape[1:3]))),
            }
        extract(
            x,
            self.filters,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilations=self.dilations,
            activation=self.activation,
            out=out,
            **options,
        )


def _exact_padding(axis: Axis) -> tuple[int, int]:
    # As far as the last window reaches: so every rule of padding becomes numbers.
    behind = (axis.out - 1) * axis.stride + axis.window - axis.pad_before - axis.size
    return axis.pad_before, max(0, behind)
