"""The results of experiments as charts and maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, NullLocator
from numpy.typing import NDArray

from attar.figures.picture import (
    EDGE,
    FAINT_INK,
    INK,
    SMALL_POINTS,
    TEXT_POINTS,
    TITLE_POINTS,
    Canvas,
    Picture,
    add_image,
    blank,
    write_line,
)
from attar.figures.scales import colormap
from attar.tables import count, memory, shape_text

if TYPE_CHECKING:
    from attar.experiments import Circles, FewerParameters, Intensify, LessData, TwoDots
    from attar.experiments.circles import DistinctMaps

__all__ = ["CircleMaps", "circle", "fewer_parameters", "intensify", "less_data", "two_dots"]

Array = NDArray[Any]

_DPI = 160
# Told apart with every kind of colour blindness: M. Okabe and K. Ito, "Color Universal Design".
_ORANGE, _BLUE, _GREEN, _PURPLE, _GREY = "#d55e00", "#0072b2", "#009e73", "#b8568f", "#7f7f7f"
_POOL_COLOURS = {
    "max": _ORANGE,
    "average": _BLUE,
    "stride": _GREEN,
    "blur": _PURPLE,
    "max_blur": _GREY,
}
_RING: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.6}
_POOL_NAMES = {
    "max": "max pool",
    "average": "average pool",
    "blur": "blur pool",
    "max_blur": "max blur pool",
    "stride": "every second value",
}


class CircleMaps(NamedTuple):
    """A circle, and the different maps that its shifts leave.

    Attributes
    ----------
    title : str
    image : (H, W) array
    maps : (N, h, w) array
    """

    title: str
    image: Array
    maps: Array


def _chart(
    figure: Picture, canvas: Canvas, box: tuple[float, float, float, float], label: str
) -> Axes:
    """Return axes in a box in inches, with two spines and small text."""
    axes = figure.add_axes(canvas.box(*box), label=label)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(EDGE)
    axes.tick_params(labelsize=SMALL_POINTS, color=EDGE, labelcolor=INK)
    axes.set_axisbelow(True)
    return axes


def _legend(
    figure: Picture, canvas: Canvas, x: float, y: float, handles: Sequence[Any], columns: int
) -> None:
    """Write a legend, centred at inches from the top left corner."""
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(x / canvas.width, 1 - y / canvas.height),
        ncols=columns,
        frameon=False,
        fontsize=TEXT_POINTS,
        handletextpad=0.5,
        columnspacing=1.6,
    )


def intensify(result: Intensify) -> Picture:
    """Draw active fractions before and after each pool, and the strength of what is left.

    Parameters
    ----------
    result : Intensify
        Of `attar.experiments.intensify`.

    Returns
    -------
    Picture
        Its axes have the labels ``"active"`` and ``"strength"``.
    """
    rows = [(source, step) for source in result.sources for step in result.names(source)]
    # A gap before each source, for its name.
    places, place, heads = [], 0.0, {}
    for i, (source, _) in enumerate(rows):
        if i == 0 or rows[i - 1][0] != source:
            heads[source] = place
            place += 1
        places.append(place)
        place += 1
    height = 0.24 * place
    longest = max((len(name) for row in rows for name in row), default=0)
    left, top = max(0.3 + 0.08 * longest, 1.35), 0.6
    figure, canvas = blank(left + 9.65, height + 1.5, _DPI)
    active = _chart(figure, canvas, (left, top, 5.1, height), "active")
    strength = _chart(figure, canvas, (left + 5.5, top, 3.8, height), "strength")
    for y, (source, step) in zip(places, rows, strict=True):
        mean = result.mean(source, step)
        after = {pool: 100 * fraction for pool, fraction in mean.after.items()}
        active.plot([100 * mean.before, after["max"]], [y, y], color=EDGE, linewidth=2, zorder=1)
        active.plot(100 * mean.before, y, "o", color=_GREY)
        _marks(active, y, after)
        _marks(strength, y, mean.strength)
    active.set_xlim(0, 102)
    active.set_xlabel("active, % of the values of a map", fontsize=TEXT_POINTS)
    strength.set_xlim(left=0.8)
    strength.set_xlabel("mean after over mean before", fontsize=TEXT_POINTS)
    active.set_yticks(places, [_step_name(step) for _, step in rows])
    strength.set_yticks(places, [""] * len(places))
    for axes in (active, strength):
        axes.set_ylim(place - 0.4, -0.6)
        axes.grid(axis="x", color=EDGE, linewidth=0.4)
        axes.tick_params(axis="y", length=0)
    for source, y in heads.items():
        active.text(
            -1.5, y, source, fontsize=TEXT_POINTS, fontweight="bold", ha="right", va="center",
            parse_math=False,
        )  # fmt: skip
    what = f"mean of {len(result.images)} photographs"
    write_line(
        figure, canvas, left, 0.3, "Dead space goes", TITLE_POINTS, weight="bold", align="left"
    )
    write_line(
        figure, canvas, left + 5.5, 0.3, "Features get stronger", TITLE_POINTS,
        weight="bold", align="left",
    )  # fmt: skip
    write_line(figure, canvas, left + 5.1, 0.3, what, SMALL_POINTS, color=FAINT_INK, align="right")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=_GREY, label="before"),
        Line2D([], [], marker="o", linestyle="", color=_ORANGE, label="after max pool"),
        Line2D(
            [], [], marker="o", linestyle="", color=_BLUE, markersize=9, **_RING,
            label="after average pool",
        ),
        Line2D(
            [], [], marker="x", linestyle="", color=_GREEN, markeredgewidth=1.6,
            label="every second value",
        ),
    ]  # fmt: skip
    _legend(figure, canvas, canvas.width / 2, canvas.height - 0.22, handles, 4)
    return figure


def _marks(axes: Axes, y: float, values: dict[str, float]) -> None:
    """Mark what each pool leaves; an average by a ring, in which a dot stays visible."""
    axes.plot(values["max"], y, "o", color=_ORANGE)
    axes.plot(values["average"], y, "o", color=_BLUE, markersize=10, **_RING)
    axes.plot(values["stride"], y, "x", color=_GREEN, markersize=7, markeredgewidth=1.6)


def _step_name(step: str) -> str:
    return f"pool {step}" if step.isdigit() else step


def two_dots(result: TwoDots) -> Picture:
    """Draw what is left of two dots, for every distance and alignment.

    Parameters
    ----------
    result : TwoDots
        Of `attar.experiments.two_dots`.

    Returns
    -------
    Picture
        Its axes have labels such as ``"max 3"``: the pool, and how often.
    """
    side_x, side_y, gap, left, top = 1.9, 1.75, 0.55, 1.75, 0.85
    rows, columns = len(result.pools), len(result.times)
    figure, canvas = blank(
        left + columns * side_x + (columns - 1) * gap + 0.25,
        top + rows * side_y + (rows - 1) * 0.4 + 0.95,
        _DPI,
    )
    colours = ListedColormap([INK, _ORANGE, "#e8e8e8"])
    for i, pool in enumerate(result.pools):
        y = top + i * (side_y + 0.4)
        name = _POOL_NAMES[pool]
        write_line(
            figure, canvas, 0.15, y + side_y / 2, name, TEXT_POINTS, weight="bold", align="left"
        )
        for j, times in enumerate(result.times):
            left_of = result.map(pool, times).left
            axes = figure.add_axes(
                canvas.box(left + j * (side_x + gap), y, side_x, side_y), label=f"{pool} {times}"
            )
            period, distances = len(left_of[0]), len(left_of)
            axes.imshow(
                left_of,
                cmap=colours,
                norm=Normalize(0, 2),
                aspect="auto",
                interpolation="nearest",
                interpolation_stage="rgba",
                extent=(-0.5, period - 0.5, distances + 0.5, 0.5),
            )
            axes.set_yticks([period * n for n in (1, 2, 3)])
            axes.set_xticks([0, period - 1] if period > 1 else [0])
            axes.tick_params(labelsize=SMALL_POINTS, color=EDGE)
            for spine in axes.spines.values():
                spine.set_visible(False)
            if i == 0:
                again = "once" if times == 1 else f"{times} times"
                centre = left + j * (side_x + gap) + side_x / 2
                write_line(figure, canvas, centre, 0.42, again, TITLE_POINTS, weight="bold")
                window = f"a pixel for each {period} × {period}"
                write_line(figure, canvas, centre, 0.65, window, SMALL_POINTS, color=FAINT_INK)
            if i == rows - 1:
                axes.set_xlabel("first dot, from window edge", fontsize=SMALL_POINTS)
            if j == 0:
                axes.set_ylabel("distance of the dots", fontsize=SMALL_POINTS)
    handles = [
        Patch(color=INK, label="cannot be told from one dot"),
        Patch(color=_ORANGE, label="one peak"),
        Patch(color="#e8e8e8", label="two peaks"),
    ]
    _legend(figure, canvas, canvas.width / 2, canvas.height - 0.22, handles, 3)
    return figure


def circle(result: Circles, examples: Sequence[CircleMaps] = ()) -> Picture:
    """Draw against the radius how many maps there are, and how far a shift moves them.

    Parameters
    ----------
    result : Circles
        Of `attar.experiments.circle`.
    examples : sequence of CircleMaps
        Drawn below each other: the circle, and its different maps.

    Returns
    -------
    Picture
        Its axes have the labels ``"circle 0"``, ``"maps 0"`` and so on for the examples, and
        ``"distinct"`` and ``"change"`` for the charts.
    """
    first = result.pools[0]
    side, gap, top = 1.75, 0.3, 0.95
    left = 0.3 if examples else 0.0
    chart_left = left + (2 * side + gap + 0.95 if examples else 0.75)
    chart = 3.3
    height = max(len(examples) * (side + 0.55), 3.0)
    figure, canvas = blank(chart_left + 2 * chart + 1.1, top + height + 0.15, _DPI)
    for i, example in enumerate(examples):
        y = top + i * (side + 0.55)
        write_line(figure, canvas, left, y - 0.15, example.title, TEXT_POINTS, align="left")
        cmap = colormap("gray")
        box = (left, y, side, side)
        add_image(figure, canvas, box, f"circle {i}", example.image, cmap, Normalize(0, 1))
        sheet = _sheet(example.maps)
        box = (left + side + gap, y, side, side * sheet.shape[0] / sheet.shape[1])
        add_image(figure, canvas, box, f"maps {i}", sheet, cmap, Normalize(0, 1))
    if examples:
        title = f"All maps after {result.times[-1]} × {_POOL_NAMES[first]}"
        write_line(figure, canvas, left, 0.32, title, TITLE_POINTS, weight="bold", align="left")
    shades = colormap("viridis")(np.linspace(0.9, 0.05, len(result.times)))
    box = (chart_left, top, chart, height - 0.55)
    _distinct_chart(_chart(figure, canvas, box, "distinct"), result, first, shades)
    box = (chart_left + chart + 0.85, top, chart, height - 0.55)
    _change_chart(_chart(figure, canvas, box, "change"), result)
    for i, title in enumerate(
        (f"Different maps, {_POOL_NAMES[first]}", "How far a shift moves the map")
    ):
        x = chart_left + i * (chart + 0.85)
        write_line(figure, canvas, x, 0.32, title, TITLE_POINTS, weight="bold", align="left")
    handles = [
        Line2D([], [], marker="o", color=shade, label=f"{times}×")
        for times, shade in zip(result.times, shades, strict=True)
    ]
    _legend(figure, canvas, chart_left + chart / 2, 0.65, handles, len(handles))
    handles = [
        Line2D([], [], marker="o", color=_POOL_COLOURS[pool], label=_POOL_NAMES[pool])
        for pool in result.pools
    ]
    _legend(figure, canvas, chart_left + 1.5 * chart + 0.85, 0.65, handles, len(handles))
    return figure


def _distinct_chart(axes: Axes, result: Circles, pool: str, shades: Array) -> None:
    some = _by_radius(result, pool)
    for j, shade in enumerate(shades):
        # Numbers of pools that leave the same number lie on each other: the fewest on top.
        axes.plot(
            [one.radius for one in some],
            [one.distinct[j] for one in some],
            "o-",
            color=shade,
            markersize=4,
            linewidth=1.3,
            zorder=3 - 0.1 * j,
        )
    axes.set_ylim(0, result.shifts * 1.06)
    axes.set_yticks(sorted({1, *range(10, result.shifts, 10), result.shifts}))
    axes.grid(axis="y", color=EDGE, linewidth=0.4)
    axes.set_xlabel("radius in pixels", fontsize=TEXT_POINTS)
    axes.set_ylabel(f"different maps of {result.shifts} shifts", fontsize=TEXT_POINTS)


def _change_chart(axes: Axes, result: Circles) -> None:
    for pool in result.pools:
        some = _by_radius(result, pool)
        axes.plot(
            [one.radius for one in some],
            [100 * one.change[-1] for one in some],
            "o-",
            color=_POOL_COLOURS[pool],
            markersize=4,
            linewidth=1.3,
        )
    axes.set_ylim(bottom=-2)
    axes.grid(axis="y", color=EDGE, linewidth=0.4)
    axes.set_xlabel("radius in pixels", fontsize=TEXT_POINTS)
    axes.set_ylabel(f"change after {result.times[-1]} pools, % of the map", fontsize=TEXT_POINTS)


def _by_radius(result: Circles, pool: str) -> list[DistinctMaps]:
    return sorted((one for one in result.counts if one.pool == pool), key=lambda one: one.radius)


def _sheet(maps: Array) -> Array:
    """Lay maps side by side in a square, with gray lines around them.

    Examples
    --------
    >>> _sheet(np.ones((2, 1, 1))).tolist()
    [[0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 1.0, 0.5, 1.0, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5]]
    """
    columns = int(np.ceil(np.sqrt(len(maps))))
    rows = -(-len(maps) // columns)
    height, width = maps.shape[1:]
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), 0.5)
    for i, one in enumerate(maps):
        top, left = i // columns * (height + 1) + 1, i % columns * (width + 1) + 1
        sheet[top : top + height, left : left + width] = one
    return sheet


_NETWORK_STYLES = {
    "dense": (_GREY, "s", "dense only"),
    "conv": (INK, "v", "conv"),
    "conv_stride": (_GREEN, "x", "conv, stride 2"),
    "conv_max": (_ORANGE, "o", "conv + max pool"),
    "conv_average": (_BLUE, "D", "conv + average pool"),
}


def less_data(result: LessData) -> Picture:
    """Draw accuracy against the number of digits to learn from.

    Parameters
    ----------
    result : LessData
        Of `attar.experiments.less_data`.

    Returns
    -------
    Picture
        Its axes have the labels ``"still"`` and ``"augmented"``. Bars are one standard deviation
        over the seeds, up and down.
    """
    figure, canvas = blank(11, 5.0, _DPI)
    titles = {False: "Each digit in one place", True: "Placed anew whenever it is seen"}
    for i, augmented in enumerate((False, True)):
        x = 0.75 + i * 5.2
        axes = _chart(figure, canvas, (x, 0.6, 4.6, 3.3), "augmented" if augmented else "still")
        for network, (colour, marker, label) in _NETWORK_STYLES.items():
            runs = [result.accuracies(network, augmented, size) for size in result.sizes]
            axes.errorbar(
                result.sizes,
                [100 * float(np.mean(some)) for some in runs],
                [100 * float(np.std(some, ddof=1)) if len(some) > 1 else 0.0 for some in runs],
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=1.4,
                capsize=2,
                label=label,
            )
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(result.sizes, [count(size) for size in result.sizes])
        axes.set_ylim(0, 100)
        axes.grid(color=EDGE, linewidth=0.4)
        axes.set_xlabel("digits to learn from", fontsize=TEXT_POINTS)
        if not augmented:
            axes.set_ylabel("accuracy in %, 1000 other digits", fontsize=TEXT_POINTS)
        write_line(
            figure, canvas, x, 0.3, titles[augmented], TITLE_POINTS, weight="bold", align="left"
        )
    handles = [
        Line2D([], [], color=colour, marker=marker, label=label)
        for colour, marker, label in _NETWORK_STYLES.values()
    ]
    _legend(figure, canvas, canvas.width / 2, canvas.height - 0.28, handles, len(handles))
    return figure


def fewer_parameters(result: FewerParameters) -> Picture:
    """Draw weights, multiplications and memory of networks as bars.

    Parameters
    ----------
    result : FewerParameters
        Of `attar.experiments.fewer_parameters`.

    Returns
    -------
    Picture
        Its axes have the labels ``"weights"``, ``"multiply-adds"`` and ``"maps"``.
    """
    networks = result.costs
    height = 0.36 * len(networks)
    figure, canvas = blank(11, height + 1.35, _DPI)
    columns: tuple[tuple[str, str, list[tuple[int, ...]]], ...] = (
        ("weights", "Weights", [(one.base_parameters, one.head_parameters) for one in networks]),
        ("multiply-adds", "Multiply-adds", [(one.multiply_adds,) for one in networks]),
        ("maps", "Memory of all maps", [(one.map_bytes,) for one in networks]),
    )
    for i, (label, title, values) in enumerate(columns):
        x = 1.75 + i * 3.1
        axes = _chart(figure, canvas, (x, 0.7, 2.1, height), label)
        totals = [sum(parts) for parts in values]
        for y, parts in enumerate(values):
            colours = (_BLUE, _ORANGE) if label == "weights" else (_GREY,)
            start = 0
            for part, colour in zip(parts, colours, strict=True):
                axes.barh(y, part, left=start, height=0.62, color=colour)
                start += part
            written = memory(totals[y]) if label == "maps" else count(totals[y])
            axes.annotate(
                written,
                (totals[y], y),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL_POINTS,
            )
        axes.set_xlim(0, max(totals))
        axes.set_ylim(len(networks) - 0.4, -0.6)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_yticks(range(len(networks)), [one.network if i == 0 else "" for one in networks])
        axes.tick_params(axis="y", length=0, labelsize=TEXT_POINTS)
        write_line(figure, canvas, x, 0.45, title, TITLE_POINTS, weight="bold", align="left")
    handles = [
        Patch(color=_BLUE, label="of the convolutions"),
        Patch(color=_ORANGE, label="of the dense layers"),
    ]
    _legend(figure, canvas, 1.75 + 1.4, canvas.height - 0.28, handles, 2)
    what = f"for one image of {shape_text(result.input_shape)}"
    write_line(
        figure, canvas, canvas.width - 0.2, canvas.height - 0.28, what, SMALL_POINTS,
        color=FAINT_INK, align="right",
    )  # fmt: skip
    return figure
