"""Layers that scale and shift: batch normalization as a trained model does it, and rescaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attar.arrays import Array
from attar.errors import ArgumentError, ShapeError
from attar.layers import initializers
from attar.layers.arguments import Shape, finite_number, read_shape, whole_number
from attar.layers.base import Layer

__all__ = ["BatchNormalization", "Rescaling"]


class BatchNormalization(Layer):
    """Scale and shift each channel by the mean and the variance that training saw.

    Parameters
    ----------
    axis : int
        Of the channels: the last.
    momentum
        For training: kept, without effect.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer
        str, dict or Initializer.
    name : str, optional

    Notes
    -----
    ``gamma * (x - moving_mean) / sqrt(moving_variance + epsilon) + beta``. Weights in this order:
    gamma, beta, moving_mean, moving_variance, each (C,). Behind a convolution a model folds it
    into the kernels.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layer = layers.BatchNormalization(epsilon=0)
    >>> layer.set_weights([[2], [1], [10], [4]])
    >>> layer(np.array([[10], [12]], np.float32))
    array([[1.],
           [3.]], dtype=float32)
    """

    in_place = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        synchronized: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(axis, list | tuple) and len(axis) == 1:
            axis = axis[0]
        self.axis = whole_number(self.where, "axis", axis, least=-(2**31))
        self.momentum = finite_number(self.where, "momentum", momentum)
        self.epsilon = finite_number(self.where, "epsilon", epsilon)
        if self.epsilon < 0:
            raise ArgumentError(f"{self.where}: epsilon must not be negative, got {epsilon!r}")
        self.center, self.scale = bool(center), bool(scale)
        given = {
            "gamma": gamma_initializer,
            "beta": beta_initializer,
            "moving_mean": moving_mean_initializer,
            "moving_variance": moving_variance_initializer,
        }
        self._initializers = {
            name: initializers.get(self.where, f"{name}_initializer", initializer)
            for name, initializer in given.items()
        }

    def weight_names(self) -> tuple[str, ...]:
        """Gamma and beta where it has them, moving mean and variance."""
        learnt = (("gamma",) if self.scale else ()) + (("beta",) if self.center else ())
        return (*learnt, "moving_mean", "moving_variance")

    def weight_shapes(self, input_shape: Any) -> dict[str, tuple[int, ...]]:
        """Return one number per channel for each."""
        return dict.fromkeys(self.weight_names(), (input_shape[-1],))

    def weight_initializer(self, name: str) -> initializers.Initializer:
        """Return how the weight is made."""
        return self._initializers[name]

    def input_shape_of(self, weights: dict[str, Array]) -> Shape:
        """Return the shape of an input with so many channels."""
        mean = weights["moving_mean"]
        if mean.ndim != 1:
            raise ShapeError(
                f"{self.where}: the weight moving_mean must have rank 1, got the shape {mean.shape}"
            )
        return (None, mean.size)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the input's shape."""
        shape = read_shape(self.where, "input_shape", input_shape)
        if len(shape) < 2 or shape[-1] is None:
            raise ShapeError(f"{self.where}: the channels must be known, got the shape {shape}")
        if self.axis not in (-1, len(shape) - 1):
            raise ArgumentError(
                f"{self.where}: axis must be that of the channels, the last, got {self.axis} for "
                f"the shape {shape}"
            )
        return shape

    def factors(self, dtype: Any) -> tuple[Array, Array]:
        """Return (scale, shift), so that the answer is ``x * scale + shift``."""
        weights = {name: weight.astype(np.float64) for name, weight in self._weights.items()}
        variance = weights["moving_variance"] + self.epsilon
        scale = weights.get("gamma", 1.0) / np.sqrt(variance)
        shift = weights.get("beta", 0.0) - weights["moving_mean"] * scale
        return scale.astype(dtype), shift.astype(dtype)

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Scale and shift."""
        scale, shift = self.factors(out.dtype)
        np.multiply(arrays[0], scale, out=out)
        out += shift

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        } | {
            f"{name}_initializer": initializer.get_config()
            for name, initializer in self._initializers.items()
        }  # fmt: skip


class Rescaling(Layer):
    """Scale and shift by numbers that are given: ``x * scale + offset``.

    Parameters
    ----------
    scale, offset : float, or one for each channel
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Rescaling(1 / 255)(np.array([[0, 255]], np.float32))
    array([[0., 1.]], dtype=float32)
    """

    in_place = True

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale = self._numbers("scale", scale)
        self.offset = self._numbers("offset", offset)

    def _numbers(self, argument: str, value: Any) -> float | tuple[float, ...]:
        plain = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(plain, list | tuple):
            return tuple(finite_number(self.where, argument, number) for number in plain)
        return finite_number(self.where, argument, plain)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the input's shape."""
        shape = read_shape(self.where, "input_shape", input_shape)
        for argument in ("scale", "offset"):
            numbers = getattr(self, argument)
            if isinstance(numbers, tuple) and shape[-1] not in (None, len(numbers)):
                raise ShapeError(
                    f"{self.where}: {argument} has {len(numbers)} numbers for an input of shape "
                    f"{shape}; accepted are one, or one for each channel"
                )
        return shape

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Scale and shift."""
        np.multiply(arrays[0], np.asarray(self.scale, out.dtype), out=out)
        out += np.asarray(self.offset, out.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        plain = {
            argument: list(value) if isinstance(value, tuple) else value
            for argument, value in (("scale", self.scale), ("offset", self.offset))
        }
        return super().get_config() | plain
