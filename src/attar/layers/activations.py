"""Detect: activation functions, by name and as layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from attar import _core
from attar.arrays import Array, core_view, number_of
from attar.errors import ArgumentError, ShapeError
from attar.layers import initializers
from attar.layers.arguments import Shape, finite_number, read_shape, whole_number
from attar.layers.base import Layer

__all__ = [
    "ELU",
    "Activation",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Softmax",
    "activate",
    "activation_name",
]

_BLOCK = 1 << 15  # numbers that are activated at a time: what comes in between stays in the cache
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_Block = Callable[[Array], Array]  # rows of channels to rows of channels


def activation_name(where: str, activation: Any) -> str | None:
    """Check the name of an activation; None and ``"linear"`` are the same."""
    if activation is None or activation == "linear":
        return None
    name = activation.lower() if isinstance(activation, str) else None
    name = {"swish": "silu"}.get(name or "", name)
    if name != "relu" and name not in _FUNCTIONS:
        accepted = ", ".join(sorted([*_FUNCTIONS, "linear", "relu", "swish"]))
        raise ArgumentError(
            f"{where}: activation must be None or one of {accepted}, got {activation!r}"
        )
    return name


def activate(name: str, x: Array, out: Array) -> None:
    """Write the activation of `x` to `out`, which may be `x` itself."""
    if name != "relu":
        _by_blocks(_FUNCTIONS[name], x, out)
        return
    # The core reads each number before it writes it, so that the two may be the same memory.
    _core.relu(core_view(np.ascontiguousarray(x)), core_view(out), number_of(x))


def _by_blocks(function: _Block, x: Array, out: Array) -> None:
    channels = out.shape[-1]
    source = np.ascontiguousarray(x).reshape(-1, channels)
    target = out.reshape(-1, channels)
    rows = max(1, _BLOCK // channels)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for row in range(0, len(source), rows):
            target[row : row + rows] = function(source[row : row + rows])


def _sigmoid(x: Array) -> Array:
    # exp of what is negative only: the other way it would overflow.
    small = np.exp(-np.abs(x))
    shares: Array = np.where(x >= 0, 1, small) / (1 + small)
    return shares


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    return np.where(x > 0, x, x * x.dtype.type(negative_slope))


def _softmax(x: Array) -> Array:
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def _gelu(x: Array) -> Array:
    # x times the normal distribution function; erfc keeps the small numbers of the left tail.
    half = _erfc(np.abs(x) * x.dtype.type(math.sqrt(0.5))) / 2
    return x * np.where(x < 0, half, 1 - half)


@lru_cache(maxsize=1)
def _erfc_series() -> Array:
    # erfc(z) = t exp(-z² + P(t)) with t = 2 / (2 + z): P is smooth for all z >= 0, so that a
    # Chebyshev series of it converges to the last bit.
    def exponent(t: Array) -> Array:
        z = 2 / t - 2
        return np.array([math.log(math.erfc(v) / s) + v * v for v, s in zip(z, t, strict=True)])

    series = np.polynomial.Chebyshev.interpolate(exponent, 28, domain=[2 / 28, 1])
    return series.coef


def _erfc(z: Array) -> Array:
    t = 2 / (2 + z)
    low, high = 2 / 28, 1.0
    scaled = (2 * t - (low + high)) / (high - low)
    exponents = np.polynomial.chebyshev.chebval(scaled, _erfc_series().astype(z.dtype))
    return np.where(z < 26, t * np.exp(exponents - z * z), 0).astype(z.dtype, copy=False)


_FUNCTIONS: dict[str, _Block] = {
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA),
    "gelu": _gelu,
    "silu": lambda x: x * _sigmoid(x),
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softmax": _softmax,
    "exponential": np.exp,
}


class _Elementwise(Layer):
    """A function of each number, or of the channels of each pixel."""

    in_place = True

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Apply it block by block."""
        _by_blocks(self._function, arrays[0], out)

    def _function(self, block: Array) -> Array:
        raise NotImplementedError


class Activation(_Elementwise):
    """An activation function by its name.

    Parameters
    ----------
    activation : str
        ``relu relu6 leaky_relu elu selu gelu silu`` (or ``swish``) ``sigmoid hard_sigmoid
        hard_silu tanh softplus softsign softmax exponential linear``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Activation("relu6")(np.array([[-1, 3, 9]], np.float32))
    array([[0., 3., 6.]], dtype=float32)
    """

    def __init__(self, activation: str | None, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activation_name(self.where, activation)

    @property
    def is_view(self) -> bool:
        """``linear`` changes nothing."""
        return self.activation is None

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Apply it."""
        if self.activation is not None:
            activate(self.activation, arrays[0], out)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"activation": self.activation or "linear"}


class ReLU(_Elementwise):
    """Keep what is positive: ``max(x, 0)``, or what the arguments make of it.

    Parameters
    ----------
    max_value : float, optional
        What is larger becomes this.
    negative_slope : float
        ``negative_slope * (x - threshold)`` below the threshold.
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.ReLU()(np.array([[-1, 3, 9]], np.float32))
    array([[0., 3., 9.]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.max_value = (
            None if max_value is None else finite_number(self.where, "max_value", max_value)
        )
        self.negative_slope = finite_number(self.where, "negative_slope", negative_slope)
        self.threshold = finite_number(self.where, "threshold", threshold)
        for argument in ("max_value", "negative_slope", "threshold"):
            if (getattr(self, argument) or 0) < 0:
                raise ArgumentError(
                    f"{self.where}: {argument} must not be negative, "
                    f"got {getattr(self, argument)!r}"
                )

    @property
    def is_plain(self) -> bool:
        """Whether it is max(x, 0)."""
        return self.max_value is None and self.negative_slope == 0 and self.threshold == 0

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Apply it."""
        if self.is_plain:
            activate("relu", arrays[0], out)
        else:
            super().compute(arrays, out)

    def _function(self, block: Array) -> Array:
        below = self.negative_slope * (block - self.threshold)
        kept = np.where(block > self.threshold, block, below)
        return kept if self.max_value is None else np.minimum(kept, self.max_value)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(_Elementwise):
    """Let a part of what is negative through: ``x if x > 0 else negative_slope * x``.

    Parameters
    ----------
    negative_slope : float

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.LeakyReLU(0.5)(np.array([[-1, 3]], np.float32))
    array([[-0.5,  3. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        super().__init__(**options)
        self.negative_slope = finite_number(self.where, "negative_slope", negative_slope)

    def _function(self, block: Array) -> Array:
        return _leaky_relu(block, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"negative_slope": self.negative_slope}


class ELU(_Elementwise):
    """``x if x > 0 else alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.ELU()(np.array([[0, 3]], np.float32))
    array([[0., 3.]], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.alpha = finite_number(self.where, "alpha", alpha)

    def _function(self, block: Array) -> Array:
        return _elu(block, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"alpha": self.alpha}


class PReLU(Layer):
    """`LeakyReLU` with slopes that were learnt.

    Parameters
    ----------
    alpha_initializer : str, dict or Initializer
    shared_axes : ints, optional
        Axes along which there is one slope for all, counted from 1: ``(1, 2)`` for one slope per
        channel.

    Notes
    -----
    Weights: alpha, of the input's shape without the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layer = layers.PReLU(shared_axes=(1, 2))
    >>> layer.set_weights([np.full((1, 1, 2), 0.5)])
    >>> layer(-np.ones((1, 1, 1, 2), np.float32))
    array([[[[-0.5, -0.5]]]], dtype=float32)
    """

    in_place = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.alpha_initializer = initializers.get(
            self.where, "alpha_initializer", alpha_initializer
        )
        if shared_axes is None:
            shared_axes = ()
        elif not isinstance(shared_axes, list | tuple):
            shared_axes = (shared_axes,)
        self.shared_axes = tuple(
            whole_number(self.where, "shared_axes", axis) for axis in shared_axes
        )

    def weight_names(self) -> tuple[str, ...]:
        """Alpha."""
        return ("alpha",)

    def weight_shapes(self, input_shape: Any) -> dict[str, tuple[int, ...]]:
        """Return the shape of alpha: that of an image, 1 along the shared axes."""
        shape = read_shape(self.where, "input_shape", input_shape)
        if any(axis >= len(shape) for axis in self.shared_axes):
            raise ShapeError(
                f"{self.where}: shared_axes must be below the rank {len(shape)} of the input, "
                f"got {self.shared_axes}"
            )
        sizes = [1 if axis in self.shared_axes else size for axis, size in enumerate(shape)][1:]
        known = tuple(size for size in sizes if size is not None)
        if len(known) != len(sizes):
            raise ShapeError(
                f"{self.where}: needs the sizes of the image to be built, got {shape}; give them, "
                "or share the axes (shared_axes=(1, 2))"
            )
        return {"alpha": known}

    def weight_initializer(self, name: str) -> initializers.Initializer:
        """Return how alpha is made."""
        return self.alpha_initializer

    def input_shape_of(self, weights: dict[str, Array]) -> Shape:
        """Return the shape of alpha with a batch."""
        return (None, *weights["alpha"].shape)

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Apply it image by image."""
        alpha = self.weight("alpha", out.dtype)
        for image, target in zip(arrays[0], out, strict=True):
            target[...] = np.where(image > 0, image, alpha * image)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "alpha_initializer": self.alpha_initializer.get_config(),
            "shared_axes": list(self.shared_axes) or None,
        }


class Softmax(Layer):
    """Make numbers into shares of 1: ``exp(x) / sum(exp(x))``.

    Parameters
    ----------
    axis : int
        Along which they add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Softmax()(np.zeros((1, 4), np.float32))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    in_place = True

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = whole_number(self.where, "axis", axis, least=-(2**31))

    @property
    def pixelwise(self) -> bool:  # type: ignore[override]
        """Along the channels."""
        return self.axis in (-1, 3)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the input's shape."""
        shape = read_shape(self.where, "input_shape", input_shape)
        if not -len(shape) < self.axis < len(shape) or self.axis == 0:
            raise ShapeError(
                f"{self.where}: axis must be one of the {len(shape)} axes of the input behind the "
                f"batch, got {self.axis}"
            )
        return shape

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Apply it."""
        if self.axis in (-1, out.ndim - 1):
            _by_blocks(_softmax, arrays[0], out)
        else:
            last = np.moveaxis(out, self.axis, -1)
            last[...] = _softmax(np.moveaxis(arrays[0], self.axis, -1))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"axis": self.axis}
