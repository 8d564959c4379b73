"""The pictures: what they say, how they are scaled, and the pixels that come out."""

import io
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from attar import figures, kernels
from attar.errors import ArgumentError
from attar.extraction import extract
from attar.figures.picture import pixels as draw_pixels
from attar.shrink import reduce_rows

RNG = np.random.default_rng(11)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def panel(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)


def shown(figure, label):
    return panel(figure, label).images[0]


def labels(figure):
    return [axes.get_label() for axes in figure.axes]


def pixels(figure):
    file = io.BytesIO()
    figures.write(figure, file)
    return np.asarray(Image.open(file))


def box(figure, label):
    """The pixels of one panel: rows, then columns, from the top left corner."""
    height, width = pixels(figure).shape[:2]
    place = panel(figure, label).get_position()
    left, right = round(place.x0 * width), round(place.x1 * width)
    return slice(height - round(place.y1 * height), height - round(place.y0 * height)), slice(
        left, right
    )


def picture_of(figure, label):
    return pixels(figure)[box(figure, label)]


@pytest.fixture(scope="module")
def photo():
    return RNG.random((40, 60)).astype(np.float32)


@pytest.fixture(scope="module")
def figure(photo):
    return figures.stages(extract(photo, "edge"), dpi=100)


class TestPanels:
    def test_four_in_order(self, figure):
        assert labels(figure) == ["input", "filter", "detect", "condense", "scales"]
        titles = [text for text in figure.texts if text.get_fontweight() == "bold"]
        assert [text.get_text() for text in titles] == ["Input", "Filter", "Detect", "Condense"]
        places = [text.get_position()[0] for text in titles]
        assert places == sorted(places)

    def test_sizes_stand_below_the_titles(self, figure):
        assert texts(figure).count("40 × 60") == 3
        assert texts(figure).count("20 × 30") == 1

    def test_captions_are_about_the_maps(self, figure, photo):
        stats = extract(photo, "edge").stats
        assert f"dead space {stats.detect.dead_space:.0%}".replace("%", " %") in texts(figure)
        assert f"intensification {stats.intensification:.2f}×" in texts(figure)
        assert "edge 3 × 3" in texts(figure)

    def test_all_panels_have_one_size_of_whole_pixels(self, figure):
        height, width = pixels(figure).shape[:2]
        places = [axes.get_position() for axes in figure.axes[:4]]
        for place in places:
            assert_allclose(place.width * width, 300, atol=1e-6)
            assert_allclose(place.height * height, 200, atol=1e-6)
            assert_allclose(place.x0 * width, round(place.x0 * width), atol=1e-6)
            assert_allclose(place.y1 * height, round(place.y1 * height), atol=1e-6)

    def test_nothing_overlaps_or_is_cut(self):
        image = RNG.random((90, 30)).astype(np.float32) * 1e-5  # narrow, with long numbers
        figure = figures.stages(extract(image, "edge"), dpi=100)
        pixels(figure)
        renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
        boxes = [text.get_window_extent(renderer) for text in figure.texts]
        for number, one in enumerate(boxes):
            assert one.x0 >= 0
            assert one.y0 >= 0
            assert one.x1 <= figure.bbox.x1
            assert one.y1 <= figure.bbox.y1
            assert not any(one.overlaps(other) for other in boxes[number + 1 :])
            assert not any(one.overlaps(axes.get_window_extent()) for axes in figure.axes[:4])

    def test_without_stages(self, photo):
        figure = figures.stages(extract(photo, "edge", stages=False))
        assert labels(figure) == ["input", "condense", "scales"]
        assert not any("intensification" in text for text in texts(figure))

    @pytest.mark.parametrize("stages", [True, False])
    @pytest.mark.parametrize(
        ("options", "last"),
        [
            ({"pool": None}, "detect"),
            ({"activation": None}, "condense"),
            ({"pool": None, "activation": None}, "filter"),
        ],
        ids=str,
    )
    def test_a_step_left_out_has_no_panel(self, photo, options, last, stages):
        found = labels(figures.stages(extract(photo, "edge", stages=stages, **options)))
        assert found[-2] == last
        assert ("detect" in found) == (last == "detect")
        assert ("condense" in found) == (last == "condense")

    def test_image_of_a_batch_and_filter_of_several(self):
        images, kernel = RNG.random((2, 8, 9, 1)), RNG.standard_normal((3, 3, 1, 4))
        result = extract(images, kernel)
        figure = figures.stages(result, index=1, channel=2)
        assert_array_equal(shown(figure, "condense").get_array(), result.condense[1, :, :, 2])
        assert_array_equal(shown(figure, "input").get_array(), images[1, :, :, 0])
        assert "channel 2 of 0 … 3" in texts(figure)
        assert "channel 3 of 0 … 3" in texts(figures.stages(result, channel=-1))

    @pytest.mark.parametrize("options", [{"index": 1}, {"channel": 1}, {"channel": -2}], ids=str)
    def test_out_of_range(self, photo, options):
        with pytest.raises(ArgumentError, match=r"there is only 0 … 0"):
            figures.stages(extract(photo, "edge"), **options)

    def test_dead_space_is_rounded_honestly(self):
        image = np.zeros((40, 40), np.float32)
        image[3, 3] = 1
        assert "dead space > 99 %" in texts(figures.stages(extract(image, [[1.0]])))
        assert "dead space < 1 %" in texts(figures.stages(extract(1 - image, [[1.0]])))
        assert "dead space 100 %" in texts(figures.stages(extract(image * 0, [[1.0]])))


class TestScales:
    def test_filter_is_centred_at_zero(self, figure):
        norm = shown(figure, "filter").norm
        assert norm.vmin == -norm.vmax < 0
        assert shown(figure, "filter").cmap.name == "RdBu_r"

    def test_detect_and_condense_share_one_scale_from_zero(self, figure):
        detect, condense = shown(figure, "detect"), shown(figure, "condense")
        assert detect.norm is condense.norm
        assert detect.norm.vmin == 0
        assert detect.cmap.name == condense.cmap.name == "magma"

    def test_the_strongest_percent_does_not_darken_the_rest(self):
        image = np.full((20, 20), 0.5, np.float32)
        image[10, 10] = 100
        figure = figures.stages(extract(image, [[1.0]]))
        assert shown(figure, "filter").norm.vmax == 0.5
        assert "≥ 0.5" in texts(figure)

    def test_a_scale_that_holds_all_values_says_so(self):
        image = np.zeros((20, 20), np.float32)
        image[10, 5:9] = 0.5
        figure = figures.stages(extract(image, [[1.0]]))
        assert shown(figure, "detect").norm.vmax == 0.5
        assert "0.5" in texts(figure)
        assert "−0.5" in texts(figure)

    def test_bars_are_drawn_with_the_scales(self, figure):
        bars = panel(figure, "scales").images
        assert [bar.norm for bar in bars] == [
            shown(figure, name).norm for name in ("filter", "detect", "condense")
        ]

    def test_signed_features_are_drawn_signed(self, photo):
        figure = figures.stages(extract(photo, "edge", activation=None))
        norm = shown(figure, "condense").norm
        assert norm.vmin == -norm.vmax
        assert not any("dead space" in text for text in texts(figure))

    @pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
    def test_maps_without_a_range(self, value):
        image = np.full((6, 6), value, np.float32)
        assert pixels(figures.stages(extract(image, [[1.0]]))).size

    def test_an_image_in_other_units_is_stretched(self):
        image = np.linspace(-50, 200, 100, dtype=np.float32).reshape(10, 10)
        norm = shown(figures.stages(extract(image, [[1.0]])), "input").norm
        assert (norm.vmin, norm.vmax) == (-50, 200)

    def test_an_image_in_unit_range_is_not(self, figure):
        norm = shown(figure, "input").norm
        assert (norm.vmin, norm.vmax) == (0, 1)


class TestPixels:
    def test_every_value_is_a_square_of_its_colour(self):
        image = np.zeros((4, 6), np.float32)
        image[1, 2] = 1
        figure = figures.stages(extract(image, [[1.0]]), dpi=100)
        picture = picture_of(figure, "detect")
        side = picture.shape[0] // 4
        assert picture.shape == (4 * side, 6 * side, 3)
        wanted = (
            np.zeros((4, 6, 3), np.uint8) + (np.array(mpl.colormaps["magma"](0, bytes=True))[:3])
        )
        wanted[1, 2] = mpl.colormaps["magma"](255, bytes=True)[:3]
        assert_array_equal(picture, wanted.repeat(side, 0).repeat(side, 1))

    def test_condense_is_drawn_in_coarser_pixels(self):
        image = np.zeros((4, 6), np.float32)
        image[1, 2] = 1
        figure = figures.stages(extract(image, [[1.0]]), dpi=100)
        picture = picture_of(figure, "condense").astype(int).sum(2)
        side = picture.shape[0] // 2
        assert np.unique(picture[:side, side : 2 * side]).size == 1
        assert picture[0, side] > picture[0, 0]
        assert picture.min() == picture[-1, -1]

    def test_colour_is_shown_as_it_is(self):
        image = np.zeros((2, 3, 3), np.float32)
        image[0, 0], image[1, 2] = (1, 0, 0), (0, 0.2, 1)
        picture = picture_of(figures.stages(extract(image, [[1.0]]), dpi=100), "input")
        assert_array_equal(picture[0, 0], (255, 0, 0))
        assert_array_equal(picture[-1, -1], (0, 51, 255))

    def test_other_channel_counts_are_shown_as_their_mean(self):
        image = RNG.random((4, 6, 5))
        figure = figures.stages(extract(image, [[1.0]]))
        assert_allclose(shown(figure, "input").get_array(), image.mean(2))
        assert "mean of 5 channels" in texts(figure)

    def test_nan_has_a_colour_of_its_own(self):
        image = np.zeros((2, 2), np.float32)
        image[0, 0] = np.nan
        for name in ("filter", "detect", "condense"):
            picture = picture_of(figures.stages(extract(image, [[1.0]]), dpi=100), name)
            assert_array_equal(picture[0, 0], (0x2A, 0xA8, 0x76))

    def test_nan_in_colour(self):
        image = np.full((2, 2, 3), np.nan, np.float32)
        assert pixels(figures.stages(extract(image, [[1.0]]))).size

    def test_a_thin_line_survives_being_reduced(self):
        image = np.zeros((1000, 1500), np.float32)
        image[501] = 1
        figure = figures.stages(extract(image, [[1.0]]), dpi=100)
        picture = picture_of(figure, "detect").astype(int).sum(2)
        assert picture.shape == (200, 300)  # five into one
        assert (picture.max(0) > 200).all()

    def test_reduction(self):
        image = np.zeros((1280, 1280), np.float32)
        image[0, 0], image[0, 1] = 1.0, -3.0
        figure = figures.stages(extract(image, [[1.0]]), dpi=100)
        assert shown(figure, "filter").get_array().shape == (320, 320)
        assert shown(figure, "filter").get_array()[0, 0] == -3  # farthest from 0
        assert shown(figure, "detect").get_array()[0, 0] == 1 / 16  # mean of 4 × 4
        assert shown(figure, "condense").get_array()[0, 0] == 1 / 4  # mean of 2 × 2

    @pytest.mark.parametrize("count", [321, 500, 719, 961])
    def test_mean_of_uneven_runs(self, count):
        rows = np.arange(count, dtype=np.float64)[:, None]
        reduced = reduce_rows(rows, 320, "mean")[:, 0]
        runs = np.split(rows[:, 0], (np.arange(1, 320) * count) // 320)
        assert_allclose(reduced, [run.mean() for run in runs])

    @pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3000)])
    def test_odd_shapes(self, shape):
        picture = pixels(figures.stages(extract(np.ones(shape, np.float32), [[1.0]]), dpi=50))
        assert max(picture.shape) < 1500

    def test_nothing_to_draw(self):
        result = extract(np.ones((1, 4, 4, 1), np.float32), "edge")
        with pytest.raises(ArgumentError, match="index is 1"):
            figures.stages(result, index=1)


class TestKernel:
    def test_numbers_stand_in_their_cells(self):
        axes = figures.kernel("emboss").axes[0]
        found = {text.get_position(): text.get_text() for text in axes.texts}
        for (row, column), value in np.ndenumerate(kernels["emboss"]):
            assert found[column, row] == f"{value:g}".replace("-", "−")

    def test_scale_is_centred_at_zero(self):
        image = figures.kernel([[-1, 8]]).axes[0].images[0]
        assert (image.norm.vmin, image.norm.vmax) == (-8, 8)

    def test_contrast_of_every_number(self):
        weights = np.linspace(-1, 1, 49).reshape(7, 7)
        axes = figures.kernel(weights).axes[0]
        image = axes.images[0]

        def luminance(colour):
            srgb = np.asarray(mpl.colors.to_rgb(colour))
            linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
            return linear @ [0.2126, 0.7152, 0.0722]

        for text in axes.texts:
            column, row = text.get_position()
            cell = luminance(image.cmap(image.norm(weights[row, column])))
            dark, bright = sorted((cell, luminance(text.get_color())))
            # Where both inks are equally good the ratio is 4.2: the least that can be reached.
            assert (bright + 0.05) / (dark + 0.05) > 4.0

    def test_numbers_fit_their_cells(self):
        figure = figures.kernel(np.full((3, 3), -0.0123))
        pixels(figure)
        axes = figure.axes[0]
        cell = axes.get_window_extent().width / 3
        assert all(text.get_window_extent().width < cell for text in axes.texts)

    def test_without_numbers(self):
        assert not figures.kernel("edge", numbers=False).axes[0].texts
        assert not figures.kernel(np.ones((16, 16))).axes[0].texts

    def test_one_of_several(self):
        weights = RNG.standard_normal((3, 4, 2, 5))
        axes = figures.kernel(weights, in_channel=1, channel=4).axes[0]
        assert_array_equal(axes.images[0].get_array(), weights[:, :, 1, 4])
        with pytest.raises(ArgumentError, match="in_channel is 2"):
            figures.kernel(weights, in_channel=2)

    def test_all_zero(self):
        assert pixels(figures.kernel([[0.0]])).size


class TestWrite:
    def test_png_holds_the_drawn_pixels(self, figure):
        assert_array_equal(pixels(figure), draw_pixels(figure))
        assert pixels(figure).shape[2] == 3

    def test_png_says_its_resolution(self, figure):
        file = io.BytesIO()
        figures.write(figure, file)
        assert Image.open(file).info["dpi"] == pytest.approx((100, 100), abs=0.1)

    def test_the_figure_keeps_its_canvas(self, figure):
        before = figure.canvas
        pixels(figure)
        assert figure.canvas is before

    def test_notebooks_get_a_png(self, figure):
        assert figure._repr_png_().startswith(b"\x89PNG")

    def test_svg_keeps_the_pixels_of_the_maps(self, photo, tmp_path):
        path = extract(photo, "edge").save(tmp_path / "r.svg")
        assert path.read_text().count("<image") >= 4


def test_no_global_state_and_no_pyplot():
    code = (
        "import sys, numpy as np, attar;"
        "attar.extract(np.eye(4, dtype='f'), 'edge').figure();"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    home = {"PYTHONPATH": str(Path(figures.__file__).resolve().parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=os.environ | home).returncode == 0
