"""The shell: options, exit status, what is printed, what is on the disk afterwards."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import attar
from attar import cli, kernels
from attar.extraction import Extraction, extract
from attar.images import read_image

from .shell import files

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Rich reads these; a test's output must not depend on the terminal that runs it.
    monkeypatch.setenv("COLUMNS", "100")


def photo(path, *, gray=False, size=(12, 16)):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if gray else (*size, 3)
    Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(path)
    return str(path)


@pytest.fixture
def run(shell):
    return partial(shell, "extract")


@pytest.fixture
def document(run):
    def call(*arguments):
        status, out, err = run(*arguments, "--json")
        return status, json.loads(out), err

    return call


class TestOneImage:
    def test_default(self, run):
        status, out, err = run(photo("cat.png"))
        assert (status, err) == (0, "")
        assert files() == ["cat-attar.png", "cat.png"]
        result = extract(read_image("cat.png", color="gray"), "edge")
        stats = result.stats
        assert out.splitlines() == [
            "cat.png",
            "  image      12 × 16",
            "  filter     12 × 16",
            f"  detect     12 × 16   dead space {100 * stats.detect.dead_space:.1f} %",
            f"  condense   6 × 8     dead space {100 * stats.condense.dead_space:.1f} %"
            f"   intensification {stats.intensification:.2f}×",
            "  → cat-attar.png",
        ]

    def test_result_is_that_of_the_library(self, run):
        run(photo("cat.png"), "-o", "cat.npy")
        wanted = extract(read_image("cat.png", color="gray"), "edge").condense
        assert_array_equal(np.load("cat.npy"), wanted)

    @pytest.mark.parametrize(
        ("options", "keywords"),
        [
            (["--kernel", "blur"], {"kernel": "blur"}),
            (["--kernel", "-1 -1 -1; -1 8 -1; -1 -1 -1"], {"kernel": kernels["edge"]}),
            (["--kernel=-1 1"], {"kernel": [[-1, 1]]}),
            (["--kernel", "-1"], {"kernel": [[-1]]}),
            (["--conv-stride", "2"], {"conv_stride": 2}),
            (["--conv-stride", "2x1"], {"conv_stride": (2, 1)}),
            (["--conv-padding", "VALID"], {"conv_padding": "valid"}),
            (["--conv-padding", "1,0,2,0"], {"conv_padding": ((1, 0), (2, 0))}),
            (["--activation", "none"], {"activation": None}),
            (["--pool", "average"], {"pool": "average"}),
            (["--pool", "none"], {"pool": None}),
            (["--pool-size", "3"], {"pool_size": 3}),
            (["--pool-size", "2,3"], {"pool_size": (2, 3)}),
            (["--pool-size", "3", "--pool-stride", "1"], {"pool_size": 3, "pool_stride": 1}),
            (
                ["--pool-size", "5", "--pool-padding", "valid"],
                {"pool_size": 5, "pool_padding": "valid"},
            ),
            (["--pool-padding", "0,1,1,0"], {"pool_padding": ((0, 1), (1, 0))}),
        ],
        ids=str,
    )
    def test_options(self, run, options, keywords):
        keywords = {"kernel": "edge"} | keywords
        status, _, _ = run(photo("cat.png"), *options, "-o", "cat.npy")
        assert status == 0
        wanted = extract(read_image("cat.png", color="gray"), **keywords).condense
        assert_array_equal(np.load("cat.npy"), wanted)

    def test_rgb(self, run):
        run(photo("cat.png"), "--color", "rgb", "-o", "cat.npy")
        wanted = extract(read_image("cat.png", color="rgb"), "edge").condense
        assert wanted.shape == (6, 8, 1)
        assert_array_equal(np.load("cat.npy"), wanted)

    def test_kernel_file(self, run):
        weights = RNG.standard_normal((3, 3, 1, 2)).astype(np.float32)
        np.save("k.npy", weights)
        status, out, _ = run(photo("cat.png"), "--kernel", "k.npy", "-o", "cat.npy")
        assert status == 0
        assert "condense   6 × 8 × 2" in out
        assert_array_equal(
            np.load("cat.npy"), extract(read_image("cat.png", color="gray"), weights).condense
        )

    @pytest.mark.parametrize(
        ("name", "start"),
        [("r.png", b"\x89PNG"), ("r.svg", b"<?xml"), ("r.pdf", b"%PDF"), ("r.npz", b"PK")],
    )
    def test_output_by_suffix(self, run, name, start):
        assert run(photo("cat.png"), "--output", name)[0] == 0
        assert Path(name).read_bytes().startswith(start)

    @pytest.mark.parametrize("folder", ["out", "out/", "new/deep/"])
    def test_output_folder(self, run, folder):
        run(photo("cat.png"), "-o", folder)
        assert Path(folder, "cat-attar.png").is_file()

    def test_a_file_in_a_new_folder(self, run):
        assert run(photo("cat.png"), "-o", "new/r.npy")[0] == 0
        assert Path("new/r.npy").is_file()

    def test_its_own_output_is_replaced(self, run):
        cat = photo("cat.png")
        Path("cat-attar.png").write_text("old")
        assert run(cat)[0] == 0
        assert Path("cat-attar.png").read_bytes().startswith(b"\x89PNG")


class TestSeveral:
    def test_table(self, run):
        status, out, err = run(photo("a.png"), photo("b.png"))
        assert (status, err) == (0, "")
        head, *rows = out.splitlines()
        assert re.split(r"\s{3,}", head) == [
            "image",
            "size",
            "condensed",
            "dead space",
            "intensification",
            "written to",
        ]
        for name, row in zip("ab", rows, strict=True):
            assert re.fullmatch(
                rf"{name}\.png\s+12 × 16\s+6 × 8\s+[\d.]+ % → [\d.]+ %\s+[\d.]+×\s+"
                rf"{name}-attar\.png",
                row,
            )

    def test_columns_line_up_under_wide_names(self, run):
        _, out, _ = run(photo("猫.png"), photo("a.png"))
        head, first, second = out.splitlines()
        assert first.index("12 ×") + 1 == second.index("12 ×") == head.index("size")

    def test_the_rest_is_done_when_one_fails(self, run):
        Path("bad.png").write_bytes(b"not a picture")
        status, out, err = run(photo("a.png"), "bad.png", "none.png", photo("b.png"))
        assert status == 3
        assert files() == ["a-attar.png", "a.png", "b-attar.png", "b.png", "bad.png"]
        lines = err.splitlines()
        assert len(lines) == 2
        assert any(line.startswith("attar: bad.png: ") for line in lines)
        assert "attar: none.png: there is no such file or folder" in lines
        assert "a-attar.png" in out
        assert "b-attar.png" in out

    def test_folder(self, run):
        for name in ("in/a.png", "in/deep/b.jpg", "in/c-attar.png"):
            photo(name)
        Path("in/notes.txt").write_text("no picture")
        assert run("in", "-o", "out")[0] == 0
        assert files("out") == ["out/a-attar.png", "out/b-attar.png"]

    def test_a_second_run_over_a_folder_is_about_the_same_pictures(self, run):
        photo("a.png")
        assert run(".")[0] == run(".")[0] == 0
        assert files() == ["a-attar.png", "a.png"]

    def test_pattern(self, run):
        status, _, _ = run(photo("a.png"), photo("b.png"), "-o", "maps/{stem}/r.npy")
        assert status == 0
        assert files("maps") == ["maps/a/r.npy", "maps/b/r.npy"]

    def test_same_names_from_different_folders_are_told_apart(self, document):
        paths = [photo(f"{name}.png") for name in ("x/cat", "y/cat", "x/dog", "x/Dog", "z/x-cat")]
        paths += [photo("x/cat.jpg")]
        status, found, _ = document(*paths, "-o", "out")
        assert status == 0
        assert [image["output"] for image in found["images"]] == [
            "out/x-cat-png-attar.png",
            "out/y-cat-attar.png",
            "out/x-dog-attar.png",
            "out/x-Dog-png-attar.png",
            "out/x-cat-attar.png",
            "out/x-cat-jpg-attar.png",
        ]
        assert len(files("out")) == 6

    def test_an_image_named_twice_is_done_once(self, document):
        cat = photo("cat.png")
        assert len(document(cat, str(Path(cat).resolve()), ".")[1]["images"]) == 1

    def test_no_progress_bar_where_nobody_looks(self, run):
        assert run(photo("a.png"), photo("b.png"))[2] == ""

    def test_progress_bar_on_a_terminal(self, run, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        status, out, err = run(photo("a.png"), photo("b.png"))
        assert status == 0
        assert "2/2" in err
        assert "2/2" not in out


class TestJson:
    def test_document(self, document):
        Path("bad.png").write_bytes(b"")
        status, found, err = document(photo("cat.png"), "bad.png", "-o", "{stem}.npz")
        assert status == 3
        assert "bad.png" in err
        stats = extract(read_image("cat.png", color="gray"), "edge").stats
        cat, bad = found.pop("images")
        assert found == {
            "schema": "attar.extract/1",
            "color": "gray",
            "spec": {
                "kernel": "edge",
                "kernel_shape": [3, 3],
                "bias": None,
                "conv_stride": [1, 1],
                "conv_padding": "same",
                "activation": "relu",
                "pool": "max",
                "pool_size": [2, 2],
                "pool_stride": [2, 2],
                "pool_padding": "same",
            },
        }
        assert cat == {
            "path": "cat.png",
            "ok": True,
            "sizes": {
                "image": [12, 16],
                "filter": [12, 16],
                "detect": [12, 16],
                "condense": [6, 8],
            },
            "stats": json.loads(json.dumps(stats.as_dict())),
            "output": "cat.npz",
            "error": None,
        }
        assert bad.pop("error")
        assert bad == {"path": "bad.png", "ok": False, "sizes": None, "stats": None, "output": None}

    def test_nothing_but_the_document_on_stdout(self, document):
        assert document(photo("a.png"), photo("b.png"))[0] == 0

    def test_only_failures_still_give_a_document(self, document):
        status, found, _ = document("none.png")
        assert status == 3
        assert [image["ok"] for image in found["images"]] == [False]


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--kernel", "egde"], "'edge'"),
            (["--kernel", "1 2; 3"], "row 2 has 1"),
            (["--kernel", "none.npy"], "there is no file none.npy"),
            (["--conv-stride", "0"], "--conv-stride is '0'"),
            (["--conv-stride", "1.5"], "--conv-stride is '1.5'"),
            (["--pool-size", "00"], "--pool-size is '00'"),
            (["--pool-size", "2x0"], "--pool-size is '2x0'"),
            (["--pool-stride", "x"], "--pool-stride is 'x'"),
            (["--conv-padding", "-1,0,0,0"], "--conv-padding is '-1,0,0,0'"),
            (["--pool-padding", "full"], "--pool-padding is 'full'"),
            (["--activation", "tanh"], "relu"),
            (["--pool", "min"], "average"),
            (["--color", "cmyk"], "gray"),
            (["--max-pixels", "0"], "--max-pixels is 0"),
            (["--max-pixels", "many"], "max-pixels"),
            (["--unknown"], "--unknown"),
            (["--kernel"], "--kernel"),
            (["-o", "r.jpg"], ".png, .svg, .pdf, .npy, .zarr, .npz"),
            (["-o", "{stem}"], ".png, .svg, .pdf, .npy, .zarr, .npz"),
            (["-o", "cat.png"], "would be overwritten"),
            (["-o", "{stem}.png"], "would be overwritten"),
        ],
        ids=str,
    )
    def test_wrong_option(self, run, arguments, message):
        status, out, err = run(photo("cat.png"), *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.endswith("Try: attar extract --help\n")
        assert files() == ["cat.png"]

    def test_no_image(self, run):
        status, _, err = run()
        assert status == 2
        assert "which image?" in err

    def test_one_file_for_several_images(self, run):
        status, _, err = run(photo("a.png"), photo("b.png"), "-o", "r.png")
        assert status == 2
        assert "{stem}.png" in err
        assert files() == ["a.png", "b.png"]

    def test_unknown_command(self, capsys):
        assert cli.main(["distil"]) == 2
        assert "distil" in capsys.readouterr().err


class TestFailure:
    def test_missing_file(self, run):
        assert run("none.png") == (
            3,
            "",
            "attar: none.png: there is no such file or folder\n",
        )

    def test_folder_without_pictures(self, run):
        Path("empty").mkdir()
        status, _, err = run("empty")
        assert status == 3
        assert "no picture in the folder empty" in err

    def test_too_many_pixels(self, run):
        status, _, err = run(photo("cat.png"), "--max-pixels", "191")
        assert status == 3
        assert "191" in err
        assert run(photo("cat.png"), "--max-pixels", "192")[0] == 0

    def test_window_larger_than_one_image(self, run):
        status, _, err = run(
            photo("small.png", size=(2, 2)), photo("cat.png"), "--conv-padding", "valid"
        )
        assert status == 3
        assert err.startswith("attar: small.png: ")
        assert Path("cat-attar.png").is_file()

    def test_channels_that_do_not_fit(self, run):
        np.save("k.npy", np.ones((3, 3, 3, 1), np.float32))
        status, _, err = run(photo("cat.png"), "--kernel", "k.npy")
        assert status == 3
        assert "3 channel(s)" in err

    def test_output_below_a_file(self, run):
        Path("taken").write_text("a file")
        status, _, err = run(photo("cat.png"), "-o", "taken/r.png")
        assert status == 3
        assert err.startswith("attar: cat.png: cannot write")
        assert Path("taken").read_text() == "a file"

    @pytest.mark.parametrize("name", ["r.png", "r.npy", "r.npz"])
    @pytest.mark.parametrize(
        ("error", "status"),
        [(OSError(28, "No space left on device"), 3), (KeyboardInterrupt(), 130)],
    )
    def test_no_half_file(self, run, monkeypatch, name, error, status):
        def fail(target, *_args, **_options):
            if isinstance(target, Path):
                with target.open("wb") as file:
                    file.write(b"half")
            else:
                target.write(b"half")
            raise error

        cat = photo("cat.png")
        Path(name).write_bytes(b"old")
        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.write_bytes", fail)
            patch.setattr("numpy.save", fail)
            patch.setattr("numpy.savez", fail)
            found = run(cat, "-o", name)
        assert found[0] == status
        assert ("No space" if status == 3 else "interrupted") in found[2]
        assert files() == ["cat.png", name]
        assert Path(name).read_bytes() == b"old"

    def test_out_of_memory_is_one_image(self, run, monkeypatch):
        def fail(self, path):
            raise MemoryError

        cat = photo("cat.png")
        monkeypatch.setattr(Extraction, "save", fail)
        status, _, err = run(cat)
        assert status == 3
        assert err == "attar: cat.png: there is not enough memory for it\n"


class TestAround:
    def test_help(self, capsys):
        assert cli.main(["--help"]) == 0
        assert "extract" in capsys.readouterr().out

    def test_no_arguments_is_help(self, capsys):
        assert cli.main([]) == 0
        assert "Usage: attar COMMAND" in capsys.readouterr().out

    def test_help_of_extract(self, capsys):
        assert cli.main(["extract", "--help"]) == 0
        out = " ".join(capsys.readouterr().out.replace("│", " ").split())
        steps = (
            "--kernel --conv-stride --conv-padding --activation --pool --pool-size --pool-stride"
        )
        rest = "--pool-padding --color --output -o --json --max-pixels"
        for option in [*steps.split(), *rest.split()]:
            assert f" {option} " in out
        assert "Exit status: 0 all done · 2 " in out
        assert "attar extract photo.jpg" in out

    def test_help_names_every_kernel(self, capsys):
        cli.main(["extract", "--help"])
        out = capsys.readouterr().out.replace("│", " ")
        words = {word.strip(".,") for word in out.split()}
        for name in kernels:
            side, _, family = name.partition("_")
            spelled = name in words or {f"{side}_", family} <= words
            assert spelled, name

    def test_version(self, capsys):
        assert cli.main(["--version"]) == 0
        assert capsys.readouterr().out == f"{attar.__version__}\n"


# Where this attar was imported from: the processes below run in other folders.
HOME_OF_ATTAR = {"PYTHONPATH": str(Path(attar.__file__).resolve().parents[1])}


def shell(*arguments, module=("-m", "attar"), **options):
    environment = (
        os.environ | HOME_OF_ATTAR | {"PYTHONIOENCODING": "utf-8"} | options.pop("env", {})
    )
    return subprocess.run(
        [sys.executable, *module, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        **options,
    )


class TestProcess:
    def test_python_m_attar(self):
        done = shell("extract", photo("cat.png"), "nothing.png")
        assert done.returncode == 3
        assert "→ cat-attar.png" in done.stdout
        assert done.stderr == "attar: nothing.png: there is no such file or folder\n"

    def test_a_terminal_without_arrows(self):
        done = shell("extract", photo("cat.png"), env={"PYTHONIOENCODING": "ascii"})
        assert done.returncode == 0
        assert "\\u2192 cat-attar.png" in done.stdout

    @pytest.mark.skipif(sys.platform == "win32", reason="pipes close in another way")
    def test_a_reader_that_leaves(self):
        command = f"{sys.executable} -m attar extract {photo('cat.png')} | true"
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env=os.environ | HOME_OF_ATTAR
        )
        assert done.stderr == ""

    def test_help_does_not_wait_for_matplotlib(self):
        code = (
            "import sys; from attar.cli import main; main(['--help']); main(['extract', '--help']);"
            "sys.exit('matplotlib' in sys.modules)"
        )
        assert shell(code, module=("-c",)).returncode == 0

    def test_garbage_of_many_images_is_collected(self):
        code = (
            f"import gc, sys; sys.argv = ['attar', 'extract', {photo('cat.png')!r}];"
            "from attar.cli import main; main(); sys.exit(not gc.isenabled())"
        )
        assert shell(code, module=("-c",)).returncode == 0

    @pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
    def test_install_completion(self, tmp_path):
        home = tmp_path / "home"
        home.mkdir()
        done = shell("--install-completion", env={"HOME": str(home), "SHELL": "/bin/bash"})
        assert done.returncode == 0, done.stderr
        script = home / ".local/share/bash-completion/completions/attar"
        assert "--pool-size" in script.read_text()
        assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
