/** One map, large: beside the picture, with the place behind each of its pixels, and its kernel. */

import * as colours from "../../base/colours.js";
import { button } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { number, size } from "../../base/text.js";
import { WHOLE, mapPanel } from "../../parts/map-panel.js";
import { t, together } from "../../text/model.js";
import { kernelTiles } from "./kernel-tiles.js";

/**
 * @typedef {import("../../parts/map-panel.js").View} View
 * @typedef {import("../../parts/map-panel.js").Cell} Cell
 * @typedef {import("../../parts/map-panel.js").MapFacts} MapFacts
 * @typedef {import("../../parts/map-panel.js").Mark} Mark
 * @typedef {import("../../base/frames.js").Table} Table
 * @typedef {{box: number[] | null, unclipped: number[]}} Seen  top, left, height, width
 * @typedef {Seen & {channel: number, mean: number | null, maximum: number | null, dead_space: number, place: number[]}} About
 * @typedef {object} DetailFacts
 * @property {number} channel
 * @property {Record<string, MapFacts>} maps
 * @property {Record<string, About>} about
 * @property {import("./kernel-tiles.js").KernelFacts | null} kernel
 * @typedef {Seen & {at: number[], values: Record<string, number | null>}} Pointed
 */

const SIDES = /** @type {const} */ (["first", "second"]);

export class MapDetail {
  element = h("div", { class: "stack", id: "detail" });
  #panels = {
    picture_first: mapPanel(), first: mapPanel(), picture_second: mapPanel(), second: mapPanel(),
  };
  #figures = Object.fromEntries(Object.entries(this.#panels).map(([name, panel]) =>
    [name, h("figure", { class: "panel", id: `panel-${name.replace("_", "-")}` }, panel, h("figcaption"))]));
  #title = h("h2", {});
  #numbers = h("p", { class: "digits", id: "map-numbers" });
  #pointed = h("p", { class: "digits", role: "status", id: "pointed" });
  #scale = h("div", { class: "scale" });
  #kernel = h("div", { class: "stack", id: "kernel" });
  /** @type {DetailFacts | null} */
  #facts = null;
  #view = WHOLE;
  #pointing = false;
  #single = false;

  /** @param {{view: () => void, point: (cell: Cell) => void}} on */
  constructor(on) {
    for (const [name, panel] of Object.entries(this.#panels)) {
      panel.addEventListener("viewchange", (event) => {
        this.#view = /** @type {CustomEvent<View>} */ (event).detail;
        for (const each of Object.values(this.#panels)) each.view = this.#view;
        on.view();
      });
      panel.addEventListener("resized", () => on.view());
      if (name.startsWith("picture")) continue;
      panel.addEventListener("point", (event) => {
        this.#pointing = true;
        on.point(/** @type {CustomEvent<Cell>} */ (event).detail);
      });
      panel.addEventListener("leave", () => {
        this.#pointing = false;
        this.#markStrongest();
      });
    }
    this.element.append(
      h("div", { class: "row spread" }, this.#title,
        h("div", { class: "row" },
          button("−", () => this.#panels.first.zoom(1 / 1.5), { class: "icon", "aria-label": t("zoom-out"), name: "zoom-out" }),
          button("+", () => this.#panels.first.zoom(1.5), { class: "icon", "aria-label": t("zoom-in"), name: "zoom-in" }))),
      this.#numbers,
      h("div", { class: "detail-panels" }, Object.values(this.#figures)),
      this.#scale,
      this.#pointed,
      this.#kernel,
    );
  }

  /** The part and the pixels that the server is asked for. */
  get view() {
    return { ...this.#view, ...this.#panels.first.pixels };
  }

  /**
   * Show a map.
   *
   * @param {string} layer
   * @param {DetailFacts} facts
   * @param {Record<string, Table>} arrays
   * @param {Record<string, string>} names of the sides, where two are compared
   */
  show(layer, facts, arrays, names) {
    this.#facts = facts;
    const { maps, about, channel } = facts;
    const compared = "second" in about;
    const whole = maps["picture_first"]?.size ?? [1, 1];
    // Behind global pools and dense layers a map is a number: there is nothing to draw of it.
    const single = maps["first"]?.size.every((each) => each === 1) ?? false;
    for (const [name, panel] of Object.entries(this.#panels)) {
      const figure = /** @type {HTMLElement} */ (this.#figures[name]);
      const levels = arrays[name];
      const found = maps[name];
      figure.hidden = !levels || (single && !name.startsWith("picture"));
      if (!levels || !found) continue;
      panel.proportion(whole[0] ?? 1, whole[1] ?? 1);
      panel.show(levels, found);
      const key = /** @type {"picture"} */ (name.startsWith("picture") ? "picture" : "map");
      const which = compared ? names[name.endsWith("first") ? "first" : "second"] ?? "" : "";
      panel.label = t(`${key}-alt`, { layer, channel, size: size(found.size), which });
      figure.querySelector("figcaption")?.replaceChildren(
        h("strong", {}, t(`${key}-name`), which && ` · ${which}`), h("span", { class: "muted" }, size(found.size)));
    }
    this.#title.textContent = t(single ? "number-title" : "map-title", { layer, n: channel });
    this.#numbers.replaceChildren(...SIDES.flatMap((side) => {
      const found = about[side];
      return found ? [h("span", {}, compared && h("strong", {}, t("named", { name: names[side] ?? "" })), this.#said(found, single))] : [];
    }));
    const { scale, reach } = /** @type {MapFacts} */ (maps["first"]);
    const strip = h("canvas", { "aria-hidden": true });
    if (scale !== "image") colours.drawScale(strip, scale);
    this.#scale.replaceChildren(h("span", {}, scale === "signed" ? number(-reach) : "0"), strip, h("span", {}, number(reach)));
    this.#scale.hidden = single;
    this.#single = single;
    this.#kernel.replaceChildren(...kernelTiles(facts.kernel, arrays, layer));
    this.#markStrongest();
  }

  /** @param {About} about @param {boolean} single */
  #said({ dead_space, maximum, mean, place }, single) {
    if (single) return t("one-number", { value: number(maximum ?? NaN) });
    if (dead_space === 1) return t("dead-map-long");
    const [row = 0, column = 0] = place;
    return t("map-numbers", {
      maximum: number(maximum ?? NaN), mean: number(mean ?? NaN), row, column, dead: `${(100 * dead_space).toFixed(0)} %`,
    });
  }

  /** Mark the strongest place of each map, and what lies behind it. */
  #markStrongest() {
    if (!this.#facts) return;
    for (const side of SIDES) {
      const about = this.#facts.about[side];
      const alive = about && about.dead_space < 1;
      const [row = 0, column = 0] = about?.place ?? [];
      this.#panels[side].marks = alive ? [{ top: row, left: column, height: 1, width: 1, kind: "winner" }] : [];
      this.#panels[`picture_${side}`].marks = alive ? boxes(about) : [];
    }
    const about = this.#facts.about["first"];
    const hint = this.#single ? "" : t("point-hint");
    const strongest = t(this.#single ? "this-number" : "strongest");
    this.#pointed.textContent = about && about.dead_space < 1 ? together(strongest, sees(about), hint) : hint;
  }

  /** Show what a pixel that is pointed at sees. @param {Pointed} pointed */
  point(pointed) {
    if (!this.#pointing) return;
    const [row = 0, column = 0] = pointed.at;
    for (const side of SIDES) {
      this.#panels[side].marks = [{ top: row, left: column, height: 1, width: 1, kind: "window" }];
      this.#panels[`picture_${side}`].marks = boxes(pointed);
    }
    const values = SIDES.flatMap((side) => side in pointed.values ? [number(pointed.values[side] ?? NaN)] : []);
    this.#pointed.textContent = together(t("pixel", { row, column, value: values.join(" / ") }), sees(pointed));
  }
}

/** The marks of a receptive field on the picture. @param {Seen} seen @returns {Mark[]} */
function boxes({ box, unclipped }) {
  /** @type {Mark[]} */
  const marks = [];
  if (box && unclipped.some((value, i) => value !== box[i])) marks.push(mark(unclipped, "outside"));
  if (box) marks.push(mark(box, "box"));
  return marks;
}

/** @param {number[]} box @param {string} kind @returns {Mark} */
function mark([top = 0, left = 0, height = 0, width = 0], kind) {
  return { top, left, height, width, kind };
}

/** Say what a pixel sees. @param {Seen} seen */
function sees({ box, unclipped }) {
  if (!box) return t("sees-nothing");
  const [top = 0, left = 0, height = 0, width = 0] = box;
  const said = t("sees-box", { top, bottom: top + height - 1, left, right: left + width - 1, height, width });
  const cut = unclipped[2] !== height || unclipped[3] !== width;
  return together(said, cut ? t("sees-cut", { height: unclipped[2] ?? 0, width: unclipped[3] ?? 0 }) : "");
}
