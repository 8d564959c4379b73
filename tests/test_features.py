"""Drawings and transforms, against other libraries and by their own symmetries."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from attar import features
from attar.errors import ArgumentError, DTypeError, ShapeError

MODES = ("zero", "replicate", "reflect", "circular")
NUMPY_MODES = {"zero": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}
SCIPY_MODES = {
    "zero": "grid-constant",
    "replicate": "nearest",
    "reflect": "mirror",
    "circular": "grid-wrap",
}


def noise(height, width, *channels, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).random((height, width, *channels)).astype(dtype)


class TestTwoDots:
    @pytest.mark.parametrize(
        ("direction", "step"), [("horizontal", (0, 1)), ("vertical", (1, 0)), ("diagonal", (1, 1))]
    )
    def test_where_the_dots_are(self, direction, step):
        image = features.two_dots((20, 30), 7, direction=direction, at=(3, 5), val=0.25)
        assert image.dtype == np.float32
        second = [3 + 7 * step[0], 5 + 7 * step[1]]
        assert np.argwhere(image).tolist() == sorted([[3, 5], second])
        assert set(image[image > 0]) == {np.float32(0.25)}

    def test_in_the_middle(self):
        image = features.two_dots(9, 4)
        assert_array_equal(image, image[::-1, ::-1])

    def test_no_distance_is_one_dot(self):
        assert features.two_dots(5, 0).sum() == 1

    @pytest.mark.parametrize("at", [(-1, 0), (0, -1), (0, 3), (8, 0)])
    def test_outside(self, at):
        with pytest.raises(ArgumentError, match="do not both lie in 8 × 8 pixels"):
            features.two_dots(8, 5, at=at)


class TestCircle:
    @pytest.mark.parametrize("radius", range(1, 33))
    def test_odd_sizes_have_the_circle_of_skimage(self, radius):
        draw = pytest.importorskip("skimage.draw")
        expected = np.zeros((65, 65), np.float32)
        expected[draw.circle_perimeter(32, 32, radius, shape=(65, 65))] = 1
        assert_array_equal(features.circle(65, radius), expected)

    @pytest.mark.parametrize("radius", [1, 5, 24, 28, 40])
    def test_even_sizes_go_without_the_middle(self, radius):
        odd = features.circle(65, radius)
        without = np.delete(np.delete(odd, 32, axis=0), 32, axis=1)
        assert_array_equal(features.circle(64, radius), without)

    @pytest.mark.parametrize(("size", "filled"), [*itertools.product([(40, 33), 24, 25], [0, 1])])
    def test_symmetries(self, size, filled):
        image = features.circle(size, 9, filled=bool(filled))
        assert_array_equal(image, image[::-1])
        assert_array_equal(image, image[:, ::-1])
        if size != (40, 33):
            assert_array_equal(image, image.T)

    @pytest.mark.parametrize("radius", [1, 2, 3, 7, 11])
    def test_filled_is_the_outline_and_all_within(self, radius):
        ndimage = pytest.importorskip("scipy.ndimage")
        outline = features.circle(31, radius)
        assert_array_equal(
            features.circle(31, radius, filled=True), ndimage.binary_fill_holes(outline)
        )

    def test_r_shrink(self):
        assert_array_equal(features.circle((64, 80), r_shrink=8), features.circle((64, 80), 24))
        assert_array_equal(features.circle(64), features.circle(64, 28))

    def test_random_brightness(self):
        image = features.circle(32, val=None, seed=3)
        assert_array_equal(image > 0, features.circle(32) > 0)
        assert image.max() <= 1
        assert len(np.unique(image)) > 20
        assert_array_equal(image, features.circle(32, val=None, seed=3))
        assert (image != features.circle(32, val=None, seed=4)).any()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"radius": 3, "r_shrink": 3}, "choose one"),
            ({"radius": 0}, "radius is 0; accepted is an int of at least 1"),
            ({"r_shrink": 4}, "leaves a radius of 0 in 8 × 8"),
            ({"radius": 2, "val": None}, "needs a seed"),
            ({"radius": 2, "val": 2}, r"val is 2; accepted are numbers in \[0, 1\]"),
        ],
        ids=str,
    )
    def test_refused(self, arguments, message):
        with pytest.raises(ArgumentError, match=message):
            features.circle(8, **arguments)


class TestRandomMap:
    @pytest.mark.parametrize("power", [0, 1, 2.5])
    def test_amplitude_falls_as_asked(self, power):
        maps = [features.random_map(128, decay_power=power, seed=seed) for seed in range(8)]
        spectra = [np.abs(np.fft.fft2(one - one.mean())) / one.std() for one in maps]
        mean = np.mean(spectra, axis=0)
        frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
        band = (frequency > 0.03) & (frequency < 0.4)
        slope = np.polyfit(np.log(frequency[band]), np.log(mean[band]), 1)[0]
        assert slope == pytest.approx(-power, abs=0.05)

    @pytest.mark.parametrize("size", [(16, 9), 33, (1, 8)])
    def test_range_and_seed(self, size):
        image = features.random_map(size, decay_power=1.5, seed=5)
        assert image.dtype == np.float32
        assert (image.min(), image.max()) == (0, 1)
        assert_array_equal(image, features.random_map(size, decay_power=1.5, seed=5))
        assert (image != features.random_map(size, decay_power=1.5, seed=6)).any()

    def test_one_pixel_and_a_steep_fall(self):
        assert features.random_map(1, seed=0).tolist() == [[0]]
        assert np.isfinite(features.random_map(16, decay_power=500, seed=0)).all()

    def test_refused(self):
        with pytest.raises(ArgumentError, match="decay_power is -1"):
            features.random_map(8, decay_power=-1, seed=0)
        with pytest.raises(ArgumentError, match="seed is -1"):
            features.random_map(8, seed=-1)


class TestCar:
    def test_fits_in_and_has_smooth_edges(self):
        image = features.car((48, 96))
        assert image.dtype == np.float32
        assert 0 == image.min() < image.max() == 1
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert not border.any()
        assert len(np.unique(image)) > 10

    def test_size_changes_its_pixels_only(self):
        small, large = features.car(32), features.car(64)
        averaged = large.reshape(32, 2, 32, 2).mean((1, 3))
        assert np.abs(small - averaged).mean() < 0.01
        # It is longer than high, and its wheels, the brightest, are at its bottom.
        rows, columns = np.nonzero(large > 0.1)
        assert np.ptp(columns) > 2 * np.ptp(rows)
        assert np.nonzero(large == 1)[0].mean() > rows.mean()

    def test_refused(self):
        with pytest.raises(ArgumentError, match="facing is 'up'"):
            features.car(8, facing="up")


class TestShift:
    @pytest.mark.parametrize(
        ("mode", "shape"), [*itertools.product(MODES, [(7, 5), (4, 6, 3), (1, 1), (2, 1)])]
    )
    def test_whole_pixels_are_those_of_a_padded_image(self, mode, shape):
        image = noise(*shape)
        reach = 9
        pads = [(reach, reach)] * 2 + [(0, 0)] * (len(shape) - 2)
        padded = np.pad(image, pads, mode=NUMPY_MODES[mode])
        height, width = shape[:2]
        for dy, dx in itertools.product([-9, -3, 0, 1, 5], repeat=2):
            top, left = reach - dy, reach - dx
            moved = features.shift(image, dy, dx, mode=mode)
            assert_array_equal(moved, padded[top : top + height, left : left + width])

    @pytest.mark.parametrize("mode", MODES)
    def test_fractions_are_those_of_scipy(self, mode):
        ndimage = pytest.importorskip("scipy.ndimage")
        image = noise(9, 12, dtype=np.float64)
        for move in ((0.25, -1.5), (-3.75, 0.1), (2, 0.5)):
            expected = ndimage.shift(image, move, order=1, mode=SCIPY_MODES[mode])
            assert_allclose(features.shift(image, *move, mode=mode), expected, atol=1e-12)

    @pytest.mark.parametrize("size", [15, 16])
    def test_fourier_moves_waves_exactly(self, size):
        x = np.arange(size)

        def wave(place):
            return np.tile(np.sin(2 * np.pi * 3 * place / size) + 0.2, (4, 1))

        moved = features.shift(wave(x), 0, 0.3, mode="circular", interpolation="fourier")
        assert_allclose(moved, wave(x - 0.3), atol=1e-12)
        moved = features.shift(wave(x).T, -2.6, 0, mode="circular", interpolation="fourier")
        assert_allclose(moved, wave(x + 2.6).T, atol=1e-12)

    @given(st.floats(-20, 20), st.floats(-20, 20))
    def test_fourier_there_and_back(self, dy, dx):
        image = noise(9, 7, 2, dtype=np.float64)
        options = {"mode": "circular", "interpolation": "fourier"}
        there = features.shift(image, dy, dx, **options)
        assert_allclose(features.shift(there, -dy, -dx, **options), image, atol=1e-9)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtype_and_copy(self, dtype):
        image = noise(4, 4, dtype=dtype)
        for move in ((0, 0), (1, 2), (0.5, 0)):
            moved = features.shift(image, *move)
            assert moved.dtype == dtype
            assert not np.shares_memory(moved, image)

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda i: features.shift(i, np.nan, 0), ArgumentError, "dy is nan"),
            (lambda i: features.shift(i, 0, "1"), ArgumentError, "dx is '1'"),
            (lambda i: features.shift(i, 0, 0, mode="wrap"), ArgumentError, "mode is 'wrap'; acc"),
            (
                lambda i: features.shift(i, 0, 0.5, interpolation="fourier"),
                ArgumentError,
                "asks for mode='circular'",
            ),
            (lambda i: features.shift(i[0], 0, 0), ShapeError, r"has the shape \(4,\)"),
            (lambda i: features.shift(i.astype(int), 0, 0), DTypeError, "array of int64"),
            (lambda i: features.shift(i[:0], 0, 0), ShapeError, "at least one pixel"),
            (lambda i: features.jitter(i, -1, seed=0), ArgumentError, "reach is -1"),
            (lambda i: features.jitter(i, seed=0.5), ArgumentError, "seed is 0.5"),
            (lambda i: features.affine(i, ((1, 2), (2, 4))), ArgumentError, "has no inverse"),
            (lambda i: features.affine(i, (1, 2)), ArgumentError, "2 × 2 finite numbers"),
            (lambda i: features.affine(i, np.eye(2), (1,)), ArgumentError, "offset is"),
            (lambda i: features.rotate(i, np.inf), ArgumentError, "degrees is inf"),
            (lambda i: features.scale(i, 0), ArgumentError, "has no inverse"),
        ],
    )
    def test_refused(self, call, error, message):
        with pytest.raises(error, match=message):
            call(noise(4, 4))


def test_jitter_makes_every_shift_and_no_other():
    dot = features.two_dots(9, 0)
    places = {tuple(np.argwhere(features.jitter(dot, 1, seed=s))[0] - 4) for s in range(200)}
    assert places == set(itertools.product((-1, 0, 1), repeat=2))


class TestAffine:
    @pytest.mark.parametrize(
        ("mode", "degrees"), [*itertools.product(MODES, [90, 180, 270, -90, 0])]
    )
    def test_quarter_turns_of_squares_are_exact(self, mode, degrees):
        image = noise(7, 7, 3)
        assert_array_equal(
            features.rotate(image, degrees, mode=mode), np.rot90(image, degrees // 90)
        )

    @pytest.mark.parametrize("mode", MODES)
    def test_without_shrinking_it_is_scipys(self, mode):
        ndimage = pytest.importorskip("scipy.ndimage")
        image = noise(11, 14, dtype=np.float64)
        matrix, offset = np.array([[1.4, 0.5], [-0.4, 1.3]]), np.array([1.25, -2])
        inverse = np.linalg.inv(matrix)
        assert np.linalg.norm(inverse, 2) < 1
        middle = (np.array(image.shape) - 1) / 2
        expected = ndimage.affine_transform(
            image,
            inverse,
            middle - inverse @ (middle + offset),
            order=1,
            mode=SCIPY_MODES[mode],
        )
        moved = features.affine(image, matrix, tuple(offset), mode=mode)
        assert_allclose(moved, expected, atol=1e-7)

    def test_whole_offsets_are_shifts(self):
        image = noise(6, 8, 2)
        moved = features.affine(image, np.eye(2), (2, -3), mode="reflect")
        assert_array_equal(moved, features.shift(image, 2, -3, mode="reflect"))

    @pytest.mark.parametrize("factor", [0.5, 0.3, (0.25, 0.8)])
    def test_shrinking_loses_no_light(self, factor):
        image = np.zeros((65, 65))
        image[20:45, 22:40] = noise(25, 18, dtype=np.float64)
        down, right = factor if isinstance(factor, tuple) else (factor, factor)
        small = features.scale(image, factor)
        assert small.sum() == pytest.approx(image.sum() * down * right, rel=0.02)

    def test_enlarging_twice_keeps_the_middle(self):
        image = noise(9, 9)
        large = features.scale(image, 2)
        assert_allclose(large[::2, ::2], image[2:7, 2:7], rtol=1e-6)

    def test_turning_back(self):
        image = features.car(64)
        back = features.rotate(features.rotate(image, 30), -30)
        assert np.abs(back - image).mean() < 0.02
        assert np.abs(features.rotate(image, 30) - image).mean() > 0.05
