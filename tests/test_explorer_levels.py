"""Levels and views: what a panel shows of a map, one byte for each of its pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attar.errors import ArgumentError
from attar.explorer.asked import Asked
from attar.explorer.levels import active_levels, reach_of, signed_levels
from attar.explorer.palettes import palettes
from attar.explorer.views import View, cut, shown, view_of

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
MAPS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FLOATS)

REACHES = st.floats(1e-30, 1e30)


@given(MAPS, REACHES)
def test_level_0_is_dead_space_and_nothing_else(values, reach):
    levels = active_levels(values, reach)
    lost = (values > 0) & (values < reach * 1e-38)  # a quotient that the dtype cannot tell from 0
    assert np.array_equal((levels > 0)[~lost], (values > 0)[~lost])
    assert (levels[values >= reach] == 255).all()


@given(MAPS, REACHES)
def test_signed_levels_have_0_in_their_middle_and_a_place_for_nan(values, reach):
    levels = signed_levels(values, reach)
    assert np.array_equal(levels == 0, np.isnan(values))
    assert (levels[values == 0] == 128).all()
    assert (levels[values > 0] >= 128).all()
    assert (levels[values < 0] <= 128).all()
    opposite = signed_levels(-values, reach)
    known = ~np.isnan(values)
    assert np.array_equal(
        levels[known].astype(int) + opposite[known], np.full(known.sum(), 256, int)
    )


@given(MAPS)
def test_a_reach_is_positive_and_finite(values):
    reach = reach_of(values)
    assert 0 < reach < np.inf
    active = values[np.isfinite(values) & (values != 0)]
    assert active.size == 0 or reach in np.abs(active).astype(float)


def test_the_reach_leaves_the_strongest_percent_beyond_it():
    values = np.arange(1.0, 201.0).reshape(10, 20)
    assert reach_of(values) == 199.0
    assert reach_of(values, 3 * values) == 597.0
    assert reach_of(np.zeros((3, 3))) == 1.0
    lonely = np.zeros((2000, 2000), np.float32)
    lonely[1, 1] = 5  # between the places that are looked at
    assert reach_of(lonely) == 5.0


@given(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=50),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(1e-6, 1),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_a_view_shows_the_cells_that_it_touches(shape, top, left, part, height, width):
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    found, box = cut(values, View(top, left, part, height, width), "mean")
    rows, columns = box.top + box.height, box.left + box.width
    assert 0 <= box.top < rows <= shape[0]
    assert 0 <= box.left < columns <= shape[1]
    assert found.shape[0] <= max(height, 1)
    assert found.shape[1] <= max(width, 1)
    assert box.top <= top * shape[0] or box.top == shape[0] - 1
    assert rows >= min((top + part) * shape[0], shape[0]) - 1e-9
    cells = values[box.top : rows, box.left : columns]
    assert found.min() >= cells.min()
    assert found.max() <= cells.max()
    if box.height <= height and box.width <= width:
        assert np.array_equal(found, cells)


def test_what_is_shown_says_what_it_is():
    values = np.array([[0.0, 0.5], [-1.0, 2.0]])
    levels, facts = shown(values, View(0, 0, 1, 8, 8), "signed", 1.0)
    assert levels.tolist() == [[128, 192], [1, 255]]
    assert facts == {"size": (2, 2), "box": (0, 0, 2, 2), "scale": "signed", "reach": 1.0}
    levels, _ = shown(values, View(0, 0, 1, 8, 8), "active", 2.0)
    assert levels.tolist() == [[0, 64], [0, 255]]
    image = np.array([[[0.0, 0.5, 1.0], [np.nan, -1.0, 7.0]]])
    levels, _ = shown(image, View(0, 0, 1, 8, 8), "image")
    assert levels.tolist() == [[[0, 128, 255], [0, 0, 255]]]


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("top", 1.5, "0 to 1"),
        ("left", -0.1, "0 to 1"),
        ("part", 0, "1e-06 to 1"),
        ("height", 4096, "1 to 2048"),
        ("width", 0, "1 to 2048"),
        ("width", "wide", "1 to 2048"),
        ("width", None, None),
    ],
)
def test_a_view_is_read_within_its_limits(field, value, accepted):
    asked = Asked("room", {"view": {field: value}})
    if accepted is None:
        with pytest.raises(ArgumentError, match="width is missing"):
            view_of(asked)
        return
    with pytest.raises(ArgumentError, match=rf"room: view: {field} is .*{accepted}"):
        view_of(asked)


def test_no_view_is_all_of_the_map():
    assert view_of(Asked("room", {})) == View(0.0, 0.0, 1.0, 512, 512)


def test_colours_are_those_of_the_figures():
    from matplotlib import colormaps

    found = palettes()
    for name in found["active"]:
        expected = (colormaps[name](np.linspace(0, 1, 256), bytes=True)[:, :3]).astype(int)
        table = np.array(found["tables"][name])
        assert np.array_equal(np.stack([table >> 16, table >> 8 & 255, table & 255], 1), expected)
    for name in found["signed"]:
        table = found["tables"][name]
        assert len(table) == 256
        assert table[0] not in table[1:]  # a NaN looks like no number
