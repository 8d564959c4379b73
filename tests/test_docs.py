"""What the pages say: their code runs, their links lead somewhere, both languages say the same."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest

import attar
from attar.cli import main

ROOT = Path(__file__).parent.parent
README, README_ZH = ROOT / "README.md", ROOT / "README.zh-CN.md"
WITH_CODE = [README, README_ZH] + [
    ROOT / "docs" / f"{name}.md"
    for name in (
        *(
            "conventions",
            "models",
            "interchange",
            "open-model",
            "audit",
            "repair",
            "torch",
            "keras",
        ),
        "explorer",
    )
]
BUILT = {"build", "dist", "out"}
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in BUILT for part in page.relative_to(ROOT).parts)
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    text = page.read_text(encoding="utf-8")
    return [code for kind, code in FENCE.findall(text) if kind == language]


def prose(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(page):
    """The shell lines of a page, as words, without comments."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def anchors(page):
    """What GitHub makes of the headings."""
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(prose(page)))
    return {title.replace(" ", "-") for title in kept}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the pictures that the pages speak of."""
    (tmp_path / "examples").mkdir()
    picture = shutil.copy(ROOT / "examples" / "coffee.jpg", tmp_path / "examples")
    shutil.copy(picture, tmp_path / "photo.jpg")
    (tmp_path / "holiday").mkdir()
    shutil.copy(picture, tmp_path / "holiday" / "beach.jpg")
    monkeypatch.chdir(tmp_path)
    threads = attar.get_num_threads()
    yield tmp_path
    attar.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of torch
@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_code_on_a_page_runs_from_top_to_bottom(page, folder):
    code = blocks(page, "python")
    assert code, "the page has lost its code"
    space = {"__name__": "page"}
    for number, block in enumerate(code, 1):
        exec(compile(block, f"{name(page)}, block {number}", "exec"), space)


def test_the_commands_of_the_readme_do_what_they_say(folder, capsys):
    run = [words for words in commands(README) if words[:2] == ["attar", "extract"]]
    assert len(run) >= 4
    for words in run:
        arguments = words[1 : words.index(">")] if ">" in words else words[1:]
        assert main(arguments) == 0, capsys.readouterr().err
    for file in ("photo-attar.png", "edges.svg", "maps.npz", "maps/beach.npz"):
        assert (folder / file).stat().st_size > 0, file


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_commands_about_models_do_what_they_say(folder, capsys):
    import keras

    names = ["block1_conv1", "block1_pool", "block2_conv1", "block2_pool"]
    model = keras.Sequential([keras.layers.Input((None, None, 3))])
    for name in names:
        kind = keras.layers.MaxPooling2D if "pool" in name else keras.layers.Conv2D
        model.add(kind(name=name) if "pool" in name else kind(4, 3, name=name))
    model.save("vgg16.keras")
    run = [words for words in commands(README) if words[:2] == ["attar", "maps"]]
    assert len(run) >= 4
    for words in run:
        assert main(words[1:]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.startswith("vgg16.keras\n  block1_conv1   ? × ? × 4\n")
    for file in ("photo-block2_pool-attar.png", "base.png"):
        assert (folder / file).stat().st_size > 0, file


def test_the_readme_names_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    written = re.compile(r"(?:^|`)make ([a-z]+)", re.MULTILINE)
    named = {target for page in PAGES for target in written.findall(page.read_text("utf-8"))}
    assert {"demo", "test"} <= named <= targets


def test_both_languages_show_the_same_code_and_commands():
    english, chinese = (
        [ast.dump(ast.parse(code)) for code in blocks(page, "python")] for page in WITH_CODE[:2]
    )
    assert english == chinese
    assert commands(README) == commands(README_ZH)


def test_both_readmes_have_the_markers_of_the_benchmark_once_and_in_order():
    for page in (README, README_ZH):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<!-- bench:(\w+) -->", text) == ["start", "end"], name(page)


def test_both_readmes_link_the_same_places():
    english, chinese = (
        {link for link in LINK.findall(prose(page)) if link not in (README.name, README_ZH.name)}
        for page in (README, README_ZH)
    )
    assert english == chinese


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert target.is_relative_to(ROOT), f"{name(page)} links to {link}, outside of the project"
        if anchor:
            assert anchor in anchors(target), f"{name(page)} links to {link}"


def test_the_pictures_of_the_readme_are_small_enough_to_load_at_once():
    for file, size in (("coffee.png", 400_000), ("maps.png", 150_000)):
        assert (ROOT / "docs" / "images" / file).stat().st_size < size


def test_the_changelog_has_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {attar.__version__}" in text or "## Unreleased" in text
