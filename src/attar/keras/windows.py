"""Condense windows: maxima and means, in place of Keras' own layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from attar import nn
from attar.keras.native import Native, register
from attar.keras.operations import MaxPool, plain

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]


class _Max(Native):
    def call(self, inputs: Any) -> Any:
        """Take the maximum of each window."""
        operation = MaxPool(
            self.pool_size, self.strides, self.padding, self._layout(len(self.pool_size))
        )
        return self._compute(operation, inputs, otherwise=partial(super().call, inputs))


class _Average(Native):
    def call(self, inputs: Any) -> Any:
        """Take the mean of each window."""
        operation = plain(
            nn.avg_pool,
            nn.avg_pool_grad,
            keeps_inputs=False,
            ksize=self.pool_size,
            strides=self.strides,
            padding=self.padding,
            data_format=self._layout(len(self.pool_size)),
        )
        return self._compute(operation, inputs, otherwise=partial(super().call, inputs))


@register
class MaxPooling1D(_Max, keras.layers.MaxPooling1D):
    """The maximum of each window of sequences: Keras' layer, attar's kernel.

    Takes (N, steps, C), or (N, C, steps) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import MaxPooling1D
    >>> x = np.array([1, 3, 4, 5], "float32").reshape(1, 4, 1)
    >>> np.from_dlpack(MaxPooling1D(2)(x)).ravel().tolist()
    [3.0, 5.0]
    """


@register
class MaxPooling2D(_Max, keras.layers.MaxPooling2D):
    """The maximum of each window of images: Keras' layer, attar's kernel.

    Takes (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import MaxPooling2D
    >>> x = np.array([1, 3, 4, 5] * 2, "float32").reshape(1, 2, 4, 1)
    >>> np.from_dlpack(MaxPooling2D(2)(x)).ravel().tolist()
    [3.0, 5.0]
    """


@register
class MaxPooling3D(_Max, keras.layers.MaxPooling3D):
    """The maximum of each window of volumes: Keras' layer, attar's kernel.

    Takes (N, D, H, W, C), or (N, C, D, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import MaxPooling3D
    >>> x = np.array([1, 3, 4, 5] * 4, "float32").reshape(1, 2, 2, 4, 1)
    >>> np.from_dlpack(MaxPooling3D(2)(x)).ravel().tolist()
    [3.0, 5.0]
    """


@register
class AveragePooling1D(_Average, keras.layers.AveragePooling1D):
    """The mean of each window of sequences: Keras' layer, attar's kernel.

    Takes (N, steps, C), or (N, C, steps) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AveragePooling1D
    >>> x = np.array([1, 3, 4, 5], "float32").reshape(1, 4, 1)
    >>> np.from_dlpack(AveragePooling1D(2)(x)).ravel().tolist()
    [2.0, 4.5]
    """


@register
class AveragePooling2D(_Average, keras.layers.AveragePooling2D):
    """The mean of each window of images: Keras' layer, attar's kernel.

    Takes (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AveragePooling2D
    >>> x = np.array([1, 3, 4, 5] * 2, "float32").reshape(1, 2, 4, 1)
    >>> np.from_dlpack(AveragePooling2D(2)(x)).ravel().tolist()
    [2.0, 4.5]
    """


@register
class AveragePooling3D(_Average, keras.layers.AveragePooling3D):
    """The mean of each window of volumes: Keras' layer, attar's kernel.

    Takes (N, D, H, W, C), or (N, C, D, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AveragePooling3D
    >>> x = np.array([1, 3, 4, 5] * 4, "float32").reshape(1, 2, 2, 4, 1)
    >>> np.from_dlpack(AveragePooling3D(2)(x)).ravel().tolist()
    [2.0, 4.5]
    """


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
