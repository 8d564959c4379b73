"""What every layer is: arguments, weights, shapes, and a call on arrays or on symbols."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from attar.arrays import Array, from_caller, require_float
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import Axis
from attar.layers import initializers
from attar.layers.arguments import Shape, read_shape
from attar.nn.layout import require_room

__all__ = [
    "Input",
    "InputLayer",
    "Layer",
    "Shape",
    "Symbol",
    "read_shape",
]

# Keras' arguments that matter to training only. They are accepted, so that a model needs no
# change, and have no effect.
_FOR_TRAINING = frozenset(
    f"{weight}_{kind}"
    for weight in ("kernel", "bias", "depthwise", "activity", "alpha", "beta", "gamma")
    for kind in ("regularizer", "constraint")
) | {"trainable", "autocast"}


class Layer:
    """One step of a convnet, with Keras' arguments and Keras' numbers.

    A layer makes its weights when it first sees the shape of its input. Called on an array it
    computes; called on a `Symbol` it becomes part of a graph.

    Attributes
    ----------
    name : str
        As in Keras: ``conv2d``, ``conv2d_1``, numbered by the model that holds the layer, unless
        it was given.
    built : bool
        Whether the weights are there.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layer = layers.Conv2D(filters=2, kernel_size=3)
    >>> layer(np.zeros((1, 8, 8, 3), np.float32)).shape
    (1, 6, 6, 2)
    >>> [weight.shape for weight in layer.get_weights()]
    [(3, 3, 3, 2), (2,)]
    """

    merges: ClassVar[bool] = False
    """Whether it takes a list of maps."""
    in_place: ClassVar[bool] = False
    """Whether `compute` may write to the memory of one of its first two inputs."""
    pixelwise: ClassVar[bool] = True
    """Whether an output pixel depends on the input pixel at the same place alone."""

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Sequence[int | None] | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        self._name: str | None = None
        self._weights: dict[str, Array] = {}
        self._widened: dict[str, Array] = {}
        self.built = False
        self.revision = 0
        if name is not None:
            self.name = name
        unknown = sorted(set(options) - _FOR_TRAINING)
        if unknown:
            raise ArgumentError(
                f"{self.where}: there is no argument {unknown[0]!r}; see help(layers."
                f"{type(self).__name__})"
            )
        if dtype not in (None, "float32", np.float32):
            raise ArgumentError(
                f"{self.where}: dtype must be 'float32', that of the weights, got {dtype!r}"
            )
        self.input_shape_hint: Shape | None = None
        if input_shape is not None:
            shape = read_shape(self.where, "input_shape", input_shape)
            self.input_shape_hint = read_shape(self.where, "input_shape", (None, *shape))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{'' if self.built else ', not built'}>"

    # ------------------------------------------------------------------ its name

    @property
    def name(self) -> str:
        """What it is called in a model."""
        return self._name or default_name(type(self))

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ArgumentError(
                f"layers.{type(self).__name__}: name must be text that is not empty, got {name!r}"
            )
        self._name = name

    @property
    def is_named(self) -> bool:
        """Whether it has a name of its own, given or from a model."""
        return self._name is not None

    @property
    def where(self) -> str:
        """How messages call it."""
        kind = f"layers.{type(self).__name__}"
        return kind if self._name is None else f"{kind} {self._name!r}"

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor as plain values that `json.dumps` takes."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make the layer that has this config."""
        return cls(**config)

    # ------------------------------------------------------------------ its weights

    def weight_names(self) -> tuple[str, ...]:
        """Name the weights in the order of `get_weights`."""
        return ()

    def weight_shapes(self, input_shape: Any) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight for an input of this shape."""
        return {}

    def weight_initializer(self, name: str) -> initializers.Initializer:
        """Return how the weight is made."""
        raise NotImplementedError

    def input_shape_of(self, weights: dict[str, Array]) -> Any:
        """Return the shape of an input for which the layer would have these weights."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        """Make the weights for an input of this shape.

        They are drawn from a seed that follows from the layer's name, unless the initializer has
        its own: the same model begins with the same weights. A layer that is built keeps its
        weights; the shape must fit them.

        Parameters
        ----------
        input_shape : tuple of (int or None), or a list of them for a layer that merges
            With the batch: ``(None, H, W, C)``.

        Raises
        ------
        ShapeError
            For a shape that the layer cannot take.
        """
        self.compute_output_shape(input_shape)
        shapes = self.weight_shapes(input_shape)
        if self.built:
            self._check_shapes(self._weights, shapes)
            return
        weights: dict[str, Array] = {}
        for name, shape in shapes.items():
            require_room(self.where, f"the weight {name}", shape)
            seed = zlib.crc32(f"{self.name}/{name}".encode())
            weights[name] = self.weight_initializer(name)(shape, seed)
        self._weights = weights
        self.built = True
        self.revision += 1

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in Keras' order and layout."""
        return [weight.copy() for weight in self._weights.values()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Take over the weights, and build the layer by them if it is not built.

        Parameters
        ----------
        weights : sequence of arrays
            In the order of `weight_names`; kept as float32.

        Raises
        ------
        ShapeError, DTypeError
        """
        names = self.weight_names()
        if len(weights) != len(names):
            raise ShapeError(
                f"{self.where}: set_weights takes {len(names)} arrays ({', '.join(names)}), "
                f"got {len(weights)}"
            )
        arrays: dict[str, Array] = {}
        for name, weight in zip(names, weights, strict=True):
            array, _ = from_caller(self.where, name, weight)
            if array.dtype.kind not in "fiu":
                raise DTypeError(
                    f"{self.where}: the weight {name} must be numbers, got {array.dtype}"
                )
            arrays[name] = np.array(array, np.float32, order="C")
        if names:
            shapes = (
                {name: weight.shape for name, weight in self._weights.items()}
                if self.built
                else self.weight_shapes(self.input_shape_of(arrays))
            )
            self._check_shapes(arrays, shapes)
        self._weights, self._widened = arrays, {}
        self.built = True
        self.revision += 1

    def _check_shapes(self, weights: dict[str, Array], shapes: dict[str, tuple[int, ...]]) -> None:
        for name, shape in shapes.items():
            if weights[name].shape != shape:
                raise ShapeError(
                    f"{self.where}: the weight {name} has the shape {weights[name].shape}, "
                    f"where {shape} is needed"
                )

    def count_params(self) -> int:
        """Count the numbers in its weights."""
        return sum(weight.size for weight in self._weights.values())

    def weight(self, name: str, dtype: Any = np.float32) -> Array:
        """Return a weight itself, not a copy, as float32 or, for float64 maps, as float64."""
        if dtype != np.float64:
            return self._weights[name]
        if name not in self._widened:
            self._widened[name] = self._weights[name].astype(np.float64)
        return self._widened[name]

    # ------------------------------------------------------------------ its geometry

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of the answer to an input of this shape, batch first.

        Sizes may be None, and then are in the answer.
        """
        return read_shape(self.where, "input_shape", input_shape)

    def windows(self, input_shape: Any) -> tuple[Axis, Axis] | None:
        """Tell what an output pixel sees along height and width; None where it is everything.

        Needs known sizes. Where the answer is not a map of the same rank, everything is seen.
        """
        shape = self.compute_output_shape(input_shape)
        if not self.pixelwise or len(shape) != 4:
            return None
        height, width = (Axis(size or 0, 1, 1, 1, 0, 0, size or 0) for size in shape[1:3])
        return height, width

    def multiply_adds(self, input_shape: Any) -> int:
        """Count the multiplications with weights for one image of this shape."""
        return 0

    # ------------------------------------------------------------------ its arithmetic

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Write the answer to arrays of float32 or float64 into `out`.

        `out` is contiguous and of the right shape. It may be the memory of one of the first two
        arrays where `in_place` says so.
        """
        raise NotImplementedError

    @property
    def is_view(self) -> bool:
        """Whether the answer is the input's numbers in the same order, in another shape."""
        return False

    def call(self, *arrays: Array) -> Array:
        """Compute on arrays of float32 or float64: the layer alone, nothing fused."""
        shapes: Any = [array.shape for array in arrays]
        shape: Any = self.compute_output_shape(shapes if self.merges else shapes[0])
        if self.is_view:
            return arrays[0].reshape(shape)
        require_room(self.where, "the answer", shape)
        out = np.empty(shape, arrays[0].dtype)
        if out.size:
            self.compute(arrays, out)
        return out

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        """Apply the layer to an array, or to a symbol, which gives a symbol.

        Parameters
        ----------
        inputs : array of float32 or float64, or `Symbol`
            Batch first, channels last. A list of them for a layer that merges.
        training : bool
            Must be False: attar computes what a trained model does.

        Returns
        -------
        Array of the input's dtype and kind, or `Symbol`.
        """
        if training:
            raise ArgumentError(f"{self.where}: attar.layers do not train; training must be False")
        if self.merges and not isinstance(inputs, list | tuple):
            raise ArgumentError(
                f"{self.where}: takes a list of inputs, got {type(inputs).__name__}"
            )
        values = list(inputs) if self.merges else [inputs]
        symbols = [value for value in values if isinstance(value, Symbol)]
        if not symbols:
            return self._call_on_arrays(values)
        if len(symbols) != len(values):
            raise ArgumentError(f"{self.where}: takes symbols or arrays, not some of each")
        shapes: Any = [symbol.shape for symbol in symbols]
        shape: Any = shapes if self.merges else shapes[0]
        self.build(shape)
        return Symbol(self, tuple(symbols), self.compute_output_shape(shape))

    def _call_on_arrays(self, values: list[Any]) -> Any:
        received = [from_caller(self.where, "the input", value) for value in values]
        arrays = [require_float(self.where, "the input", array) for array, _ in received]
        for array in arrays:
            if array.dtype != arrays[0].dtype:
                raise DTypeError(
                    f"{self.where}: inputs must have one dtype, got {arrays[0].dtype} and "
                    f"{array.dtype}"
                )
        shapes = [array.shape for array in arrays]
        self.build(shapes if self.merges else shapes[0])
        _, give_back = received[0]
        return give_back(self.call(*arrays))


@dataclass(frozen=True, eq=False)
class Symbol:
    """What a layer will answer: a node of a graph that is being written down.

    Attributes
    ----------
    layer : Layer
        That answers; an `InputLayer` for the model's input.
    inputs : tuple of Symbol
        What it is applied to.
    shape : tuple of (int or None)
        Of the answer, batch first.
    """

    layer: Layer
    inputs: tuple[Symbol, ...]
    shape: Shape


class InputLayer(Layer):
    """The place where an image enters: says its shape, and does nothing.

    Parameters
    ----------
    shape : tuple of (int or None)
        Without the batch: ``(H, W, C)``.
    batch_size : int, optional
        Ignored: any number of images is taken.
    batch_shape : tuple of (int or None), optional
        `shape` with the batch in front, instead of it.
    name : str, optional
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if batch_shape is not None:
            shape = tuple(batch_shape)[1:]
        elif shape is None:
            shape = input_shape
        if shape is None:
            raise ArgumentError(f"{self.where}: shape must be given, for example (224, 224, 3)")
        if isinstance(shape, int):
            shape = (shape,)
        self.shape = read_shape(self.where, "shape", (None, *shape))
        self.input_shape_hint = self.shape

    @property
    def is_view(self) -> bool:
        """It changes nothing."""
        return True

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"shape": list(self.shape[1:])}


def Input(  # noqa: N802
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    *,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> Symbol:
    """Begin a graph: the symbol of an image of this shape.

    Parameters
    ----------
    shape : tuple of (int or None)
        Without the batch: ``(H, W, C)``.
    batch_size, dtype, batch_shape, name
        As of `InputLayer`.

    Examples
    --------
    >>> from attar import Sequential, layers
    >>> image = layers.Input((8, 8, 4))
    >>> filtered = layers.Conv2D(4, 3, padding="same")(image)
    >>> model = Sequential(layers.Add()([image, filtered]))
    >>> model.output_shape
    (None, 8, 8, 4)
    """
    layer = InputLayer(shape, batch_size, dtype, batch_shape=batch_shape, name=name)
    return Symbol(layer, (), layer.shape)


def default_name(kind: type) -> str:
    """Return what Keras calls a layer of this class.

    Examples
    --------
    >>> default_name(type("MaxPooling2D", (), {})), default_name(type("ReLU", (), {}))
    ('max_pooling2d', 're_lu')
    """
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind.__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()
