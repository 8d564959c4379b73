"""Condense to a size that is asked for, in place of the layers that Keras has since 3.13."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from attar import nn
from attar.keras.native import Native, register
from attar.keras.operations import FLOATS, REALS, plain

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
]


class _Adaptive(Native):
    kind: str

    def call(self, inputs: Any) -> Any:
        """Pool to the size."""
        is_max = self.kind == "MAX"
        operation = plain(
            nn.adaptive_pool,
            nn.adaptive_pool_grad,
            keeps_inputs=is_max,
            dtypes=REALS if is_max else FLOATS,
            output_size=self.output_size,
            pooling_type=self.kind,
            data_format=self._layout(len(self.output_size)),
        )
        return self._compute(operation, inputs, otherwise=partial(super().call, inputs))


class _AdaptiveMax(_Adaptive):
    kind = "MAX"


class _AdaptiveAverage(_Adaptive):
    kind = "AVG"


@register
class AdaptiveMaxPooling1D(_AdaptiveMax, keras.layers.AdaptiveMaxPooling1D):
    """The maximum of each of `output_size` parts of sequences: Keras' layer, attar's kernel.

    Takes (N, steps, C), or (N, C, steps) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AdaptiveMaxPooling1D
    >>> x = np.array([1, 3, 4, 5], "float32").reshape(1, 4, 1)
    >>> np.from_dlpack(AdaptiveMaxPooling1D(2)(x)).ravel().tolist()
    [3.0, 5.0]
    """


@register
class AdaptiveMaxPooling2D(_AdaptiveMax, keras.layers.AdaptiveMaxPooling2D):
    """The maximum of each of `output_size` parts of images: Keras' layer, attar's kernel.

    Takes (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AdaptiveMaxPooling2D
    >>> x = np.array([1, 3, 4, 5] * 2, "float32").reshape(1, 2, 4, 1)
    >>> np.from_dlpack(AdaptiveMaxPooling2D((1, 2))(x)).ravel().tolist()
    [3.0, 5.0]
    """


@register
class AdaptiveMaxPooling3D(_AdaptiveMax, keras.layers.AdaptiveMaxPooling3D):
    """The maximum of each of `output_size` parts of volumes: Keras' layer, attar's kernel.

    Takes (N, D, H, W, C), or (N, C, D, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AdaptiveMaxPooling3D
    >>> x = np.array([1, 3, 4, 5] * 4, "float32").reshape(1, 2, 2, 4, 1)
    >>> np.from_dlpack(AdaptiveMaxPooling3D((1, 1, 2))(x)).ravel().tolist()
    [3.0, 5.0]
    """


@register
class AdaptiveAveragePooling1D(_AdaptiveAverage, keras.layers.AdaptiveAveragePooling1D):
    """The mean of each of `output_size` parts of sequences: Keras' layer, attar's kernel.

    Takes (N, steps, C), or (N, C, steps) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AdaptiveAveragePooling1D
    >>> x = np.array([1, 3, 4, 5], "float32").reshape(1, 4, 1)
    >>> np.from_dlpack(AdaptiveAveragePooling1D(2)(x)).ravel().tolist()
    [2.0, 4.5]
    """


@register
class AdaptiveAveragePooling2D(_AdaptiveAverage, keras.layers.AdaptiveAveragePooling2D):
    """The mean of each of `output_size` parts of images: Keras' layer, attar's kernel.

    Takes (N, H, W, C), or (N, C, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AdaptiveAveragePooling2D
    >>> x = np.array([1, 3, 4, 5] * 2, "float32").reshape(1, 2, 4, 1)
    >>> np.from_dlpack(AdaptiveAveragePooling2D((1, 2))(x)).ravel().tolist()
    [2.0, 4.5]
    """


@register
class AdaptiveAveragePooling3D(_AdaptiveAverage, keras.layers.AdaptiveAveragePooling3D):
    """The mean of each of `output_size` parts of volumes: Keras' layer, attar's kernel.

    Takes (N, D, H, W, C), or (N, C, D, H, W) with ``data_format="channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from attar.keras import AdaptiveAveragePooling3D
    >>> x = np.array([1, 3, 4, 5] * 4, "float32").reshape(1, 2, 2, 4, 1)
    >>> np.from_dlpack(AdaptiveAveragePooling3D((1, 1, 2))(x)).ravel().tolist()
    [2.0, 4.5]
    """
