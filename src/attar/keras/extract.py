"""Filter, detect and condense as one layer."""

from __future__ import annotations

import math
from typing import Any

import keras

from attar.errors import ArgumentError
from attar.keras.native import Native, one_of, outputs, pair, register
from attar.keras.operations import Extract

__all__ = ["Extract2D"]

_MOST_CELLS = 255  # so that a byte has a number left for windows in which ReLU leaves nothing


@register
class Extract2D(Native, keras.layers.Conv2D):
    """`Conv2D`, ReLU and `MaxPooling2D` in one pass, forwards and backwards: `attar.nn.extract`.

    The map before the pool, the largest of all, is never written. For the gradient the images are
    kept and a byte for each window.

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format, dilation_rate, groups
        As in Keras' `Conv2D`.
    activation : {"relu", None}
    use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer
        As in Keras' `Conv2D`, as the constraints.
    activity_regularizer
        Of the answer, behind the pool.
    pool_size : int or pair
        At most 255 cells.
    pool_strides : int or pair, optional
        `pool_size` if it is left out.
    pool_padding : {"valid", "same"}

    The weights are ``kernel``, (kh, kw, C / groups, filters), and ``bias``, as those of `Conv2D`.
    It computes in float32, or float64; answers of other policies are rounded at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import Extract2D
    >>> image = np.zeros((1, 4, 4, 1), "float32")
    >>> image[:, :, 2:] = 1
    >>> edge = np.array([-1, 1], "float32").reshape(1, 2, 1, 1)
    >>> layer = Extract2D(1, (1, 2), padding="same", use_bias=False)
    >>> layer.build(image.shape)
    >>> layer.set_weights([edge])
    >>> layer.compute_output_shape(image.shape)
    (1, 2, 2, 1)
    >>> np.from_dlpack(keras.ops.stop_gradient(layer(image))).ravel().tolist()
    [1.0, 0.0, 1.0, 0.0]
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
        activation: Any = "relu",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        pool_size: Any = (2, 2),
        pool_strides: Any = None,
        pool_padding: str = "valid",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation,
            use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
        self.pool_size = pair(self, "pool_size", pool_size)
        if math.prod(self.pool_size) > _MOST_CELLS:
            raise ArgumentError(
                f"attar.keras.Extract2D: pool_size must have at most {_MOST_CELLS} cells, got "
                f"{pool_size!r}"
            )
        self.pool_strides = (
            self.pool_size if pool_strides is None else pair(self, "pool_strides", pool_strides)
        )
        self.pool_padding = one_of(self, "pool_padding", pool_padding, "valid", "same")
        if self.activation not in (keras.activations.relu, keras.activations.linear):
            raise ArgumentError(
                f"attar.keras.Extract2D: activation must be 'relu' or None, got {activation!r}"
            )

    def call(self, inputs: Any) -> Any:
        """Filter, detect, condense."""
        computed_in = "float64" if self.compute_dtype == "float64" else "float32"
        operands = [inputs, self.kernel, *([self.bias] if self.use_bias else [])]
        operation = Extract(
            self.strides,
            self.padding,
            self.dilation_rate,
            "relu" if self.activation is keras.activations.relu else None,
            self.pool_size,
            self.pool_strides,
            self.pool_padding,
            self._layout(2),
            # The gradient of the bias is a by-product of that of the filters.
            together=((0,), (1, 2) if self.use_bias else (1,)),
        )
        answer = self._compute(
            operation,
            *(keras.ops.cast(operand, computed_in) for operand in operands),
            otherwise=lambda: self._in_steps(inputs),
        )
        return keras.ops.cast(answer, self.compute_dtype)

    def _in_steps(self, inputs: Any) -> Any:
        return keras.ops.max_pool(
            super().call(inputs),
            self.pool_size,
            self.pool_strides,
            self.pool_padding,
            self.data_format,
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the answer, None where the input's size is None."""
        shape = list(super().compute_output_shape(input_shape))
        first = 2 if self.data_format == "channels_first" else 1
        for axis in (0, 1):
            size = shape[first + axis]
            if size is not None:
                shape[first + axis] = outputs(
                    self, size, self.pool_size[axis], self.pool_strides[axis], self.pool_padding
                )
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = ("pool_size", "pool_strides", "pool_padding")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
