"""``attar explore``: what it opens, what it says, how it is stopped."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import attar
from attar.cli import explore as command
from attar.explorer import server as servers

PHOTO = Path(__file__).parent.parent / "examples" / "coffee.jpg"


@pytest.fixture
def run():
    """Start the command in a process of its own; whatever it prints first is returned with it."""
    started = []

    def start(*arguments, lines=2, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "attar", "explore", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        )
        started.append(process)
        return process, [process.stdout.readline() for _ in range(lines)]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def opened(monkeypatch):
    """Do not serve: return what the command would have served, and where it begins."""
    found = []

    class Recorded(servers.Server):
        def run(self, when_ready=lambda: None):
            found.append(self)
            when_ready()
            self.stop()

    monkeypatch.setattr(servers, "Server", Recorded)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_the_address_serves_it_and_stops(run, sent):
    process, (first, second) = run(str(PHOTO), "--no-browser", "--port", "0", "--lang", "zh")
    found = re.fullmatch(
        r"attar explorer: (http://127\.0\.0\.1:\d+/extract\?image=\w{16}&lang=zh)#token=\S{32}\n",
        first,
    )
    assert found, first
    assert second == "Stop it with Ctrl-C.\n"
    with urllib.request.urlopen(found[1], timeout=10) as page:
        assert b"app.js" in page.read()
    process.send_signal(sent)
    out, err = process.communicate(timeout=10)
    assert out == ""
    assert "Traceback" not in err
    if sent == signal.SIGINT:
        assert (process.returncode, err.strip()) == (0, "attar: stopped")
    else:
        assert process.returncode == -signal.SIGTERM


def test_a_browser_is_opened_with_an_invitation_and_not_the_token(run, tmp_path):
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/address\nexec sleep 5 > /dev/null 2>&1\n')
    script.chmod(0o755)
    process, (first, _) = run("--port", "0", BROWSER=str(script))
    address = tmp_path / "address"
    while not address.exists() or not address.read_text():
        assert process.poll() is None
    page, _, token = address.read_text().strip().partition("#token=")
    printed, _, kept = first.split()[-1].partition("#token=")
    assert page == printed
    assert token != kept
    # The browser has not ended, and the server runs all the same.
    with urllib.request.urlopen(page, timeout=10) as answer:
        assert answer.status == 200


def test_a_port_that_is_taken(run, shell):
    process, (first, _) = run("--no-browser", "--port", "0")
    port = re.search(r":(\d+)/", first)[1]
    status, out, err = shell("explore", "--no-browser", "--port", port)
    assert (status, out) == (2, "")
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in err
    assert "Try: attar explore --help" in err
    assert process.poll() is None


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ([], "/extract#"),
        (["--room", "invariance"], "/invariance#"),
        (["--lang", "en"], "/extract?lang=en#"),
    ],
)
def test_where_it_begins(shell, opened, arguments, address):
    status, out, err = shell("explore", "--port", "0", *arguments)
    assert (status, err) == (0, "")
    assert f":{opened[0].port}{address}token={opened[0].token}\n" in out


def test_a_picture_is_there_from_the_beginning(shell, opened):
    status, out, _ = shell("explore", str(PHOTO), "--port", "0")
    assert status == 0
    key = re.search(r"image=(\w+)", out)[1]
    picture = opened[0].state.pictures[key]
    assert picture.name == "coffee.jpg"
    assert np.array_equal(picture.pixels, attar.read_image(PHOTO))


def test_a_model_and_a_picture_in_any_order(shell, opened, tmp_path, monkeypatch):
    model = tmp_path / "Net.ONNX"
    model.write_bytes(b"")
    for arguments in ([str(model), str(PHOTO)], [str(PHOTO), str(model)]):
        status, out, err = shell("explore", *arguments, "--port", "0")
        assert (status, err) == (0, "")
        assert "/model?image=" in out
    status, out, _ = shell("explore", str(model), "--room", "scores", "--port", "0")
    assert "/scores#token" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.jpg"], "cannot read nothing.jpg: there is no such file"),
        (["nothing.onnx"], "no model at 'nothing.onnx'"),
        (["a.jpg", "b.jpg"], "got 2 pictures and 0 models; accepted is one of each at most"),
        (["a.onnx", "b.keras"], "got 0 pictures and 2 models"),
        (["--port", "65536"], "port is 65536; accepted are 0 to 65535"),
        (["--host", "0.0.0.0"], "other machines may reach"),
        (["--room", "kitchen"], "kitchen"),
        (["--lang", "fr"], "fr"),
        (["--port", "many"], "many"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_runs(shell, opened, arguments, says):
    status, out, err = shell("explore", *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert not opened


def test_it_warns_where_other_machines_are_let_in(shell, opened):
    status, out, _ = shell("explore", "--host", "0.0.0.0", "--allow-remote", "--port", "0")
    assert status == 0
    assert "Other machines can reach it" in out
    assert "nothing is encrypted" in out


def test_no_browser_takes_over_a_terminal_without_a_screen(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not command._has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert command._has_screen()


def test_help_names_every_option(shell):
    status, out, _ = shell("explore", "--help")
    assert status == 0
    for option in ("--room", "--lang", "--no-browser", "--port", "--host", "--allow-remote"):
        assert option in out
