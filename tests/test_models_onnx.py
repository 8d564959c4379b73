"""ONNX models: told by their graphs, watched, and refused where they lie."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import attar
import attar.interchange.onnx
from attar.errors import ModelError
from attar.models.onnx import OnnxEngine

from .cases import random

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# ------------------------------------------------------------------------------- small models


def model_of(nodes, outputs, *, weights=None, shape=("N", 3, "H", "W"), opset=17, **options):
    """The bytes of a model of one image input."""
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        options.get("name", "small"),
        [helper.make_tensor_value_info("image", options.get("dtype", TensorProto.FLOAT), shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    domains = [helper.make_opsetid("", opset), *options.get("domains", ())]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


CONV = ("Conv", ["image", "w"], ["linear"], {"pads": [1, 1, 1, 1], "name": "filter"})


def filters_onnx(channels=4, **options):
    """Filter, detect, condense."""
    nodes = [
        CONV,
        ("Relu", ["linear"], ["active"], {"name": "detect"}),
        ("MaxPool", ["active"], ["pooled"], {"name": "condense", "kernel_shape": [2, 2],
                                             "strides": [2, 2]}),
    ]  # fmt: skip
    weights = {"w": random((channels, 3, 3, 3))}
    return model_of(nodes, ["pooled"], weights=weights, **options).SerializeToString()


def alone(model, images, *tensors):
    """What onnxruntime by itself answers, channels last."""
    copy = onnx.ModelProto.FromString(
        model if isinstance(model, bytes) else model.SerializeToString()
    )
    del copy.graph.output[:]
    for name in tensors:
        copy.graph.output.add().name = name
    session = onnxruntime.InferenceSession(copy.SerializeToString())
    found = session.run(None, {"image": np.ascontiguousarray(images.transpose(0, 3, 1, 2))})
    return [each.transpose(0, 2, 3, 1) if each.ndim == 4 else each for each in found]


# ----------------------------------------------------------------------------------- real models


def real(name):
    package = find_spec("rapidocr_onnxruntime")
    if package is None:
        pytest.skip("pip install --no-deps rapidocr-onnxruntime==1.4.4")
    return Path(package.origin).parent / "models" / name


def test_a_real_classifier_of_turned_text():
    """PaddleOCR's direction classifier, MobileNetV3, as RapidOCR ships it (Apache-2.0)."""
    path = real("ch_ppocr_mobile_v2.0_cls_infer.onnx")
    model = attar.open_model(path, size=(48, 192), mean=0.5, std=0.5)
    assert model.framework == "onnx"
    assert model.name == path.stem
    assert model.output_kind == "probabilities"
    generator = np.random.default_rng(0)
    images = generator.random((3, 48, 192, 3), np.float32)
    given = np.ascontiguousarray(((images - 0.5) / 0.5).transpose(0, 3, 1, 2))
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"x": given})
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-6)
    maps = model.run(images)
    assert len(maps) == len(model.layers) > 200
    for layer in model.layers:
        assert maps[layer.name].shape == (3, *layer.output_shape), layer
    # Squeeze and excitation looks at the whole image.
    first = model.layers[0]
    assert (first.kind, first.receptive_field, first.stride) == ("Conv", (3, 3), (2, 2))
    assert max(layer.receptive_field or (0, 0) for layer in model.layers) > (48, 192)


@pytest.mark.parametrize(
    ("name", "parameters", "kind"),
    [  # Known of these networks: what their frameworks count, means and variances included.
        ("squeezenet", 1_235_496, "probabilities"),
        ("inception_v1", 6_998_552, "probabilities"),
        ("resnet50", 25_610_152, "probabilities"),
        ("shufflenet", None, "probabilities"),
        ("densenet121", None, "logits"),
    ],
)
def test_famous_networks(name, parameters, kind):
    """Their graphs, as the package onnx has them, with weights that are all alike."""
    model = attar.open_model(LIGHT / f"light_{name}.onnx")
    assert (model.input.height, model.input.width, model.input.batch) == (224, 224, 1)
    assert model.output_kind == kind
    if parameters is not None:
        assert sum(layer.parameters for layer in model.layers) == parameters
    if name == "resnet50":
        last = [layer for layer in model.layers if layer.kind == "Relu"][-1]
        assert last.output_shape == (7, 7, 2048)
        assert last.receptive_field == (427, 427)
        assert last.stride == (32, 32)
        assert sum(layer.multiply_adds for layer in model.layers) == 4_089_184_256
    if name == "squeezenet":  # one at a time
        images = np.zeros((3, 224, 224, 3), np.float32)
        assert model.run(images, "n2")["n2"].shape == (3, 55, 55, 64)
        assert model.predict(images).shape == (3, 1000)


# ------------------------------------------------------------------------------------ watching


def test_what_is_watched_is_what_is_computed():
    source = filters_onnx()
    model = attar.open_model(source, scale=2, mean=1)
    images = random((5, 9, 7, 3)) % 1
    names, tensors = ["filter", "detect", "condense"], ["linear", "active", "pooled"]
    expected = alone(source, images * 2 - 1, *tensors)
    for name, map in zip(names, expected, strict=True):
        np.testing.assert_allclose(model.run(images, name)[name], map, atol=1e-6)
    for map, other in zip(model.run(images, names).values(), expected, strict=True):
        np.testing.assert_allclose(map, other, atol=1e-6)


def test_what_nobody_watches_is_not_computed():
    model = attar.open_model(filters_onnx())
    part = model._engine.graph.part(["linear"])
    assert [node.op_type for node in part.graph.node] == ["Conv"]
    assert [output.name for output in part.graph.output] == ["linear"]


def test_sessions_are_kept_but_not_without_end():
    model = attar.open_model(filters_onnx())
    engine = model._engine
    images = np.zeros((1, 8, 8, 3), np.float32)
    model.run(images, ["detect"])
    sessions = dict(engine._sessions)
    model.run(images, ["detect"])
    assert dict(engine._sessions) == sessions
    engine._most = 2
    for names in (["filter"], ["detect"], ["condense"], ["filter", "condense"]):
        model.run(images, names)
    assert len(engine._sessions) == 2


def test_threads_are_attars():
    before = attar.get_num_threads()
    model = attar.open_model(filters_onnx())
    images = np.zeros((1, 8, 8, 3), np.float32)
    try:
        for threads in (1, 2):
            attar.set_num_threads(threads)
            model.run(images, ["detect"])
            options = [s.get_session_options() for s in model._engine._sessions.values()][-1]
            assert options.intra_op_num_threads == threads
    finally:
        attar.set_num_threads(before)


def test_branches_are_followed():
    nodes = [
        CONV,
        ("GlobalAveragePool", ["linear"], ["mean"]),
        ("Sigmoid", ["mean"], ["gate"]),
        ("Mul", ["linear", "gate"], ["gated"]),
        ("Concat", ["gated", "image"], ["both"], {"axis": 1}),
        ("Split", ["both"], ["first", "rest"], {"axis": 1, "name": "halves"}),
        ("Add", ["first", "first"], ["twice"]),
    ]
    model = attar.open_model(
        model_of(nodes, ["twice"], weights={"w": random((3, 3, 3, 3))}), size=(6, 8)
    )
    by_name = {layer.name: layer for layer in model.layers}
    assert by_name["gated"].inputs == ("filter", "gate")
    assert by_name["gated"].receptive_field == (8, 10)  # the whole image, and the border around it
    assert by_name["both"].inputs == ("gated", "")
    assert by_name["both"].output_shape == (6, 8, 6)
    assert by_name["halves"].output_shape == by_name["halves:2"].output_shape == (6, 8, 3)
    images = random((2, 6, 8, 3)) % 1
    np.testing.assert_allclose(model.run(images, "halves:2")["halves:2"], images, atol=1e-6)
    assert model.output_kind == "map"


def test_models_of_tensorflow_with_channels_last():
    nodes = [
        ("Transpose", ["image"], ["first"], {"perm": [0, 3, 1, 2]}),
        ("Conv", ["first", "w"], ["linear"], {"name": "filter"}),
        ("Relu", ["linear"], ["active"], {"name": "detect"}),
        ("Transpose", ["active"], ["last"], {"perm": [0, 2, 3, 1], "name": "back"}),
        ("Add", ["last", "b"], ["biased"], {"name": "bias"}),
        ("ReduceMean", ["biased"], ["mean"], {"axes": [1, 2], "keepdims": 0, "name": "mean"}),
    ]
    weights = {"w": random((5, 3, 3, 3)), "b": random((5,))}
    proto = model_of(nodes, ["mean"], weights=weights, shape=("N", 8, 10, 3))
    model = attar.open_model(proto)
    assert model.input.layout == "NHWC"
    images = random((2, 8, 10, 3)) % 1
    maps = model.run(images)
    for name in ("filter", "detect", "back", "bias"):
        assert maps[name].shape == (2, 6, 8, 5) == (2, *model.layer(name).output_shape)
    np.testing.assert_array_equal(maps["detect"], maps["back"])
    np.testing.assert_allclose(maps["mean"], maps["bias"].mean((1, 2)), atol=1e-5)
    assert model.layer("mean").receptive_field == (8, 10)
    assert model.layer("mean").task == "condense"


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_padding_by_name(auto_pad):
    """What attar's own reading of the same model says, where paths of two windows meet."""
    options = {"auto_pad": auto_pad, "strides": [2, 3]}
    # As wide, and no farther to the left than SAME_UPPER.
    pads = [0, 0, 0, 0] if auto_pad == "VALID" else [1, 1, 2, 2]
    nodes = [
        ("Conv", ["image", "w"], ["a"], options),
        ("MaxPool", ["image"], ["b"], {"strides": [2, 3], "kernel_shape": [4, 5], "pads": pads}),
        ("Add", ["a", "b"], ["sum"]),
        ("Conv", ["sum", "w"], ["c"], {**options, "dilations": [2, 1]}),
    ]
    weights = {"w": random((3, 3, 4, 5))}
    proto = model_of(nodes, ["c"], weights=weights, shape=("N", 3, 41, 47))
    model = attar.open_model(proto)
    rows = attar.Sequential(
        attar.interchange.onnx.read_bytes(proto.SerializeToString())
    ).summary().layers  # fmt: skip
    for layer in model.layers:
        row = next(row for row in rows if row.layer == layer.name)
        assert (layer.receptive_field, layer.stride) == (row.receptive_field, row.stride), layer
        assert layer.output_shape == row.output_shape[1:]
    assert model.layer("sum").receptive_field == ((5, 6) if auto_pad == "SAME_LOWER" else (4, 5))


def test_a_batch_of_a_fixed_size():
    data = filters_onnx(shape=(2, 3, 8, 8))
    model = attar.open_model(data)
    images = random((5, 8, 8, 3)) % 1
    (expected,) = alone(filters_onnx_with_same_weights(data), images, "active")
    np.testing.assert_allclose(model.run(images, "detect")["detect"], expected, atol=1e-6)
    stops = [piece.stop for piece in model.stream([images[:3], images[3:]], ["detect"])]
    assert stops == [2, 3, 5]


def filters_onnx_with_same_weights(data):
    """The same for any number of images."""
    proto = onnx.ModelProto.FromString(data)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    return proto


def test_several_sigmoids_are_probabilities():
    nodes = [
        CONV,
        ("GlobalAveragePool", ["linear"], ["mean"]),
        ("Flatten", ["mean"], ["flat"]),
        ("Sigmoid", ["flat"], ["labels"]),
        ("Identity", ["labels"], ["last"]),
    ]
    weights = {"w": random((4, 3, 3, 3))}
    assert attar.open_model(model_of(nodes, ["last"], weights=weights)).output_kind == (
        "probabilities"
    )
    assert attar.open_model(model_of(nodes, ["flat"], weights=weights)).output_kind == "vector"


def test_the_layout_is_overruled():
    proto = model_of([("Relu", ["image"], ["active"])], ["active"], shape=(1, 3, 8, 3))
    assert attar.open_model(proto).input.layout == "NCHW"
    model = attar.open_model(proto, layout="NHWC")
    assert (model.input.height, model.input.width, model.input.channels) == (3, 8, 3)


def test_several_outputs():
    nodes = [
        CONV,
        ("GlobalAveragePool", ["linear"], ["mean"]),
        ("Flatten", ["mean"], ["flat"]),
        ("Softmax", ["flat"], ["classes"]),
    ]
    proto = model_of(nodes, ["linear", "classes"], weights={"w": random((4, 3, 3, 3))})
    model = attar.open_model(proto)
    assert model.outputs == ("linear", "classes")
    assert model.output is None
    images = np.zeros((2, 8, 8, 3), np.float32)
    assert model.run(images, "filter")["filter"].shape == (2, 8, 8, 4)
    for call in (
        model.predict,
        lambda x: model.output_kind,
        lambda x: model.stream(x, output=True),
    ):
        with pytest.raises(ModelError, match=r"has 2 outputs \(linear, classes\); say which"):
            call(images)
    chosen = attar.open_model(proto, output="classes")
    assert chosen.output_kind == "probabilities"
    np.testing.assert_allclose(chosen.predict(images), 0.25)
    assert attar.open_model(proto, output=-1).output == "classes"


@pytest.mark.parametrize(
    ("first", "weights", "says"),
    [
        (("Div", ["image", "c"], ["x"]), np.float32([255.0]), "its first Div takes 0 to 255"),
        (("Mul", ["image", "c"], ["x"]), np.float32([1 / 255]), "its first Mul takes 0 to 255"),
        (("Sub", ["image", "c"], ["x"]), np.float32([123.7]), "its first Sub takes 0 to 255"),
        (("Sub", ["image", "c"], ["x"]), np.float32([0.485]), "assumed"),
    ],
)
def test_a_preparation_that_is_in_the_model(first, weights, says):
    proto = model_of([first, ("Relu", ["x"], ["y"])], ["y"], weights={"c": weights})
    model = attar.open_model(proto)
    assert model.input.preparation_says.startswith(says)
    assert model.preparation.scale == (1 if says == "assumed" else 255)


def test_a_preparation_that_is_in_the_metadata():
    proto = model_of([("Relu", ["image"], ["y"])], ["y"])
    helper.set_model_props(
        proto,
        {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"},
    )
    model = attar.open_model(proto)
    assert model.preparation.scale == 255
    assert model.preparation.bgr
    images = random((1, 2, 2, 3)) % 1
    found = next(iter(model.run(images).values()))
    np.testing.assert_allclose(found, images[..., ::-1] * 255, rtol=1e-6)


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_numbers(dtype):
    nodes = [
        ("Cast", ["image"], ["floats"], {"to": TensorProto.FLOAT}),
        ("Neg", ["floats"], ["negative"]),
    ]
    model = attar.open_model(model_of(nodes, ["negative"], dtype=dtype))
    images = np.float32([0, 0.25, 1]).reshape(1, 1, 1, 3)
    expected = [0, -64, -255] if dtype == TensorProto.UINT8 else [0, -0.25, -1]
    assert model.run(images)["negative"].ravel().tolist() == expected


def test_shapes_that_only_running_tells():
    """Sizes that are computed from the image's numbers; they are seen, not inferred."""
    nodes = [
        ("Shape", ["image"], ["shape"]),
        ("Gather", ["shape", "two"], ["height"]),
        ("Mul", ["height", "three"], ["tripled"]),
        ("Concat", ["batch", "tripled", "rest"], ["wanted"], {"axis": 0}),
        ("Reshape", ["image", "wanted"], ["flat"], {"name": "flat"}),
        ("Relu", ["flat"], ["active"], {"name": "active"}),
    ]
    weights = {
        "two": np.int64([2]), "three": np.int64([3]), "batch": np.int64([0]),
        "rest": np.int64([-1]),
    }  # fmt: skip
    model = attar.open_model(model_of(nodes, ["active"], weights=weights), size=(4, 6))
    assert model.run(np.ones((2, 4, 6, 3), np.float32))["active"].shape == (2, 12, 6)
    assert model.layer("active").output_shape == (12, 6)
    assert model.layer("active").receptive_field is None


def test_a_size_that_the_weights_ask_for_is_found():
    nodes = [
        ("Flatten", ["image"], ["flat"]),
        ("Gemm", ["flat", "w"], ["classes"], {"name": "dense"}),
    ]
    proto = model_of(
        nodes, ["classes"], weights={"w": random((28 * 28, 10))}, shape=("N", 1, "H", "W")
    )
    model = attar.open_model(proto)
    assert (model.input.height, model.input.width) == (28, 28)
    assert "found by trying" in model.input.size_says
    assert model.output_kind == "logits"
    assert model.layer("dense").multiply_adds == 7840
    with pytest.raises(ModelError, match=r"does not take images of 30 × 30"):
        attar.open_model(proto, size=30)


# ------------------------------------------------------------------------------- files that lie


def refused(proto, message, tmp_path, **options):
    """As a file, as bytes and as a model in memory."""
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    for source in (tmp_path / "model.onnx", data):
        with pytest.raises(ModelError, match=message):
            attar.open_model(source, **options)


def test_operators_of_others(tmp_path):
    domain = helper.make_opsetid("com.microsoft", 1)
    nodes = [("Gelu", ["image"], ["y"], {"domain": "com.microsoft", "name": "gelu"})]
    proto = model_of(nodes, ["y"], domains=[domain])
    refused(proto, r"the node 'gelu' is 'Gelu' of the domain 'com.microsoft'.*no custom", tmp_path)
    with pytest.raises(ModelError, match="no custom ones"):
        attar.open_model(proto)


def branching(inner):
    """A model whose node has a graph of its own, with these nodes."""
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    branch = helper.make_graph(inner, "branch", [], [output])
    weights = {"yes": np.array(True)}
    nodes = [("If", ["yes"], ["y"], {"then_branch": branch, "else_branch": branch})]
    return model_of(nodes, ["y"], weights=weights)


def test_operators_of_others_within_a_branch(tmp_path):
    refused(
        branching([helper.make_node("Evil", ["image"], ["inner"], domain="evil")]),
        "'Evil' of the domain 'evil'", tmp_path,
    )  # fmt: skip
    deep = helper.make_node("Relu", ["image"], ["inner"])
    for _ in range(6):
        output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
        branch = helper.make_graph([deep], "branch", [], [output])
        deep = helper.make_node("If", ["yes"], ["inner"], then_branch=branch, else_branch=branch)
    refused(branching([deep]), "graphs more than 4 deep", tmp_path)


def test_loops(tmp_path):
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Neg", ["image"], ["inner"])], "body", [], [output])
    nodes = [("Loop", ["many", ""], ["y"], {"body": body, "name": "again"})]
    proto = model_of(nodes, ["y"], weights={"many": np.array(2**60)})
    refused(proto, "the node 'again' is 'Loop': loops, whose end the file decides", tmp_path)


def test_a_branch_is_run():
    model = attar.open_model(branching([helper.make_node("Neg", ["image"], ["inner"])]))
    images = random((1, 4, 4, 3)) % 1
    np.testing.assert_array_equal(model.run(images)["y"], -images)
    assert model.layer("y").receptive_field is None


def test_functions_of_its_own(tmp_path):
    proto = model_of([("Relu", ["image"], ["y"])], ["y"])
    proto.functions.add().name = "twice"
    refused(proto, "1 functions of its own; inline them", tmp_path)


def external(location, offset=None, length=None, dims=(4, 3, 3, 3)):
    proto = model_of([CONV], ["linear"])
    tensor = proto.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    tensor.dims.extend(dims)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
    return proto


def test_weights_beside_the_file(tmp_path):
    weights = random((4, 3, 3, 3))
    (tmp_path / "weights.bin").write_bytes(weights.tobytes())
    (tmp_path / "model.onnx").write_bytes(external("weights.bin").SerializeToString())
    model = attar.open_model(tmp_path / "model.onnx")
    images = random((1, 6, 6, 3)) % 1
    inside = model_of([CONV], ["linear"], weights={"w": weights})
    np.testing.assert_allclose(
        model.run(images)["filter"], alone(inside, images, "linear")[0], atol=1e-6
    )


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "", "a/../../x", "."])
def test_weights_elsewhere(location, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    (folder / "model.onnx").write_bytes(external(location).SerializeToString())
    with pytest.raises(ModelError, match="outside of its folder"):
        attar.open_model(folder / "model.onnx")


def test_weights_through_a_link(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    (folder / "model.onnx").write_bytes(external("weights.bin").SerializeToString())
    with pytest.raises(ModelError, match="outside of its folder"):
        attar.open_model(folder / "model.onnx")


def test_weights_elsewhere_of_what_has_no_folder():
    for source in (external("weights.bin"), external("weights.bin").SerializeToString()):
        with pytest.raises(ModelError, match="the tensor 'w' is in another file; one file is read"):
            attar.open_model(source)


def test_weights_that_are_not_there(tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    refused_here = [(external("weights.bin"), "needs 432 bytes"),
                    (external("weights.bin", offset=-5), "needs 432 bytes"),
                    (external("weights.bin", dims=(2**20, 3, 3, 3)), "needs 113246208 bytes"),
                    (external("weights.bin", offset="x"), "must be whole numbers")]  # fmt: skip
    for proto, message in refused_here:
        (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
        with pytest.raises(ModelError, match=message):
            attar.open_model(tmp_path / "model.onnx")


def lying(change):
    proto = model_of([CONV], ["linear"], weights={"w": random((4, 3, 3, 3))})
    change(proto.graph.initializer[0])
    return proto


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.dims.__setitem__(0, 2**30), "but 432 bytes of data"),
        (lambda t: t.dims.__setitem__(0, -4), "sizes must be 0 to"),
        (lambda t: t.dims.extend([1] * 20), "more than 8 axes"),
        (lambda t: setattr(t, "raw_data", b""), "but 0 bytes of data"),
        (lambda t: setattr(t, "data_type", 8), "data type 8, which is not read"),
    ],
)
def test_sizes_that_lie(change, message, tmp_path):
    refused(lying(change), message, tmp_path)


def test_sizes_that_lie_in_a_constant(tmp_path):
    tensor = numpy_helper.from_array(random((4, 3, 3, 3)), "w")
    tensor.dims[0] = 2**28
    nodes = [("Constant", [], ["w"], {"value": tensor}), CONV]
    refused(model_of(nodes, ["linear"]), "bytes of data", tmp_path)


def test_answers_of_absurd_size(tmp_path):
    """A few bytes of attributes that ask for terabytes."""
    vast = ("MaxPool", ["image"], ["y"], {"kernel_shape": [1, 1], "pads": [2**20] * 4})
    refused(model_of([vast], ["y"]), "more than 4294967296 bytes", tmp_path, size=8)
    fill = numpy_helper.from_array(np.float32([0]), "value")
    nodes = [
        ("ConstantOfShape", ["sizes"], ["filled"], {"value": fill}),
        ("Add", ["image", "filled"], ["y"]),
    ]
    weights = {"sizes": np.int64([1, 3, 2**20, 2**20])}
    refused(model_of(nodes, ["y"], weights=weights), "more than 4294967296 bytes", tmp_path)
    refused(
        model_of([("Relu", ["image"], ["y"])], ["y"], shape=(1, 3, 2**20, 2**20)),
        "more than 4294967296 bytes", tmp_path,
    )  # fmt: skip


OTHER = {
    "no input": (lambda p: p.graph.ClearField("input"), "the model has 0 inputs"),
    "two inputs": (
        lambda p: p.graph.input.add().CopyFrom(
            helper.make_tensor_value_info("other", TensorProto.FLOAT, [1])
        ),
        r"has 2 inputs \('image', 'other'\)",
    ),
    "no output": (lambda p: p.graph.ClearField("output"), "the model has no output"),
    "no image": (
        lambda p: p.graph.input[0].type.tensor_type.shape.dim.pop(), "has rank 3; images"
    ),
    "words": (lambda p: setattr(p.graph.input[0].type.tensor_type, "elem_type", 8), "data type 8"),
    "a cycle": (lambda p: p.graph.node[0].input.__setitem__(0, "pooled"), "open_model: "),
    "an operator that is none": (
        lambda p: setattr(p.graph.node[1], "op_type", "Frobnicate"), "open_model: "
    ),
    "an output of nothing": (lambda p: setattr(p.graph.output[0], "name", "x"), "open_model: "),
    "operators of tomorrow": (
        lambda p: setattr(p.opset_import[0], "version", 999), r"operators of version \[999\]"
    ),
    "operators of long ago": (
        lambda p: setattr(p.opset_import[0], "version", 3), r"version \[3\]; versions 7"
    ),
    "a negative size": (
        lambda p: setattr(p.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", -7),
        "has the size -7",
    ),
    "sparse weights": (lambda p: p.graph.sparse_initializer.add(), "sparse weights are not read"),
    "wrong weights": (
        lambda p: p.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(random((4, 5, 3, 3)), "w")
        ),
        "open_model: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_models_that_are_none(name, tmp_path):
    change, message = OTHER[name]
    proto = onnx.ModelProto.FromString(filters_onnx())
    change(proto)
    refused(proto, message, tmp_path)


def test_files_that_are_no_models(tmp_path):
    whole = filters_onnx()
    pickled = b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system"
    for data in (b"x", b"PK\x03\x04" + bytes(100), pickled, whole[: len(whole) // 2], b"ORTM" * 9):
        (tmp_path / "model.onnx").write_bytes(data)
        for source in (tmp_path / "model.onnx", data):
            with pytest.raises(ModelError):
                attar.open_model(source)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        attar.open_model(tmp_path / "model.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match="is not a file"):
        attar.open_model(tmp_path / "folder.onnx")


def test_more_parts_than_a_graph_has(tmp_path):
    """An empty node takes two bytes in a file, and some hundred in memory."""
    nodes = b"\x0a\x00" * 600_000
    length = len(nodes)
    size = bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14])
    refused(b"\x3a" + size + nodes, "parts beside its weights", tmp_path)


def test_onnxruntime_is_given_what_passed_alone(tmp_path, monkeypatch):
    """Not the file, nor its bytes: what was parsed and checked, written anew."""
    given = []
    whole = onnxruntime.InferenceSession

    def session(source, *arguments, **options):
        given.append(source)
        return whole(source, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    (tmp_path / "model.onnx").write_bytes(filters_onnx())
    attar.open_model(tmp_path / "model.onnx").run(np.zeros((1, 8, 8, 3), np.float32))
    assert given
    assert all(isinstance(source, bytes) for source in given)
    before = len(given)
    refused(external("/etc/passwd"), "another file|outside of its folder", tmp_path)
    assert len(given) == before


FUZZ = """
import random, sys
import numpy as np
import attar
from attar.errors import AttarError
from tests.test_models_onnx import filters_onnx
whole = filters_onnx()
opened = refused = 0
for seed in range(400):
    generator = random.Random(seed)
    data = bytearray(whole)
    for _ in range(generator.choice([1, 1, 2, 4])):
        data[generator.randrange(len(data))] = generator.choice([0, 1, 2, 127, 128, 255])
    try:
        model = attar.open_model(bytes(data), size=8)
        model.run(np.zeros((2, 8, 8, 3), np.float32))
        opened += 1
    except AttarError:
        refused += 1
print(opened, refused)
"""


def test_bytes_that_were_changed():
    """Whatever a byte becomes: a model, or an error of attar's; in a process that may not die."""
    done = subprocess.run([sys.executable, "-c", FUZZ], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    opened, refused = map(int, done.stdout.split())
    assert opened > 50
    assert refused > 50


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"needs the package onnxruntime.*'attar\[models\]'"):
        OnnxEngine.from_bytes(filters_onnx(), None)
