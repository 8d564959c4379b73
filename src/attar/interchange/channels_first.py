"""A graph with channels before height and width becomes one with channels last.

ONNX and PyTorch lay maps out as (N, C, H, W), attar as (N, H, W, C). No map is moved for that: a
`Value` remembers which of its axes is which, and a transposition only changes what it remembers.
Where the order of numbers shows, after a Flatten, the weights of the next dense layer are laid out
anew; where there is none, the numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attar import layers
from attar.arrays import Array
from attar.errors import AttarError
from attar.graph import INPUT, Graph
from attar.interchange.assembly import Assembly
from attar.layers import Layer
from attar.layers.base import Shape

__all__ = ["NCHW", "UNKNOWN", "ChannelsFirst", "Value"]

NCHW = (0, 3, 1, 2)  # for each axis of a channels-first map the axis of ours
NHWC = (0, 1, 2, 3)
UNKNOWN = -(2**40)  # in a shape that a model computes: a size that is not known yet, or the batch


@dataclass(frozen=True)
class Value:
    """A tensor of the source's graph, and where its numbers are in ours.

    Attributes
    ----------
    node : int
        The node that computes it; -1 is the model's input.
    shape : tuple of (int or None)
        In our order: batch first, channels last.
    axes : tuple of int
        For each axis of the source's tensor, the axis of ours that it is.
    channels : int
        Not 0 for features of a flattened map: the source has them channel by channel, ours are
        pixel by pixel, with so many channels.
    """

    node: int
    shape: Shape
    axes: tuple[int, ...]
    channels: int = 0

    @property
    def source_shape(self) -> Shape:
        """Its shape as the source has it."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.axes)


class ChannelsFirst(Assembly):
    """An assembly whose methods take operators as ONNX and PyTorch have them.

    Each takes `where`, for messages, and `name`, for the layer, and the values it is applied to;
    weights and attributes are in the source's layout. Each returns a `Value`.
    """

    batch: int | None = None  # images at a time, where the source fixes that

    def start(self, shape: Shape, axes: tuple[int, ...]) -> Value:
        """Return the model's input."""
        return Value(INPUT, shape, axes)

    def finish(self, output: Value, start: Value) -> Graph:
        """Return the graph, its answer's numbers in the source's order unless it is a map."""
        if output.channels or output.axes not in (NCHW, tuple(range(output.rank))):
            output = self.in_order("output", output)
        return self.graph(output.node, start.shape[1:])

    # ------------------------------------------------------------------ placing layers

    def place(
        self,
        layer: Layer,
        name: str,
        inputs: Sequence[Value],
        weights: Sequence[Array] | None = None,
        axes: tuple[int, ...] | None = None,
        channels: int | None = None,
    ) -> Value:
        """Add a layer; what is not said of the answer is as of the first input."""
        first = inputs[0]
        node = self.add(
            layer, name, [value.node for value in inputs], [v.shape for v in inputs], weights
        )
        return Value(
            node,
            self.shapes[node],
            first.axes if axes is None else axes,
            first.channels if channels is None else channels,
        )

    def as_map(self, where: str, name: str, x: Value) -> Value:
        """Return a map whose channels are the source's second axis."""
        if x.rank != 4:
            raise self.refusal(where, f"takes an input of rank {x.rank}", "maps have rank 4")
        return self._permuted(name, x, (x.axes[0], x.axes[2], x.axes[3], x.axes[1]), NCHW)

    def in_order(self, name: str, x: Value) -> Value:
        """Return the value with its numbers in the source's order."""
        if x.channels:
            parts = self.place(layers.Reshape((-1, x.channels)), f"{name}/pixels", [x])
            turned = self.place(layers.Permute((2, 1)), f"{name}/channels", [parts])
            return self.place(layers.Flatten(), f"{name}/features", [turned], channels=0)
        return self._permuted(name, x, x.axes, tuple(range(x.rank)))

    def _permuted(
        self, name: str, x: Value, order: tuple[int, ...], axes: tuple[int, ...]
    ) -> Value:
        if order == tuple(range(x.rank)):
            return replace(x, axes=axes)
        return self.place(layers.Permute(order[1:]), f"{name}/order", [x], axes=axes)

    # ------------------------------------------------------------------ filter

    def conv(
        self,
        where: str,
        name: str,
        x: Value,
        kernel: Array,
        bias: Array | None,
        *,
        strides: tuple[int, ...],
        dilations: tuple[int, ...],
        groups: int,
        padding: Any,
    ) -> Value:
        """Convolve with a kernel (K, C / groups, kh, kw)."""
        if kernel.ndim != 4:
            raise self.refusal(
                where, f"has a kernel of shape {kernel.shape}", "convolutions of images are read"
            )
        filters, _, *kernel_size = kernel.shape
        layer = self._made(
            where, layers.Conv2D, filters, kernel_size, strides=strides, padding=padding,
            dilation_rate=dilations, groups=groups, use_bias=bias is not None,
        )  # fmt: skip
        weights = [kernel.transpose(2, 3, 1, 0), *([] if bias is None else [bias])]
        return self.place(layer, name, [self.as_map(where, name, x)], weights)

    def linear(self, where: str, name: str, x: Value, kernel: Array, bias: Array | None) -> Value:
        """Multiply the last axis with a kernel (features, units)."""
        if kernel.ndim != 2:
            raise self.refusal(where, f"has weights of shape {kernel.shape}", "rank 2 is read")
        if x.axes[-1] != x.rank - 1:
            x = self.in_order(name, x)
        if x.channels:
            kernel = self.by_pixels(where, x, kernel)
        layer = self._made(where, layers.Dense, kernel.shape[1], use_bias=bias is not None)
        weights = [kernel, *([] if bias is None else [bias])]
        return self.place(layer, name, [x], weights, channels=0)

    def by_pixels(self, where: str, x: Value, numbers: Array) -> Array:
        """Lay out numbers for features channel by channel anew: pixel by pixel."""
        if len(numbers) % x.channels:
            raise self.refusal(
                where, f"has {len(numbers)} numbers for maps of {x.channels} channels"
            )
        apart = numbers.reshape(x.channels, -1, *numbers.shape[1:])
        return apart.swapaxes(0, 1).reshape(numbers.shape)

    # ------------------------------------------------------------------ condense

    def pool(
        self,
        where: str,
        name: str,
        x: Value,
        kind: str,
        window: tuple[int, ...],
        *,
        strides: tuple[int, ...],
        padding: Any,
        ceil_mode: bool,
        count_include_pad: bool = False,
    ) -> Value:
        """Take the maximum (``"MAX"``) or the mean (``"AVG"``) of each window."""
        options: dict[str, Any] = {"strides": strides, "padding": padding, "ceil_mode": ceil_mode}
        if kind == "MAX":
            layer = self._made(where, layers.MaxPooling2D, window, **options)
        else:
            options["count_include_pad"] = count_include_pad
            layer = self._made(where, layers.AveragePooling2D, window, **options)
        return self.place(layer, name, [self.as_map(where, name, x)])

    def global_pool(self, where: str, name: str, x: Value, kind: str, keepdims: bool) -> Value:
        """Take the maximum or the mean of each map."""
        pool = layers.GlobalMaxPooling2D if kind == "MAX" else layers.GlobalAveragePooling2D
        map_ = self.as_map(where, name, x)
        return self.place(
            pool(keepdims=keepdims), name, [map_], axes=map_.axes if keepdims else (0, 1)
        )

    def mean(self, where: str, name: str, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
        """Take the mean over height and width."""
        over = {x.axes[self._axis(where, x, axis)] for axis in axes}
        if x.rank != 4 or over != {1, 2}:
            raise self.refusal(
                where,
                f"is a mean over the axes {tuple(axes)}",
                "means over height and width are read",
            )
        layer = layers.GlobalAveragePooling2D(keepdims=keepdims)
        return self.place(layer, name, [x], axes=x.axes if keepdims else (0, 1))

    # ------------------------------------------------------------------ each number, each channel

    def activation(self, name: str, x: Value, layer: Layer) -> Value:
        """Apply a function of each number."""
        return self.place(layer, name, [x])

    def softmax(self, where: str, name: str, x: Value, axis: int) -> Value:
        """Make the numbers along an axis into shares of 1."""
        ours = x.axes[self._axis(where, x, axis)]
        return self.place(
            self._made(where, layers.Softmax, -1 if ours == x.rank - 1 else ours), name, [x]
        )

    def batch_norm(
        self, where: str, name: str, x: Value, weights: dict[str, Array | None], epsilon: float
    ) -> Value:
        """Scale and shift each channel, the source's second axis."""
        x = self.as_map(where, name, x) if x.rank != 2 else x
        found = [weight for weight in weights.values() if weight is not None]
        if x.channels:
            found = [self.by_pixels(where, x, weight) for weight in found]
        layer = self._made(
            where, layers.BatchNormalization, epsilon=epsilon,
            scale=weights["gamma"] is not None, center=weights["beta"] is not None,
        )  # fmt: skip
        return self.place(layer, name, [x], found)

    def prelu(self, where: str, name: str, x: Value, slopes: Array) -> Value:
        """Multiply what is negative with the slope of its channel."""
        alpha = np.broadcast_to(self.per_channel(where, x, slopes), (x.shape[-1] or 0,))
        if x.rank == 4:
            layer = layers.PReLU(shared_axes=(1, 2))
            return self.place(layer, name, [x], [alpha[None, None]])
        return self.place(layers.PReLU(), name, [x], [alpha])

    def rescale(
        self, where: str, name: str, x: Value, scale: Array | float, offset: Array | float
    ) -> Value:
        """Multiply with a constant and add one: numbers, or one for each channel."""
        numbers = [
            number if isinstance(number, float) else self._plain(where, x, number)
            for number in (scale, offset)
        ]
        return self.place(self._made(where, layers.Rescaling, *numbers), name, [x])

    def _plain(self, where: str, x: Value, constant: Array) -> Any:
        return self.per_channel(where, x, constant).astype(np.float64).tolist()

    def per_channel(self, where: str, x: Value, constant: Array) -> Array:
        """Return a constant that meets the value as one number, or one for each channel."""
        if constant.size == 1:
            return constant.reshape(())
        if constant.ndim > x.rank:
            raise self.refusal(where, f"has a constant of shape {constant.shape}")
        sizes = (1,) * (x.rank - constant.ndim) + constant.shape
        last = x.axes.index(x.rank - 1)
        if any(size != 1 for axis, size in enumerate(sizes) if axis != last):
            raise self.refusal(
                where,
                f"has a constant of shape {constant.shape} for an input of shape {x.source_shape}",
                "one number, or one for each channel, is read",
            )
        return self.by_pixels(where, x, constant.ravel()) if x.channels else constant.ravel()

    # ------------------------------------------------------------------ merging

    def merge(self, where: str, name: str, layer: Layer, values: Sequence[Value]) -> Value:
        """Combine maps number by number."""
        return self.place(layer, name, self._alike(where, name, values))

    def concat(self, where: str, name: str, values: Sequence[Value], axis: int) -> Value:
        """Lay maps behind each other."""
        alike = self._alike(where, name, [self._unflattened(name, value) for value in values])
        ours = alike[0].axes[self._axis(where, alike[0], axis)]
        layer = self._made(where, layers.Concatenate, -1 if ours == alike[0].rank - 1 else ours)
        return self.place(layer, name, alike)

    def _unflattened(self, name: str, x: Value) -> Value:
        return self.in_order(name, x) if x.channels else x

    def _alike(self, where: str, name: str, values: Sequence[Value]) -> list[Value]:
        if len({value.rank for value in values}) > 1:
            shapes = [value.source_shape for value in values]
            raise self.refusal(where, f"takes inputs of different ranks, {shapes}")
        first = values[0]
        if all((v.axes, v.channels) == (first.axes, first.channels) for v in values):
            return list(values)
        if first.rank == 4:
            return [self.as_map(where, name, value) for value in values]
        return [self.in_order(name, value) for value in values]

    # ------------------------------------------------------------------ shapes

    def transpose(self, where: str, x: Value, order: Sequence[int]) -> Value:
        """Change the order of the axes: of what is remembered, not of the numbers."""
        if sorted(order) != list(range(x.rank)) or order[0] != 0:
            raise self.refusal(
                where, f"orders axes as {tuple(order)}", "the batch must stay in front"
            )
        return replace(x, axes=tuple(x.axes[axis] for axis in order))

    def flatten(self, where: str, name: str, x: Value) -> Value:
        """Lay all numbers of an image in one row, the source's order."""
        if x.rank == 2:
            return x
        pixels = math.prod(size or 0 for size in x.shape[1:-1])
        channels = 0
        if x.axes == NCHW and pixels != 1:
            channels = x.shape[-1] or 0
        elif x.axes != tuple(range(x.rank)) and pixels != 1:
            x = self.in_order(name, x)
        return self.place(layers.Flatten(), name, [x], axes=(0, 1), channels=channels)

    def reshape(self, where: str, name: str, x: Value, target: Sequence[int]) -> Value:
        """Give the numbers of an image another shape; the batch stays.

        A size of 0 is that of the input, -1 follows from the others, `UNKNOWN` is one that the
        model takes from the input: accepted in front, where it is the batch.
        """
        sizes = [
            size if size or axis >= x.rank else x.source_shape[axis]
            for axis, size in enumerate(target)
        ]
        rest = [UNKNOWN if size is None else int(size) for size in sizes[1:]]
        if not sizes or UNKNOWN in rest or not self._keeps_batch(x, sizes[0], rest):
            raise self.refusal(
                where,
                f"gives an input of shape {x.source_shape} another shape, {tuple(target)}",
                "shapes with the batch in front and known sizes behind it are read",
            )
        if len(rest) == 1:
            return self.flatten(where, name, x)
        if tuple(rest) == x.source_shape[1:]:
            return x
        plain = self.in_order(name, x)
        rank = len(rest) + 1
        layer = self._made(where, layers.Reshape, rest)
        shaped = self.place(layer, name, [plain], axes=tuple(range(rank)))
        return self.as_map(where, name, shaped) if rank == 4 else shaped

    def _keeps_batch(self, x: Value, batch: int | None, rest: list[int]) -> bool:
        numbers = None if None in x.shape[1:] else math.prod(size or 0 for size in x.shape[1:])
        if -1 in rest:
            return batch in (None, UNKNOWN, self.batch)
        # -1 in front is the batch if all others are as many as before.
        return numbers == math.prod(rest) and batch in (None, UNKNOWN, self.batch, -1)

    def squeeze(self, where: str, name: str, x: Value, axes: Sequence[int] | None) -> Value:
        """Leave out height and width of maps of one pixel."""
        gone = (
            {axis for axis, size in enumerate(x.source_shape) if size == 1 and axis}
            if axes is None
            else {self._axis(where, x, axis) for axis in axes}
        )
        if x.rank != 4 or {x.axes[axis] for axis in gone} != {1, 2} or x.shape[1:3] != (1, 1):
            raise self.refusal(
                where,
                f"leaves out axes of an input of shape {x.source_shape}",
                "height and width of maps of one pixel may be left out",
            )
        return self.place(layers.Flatten(), name, [x], axes=(0, 1))

    def pad(
        self, where: str, name: str, x: Value, pairs: Sequence[tuple[int, int]], value: float
    ) -> Value:
        """Lay a border of zeros around maps; a pair for each axis of the source."""
        ours = {x.axes[axis]: tuple(pair) for axis, pair in enumerate(pairs)}
        if x.rank != 4 or any(ours[axis] != (0, 0) for axis in (0, 3)):
            raise self.refusal(where, f"pads by {pairs}", "padding of height and width is read")
        if value != 0:
            raise self.refusal(where, f"pads with {value}", "padding with 0 is read")
        if any(side < 0 for pair in pairs for side in pair):
            raise self.refusal(where, f"pads by {pairs}, which crops", "crop the image before")
        if all(tuple(pair) == (0, 0) for pair in pairs):
            return x
        return self.place(self._made(where, layers.ZeroPadding2D, (ours[1], ours[2])), name, [x])

    # ------------------------------------------------------------------ arguments

    def _axis(self, where: str, x: Value, axis: int) -> int:
        if not -x.rank <= axis < x.rank:
            raise self.refusal(where, f"has axis {axis} for an input of rank {x.rank}")
        return axis % x.rank

    def _made(self, where: str, kind: Any, *arguments: Any, **options: Any) -> Layer:
        try:
            layer: Layer = kind(*arguments, **options)
        except AttarError as error:
            raise self.refusal(where, f"cannot be taken over: {error}") from error
        return layer


def plain_padding(pairs: Sequence[tuple[int, int]]) -> Any:
    """Return pairs of padding as a layer takes them; none is ``"valid"``.

    Examples
    --------
    >>> plain_padding([(0, 0), (0, 0)]), plain_padding([(1, 0), (0, 0)])
    ('valid', ((1, 0), (0, 0)))
    """
    return tuple(map(tuple, pairs)) if any(side for pair in pairs for side in pair) else "valid"
