"""attar.nn answers like tf.nn: the same call, the same numbers, recorded from TensorFlow."""

import sys
from pathlib import Path

import numpy as np
import pytest

import attar.nn
import attar.nn as nn

FIXTURES = Path(__file__).parent / "fixtures"
sys.path.insert(0, str(FIXTURES))

from tensorflow_cases import CASES, arguments, lesson_image, lesson_kernel  # noqa: E402

RECORDED = np.load(FIXTURES / "tensorflow.npz")


def is_exact(case):
    """Tell whether the step only selects values, so that nothing may differ."""
    return case["call"] == "relu" or case["kwargs"].get("pooling_type") == "MAX"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_same_call_same_numbers(case):
    answer = getattr(attar.nn, case["call"])(**arguments(case))
    expected = RECORDED[case["name"]]
    assert answer.dtype == expected.dtype
    assert answer.shape == expected.shape
    if is_exact(case):
        np.testing.assert_array_equal(answer, expected)
    else:
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


def test_every_recorded_answer_is_compared():
    compared = {case["name"] for case in CASES}
    lesson = {"lesson filter", "lesson detect", "lesson condense", "tensorflow version"}
    assert set(RECORDED.files) == compared | lesson
    assert len(compared) == len(CASES)


def test_the_lesson_as_a_learner_writes_it():
    image = lesson_image()
    kernel = lesson_kernel()

    image_filter = nn.conv2d(
        input=image,
        filters=kernel,
        strides=1,
        padding="SAME",
    )
    image_detect = nn.relu(image_filter)
    image_condense = nn.pool(
        input=image_detect,
        window_shape=(2, 2),
        pooling_type="MAX",
        strides=(2, 2),
        padding="SAME",
    )

    np.testing.assert_allclose(image_filter, RECORDED["lesson filter"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(image_detect, RECORDED["lesson detect"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(image_condense, RECORDED["lesson condense"], rtol=1e-5, atol=1e-5)
    assert image_condense.shape == (1, 31, 24, 1)


def test_the_fused_lesson_matches_the_three_calls():
    fused = nn.extract(lesson_image(), lesson_kernel())
    np.testing.assert_allclose(fused, RECORDED["lesson condense"], rtol=1e-5, atol=1e-5)
