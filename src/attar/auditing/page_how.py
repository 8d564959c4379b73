"""The part of a report on how it was measured: what a number is worth depends on it."""

from __future__ import annotations

import json

from attar.auditing.markup import Child, Markup, element
from attar.auditing.report import AuditReport
from attar.auditing.words import Text, both
from attar.tables import count, shape_text

__all__ = ["how_part", "warnings"]

_SOURCES = {
    "files": Text(
        "{seen} of {available} pictures of {source}", "{source} 中 {available} 张图片里的 {seen} 张"
    ),
    "array": Text(
        "{seen} of {available} images of {source}", "{source} 中 {available} 张图片里的 {seen} 张"
    ),
    "shapes": Text(
        "{seen} drawn shapes (circles, discs, cars on noise), since there were no images",
        "没有给图片，所以用了 {seen} 张画出来的图形（噪声上的圆、圆盘和小汽车）",
    ),
}
_FEW = 30


def warnings(report: AuditReport) -> list[Text]:
    """Return what a reader should know before any number."""
    images, found = report.images, []
    if not report.complete:
        found.append(
            Text(
                "The audit was interrupted after {seen} of {chosen} images. The numbers are those "
                "of "
                "the images seen so far.",
                "审计在 {chosen} 张图片中的 {seen} 张之后被中断，以下是到那时为止的数值。",
            ).format(seen=images.seen, chosen=images.chosen)
        )
    if report.model.assumed:
        found.append(
            Text(
                "Nobody said what the model takes; pictures from 0 to 1 were assumed. If that is "
                "wrong, so is every number here: state --preparation, or --scale, --mean, --std.",
                "没有人说明模型要怎样的输入，这里假定是 0 到 1 的图片。如果不对，下面所有的数值都"
                "不对：请用 --preparation，或 --scale、--mean、--std 说明。",
            )
        )
    if images.kind == "shapes":
        found.append(
            Text(
                "These are drawn shapes, not images of yours: they tell how the model is built "
                "rather than how it does on your images.",
                "这里用的是画出来的图形，不是你的图片：它们说明模型的结构怎样，而不是模型在你的图"
                "片上怎样。",
            )
        )
    elif images.seen < _FEW:
        found.append(
            Text(
                "{seen} images are few: others may give other numbers.",
                "{seen} 张图片很少：换一些图片，数值可能不同。",
            ).format(seen=images.seen)
        )
    if images.failed:
        found.append(
            Text(
                "{count} pictures could not be read and are left out.",
                "{count} 张图片无法读取，没有计入。",
            ).format(count=len(images.failed))
        )
    return found


def how_part(report: AuditReport) -> list[Child]:
    """Return what stands below the heading."""
    model, images, how = report.model, report.images, report.how
    made = model.preparation
    order = Text(", blue first", "，蓝色在前") if made["bgr"] else both("")
    facts: list[tuple[Text, Child]] = [
        (
            Text("Model", "模型"),
            Text(
                "{name} ({framework}), {layers} layers, {weights} weights",
                "{name}（{framework}），{layers} 层，{weights} 个权重",
            ).format(
                name=model.name,
                framework=model.framework,
                layers=model.layers,
                weights=count(model.parameters),
            ),
        ),
        (Text("Its hash", "模型的哈希"), element("code", model.digest)),
        (
            Text("It takes", "输入"),
            Text("{size} ({says})", "{size}（{says}）").format(
                size=shape_text(model.size), says=_said(model.size_says)
            ),
        ),
        (
            Text("Preparation", "预处理"),
            Text(
                "(picture × {scale:g} − {mean}) / {std}{order} ({says})",
                "（图片 × {scale:g} − {mean}）/ {std}{order}（{says}）",
            ).format(
                scale=made["scale"],
                mean=_numbers(made["mean"]),
                std=_numbers(made["std"]),
                order=order,
                says=_said(model.preparation_says),
            ),
        ),
        (
            Text("It answers with", "输出"),
            f"{model.output_kind or '?'} ({model.output})" if model.output else "?",
        ),
        (
            Text("Images", "图片"),
            _SOURCES[images.kind].format(
                seen=count(images.seen), available=count(images.available), source=images.source
            ),
        ),
        (Text("Brought to", "统一为"), shape_text(images.shape)),
        (Text("Right classes", "正确类别"), _said(images.labels)),
        (Text("Seed", "随机种子"), str(how.seed)),
        (Text("When", "时间"), f"{how.date}, {how.seconds:g} s, {how.threads} threads"),
        (
            Text("Versions", "版本"),
            ", ".join(f"{name} {version}" for name, version in how.versions.items()),
        ),
    ]
    listed: list[Child] = [
        part for name, value in facts for part in (element("dt", name), element("dd", value))
    ]
    settings = [
        element("li", element("code", f"{name} {json.dumps(values, ensure_ascii=False)}"))
        for name, values in how.settings.items()
    ]
    return [
        element("dl", *listed, class_="facts"),
        element("h3", Text("Settings", "设置")),
        element("ul", *settings),
        *_failed(images.failed),
        element(
            "p",
            Text(
                "What each number is, and what it does not say: docs/metrics.md of attar.",
                "每个数是什么、说明不了什么：见 attar 的 docs/metrics.md。",
            ),
            class_="note",
        ),
    ]


def _said(text: str) -> Text:
    """Return what others said in English, in both languages where that is known."""
    return Text(text, _IN_CHINESE.get(text.partition(":")[0], text))


_IN_CHINESE = {
    "stated": "由使用者说明",
    "assumed": "假定：模型没有说明",
    "the model's input": "来自模型的输入",
    "none were given": "没有给出",
    "none": "不使用",
    "names of folders": "来自文件夹的名字",
    "numbers of folders": "来自文件夹的编号",
    "beside the images": "与图片在同一个文件里",
    "given": "由使用者给出",
}


def _numbers(values: list[float]) -> str:
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


_LISTED = 50


def _failed(failed: dict[str, str]) -> list[Markup]:
    if not failed:
        return []
    items = [
        element("li", element("code", name), f": {why}")
        for name, why in list(failed.items())[:_LISTED]
    ]
    rest = len(failed) - len(items)
    if rest:
        items.append(element("li", Text("and {rest} more", "还有 {rest} 张").format(rest=rest)))
    return [
        element("h3", Text("Pictures that could not be read", "无法读取的图片")),
        element("ul", *items),
    ]
