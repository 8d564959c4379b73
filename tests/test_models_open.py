"""`attar.open_model`: one model in four frameworks, what it takes, and how it is run in pieces."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

import attar
from attar import layers
from attar.errors import ArgumentError, DTypeError, ModelError, ModelNotFoundError, ShapeError
from attar.models.calls import PIXEL, Call, fields, slide
from attar.models.inputs import known_preparation
from attar.preparation import PREPARATIONS, Preparation

from .cases import random
from .vgg16 import vgg16_keras, vgg16_names, vgg16_onnx, vgg16_weights

# ----------------------------------------------------------- one model in four frameworks


def vgg16_torch():
    """The base as a module whose names are Keras', with ReLU in place."""
    weights = vgg16_weights()
    module = torch.nn.Sequential()
    for name in vgg16_names():
        if name.endswith("pool"):
            module.add_module(name, torch.nn.MaxPool2d(2, 2))
            continue
        kernel, bias = weights[name]
        convolution = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        convolution.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        convolution.bias.data = torch.from_numpy(bias)
        module.add_module(name, convolution)
        module.add_module(f"{name}_relu", torch.nn.ReLU(inplace=True))
    return module


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """The trained base by framework, each opened for the same preparation."""
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.onnx"
    vgg16_onnx(path)
    sources = {
        "onnx": path,
        "keras": vgg16_keras(),
        "torch": vgg16_torch(),
        "attar": attar.Sequential.from_onnx(path),
    }
    return {
        framework: attar.open_model(source, preparation="vgg")
        for framework, source in sources.items()
    }


def after_relu(framework, names):
    """The layers whose maps are those behind the ReLU, by Keras' names."""
    suffix = "" if framework == "keras" else "_relu"
    return [name if name.endswith("pool") else f"{name}{suffix}" for name in names]


pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # of Keras on PyTorch
)


def test_the_real_vgg16_answers_the_same_in_every_framework(vgg16):
    photo = attar.read_image("examples/coffee.jpg")[None, 100:196, 200:328]
    maps = {}
    for framework, model in vgg16.items():
        assert model.framework == framework
        found = model.run(photo, watch=after_relu(framework, vgg16_names()))
        maps[framework] = list(found.values())
    for name, *answers in zip(vgg16_names(), *maps.values(), strict=True):
        scale = np.abs(answers[0]).max()
        assert answers[0].ndim == 4, name
        assert scale > 0, name
        for answer in answers[1:]:
            assert answer.dtype == np.float32
            np.testing.assert_allclose(answer, answers[0], rtol=0, atol=1e-4 * scale, err_msg=name)


def test_the_layers_of_the_real_vgg16_are_told_the_same_in_every_framework(vgg16):
    summary = attar.Sequential.from_keras(vgg16_keras()).summary((1, 96, 128, 3))
    by_name = {row.layer: row for row in summary.layers}
    for framework, model in vgg16.items():
        for name, watched in zip(vgg16_names(), after_relu(framework, vgg16_names()), strict=True):
            layer, row = model.layer(watched), by_name[name]
            assert layer.output_shape == (None, None, row.output_shape[-1])
            assert (layer.receptive_field, layer.stride) == (row.receptive_field, row.stride)
            filter = model.layer(name)
            assert filter.parameters == row.parameters
            assert filter.task == ("condense" if name.endswith("pool") else "filter")
        assert model.layers[0].inputs == ("",)
        assert sum(layer.parameters for layer in model.layers) == 14_714_688
        assert "block5_pool" in str(model)


def test_sizes_and_work_are_whole_numbers_where_the_size_is_stated(tmp_path):
    vgg16_onnx(tmp_path / "vgg16.onnx")
    model = attar.open_model(tmp_path / "vgg16.onnx", size=224)
    assert model.layers[0].output_shape == (224, 224, 64)
    # Known of VGG16: 15 346 630 656 multiply-adds in its convolutions.
    assert sum(layer.multiply_adds for layer in model.layers) == 15_346_630_656
    assert model.layer("block5_pool").receptive_field == (212, 212)


# ------------------------------------------------------------------------ receptive fields


def small_torch():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 5, stride=2, padding=2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(3, 2, padding=1),
        torch.nn.ZeroPad2d((2, 1, 1, 0)),
        torch.nn.Conv2d(4, 4, 3, dilation=2, padding=2, groups=2),
        torch.nn.AvgPool2d((2, 3), (2, 1)),
    )


def test_a_receptive_field_is_where_gradients_come_from():
    """Every layer, against PyTorch's own derivatives."""
    module = small_torch()
    for weight in module.parameters():
        weight.data = weight.data.abs() + 0.1
    model = attar.open_model(module)
    image = torch.rand(1, 1, 96, 96) + 1
    x = image.clone().requires_grad_()
    answers = {}
    y = x
    for name, layer in module.named_children():
        y = answers[name] = layer(y)
    for layer in model.layers:
        answer = answers[layer.name]
        extents, firsts = [], []
        for moved in (0, 1):
            middle = answer[0, :, answer.shape[2] // 2 + moved, answer.shape[3] // 2 + moved].sum()
            # A maximum passes on one of its inputs: over many images, all of them.
            seen = torch.zeros(96, 96, dtype=torch.bool)
            (gradient,) = torch.autograd.grad(middle, x, retain_graph=True)
            seen |= gradient[0, 0] != 0
            for seed in range(40):
                torch.manual_seed(seed)
                other = torch.rand(1, 1, 96, 96).requires_grad_()
                z = other
                for name, each in module.named_children():
                    z = each(z)
                    if name == layer.name:
                        break
                at = z[0, :, z.shape[2] // 2 + moved, z.shape[3] // 2 + moved].sum()
                seen |= torch.autograd.grad(at, other)[0][0, 0] != 0
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            extents.append((rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))
            firsts.append((rows[0], columns[0]))
        assert layer.receptive_field == extents[0] == extents[1], layer
        assert layer.stride == tuple(b - a for a, b in zip(*firsts, strict=True)), layer


def test_paths_of_different_reach_take_the_hull():
    calls = [
        Call("wide", "Conv", "filter", (-1,), (9, 9, 1), slide((5, 5), before=(2, 2))),
        Call("narrow", "Conv", "filter", (-1,), (9, 9, 1), slide((3, 1), before=(1, 0))),
        Call("sum", "Add", "merge", (0, 1), (9, 9, 1), PIXEL),
        Call("mean", "GlobalAveragePool", "condense", (2,), (1, 1, 1), "everything"),
        Call("gate", "Mul", "merge", (2, 3), (9, 9, 1), PIXEL),
        Call("lost", "Resize", "other", (4,), (9, 9, 1), None),
        Call("behind", "Conv", "filter", (5, 0), (9, 9, 1), PIXEL),
    ]
    found = fields(calls, (9, 9))
    assert [field and field.size for field in found] == [
        (5, 5), (3, 1), (5, 5), (13, 13), (13, 13), None, None,
    ]  # fmt: skip
    assert found[3].stride == (0, 0)
    assert found[4].stride == (1, 1)
    column = Call("column", "Conv", "filter", (-1,), (1, 9, 1), slide((9, 1)))
    repeated = Call("repeated", "Add", "merge", (0,), (9, 9, 1), PIXEL)
    assert fields([column, repeated], (9, 9))[1] == ((9, 1), (0, 1))


def test_two_paths_that_meet_after_a_crop():
    """A valid convolution beside the middle of the image: the hull is that of the convolution."""
    import keras
    from onnx import TensorProto, helper, numpy_helper

    class Cropped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 3)

        def forward(self, x):
            return self.conv(x) + x[:, :, 1:-1, 1:-1]

    image = keras.layers.Input((9, 9, 3))
    both = [keras.layers.Conv2D(3, 3)(image), keras.layers.Cropping2D(1)(image)]
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["conv"]),
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["crop"]),
        helper.make_node("Add", ["conv", "crop"], ["sum"]),
    ]
    weights = {
        "w": random((3, 3, 3, 3)), "starts": np.int64([1, -8]), "ends": np.int64([-1, 8]),
        "axes": np.int64([2, 3]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "cropped",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 9, 9])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for source in (Cropped(), keras.Model(image, keras.layers.Add()(both)), onnx_model):
        last = attar.open_model(source, size=9).layers[-1]
        assert last.output_shape == (7, 7, 3)
        assert (last.receptive_field, last.stride) == ((3, 3), (1, 1)), source


def test_a_model_runs_once_for_a_batch_of_any_size():
    """What it needs is estimated, not tried, where the size of images is new."""
    calls = []

    class Counting(torch.nn.Module):
        def forward(self, x):
            calls.append(tuple(x.shape))
            return x.relu()

    model = attar.open_model(Counting())
    calls.clear()
    maps = model.run(np.ones((3, 20, 30, 3), np.float32))
    assert calls == [(3, 3, 20, 30)]
    assert maps["relu"].shape == (3, 20, 30, 3)
    # Only some at a time where the estimate says so.
    list(model.stream(np.ones((3, 200, 300, 3), np.float32), ["relu"], budget_bytes=8 << 20))
    assert calls[1:] == [(2, 3, 200, 300), (1, 3, 200, 300)]


def test_costs_of_one_size():
    model = filters((None, None, 3))
    (filter, detect, condense) = model.layers_at(10, 12)
    assert filter.multiply_adds == 10 * 12 * 4 * 27
    assert condense.output_shape == (5, 6, 4)
    assert detect.receptive_field == model.layer("detect").receptive_field == (3, 3)
    with pytest.raises(ModelError, match="layers_at: sequential takes 8 × 8, got 8 × 9"):
        filters().layers_at(8, 9)


# ---------------------------------------------------------------------------- what it takes


def filters(shape=(8, 8, 3), **options):
    model = attar.Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(4, 3, padding="same", name="filter"),
            layers.ReLU(name="detect"),
            layers.MaxPool2D(name="condense"),
        ]
    )
    return attar.open_model(model, **options)


def identity(shape=(8, 8, 3), **options):
    model = attar.Sequential([layers.Input(shape), layers.Identity(name="same")])
    return attar.open_model(model, **options)


@pytest.mark.parametrize("name", PREPARATIONS)
def test_images_are_prepared_as_is_stated(name):
    images = random((3, 8, 8, 3)) % 1
    model = identity(preparation=name)
    assert model.preparation == PREPARATIONS[name]
    assert model.input.preparation_says == "stated"
    expected = np.concatenate([PREPARATIONS[name].apply(image) for image in images])
    np.testing.assert_array_equal(model.run(images)["same"], expected)


def test_numbers_of_a_preparation_are_stated_one_by_one():
    model = identity(scale=255, mean=(1, 2, 3), std=2, order="bgr")
    white = np.ones((1, 8, 8, 3), np.float32)
    assert model.run(white)["same"][0, 0, 0].tolist() == [126, 126.5, 127]
    assert model.preparation == Preparation(255.0, (1.0, 2.0, 3.0), (2.0,), bgr=True)
    assert "blue first (stated)" in str(model.input)
    only_scale = identity(preparation="vgg", scale=1)
    assert only_scale.preparation == dataclasses.replace(PREPARATIONS["vgg"], scale=1.0)


def test_bytes_are_pictures_from_0_to_255():
    images = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3)
    for name in ("unit", "torch", "bytes"):
        model = identity(preparation=name)
        floats = model.run(images.astype(np.float32) / 255)["same"]
        np.testing.assert_allclose(model.run(images)["same"], floats, atol=1e-4)


def test_nothing_that_is_given_is_written_to_or_handed_back():
    images = random((2, 8, 8, 3)) % 1
    before = images.copy()
    for model in (identity(), filters()):
        for map in model.run(images).values():
            assert not np.may_share_memory(map, images)
            map[...] = 7
    np.testing.assert_array_equal(images, before)


def test_images_of_another_size_are_resized():
    model = filters()
    images = np.broadcast_to(np.linspace(0, 1, 16, dtype=np.float32)[:, None, None], (16, 24, 3))
    resized = attar.images.resize_image(images, 8, 8)
    np.testing.assert_array_equal(
        model.run(images[None])["filter"], model.run(resized[None])["filter"]
    )


def test_gray_is_repeated_and_colour_becomes_gray():
    gray = random((2, 8, 8, 1)) % 1
    np.testing.assert_array_equal(identity().run(gray)["same"], np.repeat(gray, 3, axis=3))
    colour = np.zeros((1, 8, 8, 3), np.float32)
    colour[..., 1] = 1
    np.testing.assert_allclose(identity((8, 8, 1)).run(colour)["same"], 0.587, rtol=1e-6)


def test_the_preparation_of_known_models():
    assert known_preparation("vgg16")[0] == PREPARATIONS["vgg"]
    assert known_preparation("torchvision.models.resnet")[0] == PREPARATIONS["torch"]
    assert known_preparation("mobilenetv2_1.00_224")[0].mean == (1.0,)
    assert known_preparation("resnet50v2")[0].mean == (1.0,)  # and not resnet50's
    assert known_preparation("vgg16x") is None


def test_a_model_that_takes_any_size_is_given_images_as_they_are():
    model = filters((None, None, 3))
    assert model.input.height is None
    assert model.layer("condense").output_shape == (None, None, 4)
    for height, width in ((8, 8), (11, 6), (40, 30)):
        found = model.run(np.zeros((1, height, width, 3), np.float32))
        assert found["filter"].shape == (1, height, width, 4)
    assert filters((None, None, 3), size=(6, 10)).layer("filter").output_shape == (6, 10, 4)


WRONG = {
    "size": ({"size": (8, 9)}, ArgumentError, "size is 8 × 9, and the model takes 8 × 8"),
    "no size": ({"size": "8"}, ArgumentError, r"size must be .*, got '8'"),
    "layout": ({"layout": "CHW"}, ArgumentError, "layout must be 'NCHW' or 'NHWC', got 'CHW'"),
    "other layout": ({"layout": "NCHW"}, ArgumentError, "the model takes 'NHWC'"),
    "order": ({"order": "gbr"}, ArgumentError, "order must be 'rgb' or 'bgr', got 'gbr'"),
    "preparation": (
        {"preparation": "caffe"},
        ArgumentError,
        "unit, bytes, vgg, torch, got 'caffe'",
    ),
    "no preparation": ({"preparation": 3}, DTypeError, "a Preparation or a name, got 3"),
    "mean": ({"mean": (1, 2)}, ArgumentError, "mean has 2 numbers; the model takes 3 channels"),
    "no numbers": ({"std": "x"}, DTypeError, "std must be numbers, got 'x'"),
    "zero": ({"std": 0}, ArgumentError, "std must not be 0"),
    "output": ({"output": 1}, ArgumentError, "one of 'condense' or a number from 0 to 0, got 1"),
    "output name": ({"output": "x"}, ArgumentError, "output must be one of 'condense'"),
    "output kind": ({"output_kind": "scores"}, ArgumentError, "probabilities, logits, map, vector"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_that_are_wrong(name):
    options, kind, message = WRONG[name]
    with pytest.raises(kind, match=rf"(open_model|preparation): .*{message}"):
        filters(**options)


@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        (
            np.zeros((8, 8, 3), np.float32),
            ShapeError,
            r"got the shape \(8, 8, 3\); one image needs",
        ),
        (np.zeros((1, 8, 8, 4), np.float32), ShapeError, r"must be \(N, H, W, 3\), got the shape"),
        (np.zeros((1, 0, 8, 3), np.float32), ShapeError, r"got the shape \(1, 0, 8, 3\)"),
        (np.zeros((1, 8, 8, 3), np.int64), DTypeError, "float32 in .* or uint8, got int64"),
        (np.zeros((1, 8, 8, 3), complex), DTypeError, "got complex128"),
        ("photo.jpg", DTypeError, "got <U9"),
        (
            np.full((1, 8, 8, 3), 255, np.float32),
            ArgumentError,
            r"must lie in \[0, 1\], or be uint8, got values up to 255",
        ),
    ],
)
def test_images_that_are_none(images, kind, message):
    for call in (filters().run, filters().predict):
        with pytest.raises(kind, match=message):
            call(images)


def test_layers_that_are_not_there():
    with pytest.raises(ArgumentError, match=r"run: there is no layer 'detec' to watch.*as detect"):
        filters().run(np.zeros((1, 8, 8, 3), np.float32), watch=["detec"])
    with pytest.raises(ArgumentError, match="stream: there is no layer 3"):
        filters().stream([], watch=[3])
    with pytest.raises(ArgumentError, match="layer: there is no layer 'x'"):
        filters().layer("x")


def test_sources_that_are_none(tmp_path):
    with pytest.raises(DTypeError, match=r"source must be a path, .*, got builtins.int"):
        attar.open_model(3)
    with pytest.raises(ModelNotFoundError, match="open_model: there is no file"):
        attar.open_model(tmp_path / "missing.onnx")
    with pytest.raises(ArgumentError, match=r"the suffix of .*accepted are .onnx, .keras, .saf"):
        attar.open_model(tmp_path / "model.bin")
    with pytest.raises(ModelError, match=r"'sequential' has no weights yet; build it"):
        attar.open_model(attar.Sequential([layers.Conv2D(2, 3)]))
    vectors = attar.Sequential([layers.Input((8,)), layers.Dense(2)])
    with pytest.raises(ModelError, match=r"the model takes \(8,\); images are accepted"):
        attar.open_model(vectors)


def test_attars_own_files(tmp_path):
    model = filters()
    model.wrapped.save(tmp_path / "small.safetensors")
    again = attar.open_model(str(tmp_path / "small.safetensors"))
    images = random((2, 8, 8, 3)) % 1
    assert again.name == "small"
    assert again.framework == "attar"
    for name, map in model.run(images).items():
        np.testing.assert_array_equal(again.run(images)[name], map)


def test_attars_own_files_that_lie(tmp_path):
    filters().wrapped.save(tmp_path / "small.safetensors")
    whole = (tmp_path / "small.safetensors").read_bytes()
    for data in (whole[:-1], whole[:9], b"\xff" * 64, b"PK\x03\x04" + whole):
        (tmp_path / "small.safetensors").write_bytes(data)
        with pytest.raises(ModelError, match=r"load: .*(damaged|cut off|header)"):
            attar.open_model(tmp_path / "small.safetensors")


def test_threads_share_a_model():
    from concurrent.futures import ThreadPoolExecutor

    model = filters((None, None, 3))
    images = {size: random((3, size, size + 2, 3)) % 1 for size in range(6, 20)}
    expected = {size: model.run(each, "condense")["condense"] for size, each in images.items()}

    def once(i):
        size = 6 + i % 14
        found = model.run(images[size], "condense")["condense"]
        np.testing.assert_array_equal(found, expected[size])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(once, range(200)))


# ------------------------------------------------------------------------------- what it answers


def head(*last, shape=(8, 8, 3), **options):
    chain = [layers.Input(shape), layers.Conv2D(4, 3, name="filter"), *last]
    return attar.open_model(attar.Sequential(chain), **options)


def test_what_an_output_is():
    assert (
        head(layers.Flatten(), layers.Dense(3, activation="softmax")).output_kind == "probabilities"
    )
    assert head(layers.Flatten(), layers.Dense(3)).output_kind == "logits"
    assert head(layers.GlobalAveragePooling2D()).output_kind == "vector"
    assert head().output_kind == "map"
    assert head(layers.GlobalMaxPooling2D(), output_kind="logits").output_kind == "logits"
    assert head(layers.Flatten(), layers.Dense(3), layers.ReLU()).output_kind == "vector"


def test_predictions_are_vectors():
    images = random((5, 8, 8, 3)) % 1
    model = head(layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(3, 1, name="classes"))
    assert model.run(images, "classes")["classes"].shape == (5, 1, 1, 3)
    assert model.predict(images).shape == (5, 3)
    assert model.predict(images[:0]).shape == (0, 3)
    with pytest.raises(ModelError, match=r"predict: the output is 6 × 6 × 4 for one image"):
        head().predict(images)
    assert head().run(images)["filter"].shape == (5, 6, 6, 4)


# ------------------------------------------------------------------------------------- in pieces


def test_a_stream_gives_what_a_run_gives():
    model = filters()
    images = random((23, 8, 8, 3)) % 1
    whole = model.run(images)
    batches = [images[:7], images[7:8], images[8:]]
    for source in (images, batches, iter(batches)):
        for budget in (1, 4_000, 20_000, 10**9):
            seen = {name: np.full_like(map, np.nan) for name, map in whole.items()}
            outputs = []
            for piece in model.stream(source, None, output=True, budget_bytes=budget):
                for name, map in piece.maps.items():
                    assert np.isnan(seen[name][piece.start : piece.stop]).all()
                    seen[name][piece.start : piece.stop] = map
                if piece.output is not None:
                    outputs.append(piece.output)
                size = sum(map.nbytes for map in piece.maps.values())
                assert size <= budget or len(piece.maps) == piece.stop - piece.start == 1
            for name, map in whole.items():
                np.testing.assert_allclose(seen[name], map, atol=1e-6)
            np.testing.assert_allclose(np.concatenate(outputs), whole["condense"], atol=1e-6)
            if source is not images and source is not batches:
                break  # an iterator is read once


def test_a_stream_reads_no_more_than_it_gives():
    read = []

    def batches():
        for i in range(10):
            read.append(i)
            yield np.zeros((2, 8, 8, 3), np.float32)

    pieces = filters().stream(batches(), ["detect"])
    next(pieces)
    assert read == [0]
    next(pieces)
    assert read == [0, 1]


def test_no_images_are_no_pieces():
    model = filters()
    assert list(model.stream([], None)) == []
    assert list(model.stream(np.zeros((0, 8, 8, 3), np.float32), None)) == []
    assert model.run(np.zeros((0, 8, 8, 3), np.float32)) == {}
    with pytest.raises(ArgumentError, match="budget_bytes must be at least 1, got 0"):
        model.stream([], budget_bytes=0)


STREAMING = """
import resource, sys
import numpy as np, attar
from attar import layers
from tests.test_models_onnx import filters_onnx

kind, count = sys.argv[1], int(sys.argv[2])
if kind == "onnx":
    model = attar.open_model(filters_onnx(channels=32))
elif kind == "torch":
    import torch
    model = attar.open_model(
        torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU()), size=64
    )
else:
    conv = layers.Conv2D(32, 3, padding="same", activation="relu")
    model = attar.open_model(attar.Sequential([layers.Input((64, 64, 3)), conv]))
batches = (np.ones((16, 64, 64, 3), np.float32) for _ in range(count))
total = 0.0
for piece in model.stream(batches, None, output=True, budget_bytes=32 << 20):
    total += sum(float(map.sum()) for map in piece.maps.values())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as on Linux")
@pytest.mark.parametrize("kind", ["attar", "onnx", "torch"])
def test_memory_does_not_grow_with_the_images(kind):
    """2560 images, whose maps together take over a gigabyte."""
    peaks = []
    for count in (8, 160):
        done = subprocess.run(
            [sys.executable, "-c", STREAMING, kind, str(count)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 40, peaks  # MiB
