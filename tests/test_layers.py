"""Every layer beside the layer of Keras with the same name, arguments and weights."""

import inspect
import json
import os

import numpy as np
import pytest
import torch

from attar import AttarError, errors, layers
from attar.layers import initializers

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

# NumPy 2 says it of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZES = [(1, 9, 12, 4), (2, 14, 7, 4), (1, 16, 16, 4)]


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def arguments(*options):
    """One test for each, named after the arguments."""
    return [
        pytest.param(option, id=" ".join(f"{k}={v}" for k, v in option.items()) or "defaults")
        for option in options
    ]


def twins(name, options, shape):
    """Our layer and Keras', built, with the same weights."""
    ours = getattr(layers, name)(**options)
    theirs = getattr(keras.layers, name)(**options)
    ours.build(shape)
    theirs.build(shape)
    weights = []
    for seed, (which, weight) in enumerate(
        zip(ours.weight_names(), theirs.get_weights(), strict=True)
    ):
        values = numbers(weight.shape, seed)
        weights.append(np.abs(values) + 0.1 if "variance" in which else values)
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def answer(layer, x):
    """What a Keras layer answers, as an array."""
    return layer(x, training=False).detach().numpy()


def assert_close(ours, theirs, tolerance=2e-6):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=1e-30)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)


def compare(name, options, shape, tolerance=2e-6):
    ours, theirs = twins(name, options, shape)
    x = numbers(shape, 9)
    assert_close(ours(x), answer(theirs, x), tolerance)
    for sizes in (shape, (None, *shape[1:])):
        assert ours.compute_output_shape(sizes) == tuple(theirs.compute_output_shape(sizes))


# ------------------------------------------------------------------ filter


CONVS = arguments(
    {},
    {"padding": "same"},
    {"padding": "SAME", "strides": 2},
    {"strides": (2, 3)},
    {"strides": 3, "padding": "same", "kernel_size": 2},
    {"kernel_size": 1},
    {"kernel_size": (1, 5), "padding": "same"},
    {"kernel_size": (5, 2), "activation": "relu"},
    {"kernel_size": 7, "padding": "same", "strides": 2},
    {"dilation_rate": 2},
    {"dilation_rate": (2, 3), "padding": "same"},
    {"groups": 2},
    {"groups": 4, "padding": "same", "activation": "tanh"},
    {"groups": 2, "strides": 2, "padding": "same", "use_bias": False},
    {"activation": "softmax"},
    {"activation": "linear", "use_bias": False},
)


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("options", CONVS)
def test_convolutions(options, shape):
    compare("Conv2D", {"filters": 8, "kernel_size": 3, **options}, shape)


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize(
    "options",
    arguments(
        {},
        {"padding": "same", "activation": "relu"},
        {"padding": "same", "strides": 2},
        {"depth_multiplier": 3},
        {"depth_multiplier": 2, "strides": 2, "use_bias": False},
        {"dilation_rate": 2, "padding": "same"},
        {"kernel_size": (1, 4), "activation": "relu6"},
    ),
)
def test_depthwise_convolutions(options, shape):
    compare("DepthwiseConv2D", {"kernel_size": 3, **options}, shape)


@pytest.mark.parametrize("shape", [(3, 11), (2, 5, 4, 11), (2, 5, 11)], ids=str)
@pytest.mark.parametrize(
    "options", arguments({}, {"use_bias": False}, {"activation": "relu"}, {"activation": "softmax"})
)
def test_dense(options, shape):
    compare("Dense", {"units": 6, **options}, shape)


@pytest.mark.parametrize("seed", range(60))
def test_windows_drawn_at_random(seed):
    generator = np.random.default_rng(seed)

    def draw(low, high):
        return tuple(int(n) for n in generator.integers(low, high + 1, 2))

    shape = (int(generator.integers(1, 3)), *draw(9, 19), 6)
    options = {"padding": str(generator.choice(["same", "valid"]))}
    if generator.random() < 0.5:
        options["strides"] = draw(1, 3)
    else:
        options["dilation_rate"] = draw(1, 2)
    groups = int(generator.choice([1, 2, 3, 6]))
    compare("Conv2D", {"filters": 6, "kernel_size": draw(1, 5), "groups": groups, **options}, shape)
    pool = {"pool_size": draw(1, 4), "strides": draw(1, 4), "padding": options["padding"]}
    compare("MaxPooling2D", pool, shape)
    compare("AveragePooling2D", pool | {"padding": "valid"}, shape)


def test_padding_in_pairs_is_zeros_around_the_image():
    padded = layers.Conv2D(3, 3, padding=((1, 0), (2, 3)))
    x = numbers((1, 7, 8, 2))
    got = padded(x)
    plain = layers.Conv2D(3, 3)
    plain.set_weights(padded.get_weights())
    np.testing.assert_array_equal(got, plain(layers.ZeroPadding2D(((1, 0), (2, 3)))(x)))


def test_strides_and_dilation_may_both_be_over_one():
    layer = layers.Conv2D(5, 3, strides=2, dilation_rate=3, padding=((3, 3), (3, 3)))
    x = numbers((1, 15, 17, 4))
    got = layer(x)
    kernel, bias = (torch.from_numpy(weight) for weight in layer.get_weights())
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(x).permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias,
        stride=2, dilation=3, padding=3,
    )  # fmt: skip
    assert_close(got, wanted.permute(0, 2, 3, 1).numpy())


# ------------------------------------------------------------------ condense


POOLS = arguments(
    {"pool_size": 2},
    {"pool_size": 2, "padding": "same"},
    {"pool_size": 3, "strides": 2},
    {"pool_size": 3, "strides": 2, "padding": "same"},
    {"pool_size": (1, 3), "strides": (2, 1), "padding": "same"},
    {"pool_size": 5, "strides": 1, "padding": "same"},
    {"pool_size": 2, "strides": 3},
)


@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D", "MaxPool2D", "AvgPool2D"])
@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("options", POOLS)
def test_pools(name, options, shape):
    if not name.startswith("Av") or options.get("padding") != "same":
        compare(name, options, shape)
        return
    # A mean at a border counts real values, as Keras on TensorFlow does. On torch it does not.
    x = numbers(shape, 9)
    size, strides = np.broadcast_to(options["pool_size"], 2), options.get("strides")
    strides = np.broadcast_to(size if strides is None else strides, 2)
    windows = zip(shape[1:3], strides, size, strict=True)
    total = [max((-(-n // step) - 1) * step + w - n, 0) for n, step, w in windows]
    sides = [side for t in reversed(total) for side in (t // 2, t - t // 2)]

    def sums(values):
        padded = torch.nn.functional.pad(torch.from_numpy(values).permute(0, 3, 1, 2), sides)
        summed = torch.nn.functional.avg_pool2d(
            padded, tuple(size), tuple(strides), divisor_override=1
        )
        return summed.permute(0, 2, 3, 1).numpy()

    assert_close(getattr(layers, name)(**options)(x), sums(x) / sums(np.ones_like(x)))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    "name",
    ["GlobalMaxPooling2D", "GlobalMaxPool2D", "GlobalAveragePooling2D", "GlobalAvgPool2D"],
)
def test_global_pools(name, keepdims):
    compare(name, {"keepdims": keepdims}, (2, 9, 12, 4))


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
def test_the_pools_of_torch(ceil, counted):
    x = numbers((1, 10, 13, 3))
    planes = torch.from_numpy(x).permute(0, 3, 1, 2)
    maximum = layers.MaxPool2D(3, 2, padding=((1, 1), (1, 1)), ceil_mode=ceil)
    wanted = torch.nn.functional.max_pool2d(planes, 3, 2, padding=1, ceil_mode=ceil)
    np.testing.assert_array_equal(maximum(x), wanted.permute(0, 2, 3, 1).numpy())
    mean = layers.AvgPool2D(
        3, 2, padding=((1, 1), (1, 1)), ceil_mode=ceil, count_include_pad=counted
    )
    wanted = torch.nn.functional.avg_pool2d(
        planes, 3, 2, padding=1, ceil_mode=ceil, count_include_pad=counted
    )
    assert_close(mean(x), wanted.permute(0, 2, 3, 1).numpy())
    assert mean.compute_output_shape(x.shape) == mean(x).shape


BLURRED = {"MaxBlurPooling2D": "MaxPooling2D", "AverageBlurPooling2D": "AveragePooling2D"}
PADDED = arguments(
    {"pool_size": 3, "strides": 2, "padding": ((1, 1), (1, 0))},
    {"pool_size": 2, "strides": 3, "padding": ((1, 0), (0, 1)), "ceil_mode": True},
    {"pool_size": 3, "strides": 2, "ceil_mode": True},
    {"pool_size": 3, "strides": (6, 5), "padding": ((0, 4), (0, 4))},  # more than any window sees
)


@pytest.mark.parametrize("name", BLURRED)
@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("options", [*POOLS, *PADDED])
def test_blurred_pools_stand_where_the_pool_stood(name, options, shape):
    x = numbers(shape)
    wanted = getattr(layers, BLURRED[name])(**options)(x)
    kind = getattr(layers, name)
    assert_close(kind(**options, size=1)(x), wanted, 1e-6)  # a filter of one cell changes nothing
    for size in (3, (5, 1), 7):
        assert kind(**options, size=size)(x).shape == wanted.shape
        assert kind(**options, size=size).compute_output_shape(x.shape) == wanted.shape


@pytest.mark.parametrize("size", [3, 5, (3, 7)], ids=str)
@pytest.mark.parametrize("name", BLURRED)
@pytest.mark.parametrize(
    "options",
    arguments(
        {"pool_size": 2},
        {"pool_size": (3, 2), "strides": (2, 3)},
        {"pool_size": 3, "strides": 2, "padding": "same"},
        {"pool_size": 3, "strides": 2, "padding": ((1, 1), (1, 0))},
    ),
)
def test_blurred_pools_are_dense_pools_blurred_and_subsampled(options, name, size):
    x = numbers((2, 16, 19, 3))
    axes = getattr(layers, BLURRED[name])(**options).windows(x.shape)
    maximum = name.startswith("Max")
    sides = [side for axis in reversed(axes) for side in (axis.pad_before, axis.pad_after)]
    window = tuple(axis.window for axis in axes)

    def dense(values, outside):
        planes = torch.from_numpy(values).permute(0, 3, 1, 2)
        padded = torch.nn.functional.pad(planes, sides, value=outside)
        if maximum:
            return torch.nn.functional.max_pool2d(padded, window, 1)
        return torch.nn.functional.avg_pool2d(padded, window, 1)

    maps = dense(x, -np.inf) if maximum else dense(x, 0) / dense(np.ones_like(x), 0)
    high, wide = np.broadcast_to(size, 2)
    rows = {1: [1], 3: [1, 2, 1], 5: [1, 4, 6, 4, 1], 7: [1, 6, 15, 20, 15, 6, 1]}
    filters = np.outer(rows[high], rows[wide]).astype(np.float32)
    filters = torch.from_numpy(np.tile(filters / filters.sum(), (3, 1, 1, 1)))
    mirrored = torch.nn.functional.pad(
        maps, (wide // 2, wide // 2, high // 2, high // 2), mode="reflect"
    )
    wanted = torch.nn.functional.conv2d(
        mirrored, filters, stride=tuple(axis.stride for axis in axes), groups=3
    )
    got = getattr(layers, name)(**options, size=size)(x)
    assert_close(got, wanted.permute(0, 2, 3, 1).numpy(), 1e-5)


def test_a_filter_is_no_larger_than_can_be_mirrored():
    x = numbers((1, 2, 3, 2))
    whole = layers.MaxPooling2D(2)(x)  # 1 × 1, of maps of 1 × 2
    assert layers.MaxBlurPooling2D(2, size=1)(x).shape == whole.shape
    blurred = layers.MaxBlurPooling2D(2, size=7)(x)
    both = layers.MaxPooling2D(2, 1)(x)  # the second is to the left and to the right of the first
    assert_close(blurred[:, :, 0], (both[:, :, 0] + both[:, :, 1]) / 2)


# ------------------------------------------------------------------ detect


ACTIVATIONS = [
    "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "sigmoid",
    "hard_sigmoid", "hard_silu", "tanh", "softplus", "softsign", "softmax", "linear", "exponential",
]  # fmt: skip
RANGE = np.concatenate(
    [np.linspace(-12, 12, 997), [0.0, -0.0, 1e-20, -1e-20, 3, -3, 6, 80, -80, 1e-3, -1e-3]]
).reshape(1, 12, 28, 3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    x = RANGE.astype(np.float32)
    theirs = answer(keras.layers.Activation(name), x)
    # In float32 torch's gelu loses the left tail to 1 - 1.
    smallest = 1e-6 if name == "gelu" else 1e-7
    np.testing.assert_allclose(layers.Activation(name)(x), theirs, rtol=2e-6, atol=smallest)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"linear"}))
def test_activations_in_double_precision(name):
    function = {
        "relu6": torch.nn.functional.relu6,
        "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.2),
        "elu": torch.nn.functional.elu,
        "selu": torch.nn.functional.selu,
        "gelu": torch.nn.functional.gelu,
        "silu": torch.nn.functional.silu,
        "swish": torch.nn.functional.silu,
        "hard_sigmoid": torch.nn.functional.hardsigmoid,
        "hard_silu": torch.nn.functional.hardswish,
        "softplus": lambda x: torch.logaddexp(x, torch.zeros(())),
        "softsign": torch.nn.functional.softsign,
        "softmax": lambda x: torch.softmax(x, -1),
        "exponential": torch.exp,
    }.get(name) or getattr(torch, name)
    got = layers.Activation(name)(RANGE)
    assert got.dtype == np.float64
    wanted = function(torch.from_numpy(RANGE)).numpy()
    # The left tail of gelu is a product of x and what torch rounds at 1e-16.
    np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=2e-15)


@pytest.mark.parametrize(
    "name", [name for name in ACTIVATIONS if name not in ("softmax", "linear")]
)
def test_activations_of_what_is_not_finite(name):
    x = np.array([[[[np.inf, -np.inf, np.nan, 1e4, -1e4]]]], np.float32)
    theirs = answer(keras.layers.Activation(name), x)
    ours = layers.Activation(name)(x)
    # At infinity Keras gives NaN where it multiplies by 0; a limit is no worse.
    left_open = np.isnan(theirs) & np.isinf(x)
    np.testing.assert_allclose(ours[~left_open], theirs[~left_open], rtol=1e-6)
    assert np.isnan(ours[..., 2])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ReLU", {}),
        ("ReLU", {"max_value": 2}),
        ("ReLU", {"negative_slope": 0.1}),
        ("ReLU", {"threshold": 1.5}),
        ("ReLU", {"max_value": 3.0, "negative_slope": 0.25, "threshold": 0.5}),
        ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.05}),
        ("ELU", {}),
        ("ELU", {"alpha": 0.5}),
        ("Softmax", {}),
        ("Softmax", {"axis": 1}),
        ("Softmax", {"axis": -2}),
        ("PReLU", {}),
        ("PReLU", {"shared_axes": [1, 2]}),
        ("PReLU", {"shared_axes": [3]}),
    ],
    ids=str,
)
def test_activation_layers(name, options):
    ours, theirs = twins(name, options, RANGE.shape)
    x = RANGE.astype(np.float32)
    np.testing.assert_allclose(ours(x), answer(theirs, x), rtol=2e-6, atol=1e-7)


# ------------------------------------------------------------------ the rest


@pytest.mark.parametrize("shape", [(2, 9, 12, 4), (3, 4)], ids=str)
@pytest.mark.parametrize(
    "options",
    arguments(
        {},
        {"epsilon": 0.1},
        {"scale": False},
        {"center": False},
        {"momentum": 0.9, "center": False, "scale": False},
    ),
)
def test_batch_normalization(options, shape):
    compare("BatchNormalization", options, shape)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ZeroPadding2D", {}),
        ("ZeroPadding2D", {"padding": 3}),
        ("ZeroPadding2D", {"padding": (0, 2)}),
        ("ZeroPadding2D", {"padding": ((3, 1), (0, 2))}),
        ("Flatten", {}),
        ("Reshape", {"target_shape": (6, -1)}),
        ("Reshape", {"target_shape": (12, 9, 4)}),
        ("Permute", {"dims": (3, 1, 2)}),
        ("Dropout", {"rate": 0.5}),
        ("SpatialDropout2D", {"rate": 0.5}),
        ("Identity", {}),
        ("Rescaling", {"scale": 1 / 255}),
        ("Rescaling", {"scale": 2.0, "offset": -1.0}),
        ("Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0], "offset": [0.0, 0.5, 0.0, 1.0]}),
    ],
    ids=str,
)
def test_layers_that_move_or_scale(name, options):
    compare(name, options, (2, 9, 12, 4))


MERGES = ["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"]


@pytest.mark.parametrize("name", MERGES)
def test_merging_layers(name):
    count = 2 if name == "Subtract" else 3
    maps = [numbers((2, 5, 6, 3), seed) for seed in range(count)]
    ours, theirs = getattr(layers, name)(), getattr(keras.layers, name)()
    assert_close(ours(maps), answer(theirs, maps))
    for left, right in (((2, 5, 6, 3), (2, 1, 1, 3)), ((2, 1, 6, 1), (2, 5, 1, 3))):
        maps = [numbers(left), numbers(right, 1)]
        assert_close(ours(maps), answer(theirs, maps))
        shapes = [(None, *left[1:]), (None, *right[1:])]
        assert ours.compute_output_shape(shapes) == tuple(theirs.compute_output_shape(shapes))


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
def test_concatenation(axis):
    shapes = [[2, 5, 6, 3] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis] += i
    maps = [numbers(shape, i) for i, shape in enumerate(shapes)]
    assert_close(layers.Concatenate(axis)(maps), answer(keras.layers.Concatenate(axis), maps))


# ------------------------------------------------------------------ names, arguments, weights


EXAMPLES = {
    "Conv2D": {"filters": 4, "kernel_size": 3, "groups": 2, "padding": ((1, 2), (0, 1))},
    "DepthwiseConv2D": {"kernel_size": (3, 1), "depth_multiplier": 2},
    "Dense": {"units": 3, "activation": "swish", "bias_initializer": "ones"},
    "ReLU": {"max_value": 6},
    "Activation": {"activation": "gelu"},
    "LeakyReLU": {"negative_slope": 0.1},
    "ELU": {"alpha": 0.5},
    "PReLU": {"shared_axes": (1, 2), "alpha_initializer": initializers.Constant(0.1)},
    "Softmax": {"axis": 2},
    "MaxPooling2D": {"pool_size": 3, "strides": 2, "ceil_mode": True},
    "AveragePooling2D": {"pool_size": (3, 2), "padding": "same", "count_include_pad": True},
    "MaxBlurPooling2D": {"pool_size": 3, "strides": 2, "ceil_mode": True, "size": (5, 1)},
    "AverageBlurPooling2D": {"pool_size": (3, 2), "padding": "same", "count_include_pad": True},
    "GlobalMaxPooling2D": {"keepdims": True},
    "GlobalAveragePooling2D": {},
    "BatchNormalization": {"epsilon": 0.01, "scale": False},
    "ZeroPadding2D": {"padding": ((1, 0), (2, 3))},
    "Flatten": {},
    "Reshape": {"target_shape": (4, -1)},
    "Permute": {"dims": (2, 1, 3)},
    "Dropout": {"rate": 0.25},
    "SpatialDropout2D": {"rate": 0.25},
    "Identity": {},
    "Rescaling": {"scale": [1.0, 2.0, 3.0, 4.0], "offset": 0.5},
    "Concatenate": {"axis": 1},
    **{name: {} for name in MERGES},
}
OF_KERAS = [name for name in EXAMPLES if name not in BLURRED]


def test_every_layer_has_an_example():
    classes = {
        name
        for name in layers.__all__
        if inspect.isclass(getattr(layers, name))
        and getattr(layers, name).__name__ == name
        and name not in ("Layer", "InputLayer", "Symbol")
    }
    assert classes == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_config_makes_the_same_layer(name):
    shape = (2, 6, 8, 4)
    kind = getattr(layers, name)
    layer = kind(**EXAMPLES[name], name="mine")
    config = json.loads(json.dumps(layer.get_config()))
    again = kind.from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.name == "mine"
    given = [numbers(shape), numbers(shape, 1)] if layer.merges else numbers(shape)
    np.testing.assert_array_equal(again(given), layer(given))
    plain = kind(**EXAMPLES[name]).get_config()
    assert plain.keys() == config.keys()


@pytest.mark.parametrize("name", OF_KERAS)
def test_arguments_have_the_names_order_and_defaults_of_keras(name):
    def read(kind):
        found = inspect.signature(kind.__init__).parameters.values()
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {p.name: p.default for p in found if p.kind not in kinds and p.name != "self"}

    ours, theirs = read(getattr(layers, name)), read(getattr(keras.layers, name))
    for_training = ("_regularizer", "_constraint")
    left_out = ("renorm", "lora", "quantization")
    kept = {
        key: default
        for key, default in theirs.items()
        if not key.startswith(left_out)
        and (key in ours or not key.endswith(for_training))
        and key not in ("name", "dtype")
    }
    ours = {key: default for key, default in ours.items() if key != "name"}
    assert list(ours.items()) == list(kept.items())
    options = {key: None for key in theirs if key.endswith(for_training)}
    getattr(layers, name)(**EXAMPLES[name], **options)  # what concerns training is taken


@pytest.mark.parametrize("name", OF_KERAS)
def test_default_names_are_those_of_keras(name):
    keras.utils.clear_session()
    options = {
        key: value
        for key, value in EXAMPLES[name].items()
        if key not in ("ceil_mode", "count_include_pad", "alpha_initializer", "padding")
    }
    assert getattr(layers, name)(**options).name == getattr(keras.layers, name)(**options).name


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization"])
def test_weights_are_copies_in_the_order_of_keras(name):
    options = {"Conv2D": {"filters": 4, "kernel_size": 3}, "DepthwiseConv2D": {"kernel_size": 3}}
    options = options.get(name, {"units": 4} if name == "Dense" else {})
    ours, theirs = twins(name, options, (1, 5, 5, 4))
    named = [weight.path.rpartition("/")[2] for weight in theirs.weights]
    assert [n.replace("depthwise_", "") for n in named] == list(ours.weight_names())
    assert ours.count_params() == theirs.count_params()
    before = ours(numbers((1, 5, 5, 4)))
    for weight in ours.get_weights():
        weight[:] = 7
    np.testing.assert_array_equal(ours(numbers((1, 5, 5, 4))), before)


@pytest.mark.parametrize(
    "name", ["Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization", "PReLU"]
)
def test_weights_build_a_layer_that_is_not_built(name):
    layer = getattr(layers, name)(**EXAMPLES[name])
    again = getattr(layers, name)(**EXAMPLES[name])
    x = numbers((2, 6, 8, 4))
    wanted = layer(x)
    again.set_weights(layer.get_weights())
    assert again.built
    np.testing.assert_array_equal(again(x), wanted)
    with pytest.raises(errors.ShapeError, match=r"the weight .* has the shape .* is needed"):
        again.set_weights([np.zeros((*weight.shape, 2)) for weight in layer.get_weights()])
    with pytest.raises(errors.ShapeError, match=r"takes . arrays"):
        again.set_weights([*layer.get_weights(), np.zeros(3)])


def test_the_same_model_begins_with_the_same_weights_and_its_layers_with_different_ones():
    def make(name, seed=None):
        kernel = (
            initializers.get("", "", "he_normal")
            if seed is None
            else (initializers.VarianceScaling(2, seed=seed))
        )
        layer = layers.Conv2D(8, 3, name=name, kernel_initializer=kernel)
        layer.build((None, 8, 8, 3))
        return layer.get_weights()[0]

    np.testing.assert_array_equal(make("a"), make("a"))
    assert not np.array_equal(make("a"), make("b"))
    np.testing.assert_array_equal(make("a", seed=3), make("b", seed=3))


@pytest.mark.parametrize(
    "name",
    [f"{who}_{how}" for who in ("glorot", "he", "lecun") for how in ("uniform", "normal")]
    + ["random_normal", "random_uniform", "truncated_normal", "zeros", "ones"],
)
def test_initializers_are_distributed_as_those_of_keras(name):
    shape = (3, 3, 64, 128)
    ours = initializers.get("", "", name)(shape, seed=1)
    theirs = keras.initializers.get(name)(shape, "float32").numpy()
    assert (ours.shape, ours.dtype) == (shape, np.float32)
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.02 * theirs.std() + 1e-9)
    if name != "random_normal":  # which has no bound; Keras on torch cuts off a little late
        assert np.abs(ours).max() <= np.abs(theirs).max() * 1.001


# ------------------------------------------------------------------ arrays


def test_tensors_come_back_as_tensors_and_doubles_are_computed_in_double():
    layer = layers.Conv2D(4, 3, activation="relu")
    x = numbers((1, 8, 8, 3))
    tensor = layer(torch.from_numpy(x))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), layer(x))
    wide = layer(x.astype(np.float64))
    assert wide.dtype == np.float64
    assert 0 < np.abs(wide - layer(x)).max() < 1e-5
    np.testing.assert_array_equal(layer(x[:, ::-1]), layer(x[:, ::-1].copy()))
    with pytest.raises(
        errors.DTypeError, match=r"Conv2D: the input must be float32 or float64, got uint8; convert"
    ):
        layer(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(errors.DTypeError, match="float32 or float64, got float16"):
        layer(x.astype(np.float16))
    with pytest.raises(errors.DTypeError, match="inputs must have one dtype"):
        layers.Add()([x, x.astype(np.float64)])


def test_an_empty_batch_is_an_empty_answer():
    for name, options in EXAMPLES.items():
        layer = getattr(layers, name)(**options)
        x = numbers((0, 6, 8, 4))
        assert layer([x, x] if layer.merges else x).shape[0] == 0, name


def test_every_layer_takes_an_image_with_any_strides():
    x = numbers((4, 12, 16, 8))[::-2, ::2, ::-2, ::2]
    for name, options in EXAMPLES.items():
        layer = getattr(layers, name)(**options)
        kept = x.copy()
        if layer.merges:
            np.testing.assert_array_equal(layer([x, x]), layer([kept, kept]), err_msg=name)
        else:
            np.testing.assert_array_equal(layer(x), layer(kept), err_msg=name)
        np.testing.assert_array_equal(x, kept, err_msg=f"{name} has changed its input")


# ------------------------------------------------------------------ what is refused


IMAGE = np.zeros((1, 8, 8, 3), np.float32)
REFUSED = {
    "no filters": (lambda: layers.Conv2D(0, 3), "Conv2D: filters must be at least 1, got 0"),
    "half a filter": (lambda: layers.Conv2D(1.5, 3), "filters must be a whole number, got 1.5"),
    "true filters": (lambda: layers.Conv2D(True, 3), "filters must be a whole number, got True"),
    "negative kernel": (lambda: layers.Conv2D(4, (3, -1)), "kernel_size must be at least 1"),
    "stride 0": (lambda: layers.Conv2D(4, 3, strides=0), "strides must be at least 1"),
    "nan stride": (lambda: layers.Conv2D(4, 3, strides=np.nan), "strides must be whole numbers"),
    "infinite stride": (
        lambda: layers.MaxPool2D(2, float("inf")),
        "MaxPooling2D: strides must be whole numbers, got inf",
    ),
    "three strides": (lambda: layers.Conv2D(4, 3, (1, 2, 3)), "strides must be one number, 2"),
    "huge kernel": (lambda: layers.Conv2D(4, 2**40), "kernel_size must be at most 2147483647"),
    "even blur": (
        lambda: layers.MaxBlurPooling2D(2, size=(3, 4)),
        "MaxBlurPooling2D: size must be odd, 1 to 7, so that the filter has a middle, got (3, 4)",
    ),
    "wide blur": (lambda: layers.AverageBlurPooling2D(2, size=9), "size must be odd, 1 to 7"),
    "padding": (lambda: layers.Conv2D(4, 3, padding="full"), "padding must be 'SAME', 'VALID'"),
    "negative padding": (
        lambda: layers.Conv2D(4, 3, padding=((-1, 0), (0, 0))),
        "padding must not be negative",
    ),
    "groups": (lambda: layers.Conv2D(4, 3, groups=3), "filters must be a multiple of groups"),
    "channels first": (
        lambda: layers.MaxPool2D(data_format="channels_first"),
        "data_format must be 'channels_last'",
    ),
    "activation": (lambda: layers.Conv2D(4, 3, activation="rely"), "activation must be None or"),
    "initializer": (
        lambda: layers.Dense(4, kernel_initializer="heavy"),
        "Dense: kernel_initializer must be one of",
    ),
    "unknown argument": (
        lambda: layers.Conv2D(4, 3, stride=2, name="first"),
        "layers.Conv2D 'first': there is no argument 'stride'",
    ),
    "dtype": (lambda: layers.Dense(4, dtype="float16"), "dtype must be 'float32'"),
    "name": (lambda: layers.Dense(4, name=""), "name must be text that is not empty"),
    "units": (lambda: layers.Dense(-2), "Dense: units must be at least 1, got -2"),
    "nan slope": (lambda: layers.LeakyReLU(np.nan), "negative_slope must be finite, got nan"),
    "text slope": (lambda: layers.LeakyReLU("0.1"), "negative_slope must be a number"),
    "negative maximum": (lambda: layers.ReLU(-1), "max_value must not be negative"),
    "dropout": (lambda: layers.Dropout(2), "rate must be in"),
    "zeros around": (lambda: layers.ZeroPadding2D(-1), "padding must be at least 0, got -1"),
    "zeros in threes": (lambda: layers.ZeroPadding2D((1, 2, 3)), "padding must be a number"),
    "permutation": (lambda: layers.Permute((1, 1, 2)), "dims must be the axes 1, 2"),
    "reshape": (lambda: layers.Reshape((-1, -1)), "target_shape must be at least 1, but for one"),
    "scale": (lambda: layers.Rescaling(np.inf), "scale must be finite"),
    "variance": (lambda: initializers.VarianceScaling(0), "scale must be larger than 0"),
    "epsilon": (lambda: layers.BatchNormalization(epsilon=-1), "epsilon must not be negative"),
    "training": (lambda: layers.Dropout(0.5)(IMAGE, training=True), "training must be False"),
    "no batch": (lambda: layers.Conv2D(4, 3)(IMAGE[0]), "one image needs a batch: image[None]"),
    "rank": (lambda: layers.GlobalMaxPooling2D()(IMAGE[0, 0]), "takes an input of rank 4"),
    "window": (
        lambda: layers.Conv2D(4, 9, name="wide")(IMAGE),
        "layers.Conv2D 'wide': a window of (9,) does not fit",
    ),
    "pool": (lambda: layers.MaxPool2D(9)(IMAGE), "MaxPooling2D: a window of (9,) does not fit"),
    "no pixels": (lambda: layers.Conv2D(4, 3)(IMAGE[:, :0]), "sizes of input_shape must be from 1"),
    "channels": (lambda: layers.Conv2D(4, 3, groups=2)(IMAGE), "a multiple of groups (2)"),
    "only padding": (
        lambda: layers.MaxPool2D(2, padding=((5, 0), (0, 0)))(IMAGE),
        "sees nothing but padding",
    ),
    "no list": (lambda: layers.Add()(IMAGE), "Add: takes a list of inputs, got ndarray"),
    "one input": (lambda: layers.Add()([IMAGE]), "takes a list of 2 inputs or more"),
    "three to subtract": (lambda: layers.Subtract()([IMAGE] * 3), "takes a list of 2 inputs"),
    "shapes to add": (
        lambda: layers.Add()([IMAGE, IMAGE[:, :5]]),
        "Add: inputs must have one shape, or 1 where they differ",
    ),
    "shapes to join": (
        lambda: layers.Concatenate()([IMAGE, IMAGE[:, :5]]),
        "inputs must have one shape but for axis 3",
    ),
    "axis to join": (lambda: layers.Concatenate(0)([IMAGE, IMAGE]), "behind the batch, got 0"),
    "axis of shares": (lambda: layers.Softmax(4)(IMAGE), "behind the batch, got 4"),
    "reshaped": (lambda: layers.Reshape((5, 5))(IMAGE), "has 192 numbers, which do not fit"),
    "symbols and arrays": (
        lambda: layers.Add()([IMAGE, layers.Input((8, 8, 3))]),
        "takes symbols or arrays, not some of each",
    ),
    "unknown sizes": (lambda: layers.PReLU().build((None, None, None, 3)), "share the axes"),
    "unknown features": (lambda: layers.Dense(4).build((None, None)), "the features known"),
    "unknown channels": (
        lambda: layers.BatchNormalization().build((None, 4, 4, None)),
        "channels must be known",
    ),
    "axis of channels": (
        lambda: layers.BatchNormalization(axis=1)(IMAGE),
        "axis must be that of the channels, the last, got 1",
    ),
    "huge weights": (
        lambda: layers.Dense(2**31 - 1).build((None, 2**31 - 1)),
        "more than half of this machine's",
    ),
    "shape of text": (lambda: layers.Input("224"), "shape"),
    "shape of halves": (lambda: layers.Input((2.5, 3, 1)), "must be whole numbers or None"),
    "no shape": (lambda: layers.InputLayer(), "shape must be given"),
    "a masked image": (
        lambda: layers.ReLU()(np.ma.masked_equal(IMAGE, 0)),
        "ReLU: the input is a masked array",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_name(case):
    make, message = REFUSED[case]
    with pytest.raises(AttarError) as caught:
        make()
    assert message in str(caught.value)
    assert str(caught.value).startswith("layers."), caught.value


def test_a_built_layer_refuses_another_number_of_channels():
    layer = layers.Conv2D(4, 3, name="first")
    layer(IMAGE)
    with pytest.raises(errors.ShapeError, match=r"'first': the weight kernel has the shape"):
        layer(np.zeros((1, 8, 8, 5), np.float32))
