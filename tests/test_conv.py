"""Convolutions with packed filters: every path against the definition in float64."""

from dataclasses import dataclass

import numpy as np
import pytest

from attar import _core, reference
from attar.geometry import Axis, conv_axes, pool_axes

from .cases import random

WINOGRAD = ["WINOGRAD2", "WINOGRAD4"]
PATHS = ["DIRECT", *WINOGRAD]
DTYPES = [np.float32, np.float64]

# Largest error of an answer, relative to the sum of the magnitudes under its window.
DIRECT_TOLERANCE = {np.float32: 1e-6, np.float64: 2e-15}
# A tile shares its errors: largest error relative to the largest such sum of the map.
WINOGRAD_TOLERANCE = {
    ("WINOGRAD2", np.float32): 1e-6, ("WINOGRAD2", np.float64): 4e-15,
    ("WINOGRAD4", np.float32): 2e-6, ("WINOGRAD4", np.float64): 8e-15,
}  # fmt: skip
# Root of the mean squared error of a layer of 256 channels, relative to that of its answer.
# Measured: 6.0e-7, 4.3e-7 and 1.3e-6. For 64 channels 3.1e-7, 2.3e-7 and 7.0e-7; for 512 channels
# 8.5e-7, 5.9e-7 and 1.8e-6.
RMS_ERROR = {"DIRECT": 8e-7, "WINOGRAD2": 6e-7, "WINOGRAD4": 1.6e-6}

CHANNELS = [(1, 1), (3, 5), (5, 16), (16, 17), (17, 63), (63, 64), (64, 100), (100, 3), (3, 64)]
POOLS = {
    "none": None,
    "2x2/2": ((2, 2), (2, 2), ((0, 0), (0, 0))),
    "3x3/2 pad 1": ((3, 3), (2, 2), ((1, 1), (1, 1))),
    "3x2/1": ((3, 2), (1, 1), ((0, 0), (0, 0))),
}


@dataclass(frozen=True)
class Case:
    shape: tuple[int, int, int, int]
    filters: tuple[int, int, int, int]  # kh, kw, C / groups, K
    padding: tuple[tuple[int, int], tuple[int, int]] = ((1, 1), (1, 1))
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)

    @property
    def groups(self):
        return self.shape[3] // self.filters[2]

    @property
    def axes(self):
        return conv_axes(
            "test", self.shape[1:3], self.filters[:2], self.strides, self.dilations, self.padding
        )


CASES = {
    "1x1": Case((2, 7, 9, 40), (1, 1, 40, 24), ((0, 0), (0, 0))),
    "1x1 stride 2": Case((1, 9, 8, 16), (1, 1, 16, 32), ((0, 0), (0, 0)), (2, 2)),
    "3x3": Case((2, 13, 29, 8), (3, 3, 8, 40)),
    "3x3 wide": Case((1, 3, 700, 4), (3, 3, 4, 16)),
    "3x3 tall": Case((1, 300, 2, 4), (3, 3, 4, 16)),
    "3x3 stride 2": Case((1, 17, 15, 20), (3, 3, 20, 33), strides=(2, 2)),
    "3x3 stride 2 of 256": Case((1, 8, 33, 256), (3, 3, 256, 16), strides=(2, 2)),
    "3x3 of 512": Case((1, 5, 16, 512), (3, 3, 512, 16)),
    "3x3 dilated": Case((1, 15, 16, 6), (3, 3, 6, 20), ((2, 2), (3, 3)), dilations=(2, 3)),
    "3x3 far apart": Case((1, 20, 21, 6), (3, 3, 6, 20), ((9, 9), (9, 9)), dilations=(9, 9)),
    "3x3 uneven padding": Case((1, 8, 9, 5), (3, 3, 5, 18), ((0, 2), (2, 0))),
    "3x3 window of padding": Case((1, 2, 3, 5), (3, 3, 5, 18), ((2, 2), (2, 2))),
    "2x5": Case((1, 11, 12, 7), (2, 5, 7, 16), ((1, 0), (2, 2)), (1, 2)),
    "5x5": Case((1, 14, 15, 12), (5, 5, 12, 32), ((2, 2), (2, 2))),
    "7x7 stride 2": Case((1, 32, 31, 3), (7, 7, 3, 64), ((3, 3), (3, 3)), (2, 2)),
    "groups": Case((2, 9, 10, 24), (3, 3, 8, 60)),
    "1 pixel": Case((1, 1, 1, 9), (1, 1, 9, 3), ((0, 0), (0, 0))),
}


def core_axes(axes):
    return [_core.Axis(*axis) for axis in axes]


def core_pool(axes, pool, kind):
    """Return the pool over a convolution's map: for the core, and its axes for the definition."""
    sizes = [axis.out for axis in axes]
    if pool is None:
        over = [Axis(size, 1, 1, 1, 0, 0, size) for size in sizes]
        kind = "NONE"
    else:
        window, strides, padding = pool
        over = pool_axes("test", sizes, window, strides, (1, 1), padding, False)
    one = _core.Axis(1, 1, 1, 1, 0, 0, 1)
    return _core.Pool(one, *core_axes(over), kind, False, 2.0), over


def convolve(path, x, filters, bias, axes, pool=None, kind="MAX", relu=True, groups=1, out=None):
    """Run one path over (N, H, W, C)."""
    packed = _core.PackedConvolution(filters, bias, groups, path)
    over, pooled = core_pool(axes, pool, kind)
    if out is None:
        shape = (len(x), *(axis.out for axis in pooled), filters.shape[3])
        out = np.full(shape, np.nan, x.dtype)
    packed.run(x[:, None], out[:, None], *core_axes(axes), over, relu)
    return out


def definition(x, filters, bias, axes, pool=None, kind="MAX", relu=True):
    """Return the answer in float64, and the sums of the magnitudes that were added up."""
    wide = [array.astype(np.float64) for array in (x, filters, bias)]
    answer = reference.conv(wide[0], wide[1], axes, wide[2])
    scale = reference.conv(abs(wide[0]), abs(wide[1]), axes, abs(wide[2]))
    if relu:
        answer = reference.relu(answer)
    if pool is not None:
        _, over = core_pool(axes, pool, kind)
        answer = reference.pool(answer, over, kind)
        scale = reference.pool(scale, over, "MAX")
    return answer, scale


def operands(shape, filters, dtype):
    return random(shape, dtype), random(filters, dtype, 1), random(filters[3:], dtype, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", CASES)
def test_direct_is_its_definition(name, pool, dtype):
    case = CASES[name]
    if pool != "none" and min(axis.out for axis in case.axes) < 3:
        pytest.skip("a map smaller than the window")
    x, f, bias = operands(case.shape, case.filters, dtype)
    relu, kind = dtype == np.float32, "AVG" if pool == "3x2/1" else "MAX"
    options = (POOLS[pool], kind, relu)
    actual = convolve("DIRECT", x, f, bias, case.axes, *options, case.groups)
    expected, scale = definition(x, f, bias, case.axes, *options)
    assert actual.shape == expected.shape
    assert (abs(actual - expected) <= DIRECT_TOLERANCE[dtype] * scale).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("channels", "count"), CHANNELS)
@pytest.mark.parametrize("path", PATHS)
def test_any_number_of_channels(path, channels, count, dtype):
    case = Case((2, 7, 10, channels), (3, 3, channels, count))
    x, f, bias = operands(case.shape, case.filters, dtype)
    actual = convolve(path, x, f, bias, case.axes)
    expected, scale = definition(x, f, bias, case.axes)
    tolerance = WINOGRAD_TOLERANCE.get((path, dtype), DIRECT_TOLERANCE[dtype])
    assert (abs(actual - expected) <= tolerance * scale.max()).all()


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize("pool", ["none", "2x2/2"])
@pytest.mark.parametrize("padding", [((1, 1), (1, 1)), ((0, 0), (0, 0)), ((0, 1), (2, 0))])
@pytest.mark.parametrize("size", [(3, 3), (4, 9), (13, 6), (30, 41)])
@pytest.mark.parametrize("path", WINOGRAD)
def test_winograd_is_its_definition(path, size, padding, pool, kind):
    case = Case((2, *size, 20), (3, 3, 10, 44), padding)
    if pool != "none" and min(axis.out for axis in case.axes) < 2:
        pytest.skip("a map smaller than the window")
    x, f, bias = operands(case.shape, case.filters, np.float32)
    options = (POOLS[pool], kind, kind == "MAX")
    actual = convolve(path, x, f, bias, case.axes, *options, case.groups)
    expected, scale = definition(x, f, bias, case.axes, *options)
    assert actual.shape == expected.shape
    assert (abs(actual - expected) <= WINOGRAD_TOLERANCE[path, np.float32] * scale.max()).all()


@pytest.mark.parametrize("path", WINOGRAD)
def test_windows_of_a_pool_that_hang_over_the_edge(path):
    case = Case((1, 7, 9, 6), (3, 3, 6, 20))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    hanging = ((2, 2), (2, 2), ((0, 1), (0, 1)))
    for kind in ("MAX", "AVG"):
        actual = convolve(path, x, f, bias, case.axes, hanging, kind)
        expected, scale = definition(x, f, bias, case.axes, hanging, kind)
        assert actual.shape == (1, 4, 5, 20)
        assert (abs(actual - expected) <= 1e-6 * scale.max()).all()


@pytest.mark.parametrize("path", PATHS)
def test_error_of_a_deep_layer(path):
    """On rectified maps, with weights of the size that trained ones have."""
    case = Case((1, 28, 28, 256), (3, 3, 256, 64))
    x = np.maximum(random(case.shape, np.float32), 0)
    f = random(case.filters, np.float32, 1) / np.float32(48)
    bias = np.zeros(64, np.float32)
    actual = convolve(path, x, f, bias, case.axes, relu=False)
    flat = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(np.float64), (3, 3), (1, 2)
    )
    expected = np.einsum("nyxcij,ijck->nyxk", flat, f.astype(np.float64), optimize=True)
    error = np.sqrt(np.square(actual - expected).mean() / np.square(expected).mean())
    assert error <= RMS_ERROR[path]
    assert abs(actual - expected).max() <= 4 * RMS_ERROR[path] * abs(expected).max()


@pytest.mark.parametrize("pool", ["none", "2x2/2", "3x3/2 pad 1"])
@pytest.mark.parametrize("path", PATHS)
def test_bits_do_not_depend_on_the_number_of_threads(path, pool):
    if path != "DIRECT" and pool == "3x3/2 pad 1":
        pytest.skip("not pooled in tiles")
    threads = _core.get_num_threads()
    for shape, count in [((1, 61, 70, 3), 64), ((2, 33, 40, 48), 96), ((1, 9, 9, 200), 150)]:
        case = Case(shape, (3, 3, shape[3], count))
        x, f, bias = operands(case.shape, case.filters, np.float32)
        answers = []
        try:
            for number in (1, 2, 5):
                _core.set_num_threads(number)
                answers.append(convolve(path, x, f, bias, case.axes, POOLS[pool]))
        finally:
            _core.set_num_threads(threads)
        np.testing.assert_array_equal(answers[0], answers[1])
        np.testing.assert_array_equal(answers[0], answers[2])


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize("path", PATHS)
def test_a_fused_pool_has_the_bits_of_a_pool_behind_it(path, kind):
    case = Case((1, 22, 17, 24), (3, 3, 24, 40))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    _, over = core_pool(case.axes, POOLS["2x2/2"], kind)
    fused = convolve(path, x, f, bias, case.axes, POOLS["2x2/2"], kind)
    maps = convolve(path, x, f, bias, case.axes)
    pooled = np.empty_like(fused)
    pool, _ = core_pool(case.axes, POOLS["2x2/2"], kind)
    _core.pool(maps[:, None], pooled[:, None], pool, 0)
    assert over[0].out == fused.shape[1]
    np.testing.assert_array_equal(fused, pooled)


@pytest.mark.parametrize("path", PATHS)
def test_a_batch_is_its_images(path):
    case = Case((3, 12, 11, 33), (3, 3, 33, 20))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    together = convolve(path, x, f, bias, case.axes, POOLS["2x2/2"])
    for i in range(3):
        alone = convolve(path, x[i : i + 1], f, bias, case.axes, POOLS["2x2/2"])
        np.testing.assert_array_equal(together[i : i + 1], alone)


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_batch_is_empty(path):
    case = Case((0, 12, 11, 33), (3, 3, 33, 20))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    assert convolve(path, x, f, bias, case.axes).shape == (0, 12, 11, 20)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("path", PATHS)
def test_where_numbers_that_are_not_finite_spread(path, value):
    """The direct path keeps them to the windows that see them; Winograd's to their tiles."""
    case = Case((1, 24, 24, 8), (3, 3, 8, 16))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    clean = convolve(path, x, f, bias, case.axes, relu=False)
    x[0, 10, 13, 5] = value
    actual = convolve(path, x, f, bias, case.axes, relu=False)
    reached = np.zeros((24, 24), bool)
    tile = {"DIRECT": 1, "WINOGRAD2": 2, "WINOGRAD4": 4}[path]
    seen = [slice((at - 1) // tile * tile, (at + 1) // tile * tile + tile) for at in (10, 13)]
    reached[seen[0], seen[1]] = True
    np.testing.assert_array_equal(actual[0][~reached], clean[0][~reached])
    assert not np.isfinite(actual[0, 9:12, 12:15]).any()
    pooled = convolve(path, x, f, bias, case.axes, POOLS["2x2/2"])
    assert np.isnan(pooled[0, 5, 6]).any()


def test_direct_reads_any_layout():
    case = Case((2, 12, 13, 24), (3, 3, 8, 48), strides=(1, 2))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    expected = convolve("DIRECT", x, f, bias, case.axes, groups=3)
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    spread = np.repeat(np.repeat(x, 2, axis=2), 3, axis=3)[:, :, ::2, ::3]
    backwards = x[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    for array in (first, spread, backwards):
        assert not array.flags.c_contiguous
        actual = convolve("DIRECT", array, f, bias, case.axes, groups=3)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("pool", ["none", "2x2/2"])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_written_beside_the_answer(path, pool):
    case = Case((2, 11, 14, 5), (3, 3, 5, 19))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    expected = convolve(path, x, f, bias, case.axes, POOLS[pool])
    n, height, width, count = expected.shape
    around = np.full((n, height + 2, width + 2, count + 3), 7, np.float32)
    inner = around[:, 1:-1, 1:-1, 1:-2]
    convolve(path, x, f, bias, case.axes, POOLS[pool], out=inner)
    np.testing.assert_array_equal(inner, expected)
    around[:, 1:-1, 1:-1, 1:-2] = 7
    assert (around == 7).all()


@pytest.mark.parametrize("path", PATHS)
def test_no_bias_is_a_bias_of_0(path):
    case = Case((1, 9, 9, 12), (3, 3, 12, 20))
    x, f, _ = operands(case.shape, case.filters, np.float32)
    zeros = convolve(path, x, f, np.zeros(20, np.float32), case.axes)
    np.testing.assert_array_equal(convolve(path, x, f, None, case.axes), zeros)


def choice(size, channels, count, images=1, pool=None, **options):
    case = Case((images, size, size, channels), (3, 3, channels, count), **options)
    over, _ = core_pool(case.axes, pool, "MAX")
    return _core.fastest_path(images, channels, count, 1, *core_axes(case.axes), over)


def test_the_fastest_path_follows_the_shape():
    assert choice(56, 64, 64) == "WINOGRAD4"
    assert choice(56, 64, 64, pool=POOLS["2x2/2"]) == "WINOGRAD4"
    assert choice(224, 1, 16) == "DIRECT"  # transforms cost more than the products they save
    assert choice(1, 512, 512) == "DIRECT"  # one pixel of a tile
    assert choice(7, 512, 512) == "WINOGRAD2"  # bound by the reading of the filters
    assert choice(7, 512, 512, images=8) == "WINOGRAD4"
    assert choice(56, 64, 64, strides=(2, 2)) == "DIRECT"
    assert choice(56, 64, 64, dilations=(2, 2)) == "DIRECT"
    assert choice(56, 64, 64, pool=POOLS["3x3/2 pad 1"]) == "DIRECT"


def test_memory_is_stated():
    case = Case((1, 56, 56, 64), (3, 3, 64, 128))
    _, f, bias = operands(case.shape, case.filters, np.float32)
    over, _ = core_pool(case.axes, None, "MAX")
    numbers = {"DIRECT": 9 * 64 * 128, "WINOGRAD2": 16 * 64 * 128, "WINOGRAD4": 36 * 64 * 128}
    for path in PATHS:
        packed = _core.PackedConvolution(f, bias, 1, path)
        assert packed.path == path
        assert packed.nbytes == 4 * (numbers[path] + 128)
        workspace = packed.workspace(1, *core_axes(case.axes), over)
        assert 0 < workspace <= _core.get_num_threads() * 2**20 + 2**24


def refused(message):
    return pytest.raises(ValueError, match=message)


def test_what_does_not_fit_is_refused():
    case = Case((1, 8, 8, 4), (3, 3, 4, 16))
    x, f, bias = operands(case.shape, case.filters, np.float32)
    strided = Case(case.shape, case.filters, strides=(2, 2))
    with refused("an unknown path"):
        convolve("FFT", x, f, bias, case.axes)
    with refused("take filters of 3 x 3"):
        convolve("WINOGRAD4", x, f[:1], bias, case.axes)
    with refused("no strides and dilations"):
        convolve("WINOGRAD4", x, f, bias, strided.axes)
    with refused("pooled 2 x 2"):
        convolve("WINOGRAD2", x, f, bias, case.axes, POOLS["3x3/2 pad 1"])
    with refused("adjacent channels"):
        convolve("WINOGRAD2", np.repeat(x, 2, axis=3)[..., ::2], f, bias, case.axes)
    with refused("groups do not fit"):
        convolve("DIRECT", x, f, bias, case.axes, groups=3)
    with refused("bias does not fit"):
        convolve("DIRECT", x, f, bias[:-1], case.axes)
    with refused("channels do not fit"):
        convolve("DIRECT", x[..., :2], f, bias, case.axes)
    with refused("axes do not fit the filters"):
        convolve("DIRECT", x, f[:2], bias, case.axes)
    with refused("axes do not fit the input"):
        convolve("DIRECT", x[:, 1:], f, bias, case.axes)
    with refused("axes do not fit the output"):
        convolve("DIRECT", x, f, bias, case.axes, out=np.empty((1, 7, 8, 16), np.float32))
    with refused("differ in their number of images"):
        convolve("DIRECT", x, f, bias, case.axes, out=np.empty((2, 8, 8, 16), np.float32))
    with refused("output with adjacent channels"):
        out = np.empty((1, 8, 8, 32), np.float32)[..., ::2]
        convolve("DIRECT", x, f, bias, case.axes, out=out)
    far = [axis._replace(dilation=2**35, pad_before=2**35, pad_after=2**35) for axis in case.axes]
    with refused("reach too far"):
        convolve("DIRECT", x, f, bias, far)
    with refused("dtype"):
        convolve("DIRECT", x.astype(np.float64), f, bias, case.axes)
    with refused("float32 or float64"):
        convolve("DIRECT", x, f.astype(np.float16), None, case.axes)
