"""Whole numbers as floats, against NumPy's division, number by number."""

import numpy as np
import pytest

from attar.unit import in_unit, luma_in_unit


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_number(dtype):
    every = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    for white in (np.iinfo(dtype).max, 4095.0):
        expected = every.astype(np.float32) / np.float32(white)
        np.testing.assert_array_equal(in_unit(every, white), expected)
        np.testing.assert_array_equal(in_unit(every[::-3], white), expected[::-3])


def test_every_colour():
    weights = (299, 587, 114)
    levels = np.arange(256, dtype=np.uint8)
    colours = np.empty((256, 256, 3), np.uint8)
    colours[..., 0], colours[..., 1] = levels[:, None], levels
    green_and_red = levels.astype(np.int32)[:, None] * 299 + levels.astype(np.int32) * 587
    for blue in range(256):
        colours[..., 2] = blue
        expected = (green_and_red + blue * 114).astype(np.float32) / np.float32(255_000)
        np.testing.assert_array_equal(luma_in_unit(colours, weights), expected)


def test_many_pixels_and_gray_ones():
    weights = (299, 587, 114)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1_000_003, 3), dtype=np.uint8)
    expected = (pixels.astype(np.int64) @ weights).astype(np.float32) / np.float32(255_000)
    np.testing.assert_array_equal(luma_in_unit(pixels, weights), expected)
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    np.testing.assert_array_equal(luma_in_unit(gray, weights), in_unit(gray[:, 0], 255))
    np.testing.assert_array_equal(
        luma_in_unit(pixels.reshape(1, -1, 3)[:, ::2], weights)[0], expected[::2]
    )


def test_any_length():
    for count in range(70):
        pixels = np.arange(3 * count, dtype=np.uint8).reshape(count, 3)
        expected = pixels.astype(np.int64) @ (1, 2, 1) / 1020
        np.testing.assert_allclose(luma_in_unit(pixels, (1, 2, 1)), expected, rtol=1e-7)
        np.testing.assert_array_equal(in_unit(pixels, 255), pixels / np.float32(255))


def test_weights_that_would_not_be_exact_are_refused():
    with pytest.raises(ValueError, match="the weights are too large to be exact"):
        luma_in_unit(np.zeros((1, 3), np.uint8), (32767, 1, 0))
