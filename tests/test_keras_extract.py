"""Extract2D beside Conv2D, ReLU and MaxPooling2D of Keras, one after the other."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import inspect

import keras
import numpy as np
import pytest

from attar import AttarError, nn
from attar import keras as ak
from attar.keras import backends

from .cases import random

BACKEND = keras.backend.backend()
L = keras.layers

# NumPy 2 says it of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
trains = pytest.mark.skipif(BACKEND == "numpy", reason="there are no gradients in NumPy")

OPTIONS = {
    "plain": {},
    "same": {"padding": "same", "pool_padding": "same"},
    "strides": {"kernel_size": (5, 3), "strides": (2, 1), "pool_strides": (1, 2)},
    "dilated": {"dilation_rate": (2, 1), "pool_size": (3, 2), "padding": "same"},
    "groups": {"groups": 2, "filters": 6, "pool_size": 3, "pool_strides": 2},
    "linear": {"activation": None, "pool_strides": 1},
    "no bias": {"use_bias": False},
    "many filters": {"filters": 32, "padding": "same"},
}


def make(**options):
    return ak.Extract2D(**{"filters": 5, "kernel_size": 3, **options})


def steps_of(layer, **options):
    """The same in the steps of Keras, with the same weights."""
    names = set(inspect.signature(L.Conv2D).parameters)
    config = {key: value for key, value in layer.get_config().items() if key in names}
    return keras.Sequential(
        [
            L.Conv2D(**{**config, "name": None}, **options),
            L.MaxPooling2D(
                layer.pool_size,
                layer.pool_strides,
                layer.pool_padding,
                layer.data_format,
                **options,
            ),
        ]
    )


def images(layer, dtype="float32"):
    x = random((2, 13, 12, 4), seed=1).astype(dtype)
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if "first" in layer.data_format else x


def built_alike(layer, steps, x):
    layer.build(x.shape)
    steps.build(x.shape)
    weights = [random(tuple(w.shape), seed=i) for i, w in enumerate(layer.weights, 2)]
    layer.set_weights(weights)
    steps.set_weights(weights)


def answer_and_gradients(layer, x):
    """The answer, and the gradients of a weighted sum of it for the input and the weights."""

    def weighted(y):
        return random(tuple(y.shape), seed=7).astype(x.dtype)

    if BACKEND == "torch":
        import torch

        tensor = torch.from_numpy(x).requires_grad_()
        y = layer(tensor)
        leaves = [tensor, *(weight.value for weight in layer.trainable_weights)]
        grads = torch.autograd.grad((y * torch.from_numpy(weighted(y))).sum(), leaves)
        return [each.detach().numpy() for each in (y, *grads)]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            y = layer(tensor)
            loss = tf.reduce_sum(y * weighted(y))
        leaves = [tensor, *(weight.value for weight in layer.trainable_weights)]
        return [each.numpy() for each in (y, *tape.gradient(loss, leaves))]
    if BACKEND == "jax":
        import jax

        def call(x, weights):
            return layer.stateless_call(weights, [], x)[0]

        y, pull = jax.vjp(call, x, [weight.value for weight in layer.trainable_weights])
        grad, grads = pull(weighted(y))
        return [np.asarray(each) for each in (y, grad, *grads)]
    return [np.asarray(layer(x))]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", OPTIONS)
def test_answer_and_gradients_are_those_of_the_steps(name, data_format):
    layer = make(data_format=data_format, **OPTIONS[name])
    x, steps = images(layer), steps_of(layer)
    built_alike(layer, steps, x)
    mine, theirs = answer_and_gradients(layer, x), answer_and_gradients(steps, x)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_it_is_a_convolution_to_keras():
    layer = make()
    layer.build((None, 13, 12, 4))
    assert isinstance(layer, L.Conv2D)
    assert [weight.name for weight in layer.weights] == ["kernel", "bias"]
    assert [tuple(weight.shape) for weight in layer.weights] == [(3, 3, 4, 5), (5,)]
    mine, theirs = (list(inspect.signature(kind).parameters) for kind in (ak.Extract2D, L.Conv2D))
    assert mine[: len(theirs) - 1] == theirs[:-1]


@pytest.mark.parametrize("name", OPTIONS)
def test_shapes_are_known_before_the_numbers(name):
    layer = make(**OPTIONS[name])
    x = images(layer)
    shape = tuple(layer(x).shape)
    assert tuple(layer(keras.KerasTensor(x.shape)).shape) == shape
    unknown = make(**OPTIONS[name])(keras.Input((None, None, 4))).shape
    assert unknown == (None, None, None, shape[-1])


@pytest.mark.parametrize("name", OPTIONS)
def test_a_saved_model_answers_the_same(name, tmp_path):
    model = keras.Sequential([keras.Input((13, 12, 4)), make(**OPTIONS[name], name="extract")])
    x = images(model.layers[0])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    a, b = (keras.ops.convert_to_numpy(each(x)) for each in (loaded, model))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precision_is_that_of_the_policy(policy):
    if BACKEND == "jax" and policy == "float64":
        pytest.skip("JAX has no float64 unless asked for it")
    layer = make(dtype=policy)
    x, steps = images(layer), steps_of(layer, dtype=policy)
    built_alike(layer, steps, x)
    mine, theirs = layer(x), steps(x)
    assert keras.backend.standardize_dtype(mine.dtype) == layer.compute_dtype
    a, b = (keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in (mine, theirs))
    np.testing.assert_allclose(a, b, rtol=0.02, atol=0.05)
    if policy == "float64":
        kernel = keras.ops.convert_to_numpy(layer.weights[0])
        bias = keras.ops.convert_to_numpy(layer.weights[1])
        wide = images(layer, "float64") / 3
        expected = nn.extract(wide, kernel, bias, padding="VALID", pool_padding="VALID")
        answer = keras.ops.convert_to_numpy(keras.ops.stop_gradient(layer(wide)))
        np.testing.assert_allclose(answer, expected, rtol=1e-12)


@trains
def test_a_model_trains_as_with_the_steps():
    x, y = random((16, 13, 12, 4), seed=1), random((16, 1), seed=2)
    first, second = make(padding="same"), make(filters=8)
    bases = [[first, second], [*steps_of(first).layers, *steps_of(second).layers]]
    weights, losses = None, []
    for base in bases:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([*base, L.GlobalAveragePooling2D(), L.Dense(1)])
        model.build(x.shape)
        weights = weights or model.get_weights()
        model.set_weights(weights)
        model.compile(optimizer=keras.optimizers.SGD(0.001), loss="mse")
        losses.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history)
    mine, theirs = (history["loss"] for history in losses)
    np.testing.assert_allclose(mine, theirs, rtol=1e-4)
    assert mine[-1] < mine[0]


@pytest.mark.skipif(BACKEND != "torch", reason="TensorFlow and JAX ask for them one by one")
def test_the_gradient_for_images_is_computed_on_demand_alone(monkeypatch):
    import torch

    asked, real = [], nn.extract_grad

    def watch(*arguments, needs, **options):
        asked.append(needs)
        return real(*arguments, needs=needs, **options)

    monkeypatch.setattr(nn, "extract_grad", watch)
    layer = make()
    for requires_grad in (False, True):
        layer(torch.zeros(1, 8, 8, 4, requires_grad=requires_grad)).sum().backward()
    layer.trainable = False
    layer(torch.zeros(1, 8, 8, 4, requires_grad=True)).sum().backward()
    assert asked == [("filters", "bias"), ("input", "filters", "bias"), ("input",)]


def test_elsewhere_than_on_the_cpu_keras_computes_it(monkeypatch):
    layer = make(padding="same")
    x, steps = images(layer), steps_of(layer)
    built_alike(layer, steps, x)
    monkeypatch.setattr(backends, "_BACKEND", backends.Backend(lambda tensor: "elsewhere", None))
    a, b = (keras.ops.convert_to_numpy(keras.ops.stop_gradient(each(x))) for each in (layer, steps))
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "Extract2D: activation must be 'relu' or None, got 'gelu'"),
        ({"pool_padding": "full"}, "Extract2D: pool_padding must be 'valid' or 'same', got 'full'"),
        ({"pool_size": 16}, "Extract2D: pool_size must have at most 255 cells, got 16"),
        ({"pool_size": 0}, "Extract2D: pool_size must be at least 1, got 0"),
        ({"pool_size": 12}, "pool_size must be at most the size of what is pooled, 11"),
    ],
)
def test_what_cannot_be_is_said(options, message):
    with pytest.raises(AttarError) as caught:
        make(**options)(keras.KerasTensor((1, 13, 13, 4)))
    assert message in str(caught.value)
