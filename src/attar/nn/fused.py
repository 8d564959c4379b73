"""A convolution with all that follows it, prepared once and run often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, require_float
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Axis, Padding, conv_axes, pool_axes
from attar.nn.layout import as_volumes
from attar.nn.pooling import core_pool

__all__ = ["TILE_ROWS", "FusedConv", "Pool"]

TILE_ROWS = 4
"""Rows that Winograd's kernels compute together: a multiple of them leaves none over."""

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
        self._axes = lru_cache(maxsize=64)(self._resolve_axes)
        self._resolved = lru_cache(maxsize=64)(self._resolve)
        self._packed: dict[Any, _core.PackedConvolution] = {}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Return (N, OH, OW, K) for an input of (N, H, W, C)."""
        axes = self._axes(tuple(input_shape))
        return input_shape[0], axes.pool_y.out, axes.pool_x.out, self.filters.shape[3]

    def path(self, input_shape: tuple[int, ...]) -> str:
        """Name the kernel that an input of this shape is computed by.

        ``"rows"`` holds a row of pixels in vectors; ``"direct"`` holds a tile of pixels and filters
        in registers; ``"winograd2"`` and ``"winograd4"`` compute 2 × 2 and 4 × 4 outputs of a 3 × 3
        filter at once, with 16 and 36 multiplications instead of 36 and 144.
        """
        return self._resolved(tuple(input_shape)).path

    def workspace(self, input_shape: tuple[int, ...]) -> int:
        """Return the bytes that a run takes beside its input and its answer."""
        return self.workspace_of(self._resolved(tuple(input_shape)))

    def workspace_of(self, shape: Resolved) -> int:
        """Return the bytes that `compute` takes beside its input and its answer."""
        if shape.path == "rows" or not shape.images:
            return 0
        return self._pack(shape).workspace(shape.images, shape.y, shape.x, shape.pool)

    def run(self, x: Array, out: Array) -> None:
        """Write the answer to `x`, (N, H, W, C), of the filters' dtype, into `out`."""
        self.compute(self._resolved(x.shape), x, out)

    def compute(self, shape: Resolved, x: Array, out: Array) -> None:
        """Write the answer to `x`, whose shape is resolved, into `out`."""
        if not out.size:
            return
        volumes, answers = as_volumes(x, False), as_volumes(out, False)
        relu = self.activation == "relu"
        if shape.path == "rows":
            _core.extract(
                volumes, self._cut(shape), self.bias, answers, shape.y, shape.x, shape.pool, relu
            )
        else:
            self._pack(shape).run(volumes, answers, shape.y, shape.x, shape.pool, relu)

    def rows(self, input_shape: tuple[int, ...], first: int, last: int) -> Rows:
        """Resolve the rows [first, last) of the answer to an input of this shape.

        They are computed by the kernel that computes the whole answer.
        """
        part, begin, end = self._part(input_shape, first, last)
        return Rows(begin, end, self._prepare(input_shape, part, self.path(input_shape)))

    def needs(self, input_shape: tuple[int, ...], first: int, last: int) -> tuple[int, int]:
        """Return the rows [begin, end) of the input that the rows [first, last) look at."""
        return self._part(input_shape, first, last)[1:]

    def _part(self, input_shape: tuple[int, ...], first: int, last: int) -> tuple[_Axes, int, int]:
        axes = self._axes(tuple(input_shape))
        pool_y, top, bottom = axes.pool_y.part(first, last)
        y, begin, end = axes.y.part(top, bottom)
        return axes._replace(y=y, pool_y=pool_y), begin, end

    def _cut(self, shape: Resolved) -> Array:
        top, bottom, left, right = shape.taps
        return np.ascontiguousarray(self.filters[top:bottom, left:right])

    def _pack(self, shape: Resolved) -> _core.PackedConvolution:
        key = shape.path, shape.groups, shape.taps
        if key not in self._packed:
            filters = self._cut(shape)
            self._packed[key] = _core.PackedConvolution(
                filters, self.bias, shape.groups, shape.path.upper()
            )
        return self._packed[key]

    def _resolve_axes(self, input_shape: tuple[int, ...]) -> _Axes:
        _, height, width, channels = input_shape
        *windows, group_channels, count = self.filters.shape
        if channels < 1 or channels % group_channels or count % (channels // group_channels):
            raise ShapeError(
                f"nn.FusedConv: an input with {channels} channels does not fit filters of shape "
                f"{self.filters.shape}"
            )
        y, x = conv_axes(
            "nn.FusedConv",
            (height, width),
            (windows[0], windows[1]),
            self.strides,
            self.dilations,
            self.padding,
        )
        pool = self.pool or Pool("MAX", (1, 1), (1, 1))
        pool_y, pool_x = pool_axes(
            "nn.FusedConv",
            (y.out, x.out),
            pool.window,
            pool.strides,
            (1, 1),
            pool.padding,
            pool.ceil_mode,
        )
        (y, top), (x, left) = y.trim(), x.trim()
        taps = top, top + y.window, left, left + x.window
        return _Axes(y, x, pool_y.trim()[0], pool_x.trim()[0], taps)

    def _resolve(self, input_shape: tuple[int, ...]) -> Resolved:
        return self._prepare(input_shape, self._axes(input_shape), None)

    def _prepare(self, input_shape: tuple[int, ...], axes: _Axes, path: str | None) -> Resolved:
        n, _, _, channels = input_shape
        *_, group_channels, count = self.filters.shape
        groups = channels // group_channels
        y, x = _core.Axis(*axes.y), _core.Axis(*axes.x)
        pool = core_pool((axes.pool_y, axes.pool_x), self.pool.kind if self.pool else "NONE")
        if path is None:
            path = "direct"
            if self.precision == "fast":
                path = _core.fastest_path(max(1, n), channels, count, groups, y, x, pool).lower()
            if count // groups < _FEW_FILTERS[path]:
                path = "rows"
        return Resolved(n, groups, axes.taps, y, x, pool, path)


class _Axes(NamedTuple):
    """The windows of the convolution over the image, and of the pool over the map.

    Without taps that meet no input.
    """

    y: Axis
    x: Axis
    pool_y: Axis
    pool_x: Axis
    taps: tuple[int, int, int, int]  # rows and columns of the filters that are left


class Resolved(NamedTuple):
    """What is known once the shape of the input is."""

    images: int
    groups: int
    taps: tuple[int, int, int, int]
    y: _core.Axis
    x: _core.Axis
    pool: _core.Pool
    path: str


class Rows(NamedTuple):
    """Some rows of an answer: the rows [begin, end) of the input that they need, and how."""

    begin: int
    end: int
    resolved: Resolved
