"""The layers of a convnet, with Keras' names, arguments and numbers.

A layer computes what a trained model does: nothing here trains. Images are (N, H, W, C) arrays of
float32 or float64. `initializers` holds how weights begin.
"""

from attar.layers import initializers as initializers
from attar.layers.activations import (
    ELU,
    Activation,
    LeakyReLU,
    PReLU,
    ReLU,
    Softmax,
)
from attar.layers.antialias import (
    AverageBlurPooling2D,
    MaxBlurPooling2D,
)
from attar.layers.base import (
    Input,
    InputLayer,
    Layer,
    Symbol,
)
from attar.layers.filters import (
    Conv2D,
    Dense,
    DepthwiseConv2D,
)
from attar.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from attar.layers.pools import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from attar.layers.scaling import (
    BatchNormalization,
    Rescaling,
)
from attar.layers.shapes import (
    Dropout,
    Flatten,
    Identity,
    Permute,
    Reshape,
    SpatialDropout2D,
    ZeroPadding2D,
)

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "Average",
    "AverageBlurPooling2D",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxBlurPooling2D",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "Symbol",
    "ZeroPadding2D",
    "initializers",
]
