/** How one number came about: patch × kernel, + bias, activation, and what its window makes of it. */

import { swatch } from "../../base/colours.js";
import { button } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { number } from "../../base/text.js";
import { t } from "../../text/extract.js";

/**
 * @typedef {import("../../base/frames.js").Table} Table
 * @typedef {import("../../base/connection.js").Reply} Reply
 * @typedef {import("./choices.js").Choices} Choices
 * @typedef {import("./choices.js").Stage} Stage
 * @typedef {import("../../parts/map-panel.js").Mark} Mark
 * @typedef {{top: number, left: number, height: number, width: number}} Rectangle
 */

/** The marks of an answer on each map. @param {any} fields @returns {Record<Stage, Mark[]>} */
export function marksOf(fields) {
  const { patch, box, window, cell, condensed, winner } = fields;
  const one = (/** @type {number[]} */ [row = 0, column = 0], /** @type {string} */ kind) =>
    ({ top: row, left: column, height: 1, width: 1, kind });
  const chosen = winner && winner[0] === cell[0] && winner[1] === cell[1];
  return {
    image: [
      ...(condensed ? [{ ...box, kind: "outside" }, { ...inside(box, fields.size), kind: "box" }] : []),
      { ...inside(patch, fields.size), kind: "winner" },
    ],
    filter: [...(condensed ? [{ ...window, kind: "window" }] : []), one(cell, "winner")],
    detect: [
      ...(condensed ? [{ ...window, kind: "window" }] : []),
      ...(winner && !chosen ? [one(winner, "winner")] : []),
      one(cell, winner && !chosen ? "cursor" : "winner"),
    ],
    condense: condensed ? [one(condensed, "window")] : [],
  };
}

/** @param {Rectangle} box @param {number[]} size */
function inside({ top, left, height, width }, [rows = 0, columns = 0]) {
  const [first, start] = [Math.max(top, 0), Math.max(left, 0)];
  return {
    top: first, left: start,
    height: Math.min(top + height, rows) - first, width: Math.min(left + width, columns) - start,
  };
}

export class ArithmeticCard {
  #where = h("p", { class: "digits muted", id: "sum-where" });
  #steps = h("div", { class: "sum-steps" });
  #notes = h("div", { class: "hint" });
  #said = h("p", { class: "visually-hidden", "aria-live": "polite", id: "said" });
  #free;
  #closer;

  /** @param {{strongest: () => void, release: () => void, closer: () => void}} actions */
  constructor({ strongest, release, closer }) {
    this.#free = button(t("release"), release, { name: "release", hidden: true });
    this.#closer = button(t("look-closer"), closer, { name: "look-closer", hidden: true });
    this.element = h("section", { class: "card stack sum-card", id: "sum" },
      h("div", { class: "row spread" },
        h("h2", {}, t("sum-card")), this.#where,
        h("div", { class: "row" }, this.#closer, this.#free, button(t("strongest"), strongest, { name: "strongest" }))),
      this.#steps, this.#notes, this.#said);
    this.clear();
  }

  /** Nothing is pointed at. */
  clear() {
    this.#where.textContent = "";
    this.#said.textContent = "";
    this.#steps.replaceChildren(h("p", { class: "hint" }, t("sum-hint")));
    this.#notes.replaceChildren();
    this.#free.hidden = this.#closer.hidden = true;
  }

  /**
   * @param {Reply} reply
   * @param {Choices} choices
   */
  show({ fields, arrays }, choices) {
    const { patch, kernel, products, window, numbers, channel_sums: sums } = arrays;
    if (!patch || !kernel || !products || !window || !numbers || !sums) return;
    const [sum = 0, bias = 0, filter = 0, detect = 0, condense = 0] = numbers.data;
    const { stage, cell, condensed, winner } = fields;
    const [row, column] = stage === "condense" ? condensed : cell;
    const place = { stage: t(/** @type {Stage} */ (stage)), row, column };
    const colour = sums.data.length > 1;
    const outside = (/** @type {number} */ i, /** @type {number} */ j) => {
      const [y, x] = [fields.patch.top + i, fields.patch.left + j];
      return y < 0 || x < 0 || y >= fields.size[0] || x >= fields.size[1];
    };
    const largest = (/** @type {Table} */ table) => Math.max(...Array.from(table.data, Math.abs)) || 1;
    const signed = (/** @type {Table} */ table) => {
      const reach = largest(table);
      return (/** @type {number} */ value) => swatch("signed", 128 + Math.round((127 * value) / reach));
    };
    const gray = (/** @type {number} */ value) => swatch("image", Math.round(255 * Math.min(Math.max(value, 0), 1)));
    const active = (/** @type {number} */ value) => swatch("active", Math.round((255 * Math.max(value, 0)) / largest(window)));

    this.#where.textContent = t("sum-where", place);
    const condensing = choices.pool === "none" ? "no-activation" : choices.pool === "max" ? "max-of" : "average-of";
    this.#steps.replaceChildren(
      grid(t(colour ? "patch-color" : "patch"), patch, gray, { outside }),
      after("×", grid(t("weights"), kernel, signed(kernel))),
      after("=", grid(t("products"), products, signed(products), { outside })),
      after("→", h("dl", { class: "sum-chain digits" },
        line(t("sum"), sum), line(t("plus-bias", { bias: number(bias) }), filter, t("is-filter")),
        line(t(choices.activation === "relu" ? "and-relu" : "no-activation"), detect, t("is-detect")))),
      ...(condensed ? [
        after("→", grid(t("window"), window, choices.activation === "none" ? signed(window) : active, {
          chosen: (i, j) => winner && i + fields.window.top === winner[0] && j + fields.window.left === winner[1],
          cursor: (i, j) => i + fields.window.top === cell[0] && j + fields.window.left === cell[1],
        })),
        after("→", h("dl", { class: "sum-chain digits" }, line(t(condensing), condense, t("is-condense")))),
      ] : []),
    );
    const dead = condensed && choices.pool !== "none" && window.data.every((value) => value === 0);
    const lost = winner && (winner[0] !== cell[0] || winner[1] !== cell[1]) && detect < condense;
    this.#notes.replaceChildren(...[
      colour && t("color-note", Object.fromEntries(["r", "g", "b"].map((name, i) => [name, number(sums.data[i] ?? 0)]))),
      !condensed && t("not-covered"), dead && t("all-dead"), lost && t("lost-to"),
    ].filter((note) => typeof note === "string").map((note) => h("p", {}, note)));
    const value = { image: patch.data[0] ?? 0, filter, detect, condense }[/** @type {Stage} */ (stage)];
    this.#said.textContent = `${stage === "image" ? "" : t("said", { ...place, value: number(value) })} ${t("said-steps", {
      sum: number(sum), filter: number(filter), detect: number(detect), condense: number(condense),
    })}`;
    this.#free.hidden = choices.at === null;
    this.#closer.hidden = false;
  }
}

/** A step of the calculation, behind its sign. @param {string} sign @param {HTMLElement} what */
function after(sign, what) {
  return h("div", { class: "sum-step" }, h("span", { class: "sum-operator", "aria-hidden": true }, sign), what);
}

/** A line of the chain. @param {string} what @param {number} value @param {string} [name] of the map that holds it */
function line(what, value, name) {
  return h("div", {}, h("dt", {}, what), h("dd", {}, name ? h("span", { class: "muted" }, `${name} `) : null, number(value, 5)));
}

/**
 * A small table of numbers, coloured.
 *
 * @param {string} name
 * @param {Table} table
 * @param {(value: number) => {colour: string, ink: string}} paint
 * @param {Record<string, (row: number, column: number) => boolean>} [marked] classes of cells
 */
function grid(name, { data, shape: [height = 1, width = 1] }, paint, marked = {}) {
  const rows = Array.from({ length: height }, (_, i) => h("tr", {}, Array.from({ length: width }, (_, j) => {
    const value = data[i * width + j] ?? 0;
    const { colour, ink } = paint(value);
    const classes = Object.entries(marked).filter(([, holds]) => holds(i, j)).map(([kind]) => kind);
    return h("td", { class: classes.join(" ") || null, style: { "background-color": colour, color: ink } }, number(value, width > 5 ? 2 : 3));
  })));
  const label = t("table-size", { what: name, height, width });
  const scrolls = width > 7 || height > 7;
  return h("div", { class: "sum-grid", ...(scrolls ? { tabindex: 0, role: "region", "aria-label": label } : {}) },
    h("table", {}, h("caption", {}, name), h("tbody", {}, rows)));
}
