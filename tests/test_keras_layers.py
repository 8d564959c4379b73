"""attar.keras beside Keras' own layers and beside attar.nn, on the backend that Keras runs on."""

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

# NumPy 2 says it of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
trains = pytest.mark.skipif(BACKEND == "numpy", reason="there are no gradients in NumPy")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def answer_and_gradient(layer, x, *arguments, **options):
    """What a layer answers, and the gradient of a weighted sum of it; in NumPy no gradient."""

    def weighted(y):
        return random(tuple(y.shape), seed=7).astype(x.dtype)

    if BACKEND == "torch":
        import torch

        tensor = torch.from_numpy(x.copy()).requires_grad_()
        y = layer(tensor, *arguments, **options)
        (y * torch.from_numpy(weighted(y))).sum().backward()
        return y.detach().numpy(), tensor.grad.numpy()
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            y = layer(tensor, *arguments, **options)
            loss = tf.reduce_sum(y * weighted(y))
        return y.numpy(), tape.gradient(loss, tensor).numpy()
    if BACKEND == "jax":
        import jax

        y, pull = jax.vjp(lambda tensor: layer(tensor, *arguments, **options), x)
        return np.asarray(y), np.asarray(pull(weighted(y))[0])
    return np.asarray(layer(x, *arguments, **options)), None


def close(mine, theirs, tolerance=1e-5):
    for a, b in zip(mine, theirs, strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def swap(x, data_format):
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if data_format == "channels_first" else x


# ------------------------------------------------------------------ Keras' own layers

SIZES = {1: (11,), 2: (9, 11), 3: (5, 6, 7)}
WINDOWS = [
    {"pool_size": 2},
    {"pool_size": 3, "strides": 2},
    {"pool_size": 2, "strides": 3, "padding": "same"},
    {"pool_size": 3, "strides": 1, "padding": "same"},
]
LIKE_KERAS = [
    *(
        (f"{kind}Pooling{dims}D", options)
        for kind in ("Max", "Average")
        for dims in SIZES
        for options in WINDOWS
    ),
    ("MaxPooling2D", {"pool_size": (1, 4), "strides": (3, 2), "padding": "same"}),
    *(
        (f"Global{kind}Pooling{dims}D", {"keepdims": keepdims})
        for kind in ("Max", "Average")
        for dims in SIZES
        for keepdims in (False, True)
    ),
    *(
        (f"Adaptive{kind}Pooling{dims}D", {"output_size": size})
        for kind in ("Max", "Average")
        for dims, size in ((1, 4), (2, (3, 11)), (3, 2))
        if hasattr(ak, f"Adaptive{kind}Pooling{dims}D")
    ),
]


def name_of(case):
    name, options = case
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("case", LIKE_KERAS, ids=name_of)
def test_answer_and_gradient_are_those_of_keras(case, data_format):
    name, options = case
    x = swap(random((2, *SIZES[int(name[-2])], 3), seed=1), data_format)
    mine = getattr(ak, name)(data_format=data_format, **options)
    theirs = getattr(keras.layers, name)(data_format=data_format, **options)
    assert isinstance(mine, type(theirs))
    expected = answer_and_gradient(theirs, x)
    if BACKEND == "torch" and (name[:7], options.get("padding")) == ("Average", "same"):
        # There Keras repeats cells at the border and counts them, unlike on JAX and TensorFlow.
        window = (options["pool_size"], options["strides"], "SAME", layout_of(mine, x))
        answer = nn.avg_pool(x, *window)
        grad = random(answer.shape, seed=7)
        expected = answer, nn.avg_pool_grad(grad, x.shape, *window)
    close(answer_and_gradient(mine, x), expected)


def layout_of(layer, x):
    spatial = "DHW"[5 - x.ndim :]
    return f"NC{spatial}" if layer.data_format == "channels_first" else f"N{spatial}C"


def test_a_mask_leaves_steps_out_of_the_mean():
    x, mask = random((2, 5, 3), seed=1), np.arange(5) < np.array([[2], [5]])
    mine, theirs = ak.GlobalAveragePooling1D(), keras.layers.GlobalAveragePooling1D()
    close([numpy_of(mine(x, mask=mask))], [numpy_of(theirs(x, mask=mask))])
    assert not np.allclose(numpy_of(mine(x, mask=mask)), numpy_of(mine(x)))
    masked = keras.Sequential([keras.layers.Masking(), mine])
    x[0, 2:] = 0
    close([numpy_of(masked(x))[0]], [x[0, :2].mean(axis=0)])


def test_maxima_of_whole_numbers_stay_whole():
    x = np.arange(32, dtype="int32").reshape(1, 4, 8, 1)
    for layer in (ak.MaxPooling2D(), ak.GlobalMaxPooling2D()):
        answer = numpy_of(layer(x))
        assert answer.dtype == np.int32
        assert answer.max() == 31


# ------------------------------------------------------------------ layers that Keras does not have

WINDOW = {"strides": (2, 1), "padding": "same"}
NATIVE = {
    "LPPool2D": (
        {"pool_size": (2, 3), **WINDOW, "p": 3.0},
        lambda x, f: nn.lp_pool(x, (2, 3), (2, 1), "SAME", f, p=3.0),
        lambda g, x, f: nn.lp_pool_grad(g, x, (2, 3), (2, 1), "SAME", f, p=3.0),
    ),
    "SoftPool2D": (
        {"pool_size": (2, 3), **WINDOW},
        lambda x, f: nn.soft_pool(x, (2, 3), (2, 1), "SAME", f),
        lambda g, x, f: nn.soft_pool_grad(g, x, (2, 3), (2, 1), "SAME", f),
    ),
    "GeM2D": (
        {"p": 2.0, "eps": 1e-3},
        lambda x, f: nn.gem_pool(x, 2.0, 1e-3, f),
        lambda g, x, f: nn.gem_pool_grad(g, x, 2.0, 1e-3, f),
    ),
    "GeM2D keepdims": (
        {"keepdims": True},
        lambda x, f: nn.gem_pool(x, data_format=f, keepdims=True),
        lambda g, x, f: nn.gem_pool_grad(g, x, data_format=f),
    ),
    "BlurPool2D": (
        {"size": (3, 4), "strides": (2, 3), "border": "circular"},
        lambda x, f: nn.blur_pool(x, (3, 4), (2, 3), f, border="circular"),
        lambda g, x, f: nn.blur_pool_grad(g, x.shape, (3, 4), (2, 3), f, border="circular"),
    ),
    "MaxBlurPool2D": (
        {"pool_size": (2, 3), "strides": (2, 1)},
        lambda x, f: nn.max_blur_pool(x, (2, 3), 3, (2, 1), "VALID", f),
        lambda g, x, f: nn.max_blur_pool_grad(g, x, (2, 3), 3, (2, 1), "VALID", f),
    ),
    "PolyphasePool2D": (
        {"strides": (2, 3), "norm": "linf"},
        lambda x, f: nn.polyphase_pool(x, (2, 3), "linf", f),
        lambda g, x, f: nn.polyphase_pool_grad(g, x, (2, 3), "linf", f),
    ),
}


def native(name, data_format="channels_last", **more):
    return getattr(ak, name.split()[0])(data_format=data_format, **NATIVE[name][0], **more)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", NATIVE)
def test_answer_and_gradient_are_those_of_attar(name, data_format):
    _, forward, backward = NATIVE[name]
    layer = native(name, data_format)
    x = swap(random((2, 9, 11, 3), seed=1), data_format)
    answer = forward(x, layout_of(layer, x))
    grad = backward(random(answer.shape, seed=7), x, layout_of(layer, x))
    close(answer_and_gradient(layer, x), (answer, grad), 1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_fractional_windows_are_new_in_training_alone(data_format):
    layer = ak.FractionalMaxPool2D((1.4, 2), overlapping=True, data_format=data_format, seed=3)
    x = swap(random((2, 9, 11, 3), seed=1), data_format)
    options = {"seed": 3, "overlapping": True, "data_format": layout_of(layer, x)}
    expected, rows, cols = nn.fractional_max_pool(x, (1.4, 2), **options)
    del options["seed"]
    answer, grad = answer_and_gradient(layer, x)
    np.testing.assert_array_equal(answer, expected)
    if grad is not None:
        weights = random(answer.shape, seed=7)
        close([grad], [nn.fractional_max_pool_grad(weights, x, rows, cols, **options)])
    drawn = [answer_and_gradient(layer, x, training=True) for _ in range(4)]
    assert len({answer.tobytes() for answer, _ in drawn}) > 1
    for answer, grad in drawn:
        assert np.isin(answer, x).all()
        if grad is not None:  # all that flows in flows out
            np.testing.assert_allclose(grad.sum(), random(answer.shape, seed=7).sum(), rtol=1e-4)


# ------------------------------------------------------------------ all layers

ALL = {
    **{
        name: options
        for name, options in LIKE_KERAS
        if name[-2] == "2" and options.get("padding") != "same"
    },
    **{name: options for name, (options, *_) in NATIVE.items()},
    "FractionalMaxPool2D": {"pooling_ratio": 1.5, "pseudo_random": True, "seed": 5},
}


def make(kind, **more):
    return getattr(ak, kind.split()[0])(**ALL[kind], **more)


def test_no_layer_is_left_out():
    public = {name.replace("Pool2D", "Pooling2D").replace("Avg", "Average") for name in ak.__all__}
    tested = {name.split()[0].replace("Pool2D", "Pooling2D") for name in {*ALL, *ALONE}}
    assert {name for name in public if name.endswith("2D")} == tested


ALONE = {"Extract2D"}  # with a file of tests of their own


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", ALL)
def test_shapes_are_known_before_the_numbers(name, data_format):
    layer, x = make(name, data_format=data_format), random((2, 9, 11, 3), seed=1)
    x = swap(x, data_format)
    shape = numpy_of(layer(x)).shape
    assert tuple(layer(keras.KerasTensor(x.shape)).shape) == shape
    assert layer.compute_output_shape(x.shape) == shape
    unknown = layer(keras.KerasTensor([3 if size == 3 else None for size in x.shape])).shape
    assert len(unknown) == len(shape)
    assert unknown[0] is None
    assert 3 in unknown
    assert all(size in (None, real) for size, real in zip(unknown, shape, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_a_saved_model_answers_the_same(name, tmp_path):
    image = keras.Input((9, 11, 3))
    model = keras.Model(image, make(name, name="pool")(image))
    x = random((2, 9, 11, 3), seed=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    pool = loaded.get_layer("pool")
    assert type(pool) is type(make(name))
    assert pool.get_config() == model.get_layer("pool").get_config()
    np.testing.assert_array_equal(numpy_of(loaded(x)), numpy_of(model(x)))
    registered = keras.saving.serialize_keras_object(pool)
    assert (registered["module"], registered["registered_name"]) == (
        "attar.keras",
        f"attar>{type(pool).__name__}",
    )


@pytest.mark.parametrize("name", ALL)
def test_arguments_are_those_that_a_config_holds(name):
    config = make(name).get_config()
    arguments = set(inspect.signature(type(make(name))).parameters) - {"kwargs"}
    assert arguments <= {*config}
    assert type(make(name)).from_config(config).get_config() == config


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_precision_is_that_of_the_policy(name, policy):
    if BACKEND == "jax" and policy == "float64":
        pytest.skip("JAX has no float64 unless asked for it")
    layer, x = make(name, dtype=policy), random((2, 9, 11, 3), seed=1)
    answer = layer(x)
    assert keras.backend.standardize_dtype(answer.dtype) == layer.compute_dtype
    x = numpy_of(keras.ops.cast(keras.ops.cast(x, layer.compute_dtype), "float32"))
    answer = numpy_of(keras.ops.cast(answer, "float32"))
    np.testing.assert_allclose(answer, numpy_of(make(name)(x)), rtol=0.01, atol=0.01)


@trains
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_model_trains_as_with_the_layers_of_keras(policy):
    losses = []
    x, y = random((16, 12, 12, 2), seed=1), random((16, 1), seed=2)
    for layers in (ak, keras.layers):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.Conv2D(4, 3, padding="same", activation="relu", dtype=policy),
                layers.MaxPooling2D(dtype=policy),
                layers.AveragePooling2D(2, strides=1, dtype=policy),
                layers.GlobalAveragePooling2D(dtype=policy),
                keras.layers.Dense(1, dtype="float32"),
            ]
        )
        model.compile(optimizer=keras.optimizers.SGD(0.002), loss="mse")
        losses.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history)
    mine, theirs = (history["loss"] for history in losses)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5 if policy == "float32" else 0.02)
    assert mine[-1] < mine[0]


@trains
def test_a_model_of_all_other_layers_trains():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            ak.MaxBlurPool2D(strides=1),
            ak.FractionalMaxPool2D(1.3, seed=0),
            ak.PolyphasePool2D(strides=1),
            ak.BlurPool2D(strides=1),
            ak.LPPool2D(2, strides=1),
            ak.SoftPool2D(2, strides=1),
            ak.GeM2D(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    x, y = random((16, 12, 12, 2), seed=1), random((16, 1), seed=2)
    before = [weight.copy() for weight in model(x) is not None and model.get_weights()]
    losses = model.fit(x, y, batch_size=8, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    assert model.predict(x, verbose=0).shape == (16, 1)


def test_elsewhere_than_on_the_cpu_keras_computes_what_it_can(monkeypatch):
    elsewhere = backends.Backend(lambda tensor: "a tensor on cuda:0", None)
    monkeypatch.setattr(backends, "_BACKEND", elsewhere)
    x = random((2, 9, 11, 3), seed=1)
    for name, options in LIKE_KERAS:
        if name[-2] == "2":
            layers = (each(**options) for each in (getattr(ak, name), getattr(keras.layers, name)))
            mine, theirs = (numpy_of(layer(x)) for layer in layers)
            np.testing.assert_array_equal(mine, theirs)
    for name in NATIVE:
        with pytest.raises(AttarError, match=r"must be on the CPU, .*got a tensor on cuda:0"):
            native(name)(x)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: ak.LPPool2D(p=0), "attar.keras.LPPool2D: p must be larger than 0, got 0"),
        (lambda: ak.GeM2D(eps=-1), "attar.keras.GeM2D: eps must be larger than 0, got -1"),
        (lambda: ak.BlurPool2D(8), "attar.keras.BlurPool2D: size must be at most 7, got 8"),
        (
            lambda: ak.BlurPool2D(border="wrap"),
            "border must be 'reflect', 'circular' or 'zero', got 'wrap'",
        ),
        (lambda: ak.PolyphasePool2D(norm="l3"), "norm must be 'l2', 'l1' or 'linf', got 'l3'"),
        (lambda: ak.PolyphasePool2D(0), "strides must be at least 1, got 0"),
        (lambda: ak.SoftPool2D((2, 2, 2)), "pool_size must be one number, 2 (the spatial axes)"),
        (lambda: ak.SoftPool2D(padding="full"), "padding must be 'valid' or 'same', got 'full'"),
        (lambda: ak.SoftPool2D(data_format="NHWC"), "'channels_last' or 'channels_first'"),
        (lambda: ak.FractionalMaxPool2D(0.5), "2 (height and width), at least 1, got 0.5"),
        (
            lambda: ak.SoftPool2D(5)(keras.KerasTensor((1, 4, 9, 1))),
            "pool_size must be at most the size of what is pooled, 4, with padding='valid', got 5",
        ),
        (
            lambda: ak.MaxBlurPool2D(5)(keras.KerasTensor((1, 4, 9, 1))),
            "pool_size must be at most the size of what is pooled, 4, with padding='valid', got 5",
        ),
        (
            lambda: ak.FractionalMaxPool2D(5)(keras.KerasTensor((1, 4, 9, 1))),
            "pooling_ratio must be at most the size of the input, 4, got 5.0",
        ),
        (
            lambda: ak.LPPool2D()(np.zeros((1, 4, 4, 1), "int32")),
            "attar.keras.LPPool2D: inputs must be on the CPU, of bfloat16, float16, float32, "
            "float64, and of one of Keras' backends jax, numpy, tensorflow, torch; got a tensor "
            "of int32",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(make_it, message):
    with pytest.raises(AttarError) as caught:
        make_it()
    assert message in str(caught.value)
