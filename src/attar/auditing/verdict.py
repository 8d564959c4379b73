"""The verdict of an audit, in plain words: how invariant, where it is lost, what would mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attar.auditing.headlines import MODE_NAMES, percent, worst_mode
from attar.auditing.lost import LostSection
from attar.auditing.shift_section import ModeShift, ShiftSection
from attar.auditing.words import Text, both

if TYPE_CHECKING:
    from attar.auditing.report import AuditReport

__all__ = ["CAUSES", "mending", "repairable", "verdict"]

# Fractions of moved images that keep their class, and how that is called. There is no agreed scale;
# docs/audit.md says how to read them.
_GRADES = (
    (1.0, Text("This model does not notice where the object is.", "这个模型不受物体位置的影响。")),
    (
        0.99,
        Text("This model hardly notices where the object is.", "物体的位置几乎不影响这个模型。"),
    ),
    (0.95, Text("This model is steady most of the time.", "这个模型大多数时候是稳定的。")),
    (0.85, Text("This model wobbles when the object moves.", "物体一移动，这个模型就会摇摆。")),
    (
        0.0,
        Text(
            "What this model sees depends on where the object is.",
            "这个模型的判断取决于物体在哪里。",
        ),
    ),
)

CAUSES = {
    "aliasing": Text("aliasing by its stride", "步幅造成的混叠"),
    "padding": Text("padding at the border", "边界的填充"),
    "position": Text("reading positions out of the map", "从特征图里读取位置"),
    "other": Text("neither stride nor padding", "既不是步幅也不是填充"),
    "unknown": Text(
        "stride or padding, which cannot be told apart here", "步幅或填充，这里无法区分"
    ),
}
"""What layers lose invariance by."""


def verdict(report: AuditReport) -> list[Text]:
    """Return the verdict, sentence by sentence."""
    found: list[Text] = []
    if isinstance(report.shift, ShiftSection):
        found += _how_invariant(report.shift)
    if isinstance(report.lost, LostSection):
        found.append(_where_lost(report.lost))
    return [*found, *mending(report)]


def _how_invariant(section: ShiftSection) -> list[Text]:
    worst = section.worst
    if worst is None or worst.classes is None:
        return _how_steady(section)
    found, far = worst.classes, max(worst.offsets)
    grade = next(text for least, text in _GRADES if found.consistency.value >= least)
    moved = Text(
        "Moved by up to {far:g} pixels, {kept} of the images keep their class{which}; {always} of "
        "them keep it at every shift.",
        "移动不超过 {far:g} 个像素时，{kept} 的图片类别不变{which}；{always} 的图片怎么移动都不"
        "变。",
    ).format(
        far=far,
        kept=percent(found.consistency.value),
        which=_which(section, worst),
        always=percent(found.always.value),
    )
    sentences = [grade, moved]
    if found.accuracy is not None:
        right = found.accuracy
        sentences.append(
            Text(
                "{plain} are recognised as they are, and {worst} wherever they are moved.",
                "不移动时 {plain} 识别正确，移到哪里都正确的有 {worst}。",
            ).format(plain=percent(right.unmoved.value), worst=percent(right.worst.value))
        )
    return sentences


def _which(section: ShiftSection, worst: ModeShift) -> Text:
    if len(section.modes) == 1:
        return both("")
    return Text(
        " (the worst of {count} ways to move them: {name})",
        "（{count} 种移动方式里最差的：{name}）",
    ).format(count=len(section.modes), name=MODE_NAMES[worst.mode])


def _how_steady(section: ShiftSection) -> list[Text]:
    worst = worst_mode(section)
    if worst is None or worst.output is None:
        return [
            Text("The model answered no image with numbers.", "模型对所有图片都没有给出有效的数。")
        ]
    return [
        Text(
            "The output names no classes. Moved by up to {far:g} pixels, the answer has a cosine "
            "of "
            "{cosine:.3f} with that to the image as it is{which}.",
            "输出不是类别。移动不超过 {far:g} 个像素时，输出与不移动时的余弦相似度为 "
            "{cosine:.3f}{which}。",
        ).format(
            far=max(worst.offsets), cosine=worst.output.cosine_mean, which=_which(section, worst)
        )
    ]


def _where_lost(section: LostSection) -> Text:
    if section.costliest is None:
        return Text(
            "No layer loses anything when the image is moved.", "移动图片时，没有哪一层丢失什么。"
        )
    layer = section.layer(section.costliest)
    return Text(
        "Most is lost in the layer {name} ({kind}), by {cause}.",
        "丢失最多的是 {name} 层（{kind}），原因是{cause}。",
    ).format(name=layer.name, kind=layer.kind, cause=CAUSES[str(layer.cause)])


def mending(report: AuditReport) -> list[Text]:
    """Return what would mend it, sentence by sentence; nothing where nothing is amiss."""
    section = report.lost
    if not isinstance(section, LostSection):
        return []
    whole = sum(section.causes.values())
    if not whole:
        return []
    cause = max(section.causes, key=lambda name: section.causes[name])
    found = [_MENDING[cause]] if cause in _MENDING else []
    share = section.causes["aliasing"] / whole
    if cause != "aliasing" and share >= _WORTH_REPAIR:
        found.append(_ALSO_ALIASING.format(share=percent(share)))
    return found


def repairable(report: AuditReport) -> bool:
    """Whether other pools would mend some of it: whether `mending` speaks of `attar repair`."""
    return any("attar repair" in sentence.en for sentence in mending(report))


_WORTH_REPAIR = 0.1  # of what all layers add
_ALSO_ALIASING = Text(
    "Strides alias as well, {share} of what all layers add; blurring would mend that: attar "
    "repair.",
    "步幅也造成混叠，占各层增加的误差的 {share}；先模糊就能改善这一部分：attar repair。",
)
_MENDING = {
    "aliasing": Text(
        "Blurring before it takes every second place would mend that: attar repair.",
        "在跨步取值之前先模糊，就能改善：attar repair。",
    ),
    "padding": Text(
        "No other pool mends that: train with images that are moved, or without padding.",
        "换池化层改善不了：用移动过的图片训练，或者不用填充。",
    ),
    "position": Text(
        "Global pooling before the dense layers, or training with images that are moved, would "
        "mend "
        "that.",
        "在全连接层之前做全局池化，或者用移动过的图片训练，就能改善。",
    ),
}
