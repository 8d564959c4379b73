"""``attar extract`` of images that are read by rows: what the same image gives in memory."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from numpy.testing import assert_array_equal

import attar
from attar.array_files import append_to
from attar.errors import ArgumentError, AttarError
from attar.nn import streaming
from attar.shrink import Shrinking, shrink_to

from .shell import files

RNG = np.random.default_rng(4)
BY_ROWS = ("--max-pixels", "1")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(streaming, "BAND_BYTES", 40_000)


@pytest.fixture
def run(shell):
    return partial(shell, "extract")


def picture(shape=(800, 300), path="x.tif", **options):
    """Write a picture whose features are stronger at the right."""
    strength = np.linspace(0, 1, shape[1]).reshape(1, -1, *[1] * (len(shape) - 2))
    image = (255 * RNG.random(shape) * strength).astype(np.uint8)
    kind = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(path, image, photometric=kind, rowsperstrip=37, metadata=None, **options)
    return image


class TestTheSame:
    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--color", "rgb"],
            ["--activation", "none"],
            ["--pool", "none"],
            ["--pool", "none", "--activation", "none"],
            ["--pool", "average", "--pool-size", "5", "--pool-stride", "2"],
            ["--conv-stride", "3", "--pool-stride", "4x1"],
            ["--conv-padding", "valid", "--pool-padding", "valid", "--pool-size", "7"],
            ["--pool-padding", "valid", "--pool-stride", "300"],
            ["--conv-stride", "47", "--conv-padding", "2,2,0,0"],
            ["--kernel", "left_sobel", "--conv-padding", "9,0,2,0"],
        ],
        ids=" ".join,
    )
    @pytest.mark.parametrize("shape", [(800, 300), (330, 750, 3), (5, 900)], ids=str)
    def test_as_in_memory(self, run, shape, options):
        picture(shape)
        if "7" in options and shape[0] == 5:  # a window that would not fit
            options = [*options[:-1], "2"]
        told = {}
        for name, rows in (("whole", ()), ("rows", BY_ROWS)):
            for suffix in (".png", ".npy"):
                status, out, err = run("x.tif", "-o", name + suffix, "--json", *options, *rows)
                assert (status, err) == (0, "")
                told[name, suffix] = out.replace(f'"{name}.', '"')
        assert told["whole", ".npy"] == told["rows", ".npy"]
        assert told["whole", ".png"] == told["rows", ".png"]
        assert_array_equal(np.load("rows.npy"), np.load("whole.npy"))
        assert Path("rows.png").read_bytes() == Path("whole.png").read_bytes()
        assert files() == ["rows.npy", "rows.png", "whole.npy", "whole.png", "x.tif"]

    def test_what_is_printed(self, run):
        picture()
        whole, rows = run("x.tif"), run("x.tif", *BY_ROWS)
        assert whole == rows
        assert whole[1].endswith("→ x-attar.png\n")

    @pytest.mark.parametrize("suffix", [".npy", ".zarr"])
    @pytest.mark.parametrize("shape", [(200, 300), (130, 150, 3)], ids=str)
    def test_arrays(self, run, shape, suffix):
        image = picture(shape)
        if suffix == ".npy":
            np.save("x.npy", image)
        else:
            zarr.create_array(store="x.zarr", data=image, chunks=(32, 32, *shape[2:]))
        assert run("x.tif", "-o", "whole.npy")[0] == run(f"x{suffix}", "-o", "rows.npy")[0] == 0
        assert_array_equal(np.load("rows.npy"), np.load("whole.npy"))
        numbers = [json.loads(run(x, "--json")[1])["images"][0] for x in ("x.tif", f"x{suffix}")]
        assert numbers[0]["stats"] == numbers[1]["stats"]
        assert numbers[0]["sizes"] == numbers[1]["sizes"]

    def test_an_array_of_floats(self, run):
        image = RNG.standard_normal((90, 70))
        np.save("x.npy", image)
        assert run("x.npy", "-o", "r.npy")[0] == 0
        found = np.load("r.npy")
        assert found.dtype == np.float64
        assert_array_equal(found, attar.extract(image, "edge").condense)

    def test_several_filters(self, run):
        image = RNG.random((90, 70, 2), np.float32)
        kernel = RNG.standard_normal((3, 3, 2, 5)).astype(np.float32)
        np.save("x.npy", image)
        np.save("k.npy", kernel)
        assert run("x.npy", "--kernel", "k.npy", "-o", "r.zarr")[0] == 0
        result = attar.extract(image, kernel)
        assert_array_equal(zarr.open_array("r.zarr", mode="r")[...], result.condense)
        run("x.npy", "--kernel", "k.npy")
        result.save("whole.png")
        # The spec of a kernel in a file has no name either.
        assert Path("x-attar.png").read_bytes() == Path("whole.png").read_bytes()


class TestZarr:
    def test_written_in_chunks(self, run):
        picture((400, 300))
        for target, options in (("a.zarr", ()), ("b.zarr", BY_ROWS)):
            assert run("x.tif", "-o", target, *options)[0] == 0
            found = zarr.open_array(target, mode="r")
            assert found.shape == (200, 150)
            assert found.chunks == (64, 150)
        assert_array_equal(zarr.open_array("a.zarr")[...], zarr.open_array("b.zarr")[...])

    def test_replaced(self, run):
        picture((40, 30))
        run("x.tif", "-o", "r.zarr", "--pool", "none")
        assert run("x.tif", "-o", "r.zarr")[0] == 0
        assert zarr.open_array("r.zarr").shape == (20, 15)
        assert not list(Path().glob(".*"))

    def test_another_folder_is_not_replaced(self, run):
        picture((40, 30))
        Path("r.zarr").mkdir()
        Path("r.zarr/letter.txt").write_text("dear")
        status, _, err = run("x.tif", "-o", "r.zarr")
        assert status == 3
        assert "what is there is no Zarr array" in err
        assert files() == ["r.zarr/letter.txt", "x.tif"]

    def test_into_the_image(self, run):
        zarr.create_array(store="x.zarr", data=np.zeros((9, 9), np.uint8))
        for target in ("x.zarr", "x.zarr/y.npy"):
            status, _, err = run("x.zarr", "-o", target)
            assert status == 2
            assert "would be overwritten" in err


class TestRefused:
    def refusal(self, run, *arguments):
        before = files()
        status, out, err = run(*arguments)
        assert (status, out) == (3, "")
        assert files() == before
        return err

    def test_npz(self, run):
        picture()
        err = self.refusal(run, "x.tif", "-o", "r.npz", *BY_ROWS)
        assert "write the condensed map as .npy or .zarr" in err

    def test_no_array(self, run):
        Path("x.npy").write_bytes(b"nothing")
        assert err_of(self.refusal(run, "x.npy")).startswith("it holds no array of numbers")
        np.savez("y.npz", np.zeros((2, 2)))
        Path("y.npz").rename("y.npy")
        assert "it holds several arrays" in self.refusal(run, "y.npy")
        np.save("o.npy", np.array([{}]))
        assert "no array of numbers" in self.refusal(run, "o.npy")
        assert "there is no such file" in self.refusal(run, "none.npy")
        assert "there is no such file" in self.refusal(run, "none.zarr")
        Path("z.zarr").mkdir()
        assert "no array of numbers" in self.refusal(run, "z.zarr")

    @pytest.mark.parametrize("shape", [(9,), (2, 9, 9, 1)])
    def test_another_rank(self, run, shape):
        np.save("x.npy", np.zeros(shape, np.uint8))
        assert "accepted are one image, (H, W) or (H, W, C)" in self.refusal(run, "x.npy")

    def test_another_dtype(self, run):
        np.save("x.npy", np.zeros((4, 4), np.int64))
        assert "the image has dtype int64" in self.refusal(run, "x.npy")

    @pytest.mark.parametrize("suffix", [".png", ".npy", ".zarr"])
    def test_cut_short_in_the_middle(self, run, suffix):
        picture()
        data = Path("x.tif").read_bytes()
        with tifffile.TiffFile("x.tif") as file:
            middle = file.pages[0].dataoffsets[10]
        Path("x.tif").write_bytes(data[: middle + 9])
        Path(f"r{suffix}").write_bytes(b"old") if suffix != ".zarr" else None
        assert "cut short" in self.refusal(run, "x.tif", "-o", f"r{suffix}", *BY_ROWS)
        assert suffix == ".zarr" or Path(f"r{suffix}").read_bytes() == b"old"

    def test_a_full_disk(self, run, monkeypatch):
        picture()
        monkeypatch.setattr("attar.array_files.np.ascontiguousarray", full_disk)
        assert "No space left" in self.refusal(run, "x.tif", "-o", "r.npy", *BY_ROWS)

    def test_a_kind_that_is_only_read_whole(self, run):
        image = RNG.integers(0, 255, (40, 50, 4), np.uint8)
        tifffile.imwrite("x.tif", image, photometric="rgb", extrasamples=["unassalpha"])
        err = self.refusal(run, "x.tif", *BY_ROWS)
        assert "4 samples a pixel" in err
        assert run("x.tif")[0] == 0

    def test_other_pictures_keep_the_limit(self, run):
        attar.write_image("x.png", np.zeros((4, 4), np.uint8))
        assert "the limit is 1" in self.refusal(run, "x.png", *BY_ROWS)

    def test_one_of_several(self, run):
        picture()
        np.save("bad.npy", np.zeros(3))
        status, _, err = run("bad.npy", "x.tif", *BY_ROWS)
        assert status == 3
        assert err.startswith("attar: bad.npy: its shape is (3,)")
        assert Path("x-attar.png").is_file()


def err_of(err):
    return err.partition(": ")[2].partition(": ")[2]


def full_disk(*_args, **_options):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("target", ["r.npy", "r.zarr", "r.png"])
def test_interrupted(target):
    """Ctrl-C in the middle leaves nothing behind."""
    np.lib.format.open_memmap("x.npy", mode="w+", dtype=np.uint8, shape=(60_000, 8192)).flush()
    command = "import attar.cli, sys; sys.exit(attar.cli.main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", command, "extract", "x.npy", "-o", target],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # A picture is written at the end: the image is being read once the process has grown.
        while process.poll() is None and not (
            rss_of(process) > 90 if target == "r.png" else list(Path().glob(".r.*"))
        ):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert sorted(file.name for file in Path().iterdir()) == ["x.npy"]


def rss_of(process):
    """Return the megabytes of a process."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / 2**20


class TestAppending:
    @pytest.mark.parametrize("suffix", [".npy", ".zarr"])
    def test_rows_that_are_missing(self, suffix):
        with (
            pytest.raises(AttarError, match="1 of 3 rows were written"),
            append_to(Path(f"r{suffix}"), (3, 2), np.dtype(np.float32)) as append,
        ):
            append(np.zeros((1, 2), np.float32))
        assert list(Path().iterdir()) == []

    @pytest.mark.parametrize("suffix", [".npy", ".zarr"])
    def test_a_folder_that_is_missing(self, suffix):
        with (
            pytest.raises(ArgumentError, match="does not exist"),
            append_to(Path(f"none/r{suffix}"), (3, 2), np.dtype(np.float32)),
        ):
            pass

    def test_without_zarr(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "zarr", None)
        with (
            pytest.raises(AttarError, match=r'pip install "attar\[zarr\]"'),
            append_to(Path("r.zarr"), (3, 2), np.dtype(np.float32)),
        ):
            pass


@pytest.mark.parametrize("how", ["mean", "extreme"])
@pytest.mark.parametrize("shape", [(50, 40), (7, 40), (50, 3), (33, 20, 3), (1, 1)])
def test_shrinking_by_rows(shape, how):
    values = RNG.standard_normal(shape).astype(np.float32)
    values[RNG.random(shape) < 0.02] = np.nan
    for box in ((10, 11), (7, 40), (60, 5), (1, 1)):
        shrinking = Shrinking(shape, *box, how)
        at = 0
        while at < shape[0]:
            count = int(RNG.integers(0, 9))
            shrinking.add(values[at : at + count])
            at += count
        assert_array_equal(shrinking.result(), shrink_to(values, *box, how))
