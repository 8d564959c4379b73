/**
 * <kernel-grid>: the weights of a kernel, coloured by sign, each of them a knob.
 *
 * Drag a cell up or right for more, down or left for less; type a number; arrow keys go from cell to cell,
 * with Shift (or Page Up and Page Down) they change it. Below the grid stands the chosen cell as a number.
 *
 * Events: "edit" (detail: rows) for each change, "text" (detail: string) when a kernel is pasted.
 */

import { swatch } from "../base/colours.js";
import { freshId, h } from "../base/dom.js";
import { number, texts } from "../base/text.js";

const t = texts({
  en: {
    grid: "Weights of the kernel, {height} × {width}", cell: "Row {row}, column {column}",
    how: "Drag a cell, type a number, or use Shift with ↑ ↓.",
  },
  zh: {
    grid: "卷积核的权重，{height} × {width}", cell: "第 {row} 行，第 {column} 列",
    how: "拖动格子、直接输入数字，或按 Shift 加 ↑ ↓。",
  },
});

const PIXELS = 3; // of a drag for one step
const MOST = 1e6;

/** @typedef {{row: number, column: number}} Place */

export class KernelGrid extends HTMLElement {
  /** @type {number[][]} */
  #rows = [[0]];
  /** @type {HTMLInputElement[][]} */
  #cells = [];
  /** @type {Place} */
  #at = { row: 0, column: 0 };
  /** @type {{x: number, y: number, from: number, step: number, moved: boolean} | null} */
  #drag = null;
  /** @type {HTMLInputElement | null} the field that is being written in, which is left as it is */
  #written = null;
  #label = h("label");
  #field = h("input", { type: "number", name: "weight", step: "any" });
  #grid = h("div", { class: "kernel-cells", role: "grid" });

  connectedCallback() {
    const id = freshId("weight");
    this.#label.setAttribute("for", id);
    this.#field.id = id;
    this.#field.oninput = () => {
      this.#written = this.#field;
      if (this.#field.value !== "") this.#set(this.#at, Number(this.#field.value));
    };
    this.#field.onblur = () => this.#rest();
    this.#grid.onkeydown = (event) => this.#key(event);
    this.#grid.onpaste = (event) => this.#paste(event);
    this.replaceChildren(
      this.#grid,
      h("div", { class: "control" }, this.#label, this.#field),
      h("p", { class: "hint" }, t("how")),
    );
    this.#build();
  }

  /** The weights. @returns {number[][]} */
  get rows() {
    return this.#rows;
  }

  set rows(rows) {
    const same = rows.length === this.#rows.length && rows[0]?.length === this.#rows[0]?.length;
    this.#rows = rows.map((row) => [...row]);
    if (same && this.#cells.length) this.#show();
    else if (this.isConnected) this.#build();
  }

  /** Colour the cells anew, after another colour table was chosen. */
  recolour() {
    this.#show();
  }

  #build() {
    const [height, width] = [this.#rows.length, this.#rows[0]?.length ?? 1];
    const focused = this.#grid.contains(document.activeElement);
    this.#at = { row: Math.min(this.#at.row, height - 1), column: Math.min(this.#at.column, width - 1) };
    this.#cells = this.#rows.map((row, i) => row.map((_, j) => this.#cell({ row: i, column: j })));
    this.#grid.style.setProperty("--columns", String(width));
    this.#grid.classList.toggle("middling", width > 4 && width <= 7);
    this.#grid.classList.toggle("small", width > 7);
    this.#grid.setAttribute("aria-label", t("grid", { height, width }));
    this.#grid.replaceChildren(...this.#cells.map((row) =>
      h("div", { role: "row" }, row.map((cell) => h("div", { role: "gridcell" }, cell)))));
    this.#show();
    if (focused) this.#cells[this.#at.row]?.[this.#at.column]?.focus();
  }

  /** @param {Place} place */
  #cell(place) {
    /** @type {HTMLInputElement} */
    const cell = h("input", {
      type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false",
      "aria-label": t("cell", { row: place.row + 1, column: place.column + 1 }),
      onfocus: () => {
        this.#at = place;
        this.#show();
        cell.value = String(this.#weight(place));
        cell.select();
      },
      onblur: () => this.#rest(),
      oninput: () => {
        this.#written = cell;
        const value = Number(cell.value.trim().replace("−", "-").replace(",", "."));
        if (cell.value.trim() !== "" && Number.isFinite(value)) this.#set(place, value);
      },
      onpointerdown: (/** @type {PointerEvent} */ event) => this.#press(event, cell, place),
      onpointermove: (/** @type {PointerEvent} */ event) => this.#move(event, cell, place),
      onpointerup: () => this.#release(cell),
      onpointercancel: () => this.#release(cell),
      // The press decides itself when the cell is focused.
      onmousedown: (/** @type {MouseEvent} */ event) => event.preventDefault(),
    });
    return cell;
  }

  /** @param {Place} place */
  #weight({ row, column }) {
    return this.#rows[row]?.[column] ?? 0;
  }

  /** Nothing is being written any more. */
  #rest() {
    this.#written = null;
    this.#show();
  }

  /** @param {Place} place @param {number} value */
  #set(place, value) {
    const weight = Math.min(Math.max(value, -MOST), MOST) + 0; // no -0
    const row = this.#rows[place.row];
    if (!row || row[place.column] === weight) return;
    row[place.column] = weight;
    this.#show();
    this.dispatchEvent(new CustomEvent("edit", { detail: this.#rows.map((each) => [...each]) }));
  }

  /** A change that is small beside the weights there are, and a power of ten. */
  #step() {
    const largest = Math.max(...this.#rows.flat().map(Math.abs)) || 1;
    return 10 ** (Math.floor(Math.log10(largest)) - 1);
  }

  /** @param {number} value @param {number} step */
  #rounded(value, step) {
    return Number((Math.round(value / step) * step).toPrecision(12));
  }

  #show() {
    const largest = Math.max(...this.#rows.flat().map(Math.abs)) || 1;
    const columns = this.#rows[0]?.length ?? 1;
    this.#cells.forEach((cells, i) => cells.forEach((cell, j) => {
      const weight = this.#weight({ row: i, column: j });
      const { colour, ink } = swatch("signed", 128 + Math.round((127 * weight) / largest));
      cell.style.setProperty("background-color", colour);
      cell.style.setProperty("color", ink);
      cell.tabIndex = i === this.#at.row && j === this.#at.column ? 0 : -1;
      if (cell === this.#written) return;
      cell.value = cell === document.activeElement ? String(weight) : short(weight, columns);
    }));
    this.#label.textContent = t("cell", { row: this.#at.row + 1, column: this.#at.column + 1 });
    this.#field.step = String(this.#step());
    if (this.#field !== this.#written) this.#field.value = String(this.#weight(this.#at));
  }

  // ---------------------------------------------------------------- mouse and finger

  /** @param {PointerEvent} event @param {HTMLInputElement} cell @param {Place} place */
  #press(event, cell, place) {
    if (event.button) return;
    event.preventDefault();
    cell.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, y: event.clientY, from: this.#weight(place), step: this.#step(), moved: false };
  }

  /** @param {PointerEvent} event @param {HTMLInputElement} cell @param {Place} place */
  #move(event, cell, place) {
    if (!this.#drag || !cell.hasPointerCapture(event.pointerId)) return;
    const { x, y, from, step } = this.#drag;
    const steps = Math.round((event.clientX - x - (event.clientY - y)) / PIXELS);
    if (!steps && !this.#drag.moved) return;
    if (!this.#drag.moved) {
      this.#drag.moved = true;
      this.#written = null;
      cell.focus({ preventScroll: true });
    }
    this.#set(place, this.#rounded(from + steps * step, step));
  }

  /** @param {HTMLInputElement} cell */
  #release(cell) {
    if (!this.#drag) return;
    this.#drag = null;
    cell.focus({ preventScroll: true });
    cell.select();
  }

  // ---------------------------------------------------------------- keyboard

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { row, column } = this.#at;
    const arrow = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const up = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 1, PageDown: -1 }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (up && (event.shiftKey || !arrow)) {
      const step = this.#step();
      this.#written = null;
      this.#set(this.#at, this.#rounded(this.#weight(this.#at) + up * step, step));
    } else if (arrow) {
      this.#cells[row + Number(arrow[0])]?.[column + Number(arrow[1])]?.focus();
    } else if (event.key === "Enter") {
      this.#cells[row]?.[column]?.select();
    } else {
      return;
    }
    event.preventDefault();
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    const text = event.clipboardData?.getData("text/plain").trim() ?? "";
    if (!/[\s,;]/.test(text)) return; // one number goes into the cell
    event.preventDefault();
    this.dispatchEvent(new CustomEvent("text", { detail: text }));
  }
}

/** A weight as it fits into a cell; where it does not, its colour has to say it. @param {number} weight @param {number} columns */
function short(weight, columns) {
  const text = number(weight, columns > 7 ? 1 : columns > 5 ? 2 : 3);
  const shorter = columns > 5 ? text.replace(/^(−?)0\./, "$1.") : text;
  // A point is half as wide as a digit.
  const width = shorter.length - (shorter.includes(".") ? 0.5 : 0);
  return width > (columns > 9 ? 3.5 : columns > 7 ? 4.5 : columns > 5 ? 5 : 6.5) ? "" : shorter;
}

customElements.define("kernel-grid", KernelGrid);

/** Make a grid. @returns {KernelGrid} */
export function kernelGrid() {
  return /** @type {KernelGrid} */ (document.createElement("kernel-grid"));
}
