/**
 * <drawing-pad>: the original and its twin, one over the other; to be moved and drawn on.
 *
 * Events: "move" (detail: {dy, dx}, pixels since the last one) with a tool that moves, "stroke" (detail:
 * {from, to, on}, cells) with a pen, "home" when what was moved should go back.
 */

import { h } from "../../base/dom.js";

/** @typedef {import("./bitmap.js").Cell} Cell */
/** @typedef {import("./state.js").State["tool"]} Tool */
/** @typedef {{top: number, left: number, height: number, width: number}} Box in pixels of the pad */

// Told apart with every kind of colour blindness; where both are, they add up to white.
const ORIGINAL = [255, 140, 0];
const TWIN = [0, 115, 255];

export class DrawingPad extends HTMLElement {
  #canvas = h("canvas", { class: "map", tabindex: 0, role: "application", id: "pad" });
  #over = h("canvas", { class: "marks", "aria-hidden": true });
  #size = 64;
  /** @type {Tool} */
  #tool = "twin";
  /** @type {Box | null} */
  #box = null;
  /** @type {Cell} where the pen of the keyboard is */
  #pen = { row: 32, column: 32 };
  /** @type {{id: number, y: number, x: number, cell: Cell} | null} the pointer that is down, and where it was */
  #held = null;
  #watch = new ResizeObserver(() => this.#paintOver());
  /** The least move of the twin, in pixels. */
  step = 1;

  connectedCallback() {
    this.replaceChildren(this.#canvas, this.#over);
    this.#watch.observe(this);
    const canvas = this.#canvas;
    canvas.onpointerdown = (event) => this.#press(event);
    canvas.onpointermove = (event) => this.#drag(event);
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      if (this.#held?.id === event.pointerId) this.#held = null;
    };
    canvas.onkeydown = (event) => this.#key(event);
    canvas.onfocus = canvas.onblur = () => this.#paintOver();
  }

  disconnectedCallback() {
    this.#watch.disconnect();
  }

  /** What a screen reader says of it, and the id of what explains it. @param {string} text @param {string} help */
  describe(text, help) {
    this.#canvas.setAttribute("aria-label", text);
    this.#canvas.setAttribute("aria-describedby", help);
  }

  /** @param {Tool} tool */
  set tool(tool) {
    this.#tool = tool;
    this.dataset["tool"] = tool;
    this.#paintOver();
  }

  /** What a cell of a map sees. @param {Box | null} box */
  set box(box) {
    this.#box = box;
    this.#paintOver();
  }

  /**
   * Show both.
   *
   * @param {import("../../base/frames.js").Table} values of original and twin, (2, size, size), from 0 to 1
   */
  show({ data, shape: [, size = 64] }) {
    if (size !== this.#size || this.#canvas.width !== size) {
      this.#size = this.#canvas.width = this.#canvas.height = size;
      this.#pen = { row: size / 2, column: size / 2 };
      this.#paintOver();
    }
    const image = new ImageData(size, size);
    const count = size * size;
    for (let i = 0; i < count; i++) {
      const [original, twin] = [Number(data[i]), Number(data[count + i])];
      for (let c = 0; c < 3; c++) {
        image.data[4 * i + c] = Math.round(Number(ORIGINAL[c]) * original + Number(TWIN[c]) * twin);
      }
      image.data[4 * i + 3] = 255;
    }
    this.#canvas.getContext("2d")?.putImageData(image, 0, 0);
  }

  #paintOver() {
    const canvas = this.#over;
    const side = Math.round(this.getBoundingClientRect().width * devicePixelRatio);
    if (side && canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (this.#box) this.#frame(context, this.#box, "--mark-box");
    if (this.#draws && document.activeElement === this.#canvas) {
      this.#frame(context, { top: this.#pen.row, left: this.#pen.column, height: 1, width: 1 }, "--mark-cursor");
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {Box} box @param {string} colour */
  #frame(context, { top, left, height, width }, colour) {
    const cell = context.canvas.width / this.#size;
    for (const [thick, ink] of /** @type {[number, string][]} */ ([[4, "#000"], [2, getComputedStyle(this).getPropertyValue(colour)]])) {
      context.lineWidth = thick * devicePixelRatio;
      context.strokeStyle = ink;
      context.strokeRect(left * cell, top * cell, width * cell, height * cell);
    }
  }

  get #draws() {
    return this.#tool === "draw" || this.#tool === "erase";
  }

  // ---------------------------------------------------------------- mouse and finger

  /** @param {PointerEvent} event @returns {{y: number, x: number, cell: Cell}} in pixels of the pad */
  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const y = ((event.clientY - box.top) / box.height) * this.#size;
    const x = ((event.clientX - box.left) / box.width) * this.#size;
    return { y, x, cell: { row: Math.floor(y), column: Math.floor(x) } };
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (this.#held || event.button) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#held = { id: event.pointerId, ...this.#place(event) };
    if (this.#draws) this.#stroke(this.#held.cell, this.#held.cell);
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const held = this.#held;
    if (held?.id !== event.pointerId) return;
    const now = this.#place(event);
    if (this.#draws) {
      if (now.cell.row !== held.cell.row || now.cell.column !== held.cell.column) this.#stroke(held.cell, now.cell);
      this.#held = { id: held.id, ...now };
      return;
    }
    const step = this.#tool === "twin" ? this.step : 1;
    const dy = Math.trunc((now.y - held.y) / step) * step;
    const dx = Math.trunc((now.x - held.x) / step) * step;
    if (!dy && !dx) return;
    // What is less than a step is kept for the next one.
    this.#held = { ...held, y: held.y + dy, x: held.x + dx };
    this.#move(dy, dx);
  }

  // ---------------------------------------------------------------- keyboard

  /** @param {KeyboardEvent} event */
  #key(event) {
    const arrow = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const [down = 0, right = 0] = arrow ?? [];
    if (arrow && this.#draws) {
      const from = this.#pen;
      this.#pen = this.#inside({ row: from.row + down, column: from.column + right });
      if (event.shiftKey) this.#stroke(from, this.#pen);
      this.#paintOver();
    } else if (arrow) {
      const step = this.#tool === "twin" ? this.step : 1;
      this.#move(down * step, right * step);
    } else if (this.#draws && (event.key === " " || event.key === "Enter")) {
      this.#stroke(this.#pen, this.#pen);
    } else if (!this.#draws && event.key === "Home") {
      this.dispatchEvent(new Event("home"));
    } else {
      return;
    }
    event.preventDefault();
  }

  /** @param {Cell} cell @returns {Cell} */
  #inside({ row, column }) {
    const clip = (/** @type {number} */ value) => Math.min(Math.max(value, 0), this.#size - 1);
    return { row: clip(row), column: clip(column) };
  }

  /** @param {number} dy @param {number} dx */
  #move(dy, dx) {
    this.dispatchEvent(new CustomEvent("move", { detail: { dy, dx } }));
  }

  /** @param {Cell} from @param {Cell} to */
  #stroke(from, to) {
    this.#pen = this.#inside(to);
    this.dispatchEvent(new CustomEvent("stroke", { detail: { from, to, on: this.#tool === "draw" } }));
  }
}

customElements.define("drawing-pad", DrawingPad);

/** Make a pad. @returns {DrawingPad} */
export function drawingPad() {
  return /** @type {DrawingPad} */ (document.createElement("drawing-pad"));
}
