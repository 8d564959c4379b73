"""Layers of PyTorch that compute with attar's kernels, and train.

Pools with torch.nn's names, arguments and answers; anti-aliased and other pools that torch.nn has
none of; `Extract2d`, a convolution with its ReLU and its max pool in one pass; `accelerate`, which
puts them into a model that is there already. It needs PyTorch: ``pip install attar[torch]``.

>>> import torch
>>> from attar.torch import MaxPool2d
>>> MaxPool2d(2)(torch.arange(16.0).view(1, 1, 4, 4))
tensor([[[[ 5.,  7.],
          [13., 15.]]]])
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"attar.torch needs PyTorch, which cannot be imported ({error}); "
        "install it: pip install attar[torch]"
    ) from error

from attar.torch.acceleration import Acceleration, accelerate, restore
from attar.torch.extraction import Extract2d
from attar.torch.layers import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    BlurPool2d,
    FractionalMaxPool2d,
    GeM,
    LPPool1d,
    LPPool2d,
    LPPool3d,
    MaxBlurPool2d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    PolyphasePool2d,
    SoftPool2d,
)

__all__ = [
    "Acceleration",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BlurPool2d",
    "Extract2d",
    "FractionalMaxPool2d",
    "GeM",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxBlurPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "PolyphasePool2d",
    "SoftPool2d",
    "accelerate",
    "restore",
]
