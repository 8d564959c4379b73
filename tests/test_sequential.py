"""Models: their plans beside the layers one after the other, and beside Keras."""

import copy
import itertools
import os
import pickle
import threading
import time

import numpy as np
import pytest
import torch

from attar import AttarError, Sequential, errors, layers
from attar.graph import Graph, Node
from attar.memory import Buffer, largest_at_once, pack

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

# NumPy 2 says it of torch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def randomize(model, seed=0):
    """Give every weight a value that would show if it were forgotten."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        weights = []
        for name, weight in zip(layer.weight_names(), layer.get_weights(), strict=True):
            values = generator.standard_normal(weight.shape)
            if name == "kernel":
                values /= np.sqrt(max(1, weight[..., 0].size))
            weights.append(np.abs(values) + 0.5 if name == "moving_variance" else values)
        layer.set_weights(weights)


def bits(array):
    return array.view(np.uint32 if array.dtype == np.float32 else np.uint64)


def assert_plan_is_trace(model, x, exact=True):
    """The answers of the two precisions, and to the bit where nothing rounds differently."""
    *_, wanted = model.trace(x).values()
    kept = x.copy()
    scale = np.abs(wanted).max(initial=0)
    for precision in ("fast", "exact"):
        model.precision = precision
        got = model(x)
        np.testing.assert_array_equal(x, kept, err_msg="the input was changed")
        assert not np.shares_memory(got, x)
        if exact and precision == "exact":
            np.testing.assert_array_equal(got, wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5 * scale)
        np.testing.assert_array_equal(bits(model(x)), bits(got), err_msg="a second call differs")
    return got


def fused(plan):
    return [" + ".join(step.layers) for step in plan]


def vgg16():
    model = Sequential([layers.Input((224, 224, 3))], name="vgg16")
    for block, (count, filters) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
        for i in range(1, count + 1):
            model.add(
                layers.Conv2D(
                    filters, 3, padding="same", activation="relu", name=f"block{block}_conv{i}"
                )
            )
        model.add(layers.MaxPooling2D(2, 2, name=f"block{block}_pool"))
    return model


# ------------------------------------------------------------------ the lesson


LESSON = """
from {library} import Sequential, layers

model = Sequential([
    layers.Conv2D(filters=64, kernel_size=3), # activation is None
    layers.MaxPool2D(pool_size=2),
    # More layers follow
    layers.Conv2D(32, kernel_size=5, activation="relu", padding="same"),
    layers.Activation("relu"),
    layers.MaxPool2D(pool_size=3, strides=2, padding="same"),
    layers.Flatten(),
    layers.Dropout(0.3),
    layers.Dense(units=6, activation="relu"),
    layers.Dense(units=1, activation="sigmoid"),
])
"""


def test_the_lesson_runs_after_changing_its_import_line():
    ours, theirs = {}, {}
    exec(LESSON.format(library="attar"), ours)
    exec(LESSON.format(library="keras"), theirs)
    ours, theirs = ours["model"], theirs["model"]
    image = numbers((2, 40, 52, 3))
    assert ours(image).shape == tuple(theirs(image).shape)
    randomize(ours)
    theirs.set_weights(ours.get_weights())
    wanted = theirs(image).detach().numpy()
    np.testing.assert_allclose(ours(image), wanted, rtol=1e-5, atol=1e-6)
    assert [layer.name for layer in ours.layers] == [
        "conv2d", "max_pooling2d", "conv2d_1", "activation", "max_pooling2d_1", "flatten",
        "dropout", "dense", "dense_1",
    ]  # fmt: skip
    assert ours.count_params() == theirs.count_params()
    assert_plan_is_trace(ours, image)
    assert fused(ours.plan(image.shape))[:2] == [
        "conv2d + max_pooling2d",
        "conv2d_1 + activation + max_pooling2d_1",
    ]


def test_layers_that_an_input_shape_is_known_for_are_built_at_once():
    for first in (
        [layers.Input((20, 20, 3)), layers.Conv2D(4, 3)],
        [layers.InputLayer(input_shape=[20, 20, 3]), layers.Conv2D(4, 3)],
        [layers.Conv2D(4, 3, input_shape=(20, 20, 3))],
    ):
        model = Sequential([*first, layers.Flatten()])
        assert model.built
        assert model.input_shape == (None, 20, 20, 3)
        assert model.output_shape == (None, 18 * 18 * 4)
        assert model.graph.input_shape == (20, 20, 3)
        model.add(layers.Dense(2))
        assert model.count_params() == 3 * 3 * 3 * 4 + 4 + 18 * 18 * 4 * 2 + 2
    lazy = Sequential([layers.Conv2D(4, 3)])
    assert not lazy.built
    lazy.build((None, 20, 20, 3))
    assert lazy.built
    assert lazy.input_shape == (None, 20, 20, 3)


# ------------------------------------------------------------------ what a plan fuses


def norm_and_relu():
    return [layers.BatchNormalization(), layers.ReLU()]


CHAINS = {
    "conv": ([layers.Conv2D(5, 3)], ["conv2d"], True),
    "conv relu pool": (
        [layers.Conv2D(5, 3), layers.ReLU(), layers.MaxPool2D()],
        ["conv2d + re_lu + max_pooling2d"],
        True,
    ),
    "conv mean": (
        [layers.Conv2D(5, 3, activation="relu", padding="same"), layers.AvgPool2D(3, 2, "same")],
        ["conv2d + average_pooling2d"],
        True,
    ),
    "conv pool relu": (
        [layers.Conv2D(5, 3), layers.MaxPool2D(), layers.ReLU()],
        ["conv2d + max_pooling2d + re_lu"],
        True,
    ),
    "conv mean relu": (
        [layers.Conv2D(5, 3), layers.AvgPool2D(2), layers.ReLU()],
        ["conv2d + average_pooling2d", "re_lu"],
        True,
    ),
    "conv norm relu pool": (
        [layers.Conv2D(5, 3), *norm_and_relu(), layers.MaxPool2D(ceil_mode=True)],
        ["conv2d + batch_normalization + re_lu + max_pooling2d"],
        False,
    ),
    "conv norm without bias": (
        [layers.Conv2D(5, 3, use_bias=False), *norm_and_relu()],
        ["conv2d + batch_normalization + re_lu"],
        False,
    ),
    "conv norm norm": (
        [layers.Conv2D(5, 3), layers.BatchNormalization(), layers.BatchNormalization(scale=False)],
        ["conv2d + batch_normalization + batch_normalization_1"],
        False,
    ),
    "relu before norm": (
        [layers.Conv2D(5, 3, activation="relu"), *norm_and_relu()],
        ["conv2d", "batch_normalization", "re_lu"],
        True,
    ),
    "pool before norm": (
        [layers.Conv2D(5, 3), layers.MaxPool2D(), *norm_and_relu()],
        ["conv2d + max_pooling2d", "batch_normalization", "re_lu"],
        True,
    ),
    "depthwise norm relu6": (
        [layers.DepthwiseConv2D(3, depth_multiplier=2), layers.BatchNormalization(),
         layers.ReLU(6)],
        ["depthwise_conv2d + batch_normalization", "re_lu"],
        False,
    ),
    "depthwise relu pool": (
        [layers.DepthwiseConv2D(3, 2, "same"), layers.ReLU(), layers.MaxPool2D()],
        ["depthwise_conv2d + re_lu + max_pooling2d"],
        True,
    ),
    "groups": (
        [layers.Conv2D(6, 3, groups=3), layers.BatchNormalization()],
        ["conv2d + batch_normalization"],
        False,
    ),
    "other activation": (
        [layers.Conv2D(5, 3, activation="silu"), layers.MaxPool2D()],
        ["conv2d", "max_pooling2d"],
        True,
    ),
    "dropout between": (
        [layers.Conv2D(5, 3), layers.Dropout(0.5), layers.ReLU(), layers.MaxPool2D(3, 2)],
        ["conv2d + dropout + re_lu + max_pooling2d"],
        True,
    ),
    "zeros before": (
        [layers.ZeroPadding2D(((3, 2), (1, 0))), layers.Conv2D(5, 3, 2), layers.ReLU()],
        ["zero_padding2d + conv2d + re_lu"],
        True,
    ),
    "zeros before pairs": (
        [layers.ZeroPadding2D(1), layers.Conv2D(5, 3, padding=((0, 1), (2, 0)))],
        ["zero_padding2d + conv2d"],
        True,
    ),
    "zeros before same": (
        [layers.ZeroPadding2D(1), layers.Conv2D(5, 3, 2, padding="same")],
        ["zero_padding2d", "conv2d"],
        True,
    ),
    "zeros before a pool": (
        [layers.Conv2D(5, 3), layers.ZeroPadding2D(1), layers.MaxPool2D(3, 2)],
        ["conv2d", "zero_padding2d", "max_pooling2d"],
        True,
    ),
    "zeros before a pool behind relu": (
        [layers.Conv2D(5, 3, activation="relu"), layers.ZeroPadding2D(((1, 2), (0, 1))),
         layers.MaxPool2D(3, 2)],
        ["conv2d + zero_padding2d + max_pooling2d"],
        True,
    ),
    "zeros before a window of zeros": (
        [layers.Conv2D(5, 3, activation="relu"), layers.ZeroPadding2D(((0, 3), (1, 1))),
         layers.MaxPool2D(3, 1)],
        ["conv2d", "zero_padding2d", "max_pooling2d"],
        True,
    ),
    "zeros before a mean": (
        [layers.Conv2D(5, 3, activation="relu"), layers.ZeroPadding2D(1), layers.AvgPool2D(3, 2)],
        ["conv2d", "zero_padding2d", "average_pooling2d"],
        True,
    ),
    "padding that counts": (
        [layers.Conv2D(5, 3), layers.AvgPool2D(2, padding=((1, 1), (1, 1)),
                                               count_include_pad=True)],
        ["conv2d", "average_pooling2d"],
        True,
    ),
    "two pools": (
        [layers.Conv2D(5, 3), layers.MaxPool2D(3, 1), layers.MaxPool2D(3, 2, "same")],
        ["conv2d + max_pooling2d", "max_pooling2d_1"],
        True,
    ),
    "pool in pairs": (
        [layers.Conv2D(5, 3), layers.MaxPool2D(3, 2, padding=((1, 1), (0, 1)))],
        ["conv2d + max_pooling2d"],
        True,
    ),
    "to numbers": (
        [layers.Conv2D(5, 3), layers.GlobalAveragePooling2D(), layers.Dense(4, "softmax")],
        ["conv2d", "global_average_pooling2d", "dense"],
        True,
    ),
    "nothing but views": (
        [layers.Flatten(), layers.Reshape((-1, 3))],
        ["flatten", "reshape", ""],
        True,
    ),
    "activation first": (
        [layers.Activation("tanh"), layers.Flatten()],
        ["activation", "flatten"],
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CHAINS)
def test_chains(case, dtype):
    made, steps, exact = CHAINS[case]
    model = Sequential([type(layer).from_config(_unnamed(layer)) for layer in made])
    x = numbers((2, 19, 22, 3)).astype(dtype)
    model.build((None, 19, 22, 3))
    randomize(model)
    got = assert_plan_is_trace(model, x, exact)
    assert got.dtype == dtype
    assert fused(model.plan(x.shape, dtype)) == steps


def _unnamed(layer):
    config = layer.get_config()
    del config["name"]
    return config


def test_a_map_that_two_layers_take_is_not_fused_away():
    image = layers.Input((16, 16, 4))
    filtered = layers.Conv2D(4, 3, padding="same", name="filter")(image)
    detected = layers.ReLU(name="detect")(filtered)
    model = Sequential(layers.Add(name="both")([detected, filtered]))
    randomize(model)
    assert_plan_is_trace(model, numbers((1, 16, 16, 4)))
    assert fused(model.plan()) == ["filter", "detect", "both"]


def residual(library, filters=8):
    """A small base with two residual blocks, one of them with a stride, and a dense block."""
    made = library.layers
    image = made.Input((30, 34, 3)) if library is not keras else keras.Input((30, 34, 3))
    x = made.ZeroPadding2D(3)(image)
    x = made.Conv2D(filters, 7, strides=2, use_bias=False)(x)
    x = made.BatchNormalization()(x)
    x = made.Activation("relu")(x)
    x = made.MaxPooling2D(3, 2, padding="same")(x)
    for strides in (1, 2):
        short = x
        y = made.Conv2D(filters, 3, strides=strides, padding="same")(x)
        y = made.BatchNormalization(epsilon=1e-5)(y)
        y = made.ReLU()(y)
        y = made.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = made.BatchNormalization()(y)
        if strides == 2:
            short = made.Conv2D(filters, 1, strides=2)(short)
        x = made.Activation("relu")(made.Add()([y, short]))
    y = made.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = made.Concatenate()([x, y])
    weights = made.Dense(2 * filters, activation="sigmoid")(
        made.GlobalAveragePooling2D(keepdims=True)(x)
    )
    x = made.Multiply()([x, weights])
    return image, made.GlobalMaxPooling2D()(x)


def test_a_residual_base_equals_keras():
    import attar

    _, answer = residual(attar)
    model = Sequential(answer)
    theirs = keras.Model(*residual(keras))
    randomize(model)
    by_layer = {layer.name.rsplit("/", 1)[-1]: layer for layer in theirs.layers}
    for ours, other in zip(
        [layer for layer in model.layers if layer.weight_names()],
        _in_our_order(model, theirs),
        strict=True,
    ):
        other.set_weights(ours.get_weights())
    assert by_layer
    x = numbers((2, 30, 34, 3))
    got = assert_plan_is_trace(model, x, exact=False)
    np.testing.assert_allclose(got, theirs(x).detach().numpy(), rtol=2e-5, atol=1e-5)


def _in_our_order(ours, theirs):
    """Keras' layers with weights by the order in which they were made, as ours are numbered."""

    def number(layer):
        kind, _, digits = layer.name.rpartition("_")
        return int(digits) if digits.isdigit() and kind else 0

    found = {}
    for kind in {type(layer).__name__ for layer in theirs.layers}:
        same = [layer for layer in theirs.layers if type(layer).__name__ == kind]
        found[kind] = sorted(same, key=number)
    made = {}
    for layer in sorted((layer for layer in ours.layers if layer.weight_names()), key=number):
        kind = type(layer).__name__
        made[layer] = found[kind][len([m for m in made if type(m).__name__ == kind])]
    return [made[layer] for layer in ours.layers if layer.weight_names()]


# ------------------------------------------------------------------ memory


def random_graph(seed):
    """A graph with branches, joins, shared layers, views and layers that work in place."""
    generator = np.random.default_rng(seed)
    symbols = [layers.Input((6, 7, 4))]
    shared = layers.Conv2D(4, 3, padding="same")

    def pick():
        return symbols[generator.integers(max(0, len(symbols) - 4), len(symbols))]

    for _ in range(generator.integers(3, 14)):
        kind = generator.integers(9)
        if kind == 0:
            made = layers.Conv2D(4, 3, padding="same")(pick())
        elif kind == 1:
            made = shared(pick())
        elif kind == 2:
            made = layers.Activation(str(generator.choice(["tanh", "relu", "silu"])))(pick())
        elif kind == 3:
            made = layers.Add()([pick() for _ in range(generator.integers(2, 5))])
        elif kind == 4:
            made = layers.Concatenate()([pick(), pick()])
            made = layers.Conv2D(4, 1)(made)
        elif kind == 5:
            made = layers.Reshape((6, 7, 4))(layers.Flatten()(pick()))
        elif kind == 6:
            mean = layers.GlobalAveragePooling2D(keepdims=True)(pick())
            made = layers.Multiply()([mean, pick()] if generator.random() < 0.5 else [pick(), mean])
        elif kind == 7:
            made = layers.MaxPool2D(3, 1, padding="same")(pick())
        else:
            made = layers.Average()([pick(), pick(), pick()])
        symbols.append(made)
    return symbols[-1]


@pytest.mark.parametrize("seed", range(120))
def test_no_map_is_overwritten_while_it_is_needed(seed):
    model = Sequential(random_graph(seed))
    randomize(model, seed)
    assert_plan_is_trace(model, numbers((2, 6, 7, 4), seed))
    plan = model.plan((2, 6, 7, 4))
    assert plan.memory_bytes >= plan.least_bytes
    assert plan.memory_bytes <= 1.25 * plan.least_bytes
    work = model.summary((1, 6, 7, 4)).multiply_adds
    assert sum(step.multiply_adds for step in plan) == 2 * work
    assert str(plan).count("\n") >= len(plan)


@pytest.mark.parametrize("seed", range(200))
def test_packed_buffers_do_not_overlap(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 30))
    first = np.sort(generator.integers(0, count, count))
    buffers = [
        Buffer(int(generator.integers(1, 40)) * 64, int(f), int(f + generator.integers(0, 5)))
        for f in first
    ]
    offsets, size = pack(buffers)
    for i, one in enumerate(buffers):
        assert 0 <= offsets[i] <= size - one.size
        for j in range(i):
            other = buffers[j]
            apart = offsets[i] >= offsets[j] + other.size or offsets[j] >= offsets[i] + one.size
            assert apart or not one.meets(other)
    assert largest_at_once(buffers) <= size <= 1.3 * largest_at_once(buffers)


@pytest.mark.parametrize("seed", range(100))
def test_a_chain_needs_no_more_than_two_neighbours(seed):
    sizes = np.random.default_rng(seed).integers(1, 1000, 40).tolist()
    _, size = pack([Buffer(s, i, i + 1) for i, s in enumerate(sizes)])
    assert size == max(a + b for a, b in itertools.pairwise(sizes))


def test_a_hard_packing_ends_in_time():
    generator = np.random.default_rng(5)
    buffers = [
        Buffer(int(generator.integers(1, 10**6)), i, i + int(generator.integers(1, 60)))
        for i in range(400)
    ]
    begin = time.perf_counter()
    _, size = pack(buffers)
    assert time.perf_counter() - begin < 20
    assert size < 1.5 * largest_at_once(buffers)


def test_the_base_of_vgg16_needs_the_least_memory():
    model = vgg16()
    plan = model.plan()
    maps = {
        name: 4 * int(np.prod(shape[1:]))
        for name, shape in zip(
            model.graph.names(), model.graph.shapes((1, 224, 224, 3)), strict=True
        )
    }
    written = [maps[step.layers[-1]] for step in plan]
    neighbours = [a + b for a, b in itertools.pairwise(written[:-1])]
    # The maps within the first three blocks are large, and there in bands alone.
    assert [step.layers for step in plan][:4] == [
        ("block1_conv1", "block1_conv2", "block1_pool"),
        ("block2_conv1", "block2_conv2", "block2_pool"),
        ("block3_conv1", "block3_conv2", "block3_conv3", "block3_pool"),
        ("block4_conv1",),
    ]  # fmt: skip
    assert len(plan) == 9
    # What is left of blocks 1 and 2: 112 × 112 × 64 and 56 × 56 × 128.
    assert plan.memory_bytes == plan.least_bytes == max(neighbours) == 3_211_264 + 1_605_632
    assert plan.peak_bytes == plan.memory_bytes + plan.workspace_bytes + 7 * 7 * 512 * 4
    assert plan.unfused_bytes == sum(maps.values()) > 10 * plan.memory_bytes
    # The published numbers of VGG16's base.
    summary = model.summary()
    assert summary.parameters == 14_714_688
    assert summary.multiply_adds == 15_346_630_656
    assert [row.receptive_field for row in summary.layers[-2:]] == [(196, 196), (212, 212)]
    assert summary.layers[-1].stride == (32, 32)
    assert summary.map_bytes == plan.unfused_bytes
    assert summary.saved_bytes == summary.map_bytes - plan.peak_bytes
    assert [row.layer for row in summary.layers if not row.kept] == [
        "block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2",
        "block3_conv1", "block3_conv2", "block3_conv3", "block4_conv3", "block5_conv3",
    ]  # fmt: skip


def test_what_works_number_by_number_writes_over_its_input():
    model = Sequential([layers.MaxPool2D(2), layers.Activation("tanh"), layers.ELU(),
                        layers.MaxPool2D(2), layers.ELU()])  # fmt: skip
    model.build((None, 32, 32, 8))
    plan = model.plan((1, 32, 32, 8))
    assert [step.path for step in plan] == ["layer", "in place", "in place", "layer", "in place"]
    assert plan.memory_bytes == 16 * 16 * 8 * 4
    assert [step.place for step in plan] == ["memory"] * 3 + ["output"] * 2


# ------------------------------------------------------------------ receptive fields


def positive(model):
    """Make every weight positive, so that no path can cancel another."""
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        layer.set_weights([np.full(shape, 1.0) for shape in shapes])


def seen_by(model, name, at, shape):
    """Find the pixels that reach a pixel of a map by lighting each of them."""
    height, width = shape[1:3]
    lights = np.zeros((height * width, *shape[1:]), np.float64)
    lights.reshape(height * width, height * width, -1)[
        np.arange(height * width), np.arange(height * width)
    ] = 1
    map = model.trace(lights)[name]
    reached = map[:, at[0], at[1]] if map.ndim == 4 else map
    return reached.reshape(height, width, -1).any(axis=-1)


def paths():
    image = layers.Input((13, 15, 1))
    near = layers.Conv2D(2, 3, padding="same", use_bias=False)(image)
    far = layers.Conv2D(2, 3, padding="same", dilation_rate=3, use_bias=False)(near)
    down = layers.AvgPool2D(2)(layers.Add()([near, far]))
    other = layers.Conv2D(2, 5, strides=2, padding=((0, 2), (1, 1)), use_bias=False)(image)
    return Sequential(layers.Concatenate(name="last")([down, other]))


FIELDS = {
    "same": [layers.Conv2D(1, 3, padding="same"), layers.Conv2D(1, 5, padding="same")],
    "valid strides": [layers.Conv2D(1, 3, 2), layers.AvgPool2D(3, 2), layers.Conv2D(1, 2)],
    "dilated": [layers.Conv2D(1, 3, dilation_rate=(2, 3), padding="same"),
                layers.Conv2D(1, (2, 1), dilation_rate=4, padding="same")],
    "far padding": [layers.Conv2D(1, 3), layers.Conv2D(1, 2, padding=((5, 0), (0, 4)))],
    "ceil": [layers.AvgPool2D(2, 2, padding=((1, 0), (0, 1)), ceil_mode=True),
             layers.AvgPool2D(3, 2, ceil_mode=True)],
    "blurred": [layers.AverageBlurPooling2D(2), layers.AverageBlurPooling2D(3, 2, "same", size=5)],
    "blurred, padded": [layers.AverageBlurPooling2D((3, 2), 2, ((1, 1), (0, 1)), ceil_mode=True),
                        layers.AverageBlurPooling2D(2, 3, size=7)],
    "zeros": [layers.ZeroPadding2D(((2, 0), (0, 3))), layers.AvgPool2D(2, 2), layers.ReLU()],
    "windows over all": [layers.AvgPool2D(31, 1, "same")],
    "global": [layers.Conv2D(1, 3), layers.GlobalAveragePooling2D(keepdims=True)],
    "flat": [layers.Conv2D(1, 3, 3), layers.Flatten(), layers.Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("case", [*FIELDS, "paths", "gated"])
def test_the_box_behind_a_pixel_is_exact(case):
    if case in ("paths", "gated"):
        model = paths() if case == "paths" else gated()
    else:
        made = [type(layer).from_config(_unnamed(layer)) for layer in FIELDS[case]]
        model = Sequential([layers.Input((13, 15, 1)), *made])
    positive(model)
    for layer in model.layers:  # a bias would light pixels that see nothing
        if "bias" in layer.weight_names():
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, 0 * bias])
    shape = (1, 13, 15, 1)
    for name, sizes in zip(model.graph.names(), model.graph.shapes(shape), strict=True):
        if name == "flatten":
            continue
        height, width = sizes[1:3] if len(sizes) == 4 else (1, 1)
        for at in {(0, 0), (height - 1, width - 1), (height // 2, width // 3), (0, width - 1)}:
            seen = seen_by(model, name, at, shape)
            field = model.receptive_field(name, at)
            assert field.at == at
            if not seen.any():
                assert field.box is None, (name, at)
                continue
            y, x = np.nonzero(seen)
            assert field.box == (y.min(), y.max() + 1, x.min(), x.max() + 1), (name, at)
            top, bottom, left, right = field.unclipped
            assert top <= field.box.top
            assert bottom >= field.box.bottom
            assert left <= field.box.left
            assert right >= field.box.right
            if case in FIELDS:
                assert field.unclipped.shape == field.size


def gated():
    """A map times a number for each column, and one for each channel."""
    image = layers.Input((13, 15, 1))
    maps = layers.Conv2D(2, 3, padding="same", use_bias=False)(image)
    columns = layers.AvgPool2D((13, 1))(image)
    mean = layers.GlobalAveragePooling2D(keepdims=True)(layers.AvgPool2D(3, 2)(image))
    gates = layers.Add()([columns, maps])
    return Sequential(layers.Add()([mean, gates]))


def test_windows_far_larger_than_the_image():
    everything = 2**31 - 1
    model = Sequential([layers.Conv2D(4, 3), layers.MaxPool2D(everything, 1, "same")])
    x = numbers((1, 9, 8, 3))
    assert_plan_is_trace(model, x)
    field = model.receptive_field("max_pooling2d", (0, 0))
    assert field.box == (0, 9, 0, 8)
    assert field.size == (everything + 2, everything + 2)


def test_receptive_fields_by_hand():
    model = Sequential([layers.Input((32, 32, 3)), layers.Conv2D(4, 3, padding="same"),
                        layers.MaxPool2D(), layers.Conv2D(4, 3, padding="same"),
                        layers.Flatten(), layers.Dense(2)])  # fmt: skip
    field = model.receptive_field("conv2d_1", (0, 15))
    assert (field.size, field.stride) == ((8, 8), (2, 2))
    assert field.unclipped == (-3, 5, 27, 35)
    assert field.box == (0, 5, 27, 32)
    assert field.box.shape == (5, 5)
    assert str(field) == (
        "conv2d_1: 8 × 8 pixels, every 2 × 2; pixel (0, 15) sees rows 0–4, columns 27–31"
    )
    whole = model.receptive_field(model.layers[-1])
    assert (whole.box, whole.stride) == ((0, 32, 0, 32), (0, 0))
    assert whole.unclipped == (-3, 35, -3, 35)
    with pytest.raises(
        errors.ArgumentError, match=r"'conv2d' has 32 × 32 pixels, got at=\(0, 32\)"
    ):
        model.receptive_field("conv2d", (0, 32))
    with pytest.raises(errors.ArgumentError, match="no layer 'conv3d'; there are conv2d, "):
        model.receptive_field("conv3d")
    lazy = Sequential([layers.Conv2D(4, 3)])
    with pytest.raises(errors.ArgumentError, match="the shape of an image is not known"):
        lazy.receptive_field("conv2d")


# ------------------------------------------------------------------ running it


def small_model():
    model = Sequential(
        [
            layers.Conv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPool2D(),
            layers.Conv2D(4, 3, activation="elu"),
        ]
    )
    model.build((None, None, None, 3))
    randomize(model)
    return model


def test_weights_that_change_are_used_at_once():
    model = small_model()
    x = numbers((1, 20, 20, 3))
    before = model(x)
    norm = model.get_layer("batch_normalization")
    norm.set_weights([2 * weight for weight in norm.get_weights()])
    after = assert_plan_is_trace(model, x, exact=False)
    assert np.abs(after - before).max() > 0.01
    model.layers[-1].set_weights([0 * weight for weight in model.layers[-1].get_weights()])
    assert not model(x).any()


def test_sizes_batches_and_kinds_of_arrays():
    model = small_model()
    for shape in [(1, 20, 20, 3), (3, 31, 17, 3), (1, 6, 7, 3), (2, 20, 20, 3)]:
        assert_plan_is_trace(model, numbers(shape), exact=False)
    x = numbers((2, 20, 24, 3))
    wanted = model(x)
    np.testing.assert_array_equal(model(x[:, :, ::-1].copy()[:, :, ::-1]), wanted)
    np.testing.assert_array_equal(np.concatenate([model(x[:1]), model(x[1:])]), wanted)
    tensor = model(torch.from_numpy(x))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), wanted)
    assert all(isinstance(m, torch.Tensor) for m in model.trace(torch.from_numpy(x)).values())
    assert model(x[:0]).shape == (0, *wanted.shape[1:])
    wide = model(x.astype(np.float64))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, wanted, rtol=1e-4, atol=1e-5)
    assert model(x.tolist()).dtype == np.float32


def test_an_answer_goes_where_it_is_wanted():
    model = small_model()
    x = numbers((2, 20, 24, 3))
    wanted = model(x)
    out = np.empty_like(wanted)
    assert model(x, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    strided = np.zeros((2, *wanted.shape[1:3], 8), np.float32)[..., ::2]
    assert model(x, out=strided) is strided
    np.testing.assert_array_equal(strided, wanted)
    assert not strided.base[..., 1::2].any()
    with pytest.raises(errors.ShapeError, match=r"out must have the shape \(2, 8, 10, 4\)"):
        model(x, out=out[:1])
    tensor = torch.zeros(wanted.shape)
    assert model(x, out=tensor) is tensor
    np.testing.assert_array_equal(tensor.numpy(), wanted)
    with pytest.raises(errors.DTypeError, match="out must be an array, got list"):
        model(x, out=wanted.tolist())
    same = Sequential([layers.ReLU()])
    with pytest.raises(errors.ArgumentError, match="out must not share memory with an input"):
        same(x, out=x)
    plan = model.plan(x.shape)
    with pytest.raises(errors.ShapeError, match=r"made for inputs of \(2, 20, 24, 3\), got"):
        plan.run(x[:1])
    with pytest.raises(errors.DTypeError, match="made for inputs of float32, got float64"):
        plan.run(x.astype(np.float64))


def test_an_answer_is_the_callers_own():
    model = small_model()
    x, y = numbers((1, 20, 24, 3)), numbers((1, 20, 24, 3), 1)
    first = model(x)
    kept = first.copy()
    model(y)
    np.testing.assert_array_equal(first, kept)
    image = numbers((2, 4, 4, 3))
    answer = Sequential([layers.Flatten()])(image)
    answer[:] = 0
    assert image.any()


def test_threads_may_share_a_model():
    model = small_model()
    images = [numbers((1, 40, 44, 3), seed) for seed in range(4)]
    wanted = [model(image) for image in images]
    wrong = []

    def work(i):
        for _ in range(25):
            if not np.array_equal(model(images[i]), wanted[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_copy_of_a_model_is_another_model():
    model = small_model()
    x = numbers((1, 20, 20, 3))
    wanted = model(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(x), wanted)
        other.set_weights([0 * weight for weight in other.get_weights()])
        assert not other(x).any()
    np.testing.assert_array_equal(model(x), wanted)


def test_models_of_features():
    model = Sequential([layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(2)])
    x = numbers((5, 6))
    assert_plan_is_trace(model, x)
    assert model.summary().multiply_adds == 6 * 8 + 8 * 2
    assert model.receptive_field("dense").box == (0, 1, 0, 1)


def test_precision_is_fast_or_exact():
    model = small_model()
    x = numbers((1, 20, 20, 3))
    fast = model(x)
    model.precision = "exact"
    np.testing.assert_allclose(model(x), fast, rtol=1e-4, atol=1e-4)
    assert_plan_is_trace(model, x, exact=False)
    with pytest.raises(errors.ArgumentError, match="precision must be 'fast' or 'exact'"):
        model.precision = "half"
    with pytest.raises(errors.ArgumentError, match="precision must be 'fast' or 'exact'"):
        Sequential(precision=1)


def test_a_layer_that_is_applied_twice_has_one_set_of_weights():
    image = layers.Input((12, 12, 4))
    both = layers.Conv2D(4, 3, padding="same", name="twice")
    model = Sequential(layers.ReLU()(both(layers.ReLU(name="between")(both(image)))))
    randomize(model)
    x = numbers((1, 12, 12, 4))
    assert_plan_is_trace(model, x)
    assert list(model.trace(x)) == ["twice", "between", "twice:2", "re_lu"]
    assert model.summary().parameters == model.count_params() == 3 * 3 * 4 * 4 + 4
    assert fused(model.plan()) == ["twice + between", "twice:2 + re_lu"]


def test_a_summary_is_a_table():
    model = Sequential([layers.Input((28, 28, 1)), layers.Conv2D(8, 3, activation="relu"),
                        layers.MaxPool2D(), layers.Flatten(), layers.Dense(10)])  # fmt: skip
    summary = model.summary()
    rows = {row.layer: row for row in summary.layers}
    assert rows["conv2d"].output_shape == (None, 26, 26, 8)
    assert rows["conv2d"].multiply_adds == 26 * 26 * 8 * 9
    assert rows["conv2d"].map_bytes == 26 * 26 * 8 * 4
    assert not rows["conv2d"].kept
    assert rows["flatten"].map_bytes == 0
    assert rows["dense"].parameters == 13 * 13 * 8 * 10 + 10
    assert rows["dense"].receptive_field == (28, 28)
    text = str(summary)
    assert "conv2d" in text
    assert "26 × 26 × 8" in text
    assert "fused" in text
    assert "13 610" in text
    with pytest.raises(errors.ArgumentError, match="not known; call the model on one, or build"):
        Sequential([layers.ReLU()]).summary()
    open_sizes = Sequential([layers.Input((None, None, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(errors.ShapeError, match="all sizes must be known"):
        open_sizes.summary()
    assert open_sizes.summary((None, 9, 9, 3)).layers[0].output_shape == (None, 7, 7, 4)


# ------------------------------------------------------------------ what is refused


def refused_graphs():
    relu = layers.ReLU()
    image, other = layers.Input((4, 4, 3)), layers.Input((4, 4, 3))
    return {
        "nothing": (lambda: Graph(()), "needs at least one layer"),
        "a cycle": (lambda: Graph((Node(relu, (1,)), Node(layers.ELU(), (0,)))), "no cycle"),
        "itself": (lambda: Graph((Node(relu, (0,)),)), "node 0 (re_lu) takes the answer of node 0"),
        "unknown": (lambda: Graph((Node(relu, (-2,)),)), "takes the answer of node -2"),
        "two inputs": (lambda: Graph((Node(relu, (-1, -1)),)), "takes one input, got (-1, -1)"),
        "no input": (lambda: Graph((Node(relu, ()),)), "takes one input, got ()"),
        "a dead end": (
            lambda: Graph((Node(relu), Node(layers.ELU()))),
            "node 0 (re_lu) does not lead to the output",
        ),
        "no such output": (lambda: Graph((Node(relu),), output=1), "output must be the index"),
        "no layer": (lambda: Graph((Node("relu"),)), "must be a Node of a layer"),
        "several images": (
            lambda: Graph.from_symbol(layers.Add()([image, other])),
            "a model has one input, got several",
        ),
        "an image": (lambda: Graph.from_symbol(image), "needs at least one layer"),
    }


@pytest.mark.parametrize("case", refused_graphs())
def test_graphs_that_are_none_are_refused(case):
    make, message = refused_graphs()[case]
    with pytest.raises(AttarError) as caught:
        make()
    assert message in str(caught.value)
    assert str(caught.value).startswith("Graph:")


def test_models_are_parts_of_models():
    base = small_model()
    base.build((None, 12, 14, 3))
    model = Sequential([base, layers.Flatten(), layers.Dense(2)])
    x = numbers((2, 12, 14, 3))
    flat = base(x).reshape(2, -1)
    assert model(x).shape == (2, 2)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(x), flat @ kernel + bias, rtol=1e-4, atol=1e-5)
    assert [layer.name for layer in model.layers][-3:] == ["conv2d_1", "flatten", "dense"]
    image = layers.Input((12, 14, 3))
    branch = Sequential(layers.Add()([base(image), base(image)]))
    np.testing.assert_allclose(branch(x), 2 * base(x), rtol=1e-6)
    assert branch.count_params() == base.count_params()


def test_deep_graphs_are_read():
    symbol = layers.Input((4, 4, 1))
    for _ in range(3000):
        symbol = layers.ReLU()(symbol)
    graph = Graph.from_symbol(symbol)
    assert len(graph) == 3000


MODELS = {
    "empty": (lambda: Sequential()(numbers((1, 4, 4, 3))), "the model has no layers"),
    "no layer": (lambda: Sequential(["conv"]), "takes layers of attar.layers, got 'conv'"),
    "a keras layer": (lambda: Sequential([keras.layers.ReLU()]), "takes layers of attar.layers"),
    "late input": (
        lambda: Sequential([layers.ReLU(), layers.InputLayer((4, 4, 3))]),
        "an input must be the first",
    ),
    "one name twice": (
        lambda: Sequential([layers.ReLU(name="a"), layers.ELU(name="a")]),
        "two layers have the name 'a'",
    ),
    "an image without batch": (
        lambda: Sequential([layers.Conv2D(4, 3)])(numbers((9, 9, 3))),
        "Conv2D 'conv2d': takes an input of rank 4 (batch, height, width, channels), got the "
        "shape (9, 9, 3); one image needs a batch",
    ),
    "whole numbers": (
        lambda: Sequential([layers.Conv2D(4, 3)])(np.zeros((1, 9, 9, 3), np.uint8)),
        "the input must be float32 or float64, got uint8; convert it",
    ),
    "too small": (
        lambda: Sequential([layers.Conv2D(4, 3), layers.MaxPool2D(8)])(numbers((1, 9, 9, 3))),
        "layers.MaxPooling2D 'max_pooling2d': a window of (8,) does not fit",
    ),
    "other channels": (
        lambda: small_model()(numbers((1, 9, 9, 4))),
        "layers.Conv2D 'conv2d': the weight kernel has the shape",
    ),
    "training": (lambda: small_model()(numbers((1, 9, 9, 3)), training=True), "does not train"),
    "weights": (lambda: small_model().set_weights([1]), "set_weights takes 8 arrays"),
    "plan for halves": (lambda: small_model().plan((1, 9, 9, 3), "float16"), "float32 or float64"),
    "plan for nothing": (lambda: small_model().plan((1, 9, 9, 3), "nothing"), "float32 or float64"),
    "plan without sizes": (lambda: small_model().plan(), "all sizes must be known"),
    "an image as shape": (lambda: small_model().plan(9), "must be a tuple of sizes"),
    "too large": (
        lambda: small_model().plan((1, 2**20, 2**20, 3)),
        "more than half of this machine's",
    ),
    "a huge answer": (
        lambda: Sequential([layers.ZeroPadding2D(2**30)])(numbers((1, 4, 4, 1))),
        "layers.ZeroPadding2D 'zero_padding2d': the answer would have the shape (1, 2147483652, ",
    ),
    "a huge fused answer": (
        lambda: Sequential([layers.ZeroPadding2D(2**29), layers.Conv2D(2, 1)])(
            numbers((1, 4, 4, 1))
        ),
        "layers.Conv2D 'conv2d': the answer would have the shape (1, 1073741828, ",
    ),
    "a number": (lambda: Sequential(5), "takes a list of layers, got 5"),
    "a number as shape": (lambda: small_model().build(5), "must be a tuple of sizes, got 5"),
    "a number as a layer's": (
        lambda: Sequential([layers.ReLU(input_shape=5)]),
        "input_shape must be a tuple of sizes, got 5",
    ),
    "a wrong mode": (lambda: Sequential([layers.ReLU(mode=1)]), "there is no argument 'mode'"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_cannot_be_are_refused(case):
    make, message = MODELS[case]
    with pytest.raises(AttarError) as caught:
        make()
    assert message in str(caught.value)


def test_a_layer_that_does_not_fit_is_not_added():
    model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    with pytest.raises(errors.ShapeError, match="a window of"):
        model.add(layers.MaxPool2D(9))
    assert model.output_shape == (None, 6, 6, 4)
    model.add(layers.MaxPool2D(2))
    assert model(numbers((1, 8, 8, 3))).shape == (1, 3, 3, 4)


def test_a_trace_stops_behind_the_layer_asked_for():
    model = Sequential([layers.Conv2D(4, 3), layers.ReLU(), layers.MaxPool2D()])
    x = np.ones((1, 9, 8, 2), np.float32)
    whole = model.trace(x)
    part = model.trace(x, until="re_lu")
    assert list(part) == ["conv2d", "re_lu"]
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name])
    with pytest.raises(
        errors.ArgumentError, match="one of conv2d, re_lu, max_pooling2d, got 'relu'"
    ):
        model.trace(x, until="relu")
