"""The kernels on every instruction set of this machine, not only on the best one."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import attar

CONFIG = attar.show_config("dicts")
KERNELS = ["nn", "pooling", "bins", "antialias", "gradients", "conv", "training"]
OTHERS = [isa for isa in CONFIG["available_isas"] if isa != CONFIG["isa"]]


def start(isa, *arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={"ATTAR_EVERY": "8", **os.environ, "ATTAR_ISA": isa},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(isa, *arguments):
    process = start(isa, *arguments)
    return process.communicate(timeout=900)[0], process.returncode


@pytest.fixture(scope="module")
def runs():
    """Run the tests on all instruction sets at the same time."""
    files = [str(Path(__file__).with_name(f"test_{name}.py")) for name in KERNELS]
    started = {
        isa: start(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files) for isa in OTHERS
    }
    # Read at once: a process whose output nobody reads stops when the pipe is full.
    with ThreadPoolExecutor() as pool:
        texts = {isa: pool.submit(one.communicate, timeout=900) for isa, one in started.items()}
        yield {isa: (text.result()[0], started[isa].returncode) for isa, text in texts.items()}
    for process in started.values():
        process.kill()


@pytest.mark.parametrize("isa", OTHERS)
def test_the_native_tests_pass_on(isa, runs):
    output, code = runs[isa]
    assert code == 0, output
    assert f": {isa}," in run(isa, "-m", "pytest", "--co", __file__)[0]


def test_an_instruction_set_that_is_not_there_is_an_import_error():
    output, code = run("z80", "-c", "import attar")
    assert code == 1
    assert "ImportError" in output
    assert "ATTAR_ISA=z80 is not available here; available: " in output
    assert CONFIG["isa"] in output
