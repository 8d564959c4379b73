"""The numbers of an audit that stand for the rest: in tables, in tiles, and for limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from attar.auditing.lost import LostSection
from attar.auditing.position import PositionSection
from attar.auditing.shift_section import ClassShift, ModeShift, OutputShift, ShiftSection
from attar.auditing.space import SpaceSection
from attar.auditing.words import Text, both

__all__ = ["Headline", "headlines", "known_names", "numbers_of_mode", "percent", "worst_mode"]


class Headline(NamedTuple):
    """One number.

    Attributes
    ----------
    name : str
        For limits.
    value : float
    text : str
        How it is written.
    says : Text
        What it is.
    more : Text or None
        What belongs to it: an interval, where it was found.
    """

    name: str
    value: float
    text: str
    says: Text
    more: Text | None = None


def percent(fraction: float) -> str:
    """Write a fraction as percent; what is not all is never written as all.

    Examples
    --------
    >>> percent(0.873), percent(0.99999), percent(1.0), percent(0.00001)
    ('87.3 %', '> 99.9 %', '100 %', '< 0.1 %')
    """
    if 0.9995 <= fraction < 1:
        return "> 99.9 %"
    if 0 < fraction < 0.0005:
        return "< 0.1 %"
    return f"{100 * fraction:.1f} %" if 0 < fraction < 1 else f"{100 * fraction:g} %"


def headlines(sections: Mapping[str, Any]) -> list[Headline]:
    """Return the headlines of the sections that there are."""
    found: list[Headline] = []
    for name, section in sections.items():
        found += _OF[name](section) if name in _OF else ()
    return found


def known_names() -> tuple[str, ...]:
    """Return the names for which limits can be set."""
    return tuple(name for names in _NAMES.values() for name in names)


# ------------------------------------------------------------------------ shift


def worst_mode(section: ShiftSection) -> ModeShift | None:
    """Return the kind of shift with the lowest consistency; without classes, lowest cosine."""
    if section.worst is not None:
        return section.worst
    known = [mode for mode in section.modes if mode.output is not None]
    return min(known, key=lambda mode: mode.output.cosine_mean if mode.output else 1, default=None)


def _shift(section: ShiftSection) -> Iterator[Headline]:
    """Give the numbers of the worst kind of shift."""
    worst = worst_mode(section)
    for one in [] if worst is None else numbers_of_mode(worst):
        yield one if len(section.modes) == 1 else one._replace(more=_where(one, worst))


def _where(one: Headline, mode: ModeShift | None) -> Text | None:
    if mode is None or one.name == "accuracy":
        return one.more
    name = Text("worst: {name}", "最差：{name}").format(name=MODE_NAMES[mode.mode])
    if one.more is None:
        return name
    return Text("{more}; {name}", "{more}；{name}").format(more=one.more, name=name)


MODE_NAMES = {
    "crop": Text("crop", "裁剪"),
    "zero": Text("zeros", "补零"),
    "reflect": Text("mirrored", "镜像"),
    "circular": Text("circular", "循环"),
    "linear": Text("fractions, linear", "亚像素，线性"),
    "fourier": Text("fractions, Fourier", "亚像素，傅里叶"),
}
"""What the kinds of shift are called."""


def numbers_of_mode(mode: ModeShift) -> Iterator[Headline]:
    """Give the headlines of one kind of shift."""
    if mode.classes is not None:
        yield from _of_classes(mode.classes)
    if mode.output is not None:
        yield from _of_output(mode.output)


def _of_classes(found: ClassShift) -> Iterator[Headline]:
    for name, one, says in (
        (
            "consistency",
            found.consistency,
            Text("moved images that keep their class", "移动后类别不变的图片"),
        ),
        (
            "always",
            found.always,
            Text("images that keep it at every shift", "怎么移动类别都不变的图片"),
        ),
    ):
        interval = f"{100 * one.low:.1f} – {100 * one.high:.1f} %"
        more = Text("95 %: {interval}", "95 %：{interval}").format(interval=interval)
        yield Headline(name, one.value, percent(one.value), says, more)
    yield Headline(
        "wobble",
        found.wobble_worst,
        f"{100 * found.wobble_worst:.1f} pp",
        Text("largest change of an image's probability, mean", "每张图片概率变化的最大值，平均"),
    )
    if found.accuracy is not None:
        right = found.accuracy
        yield Headline(
            "accuracy",
            right.unmoved.value,
            percent(right.unmoved.value),
            Text("right as they are", "不移动时正确"),
        )
        yield Headline(
            "accuracy_worst",
            right.worst.value,
            percent(right.worst.value),
            Text("right at every shift", "怎么移动都正确"),
        )


def _of_output(found: OutputShift) -> Iterator[Headline]:
    yield Headline(
        "cosine",
        found.cosine_mean,
        f"{found.cosine_mean:.3f}",
        Text(
            "likeness of the answer to the unmoved one (cosine)", "与不移动时的输出的相似度（余弦）"
        ),
    )


# ------------------------------------------------------------------------ layer by layer


def _lost(section: LostSection) -> Iterator[Headline]:
    says = Text("error that the costliest layer adds", "丢失最多的一层增加的误差")
    if section.costliest is None:
        yield Headline("lost", 0.0, "0", says)
        return
    added = section.layer(section.costliest).added or 0.0
    yield Headline("lost", added, f"{added:.3f}", says, both(section.costliest))


def _space(section: SpaceSection) -> Iterator[Headline]:
    for name, value, says in (
        ("dead", section.dead_fraction, Text("channels that are dead", "死掉的通道")),
        (
            "duplicate",
            section.duplicate_fraction,
            Text("channels that are there twice", "重复的通道"),
        ),
    ):
        if value is not None:
            more = Text("on {images} images", "就 {images} 张图片而言").format(
                images=section.images
            )
            yield Headline(name, value, percent(value), says, more)


def _position(section: PositionSection) -> Iterator[Headline]:
    if section.layers:
        last = section.layers[-1]
        says = Text("what the last layer tells of position (R²)", "最后一层透露的位置（R²）")
        yield Headline(
            "position", last.best.r2, f"{last.best.r2:.2f}".replace("-", "−"), says, both(last.name)
        )


_NAMES = {
    "shift": ("consistency", "always", "wobble", "accuracy", "accuracy_worst", "cosine"),
    "lost": ("lost",),
    "space": ("dead", "duplicate"),
    "position": ("position",),
}
_OF: dict[str, Callable[[Any], Iterator[Headline]]] = {
    "shift": _shift,
    "lost": _lost,
    "space": _space,
    "position": _position,
}
