"""Keras 3 layers whose work is done by attar's kernels, on the CPU.

Those that Keras has too have its names, arguments, defaults and numbers, and are its layers to
``isinstance``; others are named likewise. They run and train on PyTorch, JAX and TensorFlow, and
run on NumPy.

>>> import keras
>>> from attar.keras import MaxPooling2D
>>> isinstance(MaxPooling2D(), keras.layers.MaxPooling2D)
True

Importing this package imports Keras: ``pip install "attar[keras]"``.
"""

try:
    import keras
except ModuleNotFoundError as error:
    if error.name != "keras":  # Keras is there, what it runs on is not
        raise
    raise ImportError(
        "attar.keras needs the package keras; install it with pip install 'attar[keras]', and "
        "with it torch, jax or tensorflow"
    ) from error

from attar.keras.antialias import BlurPool2D, MaxBlurPool2D, PolyphasePool2D
from attar.keras.extract import Extract2D
from attar.keras.fractional import FractionalMaxPool2D
from attar.keras.norms import GeM2D, LPPool2D, SoftPool2D
from attar.keras.whole import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from attar.keras.windows import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BlurPool2D",
    "Extract2D",
    "FractionalMaxPool2D",
    "GeM2D",
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
    "LPPool2D",
    "MaxBlurPool2D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "PolyphasePool2D",
    "SoftPool2D",
]

if hasattr(keras.layers, "AdaptiveMaxPooling2D"):  # not before Keras 3.13
    from attar.keras.adaptive import (
        AdaptiveAveragePooling1D,
        AdaptiveAveragePooling2D,
        AdaptiveAveragePooling3D,
        AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D,
        AdaptiveMaxPooling3D,
    )

    __all__ += [
        "AdaptiveAveragePooling1D",
        "AdaptiveAveragePooling2D",
        "AdaptiveAveragePooling3D",
        "AdaptiveMaxPooling1D",
        "AdaptiveMaxPooling2D",
        "AdaptiveMaxPooling3D",
    ]
