/**
 * <pooled-levels>: the original, its twin and their difference after each number of pools, side by side.
 *
 * Event "see" (detail: {level, row, column}, or null) when a cell is pointed at, or none is any more.
 */

import { h } from "../../base/dom.js";
import { number, percent, size } from "../../base/text.js";
import { WHOLE, mapPanel } from "../../parts/map-panel.js";
import { t } from "../../text/invariance.js";

/** @typedef {import("../../base/frames.js").Table} Table */
/** @typedef {import("../../parts/map-panel.js").MapPanel} MapPanel */
/** @typedef {import("../../parts/map-panel.js").Cell} Cell */
/** @typedef {"nothing" | "one" | "peak" | "two"} Left what is left of two dots */
/**
 * @typedef {object} Level  what the server says of the maps after some pools
 * @property {number[]} size
 * @property {number} reach
 * @property {[number, number, number] | null} field
 * @property {[number, number]} strongest
 * @property {boolean} same
 * @property {[number, number] | null} moved
 * @property {number | null} change
 * @property {Left[]} left
 */

const ROWS = /** @type {const} */ (["original", "twin", "difference"]);

/** Say a move, such as "down 1, left 2". @param {number} dy @param {number} dx */
export function move(dy, dx) {
  const parts = [];
  if (dy) parts.push(t(dy > 0 ? "by-down" : "by-up", { n: number(Math.abs(dy)) }));
  if (dx) parts.push(t(dx > 0 ? "by-right" : "by-left", { n: number(Math.abs(dx)) }));
  return parts.length ? parts.join(t("comma")) : t("by-none");
}

/** How the two maps of a level compare, as a word and as a sentence. @param {Level} level */
export function verdict({ same, moved, change, strongest }) {
  if (same) return strongest[0] ? { kind: "same", text: t("verdict-same") } : { kind: "same", text: t("verdict-empty") };
  if (moved) return { kind: "moved", text: t("verdict-moved", { move: move(...moved) }) };
  if (change === null) return { kind: "differ", text: t("verdict-lost") };
  return { kind: "differ", text: t("verdict-differ", { part: percent(change) }) };
}

export class PooledLevels extends HTMLElement {
  /** @type {{panels: Record<typeof ROWS[number], MapPanel>, verdict: HTMLElement, left: HTMLElement, size: HTMLElement}[]} */
  #levels = [];

  /** @param {number} count */
  #build(count) {
    this.#levels = Array.from({ length: count }, (_, pools) => {
      const panels = /** @type {Record<typeof ROWS[number], MapPanel>} */ (
        Object.fromEntries(ROWS.map((row) => [row, this.#panel(pools)])));
      return { panels, verdict: h("span", { class: "verdict" }), left: h("span", { class: "left" }), size: h("span", { class: "hint digits" }) };
    });
    this.style.setProperty("--levels", String(count));
    this.replaceChildren(
      h("div", { class: "level level-rows", "aria-hidden": true },
        h("span"), ROWS.map((row) => h("span", { class: "level-row" }, h("i", { class: `swatch ${row}` }), t(row))), h("span")),
      ...this.#levels.map(({ panels, ...texts }, pools) =>
        h("section", { class: "level", "data-pools": pools, "aria-label": t(pools === 1 ? "after-one" : "after", { n: pools }) },
          h("header", {}, h("h3", {}, pools ? t(pools === 1 ? "pools-one" : "pools-n", { n: pools }) : t("no-pool")), texts.size),
          ROWS.map((row) => h("div", { class: row }, panels[row])),
          h("p", {}, texts.verdict, texts.left))),
    );
    for (const { panels } of this.#levels) {
      // The cell that is pointed at is one of all three maps: one stop for the keyboard is enough.
      panels.twin.canvas.tabIndex = panels.difference.canvas.tabIndex = -1;
    }
  }

  /** @param {number} level */
  #panel(level) {
    const panel = mapPanel();
    panel.addEventListener("point", (event) => this.#see(level, /** @type {CustomEvent<Cell>} */ (event).detail));
    panel.addEventListener("leave", () => this.#see(level, null));
    panel.addEventListener("viewchange", (event) => this.#look(/** @type {CustomEvent} */ (event).detail));
    return panel;
  }

  /** @param {import("../../parts/map-panel.js").View} view */
  #look(view) {
    for (const { panels } of this.#levels) for (const row of ROWS) panels[row].view = view;
  }

  /** @param {number} level @param {Cell | null} cell */
  #see(level, cell) {
    const marks = cell ? [{ top: cell.row, left: cell.column, height: 1, width: 1, kind: "cursor" }] : [];
    const panels = this.#levels[level]?.panels;
    if (panels) for (const row of ROWS) panels[row].marks = marks;
    this.dispatchEvent(new CustomEvent("see", { detail: cell && { level, ...cell } }));
  }

  /**
   * Show the maps of all levels.
   *
   * @param {Level[]} levels
   * @param {Record<string, Table>} arrays
   * @param {number | null} sameFrom
   */
  show(levels, arrays, sameFrom) {
    if (levels.length !== this.#levels.length) this.#build(levels.length);
    levels.forEach((level, pools) => {
      const shown = this.#levels[pools];
      if (!shown) return;
      const [height = 1, width = 1] = level.size;
      for (const row of ROWS) {
        const table = arrays[`${row}_${pools}`];
        const scale = row === "difference" ? "signed" : "active";
        if (table) shown.panels[row].show(table, { size: level.size, box: [0, 0, height, width], scale, reach: level.reach });
        shown.panels[row].label = t("map-label", { what: t(row), after: t(pools === 1 ? "after-one" : "after", { n: pools }), size: size(level.size), strongest: number(level.reach) });
      }
      const { kind, text } = verdict(level);
      shown.size.textContent = size(level.size);
      shown.verdict.textContent = text;
      shown.verdict.dataset["verdict"] = kind;
      shown.left.textContent = level.left.length ? t("left", { original: t(`left-${level.left[0] ?? "two"}`), twin: t(`left-${level.left[1] ?? "two"}`) }) : "";
      const section = shown.verdict.closest("section");
      section?.classList.toggle("first-same", pools === sameFrom);
    });
  }

  /** Show the whole maps again. */
  reset() {
    this.#look(WHOLE);
  }
}

customElements.define("pooled-levels", PooledLevels);

/** Make the maps of all levels. @returns {PooledLevels} */
export function pooledLevels() {
  return /** @type {PooledLevels} */ (document.createElement("pooled-levels"));
}
