"""The room Model: its answers against the library, and the page in a real browser."""

import re

import numpy as np
import pytest

from attar import Sequential, features, layers, read_image
from attar.errors import ArgumentError
from attar.explorer.answers import Context
from attar.explorer.app import State
from attar.explorer.asked import Asked
from attar.explorer.levels import active_levels, reach_of, signed_levels
from attar.explorer.modelling.demo import demo
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures
from attar.explorer.rooms import model as room
from attar.explorer.server import Server
from attar.images import resize_image
from attar.shrink import shrink_to
from tests.browser import colours_of, expect, has, pixels, serious
from tests.vgg16 import vgg16_onnx

SIZE = (64, 96)  # of coffee.jpg, 400 × 600, at 96 pixels
MEAN = np.array([123.68, 116.779, 103.939], np.float32)
VGG = {"model": "given", "image": "coffee", "side": 96, "prepare": {"as": "vgg"}}
ADDRESS = "model?model=given&image=coffee&side=96&prepare=vgg"


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """The path of the real base, and the model."""
    pytest.importorskip("onnx")
    path = tmp_path_factory.mktemp("models") / "vgg16.onnx"
    vgg16_onnx(path)
    return path, Sequential.from_onnx(path)


@pytest.fixture(scope="module")
def models(vgg16):
    models = Models(vgg16[0])
    yield models
    models.close()


@pytest.fixture(scope="module")
def ask(models):
    pictures = Pictures()

    def ask(answer, **fields):
        reply = answer(Asked("test", fields), Context(pictures, models))
        reply.frame(1)  # it can be sent
        return reply

    return ask


def seen(shift=(0, 0)):
    """Coffee as VGG16 takes it, by hand."""
    image = resize_image(read_image("examples/coffee.jpg"), *SIZE)
    image = features.shift(image, *shift, mode="replicate")
    return (image * 255 - MEAN)[None, :, :, ::-1]


@pytest.fixture(scope="module")
def traced(vgg16):
    return vgg16[1].trace(np.ascontiguousarray(seen()))


def apart(first, second):
    first, second = first.astype(np.float64), second.astype(np.float64)
    return np.sqrt(((first - second) ** 2).sum() / (first**2).sum())


class TestRun:
    def test_layers(self, ask, vgg16, traced):
        fields = ask(room.run, **VGG).fields
        assert fields["size"] == list(SIZE)
        assert [each["name"] for each in fields["layers"]] == list(traced)
        summary = vgg16[1].summary((None, *SIZE, 3))
        for row, expected in zip(fields["layers"], summary.layers, strict=True):
            maps = traced[row["name"]][0]
            assert row["shape"] == list(maps.shape)
            assert row["kind"] == expected.kind
            assert row["field"] == list(expected.receptive_field)
            assert row["stride"] == list(expected.stride)
            assert row["multiply_adds"] == expected.multiply_adds
            assert row["first"]["dead_space"] == pytest.approx((maps == 0).mean())
            assert row["first"]["dead"] == (maps == 0).all(axis=(0, 1)).sum()
            assert row["first"]["maximum"] == pytest.approx(maps.max(), rel=1e-4)

    def test_the_same_picture_shifted(self, ask, vgg16, traced):
        fields = ask(room.run, **VGG, compare={"with": "shift", "dx": 3, "dy": -1}).fields
        shifted = vgg16[1].trace(np.ascontiguousarray(seen((-1, 3))))
        for row in fields["layers"]:
            expected = apart(traced[row["name"]], shifted[row["name"]])
            assert row["difference"] == pytest.approx(expected, rel=1e-4)

    def test_other_pools(self, ask, vgg16, traced):
        compare = {"with": "built"}
        for pools in ("average", "blur"):
            fields = ask(room.run, **VGG, pools=pools, compare=compare).fields
            swapped = vgg16[1].with_pools(pools).trace(np.ascontiguousarray(seen()))
            for row in fields["layers"]:
                expected = apart(swapped[row["name"]], traced[row["name"]])
                assert row["difference"] == pytest.approx(expected, rel=1e-3, abs=1e-6)

    def test_another_picture_has_the_proportions_of_the_first(self, ask):
        fields = ask(
            room.one_map,
            model="demo", image="coffee", side=96, layer="edges",
            compare={"with": "picture", "image": "circle"},
        )  # fmt: skip
        assert fields.arrays["picture_second"].shape == (*SIZE, 3)
        circle = features.circle(64)[10:53]  # 43 of 64 rows: two thirds, from the middle
        expected = resize_image(circle, *SIZE)
        levels = np.rint(np.clip(expected, 0, 1) * 255).astype(np.uint8)
        assert np.array_equal(fields.arrays["picture_second"][:, :, 0], levels)

    def test_the_answer(self, ask):
        prediction = ask(room.run, model="demo", image="coffee").fields["predictions"]["first"]
        image = resize_image(read_image("examples/coffee.jpg"), 213, 320)
        expected = demo().trace(image[None])["probabilities"][0]
        assert prediction["how"] == "probabilities"
        order = np.argsort(-expected)
        assert [index for index, _ in prediction["top"]] == order.tolist()
        values = [value for _, value in prediction["top"]]
        np.testing.assert_allclose(values, expected[order], rtol=1e-4)

    def test_an_answer_that_is_no_probability(self):
        model = Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(9)])
        models = Models.of(model)
        question = Asked("test", {"model": "given", "image": "noise"})
        found = room.run(question, Context(Pictures(), models)).fields["predictions"]["first"]
        models.close()
        image = resize_image(np.repeat(Pictures()["noise"].pixels[..., None], 3, 2), 8, 8)
        powers = np.exp(model(image[None])[0].astype(np.float64))
        assert found["how"] == "softmax"
        assert len(found["top"]) == 5
        for index, value in found["top"]:
            assert value == pytest.approx(powers[index] / powers.sum(), rel=1e-4)

    @pytest.mark.parametrize(
        ("prepare", "given"),
        [
            ({"as": "unit"}, lambda x: x),
            ({"as": "bytes"}, lambda x: x * 255),
            ({"as": "torch"}, lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
            (
                {"as": "custom", "scale": 2, "mean": [0.5], "std": [1, 2, 4], "bgr": True},
                lambda x: ((2 * x - 0.5) / [1, 2, 4])[:, :, ::-1],
            ),
        ],
    )
    def test_preparations(self, prepare, given):
        model = Sequential([layers.Input((64, 96, 3)), layers.Identity(name="same")])
        models = Models.of(model)
        fields = {"model": "given", "image": "coffee", "prepare": prepare, "layer": "same"}
        image = given(resize_image(read_image("examples/coffee.jpg"), 64, 96))
        context = Context(Pictures(), models)
        for channel in range(3):
            asked = Asked("test", {**fields, "channel": channel, "row": 10, "column": 20})
            value = room.point(asked, context).fields["values"]["first"]
            assert value == pytest.approx(image[10, 20, channel], rel=1e-5)
        models.close()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"side": 5000}, "side is 5000; accepted are whole numbers from 1 to 4096"),
            ({"pools": "least"}, "pools is 'least'; accepted are built, max, average, blur"),
            ({"prepare": {"as": "custom", "scale": 0}}, "scale and std must not be 0"),
            ({"prepare": {"as": "custom", "mean": [1, 2]}}, "mean has 2 numbers"),
            ({"compare": {"with": "shift", "dx": 1000}}, "dx is 1000"),
            ({"image": "/etc/passwd"}, "'/etc/passwd' is not open"),
        ],
    )
    def test_questions_that_make_no_sense(self, ask, fields, message):
        with pytest.raises(ArgumentError, match=message):
            ask(room.run, **{**VGG, **fields})


class TestMaps:
    def test_thumbnails(self, ask, traced):
        maps = traced["block3_pool"][0]
        strength = np.abs(maps).mean(axis=(0, 1))
        reach = reach_of(maps)
        for page in (0, 3):
            reply = ask(room.maps, **VGG, layer="block3_pool", page=page, tile=8)
            channels = [each["channel"] for each in reply.fields["tiles"]["first"]]
            expected = np.argsort(-strength, kind="stable")[64 * page : 64 * page + 64]
            assert len(channels) == 64
            np.testing.assert_allclose(strength[channels], strength[expected], rtol=1e-4)
            for place, channel in enumerate(channels):
                small = shrink_to(maps[:, :, channel], 5, 8, "mean")
                levels = active_levels(small, reach).astype(int)
                got = reply.arrays["first"][place].astype(int)
                assert got.shape == (5, 8)
                assert np.abs(got - levels).max() <= 1
        assert reply.fields["pages"] == 4
        assert reply.fields["dead"] == (strength == 0).sum()

    def test_as_they_are_and_signed(self, ask, traced):
        maps = traced["block1_conv1"][0]
        reply = ask(room.maps, **VGG, layer="block1_conv1", order="given", tile=96)
        assert [each["channel"] for each in reply.fields["tiles"]["first"]] == list(range(64))
        assert reply.fields["scale"] == "signed"
        levels = signed_levels(maps, reach_of(maps)).transpose(2, 0, 1).astype(int)
        assert np.abs(reply.arrays["first"].astype(int) - levels).max() <= 1

    def test_a_page_beyond_the_last(self, ask):
        assert ask(room.maps, **VGG, layer="block1_conv1", page=99).fields["page"] == 0

    def test_one_map(self, ask, vgg16, traced):
        layer, channel = "block2_pool", 73
        reply = ask(room.one_map, **VGG, layer=layer, channel=channel)
        map = traced[layer][0, :, :, channel]
        about = reply.fields["about"]["first"]
        at = np.unravel_index(map.argmax(), map.shape)
        assert about["place"] == list(at)
        assert about["mean"] == pytest.approx(map.mean(), rel=1e-4)
        levels = active_levels(map, reach_of(map)).astype(int)
        assert np.abs(reply.arrays["first"].astype(int) - levels).max() <= 1
        box = vgg16[1].receptive_field(layer, at=at, input_shape=(None, *SIZE, 3)).box
        assert about["box"] == [box.top, box.left, *box.shape]
        kernel = vgg16[1].get_layer("block2_conv2").get_weights()[0][..., channel]
        facts = reply.fields["kernel"]
        assert facts["layer"] == "block2_conv2"
        sizes = np.linalg.norm(kernel.reshape(9, 128), axis=0)
        assert facts["shown"] == np.argsort(-sizes, kind="stable")[:64].tolist()
        levels = signed_levels(kernel.transpose(2, 0, 1)[facts["shown"]], facts["reach"])
        assert np.array_equal(reply.arrays["kernel"], levels)

    def test_a_small_kernel_comes_with_its_numbers(self, ask, vgg16):
        reply = ask(room.one_map, **VGG, layer="block1_conv1", channel=5)
        kernel, bias = vgg16[1].get_layer("block1_conv1").get_weights()
        assert np.array_equal(reply.arrays["weights"], kernel[..., 5].transpose(2, 0, 1))
        assert reply.fields["kernel"]["bias"] == pytest.approx(bias[5])

    def test_a_pixel(self, ask, vgg16, traced):
        for at in ((0, 0), (7, 11), (3, 5)):
            fields = ask(
                room.point, **VGG, layer="block3_pool", channel=9, row=at[0], column=at[1]
            ).fields
            field = vgg16[1].receptive_field("block3_pool", at=at, input_shape=(None, *SIZE, 3))
            assert fields["box"] == [field.box.top, field.box.left, *field.box.shape]
            whole = field.unclipped
            assert fields["unclipped"] == [whole.top, whole.left, *whole.shape]
            expected = traced["block3_pool"][0, *at, 9]
            assert fields["values"]["first"] == pytest.approx(expected, rel=1e-4, abs=1e-3)


# ------------------------------------------------------------------ the page


@pytest.fixture
def open_vgg(explore, vgg16):
    def open_page(fields="", **options):
        page = explore(f"{ADDRESS}{fields}", state=State(models=Models(vgg16[0])), **options)
        settled(page)
        return page

    return open_page


def settled(page, layer=r"\w+"):
    """Wait until a map is shown large."""
    page.get_by_role("heading", name=re.compile(rf"^{layer}, map \d+$")).wait_for()


def painted(page, which, map, scale=active_levels, table="magma"):
    """Assert that a panel shows a map; the map is drawn with visible pixels."""
    panel = pixels(page, f"#panel-{which} canvas.map")[..., :3]
    levels = scale(map, reach_of(map))
    colours = colours_of(levels, table)
    rows = ((np.arange(map.shape[0]) + 0.5) * panel.shape[0] / map.shape[0]).astype(int)
    columns = ((np.arange(map.shape[1]) + 0.5) * panel.shape[1] / map.shape[1]).astype(int)
    differs = np.abs(panel[rows][:, columns].astype(int) - colours).max(axis=2)
    # The process computes with the same kernels, but a rounding may fall on the other side.
    assert (differs > 3).mean() < 0.02


def test_maps_are_painted_as_they_are_traced(open_vgg, traced, vgg16):
    page = open_vgg("&layer=block2_pool&channel=73")
    assert page.locator("button.layer").all_text_contents() == list(traced)
    painted(page, "first", traced["block2_pool"][0, :, :, 73])
    image = np.rint(resize_image(read_image("examples/coffee.jpg"), *SIZE) * 255)
    panel = pixels(page, "#panel-picture-first canvas.map")[..., :3]
    step = panel.shape[0] / SIZE[0]
    rows = ((np.arange(SIZE[0]) + 0.5) * step).astype(int)
    columns = ((np.arange(SIZE[1]) + 0.5) * panel.shape[1] / SIZE[1]).astype(int)
    assert np.array_equal(panel[rows][:, columns], image)
    # Pointing with the keyboard: from the middle one up and two to the left.
    page.locator("#panel-first canvas.map").focus()
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    at = (16 // 2 - 1, 24 // 2 - 2)
    box = vgg16[1].receptive_field("block2_pool", at=at, input_shape=(None, *SIZE, 3)).box
    said = page.locator("#pointed")
    said.filter(
        has_text=f"sees rows {box.top}–{box.bottom - 1}, columns {box.left}–{box.right - 1} of"
    ).wait_for()
    assert f"Row {at[0]}, column {at[1]}:" in said.text_content()
    marks = pixels(page, "#panel-picture-first canvas.marks")[..., 3] > 0
    marked = np.flatnonzero(marks.any(axis=1)) / step, np.flatnonzero(marks.any(axis=0)) / step
    assert marked[0][0] == pytest.approx(box.top, abs=1.5)
    assert marked[0][-1] == pytest.approx(box.bottom, abs=1.5)
    assert marked[1][0] == pytest.approx(box.left, abs=1.5)
    assert marked[1][-1] == pytest.approx(box.right, abs=1.5)


def test_layers_and_maps_are_chosen_with_the_keyboard(open_vgg, traced):
    page = open_vgg()
    first = page.locator("button.layer").first
    first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("button.layer[aria-current][value=block1_pool]").wait_for()
    settled(page, "block1_pool")
    page.locator(".thumbnail").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    second = page.locator(".thumbnail").nth(1)
    channel = int(second.get_attribute("value"))
    page.get_by_role("heading", name=f"block1_pool, map {channel}", exact=True).wait_for()
    painted(page, "first", traced["block1_pool"][0, :, :, channel])
    has(page, f"layer=block1_pool&channel={channel}")
    # The address alone brings the same view back.
    page.reload()
    page.get_by_role("heading", name=f"block1_pool, map {channel}", exact=True).wait_for()
    painted(page, "first", traced["block1_pool"][0, :, :, channel])


def test_pools_are_swapped(open_vgg, vgg16, traced):
    page = open_vgg("&layer=block2_pool&channel=73")
    page.get_by_text("Average", exact=True).click()
    page.locator("#panel-second canvas.map").wait_for()
    page.locator("#map-numbers strong").first.wait_for()
    swapped = vgg16[1].with_pools("average").trace(np.ascontiguousarray(seen()))
    both = [maps["block2_pool"][0, :, :, 73] for maps in (swapped, traced)]
    reach = reach_of(*both)
    for which, map in zip(("first", "second"), both, strict=True):
        painted(page, which, map, lambda values, _: active_levels(values, reach))
    has(page, "pools=average")
    has(page, "with=built")
    row = page.locator("tr", has=page.locator("button[value=block2_pool]"))
    difference = apart(swapped["block2_pool"], traced["block2_pool"])
    assert f"{100 * difference:.1f}".removesuffix(".0") in row.text_content()


def test_a_long_run_is_cancelled_and_other_rooms_work_meanwhile(open_vgg):
    page = open_vgg()
    page.locator("input[name=side]").fill("2000")
    page.get_by_role("button", name="Cancel").wait_for()
    page.locator(".run-bar .hint", has_text="Layer block1_conv").wait_for()
    other = page.context.new_page()
    other.goto(f"{page.server.origin}/extract#token={page.server.token}")
    other.locator("canvas.map").first.wait_for()
    assert page.get_by_role("button", name="Cancel").is_visible()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Stopped. What you see is from before.").wait_for()
    page.locator("input[name=side]").fill("64")
    page.get_by_text("looking at 43 × 64 pixels").wait_for()


def test_a_model_that_is_refused(chromium, tmp_path):
    # A page of its own: Chromium logs an answer that is a refusal, and that is no trouble here.
    with Server(State(), port=0) as server, chromium.new_page() as page:
        page.goto(f"{server.origin}/model#token={server.token}")
        page.get_by_role("heading", name="Bring a model").wait_for()
        bad = tmp_path / "bad.onnx"
        bad.write_bytes(b"no model")
        page.locator("input[name=model-file]").set_input_files(bad)
        page.locator(".notice", has_text="from_onnx").wait_for()
        assert page.get_by_role("heading", name="Bring a model").is_visible()


def test_a_model_is_brought(explore, vgg16):
    page = explore("model")
    page.get_by_role("heading", name="Bring a model").wait_for()
    page.locator("input[name=side]").fill("96")
    page.locator("select[name=prepare]").select_option("vgg")
    page.locator("input[name=model-file]").set_input_files(vgg16[0])
    page.get_by_text("vgg16.onnx: 31 layers").wait_for()
    page.locator(".thumbnail[aria-pressed=true]").wait_for()
    for field in (
        "model=[0-9a-f]{16}&",
        "side=96",
        "prepare=vgg",
        "layer=block1_conv1",
        "channel=",
    ):
        has(page, field)
    page.reload()
    page.get_by_text("vgg16.onnx: 31 layers, 14.7 M weights, looking at 64 × 96 pixels").wait_for()


def test_a_model_is_dropped(explore, tmp_path):
    pytest.importorskip("onnx")
    Sequential([layers.Input((8, 8, 3)), layers.Conv2D(2, 3)]).to_onnx(tmp_path / "mine.onnx")
    page = explore("model")
    page.get_by_role("heading", name="Bring a model").wait_for()
    data = list((tmp_path / "mine.onnx").read_bytes())
    page.evaluate(
        """data => {
            const files = new DataTransfer();
            files.items.add(new File([Uint8Array.from(data)], 'mine.onnx'));
            document.dispatchEvent(new DragEvent('drop', {dataTransfer: files, cancelable: true}));
        }""",
        data,
    )
    page.get_by_text("mine.onnx: one layer").wait_for()
    page.get_by_text("The model takes 8 × 8 pixels").wait_for()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_tour(explore, lang):
    page = explore("model", lang=lang)
    page.locator("button[name=tour]").click()
    texts = set()
    for step in range(7):
        has(page, f"tour={step + 1}")
        texts.add(page.locator(".tour").text_content())
        if step in (1, 3):
            layer = {1: "edges", 3: "textures"}[step]
            page.locator(f"button.layer[aria-current][value={layer}]").wait_for()
        if step == 4:
            page.locator("#curve svg").wait_for()
        page.locator("button[name=tour-next]").click()
    assert len(texts) == 7
    has(page, r"^(?!.*tour=)")
    expect(page.locator(".tour")).to_have_count(0)


@pytest.mark.parametrize(
    ("theme", "lang", "width"), [("light", "en", 1280), ("dark", "zh", 360), ("dark", "en", 2400)]
)
def test_it_can_be_read_by_everybody(explore, theme, lang, width):
    page = explore(
        "model?model=demo&pools=blur&with=built&layer=edges&side=96",
        theme=theme, lang=lang, width=width,
    )  # fmt: skip
    page.locator("#map-numbers strong").first.wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    said = page.locator("html").get_attribute("lang")
    assert said == {"en": "en", "zh": "zh-CN"}[lang]
    if lang == "zh":
        page.locator("button[name=language]").click()
        page.get_by_role("heading", name="What a trained model sees").wait_for()
        page.locator("#map-numbers strong").first.wait_for()
        assert page.locator("#panel-second").is_visible()
