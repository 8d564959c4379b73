"""What all layers share: they hand their work to attar, and are saved under attar's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras

from attar.errors import ArgumentError, ShapeError
from attar.geometry import freeze, spatial_values
from attar.keras.backends import compute
from attar.keras.operations import Operation, layout

__all__ = ["Image", "Native", "one_of", "outputs", "pair", "register"]

_Class = TypeVar("_Class", bound=type)


def register(cls: _Class) -> _Class:
    """Let Keras save and load a layer as ``attar>Name``, wherever its room is."""
    cls.__module__ = "attar.keras"
    registered: _Class = keras.saving.register_keras_serializable(package="attar")(cls)
    return registered


class Native(keras.layers.Layer):
    """A layer of Keras whose work is done by attar."""

    _jit = True

    @property
    def supports_jit(self) -> bool:
        """Whether a model with this layer may be compiled by XLA: not in TensorFlow."""
        return self._jit and keras.backend.backend() != "tensorflow"

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:  # Keras sets it where a layer is made
        self._jit = value

    def _layout(self, dims: int) -> str:
        return layout(self.data_format, dims)

    def _compute(
        self, operation: Operation, *inputs: Any, otherwise: Callable[[], Any] | None = None
    ) -> Any:
        return compute(self, operation, inputs, otherwise)


class Image(Native):
    """A layer for images, (N, H, W, C) or (N, C, H, W), that Keras does not have."""

    def __init__(self, data_format: str | None, name: str | None, options: dict[str, Any]) -> None:
        super().__init__(name=name, **options)
        default = keras.config.image_data_format()
        self.data_format = one_of(
            self, "data_format", data_format or default, "channels_last", "channels_first"
        )
        self.input_spec = keras.InputSpec(ndim=4)

    @property
    def _where(self) -> str:
        return f"attar.keras.{type(self).__name__}"

    def _out(self, axis: int, size: int) -> int:
        """Return how many outputs there are along the height, 0, or the width, 1."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the answer, None where the input's size is None."""
        first = 2 if self.data_format == "channels_first" else 1
        shape = list(input_shape)
        for axis in (0, 1):
            size = shape[first + axis]
            shape[first + axis] = None if size is None else self._out(axis, size)
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "data_format": self.data_format}


def one_of(layer: Any, argument: str, value: Any, *accepted: str) -> str:
    """Check a name; text that differs in case alone is the same."""
    name = value.lower() if isinstance(value, str) else value
    if name not in accepted:
        *others, last = map(repr, accepted)
        raise ArgumentError(
            f"attar.keras.{type(layer).__name__}: {argument} must be {', '.join(others)} or "
            f"{last}, got {value!r}"
        )
    checked: str = name
    return checked


def outputs(layer: Any, size: int, window: int, stride: int, padding: str) -> int:
    """Count the windows of a pool along an axis."""
    if padding == "same":
        return -(-size // stride)
    if size < window:
        raise ShapeError(
            f"attar.keras.{type(layer).__name__}: pool_size must be at most the size of what is "
            f"pooled, {size}, with padding='valid', got {window}"
        )
    return (size - window) // stride + 1


def pair(layer: Any, argument: str, value: Any) -> tuple[int, int]:
    """Check one whole number, or one each for height and width; at least 1."""
    where = f"attar.keras.{type(layer).__name__}"
    high, wide = spatial_values(where, argument, freeze(where, argument, value), 2, False)
    return high, wide
