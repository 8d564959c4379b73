"""Pools whose windows follow from the size that is asked for."""

import math
from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from attar import nn, reference
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.geometry import Axis, Bins, adaptive_axis, fractional_axis, fractional_sequence

from .cases import random
from .test_pooling import (
    FORMATS,
    REALS,
    SPECIAL,
    as_dtype,
    channels_first,
    channels_last,
    equal,
    small_numbers,
)

# ------------------------------------------------------------------------------- where windows lie


@given(st.integers(1, 200), st.integers(1, 260))
def test_adaptive_windows_are_pytorchs(size, out):
    axis = adaptive_axis(size, out)
    assert axis.out == out
    for o in range(out):
        expected = range(math.floor(o * size / out), math.ceil((o + 1) * size / out))
        assert axis.taps(o) == list(expected)
    if size % out == 0:
        assert isinstance(axis, Axis)


def test_windows_that_are_all_alike_are_an_ordinary_axis():
    assert adaptive_axis(7, 3) == Axis(7, 3, 2, 1, 0, 0, 3)
    assert adaptive_axis(1, 1) == Axis(1, 1, 1, 1, 0, 0, 1)
    assert isinstance(adaptive_axis(5, 3), Bins)
    assert isinstance(adaptive_axis(1, 3), Bins)  # three times the same cell
    assert fractional_axis(6, (0, 2, 4, 6), overlapping=False) == Axis(6, 2, 2, 1, 0, 0, 3)
    assert isinstance(fractional_axis(6, (0, 2, 4, 6), overlapping=True), Bins)


@given(st.data(), st.integers(1, 300), st.booleans(), st.integers(0, 2**64))
def test_steps_of_a_fractional_sequence(data, size, pseudo_random, seed):
    out = data.draw(st.integers(1, size))
    sequence = fractional_sequence(size, out, pseudo_random, Random(seed))
    assert (sequence[0], sequence[-1], len(sequence)) == (0, size, out + 1)
    steps = np.diff(sequence)
    assert set(steps) <= {size // out, size // out + 1}
    assert (steps == size // out + 1).sum() == size % out


def test_random_sequences_are_random_and_pseudo_random_ones_are_regular():
    drawn = {fractional_sequence(35, 25, False, Random(seed)) for seed in range(100)}
    assert len(drawn) == 100
    steps = np.mean([np.diff(sequence) for sequence in drawn], axis=0)
    assert (abs(steps - 1.4) < 0.25).all()  # no place is preferred
    pseudo = {fractional_sequence(35, 25, True, Random(seed)) for seed in range(100)}
    assert 2 < len(pseudo) <= 35
    for sequence in pseudo:  # each is a staircase: within a cell of a straight line
        away = np.array(sequence) - 1.4 * np.arange(26)
        assert away.max() - away.min() <= 2


# ---------------------------------------------------------------------------------- adaptive_pool

ADAPTIVE = {
    1: [((2, 3, 41), 7), ((1, 20, 13), 5), ((2, 3, 6), 11), ((1, 2, 90), 17)],
    2: [((2, 3, 17, 22), (5, 9)), ((1, 20, 13, 40), (4, 7)), ((1, 1, 33, 150), (7, 40)),
        ((2, 33, 9, 10), 3), ((1, 4, 5, 6), (9, 13)), ((1, 3, 12, 12), (None, 5)),
        ((1, 17, 14, 21), (7, 7)), ((1, 2, 8, 9), 1)],
    3: [((2, 3, 7, 8, 9), (3, 5, 2)), ((1, 18, 5, 6, 7), 3), ((1, 2, 4, 9, 33), (None, 2, 7))],
}  # fmt: skip
ADAPTIVE_CASES = [
    pytest.param(dims, shape, size, id=f"{shape} to {size}")
    for dims, cases in ADAPTIVE.items()
    for shape, size in cases
]


@pytest.mark.parametrize("kind", ["MAX", "AVG", "LP"])
@pytest.mark.parametrize(("dims", "shape", "size"), ADAPTIVE_CASES)
def test_adaptive_pool_is_its_definition(dims, shape, size, kind):
    last, first = FORMATS[dims]
    sizes = size if isinstance(size, tuple) else (size,) * dims
    axes = [adaptive_axis(n, n if o is None else o) for n, o in zip(shape[2:], sizes, strict=True)]
    for dtype, tolerance in [(np.float32, 3e-6), (np.float64, 1e-14)]:
        planar = random(shape, dtype)
        x = np.ascontiguousarray(channels_last(planar))
        expected = reference.pool(x.astype(np.float64), axes, kind)
        if kind == "MAX":
            tolerance = 0
        from_planar = nn.adaptive_pool(planar, size, kind, first)
        actual = nn.adaptive_pool(x, size, kind, last)
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(channels_last(from_planar), expected, tolerance, tolerance)
        if kind == "AVG":
            np.testing.assert_array_equal(channels_last(from_planar), actual)
        out = np.zeros((*actual.shape[:-1], 2 * actual.shape[-1]), dtype)[..., ::2]
        assert nn.adaptive_pool(x, size, kind, last, out=out) is out
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize(("dims", "shape", "size"), ADAPTIVE_CASES)
def test_torch_pools_adaptively_to_the_same(dims, shape, size, kind):
    theirs = getattr(F, f"adaptive_{kind.lower()}_pool{dims}d")
    x = random(shape)
    expected = theirs(torch.from_numpy(x), size).numpy()
    actual = nn.adaptive_pool(x, size, kind, FORMATS[dims][1])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=0 if kind == "MAX" else 1e-6)
    one = nn.adaptive_pool(x[0], size, kind, FORMATS[dims][1])
    np.testing.assert_array_equal(one, actual[0])


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_adaptive_maxima_of_any_numbers(dtype):
    for shape in [(2, 11, 13, 3), (1, 9, 70, 1), (1, 8, 9, 40)]:
        numbers = small_numbers(shape)
        axes = [adaptive_axis(shape[1], 4), adaptive_axis(shape[2], 5)]
        expected = as_dtype(reference.pool(numbers, axes, "MAX"), dtype)
        x = as_dtype(numbers, dtype)
        equal(nn.adaptive_pool(x, (4, 5), "MAX"), expected)
        equal(channels_last(nn.adaptive_pool(channels_first(x), (4, 5), "MAX", "NCHW")), expected)


def test_nan_and_infinity_in_windows_of_any_size():
    for shape in SPECIAL:
        x = np.full(shape, -np.inf, np.float32)
        assert (nn.adaptive_pool(x, (4, 5), "MAX") == -np.inf).all()
        x[:, 2, 3] = np.nan  # of 5 columns over 7, 1 and 2 see the fourth; over 40, the first
        for kind in ("MAX", "AVG"):
            axes = [adaptive_axis(shape[1], 4), adaptive_axis(shape[2], 5)]
            expected = reference.pool(x, axes, kind)
            actual = nn.adaptive_pool(x, (4, 5), kind)
            np.testing.assert_array_equal(actual, expected)
            assert np.isnan(actual).any()


# ---------------------------------------------------------------------------- fractional_max_pool


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("pseudo_random", [False, True])
@pytest.mark.parametrize("shape", [(2, 35, 24, 3), (1, 17, 100, 1), (1, 9, 11, 33)])
def test_fractional_max_pool_is_its_definition(shape, pseudo_random, overlapping):
    for ratio in (1, 1.44, math.sqrt(2), (1.73, 2.6), [1, 1.2, 3.0, 1]):
        x = random(shape)
        options = {"pseudo_random": pseudo_random, "overlapping": overlapping, "seed": 9}
        output, rows, cols = nn.fractional_max_pool(x, ratio, **options)
        per_axis = np.broadcast_to(np.ravel(ratio)[-3:-1] if np.size(ratio) == 4 else ratio, 2)
        outs = [int(size / r) for size, r in zip(shape[1:3], per_axis, strict=True)]
        assert output.shape == (shape[0], *outs, shape[3])
        assert rows.dtype == cols.dtype == np.int64
        for o in np.ndindex(*outs):
            patch = x[
                :,
                rows[o[0]] : rows[o[0] + 1] + overlapping,
                cols[o[1]] : cols[o[1] + 1] + overlapping,
            ]
            np.testing.assert_array_equal(output[:, *o], patch.max(axis=(1, 2)))
        if np.size(ratio) == 4:
            ratio = [1, 1, ratio[1], ratio[2]]
        planar = nn.fractional_max_pool(channels_first(x), ratio, **options, data_format="NCHW")
        np.testing.assert_array_equal(channels_last(planar.output), output)
        np.testing.assert_array_equal(planar.row_pooling_sequence, rows)
        one = nn.fractional_max_pool(x[0], tuple(per_axis.tolist()), **options)
        np.testing.assert_array_equal(one.output, output[0])


def test_the_seed_of_a_fractional_pool():
    x = random((1, 60, 60, 1))

    def rows(seed):
        return nn.fractional_max_pool(x, 1.4, seed=seed).row_pooling_sequence.tolist()

    assert rows(0) == rows(0) == nn.fractional_max_pool(x, 1.4).row_pooling_sequence.tolist()
    assert rows(0) != rows(1)
    assert rows(None) != rows(None)
    result = nn.fractional_max_pool(x, 1.4)
    assert result.row_pooling_sequence.tolist() != result.col_pooling_sequence.tolist()


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_fractional_maxima_of_any_numbers(dtype):
    numbers = small_numbers((2, 13, 17, 5))
    wide = nn.fractional_max_pool(numbers, 1.5, overlapping=True)
    equal(
        nn.fractional_max_pool(as_dtype(numbers, dtype), 1.5, overlapping=True).output,
        as_dtype(wide.output, dtype),
    )


# --------------------------------------------------------------------------- spatial_pyramid_pool


@pytest.mark.parametrize("kind", ["MAX", "AVG", "LP"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_pyramid_is_its_levels_one_after_the_other(dims, kind):
    levels = (1, 3, 2)
    x = random((2, *(13, 7, 6)[:dims], 5))
    last, first = FORMATS[dims]
    expected = np.concatenate(
        [nn.adaptive_pool(x, level, kind, last).reshape(2, -1) for level in levels], axis=1
    )
    actual = nn.spatial_pyramid_pool(x, levels, kind)
    assert actual.shape == (2, 5 * sum(level**dims for level in levels))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    planar = nn.spatial_pyramid_pool(channels_first(x), levels, kind, first)
    np.testing.assert_allclose(planar, expected, rtol=1e-6)
    one = nn.spatial_pyramid_pool(x[0], levels, kind, last)
    np.testing.assert_allclose(one, expected[0], rtol=1e-6)


def test_a_pyramid_has_the_same_length_for_images_of_any_size():
    for height, width in [(4, 4), (13, 5), (40, 61), (1, 2)]:
        assert nn.spatial_pyramid_pool(random((1, height, width, 6))).shape == (1, 6 * 21)
    assert nn.spatial_pyramid_pool(random((3, 9, 9, 2)), 4).shape == (3, 32)
    tensor = nn.spatial_pyramid_pool(torch.ones(1, 8, 8, 2, dtype=torch.bfloat16))
    assert tensor.dtype == torch.bfloat16
    assert tensor.shape == (1, 42)


# ----------------------------------------------------------------------------------------- errors

IMAGE = np.zeros((1, 6, 8, 2), np.float32)

BAD_CALLS = [
    (lambda: nn.adaptive_pool(IMAGE, 0, "MAX"), ArgumentError, "output_size must be at least 1"),
    (lambda: nn.adaptive_pool(IMAGE, None, "MAX"), ArgumentError, "one number or 2.*got None"),
    (lambda: nn.adaptive_pool(IMAGE, (1, 2, 3, 4), "MAX"), ArgumentError, "2 .the spatial axes"),
    (lambda: nn.adaptive_pool(IMAGE, 2.0, "MAX"), DTypeError, "output_size must be whole"),
    (lambda: nn.adaptive_pool(IMAGE, "2", "MAX"), ArgumentError, "got '2'"),
    (lambda: nn.adaptive_pool(IMAGE, 2, "MIN"), ArgumentError, "'LP', got 'MIN'"),
    (lambda: nn.adaptive_pool(IMAGE[:, :0], 2, "MAX"), ShapeError, "not be empty"),
    (lambda: nn.adaptive_pool(IMAGE.astype(int), 2, "AVG"), DTypeError, "got int64"),
    (lambda: nn.adaptive_pool(IMAGE, 2**30, "AVG"), ShapeError, "half of this machine"),
    (lambda: nn.adaptive_pool(IMAGE, (2**23, 1), "AVG"), ArgumentError, "at most 4194304"),
    (lambda: nn.adaptive_pool(IMAGE, 2, "LP", p=-1), ArgumentError, "p must be larger than 0"),
    (lambda: nn.fractional_max_pool(IMAGE, 0.9), ArgumentError, "at least 1, got 0.9"),
    (lambda: nn.fractional_max_pool(IMAGE, math.nan), ArgumentError, "at least 1, got nan"),
    (lambda: nn.fractional_max_pool(IMAGE, 6.5), ShapeError, "at most the size, (6, 8), got 6.5"),
    (lambda: nn.fractional_max_pool(IMAGE, "2"), DTypeError, "must be numbers, got '2'"),
    (lambda: nn.fractional_max_pool(IMAGE, (2, 2, 2)), ArgumentError, "one number, 2"),
    (lambda: nn.fractional_max_pool(IMAGE, [2, 2, 2, 1]), ArgumentError, "batch and channels"),
    (lambda: nn.fractional_max_pool(IMAGE, 2, seed=0.5), DTypeError, "seed.*got 0.5"),
    (lambda: nn.fractional_max_pool(IMAGE, 2, data_format="NWC"), ArgumentError, "got 'NWC'"),
    (lambda: nn.fractional_max_pool(IMAGE[0, 0], 2), ShapeError, "rank 4, NHWC, or 3.*(8, 2)"),
    (lambda: nn.spatial_pyramid_pool(IMAGE, ()), ArgumentError, "levels must be whole numbers"),
    (lambda: nn.spatial_pyramid_pool(IMAGE, (1, 0)), ArgumentError, "levels must be at least 1"),
    (lambda: nn.spatial_pyramid_pool(IMAGE, "12"), ArgumentError, "levels must be whole"),
    (lambda: nn.spatial_pyramid_pool(IMAGE, 1.5), DTypeError, "levels must be whole numbers"),
    (lambda: nn.spatial_pyramid_pool(IMAGE.astype(int), 2, "AVG"), DTypeError, "got int64"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    for _ in range(2):  # also once a plan could be cached
        with pytest.raises(error, match=pattern) as raised:
            call()
        assert isinstance(raised.value, AttarError)
