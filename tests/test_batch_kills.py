"""Runs that are killed: nothing that is finished is lost, nothing is there twice."""

import contextlib
import errno
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from pyarrow import parquet

from attar import batch
from attar.batch import runs
from attar.batch.engines.local import run_here
from attar.errors import AttarError
from tests.batches import command, kept, pictures, workers_of

KILLS = int(os.environ.get("ATTAR_KILLS", "4"))  # of each kind; more of them now and then
OPTIONS = ("--reduce", "spp", "--shard-images", "4", "--workers", "2")

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


class Undisturbed(NamedTuple):
    """What a run writes that nobody disturbs, and how long it takes."""

    files: dict
    seconds: float


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = pictures(tmp_path_factory.mktemp("source"), count=48, size=(240, 320))
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "features"
    begun = time.monotonic()
    process = command(source, output, *OPTIONS)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    return Undisturbed(kept(output), time.monotonic() - begun)


def check_finished(output, files):
    """What is written down as finished is there, whole, and what it should be."""
    for record in (Path(output) / "_attar" / "done").glob("*.json"):
        name = f"{json.loads(record.read_text())['shard']}.parquet"
        assert (Path(output) / name).read_bytes() == files[name]


def kill_and_wait(process):
    """Kill a run, and wait until its workers noticed, which end with their next image."""
    process.send_signal(signal.SIGSTOP)  # so that it starts no other one now
    workers = workers_of(process)
    process.kill()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker goes on without its run"
        time.sleep(0.01)


@linux
@pytest.mark.parametrize("victim", ["run", "worker"])
def test_killed_at_any_moment(source, undisturbed, tmp_path, victim):
    chance = random.Random(victim)
    output = tmp_path / "features"
    ended = killed = 0
    while killed < KILLS or not ended:
        process = command(source, output, *OPTIONS)
        time.sleep(chance.uniform(0.2, 1.2) * undisturbed.seconds)
        if victim == "run":
            kill_and_wait(process)
        elif workers := workers_of(process):
            os.kill(chance.choice(workers), signal.SIGKILL)
            killed += 1
        _, told = process.communicate(timeout=60)
        check_finished(output, undisturbed.files)
        if process.returncode == 3:
            assert kept(output) == undisturbed.files
            shutil.rmtree(output)
            ended += 1
        else:
            assert (victim, process.returncode) == ("run", -signal.SIGKILL), told
            killed += 1
    process = command(source, output, *OPTIONS)
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert kept(output) == undisturbed.files


def test_any_step_of_writing_may_fail(tmp_path, monkeypatch):
    """A disk that is full from the first, the second, … step of writing on, and then is not."""
    source = pictures(tmp_path / "source", count=6)
    whole = tmp_path / "whole"

    def run(output):
        return batch.run(source, output, reduce="spp", shard_images=2)

    monkeypatch.setattr(
        runs,
        "run_local",
        lambda shards, config, store, workers, tell, seconds: run_here(shards, config, store, tell),
    )
    run(whole)
    steps = [0]
    real_sync, real_replace = os.fsync, Path.replace

    def step():
        steps[0] += 1
        if steps[0] >= fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fsync(descriptor):
        step()
        real_sync(descriptor)

    def replace(self, target):
        step()
        return real_replace(self, target)

    fails_at = 1
    while True:
        output = tmp_path / f"fails-{fails_at}"
        steps[0] = 0
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            patched.setattr(Path, "replace", replace)
            failed = None
            with contextlib.suppress(OSError):
                failed = errno.ENOSPC
                run(output)
                failed = None
        if failed is None:
            break
        before = kept(output)
        assert before.items() <= kept(whole).items()
        report = run(output)
        assert report.images_done == 6
        assert kept(output) == kept(whole)
        fails_at += 1
    assert fails_at > 20


def test_files_that_may_not_grow(source, undisturbed, tmp_path):
    """The system refuses to write more, as on a full disk: told, and gone on with later."""
    output = tmp_path / "features"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, resource.RLIM_INFINITY))

    process = command(source, output, *OPTIONS, preexec_fn=limit)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 4, told
    assert "finished shards are kept, the same command goes on" in told
    assert not kept(output)
    process = command(source, output, *OPTIONS)
    process.communicate(timeout=60)
    assert kept(output) == undisturbed.files


@pytest.mark.parametrize(
    ("does", "error", "times"),
    [
        ("os.kill(os.getpid(), 9)", "the process that read it was ended by SIGKILL", 3),
        ("time.sleep(1000)", "it took more than 4 s", 1),
    ],
)
def test_an_image_that_kills_or_hangs(tmp_path, monkeypatch, does, error, times):
    """It becomes a row, and the others are there."""
    source = pictures(tmp_path / "source", count=6)
    expected = batch.run(source, tmp_path / "sound", reduce="gap", shard_images=3)
    assert expected.failed == 0
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if 'attar.batch.worker' in sys.orig_argv:\n"
        "    from attar.batch import shard\n"
        "    class Reader(shard.Reader):\n"
        "        def read(self, row):\n"
        "            if row.path == '004.png':\n"
        f"                os.open({str(tmp_path / 'tried-')!r} + str(os.getpid()), os.O_CREAT)\n"
        f"                {does}\n"
        "            return super().read(row)\n"
        "    shard.Reader = Reader\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    options = {"reduce": "gap", "shard_images": 3, "workers": 1, "image_seconds": 4}
    report = batch.run(source, tmp_path / "features", **options)
    assert (report.images_done, report.failed) == (6, 1)
    [failure] = report.failures()
    assert failure.path == "004.png"
    assert failure.error == error
    assert len([*tmp_path.glob("tried-*")]) == times
    sound = parquet.read_table(tmp_path / "sound").to_pylist()
    found = parquet.read_table(tmp_path / "features").to_pylist()
    assert [row for row in found if row["error"] is None] == [
        row for row in sound if row["path"] != "004.png"
    ]


def test_a_worker_that_never_begins(tmp_path, monkeypatch):
    source = pictures(tmp_path / "source", count=2)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nif 'attar.batch.worker' in sys.orig_argv:\n    sys.exit('no such luck')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    told = r"a worker ended with status 1 \(.*no such luck\) before its first image"
    with pytest.raises(AttarError, match=told):
        batch.run(source, tmp_path / "features", workers=1)
