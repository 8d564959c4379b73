"""``attar audit``: options, exit status, files, what is printed, and stopping and going on."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import attar
from attar.auditing import AuditReport
from attar.cli import audit as command
from attar.cli.shell import duration
from tests.audits import images, model

QUICK = ("--measures", "shift,space", "--shifts", "circular", "--reach", "1")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    model().save("small.safetensors")
    np.save("images.npy", images(40))


@pytest.fixture
def run(shell):
    return partial(shell, "audit", "small.safetensors")


def files():
    return sorted(path.name for path in Path().iterdir())


class TestFiles:
    def test_the_page_is_beside_and_the_table_is_printed(self, run):
        status, out, err = run("images.npy", *QUICK)
        assert (status, err) == (0, "")
        assert files() == ["images.npy", "small-attar.html", "small.safetensors"]
        assert out.startswith("Audit of small (attar), 40 of 40 images\n")
        assert out.endswith("→ small-attar.html\n")
        assert "Audit of small" in Path("small-attar.html").read_text("utf-8")

    def test_json_is_that_of_the_library(self, run):
        status, out, _ = run("images.npy", *QUICK, "--json")
        assert status == 0
        from attar.auditing.shift import Shift

        want = attar.audit(
            "small.safetensors",
            "images.npy",
            measures=[Shift(modes=("circular",), reach=1), "space"],
        )
        found = AuditReport.from_dict(json.loads(out))
        assert found.sections == want.sections
        assert found.images == want.images

    @pytest.mark.parametrize(
        ("output", "file"),
        [("r.html", "r.html"), ("r.json", "r.json"), ("new/deep/", "new/deep/small-attar.html")],
    )
    def test_output(self, run, output, file):
        assert run("images.npy", *QUICK, "-o", output)[0] == 0
        assert Path(file).stat().st_size > 1000
        assert not list(Path().rglob("*.parts"))

    def test_language(self, run):
        run("images.npy", *QUICK, "--lang", "zh")
        assert 'lang="zh-CN"><head>' in Path("small-attar.html").read_text("utf-8")

    def test_without_images(self, run):
        status, out, _ = run(*QUICK, "--max-images", "3")
        assert (status, out.splitlines()[0]) == (0, "Audit of small (attar), 3 of 3 images")

    def test_several_folders_and_a_broken_picture(self, run):
        for folder in ("a", "b"):
            Path(folder).mkdir()
            attar.write_image(f"{folder}/1.png", images(1, 3)[0])
        Path("a/2.png").write_bytes(b"no picture")
        status, out, err = run("a", "b", *QUICK)
        assert status == 3
        assert out.startswith("Audit of small (attar), 2 of 3 images\n")
        assert err.startswith("attar: a/2.png: cannot read a/2.png: it is no JPEG, PNG, ")
        assert len(err.splitlines()) == 1


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "found"),
        [
            (["--preparation", "bytes"], {"scale": 255, "mean": [0], "std": [1], "bgr": False}),
            (
                ["--scale", "255", "--mean", "-3", "--std", "2"],
                {"scale": 255, "mean": [-3], "std": [2], "bgr": False},
            ),
        ],
    )
    def test_preparation(self, run, options, found):
        _, out, _ = run("images.npy", "--measures", "cost", *options, "--json")
        values = json.loads(out)["model"]
        assert values["preparation"] == found
        assert values["preparation_says"] == "stated"

    def test_labels(self, run):
        np.save("labels.npy", np.zeros(40, np.int64))
        _, out, _ = run("images.npy", *QUICK, "--labels", "labels.npy", "--json")
        values = json.loads(out)
        assert values["images"]["labels"] == "labels.npy"
        assert "accuracy" in values["numbers"]
        np.savez("both.npz", images=images(40), labels=np.zeros(40, np.int64))
        _, out, _ = run("both.npz", *QUICK, "--labels", "none", "--json")
        assert "accuracy" not in json.loads(out)["numbers"]

    def test_a_model_that_runs_code_is_opened_for_those_who_trust_it(self, shell):
        import torch

        torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 3)), "m.pt")
        options = ("audit", "m.pt", "images.npy", "--measures", "cost", "--size", "16")
        status, _, err = shell(*options)
        assert status == 2
        assert "--trust-model" in err
        assert not Path("m-attar.html").exists()
        assert shell(*options, "--trust-model")[0] == 0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["images.npy", "-o", "r.pdf"], "accepted are .html, .json, or a folder"),
            (["images.npy", "--measures", "shift,weather"], "got 'weather'"),
            (["images.npy", "--measures", "cost", "--reach", "2"], "for the measure shift"),
            (["images.npy", "--reach", "0"], "reach must be an int of at least 1, got 0"),
            (["images.npy", "--mean", "a"], "--mean is 'a'"),
            (["images.npy", "--size", "0"], "--size is '0'"),
            (["images.npy", "--fail-under", "consistency"], "--fail-under is 'consistency'"),
            (["images.npy", "--fail-over", "deaf=1"], "--fail-over is 'deaf=1'; accepted are "),
            (["nowhere"], "no picture at nowhere"),
            (["images.npy", "--labels", "l.txt"], "labels must be a .npy or .csv file"),
        ],
    )
    def test_what_is_refused(self, run, arguments, message):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert files() == ["images.npy", "small.safetensors"]

    def test_help_names_every_exit_status(self, shell):
        _, out, _ = shell("audit", "--help")
        text = " ".join(out.split())
        for status in ("0 all done", "1 a limit", "2 the command", "3 at least", "130 interrupted"):
            assert status in text


class TestLimits:
    def test_kept(self, run):
        assert run("images.npy", *QUICK, "--fail-under", "consistency=0.001")[0] == 0

    def test_not_kept(self, run):
        status, out, err = run(
            *("images.npy", *QUICK, "--fail-under", "consistency=1.01", "--fail-over", "dead=1"),
            *("--fail-under", "always=2"),
        )
        assert status == 1
        lines = err.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("attar: limit not kept: consistency is 0.")
        assert lines[0].endswith(", under 1.01")
        assert lines[1].startswith("attar: limit not kept: always is ")
        assert "NOT kept" in out
        assert "not kept" in Path("small-attar.html").read_text("utf-8")

    def test_what_was_not_measured_is_not_kept(self, run):
        status, _, err = run("images.npy", "--measures", "space", "--fail-under", "consistency=0.5")
        assert status == 1
        assert "consistency is not known, under 0.5" in err


class TestStopping:
    def start(self, *arguments):
        program = "import sys; from attar.cli import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", program, "audit", "small.safetensors", "images.npy", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(attar.__file__).parent.parent)},
        )

    def test_ctrl_c_gives_the_partial_report_and_the_same_command_goes_on(self, run):
        options = ("--measures", "shift,position", "--shifts", "circular,zero,reflect")
        process = self.start(*options)
        wait_for("small-attar.parts/shift-000000.npz")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "attar: interrupted after 32 of 40 images; the same command goes on" in err
        assert out.startswith("Audit of small (attar), 32 of 40 images: interrupted\n")
        assert "interrupted after 32 of 40" in Path("small-attar.html").read_text("utf-8")

        status, _, err = run("images.npy", *options, "--seed", "1")
        assert status == 2
        assert "small-attar.parts holds what was found in another audit" in err
        assert "shift.seed (there 0, now 1)" in err
        assert "--fresh" in err

        status, out, _ = run("images.npy", *options, "-o", "small-attar.html")
        assert (status, out.splitlines()[0]) == (0, "Audit of small (attar), 40 of 40 images")
        assert not Path("small-attar.parts").exists()

    def test_fresh_throws_away_what_is_of_an_audit_and_nothing_else(self, run):
        parts = Path("kept")
        assert run("images.npy", *QUICK, "--resume", "kept")[0] == 0
        (parts / "diary.txt").write_text("dear")
        assert run("images.npy", *QUICK, "--resume", "kept", "--seed", "1")[0] == 2
        assert run("images.npy", *QUICK, "--resume", "kept", "--seed", "1", "--fresh")[0] == 2
        assert [path.name for path in parts.iterdir()] == ["diary.txt"]
        (parts / "diary.txt").unlink()
        assert run("images.npy", *QUICK, "--resume", "kept", "--seed", "1")[0] == 0
        assert (parts / "audit.json").is_file()  # a folder that was named stays


def wait_for(path):
    for _ in range(600):
        if Path(path).exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


class TestProgress:
    def test_lines_where_nobody_looks_on(self, monkeypatch, capsys):
        now = iter([100.0, 101.0, 115.0, 116.0, 130.0])
        monkeypatch.setattr(command.time, "monotonic", lambda: next(now))
        lines = command._Lines()
        for done in (20, 35, 40, 50):
            lines.tell(done, 100)
        assert capsys.readouterr().err.splitlines() == [
            "attar: audit: 35 %, 35 of 100 passes, about 65 s left",
            "attar: audit: 50 %, 50 of 100 passes, about 50 s left",
        ]

    def test_a_bar_on_a_terminal(self, run, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        status, _, err = run("images.npy", *QUICK)
        assert status == 0
        assert "passes" in err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (6000, "1.7 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
