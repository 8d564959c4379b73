"""The report in a real browser: both languages, both themes, small screens, paper; no network."""

import re

import numpy as np
import pytest

import attar
from attar import layers
from attar.auditing.charts import heat
from attar.auditing.headlines import percent
from attar.auditing.page import page as html_of
from attar.auditing.shift import Shift
from attar.auditing.thresholds import checked, limits
from tests.audits import images, model, quick

HOSTILE = "<img src=x onerror=alert(1)>\" & 'é 中"
PARTS = ["verdict", "shift", "lost", "space", "position", "cost", "how"]


def planted():
    """A model with a dead channel, a duplicate, a stride, and a name that would be markup."""
    one = attar.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(6, 3, padding="same", activation="relu", name="filter"),
            layers.MaxPool2D(name="condense"),
            layers.Flatten(name="flat"),
            layers.Dense(4, activation="softmax", name="classes"),
        ],
        name=HOSTILE,
    )
    kernel, bias = one.get_layer("filter").get_weights()
    kernel[..., 1], bias[1] = -np.abs(kernel[..., 1]), 0  # never above 0
    kernel[..., 4], bias[4] = kernel[..., 2], bias[2]
    one.get_layer("filter").set_weights([kernel, bias])
    return one


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(10):
        attar.write_image(folder / f"{i} <b>&.png", rng.integers(0, 256, (40, 48, 3), np.uint8))
    (folder / "broken <i>.png").write_bytes(b"no")
    found = attar.audit(planted(), folder, shifts=["crop", "zero", "linear", "zhang2019"])
    given = limits(["consistency=0.5"], ["dead=0.01"], tuple(found.numbers))
    return found.with_checks(checked(given, found.numbers))


@pytest.fixture(scope="module")
def file(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.save(path)
    return path


@pytest.fixture
def opened(chromium, file):
    """Open the report: opened(width=360, theme="dark"). It must not ask for anything else."""
    contexts, troubles = [], []

    def open_page(*, width=1280, theme="light", path=file):
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda one: None if _is_own(one.url) else troubles.append(one.url))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("dialog", lambda dialog: (troubles.append("a dialog"), dialog.dismiss()))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles


def _is_own(url):
    return url.startswith(("file:", "data:"))


def seen(page):
    return page.inner_text("body")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_axe_finds_nothing(opened, theme, language):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(theme=theme)
    page.check(f"#language-{language}")
    assert [each["id"] for each in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_nothing_reaches_over_the_edge(opened, width):
    page = opened(width=width)
    for language in ("en", "zh"):
        page.check(f"#language-{language}")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_every_part_is_there_and_the_verdict_comes_first(opened):
    page = opened()
    assert page.eval_on_selector_all("section > h2", "all => all.map(one => one.id)") == PARTS
    assert page.title().startswith("Audit of <img")


def test_each_language_is_whole_and_alone(opened):
    page = opened()
    english = seen(page)
    page.check("#language-zh")
    chinese = seen(page)
    assert "Most is lost in the layer" in english
    assert "丢失最多的是" in chinese
    assert "丢失最多的是" not in english
    assert "Most is lost in the layer" not in chinese
    # What is left of the other language is the choice of it, and names: of layers, of files.
    assert set(re.findall(r"[\u4e00-\u9fff]+", english)) == {"中文", "中"}
    for heading in ("Verdict", "When the image moves", "How it was measured", "Settings"):
        assert heading in english
        assert heading not in chinese


def test_the_page_begins_in_the_language_that_was_asked_for(opened, report, tmp_path):
    report.save(tmp_path / "zh.html", language="zh")
    page = opened(path=tmp_path / "zh.html")
    assert page.title().endswith("的审计")
    assert "结论" in seen(page)
    assert "Verdict" not in seen(page)


def test_the_numbers_of_the_report_are_on_the_page(opened, report):
    text = seen(opened()).replace("\u00a0", " ")
    for one in report.shift.modes:
        assert percent(one.classes.consistency.value) in text
    assert f"{report.lost.layer('condense').error:.3f}" in text
    assert "dead: 1" in text
    assert "duplicates: 4 = 2" in text
    assert f"{report.position.layer('classes').best.error:.2f} px" in text
    assert "kept: consistency is" in text
    assert "not kept: dead is" in text
    assert "broken <i>.png: cannot read" in text
    assert "Zhang 2019" in text


def test_names_are_text_and_pictures_have_one(opened):
    page = opened()
    assert HOSTILE in page.inner_text("h1")
    assert page.locator("b, i:not([class]):not([style]), script").count() == 1  # a key's colour
    named = page.eval_on_selector_all("img", "all => all.map(one => one.alt)")
    assert named
    assert all("<b>&.png" in name for name in named)
    assert page.locator("img:not([alt]), svg:not([aria-labelledby])").count() == 0


def test_the_darker_theme_is_dark_and_paper_is_light(opened):
    light = "() => getComputedStyle(document.documentElement).backgroundColor"
    page = opened(theme="dark")
    assert max(map(int, re.findall(r"\d+", page.evaluate(light))[:3])) < 40
    ink = "() => getComputedStyle(document.body).color"
    page.emulate_media(media="print", color_scheme="dark")
    assert max(map(int, re.findall(r"\d+", page.evaluate(ink))[:3])) < 60
    assert page.locator(".languages").is_hidden()
    assert page.locator("#verdict").is_visible()
    page.set_viewport_size({"width": 680, "height": 960})  # A4 within its margins
    wide = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText)"
    assert page.eval_on_selector_all(".wide", wide) == []
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_it_is_small_and_needs_nothing_beside_it(file):
    text = file.read_text("utf-8")
    assert len(text.encode()) < 1_000_000
    assert "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text.replace("&lt;img src", ""))
    assert "url(" not in text
    assert "@import" not in text


def test_a_large_grid_stays_small():
    found = attar.audit(
        model(), images(4), measures=[Shift(modes=("circular", "zero"), reach=15, budget=4)]
    )
    side = 129
    rows = np.random.default_rng(0).random((side, side)).tolist()
    offsets = [float(k) for k in range(-64, 65)]
    drawn = heat(rows, offsets, label="x", worst=0, best=1, write=str)
    assert len(drawn) < 500_000
    assert len(html_of(found, "en")) < 3_000_000


def test_an_interrupted_audit_says_so_first(opened, tmp_path):
    def stop(done, _total):
        if done > 330:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as found:
        attar.audit(model(), images(), measures=quick(), progress=stop)
    found.value.report.save(tmp_path / "part.html")
    page = opened(path=tmp_path / "part.html")
    first = page.inner_text("section >> nth=0").split("\n\n")[1]
    assert first.startswith("The audit was interrupted after 32 of 70 images.")
