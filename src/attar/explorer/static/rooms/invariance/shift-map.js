/**
 * <shift-map>: for every shift of a few pixels, after how many pools it is forgotten.
 *
 * A grid with a number in each cell. Event "pick" (detail: {dy, dx}) for a click, Enter or the space bar.
 */

import { h } from "../../base/dom.js";
import { t } from "../../text/invariance.js";

const NEVER = 255;

/** @typedef {import("../../base/frames.js").Table} Table */
/** @typedef {"same" | "moved"} Count */

export class ShiftMap extends HTMLElement {
  /** @type {HTMLElement[]} */
  #cells = [];
  #reach = 0;
  /** Which cell the keyboard is at. */
  #at = 0;

  get #side() {
    return 2 * this.#reach + 1;
  }

  /** @param {number} reach @param {number} near shifts of the lesson, which are framed */
  #build(reach, near) {
    this.#reach = reach;
    const side = this.#side;
    const offsets = Array.from({ length: side }, (_, i) => i - reach);
    const sign = (/** @type {number} */ value) => String(value).replace("-", "−");
    const place = (/** @type {number} */ row, /** @type {number} */ column) => ({ style: { "grid-area": `${row} / ${column}` } });
    this.#cells = offsets.flatMap((_, row) => offsets.map((__, column) =>
      h("div", {
        role: "gridcell", class: "shift", tabindex: -1, ...place(row + 2, column + 2),
        onclick: () => this.#pick(row * side + column),
        onfocus: () => this.#enter(row * side + column),
      })));
    this.#at = (this.#cells.length - 1) / 2;
    this.replaceChildren(
      h("div", { role: "grid", class: "shifts", "aria-label": t("shifts-label"), style: { "--side": side }, onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) },
        h("div", { role: "row" },
          h("span", { role: "columnheader", class: "shift-corner", ...place(1, 1) }, t("shift-axes")),
          offsets.map((dx, i) => h("span", { role: "columnheader", ...place(1, i + 2) }, sign(dx)))),
        offsets.map((dy, row) =>
          h("div", { role: "row" },
            h("span", { role: "rowheader", ...place(row + 2, 1) }, sign(dy)),
            this.#cells.slice(row * side, (row + 1) * side)))),
      h("div", {
        class: "shift-near", "aria-hidden": true,
        style: { "--first": reach - near, "--count": 2 * near + 1, "--side": side },
      }),
    );
  }

  /**
   * Show how many pools it takes for each shift.
   *
   * @param {Table} table
   * @param {{reach: number, near: number, most: number}} facts `most` pools there are
   * @param {Count} count
   */
  show(table, { reach, near, most }, count) {
    if (reach !== this.#reach) this.#build(reach, near);
    const side = this.#side;
    this.#cells.forEach((cell, i) => {
      const pools = Number(table.data[i]);
      const [dy, dx] = [Math.floor(i / side) - reach, (i % side) - reach];
      const never = pools === NEVER;
      // The lighter, the less a shift changes.
      cell.dataset["shade"] = never ? "never" : String(count === "moved" ? most - pools : pools);
      cell.textContent = never ? "≠" : String(pools);
      const what = never ? "cell-never" : count === "moved" ? "cell-moved" : "cell-same";
      const label = t(what, { dy, dx, pools });
      cell.setAttribute("aria-label", label);
      cell.title = label;
    });
  }

  /** The shift of the twin. @param {number} dy @param {number} dx */
  choose(dy, dx) {
    const inside = [dy, dx].every((each) => Number.isInteger(each) && Math.abs(each) <= this.#reach);
    const chosen = inside ? (dy + this.#reach) * this.#side + dx + this.#reach : -1;
    this.#cells.forEach((cell, i) => cell.setAttribute("aria-selected", String(i === chosen)));
    if (!this.contains(document.activeElement)) this.#enter(inside ? chosen : this.#at);
  }

  /** Tab comes to one cell of the grid only; arrows go on from there. @param {number} cell */
  #enter(cell) {
    this.#cells[this.#at]?.setAttribute("tabindex", "-1");
    this.#at = cell;
    this.#cells[cell]?.setAttribute("tabindex", "0");
  }

  /** @param {number} cell */
  #pick(cell) {
    this.#enter(cell);
    const detail = { dy: Math.floor(cell / this.#side) - this.#reach, dx: (cell % this.#side) - this.#reach };
    this.dispatchEvent(new CustomEvent("pick", { detail }));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const side = this.#side;
    const [row, column] = [Math.floor(this.#at / side), this.#at % side];
    const arrow = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const clip = (/** @type {number} */ value) => Math.min(Math.max(value, 0), side - 1);
    if (arrow) {
      this.#cells[clip(row + Number(arrow[0])) * side + clip(column + Number(arrow[1]))]?.focus();
    } else if (event.key === "Home" || event.key === "End") {
      this.#cells[row * side + (event.key === "Home" ? 0 : side - 1)]?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      this.#pick(this.#at);
    } else {
      return;
    }
    event.preventDefault();
  }
}

customElements.define("shift-map", ShiftMap);

/** Make a map of shifts. @returns {ShiftMap} */
export function shiftMap() {
  return /** @type {ShiftMap} */ (document.createElement("shift-map"));
}
