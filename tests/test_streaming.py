"""Images on disk: read and written by rows, with the answer of the whole, in little memory."""

import subprocess
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import attar
from attar import nn
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.nn import streaming
from attar.on_disk import RowReader, is_on_disk

RNG = np.random.default_rng(5)


def mapped(path, array, mode="r"):
    """Return a memory map of a new file with these values."""
    array.tofile(path)
    return np.memmap(path, array.dtype, mode, shape=array.shape)


def new_map(path, shape, dtype=np.float32):
    return np.memmap(path, dtype, "w+", shape=shape)


def zarr_array(path, array, chunks):
    stored = zarr.create_array(store=path, shape=array.shape, chunks=chunks, dtype=array.dtype)
    stored[...] = array
    return stored


pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))
paddings = st.one_of(st.sampled_from(["SAME", "VALID"]), st.tuples(pairs, pairs))


@st.composite
def works(draw):
    """Draw an input, filters, a bias and options that fit one another."""
    groups = draw(st.integers(1, 2))
    channels, count = (
        groups * draw(st.integers(1, 3)),
        groups * draw(st.sampled_from([1, 2, 9, 16])),
    )
    shape = draw(st.tuples(*(st.integers(low, high) for low, high in ((1, 3), (1, 40), (1, 24)))))
    window = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    first = draw(st.booleans())
    pool = draw(st.sampled_from(["MAX", "AVG", None]))
    options = {
        "strides": draw(st.tuples(st.integers(1, 4), st.integers(1, 3))),
        "padding": draw(paddings),
        "dilations": draw(st.tuples(st.integers(1, 3), st.integers(1, 2))),
        "activation": draw(st.sampled_from(["relu", None])),
        "window_shape": draw(st.tuples(st.integers(1, 5), st.integers(1, 4))),
        "pooling_type": pool,
        "pool_strides": draw(st.tuples(st.integers(1, 6), st.integers(1, 3))),
        "pool_padding": draw(paddings),
        "data_format": "NCHW" if first else "NHWC",
    }
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    image = generator.standard_normal((*shape, channels)).astype(dtype)
    if first:
        image = np.ascontiguousarray(np.moveaxis(image, -1, 1))
    filters = generator.standard_normal((*window, channels // groups, count)).astype(dtype)
    bias = generator.standard_normal(count).astype(dtype) if draw(st.booleans()) else None
    return image, filters, bias, options


quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class TestTheAnswerIsThatOfTheWhole:
    @quick
    @given(work=works(), band_bytes=st.sampled_from([1, 700, 5000, 1 << 20]))
    def test_memory_maps(self, tmp_path, work, band_bytes):
        image, filters, bias, options = work
        try:
            whole = nn.extract(image, filters, bias, **options)
        except ValueError:
            return
        stored = mapped(tmp_path / "image", image)
        out = new_map(tmp_path / "out", whole.shape, image.dtype)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streaming, "BAND_BYTES", band_bytes)
            assert nn.extract(stored, filters, bias, **options, out=out) is out
            assert_array_equal(np.fromfile(tmp_path / "out", image.dtype), whole.ravel())
            assert_array_equal(nn.extract(stored, filters, bias, **options), whole)

    def test_maps_of_one_column_with_channels_first(self, tmp_path, monkeypatch):
        """Of one number, channels lie side by side, and would be summed in another order."""
        monkeypatch.setattr(streaming, "BAND_BYTES", 1)
        image = RNG.standard_normal((1, 7, 30, 1)).astype(np.float32)
        filters = RNG.standard_normal((5, 1, 7, 32)).astype(np.float32)
        for pooling_type in ("MAX", None):
            options = {"data_format": "NCHW", "pooling_type": pooling_type, "activation": None}
            found = nn.extract(mapped(tmp_path / "image", image), filters, **options)
            assert_array_equal(found, nn.extract(image, filters, **options))

    @settings(quick, max_examples=60)
    @given(
        work=works(),
        band_bytes=st.sampled_from([1, 5000]),
        chunk=st.tuples(*[st.integers(1, 9)] * 4),
    )
    def test_zarr(self, tmp_path_factory, work, band_bytes, chunk):
        image, filters, bias, options = work
        try:
            whole = nn.extract(image, filters, bias, **options)
        except ValueError:
            return
        folder = tmp_path_factory.mktemp("zarr")
        stored = zarr_array(folder / "image", image, tuple(map(min, chunk, image.shape)))
        out = zarr_array(
            folder / "out", np.zeros_like(whole), tuple(map(min, chunk[::-1], whole.shape))
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streaming, "BAND_BYTES", band_bytes)
            nn.extract(stored, filters, bias, **options, out=out)
        assert_array_equal(out[...], whole)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(61, 47), (61, 47, 3), (2, 33, 20, 2)])
    def test_attar_extract(self, tmp_path, monkeypatch, dtype, shape):
        monkeypatch.setattr(streaming, "BAND_BYTES", 3000)
        image = (RNG.random(shape) * 250).astype(dtype)
        options = {"pool_size": 3, "bias": 0.1, "stages": False}
        whole = attar.extract(image, "edge", **options)
        stored = mapped(tmp_path / "image", image)
        out = new_map(tmp_path / "out", whole.condense.shape, whole.condense.dtype)
        for given_image, given_out in ((stored, None), (stored, out), (image, out)):
            found = attar.extract(given_image, "edge", **options, out=given_out)
            assert_array_equal(np.asarray(found.condense), whole.condense)
            assert found.stats == whole.stats
        chunks = tuple(min(7, n) for n in shape)
        found = attar.extract(zarr_array(tmp_path / "z", image, chunks), "edge", **options)
        assert_array_equal(found.condense, whole.condense)
        assert found.stats == whole.stats

    def test_an_out_in_memory(self):
        image = RNG.random((9, 8), np.float32)
        out = np.empty((5, 4), np.float32)
        attar.extract(image, "edge", stages=False, out=out)
        assert_array_equal(out, attar.extract(image, "edge").condense)

    def test_a_private_map_keeps_what_was_written_to_it(self, tmp_path):
        image = mapped(tmp_path / "image", np.zeros((1, 64, 64, 1), np.float32), "c")
        image[0, 40:] = 1
        found = nn.extract(image, np.ones((1, 1, 1, 1), np.float32))
        assert found.sum() == 12 * 32
        assert image.sum() == 24 * 64

    def test_an_empty_batch(self, tmp_path):
        stored = zarr_array(tmp_path / "z", np.zeros((0, 4, 4, 1), np.float32), (1, 4, 4, 1))
        assert nn.extract(stored, np.ones((1, 1, 1, 2), np.float32)).shape == (0, 2, 2, 2)


class TestChunks:
    def test_each_is_decoded_once(self, tmp_path, monkeypatch):
        monkeypatch.setattr(streaming, "BAND_BYTES", 2000)
        image = RNG.random((1, 90, 40, 1), np.float32)
        stored = zarr_array(tmp_path / "z", image, (1, 16, 16, 1))
        read = []
        whole = RowReader._part
        monkeypatch.setattr(
            RowReader,
            "_part",
            lambda self, begin, end: read.append((begin, end)) or whole(self, begin, end),
        )
        nn.extract(stored, RNG.random((5, 5, 1, 1), np.float32))
        spans = [(begin, end) for begin, end in read if end > begin]
        assert spans[0][0] == 0
        assert spans[-1][1] == 90
        assert all(end == begin for (_, end), (begin, _) in pairwise(spans))
        assert all(begin % 16 == 0 for begin, _ in spans)

    def test_a_band_fills_whole_chunks(self, tmp_path, monkeypatch):
        monkeypatch.setattr(streaming, "BAND_BYTES", 40 * 4 * 40)  # 20 rows of the answer
        image = RNG.random((1, 200, 40, 1), np.float32)
        out = zarr_array(tmp_path / "z", np.zeros((1, 100, 20, 1), np.float32), (1, 16, 20, 1))
        written = []
        whole = zarr.Array.__setitem__
        monkeypatch.setattr(
            zarr.Array,
            "__setitem__",
            lambda self, part, values: written.append(part) or whole(self, part, values),
        )
        nn.extract(mapped(tmp_path / "image", image), np.ones((1, 1, 1, 1), np.float32), out=out)
        assert [part[1].start for part in written] == list(range(0, 100, 16))

    def test_large_chunks_are_not_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr("attar.on_disk._MOST_CHUNK_BYTES", 100)
        image = RNG.random((30, 9), np.float32)
        stored = zarr_array(tmp_path / "z", image, (16, 9))
        reader = RowReader(stored)
        assert_array_equal(reader.read(3, 5), image[3:5])
        assert reader._held.shape[0] == 2


class TestRefused:
    FILTERS = np.ones((3, 3, 1, 1), np.float32)

    @pytest.fixture
    def image(self, tmp_path):
        return mapped(tmp_path / "image", np.zeros((1, 8, 8, 1), np.float32))

    def test_another_dtype(self, tmp_path):
        image = mapped(tmp_path / "i", np.zeros((1, 8, 8, 1), np.uint8))
        with pytest.raises(DTypeError, match="input must be float32 or float64, got uint8"):
            nn.extract(image, self.FILTERS)

    def test_filters_of_another_dtype(self, image):
        with pytest.raises(DTypeError, match="filters must be float32 like the input"):
            nn.extract(image, self.FILTERS.astype(np.float64))

    def test_out_of_another_shape(self, image, tmp_path):
        with pytest.raises(ShapeError, match=r"out must have the shape \(1, 4, 4, 1\)"):
            nn.extract(image, self.FILTERS, out=new_map(tmp_path / "o", (1, 8, 8, 1)))
        stored = zarr_array(tmp_path / "z", np.zeros((1, 4, 5, 1), np.float32), (1, 4, 5, 1))
        with pytest.raises(ShapeError, match=r"shape \(1, 4, 4, 1\), got \(1, 4, 5, 1\)"):
            nn.extract(image, self.FILTERS, out=stored)

    def test_out_of_another_dtype(self, image, tmp_path):
        with pytest.raises(DTypeError, match="out must be float32 like the input, got float64"):
            nn.extract(image, self.FILTERS, out=new_map(tmp_path / "o", (1, 4, 4, 1), np.float64))
        stored = zarr_array(tmp_path / "z", np.zeros((1, 4, 4, 1)), (1, 4, 4, 1))
        with pytest.raises(DTypeError, match="out must be float32 like the input, got float64"):
            nn.extract(image, self.FILTERS, out=stored)

    def test_a_read_only_out(self, image, tmp_path):
        out = mapped(tmp_path / "o", np.zeros((1, 4, 4, 1), np.float32))
        with pytest.raises(ArgumentError, match="out is read-only"):
            nn.extract(image, self.FILTERS, out=out)
        zarr_array(tmp_path / "z", np.zeros((1, 4, 4, 1), np.float32), (1, 4, 4, 1))
        with pytest.raises(ArgumentError, match="out is read-only"):
            nn.extract(image, self.FILTERS, out=zarr.open_array(tmp_path / "z", mode="r"))

    def test_an_out_that_is_the_input(self, tmp_path):
        image = mapped(tmp_path / "i", np.zeros((1, 8, 8, 1), np.float32), "r+")
        with pytest.raises(ArgumentError, match="must not share memory"):
            nn.extract(image, self.FILTERS, pooling_type=None, out=image)
        stored = zarr_array(tmp_path / "z", np.zeros((1, 8, 8, 1), np.float32), (1, 4, 4, 1))
        with pytest.raises(ArgumentError, match="must not share memory"):
            nn.extract(stored, self.FILTERS, pooling_type=None, out=stored)

    def test_an_answer_that_memory_would_not_hold(self, tmp_path):
        image = zarr.create_array(
            store=tmp_path / "z", shape=(1, 2**20, 2**20, 1), chunks=(1, 64, 64, 1), dtype="float32"
        )
        with pytest.raises(ShapeError, match="more than half of this machine's"):
            nn.extract(image, self.FILTERS)
        out = zarr.create_array(
            store=tmp_path / "o", shape=(1, 9, 9, 1), chunks=(1, 9, 9, 1), dtype="float32"
        )
        with pytest.raises(ShapeError, match="out must have the shape"):  # and no word of memory
            nn.extract(image, self.FILTERS, out=out)

    def test_out_beside_the_stages(self):
        with pytest.raises(ArgumentError, match="pass stages=False"):
            attar.extract(np.eye(4, dtype=np.float32), "edge", out=np.empty((2, 2), np.float32))

    def test_attar_extract_names_itself(self, tmp_path):
        image = mapped(tmp_path / "i", np.zeros((8, 8), np.uint8))
        out = new_map(tmp_path / "o", (4, 4), np.float64)
        with pytest.raises(DTypeError, match=r"^extract: out must be float32"):
            attar.extract(image, "edge", stages=False, out=out)
        with pytest.raises(ShapeError, match=r"\(H, W\), \(H, W, C\)"):
            attar.extract(mapped(tmp_path / "1", np.zeros(8, np.uint8)), "edge", stages=False)

    def test_what_is_drawn(self, tmp_path):
        found = attar.extract(mapped(tmp_path / "i", np.eye(8)), "edge", stages=False)
        with pytest.raises(ArgumentError, match=r"figure: the image .* is read by rows"):
            found.figure()
        with pytest.raises(ArgumentError, match=r"save: the image .* is read by rows"):
            found.save(tmp_path / "r.npz")
        assert "<img" not in found._repr_html_()
        assert_array_equal(np.load(found.save(tmp_path / "r.npy")), found.condense)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["i", "r.npy"]

    def test_a_map_of_no_file_is_in_memory(self, tmp_path):
        image = mapped(tmp_path / "i", np.eye(8))
        assert is_on_disk(image)
        assert is_on_disk(image[2:])
        assert not is_on_disk(image + 1)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_is_that_of_the_bands(tmp_path):
    """A file with holes: nothing of it is on the disk."""
    script = textwrap.dedent("""
        import os, resource, sys
        import numpy as np
        import attar
        from attar import nn
        os.chdir(sys.argv[1])
        image = np.memmap("image", np.float32, "w+", shape=(1, 4096, 16384, 1))
        out = np.memmap("out", np.float32, "w+", shape=(1, 2048, 8192, 1))
        kernel = attar.kernels.parse_kernel("edge").astype(np.float32)[:, :, None, None]
        nn.extract(image[:, :64], kernel)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        nn.extract(image, kernel, out=out)
        attar.extract(image[0, :2048, :, 0], "edge", stages=False, out=out[0, :1024, :, 0]).stats
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 60  # MB; the image has 256, its map 64
