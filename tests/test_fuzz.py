"""A few seconds of hostile calls; `python -m tests.fuzz_nn` makes more of them."""

import os
import re
import sys

import numpy as np
import pytest

from . import fuzz_nn

SEED = 1


def test_arguments_are_made_for_every_function():
    assert not fuzz_nn.unknown_names()


def test_a_call_follows_from_its_number():
    addresses = re.compile("0x[0-9a-f]+")
    for number in range(50):
        first, again = (addresses.sub("", fuzz_nn.describe(SEED, number)) for _ in range(2))
        assert first == again


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer needs its addresses"
)
def test_hostile_calls_are_answered_or_refused():
    report = fuzz_nn.fuzz(SEED, seconds=10)
    assert not report.findings, "\n".join(
        f"calls {numbers}: {problem}\n{fuzz_nn.describe(SEED, numbers[0])}"
        for problem, numbers in report.by_problem().items()
    )
    # Calls that are all refused would find nothing.
    assert min(report.tally.answered.values()) > 0
    assert min(report.tally.refused.values()) > 0


# ----------------------------------------------------------- what goes wrong must be found


def relu_that(does):
    def relu(features, name=None, *, out=None):
        return does(np.asarray(features), out)

    return relu


def fill(array, value):
    array[...] = value
    return array


def beside(out):
    out.base[:] = 0  # the array that `out` is a view of
    return out


@pytest.mark.parametrize(
    ("does", "problem"),
    [
        (lambda x, out: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda x, out: bytearray(2**62), "MemoryError"),
        (lambda x, out: None, "the answer is None|an answer of object"),
        (lambda x, out: fill(x, 7), "features was written to"),
        (lambda x, out: x.copy(), "out is not what is returned"),
        (lambda x, out: x.copy() if out is None else fill(out, 99), "in out is another one"),
        (lambda x, out: x.copy() if out is None else beside(out), "memory beside out"),
    ],
)
def test_a_wrong_answer_is_found(monkeypatch, does, problem):
    monkeypatch.setattr(fuzz_nn, "FUNCTIONS", {"relu": relu_that(does)})
    found = {fuzz_nn.run_call(SEED, number, fuzz_nn.Tally()) for number in range(300)}
    assert any(re.search(problem, text) for text in found - {None})


@pytest.mark.parametrize(
    ("ends", "problem"),
    [("os.abort()", "ended with -6"), ("time.sleep(60)", "took over 0.5 s")],
)
def test_a_child_that_dies_or_hangs_is_found(monkeypatch, tmp_path, ends, problem):
    script = tmp_path / "child.py"
    script.write_text(f"import os, sys, time\nos.write(int(sys.argv[-1]), b'call 7\\n')\n{ends}\n")
    monkeypatch.setattr(fuzz_nn, "__file__", str(script))
    monkeypatch.setattr(fuzz_nn, "CALL_SECONDS", 0.5)
    report = fuzz_nn.Report()
    assert fuzz_nn.watch(SEED, 0, 5, report) == 7
    [(number, found)] = report.findings
    assert number == 7
    assert problem in found
