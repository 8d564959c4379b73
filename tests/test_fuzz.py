"""A few seconds of hostile calls; `python -m tests.fuzz_nn` makes more of them."""

import os
import sys

import pytest

from . import fuzz_nn

SEED = 1


def test_arguments_are_made_for_every_function():
    assert not fuzz_nn.unknown_names()


def test_a_call_follows_from_its_number():
    for number in range(50):
        assert fuzz_nn.describe(SEED, number) == fuzz_nn.describe(SEED, number)


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
