"""What the layers compute, on NumPy arrays: functions of `attar.nn` and their gradients.

A backend brings its tensors here as arrays and takes the arrays of the answer back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attar import nn
from attar.arrays import Array
from attar.nn.layout import CHANNELS_FIRST, CHANNELS_LAST

__all__ = [
    "FLOATS",
    "REALS",
    "Extract",
    "FractionalMaxPool",
    "MaxPool",
    "Operation",
    "Plain",
    "Shape",
    "layout",
    "plain",
]

Shape = tuple[int, ...]
Input = Array | Shape

FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
REALS = FLOATS | {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}


def layout(data_format: str, dims: int) -> str:
    """Name a layout of Keras' as `attar.nn` does.

    Examples
    --------
    >>> layout("channels_first", 2)
    'NCHW'
    """
    return (CHANNELS_FIRST if data_format == "channels_first" else CHANNELS_LAST)[dims]


class Operation:
    """A function of its inputs, and its gradient for the first of them.

    Operations with equal options are equal, and can be keys of a cache.

    Attributes
    ----------
    dtypes : frozenset of str
        What there are kernels for.
    keeps_inputs : bool
        Whether the gradient looks at the inputs again, not at their shapes alone.
    together : tuple of tuple of int
        Which inputs have a gradient, by their numbers; those that cost least together in a tuple.
    """

    dtypes: frozenset[str] = FLOATS
    keeps_inputs: bool = True
    together: tuple[tuple[int, ...], ...] = ((0,),)

    def run(self, *inputs: Array) -> Array:
        """Compute the answer."""
        raise NotImplementedError

    def check(self, *kinds: tuple[Shape, Any]) -> None:
        """Raise what `run` would raise for inputs of these shapes and dtypes.

        So that an error comes where a graph is made: in one it is wrapped in those of a framework.
        """
        (images, dtype), *others = kinds
        self.run(np.zeros((0, *images[1:]), dtype), *(np.zeros(*other) for other in others))

    def record(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the answer, and behind it what the gradient needs beside the inputs."""
        return (self.run(*inputs),)

    def kept(self, answer: tuple[int | None, ...]) -> tuple[tuple[Any, np.dtype[Any]], ...]:
        """Shapes and dtypes of what `record` keeps, for an answer of this shape."""
        return ()

    def grads(
        self, needed: tuple[bool, ...], grad: Array, inputs: tuple[Input, ...], kept: Any
    ) -> tuple[Array | None, ...]:
        """Compute the gradients for the inputs that need one; of the others there is None.

        `inputs` are arrays, or shapes where `keeps_inputs` is false.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Plain(Operation):
    """A function of `attar.nn` of one array, with a gradient that looks at this array again."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    options: tuple[tuple[str, Any], ...]
    keeps_inputs: bool = True
    dtypes: frozenset[str] = FLOATS

    def run(self, *inputs: Array) -> Array:
        """Compute the answer."""
        answer: Array = self.forward(*inputs, **dict(self.options))
        return answer

    def grads(
        self, needed: tuple[bool, ...], grad: Array, inputs: tuple[Input, ...], kept: Any
    ) -> tuple[Array | None, ...]:
        """Compute the gradient; options that do not matter to it are not among its arguments."""
        options = {key: value for key, value in self.options if key != "keepdims"}
        return (self.backward(grad, inputs[0], **options),)


def plain(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    keeps_inputs: bool = True,
    dtypes: frozenset[str] = FLOATS,
    **options: Any,
) -> Plain:
    """Make a `Plain` operation."""
    return Plain(forward, backward, tuple(options.items()), keeps_inputs, dtypes)


@dataclass(frozen=True)
class MaxPool(Operation):
    """A maximum that keeps the place of each winner in its window: a byte, mostly."""

    ksize: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    data_format: str

    dtypes: frozenset[str] = REALS
    keeps_inputs: bool = False

    @property
    def _options(self) -> tuple[Any, ...]:
        return self.ksize, self.strides, self.padding, self.data_format

    @property
    def _winner_dtype(self) -> np.dtype[Any]:
        return np.min_scalar_type(math.prod(self.ksize) - 1)

    def run(self, *inputs: Array) -> Array:
        """Compute the maxima alone."""
        answer: Array = nn.max_pool(inputs[0], *self._options)
        return answer

    def record(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the maxima and the winners."""
        maxima, winners = nn.max_pool_with_argmax(
            inputs[0], self.ksize, self.strides, self.padding, self.data_format, index="window"
        )
        # Windows that are cut down to the image have fewer taps, perhaps in a smaller dtype.
        return maxima, winners.astype(self._winner_dtype, copy=False)

    def kept(self, answer: tuple[int | None, ...]) -> tuple[tuple[Any, np.dtype[Any]], ...]:
        """Of the winners."""
        return ((answer, self._winner_dtype),)

    def grads(
        self, needed: tuple[bool, ...], grad: Array, inputs: tuple[Input, ...], kept: Any
    ) -> tuple[Array | None, ...]:
        """Hand what flows into each maximum to its winner."""
        return (nn.max_pool_grad(grad, inputs[0], *self._options, winners=kept[0]),)


@dataclass(frozen=True)
class FractionalMaxPool(Operation):
    """A maximum over windows drawn at random; the second input is the seed."""

    pooling_ratio: tuple[float, float]
    pseudo_random: bool
    overlapping: bool
    data_format: str

    dtypes: frozenset[str] = REALS

    def run(self, *inputs: Array) -> Array:
        """Compute the maxima."""
        return self.record(*inputs)[0]

    def record(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the maxima, and the boundaries of the windows along both axes."""
        x, seed = inputs
        maxima, rows, cols = nn.fractional_max_pool(
            x, self.pooling_ratio, self.pseudo_random, self.overlapping, int(seed),
            self.data_format,
        )  # fmt: skip
        return maxima, rows.astype(np.int32), cols.astype(np.int32)

    def kept(self, answer: tuple[int | None, ...]) -> tuple[tuple[Any, np.dtype[Any]], ...]:
        """Of the boundaries: one more than windows."""
        sizes = answer[2:] if self.data_format == "NCHW" else answer[1:3]
        ends = [None if size is None else size + 1 for size in sizes]
        return tuple(((end,), np.dtype(np.int32)) for end in ends)

    def grads(
        self, needed: tuple[bool, ...], grad: Array, inputs: tuple[Input, ...], kept: Any
    ) -> tuple[Array | None, ...]:
        """Hand what flows into each maximum to its winner."""
        rows, cols = kept
        return (
            nn.fractional_max_pool_grad(
                grad, inputs[0], rows, cols, self.overlapping, self.data_format
            ),
            None,
        )


@dataclass(frozen=True)
class Extract(Operation):
    """A convolution, a bias, a ReLU and a maximum; inputs are the images, the filters, the bias."""

    strides: tuple[int, int]
    padding: str
    dilations: tuple[int, int]
    activation: str | None
    window_shape: tuple[int, int]
    pool_strides: tuple[int, int]
    pool_padding: str
    data_format: str
    together: tuple[tuple[int, ...], ...]

    dtypes: frozenset[str] = frozenset({"float32", "float64"})

    @property
    def _options(self) -> dict[str, Any]:
        names = ("strides", "padding", "dilations", "activation", "window_shape", "pool_strides")
        options = {name: getattr(self, name) for name in names}
        return {**options, "pool_padding": self.pool_padding, "data_format": self.data_format}

    def run(self, *inputs: Array) -> Array:
        """Compute the maxima; the map before the pool is never there."""
        answer: Array = nn.extract(*inputs, **self._options)
        return answer

    def record(self, *inputs: Array) -> tuple[Array, ...]:
        """Compute the maxima and the winners."""
        return tuple(nn.extract_with_winners(*inputs, **self._options))

    def kept(self, answer: tuple[int | None, ...]) -> tuple[tuple[Any, np.dtype[Any]], ...]:
        """Of the winners."""
        return ((answer, np.dtype(np.uint8)),)

    def grads(
        self, needed: tuple[bool, ...], grad: Array, inputs: tuple[Input, ...], kept: Any
    ) -> tuple[Array | None, ...]:
        """Compute the gradients that are needed, for images, filters and bias."""
        names = ("input", "filters", "bias")[: len(needed)]
        needs = tuple(name for name, is_needed in zip(names, needed, strict=True) if is_needed)
        x, filters = inputs[:2]
        result = nn.extract_grad(grad, x, filters, kept[0], **self._options, needs=needs)
        return tuple(getattr(result, name) for name in names)
