"""Condense each map to one number, in place of Keras' own layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from attar import nn
from attar.keras.native import Native, register
from attar.keras.operations import FLOATS, REALS, plain

__all__ = [
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
]


class _Global(Native):
    kind: str

    def call(self, inputs: Any) -> Any:
        """Take everything as one window."""
        is_max = self.kind == "MAX"
        operation = plain(
            nn.global_pool,
            nn.global_pool_grad,
            keeps_inputs=is_max,
            dtypes=REALS if is_max else FLOATS,
            pooling_type=self.kind,
            data_format=self._layout(len(inputs.shape) - 2),
            keepdims=self.keepdims,
        )
        return self._compute(operation, inputs, otherwise=partial(super().call, inputs))


class _GlobalMax(_Global):
    kind = "MAX"


class _GlobalAverage(_Global):
    kind = "AVG"


@register
class GlobalMaxPooling1D(_GlobalMax, keras.layers.GlobalMaxPooling1D):
    """The maximum of each map of sequences: Keras' layer, attar's kernel.

    Takes (N, steps, C), or (N, C, steps) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GlobalMaxPooling1D
    >>> x = np.array([1, 3, 4, 5], "float32").reshape(1, 4, 1)
    >>> np.from_dlpack(GlobalMaxPooling1D()(x)).ravel().tolist()
    [5.0]
    """


@register
class GlobalMaxPooling2D(_GlobalMax, keras.layers.GlobalMaxPooling2D):
    """The maximum of each map of images: Keras' layer, attar's kernel.

    Takes (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GlobalMaxPooling2D
    >>> x = np.array([1, 3, 4, 5] * 2, "float32").reshape(1, 2, 4, 1)
    >>> np.from_dlpack(GlobalMaxPooling2D()(x)).ravel().tolist()
    [5.0]
    """


@register
class GlobalMaxPooling3D(_GlobalMax, keras.layers.GlobalMaxPooling3D):
    """The maximum of each map of volumes: Keras' layer, attar's kernel.

    Takes (N, D, H, W, C), or (N, C, D, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GlobalMaxPooling3D
    >>> x = np.array([1, 3, 4, 5] * 4, "float32").reshape(1, 2, 2, 4, 1)
    >>> np.from_dlpack(GlobalMaxPooling3D()(x)).ravel().tolist()
    [5.0]
    """


@register
class GlobalAveragePooling1D(_GlobalAverage, keras.layers.GlobalAveragePooling1D):
    """The mean of each map of sequences: Keras' layer, attar's kernel.

    Takes (N, steps, C), or (N, C, steps) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GlobalAveragePooling1D
    >>> x = np.array([1, 3, 4, 5], "float32").reshape(1, 4, 1)
    >>> np.from_dlpack(GlobalAveragePooling1D()(x)).ravel().tolist()
    [3.25]
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Take the mean of a sequence; with a `mask` of the steps that count, as Keras does."""
        if mask is None:
            return super().call(inputs)
        return keras.layers.GlobalAveragePooling1D.call(self, inputs, mask=mask)


@register
class GlobalAveragePooling2D(_GlobalAverage, keras.layers.GlobalAveragePooling2D):
    """The mean of each map of images: Keras' layer, attar's kernel.

    Takes (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GlobalAveragePooling2D
    >>> x = np.array([1, 3, 4, 5] * 2, "float32").reshape(1, 2, 4, 1)
    >>> np.from_dlpack(GlobalAveragePooling2D()(x)).ravel().tolist()
    [3.25]
    """


@register
class GlobalAveragePooling3D(_GlobalAverage, keras.layers.GlobalAveragePooling3D):
    """The mean of each map of volumes: Keras' layer, attar's kernel.

    Takes (N, D, H, W, C), or (N, C, D, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import GlobalAveragePooling3D
    >>> x = np.array([1, 3, 4, 5] * 4, "float32").reshape(1, 2, 2, 4, 1)
    >>> np.from_dlpack(GlobalAveragePooling3D()(x)).ravel().tolist()
    [3.25]
    """


GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
