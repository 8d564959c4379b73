"""Blurs before a stride, and strides that choose their phase, against definition and PyTorch."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import attar
from attar import _core, reference
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.geometry import blur_axes, parse_padding, pool_axes
from attar.nn.antialias import (
    blur_pool,
    blur_pool_grad,
    max_blur_pool,
    max_blur_pool_grad,
    polyphase_pool,
    polyphase_pool_grad,
)

from .cases import random

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [np.dtype(np.float16), BFLOAT16]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}  # of numbers around 1
FIRST = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
TORCH_BORDER = {"zero": "constant", "reflect": "reflect", "circular": "circular"}

# shape, size, strides, border
BLURS = {
    "gray": ((1, 37, 41, 1), 3, 2, "reflect"),
    "gray wide": ((1, 9, 700, 1), 5, 2, "reflect"),
    "narrower than a vector": ((2, 7, 7, 3), 3, 2, "reflect"),
    "rgb": ((2, 21, 23, 3), 3, 2, "circular"),
    "rgb even": ((1, 24, 36, 3), 4, 2, "reflect"),
    "20 channels": ((1, 17, 16, 20), 5, 2, "zero"),
    "64 channels": ((1, 15, 18, 64), 3, 2, "reflect"),
    "17 channels": ((3, 14, 13, 17), 7, 3, "circular"),
    "stride 1": ((1, 11, 35, 2), 3, 1, "reflect"),
    "stride 1, one channel": ((1, 11, 35, 1), 4, 1, "circular"),
    "stride 4": ((1, 33, 66, 1), 7, 4, "reflect"),
    "size 1": ((1, 9, 10, 2), 1, 2, "reflect"),
    "size 2": ((1, 9, 50, 1), 2, 2, "zero"),
    "size 6": ((1, 19, 50, 5), 6, 2, "reflect"),
    "unlike axes": ((1, 19, 50, 1), (2, 5), (3, 2), "circular"),
    "stride over size": ((1, 19, 50, 3), 2, 5, "reflect"),
    "one pixel": ((1, 1, 1, 2), 3, 2, "zero"),
    "smallest that mirrors": ((1, 4, 4, 3), 7, 2, "reflect"),
    "1-d": ((2, 45, 5), 3, 2, "reflect"),
    "1-d, one channel": ((2, 99, 1), 5, 3, "circular"),
}
MAXIMA = {  # ksize, padding
    "2": (2, "VALID"),
    "3 same": (3, "SAME"),
    "3x1 padded": ((3, 1), [[1, 2], [0, 0]]),
    "1x4": ((1, 4), "VALID"),
}


def channels_first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def assert_same_bits(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(bits(actual), bits(expected))


def per_axis(value, dims):
    return value if isinstance(value, tuple) else (value,) * dims


def binomial(size):
    row = np.array([math.comb(size - 1, k) for k in range(size)], np.float64)
    return row / row.sum()


def defined(x, size, strides, border, ksize=1, padding="VALID"):
    dims = x.ndim - 2
    maxima = pool_axes(
        "test", x.shape[1:-1], per_axis(ksize, dims), (1,) * dims, (1,) * dims,
        parse_padding("test", "padding", padding, dims, False),
    )  # fmt: skip
    maps = reference.pool(x, maxima, "MAX")
    sizes = per_axis(size, dims)
    axes = blur_axes("test", maps.shape[1:-1], sizes, per_axis(strides, dims), border)
    return reference.blur(maps, axes, [binomial(s) for s in sizes], border)


def torch_blur(x, size, strides, border, dims):
    """The published way: pad, then convolve each channel. `x` is channels-first."""
    sizes, channels = per_axis(size, dims), x.shape[1]
    pads = [n for s in reversed(sizes) for n in ((s - 1) // 2, s // 2)]
    kernel = torch.ones((), dtype=x.dtype)
    for s in sizes:
        kernel = kernel[..., None] * torch.from_numpy(binomial(s)).to(x.dtype)
    kernel = kernel.expand(channels, 1, *kernel.shape)
    convolve = F.conv1d if dims == 1 else F.conv2d
    padded = F.pad(x, pads, TORCH_BORDER[border])
    return convolve(padded, kernel, stride=per_axis(strides, dims), groups=channels)


# ---------------------------------------------------------------------------------------- blurs


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", BLURS)
def test_blur_pool_is_its_definition_in_both_layouts(name, dtype):
    shape, size, strides, border = BLURS[name]
    x = random(shape, dtype)
    expected = defined(x.astype(np.float64), size, strides, border)
    last = blur_pool(x, size, strides, border=border)
    assert last.shape == expected.shape
    assert last.dtype == dtype
    np.testing.assert_allclose(last, expected, rtol=0, atol=TOLERANCE[dtype] * 4)
    first = blur_pool(channels_first(x), size, strides, FIRST[x.ndim - 2], border=border)
    assert_same_bits(channels_last(first), last)


@pytest.mark.parametrize(
    ("name", "maximum"),
    [(name, maximum) for name, (shape, *_) in BLURS.items() for maximum, (ksize, _) in
     MAXIMA.items() if len(shape) == 4 or isinstance(ksize, int)],
)  # fmt: skip
def test_max_blur_pool_is_its_definition_in_both_layouts(name, maximum):
    shape, size, strides, border = BLURS[name]
    ksize, padding = MAXIMA[maximum]
    for dtype in TOLERANCE:
        x = random(shape, dtype)
        try:
            expected = defined(x.astype(np.float64), size, strides, border, ksize, padding)
        except ShapeError:
            with pytest.raises(ShapeError):
                max_blur_pool(x, ksize, size, strides, padding, border=border)
            continue
        last = max_blur_pool(x, ksize, size, strides, padding, border=border)
        assert last.dtype == dtype
        assert last.shape == expected.shape
        np.testing.assert_allclose(last, expected, rtol=0, atol=TOLERANCE[dtype] * 4)
        first = max_blur_pool(
            channels_first(x), ksize, size, strides, padding, FIRST[x.ndim - 2], border=border
        )
        assert_same_bits(channels_last(first), last)


@pytest.mark.parametrize("name", BLURS)
def test_blur_pool_is_pytorchs_padding_and_convolution(name):
    shape, size, strides, border = BLURS[name]
    x = channels_first(random(shape, np.float64))
    dims = x.ndim - 2
    expected = torch_blur(torch.from_numpy(x), size, strides, border, dims).numpy()
    actual = blur_pool(x, size, strides, FIRST[dims], border=border)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", BLURS)
def test_half_numbers_are_blurred_as_float32_and_rounded_once(name, dtype):
    shape, size, strides, border = BLURS[name]
    x = random(shape).astype(dtype)
    wide = x.astype(np.float32)
    for data_format in (None, FIRST[x.ndim - 2]):
        a, b = (x, wide) if data_format is None else (channels_first(x), channels_first(wide))
        actual = blur_pool(a, size, strides, data_format, border=border)
        expected = blur_pool(b, size, strides, data_format, border=border)
        assert_same_bits(actual, expected.astype(dtype))
    if min(shape[1:-1]) > 4:
        actual = max_blur_pool(x, 2, size, strides, border=border)
        expected = max_blur_pool(wide, 2, size, strides, border=border)
        assert_same_bits(actual, expected.astype(dtype))
    grad = random(blur_pool(x, size, strides, border=border).shape, seed=1).astype(dtype)
    actual = blur_pool_grad(grad, shape, size, strides, border=border)
    expected = blur_pool_grad(grad.astype(np.float32), shape, size, strides, border=border)
    assert_same_bits(actual, expected.astype(dtype))


# Wide enough to be cut along a row, tall enough for several bands, many small ones together.
LARGE = [(1, 3, 60_001, 1), (1, 5, 9_001, 7), (2, 301, 130, 2), (9, 5, 6, 40), (1, 4, 40, 2000)]


@pytest.mark.parametrize("border", TORCH_BORDER)
@pytest.mark.parametrize("shape", LARGE)
def test_the_bits_do_not_depend_on_threads_layout_or_the_cut_into_pieces(shape, border):
    x = random(shape)
    calls = [
        lambda x, data_format: blur_pool(x, 3, 2, data_format, border=border),
        lambda x, data_format: blur_pool(x, (2, 5), (1, 3), data_format, border=border),
        lambda x, data_format: max_blur_pool(x, 2, 3, 2, "SAME", data_format, border=border),
    ]
    before = attar.get_num_threads()
    try:
        for call in calls:
            attar.set_num_threads(1)
            expected = call(x, "NHWC")
            for threads in (1, 2, 5):
                attar.set_num_threads(threads)
                assert_same_bits(call(x, "NHWC"), expected)
                assert_same_bits(channels_last(call(channels_first(x), "NCHW")), expected)
    finally:
        attar.set_num_threads(before)
    wide = torch.from_numpy(channels_first(x.astype(np.float64)))
    expected = torch_blur(wide, (2, 5), (1, 3), border, 2).numpy()
    np.testing.assert_allclose(channels_last(expected), calls[1](x, None), rtol=0, atol=2e-6)


def views():
    base = random((2, 23, 46, 6), seed=3)
    return {
        "every second row and column": base[:, ::2, ::2],
        "backwards": base[:, ::-1, ::-1],
        "channels backwards": base[..., ::-1],
        "every second channel": base[..., ::2],
        "one channel": base[..., 2:3],
        "channels first in memory": channels_last(channels_first(base)),
        "channels first, every third column": channels_last(channels_first(base))[:, :, ::3],
        "rows and columns exchanged": base.swapaxes(1, 2),
        "broadcast": np.broadcast_to(base[:1, :1], (2, 23, 46, 6)),
    }


@pytest.mark.parametrize("name", views())
def test_views_are_read_and_written_in_place(name):
    x = views()[name]
    copy = np.ascontiguousarray(x)
    for call in (
        lambda x, out=None: blur_pool(x, 3, 2, out=out),
        lambda x, out=None: max_blur_pool(x, (2, 3), (4, 3), (2, 1), "SAME", out=out),
    ):
        expected = call(copy)
        assert_same_bits(call(x), expected)
        n, height, width, channels = expected.shape
        for out in (
            np.full((n, 2 * height, 3 * width, channels), 7, np.float32)[:, ::-2, ::3],
            np.full((n, channels, height, width), 7, np.float32).transpose(0, 2, 3, 1),
            np.full((n, height, width, 2 * channels), 7, np.float32)[..., 1::2],
        ):
            assert call(x, out) is out
            assert_same_bits(out, expected)
    grad = random(blur_pool(copy).shape, seed=4)
    expected = blur_pool_grad(grad, x.shape)
    for view in (np.repeat(grad, 2, 2)[:, :, ::2], channels_last(channels_first(grad)),
                 grad[:, ::-1, ::-1].copy()[:, ::-1, ::-1]):  # fmt: skip
        assert_same_bits(blur_pool_grad(view, x.shape), expected)
    given = random(max_blur_pool(copy).shape, seed=5)
    np.testing.assert_array_equal(max_blur_pool_grad(given, x), max_blur_pool_grad(given, copy))


@st.composite
def small_blurs(draw):
    pair = st.tuples(st.integers(1, 7), st.integers(1, 7))
    return {
        "shape": (1, draw(st.integers(1, 9)), draw(st.integers(1, 40)), draw(st.integers(1, 20))),
        "ksize": draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        "padding": draw(st.sampled_from(["SAME", "VALID", [[0, 0], [2, 1]], [[1, 0], [0, 0]]])),
        "size": draw(pair),
        "strides": draw(st.tuples(st.integers(1, 4), st.integers(1, 10))),
        "border": draw(st.sampled_from(list(TORCH_BORDER))),
        "dtype": draw(st.sampled_from(list(TOLERANCE))),
    }


@settings(max_examples=250, deadline=None)
@given(small_blurs())
def test_any_blur_is_right_or_refused(case):
    dtype, shape = case.pop("dtype"), case.pop("shape")
    x = random(shape, dtype)
    try:
        expected = defined(x.astype(np.float64), **case)
    except ShapeError:
        with pytest.raises(ShapeError):
            max_blur_pool(x, **case)
        return
    actual = max_blur_pool(x, **case)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE[dtype] * 4)
    planar = max_blur_pool(channels_first(x), **case, data_format="NCHW")
    assert_same_bits(channels_last(planar), actual)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("channels", [1, 3, 33])
def test_nan_reaches_as_far_as_the_filter_and_no_farther(channels, data_format):
    there, back = (channels_first, channels_last) if data_format == "NCHW" else (np.asarray,) * 2
    clean = random((1, 9, 21, channels))
    for y, x in itertools.product((0, 4, 8), (0, 7, 20)):
        image = clean.copy()
        image[0, y, x, channels // 2] = np.nan
        for ksize, size, strides, border in (
            (1, 3, 2, "reflect"), (1, 5, 1, "circular"), (3, 3, 2, "zero"), (2, 4, 3, "reflect"),
        ):  # fmt: skip
            options = {"size": size, "strides": strides, "border": border, "padding": "SAME"}
            expected = defined(image.astype(np.float64), ksize=ksize, **options)
            actual = back(max_blur_pool(there(image), ksize, **options, data_format=data_format))
            np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
            untouched = back(max_blur_pool(there(clean), ksize, **options, data_format=data_format))
            fine = ~np.isnan(actual)
            np.testing.assert_array_equal(actual[fine], untouched[fine])


def test_padding_of_the_maximum_never_wins():
    x = -1 - abs(random((1, 6, 20, 3)))
    assert (max_blur_pool(x, 3, 3, 2, "SAME") <= -1).all()
    np.testing.assert_array_equal(max_blur_pool(x, 1, 3, 2), blur_pool(x, 3, 2))


def test_an_empty_batch_and_no_channels_give_empty_answers():
    assert blur_pool(np.empty((0, 4, 6, 3), np.float32)).shape == (0, 2, 3, 3)
    assert max_blur_pool(np.empty((2, 5, 6, 0))).shape == (2, 2, 3, 0)
    assert blur_pool_grad(np.empty((0, 2, 3, 3)), (0, 4, 6, 3)).shape == (0, 4, 6, 3)
    assert polyphase_pool(np.empty((0, 4, 6, 3))).shape == (0, 2, 3, 3)


# ------------------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("name", BLURS)
def test_blur_pool_grad_is_pytorchs(name):
    shape, size, strides, border = BLURS[name]
    dims = len(shape) - 2
    x = torch.from_numpy(channels_first(random(shape, np.float64))).requires_grad_()
    y = torch_blur(x, size, strides, border, dims)
    grad = random(tuple(y.shape), np.float64, 1)
    y.backward(torch.from_numpy(grad))
    planar = blur_pool_grad(grad, tuple(x.shape), size, strides, FIRST[dims], border=border)
    np.testing.assert_allclose(planar, x.grad.numpy(), rtol=0, atol=1e-13)
    last = blur_pool_grad(channels_last(grad), shape, size, strides, border=border)
    assert_same_bits(last, channels_last(planar))


@pytest.mark.parametrize("shape", LARGE)
def test_the_gradient_is_the_adjoint_whatever_the_threads(shape):
    before = attar.get_num_threads()
    for border in TORCH_BORDER:
        x = random(shape, np.float64)
        y = blur_pool(x, (2, 5), (1, 3), border=border)
        grad = random(y.shape, np.float64, 1)
        try:
            attar.set_num_threads(1)
            back = blur_pool_grad(grad, shape, (2, 5), (1, 3), border=border)
            attar.set_num_threads(3)
            again = blur_pool_grad(grad, shape, (2, 5), (1, 3), border=border)
        finally:
            attar.set_num_threads(before)
        assert_same_bits(again, back)
        scale = np.linalg.norm(y) * np.linalg.norm(grad)
        assert abs(np.vdot(y, grad) - np.vdot(x, back)) <= 1e-13 * scale


@settings(max_examples=250, deadline=None)
@given(small_blurs())
def test_the_gradient_of_any_blur_is_the_adjoint(case):
    shape = case["shape"]
    options = {name: case[name] for name in ("size", "strides", "border")}
    x = random(shape, np.float64)
    try:
        y = blur_pool(x, **options)
    except ShapeError:
        with pytest.raises(ShapeError):
            blur_pool_grad(x, shape, **options)
        return
    grad = random(y.shape, np.float64, 1)
    back = blur_pool_grad(grad, shape, **options)
    assert back.shape == shape
    assert abs(np.vdot(y, grad) - np.vdot(x, back)) <= 1e-12


def test_cells_that_no_window_of_the_core_sees_have_no_gradient():
    whole, row = _core.Axis(1, 1, 1, 1, 0, 0, 1), _core.Axis(9, 2, 3, 1, -1, 0, 2)  # 1 2 . 4 5
    blur = _core.Blur(whole, _core.Axis(9, 1, 1, 1, 0, 0, 9), whole, row, [1], [2, 3], "zero")
    image, out = np.arange(9.0).reshape(1, 1, 1, 9, 1), np.empty((1, 1, 1, 2, 1))
    _core.blur(image, out, blur, 1)
    np.testing.assert_array_equal(out.ravel(), [2 * 1 + 3 * 2, 2 * 4 + 3 * 5])
    grad = np.full_like(image, np.nan)
    _core.blur_grad(out, grad, blur, 1)
    np.testing.assert_array_equal(grad.ravel(), [0, 16, 24, 0, 46, 69, 0, 0, 0])


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("border", TORCH_BORDER)
@pytest.mark.parametrize("ksize", [1, 2, 3])
def test_max_blur_pool_grad_is_pytorchs(ksize, border, data_format):
    shape = (2, 3, 14, 19)
    values = np.random.default_rng(5).permutation(math.prod(shape)).reshape(shape) / 1000.0
    x = torch.from_numpy(values).requires_grad_()
    y = torch_blur(F.max_pool2d(x, ksize, 1, ksize // 2), 3, 2, border, 2)
    grad = random(tuple(y.shape), np.float64, 1)
    y.backward(torch.from_numpy(grad))
    padding = [(ksize // 2, ksize // 2)] * 2
    back = np.asarray if data_format == "NCHW" else channels_last
    actual = max_blur_pool_grad(
        np.ascontiguousarray(back(grad)), np.ascontiguousarray(back(values)), ksize, 3, 2, padding,
        data_format, border=border,
    )  # fmt: skip
    np.testing.assert_allclose(actual, back(x.grad.numpy()), rtol=0, atol=1e-13)


def test_the_first_of_the_largest_gets_the_gradient():
    x = np.ones((1, 1, 4, 1), np.float32)
    grad = max_blur_pool_grad(np.ones((1, 1, 3, 1), np.float32), x, (1, 2), (1, 1), 1)
    np.testing.assert_array_equal(grad.ravel(), [1, 1, 1, 0])


# ---------------------------------------------------------------------------- polyphase sampling


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize(
    ("shape", "strides"),
    [((3, 12, 10, 4), 2), ((3, 11, 9, 4), 2), ((4, 13, 14, 1), (3, 4)), ((2, 5, 6, 3), (1, 2)),
     ((5, 17, 3), 2), ((2, 5, 6, 7, 2), (2, 3, 2)), ((3, 2, 3, 2), 5), ((2, 1, 1, 3), 2)],
)  # fmt: skip
def test_polyphase_pool_is_its_definition(shape, strides, norm):
    dims = len(shape) - 2
    for dtype in (np.float64, np.float32, *HALVES):
        x = random(shape, np.float64, 2).astype(dtype)
        expected, phases = reference.polyphase(x, per_axis(strides, dims), norm)
        kept, phase = polyphase_pool(x, strides, norm, return_phase=True)
        np.testing.assert_array_equal(phase, phases)
        assert_same_bits(kept, expected)
        first = polyphase_pool(channels_first(x), strides, norm, FIRST[dims])
        assert_same_bits(channels_last(first), expected)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, *HALVES], ids=str)
def test_a_shift_of_the_image_only_shifts_the_answer(dtype, norm):
    x = random((1, 12, 18, 2), np.float64, 6)
    x += 5 * np.arange(x.size).reshape(x.shape) / x.size  # no two alike
    x = x.astype(dtype)
    strides = (2, 3)
    kept, phase = polyphase_pool(x, strides, norm, return_phase=True)
    for dy, dx in itertools.product(range(4), range(7)):
        moved, now = polyphase_pool(np.roll(x, (dy, dx), (1, 2)), strides, norm, return_phase=True)
        # The kept values moved on by (dy, dx): whole cells of the answer, and a new phase.
        cells = (phase[0] + (dy, dx)) // strides
        np.testing.assert_array_equal(now[0], (phase[0] + (dy, dx)) % strides)
        assert_same_bits(moved, np.roll(kept, tuple(cells), (1, 2)))
    fixed = x[:, ::2, ::3]
    assert not np.array_equal(
        np.sort(np.roll(x, 1, 1)[:, ::2, ::3], None), np.sort(fixed, None)
    )  # what a fixed stride keeps does change


def test_sizes_that_the_stride_does_not_divide_are_filled_up_with_zeros():
    x = np.array([1, 9, 1, 9, 1], np.float32).reshape(1, 5, 1)
    np.testing.assert_array_equal(polyphase_pool(x).ravel(), [9, 9, 0])
    late = np.array([0, 1, 0, 1, 7], np.float32).reshape(1, 5, 1)  # the last value counts
    np.testing.assert_array_equal(polyphase_pool(late).ravel(), [0, 0, 7])


def test_equal_norms_and_nan():
    same = np.ones((2, 4, 6, 3), np.float32)
    np.testing.assert_array_equal(polyphase_pool(same, return_phase=True).phase, [[0, 0]] * 2)
    holed = random((1, 4, 6, 3)) * 100
    holed[0, 3, 2, 1] = np.nan  # phase (1, 0)
    holed[0, 1, 1, 0] = np.nan  # phase (1, 1)
    for norm in ("l1", "l2", "linf"):
        np.testing.assert_array_equal(
            polyphase_pool(holed, 2, norm, return_phase=True).phase, [[1, 0]]
        )


def test_norms_neither_overflow_nor_vanish():
    for scale in (1e-300, 1e-170, 1e200, 1e307):
        x = np.array([1, 2, 1, 3, 1, 2], np.float64).reshape(1, 6, 1) * scale
        for norm in ("l1", "l2", "linf"):
            np.testing.assert_array_equal(polyphase_pool(x, 2, norm), x[:, 1::2])
    x = np.array([300, 400, 301, 401], np.float16).reshape(1, 4, 1)
    np.testing.assert_array_equal(polyphase_pool(x), x[:, 1::2])


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_polyphase_pool_grad_is_pytorchs(data_format):
    x = random((3, 11, 8, 2), np.float64, 9)
    x = x if data_format == "NHWC" else channels_first(x)
    y, phases = polyphase_pool(x, 2, "l2", data_format, return_phase=True)
    grad = random(y.shape, np.float64, 1)
    leaf = torch.from_numpy(x).requires_grad_()
    total = 0
    for image, g, (i, j) in zip(leaf, torch.from_numpy(grad), phases.tolist(), strict=True):
        part = image[i::2, j::2] if data_format == "NHWC" else image[:, i::2, j::2]
        total = total + (part * g[tuple(map(slice, part.shape))]).sum()
    total.backward()
    actual = polyphase_pool_grad(grad, x, 2, "l2", data_format)
    np.testing.assert_array_equal(actual, leaf.grad.numpy())


# --------------------------------------------------------------------------------------- errors

IMAGE = np.zeros((1, 6, 6, 2), np.float32)
BAD_CALLS = [
    (lambda: blur_pool(IMAGE, 8), ArgumentError, "nn.blur_pool: size must be 1 to 7.*got 8"),
    (lambda: blur_pool(IMAGE, 0), ArgumentError, "size must be at least 1"),
    (lambda: blur_pool(IMAGE, 2.5), DTypeError, "size must be whole numbers, got 2.5"),
    (lambda: blur_pool(IMAGE, (3, 3, 3)), ShapeError, "1 or 2 spatial axes, got 3"),
    (lambda: blur_pool(IMAGE, (3,) * 5, data_format="NHWC"), ArgumentError, "size must be one"),
    (lambda: blur_pool(IMAGE, border="same"), ArgumentError, "border must be .*got 'same'"),
    (lambda: blur_pool(IMAGE, border=None), ArgumentError, "border must be .*got None"),
    (
        lambda: blur_pool(IMAGE[:, :1]),
        ShapeError,
        "filter of (3, 3) with border 'reflect' needs at least 2 cells along spatial axis 0",
    ),
    (lambda: blur_pool(IMAGE[:, :2], 7, border="circular"), ShapeError, "at least 3 cells"),
    (lambda: blur_pool(IMAGE[:, :0]), ShapeError, "does not fit"),
    (lambda: blur_pool(IMAGE[None]), ShapeError, "1 or 2 spatial axes, got 3"),
    (lambda: blur_pool(IMAGE.astype(int)), DTypeError, "float64, got int64"),
    (lambda: blur_pool(IMAGE, data_format="CHWN"), ArgumentError, "data_format"),
    (lambda: blur_pool(IMAGE, out=IMAGE), ShapeError, "out must have the shape (1, 3, 3, 2)"),
    (lambda: blur_pool(IMAGE, 1, 1, out=IMAGE), ArgumentError, "must not share memory"),
    (lambda: max_blur_pool(IMAGE, 7), ShapeError, "does not fit into the spatial size"),
    (lambda: max_blur_pool(IMAGE, 2, padding="FULL"), ArgumentError, "padding must be"),
    (
        lambda: blur_pool_grad(IMAGE, (1, 6, 6, 2)),
        ShapeError,
        "grad must have the shape of the answer, (1, 3, 3, 2), got (1, 6, 6, 2)",
    ),
    (lambda: blur_pool_grad(IMAGE, 6), ArgumentError, "input_shape must be the sizes"),
    (lambda: blur_pool_grad(IMAGE, (1, -6, 6, 2)), ArgumentError, "input_shape"),
    (
        lambda: max_blur_pool_grad(np.zeros((1, 3, 3, 2)), IMAGE),
        DTypeError,
        "grad must be float32 like the input, got float64",
    ),
    (lambda: polyphase_pool(IMAGE, norm="max"), ArgumentError, "norm must be .*got 'max'"),
    (lambda: polyphase_pool(IMAGE, 0), ArgumentError, "strides must be at least 1"),
    (lambda: polyphase_pool(IMAGE[:, :0]), ShapeError, "must not be empty"),
    (lambda: polyphase_pool_grad(IMAGE, IMAGE), ShapeError, "(1, 3, 3, 2), got (1, 6, 6, 2)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    for _ in range(2):
        with pytest.raises(error, match=pattern) as raised:
            call()
        assert isinstance(raised.value, AttarError)
        assert str(raised.value).startswith("nn.")


def test_tensors_come_back_as_tensors():
    x = torch.from_numpy(random((2, 3, 8, 10)))
    for dtype in (torch.float32, torch.bfloat16):
        y = max_blur_pool(x.to(dtype), data_format="NCHW")
        assert isinstance(y, torch.Tensor)
        assert y.dtype == dtype
        assert max_blur_pool_grad(y, x.to(dtype), data_format="NCHW").dtype == dtype
    kept, phase = polyphase_pool(x, data_format="NCHW", return_phase=True)
    assert kept.shape == (2, 3, 4, 5)
    assert isinstance(phase, torch.Tensor)


def test_one_image_without_a_batch():
    x = random((9, 12, 3))
    np.testing.assert_array_equal(blur_pool(x, (3, 3)), blur_pool(x[None])[0])
    np.testing.assert_array_equal(max_blur_pool(x, data_format="NHWC"), max_blur_pool(x[None])[0])
    kept, phase = polyphase_pool(x, data_format="NHWC", return_phase=True)
    np.testing.assert_array_equal(kept, polyphase_pool(x[None])[0])
    assert phase.shape == (2,)
