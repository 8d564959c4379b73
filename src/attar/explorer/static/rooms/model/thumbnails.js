/** The maps of a layer as thumbnails: a page of them, with two pictures side by side where two are compared. */

import * as colours from "../../base/colours.js";
import { button, segments } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { number } from "../../base/text.js";
import { t } from "../../text/model.js";
import { intoSight, only, rove } from "./roving.js";

/**
 * @typedef {import("../../base/frames.js").Table} Table
 * @typedef {{channel: number, mean: number | null, maximum: number | null, dead_space: number}} TileFacts
 * @typedef {object} MapsFacts
 * @property {number[]} size
 * @property {number} channels
 * @property {number} dead
 * @property {number} page
 * @property {number} pages
 * @property {"active" | "signed"} scale
 * @property {number} reach
 * @property {Record<string, TileFacts[]>} tiles
 * @typedef {{channel: (channel: number) => void, page: (page: number) => void, order: (order: "strongest" | "given") => void}} Wishes
 */

/**
 * Draw one of the maps of an array (n, h, w).
 *
 * @param {Table} table
 * @param {number} i
 * @param {"active" | "signed"} scale
 */
export function tileCanvas(table, i, scale) {
  const [, height = 1, width = 1] = table.shape;
  const canvas = h("canvas", { width, height, "aria-hidden": true, class: "tile-map" });
  const data = table.data.subarray(i * height * width, (i + 1) * height * width);
  canvas.getContext("2d")?.putImageData(colours.coloured({ data, shape: [height, width] }, scale), 0, 0);
  return canvas;
}

export class Thumbnails {
  element = h("div", { class: "stack", id: "thumbnails" });
  #grid = h("div", { class: "thumbnails", role: "group", "aria-label": t("maps") });
  /** @type {HTMLButtonElement[]} */
  #buttons = [];
  /** @type {Wishes} */
  #on;
  #head = h("div", { class: "row spread" });
  #foot = h("div", { class: "row", id: "pages" });
  #scale = h("div", { class: "scale" });

  /** @param {Wishes} on what to do when something is chosen */
  constructor(on) {
    this.#on = on;
    rove(this.#grid, () => this.#buttons, () => {
      const top = this.#buttons[0]?.offsetTop;
      return Math.max(this.#buttons.filter((each) => each.offsetTop === top).length, 1);
    });
    this.element.append(this.#head, this.#scale, this.#grid, this.#foot);
  }

  /**
   * Show a page.
   *
   * @param {MapsFacts} facts
   * @param {Record<string, Table>} arrays
   * @param {"strongest" | "given"} order
   */
  show(facts, arrays, order) {
    const { tiles, scale, channels, dead, page, pages } = facts;
    const first = /** @type {TileFacts[]} */ (tiles["first"]);
    const vectors = facts.size[0] === 1 && facts.size[1] === 1;
    const focused = this.#buttons.find((each) => each === document.activeElement)?.value;
    this.#head.replaceChildren(
      h("p", { class: "muted" }, t(vectors ? "numbers-of" : "maps-of", { n: channels, height: facts.size[0] ?? 0, width: facts.size[1] ?? 0 }),
        dead ? ` · ${t("dead-of", { n: dead })}` : ""),
      segments({
        label: t("order"), value: order, name: "order",
        options: [{ value: "strongest", text: t("order-strongest") }, { value: "given", text: t("order-given") }],
        onchange: (chosen) => this.#on.order(chosen),
      }));
    const strip = h("canvas", { "aria-hidden": true });
    colours.drawScale(strip, scale);
    this.#scale.replaceChildren(
      h("span", {}, scale === "signed" ? number(-facts.reach) : "0"), strip, h("span", {}, number(facts.reach)));
    this.#buttons = first.map((each, i) => this.#tile(each, i, facts, arrays));
    this.#grid.replaceChildren(...this.#buttons);
    this.#grid.classList.toggle("pairs", "second" in tiles);
    const label = t("page-of", { n: page + 1, of: pages });
    this.#foot.replaceChildren(...(pages < 2 ? [] : [
      button("‹", () => this.#on.page(page - 1), { disabled: page === 0, class: "icon", "aria-label": t("page-before"), name: "page-before" }),
      h("span", { class: "digits" }, label),
      button("›", () => this.#on.page(page + 1), { disabled: page + 1 === pages, class: "icon", "aria-label": t("page-next"), name: "page-next" }),
    ]));
    only(this.#buttons, undefined);
    this.#buttons.find((each) => each.value === focused)?.focus();
  }

  /**
   * @param {TileFacts} each
   * @param {number} i
   * @param {MapsFacts} facts
   * @param {Record<string, Table>} arrays
   */
  #tile(each, i, { tiles, scale }, arrays) {
    const dead = each.dead_space === 1;
    const second = tiles["second"]?.[i];
    const words = dead ? t("dead-map") : t("peak", { n: number(each.maximum ?? NaN) });
    const canvases = ["first", "second"].flatMap((name) => {
      const table = arrays[name];
      return table ? [h("span", { class: `tile${tiles[name]?.[i]?.dead_space === 1 ? " dead" : ""}` }, tileCanvas(table, i, scale))] : [];
    });
    return h("button", {
      type: "button", class: "thumbnail", value: String(each.channel), onclick: () => this.#on.channel(each.channel),
      "aria-label": t("map-label", { n: each.channel, what: words }), title: t("map-label", { n: each.channel, what: words }),
    },
    h("span", { class: "tiles" }, canvases),
    h("span", { class: "caption", "aria-hidden": true }, h("span", {}, String(each.channel)),
      h("span", { class: "muted" }, dead && (!second || second.dead_space === 1) ? t("dead-short") : number(each.maximum ?? NaN, 2))));
  }

  /** Mark the map that is chosen. @param {number} channel */
  set chosen(channel) {
    for (const each of this.#buttons) each.setAttribute("aria-pressed", String(each.value === String(channel)));
    const chosen = this.#buttons.find((each) => each.value === String(channel));
    only(this.#buttons, chosen);
    if (chosen) intoSight(this.#grid, chosen);
  }
}
