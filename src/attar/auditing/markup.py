"""HTML and SVG, written so that no name of a file or a layer can become part of it."""

from __future__ import annotations

import html
from typing import TypeAlias

from attar.auditing.words import Text

__all__ = ["Child", "Markup", "element", "fragment"]


class Markup(str):
    """Text that is HTML already. Everything else is escaped."""

    __slots__ = ()


Child: TypeAlias = "Markup | Text | str | float | None"

_EMPTY = frozenset({"br", "img", "input", "meta", "rect", "line", "circle", "path", "polyline"})
_IN_SVG = frozenset({"text", "title"})


def element(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
    children
        `Markup` as it is; `Text` in both languages, of which the page shows one; other text
        escaped; None is left out.
    attributes
        A name ends with ``_`` where Python has the word, and has ``_`` for ``-``. None is left out.

    Examples
    --------
    >>> element("p", "2 < 3", class_="note")
    '<p class="note">2 &lt; 3</p>'
    >>> element("b", Text("three", "三"))
    '<b><span lang="en">three</span><span lang="zh-CN">三</span></b>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not children:
        return Markup(f"<{name}{written}>" if name[0] in "bim" else f"<{name}{written}/>")
    span = "tspan" if name in _IN_SVG else "span"
    return Markup(f"<{name}{written}>{fragment(*children, span=span)}</{name}>")


def fragment(*children: Child, span: str = "span") -> Markup:
    """Return children one after the other."""
    return Markup("".join(_child(child, span) for child in children if child is not None))


def _child(child: Child, span: str) -> str:
    if isinstance(child, Markup):
        return child
    if isinstance(child, Text):
        if child.en == child.zh:
            return _escaped(child.en)
        return (
            f'<{span} lang="en">{_escaped(child.en)}</{span}>'
            f'<{span} lang="zh-CN">{_escaped(child.zh)}</{span}>'
        )
    return _escaped(_text(child))


def _escaped(text: str) -> str:
    """Escape text, and keep percent signs with their numbers at the ends of lines."""
    return html.escape(text).replace(" %", "\u00a0%")


def _text(value: str | float | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
