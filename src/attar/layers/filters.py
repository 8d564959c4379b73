"""Filter: convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attar import nn
from attar.arrays import Array
from attar.errors import ArgumentError, ShapeError
from attar.geometry import Axis, conv_axes
from attar.layers import initializers
from attar.layers.activations import activate, activation_name
from attar.layers.arguments import (
    Shape,
    check_data_format,
    pair,
    read_padding,
    read_shape,
    whole_number,
)
from attar.layers.base import Layer

__all__ = ["Conv2D", "Dense", "DepthwiseConv2D"]


class _Filter(Layer):
    """Filters that slide over the image: what `Conv2D` and `DepthwiseConv2D` share."""

    pixelwise = False

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        options: dict[str, Any],
    ) -> None:
        super().__init__(**options)
        check_data_format(self.where, data_format)
        self.kernel_size = pair(self.where, "kernel_size", kernel_size)
        self.strides = pair(self.where, "strides", strides)
        self.padding = read_padding(self.where, padding)
        self.dilation_rate = pair(self.where, "dilation_rate", dilation_rate)
        self.activation = activation_name(self.where, activation)
        self.use_bias = bool(use_bias)
        self._initializers = {
            "kernel": initializers.get(self.where, "kernel_initializer", kernel_initializer),
            "bias": initializers.get(self.where, "bias_initializer", bias_initializer),
        }

    def weight_names(self) -> tuple[str, ...]:
        """Kernel, and bias where it has one."""
        return ("kernel", "bias") if self.use_bias else ("kernel",)

    def weight_initializer(self, name: str) -> initializers.Initializer:
        """Return how the weight is made."""
        return self._initializers[name]

    def windows(self, input_shape: Any) -> tuple[Axis, Axis] | None:
        """Tell what an output pixel sees."""
        return self._axis(0, input_shape[1]), self._axis(1, input_shape[2])

    def _answer_shape(self, input_shape: Any, channels: int) -> Shape:
        shape = read_shape(self.where, "input_shape", input_shape, rank=4)
        sizes = tuple(
            None if size is None else self._axis(i, size).out for i, size in enumerate(shape[1:3])
        )
        return (shape[0], *sizes, channels)

    def _axis(self, i: int, size: int) -> Axis:
        padding = self.padding.upper() if isinstance(self.padding, str) else (self.padding[i],)
        (axis,) = conv_axes(
            self.where,
            (size,),
            (self.kernel_size[i],),
            (self.strides[i],),
            (self.dilation_rate[i],),
            padding,
        )
        return axis

    def filters_as_conv2d(self, dtype: Any = np.float32) -> Array:
        """Return the kernel as `attar.nn.conv2d` takes it: (kh, kw, C / groups, K)."""
        return self.weight("kernel", dtype)

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Filter, and apply the activation."""
        fused = self.activation if self.activation == "relu" else None
        nn.extract(
            arrays[0],
            self.filters_as_conv2d(out.dtype),
            self.weight("bias", out.dtype) if self.use_bias else None,
            strides=self.strides,
            padding=self.padding,
            dilations=self.dilation_rate,
            activation=fused,
            pooling_type=None,
            out=out,
        )
        if self.activation not in (None, "relu"):
            activate(self.activation, out, out)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        pairs = self.padding if isinstance(self.padding, str) else [list(p) for p in self.padding]
        return super().get_config() | {
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": pairs,
            "dilation_rate": list(self.dilation_rate),
            "activation": self.activation or "linear",
            "use_bias": self.use_bias,
            "bias_initializer": self._initializers["bias"].get_config(),
        }


class Conv2D(_Filter):
    """Filter: slide each of `filters` kernels over the image.

    Parameters
    ----------
    filters : int
        Kernels: channels of the answer.
    kernel_size, strides, dilation_rate : int or 2 ints
        Height and width, in pixels. Other than in Keras, strides and dilation may both be over 1.
    padding : {"valid", "same"} or ((top, bottom), (left, right))
        Pairs of zeros are attar's own.
    data_format : {"channels_last", None}
    groups : int
        Group g of the filters sees group g of the channels.
    activation : str or None
        As of `Activation`.
    use_bias : bool
    kernel_initializer, bias_initializer : str, dict or Initializer
    kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint
        For training: accepted, without effect.
    name : str, optional

    Notes
    -----
    Weights: kernel (kh, kw, C / groups, filters), bias (filters,).

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> image = np.zeros((1, 28, 28, 1), np.float32)
    >>> layers.Conv2D(64, 3, activation="relu", padding="same")(image).shape
    (1, 28, 28, 64)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            kernel_initializer, bias_initializer, options,
        )  # fmt: skip
        self.filters = whole_number(self.where, "filters", filters)
        self.groups = whole_number(self.where, "groups", groups)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{self.where}: filters must be a multiple of groups, got {self.filters} filters "
                f"in {self.groups} groups"
            )

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return (N, OH, OW, filters)."""
        return self._answer_shape(input_shape, self.filters)

    def weight_shapes(self, input_shape: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of kernel and bias."""
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ShapeError(
                f"{self.where}: the channels of the input must be known and a multiple of groups "
                f"({self.groups}), got the shape {tuple(input_shape)}"
            )
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (*self.kernel_size, channels // self.groups, self.filters)
        }
        return shapes | ({"bias": (self.filters,)} if self.use_bias else {})

    def input_shape_of(self, weights: dict[str, Array]) -> Shape:
        """Return the shape of an image with the kernel's channels."""
        kernel = weights["kernel"]
        if kernel.ndim != 4:
            raise ShapeError(
                f"{self.where}: the weight kernel must have rank 4, (height, width, channels, "
                f"filters), got the shape {kernel.shape}"
            )
        return (None, None, None, kernel.shape[2] * self.groups)

    def multiply_adds(self, input_shape: Any) -> int:
        """Count one for each weight and pixel of the answer."""
        _, height, width, _ = self.compute_output_shape(input_shape)
        taps = self.kernel_size[0] * self.kernel_size[1] * (input_shape[-1] // self.groups)
        return int((height or 0) * (width or 0) * self.filters * taps)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "filters": self.filters,
            "groups": self.groups,
            "kernel_initializer": self._initializers["kernel"].get_config(),
        }


class DepthwiseConv2D(_Filter):
    """Filter each channel on its own, with `depth_multiplier` kernels each.

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        As of `Conv2D`. Other than in Keras, the two strides may differ.
    depth_multiplier : int
        Kernels for each channel.
    depthwise_initializer, bias_initializer : str, dict or Initializer
    depthwise_regularizer, bias_regularizer, activity_regularizer, depthwise_constraint,
    bias_constraint
        For training: accepted, without effect.
    name : str, optional

    Notes
    -----
    Weights: kernel (kh, kw, C, depth_multiplier), bias (C * depth_multiplier,). The answer's
    channels are those of the first channel, then those of the second, and so on.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> image = np.zeros((1, 28, 28, 3), np.float32)
    >>> layers.DepthwiseConv2D(3, depth_multiplier=2)(image).shape
    (1, 26, 26, 6)
    """

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            depthwise_initializer, bias_initializer, options,
        )  # fmt: skip
        self.depth_multiplier = whole_number(self.where, "depth_multiplier", depth_multiplier)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return (N, OH, OW, C * depth_multiplier)."""
        shape = read_shape(self.where, "input_shape", input_shape, rank=4)
        if shape[-1] is None:
            raise ShapeError(
                f"{self.where}: the channels of the input must be known, got the shape {shape}"
            )
        return self._answer_shape(shape, shape[-1] * self.depth_multiplier)

    def weight_shapes(self, input_shape: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of kernel and bias."""
        channels = input_shape[-1]
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (*self.kernel_size, channels, self.depth_multiplier)
        }
        return shapes | ({"bias": (channels * self.depth_multiplier,)} if self.use_bias else {})

    def input_shape_of(self, weights: dict[str, Array]) -> Shape:
        """Return the shape of an image with the kernel's channels."""
        kernel = weights["kernel"]
        if kernel.ndim != 4:
            raise ShapeError(
                f"{self.where}: the weight kernel must have rank 4, (height, width, channels, "
                f"depth_multiplier), got the shape {kernel.shape}"
            )
        return (None, None, None, kernel.shape[2])

    def filters_as_conv2d(self, dtype: Any = np.float32) -> Array:
        """Return the kernel as `attar.nn.conv2d` takes it, a group for each channel."""
        kernel = self.weight("kernel", dtype)
        return kernel.reshape(*self.kernel_size, 1, -1)

    def multiply_adds(self, input_shape: Any) -> int:
        """Count one for each tap and number of the answer."""
        _, height, width, channels = self.compute_output_shape(input_shape)
        taps = self.kernel_size[0] * self.kernel_size[1]
        return int((height or 0) * (width or 0) * (channels or 0) * taps)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "depth_multiplier": self.depth_multiplier,
            "depthwise_initializer": self._initializers["kernel"].get_config(),
        }


class Dense(Layer):
    """Weighted sums of all features: ``activation(x @ kernel + bias)``.

    Parameters
    ----------
    units : int
        Features of the answer.
    activation : str or None
        As of `Activation`.
    use_bias : bool
    kernel_initializer, bias_initializer : str, dict or Initializer
    kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint
        For training: accepted, without effect.
    name : str, optional

    Notes
    -----
    Weights: kernel (features, units), bias (units,). Of a map, the features are the channels of
    each pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from attar import layers
    >>> layers.Dense(10)(np.zeros((1, 64), np.float32)).shape
    (1, 10)
    """

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = whole_number(self.where, "units", units)
        self.activation = activation_name(self.where, activation)
        self.use_bias = bool(use_bias)
        self._initializers = {
            "kernel": initializers.get(self.where, "kernel_initializer", kernel_initializer),
            "bias": initializers.get(self.where, "bias_initializer", bias_initializer),
        }

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the input's shape with `units` at the end."""
        shape = read_shape(self.where, "input_shape", input_shape)
        if len(shape) < 2 or shape[-1] is None:
            raise ShapeError(
                f"{self.where}: takes (batch, features), the features known, got the shape {shape}"
            )
        return (*shape[:-1], self.units)

    def weight_names(self) -> tuple[str, ...]:
        """Kernel, and bias where it has one."""
        return ("kernel", "bias") if self.use_bias else ("kernel",)

    def weight_shapes(self, input_shape: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of kernel and bias."""
        shapes: dict[str, tuple[int, ...]] = {"kernel": (input_shape[-1], self.units)}
        return shapes | ({"bias": (self.units,)} if self.use_bias else {})

    def weight_initializer(self, name: str) -> initializers.Initializer:
        """Return how the weight is made."""
        return self._initializers[name]

    def input_shape_of(self, weights: dict[str, Array]) -> Shape:
        """Return the shape of features that the kernel takes."""
        kernel = weights["kernel"]
        if kernel.ndim != 2:
            raise ShapeError(
                f"{self.where}: the weight kernel must have rank 2, (features, units), got the "
                f"shape {kernel.shape}"
            )
        return (None, kernel.shape[0])

    def multiply_adds(self, input_shape: Any) -> int:
        """Count one for each weight and pixel."""
        count = int(input_shape[-1]) * self.units
        for size in input_shape[1:-1]:
            count *= size or 0
        return count

    def compute(self, arrays: Sequence[Array], out: Array) -> None:
        """Multiply, add, and apply the activation."""
        features = np.ascontiguousarray(arrays[0]).reshape(-1, arrays[0].shape[-1])
        np.matmul(features, self.weight("kernel", out.dtype), out=out.reshape(-1, self.units))
        if self.use_bias:
            out += self.weight("bias", out.dtype)
        if self.activation is not None:
            activate(self.activation, out, out)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "units": self.units,
            "activation": self.activation or "linear",
            "use_bias": self.use_bias,
            "kernel_initializer": self._initializers["kernel"].get_config(),
            "bias_initializer": self._initializers["bias"].get_config(),
        }
