"""attar.onnx_backend: ONNX's own tests of its operators, and what a model may ask for beside."""

import re
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from attar import nn, onnx_backend
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError

from .cases import random

# ----------------------------------------------------------------------- ONNX's own tests

# Tests with an operator of ours that are not run: the graph has other operators beside it.
# Pools of rows that PyTorch once exported as pools of images, with Unsqueeze and Squeeze around.
WRAPPED = {"test_AvgPool1d", "test_AvgPool1d_stride"}
# Definitions of other operators in simpler ones, of which Conv or Relu is one among many.
EXPANDED = ("test_causal_conv_with_state_", "test_range_")


def official_cases():
    """Every test of the installed onnx that has an operator of ours, with its operators."""
    for kind in ("node", "simple", "pytorch-converted", "pytorch-operator"):
        with warnings.catch_warnings(action="ignore"):  # of NumPy's casts, in tests of Cast
            found = list(load_model_tests(kind=kind))
        for case in found:
            model = case.model
            if model is None:
                model = onnx.load(f"{case.model_dir}/model.onnx")
            kinds = {node.op_type for node in model.graph.node}
            if kinds & onnx_backend._OPERATORS.keys():
                yield case, model, kinds


CASES = {case.name: (case, model, kinds) for case, model, kinds in official_cases()}
EXCLUDED = {
    name
    for name in CASES
    if name in WRAPPED or (name.startswith(EXPANDED) and name.endswith("_expanded"))
}
RUN = sorted(CASES.keys() - EXCLUDED)


def data_sets(case, model):
    """Inputs and answers, from memory or from the files beside the model."""
    if case.data_sets is not None:
        yield from (([*map(as_array, i)], [*map(as_array, o)]) for i, o in case.data_sets)
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set*")):
        yield tuple(
            [read_tensor(folder / f"{side}_{i}.pb") for i in range(count)]
            for side, count in (
                ("input", len(list(folder.glob("input_*.pb")))),
                ("output", len(list(folder.glob("output_*.pb")))),
            )
        )


def read_tensor(path):
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def as_array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


@pytest.mark.parametrize("name", RUN)
def test_official(name):
    case, model, _ = CASES[name]
    assert onnx_backend.is_compatible(model)
    ready = onnx_backend.prepare(model)
    count = 0
    for inputs, expected in data_sets(case, model):
        Runner.assert_similar_outputs(expected, ready.run(inputs), case.rtol, case.atol)
        count += 1
    assert count


def test_each_operator_has_official_tests():
    count = Counter(kind for name in RUN for kind in CASES[name][2])
    without = {"GlobalLpPool"}  # ONNX has no test of it; compared with ONNX Runtime below
    assert count.keys() == onnx_backend._OPERATORS.keys() - without
    assert count["MaxPool"] >= 20
    assert count["AveragePool"] >= 20
    assert count["Conv"] >= 25


def test_what_is_excluded_has_operators_that_are_not_known():
    assert EXCLUDED >= WRAPPED
    for name in EXCLUDED:
        _, model, kinds = CASES[name]
        assert kinds - onnx_backend._OPERATORS.keys()
        assert not onnx_backend.is_compatible(model)
        with pytest.raises(ArgumentError, match="is not known"):
            onnx_backend.prepare(model)


def test_the_module_is_what_onnx_calls_a_backend():
    item = Runner(onnx_backend, __name__)._test_items["NodeModel"]["test_maxpool_2d_pads_cpu"]
    item.func(None)


# ------------------------------------------------------------- beside what the tests of ONNX ask


def model_of(nodes, inputs, outputs, initializers=(), opset=22):
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, kind, [None] * next(iter(inputs.values())).ndim)
            for name, kind in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in dict(initializers).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def assert_like_onnx_runtime(model, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    theirs = session.run(None, inputs)
    ours = onnx_backend.run_model(model, list(inputs.values()))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)
    return ours


def one_node(kind, x, outputs=1, opset=22, others=(), **attributes):
    names = ["x", *dict(others)]
    node = helper.make_node(kind, names, ["y", "places"][:outputs], **attributes)
    kinds = {"y": helper.np_dtype_to_tensor_dtype(x.dtype), "places": TensorProto.INT64}
    results = {name: kinds[name] for name in node.output}
    inputs = {"x": x, **dict(others)}
    return model_of([node], inputs, results, opset=opset), inputs


INDICES = [
    ((2, 3, 11), {"kernel_shape": [3], "strides": [2]}),
    ((2, 3, 9, 11), {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 0, 0, 2]}),
    ((2, 3, 9, 11), {"kernel_shape": [3, 2], "dilations": [2, 3], "ceil_mode": 1}),
    ((1, 2, 5, 6, 7), {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2]}),
]


@pytest.mark.parametrize(("shape", "attributes"), INDICES)
@pytest.mark.parametrize("storage_order", [0, 1])
def test_indices_of_max_pool(shape, attributes, storage_order):
    x = np.random.default_rng(1).permutation(int(np.prod(shape))).reshape(shape).astype("f4")
    order = {} if len(shape) == 3 else {"storage_order": storage_order}
    model, inputs = one_node("MaxPool", x, 2, **attributes, **order)
    best, places = assert_like_onnx_runtime(model, inputs)
    if not storage_order:
        np.testing.assert_array_equal(x.ravel()[places], best)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float64])
def test_max_pool_of_other_numbers(dtype):
    x = (random((2, 3, 9, 10)) * 40 + 60).astype(dtype)
    model, inputs = one_node("MaxPool", x, 2, kernel_shape=[3, 3], strides=[2, 2])
    assert_like_onnx_runtime(model, inputs)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 6, 5), (1, 2, 3, 4, 5)])
def test_global_lp_pool(shape, p):
    assert_like_onnx_runtime(*one_node("GlobalLpPool", random(shape), opset=13, p=p))


@pytest.mark.parametrize("size", [6, 7, 8])
@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "LpPool", "Conv"])
def test_auto_pad(kind, auto_pad, size):
    x, attributes = random((2, 3, size, size + 1)), {"kernel_shape": [2, 3], "strides": [2, 2]}
    others = {"w": random((4, 3, 2, 3), seed=1)} if kind == "Conv" else {}
    assert_like_onnx_runtime(*one_node(kind, x, others=others, auto_pad=auto_pad, **attributes))


@pytest.mark.parametrize("opset", [12, 19, 22])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [{"kernel_shape": [2], "strides": [2], "pads": [1, 1]},
     {"kernel_shape": [1], "strides": [2], "pads": [0, 0]},
     {"kernel_shape": [3], "strides": [2], "pads": [1, 0]},
     {"kernel_shape": [3], "strides": [2], "auto_pad": "VALID"},
     {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_LOWER"}],
    ids=str,
)  # fmt: skip
def test_ceil_mode_is_the_same_in_every_opset(kind, attributes, opset):
    for size in (4, 5, 6):
        x = random((1, 2, size))
        assert_like_onnx_runtime(*one_node(kind, x, opset=opset, ceil_mode=1, **attributes))


def test_padding_of_a_mean_with_ends_that_differ():
    x = random((1, 2, 7, 8))
    attributes = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [0, 1, 2, 1]}
    for include in (0, 1):
        model, inputs = one_node("AveragePool", x, count_include_pad=include, **attributes)
        assert_like_onnx_runtime(model, inputs)


def test_a_graph_of_several_nodes_with_initializers():
    x = random((2, 4, 20, 18))
    weights = {"w": random((6, 2, 3, 3), seed=1), "b": random((6,), seed=2)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], group=2, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["m", "i"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxUnpool", ["m", "i"], ["u"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["u"], ["g"]),
    ]
    outputs = {"g": TensorProto.FLOAT, "m": TensorProto.FLOAT}
    model = model_of(nodes, {"x": x}, outputs, weights)
    answer = assert_like_onnx_runtime(model, {"x": x})
    assert answer["m"] is answer[1]
    ready = onnx_backend.prepare(model)
    np.testing.assert_array_equal(ready.run({"x": x})["g"], answer["g"])
    # An initializer may be overridden by name.
    other = ready.run({"x": x, "b": weights["b"] + 1})
    assert (other["g"] > answer["g"]).any()


def test_convolutions_of_rows_and_volumes():
    for spatial, attributes in [
        ((11,), {"strides": [2], "pads": [2, 1], "dilations": [2]}),
        ((7, 6, 5), {"strides": [2, 1, 2], "pads": [1, 0, 2, 0, 1, 1], "dilations": [2, 1, 1]}),
        ((6, 6, 7), {"auto_pad": "SAME_LOWER", "strides": [2, 2, 2]}),
    ]:
        x = random((2, 4, *spatial))
        others = {"w": random((6, 2, *(3,) * len(spatial)), seed=1), "b": random((6,), seed=2)}
        assert_like_onnx_runtime(*one_node("Conv", x, others=others, group=2, **attributes))


@pytest.mark.parametrize(
    ("size", "attributes"),
    [((8, 6), {"kernel_shape": [2, 2], "strides": [2, 2]}),
     ((8, 7), {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 0, 1]}),
     ((9,), {"kernel_shape": [3], "strides": [3], "pads": [2, 1]})],
)  # fmt: skip
def test_max_unpool_goes_back_to_the_size_that_was_pooled(size, attributes):
    x = random((2, 3, *size))
    nodes = [
        helper.make_node("MaxPool", ["x"], ["m", "i"], **attributes),
        helper.make_node("MaxUnpool", ["m", "i"], ["u"], **attributes),
    ]
    model = model_of(nodes, {"x": x}, {"u": TensorProto.FLOAT})
    (back,) = assert_like_onnx_runtime(model, {"x": x})
    assert back.shape == x.shape
    assert (back[back != 0] == x[back != 0]).all()


def test_run_node():
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], count_include_pad=1)
    x = random((1, 2, 4, 5))
    for inputs in ([x], (x,), x):
        answer = onnx_backend.run_node(node, inputs)
        np.testing.assert_array_equal(answer["y"], nn.pool(x, 2, "AVG", data_format="NCHW"))
    # A first output without a name is left out.
    node = helper.make_node("MaxPool", ["x"], ["y", ""], kernel_shape=[2, 2])
    assert len(onnx_backend.run_node(node, [x])) == 1


def test_the_code_of_the_page_runs():
    page = Path(__file__).parent.parent / "docs" / "onnx.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    exec(compile(code, page.name, "exec"), {})


def test_devices():
    assert onnx_backend.supports_device("CPU")
    assert onnx_backend.supports_device("CPU:0")
    assert not onnx_backend.supports_device("CUDA")


# ----------------------------------------------------------------------------------- errors

X = np.zeros((1, 2, 4, 4), np.float32)
MODEL, _ = one_node("MaxPool", X, kernel_shape=[2, 2])


NO_WINDOW = helper.make_node("MaxPool", ["x"], ["y"])
NO_WINDOW.attribute.append(
    helper.make_attribute("kernel_shape", [], attr_type=onnx.AttributeProto.INTS)
)


def run(kind, *inputs, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    return onnx_backend.run_node(helper.make_node(kind, names, ["y"], **attributes), list(inputs))


BAD_CALLS = [
    (lambda: run("Softmax", X), ArgumentError, "Softmax.*not known.*MaxPool"),
    (lambda: onnx_backend.run_node(helper.make_node("Relu", ["x"], ["y"], domain="a.b"), [X]),
     ArgumentError, "a.b.Relu"),
    (lambda: run("MaxPool", X), ArgumentError, "not valid ONNX.*kernel_shape"),
    (lambda: run("MaxPool", X, kernel_shape=[2, 2], p=3), ArgumentError, "not valid ONNX"),
    (lambda: run("MaxPool", X, kernel_shape=[2]), ShapeError, r"\(2,\).*\(1, 2, 4, 4\)"),
    (lambda: onnx_backend.run_node(NO_WINDOW, [X]), ShapeError, r"kernel_shape.*got \(\)"),
    (lambda: run("MaxPool", X, kernel_shape=[2, 2], strides=[2]), ShapeError, "strides.*2 numbers"),
    (lambda: run("MaxPool", X, kernel_shape=[2, 2], pads=[1, 1]), ShapeError, "pads.*4 numbers"),
    (lambda: run("MaxPool", X, kernel_shape=[2, 0]), ArgumentError, "kernel_shape.*at least 1"),
    (lambda: run("MaxPool", X, kernel_shape=[5, 5]), ShapeError, "does not fit"),
    (lambda: run("MaxPool", X, kernel_shape=[2, 2], auto_pad="SAME"),
     ArgumentError, "'SAME_LOWER'"),
    (lambda: run("MaxPool", X, kernel_shape=[2, 2], pads=[2, 0, 0, 0]), ShapeError, "but padding"),
    (lambda: run("GlobalMaxPool", X[0, 0]), ShapeError, "rank 3, 4 or 5"),
    (lambda: run("AveragePool", X.astype(np.int8), kernel_shape=[2, 2]), DTypeError, "int8"),
    (lambda: run("Conv", X, X[0]), ShapeError, "same rank"),
    (lambda: run("Conv", X, X[:, :, :3, :3], kernel_shape=[2, 2]), ShapeError, r"\(3, 3\)"),
    (lambda: run("Conv", X, X[:, :1, :3, :3], group=1), ShapeError, "1 groups.*1 channels"),
    (lambda: run("MaxUnpool", X, X.astype(int) + 99, kernel_shape=[1, 1]), ArgumentError, "argmax"),
    (lambda: run("MaxUnpool", X, X.astype(int), kernel_shape=[1, 1], pads=[4, 0, 4, 0]),
     ShapeError, "fewer pads"),
    (lambda: run("MaxUnpool", X, X.astype(int), np.array([1, 2, 3, 3]), kernel_shape=[1, 1]),
     ShapeError, "output_shape must be at least"),
    (lambda: run("Relu", X, X), ArgumentError, "not valid ONNX"),
    (lambda: onnx_backend.run_node("Relu", [X]), DTypeError, "NodeProto.*str"),
    (lambda: onnx_backend.prepare(MODEL, "CUDA"), ArgumentError, "'CPU'.*'CUDA'"),
    (lambda: onnx_backend.prepare(onnx.ModelProto()), ArgumentError, "not valid ONNX"),
    (lambda: onnx_backend.prepare("a.onnx"), DTypeError, "ModelProto, got str.*onnx.load"),
    (lambda: onnx_backend.run_model(MODEL, []), ArgumentError, r"1 inputs, \['x'\], got 0"),
    (lambda: onnx_backend.run_model(MODEL, {"z": X}), ArgumentError, r"\['x'\], got \['z'\]"),
    (lambda: onnx_backend.run_model(MODEL, [X.astype(int)]), DTypeError, "x must be float32"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_errors(call, error, message):
    with pytest.raises(error, match=f"(?s).*{message}") as raised:
        call()
    assert isinstance(raised.value, AttarError)


def test_an_error_names_the_node():
    nodes = [helper.make_node("MaxPool", ["x"], ["y"], "late", kernel_shape=[9, 9])]
    model = model_of(nodes, {"x": X}, {"y": TensorProto.FLOAT})
    with pytest.raises(ShapeError) as raised:
        onnx_backend.run_model(model, [X])
    assert raised.value.__notes__ == ["in the ONNX node 'late' (MaxPool)"]


def test_without_onnx_the_extra_is_named():
    code = "import sys; sys.modules['onnx'] = None; import attar.onnx_backend"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'attar[models]'" in done.stderr


def test_attar_does_not_import_onnx():
    code = "import sys, attar; from attar import nn; assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
