"""conv2d, relu, pool and extract against their definition, on the instruction set in use."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attar
from attar import nn, reference
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.geometry import conv_axes, parse_padding, pool_axes

from .cases import CONVS, EXTRACT_POOLS, POOL_SHAPES, POOLS, Conv, Pool, fits, random

DTYPES = [np.float32, np.float64]
CONV_TOLERANCE = {np.float32: 1e-5, np.float64: 1e-13}
MEAN_TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}


def channels_first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def axes_of(case, sizes, dims=2):
    if isinstance(case, Conv):
        return conv_axes(
            "test", sizes, case.filters[:2], case.strides, case.dilations,
            parse_padding("test", "padding", case.padding, dims, False),
        )  # fmt: skip
    return pool_axes(
        "test", sizes, case.window, case.strides, case.dilations or (1,) * dims,
        parse_padding("test", "padding", case.padding, dims, False),
        case.flags.get("ceil_mode", False),
    )  # fmt: skip


def assert_convs_close(convs, case, x, f, bias):
    """Error relative to the sum of the magnitudes that were added up."""
    axes = axes_of(case, case.shape[1:3])
    wide = [a.astype(np.float64) for a in (x, f, bias)]
    expected = reference.conv(wide[0], wide[1], axes, wide[2])
    scale = reference.conv(abs(wide[0]), abs(wide[1]), axes, abs(wide[2]))
    for actual in convs:
        assert actual.dtype == x.dtype
        assert actual.shape == expected.shape
        assert (abs(actual - expected) <= CONV_TOLERANCE[x.dtype.type] * scale).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONVS)
def test_conv2d_is_its_definition(name, dtype):
    case = CONVS[name]
    x, f = random(case.shape, dtype), random(case.filters, dtype, 1)
    bias = random(case.filters[3:], dtype, 2)
    last = nn.conv2d(x, f, **case.options, bias=bias)
    options = dict(case.options)
    if not isinstance(case.padding, str) and len(case.padding) == 4:
        options["padding"] = [case.padding[i] for i in (0, 3, 1, 2)]
    first = nn.conv2d(channels_first(x), f, **options, data_format="NCHW", bias=bias)
    assert_convs_close([last, channels_last(first)], case, x, f, bias)


def assert_pools_are_reference(pools, x, axes, kind, flags):
    expected = reference.pool(
        x.astype(np.float64) if kind == "AVG" else x, axes, kind,
        flags.get("count_include_pad", False),
    )  # fmt: skip
    for actual in pools:
        assert actual.dtype == x.dtype
        if kind == "MAX":
            np.testing.assert_array_equal(actual, expected)
        else:
            tolerance = MEAN_TOLERANCE[x.dtype.type] * 5
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize("name", POOLS)
def test_pool_is_its_definition(name, kind, dtype):
    case = POOLS[name]
    for shape in POOL_SHAPES:
        if not fits(case, shape[1:3]):
            continue
        x = random(shape, dtype)
        axes = axes_of(case, shape[1:3])
        last = nn.pool(x, pooling_type=kind, **case.options)
        first = nn.pool(channels_first(x), pooling_type=kind, data_format="NCHW", **case.options)
        assert_pools_are_reference([last, channels_last(first)], x, axes, kind, case.flags)


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
@pytest.mark.parametrize(
    "case",
    [Pool((2,), (2,)), Pool((3,), (1,), "VALID"), Pool((2, 3, 2), (2, 1, 2)),
     Pool((3, 3, 3), (2, 2, 2), ((1, 0), (1, 1), (0, 1)), flags={"count_include_pad": True})],
    ids=str,
)  # fmt: skip
def test_pool_in_one_and_three_dimensions(case, kind):
    dims = len(case.window)
    x = random((2, *(9, 11, 8)[:dims], 5))
    axes = axes_of(case, x.shape[1:-1], dims)
    last = nn.pool(x, pooling_type=kind, **case.options)
    assert_pools_are_reference([last], x, axes, kind, case.flags)
    data_format = {1: "NCW", 3: "NCDHW"}[dims]
    first = nn.pool(channels_first(x), pooling_type=kind, data_format=data_format, **case.options)
    np.testing.assert_array_equal(channels_last(first), last)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("pool_name", EXTRACT_POOLS)
@pytest.mark.parametrize("name", CONVS)
def test_fused_equals_unfused_to_the_bit(name, pool_name, data_format, dtype):
    case, pool = CONVS[name], POOLS[pool_name]
    x, f = random(case.shape, dtype), random(case.filters, dtype, 1)
    bias = random(case.filters[3:], dtype, 2)
    conv, padding = dict(case.options), case.padding
    if data_format == "NCHW":
        x = channels_first(x)
        if not isinstance(padding, str) and len(padding) == 4:
            conv["padding"] = [padding[i] for i in (0, 3, 1, 2)]
    maps = nn.conv2d(x, f, **conv, data_format=data_format, bias=bias)
    sizes = maps.shape[1:3] if data_format == "NHWC" else maps.shape[2:]
    if not fits(pool, sizes):
        pytest.skip("no room for the window")
    for kind in ("MAX", "AVG"):
        for activation in ("relu", None):
            detected = nn.relu(maps) if activation else maps
            unfused = nn.pool(detected, pool.window, kind, pool.strides, pool.padding, data_format)
            fused = nn.extract(
                x, f, bias, **conv, activation=activation, window_shape=pool.window,
                pooling_type=kind, pool_strides=pool.strides, pool_padding=pool.padding,
                data_format=data_format,
            )  # fmt: skip
            np.testing.assert_array_equal(fused, unfused)
    np.testing.assert_array_equal(
        nn.extract(x, f, bias, **conv, pooling_type=None, data_format=data_format), nn.relu(maps)
    )


def test_pool_stride_is_the_window_by_default_in_extract_and_one_in_pool():
    x, f = random((1, 9, 9, 1)), random((3, 3, 1, 1))
    assert nn.extract(x, f, window_shape=3).shape == (1, 3, 3, 1)
    assert nn.pool(x, 3, "MAX").shape == (1, 7, 7, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 7, 64, 100_003])
def test_relu(size, dtype):
    x = random((size,), dtype)
    np.testing.assert_array_equal(nn.relu(x), np.maximum(x, 0))
    assert nn.relu(x).dtype == dtype
    np.testing.assert_array_equal(nn.relu(x[::-2]), np.maximum(x[::-2], 0))


# ------------------------------------------------------------------ NaN, infinities, zeros


@pytest.mark.parametrize("channels", [1, 3, 16, 33])
@pytest.mark.parametrize("window", [(2, 2), (3, 3), (1, 1), (5, 4)])
@pytest.mark.parametrize("kind", ["MAX", "AVG"])
def test_nan_anywhere_in_a_window_gives_nan(kind, window, channels):
    for data_format in ("NHWC", "NCHW"):
        for y in range(6):
            for x in range(7):
                image = random((1, 6, 7, channels))
                image[0, y, x] = np.nan
                expected = reference.pool(
                    image, pool_axes("test", (6, 7), window, (2, 2), (1, 1), "SAME"), kind
                )
                array = image if data_format == "NHWC" else channels_first(image)
                actual = nn.pool(array, window, kind, 2, "SAME", data_format)
                actual = actual if data_format == "NHWC" else channels_last(actual)
                np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))


@pytest.mark.parametrize("sign", [1, -1])
def test_nan_of_either_sign_passes_through_the_three_steps(sign):
    for channels, filters in [(1, 1), (3, 2), (3, 32)]:
        x, f = random((1, 40, 90, channels)), random((3, 3, channels, filters), seed=1)
        x[0, 17, 50, 0] = np.copysign(np.float32(np.nan), sign)
        out = nn.extract(x, f)
        expected = np.zeros(out.shape, bool)
        expected[0, 8:10, 24:26] = True
        np.testing.assert_array_equal(np.isnan(out), expected)
        assert np.isnan(nn.relu(x)).sum() == 1


def test_infinities_are_ordinary_values_and_padding_never_wins():
    low = np.full((1, 5, 5, 1), -np.inf, np.float32)
    assert (nn.pool(low, 3, "MAX", 2, "SAME") == -np.inf).all()
    assert (nn.pool(low, 3, "AVG", 2, "SAME") == -np.inf).all()
    negative = -1 - abs(random((1, 7, 7, 20)))
    assert (nn.pool(negative, 3, "MAX", 2, "SAME") <= -1).all()
    assert (nn.pool(negative, 3, "AVG", 2, "SAME") <= -1).all()
    filters = np.full((1, 1, 20, 2), 1, np.float32)
    assert (nn.extract(negative, filters, activation=None, window_shape=3) <= -20).all()


# ---------------------------------------------------------------------- arrays of every kind


def strided_views():
    base = random((2, 23, 46, 6), seed=3)
    readonly = base.copy()
    readonly.setflags(write=False)
    return {
        "every second row and column": base[:, ::2, ::2],
        "mirrored": base[:, ::-1, ::-1],
        "a slice of channels": base[..., 1:5],
        "every second channel": base[..., ::2],
        "one channel": base[..., 2:3],
        "transposed": base.transpose(0, 2, 1, 3),
        "channels-first memory": channels_last(channels_first(base)),
        "Fortran order": np.asfortranarray(base),
        "read-only": readonly,
        "repeated": np.broadcast_to(base[:1, :1], (2, 12, 46, 6)),
        "unaligned": np.frombuffer(b"x" + base.tobytes(), np.float32, offset=1).reshape(base.shape),
    }


@pytest.mark.parametrize("name", strided_views())
@pytest.mark.parametrize("filters", [1, 24])
def test_strides_do_not_matter(name, filters):
    view = strided_views()[name]
    dense = np.array(view, order="C")
    f = random((3, 3, view.shape[-1], filters))
    np.testing.assert_array_equal(nn.extract(view, f), nn.extract(dense, f))
    np.testing.assert_array_equal(nn.pool(view, 3, "MAX", 2), nn.pool(dense, 3, "MAX", 2))
    np.testing.assert_array_equal(nn.relu(view), nn.relu(dense))
    expected = nn.extract(dense, f, window_shape=3)
    out = np.zeros((*expected.shape[:-1], 2 * filters), np.float32)
    assert nn.extract(view, f, window_shape=3, out=out[..., ::2]) is not None
    # Where filters lie apart, pixels fill the lanes: the taps are summed in another order.
    np.testing.assert_allclose(out[..., ::2], expected, rtol=1e-5, atol=1e-5)
    assert (out[..., 1::2] == 0).all()


def test_filters_and_bias_may_be_strided():
    x = random((1, 12, 13, 2))
    f, b = random((3, 3, 2, 8)), random((8,))
    mirrored = nn.conv2d(x, f[::-1, :, :, ::2], 1, "SAME", bias=b[::2])
    np.testing.assert_array_equal(
        mirrored, nn.conv2d(x, f[::-1, :, :, ::2].copy(), 1, "SAME", bias=b[::2].copy())
    )


def test_out_is_returned_and_inputs_are_left_alone():
    x, f = random((1, 12, 14, 1)), random((3, 3, 1, 1))
    before = x.copy()
    for call, shape in [
        (lambda out: nn.extract(x, f, out=out), (1, 6, 7, 1)),
        (lambda out: nn.conv2d(x, f, 1, "SAME", out=out), (1, 12, 14, 1)),
        (lambda out: nn.pool(x, 2, "MAX", 2, out=out), (1, 6, 7, 1)),
        (lambda out: nn.relu(x, out=out), (1, 12, 14, 1)),
    ]:
        out = np.full(shape, np.nan, np.float32)
        assert call(out) is out
        assert not np.isnan(out).any()
        np.testing.assert_array_equal(out, call(np.empty(shape, np.float32)))
    np.testing.assert_array_equal(x, before)


def test_nothing_is_written_beside_the_output():
    for height, width, filters in [(9, 11, 1), (40, 70, 1), (17, 35, 3), (13, 29, 20)]:
        x, f = random((1, height, width, 2)), random((3, 3, 2, filters))
        shape = nn.extract(x, f).shape
        guarded = np.full((3, shape[1] + 4, shape[2] + 4, filters + 4), 7, np.float32)
        inner = guarded[1:2, 2:-2, 2:-2, 2:-2]
        nn.extract(x, f, out=inner)
        inner[...] = 7
        assert (guarded == 7).all()


def test_empty_batch():
    x, f = np.empty((0, 8, 8, 1), np.float32), random((3, 3, 1, 2))
    assert nn.extract(x, f).shape == (0, 4, 4, 2)
    assert nn.conv2d(x, f, 1, "SAME").shape == (0, 8, 8, 2)
    assert nn.pool(x, 2, "MAX", 2).shape == (0, 4, 4, 1)


def test_lists_are_float32_as_in_tensorflow():
    image = [[[[1.0], [2.0]], [[3.0], [4.0]]]]
    assert nn.pool(image, [2, 2], "MAX").tolist() == [[[[4.0]]]]
    assert nn.pool(image, [2, 2], "MAX").dtype == np.float32


# ----------------------------------------------------------------------------------- errors

IMAGE = np.zeros((1, 6, 8, 2), np.float32)
KERNEL = np.zeros((3, 3, 2, 4), np.float32)

BAD_CALLS = [
    (lambda: nn.conv2d(IMAGE[0], KERNEL, 1, "SAME"), ShapeError, "rank 4.*(6, 8, 2)"),
    (lambda: nn.conv2d(IMAGE, KERNEL[0], 1, "SAME"), ShapeError, "filters.*rank 4.*(3, 2, 4)"),
    (lambda: nn.conv2d(IMAGE, KERNEL[:, :0], 1, "SAME"), ShapeError, "filters must not be empty"),
    (lambda: nn.conv2d(IMAGE[..., :1], KERNEL, 1, "SAME"), ShapeError, "1 channels.*third number"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 0, "SAME"), ArgumentError, "strides must be at least 1"),
    (lambda: nn.conv2d(IMAGE, KERNEL, -1, "SAME"), ArgumentError, "strides.*got -1"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1.5, "SAME"), DTypeError, "strides.*whole.*1.5"),
    (lambda: nn.conv2d(IMAGE, KERNEL, (1, 2, 3), "SAME"), ArgumentError, "strides.*(1, 2, 3)"),
    (lambda: nn.conv2d(IMAGE, KERNEL, (2, 1, 1, 1), "SAME"), ArgumentError, "batch and channels"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, "FULL"), ArgumentError, "padding.*'SAME'.*'FULL'"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, 1), ArgumentError, "padding"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, [[0, 0]]), ArgumentError, "2 pairs"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, [[-1, 0], [0, 0]]), ArgumentError, "not be negative"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, [[1, 0], [0, 0], [0, 0], [0, 0]]), ArgumentError, "batch"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, "VALID", dilations=4), ShapeError, "dilated.*(9, 9)"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, "SAME", "CHWN"), ArgumentError, "data_format.*'NCHW'"),
    (lambda: nn.conv2d(IMAGE, KERNEL, 1, "SAME", bias=KERNEL[0, 0, 0, :3]), ShapeError, "bias"),
    (lambda: nn.conv2d(IMAGE, KERNEL.astype(float), 1, "SAME"), DTypeError, "filters.*float64"),
    (lambda: nn.conv2d(IMAGE.astype(int), KERNEL, 1, "SAME"), DTypeError, "float32 or float64"),
    (lambda: nn.conv2d(IMAGE.astype(">f4"), KERNEL, 1, "SAME"), DTypeError, ">f4"),
    (lambda: nn.conv2d(IMAGE.astype(complex), KERNEL, 1, "SAME"), DTypeError, "complex128"),
    (lambda: nn.conv2d("cat.jpg", KERNEL, 1, "SAME"), AttarError, "input"),
    (lambda: nn.conv2d(None, KERNEL, 1, "SAME"), AttarError, "input"),
    (lambda: nn.pool(IMAGE[0, 0], 2, "MAX"), ShapeError, "rank 3, 4 or 5.*(8, 2)"),
    (lambda: nn.pool(IMAGE, 7, "MAX"), ShapeError, "(7, 7).*(6, 8).*VALID"),
    (lambda: nn.pool(IMAGE, 0, "MAX"), ArgumentError, "window_shape must be at least 1"),
    (lambda: nn.pool(IMAGE, (2, 2, 2, 2, 2, 2), "MAX"), ArgumentError, "window_shape"),
    (lambda: nn.pool(IMAGE, (2, 2, 2), "MAX"), ShapeError, "(2, 2, 2).*(1, 6, 8)"),
    (lambda: nn.pool(IMAGE, 2, "MIN"), ArgumentError, "pooling_type.*'MAX', 'AVG' or 'LP'.*'MIN'"),
    (lambda: nn.pool(IMAGE, 2, ["MAX"]), ArgumentError, "pooling_type"),
    (lambda: nn.pool(IMAGE, 2, {"a": 1}), DTypeError, "pooling_type"),
    (lambda: nn.pool(IMAGE, 2, "MAX", 0), ArgumentError, "strides"),
    (lambda: nn.pool(IMAGE, 2, "MAX", 1, [[2, 0], [0, 0]]), ShapeError, "nothing but padding"),
    (lambda: nn.pool(IMAGE, 2, "MAX", 1, [[0, 0], [0, 9]]), ShapeError, "nothing but padding"),
    (lambda: nn.pool(IMAGE, 3, "MAX", 1, [[10**9, 0], [0, 0]]), ShapeError, "nothing but padding"),
    (
        lambda: nn.pool(IMAGE, 2, "MAX", 1, [[5, 5], [0, 0]], dilations=(10, 1)),
        ShapeError,
        "window 1 along spatial axis 0 sees nothing but padding",
    ),
    (lambda: nn.pool(IMAGE, 2, "MAX", 1, [[1, 0], [1, 0]], dilations=20), ShapeError, "fit"),
    (lambda: nn.pool(IMAGE[:, :0], 2, "MAX", 1, "SAME"), ShapeError, "(0, 8)"),
    (lambda: nn.extract(IMAGE, KERNEL, activation="tanh"), ArgumentError, "activation.*'relu'"),
    (lambda: nn.extract(IMAGE, KERNEL, pooling_type="NONE"), ArgumentError, "None"),
    (lambda: nn.extract(IMAGE, KERNEL, window_shape=9, pool_padding="VALID"), ShapeError, "(9, 9)"),
    (lambda: nn.extract(IMAGE, KERNEL, out=IMAGE), ShapeError, "out.*(1, 3, 4, 4)"),
    (lambda: nn.extract(IMAGE, KERNEL, out=[]), DTypeError, "out must be an array"),
    (lambda: nn.relu(IMAGE, out=IMAGE), ArgumentError, "share memory"),
    (lambda: nn.relu(IMAGE, out=IMAGE.astype(float)), DTypeError, "out must be float32"),
    (
        lambda: nn.relu(IMAGE, out=np.broadcast_to(np.float32(0), IMAGE.shape)),
        ArgumentError,
        "read-only",
    ),
    (
        lambda: nn.relu(
            IMAGE, out=np.lib.stride_tricks.as_strided(np.zeros(200, "f4"), IMAGE.shape, (4,) * 4)
        ),
        ArgumentError,
        "share memory with one another",
    ),
    (lambda: nn.conv2d(IMAGE, KERNEL, 2**31, "SAME"), ArgumentError, "strides must be at most"),
    (lambda: nn.pool(IMAGE, 2**70, "MAX"), ArgumentError, "window_shape must be at most"),
    (lambda: nn.pool(IMAGE, 2, "MAX", 1, [[0, 2**40], [0, 0]]), ArgumentError, "padding.*at most"),
    (
        lambda: nn.conv2d(IMAGE, KERNEL, 1, [[10**9, 0], [10**9, 0]]),
        ShapeError,
        "the answer would have the shape (1, 1000000004, 1000000006, 4).*half of this machine",
    ),
    (
        lambda: nn.pool(IMAGE, 10**9, "AVG", 10**9, "SAME", count_include_pad=True),
        ShapeError,
        "the padded input would have the shape",
    ),
    (lambda: attar.set_num_threads(0), ArgumentError, "at least 1, got 0"),
    (lambda: attar.set_num_threads("2"), DTypeError, "'2'"),
    (lambda: attar.show_config("json"), ArgumentError, "'json'"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_arguments_are_named(call, error, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    for _ in range(2):  # also once a plan could be cached
        with pytest.raises(error, match=pattern) as raised:
            call()
        assert isinstance(raised.value, AttarError)
        assert isinstance(raised.value, ValueError | TypeError)


def test_a_float_is_refused_also_after_the_equal_whole_number():
    nn.pool(IMAGE, (2, 2), "MAX", 1)
    for strides in (1.0, (1.0, 1.0), [1, True]):
        with pytest.raises(DTypeError, match="strides"):
            nn.pool(IMAGE, (2, 2), "MAX", strides)


# ---------------------------------------------------------------------------------- threads


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux where threads may run")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor")
def test_workers_keep_off_the_processor_of_their_caller():
    code = """
import os, numpy as np, attar
from attar import nn
allowed = os.sched_getaffinity(0)
before = set(os.listdir("/proc/self/task"))
attar.set_num_threads(2)
for processor in sorted(allowed)[:2]:
    os.sched_setaffinity(0, allowed)
    while True:  # a call from this processor, with all of them allowed
        os.sched_setaffinity(0, {processor})
        os.sched_setaffinity(0, allowed)
        nn.relu(np.zeros(1 << 20, np.float32))
        (worker,) = set(os.listdir("/proc/self/task")) - before
        if os.sched_getaffinity(int(worker)) == allowed - {processor}:
            break
os.sched_setaffinity(0, {processor})
nn.relu(np.zeros(1 << 20, np.float32))  # nowhere else to go: it answers all the same
print("kept off")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "kept off\n", done.stderr


def test_results_do_not_depend_on_the_number_of_threads():
    before = attar.get_num_threads()
    x, f, g = random((2, 75, 133, 3)), random((3, 3, 3, 1)), random((3, 3, 3, 24))
    try:
        results = []
        for threads in (1, 2, 3, 8):
            attar.set_num_threads(threads)
            assert attar.get_num_threads() == threads
            results.append(
                [nn.extract(x, f), nn.extract(x, g, pooling_type="AVG"), nn.pool(x, 3, "AVG", 2)]
            )
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        attar.set_num_threads(before)


def test_concurrent_callers():
    f = random((3, 3, 1, 1))
    images = [random((1, 64 + 8 * i, 150, 1), seed=i) for i in range(8)]
    expected = [nn.extract(image, f) for image in images]
    start = threading.Barrier(8)

    def work(i):
        start.wait()
        return all((nn.extract(images[i], f) == expected[i]).all() for _ in range(200))

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(work, range(8)))


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="AddressSanitizer's own allocator may stay locked in the forked child",
)
def test_a_forked_child_computes():
    done = run_python("""
import os, numpy as np, attar
from attar import nn
attar.set_num_threads(4)
x, f = np.ones((1, 300, 300, 1), "f4"), np.ones((3, 3, 1, 1), "f4")
expected = nn.extract(x, f)
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if all((nn.extract(x, f) == expected).all() for _ in range(50)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (nn.extract(x, f) == expected).all()
print("fine")
""")
    assert done.stdout == "fine\n", done.stderr


def test_the_number_of_threads_follows_the_environment_and_the_affinity():
    code = "import attar; print(attar.get_num_threads())"
    assert run_python(code, ATTAR_NUM_THREADS="3").stdout == "3\n"
    ignored = run_python(code, ATTAR_NUM_THREADS="many")
    assert ignored.stdout == run_python(code).stdout
    assert "ATTAR_NUM_THREADS=many" in ignored.stderr
    if hasattr(os, "sched_setaffinity"):
        one = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); " + code
        assert run_python(one).stdout == "1\n"


# ------------------------------------------------------------------------------- properties


@st.composite
def geometries(draw):
    size = st.integers(1, 19)
    height, width = draw(size), draw(size) + draw(st.sampled_from([0, 0, 60]))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    pool = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return {
        "shape": (draw(st.integers(1, 2)), height, width, draw(st.sampled_from([1, 2, 3, 4]))),
        "kernel": kernel,
        "count": draw(st.sampled_from([1, 2, 5, 17])),
        "strides": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "dilations": (draw(st.sampled_from([1, 1, 2, 9])), draw(st.sampled_from([1, 1, 2, 9]))),
        "padding": draw(
            st.sampled_from(["SAME", "VALID"])
            | st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)
        ),
        "window": pool,
        "pool_strides": (draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        "pool_padding": draw(
            st.sampled_from(["SAME", "VALID"])
            | st.tuples(*[st.tuples(st.integers(0, w - 1), st.integers(0, w - 1)) for w in pool])
        ),
        "kind": draw(st.sampled_from(["MAX", "AVG", None])),
        "activation": draw(st.sampled_from(["relu", None])),
        "dtype": draw(st.sampled_from(DTYPES)),
        "data_format": draw(st.sampled_from(["NHWC", "NCHW"])),
    }


@settings(max_examples=300, deadline=None)
@given(geometries())
def test_any_geometry_is_right_or_refused(g):
    sizes = g["shape"][1:3]
    x = random(g["shape"], g["dtype"])
    f = random((*g["kernel"], g["shape"][3], g["count"]), g["dtype"], 1)
    wide = (x.astype(np.float64), f.astype(np.float64))
    try:
        axes = conv_axes("test", sizes, g["kernel"], g["strides"], g["dilations"], g["padding"])
        outs = tuple(axis.out for axis in axes)
        pools = g["kind"] and pool_axes(
            "test", outs, g["window"], g["pool_strides"], (1, 1), g["pool_padding"]
        )
        refused = False
    except ShapeError:
        refused = True
    call = {
        "window_shape": g["window"],
        "pooling_type": g["kind"],
        **{name: g[name] for name in (
            "strides", "padding", "dilations", "activation", "pool_strides", "pool_padding",
            "data_format",
        )},
    }  # fmt: skip
    image = x if g["data_format"] == "NHWC" else channels_first(x)
    if refused:
        with pytest.raises(ShapeError):
            nn.extract(image, f, **call)
        return
    actual = nn.extract(image, f, **call)
    if g["data_format"] == "NCHW":
        actual = channels_last(actual)
    expected = reference.extract(
        *wide, None, axes, g["activation"], pools or None, g["kind"] or "MAX"
    )
    assert actual.shape == expected.shape
    # No output differs by more than the largest sum of magnitudes allows.
    scale = reference.conv(abs(wide[0]), abs(wide[1]), axes).max()
    assert (abs(actual - expected) <= CONV_TOLERANCE[g["dtype"]] * max(scale, 1e-30)).all()


HUGE = 10**9


@pytest.mark.parametrize("kind", ["MAX", "AVG"])
def test_windows_and_steps_far_larger_than_the_image_cost_nothing(kind):
    x = random((1, 7, 9, 2))
    everything = x.max(axis=(1, 2)) if kind == "MAX" else x.mean(axis=(1, 2))
    for call in (
        lambda: nn.pool(x, HUGE, kind, HUGE, "SAME"),
        lambda: nn.pool(x, (7, 9), kind, HUGE, "VALID"),
        lambda: nn.pool(x, (HUGE, 9), kind, (1, HUGE), "SAME")[:, 3:4],
    ):
        np.testing.assert_allclose(call()[:, 0, 0], everything, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(nn.pool(x, 3, kind, 1, "SAME", dilations=HUGE), x)


def test_taps_that_meet_no_input_are_left_out():
    x, f = random((1, 7, 9, 2)), random((3, 3, 2, 4), seed=1)
    centre = nn.conv2d(x, f[1:2, 1:2], 1, "SAME")
    np.testing.assert_array_equal(nn.conv2d(x, f, 1, "SAME", dilations=HUGE), centre)
    tall = random((501, 1, 2, 4), seed=2)
    case = Conv(x.shape, tall.shape)
    bias = np.zeros(4, np.float32)
    assert_convs_close([nn.conv2d(x, tall, 1, "SAME")], case, x, tall, bias)
    # The only output's first tap lies in the padding, its second on the last row.
    far = nn.conv2d(x, f[:2, :1], 1, [[94, 0], [0, 0]], dilations=(100, 1))
    np.testing.assert_array_equal(far, nn.conv2d(x[:, 6:], f[1:2, :1], 1, "VALID"))
    blind = nn.conv2d(x, f[:1, :1], 50, [[20, 24], [20, 22]], bias=bias + 3)
    assert blind.shape == (1, 2, 2, 4)
    assert (blind == 3).all()
