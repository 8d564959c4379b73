"""The report as one HTML file: nothing beside it, no script, no network."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any, Literal

from attar.auditing.headlines import headlines
from attar.auditing.markup import Child, Markup, element, fragment
from attar.auditing.page_how import how_part, warnings
from attar.auditing.page_layers import cost_part, lost_part
from attar.auditing.page_position import position_part
from attar.auditing.page_shift import shift_part
from attar.auditing.page_space import space_part
from attar.auditing.report import AuditReport
from attar.auditing.thresholds import Check
from attar.auditing.verdict import repairable, verdict
from attar.auditing.words import Text, joined

__all__ = ["page"]

_Part = Callable[[AuditReport, Any], list[Child]]

_PARTS: dict[str, tuple[Text, _Part]] = {
    "shift": (Text("When the image moves", "图片移动时"), shift_part),
    "lost": (Text("Where it is lost", "在哪里丢失"), lost_part),
    "space": (Text("What is dead", "死掉的部分"), space_part),
    "position": (Text("What is known of position", "还知道多少位置"), position_part),
    "cost": (Text("What it costs", "开销"), cost_part),
}


def page(report: AuditReport, language: Literal["en", "zh"]) -> str:
    """Return the report as an HTML document.

    Parameters
    ----------
    report : AuditReport
    language : {"en", "zh"}
        What is shown at first; the page holds both.
    """
    title = Text("Audit of {name}", "{name} 的审计").format(name=report.model.name)
    style = files("attar.auditing").joinpath("static/report.css").read_text(encoding="utf-8")
    parts = [
        _section(name, *_PARTS[name], report, section)
        for name, section in report.sections.items()
        if name in _PARTS
    ]
    how = Text("How it was measured", "如何测量")
    body = fragment(
        element("header", _languages(language), element("h1", title)),
        element(
            "main",
            _verdict(report),
            *parts,
            element(
                "section", element("h2", how, id="how"), *how_part(report), aria_labelledby="how"
            ),
        ),
        element(
            "footer",
            element("p", f"attar {report.how.versions.get('attar', '')}, {report.how.date}"),
        ),
    )
    head = fragment(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title.zh if language == "zh" else title.en),
        element("style", Markup(style)),
    )
    whole = element(
        "html",
        element("head", head),
        element("body", body),
        lang="zh-CN" if language == "zh" else "en",
    )
    return f"<!doctype html>\n{whole}\n"


def _languages(chosen: str) -> Markup:
    """Return the choice of the language: two radio buttons, which the style sheet reads."""
    made: list[Child] = []
    for code, name, tag in (("en", "English", "en"), ("zh", "中文", "zh-CN")):
        made.append(
            element(
                "label",
                element(
                    "input",
                    type="radio",
                    name="language",
                    id=f"language-{code}",
                    checked="" if code == chosen else None,
                ),
                # Not `lang`: each of the two names is to be seen in both.
                f" {name}",
                title=tag,
            )
        )
    return element("fieldset", *made, class_="languages", aria_label="Language · 语言")


def _section(name: str, title: Text, part: _Part, report: AuditReport, found: Any) -> Markup:
    return element(
        "section", element("h2", title, id=name), *part(report, found), aria_labelledby=name
    )


# ------------------------------------------------------------------------ verdict


def _verdict(report: AuditReport) -> Markup:
    said = verdict(report)
    tiles = [
        element(
            "div",
            element("dt", one.says),
            element("dd", one.text, None if one.more is None else element("small", one.more)),
        )
        for one in headlines(report.sections)
    ]
    return element(
        "section",
        element("h2", Text("Verdict", "结论"), id="verdict"),
        *(element("p", text, class_="warning") for text in warnings(report)[: not report.complete]),
        element("p", joined(*said)) if said else None,
        _repair(report),
        element("dl", *tiles, class_="tiles") if tiles else None,
        _checks(report.checks),
        *(element("p", text, class_="warning") for text in warnings(report)[not report.complete :]),
        class_="verdict",
        aria_labelledby="verdict",
    )


def _repair(report: AuditReport) -> Markup | None:
    if not repairable(report):
        return None
    return element("pre", element("code", "attar repair MODEL --pool blur3 -o MENDED"))


def _checks(checks: tuple[Check, ...]) -> Markup | None:
    if not checks:
        return None
    items = [
        element(
            "li",
            element("strong", Text("kept", "符合") if check.passed else Text("not kept", "不符合")),
            f": {check}",
            class_="passed" if check.passed else "failed",
        )
        for check in checks
    ]
    return fragment(element("h3", Text("Limits", "限度")), element("ul", *items))
