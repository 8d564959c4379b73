"""Pictures of pools: a feature through several, a pixel's box, scores beside their maps."""

import itertools
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import attar
from attar import Sequential, features, figures, layers, nn
from attar.errors import AttarError
from attar.figures.picture import pixels
from tests.pictures import assert_apart

RNG = np.random.default_rng(3)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def panel(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)


def picture(figure, label):
    """The pixels of one panel."""
    drawn = pixels(figure)
    height, width = drawn.shape[:2]
    place = panel(figure, label).get_position()
    rows = slice(round((1 - place.y1) * height), round((1 - place.y0) * height))
    return drawn[rows, round(place.x0 * width) : round(place.x1 * width)]


def assert_nothing_overlaps_or_is_cut(figure):
    pixels(figure)
    boxes = [text.get_window_extent() for text in figure.texts]
    panels = [axes.get_window_extent() for axes in figure.axes if axes.get_label() != "scales"]
    assert_apart(boxes, texts(figure))
    for one in boxes:
        assert one.x0 >= 0
        assert one.y0 >= 0
        assert one.x1 <= figure.bbox.x1
        assert one.y1 <= figure.bbox.y1
        if panels[0].width < 0.99 * figure.bbox.width:  # a sheet is one axes under all text
            assert not any(one.overlaps(axes) for axes in panels)


# ------------------------------------------------------------------ a feature through pools


def halved(image, pool):
    maps = image[None, :, :, None]
    sizes = [min(3, 2 * size - 1) for size in image.shape]
    return {
        "max": lambda: nn.max_pool(maps, 2, 2, "SAME"),
        "average": lambda: nn.avg_pool(maps, 2, 2, "SAME"),
        "blur": lambda: nn.blur_pool(maps, sizes, 2),
        "max_blur": lambda: nn.max_blur_pool(maps, 2, sizes, 2, "SAME"),
        "polyphase": lambda: nn.polyphase_pool(maps, 2),
        "stride": lambda: maps[:, ::2, ::2],
    }[pool]()[0, :, :, 0]


@pytest.mark.parametrize("pool", ["max", "average", "blur", "max_blur", "polyphase", "stride"])
def test_each_panel_is_the_one_before_pooled(pool):
    image = RNG.random((11, 6)).astype(np.float32)
    figure = figures.pyramid(image, 4, pool=pool, dpi=60)
    for number in range(5):
        shown = panel(figure, f"pool {number}" if number else "input").images[0].get_array()
        assert_array_equal(shown, image)
        image = halved(image, pool)
    assert texts(figure).count("1 × 1") == 1


def test_panels_have_one_size_and_one_scale():
    figure = figures.pyramid(features.circle(32), 9, dpi=60)
    panels = [axes for axes in figure.axes if axes.get_label() != "scales"]
    assert [axes.get_label() for axes in panels] == ["input", *(f"pool {n}" for n in range(1, 6))]
    sizes = {tuple(np.round(axes.get_window_extent().size, 6)) for axes in panels}
    assert len(sizes) == 1
    assert len({id(axes.images[0].norm) for axes in panels}) == 1
    for before, after in itertools.pairwise(panels):
        assert after.get_position().x0 > before.get_position().x1


def test_dead_space_stands_below_and_pools_that_find_one_pixel_are_the_last():
    image = np.zeros((8, 8), np.float32)
    image[2:4, 1] = 1  # 2 of 64, of the 4 × 4 only 1
    figure = figures.pyramid(image, 7)
    wanted = ["dead space 97 %", "dead space 94 %", "dead space 75 %", "dead space 0 %"]
    assert [text for text in texts(figure) if text.startswith("dead")] == wanted
    assert "max pool 2 × 2" in texts(figure)
    signed = figures.pyramid(image - 0.5, 2)
    assert not any(text.startswith("dead") for text in texts(signed))
    norm = panel(signed, "input").images[0].norm
    assert norm.vmin == -norm.vmax


def test_many_pools_stand_in_rows_and_nothing_is_cut():
    figure = figures.pyramid(RNG.random((1025, 300)).astype(np.float32), 12, dpi=60)
    tops = [round(axes.get_position().y1, 6) for axes in figure.axes if axes.images
            and axes.get_label() != "scales"]  # fmt: skip
    assert len(tops) == 12
    assert [tops.count(top) for top in sorted(set(tops), reverse=True)] == [6, 6]
    assert_nothing_overlaps_or_is_cut(figure)


def test_an_extraction_is_pooled_from_what_was_detected():
    images = RNG.random((2, 12, 10, 1)).astype(np.float32)
    result = attar.extract(images, RNG.standard_normal((3, 3, 1, 4)))
    figure = figures.pyramid(result, 1, index=1, channel=2)
    assert_array_equal(panel(figure, "input").images[0].get_array(), result.detect[1, :, :, 2])
    assert_array_equal(panel(figure, "pool 1").images[0].get_array(), result.condense[1, :, :, 2])
    kept = attar.extract(images[0, :, :, 0], "edge", stages=False)
    figure = figures.pyramid(kept, 1)
    assert_array_equal(panel(figure, "input").images[0].get_array(), kept.condense)


# ------------------------------------------------------------------ a pixel's box


def deep(height=40, width=60):
    return Sequential(
        [
            layers.Input((height, width, 3)),
            layers.Conv2D(4, 5, padding="same"),
            layers.MaxPool2D(),
            layers.Conv2D(4, 3, padding="same", name="a layer with a name longer than its panel"),
        ]
    )


def boxes(figure, label):
    """Solid and dashed boxes of a panel, as (left, top, right, bottom) in its pixels."""
    found = {}
    for patch in panel(figure, label).patches:
        x, y = patch.get_xy()
        kind = "solid" if patch.get_linestyle() in ("-", "solid") else "dashed"
        found[kind] = (x, y, x + patch.get_width(), y + patch.get_height())
    return found


def test_the_box_lies_where_the_field_is():
    photo = RNG.random((40, 60, 3)).astype(np.float32)
    model = deep()
    field = model.receptive_field(model.layers[-1], (10, 12))
    figure = figures.receptive_field(photo, field, dpi=100)
    scale = 5  # 60 pixels on 3.2 inches
    top, bottom, left, right = field.box
    wanted = (left * scale - 0.5, top * scale - 0.5, right * scale - 0.5, bottom * scale - 0.5)
    assert_allclose(boxes(figure, "input")["solid"], wanted)
    assert "dashed" not in boxes(figure, "input")
    assert f"rows {top}–{bottom - 1}, columns {left}–{right - 1}" in texts(figure)
    assert "pixel (10, 12)" in texts(figure)
    # What is magnified is that part of the image, whole pixels of it.
    part = panel(figure, "field").images[0].get_array()
    high, wide = field.box.shape
    side = part.shape[0] // high
    assert part.shape == (high * side, wide * side, 3)
    magnified = np.rint(photo[top:bottom, left:right] * 255).repeat(side, 0).repeat(side, 1)
    assert_array_equal(part, magnified)


def test_what_lies_outside_is_grey_and_the_box_there_is_dashed():
    photo = np.zeros((40, 60, 3), np.float32)
    model = deep()
    field = model.receptive_field(model.layers[-1], (0, 29))
    assert field.unclipped.top < 0
    assert field.unclipped.right > 60
    figure = figures.receptive_field(photo, field, dpi=100)
    part = panel(figure, "field").images[0].get_array()
    side = part.shape[0] // field.unclipped.shape[0]
    assert (part[: -field.unclipped.top * side] == 0xE6).all()
    inside = part[-field.unclipped.top * side :, : (60 - field.unclipped.left) * side]
    assert (inside == 0).all()
    solid, dashed = boxes(figure, "input")["solid"], boxes(figure, "input")["dashed"]
    assert dashed[0] == solid[0]
    assert dashed[1] < solid[1]
    assert dashed[2] > solid[2]
    assert dashed[3] == solid[3]
    assert "dashed: without borders" in texts(figure)
    # And the image itself is drawn below the grey, not stretched over it.
    image = panel(figure, "input").images[0].get_array()
    assert {tuple(colour) for colour in image[0]} == {(0xE6,) * 3}
    assert (image[-1, 0] == 0).all()


def test_a_field_that_sees_nothing_or_reaches_far():
    blind = Sequential([layers.Input((8, 8, 1)), layers.ZeroPadding2D(4)])
    field = blind.receptive_field(blind.layers[-1], (0, 0))
    assert field.box is None
    figure = figures.receptive_field(np.ones((8, 8)), field)
    assert "sees nothing of the image" in texts(figure)
    assert set(boxes(figure, "input")) == {"dashed"}
    far = Sequential([layers.Input((8, 8, 1)), layers.MaxPool2D(2**31 - 1, 1, "same")])
    figure = figures.receptive_field(np.ones((8, 8)), far.receptive_field(far.layers[-1]), dpi=60)
    assert max(pixels(figure).shape) < 700


def test_of_an_extraction_window_and_pixel_are_drawn_too():
    image = features.car((20, 30))
    result = attar.extract(image, "edge", pool_size=(2, 3), conv_stride=1)
    figure = figures.receptive_field(result, at=(4, 5), dpi=100)
    detect, condense = (panel(figure, name) for name in ("detect", "condense"))
    assert_allclose(detect.get_window_extent().size, condense.get_window_extent().size)
    side = 10  # 30 pixels on 3.2 inches
    wanted = np.array([15, 8, 18, 10]) * side - 0.5
    assert_allclose(boxes(figure, "detect")["solid"], wanted)
    assert_allclose(boxes(figure, "input")["solid"], wanted + np.array([-1, -1, 1, 1]) * side)
    assert_allclose(
        boxes(figure, "condense")["solid"], np.array([5 * 3, 4 * 2, 6 * 3, 5 * 2]) * side - 0.5
    )
    assert "window 2 × 3" in texts(figure)


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"stages": False}, ["input", "field", "condense"]),
        ({"pool": None}, ["input", "field", "detect"]),
        ({"activation": None}, ["input", "field", "filter", "condense"]),
        ({"conv_stride": 2, "conv_padding": "valid"}, ["input", "field", "detect", "condense"]),
    ],
    ids=str,
)
def test_of_an_extraction_only_what_there_is(options, labels):
    result = attar.extract(features.car(24) - 0.2, "edge", **options)
    figure = figures.receptive_field(result, dpi=60)
    assert [axes.get_label() for axes in figure.axes if axes.get_label() != "scales"] == labels
    # Only pixels inside the box change what the pixel is.
    *_, (left, top, right, bottom) = boxes(figure, "input").values()
    height, width = result.condense.shape
    at = (height // 2, width // 2)
    scale = pixels_of_one(figure)
    box = [round((o + 0.5) / scale) for o in (top, bottom, left, right)]
    seen = np.zeros((24, 24), bool)
    seen[box[0] : box[1], box[2] : box[3]] = True
    without = np.where(seen, result.image, RNG.random((24, 24)).astype(np.float32))
    assert attar.extract(without, "edge", **options).condense[at] == result.condense[at]


def pixels_of_one(figure):
    return panel(figure, "input").images[0].get_array().shape[0] / 24


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (40, 60), (500, 700)], ids=str)
def test_no_text_overlaps_whatever_the_shape(shape):
    long = "a layer with a name that is longer than a panel is wide"
    model = Sequential([layers.Input((*shape, 1)), layers.Conv2D(1, 9, padding="same", name=long)])
    image = np.ones(shape, np.float32)
    figure = figures.receptive_field(image, model.receptive_field(model.layers[0]), dpi=80)
    assert_nothing_overlaps_or_is_cut(figure)
    assert_nothing_overlaps_or_is_cut(figures.pyramid(image, 3, dpi=80))
    assert_nothing_overlaps_or_is_cut(
        figures.receptive_field(attar.extract(image, "edge"), at=(0, 0), dpi=80)
    )


# ------------------------------------------------------------------ scores beside their maps


def written(figure):
    """Names and scores, in order of their places from the top."""
    found = [text for text in figure.texts if text.get_fontsize() in (8.5, 9.5)]
    return [text.get_text() for text in found]


def bars(figure, colour):
    """The lengths of the bars of a colour, from the top: right of the maps and of their scale."""
    drawn = (pixels(figure)[:, 120:] == colour).all(axis=2).sum(axis=1)
    runs = np.flatnonzero(np.diff(np.r_[0, drawn, 0]))
    return [int(drawn[start]) for start in runs[:-1] if drawn[start]]


RED, BLUE = (0xB2, 0x18, 0x2B), (0x21, 0x66, 0xAC)


@pytest.mark.parametrize("pool", ["average", "max"])
def test_the_highest_scores_come_first_and_bars_are_as_long_as_they_are(pool):
    maps = RNG.random((7, 9, 12)).astype(np.float32) ** np.arange(1, 13)
    scores = nn.global_pool(maps[None], "AVG" if pool == "average" else "MAX")[0]
    order = np.argsort(-scores)[:5]
    figure = figures.global_pool(maps, pool=pool, channels=5, dpi=100)
    found = written(figure)[-10:]
    assert [int(name) for name in found[::2]] == order.tolist()
    assert_allclose([float(score) for score in found[1::2]], scores[order], rtol=5e-3)
    assert_allclose(bars(figure, RED), 260 * scores[order] / scores[order[0]], atol=0.6)
    assert f"global {pool} of the 5 highest of 12 maps of 7 × 9" in texts(figure)


def test_scores_below_0_go_to_the_left_in_another_colour():
    maps = np.ones((4, 4, 3), np.float32) * np.float32([1, -2, 0])
    figure = figures.global_pool(maps, ["up", "down", "level"], channels=None, dpi=100)
    assert bars(figure, RED) == [65]
    assert bars(figure, BLUE) == [130]
    drawn = pixels(figure)[:, 120:]
    columns = [np.flatnonzero((drawn == colour).all(axis=2).any(axis=0)) for colour in (BLUE, RED)]
    assert columns[0].max() < columns[1].min()
    assert written(figure)[-6:] == ["up", "1", "down", "−2", "level", "0"]
    assert_nothing_overlaps_or_is_cut(figure)
    figure = figures.global_pool(maps, ["up", "down", "level"], channels=[1, -3], dpi=100)
    assert written(figure)[-4:] == ["down", "−2", "up", "1"]


def test_maps_have_one_scale_and_a_vector_and_nan_are_drawn():
    maps = np.zeros((4, 4, 2), np.float32)
    maps[..., 0], maps[..., 1] = 1, 0.5
    drawn = pixels(figures.global_pool(maps, dpi=100))
    tiles = drawn[:, 20:115]
    faint, strong = (np.array(c) for c in ((0xB6, 0x36, 0x79), (0xFB, 0xFC, 0xBF)))  # of magma
    assert (tiles == strong).all(axis=2).any()
    assert (np.abs(tiles.astype(int) - faint) <= 3).all(axis=2).any()
    assert written(figures.global_pool(np.float32([3, 1, 2]), channels=2))[-4:] == [
        "0", "3", "2", "2",
    ]  # fmt: skip
    maps[0, 0, 0] = np.nan
    assert written(figures.global_pool(maps))[-4:] == ["1", "0.5", "0", "nan"]


# ------------------------------------------------------------------ what is refused


IMAGE = np.zeros((8, 8), np.float32)
MODEL = Sequential([layers.Input((16, 16, 1)), layers.Conv2D(1, 3)])
FIELD = MODEL.receptive_field("conv2d", (13, 13))
RESULT = attar.extract(IMAGE, "edge")
REFUSED = {
    "a pool": (
        lambda: figures.pyramid(IMAGE, pool="min"),
        "pyramid: pool is 'min'; accepted are m",
    ),
    "no pools": (lambda: figures.pyramid(IMAGE, 0), "pools is 0; accepted is a number of at least"),
    "half a pool": (lambda: figures.pyramid(IMAGE, 1.5), "pools is 1.5"),
    "colour": (lambda: figures.pyramid(np.zeros((8, 8, 3))), r"image has shape \(8, 8, 3\); acce"),
    "empty": (lambda: figures.pyramid(np.zeros((0, 8))), "nothing to draw"),
    "complex": (lambda: figures.pyramid(IMAGE + 1j), "image holds complex64"),
    "no such channel": (lambda: figures.pyramid(RESULT, channel=1), "pyramid: channel is 1; there"),
    "no field": (lambda: figures.receptive_field(IMAGE), "field must be what Sequential.receptive"),
    "two fields": (lambda: figures.receptive_field(RESULT, FIELD), "an extraction has its own"),
    "at of a field": (lambda: figures.receptive_field(IMAGE, FIELD, at=(0, 0)), "at is for an ext"),
    "another image": (
        lambda: figures.receptive_field(IMAGE, FIELD),
        "row 15 and column 15; the im",
    ),
    "far": (lambda: figures.receptive_field(RESULT, at=(4, 0)), r"4 × 4 pixels, got at=\(4, 0\)"),
    "one number": (lambda: figures.receptive_field(RESULT, at=(4,)), r"at must be \(y, x\), got"),
    "a batch": (
        lambda: figures.receptive_field(np.zeros((2, 16, 16, 1)), FIELD),
        r"image has shape \(2, 16, 16, 1\); accepted",
    ),
    "a global pool": (lambda: figures.global_pool(IMAGE[..., None], pool="sum"), "pool is 'sum'"),
    "names": (lambda: figures.global_pool(IMAGE[..., None], ["a", "b"]), "one for each of the 1 m"),
    "one name": (lambda: figures.global_pool(IMAGE[..., None], "a"), "names must be one for each"),
    "no maps": (lambda: figures.global_pool(IMAGE[..., None], channels=0), "channels is 0"),
    "gamma": (lambda: figures.global_pool(IMAGE[..., None], gamma=0), "gamma is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_refused_by_name(case):
    make, message = REFUSED[case]
    with pytest.raises(AttarError) as caught:
        make()
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith("figures.")
