"""Means that lean towards the larger values, against definition and PyTorch."""

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from attar import nn, reference
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.geometry import parse_padding, pool_axes
from attar.nn.means import gem_pool, gem_pool_grad, soft_pool, soft_pool_grad

from .cases import random

HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
FIRST = {1: "NCW", 2: "NCHW", 3: "NCDHW"}

# shape, window, strides, padding
POOLS = {
    "2/2": ((2, 13, 14, 3), 2, 2, "VALID"),
    "2/2 same": ((1, 13, 15, 3), 2, 2, "SAME"),
    "3/2 padded": ((1, 9, 40, 1), 3, 2, [[1, 1], [0, 2]]),
    "3x2/1": ((1, 8, 9, 20), (3, 2), 1, "SAME"),
    "2/3, over the window": ((1, 11, 12, 2), 2, 3, "VALID"),
    "window as large as the image": ((2, 4, 5, 3), (4, 5), 1, "VALID"),
    "window over the image": ((2, 4, 5, 3), 9, 7, "SAME"),
    "one pixel": ((1, 1, 1, 2), 3, 2, "SAME"),
    "1-d": ((2, 19, 5), 3, 2, "SAME"),
    "3-d": ((1, 5, 6, 7, 2), (2, 3, 2), (1, 2, 2), "SAME"),
}
SHAPES = [(2, 7, 9, 5), (1, 30, 31, 1), (3, 11, 4), (2, 3, 4, 5, 6), (1, 1, 1, 3)]


def channels_first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def per_axis(value, dims):
    return value if isinstance(value, tuple) else (value,) * dims


def axes_of(shape, window, strides, padding):
    dims = len(shape) - 2
    return pool_axes(
        "test", shape[1:-1], per_axis(window, dims), per_axis(strides, dims), (1,) * dims,
        parse_padding("test", "padding", padding, dims, False),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------- soft


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", POOLS)
def test_soft_pool_is_its_definition(name, dtype):
    shape, *options = POOLS[name]
    x = random(shape, dtype) * 3
    expected = reference.soft_pool(x.astype(np.float64), axes_of(shape, *options))
    last = soft_pool(x, *options)
    assert last.dtype == dtype
    np.testing.assert_allclose(last, expected, rtol=0, atol=TOLERANCE[dtype] * 10)
    first = soft_pool(channels_first(x), *options, FIRST[len(shape) - 2])
    np.testing.assert_array_equal(channels_last(first), last)
    out = np.empty((2, *last.shape), dtype)[1]
    assert soft_pool(x, *options, out=out) is out
    np.testing.assert_array_equal(out, last)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_half_numbers_are_computed_as_float32_and_rounded_once(name, dtype):
    shape, *options = POOLS[name]
    x = (random(shape) * 3).astype(dtype)
    wide = x.astype(np.float32)
    actual = soft_pool(x, *options)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(actual, soft_pool(wide, *options).astype(dtype))
    grad = random(actual.shape, seed=1).astype(dtype)
    back = soft_pool_grad(grad, x, *options)
    assert back.dtype == dtype
    expected = soft_pool_grad(grad.astype(np.float32), wide, *options)
    np.testing.assert_array_equal(back, expected.astype(dtype))
    np.testing.assert_array_equal(gem_pool(x), gem_pool(wide).astype(dtype))


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("ksize", "strides"), [(2, 2), (3, 2), (3, 1), (2, 3)])
def test_soft_pool_and_its_gradient_are_pytorchs(ksize, strides, data_format):
    x = torch.from_numpy(random((2, 3, 11, 14), np.float64)).requires_grad_()
    weights = x.exp()
    pooled = F.avg_pool2d(weights * x, ksize, strides) / F.avg_pool2d(weights, ksize, strides)
    grad = random(tuple(pooled.shape), np.float64, 1)
    pooled.backward(torch.from_numpy(grad))
    there = np.asarray if data_format == "NCHW" else channels_last
    image = there(x.detach().numpy())
    options = (ksize, strides, "VALID", data_format)
    np.testing.assert_allclose(
        soft_pool(image, *options), there(pooled.detach().numpy()), rtol=0, atol=1e-13
    )
    np.testing.assert_allclose(
        soft_pool_grad(there(grad), image, *options), there(x.grad.numpy()), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("name", POOLS)
def test_the_gradient_of_soft_pool_is_the_slope(name):
    shape, *options = POOLS[name]
    x, direction = random(shape, np.float64), random(shape, np.float64, 1)
    step = 1e-6 * direction
    slope = (soft_pool(x + step, *options) - soft_pool(x - step, *options)) / 2e-6
    grad = random(slope.shape, np.float64, 2)
    back = soft_pool_grad(grad, x, *options)
    assert back.shape == shape
    np.testing.assert_allclose(np.vdot(back, direction), np.vdot(grad, slope), rtol=1e-6, atol=1e-7)
    first = FIRST[len(shape) - 2]
    planar = soft_pool_grad(channels_first(grad), channels_first(x), *options, first)
    np.testing.assert_array_equal(channels_last(planar), back)


def test_large_numbers_infinities_and_nan():
    def pooled(*values):
        row = np.array(values, np.float32).reshape(1, -1, 1)
        return soft_pool(row, len(values), 1, "VALID").item()

    inf, nan = np.inf, np.nan
    assert pooled(1e30, 1e30) == pytest.approx(1e30)
    assert pooled(-1e30, -2e30) == pytest.approx(-1e30)
    assert pooled(1000, 0) == 1000
    assert pooled(3, -inf) == 3
    assert pooled(3, inf, -inf) == inf
    assert pooled(inf, inf) == inf
    assert pooled(-inf, -inf) == -inf
    assert np.isnan(pooled(3, nan))
    assert np.isnan(pooled(inf, nan))
    row = np.array([3, -inf, 2, 2], np.float32).reshape(1, 4, 1)
    grad = soft_pool_grad(np.ones((1, 2, 1), np.float32), row, 2, 2, "VALID")
    np.testing.assert_array_equal(grad.ravel(), [1, 0, 0.5, 0.5])


def test_padding_has_no_weight():
    x = -5 - abs(random((1, 6, 7, 2)))
    assert (soft_pool(x, 3, 2, "SAME") <= -5).all()


def test_views_and_tensors():
    base = random((2, 14, 22, 6))
    for x in (base[:, ::2, ::-1], base[..., ::2], base.swapaxes(1, 2)):
        copy = np.ascontiguousarray(x)
        expected = soft_pool(copy, 3, 2, "SAME")
        np.testing.assert_array_equal(soft_pool(x, 3, 2, "SAME"), expected)
        np.testing.assert_allclose(gem_pool(x), gem_pool(copy), rtol=1e-6)
        grad = random(expected.shape, seed=1)
        np.testing.assert_array_equal(
            soft_pool_grad(grad, x, 3, 2, "SAME"), soft_pool_grad(grad, copy, 3, 2, "SAME")
        )
    tensor = torch.from_numpy(base)
    assert isinstance(soft_pool(tensor, 2, 2, "SAME"), torch.Tensor)
    assert gem_pool(tensor.bfloat16()).dtype == torch.bfloat16
    assert soft_pool(np.empty((0, 4, 4, 1)), 2, 2, "SAME").shape == (0, 2, 2, 1)
    assert soft_pool_grad(np.empty((0, 2, 2, 1)), np.empty((0, 4, 4, 1)), 2, 2, "SAME").size == 0
    assert gem_pool(np.empty((0, 4, 4, 3))).shape == (0, 3)


# ------------------------------------------------------------------------------ generalised mean


@pytest.mark.parametrize("p", [0.5, 1.0, 2, 3.0, 6.5, 30.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_gem_pool_is_its_definition(shape, p):
    for dtype in TOLERANCE:
        x = random(shape, dtype)
        expected = reference.gem_pool(x.astype(np.float64), p, 1e-2)
        actual = gem_pool(x, p, 1e-2)
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[dtype])
        first = gem_pool(channels_first(x), p, 1e-2, FIRST[len(shape) - 2])
        np.testing.assert_allclose(first, actual, rtol=TOLERANCE[dtype])
        kept = gem_pool(x, p, 1e-2, keepdims=True)
        assert kept.shape == (shape[0], *(1,) * (len(shape) - 2), shape[-1])
        np.testing.assert_array_equal(kept.reshape(actual.shape), actual)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("p", [0.5, 1.0, 3.0, 6.5])
def test_gem_pool_and_its_gradient_are_pytorchs(p, data_format):
    eps = 1e-3
    x = torch.from_numpy(random((2, 3, 11, 14), np.float64)).requires_grad_()
    pooled = x.clamp(min=eps).pow(p).mean((2, 3)).pow(1 / p)
    grad = random((2, 3), np.float64, 1)
    pooled.backward(torch.from_numpy(grad))
    there = np.asarray if data_format == "NCHW" else channels_last
    image = there(x.detach().numpy())
    np.testing.assert_allclose(
        gem_pool(image, p, eps, data_format), pooled.detach().numpy(), rtol=1e-12
    )
    back = there(x.grad.numpy())
    np.testing.assert_allclose(
        gem_pool_grad(grad, image, p, eps, data_format), back, rtol=1e-10, atol=1e-14
    )
    kept = there(grad[:, :, None, None])
    np.testing.assert_array_equal(
        gem_pool_grad(kept, image, p, eps, data_format),
        gem_pool_grad(grad, image, p, eps, data_format),
    )


def test_gem_pool_lies_between_mean_and_maximum_and_does_not_overflow():
    x = abs(random((2, 9, 8, 4), np.float64)) + 0.1
    means = [gem_pool(x, p) for p in (1, 2, 5, 50)]
    np.testing.assert_allclose(means[0], nn.global_pool(x, "AVG"), rtol=1e-13)
    for lower, higher in zip(means, [*means[1:], x.max((1, 2))], strict=True):
        assert (lower < higher).all()
    for scale in (1e-5, 1e30, 1e200):
        np.testing.assert_allclose(gem_pool(x * scale, 5), means[2] * scale, rtol=1e-5)
    np.testing.assert_allclose(gem_pool(np.full((1, 3, 3, 1), 6e4, np.float16)), 6e4)
    x[0, 3, 4, 1], x[1, 0, 0, 2] = np.nan, np.inf
    odd = gem_pool(x)
    assert np.isnan(odd[0, 1])
    assert odd[1, 2] == np.inf
    assert np.isfinite(odd).sum() == odd.size - 2


IMAGE = np.zeros((1, 6, 6, 2), np.float32)
POOLED = np.zeros((1, 3, 3, 2), np.float32)
BAD_CALLS = [
    (lambda: soft_pool(IMAGE, 7, 1, "VALID"), ShapeError, "does not fit"),
    (lambda: soft_pool(IMAGE, 0, 1, "VALID"), ArgumentError, "ksize must be at least 1"),
    (lambda: soft_pool(IMAGE, 2, 1, "FULL"), ArgumentError, "padding must be"),
    (lambda: soft_pool(IMAGE.astype(int), 2, 2, "SAME"), DTypeError, "got int64"),
    (lambda: soft_pool(IMAGE, 2, 2, "SAME", out=IMAGE), ShapeError, "out must have the shape"),
    (lambda: soft_pool_grad(IMAGE, IMAGE, 2, 2, "SAME"), ShapeError, "(1, 3, 3, 2), got"),
    (
        lambda: soft_pool_grad(POOLED.astype(np.float64), IMAGE, 2, 2, "SAME"),
        DTypeError,
        "grad must be float32 like the input, got float64",
    ),
    (lambda: gem_pool(IMAGE, 0), ArgumentError, "p must be larger than 0"),
    (lambda: gem_pool(IMAGE, "3"), DTypeError, "p must be a number, got '3'"),
    (lambda: gem_pool(IMAGE, 3, -1), ArgumentError, "eps must be larger than 0 and finite, got -1"),
    (lambda: gem_pool(IMAGE, 3, "x"), DTypeError, "eps must be a number, got 'x'"),
    (lambda: gem_pool(IMAGE[:, :0]), ShapeError, "empty"),
    (lambda: gem_pool_grad(POOLED, IMAGE), ShapeError, "got (1, 3, 3, 2)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(error, match=pattern) as raised:
        call()
    assert isinstance(raised.value, AttarError)
    assert str(raised.value).startswith("nn.")
