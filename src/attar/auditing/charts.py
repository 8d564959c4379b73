"""Drawings of a report: SVG whose colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from attar.auditing.markup import Child, Markup, element, fragment
from attar.auditing.words import Text

__all__ = ["bars", "columns", "curve", "heat"]

Rows = Sequence[Sequence[float | None]]

_CELL = 30.0
_WITH_NUMBERS = 9  # cells a side, up to which numbers fit


def heat(
    values: Rows,
    offsets: Sequence[float],
    *,
    label: str,
    worst: float,
    best: float,
    write: Callable[[float], str],
    texts: Sequence[Sequence[str]] | None = None,
) -> Markup:
    """Draw a number for each shift: the worse, the stronger its colour.

    Parameters
    ----------
    values : rows of float or None
        By dy, then by dx. None is not known, and gray.
    offsets : sequence of float
        The dy of the rows and the dx of the columns, in pixels.
    label : str
        The id of the element that says what is drawn.
    worst, best : float
        The ends of the scale.
    write : callable
        How a number is written.
    texts : rows of str, optional
        What to write instead of the numbers.
    """
    side = len(offsets)
    left, top, size = 34.0, 18.0, _CELL * side
    drawn: list[Child] = []
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            x, y = left + j * _CELL, top + i * _CELL
            where = f"dy {offsets[i]:+g}, dx {offsets[j]:+g}"
            text = "?" if value is None else write(value) if texts is None else texts[i][j]
            amount = 0.0 if value is None or best == worst else (best - value) / (best - worst)
            amount = min(max(amount, 0.0), 1.0)
            drawn.append(
                element(
                    "rect",
                    element("title", f"{where}: {text}"),
                    x=x,
                    y=y,
                    width=_CELL,
                    height=_CELL,
                    class_="unknown" if value is None else "cell",
                    style=f"--amount:{amount:.3g}",
                )
            )
            if value is not None and side <= _WITH_NUMBERS:
                drawn.append(
                    element(
                        "text", text, x=x + _CELL / 2, y=y + _CELL / 2 + 4, text_anchor="middle"
                    )
                )
    middle = side // 2
    ticks = sorted({0, middle, side - 1})
    for k in ticks:
        drawn.append(
            element(
                "text",
                f"{offsets[k]:+g}" if offsets[k] else "0",
                x=left + (k + 0.5) * _CELL,
                y=top - 5,
                text_anchor="middle",
                class_="axis",
            )
        )
        drawn.append(
            element(
                "text",
                f"{offsets[k]:+g}" if offsets[k] else "0",
                x=left - 5,
                y=top + (k + 0.5) * _CELL + 4,
                text_anchor="end",
                class_="axis",
            )
        )
    return element(
        "svg",
        *drawn,
        element("rect", x=left, y=top, width=size, height=size, class_="edge"),
        element(
            "rect",
            x=left + middle * _CELL,
            y=top + middle * _CELL,
            width=_CELL,
            height=_CELL,
            class_="middle",
        ),
        viewBox=f"0 0 {left + size + 2:g} {top + size + 2:g}",
        style=f"max-width:{1.3 * (left + size + 2):.0f}px",
        role="img",
        aria_labelledby=label,
    )


def bars(*lengths: float) -> Markup:
    """Return the cell of a table with a bar of up to three pieces; they add up to 1 at most."""
    kinds = (None, "second", "third")
    pieces = [
        element("i", class_=kind, style=f"width:{100 * min(max(length, 0.0), 1.0):.2f}%")
        for length, kind in zip(lengths, kinds, strict=False)
    ]
    # What it says stands beside it as a number.
    return element("td", element("div", *pieces), class_="bar", aria_hidden="true")


def columns(
    amounts: Sequence[float], names: Sequence[str], *, label: str, write: Callable[[float], str]
) -> Markup:
    """Draw columns side by side, with their numbers above them."""
    width, height, top = 44.0, 110.0, 18.0
    most = max([*amounts, 1e-12])
    drawn: list[Child] = []
    for i, (amount, name) in enumerate(zip(amounts, names, strict=True)):
        tall = height * amount / most
        x = i * width
        drawn += [
            element(
                "rect",
                x=x + 5,
                y=top + height - tall,
                width=width - 10,
                height=tall,
                rx=3,
                class_="column",
            ),
            element(
                "text",
                write(amount),
                x=x + width / 2,
                y=top + height - tall - 4,
                text_anchor="middle",
            ),
            element(
                "text",
                name,
                x=x + width / 2,
                y=top + height + 14,
                text_anchor="middle",
                class_="axis",
            ),
        ]
    total = width * len(amounts)
    drawn.append(element("line", x1=0, x2=total, y1=top + height, y2=top + height, class_="grid"))
    return element(
        "svg",
        *drawn,
        viewBox=f"0 0 {total:g} {top + height + 20:g}",
        style=f"max-width:{total * 1.3:.0f}px",
        role="img",
        aria_labelledby=label,
    )


def curve(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    label: str,
    across: Text,
    up: Text,
    write: Callable[[float], str],
    ends: tuple[float, float],
) -> Markup:
    """Draw up to four lines over distances, which are spaced by their logarithm.

    Parameters
    ----------
    series : mapping of str to sequence of (x, y)
        By what each line is called; x is ascending and at least 1.
    label : str
        The id of the element that says what is drawn.
    across, up : Text
        What the axes are.
    write : callable
        How a number upwards is written.
    ends : (float, float)
        The bottom and the top of the drawing.
    """
    left, right, top, bottom, width, height = 46.0, 14.0, 26.0, 42.0, 460.0, 250.0
    inner, tall = width - left - right, height - top - bottom
    every = sorted({x for points in series.values() for x, _ in points})
    low, high = math.log2(every[0]), math.log2(every[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        along = 0.5 if high == low else (math.log2(x) - low) / (high - low)
        part = (min(max(y, ends[0]), ends[1]) - ends[0]) / (ends[1] - ends[0])
        return round(left + inner * along, 1), round(top + tall * (1 - part), 1)

    drawn: list[Child] = []
    for k in range(5):
        level = ends[0] + (ends[1] - ends[0]) * k / 4
        _, y = place(every[0], level)
        drawn += [
            element("line", x1=left, x2=width - right, y1=y, y2=y, class_="grid"),
            element("text", write(level), x=left - 6, y=y + 4, text_anchor="end", class_="axis"),
        ]
    for kind, (name, points) in zip(_KINDS, series.items(), strict=False):
        placed = [place(*point) for point in points]
        path = " ".join(f"{x:g},{y:g}" for x, y in placed)
        drawn.append(element("polyline", points=path, class_=f"series {kind}"))
        for (x, y), (at, value) in zip(placed, points, strict=True):
            tip = element("title", f"{name}, {at:g}: {write(value)}")
            drawn.append(element("circle", tip, cx=x, cy=y, r=3.5, class_=f"dot {kind}"))
    last = -math.inf
    for at in every:
        x, _ = place(at, ends[0])
        if x - last >= 26:
            last = x
            drawn.append(
                element("text", f"{at:g}", x=x, y=height - 24, text_anchor="middle", class_="axis")
            )
    drawn += [
        element("text", up, x=0, y=12, class_="axis"),
        element("text", across, x=width - right, y=height - 5, text_anchor="end", class_="axis"),
    ]
    picture = element(
        "svg", *drawn, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_labelledby=label
    )
    names = [
        element("span", element("i", class_=kind), name)
        for kind, name in zip(_KINDS, series, strict=False)
    ]
    return fragment(picture, element("p", *names, class_="key"))


_KINDS = ("first", "second", "third", "fourth")
