/** The layers of a model: one row each, to be chosen with mouse or keyboard. */

import { h } from "../../base/dom.js";
import { percent, size } from "../../base/text.js";
import { t } from "../../text/model.js";
import { intoSight, only, rove } from "./roving.js";

/**
 * @typedef {{dead_space: number, dead: number, channels: number, maximum: number | null}} Measured
 * @typedef {object} LayerRow
 * @property {string} name
 * @property {string} kind
 * @property {number[]} shape
 * @property {boolean} spatial
 * @property {number[]} field
 * @property {number[]} stride
 * @property {number} multiply_adds
 * @property {number} parameters
 * @property {Measured} first
 * @property {Measured} [second]
 * @property {number | null} [difference]
 */

/** Write a count with thousands and millions. @param {number} value */
export function amount(value) {
  for (const [unit, worth] of /** @type {[string, number][]} */ ([["G", 1e9], ["M", 1e6], ["k", 1e3]])) {
    if (value >= worth) return `${(value / worth).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

export class LayerTable {
  element = h("div", { class: "layer-table", id: "layer-table" });
  /** @type {HTMLButtonElement[]} */
  #buttons = [];
  /** @type {(name: string) => void} */
  #onchoose;

  /** @param {(name: string) => void} onchoose */
  constructor(onchoose) {
    this.#onchoose = onchoose;
    rove(this.element, () => this.#buttons);
  }

  /**
   * Show layers.
   *
   * @param {LayerRow[]} layers
   * @param {boolean} compared
   */
  show(layers, compared) {
    const focused = this.#buttons.find((each) => each === document.activeElement)?.value;
    const top = this.element.scrollTop;
    this.#buttons = layers.map((layer) =>
      h("button", { type: "button", class: "quiet layer", value: layer.name, onclick: () => this.#onchoose(layer.name) }, layer.name));
    const number = { class: "number", scope: "col" };
    this.element.replaceChildren(
      h("table", {},
        h("caption", { class: "visually-hidden" }, t("layers-caption")),
        h("thead", {}, h("tr", {},
          h("th", { scope: "col" }, t("layer")), h("th", { scope: "col" }, t("shape")), h("th", number, t("dead")),
          compared && h("th", number, t("difference")),
          h("th", number, t("field")), h("th", number, t("stride")), h("th", number, t("work")))),
        h("tbody", {}, layers.map((layer, i) => this.#row(layer, i, compared)))),
    );
    this.element.scrollTop = top;
    only(this.#buttons, undefined);
    this.#buttons.find((each) => each.value === focused)?.focus();
  }

  /** @param {LayerRow} layer @param {number} i @param {boolean} compared */
  #row(layer, i, compared) {
    const { first, difference } = layer;
    const dead = first.dead ? t("dead-maps", { n: first.dead, of: first.channels }) : "";
    return h("tr", {},
      h("th", { scope: "row" }, this.#buttons[i], h("span", { class: "kind" }, layer.kind)),
      h("td", {}, size(layer.shape)),
      h("td", { class: "number" }, h("span", { class: "measure", title: dead }, bar(first.dead_space), h("span", {}, percent(first.dead_space)))),
      compared && h("td", { class: "number" }, difference === null || difference === undefined
        ? t("unknown")
        : h("span", { class: "measure" }, bar(Math.min(difference, 1)), h("span", {}, percent(difference)))),
      h("td", { class: "number" }, size(layer.field)),
      h("td", { class: "number" }, layer.stride.some(Boolean) ? size(layer.stride) : t("unknown")),
      h("td", { class: "number" }, layer.multiply_adds ? amount(layer.multiply_adds) : t("unknown")),
    );
  }

  /** Mark the layer that is chosen. @param {string} name */
  set chosen(name) {
    for (const each of this.#buttons) {
      if (each.value === name) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
      each.closest("tr")?.classList.toggle("chosen", each.value === name);
    }
    const chosen = this.#buttons.find((each) => each.value === name);
    only(this.#buttons, chosen);
    const row = chosen?.closest("tr");
    if (row) intoSight(this.element, row);
  }
}

/** A fraction as a bar; the number stands beside it. @param {number} part */
export function bar(part) {
  return h("span", { class: "bar", "aria-hidden": true }, h("span", { style: { "--part": part } }));
}
