"""Gradients of pools against their definition, against autograd, and against small steps."""

import itertools

import ml_dtypes
import numpy as np
import pytest

import attar
from attar import _core, reference
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import Axis, Bins, adaptive_axis, fractional_axis, pool_axes
from attar.nn import gradients, pool
from attar.nn.bins import adaptive_pool, fractional_max_pool
from attar.nn.pooling import core_pool, global_pool, lp_pool
from attar.nn.winners import max_pool_with_argmax, max_unpool

from .cases import POOL_SHAPES, POOLS, Pool, fits, random
from .test_nn import axes_of, channels_first, channels_last

bfloat16 = ml_dtypes.bfloat16
DTYPES = {np.float32: 2e-6, np.float64: 1e-14, np.float16: 3e-3, bfloat16: 2e-2}
NUMBERS = {np.float32: 0, np.float64: 1, np.float16: 2, bfloat16: 3}

FLAT_CASES = {
    **POOLS,
    "9x9/1: as many cells as are taken one by one": Pool((9, 9), (1, 1)),
    "2x3/1x2 dilated": Pool((2, 3), (1, 2), dilations=(2, 3)),
    "3x5/3x1": Pool((3, 5), (3, 1)),
}
CASES = {
    "1d 2/2": Pool((2,), (2,)),
    "1d 5/2": Pool((5,), (2,)),
    "1d 3/1 dilated": Pool((3,), (1,), dilations=(2,)),
    "3d 2/2": Pool((2, 2, 2), (2, 2, 2)),
    "3d 3/2": Pool((3, 3, 3), (2, 2, 2)),
    "3d 2x3x2/2x1x2": Pool((2, 3, 2), (2, 1, 2)),
    "3d include pad": Pool(
        (3, 3, 3), (2, 2, 2), ((1, 0), (1, 1), (0, 1)), flags={"count_include_pad": True}
    ),
    "3d ceil": Pool((2, 3, 2), (3, 2, 2), ((0, 0), (1, 1), (1, 0)), flags={"ceil_mode": True}),
}


def close(actual, expected, dtype):
    tolerance = DTYPES[dtype] * max(1, np.nanmax(abs(expected), initial=0))
    np.testing.assert_allclose(
        actual.astype(np.float64), expected, rtol=DTYPES[dtype], atol=tolerance
    )


def assert_is_definition(case, kind, x, dtype, p=2.0):
    """In both layouts, with the bits of one equal to those of the other."""
    dims = x.ndim - 2
    axes = axes_of(case, x.shape[1:-1], dims)
    x = x.astype(dtype)
    out_shape = (len(x), *(axis.out for axis in axes), x.shape[-1])
    g = random(out_shape, seed=7).astype(dtype)
    wide_x, wide_g = x.astype(np.float64), g.astype(np.float64)
    if kind == "MAX":
        expected = reference.max_pool_grad(wide_g, reference.pool_winners(x, axes), axes)
    elif kind == "AVG":
        include = case.flags.get("count_include_pad", False)
        expected = reference.avg_pool_grad(wide_g, axes, include)
    else:
        expected = reference.lp_pool_grad(wide_g, wide_x, axes, p)
    options = {**case.options, "p": p}
    last = gradients.pool_grad(g, x, pooling_type=kind, **options)
    assert last.dtype == dtype
    assert last.shape == x.shape
    close(last, expected, dtype)
    data_format = {1: "NCW", 2: "NCHW", 3: "NCDHW"}[dims]
    first = gradients.pool_grad(
        channels_first(g), channels_first(x), pooling_type=kind, data_format=data_format, **options
    )
    np.testing.assert_array_equal(channels_last(first), last)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize("name", FLAT_CASES)
def test_flat_gradients_are_their_definition(name, kind, dtype):
    case = FLAT_CASES[name]
    for shape in [(2, 13, 21, 3), (1, 11, 14, 19), (1, 9, 40, 1)]:
        if fits(case, shape[1:3]):
            assert_is_definition(case, kind, random(shape), dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("kind", ["MAX", "AVG", "LP"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_in_one_and_three_dimensions_are_their_definition(name, kind, dtype):
    case = CASES[name]
    for channels in (2, 17):
        x = random((2, *(7, 9, 11)[: len(case.window)], channels))
        assert_is_definition(case, kind, x, dtype)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("name", ["2x2/2", "3x3/2", "3x3/2 explicit", "3x3/2 dilated"])
def test_gradients_of_norms_are_their_definition(name, p):
    for dtype in (np.float32, np.float64):
        assert_is_definition(POOLS[name], "LP", random((2, 9, 11, 3)), dtype, p)


def test_the_gradient_of_a_norm_is_zero_where_input_or_norm_is_and_finite_elsewhere():
    x = np.array([0, 0, 3e-20, 4e-20, 0, 2], np.float32).reshape(1, 6, 1)
    g = np.ones((1, 3, 1), np.float32)
    for p in (0.5, 1, 2, 9):
        found = gradients.lp_pool_grad(g, x, 2, 2, "VALID", p=p).ravel()
        assert (found[[0, 1, 4]] == 0).all()
        assert np.isfinite(found).all()
        assert found[5] == 1
    two = gradients.lp_pool_grad(g, x, 2, 2, "VALID").ravel()
    np.testing.assert_allclose(two[2:4], [0.6, 0.8], rtol=1e-6)


# ------------------------------------------------------------------ what a small step does


def assert_transposes(forward, backward, x):
    """<forward(x + d) - forward(x), g> is <d, backward(g)> for a small step d."""
    y = forward(x)
    g = random(y.shape, np.float64, 3)
    step = 1e-6 * random(x.shape, np.float64, 4)
    change = ((forward(x + step) - forward(x - step)) * g).sum() / 2
    np.testing.assert_allclose((step * backward(g, x)).sum(), change, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 9, 12, 3), (1, 8, 7, 20)])
@pytest.mark.parametrize("kind", ["MAX", "AVG", "LP"])
def test_gradients_foretell_what_a_small_step_does(kind, shape):
    # Values far apart, so that no step changes a winner.
    x = np.random.default_rng(5).permutation(np.prod(shape)).reshape(shape) / 100 + 0.5
    for name in ("2x2/2", "3x3/2", "3x3/1", "2x3/1x2", "3x3/2 explicit", "2x2/1 dilated"):
        options = {"pooling_type": kind, **POOLS[name].options}
        assert_transposes(
            lambda x, options=options: pool(x, **options),
            lambda g, x, options=options: gradients.pool_grad(g, x, **options),
            x,
        )
    assert_transposes(
        lambda x: adaptive_pool(x, (5, 3), kind),
        lambda g, x: gradients.adaptive_pool_grad(g, x, (5, 3), kind),
        x,
    )
    for keepdims in (False, True):
        assert_transposes(
            lambda x, keepdims=keepdims: global_pool(x, kind, keepdims=keepdims),
            lambda g, x: gradients.global_pool_grad(g, x, kind),
            x,
        )


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_fractional_gradients_are_their_definition(data_format, overlapping):
    for channels in (2, 18):
        x = random((2, 13, 17, channels))
        first = data_format == "NCHW"
        array = channels_first(x) if first else x
        output, rows, cols = fractional_max_pool(
            array, 1.4, overlapping=overlapping, data_format=data_format
        )
        g = random(output.shape, seed=1)
        axes = (fractional_axis(13, rows, overlapping), fractional_axis(17, cols, overlapping))
        found = gradients.fractional_max_pool_grad(g, array, rows, cols, overlapping, data_format)
        if first:
            g, found = channels_last(g), channels_last(found)
        expected = reference.max_pool_grad(g, reference.pool_winners(x, axes), axes)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


# --------------------------------------------------------------------------------- autograd


def torch_pool(torch, case, kind, dims):
    window, strides = list(case.window), list(case.strides)
    padding = [before for before, _ in case.padding] if case.padding != "VALID" else 0
    ceil = case.flags.get("ceil_mode", False)
    functional = torch.nn.functional
    if kind == "MAX":
        run = getattr(functional, f"max_pool{dims}d")
        return lambda x: run(
            x, window, strides, padding, list(case.dilations or (1,) * dims), ceil_mode=ceil
        )
    run = getattr(functional, f"avg_pool{dims}d")
    include = case.flags.get("count_include_pad", False)
    return lambda x: run(x, window, strides, padding, ceil, include)


AUTOGRAD = {
    name: case
    for name, case in {**FLAT_CASES, **CASES}.items()
    if case.padding == "VALID"
    or (case.padding != "SAME" and all(before == after for before, after in case.padding))
} | {
    "3x3/2 pad": Pool((3, 3), (2, 2), ((1, 1), (1, 1))),
    "3x3/1 pad": Pool((3, 3), (1, 1), ((1, 1), (1, 1))),
    "3x3/2 pad dilated": Pool((3, 3), (2, 2), ((1, 1), (1, 1)), dilations=(2, 1)),
    "1d 3/2 pad": Pool((3,), (2,), ((1, 1),)),
    "3d 3/2 pad": Pool((3, 3, 3), (2, 2, 2), ((1, 1), (1, 1), (1, 1))),
    "3d 2/2 ceil": Pool((2, 2, 2), (2, 2, 2), "VALID", flags={"ceil_mode": True}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize("name", AUTOGRAD)
def test_gradients_are_those_of_autograd(name, kind):
    torch = pytest.importorskip("torch")
    case = AUTOGRAD[name]
    dims = len(case.window)
    if kind == "AVG" and case.dilations:
        pytest.skip("PyTorch has no dilated mean")
    for channels in (3, 18):
        x = random((2, *(15, 13, 17)[3 - dims :], channels), np.float64)
        leaf = torch.from_numpy(channels_first(x)).requires_grad_()
        y = torch_pool(torch, case, kind, dims)(leaf)
        g = random(tuple(y.shape), np.float64, 2)
        y.backward(torch.from_numpy(g))
        expected = leaf.grad.numpy()
        data_format = {1: "NCW", 2: "NCHW", 3: "NCDHW"}[dims]
        found = gradients.pool_grad(
            torch.from_numpy(g), leaf.detach(), pooling_type=kind, data_format=data_format,
            **case.options,
        )  # fmt: skip
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
def test_adaptive_gradients_are_those_of_autograd(kind):
    torch = pytest.importorskip("torch")
    run = getattr(torch.nn.functional, f"adaptive_{kind.lower()}_pool2d")
    for size in ((5, 7), (1, 1), (13, 16), (4, 8)):
        leaf = torch.from_numpy(random((2, 3, 13, 16), np.float64)).requires_grad_()
        y = run(leaf, size)
        g = torch.from_numpy(random(tuple(y.shape), np.float64, 2))
        y.backward(g)
        found = gradients.adaptive_pool_grad(g, leaf.detach(), size, kind, "NCHW")
        np.testing.assert_allclose(found.numpy(), leaf.grad.numpy(), rtol=1e-13, atol=1e-13)


def test_gradients_of_unpooling_and_relu_are_those_of_autograd():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(random((2, 3, 8, 10), np.float64))
    y, where = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    y.requires_grad_()
    whole = torch.nn.functional.max_unpool2d(y, where, 2)
    g = torch.from_numpy(random(tuple(whole.shape), np.float64, 2))
    whole.backward(g)
    found = gradients.max_unpool_grad(g, where, "NCHW", index="plane")
    assert torch.equal(found, y.grad)
    features = torch.tensor([-1.0, -0.0, 0.0, 2.0, float("nan"), float("inf")]).requires_grad_()
    g = torch.arange(1.0, 7)
    features.relu().backward(g)
    assert torch.equal(gradients.relu_grad(g, features.detach()), features.grad)


# ---------------------------------------------------------------------------- winners as given


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("name", ["2x2/2", "3x3/2", "3x3/1", "7x5/3x2", "13x13/1"])
def test_winners_replace_the_input(name, data_format):
    case = POOLS[name]
    for shape in POOL_SHAPES[2:]:
        if not fits(case, shape[1:3]):
            continue
        x = random(shape)
        x = channels_first(x) if data_format == "NCHW" else x
        options = (case.window, case.strides, case.padding, data_format)
        y, winners = max_pool_with_argmax(x, *options, index="window")
        g = random(y.shape, seed=1)
        found = gradients.max_pool_grad(g, x.shape, *options, winners=winners)
        np.testing.assert_array_equal(found, gradients.max_pool_grad(g, x, *options))
        if winners.dtype == np.uint8:
            wider = winners.astype(np.uint32)[..., ::-1]
            mirrored = gradients.max_pool_grad(
                g[..., ::-1], x, *options, winners=wider
            ) if data_format == "NHWC" else found[..., ::-1]  # fmt: skip
            np.testing.assert_array_equal(mirrored[..., ::-1], found)


AXES = {
    "2x2/2": pool_axes("test", (9, 34), (2, 2), (2, 2), (1, 1), "SAME"),
    "3x3/2": pool_axes("test", (9, 33), (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1))),
    "3x3/1 dilated": pool_axes("test", (9, 33), (3, 3), (1, 1), (2, 3), "SAME"),
    "4x4/3": pool_axes("test", (9, 33), (4, 4), (3, 3), (1, 1), "SAME"),
    "7x9/1": pool_axes("test", (9, 33), (7, 9), (1, 1), (1, 1), "SAME"),
    "bins": (Bins(9, (0, 1, 5), (4, 5, 9)), adaptive_axis(33, 7)),
}


@pytest.mark.parametrize("winner_dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", AXES)
def test_winners_may_lie_anywhere_and_nothing_is_written_outside(name, dtype, winner_dtype):
    axes = AXES[name]
    for channels in (1, 3, 20, 70):
        outs = tuple(axis.out for axis in axes)
        shape = (2, *outs, channels)
        generator = np.random.default_rng(channels)
        winners = generator.integers(0, np.iinfo(winner_dtype).max, shape, winner_dtype, True)
        near = generator.random(shape) < 0.9
        taps = int(np.prod([axis.window for axis in axes]))
        winners[near] = generator.integers(0, taps + 3, near.sum())
        g = random(shape).astype(dtype)
        expected = reference.max_pool_grad(g.astype(np.float64), winners, axes)
        # A margin around the answer, which must stay as it is.
        sizes = tuple(axis.size for axis in axes)
        frame = np.full((2, *(size + 2 for size in sizes), channels), 7, dtype)
        last = [g, winners, frame]
        first = [channels_last(channels_first(array)) for array in last]
        for g, winners, frame in (last, first):
            inside = frame[:, 1:-1, 1:-1]
            views = [
                (a.view(np.uint16) if a.dtype == bfloat16 else a)[:, None] for a in (g, inside)
            ]
            _core.max_pool_grad(
                views[0], winners[:, None], views[1], core_pool(axes, "MAX"), NUMBERS[dtype]
            )
            close(inside, expected, dtype)
            frame[:, 1:-1, 1:-1] = 7
            assert (frame == 7).all()


def test_blocks_of_a_long_row_meet_without_a_seam():
    for channels in (1, 17):
        for case in (Pool((3,), (1,)), Pool((3,), (2,)), Pool((2,), (3,)), Pool((50,), (1,))):
            x = random((1, 9001, channels))
            axis = axes_of(case, (9001,), 1)
            g = random((1, axis[0].out, channels), seed=2)
            found = gradients.pool_grad(g, x, pooling_type="MAX", **case.options)
            winners = reference.pool_winners(x, axis)
            at = np.arange(axis[0].out)[None, :, None] * axis[0].stride - axis[0].pad_before
            expected = np.zeros(x.shape)
            np.add.at(expected, (0, at + winners, np.arange(channels)), g)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
            mean = gradients.pool_grad(g, x.shape, pooling_type="AVG", **case.options)
            expected = reference.avg_pool_grad(g.astype(np.float64), axis)
            np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------ bits and NaN


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_the_number_of_threads_changes_no_bit(data_format):
    threads = attar.get_num_threads()
    x = random((2, 70, 65, 35))
    x = channels_first(x) if data_format == "NCHW" else x
    try:
        for kind, (window, stride) in itertools.product(
            ("MAX", "AVG"), ((2, 2), (3, 2), (3, 1), (3, 3), (11, 1))
        ):
            y = pool(x, window, kind, stride, "SAME", data_format)
            g = random(y.shape, seed=1)
            found = []
            for count in (1, 2, 3):
                attar.set_num_threads(count)
                found.append(gradients.pool_grad(g, x, window, kind, stride, "SAME", data_format))
            for other in found[1:]:
                np.testing.assert_array_equal(found[0].view(np.int32), other.view(np.int32))
    finally:
        attar.set_num_threads(threads)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("channels", [1, 18])
@pytest.mark.parametrize("name", ["2x2/2", "3x3/2", "3x3/1", "4x4/4", "13x13/1"])
def test_what_is_not_finite_reaches_its_cells_and_no_other(name, channels, value):
    case = POOLS[name]
    x = random((1, 14, 40, channels))
    axes = axes_of(case, (14, 40))
    g = random((1, *(axis.out for axis in axes), channels), seed=2)
    g[0, g.shape[1] // 2, g.shape[2] // 2, 0] = value
    for data_format in ("NHWC", "NCHW"):
        first = data_format == "NCHW"
        arrays = [channels_first(a) if first else a for a in (g, x)]
        for kind in ("MAX", "AVG"):
            found = gradients.pool_grad(
                *arrays, pooling_type=kind, data_format=data_format, **case.options
            )
            found = channels_last(found) if first else found
            if kind == "MAX":
                expected = reference.max_pool_grad(g, reference.pool_winners(x, axes), axes)
            else:
                expected = reference.avg_pool_grad(g, axes)
            np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))


def test_the_gradient_of_a_nan_maximum_flows_to_the_nan():
    x = np.array([1, np.nan, 3, np.nan], np.float32).reshape(1, 4, 1)
    g = np.full((1, 1, 1), 5, np.float32)
    np.testing.assert_array_equal(
        gradients.max_pool_grad(g, x, 4, 4, "VALID").ravel(), [0, 5, 0, 0]
    )


# ------------------------------------------------------------------- arrays, shapes, messages


def test_strided_arrays_of_any_order():
    base = random((2, 24, 44, 36))
    for view in (base[:, ::2, ::-1], base[..., ::2], base.transpose(0, 2, 1, 3), base[..., 3:5]):
        y = pool(view, 3, "MAX", 2, "SAME")
        g = random((2 * y.shape[0], *y.shape[1:]), seed=1)[::-2]
        for kind in ("MAX", "AVG"):
            found = gradients.pool_grad(g, view, 3, kind, 2, "SAME")
            dense = gradients.pool_grad(g.copy(), view.copy(), 3, kind, 2, "SAME")
            np.testing.assert_array_equal(found, dense)
    spread = np.broadcast_to(np.float32(2), y.shape)
    np.testing.assert_array_equal(
        gradients.pool_grad(spread, view, 3, "AVG", 2, "SAME"),
        gradients.pool_grad(spread.copy(), view, 3, "AVG", 2, "SAME"),
    )


def test_one_image_without_a_batch_and_an_empty_batch():
    x = random((1, 9, 9, 3))
    g = random((1, 5, 5, 3), seed=1)
    one = gradients.max_pool_grad(g[0], x[0], (2, 2), 2, "SAME")
    np.testing.assert_array_equal(one, gradients.max_pool_grad(g, x, 2, 2, "SAME")[0])
    assert gradients.max_pool_grad(g[:0], x[:0], 2, 2, "SAME").shape == (0, 9, 9, 3)
    assert gradients.avg_pool_grad(g[:0], (0, 9, 9, 3), 2, 2, "SAME").shape == (0, 9, 9, 3)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("include_batch", [False, True])
@pytest.mark.parametrize("index", ["flat", "plane"])
def test_the_gradient_of_unpooling_is_gathered(index, include_batch, data_format):
    if index == "plane" and include_batch:
        return
    x = random((2, 6, 8, 3))
    x = channels_first(x) if data_format == "NCHW" else x
    y, where = max_pool_with_argmax(
        x, 2, 2, "VALID", data_format, include_batch_in_index=include_batch, index=index
    )
    g = random(x.shape, seed=1)
    found = gradients.max_unpool_grad(
        g, where, data_format, include_batch_in_index=include_batch, index=index
    )
    # Unpooling is linear; its windows do not overlap, so gathering is its transpose.
    whole = max_unpool(
        y, where, x.shape, data_format, include_batch_in_index=include_batch, index=index
    )
    np.testing.assert_allclose((found * y).sum(), (g * whole).sum(), rtol=1e-4)
    if index == "flat" and data_format == "NHWC" and not include_batch:
        np.testing.assert_array_equal(found, reference.max_unpool_grad(g, where))


def test_relu_grad_is_its_definition():
    for dtype in DTYPES:
        x, g = random((3, 50), seed=1).astype(dtype), random((3, 50), seed=2).astype(dtype)
        x[0, 0] = np.nan
        found = gradients.relu_grad(g, x)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, reference.relu_grad(g, x))


X, G = random((1, 6, 6, 2)), random((1, 3, 3, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradients.max_pool_grad(G[:, 1:], X, 2, 2, "VALID"), ShapeError,
         r"nn.max_pool_grad: grad must have the shape \(1, 3, 3, 2\)"),
        (lambda: gradients.max_pool_grad(G.astype(np.float64), X, 2, 2, "VALID"), DTypeError,
         "nn.max_pool_grad: input must be float64 like grad, got float32"),
        (lambda: gradients.max_pool_grad(G.astype(int), X.astype(int), 2, 2, "VALID"), DTypeError,
         "nn.max_pool_grad: grad must be float16, bfloat16, float32 or float64, got int64"),
        (lambda: gradients.max_pool_grad(G, X.shape, 2, 2, "VALID"), ShapeError, "rank"),
        (lambda: gradients.max_pool_grad(
            G, X.shape, 2, 2, "VALID", winners=np.zeros(G.shape, np.int8)
        ), DTypeError, "winners must be uint8 or uint16 or uint32 for windows of 4 cells"),
        (lambda: gradients.max_pool_grad(
            G, X.shape, 2, 2, "VALID", winners=np.zeros((1, 3, 3, 1), np.uint8)
        ), ShapeError, r"winners must have the shape of grad, \(1, 3, 3, 2\)"),
        (lambda: gradients.avg_pool_grad(G, (1, 6, -6, 2), 2, 2, "VALID"), ArgumentError,
         "input_shape must be an array or its shape"),
        (lambda: gradients.pool_grad(G, X, 2, "MEDIAN", 2), ArgumentError, "pooling_type must be"),
        (lambda: gradients.lp_pool_grad(G, X, 2, 2, "VALID", p=-1), ArgumentError, "p must be"),
        (lambda: gradients.fractional_max_pool_grad(G, X, [0, 2, 4, 7], [0, 2, 4, 6]),
         ArgumentError, "row_pooling_sequence must grow from 0 to the size, 6"),
        (lambda: gradients.max_unpool_grad(X, np.full(G.shape, 72)), ArgumentError,
         r"argmax must lie in \[0, 72\)"),
        (lambda: gradients.max_unpool_grad(X, np.zeros((2, 3, 3, 2), int)), ShapeError,
         "argmax must have the batch and the channels of grad"),
        (lambda: gradients.relu_grad(X, G), ShapeError, "grad must have the shape"),
    ],
)  # fmt: skip
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


HUGE = 10**9


def test_windows_and_steps_far_larger_than_the_image_cost_nothing():
    x = random((1, 7, 9, 2))
    g = random((1, 1, 1, 2), seed=1)
    for strides, padding in ((HUGE, "SAME"), (HUGE, "SAME")):
        mean = gradients.avg_pool_grad(g, x.shape, HUGE, strides, padding)
        np.testing.assert_allclose(mean, np.broadcast_to(g / 63, x.shape), rtol=1e-6)
        largest = gradients.max_pool_grad(g, x, HUGE, strides, padding)
        np.testing.assert_array_equal(largest, np.where(x == x.max((1, 2)), g, 0))
    same = gradients.max_pool_grad(x, x, 3, 1, "SAME", dilations=HUGE)
    np.testing.assert_array_equal(same, x)


def test_the_axis_of_one_cell():
    axis = Axis(1, 1, 1, 1, 0, 0, 1)
    g = random((3, 1, 1, 5))
    np.testing.assert_array_equal(gradients.max_pool_grad(g, g, axis.window, 1, "VALID"), g)
    np.testing.assert_array_equal(gradients.lp_pool_grad(g, abs(g) + 1, 1, 1, "VALID"), g)
    assert lp_pool(g, 1, 1, "VALID").shape == g.shape
