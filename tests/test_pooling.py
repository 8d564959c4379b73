"""Pools of every kind and number, and the winners of a maximum, against definition and peers."""

import math
import sys
from functools import cache

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from attar import nn, reference
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.geometry import parse_padding, pool_axes
from attar.nn.pooling import plan_pool

from .cases import POOL_SHAPES, POOLS, Pool, fits, random

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [np.dtype(np.float16), BFLOAT16]
FLOATS = [np.dtype(np.float32), np.dtype(np.float64), *HALVES]
WHOLE = [np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
REALS = FLOATS + WHOLE
FORMATS = {1: ("NWC", "NCW"), 2: ("NHWC", "NCHW"), 3: ("NDHWC", "NCDHW")}

# The wide one is narrower here than elsewhere, and lower: the definition is slow.
SHAPES = [(1, 9, 200, 2) if width == 600 else (n, h, width, c) for n, h, width, c in POOL_SHAPES]

OTHER_DIMS = {
    "1-d 2/2": ((2, 19, 5), Pool((2,), (2,))),
    "1-d 3/1 valid": ((1, 70, 1), Pool((3,), (1,), "VALID")),
    "1-d 5/3 dilated": ((2, 40, 33), Pool((5,), (3,), "VALID", dilations=(2,))),
    "3-d 2x3x2": ((2, 5, 9, 8, 3), Pool((2, 3, 2), (2, 1, 2))),
    "3-d 3x3x3/2": ((1, 7, 6, 37, 1), Pool((3, 3, 3), (2, 2, 2), ((1, 0), (1, 1), (0, 1)))),
    "3-d dilated": ((1, 6, 7, 8, 20), Pool((2, 2, 3), (1, 2, 1), "VALID", dilations=(3, 2, 1))),
    "3-d flat windows": ((1, 4, 9, 10, 2), Pool((1, 2, 2), (1, 2, 2))),
    "3-d deep windows": ((1, 9, 3, 5, 2), Pool((4, 1, 1), (2, 1, 1))),
    "3-d ceil": ((1, 6, 6, 6, 4), Pool((3, 2, 2), (2, 3, 3), "VALID", flags={"ceil_mode": True})),
}
TABLE = {
    **{
        f"{name} of {shape}": (shape, case)
        for name, case in POOLS.items()
        for shape in SHAPES
        if fits(case, shape[1:3])
    },
    **OTHER_DIMS,
}


def channels_first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def axes_of(shape, case):
    dims = len(shape) - 2
    return pool_axes(
        "test", shape[1:-1], case.window, case.strides, case.dilations or (1,) * dims,
        parse_padding("test", "padding", case.padding, dims, False),
        case.flags.get("ceil_mode", False),
    )  # fmt: skip


def include_pad(case):
    return case.flags.get("count_include_pad", False)


@cache
def small_numbers(shape):
    """Whole numbers from 0 to 100, which every dtype holds exactly, with many ties."""
    return np.random.default_rng([7, *shape]).integers(0, 101, shape)


@cache
def maxima(name):
    shape, case = TABLE[name]
    return reference.pool(small_numbers(shape), axes_of(shape, case), "MAX")


def as_dtype(numbers, dtype):
    """The numbers moved so that some are negative, where the dtype has negative ones."""
    return (numbers - (0 if dtype.kind == "u" else 50)).astype(dtype)


def equal(actual, expected):
    """Equal to the bit but for the sign of zero, in dtype, shape and value; NaN equals NaN."""
    assert actual.dtype == expected.dtype
    if actual.dtype == BFLOAT16:
        actual, expected = actual.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_array_equal(actual, expected)


# ----------------------------------------------------------------------- against the definition


@pytest.mark.parametrize("name", TABLE)
def test_a_maximum_of_any_numbers_is_its_definition(name):
    shape, case = TABLE[name]
    last, first = FORMATS[len(shape) - 2]
    for dtype in REALS:
        x, expected = as_dtype(small_numbers(shape), dtype), as_dtype(maxima(name), dtype)
        equal(nn.pool(x, pooling_type="MAX", **case.options), expected)
        equal(nn.pool(x, pooling_type="MAX", **case.options, data_format=last), expected)
        planar = nn.pool(channels_first(x), pooling_type="MAX", **case.options, data_format=first)
        equal(channels_last(planar), expected)


@pytest.mark.parametrize("kind", ["AVG", "LP"])
@pytest.mark.parametrize("name", TABLE)
def test_means_and_norms_are_their_definition(name, kind):
    shape, case = TABLE[name]
    first = FORMATS[len(shape) - 2][1]
    options = {"pooling_type": kind, "p": 3.0, **case.options}
    for dtype, tolerance in [(np.float32, 3e-6), (np.float64, 1e-14)]:
        x = random(shape, dtype)
        expected = reference.pool(
            x.astype(np.float64), axes_of(shape, case), kind, include_pad(case), 3.0
        )
        actual = nn.pool(x, **options)
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
        planar = nn.pool(channels_first(x), **options, data_format=first)
        if kind == "AVG":
            np.testing.assert_array_equal(channels_last(planar), actual)
        else:
            np.testing.assert_allclose(channels_last(planar), expected, tolerance, tolerance)


@pytest.mark.parametrize("kind", ["AVG", "LP"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", TABLE)
def test_half_numbers_are_computed_as_float32_and_rounded_once(name, dtype, kind):
    shape, case = TABLE[name]
    x = random(shape).astype(dtype)
    options = {"pooling_type": kind, **case.options}
    wide = nn.pool(x.astype(np.float32), **options)
    if kind == "AVG":
        equal(nn.pool(x, **options), wide.astype(dtype))
        first = FORMATS[len(shape) - 2][1]
        planar = nn.pool(channels_first(x), **options, data_format=first)
        equal(channels_last(planar), wide.astype(dtype))
    else:
        step = float(ml_dtypes.finfo(dtype).eps)
        actual = nn.pool(x, **options)
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual.astype(np.float32), wide, rtol=step, atol=1e-6)


@pytest.mark.parametrize("p", [0.5, 1, 2, 2.5, 3, 7])
def test_the_p_of_a_norm(p):
    x = random((2, 9, 11, 5), np.float64)
    axes = pool_axes("test", (9, 11), (3, 2), (2, 2), (1, 1), "SAME")
    expected = reference.pool(x, axes, "LP", p=p)
    np.testing.assert_allclose(nn.lp_pool(x, (3, 2), 2, "SAME", p=p), expected, rtol=1e-13)
    np.testing.assert_allclose(
        nn.lp_pool(x.astype(np.float32), (3, 2), 2, "SAME", p=p), expected, rtol=2e-5
    )


@pytest.mark.parametrize("dtype", WHOLE, ids=str)
def test_the_largest_whole_numbers_are_kept_exactly(dtype):
    limits = np.iinfo(dtype)
    generator = np.random.default_rng(3)
    for channels in (1, 40):
        x = generator.integers(limits.min, limits.max, (1, 12, 50, channels), dtype, endpoint=True)
        x[0, 3, 4], x[0, 0, 0] = limits.max, limits.min
        expected = x.reshape(1, 6, 2, 25, 2, channels).max(axis=(2, 4))
        equal(nn.max_pool(x, 2, 2, "VALID"), expected)
        equal(nn.global_pool(x, "MAX"), x.max(axis=(1, 2)))
        lowest = np.full_like(x, limits.min)  # what padding would be taken for
        assert (nn.max_pool(lowest, 3, 2, "SAME") == limits.min).all()
        closest = lowest + np.array(1, dtype)
        closest[0, 5, 5] = limits.min
        assert (nn.max_pool(closest, 3, 1, "SAME") == limits.min + 1).all()
    if dtype.itemsize == 8:  # neighbours that float64 does not tell apart
        pair = np.array([limits.max - 1, limits.max], dtype).reshape(1, 2, 1)
        assert nn.max_pool(pair, 2, 1, "VALID").item() == limits.max


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_relu_of_any_numbers(dtype):
    for size in (1, 7, 1000):
        x = as_dtype(small_numbers((size,)), dtype)
        equal(nn.relu(x), np.where(x > np.zeros((), dtype), x, np.zeros((), dtype)))


@pytest.mark.parametrize("kind", ["MAX", "AVG", "LP"])
def test_views_and_outs_of_half_numbers(kind):
    for dtype in HALVES:
        base = random((2, 20, 24, 6)).astype(dtype)
        for view in (base[:, ::-1, ::2], base[..., 1:3], base.transpose(0, 2, 1, 3)):
            dense = np.array(view, order="C")
            expected = nn.pool(dense, 3, kind, 2)
            equal(nn.pool(view, 3, kind, 2), expected)
            out = np.zeros((*expected.shape[:-1], 2 * expected.shape[-1]), dtype)[..., ::2]
            assert nn.pool(view, 3, kind, 2, out=out) is out
            equal(out, expected)


# ------------------------------------------------------------------ the names of tf.nn, one image


def test_the_shells_are_pool():
    x = random((2, 9, 10, 3))
    flags = {"ceil_mode": True}
    np.testing.assert_array_equal(
        nn.max_pool(x, 3, 2, "VALID", dilations=2, **flags),
        nn.pool(x, 3, "MAX", 2, "VALID", dilations=2, **flags),
    )
    np.testing.assert_array_equal(
        nn.avg_pool(x, [1, 3, 3, 1], [1, 2, 2, 1], [[1, 1], [1, 1]], count_include_pad=True),
        nn.pool(x, 3, "AVG", 2, [[1, 1], [1, 1]], count_include_pad=True),
    )
    np.testing.assert_array_equal(
        nn.lp_pool(x, 3, 2, "SAME", p=3, name="condense"), nn.pool(x, 3, "LP", 2, "SAME", p=3)
    )
    planar = channels_first(x)
    for shell, kind in [(nn.max_pool, "MAX"), (nn.avg_pool, "AVG"), (nn.lp_pool, "LP")]:
        out = np.empty((2, 3, 5, 5), np.float32)
        assert shell(planar, 2, 2, "SAME", "NCHW", out=out) is out
        np.testing.assert_array_equal(out, nn.pool(planar, 2, kind, 2, "SAME", "NCHW"))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_one_image_gives_one_answer(dims):
    x = random((1, *(9, 8, 7)[:dims], 3))
    expected = nn.pool(x, 2, "MAX", 2)
    window = (2,) * dims
    np.testing.assert_array_equal(nn.pool(x[0], window, "MAX", 2), expected[0])
    np.testing.assert_array_equal(nn.pool(x[0], (1, *window, 1), "MAX", 2), expected[0])
    last, first = FORMATS[dims]
    np.testing.assert_array_equal(nn.pool(x[0], 2, "MAX", 2, data_format=last), expected[0])
    planar = channels_first(x)
    actual = nn.pool(planar[0], 2, "MAX", 2, data_format=first)
    np.testing.assert_array_equal(actual, channels_first(expected)[0])
    out = np.empty(actual.shape, np.float32)
    assert nn.max_pool(planar[0], 2, 2, "VALID", first, out=out) is out
    np.testing.assert_array_equal(out, actual)
    assert nn.global_pool(x[0], "AVG", last).shape == (3,)
    assert nn.global_pool(planar[0], "AVG", first, keepdims=True).shape == (3,) + (1,) * dims


def test_what_the_window_says_about_the_rank():
    x = random((4, 5, 6))
    assert nn.pool(x, 2, "MAX").shape == (4, 4, 6)  # a batch of rows
    assert nn.pool(x, (2,), "MAX").shape == (4, 4, 6)
    assert nn.pool(x, (1, 2, 1), "MAX").shape == (4, 4, 6)
    assert nn.pool(x, (2, 2), "MAX").shape == (3, 4, 6)  # one image
    assert nn.pool(x, (2, 2), "MAX", data_format="NCHW").shape == (4, 4, 5)
    y = random((3, 4, 5, 6))
    assert nn.pool(y, (2, 2), "MAX").shape == (3, 3, 4, 6)
    assert nn.pool(y, (2, 2, 2), "MAX").shape == (2, 3, 4, 6)  # one volume


@pytest.mark.parametrize("kind", ["MAX", "AVG", "LP"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_global_pool(dims, kind):
    over = tuple(range(1, dims + 1))
    for channels in (1, 3, 40):
        x = random((2, *(31, 9, 8)[:dims], channels))
        wide = x.astype(np.float64)
        expected = {
            "MAX": wide.max(axis=over),
            "AVG": wide.mean(axis=over),
            "LP": np.sqrt((wide**2).sum(axis=over)),
        }[kind]
        actual = nn.global_pool(x, kind)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        first = FORMATS[dims][1]
        planar = nn.global_pool(channels_first(x), kind, first)
        np.testing.assert_allclose(planar, actual, rtol=1e-5, atol=1e-6)
        kept = nn.global_pool(x, kind, keepdims=True)
        assert kept.shape == (2, *(1,) * dims, channels)
        np.testing.assert_array_equal(kept.reshape(actual.shape), actual)
        out = np.zeros((2, 2 * channels), np.float32)[:, ::2]
        assert nn.global_pool(x, kind, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------------- NaN, infinity, zero

SPECIAL = [(1, 6, 7, 1), (1, 6, 40, 1), (2, 6, 7, 3), (1, 6, 7, 16), (1, 5, 6, 33)]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_windows_of_nothing_but_infinity_or_nan(dtype):
    for shape in SPECIAL:
        for value in (-np.inf, np.inf, np.nan):
            x = np.full(shape, value, dtype)
            for window, strides in [(2, 2), (3, 2), (3, 1)]:
                output, where = nn.max_pool_with_argmax(x, window, strides, "SAME", index="plane")
                equal(nn.max_pool(x, window, strides, "SAME"), output)
                equal(output, np.full(output.shape, value, dtype))
                axes = pool_axes("test", shape[1:3], (window,) * 2, (strides,) * 2, (1, 1), "SAME")
                firsts = np.add.outer(
                    *(
                        [max(axis.taps(o)[0], 0) * step for o in range(axis.out)]
                        for axis, step in zip(axes, (shape[2], 1), strict=True)
                    )
                )
                np.testing.assert_array_equal(where, np.broadcast_to(
                    firsts[None, ..., None], where.shape
                ))  # fmt: skip
                if value != np.nan:
                    equal(nn.avg_pool(x, window, strides, "SAME"), output)


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 15, 16, 17, 40])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_equal_channels_give_equal_answers(channels, dtype):
    # tensorflow#125965: of three equal channels with a NaN one came out without it.
    plane = np.arange(35, dtype=np.float32).reshape(1, 5, 7, 1)
    for y, x in [(0, 0), (0, 1), (1, 0), (2, 3), (4, 6)]:
        plane[0, y, x] = np.nan
        image = np.repeat(plane, channels, axis=-1).astype(dtype)
        for kind in ("MAX", "AVG", "LP"):
            answer = nn.pool(image, 2, kind, 2, "SAME").astype(np.float32)
            np.testing.assert_array_equal(answer, np.repeat(answer[..., :1], channels, -1))
            isnan = np.isnan(answer[0, ..., 0])
            assert isnan[y // 2, x // 2]
            assert isnan.sum() == 1
        winners = nn.max_pool_with_argmax(image, 2, 2, "SAME", index="window").argmax
        np.testing.assert_array_equal(winners, np.repeat(winners[..., :1], channels, -1))
        plane[0, y, x] = 0


def test_zeros_of_both_signs_are_equal():
    for dtype in FLOATS:
        for channels in (1, 20):
            row = np.array([0.0, -0.0, -0.0, 0.0, -0.0, -1.0], dtype)
            x = np.repeat(row.reshape(1, 1, 6, 1), channels, axis=-1)
            output, winners = nn.max_pool_with_argmax(x, (1, 2), (1, 2), "VALID", index="window")
            assert (output == 0).all()
            assert (winners == 0).all()


# ----------------------------------------------------------------------------------- the winners


def positions(offsets, shape, axes, index, include_batch=False):
    """Positions from taps, one by one."""
    out = np.empty(offsets.shape, np.int64)
    sizes, channels = shape[1:-1], shape[-1]
    windows = [axis.window for axis in axes]
    for at, offset in np.ndenumerate(offsets):
        taps = np.unravel_index(offset, windows)
        cell = [axis.taps(o)[k] for axis, o, k in zip(axes, at[1:-1], taps, strict=True)]
        position = np.ravel_multi_index(cell, sizes)
        if index == "flat":
            position = position * channels + at[-1]
            position += at[0] * math.prod(shape[1:]) if include_batch else 0
        out[at] = position
    return out


WINNERS = {name: (shape, case) for name, (shape, case) in TABLE.items() if not include_pad(case)}


@pytest.mark.parametrize("name", WINNERS)
def test_the_winner_is_the_first_of_the_largest(name):
    shape, case = WINNERS[name]
    axes = tuple(axis.trim()[0] for axis in axes_of(shape, case))
    last, first = FORMATS[len(shape) - 2]
    numbers = small_numbers(shape)
    expected = reference.pool_winners(numbers, axes)
    options = {
        "ksize": case.window, "strides": case.strides, "padding": case.padding,
        "dilations": case.dilations, "index": "window", **case.flags,
    }  # fmt: skip
    for dtype in REALS:
        x = as_dtype(numbers, dtype)
        output, winners = nn.max_pool_with_argmax(x, data_format=last, **options)
        equal(output, as_dtype(maxima(name), dtype))
        assert winners.dtype == np.uint8
        np.testing.assert_array_equal(winners, expected)
        output, winners = nn.max_pool_with_argmax(channels_first(x), data_format=first, **options)
        equal(channels_last(output), as_dtype(maxima(name), dtype))
        np.testing.assert_array_equal(channels_last(winners), expected)


@pytest.mark.parametrize("index", ["flat", "plane"])
@pytest.mark.parametrize("include_batch", [False, True])
@pytest.mark.parametrize("name", [
    "2x2/2 of (2, 21, 23, 3)", "3x3/2 explicit of (3, 14, 13, 17)",
    "3x3/2 dilated of (2, 21, 23, 3)", "2x2/3 ceil of (2, 21, 23, 3)",
    "3x2/5x3 stride over window of (2, 21, 23, 3)", *OTHER_DIMS,
])  # fmt: skip
def test_positions_count_in_the_flat_image_or_in_the_plane(name, index, include_batch):
    shape, case = TABLE[name]
    axes = axes_of(shape, case)
    x = small_numbers(shape).astype(np.float32)
    expected = positions(reference.pool_winners(x, axes), shape, axes, index, include_batch)
    last, first = FORMATS[len(shape) - 2]
    options = {
        "dilations": case.dilations, "index": index, **case.flags,
        "include_batch_in_index": include_batch,
    }  # fmt: skip
    window = (case.window, case.strides, case.padding)
    for dtype in (np.int64, np.int32):
        argmax = nn.max_pool_with_argmax(x, *window, last, dtype, **options).argmax
        assert argmax.dtype == dtype
        np.testing.assert_array_equal(argmax, expected)
        planar = nn.max_pool_with_argmax(channels_first(x), *window, first, dtype, **options)
        assert planar.argmax.dtype == dtype
        np.testing.assert_array_equal(channels_last(planar.argmax), expected)


def test_the_winners_of_one_image():
    x = random((1, 8, 9, 3))
    for index in ("flat", "plane", "window"):
        expected = nn.max_pool_with_argmax(x, 2, 2, "SAME", index=index)
        actual = nn.max_pool_with_argmax(x[0], 2, 2, "SAME", index=index)
        np.testing.assert_array_equal(actual.output, expected.output[0])
        np.testing.assert_array_equal(actual.argmax, expected.argmax[0])


@pytest.mark.parametrize(("side", "dtype"), [(16, np.uint8), (17, np.uint16), (257, np.uint32)])
def test_taps_are_counted_in_as_few_bytes_as_hold_them(side, dtype):
    x = np.zeros((1, side, side, 2), np.float32)
    x[0, -1, -1, 0] = x[0, 3, 5, 1] = 1
    output, winners = nn.max_pool_with_argmax(x, side, 1, "VALID", index="window")
    assert winners.dtype == dtype
    assert winners.ravel().tolist() == [side * side - 1, 3 * side + 5]
    assert (output == 1).all()
    assert nn.max_pool_with_argmax(x, side, 1, "VALID", index="plane").argmax.ravel().tolist() == [
        side * side - 1, 3 * side + 5
    ]  # fmt: skip


def test_the_dtype_of_positions_must_hold_them():
    x = np.broadcast_to(np.zeros((), np.uint8), (1, 2**16, 2**15, 1))
    plan = plan_pool("test", x.shape, 2, "MAX", 2**15, "SAME")
    assert plan.out_shape == (1, 2, 1, 1)
    options = {"ksize": 1, "strides": 2**15, "padding": "SAME"}
    argmax = nn.max_pool_with_argmax(x, **options, output_dtype=np.int32).argmax
    assert argmax.ravel().tolist() == [0, 2**30]
    wider = np.broadcast_to(np.zeros((), np.uint8), (1, 2**16, 2**15 + 1, 1))
    with pytest.raises(ArgumentError, match="output_dtype must be int64"):
        nn.max_pool_with_argmax(wider, **options, output_dtype=np.int32)
    pair = np.broadcast_to(x, (1, 2**16, 2**15, 2))
    with pytest.raises(ArgumentError, match=r"output_dtype must be int64.*4294967295.*int32"):
        nn.max_pool_with_argmax(pair, **options, output_dtype=np.int32)
    nn.max_pool_with_argmax(pair, **options, output_dtype=np.int32, index="plane")
    assert nn.max_pool_with_argmax(pair, **options).argmax.ravel().tolist() == [
        0, 1, 2**31, 2**31 + 1
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("index", ["flat", "plane"])
@pytest.mark.parametrize("shape", [(2, 9, 3), (2, 8, 9, 3), (1, 4, 5, 6, 2)])
def test_max_unpool_is_its_definition(shape, index, dtype):
    dims = len(shape) - 2
    last, first = FORMATS[dims]
    x = as_dtype(small_numbers(shape), dtype)
    for include_batch in (False, True):
        options = {"index": index, "include_batch_in_index": include_batch}
        for strides in (2, 1):  # apart, and overlapping
            output, argmax = nn.max_pool_with_argmax(x, 2, strides, "SAME", last, **options)
            flat = nn.max_pool_with_argmax(x, 2, strides, "SAME", last).argmax
            expected = reference.max_unpool(output, flat, shape[1:-1])
            equal(nn.max_unpool(output, argmax, shape, last, **options), expected)
            equal(nn.max_unpool(output, argmax, shape[1:-1], **options), expected)
            planar = nn.max_pool_with_argmax(
                channels_first(x), 2, strides, "SAME", first, **options
            )
            for wanted in (channels_first(x).shape, shape[1:-1]):
                actual = nn.max_unpool(*planar, wanted, first, **options)
                equal(channels_last(actual), expected)


def test_of_two_values_with_one_position_the_later_stays():
    values = np.arange(1, 13, dtype=np.float32).reshape(1, 2, 3, 2)
    same = np.full(values.shape, 5)
    for data_format, move in [("NHWC", np.asarray), ("NCHW", channels_first)]:
        answer = nn.max_unpool(move(values), move(same), (2, 3), data_format)
        assert answer.max() == 12
        assert np.count_nonzero(answer) == 1
        answer = nn.max_unpool(move(values), move(same), (2, 3), data_format, index="plane")
        assert sorted(answer[answer != 0]) == [11, 12]
    image = nn.max_unpool(values[0], same[0], (2, 3, 2), "NHWC")
    assert image.shape == (2, 3, 2)
    assert image[0, 2, 1] == 12


def test_empty_batches():
    x = np.empty((0, 8, 8, 3), np.float32)
    output, argmax = nn.max_pool_with_argmax(x, 2, 2, "SAME")
    assert output.shape == argmax.shape == (0, 4, 4, 3)
    assert nn.max_unpool(output, argmax, x.shape).shape == x.shape
    assert nn.global_pool(x, "AVG").shape == (0, 3)
    assert nn.lp_pool(x, 2, 2, "SAME").shape == (0, 4, 4, 3)


# ------------------------------------------------------------------------------------- properties


@st.composite
def any_pool(draw):
    dims = draw(st.sampled_from([1, 2, 2, 3]))

    def each(values):
        return tuple(draw(values) for _ in range(dims))

    pair = st.tuples(st.integers(0, 3), st.integers(0, 3))
    kind = draw(st.sampled_from(["MAX", "AVG", "LP"]))
    return {
        "kind": kind,
        "dtype": draw(st.sampled_from(REALS if kind == "MAX" else FLOATS)),
        "shape": (
            draw(st.integers(1, 2)),
            *each(st.integers(1, 13 if dims < 3 else 7) | st.just(37)),
            draw(st.sampled_from([1, 2, 3, 17, 40])),
        ),
        "window": each(st.integers(1, 5) | st.just(17)),
        "strides": each(st.integers(1, 4)),
        "dilations": each(st.sampled_from([1, 1, 1, 2, 9])),
        "padding": draw(st.sampled_from(["SAME", "VALID"])) if draw(st.booleans()) else each(pair),
        "ceil_mode": draw(st.booleans()),
        "count_include_pad": draw(st.booleans()),
        "channels_first": draw(st.booleans()),
        "nans": draw(st.integers(0, 2)),
    }


@settings(max_examples=200, deadline=None)
@given(any_pool())
def test_any_pool_is_right_or_refused(g):
    shape, kind, dtype = g["shape"], g["kind"], g["dtype"]
    data_format = FORMATS[len(shape) - 2][g["channels_first"]]
    x = as_dtype(small_numbers(shape), dtype)
    if dtype in FLOATS:
        x.flat[: 7 * g["nans"] : 7] = np.nan
    image, back = (channels_first(x), channels_last) if g["channels_first"] else (x, np.asarray)
    call = (g["window"], g["strides"], g["padding"], data_format)
    options = {"dilations": g["dilations"], "ceil_mode": g["ceil_mode"]}

    def ours():
        return nn.pool(
            image, g["window"], kind, g["strides"], g["padding"], data_format, **options,
            count_include_pad=g["count_include_pad"],
        )  # fmt: skip

    try:
        axes = pool_axes(
            "test", shape[1:-1], g["window"], g["strides"], g["dilations"], g["padding"],
            g["ceil_mode"],
        )  # fmt: skip
    except ShapeError:
        with pytest.raises(ShapeError):
            ours()
        return
    wide = x.astype(np.float64) if dtype in FLOATS else x
    expected = reference.pool(wide, axes, kind, g["count_include_pad"])
    if kind == "MAX":
        equal(back(ours()), expected.astype(dtype))
        output, winners = nn.max_pool_with_argmax(image, *call, **options, index="window")
        equal(back(output), expected.astype(dtype))
        trimmed = [axis.trim()[0] for axis in axes]
        np.testing.assert_array_equal(back(winners), reference.pool_winners(wide, trimmed))
    else:
        step, summed = (
            float(ml_dtypes.finfo(number).eps)
            for number in (dtype, np.float64 if dtype == np.float64 else np.float32)
        )
        actual = back(ours())
        assert actual.dtype == dtype
        np.testing.assert_allclose(
            actual.astype(np.float64), expected, rtol=4 * step, atol=400 * summed
        )


# ------------------------------------------------------------------------------------- the peers

# window, strides, padding, dilations
TORCH_POOLS = [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2), (2, 3, 1, 1), (5, 2, 2, 1)]
TORCH_SHAPES = {1: (2, 3, 41), 2: (2, 3, 17, 22), 3: (2, 3, 9, 8, 11)}


def torch_options(window, strides, padding, dims):
    data_format = FORMATS[dims][1]
    return window, strides, [[padding, padding]] * dims, data_format


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("case", TORCH_POOLS, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_torch_finds_the_same_maxima_in_the_same_places(dims, case, ceil_mode):
    window, strides, padding, dilation = case
    theirs = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dims]
    unpool = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}[dims]
    shape = TORCH_SHAPES[dims]
    numbers = np.random.default_rng(5).permutation(math.prod(shape)).reshape(shape)  # no ties
    for dtype in (np.float32, np.float64):
        x = numbers.astype(dtype)
        maximum, where = theirs(
            torch.from_numpy(x), window, strides, padding, dilation, ceil_mode,
            return_indices=True,
        )  # fmt: skip
        output, argmax = nn.max_pool_with_argmax(
            x, *torch_options(window, strides, padding, dims), dilations=dilation,
            ceil_mode=ceil_mode, index="plane",
        )  # fmt: skip
        np.testing.assert_array_equal(output, maximum.numpy())
        np.testing.assert_array_equal(argmax, where.numpy())
        if dilation == 1 and window <= strides and not padding and not ceil_mode:
            back = unpool(maximum, where, window, strides, output_size=shape)
            ours = nn.max_unpool(output, argmax, shape, FORMATS[dims][1], index="plane")
            np.testing.assert_array_equal(ours, back.numpy())


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("case", [c for c in TORCH_POOLS if c[3] == 1], ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_torch_finds_the_same_means(dims, case, flags):
    window, strides, padding, _ = case
    ceil_mode, count_include_pad = flags
    theirs = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
    x = random(TORCH_SHAPES[dims])
    expected = theirs(torch.from_numpy(x), window, strides, padding, ceil_mode, count_include_pad)
    actual = nn.avg_pool(
        x, *torch_options(window, strides, padding, dims), ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )  # fmt: skip
    np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_torch_finds_the_same_norms_of_positive_numbers(dims, p):
    theirs = {1: F.lp_pool1d, 2: F.lp_pool2d, 3: F.lp_pool3d}[dims]
    x = abs(random(TORCH_SHAPES[dims], np.float64)) + 0.1
    expected = theirs(torch.from_numpy(x), p, 3, 2).numpy()
    actual = nn.lp_pool(x, 3, 2, "VALID", FORMATS[dims][1], p=p)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def onnx_pool(operator, x, **attributes):
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], **attributes)], "pool",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, [None] * x.ndim)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("p", [1, 2, 3])
def test_onnx_runtime_finds_the_same_norms(p):
    x = random((2, 3, 12, 15))
    expected = onnx_pool("LpPool", x, p=p, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    actual = nn.lp_pool(x, (3, 2), 2, [[1, 1], [0, 1]], "NCHW", p=p)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_onnx_runtime_finds_the_same_maxima_of_bytes(dtype):
    assert helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) in (TensorProto.INT8, TensorProto.UINT8)
    x = as_dtype(small_numbers((2, 3, 12, 15)), np.dtype(dtype))
    expected = onnx_pool("MaxPool", x, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    equal(nn.max_pool(x, (3, 2), 2, [[1, 1], [0, 1]], "NCHW"), expected)


# ------------------------------------------------------------------------------- other frameworks


def test_torch_tensors_of_half_numbers_come_and_go():
    for dtype in (torch.bfloat16, torch.float16):
        x = torch.randn(2, 3, 12, 14, dtype=torch.float32).to(dtype)
        expected = F.max_pool2d(x.float(), 2).to(dtype)
        answer = nn.max_pool(x, 2, 2, "VALID", "NCHW")
        assert answer.dtype == dtype
        assert torch.equal(answer, expected)
        out = torch.empty_like(expected)
        assert nn.max_pool(x, 2, 2, "VALID", "NCHW", out=out) is out
        assert torch.equal(out, expected)
        strided = x[:, :, ::2, ::3]
        assert torch.equal(
            nn.max_pool(strided, 2, 2, "VALID", "NCHW"), F.max_pool2d(strided.float(), 2).to(dtype)
        )
        output, argmax = nn.max_pool_with_argmax(x, 2, 2, "VALID", "NCHW", index="plane")
        assert output.dtype == dtype
        assert argmax.dtype == torch.int64
        assert torch.equal(nn.relu(x), torch.relu(x))
        assert nn.avg_pool(x, 2, 2, "VALID", "NCHW").dtype == dtype


def test_bfloat16_tensors_say_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DTypeError, match=r"input is bfloat16.*pip install ml_dtypes"):
        nn.max_pool(torch.zeros(1, 4, 4, 1, dtype=torch.bfloat16), 2, 2, "SAME")


# ----------------------------------------------------------------------------------------- errors

IMAGE = np.zeros((1, 6, 8, 2), np.float32)
MAXIMA, WHERE = nn.max_pool_with_argmax(IMAGE, 2, 2, "SAME")
ACCEPTED = "float16, bfloat16, float32, float64, int8 to int64 or uint8 to uint64"

BAD_CALLS = [
    (lambda: nn.max_pool(IMAGE.astype(bool), 2, 2, "SAME"), DTypeError, f"{ACCEPTED}, got bool"),
    (lambda: nn.max_pool(IMAGE.astype(complex), 2, 2, "SAME"), DTypeError, "got complex128"),
    (lambda: nn.max_pool(IMAGE.astype(">f4"), 2, 2, "SAME"), DTypeError, "got >f4"),
    (lambda: nn.max_pool(IMAGE.astype(">i8"), 2, 2, "SAME"), DTypeError, "got >i8"),
    (lambda: nn.max_pool(IMAGE.astype("M8[s]"), 2, 2, "SAME"), DTypeError, "got datetime64"),
    (
        lambda: nn.max_pool(IMAGE.astype([("r", "f4")]), 2, 2, "SAME"),
        DTypeError,
        "nn.max_pool: input must be float16.*got .*'r'",
    ),
    (
        lambda: nn.avg_pool(IMAGE.astype(int), 2, 2, "SAME"),
        DTypeError,
        "nn.avg_pool: input must be float16, bfloat16, float32 or float64, got int64",
    ),
    (lambda: nn.lp_pool(IMAGE.astype("u1"), 2, 2, "SAME"), DTypeError, "float64, got uint8"),
    (lambda: nn.relu(IMAGE.astype(bool)), DTypeError, f"nn.relu: features must be {ACCEPTED}"),
    (lambda: nn.max_pool(IMAGE, 7, 1, "VALID"), ShapeError, "nn.max_pool: a window of (7, 7)"),
    (lambda: nn.max_pool(IMAGE, 0, 1, "VALID"), ArgumentError, "ksize must be at least 1"),
    (lambda: nn.max_pool(IMAGE, 2, 0, "VALID"), ArgumentError, "strides must be at least 1"),
    (lambda: nn.max_pool(IMAGE, 2, 2, "SAME", "HWC"), ArgumentError, "'NHWC'.*got 'HWC'"),
    (
        lambda: nn.max_pool(IMAGE, 2, 2, "SAME", "NCW"),
        ShapeError,
        "rank 3, NCW, or 2, without a batch, got shape (1, 6, 8, 2)",
    ),
    (lambda: nn.max_pool(IMAGE[0, 0], 2, 2, "SAME"), ShapeError, "rank 3, 4 or 5.*(8, 2)"),
    (lambda: nn.pool(IMAGE, 2, "MIN"), ArgumentError, "'MAX', 'AVG' or 'LP', got 'MIN'"),
    (
        lambda: nn.extract(IMAGE, np.zeros((1, 1, 2, 1), "f4"), pooling_type="LP"),
        ArgumentError,
        "'MAX' or 'AVG', got 'LP'",
    ),
    (lambda: nn.lp_pool(IMAGE, 2, 2, "SAME", p=0), ArgumentError, "p must be larger than 0.*got 0"),
    (lambda: nn.lp_pool(IMAGE, 2, 2, "SAME", p=math.inf), ArgumentError, "finite, got inf"),
    (lambda: nn.lp_pool(IMAGE, 2, 2, "SAME", p=math.nan), ArgumentError, "finite, got nan"),
    (lambda: nn.lp_pool(IMAGE, 2, 2, "SAME", p="2"), DTypeError, "p must be a number, got '2'"),
    (lambda: nn.lp_pool(IMAGE, 2, 2, "SAME", p=True), DTypeError, "p must be a number, got True"),
    (lambda: nn.global_pool(IMAGE[:, :0], "MAX"), ShapeError, "not be empty.*(1, 0, 8, 2)"),
    (lambda: nn.global_pool(IMAGE, "SUM"), ArgumentError, "nn.global_pool: pooling_type"),
    (lambda: nn.global_pool(IMAGE, "MAX", out=IMAGE), ShapeError, "shape (1, 2)"),
    (
        lambda: nn.max_pool_with_argmax(IMAGE, 2, 2, "SAME", index="torch"),
        ArgumentError,
        "index must be 'flat', 'plane' or 'window', got 'torch'",
    ),
    (
        lambda: nn.max_pool_with_argmax(IMAGE, 2, 2, "SAME", "NHWC", np.int16),
        DTypeError,
        "output_dtype must be int32 or int64",
    ),
    (
        lambda: nn.max_pool_with_argmax(IMAGE, 2, 2, "SAME", "NHWC", "tensor"),
        DTypeError,
        "output_dtype must be int32 or int64, got 'tensor'",
    ),
    (
        lambda: nn.max_unpool(MAXIMA, WHERE, (5, 7)),
        ArgumentError,
        "argmax must lie in [0, 70) for an answer of shape (1, 5, 7, 2), got 77",
    ),
    (lambda: nn.max_unpool(MAXIMA, WHERE - 1, (6, 8)), ArgumentError, "got -1"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (6, 8), index="window"), ArgumentError, "'plane'"),
    (lambda: nn.max_unpool(MAXIMA, WHERE * 1.0, (6, 8)), DTypeError, "whole numbers, got float64"),
    (lambda: nn.max_unpool(MAXIMA, WHERE[:, :1], (6, 8)), ShapeError, "argmax must have the shape"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (2, 6, 8, 2)), ShapeError, "output_shape.*(1, 3, 4, 2)"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (1, 6, 8, 2, 1)), ShapeError, "output_shape"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (6, -8)), ShapeError, "at least 1, got (6, -8)"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (6, 8.0)), DTypeError, "output_shape.*whole"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (6, None)), ShapeError, "output_shape"),
    (lambda: nn.max_unpool(MAXIMA, WHERE, (2**30, 2**30)), ShapeError, "half of this machine"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")
    for _ in range(2):  # also once a plan could be cached
        with pytest.raises(error, match=pattern) as raised:
            call()
        assert isinstance(raised.value, AttarError)


def test_what_is_masked_is_not_counted_in_silence():
    values = np.ma.masked_greater(random((1, 4, 4, 1)), 0)
    with pytest.raises(ArgumentError, match=r"nn.pool: input is a masked array.*filled"):
        nn.pool(values, 2, "MAX")
    np.testing.assert_array_equal(nn.pool(values.filled(0), 2, "MAX").shape, (1, 3, 3, 1))


@pytest.mark.parametrize("width", [1, 2, 3])
def test_long_windows_over_narrow_images(width):
    """Windows slide over more rows than a line has numbers."""
    shape = (1, 37, 37, width, 1)
    axes = pool_axes("test", shape[1:-1], (17,) * 3, (1, 2, 1), (1, 2, 1), "SAME", False)
    for dtype in (np.float32, np.float64):
        x = as_dtype(small_numbers(shape), np.dtype(dtype))
        options = {"data_format": "NDHWC", "dilations": (1, 2, 1)}
        output, winners = nn.max_pool_with_argmax(
            x, (17,) * 3, (1, 2, 1), "SAME", **options, index="window"
        )
        equal(output, reference.pool(x, axes, "MAX", False))
        trimmed = [axis.trim()[0] for axis in axes]
        np.testing.assert_array_equal(winners, reference.pool_winners(x, trimmed))
        mean = nn.pool(x, (17,) * 3, "AVG", (1, 2, 1), "SAME", **options)
        wide = reference.pool(x.astype(np.float64), axes, "AVG", False)
        np.testing.assert_allclose(mean, wide, rtol=1e-5, atol=1e-5)
