"""Keras models taken over, as objects and as files: the maps of Keras itself, layer by layer."""

import os

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported

import io
import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from attar import Sequential
from attar.errors import ModelError
from attar.interchange.keras import read

from .cases import random
from .vgg16 import vgg16_keras, vgg16_names

L = keras.layers

# NumPy 2 says it of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def settle(model, seed=0):
    """Give every weight numbers that show; variances must be positive."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        values = generator.uniform(-0.5, 0.5, weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def maps_of(model, x):
    """Every map of a Keras model, by the name of its layer; nested models left out."""
    leaves = [layer for layer in model.layers if not isinstance(layer, L.InputLayer)]
    watched = keras.Model(model.inputs[0], {layer.name: layer.output for layer in leaves})
    return {name: np.asarray(map_.detach()) for name, map_ in watched(x).items()}


def close(answer, expected, tolerance=1e-5):
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= tolerance * max(1, np.abs(expected).max())


def sequential(*layers, shape=(16, 15, 3)):
    return lambda: keras.Sequential([L.Input(shape), *(layer() for layer in layers)])


def functional(function, shape=(16, 15, 3)):
    def build():
        image = L.Input(shape)
        return keras.Model(image, function(image))

    return build


def residual(x):
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = L.BatchNormalization()(x)
    x = before = L.ReLU(max_value=6)(x)
    x = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = L.PReLU(shared_axes=[1, 2])(x)
    x = L.Conv2D(8, 1)(x)
    x = L.Add()([before, x])
    x = L.Concatenate()([x, L.LeakyReLU()(before)])
    return L.Dense(5, activation="softmax")(L.GlobalAveragePooling2D()(x))


def operators(x):
    a, b = L.Conv2D(3, 1)(x), L.Conv2D(3, 1)(x)
    c = (a + b) * a - b
    return keras.ops.relu(1 - c * 2.0) + 0.5


def merging(x):
    a, b = L.Conv2D(3, 1)(x), L.Conv2D(3, 1)(x)
    kinds = [L.Add, L.Subtract, L.Multiply, L.Maximum, L.Minimum, L.Average]
    return L.Concatenate(axis=1)([kind()([a, b]) for kind in kinds])


def twice(x):
    layer = L.Conv2D(3, 3, padding="same", name="twice")
    return layer(L.ReLU()(layer(x)))


MODELS = {
    "the lesson's": sequential(
        lambda: L.Conv2D(filters=64, kernel_size=3), lambda: L.MaxPool2D(pool_size=2),
        lambda: L.Conv2D(filters=16, kernel_size=3, activation="relu"),
        lambda: L.MaxPool2D(pool_size=3, strides=2, padding="same"), L.Flatten,
        lambda: L.Dropout(0.5), lambda: L.Dense(6, activation="relu"),
        lambda: L.Dense(1, activation="sigmoid"),
    ),
    "filters": sequential(
        lambda: L.Conv2D(6, (3, 2), dilation_rate=2, groups=3), lambda: L.ZeroPadding2D((1, 2)),
        lambda: L.AveragePooling2D(3, 1, padding="same"), lambda: L.Rescaling(0.5, -1),
        lambda: L.SpatialDropout2D(0.1), lambda: L.GlobalMaxPooling2D(keepdims=True),
    ),
    "activations": sequential(
        *(
            lambda name=name: L.Conv2D(3, 1, activation=name)
            for name in (
                "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid",
                "hard_sigmoid", "tanh", "softplus", "softsign", "softmax", "exponential",
            )
        ),
        lambda: L.Activation("tanh"), lambda: L.ELU(0.5), L.Softmax,
        lambda: L.ReLU(negative_slope=0.1, threshold=0.1), L.PReLU,
    ),
    "shapes": sequential(
        lambda: L.Permute((2, 1, 3)), lambda: L.Reshape((-1, 6)), L.Identity, L.Flatten,
        lambda: L.Dense(4, use_bias=False), lambda: L.BatchNormalization(scale=False),
    ),
    "separable": sequential(
        lambda: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3]),
        lambda: L.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, activation="relu"),
        lambda: L.SeparableConv2D(4, (2, 3), padding="same", use_bias=False),
        lambda: L.Normalization(mean=0.5, variance=2.0, invert=True), L.Normalization,
    ),
    "residual": functional(residual),
    "merging": functional(merging),
    "used twice": functional(twice),
}  # fmt: skip


def build(name):
    keras.utils.clear_session()
    return settle(MODELS[name]())


@pytest.mark.parametrize("source", ["object", "file"])
@pytest.mark.parametrize("name", MODELS)
def test_every_map(name, source, tmp_path):
    model = build(name)
    x = random((2, 16, 15, 3), seed=1)
    if source == "file":
        model.save(tmp_path / "model.keras")
    graph = read(model if source == "object" else tmp_path / "model.keras")
    assert graph.input_shape == (16, 15, 3)
    ours = Sequential(graph)
    close(ours(x), np.asarray(model(x).detach()))
    maps = ours.trace(x)
    if name == "used twice":
        maps["twice"] = maps["twice:2"]  # Keras has the last
        del maps["twice:2"]
    expected = (
        maps_of(model, x) if name != "used twice" else {"twice": np.asarray(model(x).detach())}
    )
    assert set(expected) <= set(maps)
    for layer, map_ in expected.items():
        close(maps[layer], map_)


@pytest.mark.parametrize("source", ["object", "file"])
def test_operators_between_layers(source, tmp_path):
    model = settle(functional(operators)())
    x = random((2, 16, 15, 3))
    model.save(tmp_path / "model.keras")
    graph = read(model if source == "object" else tmp_path / "model.keras")
    close(Sequential(graph)(x), np.asarray(model(x).detach()))


@pytest.mark.parametrize("source", ["object", "file"])
def test_models_within_models(source, tmp_path):
    base = keras.Sequential(
        [L.Input((16, 15, 3)), L.Conv2D(3, 3, padding="same"), L.BatchNormalization()], name="base"
    )
    image = L.Input((16, 15, 3))
    side = keras.Model(image, L.Add()([image, L.Conv2D(3, 1)(image)]), name="side")
    start = L.Input((16, 15, 3))
    x = L.Concatenate()([side(base(start)), side(start), side(side(start))])
    for model in (
        keras.Model(start, L.Conv2D(2, 1)(x)),
        keras.Model(start, side(base(start))),  # answers with a model's answer
        keras.Sequential([base, side, L.Conv2D(2, 1)]),
    ):
        settle(model)
        model.save(tmp_path / "model.keras")
        graph = read(model if source == "object" else tmp_path / "model.keras")
        data = random((2, 16, 15, 3))
        close(Sequential(graph)(data), np.asarray(model(data).detach()))


def test_a_file_is_read_without_keras(tmp_path):
    build("residual").save(tmp_path / "model.keras")
    code = (
        "import sys; from attar.interchange.keras import read;"
        f"read({str(tmp_path / 'model.keras')!r});"
        "assert not {'keras', 'torch', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_images_of_any_size(tmp_path):
    model = settle(sequential(lambda: L.Conv2D(4, 3, strides=2), shape=(None, None, 3))())
    model.save(tmp_path / "model.keras")
    graph = read(tmp_path / "model.keras")
    assert graph.input_shape == (None, None, 3)
    for size in (9, 14):
        x = random((1, size, size + 2, 3))
        close(Sequential(graph)(x), np.asarray(model(x).detach()))


# ------------------------------------------------------------------------------ real models


def test_every_map_of_the_real_vgg16(tmp_path):
    model = vgg16_keras()
    x = 60 * random((1, 64, 96, 3), seed=1)  # an image less its mean
    expected = maps_of(model, x)
    model.save(tmp_path / "vgg16.keras")
    for source in (model, tmp_path / "vgg16.keras"):
        ours = Sequential.from_keras(source)
        maps = ours.trace(x)
        assert list(maps) == vgg16_names()
        for name, map_ in expected.items():
            close(maps[name], map_, 1e-4)
        close(ours(x), expected["block5_pool"], 1e-4)


def test_the_digits_classifier_of_others():
    package = find_spec("digitsclassifier")
    if package is None:
        pytest.skip("pip install --no-deps digitsclassifier")
    (path,) = Path(package.origin).parent.rglob("*.keras")
    there = keras.models.load_model(path)
    x = random((3, 28, 28, 1))
    ours = Sequential.from_keras(path)
    maps = ours.trace(x)
    for name, map_ in maps_of(there, x).items():
        close(maps[name], map_)
    close(ours(x), np.asarray(there(x).detach()))


# ---------------------------------------------------------------------- what is not, by name


@keras.saving.register_keras_serializable("mine")
class Conv2D(L.Conv2D):
    """Another's layer with the name of one of Keras."""


REFUSED = {
    "lambda": (
        lambda: L.Lambda(lambda x: x * 2, name="double"),
        r"the layer 'double' \(Lambda\) cannot be taken over; cut the model before it",
    ),
    "a class of its own": (
        lambda: Conv2D(2, 3, name="mine"), r"'mine' \(Conv2D\) is a class of its own, not of Keras"
    ),
    "another layer": (
        lambda: L.Conv2DTranspose(2, 3), r"\(Conv2DTranspose\) cannot be taken over"
    ),
    "channels first": (
        lambda: L.MaxPooling2D(2, data_format="channels_first"), "has data_format='channels_first'"
    ),
    "half precision": (
        lambda: L.Conv2D(2, 3, dtype="mixed_float16"), "computes in 'mixed_float16'"
    ),
    "an activation with arguments": (
        lambda: L.Conv2D(2, 3, activation=L.LeakyReLU(0.1)), "give it as a layer of its own"
    ),
    "an axis of its own": (
        lambda: L.BatchNormalization(axis=1), "has axis=1 for the shape"
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", ["object", "file"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_over_is_named(name, source, tmp_path):
    make, message = REFUSED[name]
    model = keras.Sequential([L.Input((16, 15, 3)), make()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=message):
        read(model if source == "object" else tmp_path / "model.keras")


def test_models_that_are_not_known():
    class Own(keras.Model):
        def call(self, x):
            return x

    own = Own()
    own.build((None, 4, 4, 3))
    with pytest.raises(ModelError, match="the model is a 'Own'; Sequential and Functional are"):
        read(own)
    with pytest.raises(ModelError, match="has no weights yet; build it"):
        read(keras.Sequential([L.Conv2D(2, 3)]))
    with pytest.raises(ModelError, match=r"takes a Keras model or a path, got .*Conv2D"):
        read(L.Conv2D(2, 3))
    image = L.Input((4, 4, 3))
    with pytest.raises(ModelError, match="has 2 outputs; one is accepted"):
        read(keras.Model(image, [L.ReLU()(image), L.Softmax()(image)]))


def test_other_files_of_keras(tmp_path):
    model = build("the lesson's")
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ModelError, match="is an HDF5 file; load it with Keras"):
        read(tmp_path / "model.weights.h5")


# ------------------------------------------------------------ files that were changed afterwards


def repack(path, change=None, **entries):
    """Write an archive anew, with other entries or another config."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    if change is not None:
        config = json.loads(held["config.json"])
        change(config)
        held["config.json"] = json.dumps(config).encode()
    held.update(entries)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in held.items():
            if data is not None:
                archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())


def of_layer(index, **values):
    def change(config):
        config["config"]["layers"][index]["config"].update(values)

    return change


def cycle(config):
    layers = {entry["name"]: entry for entry in config["config"]["layers"]}
    first = next(entry for name, entry in layers.items() if entry["class_name"] == "Conv2D")
    tensor = first["inbound_nodes"][0]["args"][0]
    last = config["config"]["output_layers"][0]
    tensor["config"]["keras_history"] = [last, 0, 0]


def missing(config):
    config["config"]["layers"][-1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = (
        "no"
    )


def deep(config):
    held = config["config"]["layers"]
    for depth in range(40):
        model = {"name": f"model{depth}", "layers": held}
        held = [held[0], {**config, "name": f"model{depth}", "config": model}]
    config["config"]["layers"] = held


CHANGED = {
    "absurd filters": ("the lesson's", of_layer(1, filters=10**9), r"does not fit: .*64"),
    "negative filters": ("the lesson's", of_layer(1, filters=-64), "cannot be made: .*filters"),
    "filters of text": ("the lesson's", of_layer(1, filters="64"), "cannot be made: .*filters"),
    "absurd input": (
        "the lesson's", of_layer(0, batch_shape=[None, 10**12, 16, 3]), "input's shape"
    ),
    "negative input": (
        "the lesson's", of_layer(0, batch_shape=[None, -16, 16, 3]), "must be from 1"
    ),
    "unknown argument": ("the lesson's", of_layer(1, twist=3), "has twist=3, which is not known"),
    "a layer too many": (
        "the lesson's",
        lambda config: config["config"]["layers"].append(config["config"]["layers"][1]),
        "two layers have the name 'conv2d'",
    ),
    "a layer without weights": (
        "the lesson's",
        lambda config: config["config"]["layers"].append(
            {**config["config"]["layers"][-1], "config": {"name": "more", "units": 2}}
        ),
        r"the layer 'more' \(Dense\) has 0 weights; it needs 2 \(kernel, bias\)",
    ),
    "a cycle": ("residual", cycle, "the graph has a cycle"),
    "a layer that is not there": ("residual", missing, "takes the answer of 'no'"),
    "no layers": (
        "the lesson's", lambda config: config["config"].update(layers=None), "must be a list"
    ),
    "another class": (
        "the lesson's", lambda config: config.update(class_name="Own"), "the model is a 'Own'"
    ),
    "another module": (
        "the lesson's", lambda config: config.update(module="os"), "Sequential and Functional are"
    ),
    "models within models within models": ("the lesson's", deep, "more than 16 deep"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_a_config_that_lies(name, tmp_path):
    model, change, message = CHANGED[name]
    path = tmp_path / "model.keras"
    build(model).save(path)
    repack(path, change)
    with pytest.raises(ModelError, match=message):
        read(path)
