"""Every picture beside the one that was recorded, and that the comparison sees what it must.

`python -m tests.record_figures` records them anew.
"""

import inspect

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text

import attar
from attar import features, figures

from .pictures import FEATURES, FIGURES, RECORDED, bytes_of, difference, drawn, recorded


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_recorded(name):
    assert difference(FIGURES[name](), recorded(name)) is None


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_looks_as_recorded(name):
    image = FEATURES[name]()
    assert np.abs(bytes_of(image).astype(int) - recorded(name)).max() <= 1
    np.testing.assert_array_equal(FEATURES[name](), image)  # chance follows from the seed


def test_every_function_has_a_picture_and_every_picture_is_small_and_its_own():
    def covered(module, names):
        functions = {n for n in module.__all__ if inspect.isfunction(getattr(module, n))}
        begins = {name.replace("-", "_") for name in names}
        return {one for one in functions if not any(name.startswith(one) for name in begins)}

    assert covered(figures, FIGURES) == {"write"}
    assert covered(features, FEATURES) == set()
    files = {path.stem: path.read_bytes() for path in RECORDED.glob("*.png")}
    assert set(files) == FIGURES.keys() | FEATURES.keys()
    assert max(map(len, files.values())) < 40_000
    assert len(set(files.values())) == len(files)


# ------------------------------------------------------------------ what is seen, and what is not


def stages(**options):
    return figures.stages(attar.extract(features.car((48, 64)), "edge", **options), dpi=50)


def panel(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)


def another_scale(figure):
    panel(figure, "detect").images[0].set_cmap("viridis")


def another_reach(figure):
    image = panel(figure, "filter").images[0]
    image.set_norm(mpl.colors.Normalize(1.15 * image.norm.vmin, 1.15 * image.norm.vmax))


def panels_swapped(figure):
    detect, condense = (panel(figure, name) for name in ("detect", "condense"))
    places = detect.get_position(), condense.get_position()
    detect.set_position(places[1])
    condense.set_position(places[0])


def panel_moved(figure):
    axes = panel(figure, "condense")
    place = axes.get_position()
    axes.set_position([place.x0, place.y0 + 2 / figure.bbox.height, place.width, place.height])


def values_flipped(figure):
    image = panel(figure, "condense").images[0]
    image.set_data(np.array(image.get_array())[:, ::-1])


def panel_gone(figure):
    panel(figure, "input").remove()


def text_gone(figure):
    figure.texts[0].set_text("")


def text_moved(figure):
    text = next(text for text in figure.texts if text.get_text() == "Detect")
    text.set_position((text.get_position()[0] + 0.05, text.get_position()[1]))


def text_faint(figure):
    next(text for text in figure.texts if text.get_text() == "Filter").set_color("#bbbbbb")


def number_gone(figure):
    figure.texts[[text.get_text() for text in figure.texts].index("0")].set_color("white")


def another_paper(figure):
    figure.set_facecolor("#f0f0f0")


@pytest.mark.parametrize(
    "change",
    [
        another_scale, another_reach, panels_swapped, panel_moved, values_flipped, panel_gone,
        text_gone, text_moved, text_faint, number_gone, another_paper,
    ],
)  # fmt: skip
def test_a_change_is_seen(change):
    figure = stages()
    change(figure)
    assert difference(figure, recorded("stages")) is not None


@pytest.mark.parametrize(
    "options", [{"pool": "average"}, {"pool_size": 3}, {"bias": 0.02}], ids=str
)
def test_another_result_is_seen(options):
    assert difference(stages(**options), recorded("stages")) is not None


def test_no_picture_passes_for_another_of_its_size():
    pyramids = [name for name in FIGURES if name.startswith("pyramid")]
    assert len({recorded(name).shape for name in pyramids}) == 1
    for name in pyramids:
        figure = FIGURES[name]()
        alike = [other for other in pyramids if difference(figure, recorded(other)) is None]
        assert alike == [name]


@pytest.mark.parametrize("name", FIGURES)
def test_edges_of_letters_may_differ(name):
    """As another version of FreeType draws them; the pictures themselves may not."""
    figure = FIGURES[name]()
    before = drawn(figure)
    with mpl.rc_context({"text.hinting": "force_autohint"}):
        for text in figure.findobj(Text):
            text.set_fontsize(text.get_fontsize() * 1.01)
        assert difference(figure, recorded(name)) is None
        changed = (drawn(figure) != before).any()
    assert changed or not any(text.get_text() for text in figure.findobj(Text))
