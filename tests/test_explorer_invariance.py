"""The room of invariance: its answers against other ways to compute them, and the page itself."""

import base64
import itertools
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from attar import experiments, features
from attar.errors import ArgumentError
from attar.explorer.answers import Context
from attar.explorer.asked import Asked
from attar.explorer.levels import active_levels, reach_of, signed_levels
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures
from attar.explorer.rooms import invariance
from attar.explorer.rooms.invariance import NEVER, Pooling, fields, pixels_of, pooled, pyramid
from tests.browser import colours_of, pixels, serious


def answer(what, **asked):
    question = Asked(f"invariance.{what}", asked)
    return invariance.ANSWERS[f"invariance.{what}"](question, Context(Pictures(), Models()))


def levels(**asked):
    return answer("maps", **asked).fields["levels"]


# ---------------------------------------------------------------------- answers


def beyond(image, row, column, border):
    """The value of a pixel that may lie outside: nothing on a real border."""
    size = len(image)
    if border == "circular":
        return image[row % size, column % size]
    inside = 0 <= row < size and 0 <= column < size
    return image[row, column] if inside else None


BLUR = {(a, b): (2 - abs(a)) * (2 - abs(b)) / 16 for a in (-1, 0, 1) for b in (-1, 0, 1)}


def halved(image, pool, window, border):
    """One pool, pixel by pixel, as its definition says."""
    size = len(image)
    out = -(-size // 2)

    def seen(row, column, before, length):
        offsets = range(-before, length - before)
        cells = [beyond(image, row + i, column + j, border) for i in offsets for j in offsets]
        return [value for value in cells if value is not None]

    if pool == "max_blur":
        before = (window - 1) // 2
        maxima = [[max(seen(i, j, before, window)) for j in range(size)] for i in range(size)]
        return halved(np.array(maxima), "blur", window, border)
    result = np.empty((out, out))
    for i, j in itertools.product(range(out), repeat=2):
        if pool == "blur":
            result[i, j] = sum(
                weight * (beyond(image, 2 * i + a, 2 * j + b, border) or 0)
                for (a, b), weight in BLUR.items()
            )
        elif pool == "none":
            result[i, j] = image[2 * i, 2 * j]
        else:
            before = max((out - 1) * 2 + window - size, 0) // 2
            values = seen(2 * i, 2 * j, before, window)
            result[i, j] = max(values) if pool == "max" else np.mean(values)
    return result


@pytest.mark.parametrize("border", ["zero", "circular"])
@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("pool", ["max", "average", "blur", "max_blur", "none"])
@pytest.mark.parametrize("size", [12, 3, 2])
def test_a_pool_is_what_its_definition_says(pool, window, border, size):
    image = np.random.default_rng(1).random((size, size))
    found = pooled(image[None, ..., None], Pooling(pool, window, border))[0, ..., 0]
    np.testing.assert_allclose(found, halved(image, pool, window, border), rtol=1e-14)


@pytest.mark.parametrize("pool", ["average", "max_blur", "blur", "none", "max"])
@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("size", [32, 24])
def test_a_cell_sees_its_field_and_nothing_else(pool, window, size):
    how = Pooling(pool, window, "zero")
    still = pyramid(np.zeros((1, size, size)), how)
    assert len(fields(size, how)) == len(still)
    places = list(range(size))
    dots = np.zeros((size, size, size))
    dots[places, places, places] = 1  # a dot on the diagonal, one in each picture
    for field, maps in zip(fields(size, how), pyramid(dots, how), strict=True):
        first, step, length = field
        cells = np.arange(maps.shape[1])
        active = maps[:, cells, cells] > 0  # of a picture, of a cell on the diagonal
        start = first + cells * step
        at = np.array(places)[:, None]
        assert np.array_equal(active, (start <= at) & (at < start + length))


def test_the_circle_of_the_lesson_and_one_that_is_less_lucky():
    lesson = experiments.circle([4, 8], times=[1, 2, 3, 4], pools=["max", "average"])
    for r_shrink, pool in itertools.product((4, 8), ("max", "average")):
        found = answer("shifts", radius=32 - r_shrink, pool=pool).fields
        assert tuple(found["distinct"][1:5]) == lesson.of(r_shrink, pool).distinct
        assert (found["of"], found["distinct"][0]) == (49, 49)
    assert answer("shifts", radius=28).fields["distinct"][1:5] == [49, 49, 45, 1]


@pytest.mark.parametrize(
    "asked",
    [
        {"radius": 28},
        {"shape": "dot", "border": "circular", "window": "3"},
        {"shape": "car", "pool": "none", "size": "32", "y": 1, "x": -2},
        {"shape": "car", "pool": "polyphase", "border": "circular", "size": "32"},
        {"shape": "dots", "distance": 5, "pool": "max_blur", "size": "32"},
    ],
)
def test_the_map_of_shifts_says_what_the_maps_say(asked):
    shifts = answer("shifts", **asked)
    same, moved = shifts.arrays["same"], shifts.arrays["moved"]
    for dy, dx in [(0, 0), (0, 1), (-1, 0), (2, -2), (-4, 4), (6, 3), (5, -6)]:
        found = answer("maps", **asked, dy=dy, dx=dx).fields
        at = dy + 6, dx + 6
        assert same[at] == (NEVER if found["same_from"] is None else found["same_from"])
        follows = [level["same"] or level["moved"] is not None for level in found["levels"]]
        follows[0] = True
        assert moved[at] == (follows.index(False) if False in follows else len(follows)) - 1


def test_once_the_same_always_the_same():
    for dx in range(-8, 9):
        same = [level["same"] for level in levels(shape="dot", dx=dx, x=3)]
        assert same == sorted(same)


def test_a_dot_one_step_inside_a_window_and_one_step_over_its_edge():
    assert answer("maps", shape="dot", dx=-1).fields["same_from"] == 1
    assert answer("maps", shape="dot", dx=1).fields["same_from"] == 6
    # Moved together by one, the edge lies elsewhere.
    assert answer("maps", shape="dot", dx=1, x=-1).fields["same_from"] == 1


def test_polyphase_sampling_follows_circular_shifts_where_nothing_ties():
    car = {"shape": "car", "pool": "polyphase"}
    assert (answer("shifts", **car, border="circular").arrays["moved"] == 6).all()
    assert not (answer("shifts", **car, border="circular", size="96").arrays["moved"] == 6).all()
    # Four halves of a symmetric circle are alike.
    ties = answer("shifts", radius=28, pool="polyphase", border="circular").arrays["moved"]
    assert ties[6, 7] == 0


def test_a_stride_alone_follows_even_shifts_only():
    moved = answer("shifts", shape="car", pool="none", border="circular").arrays["moved"]
    assert moved[6].tolist() == [1, 0, 2, 0, 1, 0, 6, 0, 1, 0, 2, 0, 1]
    [_, first, *_] = levels(shape="car", pool="none", border="circular", dx=2)
    assert first["moved"] == (0, 1)


@pytest.mark.parametrize("pool", ["max", "average", "blur"])
def test_what_is_left_of_two_dots_is_what_the_experiment_finds(pool):
    words = {"one": 0, "peak": 1, "two": 2}
    for times in (1, 2):
        expected = experiments.two_dots([pool], [times]).map(pool, times)
        distances = range(1, len(expected.left) + 1)
        for distance, alignment in itertools.product(distances, range(2**times)):
            # The column of the first dot is then 16 + alignment.
            x = alignment + 16 - (63 - distance) // 2
            found = levels(shape="dots", distance=distance, pool=pool, x=x)[times]["left"]
            assert words[found[0]] == expected.left[distance - 1][alignment]


def test_a_peak_across_the_ends_is_one():
    dots = {"shape": "dots", "distance": 1, "x": 32}  # in the last column, and in the first
    assert levels(**dots, border="circular")[0]["left"][0] == "peak"
    assert levels(**dots, border="zero")[0]["left"][0] == "one"


def test_the_relative_difference_and_the_levels_that_are_drawn():
    reply = answer("maps", shape="car", pool="average", dy=0.5, dx=-3)
    car = np.rint(features.car(64).astype(np.float64) * 256) / 256
    twin = (np.roll(car, -3, 1) + np.roll(np.roll(car, -3, 1), 1, 0)) / 2
    twin[:, -3:] = 0
    pair = [image.reshape(32, 2, 32, 2).mean((1, 3)) for image in (car, twin)]
    level = reply.fields["levels"][1]
    change = np.linalg.norm(pair[1] - pair[0]) / np.linalg.norm(pair[0])
    assert level["change"] == pytest.approx(change, rel=1e-12)
    reach = reach_of(*pair)
    assert np.array_equal(reply.arrays["original_1"], active_levels(pair[0], reach))
    assert np.array_equal(reply.arrays["twin_1"], active_levels(pair[1], reach))
    assert np.array_equal(reply.arrays["difference_1"], signed_levels(pair[1] - pair[0], reach))
    assert np.array_equal(reply.arrays["values_1"], np.array(pair, np.float32))


def test_what_leaves_a_real_border_is_gone_and_comes_back_over_a_circular_one():
    lost = answer("maps", shape="dot", dx=40)
    assert not lost.arrays["twin_0"].any()
    assert lost.fields["levels"][0]["change"] == 1
    assert lost.fields["levels"][0]["moved"] is None
    back = answer("maps", shape="dot", dx=40, border="circular").arrays["values_0"][1]
    assert np.argwhere(back).tolist() == [[31, (31 + 40) % 64]]


def test_an_empty_drawing_is_no_error():
    found = answer("maps", shape="drawing", dx=1).fields
    assert found["same_from"] == 0
    assert {level["change"] for level in found["levels"]} == {None}
    assert answer("shifts", shape="drawing").fields["distinct"] == [1] * 7


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3",
        "a,0,1,1,gA",
        "0,0,1,1,g!",
        "0,0,1,1,gAgA",
        "-1,0,1,1,gA",
        "0,0,0,1,",
        "31,0,2,1,wA",
        "0,0,99999999,99999999,gA",
    ],
)
def test_what_is_no_drawing_is_refused(text):
    with pytest.raises(ArgumentError, match="accepted are top, left, height and width of a part"):
        pixels_of(text, 32)


@pytest.mark.parametrize(
    "asked",
    [
        {"size": "4096"},
        {"size": 64},
        {"radius": 33},
        {"distance": 0, "shape": "dots"},
        {"dy": 65},
        {"x": 0.5},
        {"pool": "maxx"},
        {"window": "64"},
        {"border": "reflect"},
        {"drawing": "0" * 3000, "shape": "drawing"},
    ],
)
def test_questions_beyond_the_limits_are_refused(asked):
    with pytest.raises(ArgumentError, match=r"invariance\.maps: .* accepted are"):
        answer("maps", **asked)


# ---------------------------------------------------------------------- the page


def settled(page):
    """Wait until the newest answers are painted."""
    page.wait_for_selector('pooled-levels[aria-busy="false"]')
    page.wait_for_selector('shift-map[aria-busy="false"]')


def query(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def wait_for_query(page, **expected):
    page.wait_for_function(
        """expected => {
            const query = new URLSearchParams(location.search);
            return Object.entries(expected).every(([name, value]) => query.get(name) === value);
        }""",
        arg=expected,
    )


def painted(page, row, pools, size):
    """The colour of each cell of a map on the page, uint8 (size, size, 3)."""
    canvas = pixels(page, f'section.level[data-pools="{pools}"] .{row} canvas.map')
    height, width = canvas.shape[:2]
    cells = np.arange(size) + 0.5
    return canvas[(cells * height / size).astype(int)][:, (cells * width / size).astype(int), :3]


def assert_painted(page, **asked):
    """All maps on the page are those that the answer has, and the pad shows both drawings."""
    settled(page)
    reply = answer("maps", **asked)
    for pools, level in enumerate(reply.fields["levels"]):
        for row, table in (("original", "magma"), ("twin", "magma"), ("difference", "RdBu_r")):
            expected = colours_of(reply.arrays[f"{row}_{pools}"], table)
            assert np.array_equal(painted(page, row, pools, level["size"][0]), expected)
    original, twin = reply.arrays["values_0"][..., None]
    mixed = original * np.array([255, 140, 0]) + twin * np.array([0, 115, 255])
    np.testing.assert_allclose(pixels(page, "#pad")[..., :3], mixed, atol=0.51)


def drag(page, selector, start, end):
    """Drag from one place of an element to another, both as fractions of its sides."""
    box = page.locator(selector).bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for y, x in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()


def test_the_twin_is_dragged_and_the_address_gives_the_same_view_again(explore):
    page = explore("invariance?shape=car&pool=max_blur&border=circular&size=32")
    assert_painted(page, shape="car", pool="max_blur", border="circular", size="32", dy=2, dx=3)
    drag(page, "#pad", (0.501, 0.501), (0.501 + 4 / 32, 0.501 - 5 / 32))
    wait_for_query(page, dy="6", dx="-2")
    now = {"shape": "car", "pool": "max_blur", "border": "circular", "size": "32"}
    assert_painted(page, **now, dy=6, dx=-2)
    assert page.input_value("[name=dy]") == "6"
    page.reload()
    assert_painted(page, **now, dy=6, dx=-2)
    assert page.input_value("[name=dx]") == "-2"


def test_keys_move_the_twin_and_both_and_bring_them_back(explore):
    page = explore("invariance?shape=dot&dy=0&dx=0")
    page.focus("#pad")
    page.keyboard.press("ArrowLeft")
    wait_for_query(page, dx="-1", dy="0")
    assert_painted(page, shape="dot", dx=-1)
    assert "After a single pool" in page.text_content("#verdict")
    page.keyboard.press("Home")
    wait_for_query(page, dx="0")
    page.check("[name=half]")
    page.focus("#pad")
    page.keyboard.press("ArrowDown")
    wait_for_query(page, dy="0.5", half="1")
    assert_painted(page, shape="dot", dy=0.5)
    page.check('[data-name="tool"][value="both"]', force=True)
    page.focus("#pad")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    wait_for_query(page, x="2", y="-1", tool="both")
    assert_painted(page, shape="dot", dy=0.5, x=2, y=-1)


def test_a_drawing_of_ones_own_with_keys_mouse_and_finger(explore):
    page = explore("invariance?size=32&dy=0&dx=1")
    settled(page)
    page.click("[name=clear]")
    wait_for_query(page, shape="drawing", tool="draw")
    settled(page)
    assert "Nothing is left" in page.text_content("#verdict")
    page.focus("#pad")
    page.keyboard.press("Space")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(f"Shift+{key}")
    expected = np.zeros((32, 32))
    expected[16, 16:19] = expected[17, 18] = 1
    drag(page, "#pad", (2.5 / 32, 3.5 / 32), (2.5 / 32, 9.5 / 32))
    expected[2, 3:10] = 1
    box = page.locator("#pad").bounding_box()
    cdp = page.context.new_cdp_session(page)
    for kind, column in (("touchStart", 4.5), ("touchMove", 7.5), ("touchMove", 12.5)):
        at = {"x": box["x"] + column / 32 * box["width"], "y": box["y"] + 25.5 / 32 * box["height"]}
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expected[25, 4:13] = 1
    settled(page)
    part = base64.urlsafe_b64encode(np.packbits(expected[2:26, 3:19].astype(bool))).decode()
    wait_for_query(page, drawing=f"2,3,24,16,{part.rstrip('=')}")
    drawing = query(page)["drawing"]
    assert np.array_equal(pixels_of(drawing, 32), expected)
    page.reload()
    assert_painted(page, shape="drawing", drawing=drawing, size="32", dx=1)
    page.check('[data-name="tool"][value="erase"]', force=True)
    drag(page, "#pad", (2.5 / 32, 0.5 / 32), (2.5 / 32, 31.5 / 32))
    expected[2] = 0
    page.wait_for_function("() => !location.search.includes('drawing=2,3,')")
    assert np.array_equal(pixels_of(query(page)["drawing"], 32), expected)


def test_a_pen_goes_on_from_the_shape_that_is_there(explore):
    page = explore(
        "invariance?shape=circle&radius=10&size=32&dy=0&dx=1&tool=draw&y=1&border=circular"
    )
    settled(page)
    drag(page, "#pad", (5.5 / 32, 5.5 / 32), (5.5 / 32, 5.5 / 32))
    wait_for_query(page, shape="drawing")
    expected = features.circle(32, 10)
    expected[4, 5] = 1
    assert np.array_equal(pixels_of(query(page)["drawing"], 32), expected)
    assert page.input_value("[name=shape]") == "drawing"


def test_the_map_of_shifts_is_picked_with_mouse_and_keys(explore):
    page = explore("invariance?radius=28")
    settled(page)
    found = answer("shifts", radius=28)
    cells = page.locator("[role=gridcell]").all_text_contents()
    assert cells == [str(pools) for pools in found.arrays["same"].ravel()]
    counts = [
        int(each.get_attribute("data-distinct")) for each in page.locator("[data-distinct]").all()
    ]
    assert counts == [49, 49, 49, 45, 1, 1, 1]
    page.locator("[role=gridcell]").nth(4 * 13 + 5).click()
    wait_for_query(page, dy="-2", dx="-1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_query(page, dy="-1", dx="0")
    assert page.get_attribute("[role=gridcell]:focus", "aria-selected") == "true"
    assert page.locator("[role=gridcell][tabindex='0']").count() == 1
    page.check('[data-name="count"][value="moved"]', force=True)
    cells = page.locator("[role=gridcell]").all_text_contents()
    assert cells == [str(pools) for pools in found.arrays["moved"].ravel()]


def test_two_dots_and_a_cell_that_is_pointed_at(explore):
    page = explore("invariance?shape=dots&distance=8&dy=0&dx=3")
    settled(page)
    left = [level["left"] for level in levels(shape="dots", distance=8, dx=3)]
    assert [pair[0] for pair in left] == ["two", "two", "two", "peak", "peak", "peak", "one"]
    assert "one peak from 3 pools on" in page.text_content("#verdict")
    page.focus("[name=distance]")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    wait_for_query(page, distance="4")
    settled(page)
    assert "one peak from 2 pools on" in page.text_content("#verdict")
    page.focus('section.level[data-pools="3"] .original canvas.map')
    page.keyboard.press("ArrowDown")  # from the middle of 8 × 8
    found = answer("maps", shape="dots", distance=4, dx=3).arrays["values_3"][:, 5, 4]
    assert page.text_content("#reading") == (
        f"After 3 pools, row 5, column 4: original {found[0]:g}, twin {found[1]:g}. "
        "It sees rows 40 to 47 and columns 32 to 39."
    )


def test_the_language_changes_and_nothing_else(explore):
    page = explore("invariance?shape=dots&distance=5&dx=4&pool=blur")
    settled(page)
    page.select_option("[name=pool]", "average")
    page.click("[name=language]")  # at once: what was chosen last is not lost
    page.wait_for_selector("text=不变性：池化忘掉了什么")
    assert_painted(page, shape="dots", distance=5, dy=2, dx=4, pool="average")
    text = page.inner_text("main")
    assert not re.search(r"[A-Za-z]{4,}", text.replace("Home", ""))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_tour_sets_up_each_step_and_ends(explore, lang):
    page = explore("invariance", lang=lang)
    settled(page)
    page.click("[name=tour]")
    seen = []
    for step in range(1, 9):
        wait_for_query(page, tour=str(step))
        settled(page)
        assert page.locator(".toured").count() == 1
        seen.append((query(page).get("shape", "circle"), page.text_content("#verdict")))
        if step < 8:
            page.click("[name=tour-next]")
    assert [shape for shape, _ in seen] == [
        "dot", "dot", "circle", "circle", "dots", "circle", "circle", "car",
    ]  # fmt: skip
    page.select_option("[name=pool]", "max")
    page.wait_for_function("() => !location.search.includes('pool=')")
    page.reload()  # the step is there again, with what was changed in it
    settled(page)
    assert page.locator(".tour h2").count() == 1
    assert page.input_value("[name=pool]") == "max"
    page.click("[name=tour-next]")
    page.wait_for_function("() => !location.search.includes('tour=')")


def test_what_the_tour_says_of_numbers_is_so():
    same = [answer("maps", shape="dot", dx=dx).fields["same_from"] for dx in (-1, 1)]
    assert same == [1, 6]
    assert answer("shifts", radius=24).fields["distinct"][4] == 25
    far = answer("maps", radius=8, dx=16).fields
    assert not far["levels"][4]["same"]
    stride = levels(dx=1, pool="none")
    assert not stride[3]["strongest"][0]
    assert levels(dx=2, pool="none")[1]["moved"] == (0, 1)
    assert levels(dx=4, pool="none")[2]["moved"] == (0, 1)
    blurred = levels(dx=1, pool="blur")
    assert 0 < blurred[5]["change"] < 0.05 < blurred[1]["change"]


@pytest.mark.parametrize(("theme", "lang"), [("light", "en"), ("dark", "zh")])
def test_it_can_be_used_by_everybody(explore, theme, lang):
    page = explore("invariance?shape=dots&pool=average&tour=2", theme=theme, lang=lang)
    settled(page)
    page.locator("[role=gridcell]").nth(3).focus()
    assert serious(page) == []


@pytest.mark.parametrize("width", [360, 900, 2400])
def test_it_fits_on_narrow_and_wide_screens(explore, width):
    page = explore("invariance?shape=dots", width=width, lang="zh" if width == 360 else "en")
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#pad").bounding_box()["width"] >= 200
