"""Keras models whose strides are replaced: the numbers, the shapes, and what stays."""

import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers

import attar
from attar.errors import ModelError
from tests.repair_cases import (
    condensed,
    dense_convolution,
    maxima,
    means,
    numbers,
    pads_of,
    repaired_pool,
)
from tests.vgg16 import vgg16_keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = ("blur3", "blur5", "polyphase", "average")


def first(x):
    """(N, C, H, W) of what Keras answers."""
    return np.moveaxis(np.asarray(keras.ops.convert_to_numpy(x)), 3, 1)


def last(x):
    return np.moveaxis(x, 1, 3)


def chain(shape, *made):
    given = x = keras.Input(shape)
    for layer in made:
        x = layer(x)
    return keras.Model(given, x)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(KINDS), st.booleans(), st.booleans())
def test_pools_of_any_shape(data, kind, is_mean, wraps):
    pairs = st.tuples
    window = data.draw(pairs(st.integers(1, 4), st.integers(1, 4)))
    stride = data.draw(pairs(st.integers(1, 3), st.integers(1, 3)))
    sizes = data.draw(pairs(st.integers(1, 9), st.integers(1, 9)))
    padding = data.draw(st.sampled_from(("same", "valid")))
    assume(max(stride) > 1 and not (is_mean and kind == "average"))
    assume(padding == "same" or all(a >= b for a, b in zip(sizes, window, strict=True)))
    assume(not wraps or all(a >= b + 2 for a, b in zip(sizes, window, strict=True)))
    border = "circular" if wraps else "reflect"
    pool = (layers.AveragePooling2D if is_mean else layers.MaxPooling2D)(window, stride, padding)
    model = chain((*sizes, 3), pool)
    repaired = attar.repair(model, kind, border=border)
    x = numbers((2, 3, *sizes))
    after = first(repaired.model(last(x)))
    assert repaired.model.output_shape == model.output_shape
    pads = pads_of(sizes, window, stride, padding)
    reduce = means if is_mean else maxima
    wanted = repaired_pool(x, window, stride, pads, False, kind, reduce, border)
    np.testing.assert_allclose(after, wanted, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("fused", [True, False])
def test_convolutions_wait_for_their_activation(kind, padding, fused):
    conv = layers.Conv2D(4, 3, 2, padding, activation="relu" if fused else None, name="conv")
    model = chain((11, 8, 3), conv, *([] if fused else [layers.ReLU(name="relu")]))
    repaired = attar.repair(model, kind)
    assert repaired.replaced[0].why == ("behind it" if fused else "behind relu")
    assert repaired.model.output_shape == model.output_shape
    x = numbers((2, 3, 11, 8))
    kernel, bias = (keras.ops.convert_to_numpy(each) for each in conv.weights)
    pads = pads_of((11, 8), (3, 3), (2, 2), padding)
    dense = dense_convolution(x, kernel.transpose(3, 2, 0, 1), pads) + bias[:, None, None]
    wanted = condensed(np.maximum(dense, 0), kind, (2, 2))
    np.testing.assert_allclose(first(repaired.model(last(x))), wanted, atol=1e-4)


def block(name="block"):
    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, 2, "same", use_bias=False, name="conv")(given)
    x = layers.ReLU(name="act")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 1, name="deep")(x)
    x = layers.Add()([x, layers.Conv2D(8, 1, 2, name="down")(given)])
    x = layers.MaxPooling2D(name="pool")(keras.ops.relu(x)) * 2.0
    x = layers.Dropout(0.5)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(5)(x), name=name)


def test_a_residual_block_shares_its_phase():
    repaired = attar.repair(block(), "polyphase")
    assert [(each.layer, each.why) for each in repaired.replaced] == [
        ("conv", "behind act"),
        ("down", "before it, phase of conv"),
        ("pool", "behind it"),
    ]


def test_a_shared_phase_forgets_circular_shifts():
    given = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 1, 2, activation="relu", name="conv")(given)
    x = layers.Add()([x, layers.Conv2D(6, 1, 2, name="down")(given)])
    x = layers.MaxPooling2D(name="pool")(x)
    model = keras.Model(given, layers.GlobalMaxPooling2D()(x))
    repaired = attar.repair(model, "polyphase", border="circular").model
    x = numbers((4, 16, 16, 3))
    run = lambda which, x: keras.ops.convert_to_numpy(which(x))  # noqa: E731
    answer, plain, changed = run(repaired, x), run(model, x), 0.0
    for dy, dx in np.ndindex(4, 4):
        moved = np.roll(x, (dy, dx), (1, 2))
        np.testing.assert_allclose(run(repaired, moved), answer, rtol=1e-4, atol=1e-5)
        changed = max(changed, float(np.abs(run(model, moved) - plain).max()))
    assert changed > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_weights_names_and_the_model_stay_and_files_keep_all(kind, tmp_path):
    model = block()
    model.get_layer("deep").trainable = False
    x = numbers((3, 16, 16, 3))
    before = keras.ops.convert_to_numpy(model(x))
    repaired = attar.repair(model, kind)
    for one, other in zip(repaired.model.weights, model.weights, strict=True):
        assert one.name == other.name
        one, other = map(keras.ops.convert_to_numpy, (one, other))
        np.testing.assert_array_equal(one, other)
    names = {layer.name for layer in repaired.model.layers}
    assert {layer.name for layer in model.layers} <= names
    assert repaired.model.name == "block"
    assert not repaired.model.get_layer("deep").trainable
    repaired.save(tmp_path / "block.keras")
    again = keras.saving.load_model(tmp_path / "block.keras")
    answer = keras.ops.convert_to_numpy(repaired.model(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(again(x)), answer, atol=1e-6)
    repaired.model.compile("sgd", "mse")
    repaired.model.fit(x, np.zeros((3, 5), np.float32), verbose=0)
    assert not np.array_equal(keras.ops.convert_to_numpy(repaired.model(x)), answer)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)


def test_models_within_models_and_sequential_ones():
    inner = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, 2, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
        ],
        name="base",
    )
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Rescaling(2.0), inner, layers.GlobalMaxPooling2D()]
    )
    x = numbers((2, 16, 16, 3))
    for kind in KINDS:
        repaired = attar.repair(model, kind)
        assert [each.layer for each in repaired.replaced] == ["base/conv", "base/pool"]
        assert all(each.now for each in repaired.replaced)
        wanted = attar.repair(inner, kind).model(2 * x)
        wanted = keras.ops.max(wanted, (1, 2))
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(repaired.model(x)), keras.ops.convert_to_numpy(wanted),
            atol=1e-5,
        )  # fmt: skip


def test_a_model_within_that_meets_another_grid_keeps_its_strides_for_phases():
    inner = chain((16, 16, 3), layers.MaxPooling2D(name="pool"))
    inner.name = "base"
    given = keras.Input((16, 16, 3))
    other = layers.MaxPooling2D(name="other")(given)
    model = keras.Model(given, layers.Add(name="add")([inner(given), other]))
    repaired = attar.repair(model, "polyphase")
    assert {each.layer: each.now for each in repaired.replaced} == {"other": "", "base/pool": ""}
    assert all("meets one of another grid in add" in each.why for each in repaired.replaced)
    x = numbers((2, 16, 16, 3))
    for one in (model, attar.repair(model, "blur3").model):
        assert one(x).shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(first(repaired.model(x)), first(model(x)))


def test_depthwise_and_separable_convolutions():
    model = chain(
        (17, 16, 3),
        layers.DepthwiseConv2D(3, 2, "same", name="depth"),
        layers.SeparableConv2D(4, 3, 2, "same", name="separable"),
    )
    repaired = attar.repair(model, "blur3")
    assert [each.now for each in repaired.replaced] == [
        "DepthwiseConv2D 3 / 1, blur3 / 2",
        "SeparableConv2D 3 / 1, blur3 / 2",
    ]
    x = numbers((2, 3, 17, 16))
    kernel, bias = (keras.ops.convert_to_numpy(each) for each in model.layers[1].weights)
    pads = pads_of((17, 16), (3, 3), (2, 2), "same")
    dense = dense_convolution(x, kernel.transpose(2, 3, 0, 1), pads, groups=3)
    wanted = condensed(dense + bias[:, None, None], "blur3", (2, 2))
    middle = keras.Model(repaired.model.input, repaired.model.get_layer("depth_condensed").output)
    np.testing.assert_allclose(first(middle(last(x))), wanted, atol=1e-5)
    assert repaired.model.output_shape == model.output_shape


@pytest.mark.parametrize(("name", "count"), [("ResNet50V2", 8), ("MobileNetV2", 5)])
def test_models_of_keras_applications(name, count):
    model = getattr(keras.applications, name)(
        input_shape=(64, 64, 3), weights=None, classes=7, classifier_activation=None
    )
    repaired = attar.repair(model, "polyphase")
    assert sum(bool(each.now) for each in repaired.replaced) == count
    assert repaired.model.output_shape == model.output_shape
    # Strides that meet behind shortcuts take one choice.
    leaders = [each.why for each in repaired.replaced if "phase of" in each.why]
    assert bool(leaders) == (name == "ResNet50V2")


class Own(keras.layers.Conv2D):
    pass


def test_what_stays_is_listed_with_the_reason():
    model = chain((None, None, 3), layers.MaxPooling2D(3, 2, "same", name="pool"))
    (told,) = attar.repair(model, "blur3").replaced
    assert told.now == ""
    assert "its padding 'same' depends on a size not known" in told.why
    (told,) = attar.repair(chain((8, 8, 3), Own(2, 3, 2, name="own")), "blur3").replaced
    assert told.why == (
        "stays: Own is not among what is replaced: it computes more than a convolution"
    )
    model = chain((8, 3), layers.MaxPooling1D(2, name="row"))
    (told,) = attar.repair(model, "blur3").replaced
    assert told.why == "stays: it does not work along height and width"
    model = chain((8, 8, 3), layers.AveragePooling2D(2, name="mean"))
    (told,) = attar.repair(model, "average").replaced
    assert told.why == "stays: it is a mean already"


def test_models_that_are_written_as_classes():
    class Written(keras.Model):
        def call(self, x):
            return x

    model = Written(name="written")
    model(numbers((1, 8, 8, 3)))
    with pytest.raises(ModelError, match=r"repair: the model 'written' is written as a class"):
        attar.repair(model, "blur3")


def test_a_repaired_file_is_opened_by_a_program_that_never_heard_of_it(tmp_path):
    attar.repair(block(), "polyphase").save(tmp_path / "block.keras")
    code = f"""
import attar, numpy as np
model = attar.open_model({str(tmp_path / "block.keras")!r})
print(model.predict(np.zeros((2, 16, 16, 3), np.float32)).shape)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "(2, 5)", run.stderr


def test_a_sequential_model_is_measured_as_the_functional_one_that_it_becomes():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)), layers.Conv2D(4, 3, 2, activation="relu"),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip
    images = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    repaired = attar.repair(model, images=images, labels=[0, 1, 2, 0], modes=("zero",), reach=1)
    answers = keras.ops.convert_to_numpy(repaired.model(images)).argmax(1)
    assert repaired.bought.after.accuracy == np.mean(answers == [0, 1, 2, 0])


def test_the_real_vgg16_base_repaired_by_three_rooms_gives_the_same_maps(tmp_path):
    model = vgg16_keras()
    own = attar.Sequential.from_keras(model)
    own.to_onnx(tmp_path / "base.onnx")
    images = np.random.default_rng(0).random((1, 64, 96, 3), np.float32)
    given = images * 255 - 110
    wanted = attar.repair(own, "blur3").model(given)
    assert wanted.shape == own(given).shape == (1, 2, 3, 512)
    assert not np.allclose(wanted, own(given), rtol=0.1)
    tolerance = 1e-4 * np.abs(wanted).max()
    for source in (model, tmp_path / "base.onnx"):
        repaired = attar.repair(source, "blur3")
        assert [each.now for each in repaired.replaced if not each.now.endswith("blur3 / 2")] == []
        assert len(repaired.replaced) == 5
        opened = attar.open_model(repaired.model, size=(64, 96), scale=255, mean=110)
        last = opened.layers[-1].name
        np.testing.assert_allclose(opened.run(images, last)[last], wanted, atol=tolerance)
