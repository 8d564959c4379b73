"""The room Extract in the browser: what is painted, and every way to change it."""

import itertools

import numpy as np
import pytest

import attar
from attar.explorer.asked import Asked
from attar.explorer.levels import active_levels, reach_of, signed_levels
from attar.explorer.pictures import Pictures
from attar.explorer.rooms.extract import wish_of
from attar.shrink import shrink_to
from tests.browser import colours_of, expect, pixels, serious

COFFEE = attar.read_image("examples/coffee.jpg")


def flat(values):
    return values[..., 0] if values.ndim == 3 else values


def settled(page):
    """Wait until what is on the screen answers the newest question."""
    page.wait_for_function(
        """() => {
            const {asked, painted} = document.querySelector('extract-room')?.dataset ?? {};
            return asked && asked === painted;
        }"""
    )


def cell(page, row, column):
    return page.locator("kernel-grid").get_by_role("textbox", name=f"Row {row}, column {column}")


def addressed(page, **fields):
    """Wait until the fields stand in the address; those that are None do not."""
    page.wait_for_function(
        """fields => {
            const query = new URLSearchParams(location.search);
            return Object.entries(fields).every(([name, value]) => query.get(name) === value);
        }""",
        arg=fields,
    )


def panel(page, stage):
    return pixels(page, f"#stage-{stage} canvas.map")[..., :3]


def differs(painted, values, scale, reach, table):
    """The fraction of a panel's pixels that are not those of a map."""
    height, width = painted.shape[:2]
    how = "extreme" if scale == "signed" else "mean"
    levels = (signed_levels if scale == "signed" else active_levels)(
        shrink_to(values, height, width, how), reach
    )
    # What is smaller than the panel is drawn with visible pixels. On the line between two of them
    # browsers choose either.
    wrong = np.ones((height, width), bool)
    for down, right in itertools.product((-1e-3, 1e-3), repeat=2):
        rows, columns = (
            np.clip((np.arange(to) + 0.5 + nudge) * of / to, 0, of - 1e-9).astype(int)
            for to, of, nudge in zip((height, width), levels.shape, (down, right), strict=True)
        )
        wrong &= (painted != colours_of(levels[rows][:, columns], table)).any(axis=2)
        if not wrong.any():
            break
    return wrong.mean()


def assert_painted(page, found, signed="RdBu_r", active="magma"):
    shared = reach_of(found.detect, found.condense)
    after = ("active", active) if found.spec.activation else ("signed", signed)
    stages = {"filter": ("signed", signed), "detect": after, "condense": after}
    for stage, (scale, table) in stages.items():
        values = flat(getattr(found, stage))
        reach = reach_of(values) if stage == "filter" else shared
        assert differs(panel(page, stage), values, scale, reach, table) == 0, stage


def assert_image_painted(page, pixels):
    image = panel(page, "image")
    expected = shrink_to(pixels, *image.shape[:2], "mean")
    assert np.array_equal(image, np.rint(expected * 255).astype(np.uint8))


def test_what_is_painted_is_what_extract_returns(explore):
    page = explore("extract?image=coffee&kernel=edge")
    settled(page)
    assert_painted(page, attar.extract(COFFEE, "edge"))
    assert_image_painted(page, COFFEE)


def test_cells_are_typed_into_and_stepped_and_dragged(explore):
    page = explore("extract?image=car&kernel=edge")
    settled(page)
    cell(page, 2, 2).click()
    page.keyboard.type("4.5")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("PageDown")
    page.keyboard.press("Shift+ArrowDown")
    settled(page)
    weights = np.array([[-1, -1, -1], [-1, 4.5, -1.1], [-1, -1, -1]], np.float32)
    assert_painted(page, attar.extract(Pictures()["car"].pixels, weights))
    addressed(page, kernel="-1,-1,-1;-1,4.5,-1.1;-1,-1,-1")
    assert page.locator("select[name=kernel]").input_value() == "own"

    box = cell(page, 1, 1).bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 10, box["y"] - 10, steps=5)
    page.mouse.up()
    settled(page)
    weights[0, 0] = 0
    assert_painted(page, attar.extract(Pictures()["car"].pixels, weights))

    before = [panel(page, stage) for stage in ("filter", "detect", "condense")]
    addressed(page, kernel="0,-1,-1;-1,4.5,-1.1;-1,-1,-1")
    page.reload()
    settled(page)
    for stage, pixels_before in zip(("filter", "detect", "condense"), before, strict=True):
        assert np.array_equal(panel(page, stage), pixels_before)
    assert cell(page, 2, 2).input_value() == "4.5"


def test_the_number_field_changes_the_chosen_cell(explore):
    page = explore("extract?image=car&kernel=1,2;3,4")
    settled(page)
    cell(page, 2, 1).focus()
    page.locator("input[name=weight]").fill("-7")
    settled(page)
    addressed(page, kernel="1,2;-7,4")


def test_buttons_and_lists_of_the_kernel(explore):
    page = explore("extract?image=car&kernel=edge")
    settled(page)
    chosen = page.locator("select[name=kernel]")
    chosen.select_option("left_sobel")
    page.locator("button[name=rotate]").click()
    page.wait_for_function(
        "() => document.querySelector('select[name=kernel]').value === 'top_sobel'"
    )
    page.locator("button[name=flip]").click()
    page.wait_for_function(
        "() => document.querySelector('select[name=kernel]').value === 'bottom_sobel'"
    )
    page.locator("button[name=normalise]").click()
    page.wait_for_function("() => document.querySelector('select[name=kernel]').value === 'own'")
    settled(page)
    addressed(page, kernel="-0.125,-0.25,-0.125;0,0,0;0.125,0.25,0.125")

    # Two in a row, before there is an answer to the first.
    chosen.select_option("left_sobel")
    page.evaluate(
        """() => {
            const rotate = document.querySelector('button[name=rotate]');
            rotate.click();
            rotate.click();
        }"""
    )
    addressed(page, kernel="right_sobel")

    chosen.select_option("gaussian")
    page.locator("input[name=kernel-size]").fill("7")
    page.locator("input[name=std]").fill("1.5")
    settled(page)
    addressed(page, kernel="gaussian:7:1.5")
    assert_painted(page, attar.extract(Pictures()["car"].pixels, attar.kernels.gaussian(7, 1.5)))

    page.locator("button[name=another]").click()
    page.locator("button[name=another]").click()
    page.wait_for_function("() => document.querySelector('input[name=seed]')?.value === '2'")
    settled(page)
    addressed(page, kernel="random:7:2")
    assert_painted(page, attar.extract(Pictures()["car"].pixels, attar.kernels.random(7, seed=2)))

    chosen.select_option("box")
    page.locator("input[name=kernel-height]").fill("1")
    page.locator("input[name=kernel-width]").fill("11")
    page.wait_for_function(
        "() => document.querySelectorAll('kernel-grid [role=gridcell]').length === 11"
    )
    settled(page)

    page.locator("#kernel summary").click()
    page.locator("textarea").fill("0 1\n-1 0")
    page.locator("button[name=use]").click()
    page.wait_for_function(
        "() => document.querySelectorAll('kernel-grid [role=gridcell]').length === 4"
    )
    page.locator("textarea").fill("weights.npy")
    page.locator("button[name=use]").click()
    expect(page.locator(".notice")).to_contain_text("accepted are")


def test_a_kernel_is_pasted_into_the_grid(explore):
    page = explore("extract?image=car")
    settled(page)
    cell(page, 1, 1).focus()
    page.evaluate(
        """() => {
            const clipboardData = new DataTransfer();
            clipboardData.setData('text/plain', '1\\t2\\n3\\t4\\n');
            document.activeElement.dispatchEvent(
                new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
        }"""
    )
    page.wait_for_function(
        "() => document.querySelectorAll('kernel-grid [role=gridcell]').length === 4"
    )
    settled(page)
    addressed(page, kernel="1,2;3,4")


def test_every_knob_changes_what_is_extracted(explore):
    page = explore("extract?image=coffee&kernel=laplacian")
    settled(page)
    page.get_by_text("Gray", exact=True).click()
    page.locator("input[name=bias]").fill("-0.05")
    page.locator("input[name=conv_stride]").fill("2")
    page.locator("select[name=conv_padding]").select_option("valid")
    page.locator("#step-condense").get_by_text("average").click()
    page.locator("input[name=pool_size]").fill("3")
    assert page.locator("input[name=pool_stride]").input_value() == "3"
    page.locator("input[name=pool_stride]").fill("2")
    page.locator("select[name=pool_padding]").select_option("valid")
    settled(page)
    options = {
        "bias": -0.05,
        "conv_stride": 2,
        "conv_padding": "valid",
        "pool": "average",
        "pool_size": 3,
        "pool_stride": 2,
        "pool_padding": "valid",
    }
    gray = wish_of(
        Asked("x", {"image": "coffee", "kernel": "edge", "read": "gray"}), Pictures()
    ).pixels()
    assert_painted(page, attar.extract(gray, "laplacian", **options))
    addressed(page, read="gray", **{name: str(value) for name, value in options.items()})
    page.locator("#step-detect").get_by_text("none").click()
    page.locator("#step-condense").get_by_text("none", exact=True).click()
    page.locator("#colours summary").click()
    page.locator("select[name=colours-signed]").select_option("BrBG")
    settled(page)
    found = attar.extract(gray, "laplacian", **options | {"pool": None, "activation": None})
    assert_painted(page, found, signed="BrBG")


def test_numbers_of_the_maps_are_said(explore):
    page = explore("extract?image=circle&kernel=laplacian&pool_size=4")
    settled(page)
    stats = attar.extract(Pictures()["circle"].pixels, "laplacian", pool_size=4).stats
    assert f"{stats.detect.dead_space:.1%}".replace("%", " %") in page.inner_text("#numbers-detect")
    assert page.inner_text("#intensification") == f"× {stats.intensification:.3g}"
    assert "16 × 16" in page.inner_text("#stage-condense")


def test_a_pixel_shows_its_arithmetic_and_is_held(explore):
    page = explore("extract?image=circle&kernel=laplacian")
    settled(page)
    canvas = page.locator("#stage-condense canvas.map")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#sum-where")).to_have_text("Condense, row 15, column 15")
    addressed(page, at="condense:15,15")
    found = attar.extract(Pictures()["circle"].pixels, "laplacian")
    expect(page.locator("#said")).to_contain_text(f"column 15: {found.condense[15, 15]:g}.")
    assert page.locator("#sum .sum-grid").count() == 4
    assert page.locator("#sum td.chosen").count() == 1

    box = page.locator("#stage-detect canvas.map").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 20.5 / 64, box["y"] + box["height"] * 31.5 / 64)
    expect(page.locator("#sum-where")).to_have_text("Detect, row 31, column 20")
    page.mouse.move(1, 1)
    expect(page.locator("#sum-where")).to_have_text("Condense, row 15, column 15")
    page.reload()
    expect(page.locator("#sum-where")).to_have_text("Condense, row 15, column 15")
    marked = pixels(page, "#stage-image canvas.marks")[..., 3]
    assert marked.any()
    page.locator("button[name=release]").click()
    expect(page.locator("#sum-where")).to_have_text("")
    assert not pixels(page, "#stage-image canvas.marks")[..., 3].any()
    page.locator("button[name=strongest]").click()
    expect(page.locator("#sum-where")).to_contain_text("Condense")
    page.locator("button[name=look-closer]").click()
    settled(page)
    page.wait_for_function("() => location.search.includes('view=')")


def test_panels_are_zoomed_together(explore):
    page = explore("extract?image=coffee&view=0.25,0.5,0.25")
    settled(page)
    found = attar.extract(COFFEE, "edge")
    part = found.condense[50:100, 150:225, 0]
    painted = panel(page, "condense")
    reach = reach_of(found.detect, found.condense)
    assert differs(painted, part, "active", reach, "magma") == 0
    page.locator("#stage-filter canvas.map").focus()
    page.keyboard.press("+")
    settled(page)
    size = 0.25 / 1.5
    page.wait_for_function("() => location.search.includes('0.16667')")
    for stage in ("image", "filter", "detect", "condense"):
        assert page.evaluate(f"document.querySelector('#stage-{stage} map-panel').view.part") == (
            pytest.approx(size, abs=1e-4)
        )
    page.locator("button[name=zoom-whole]").click()
    settled(page)
    addressed(page, view=None)
    assert_painted(page, found)
    assert_image_painted(page, COFFEE)
    # An edit does not send the image again; another way to read it does.
    cell(page, 2, 2).fill("7")
    settled(page)
    assert_image_painted(page, COFFEE)
    page.get_by_text("Gray", exact=True).click()
    settled(page)
    gray = panel(page, "image")
    assert np.array_equal(gray[..., 0], gray[..., 2])


def test_a_picture_of_ones_own(explore, tmp_path):
    picture = tmp_path / "mine.png"
    own = np.random.default_rng(3).random((90, 130)).astype(np.float32)
    attar.write_image(picture, own)
    page = explore("extract?kernel=blur&at=strongest")
    settled(page)
    page.locator("picture-picker input[type=file]").set_input_files(picture)
    expect(page.locator("#stage-image")).to_contain_text("90 × 130")
    settled(page)
    assert_painted(page, attar.extract(attar.read_image(picture), "blur"))
    (key,) = set(page.server.state.pictures._pictures) - {"coffee"}
    addressed(page, image=key)


def test_files_and_programs_are_taken_along(explore, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the program writes its picture there
    page = explore("extract?image=car&kernel=emboss&pool_size=3")
    settled(page)
    page.locator("button[name=take-along]").click()
    expect(page.locator("#code-python")).to_contain_text('"emboss"')
    expect(page.locator("#code-keras")).to_contain_text("MaxPooling2D(3, strides=3")
    with page.expect_download() as download:
        page.locator("button[name=save-npy]").click()
    download.value.save_as(tmp_path / "got.npy")
    found = attar.extract(Pictures()["car"].pixels, "emboss", pool_size=3)
    assert np.array_equal(np.load(tmp_path / "got.npy"), found.condense)
    with page.expect_download() as download:
        page.locator("button[name=save-python]").click()
    made = {}
    exec(download.value.path().read_text(), made | {"__name__": "x"}, made)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("button[name=copy-keras]").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#code-keras")
    assert not serious(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


# What the steps set, as the address says it.
TOUR = [
    {"kernel": None, "bias": None},
    {"at": "strongest"},
    {"at": None},
    {"at": "strongest", "pool_size": None},
    {"at": None, "pool_size": "4"},
    {"bias": "-0.5", "pool_size": None},
    {"bias": None, "pool": "average", "pool_size": "4"},
    {"pool": None, "pool_size": "4", "pool_stride": "2"},
    {"kernel": "top_sobel", "pool_size": None, "pool_stride": None},
]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_tour_sets_up_the_room_for_each_step(explore, lang):
    page = explore("extract?image=coffee&kernel=blur&bias=1", lang=lang)
    settled(page)
    page.locator("button[name=tour]").click()
    for step, changes in enumerate(TOUR, 1):
        settled(page)
        expect(page.locator(".tour-count")).to_contain_text(str(step))
        assert page.locator(".toured").count() == 1
        addressed(page, tour=str(step), **changes)
        if step == 4:
            expect(page.locator("#sum td.chosen")).to_have_count(1)
        page.locator("button[name=tour-next]").click()
    expect(page.locator(".tour")).to_have_count(0)
    addressed(page, tour=None)
    assert page.locator("select[name=kernel]").input_value() == "top_sobel"


def test_a_link_to_a_step_of_the_tour(explore):
    page = explore("extract?image=car&tour=7")
    settled(page)
    expect(page.locator(".tour-count")).to_contain_text("Step 7 of 9")
    found = attar.extract(Pictures()["car"].pixels, "edge", pool="average", pool_size=4)
    assert_painted(page, found)


def test_another_language_keeps_what_was_chosen(explore):
    page = explore("extract?image=car&pool_size=3")
    settled(page)
    page.locator("input[name=bias]").fill("-0.2")
    page.locator("button[name=language]").click()
    expect(page.locator("#stage-filter")).to_contain_text("滤波")
    settled(page)
    assert page.locator("input[name=bias]").input_value() == "-0.2"
    addressed(page, bias="-0.2")
    assert_painted(page, attar.extract(Pictures()["car"].pixels, "edge", bias=-0.2, pool_size=3))


@pytest.mark.parametrize(("theme", "lang", "width"), [("light", "en", 360), ("dark", "zh", 1280)])
def test_everybody_can_use_it(explore, theme, lang, width):
    page = explore(
        "extract?at=strongest&kernel=gaussian:11:3&tour=2", theme=theme, lang=lang, width=width
    )
    settled(page)
    page.locator("#sum .sum-grid").first.wait_for()
    page.locator("#colours summary").click()
    page.locator("#kernel summary").click()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_camera_is_live_and_no_picture_waits_in_line(explore):
    page = explore("extract?kernel=edge")
    settled(page)
    underway, most = 0, 0

    def sent(request):
        nonlocal underway, most
        underway += request.url.endswith("/pictures")
        most = max(most, underway)

    def arrived(request):
        nonlocal underway
        underway -= request.url.endswith("/pictures")

    page.on("request", sent)
    page.on("requestfinished", arrived)
    page.locator("button[name=camera]").click()
    page.locator("button[name=live]").click()
    seen = "coffee"
    for _ in range(5):
        page.wait_for_function(
            "seen => document.querySelector('extract-room').choices.image !== seen", arg=seen
        )
        seen = page.evaluate("document.querySelector('extract-room').choices.image")
    page.locator("button[name=close]").click()
    settled(page)
    assert most == 1
    # Pictures of a film are not kept: only the last three, beside the sample of the beginning.
    assert len(page.server.state.pictures._pictures) <= 4
    key = page.evaluate("document.querySelector('extract-room').choices.image")
    addressed(page, image=key)
    found = attar.extract(page.server.state.pictures[key].pixels, "edge")
    assert_painted(page, found)


def test_a_picture_that_comes_after_the_camera_was_closed_is_not_shown(explore):
    page = explore("extract")
    settled(page)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/pictures", hold)
    page.locator("button[name=camera]").click()
    page.locator("button[name=live]").click()
    with page.expect_response("**/pictures"):
        while not held:
            page.wait_for_timeout(20)
        page.locator("button[name=close]").click()
        held[0].continue_()
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('extract-room').choices.image") == "coffee"
    assert len(held) == 1
