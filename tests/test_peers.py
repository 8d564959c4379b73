"""The same numbers from people who wrote their own: PyTorch and ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from attar import nn

from .cases import CONVS, POOL_SHAPES, POOLS, Conv, Pool, fits, random
from .test_nn import axes_of, channels_first

TOLERANCE = {"rtol": 1e-5, "atol": 2e-5}  # of float32 sums of up to a few hundred terms
ONNX_CEIL = 22  # the first opset that drops windows which start in the padding, as PyTorch does


def pads_of(case, sizes):
    return [(axis.pad_before, axis.pad_after) for axis in axes_of(case, sizes)]


def run_onnx(kind, inputs, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attributes)],
        "one node",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
            for name, value in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", ONNX_CEIL)])
    model.ir_version = 10
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]


def onnx_geometry(case, pads):
    return {
        "strides": list(case.strides),
        "dilations": list(case.dilations or (1, 1)),
        "pads": [before for before, _ in pads] + [after for _, after in pads],
    }


@pytest.mark.parametrize("name", CONVS)
def test_conv2d(name):
    case: Conv = CONVS[name]
    x = channels_first(random(case.shape))
    f, bias = random(case.filters, seed=1), random(case.filters[3:], seed=2)
    pads = pads_of(case, case.shape[1:3])
    # The pads, resolved, so that SAME means the same to all three.
    ours = nn.conv2d(
        x, f, case.strides, pads, "NCHW", dilations=case.dilations, bias=bias
    )  # fmt: skip
    weights = np.ascontiguousarray(f.transpose(3, 2, 0, 1))
    groups = case.shape[3] // case.filters[2]
    onnx_answer = run_onnx("Conv", [x, weights, bias], group=groups, **onnx_geometry(case, pads))
    np.testing.assert_allclose(ours, onnx_answer, **TOLERANCE)
    (top, bottom), (left, right) = pads
    torch_answer = torch.nn.functional.conv2d(
        torch.nn.functional.pad(torch.from_numpy(x), (left, right, top, bottom)),
        torch.from_numpy(weights), torch.from_numpy(bias), case.strides, 0, case.dilations, groups,
    )  # fmt: skip
    np.testing.assert_allclose(ours, torch_answer.numpy(), **TOLERANCE)


POOL_CASES = [
    pytest.param(case, shape, id=f"{name} of {shape}")
    for name, case in POOLS.items()
    for shape in POOL_SHAPES[:4]
    if fits(case, shape[1:3])
]


@pytest.mark.parametrize(("case", "shape"), POOL_CASES)
def test_pool_against_onnx_runtime(case: Pool, shape):
    x = channels_first(random(shape))
    pads = pads_of(case, shape[1:3])
    if any(max(pad) >= window for pad, window in zip(pads, case.window, strict=True)):
        pytest.skip("ONNX Runtime takes less padding than the window")
    attributes = {
        "kernel_shape": list(case.window),
        "ceil_mode": int(case.flags.get("ceil_mode", False)),
        **onnx_geometry(case, pads),
    }
    options = {**case.options, "data_format": "NCHW"}
    best = nn.pool(x, pooling_type="MAX", **options)
    np.testing.assert_array_equal(best, run_onnx("MaxPool", [x], **attributes))
    include = int(case.flags.get("count_include_pad", False))
    mean = nn.pool(x, pooling_type="AVG", **options)
    theirs = run_onnx("AveragePool", [x], count_include_pad=include, **attributes)
    np.testing.assert_allclose(mean, theirs, **TOLERANCE)


@pytest.mark.parametrize(("case", "shape"), POOL_CASES)
def test_pool_against_torch(case: Pool, shape):
    pads = pads_of(case, shape[1:3])
    if any(
        before != after or 2 * before > window
        for (before, after), window in zip(pads, case.window, strict=True)
    ):
        pytest.skip("torch pads both ends alike, and by half a window at most")
    x = channels_first(random(shape))
    padding = tuple(before for before, _ in pads)
    ceil = case.flags.get("ceil_mode", False)
    options = {**case.options, "data_format": "NCHW"}
    tensor = torch.from_numpy(x)
    best = torch.nn.functional.max_pool2d(
        tensor, case.window, case.strides, padding, case.dilations or 1, ceil_mode=ceil
    )
    np.testing.assert_array_equal(nn.pool(x, pooling_type="MAX", **options), best.numpy())
    if case.dilations is None:
        mean = torch.nn.functional.avg_pool2d(
            tensor, case.window, case.strides, padding, ceil,
            case.flags.get("count_include_pad", False),
        )  # fmt: skip
        np.testing.assert_allclose(
            nn.pool(x, pooling_type="AVG", **options), mean.numpy(), **TOLERANCE
        )


def test_the_three_steps_against_torch():
    x, f = random((2, 3, 45, 67)), random((3, 3, 3, 5), seed=1)
    weights = torch.from_numpy(np.ascontiguousarray(f.transpose(3, 2, 0, 1)))
    theirs = torch.nn.functional.max_pool2d(
        torch.relu(torch.nn.functional.conv2d(torch.from_numpy(x), weights, padding=1)),
        2, ceil_mode=True,
    )  # fmt: skip
    ours = nn.extract(x, f, data_format="NCHW")
    np.testing.assert_allclose(ours, theirs.numpy(), **TOLERANCE)


# --------------------------------------------------------------------- tensors in and out


def test_a_tensor_comes_back_as_a_tensor_without_a_copy_going_in():
    x = torch.from_numpy(random((1, 12, 14, 1)))
    f = torch.from_numpy(random((3, 3, 1, 2)))
    answer = nn.extract(x, f)
    assert isinstance(answer, torch.Tensor)
    np.testing.assert_array_equal(answer.numpy(), nn.extract(x.numpy(), f.numpy()))
    assert isinstance(nn.relu(x), torch.Tensor)
    assert isinstance(nn.pool(x, 2, "MAX", 2), torch.Tensor)
    first = x.permute(0, 3, 1, 2)
    np.testing.assert_array_equal(
        nn.extract(first, f, data_format="NCHW").permute(0, 2, 3, 1).numpy(), answer.numpy()
    )


def test_out_may_be_a_tensor():
    x, f = torch.from_numpy(random((1, 12, 14, 1))), torch.from_numpy(random((3, 3, 1, 2)))
    out = torch.full((1, 6, 7, 2), float("nan"))
    assert nn.extract(x, f, out=out) is out
    np.testing.assert_array_equal(out.numpy(), nn.extract(x, f).numpy())


def test_tensors_that_cannot_be_taken_are_refused():
    x, f = torch.zeros(1, 6, 6, 1), torch.zeros(3, 3, 1, 1)
    with pytest.raises(ValueError, match=r"nn.extract: input requires a gradient.*detach"):
        nn.extract(x.clone().requires_grad_(), f)
    with pytest.raises(ValueError, match=r"nn.extract: input must be on the CPU"):
        nn.extract(x.to("meta"), f)
    with pytest.raises(TypeError, match="bfloat16"):
        nn.extract(x.to(torch.bfloat16), f.to(torch.bfloat16))
