"""Filter, detect, condense and back: against the definition in float64, and against autograd."""

import numpy as np
import pytest

import attar
from attar import nn, reference
from attar.arrays import copy_into
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.geometry import conv_axes, pool_axes
from attar.nn import conv_gradients, conv_winners

from .cases import CONVS, Conv, random

# Of gradients, relative to the largest of them: sums of many products, some by Winograd's tiles.
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
POOLS = {
    "none": {"pooling_type": None},
    "2x2/2": {},
    "3x3/2 same": {"window_shape": 3, "pool_strides": 2},
    "2x3/1 padded": {
        "window_shape": (2, 3),
        "pool_strides": 1,
        "pool_padding": [[1, 0], [1, 2]],
    },
    "2x2/3": {"pool_strides": 3, "pool_padding": "VALID"},
}
CASES = {
    name: CONVS[name]
    for name in (
        "gray 5x5 explicit", "gray stride over window", "gray dilated stride", "rgb to 64",
        "rgb to 40 stride 2", "17 to 19", "1x1 64 to 48", "2 groups of many", "depthwise",
        "filter as large as image", "one pixel 3x3",
    )
} | {
    "winograd": Conv((2, 14, 15, 24), (3, 3, 24, 32)),
    "winograd, uneven padding": Conv((1, 17, 11, 24), (3, 3, 24, 20), padding=((0, 2), (2, 0))),
    "winograd, no padding": Conv((1, 14, 13, 40), (3, 3, 40, 33), padding="VALID"),
    "100 channels": Conv((1, 9, 8, 100), (3, 3, 100, 5)),
    "wide and far apart": Conv((1, 11, 90, 4), (3, 3, 4, 20), dilations=(4, 9)),
}  # fmt: skip


def operands(case, dtype):
    x, filters = random(case.shape, dtype), random(case.filters, dtype, 1)
    return x, filters, random(case.filters[3:], dtype, 2)


def definition(case, pool, x, filters, bias, relu):
    """Return the answer, and the function from its gradient to the three gradients."""
    x, filters, bias = (array.astype(np.float64) for array in (x, filters, bias))
    axes = conv_axes(
        "test", case.shape[1:3], case.filters[:2], case.strides, case.dilations, case.padding
    )
    maps = reference.conv(x, filters, axes, bias)
    if pool.get("pooling_type", "MAX") is None:
        return (reference.relu(maps) if relu else maps), lambda g: reference.conv_grad(
            reference.relu_grad(g, maps) if relu else g, x, filters, axes
        )
    window = np.broadcast_to(pool.get("window_shape", 2), 2)
    strides = np.broadcast_to(pool.get("pool_strides") or window, 2)
    padding = pool.get("pool_padding", "SAME")
    over = pool_axes(
        "test", [axis.out for axis in axes], tuple(map(int, window)), tuple(map(int, strides)),
        (1, 1), padding if isinstance(padding, str) else tuple(map(tuple, padding)), False,
    )  # fmt: skip
    winners = reference.pool_winners(maps, over)
    pooled = reference.pool(maps, over, "MAX")

    def grads(g):
        g = reference.relu_grad(g, pooled) if relu else g
        return reference.conv_grad(reference.max_pool_grad(g, winners, over), x, filters, axes)

    return (reference.relu(pooled) if relu else pooled), grads


def close(actual, expected, dtype):
    assert actual.shape == expected.shape
    assert actual.dtype == dtype
    assert abs(actual - expected).max() <= TOLERANCE[dtype] * max(1, abs(expected).max())


def first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", CASES)
def test_extract_grad_is_its_definition(name, pool, dtype):
    case, pool = CASES[name], POOLS[pool]
    relu = dtype == np.float32 or name.startswith("winograd")
    options = {**case.options, **pool, "activation": "relu" if relu else None}
    x, filters, bias = operands(case, dtype)
    try:
        output, winners = nn.extract_with_winners(x, filters, bias, **options)
    except ShapeError:
        pytest.skip("a map smaller than the window")
    expected, grads = definition(case, pool, x, filters, bias, relu)
    close(output, expected, dtype)
    g = random(output.shape, dtype, 3)
    wanted = grads(g.astype(np.float64))
    for actual, one in zip(nn.extract_grad(g, x, filters, winners, **options), wanted, strict=True):
        close(actual, one, dtype)
    # Channels first: the same windows win, and get the same.
    options["data_format"] = "NCHW"
    output_first, winners_first = nn.extract_with_winners(first(x), filters, bias, **options)
    close(output_first, first(expected), dtype)
    if winners is None:
        assert winners_first is None
    elif winners.dtype.kind == "u":
        np.testing.assert_array_equal(winners_first, first(winners))
    back = nn.extract_grad(first(g), first(x), filters, winners_first, **options)
    for actual, one in zip(back, (first(wanted[0]), *wanted[1:]), strict=True):
        close(actual, one, dtype)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("size", [1, 12_000])
def test_bands_are_computed_as_the_whole_is(pool, size, monkeypatch):
    case, pool = Conv((3, 21, 15, 24), (3, 3, 24, 32)), POOLS[pool]
    x, filters, bias = operands(case, np.float64)
    answers = []
    for band_bytes in (conv_winners.BAND_BYTES, size):
        for module in (conv_winners, conv_gradients):
            monkeypatch.setattr(module, "BAND_BYTES", band_bytes)
        output, winners = nn.extract_with_winners(x, filters, bias, **pool)
        g = random(output.shape, np.float64, 3)
        answers.append([output, *nn.extract_grad(g, x, filters, winners, **pool)])
    for one, same in zip(*answers, strict=True):
        close(one, same, np.float64)


@pytest.mark.parametrize("name", ["rgb to 64", "17 to 19", "depthwise", "winograd"])
def test_conv2d_grad_is_its_definition(name):
    case = CASES[name]
    x, filters, bias = operands(case, np.float64)
    answer, grads = definition(case, {"pooling_type": None}, x, filters, bias, relu=False)
    g = random(answer.shape, np.float64, 3)
    for actual, expected in zip(
        nn.conv2d_grad(g, x, filters, **case.options), grads(g), strict=True
    ):
        close(actual, expected, np.float64)


def test_gradients_do_not_depend_on_the_number_of_threads():
    case = Conv((1, 60, 90, 24), (3, 3, 24, 128))
    x, filters, bias = operands(case, np.float32)
    found = []
    for threads in (1, 2, 5):
        before = attar.get_num_threads()
        attar.set_num_threads(threads)
        try:
            for padding in ("SAME", "VALID"):
                options = {"strides": 1 if padding == "SAME" else 2, "padding": padding}
                output, winners = nn.extract_with_winners(x, filters, bias, **options)
                grads = nn.extract_grad(output, x, filters, winners, **options)
                found.append([output, winners, *grads])
        finally:
            attar.set_num_threads(before)
    for other in range(2, len(found)):
        for one, same in zip(found[other], found[other % 2], strict=True):
            np.testing.assert_array_equal(one, same)


def test_windows_of_more_than_255_cells_have_winners_of_two_bytes():
    x = random((1, 40, 40, 2), np.float32)
    kernel = np.ones((1, 1, 2, 3), np.float32)
    options = {"window_shape": 16, "pool_padding": "VALID"}
    _, winners = nn.extract_with_winners(x, kernel, **options)
    assert winners.dtype == np.uint16
    _, winners = nn.extract_with_winners(x, kernel, window_shape=15)
    assert winners.dtype == np.uint8
    output, winners = nn.extract_with_winners(x, -abs(kernel) * 1e3, -np.ones(3, np.float32) * 1e6,
                                              **options)  # fmt: skip
    assert not output.any()
    assert (winners == 65535).all()
    grads = nn.extract_grad(output + 1, x, kernel, winners, **options)
    assert not any(grad.any() for grad in grads)


def test_infinite_gradients_stay_with_their_window():
    x = random((1, 8, 8, 3), np.float32)
    kernel = random((3, 3, 3, 2), np.float32, 1)
    options = {"pooling_type": None, "activation": None}
    g = np.zeros((1, 8, 8, 2), np.float32)
    g[0, 4, 4, 0] = np.inf
    touched = ~np.isfinite(nn.extract_grad(g, x, kernel, None, **options).input)
    expected = np.zeros((1, 8, 8, 3), bool)
    expected[0, 3:6, 3:6] = True
    np.testing.assert_array_equal(touched, expected)


def test_only_what_is_needed_is_computed():
    x, filters = random((1, 8, 8, 3), np.float32), random((3, 3, 3, 4), np.float32, 1)
    output, winners = nn.extract_with_winners(x, filters)
    everything = nn.extract_grad(output, x, filters, winners)
    for name in ("input", "filters", "bias"):
        one = nn.extract_grad(output, x, filters, winners, needs=[name])
        np.testing.assert_array_equal(getattr(one, name), getattr(everything, name))
        assert sum(grad is not None for grad in one) == 1


def test_no_images_have_gradients_of_zero():
    x, filters = np.zeros((0, 8, 8, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    output, winners = nn.extract_with_winners(x, filters)
    assert output.shape == winners.shape == (0, 4, 4, 4)
    grads = nn.extract_grad(output, x, filters, winners)
    assert grads.input.shape == x.shape
    assert not grads.filters.any()
    assert not grads.bias.any()


def test_strange_memory_is_read_as_it_is():
    case = CASES["17 to 19"]
    x, filters, bias = operands(case, np.float32)
    output, winners = nn.extract_with_winners(x, filters, bias)
    expected = nn.extract_grad(output, x, filters, winners)
    wide = np.repeat(x, 2, axis=2)[:, :, ::2]
    turned = np.asfortranarray(filters)
    read_only = winners.copy()
    read_only.flags.writeable = False
    broad = np.repeat(output, 2, axis=3)[..., ::2]
    for one, same in zip(nn.extract_grad(broad, wide, turned, read_only), expected, strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_copies_between_layouts_are_copies(dtype):
    rng = np.random.default_rng(0)
    for shape in ((3, 40, 61, 17), (2, 3, 90, 70), (1, 1, 200, 130), (5, 64, 33, 48), (2, 9000, 1)):
        source = (100 * rng.random(shape)).astype(dtype)
        for axes in (np.roll(range(len(shape)), 1), [0, *range(len(shape) - 1, 0, -1)]):
            turned = source.transpose(axes)
            for given in (turned, turned[::-1], np.repeat(turned, 2, axis=-1)[..., ::2]):
                target = np.full(given.shape, 7, dtype)
                copy_into(target, given)
                np.testing.assert_array_equal(target, given)
                back = np.full(source.shape, 7, dtype)
                copy_into(back.transpose(axes), given)
                np.testing.assert_array_equal(back.transpose(axes), given)


def test_memory_that_the_core_cannot_address_is_copied_all_the_same():
    packed = np.zeros(40_000, [("flag", np.uint8), ("value", np.float32)])["value"]
    source = np.arange(40_000, dtype=np.float32)
    copy_into(packed, source)
    np.testing.assert_array_equal(packed, source)
    back = np.zeros_like(source)
    copy_into(back, packed)
    np.testing.assert_array_equal(back, source)


@pytest.mark.parametrize("pooling_type", ["AVG", "LP", 3, "max pool"])
def test_only_maxima_have_winners(pooling_type):
    x, filters = np.zeros((1, 4, 4, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(ArgumentError, match=r"pooling_type must be 'MAX'.* or None"):
        nn.extract_with_winners(x, filters, pooling_type=pooling_type)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"grad": np.zeros((1, 4, 4, 2), np.float32)}, ShapeError, r"grad must have the shape"),
        ({"grad": np.zeros((1, 2, 2, 2))}, DTypeError, r"input must be float64 like grad"),
        ({"winners": None}, DTypeError, r"winners must be .* uint8 .* got None"),
        ({"winners": np.zeros((1, 2, 2, 2), np.int64)}, DTypeError, r"winners must be .* uint8"),
        ({"winners": np.zeros((1, 2, 1, 2), np.uint8)}, ShapeError, r"winners must be .* uint8"),
        ({"needs": ["weights"]}, ArgumentError, r"needs must be some of 'input'"),
        ({"filters": np.zeros((3, 3, 5, 2), np.float32)}, ShapeError, r".*third number must be 3"),
    ],
)
def test_what_does_not_fit_is_named(change, error, message):
    given = {
        "grad": np.zeros((1, 2, 2, 2), np.float32),
        "input": np.zeros((1, 4, 4, 3), np.float32),
        "filters": np.zeros((3, 3, 3, 2), np.float32),
        "winners": np.zeros((1, 2, 2, 2), np.uint8),
    }
    with pytest.raises(error, match=r"nn\.extract_grad: " + message):
        nn.extract_grad(**{**given, **change})


def test_cells_that_no_window_has_get_nothing():
    x, filters = np.ones((1, 4, 4, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
    g = np.ones((1, 3, 3, 1), np.float32)
    options = {"window_shape": 2, "pool_padding": [[1, 1], [1, 1]]}
    winners = np.full(g.shape, 200, np.uint8)
    winners[0, 0, 0] = 0  # on the padding
    grads = nn.extract_grad(g, x, filters, winners, **options)
    assert not grads.filters.any()
    assert not grads.bias.any()


@pytest.mark.parametrize("pooling_type", ["MAX", None])
def test_gradients_are_those_of_autograd(pooling_type):
    torch = pytest.importorskip("torch")
    x, filters, bias = operands(CASES["winograd"], np.float32)
    output, winners = nn.extract_with_winners(x, filters, bias, pooling_type=pooling_type)
    g = random(output.shape, np.float32, 3)
    leaves = [
        torch.tensor(array, requires_grad=True)
        for array in (first(x), filters.transpose(3, 2, 0, 1).copy(), bias)
    ]
    maps = torch.relu(torch.nn.functional.conv2d(*leaves, padding=1))
    answer = (
        maps if pooling_type is None else torch.nn.functional.max_pool2d(maps, 2, ceil_mode=True)
    )
    answer.backward(torch.tensor(first(g)))
    grads = nn.extract_grad(g, x, filters, winners, pooling_type=pooling_type)
    for actual, leaf in zip(
        (first(grads.input), grads.filters.transpose(3, 2, 0, 1), grads.bias), leaves, strict=True
    ):
        close(np.ascontiguousarray(actual), leaf.grad.numpy(), np.float32)
