/**
 * <map-panel>: a map on a canvas, with zoom, pan, a cell that is pointed at, and marks over it.
 *
 * It draws the levels that the server sent, over the unit square: so one view fits all panels of a room,
 * whatever the sizes of their maps. Until the levels of a new view are there, it shows those that it has.
 *
 * Events: "viewchange" (detail: View) when a person zooms or pans, "point" (detail: Cell) when a cell is
 * pointed at with mouse, finger or keyboard, "leave" when none is any more, "pick" (detail: Cell) for a click or
 * Enter, "resized" when it has other pixels.
 */

import { coloured } from "../base/colours.js";
import { h } from "../base/dom.js";

/**
 * @typedef {{top: number, left: number, part: number}} View  a square of the unit square
 * @typedef {{row: number, column: number}} Cell  of the whole map
 * @typedef {object} MapFacts  what the server says of a map
 * @property {number[]} size  height and width of the whole map
 * @property {number[]} box  top, left, height, width of the cells that were cut out
 * @property {"image" | "active" | "signed"} scale
 * @property {number} reach
 * @typedef {{top: number, left: number, height: number, width: number, kind: string}} Mark
 *   in cells of the map; kind is "window", "winner", "box", "outside" or "cursor"
 */

/** @type {View} */
export const WHOLE = { top: 0, left: 0, part: 1 };

const LEAST_PART = 1 / 256;
const ZOOM = 1.5; // of a key or a button

export class MapPanel extends HTMLElement {
  #canvas = h("canvas", { class: "map", tabindex: 0, role: "img" });
  #marked = h("canvas", { class: "marks", "aria-hidden": true });
  /** @type {View} */
  #view = WHOLE;
  /** @type {{facts: MapFacts, image: ImageBitmap | HTMLCanvasElement, table: import("../base/frames.js").Table} | null} */
  #map = null;
  /** @type {Mark[]} */
  #marks = [];
  /** @type {Cell | null} */
  #cursor = null;
  /** @type {Map<number, {x: number, y: number}>} */
  #fingers = new Map();
  #dragged = false;
  #watch = new ResizeObserver(() => this.#resize());

  connectedCallback() {
    this.replaceChildren(this.#canvas, this.#marked);
    this.#watch.observe(this);
    const canvas = this.#canvas;
    canvas.onpointermove = (event) => this.#move(event);
    canvas.onpointerdown = (event) => this.#press(event);
    canvas.onpointerup = canvas.onpointercancel = (event) => this.#release(event);
    canvas.onpointerleave = () => this.#fingers.size || this.#leave();
    canvas.onblur = () => this.#leave();
    canvas.ondblclick = (event) => this.#zoomAt(ZOOM * ZOOM, ...this.#place(event));
    canvas.onkeydown = (event) => this.#key(event);
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  disconnectedCallback() {
    this.#watch.disconnect();
  }

  /** What a screen reader says of it. @param {string} text */
  set label(text) {
    this.#canvas.setAttribute("aria-label", text);
  }

  /** The canvas that the map is drawn on. */
  get canvas() {
    return this.#canvas;
  }

  /** Facts of the map that is shown. @returns {MapFacts | null} */
  get facts() {
    return this.#map?.facts ?? null;
  }

  /** The part of the map that is shown. */
  get view() {
    return this.#view;
  }

  set view(view) {
    this.#view = view;
    this.#paint();
  }

  /** Marks over the map. @param {Mark[]} marks */
  set marks(marks) {
    this.#marks = marks;
    this.#paintMarks();
  }

  /** Height and width that a question to the server asks for. */
  get pixels() {
    return { height: Math.max(this.#canvas.height, 1), width: Math.max(this.#canvas.width, 1) };
  }

  /**
   * Show a map.
   *
   * @param {import("../base/frames.js").Table} table its levels
   * @param {MapFacts} facts
   */
  show(table, facts) {
    const shape = this.#map?.facts.size;
    const image = document.createElement("canvas");
    const data = coloured(table, facts.scale);
    image.width = data.width;
    image.height = data.height;
    image.getContext("2d")?.putImageData(data, 0, 0);
    this.#map = { facts, image, table };
    if (shape?.[0] !== facts.size[0] || shape?.[1] !== facts.size[1]) this.#cursor = null;
    this.#paint();
  }

  /** Colour the map anew, after another colour table was chosen. */
  recolour() {
    if (this.#map) this.show(this.#map.table, this.#map.facts);
  }

  /** Set the proportions of the panel to those of an image. @param {number} height @param {number} width */
  proportion(height, width) {
    // A strip would be too thin to point at: then its cells are not square.
    const ratio = Math.min(Math.max(width / height, 1 / 3), 4);
    this.style.setProperty("--ratio", String(ratio));
    this.#resize();
  }

  #resize() {
    const box = this.getBoundingClientRect();
    const height = Math.round(box.height * devicePixelRatio);
    const width = Math.round(box.width * devicePixelRatio);
    if (!height || !width || (height === this.#canvas.height && width === this.#canvas.width)) return;
    for (const canvas of [this.#canvas, this.#marked]) {
      canvas.height = height;
      canvas.width = width;
    }
    this.#paint();
    this.dispatchEvent(new Event("resized"));
  }

  /**
   * Where a rectangle of cells lies on the canvas: left, top, width, height.
   *
   * @param {number} top @param {number} left @param {number} height @param {number} width
   * @returns {[number, number, number, number]}
   */
  #where(top, left, height, width) {
    const [rows = 1, columns = 1] = this.#map?.facts.size ?? [];
    const x = this.#canvas.width / this.#view.part;
    const y = this.#canvas.height / this.#view.part;
    return [
      (left / columns - this.#view.left) * x,
      (top / rows - this.#view.top) * y,
      (width / columns) * x,
      (height / rows) * y,
    ];
  }

  #paint() {
    const context = this.#canvas.getContext("2d");
    if (!context || !this.#map) return;
    const [top = 0, left = 0, height = 0, width = 0] = this.#map.facts.box;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#map.image, ...this.#where(top, left, height, width));
    this.#paintMarks();
  }

  #paintMarks() {
    const context = this.#marked.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, this.#marked.width, this.#marked.height);
    if (!this.#map) return;
    const marks = this.#cursor && document.activeElement === this.#canvas
      ? [...this.#marks, { top: this.#cursor.row, left: this.#cursor.column, height: 1, width: 1, kind: "cursor" }]
      : this.#marks;
    const style = getComputedStyle(this);
    const dot = devicePixelRatio;
    for (const mark of marks) {
      const [x, y, width, height] = this.#where(mark.top, mark.left, mark.height, mark.width);
      // A mark is visible on every colour: a light line inside of a dark one.
      const grow = mark.kind === "winner" ? 0 : dot;
      context.setLineDash(mark.kind === "outside" ? [4 * dot, 3 * dot] : []);
      for (const [line, colour] of /** @type {[number, string][]} */ ([
        [4 * dot, "#000"],
        [2 * dot, style.getPropertyValue(`--mark-${mark.kind}`) || "#fff"],
      ])) {
        context.lineWidth = line;
        context.strokeStyle = colour;
        context.strokeRect(
          x - grow, y - grow, Math.max(width, 2 * dot) + 2 * grow, Math.max(height, 2 * dot) + 2 * grow,
        );
      }
    }
  }

  // ---------------------------------------------------------------- pointing

  /** @param {PointerEvent | MouseEvent} event @returns {[number, number]} of the panel, from 0 to 1 */
  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** The cell at a place of the panel. @param {number} x @param {number} y @returns {Cell | null} */
  #cell(x, y) {
    if (!this.#map) return null;
    const [rows = 1, columns = 1] = this.#map.facts.size;
    const clip = (/** @type {number} */ value, /** @type {number} */ size) =>
      Math.min(Math.max(Math.floor(value * size), 0), size - 1);
    return {
      row: clip(this.#view.top + y * this.#view.part, rows),
      column: clip(this.#view.left + x * this.#view.part, columns),
    };
  }

  /** @param {Cell | null} cell */
  #point(cell) {
    if (!cell || (cell.row === this.#cursor?.row && cell.column === this.#cursor.column)) return;
    this.#cursor = cell;
    this.#paintMarks();
    this.dispatchEvent(new CustomEvent("point", { detail: cell }));
  }

  #leave() {
    this.#cursor = null;
    this.#paintMarks();
    this.dispatchEvent(new Event("leave"));
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.#dragged = false;
    this.#canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #release(event) {
    const pressed = this.#fingers.delete(event.pointerId);
    if (pressed && !this.#dragged && event.type === "pointerup") this.#pick(this.#cell(...this.#place(event)));
  }

  /** @param {Cell | null} cell */
  #pick(cell) {
    if (!cell) return;
    this.#point(cell);
    this.dispatchEvent(new CustomEvent("pick", { detail: cell }));
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) {
      this.#point(this.#cell(...this.#place(event)));
      return;
    }
    const box = this.#canvas.getBoundingClientRect();
    const others = [...this.#fingers].filter(([id]) => id !== event.pointerId).map(([, finger]) => finger);
    const [other] = others;
    if (other) {
      const apart = Math.hypot(before.x - other.x, before.y - other.y);
      const now = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      this.#dragged = true;
      this.#zoomAt(now / Math.max(apart, 1), (other.x - box.left) / box.width, (other.y - box.top) / box.height);
    } else {
      const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
      if (!this.#dragged && Math.hypot(dx, dy) < 4) return;
      this.#dragged = true;
      this.#pan((-dx / box.width) * this.#view.part, (-dy / box.height) * this.#view.part);
    }
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    // The wheel alone scrolls the page; a pinch on a touchpad comes as a wheel with Ctrl.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.#zoomAt(Math.exp(-event.deltaY / 300), ...this.#place(event));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const [rows = 1, columns = 1] = this.#map?.facts.size ?? [];
    const arrow = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (arrow && event.shiftKey) {
      this.#pan((Number(arrow[1]) * this.#view.part) / 8, (Number(arrow[0]) * this.#view.part) / 8);
    } else if (arrow) {
      const from = this.#cursor ?? this.#cell(0.5, 0.5) ?? { row: 0, column: 0 };
      this.#point({
        row: Math.min(Math.max(from.row + Number(arrow[0]), 0), rows - 1),
        column: Math.min(Math.max(from.column + Number(arrow[1]), 0), columns - 1),
      });
    } else if (event.key === "Enter" || event.key === " ") {
      this.#pick(this.#cursor);
    } else if (event.key === "+" || event.key === "=") {
      this.zoom(ZOOM);
    } else if (event.key === "-") {
      this.zoom(1 / ZOOM);
    } else if (event.key === "0") {
      this.#look(WHOLE);
    } else if (event.key === "Escape") {
      this.#leave();
      return;
    } else {
      return;
    }
    event.preventDefault();
  }

  // ---------------------------------------------------------------- looking

  /** Zoom about the cell that is pointed at, or the middle. @param {number} factor */
  zoom(factor) {
    const [rows = 1, columns = 1] = this.#map?.facts.size ?? [];
    const { top, left, part } = this.#view;
    const x = this.#cursor ? ((this.#cursor.column + 0.5) / columns - left) / part : 0.5;
    const y = this.#cursor ? ((this.#cursor.row + 0.5) / rows - top) / part : 0.5;
    this.#zoomAt(factor, x, y);
  }

  /** @param {number} factor @param {number} x @param {number} y */
  #zoomAt(factor, x, y) {
    const part = Math.min(Math.max(this.#view.part / factor, LEAST_PART), 1);
    this.#look({
      part,
      left: this.#view.left + x * (this.#view.part - part),
      top: this.#view.top + y * (this.#view.part - part),
    });
  }

  /** @param {number} right @param {number} down */
  #pan(right, down) {
    this.#look({ ...this.#view, left: this.#view.left + right, top: this.#view.top + down });
  }

  /** @param {View} view */
  #look(view) {
    const inside = (/** @type {number} */ start) => Math.min(Math.max(start, 0), 1 - view.part);
    const next = { part: view.part, top: inside(view.top), left: inside(view.left) };
    this.view = next;
    this.dispatchEvent(new CustomEvent("viewchange", { detail: next }));
  }
}

customElements.define("map-panel", MapPanel);

/** Make a panel. @returns {MapPanel} */
export function mapPanel() {
  return /** @type {MapPanel} */ (document.createElement("map-panel"));
}
