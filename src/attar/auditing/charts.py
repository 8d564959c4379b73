"""Drawings of a report: SVG whose colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from attar.auditing.markup import Child, Markup, element, fragment
from attar.auditing.words import Text

__all__ = ["bars", "columns", "curve", "heat"]

Rows = Sequence[Sequence[float | None]]

_CELL, _WIDEST = 30.0, 270.0  # of a square, and of all of a row together
_LEFT, _TOP = 34.0, 18.0  # what is left for numbers
_WITH_NUMBERS = 9  # cells a side, up to which numbers fit
_WITH_TIPS = 17  # and up to which each cell is an element of its own; beyond, the page would grow
_STEPS = 32  # of colour, beyond that


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
    amounts = [[_amount(value, worst, best) for value in row] for row in values]
    drawn: list[Child] = []
    if side > _WITH_TIPS:
        drawn.append(_runs(amounts, _cell(side)))
    else:
        if texts is None:
            texts = [["?" if one is None else write(one) for one in row] for row in values]
        drawn += _cells(amounts, offsets, texts)
    cell, middle = _cell(side), side // 2
    whole = cell * side
    for k in sorted({0, middle, side - 1}):
        text, on = _signed(offsets[k]), (k + 0.5) * cell
        drawn += [
            element("text", text, x=_LEFT + on, y=_TOP - 5, text_anchor="middle", class_="axis"),
            element("text", text, x=_LEFT - 5, y=_TOP + on + 4, text_anchor="end", class_="axis"),
        ]
    at = {"x": _LEFT + middle * cell, "y": _TOP + middle * cell, "width": cell, "height": cell}
    return element(
        "svg",
        *drawn,
        element("rect", x=_LEFT, y=_TOP, width=whole, height=whole, class_="edge"),
        element("rect", **at, class_="middle"),
        viewBox=f"0 0 {_LEFT + whole + 2:g} {_TOP + whole + 2:g}",
        style=f"max-width:{1.3 * (_LEFT + whole + 2):.0f}px",
        role="img",
        aria_labelledby=label,
    )


def _signed(pixels: float) -> str:
    return f"{pixels:+g}".replace("-", "−") if pixels else "0"


def _cell(side: int) -> float:
    return min(_CELL, _WIDEST / side)


def _cells(
    amounts: Sequence[Sequence[float | None]],
    offsets: Sequence[float],
    texts: Sequence[Sequence[str]],
) -> list[Markup]:
    """Draw each cell by itself, with a tip, and with what is in it where there is room."""
    cell = _cell(len(offsets))
    drawn = []
    for i, row in enumerate(amounts):
        for j, amount in enumerate(row):
            x, y, text = _LEFT + j * cell, _TOP + i * cell, texts[i][j]
            where = f"dy {_signed(offsets[i])}, dx {_signed(offsets[j])}"
            tip = element("title", f"{where}: {text}")
            at = {"x": x, "y": y, "width": cell, "height": cell}
            drawn.append(element("rect", tip, **at, **_shade(amount)))
            if amount is not None and len(offsets) <= _WITH_NUMBERS:
                x, y = x + cell / 2, y + cell / 2 + 4
                drawn.append(element("text", text, x=x, y=y, text_anchor="middle"))
    return drawn


def _shade(amount: float | None) -> dict[str, str]:
    if amount is None:
        return {"class_": "unknown"}
    return {"class_": "cell", "style": f"--amount:{amount:.3g}"}


def _amount(value: float | None, worst: float, best: float) -> float | None:
    """Return how bad a number is, 0 to 1."""
    if value is None:
        return None
    return 0.0 if best == worst else min(max((best - value) / (best - worst), 0.0), 1.0)


def _runs(amounts: Sequence[Sequence[float | None]], cell: float) -> Markup:
    """Draw many cells: those of a row that are alike as one piece, each colour as one path."""
    paths: dict[float | None, list[str]] = {}
    for i, row in enumerate(amounts):
        shades = [None if one is None else round(_STEPS * one) / _STEPS for one in row]
        start = 0
        for j in range(1, len(shades) + 1):
            if j == len(shades) or shades[j] != shades[start]:
                piece = f"M{start} {i}h{j - start}v1h{start - j}z"
                paths.setdefault(shades[start], []).append(piece)
                start = j
    drawn = [element("path", d="".join(d), **_shade(shade)) for shade, d in paths.items()]
    return element("g", *drawn, transform=f"translate({_LEFT:g} {_TOP:g}) scale({cell:.4g})")


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
