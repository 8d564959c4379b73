"""ONNX graphs whose strides are replaced: the numbers, the shapes, and what stays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

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
    windows,
)

KINDS = ("blur3", "blur5", "polyphase", "average")
FEW = settings(max_examples=60, deadline=None)


def model_of(nodes, shape=(None, 3, "h", "w"), weights=None, opset=17, outputs=("y",), infos=()):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4)
            for name in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
        value_info=infos,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], name=f"the {output}", **attributes)


def run(model, x):
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # onnxruntime infers fewer windows than it computes
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})


@st.composite
def pools(draw):
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    sizes = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    pads = [draw(st.integers(0, size // 2)) for size in (*window, *window)]
    ceil_mode = draw(st.booleans())
    assume(max(stride) > 1)
    sides = [(pads[0], pads[2]), (pads[1], pads[3])]
    every = zip(sizes, window, stride, sides, strict=True)
    assume(all(windows(*each, ceil_mode) > 0 for each in every))
    return sizes, window, stride, pads, ceil_mode


@FEW
@given(pools(), st.sampled_from(KINDS), st.sampled_from((11, 13, 17, 18, 21)))
def test_pools_of_any_shape(case, kind, opset):
    sizes, window, stride, pads, ceil_mode = case
    pool = node(
        "MaxPool", ["x"], "y", kernel_shape=window, strides=stride, pads=pads,
        ceil_mode=int(ceil_mode),
    )  # fmt: skip
    model = model_of([pool], (None, 3, *sizes), opset=opset)
    x = numbers((2, 3, *sizes))
    before = run(model, x)[0]
    repaired = attar.repair(model, kind)
    after = run(repaired.model, x)[0]
    assert after.shape == before.shape
    wanted = repaired_pool(x, window, stride, pads, ceil_mode, kind)
    np.testing.assert_allclose(after, wanted, atol=1e-5)
    assert [each.layer for each in repaired.replaced] == ["the y"]


@FEW
@given(pools(), st.sampled_from(("blur3", "polyphase")))
def test_pools_of_maps_that_go_on_at_their_other_side(case, kind):
    sizes, window, stride, pads, ceil_mode = case
    assume(all(size >= one + 2 for size, one in zip(sizes, window, strict=True)))
    pool = node(
        "MaxPool", ["x"], "y", kernel_shape=window, strides=stride, pads=pads,
        ceil_mode=int(ceil_mode),
    )  # fmt: skip
    x = numbers((2, 3, *sizes))
    model = model_of([pool], (None, 3, *sizes))
    after = run(attar.repair(model, kind, border="circular").model, x)[0]
    wanted = repaired_pool(x, window, stride, pads, ceil_mode, kind, border="circular")
    np.testing.assert_allclose(after, wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["blur3", "polyphase"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_means_over_real_values_alone(kind, ceil_mode):
    pool = node(
        "AveragePool", ["x"], "y", kernel_shape=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1),
        ceil_mode=ceil_mode,
    )  # fmt: skip
    x = numbers((2, 3, 9, 8))
    after = run(attar.repair(model_of([pool], (None, 3, 9, 8)), kind).model, x)[0]
    wanted = repaired_pool(x, (3, 2), (2, 2), (1, 0, 1, 1), bool(ceil_mode), kind, means)
    np.testing.assert_allclose(after, wanted, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opset", [11, 17, 22])
def test_sizes_that_the_graph_does_not_know(kind, opset):
    pool = node("MaxPool", ["x"], "y", kernel_shape=(3, 3), strides=(2, 2), ceil_mode=1)
    repaired = attar.repair(model_of([pool], opset=opset), kind).model
    for sizes in ((9, 12), (16, 7), (31, 31)):
        x = numbers((2, 3, *sizes))
        wanted = repaired_pool(x, (3, 3), (2, 2), [0] * 4, True, kind, maxima)
        np.testing.assert_allclose(run(repaired, x)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("opset", [7, 9, 10])
def test_old_operators(opset):
    # Weights are inputs as well in such old files.
    pool = node("MaxPool", ["x"], "y", kernel_shape=(2, 2), strides=(2, 2))
    x = numbers((1, 3, 8, 9))
    for border in ("reflect", "circular"):
        repaired = attar.repair(model_of([pool], opset=opset), "blur3", border=border)
        after = run(repaired.model, x)[0]
        wanted = repaired_pool(x, (2, 2), (2, 2), [0] * 4, False, "blur3", border=border)
        np.testing.assert_allclose(after, wanted, atol=1e-5)
    with pytest.raises(ModelError, match=r"'polyphase' needs operators of version 11 or newer"):
        attar.repair(model_of([pool], opset=opset), "polyphase")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("groups", "dilation", "auto_pad"),
    [(1, 1, "NOTSET"), (3, 1, "NOTSET"), (1, 2, "NOTSET"), (1, 1, "SAME_UPPER"),
     (1, 1, "SAME_LOWER"), (1, 1, "VALID")],
)  # fmt: skip
def test_convolutions_wait_for_what_follows_them(kind, groups, dilation, auto_pad):
    weights = {
        "kernel": numbers((6, 3 // groups, 3, 3), 1),
        "scale": np.abs(numbers(6, 2)), "bias": numbers(6, 3), "mean": numbers(6, 4),
        "variance": np.abs(numbers(6, 5)) + 1,
    }  # fmt: skip
    padding = {"pads": (1, 0, 1, 2)} if auto_pad == "NOTSET" else {"auto_pad": auto_pad}
    nodes = [
        node("Conv", ["x", "kernel"], "map", strides=(2, 2), group=groups,
             dilations=(dilation, dilation), **padding),
        node("BatchNormalization", ["map", "scale", "bias", "mean", "variance"], "normal"),
        node("Relu", ["normal"], "y"),
    ]  # fmt: skip
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("map", "normal")
    ]
    x = numbers((2, 3, 11, 8))
    model = model_of(nodes, (None, 3, 11, 8), weights, infos=infos)
    before = run(model, x)[0]
    repaired = attar.repair(model, kind)
    after = run(repaired.model, x)[0]
    assert after.shape == before.shape
    assert repaired.replaced[0].why == "behind the y"
    assert not repaired.model.graph.value_info  # what they say is not so any more

    pads = {"NOTSET": [1, 0, 1, 2], "VALID": [0] * 4,
            "SAME_UPPER": pads_of((11, 8), (3, 3), (2, 2), "same")}  # fmt: skip
    if auto_pad == "SAME_LOWER":
        top, left, bottom, right = pads["SAME_UPPER"]
        pads["SAME_LOWER"] = [bottom, right, top, left]
    dense = dense_convolution(x, weights["kernel"], pads[auto_pad], groups, dilation)
    by_channel = [weights[name][:, None, None] for name in ("mean", "variance", "scale", "bias")]
    mean, variance, scale, bias = by_channel
    dense = np.maximum((dense - mean) / np.sqrt(variance + 1e-5) * scale + bias, 0)
    np.testing.assert_allclose(after, condensed(dense, kind, (2, 2)), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_sees_one_pixel_is_computed_where_it_is_kept(kind):
    kernel = numbers((4, 3, 1, 1))
    model = model_of(
        [node("Conv", ["x", "kernel"], "y", strides=(2, 2))], weights={"kernel": kernel}
    )
    repaired = attar.repair(model, kind)
    assert repaired.replaced[0].why == "before it"
    x = numbers((2, 3, 12, 9))
    wanted = dense_convolution(condensed(x, kind, (2, 2)), kernel, [0] * 4)
    np.testing.assert_allclose(run(repaired.model, x)[0], wanted, atol=1e-5)


def residual(channels=4):
    """A block of a ResNet on maps that go round, condensed by its strides and by a pool."""

    def around(given, name):
        wraps = []
        for axis in (2, 3):
            for side, (start, end) in (("end", (-1, 2**31)), ("begin", (0, 1))):
                limits = [f"{start}", f"{end}", f"{axis}"]
                wraps.append(node("Slice", [given, *limits], f"{name}_{side}_{axis}"))
            parts = [f"{name}_end_{axis}", given, f"{name}_begin_{axis}"]
            given = f"{name}_{axis}"
            wraps.append(node("Concat", parts, given, axis=axis))
        return given, wraps

    numbers_of = {str(k): np.array([k], np.int64) for k in (-1, 0, 1, 2, 3, 2**31)}
    weights = {
        "first": numbers((channels, 3, 3, 3), 1), "second": numbers((channels, channels, 3, 3), 2),
        "short": numbers((channels, 3, 1, 1), 3), **numbers_of,
    }  # fmt: skip
    wide, begin = around("x", "wide")
    wider, middle = around("active", "wider")
    nodes = [
        *begin,
        node("Conv", [wide, "first"], "map", strides=(2, 2)),
        node("Relu", ["map"], "active"),
        *middle,
        node("Conv", [wider, "second"], "deep"),
        node("Conv", ["x", "short"], "shortcut", strides=(2, 2)),
        node("Add", ["deep", "shortcut"], "both"),
        node("Relu", ["both"], "strong"),
        node("MaxPool", ["strong"], "small", kernel_shape=(2, 2), strides=(2, 2)),
        node("GlobalAveragePool", ["small"], "y"),
    ]
    return model_of(nodes, (None, 3, 16, 16), weights)


def test_a_residual_block_takes_one_phase_and_forgets_circular_shifts():
    model = residual()
    repaired = attar.repair(model, "polyphase", border="circular")
    assert [(each.layer, each.why) for each in repaired.replaced] == [
        ("the map", "behind the active"),
        ("the shortcut", "before it, phase of the map"),
        ("the small", "behind it"),
    ]
    x = numbers((6, 3, 16, 16))
    answer, plain = run(repaired.model, x)[0], run(model, x)[0]
    changed = 0.0
    for dy in range(4):
        for dx in range(4):
            moved = np.roll(x, (dy, dx), (2, 3))
            np.testing.assert_allclose(run(repaired.model, moved)[0], answer, rtol=1e-4, atol=1e-5)
            changed = max(changed, float(np.abs(run(model, moved)[0] - plain).max()))
    assert changed > 0.05  # what it was does not


def test_a_shortcut_with_a_phase_of_its_own_would_not_forget_them():
    """The test above can fail: it is the shared choice that makes it pass."""
    model = residual()
    repaired = attar.repair(model, "polyphase", border="circular").model
    choices = [each for each in repaired.graph.node if each.op_type == "Where"]
    of_shortcut = [each for each in choices if each.output[0].startswith("shortcut_condensed")]
    assert len(of_shortcut) == 3
    for each in of_shortcut:  # keep the first phase always
        each.input[0] = "never"
    repaired.graph.initializer.append(
        numpy_helper.from_array(np.zeros((1, 1, 1, 1), bool), "never")
    )
    x = numbers((6, 3, 16, 16))
    moved = np.roll(x, (1, 1), (2, 3))
    assert np.abs(run(repaired, moved)[0] - run(repaired, x)[0]).max() > 0.01


def test_names_of_outputs_and_inputs_stay_and_so_does_the_model():
    nodes = [
        node("MaxPool", ["x"], "small", kernel_shape=(2, 2), strides=(2, 2)),
        node("Relu", ["small"], "y"),
    ]
    model = model_of(nodes, outputs=("y", "small"))
    before = model.SerializeToString()
    repaired = attar.repair(model, "blur3").model
    assert model.SerializeToString() == before
    assert [each.name for each in repaired.graph.output] == ["y", "small"]
    x = numbers((1, 3, 8, 8))
    y, small = run(repaired, x)
    assert y.shape == small.shape == (1, 3, 4, 4)
    np.testing.assert_array_equal(y, np.maximum(small, 0))


def test_a_window_of_one_is_a_stride_and_nothing_else():
    pool = node("MaxPool", ["x"], "y", kernel_shape=(1, 1), strides=(2, 2))
    repaired = attar.repair(model_of([pool]), "blur3")
    assert "MaxPool" not in [each.op_type for each in repaired.model.graph.node]
    assert repaired.replaced[0].now == "blur3 / 2"
    x = numbers((1, 3, 9, 8))
    np.testing.assert_allclose(run(repaired.model, x)[0], condensed(x, "blur3", (2, 2)), atol=1e-6)


LEFT = {
    "dilated": (node("MaxPool", ["x"], "y", kernel_shape=(2, 2), strides=(2, 2), dilations=(2, 2)),
                "it is dilated"),
    "places": (helper.make_node("MaxPool", ["x"], ["y", "places"], name="the y",
                                kernel_shape=(2, 2), strides=(2, 2)),
               "the places of its maxima are asked for"),
    "counted": (node("AveragePool", ["x"], "y", kernel_shape=(3, 3), strides=(2, 2),
                     pads=(1, 1, 1, 1), count_include_pad=1, ceil_mode=1),
                "it counts padding, and where it rounds up the padding is not known"),
    "norm": (node("LpPool", ["x"], "y", kernel_shape=(2, 2), strides=(2, 2)),
             "LpPool is not among what is replaced: Conv, MaxPool, AveragePool"),
    "same": (node("MaxPool", ["x"], "y", kernel_shape=(3, 3), strides=(2, 2),
                  auto_pad="SAME_UPPER"),
             "the padding SAME_UPPER depends on a size not known"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_stays_is_listed_with_the_reason(name):
    pool, why = LEFT[name]
    model = model_of([pool], opset=19)
    repaired = attar.repair(model, "blur3")
    assert [(each.layer, each.now, each.why) for each in repaired.replaced] == [
        ("the y", "", f"stays: {why}")
    ]
    assert list(repaired.model.graph.node) == list(model.graph.node)
    assert repaired.advice == "Nothing was replaced: the model computes what it did."


def test_slices_that_leave_places_out_stay_and_so_does_what_meets_them():
    numbers_of = {str(k): np.array([k, k], np.int64) for k in (0, 2)}
    numbers_of |= {"ends": np.array([2**31] * 2, np.int64), "axes": np.array([2, 3], np.int64)}
    nodes = [
        node("Slice", ["x", "0", "ends", "axes", "2"], "half"),
        node("MaxPool", ["x"], "small", kernel_shape=(2, 2), strides=(2, 2)),
        node("Add", ["half", "small"], "y"),
    ]
    model = model_of(nodes, (None, 3, 8, 8), numbers_of)
    one, other = attar.repair(model, "polyphase").replaced
    assert (one.was, other.was) == ("Slice / 2", "MaxPool 2 / 2")
    assert "leaves places out as a slice" in one.why
    assert other.why == "stays: the half is on the same grid and stays as it is"
    assert attar.repair(model, "blur3").replaced[1].now


def test_whole_numbers_and_half_precision():
    pool = node("MaxPool", ["x"], "y", kernel_shape=(2, 2), strides=(2, 2))
    for kind, dtype in ((onnx.TensorProto.UINT8, np.uint8), (onnx.TensorProto.FLOAT16, np.float16)):
        model = model_of([pool])
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = kind
        x = np.random.default_rng(0).integers(0, 9, (2, 3, 8, 9)).astype(dtype)
        repaired = attar.repair(model, "blur3")
        if dtype == np.uint8:
            assert repaired.replaced[0].why == "stays: its numbers are whole, and have no means"
            repaired = attar.repair(model, "polyphase")
        after = run(repaired.model, x)[0]
        assert after.dtype == dtype
        wanted = repaired_pool(x, (2, 2), (2, 2), [0] * 4, False, repaired.pool)
        np.testing.assert_allclose(after, wanted, atol=0.01)


def test_one_and_three_axes_stay():
    conv = helper.make_node("Conv", ["wide", "kernel"], ["y"], name="the y", strides=(2,))
    nodes = [node("Squeeze", ["x", "two"], "wide"), conv]
    weights = {"kernel": numbers((2, 3, 3)), "two": np.array([2], np.int64)}
    repaired = attar.repair(model_of(nodes, (1, 3, 1, 9), weights), "blur3")
    assert repaired.replaced[0].why.startswith("stays: it does not work along height and width")


def test_files_that_are_none_and_operators_of_others():
    with pytest.raises(ModelError, match="is not an ONNX model, or it is cut off"):
        attar.repair(b"no model")
    strange = helper.make_node("Blur", ["x"], ["y"], domain="com.example")
    with pytest.raises(ModelError, match=r"operators of ONNX itself are run, no custom ones"):
        attar.repair(model_of([strange]))


@pytest.mark.parametrize("kind", KINDS)
def test_openvino_runs_it_too(kind):
    openvino = pytest.importorskip("openvino")
    model = attar.repair(residual(), kind).model
    x = numbers((1, 3, 16, 16))
    wanted = run(model, x)[0]
    compiled = openvino.Core().compile_model(
        openvino.convert_model(_file(model)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    np.testing.assert_allclose(compiled([x])[0], wanted, rtol=1e-3, atol=1e-4)


def _file(model):
    import io

    return io.BytesIO(model.SerializeToString())
