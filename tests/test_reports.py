"""Bugs that people found in other libraries, one test each: attar does not have them.

A test has the name of the report and says what went wrong there. The answers are written out, or
they are those of the definition in NumPy.
"""

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from attar import nn, onnx_backend, reference
from attar.errors import DTypeError, ShapeError
from attar.geometry import pool_axes

from .cases import random


def row(*values):
    return np.array(values, np.float32).reshape(1, -1, 1)


def one_node_model(kind, shape, opset, **attributes):
    graph = helper.make_graph(
        [helper.make_node(kind, ["x"], ["y"], **attributes)],
        "one node",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


# ----------------------------------------------- windows that would begin behind the input


def test_pytorch_45357():
    """With ceil_mode a last row of windows lay outside the image: their maximum was -inf."""
    x = random((1, 1, 6, 7))
    best = nn.pool(x, 1, "MAX", 2, data_format="NCHW", ceil_mode=True)
    np.testing.assert_array_equal(best, x[:, :, ::2, ::2])
    assert best.shape == (1, 1, 3, 4)


def test_pytorch_46929():
    """The documented size counts windows that begin in the padding behind; none is computed."""
    five = row(1, 2, 3, 4, 5)
    for kind, expected in [("MAX", [1, 3, 5]), ("AVG", [1, 2.5, 4.5])]:
        # ceil((5 + 2 - 2) / 2) + 1 is 4, but the fourth window would see padding alone.
        answer = nn.pool(five, 2, kind, 2, [(1, 1)], ceil_mode=True)
        assert answer.ravel().tolist() == expected
    # Where such a window is asked for in words, it is refused: there is nothing to take.
    with pytest.raises(ShapeError, match="window 3 along spatial axis 0 sees nothing but padding"):
        nn.pool(five, 2, "MAX", 2, [(1, 2)])


def test_pytorch_57178():
    """The size with ceil_mode was not the documented one: 16 for 32 cells, window 1, stride 2."""
    x = random((1, 3, 32, 32))
    best = nn.pool(x, 1, "MAX", 2, data_format="NCHW", ceil_mode=True)
    np.testing.assert_array_equal(best, x[:, :, ::2, ::2])
    assert best.shape == (1, 3, 16, 16)


def test_pytorch_88464():
    """A window larger than the input, with ceil_mode, was given a negative size."""
    x = random((20, 16, 1))
    for kind, stride in itertools.product(("MAX", "AVG"), (1, 2, 4)):
        with pytest.raises(ShapeError, match=r"window of \(4,\) does not fit.*size \(1,\)"):
            nn.pool(x, 4, kind, stride, data_format="NCW", ceil_mode=True)


def test_onnxruntime_15446():
    """MaxPool of volumes with ceil_mode and padding had one plane of windows too many."""
    x = random((1, 2, 3, 6, 5))
    axes = pool_axes("test", (3, 6, 5), (3,) * 3, (3,) * 3, (1,) * 3, ((1, 1),) * 3, True)
    expected = np.moveaxis(reference.pool(np.moveaxis(x, 1, -1), axes, "MAX"), -1, 1)
    assert expected.shape == (1, 2, 2, 3, 2)
    best = nn.pool(x, 3, "MAX", 3, [(1, 1)] * 3, "NCDHW", ceil_mode=True)
    np.testing.assert_array_equal(best, expected)
    model = one_node_model(
        "MaxPool", x.shape, 14, kernel_shape=[3] * 3, strides=[3] * 3, pads=[1] * 6, ceil_mode=1
    )
    np.testing.assert_array_equal(onnx_backend.run_model(model, [x])["y"], expected)


def test_onnxruntime_16350():
    """Maxima of numbers in [0, 1] were huge with ceil_mode, where windows saw no number."""
    x = np.random.default_rng(0).random((1, 9, 8, 3), dtype=np.float32)
    for window, stride in itertools.product((1, 2, 3), (1, 2, 3, 5)):
        best = nn.pool(x, window, "MAX", stride, ceil_mode=True)
        axes = pool_axes("test", (9, 8), (window,) * 2, (stride,) * 2, (1, 1), "VALID", True)
        np.testing.assert_array_equal(best, reference.pool(x, axes, "MAX"))
        assert 0 <= best.min() <= best.max() <= 1


# ------------------------------------------------------------- what a mean is divided by


def test_onnxruntime_29629():
    """With ceil_mode and count_include_pad the cells beyond the padding were counted too."""
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    expected = [[14 / 9, 10 / 3, 2], [19 / 3, 11, 6], [9 / 2, 15 / 2, 4]]
    mean = nn.pool(
        x, 3, "AVG", 2, [(1, 1)] * 2, "NCHW", ceil_mode=True, count_include_pad=True
    )  # fmt: skip
    np.testing.assert_allclose(mean[0, 0], expected, rtol=1e-6)
    options = {"ceil_mode": 1, "count_include_pad": 1}
    for opset in (11, 18, 19, 22):
        model = one_node_model(
            "AveragePool", x.shape, opset, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4,
            **options,
        )  # fmt: skip
        answer = onnx_backend.run_model(model, [x])["y"]
        np.testing.assert_allclose(answer[0, 0], expected, rtol=1e-6)


def test_onnxruntime_27375():
    """Padding at the bottom was taken for padding at the left, and not counted."""
    ones = np.ones((1, 2, 2, 1), np.float32)
    mean = nn.pool(ones, 2, "AVG", 1, [(0, 1), (0, 1)], count_include_pad=True)
    assert mean[0, ..., 0].tolist() == [[1, 0.5], [0.5, 0.25]]
    volume = np.ones((1, 2, 2, 2, 1), np.float32)
    for axis in range(3):
        padding = [(0, 0)] * 3
        padding[axis] = (0, 1)
        mean = nn.pool(volume, 2, "AVG", 1, padding, count_include_pad=True)
        assert mean.ravel().tolist() == [1, 0.5]


def test_tvm_18014():
    """The cells of a window were counted in the dtype of the input: too many for a narrow one."""
    for side in (50, 300):  # 2,500 is more than float16 counts in ones, 90,000 more than it holds
        ones = np.ones((1, side, side, 1), np.float16)
        mean = nn.pool(ones, side, "AVG")
        assert mean.dtype == np.float16
        assert mean.item() == 1
    # Means of whole numbers are not whole numbers. They are refused, not rounded in silence.
    with pytest.raises(DTypeError, match="int8"):
        nn.pool(np.ones((1, 16, 16, 1), np.int8), 16, "AVG")


# ------------------------------------------------------------------- NaN and infinity


def windows_of_nothing_else(value, dtype):
    x = np.arange(2 * 6 * 6, dtype=dtype).reshape(1, 6, 6, 2)
    x[0, 2:4, 2:4] = value
    x[0, :2, :2, 1] = value
    return x


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_pytorch_1465(value, dtype):
    """A window of NaN or -inf alone had no winner: index -1 was written to on the way back."""
    x = windows_of_nothing_else(value, dtype)
    for index in ("flat", "plane"):
        best, where = nn.max_pool_with_argmax(x, 2, 2, "VALID", index=index)
        assert where.min() >= 0
        assert where.max() < (x.size if index == "flat" else 36)
        flat = where if index == "flat" else where * 2 + [0, 1]
        np.testing.assert_array_equal(x.ravel()[flat], best)
        np.testing.assert_array_equal(best[0, 1, 1], [value, value])
        assert flat[0, 1, 1].tolist() == [28, 29]  # the first cell of the window
        back = nn.max_unpool(best, where, x.shape, index=index)
        np.testing.assert_array_equal(back.ravel()[flat], best)
        assert np.count_nonzero(back) == best.size


def test_tensorflow_125965():
    """Three equal channels with a NaN gave nan, nan, 3: it depended on the lane of the vector."""
    for dtype, count in itertools.product((np.float32, np.float64), range(1, 20)):
        channel = np.array([[1, np.nan], [2, 3]], dtype).reshape(1, 2, 2, 1)
        for order in itertools.permutations(range(4)):
            x = channel.reshape(-1)[list(order)].reshape(channel.shape)
            best = nn.pool(np.repeat(x, count, axis=-1), 2, "MAX")
            assert best.shape == (1, 1, 1, count)
            assert np.isnan(best).all()


def test_openvino_35935():
    """The maximum of nothing but NaN was the lowest number that float32 has."""
    x = np.full((1, 1, 3, 3), np.nan, np.float32)
    assert np.isnan(nn.pool(x, 3, "MAX", data_format="NCHW")).all()
    model = one_node_model("MaxPool", x.shape, 18, kernel_shape=[3, 3], strides=[1, 1])
    assert np.isnan(onnx_backend.run_model(model, [x])["y"]).all()
