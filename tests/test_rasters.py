"""TIFF files that are read by rows: the pixels of `read_image`, or a clear error."""

import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal

import attar
from attar import read_image
from attar.errors import ArgumentError, AttarError, DTypeError, ImageError, ImageNotFoundError
from attar.rasters import ArrayRaster
from attar.tiff import TiffRaster

RNG = np.random.default_rng(9)


def pixels(shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def write(path, image, **options):
    photometric = "rgb" if image.ndim == 3 else "minisblack"
    tifffile.imwrite(path, image, **{"photometric": photometric, "metadata": None, **options})
    return path


def rows_of(path, color="keep", step=7):
    with TiffRaster(path, color) as raster:
        height = raster.shape[0]
        # Neighbours overlap, as those of a filter do.
        parts = [raster.rows(max(0, i - 2), min(i + step, height)) for i in range(0, height, step)]
        found = [parts[0], *(part[2:] for part in parts[1:])]
        assert all(part.dtype == raster.dtype for part in parts)
        whole = np.concatenate(found)
        assert whole.shape == raster.shape
        return whole


STORED = {
    "strips": {"rowsperstrip": 5},
    "one strip": {"rowsperstrip": 61},
    "tiles": {"tile": (16, 32)},
    "a wide tile": {"tile": (16, 128)},
    "deflate": {"rowsperstrip": 5, "compression": "zlib"},
    "LZW": {"rowsperstrip": 8, "compression": "lzw"},
    "PackBits": {"rowsperstrip": 8, "compression": "packbits"},
    "Zstandard": {"tile": (16, 16), "compression": "zstd"},
    "differences": {"tile": (16, 16), "compression": "zlib", "predictor": 2},
    "big endian": {"rowsperstrip": 5, "byteorder": ">"},
    "big endian tiles": {"tile": (16, 16), "byteorder": ">", "compression": "zlib"},
    "BigTIFF": {"rowsperstrip": 5, "bigtiff": True},
}


@pytest.mark.parametrize("color", ["keep", "gray", "rgb"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(61, 47), (61, 47, 3)])
@pytest.mark.parametrize("stored", STORED)
def test_the_pixels_of_read_image(tmp_path, stored, shape, dtype, color):
    image = pixels(shape, dtype)
    path = write(tmp_path / "x.tif", image, **STORED[stored])
    found = rows_of(path, color)
    try:
        whole = read_image(path, color=color)
    except ImageError:  # Pillow without Zstandard, or 16-bit colour that it does not know
        whole = image.astype(np.float64 if shape[2:] else np.float32) / np.iinfo(dtype).max
        if shape[2:] and color == "gray":
            whole = image.astype(np.float64) @ [299, 587, 114] / (1000 * np.iinfo(dtype).max)
        whole = whole.astype(np.float32)
        whole = np.repeat(whole[..., None], 3, 2) if color == "rgb" and whole.ndim == 2 else whole
    assert_array_equal(found, whole)


@pytest.mark.parametrize("options", [{"tile": (16, 32)}, {"rowsperstrip": 16}])
@pytest.mark.parametrize("shape", [(61, 47), (61, 47, 3)])
def test_jpeg(tmp_path, shape, options):
    smooth = np.cumsum(np.cumsum(RNG.standard_normal(shape), 0), 1)
    image = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    path = write(tmp_path / "x.tif", image, compression="jpeg", **options)
    for color in ("keep", "gray"):
        assert_array_equal(rows_of(path, color), read_image(path, color=color))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(tmp_path, dtype):
    path = write(tmp_path / "x.tif", pixels((20, 9), dtype), photometric="miniswhite")
    assert_array_equal(rows_of(path), read_image(path))


def test_of_several_pages_the_first(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for image in pixels((2, 20, 9)):
            file.write(image, photometric="minisblack")
    assert_array_equal(rows_of(tmp_path / "x.tif"), read_image(tmp_path / "x.tif"))


def test_rows_in_any_order(tmp_path):
    image = pixels((61, 47))
    with TiffRaster(write(tmp_path / "x.tif", image, tile=(16, 16))) as raster:
        for begin, end in ((40, 61), (3, 9), (5, 6), (0, 61), (60, 61)):
            assert_array_equal(raster.rows(begin, end), image[begin:end] / np.float32(255))


def tag(path, code, value):
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[code].overwrite(value)


class TestRefused:
    def refusal(self, path):
        with pytest.raises(ImageError) as refused:
            rows_of(path)
        message = str(refused.value)
        assert message.startswith(f"cannot read {path}")
        return message

    @pytest.mark.parametrize(
        ("image", "options", "words"),
        [
            (np.zeros((9, 8), np.float32), {}, "32 bits and the type float32"),
            (np.zeros((9, 8), np.int16), {}, "type int16"),
            (np.zeros((9, 8), np.uint32), {}, "32 bits"),
            (np.zeros((9, 8), np.bool_), {}, "1 bits"),
            (np.zeros((9, 8), np.uint16), {"bitspersample": 12}, "12 bits"),
            (np.zeros((9, 8, 4), np.uint8), {"extrasamples": ["unassalpha"]}, "4 samples a pixel"),
            (np.zeros((9, 8, 4), np.uint8), {"photometric": "separated"}, "SEPARATED"),
            (np.zeros((3, 9, 8), np.uint8), {"planarconfig": "separate"}, "separate planes"),
            (
                np.zeros((9, 8), np.uint8),
                {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
                "PALETTE",
            ),
            (np.zeros((9, 8), np.uint8), {"compression": "png"}, "compression is PNG"),
            (np.zeros((9, 8), np.uint8), {"compression": "jpeg2000"}, "compression is JPEG2000"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_other_kinds(self, tmp_path, image, options, words):
        path = write(tmp_path / "x.tif", image, **options)
        message = self.refusal(path)
        assert words in message
        assert "accepted are gray and RGB of 8 or 16 bits, upright" in message

    @pytest.mark.parametrize("orientation", range(10))
    def test_turned(self, tmp_path, orientation):
        path = write(
            tmp_path / "x.tif", pixels((9, 8)), extratags=[(274, "H", 1, orientation, True)]
        )
        if 2 <= orientation <= 8:
            assert f"its orientation is {orientation}" in self.refusal(path)
        else:  # as no tag at all
            assert_array_equal(rows_of(path), read_image(path))

    def test_no_file(self, tmp_path):
        with pytest.raises(ImageNotFoundError, match="there is no such file"):
            TiffRaster(tmp_path / "x.tif")

    @pytest.mark.parametrize(
        "data", [b"", b"II*\0", b"II*\0\x08\0\0\0", b"not a TIFF file", b"\0" * 99]
    )
    def test_no_tiff(self, tmp_path, data):
        (tmp_path / "x.tif").write_bytes(data)
        assert "damaged or unsupported TIFF" in self.refusal(tmp_path / "x.tif")

    def test_a_folder(self, tmp_path):
        assert "directory" in self.refusal(tmp_path)

    @pytest.mark.parametrize("stored", STORED)
    def test_cut_short(self, tmp_path, stored):
        path = write(tmp_path / "x.tif", pixels((61, 47)), **STORED[stored])
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ImageError, match=r"cut short|damaged"):
            rows_of(path)

    @pytest.mark.parametrize("stored", ["deflate", "LZW", "Zstandard", "differences"])
    def test_damaged_data(self, tmp_path, stored):
        path = write(tmp_path / "x.tif", pixels((61, 47)), **STORED[stored])
        with tifffile.TiffFile(path) as file:
            begin, size = file.pages[0].dataoffsets[2], file.pages[0].databytecounts[2]
        data = bytearray(path.read_bytes())
        data[begin : begin + size] = b"\xff" * size
        path.write_bytes(data)
        self.refusal(path)

    def test_a_strip_that_holds_too_little(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((20, 30)), rowsperstrip=20)
        tag(path, 279, 599)
        assert "strip 0 is too short" in self.refusal(path)
        path = write(tmp_path / "y.tif", pixels((20, 30)), rowsperstrip=20, compression="zlib")
        short = zlib.compress(bytes(30 * 19))
        with tifffile.TiffFile(path) as file:
            begin = file.pages[0].dataoffsets[0]
        data = bytearray(path.read_bytes())
        data[begin : begin + len(short)] = short
        path.write_bytes(data)
        tag(path, 279, len(short))
        assert "damaged" in self.refusal(path)

    def test_fewer_strips_than_rows_need(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((20, 30)), rowsperstrip=5)
        tag(path, 257, 40)  # ImageLength
        assert "damaged" in self.refusal(path)

    def test_closed(self, tmp_path):
        with TiffRaster(write(tmp_path / "x.tif", pixels((20, 30)))) as raster:
            found = attar.extract(raster, "edge", stages=False)
        assert found.condense.shape == (10, 15)
        with pytest.raises(ImageError, match="the file has been closed"):
            _ = found.stats

    def test_with_its_stages(self, tmp_path):
        with (
            TiffRaster(write(tmp_path / "x.tif", pixels((20, 30)))) as raster,
            pytest.raises(ArgumentError, match="a raster is read by rows; pass stages=False"),
        ):
            attar.extract(raster, "edge")

    def test_without_tifffile(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "tifffile", None)
        with pytest.raises(AttarError, match=r'pip install "attar\[tiff\]"'):
            TiffRaster(tmp_path / "x.tif")


class TestHostile:
    """Files of some kilobytes that say they are gigabytes, read in a process that has little."""

    def refused(self, path):
        script = textwrap.dedent("""
            import resource, sys
            import numpy, simplejpeg, tifffile, imagecodecs
            import attar
            from attar.tiff import TiffRaster
            imagecodecs.jpeg_decode, imagecodecs.zlib_decode, imagecodecs.lzw_decode
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                with TiffRaster(sys.argv[1]) as raster:
                    raster.rows(0, 1)
            except ValueError as error:
                print(type(error).__name__, error)
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """)
        done = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=True
        )
        message, grown = done.stdout.splitlines()
        assert int(grown) < 100  # MB
        assert message.startswith("ImageError cannot read")
        return message

    def test_a_huge_tile(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((20, 30)), tile=(16, 16), compression="zlib")
        tag(path, 322, 65536)
        tag(path, 323, 65536)
        assert "a row of tiles takes 4096 MiB and at most 64" in self.refused(path)

    def test_a_huge_strip(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((20, 30000)), rowsperstrip=20, compression="lzw")
        tag(path, 257, 65535)
        tag(path, 278, 65535)
        assert "a strip takes 1874 MiB" in self.refused(path)

    def test_a_huge_row(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((2, 30)), rowsperstrip=1, bigtiff=True)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags[256].overwrite(2**32 - 1, dtype="I")
        assert "a row takes 4095 MiB" in self.refused(path)

    def test_a_strip_that_unpacks_to_gigabytes(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((20, 30)), rowsperstrip=20, compression="zlib")
        bomb = zlib.compressobj()
        data = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(256)) + bomb.flush()
        begin = path.stat().st_size
        with path.open("ab") as file:
            file.write(data)
        tag(path, 273, begin)
        tag(path, 279, len(data))
        assert "damaged" in self.refused(path)

    def test_a_jpeg_larger_than_its_tile(self, tmp_path):
        path = write(tmp_path / "x.tif", pixels((32, 32)), tile=(16, 16), compression="jpeg")
        data = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as file:
            begin = file.pages[0].dataoffsets[0]
        frame = data.index(b"\xff\xc0", begin)
        data[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
        path.write_bytes(data)
        assert "a JPEG of 65500 × 65500 pixels in a strip or tile of 16 × 16" in self.refused(path)


class TestArrays:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3)])
    def test_colours_are_those_of_a_picture(self, tmp_path, shape, dtype):
        image = pixels(shape, dtype)
        path = write(tmp_path / "x.tif", image)
        for color in ("keep", "gray", "rgb"):
            raster = ArrayRaster(image, color=color)
            whole = read_image(path, color=color)
            assert raster.shape == whole.shape
            assert_array_equal(raster.rows(0, 9), whole)

    def test_floats_are_kept(self):
        image = RNG.standard_normal((9, 8))
        assert ArrayRaster(image).rows(2, 5).dtype == np.float64
        assert_array_equal(ArrayRaster(image).rows(2, 5), image[2:5])

    def test_other_dtypes(self):
        with pytest.raises(DTypeError, match="the image has dtype int32"):
            ArrayRaster(np.zeros((2, 2), np.int32))
