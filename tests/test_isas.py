"""The kernels on every instruction set of this machine, not only on the best one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import attar

CONFIG = attar.show_config("dicts")
KERNELS = ["nn", "pooling", "bins", "antialias", "gradients"]
OTHERS = [isa for isa in CONFIG["available_isas"] if isa != CONFIG["isa"]]


def run(isa, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "ATTAR_ISA": isa},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.parametrize("isa", OTHERS)
def test_the_native_tests_pass_on(isa):
    files = [str(Path(__file__).with_name(f"test_{name}.py")) for name in KERNELS]
    done = run(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f": {isa}," in run(isa, "-m", "pytest", "--co", __file__).stdout


def test_an_instruction_set_that_is_not_there_is_an_import_error():
    done = run("z80", "-c", "import attar")
    assert done.returncode == 1
    assert "ImportError" in done.stderr
    assert "ATTAR_ISA=z80 is not available here; available: " in done.stderr
    assert CONFIG["isa"] in done.stderr
