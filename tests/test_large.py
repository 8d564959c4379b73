"""Arrays of more than 2³¹ elements. Untouched zeros take no memory, so a small machine will do."""

import numpy as np
import pytest

from attar import nn

SIDE, WINDOW = 50_000, 50


@pytest.fixture(scope="module")
def image():
    """Return an image of 2.5 · 10⁹ bytes with a mark in its first, middle and last window."""
    pixels = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    assert pixels.size > 2**31
    pixels[0, 3, 7] = 1
    pixels[0, SIDE // 2, SIDE // 2] = 2
    pixels[0, -1, -1] = 3
    return pixels


def test_every_element_is_seen(image):
    condensed = nn.max_pool(image, WINDOW, WINDOW, "VALID")[0, :, :, 0]
    places = [(0, 0), (500, 500), (999, 999)]
    assert [condensed[place] for place in places] == [1, 2, 3]
    assert np.count_nonzero(condensed) == 3


def test_indices_do_not_wrap_around(image):
    condensed, places = nn.max_pool_with_argmax(image, WINDOW, WINDOW, "VALID")
    assert places.max() == SIDE * SIDE - 1
    assert places[0, 0, 0, 0] == 3 * SIDE + 7
    np.testing.assert_array_equal(image.reshape(-1)[places], condensed)
