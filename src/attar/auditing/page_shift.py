"""The part of a report on shift: what comes of moving the image."""

from __future__ import annotations

from collections.abc import Iterator

from attar.auditing.charts import Rows, columns, heat
from attar.auditing.headlines import MODE_NAMES, numbers_of_mode, percent, worst_mode
from attar.auditing.markup import Child, Markup, element, fragment
from attar.auditing.protocols import ProtocolShift
from attar.auditing.report import AuditReport
from attar.auditing.shift_section import Fragile, ModeShift, ShiftSection
from attar.auditing.words import Text, both

__all__ = ["shift_part"]

_SHOWN = 6  # of the most fragile images

_MODES_SAY = {
    "crop": Text("a larger picture, cut elsewhere", "在更大的图片上换个位置裁剪"),
    "zero": Text("black comes in at the border", "边界补入黑色"),
    "reflect": Text("the picture mirrored comes in", "边界补入镜像"),
    "circular": Text("what leaves on one side comes in on the other", "一侧移出的从另一侧移入"),
    "linear": Text(
        "by fractions of a pixel, neighbours mixed", "移动不到一个像素，相邻像素线性混合"
    ),
    "fourier": Text("by fractions of a pixel, nothing blurred", "移动不到一个像素，不产生模糊"),
}


def shift_part(report: AuditReport, section: ShiftSection) -> list[Child]:
    """Return what stands below the heading."""
    classes = section.kind in ("probabilities", "logits")
    lead = (
        Text(
            "Each image was moved, and its class compared with that of the image as it is.",
            "把每张图片移动，再把类别和不移动时相比。",
        )
        if classes
        else Text(
            "Each image was moved, and the answer compared with that to the image as it is.",
            "把每张图片移动，再把输出和不移动时相比。",
        )
    )
    return [
        element("p", lead),
        _modes(section, classes),
        _unusable(section),
        element("h3", Text("By direction", "按方向")),
        element(
            "p",
            Text(
                "A square is a shift: down by its row, to the right by its column, in pixels. The "
                "number is the mean over all images, in percent; the stronger the colour, the "
                "worse.",
                "每个方格是一种移动：行表示向下几个像素，列表示向右几个像素。数字是所有图片的平"
                "均，以百分数表示；颜色越深越差。",
            ),
            class_="note",
        ),
        element("div", *_maps(section), class_="figures"),
        *_radius(section),
        *_fragile(report, section),
        *_protocols(section),
    ]


def _unusable(section: ShiftSection) -> Markup | None:
    if not section.unusable:
        return None
    return element(
        "p",
        Text(
            "{count} of {images} images were left out: the model answered them with what is no "
            "number.",
            "{images} 张图片中有 {count} 张没有计入：模型的输出不是有效的数。",
        ).format(count=section.unusable, images=section.images),
        class_="warning",
    )


def _modes(section: ShiftSection, classes: bool) -> Markup:
    numbers = {mode.mode: list(numbers_of_mode(mode)) for mode in section.modes}
    heads = next((found for found in numbers.values() if found), [])
    rows = []
    for mode in section.modes:
        cells = [
            element("td", one.text, _small(one.more), class_="number") for one in numbers[mode.mode]
        ]
        reach = Text(
            "±{far:g} px, {shifts} shifts{chance}", "±{far:g} 像素，{shifts} 种移动{chance}"
        ).format(
            far=max(mode.offsets),
            shifts=mode.shifts,
            chance=both("") if mode.exhaustive else Text(", by chance", "，随机选取"),
        )
        rows.append(
            element(
                "tr",
                element("th", MODE_NAMES[mode.mode], _small(_MODES_SAY[mode.mode]), scope="row"),
                element("td", reach),
                *cells,
                class_="worst" if worst_mode(section) is mode and len(section.modes) > 1 else None,
            )
        )
    return element(
        "div",
        element(
            "table",
            element("caption", Text("Ways to move an image", "移动图片的方式")),
            element(
                "thead",
                element(
                    "tr",
                    element("th", Text("What comes in", "补入什么"), scope="col"),
                    element("th", Text("How far", "移动多远"), scope="col"),
                    *(element("th", one.says, scope="col", class_="number") for one in heads),
                ),
            ),
            element("tbody", *rows),
        ),
        class_="wide",
        tabindex=0,
        role="region",
        aria_label="Ways to move an image · 移动图片的方式",
    )


def _small(text: Text | None) -> Markup | None:
    return None if text is None else element("small", text, class_="below")


def _maps(section: ShiftSection) -> Iterator[Markup]:
    lowest = _lowest(section)
    for mode in section.modes:
        rows = _rows(mode)
        if rows is None:
            continue
        label = f"map-{mode.mode}"
        ends = [value for row in rows for value in row if value is not None]
        caption = Text("{name}: {low} to {high}", "{name}：{low} 至 {high}").format(
            name=MODE_NAMES[mode.mode], low=percent(max(min(ends), 0)), high=percent(max(ends))
        )
        yield element(
            "figure",
            heat(rows, mode.offsets, label=label, worst=lowest, best=1.0, write=_hundredths),
            element("figcaption", caption, id=label),
        )


def _rows(mode: ModeShift) -> Rows | None:
    if mode.classes is not None:
        return mode.classes.consistency_map
    return None if mode.output is None else mode.output.cosine_map


def _lowest(section: ShiftSection) -> float:
    """Return the end of the scale that all maps share."""
    values = [
        value
        for mode in section.modes
        for row in _rows(mode) or ()
        for value in row
        if value is not None
    ]
    return min([*values, 1.0])


def _hundredths(value: float) -> str:
    """Write a fraction in percent without its sign; what is not all is never written as all."""
    return "99+" if 0.995 <= value < 1 else f"{100 * value:.0f}"


def _radius(section: ShiftSection) -> list[Child]:
    worst = section.worst
    if worst is None or worst.classes is None:
        return []
    radii = worst.classes.radii
    caption = Text(
        "How many images keep their class up to a shift of so many pixels, and no further "
        "({name}). "
        "Mean: {mean:.2f} pixels; the farthest that was tried is {far:g}.",
        "有多少张图片移动到这么多像素为止类别都不变（{name}）。平均 {mean:.2f} 个像素；最远试到 "
        "{far:g}。",
    ).format(name=MODE_NAMES[worst.mode], mean=radii.mean, far=radii.pixels[-1])
    drawn = columns(
        radii.images, [f"{pixels:g}" for pixels in radii.pixels], label="radii", write=str
    )
    return [
        element("h3", Text("How far an image can be moved", "图片能移动多远")),
        element("figure", drawn, element("figcaption", caption, id="radii"), class_="curve"),
    ]


def _fragile(report: AuditReport, section: ShiftSection) -> list[Child]:
    mode = worst_mode(section)
    shown = [] if mode is None else [one for one in mode.fragile if one.score < 1][:_SHOWN]
    if mode is None or not shown:
        return []
    if mode.classes is not None:
        says = Text(
            "They keep their class least ({name}). The squares tell the class at each shift; "
            "coloured "
            "are those where it is another.",
            "类别最容易改变的图片（{name}）。方格里是移到那里时的类别；有颜色的表示类别变了。",
        )
    else:
        says = Text(
            "Their answers change most ({name}). The square beside each tells by how much, in "
            "percent "
            "of the longer of both answers.",
            "输出变化最大的图片（{name}）。旁边的方格说明变化了多少，以两个输出中较长者的百分数表"
            "示。",
        )
    return [
        element("h3", Text("The most fragile images", "最脆弱的图片")),
        element("p", says.format(name=MODE_NAMES[mode.mode]), class_="note"),
        element("div", *(_one(report, mode, one) for one in shown), class_="figures"),
    ]


def _one(report: AuditReport, mode: ModeShift, one: Fragile) -> Markup:
    label = f"fragile-{one.index}"
    name = report.images.names.get(one.index, str(one.index))
    rows: Rows
    worst: float
    texts = None
    if one.classes is None:
        rows, worst, best = one.change, _most(one.change), 0.0
    else:
        texts = [[str(value) for value in row] for row in one.classes]
        rows = [
            [None if value is None else float(value == one.predicted) for value in row]
            for row in one.classes
        ]
        worst, best = 0.0, 1.0
    says: Text = both(name)
    if one.predicted is not None:
        others = sorted({value for row in one.classes or () for value in row if value is not None})
        says = Text(
            "{name}: class {was}{label}, moved also {others}; {kept} keep it",
            "{name}：类别 {was}{label}，移动后还会判为 {others}；{kept} 不变",
        ).format(
            name=name,
            was=one.predicted,
            label=both("")
            if one.label is None
            else Text(" (right: {right})", "（正确：{right}）").format(right=one.label),
            others=_some([value for value in others if value != one.predicted]),
            kept=percent(one.score),
        )
    uri = report.thumbnails.get(one.index)
    picture = None if uri is None else element("img", src=uri, alt=name)
    drawn = heat(
        rows, mode.offsets, label=label, worst=worst, best=best, write=_hundredths, texts=texts
    )
    return element(
        "figure",
        element("div", picture, drawn, class_="pair"),
        element("figcaption", says, id=label),
    )


def _some(classes: list[int]) -> str:
    return ", ".join(map(str, classes[:4])) + (", …" if len(classes) > 4 else "")


def _most(rows: Rows) -> float:
    return max([value for row in rows for value in row if value is not None], default=0.0)


# ------------------------------------------------------------------------ protocols

_PAPERS = {
    "zhang2019": "Zhang 2019",
    "aps": "Chaman & Dokmanić 2021",
    "lps": "Rojas-Gomez et al. 2022",
}


def _protocols(section: ShiftSection) -> list[Child]:
    if not section.protocols:
        return []
    head = (
        Text("Paper", "论文"),
        Text("Shifts", "移动"),
        Text("Pairs that agree", "类别一致的图片对"),
        Text("As published", "与论文相同"),
    )
    return [
        element("h3", Text("As papers measure it", "按论文的方法")),
        element(
            "div",
            element(
                "table",
                element(
                    "caption",
                    Text(
                        "Two shifts of each image are drawn, and their classes compared",
                        "对每张图片随机取两种移动，比较类别",
                    ),
                ),
                element(
                    "thead", element("tr", *(element("th", text, scope="col") for text in head))
                ),
                element("tbody", *map(_protocol, section.protocols)),
            ),
            class_="wide",
        ),
    ]


def _protocol(one: ProtocolShift) -> Markup:
    found = one.consistency
    interval: Child = None
    if found is not None:
        interval = element(
            "small", f"95 %: {100 * found.low:.1f} – {100 * found.high:.1f} %", class_="below"
        )
    return element(
        "tr",
        element("th", _PAPERS[one.protocol], scope="row"),
        element(
            "td",
            MODE_NAMES[one.mode],
            fragment(f", {one.lowest} … {one.highest} px, {one.size[0]} × {one.size[1]}"),
        ),
        element("td", "–" if found is None else percent(found.value), interval, class_="number"),
        element(
            "td",
            Text("yes", "是") if one.published else Text("adapted to this size", "按此尺寸调整"),
        ),
    )
