"""What the measure "shift" is made of: moved images, what answers say, how sure a mean is."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar import features
from attar.auditing import shifts
from attar.auditing.intervals import estimate
from attar.auditing.plain import as_plain, from_plain
from attar.auditing.predictions import changes, predicted
from attar.auditing.shifts import MODES, Grid, batches, moved
from attar.errors import ShapeError
from attar.models.inputs import ModelInput
from attar.preparation import Preparation, fitted


def takes(height=None, width=None, channels=3):
    return ModelInput(None, height, width, channels, "NHWC", Preparation(), "", "")


def pictures(*shape):
    return np.random.default_rng([*shape]).random(shape, np.float32)


# ------------------------------------------------------------------------------------- grids


def test_a_grid_is_every_shift():
    grid = Grid.reaching(3)
    assert grid.cells == 49
    assert {tuple(shift) for shift in grid.shifts.tolist()} == {
        (dy, dx) for dy in range(-3, 4) for dx in range(-3, 4)
    }
    assert grid.shifts[grid.middle].tolist() == [0, 0]
    assert grid.radii.tolist() == [max(abs(dy), abs(dx)) for dy, dx in grid.shifts.tolist()]
    assert Grid.reaching(1, 0.3).offsets == pytest.approx((-0.9, -0.6, -0.3, 0, 0.3, 0.6, 0.9))
    assert len(Grid.reaching(0.3, 0.1).offsets) == 7  # though 0.3 / 0.1 is less than 3


def test_what_is_tried_of_an_image_depends_on_nothing_but_its_index():
    grid = Grid.reaching(5)
    chosen = np.stack([grid.chosen(20, 0, index) for index in range(400)])
    assert chosen.shape == (400, 19)
    for row in chosen:
        assert len(set(row.tolist())) == 19
        assert grid.middle not in row
    assert np.array_equal(chosen[7], grid.chosen(20, 0, 7))
    assert not np.array_equal(chosen[7], grid.chosen(20, 1, 7))
    # Each of 120 shifts is drawn about 400 * 19 / 120 = 63 times: the ends of both axes too.
    counts = np.delete(np.bincount(chosen.ravel(), minlength=121), grid.middle)
    assert 35 < counts.min() < counts.max() < 95


# ------------------------------------------------------------------------------ moved images


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(None, None), (9, 12), (11, 11), (None, 9)])
def test_moved_images_are_what_features_shift_makes(mode, size, monkeypatch):
    monkeypatch.setattr(shifts, "_COPY_BYTES", 2 * 4 * 3 * 9 * 12)  # several copies of 5 images
    images = pictures(5, 11, 13, 3)
    given = takes(*size)
    found = moved(given, images, mode, 3)
    grid = Grid.reaching(2, 0.5) if mode in shifts.FRACTIONAL else Grid.reaching(3)
    into = np.empty((*found.size, 3), np.float32)
    for i, image in enumerate(images):
        for dy, dx in grid.shifts.tolist():
            found.write(into, i, dy, dx)
            if mode == "crop":
                height = 11 if size[0] is None else size[0] + 6
                width = 13 if size[1] is None else size[1] + 6
                whole = fitted(image, height, width, 3)
                expected = whole[3 - dy : height - 3 - dy, 3 - dx : width - 3 - dx]
            else:
                whole = fitted(image, size[0] or 11, size[1] or 13, 3)
                interpolation = mode if mode == "fourier" else "linear"
                border = "circular" if mode in shifts.FRACTIONAL else mode
                expected = features.shift(whole, dy, dx, mode=border, interpolation=interpolation)
            if mode == "fourier":
                np.testing.assert_allclose(into, expected, atol=1e-6)
            else:
                np.testing.assert_array_equal(into, expected)


def test_shifts_of_several_images_come_together(monkeypatch):
    images = moved(takes(), pictures(3, 8, 8, 3), "circular", 1)
    which = np.repeat(np.arange(3), 50)
    steps = np.tile(np.array([[0, 1], [1, -1]]), (75, 1))
    into = np.empty((8, 8, 3), np.float32)

    def check(expected_lengths):
        start, lengths = 0, []
        for batch in batches(images, which, steps):
            lengths.append(len(batch))
            for k, image in enumerate(batch):
                images.write(into, int(which[start + k]), *steps[start + k].tolist())
                np.testing.assert_array_equal(image, into)
            start += len(batch)
        assert lengths == expected_lengths

    check([64, 64, 22])
    monkeypatch.setattr(shifts, "_BATCH_BYTES", 40 * 8 * 8 * 3 * 4)
    check([40, 40, 40, 30])
    monkeypatch.setattr(shifts, "_BATCH_BYTES", 1)  # large images: one after the other
    check([1] * 150)


@pytest.mark.parametrize("mode", ["crop", "zero", "circular"])
def test_images_smaller_than_the_shift(mode):
    with pytest.raises(ShapeError, match=rf"shifts of 4 pixels are too long for mode '{mode}'.*×"):
        moved(takes(), pictures(1, 4, 12, 3), mode, 4)


# -------------------------------------------------------------------------- what answers say


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=4)
)
def test_probabilities_of_logits_are_their_softmax(rows):
    found = predicted(np.array(rows, np.float32), "logits")
    for row, probabilities, label in zip(rows, found.probabilities, found.classes, strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        expected = [power / sum(powers) for power in powers]
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        assert label == row.index(max(row))


def test_one_number_is_a_choice_of_two():
    logits = predicted(np.array([[-2.0], [3.0]], np.float32), "logits")
    assert logits.classes.tolist() == [0, 1]
    sigmoid = 1 / (1 + math.exp(-3.0))
    np.testing.assert_allclose(logits.probabilities[1], [1 - sigmoid, sigmoid], atol=1e-6)
    assert predicted(np.array([[0.4], [0.6]]), "probabilities").classes.tolist() == [0, 1]


def test_logits_too_close_for_their_probabilities_are_told_apart():
    one = np.float32(20)
    row = np.array([[one, np.nextafter(one, np.float32(21)), 0]], np.float32)
    assert predicted(row, "logits").classes.tolist() == [1]


def test_answers_that_are_no_numbers():
    bad = [[0, np.nan, 1], [np.inf, 0, 0], [-np.inf, -np.inf, -np.inf], [-np.inf, 0, -1]]
    found = predicted(np.array(bad, np.float32), "logits")
    assert found.classes.tolist() == [-1, -1, -1, 1]  # log 0 alone is an answer
    assert np.isfinite(found.probabilities).all()
    assert found.of(found.classes).shape == (4,)


def test_changes_of_vectors():
    before = np.array([[3, 4], [0, 0], [0, 0], [1, 0], [np.nan, 1], [1, 2]], np.float32)
    behind = np.array([[6, 8], [0, 0], [1, 0], [-1, 0], [1, 1], [np.inf, 2]], np.float32)
    found = changes(before, behind)
    np.testing.assert_allclose(found.cosine[:4], [1, 1, 0, -1], atol=1e-7)
    np.testing.assert_allclose(found.relative[:4], [math.sqrt(0.4), 0, math.sqrt(2), 2], atol=1e-7)
    assert not np.isfinite(found.cosine[4:] + found.relative[4:]).any()


# ------------------------------------------------------------------------------ how sure it is


def test_wilsons_interval():
    # R, binom::binom.wilson(9, 10)
    found = estimate(np.array([1.0] * 9 + [0.0]), 0)
    assert (found.value, found.method) == (0.9, "wilson")
    assert (found.low, found.high) == (
        pytest.approx(0.5958500, abs=1e-6),
        pytest.approx(0.9821238, abs=1e-6),
    )
    assert estimate(np.zeros(5), 0).low == 0
    assert estimate(np.ones(5), 0).high == 1
    assert estimate(np.full(100, 0.25), 0).method == "wilson"
    assert estimate(np.array([]), 0) is None


def test_the_bootstrap_resamples_images():
    values = np.random.default_rng(3).integers(0, 49, 80) / 48
    found = estimate(values, 0)
    assert found.method == "bootstrap"
    assert found == estimate(values[::-1], 0)
    chance = np.random.default_rng(1)
    means = sorted(chance.choice(values, 80).mean() for _ in range(4000))
    np.testing.assert_allclose((found.low, found.high), (means[100], means[3900]), atol=0.01)


@pytest.mark.parametrize("count", [10, 50, 200])
def test_intervals_hold_what_they_say(count):
    """Images as they are: most keep their class always, some do not, a few hardly ever."""
    chance = np.random.default_rng(count)

    def sample(size):
        kind = chance.choice(3, size, p=[0.7, 0.2, 0.1])
        keep = np.choose(kind, [np.ones(size), chance.beta(8, 2, size), chance.beta(2, 2, size)])
        return chance.binomial(48, keep) / 48

    true = 0.7 + 0.2 * 0.8 + 0.1 * 0.5
    found = [estimate(sample(count), seed) for seed in range(300)]
    held = np.mean([one.low <= true <= one.high for one in found])
    assert held > 0.91


# ------------------------------------------------------------------------------ plain values


@dataclasses.dataclass(frozen=True)
class Inner:
    number: float | None
    rows: tuple[tuple[float | None, ...], ...]


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str
    pair: tuple[int, int] | None
    inner: Inner | None
    many: tuple[Inner, ...]


def test_dataclasses_come_back_from_json():
    inner = Inner(0.5, ((1.0, None), (2.0, 3.0)))
    for outer in (Outer("a", (1, 2), inner, (inner, inner)), Outer("b", None, None, ())):
        text = json.dumps(as_plain(outer), allow_nan=False)
        assert from_plain(Outer, json.loads(text)) == outer
    assert as_plain(Inner(float("inf"), ())) == {"number": None, "rows": []}
