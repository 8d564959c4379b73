/** The channels with the highest scores, each beside its map; of two pictures both, with what they share linked. */

import * as address from "../../base/address.js";
import * as colours from "../../base/colours.js";
import { h, svg } from "../../base/dom.js";
import { number } from "../../base/text.js";
import { t } from "../../text/scores.js";
import { bar } from "../model/layer-table.js";
import { tileCanvas } from "../model/thumbnails.js";

/**
 * @typedef {import("../../base/frames.js").Table} Table
 * @typedef {import("../model/thumbnails.js").TileFacts} TileFacts
 * @typedef {object} ScoresFacts
 * @property {string} layer
 * @property {string[]} layers
 * @property {number[]} size
 * @property {number} channels
 * @property {"mean" | "maximum"} by
 * @property {"active" | "signed"} scale
 * @property {number} reach
 * @property {number[]} shared
 * @property {Record<string, TileFacts[]>} tops
 * @property {import("./class-card.js").ClassFacts | null} classes
 * @property {string[] | null} labels
 * @property {Record<string, import("../../parts/map-panel.js").MapFacts>} pictures
 */

const ROW = 64; // px, as the style has it: links between rows are drawn to that

/**
 * Draw the lists.
 *
 * @param {ScoresFacts} facts
 * @param {Record<string, Table>} arrays
 * @param {Record<string, string>} names of the sides
 * @returns {HTMLElement[]}
 */
export function rankings(facts, arrays, names) {
  const { tops, by, shared } = facts;
  const compared = "second" in tops;
  const most = Math.max(...Object.values(tops).flat().map((each) => Math.abs(each[by] ?? 0)), 1e-30);
  const strip = h("canvas", { "aria-hidden": true });
  colours.drawScale(strip, facts.scale);
  const lists = Object.keys(tops).map((side) => list(side, facts, arrays, most, compared ? names[side] ?? "" : ""));
  const [first, second] = lists;
  const around = h("div", { class: compared ? "rankings pair" : "rankings" });
  around.append(...(first ? [first] : []), ...(second ? [links(facts), second] : []));
  // What is pointed at on one side is marked on both.
  const mark = (/** @type {Event} */ event) => {
    const row = event.target instanceof Element ? event.target.closest("[data-channel]") : null;
    const channel = row?.getAttribute("data-channel");
    for (const each of around.querySelectorAll("[data-channel]")) each.classList.toggle("marked", Boolean(channel) && each.getAttribute("data-channel") === channel);
  };
  for (const kind of ["pointerover", "focusin", "pointerleave"]) around.addEventListener(kind, mark);
  return [
    ...(compared ? [h("p", { id: "shared" }, t("shared", { n: shared.length, of: tops["first"]?.length ?? 0 }))] : []),
    around,
    h("div", { class: "scale" }, h("span", {}, facts.scale === "signed" ? number(-facts.reach) : "0"), strip, h("span", {}, number(facts.reach))),
  ];
}

/**
 * @param {string} side
 * @param {ScoresFacts} facts
 * @param {Record<string, Table>} arrays
 * @param {number} most the score that fills a bar
 * @param {string} name
 */
function list(side, { tops, by, scale, layer }, arrays, most, name) {
  const table = /** @type {Table} */ (arrays[side]);
  const others = Object.entries(tops).find(([other]) => other !== side)?.[1] ?? [];
  return h("div", { class: "ranking" },
    name && h("h3", {}, name),
    h("ol", { "data-side": side }, (tops[side] ?? []).map((each, i) => {
      const there = others.findIndex(({ channel }) => channel === each.channel);
      const value = each[by] ?? NaN;
      return h("li", { class: "rank-row", "data-channel": each.channel },
        h("span", { class: "tile" }, tileCanvas(table, i, scale)),
        h("span", { class: "rank-name" },
          h("a", { href: toModel(layer, each.channel), title: t("to-model") }, t("map", { n: each.channel })),
          there < 0 ? null : h("span", { class: "hint" }, t("also", { n: there + 1 }))),
        bar(Math.abs(value) / most),
        h("span", { class: "digits" }, number(value)));
    })));
}

/** The room Model with this map. @param {string} layer @param {number} channel */
function toModel(layer, channel) {
  const { by, class: label, tour, ...rest } = address.fields();
  return address.address("model", { ...rest, layer, channel });
}

/** Lines between the rows of channels that both lists have. @param {ScoresFacts} facts */
function links({ tops, shared }) {
  const place = (/** @type {string} */ side, /** @type {number} */ channel) =>
    (tops[side] ?? []).findIndex((each) => each.channel === channel) * ROW + ROW / 2;
  const height = Math.max(...Object.values(tops).map((top) => top.length)) * ROW;
  return svg("svg", { viewBox: `0 0 100 ${height}`, height, preserveAspectRatio: "none", class: "links", "aria-hidden": true },
    shared.map((channel) => {
      const [from, to] = [place("first", channel), place("second", channel)];
      return svg("path", { d: `M0 ${from}C50 ${from} 50 ${to} 100 ${to}`, "data-channel": channel });
    }));
}
