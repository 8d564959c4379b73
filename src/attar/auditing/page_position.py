"""The part of a report on position: from which layer it can be read where a feature is."""

from __future__ import annotations

from attar.auditing.charts import bars, curve
from attar.auditing.markup import Child, Markup, element
from attar.auditing.page_layers import folded, table_of
from attar.auditing.position import LayerPosition, PositionSection
from attar.auditing.report import AuditReport
from attar.auditing.words import Text

__all__ = ["position_part"]

_CURVES = 4  # that one drawing holds


def position_part(_report: AuditReport, section: PositionSection) -> list[Child]:
    """Return what stands below the heading."""
    lead = Text(
        "A disc of {feature} pixels was drawn at {places} places of each of {images} images, and a "
        "linear probe learned to read from each layer where it is. It was tried at places that it "
        "had "
        "not learned from. Guessing the middle misses by {chance:.1f} pixels.",
        "在 {images} 张图片的每一张上，把一个 {feature} 像素的圆盘画到 {places} 个位置，用线性探"
        "针学习从每一层读出它在哪里，再在没学过的位置上检验。总是猜中间的话，平均偏差 "
        "{chance:.1f} 个像素。",
    ).format(
        feature=section.feature,
        places=section.places,
        images=section.images,
        chance=section.chance_error,
    )
    rows = [_layer(layer) for layer in section.layers]
    head = [
        Text("Layer", "层"),
        Text("From", "读自"),
        Text("Read (R²)", "可读程度（R²）"),
        Text("", ""),
        Text("Missed by", "偏差"),
        Text("From means (R²)", "只看均值（R²）"),
    ]
    table = table_of(
        Text("Where a feature is, read layer by layer", "从各层读取位置"), head, {2, 4, 5}, rows
    )
    return [element("p", lead), *_curves(section), folded(table, len(rows))]


def _layer(layer: LayerPosition) -> Markup:
    best = layer.best
    whole = Text("the map", "特征图") if layer.placed is not None else Text("the vector", "向量")
    return element(
        "tr",
        element("th", layer.name, element("small", layer.kind, class_="below"), scope="row"),
        element("td", whole),
        element("td", f"{best.r2:.2f}".replace("-", "−"), class_="number"),
        bars(max(best.r2, 0.0)),
        element(
            "td",
            Text("{error:.2f} px", "{error:.2f} 像素").format(error=best.error),
            class_="number",
        ),
        element(
            "td",
            "–" if layer.placed is None else f"{layer.pooled.r2:.2f}".replace("-", "−"),
            class_="number",
        ),
    )


def _curves(section: PositionSection) -> list[Child]:
    shown = _chosen([layer for layer in section.layers if layer.best.curve.distances])
    if not shown:
        return []
    series = {
        layer.name: [
            (float(distance), accuracy)
            for distance, accuracy in zip(
                layer.best.curve.distances, layer.best.curve.accuracy, strict=True
            )
        ]
        for layer in shown
    }
    drawn = curve(
        series,
        label="told-apart",
        across=Text("pixels between two places", "两个位置相距的像素"),
        up=Text("told apart", "分辨正确的比例"),
        write=lambda value: f"{100 * value:.0f} %",
        ends=(0.5, 1.0),
    )
    caption = Text(
        "How often two places of the disc are told apart, by how far apart they are. 50 % is "
        "guessing. What pools lose, they lose over small distances.",
        "圆盘的两个位置相距不同像素时，分辨正确的比例。50 % 等于瞎猜。池化丢掉的，是近距离上的位"
        "置信息。",
    )
    return [
        element("h3", Text("Told apart, by distance", "按距离分辨")),
        element("figure", drawn, element("figcaption", caption, id="told-apart"), class_="curve"),
    ]


def _chosen(layers: list[LayerPosition]) -> list[LayerPosition]:
    """Return the first, the last, and pools between them, as many as a drawing holds."""
    if len(layers) <= _CURVES:
        return layers
    between = [layer for layer in layers[1:-1] if layer.task == "condense"] or layers[1:-1]
    room = min(_CURVES - 2, len(between))
    picked = [between[round((k + 1) * (len(between) - 1) / (room + 1))] for k in range(room)]
    if room == len(between):
        picked = between
    return [layers[0], *dict.fromkeys(picked), layers[-1]]
