"""The page as a whole."""

import numpy as np

import attar
from attar.explorer.levels import active_levels, reach_of
from attar.shrink import shrink_to
from tests.browser import colours_of, pixels


def test_what_is_painted_is_what_extract_returns(explore):
    page = explore("extract?image=coffee")
    page.wait_for_timeout(1000)
    painted = pixels(page, "figure.panel:nth-of-type(3) canvas.map")
    image = attar.read_image("examples/coffee.jpg")
    found = attar.extract(image, "edge")
    height, width = painted.shape[:2]
    reach = reach_of(found.detect, found.condense)
    levels = active_levels(shrink_to(found.detect[..., 0], height, width, "mean"), reach)
    assert np.array_equal(painted[..., :3], colours_of(levels, "magma"))
