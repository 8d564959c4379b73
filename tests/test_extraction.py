"""extract(): the three steps against plain loops, and everything an Extraction can do."""

import html
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from attar import kernels
from attar.errors import ArgumentError, AttarError, DTypeError, ShapeError
from attar.extraction import Extraction, extract

RNG = np.random.default_rng(7)
EDGE = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float64)


def by_hand(image, kernel, *, bias=0.0, stride=1, pads="same", relu=True, pool="max", size=2):
    """Filter, detect and condense an (H, W, C) image, one output at a time, in float64."""

    def windows(values, window, step, padding):
        sides = []
        for count, width in zip(values.shape[:2], window, strict=True):
            out = math.ceil(count / step) if padding == "same" else (count - width) // step + 1
            short = max((out - 1) * step + width - count, 0) if padding == "same" else 0
            sides.append((out, short // 2))
        (rows, top), (columns, left) = sides
        for y in range(rows):
            for x in range(columns):
                yield (
                    (y, x),
                    [
                        (dy, dx, y * step - top + dy, x * step - left + dx)
                        for dy in range(window[0])
                        for dx in range(window[1])
                        if 0 <= y * step - top + dy < values.shape[0]
                        and 0 <= x * step - left + dx < values.shape[1]
                    ],
                )

    def collect(found):
        rows, columns = (max(place[axis] for place, _ in found) + 1 for axis in (0, 1))
        return np.array([value for _, value in found]).reshape(rows, columns, -1)

    filtered = collect(
        [
            (place, sum(image[y, x] @ kernel[dy, dx] for dy, dx, y, x in taps) + bias)
            for place, taps in windows(image, kernel.shape[:2], stride, pads)
        ]
    )
    detected = np.maximum(filtered, 0) if relu else filtered
    if pool is None:
        return filtered, detected, detected
    reduce = np.max if pool == "max" else np.mean
    condensed = collect(
        [
            (place, reduce([detected[y, x] for _, _, y, x in taps], axis=0))
            for place, taps in windows(detected, (size, size), size, "same")
        ]
    )
    return filtered, detected, condensed


class TestMaps:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_lesson(self, dtype):
        image = RNG.random((7, 10)).astype(dtype)
        result = extract(image, "edge")
        maps = (result.filter, result.detect, result.condense)
        for found, wanted in zip(
            maps, by_hand(image[..., None], EDGE[..., None, None]), strict=True
        ):
            assert found.dtype == dtype
            assert_allclose(found, wanted[..., 0], atol=1e-5)
        assert result.condense.shape == (4, 5)

    @pytest.mark.parametrize(
        ("options", "hand"),
        [
            ({"conv_stride": 2}, {"stride": 2}),
            ({"conv_padding": "VALID"}, {"pads": "valid"}),
            ({"activation": None}, {"relu": False}),
            ({"activation": "none", "pool": "avg"}, {"relu": False, "pool": "average"}),
            ({"pool": "average"}, {"pool": "average"}),
            ({"pool": None}, {"pool": None}),
            ({"pool": "none", "pool_size": 3}, {"pool": None}),
            ({"pool_size": 3}, {"size": 3}),
            ({"pool_size": (3, 3), "pool_stride": np.array([3, 3])}, {"size": 3}),
            ({"bias": -0.5}, {"bias": -0.5}),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("stages", [True, False])
    def test_options(self, options, hand, stages):
        image = RNG.random((9, 8))
        wanted = by_hand(image[..., None], EDGE[..., None, None], **hand)
        result = extract(image, EDGE, stages=stages, **options)
        assert_allclose(result.condense, wanted[2][..., 0], atol=1e-12)
        if stages:
            assert_allclose(result.filter, wanted[0][..., 0], atol=1e-12)
            assert_allclose(result.detect, wanted[1][..., 0], atol=1e-12)
        else:
            assert result.filter is None
            assert result.detect is None

    def test_two_axes_and_explicit_padding(self):
        image = np.zeros((6, 8), np.float32)
        result = extract(
            image,
            np.ones((3, 1)),
            conv_stride=(1, 2),
            conv_padding=[[1, 1], [0, 2]],
            pool_size=(1, 2),
            pool_stride=(2, 1),
            pool_padding="valid",
        )
        assert result.filter.shape == (6, 5)
        assert result.condense.shape == (3, 4)
        assert result.spec.conv_padding == ((1, 1), (0, 2))
        assert result.spec.pool_stride == (2, 1)

    def test_several_filters_and_bias(self):
        image, kernel = RNG.random((6, 7, 3)), RNG.standard_normal((3, 3, 3, 4))
        bias = np.array([0.0, 1.0, -1.0, 0.25])
        result = extract(image, kernel, bias=bias)
        assert_allclose(result.condense, by_hand(image, kernel, bias=bias)[2], atol=1e-12)
        assert result.spec.bias == (0.0, 1.0, -1.0, 0.25)

    @pytest.mark.parametrize(
        ("image", "kernel", "shape"),
        [
            ((6, 8), (3, 3), (3, 4)),
            ((6, 8), (3, 3, 1, 1), (3, 4)),
            ((6, 8), (3, 3, 1, 5), (3, 4, 5)),
            ((6, 8, 1), (3, 3), (3, 4, 1)),
            ((6, 8, 3), (3, 3), (3, 4, 1)),
            ((6, 8, 3), (3, 3, 3, 2), (3, 4, 2)),
            ((2, 6, 8, 3), (3, 3), (2, 3, 4, 1)),
        ],
    )
    def test_layout(self, image, kernel, shape):
        result = extract(np.zeros(image, np.float32), np.ones(kernel))
        assert result.condense.shape == shape
        assert result.image.shape == image
        assert result.kernel.shape == kernel

    def test_one_kernel_on_colour_is_the_kernel_on_the_mean(self):
        image = RNG.random((6, 8, 3))
        on_colour, on_gray = extract(image, "edge"), extract(image.mean(2), "edge")
        assert_allclose(on_colour.condense[..., 0], on_gray.condense, atol=1e-12)

    def test_batch_is_image_by_image(self):
        images = RNG.random((3, 6, 8, 1))
        together = extract(images, "edge").condense
        for image, found in zip(images, together, strict=True):
            assert_array_equal(extract(image, "edge").condense, found)

    @settings(max_examples=30, deadline=None)
    @given(
        height=st.integers(1, 12),
        width=st.integers(1, 12),
        kernel=st.integers(1, 5),
        stride=st.integers(1, 3),
        size=st.integers(1, 4),
        pool=st.sampled_from(["max", "average", None]),
    )
    def test_fused_is_staged(self, height, width, kernel, stride, size, pool):
        image, weights = RNG.random((height, width)), RNG.standard_normal((kernel, kernel))
        options = {"conv_stride": stride, "pool_size": size, "pool": pool}
        fused, staged = (extract(image, weights, stages=s, **options) for s in (False, True))
        assert_allclose(fused.condense, staged.condense, rtol=1e-12, atol=1e-12)

    def test_nan_passes_through(self):
        image = np.zeros((4, 4), np.float32)
        image[0, 0] = np.nan
        result = extract(image, "edge")
        assert np.isnan(result.condense[0, 0])
        assert result.condense[1, 1] == 0


class TestInput:
    @pytest.mark.parametrize(
        ("dtype", "white"), [("uint8", 255), ("uint16", 65535), (">u2", 65535)]
    )
    def test_integer_images_become_fractions(self, dtype, white):
        result = extract(np.array([[0, white], [1, white // 5]], dtype), [[1.0]], pool=None)
        assert result.condense.dtype == np.float32
        assert_array_equal(result.condense, np.array([[0, 1], [1 / white, 0.2]], np.float32))

    def test_foreign_byte_order(self):
        assert extract(np.ones((2, 2), ">f4"), [[1.0]]).condense[0, 0] == 1

    def test_the_callers_array_is_shared_and_stays_writable(self):
        image = np.ones((4, 4), np.float32)
        result = extract(image, "edge")
        assert np.shares_memory(result.image, image)
        assert image.flags.writeable

    @pytest.mark.parametrize("name", ["image", "kernel", "filter", "detect", "condense"])
    def test_arrays_are_read_only(self, name):
        values = getattr(extract(np.ones((4, 4), np.float32), "edge"), name)
        with pytest.raises(ValueError, match="read-only"):
            values[0, 0] = 1

    def test_the_callers_kernel_is_not_shared(self):
        kernel = np.ones((3, 3), np.float32)
        assert not np.shares_memory(extract(np.ones((4, 4), np.float32), kernel).kernel, kernel)

    def test_anything_with_dlpack(self):
        class Tensor:
            def __init__(self, values):
                self.values = values

            def __dlpack__(self, **options):
                return self.values.__dlpack__(**options)

            def __dlpack_device__(self):
                return self.values.__dlpack_device__()

        image = np.ones((4, 4), np.float32)
        assert np.shares_memory(extract(Tensor(image), "edge").image, image)

    @pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "float16", "complex64", "uint32"])
    def test_other_dtypes_are_refused(self, dtype):
        with pytest.raises(DTypeError, match=rf"{dtype}; accepted are float32, float64.*uint16"):
            extract(np.ones((4, 4), dtype), "edge")

    @pytest.mark.parametrize("shape", [(), (4,), (1, 1, 4, 4, 1)])
    def test_other_ranks_are_refused(self, shape):
        with pytest.raises(ShapeError, match=re.escape(str(shape))):
            extract(np.ones(shape, np.float32), "edge")

    def test_ragged_lists_are_refused(self):
        with pytest.raises(ShapeError, match="not an array"):
            extract([[1.0, 2.0], [3.0]], "edge")


class TestKernel:
    def test_name_text_path_and_array_are_one(self, tmp_path):
        file = tmp_path / "k.npy"
        np.save(file, EDGE)
        image = RNG.random((5, 6))
        wanted = extract(image, EDGE).condense
        for kernel in ("edge", "-1 -1 -1; -1 8 -1; -1 -1 -1", file, str(file), EDGE.tolist()):
            assert_array_equal(extract(image, kernel).condense, wanted)

    def test_it_takes_the_dtype_of_the_image(self):
        assert extract(np.ones((4, 4), np.float32), EDGE).kernel.dtype == np.float32
        assert extract(np.ones((4, 4)), "edge").kernel.dtype == np.float64

    def test_only_a_named_kernel_has_a_name(self):
        image = np.ones((4, 4), np.float32)
        assert extract(image, " blur ").spec.kernel == "blur"
        assert extract(image, kernels["blur"]).spec.kernel is None

    def test_other_channels_are_refused(self):
        with pytest.raises(ShapeError, match=r"for 2 channel.*has 3; accepted.*\(kh, kw, 3, K\)"):
            extract(np.ones((4, 4, 3), np.float32), np.ones((3, 3, 2, 1)))


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"conv_stride": 0}, "conv_stride is 0"),
            ({"conv_stride": 1.5}, "conv_stride is 1.5"),
            ({"conv_stride": (1, 2, 3)}, r"conv_stride is \(1, 2, 3\)"),
            ({"pool_size": -1}, "pool_size is -1"),
            ({"pool_size": "2"}, "pool_size is '2'"),
            ({"pool_stride": (1, 0)}, r"pool_stride is \(1, 0\)"),
            ({"conv_padding": "full"}, "conv_padding is 'full'; accepted are \"same\""),
            ({"pool_padding": [[1, -1], [0, 0]]}, "pool_padding is"),
            ({"pool_padding": 1}, "pool_padding is 1"),
            ({"activation": "tanh"}, "activation is 'tanh'; accepted are relu, none"),
            ({"pool": "min"}, "pool is 'min'; accepted are max, average, avg, none"),
            ({"pool": 3}, "pool is 3"),
        ],
        ids=str,
    )
    def test_options(self, options, message):
        with pytest.raises(ArgumentError, match=f"^extract: {message}"):
            extract(np.ones((4, 4), np.float32), "edge", **options)

    @pytest.mark.parametrize("bias", [[1.0, 2.0], [[1.0]]])
    def test_bias_shape(self, bias):
        with pytest.raises(ShapeError, match=r"bias has shape"):
            extract(np.ones((4, 4), np.float32), "edge", bias=bias)

    def test_bias_type(self):
        with pytest.raises(DTypeError, match="bias is 'x'"):
            extract(np.ones((4, 4), np.float32), "edge", bias="x")

    @pytest.mark.parametrize("stages", [True, False])
    @pytest.mark.parametrize(
        "options", [{"conv_padding": "valid"}, {"pool_size": 5, "pool_padding": "valid"}], ids=str
    )
    def test_window_larger_than_the_map(self, options, stages):
        with pytest.raises(AttarError):
            extract(np.ones((2, 2), np.float32), "edge", stages=stages, **options)


class TestStats:
    def test_numbers(self):
        image = np.zeros((4, 6), np.float32)
        image[1, 1], image[2, 4] = 0.5, 1.0
        stats = extract(image, [[2.0]], bias=0.0).stats
        assert stats.image.size == stats.filter.size == stats.detect.size == (4, 6)
        assert stats.condense.size == (2, 3)
        assert stats.detect.dead_space == pytest.approx(22 / 24)
        assert stats.detect.active_fraction == pytest.approx(2 / 24)
        assert stats.condense.dead_space == pytest.approx(4 / 6)
        assert stats.intensification == pytest.approx((2 / 6) / (2 / 24))
        assert (stats.detect.minimum, stats.detect.maximum) == (0.0, 2.0)

    def test_signed_range_is_of_the_filter_stage(self):
        stats = extract(np.eye(4, dtype=np.float32), [[-3.0]]).stats
        assert (stats.filter.minimum, stats.filter.maximum) == (-3.0, 0.0)
        assert (stats.detect.minimum, stats.detect.maximum) == (0.0, 0.0)

    def test_no_activity_has_no_intensification(self):
        stats = extract(np.zeros((4, 4), np.float32), "edge").stats
        assert stats.detect.dead_space == stats.condense.dead_space == 1
        assert stats.intensification is None

    def test_what_was_not_computed_is_none(self):
        stats = extract(np.eye(4, dtype=np.float32), "edge", stages=False).stats
        assert stats.filter is None
        assert stats.detect is None
        assert stats.intensification is None
        assert stats.condense.size == (2, 2)

    def test_nan_and_infinity(self):
        image = np.array([[np.nan, np.inf], [0, -1]], np.float32)
        result = extract(image, [[1.0]], activation=None, pool=None)
        assert result.stats.filter.minimum == -1
        assert result.stats.filter.maximum == math.inf
        assert result.stats.filter.dead_space == 0.25
        numbers = json.loads(json.dumps(result.stats.as_dict(), allow_nan=False))
        assert float(numbers["filter"]["maximum"]) == math.inf

    def test_nothing_but_nan(self):
        stats = extract(np.full((2, 2), np.nan), [[1.0]]).stats
        assert (stats.condense.minimum, stats.condense.maximum) == (None, None)

    def test_sizes_of_a_batch_are_of_one_image(self):
        assert extract(np.ones((5, 4, 6, 1), np.float32), "edge").stats.condense.size == (2, 3)

    def test_computed_once(self):
        result = extract(np.eye(4, dtype=np.float32), "edge")
        assert result.stats is result.stats

    def test_spec_is_plain(self):
        spec = extract(np.eye(4, dtype=np.float32), "edge", bias=1).spec
        assert json.loads(json.dumps(spec.as_dict())) == {
            "kernel": "edge",
            "kernel_shape": [3, 3],
            "bias": [1.0],
            "conv_stride": [1, 1],
            "conv_padding": "same",
            "activation": "relu",
            "pool": "max",
            "pool_size": [2, 2],
            "pool_stride": [2, 2],
            "pool_padding": "same",
        }


@pytest.fixture(scope="module")
def result() -> Extraction:
    return extract(RNG.random((12, 16)).astype(np.float32), "edge")


class TestSave:
    @pytest.mark.parametrize(
        ("suffix", "start"),
        [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")],
    )
    def test_pictures(self, result, tmp_path, suffix, start):
        path = result.save(tmp_path / f"r{suffix}")
        assert path.read_bytes().startswith(start)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
    def test_the_same_result_gives_the_same_bytes(self, result, tmp_path, suffix):
        one, two = (result.save(tmp_path / f"{name}{suffix}") for name in "ab")
        assert one.read_bytes() == two.read_bytes()

    @pytest.mark.parametrize("name", ["r.npy", "r.NPY"])
    def test_npy(self, result, tmp_path, name):
        assert_array_equal(np.load(result.save(str(tmp_path / name))), result.condense)

    def test_npz(self, result, tmp_path):
        with np.load(result.save(tmp_path / "r.npz")) as file:
            for name in ("image", "filter", "detect", "condense", "kernel"):
                assert_array_equal(file[name], getattr(result, name))
            facts = json.loads(str(file["json"]))
        assert facts["spec"]["kernel"] == "edge"
        assert facts["stats"]["detect"]["dead_space"] == result.stats.detect.dead_space

    def test_npz_without_stages(self, tmp_path):
        fused = extract(np.eye(4, dtype=np.float32), "edge", stages=False)
        with np.load(fused.save(tmp_path / "r.npz")) as file:
            assert sorted(file) == ["condense", "image", "json", "kernel"]

    @pytest.mark.parametrize("name", ["r.jpg", "r", ".png"])
    def test_unknown_suffix(self, result, tmp_path, name):
        with pytest.raises(ArgumentError, match=r"\.png, \.svg, \.pdf, \.npy, \.zarr, \.npz"):
            result.save(tmp_path / name)

    def test_options_of_a_picture_do_not_fit_an_array(self, result, tmp_path):
        with pytest.raises(ArgumentError, match="channel applies to pictures"):
            result.save(tmp_path / "r.npy", channel=0)

    @pytest.mark.parametrize("name", ["r.png", "r.npy", "r.npz"])
    def test_a_failure_leaves_the_old_file_and_no_other(self, result, tmp_path, name, monkeypatch):
        (tmp_path / name).write_bytes(b"old")

        def fail(*_args, **_options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("numpy.save", fail)
        monkeypatch.setattr("numpy.savez", fail)
        monkeypatch.setattr("pathlib.Path.write_bytes", fail)
        with pytest.raises(OSError, match="No space"):
            result.save(tmp_path / name)
        monkeypatch.undo()
        assert [file.name for file in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_bytes() == b"old"

    def test_missing_folder(self, result, tmp_path):
        with pytest.raises(ArgumentError, match="does not exist"):
            result.save(tmp_path / "nowhere" / "r.npy")


class TestShown:
    def test_repr_is_one_line(self, result):
        assert repr(result) == (
            "<Extraction image 12 × 16 → filter 12 × 16 → detect 12 × 16 → condense 6 × 8, float32>"
        )

    def test_html(self, result):
        page = result._repr_html_()
        assert re.search(r"<img alt='Extraction image 12 × 16 → [^']*'", page)
        assert "src='data:image/png;base64,iVBORw0KGgo" in page
        assert f"<td>{result.stats.detect.dead_space:.1%}</td>" in page
        assert len(page) < 300_000
        assert html.unescape(page).count("<table>") == 1

    def test_html_without_stages(self):
        page = extract(np.eye(8, dtype=np.float32), "edge", stages=False)._repr_html_()
        assert "condense" in page
        assert "detect" not in page

    def test_frozen(self, result):
        with pytest.raises(AttributeError):
            result.spec = None
