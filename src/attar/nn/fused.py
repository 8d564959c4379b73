"""A convolution with all that follows it, prepared once and run often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, require_float
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Padding, conv_axes, pool_axes
from attar.nn.layout import as_volumes
from attar.nn.pooling import core_pool

__all__ = ["FusedConv", "Pool"]

_FEW_FILTERS = {"direct": 9, "winograd2": 4, "winograd4": 4}
"""With fewer of them in a group a vector of filters stays too empty: columns fill it better."""


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
        self.bias = None if bias is None else np.ascontiguousarray(bias, self.filters.dtype)
        self.strides, self.padding, self.dilations = strides, padding, dilations
        self.activation = activation
        self.pool = pool
        self.precision = precision
        self._resolved = lru_cache(maxsize=64)(self._resolve)
        self._packed: dict[Any, _core.PackedConvolution] = {}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return (N, OH, OW, K) for an input of (N, H, W, C)."""
        return self._resolved(tuple(input_shape)).output_shape

    def path(self, input_shape: tuple[int, ...]) -> str:
        """Name the kernel that an input of this shape is computed by.

        ``"rows"`` holds a row of pixels in vectors; ``"direct"`` holds a tile of pixels and filters
        in registers; ``"winograd2"`` and ``"winograd4"`` compute 2 × 2 and 4 × 4 outputs of a 3 × 3
        filter at once, with 16 and 36 multiplications instead of 36 and 144.
        """
        return self._resolved(tuple(input_shape)).path

    def workspace(self, input_shape: tuple[int, ...]) -> int:
        """Return the bytes that a run takes beside its input and its answer."""
        shape = self._resolved(tuple(input_shape))
        if shape.path == "rows" or not shape.images:
            return 0
        packed = self._pack(shape)
        return packed.workspace(shape.images, shape.y, shape.x, shape.pool)

    def run(self, x: Array, out: Array) -> None:
        """Write the answer to `x`, (N, H, W, C), of the filters' dtype, into `out`."""
        shape = self._resolved(x.shape)
        if not out.size:
            return
        volumes, answers = as_volumes(x, False), as_volumes(out, False)
        relu = self.activation == "relu"
        if shape.path == "rows":
            filters = self._cut(shape)
            _core.extract(volumes, filters, self.bias, answers, shape.y, shape.x, shape.pool, relu)
        else:
            self._pack(shape).run(volumes, answers, shape.y, shape.x, shape.pool, relu)

    def _cut(self, shape: _Resolved) -> Array:
        top, bottom, left, right = shape.taps
        return np.ascontiguousarray(self.filters[top:bottom, left:right])

    def _pack(self, shape: _Resolved) -> _core.PackedConvolution:
        key = shape.path, shape.groups, shape.taps
        if key not in self._packed:
            filters = self._cut(shape)
            self._packed[key] = _core.PackedConvolution(
                filters, self.bias, shape.groups, shape.path.upper()
            )
        return self._packed[key]

    def _resolve(self, input_shape: tuple[int, ...]) -> _Resolved:
        n, height, width, channels = input_shape
        *windows, group_channels, count = self.filters.shape
        if channels < 1 or channels % group_channels or count % (channels // group_channels):
            raise ShapeError(
                f"nn.FusedConv: an input with {channels} channels does not fit filters of shape "
                f"{self.filters.shape}"
            )
        groups = channels // group_channels
        axes = conv_axes(
            "nn.FusedConv",
            (height, width),
            (windows[0], windows[1]),
            self.strides,
            self.dilations,
            self.padding,
        )
        outs = tuple(axis.out for axis in axes)
        if self.pool is None:
            kind, pooled = "NONE", pool_axes("nn.FusedConv", outs, (1, 1), (1, 1), (1, 1), "VALID")
        else:
            kind, pooled = (
                self.pool.kind,
                pool_axes(
                    "nn.FusedConv",
                    outs,
                    self.pool.window,
                    self.pool.strides,
                    (1, 1),
                    self.pool.padding,
                    self.pool.ceil_mode,
                ),
            )
        (y_axis, top), (x_axis, left) = (axis.trim() for axis in axes)
        taps = top, top + y_axis.window, left, left + x_axis.window
        y, x = _core.Axis(*y_axis), _core.Axis(*x_axis)
        pool = core_pool(tuple(axis.trim()[0] for axis in pooled), kind)
        path = "direct"
        if self.precision == "fast":
            path = _core.fastest_path(max(1, n), channels, count, groups, y, x, pool).lower()
        if count // groups < _FEW_FILTERS[path]:
            path = "rows"
        output_shape = n, pooled[0].out, pooled[1].out, count
        return _Resolved(n, groups, taps, y, x, pool, path, output_shape)


class _Resolved(NamedTuple):
    """What is known once the shape of the input is."""

    images: int
    groups: int
    taps: tuple[int, int, int, int]  # rows and columns of the filters that meet any input
    y: _core.Axis
    x: _core.Axis
    pool: _core.Pool
    path: str
    output_shape: tuple[int, int, int, int]
