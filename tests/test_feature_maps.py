"""The pictures of feature maps: which maps, in which colours, at which pixels."""

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from attar import Sequential, figures, layers
from attar.errors import ArgumentError, DTypeError, ShapeError
from attar.figures.picture import pixels
from attar.figures.tiles import LABEL_HEIGHT
from tests.pictures import assert_apart

DPI = 100
RNG = np.random.default_rng(5)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def labels(figure):
    """What stands below the tiles: channels and numbers in turns."""
    return [text.get_text() for text in figure.texts if text.get_fontsize() == 7]


def bold(figure):
    return [text.get_text() for text in figure.texts if text.get_fontweight() == "bold"]


def channels(figure):
    """The channels in the order in which they are drawn, and where each label begins."""
    labels = [text for text in figure.texts if text.get_fontsize() == 7]
    return [
        (int(text.get_text()), text.get_position())
        for text in labels
        if text.get_horizontalalignment() == "left"
    ]


def tile(figure, place, size, dpi=DPI):
    """The pixels of a tile of this size (h, w), which stands on its label."""
    picture = pixels(figure)
    x, y = channels(figure)[place][1]
    left = round(x * picture.shape[1])
    bottom = round((1 - y) * picture.shape[0] - LABEL_HEIGHT / 2 * dpi)
    return picture[bottom - size[0] : bottom, left : left + size[1]]


def magma(*places):
    """The colour of one place on the scale, or of an array of them."""
    places = places[0] if len(places) == 1 else places
    return np.array(mpl.colormaps["magma"](np.array(places, float), bytes=True))[..., :3]


def signed(place):
    return np.array(mpl.colormaps["RdBu_r"](float(place), bytes=True))[:3]


def draw(maps, **options):
    return figures.feature_maps(maps, dpi=DPI, **options)


def assert_nothing_overlaps_or_is_cut(figure):
    renderer = mpl.backends.backend_agg.FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for number, one in enumerate(boxes):
        assert one.x0 >= 0
        assert one.y0 >= 0
        assert one.x1 <= figure.bbox.x1, texts(figure)[number]
        assert one.y1 <= figure.bbox.y1
    assert_apart(boxes, texts(figure))


def ramp(*ends):
    """Maps of 2 × 3 whose values are 0 but for one of each, the greatest."""
    maps = np.zeros((2, 3, len(ends)), np.float32)
    maps[0, 1] = ends
    return maps


class TestColours:
    def test_every_value_is_a_square_of_its_colour(self):
        maps = np.zeros((2, 3, 1), np.float32)
        maps[:, :, 0] = [[0, 1, 2], [3, 4, 4]]
        side = 106  # 3.2 inches, and 3 values
        found = tile(draw(maps), 0, (2 * side, 3 * side))
        wanted = magma([0, 0.25, 0.5], [0.75, 1, 1])
        assert_array_equal(found, wanted.repeat(side, 0).repeat(side, 1))

    def test_each_map_has_its_own_scale(self):
        figure = draw(ramp(1, 100), columns=2)
        for place in (0, 1):
            assert_array_equal(tile(figure, place, (2, 3))[-1, 0], magma(0))
            assert_array_equal(tile(figure, place, (212, 212))[0, 150], magma(1))
        assert labels(figure) == ["0", "1", "1", "100"]
        assert "each map has its own scale, n stands below it" in texts(figure)

    def test_shared_scale(self):
        maps = ramp(25, 100)
        figure = draw(maps, normalize="shared", columns=2)
        assert_array_equal(tile(figure, 0, (212, 212))[0, 150], magma(0.25))
        assert_array_equal(tile(figure, 1, (212, 212))[0, 150], magma(1))
        assert labels(figure) == ["0", "25", "1", "100"]
        assert texts(figure)[1:4] == ["0", "100", "one scale, below each map its peak"]

    def test_gamma_brightens_what_is_faint(self):
        maps = ramp(4)
        maps[1, 0, 0] = 1
        figure = draw(maps, gamma=0.5)
        assert_array_equal(tile(figure, 0, (212, 318))[-1, 0], magma(0.5))
        assert texts(figure)[3] == "each map has its own scale, n stands below it · gamma 0.5"

    def test_signed_maps_are_white_at_zero(self):
        maps = ramp(2)
        maps[1, 0, 0] = -1
        figure = draw(maps)
        found = tile(figure, 0, (212, 318))
        assert_array_equal(found[0, 150], signed(1))
        assert_array_equal(found[-1, 0], signed(0.25))
        assert_array_equal(found[0, 0], signed(0.5))
        assert "−n" in texts(figure)

    def test_gamma_keeps_signs(self):
        maps = ramp(4)
        maps[1, 0, 0] = -1
        assert_array_equal(tile(draw(maps, gamma=0.5), 0, (212, 318))[-1, 0], signed(0.25))

    def test_the_bar_has_the_colours_of_the_maps(self):
        head = pixels(draw(ramp(4), gamma=0.5))[:70]
        row, column = np.argwhere((head == magma(0)).all(2))[0]
        wanted = magma(np.linspace(0, 1, 60) ** 0.5)
        assert_array_equal(head[row, column : column + 60], wanted)

    def test_the_strongest_percent_does_not_darken_the_rest(self):
        maps = np.full((20, 20, 1), 0.5, np.float32)
        maps[3, 3] = 100
        figure = draw(maps)
        assert labels(figure) == ["0", "0.5"]
        assert "≥ n" in texts(figure)

    def test_nan_has_a_colour_of_its_own(self):
        maps = ramp(1, 1)
        maps[1, 2, 1] = np.nan
        figure = draw(maps, columns=2)
        assert_array_equal(tile(figure, 1, (212, 318))[-1, 300], (0x2A, 0xA8, 0x76))
        assert any("NaN is green" in text for text in texts(figure))

    def test_infinities_are_beyond_the_scale(self):
        maps = ramp(np.inf)
        maps[1, 0, 0] = 3
        figure = draw(maps)
        assert_array_equal(tile(figure, 0, (212, 318))[0, 150], magma(1))
        assert labels(figure) == ["0", "3"]


class TestDead:
    def test_a_dead_map_is_crossed_out(self):
        figure = draw(ramp(1, 0), columns=2)
        found = tile(figure, 1, (212, 318))
        assert_array_equal(found[2, 150], (0xE6, 0xE6, 0xE6))
        for row in (0, 105, 211):
            for column in (round(row * 317 / 211), 317 - round(row * 317 / 211)):
                near = found[row, max(column - 1, 0) : column + 2]
                assert (near == 0xB8).all(1).any()
        assert labels(figure)[2:] == ["1", "dead"]
        assert any("1 dead: 0 everywhere" in text for text in texts(figure))

    def test_a_faint_map_is_not(self):
        figure = draw(ramp(1, 1e-30), columns=2)
        assert "dead" not in " ".join(texts(figure))
        assert_array_equal(tile(figure, 1, (212, 318))[0, 150], magma(1))

    def test_a_map_of_nan_is_not(self):
        assert "dead" not in texts(draw(np.full((2, 2, 1), np.nan)))


class TestChannels:
    def test_all_in_order(self):
        assert [channel for channel, _ in channels(draw(RNG.random((4, 4, 6))))] == list(range(6))

    def test_so_many_of_the_strongest(self):
        figure = draw(ramp(2, -9, 0, 5, 7), channels=3)
        assert [channel for channel, _ in channels(figure)] == [1, 4, 3]
        assert "the 3 strongest of 5 maps of 2 × 3" in texts(figure)

    def test_strength_is_a_mean(self):
        maps = np.zeros((4, 4, 2), np.float32)
        maps[0, 0, 0], maps[:, :, 1] = 3, 1
        assert channels(draw(maps, channels=1))[0][0] == 1

    def test_more_than_there_are(self):
        figure = draw(ramp(1, 2), channels=10)
        assert [channel for channel, _ in channels(figure)] == [1, 0]
        assert "2 maps of 2 × 3" in texts(figure)

    def test_named(self):
        maps = ramp(1, 2, 3, 4)
        figure = draw(maps, channels=[2, -4, 2], columns=3)
        assert labels(figure) == ["2", "3", "0", "1", "2", "3"]
        assert "3 of 4 maps of 2 × 3" in texts(figure)


class TestLayout:
    def test_rows_and_columns(self):
        places = [place for _, place in channels(draw(ramp(*range(1, 8)), columns=3))]
        xs, ys = sorted({x for x, _ in places}), sorted({y for _, y in places}, reverse=True)
        assert (len(xs), len(ys)) == (3, 3)
        assert places == [(xs[i % 3], ys[i // 3]) for i in range(7)]

    @pytest.mark.parametrize(("count", "columns"), [(64, 8), (128, 16), (512, 32), (1, 1), (7, 4)])
    def test_rows_are_full_where_that_can_be(self, count, columns):
        maps = RNG.random((20, 20, count))
        assert len({x for _, (x, _) in channels(draw(maps))}) == columns

    @pytest.mark.parametrize("shape", [(224, 224, 64), (7, 7, 2048), (400, 600, 3), (1, 1, 1000)])
    def test_size_is_reasonable(self, shape):
        width, height = draw(RNG.random(shape, np.float32)).get_size_inches()
        assert 2 < width < 21
        assert height < 17

    def test_a_large_map_is_reduced_by_its_mean(self):
        maps = np.zeros((640, 640, 1), np.float32)
        maps[0, 0], maps[320, 320] = 1, 0.5
        found = tile(draw(maps), 0, (320, 320))
        assert_array_equal(found[0, 0], magma(1))
        assert_array_equal(found[160, 160], magma(0.5))

    def test_a_large_signed_map_by_what_is_farthest_from_zero(self):
        maps = np.zeros((640, 640, 1), np.float32)
        maps[0, 0], maps[0, 1] = 1, -1
        maps[320, 320], maps[320, 321] = 0.25, -0.5
        found = tile(draw(maps), 0, (320, 320))
        assert_array_equal(found[160, 160], signed(0.25))

    @pytest.mark.parametrize(
        "maps",
        [
            -1.2345e-7 * RNG.random((5, 5, 1)),
            -1.2345e-7 * RNG.random((1, 1, 300)),
            RNG.random((3, 40, 300)),
            RNG.random((14, 14, 512)) * (np.arange(512) % 3 > 0),
            RNG.random((40, 3, 64)) * 1e30,
            np.where(RNG.random((5, 5, 2)) < 0.5, np.nan, -1e-20),
        ],
        ids=lambda maps: str(maps.shape),
    )
    @pytest.mark.parametrize("normalize", ["map", "shared"])
    def test_nothing_overlaps_or_is_cut(self, maps, normalize):
        assert_nothing_overlaps_or_is_cut(
            draw(maps, normalize=normalize, gamma=0.45, title="block5_conv3")
        )

    def test_title(self):
        assert bold(draw(ramp(1), title="block2_pool")) == ["block2_pool"]
        assert bold(draw(ramp(1))) == []


class TestWhatIsTaken:
    def test_a_batch_of_one(self):
        maps = RNG.random((4, 5, 3))
        assert_array_equal(pixels(draw(maps[None])), pixels(draw(maps)))

    @pytest.mark.parametrize("shape", [(3,), (1, 3)])
    def test_a_vector_is_on_one_scale(self, shape):
        figure = draw(np.array([1, 2, 4.0]).reshape(shape), columns=3)
        for place, part in enumerate((0.25, 0.5, 1)):
            assert_array_equal(tile(figure, place, (9, 9))[0, 0], magma(part))

    @pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "bool"])
    def test_dtypes(self, dtype):
        found = tile(draw(ramp(1).astype(dtype)), 0, (212, 318))
        assert_array_equal(found[0, 150], magma(1))

    @pytest.mark.parametrize(
        ("maps", "options", "error", "message"),
        [
            (
                np.ones((2, 4, 4, 3)),
                {},
                ShapeError,
                r"\(2, 4, 4, 3\); accepted are the maps of one",
            ),
            (np.ones((4, 4)), {}, ShapeError, r"shape \(4, 4\)"),
            (np.ones((0, 4, 3)), {}, ArgumentError, "no pixels"),
            (np.ones((4, 4, 3), complex), {}, DTypeError, "complex128"),
            (ramp(1), {"gamma": 0}, ArgumentError, "gamma is 0"),
            (ramp(1), {"gamma": np.nan}, ArgumentError, "gamma is nan"),
            (ramp(1), {"normalize": "all"}, ArgumentError, "'map' and 'shared'"),
            (ramp(1), {"columns": 0}, ArgumentError, "columns is 0"),
            (ramp(1), {"channels": 0}, ArgumentError, "channels is 0"),
            (ramp(1), {"channels": []}, ArgumentError, "channels is empty"),
            (ramp(1), {"channels": [1]}, ArgumentError, "only 0 … 0"),
            (ramp(1), {"channels": [0.5]}, DTypeError, "holds 0.5"),
        ],
    )
    def test_refused(self, maps, options, error, message):
        with pytest.raises(error, match=rf"^figures.feature_maps: .*{message}"):
            draw(maps, **options)


def sheet(trace, **options):
    return figures.contact_sheet(trace, dpi=DPI, **options)


class TestContactSheet:
    @pytest.fixture(scope="class")
    @staticmethod
    def trace():
        model = Sequential(
            [
                layers.Conv2D(12, 3, padding="same", name="conv"),
                layers.ReLU(name="relu"),
                layers.MaxPool2D(name="pool"),
                layers.Flatten(name="flat"),
                layers.Dense(3, name="dense"),
            ]
        )
        return model.trace(RNG.random((1, 16, 16, 3), np.float32))

    def test_a_row_for_each_layer_in_order(self, trace):
        figure = sheet(trace, title="my model")
        assert bold(figure) == ["my model", *trace]
        heights = [text.get_position()[1] for text in figure.texts if text.get_text() in trace]
        assert heights == sorted(heights, reverse=True)
        assert texts(figure).count("16 × 16 × 12") == 2
        assert texts(figure).count("8 × 8 × 12") == 1

    def test_the_strongest_of_each_layer(self, trace):
        figure = sheet(trace, channels=4)
        found = [channel for channel, _ in channels(figure)]
        for row, name in enumerate(("conv", "relu", "pool")):
            strength = np.abs(trace[name]).mean((0, 1, 2))
            assert found[4 * row : 4 * row + 4] == np.argsort(-strength, kind="stable")[:4].tolist()
        assert len(found) == 4 * 4 + 3

    def test_condensing_shows_as_coarser_pixels(self):
        maps = RNG.random((1, 16, 16, 1)).astype(np.float32)
        pooled = maps.reshape(1, 8, 2, 8, 2, 1).max((2, 4))
        figure = sheet({"conv": maps, "pool": pooled})
        for place, values in enumerate((maps, pooled)):
            side = 80 // values.shape[1]  # 0.95 inches hold 16 pixels five times
            end = np.sort(values.ravel())[int(values.size * 0.99)]
            wanted = magma(np.clip(values[0, :, :, 0] / end, 0, 1))
            assert_array_equal(
                tile(figure, place, (80, 80)), wanted.repeat(side, 0).repeat(side, 1)
            )

    def test_dead_channels_are_counted(self):
        maps = np.zeros((1, 4, 4, 5), np.float32)
        maps[..., 3] = 1
        figure = sheet({"conv": maps}, channels=2)
        assert "4 of 5 dead" in texts(figure)
        assert [channel for channel, _ in channels(figure)] == [3, 0]
        assert_array_equal(tile(figure, 1, (80, 80))[2, 40], (0xE6, 0xE6, 0xE6))

    def test_scales_of_both_kinds(self, trace):
        assert {"0", "−n"} <= set(texts(sheet(trace)))
        assert "−n" not in texts(sheet({"relu": trace["relu"]}))

    def test_the_image_stands_above(self):
        image = np.zeros((4, 4, 3), np.float32)
        image[:2] = (1, 0, 0.2)
        figure = sheet({"conv": np.ones((1, 4, 4, 1))}, image=image)
        assert bold(figure) == ["input", "conv"]
        picture = pixels(figure)
        red = np.argwhere((picture == (255, 0, 51)).all(2))
        (top, left), (bottom, right) = red.min(0), red.max(0)
        side = right - left + 1
        assert bottom - top + 1 == side / 2
        assert (picture[bottom + 1 : bottom + 1 + side // 2, left : right + 1] == 0).all()

    def test_gray_images(self):
        trace = {"conv": np.ones((1, 4, 4, 1))}
        for shape in ((4, 4), (4, 4, 1)):
            picture = pixels(sheet(trace, image=np.full(shape, 0.2)))
            assert (picture == 51).all(2).sum() >= 92 * 92

    def test_many_layers_stand_side_by_side(self):
        maps = RNG.random((1, 8, 8, 4))
        figure = sheet({f"layer_{i}": maps for i in range(49)})
        titles = [text.get_position() for text in figure.texts if text.get_fontweight() == "bold"]
        assert len({x for x, _ in titles}) == 3
        assert len({y for _, y in titles}) == 17
        width, height = figure.get_size_inches()
        assert max(width, height) < 20

    @pytest.mark.parametrize("count", [1, 3, 30])
    def test_nothing_overlaps_or_is_cut(self, trace, count):
        many = {
            f"{name}/{'long' * (5 * (i % 2))}/{i}": maps
            for i in range(count)
            for name, maps in trace.items()
        }
        assert_nothing_overlaps_or_is_cut(sheet(many, image=np.ones((9, 3)), title="t", gamma=0.5))

    def test_long_names_keep_both_ends(self, trace):
        figure = sheet({"first" + "x" * 100 + "last": trace["conv"]})
        name = bold(figure)[0]
        assert name.startswith("first")
        assert "…" in name
        assert name.endswith("last")

    @pytest.mark.parametrize(
        ("trace", "options", "message"),
        [
            ({}, {}, "trace has no maps"),
            ({"conv": np.ones((2, 4, 4, 1))}, {}, r"conv: maps have shape \(2, 4, 4, 1\)"),
            ({"conv": np.ones((1, 4, 4, 1))}, {"channels": 0}, "channels is 0"),
            ({"conv": np.ones((1, 4, 4, 1))}, {"channels": [0]}, r"channels is \[0\]"),
            ({"conv": np.ones((1, 4, 4, 1))}, {"gamma": -1}, "gamma is -1"),
            ({"conv": np.ones((1, 4, 4, 1))}, {"image": np.ones((4, 4, 2))}, "image has shape"),
        ],
    )
    def test_refused(self, trace, options, message):
        with pytest.raises((ShapeError, ArgumentError), match=message):
            sheet(trace, **options)
