"""The part of a report on space: channels that do nothing, and what pools make of dead space."""

from __future__ import annotations

from attar.auditing.charts import bars
from attar.auditing.headlines import percent
from attar.auditing.markup import Child, Markup, element
from attar.auditing.page_layers import folded, table_of
from attar.auditing.report import AuditReport
from attar.auditing.space import LayerSpace, PoolSpace, SpaceSection
from attar.auditing.words import Text
from attar.tables import count

__all__ = ["space_part"]

_LISTED = 24  # channels of a kind and layer


def space_part(_report: AuditReport, section: SpaceSection) -> list[Child]:
    """Return what stands below the heading."""
    unseen = max((layer.unseen for layer in section.layers if layer.dead), default=None)
    lead = Text(
        "What was active in each channel, over all places of all {images} images. A channel is "
        "dead "
        "where it was never active, nearly dead where it was in less than {nearly} of the places, "
        "and "
        "a duplicate where its correlation with an earlier one is at least {alike:g}.",
        "在全部 {images} 张图片的所有位置上，看每个通道是否激活。从未激活的通道是死的，激活的位置"
        "少于 {nearly} 的几乎是死的，与前面某个通道的相关系数不小于 {alike:g} 的是重复的。",
    ).format(
        images=count(section.images),
        nearly=percent(section.nearly_dead_below),
        alike=section.duplicate_from,
    )
    caveat = None
    if unseen is not None:
        caveat = Text(
            "“Dead” holds of these images. So few say little about others: a channel may be "
            "active in "
            "up to {unseen} of independent places and still look dead here (with a probability "
            "of 5 %).",
            "“死”只是就这些图片而言。换别的图片未必如此：一个通道即使在多达 {unseen} 的独立位置上"
            "激活，在这里仍有 5 % 的可能看起来是死的。",
        ).format(unseen=percent(unseen))
    rows = [_layer(layer) for layer in section.layers]
    head = [
        Text("Layer", "层"),
        Text("Channels", "通道"),
        Text("Dead", "死"),
        Text("Nearly", "几乎"),
        Text("Always on", "始终激活"),
        Text("Constant", "恒定"),
        Text("Duplicates", "重复"),
        Text("Dead space", "死区"),
        Text("", ""),
    ]
    table = table_of(Text("Channels, layer by layer", "各层的通道"), head, set(range(1, 8)), rows)
    return [
        element("p", lead),
        None if caveat is None else element("p", caveat, class_="note"),
        folded(table, len(rows)),
        _named(section),
        *_pools(section.pools),
    ]


def _layer(layer: LayerSpace) -> Markup:
    # Where values are of both signs, 0 is a number like others, and "always on" says nothing.
    always = len(layer.always_on) if layer.rectified else None
    amounts = (
        *(len(layer.dead), len(layer.nearly_dead), always),
        *(len(layer.constant), len(layer.duplicates)),
    )
    cells = [
        element(
            "td",
            "–" if amount is None else count(amount),
            class_="number some" if amount else "number",
        )
        for amount in amounts
    ]
    return element(
        "tr",
        element("th", layer.name, element("small", layer.kind, class_="below"), scope="row"),
        element("td", count(layer.channels), class_="number"),
        *cells,
        element("td", percent(layer.zero_fraction), class_="number"),
        bars(layer.zero_fraction),
    )


_KINDS = (
    ("dead", Text("dead", "死")),
    ("nearly_dead", Text("nearly dead", "几乎死")),
    ("constant", Text("constant", "恒定")),
)


def _named(section: SpaceSection) -> Markup | None:
    """Return which channels they are."""
    items = []
    for layer in section.layers:
        found = [(says, getattr(layer, kind)) for kind, says in _KINDS]
        parts = [
            Text("{says}: {which}", "{says}：{which}").format(says=says, which=_which(channels))
            for says, channels in found
            if channels
        ]
        if layer.duplicates:
            pairs = [f"{one.channel} = {one.of}" for one in layer.duplicates]
            parts.append(Text("duplicates: {which}", "重复：{which}").format(which=_which(pairs)))
        if parts:
            said = Text("; ".join(part.en for part in parts), "；".join(part.zh for part in parts))
            items.append(element("li", element("code", layer.name), " ", said))
    if not items:
        return None
    summary = Text("Which channels (counted from 0)", "是哪些通道（从 0 数起）")
    return element("details", element("summary", summary), element("ul", *items), open="")


def _which(channels: tuple[int, ...] | list[str]) -> str:
    more = len(channels) - _LISTED
    listed = ", ".join(map(str, channels[:_LISTED]))
    return f"{listed}, … (+{more})" if more > 0 else listed


def _pools(pools: tuple[PoolSpace, ...]) -> list[Child]:
    if not pools:
        return []
    rows = [
        element(
            "tr",
            element(
                "th", pool.name, element("small", f"← {pool.before}", class_="below"), scope="row"
            ),
            element("td", percent(pool.zeros_before), class_="number"),
            element("td", percent(pool.zeros_after), class_="number"),
            element("td", _times(pool.intensification), class_="number"),
            element("td", _times(pool.strength), class_="number"),
        )
        for pool in pools
    ]
    head = [
        Text("Pool", "池化层"),
        Text("Dead space before", "之前的死区"),
        Text("after", "之后"),
        Text("Intensification", "增强"),
        Text("Strength", "强度"),
    ]
    caption = Text(
        "What pools make of dead space. Intensification: active fraction after by that before; "
        "strength: mean after by mean before",
        "池化之后死区的变化。增强：之后与之前激活比例之比；强度：之后与之前均值之比",
    )
    return [
        element("h3", Text("Pools", "池化层")),
        table_of(caption, head, {1, 2, 3, 4}, rows),
    ]


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"
