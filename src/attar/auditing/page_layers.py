"""The parts of a report that go layer by layer: where it is lost, and what it costs."""

from __future__ import annotations

from attar.auditing.charts import bars
from attar.auditing.cost import CostSection
from attar.auditing.lost import LayerLoss, LostSection
from attar.auditing.markup import Child, Markup, element
from attar.auditing.report import AuditReport
from attar.auditing.verdict import CAUSES
from attar.auditing.words import Text
from attar.tables import count, memory, shape_text

__all__ = ["cost_part", "lost_part", "table_of"]

_OPEN = 40  # rows, from which on a table is folded


def table_of(caption: Text, head: list[Text], numbers: set[int], rows: list[Markup]) -> Markup:
    """Return a table that scrolls by itself where the page is narrow.

    Parameters
    ----------
    caption : Text
    head : list of Text
    numbers : set of int
        Which columns are numbers.
    rows : list of Markup
    """
    heads = [
        # A column of bars has no name: its numbers stand before it.
        element("th", text, scope="col", class_="number" if i in numbers else None)
        if text.en
        else element("td")
        for i, text in enumerate(head)
    ]
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
    )
    return element(
        "div",
        table,
        class_="wide",
        tabindex=0,
        role="region",
        aria_label=f"{caption.en} · {caption.zh}",
    )


def folded(table: Markup, rows: int) -> Markup:
    """Return a table that is shown when it is asked for, where it is long."""
    if rows <= _OPEN:
        return table
    summary = Text("All {rows} rows", "全部 {rows} 行").format(rows=rows)
    return element("details", element("summary", summary), table)


# ------------------------------------------------------------------------ lost


def lost_part(_report: AuditReport, section: LostSection) -> list[Child]:
    """Return what stands below the heading."""
    return [
        element(
            "p",
            Text(
                "Each layer is compared with itself after the image was moved ({mode}, up to {far} "
                "pixels): a map should have moved along, a vector should be as it was. The error "
                "is "
                "the length of the difference by that of the answer: 0 is nothing lost, 1.41 is "
                "nothing alike.",
                "把图片移动（{mode}，最多 {far} 个像素）之后，每一层与移动前的自己相比：特征图应"
                "当跟着移动，向量应当不变。误差是差异的长度与输出的长度之比：0 表示什么都没丢，"
                "1.41 表示毫无相似之处。",
            ).format(mode=_BORDERS[section.mode], far=max(max(shift) for shift in section.shifts)),
        ),
        _causes(section),
        _key(),
        folded(_losses(section), len(section.layers)),
    ]


_BORDERS = {
    "circular": Text("circularly", "循环移动"),
    "zero": Text("with zeros", "补零"),
    "replicate": Text("with the border repeated", "重复边界"),
    "reflect": Text("mirrored", "镜像"),
}


def _causes(section: LostSection) -> Markup | None:
    found = {name: amount for name, amount in section.causes.items() if amount > 0}
    whole = sum(found.values())
    if not whole:
        return None
    items = [
        element(
            "li",
            Text("{cause}: {share:.0f} %", "{cause}：{share:.0f} %").format(
                cause=CAUSES[name], share=100 * amount / whole
            ),
        )
        for name, amount in sorted(found.items(), key=lambda one: -one[1])
    ]
    lead = Text("What all layers together add is due to", "所有层增加的误差，原因是")
    return element("div", element("p", lead), element("ul", *items))


def _key() -> Markup:
    return element(
        "p",
        element("span", element("i"), Text("taken over from the layers before", "来自前面的层")),
        element("span", element("i", class_="second"), Text("added by this layer", "这一层增加的")),
        class_="key",
    )


def _losses(section: LostSection) -> Markup:
    most = max([layer.error or 0.0 for layer in section.layers] + [1e-9])
    rows = [_loss(layer, most, worst=layer.name == section.costliest) for layer in section.layers]
    head = [
        Text("Layer", "层"),
        Text("Map", "特征图"),
        Text("Error", "误差"),
        Text("", ""),
        Text("Added", "增加"),
        Text("Aliasing", "混叠"),
        Text("Padding", "填充"),
        Text("By", "原因"),
    ]
    return table_of(
        Text("Errors under shift, layer by layer", "各层在移动下的误差"), head, {2, 4, 5, 6}, rows
    )


def _loss(layer: LayerLoss, most: float, *, worst: bool) -> Markup:
    error, added = layer.error or 0.0, max(layer.added or 0.0, 0.0)
    added = min(added, error)
    return element(
        "tr",
        element("th", layer.name, element("small", layer.kind, class_="below"), scope="row"),
        element("td", "" if layer.places is None else shape_text(layer.places)),
        _number(layer.error),
        bars((error - added) / most, added / most),
        _number(layer.added, sign=True),
        _number(layer.aliasing),
        _number(layer.padding),
        element("td", None if layer.cause is None else CAUSES[layer.cause]),
        class_="worst" if worst else None,
    )


def _number(value: float | None, *, sign: bool = False) -> Markup:
    text = "–" if value is None else f"{value:+.3f}" if sign else f"{value:.3f}"
    return element("td", text.replace("-", "−"), class_="number")


# ------------------------------------------------------------------------ cost


def cost_part(_report: AuditReport, section: CostSection) -> list[Child]:
    """Return what stands below the heading."""
    lead = Text(
        "For one image of {size}: {work} multiply-adds, {weights} weights, and {memory} for the "
        "answers of all layers.",
        "处理一张 {size} 的图片：{work} 次乘加，{weights} 个权重，所有层的输出共 {memory}。",
    ).format(
        size=shape_text(section.size),
        work=count(section.multiply_adds),
        weights=count(section.parameters),
        memory=memory(section.activation_bytes),
    )
    rows = [
        element(
            "tr",
            element("th", one.name, element("small", one.kind, class_="below"), scope="row"),
            element("td", shape_text(one.shape)),
            element(
                "td",
                "?" if one.multiply_adds is None else count(one.multiply_adds),
                class_="number",
            ),
            bars(one.multiply_add_share),
            element("td", memory(one.activation_bytes), class_="number"),
            bars(0.0, one.activation_share),
            element("td", count(one.parameters), class_="number"),
        )
        for one in section.layers
    ]
    head = [
        Text("Layer", "层"),
        Text("Answer", "输出"),
        Text("Multiply-adds", "乘加次数"),
        Text("", ""),
        Text("Memory", "内存"),
        Text("", ""),
        Text("Weights", "权重"),
    ]
    table = table_of(Text("Cost, layer by layer", "各层的开销"), head, {2, 4, 6}, rows)
    return [element("p", lead), folded(table, len(rows))]
