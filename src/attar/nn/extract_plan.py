"""What filter, detect and condense resolve before they compute."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from attar import _core
from attar.arrays import Array, Return, contiguous, from_caller, require_float
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import (
    Axis,
    Padding,
    conv_axes,
    freeze,
    parse_padding,
    pool_axes,
    spatial_values,
)
from attar.nn.layout import (
    as_volumes,
    is_channels_first,
    join_shape,
    require_room,
    split_shape,
)
from attar.nn.pooling import core_pool, pooling_kind

__all__ = ["ExtractPlan", "Operands", "plan_extract", "read_filters", "read_operands"]


class Operands(NamedTuple):
    """What is filtered, by what, checked; and what gives answers the caller's type."""

    image: Array
    filters: Array
    bias: Array | None
    plan: ExtractPlan
    give_back: Return


class ExtractPlan(NamedTuple):
    """Windows without the taps that meet no input, and the shape of the answer.

    Attributes
    ----------
    taps : tuple of slice or None
        Rows and columns of the filters that are left, where some of them meet no input.
    strides, dilations, padding
        Of the filter, as `FusedConv` takes them.
    y, x : Axis
        Of the filter, vertical and horizontal.
    pool_y, pool_x : Axis
    core_y, core_x, pool
        The same for the core.
    kind : {"MAX", "AVG", "NONE"}
    relu : bool
    out_shape : tuple of int
    channels_first : bool
    groups : int
    """

    taps: tuple[slice, slice] | None
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: Padding
    y: Axis
    x: Axis
    pool_y: Axis
    pool_x: Axis
    core_y: _core.Axis
    core_x: _core.Axis
    pool: _core.Pool
    kind: str
    relu: bool
    out_shape: tuple[int, ...]
    channels_first: bool
    groups: int

    def volumes(self, array: Array) -> Array:
        """View an array of this layout as the core wants it."""
        return as_volumes(array, self.channels_first)

    def channels_last_view(self, array: Array) -> Array:
        """View an array of this layout with its channels last."""
        return np.moveaxis(array, 1, -1) if self.channels_first else array

    def channels_last(self, array: Array) -> Array:
        """Return an array of this layout dense with its channels last."""
        return contiguous(self.channels_last_view(array))

    def cut(self, filters: Array) -> Array:
        """Leave out the taps of filters that meet no input."""
        return filters if self.taps is None else np.ascontiguousarray(filters[self.taps])


def plan_extract(
    operation: str, shape: tuple[int, ...], filters_shape: tuple[int, ...], *,
    strides: Any, padding: Any, dilations: Any, data_format: Any, activation: Any = None,
    window_shape: Any = None, pooling_type: Any = "NONE", pool_strides: Any = None,
    pool_padding: Any = None, in_memory: bool = True,
) -> ExtractPlan:  # fmt: skip
    """Resolve the arguments of `attar.nn.extract`; ``"NONE"`` stops before the pool.

    An answer that would not fit in memory is refused, unless it is not to be there.
    """
    return _plan(
        operation,
        shape,
        filters_shape,
        freeze(operation, "strides", strides),
        freeze(operation, "padding", padding),
        freeze(operation, "dilations", dilations),
        freeze(operation, "activation", activation),
        freeze(operation, "window_shape", window_shape),
        freeze(operation, "pooling_type", pooling_type),
        freeze(operation, "pool_strides", pool_strides),
        freeze(operation, "pool_padding", pool_padding),
        freeze(operation, "data_format", data_format),
        in_memory,
    )


def read_operands(
    operation: str, input: Any, filters: Any, bias: Any, **arguments: Any
) -> Operands:
    """Read image, filters and bias, and resolve the arguments of `plan_extract`."""
    x, give_back = from_caller(operation, "input", input)
    weights, _ = from_caller(operation, "filters", filters)
    plan = plan_extract(operation, x.shape, weights.shape, **arguments)
    x = require_float(operation, "input", x)
    return Operands(x, *_fitting(operation, x, weights, bias), plan, give_back)


def read_filters(
    operation: str, input: Array, filters: Any, bias: Any
) -> tuple[Array, Array | None]:
    """Read filters and bias for an input of this dtype."""
    weights, _ = from_caller(operation, "filters", filters)
    return _fitting(operation, require_float(operation, "input", input), weights, bias)


def _fitting(operation: str, input: Array, filters: Array, bias: Any) -> tuple[Array, Array | None]:
    weights = _like_input(operation, "filters", filters, input)
    offsets: Array | None = None
    if bias is not None:
        offsets, _ = from_caller(operation, "bias", bias)
        offsets = _checked_bias(operation, offsets, weights)
    return weights, offsets


def _checked_bias(operation: str, bias: Array, filters: Array) -> Array:
    """Return a bias that fits the filters, dense."""
    if bias.shape != filters.shape[-1:]:
        raise ShapeError(
            f"{operation}: bias must have the shape {filters.shape[-1:]}, "
            f"one value for each filter, got {bias.shape}"
        )
    return _like_input(operation, "bias", bias, filters)


def _like_input(operation: str, argument: str, array: Array, input: Array) -> Array:
    """Return an array of the input's dtype, dense."""
    if array.dtype != input.dtype:
        raise DTypeError(
            f"{operation}: {argument} must be {input.dtype} like the input, got {array.dtype}"
        )
    return np.ascontiguousarray(array)


@lru_cache(maxsize=1024)
def _plan(
    operation: str,
    shape: tuple[int, ...],
    filters_shape: tuple[int, ...],
    strides: Any,
    padding: Any,
    dilations: Any,
    activation: str | None,
    window_shape: Any,
    pooling_type: str | None,
    pool_strides: Any,
    pool_padding: Any,
    data_format: str,
    in_memory: bool,
) -> ExtractPlan:
    if len(shape) != 4:
        raise ShapeError(f"{operation}: input must have rank 4, {data_format}, got shape {shape}")
    if len(filters_shape) != 4:
        raise ShapeError(
            f"{operation}: filters must have rank 4, (height, width, channels, filters), "
            f"got shape {filters_shape}"
        )
    first = is_channels_first(operation, data_format, 2)
    n, sizes, channels = split_shape(shape, first)
    *windows, group_channels, count = filters_shape
    if min(filters_shape) < 1:
        raise ShapeError(f"{operation}: filters must not be empty, got shape {filters_shape}")
    if channels < 1 or channels % group_channels or count % (channels // group_channels):
        raise ShapeError(
            f"{operation}: an input with {channels} channels does not fit filters of shape "
            f"{filters_shape}; the third number must be {channels} (or divide it into groups "
            "that also divide the fourth)"
        )
    if activation not in ("relu", None):
        raise ArgumentError(f"{operation}: activation must be 'relu' or None, got {activation!r}")
    steps = _pair(spatial_values(operation, "strides", strides, 2, first))
    spread = 1 if dilations is None else dilations
    spread = _pair(spatial_values(operation, "dilations", spread, 2, first))
    pads = parse_padding(operation, "padding", padding, 2, first)
    y, x = conv_axes(operation, sizes, (windows[0], windows[1]), steps, spread, pads)
    outs = (y.out, x.out)
    kind = "NONE" if pooling_type == "NONE" else pooling_kind(operation, pooling_type)
    if kind == "NONE":
        pools = pool_axes(operation, outs, (1, 1), (1, 1), (1, 1), "VALID")
    else:
        window = spatial_values(operation, "window_shape", window_shape, 2, first)
        pool_steps = window if pool_strides is None else pool_strides
        pools = pool_axes(
            operation,
            outs,
            window,
            spatial_values(operation, "pool_strides", pool_steps, 2, first),
            (1, 1),
            parse_padding(operation, "pool_padding", pool_padding, 2, first),
        )
    out_shape = join_shape(n, tuple(axis.out for axis in pools), count, first)
    if in_memory:
        require_room(operation, "the answer", out_shape)
    (y, top), (x, left) = y.trim(), x.trim()
    taps = slice(top, top + y.window), slice(left, left + x.window)
    pool_y, pool_x = (axis.trim()[0] for axis in pools)
    return ExtractPlan(
        None if [y.window, x.window] == windows else taps,
        steps,
        spread,
        pads,
        y,
        x,
        pool_y,
        pool_x,
        _core.Axis(*y),
        _core.Axis(*x),
        core_pool((pool_y, pool_x), kind),
        kind,
        activation == "relu",
        out_shape,
        first,
        channels // group_channels,
    )


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    vertical, horizontal = values
    return vertical, horizontal
