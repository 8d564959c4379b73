"""The room Scores: its numbers against the library, and the page in a real browser."""

import re

import numpy as np
import pytest

from attar import Sequential, layers, read_image
from attar.explorer.answers import Context
from attar.explorer.asked import Asked
from attar.explorer.levels import reach_of, signed_levels
from attar.explorer.modelling.demo import demo
from attar.explorer.modelling.heads import head_of
from attar.explorer.models import Models
from attar.explorer.pictures import Pictures
from attar.explorer.rooms import scores as room
from attar.images import resize_image
from tests.browser import colours_of, expect, has, pixels, serious

SIZE = (64, 96)
DEMO = {"model": "demo", "image": "coffee", "side": 96}


@pytest.fixture(scope="module")
def ask():
    models, pictures = Models(), Pictures()

    def ask(**fields):
        reply = room.scores(Asked("scores.run", {**DEMO, **fields}), Context(pictures, models))
        reply.frame(1)
        return reply

    yield ask
    models.close()


@pytest.fixture(scope="module")
def traced():
    return demo().trace(resize_image(read_image("examples/coffee.jpg"), *SIZE)[None])


class TestScores:
    def test_the_layer_that_is_scored_and_its_means(self, ask, traced):
        fields = ask().fields
        assert fields["layer"] == "textures"
        means = traced["textures"][0].mean(axis=(0, 1))
        np.testing.assert_allclose(means, traced["scores"][0], rtol=1e-4)
        order = np.argsort(-means)
        assert [each["channel"] for each in fields["tops"]["first"]] == order.tolist()
        found = [each["mean"] for each in fields["tops"]["first"]]
        np.testing.assert_allclose(found, means[order], rtol=1e-4)

    def test_maxima_of_another_layer(self, ask, traced):
        fields = ask(layer="edges", by="maximum").fields
        maxima = traced["edges"][0].max(axis=(0, 1))
        found = [each["maximum"] for each in fields["tops"]["first"]]
        np.testing.assert_allclose(found, np.sort(maxima)[::-1], rtol=1e-4)
        assert fields["classes"] is None

    def test_a_layer_without_places_is_none(self, ask):
        for layer in ("probabilities", "no such layer"):
            fields = ask(layer=layer).fields
            assert fields["layer"] == "textures"
            assert "probabilities" not in fields["layers"]

    def test_two_pictures_share_channels(self):
        model = Sequential([layers.Input((64, 96, 3)), layers.Conv2D(40, 3, name="conv")])
        models = Models.of(model)
        question = {
            "model": "given", "image": "coffee", "compare": {"with": "picture", "image": "noise"},
        }  # fmt: skip
        fields = room.scores(Asked("scores.run", question), Context(Pictures(), models)).fields
        models.close()
        tops = {}
        noise = np.repeat(Pictures()["noise"].pixels[..., None], 3, axis=2)
        for name, image in (("first", read_image("examples/coffee.jpg")), ("second", noise)):
            means = model(resize_image(image, *SIZE)[None])[0].mean(axis=(0, 1))
            tops[name] = np.argsort(-means)[:12].tolist()
            assert [each["channel"] for each in fields["tops"][name]] == tops[name]
        assert fields["shared"] == sorted(set(tops["first"]) & set(tops["second"]))


class TestClasses:
    def test_what_maps_add_is_the_score(self, ask, traced):
        label = 1
        reply = ask(label=label)
        classes = reply.fields["classes"]
        kernel, bias = demo().get_layer("decision").get_weights()
        means = traced["textures"][0].mean(axis=(0, 1))
        for channel, added, weight in classes["added"]["first"]:
            assert weight == pytest.approx(kernel[channel, label])
            assert added == pytest.approx(means[channel] * kernel[channel, label], rel=1e-3)
        total = sum(added for _, added, _ in classes["added"]["first"]) + bias[label]
        assert total == pytest.approx(classes["score"]["first"], rel=1e-4)
        assert total == pytest.approx(traced["decision"][0, label], rel=1e-3)

    def test_the_class_activation_map(self, ask, traced):
        reply = ask(label=2)
        kernel, _ = demo().get_layer("decision").get_weights()
        cam = traced["textures"][0] @ kernel[:, 2]
        assert cam.mean() == pytest.approx(traced["decision"][0, 2], rel=1e-3)
        levels = signed_levels(cam, reach_of(cam)).astype(int)
        assert np.abs(reply.arrays["cam_first"].astype(int) - levels).max() <= 1

    def test_the_strongest_class_is_looked_at_first(self, ask, traced):
        classes = ask().fields["classes"]
        assert classes["label"] == traced["decision"][0].argmax()
        order = np.argsort(-traced["decision"][0]).tolist()
        assert [index for index, _ in classes["best"]["first"]] == order

    def test_heads_are_found_in_models_of_others(self, tmp_path):
        torch = pytest.importorskip("torch")
        pytest.importorskip("onnx")
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(6, 4),
        ).eval()
        model = Sequential.from_torch(net)
        model.build((None, 16, 16, 3))
        model.to_onnx(tmp_path / "model.onnx")
        for each in (model, Sequential.from_onnx(tmp_path / "model.onnx")):
            head = head_of(each.graph)
            image = np.random.default_rng(0).random((1, 16, 16, 3)).astype(np.float32)
            maps = each.trace(image)[head.layer][0]
            np.testing.assert_allclose(
                maps.mean(axis=(0, 1)) @ head.weights + head.bias, each(image)[0], rtol=1e-4
            )

    @pytest.mark.parametrize(
        "ending",
        [
            [layers.Flatten(), layers.Dense(4)],
            [layers.GlobalMaxPooling2D(), layers.Dense(4)],
            [layers.GlobalAveragePooling2D(), layers.Dense(5, activation="relu"), layers.Dense(4)],
            [layers.GlobalAveragePooling2D()],
        ],
    )
    def test_models_without_such_a_head(self, ending):
        model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(2, 3), *ending])
        assert head_of(model.graph) is None


# ------------------------------------------------------------------ the page


def test_scores_stand_beside_their_maps(explore, traced):
    page = explore("scores?model=demo&image=coffee&side=96")
    rows = page.locator(".rank-row")
    rows.first.wait_for()
    means = traced["textures"][0].mean(axis=(0, 1))
    order = np.argsort(-means)
    assert [row.get_attribute("data-channel") for row in rows.all()] == [str(i) for i in order]
    for row, channel in zip(rows.all(), order, strict=True):
        assert f"{means[channel]:.3g}" in row.text_content()
    # By keyboard: another kind of score, and another class.
    page.locator("input[data-name=by][value=mean]").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("Global max pooling").wait_for()
    has(page, "by=maximum")
    choice = page.locator("select[name=class]")
    choice.select_option("1")
    has(page, "class=1")
    added = page.locator("table.sum tfoot")
    added.filter(has_text=f"{traced['decision'][0, 1]:.3g}".replace("-", "−")).wait_for()
    page.reload()
    page.get_by_text("Global max pooling").wait_for()
    assert page.locator("select[name=class]").input_value() == "1"
    page.locator(".rank-row a").first.click()
    page.get_by_role("heading", name=re.compile(r"textures, map \d")).wait_for()


def test_the_class_activation_map_lies_on_the_picture(explore, traced):
    page = explore("scores?model=demo&image=coffee&side=96&class=3")
    page.locator("#cam-first").wait_for()
    shown = pixels(page, "#cam-first")[..., :3].astype(int)
    picture = np.rint(resize_image(read_image("examples/coffee.jpg"), *SIZE) * 255)
    assert shown.shape == picture.shape
    kernel, _ = demo().get_layer("decision").get_weights()
    cam = traced["textures"][0] @ kernel[:, 3]
    levels = signed_levels(cam, reach_of(cam)).astype(int)
    # Where the sum is 0 the picture shows through; the stronger it is, the more it covers.
    strength = 0.85 * np.minimum(np.abs(levels - 128) / 128 * 1.5, 1)
    colours = colours_of(levels, "RdBu_r")
    strength, colours = (
        each.repeat(4, axis=0).repeat(4, axis=1) for each in (strength[..., None], colours)
    )
    expected = picture * (1 - strength) + colours * strength
    assert np.abs(shown - expected).max() <= 4
    assert strength.min() < 0.1 < 0.8 < strength.max()


def test_two_pictures_are_linked(explore):
    page = explore("scores?model=demo&side=96&with=picture&other=car&layer=edges")
    page.locator(".links path").first.wait_for()
    first = [
        row.get_attribute("data-channel")
        for row in page.locator("[data-side=first] .rank-row").all()
    ]
    second = [
        row.get_attribute("data-channel")
        for row in page.locator("[data-side=second] .rank-row").all()
    ]
    assert page.locator(".links path").count() == len(set(first) & set(second)) == 8
    channel = first[2]
    page.locator(f"[data-side=first] [data-channel='{channel}'] a").focus()
    marked = page.locator(".marked")
    assert {each.get_attribute("data-channel") for each in marked.all()} == {channel}
    assert marked.count() == 3  # a row on each side, and the line between them
    place = second.index(channel) + 1
    row = page.locator(f"[data-side=first] [data-channel='{channel}']")
    assert f"place {place} there" in row.text_content()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_tour(explore, lang):
    page = explore("scores", lang=lang)
    page.locator("button[name=tour]").click()
    texts = set()
    for step in range(6):
        has(page, f"tour={step + 1}")
        texts.add(page.locator(".tour").text_content())
        page.locator(".rank-row").first.wait_for()
        page.locator("button[name=tour-next]").click()
    assert len(texts) == 6
    expect(page.locator(".tour")).to_have_count(0)
    # The last step compares with nothing; until its answer is there, the one before it shows two.
    expect(page.locator("#classes table.sum")).to_have_count(1)


@pytest.mark.parametrize(
    ("theme", "lang", "width"), [("light", "zh", 1280), ("dark", "en", 360), ("light", "en", 2400)]
)
def test_it_can_be_read_by_everybody(explore, theme, lang, width):
    page = explore("scores?model=demo&with=shift&dx=8&side=96", theme=theme, lang=lang, width=width)
    page.locator("#cam-second").wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
