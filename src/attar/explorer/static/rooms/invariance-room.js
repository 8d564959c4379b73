/**
 * The room of invariance: a drawing and its twin at another place, pooled again and again.
 *
 * The room keeps what was chosen and asks; its parts (rooms/invariance/) show and tell what a person did.
 */

import * as address from "../base/address.js";
import { button, segments } from "../base/controls.js";
import { h } from "../base/dom.js";
import { report } from "../base/notices.js";
import { server } from "../base/session.js";
import { number } from "../base/text.js";
import { guidedTour } from "../parts/guided-tour.js";
import { roomHead } from "../parts/room-head.js";
import { t } from "../text/invariance.js";
import { Bitmap, line } from "./invariance/bitmap.js";
import { knobs } from "./invariance/knobs.js";
import { move, pooledLevels } from "./invariance/levels.js";
import { drawingPad } from "./invariance/pad.js";
import { shiftMap } from "./invariance/shift-map.js";
import { COUNTS, TOOLS, drawn, farthest, read, resized, usual, write } from "./invariance/state.js";
import { steps } from "./invariance/tour.js";

/** @typedef {import("./invariance/state.js").State} State */
/** @typedef {import("./invariance/levels.js").Level} Level */
/** @typedef {import("../base/connection.js").Reply} Reply */


class InvarianceRoom extends HTMLElement {
  /** @type {State} */
  #state = usual();
  #pad = drawingPad();
  #levels = pooledLevels();
  #shiftMap = shiftMap();
  #tour = guidedTour();
  /** @type {Reply | null} */
  #maps = null;
  /** @type {Reply | null} */
  #shifts = null;
  #askedShifts = "";
  #knobs = knobs(this.#state, (changes) => this.#change(changes));
  #tools = h("div");
  #padHint = h("p", { class: "hint", id: "pad-help" });
  #verdict = h("p", { class: "verdict-all", id: "verdict", role: "status" });
  #reading = h("p", { class: "hint digits", id: "reading", "aria-live": "polite" });
  #aboutCount = h("p", { class: "hint" });
  #countChoice = h("div");
  #counts = h("div", { class: "stack", id: "counts" });

  connectedCallback() {
    this.#state = read();
    this.#listen();
    this.#build();
    this.#ask();
    const at = Number(address.fields()["tour"]);
    if (Number.isInteger(at) && at >= 1) this.#startTour(at - 1, this.#chosen());
  }

  #listen() {
    this.#pad.addEventListener("move", (event) => this.#moved(/** @type {CustomEvent} */ (event).detail));
    this.#pad.addEventListener("home", () => this.#change(this.#state.tool === "both" ? { y: 0, x: 0 } : { dy: 0, dx: 0 }));
    this.#pad.addEventListener("stroke", (event) => this.#stroke(/** @type {CustomEvent} */ (event).detail));
    this.#shiftMap.addEventListener("pick", (event) => this.#change(/** @type {CustomEvent} */ (event).detail));
    this.#levels.addEventListener("see", (event) => this.#see(/** @type {CustomEvent} */ (event).detail));
  }

  #build() {
    const state = this.#state;
    this.#knobs = knobs(state, (changes) => this.#change(changes));
    this.#buildTools();
    this.#buildCountChoice();
    this.replaceChildren(
      roomHead(t("title"), h("p", { class: "muted" }, t("lead")), () => this.#startTour(0)),
      h("div", { class: "places" },
        h("section", { class: "card stack", id: "pad-card" },
          h("h2", {}, t("pad")),
          this.#tools,
          this.#pad,
          h("div", { class: "row spread" },
            h("p", { class: "row legend" }, ["original", "twin", "overlap"].map((name) =>
              h("span", {}, h("i", { class: `swatch ${name}` }), t(/** @type {"twin"} */ (name))))),
            button(t("clear"), () => this.#change({ shape: "drawing", drawing: new Bitmap(this.#state.size), tool: "draw" }), { name: "clear" })),
          this.#padHint),
        h("section", { class: "card stack", id: "levels-card" },
          h("h2", {}, t("maps")), this.#verdict, this.#levels, this.#reading, h("p", { class: "hint" }, t("about-maps"))),
        this.#knobs.element,
        h("section", { class: "card stack", id: "shifts-card" },
          h("h2", {}, t("shifts")),
          h("div", { class: "shift-columns" },
            h("div", { class: "stack" }, this.#countChoice, this.#shiftMap),
            h("div", { class: "stack" }, this.#aboutCount, this.#counts)))),
      this.#tour,
    );
    this.#fit();
  }

  #buildTools() {
    this.#tools.replaceChildren(segments({
      label: t("tool"), name: "tool", value: this.#state.tool, onchange: (tool) => this.#change({ tool }),
      options: TOOLS.map((value) => ({ value, text: t(value === "twin" || value === "both" ? `tool-${value}` : value) })),
    }));
  }

  #buildCountChoice() {
    this.#countChoice.replaceChildren(segments({
      label: t("count"), name: "count", value: this.#state.count, onchange: (count) => this.#change({ count }),
      options: COUNTS.map((value) => ({ value, text: t(value) })),
    }));
  }

  // ---------------------------------------------------------------- what a person does

  /** @param {Partial<State>} changes */
  #change(changes) {
    const before = this.#state;
    if (changes.size !== undefined && changes.size !== before.size) this.#state = resized(before, changes.size);
    else this.#state = { ...before, ...changes };
    if (changes.shape === "drawing" && before.shape !== "drawing" && !changes.drawing) {
      if (this.#state.drawing.empty) this.#state.drawing = this.#traced();
      this.#state.tool = "draw";
    }
    if (this.#state.size !== before.size) {
      this.#rebuildKnobs();
      /** @type {HTMLElement | null} */ (this.querySelector('[data-name="size"]:checked'))?.focus();
    }
    if (this.#state.tool !== changes.tool && this.#state.tool !== before.tool) this.#buildTools();
    if (this.#state.count !== before.count) this.#showShifts();
    this.#fit();
    this.#ask();
    write(this.#state);
  }

  /** Set up the room for a step of the tour. @param {State} state */
  #prepare(state) {
    this.#state = state;
    this.#levels.reset();
    this.#rebuildKnobs();
    this.#buildTools();
    this.#buildCountChoice();
    this.#showShifts();
    this.#fit();
    this.#ask();
    write(this.#state);
  }

  #rebuildKnobs() {
    const old = this.#knobs.element;
    this.#knobs = knobs(this.#state, (changes) => this.#change(changes));
    old.replaceWith(this.#knobs.element);
  }

  /** @param {{dy: number, dx: number}} by */
  #moved({ dy, dx }) {
    const { tool, size, ...at } = this.#state;
    const far = farthest(size);
    const near = (/** @type {number} */ value) => Math.min(Math.max(value, -far), far);
    if (tool === "both") this.#change({ y: near(at.y + dy), x: near(at.x + dx) });
    else this.#change({ dy: near(at.dy + dy), dx: near(at.dx + dx) });
  }

  /** @param {{from: import("./invariance/bitmap.js").Cell, to: import("./invariance/bitmap.js").Cell, on: boolean}} stroke */
  #stroke({ from, to, on }) {
    const { shape, size, y, x, border } = this.#state;
    const drawing = shape === "drawing" ? this.#state.drawing.copy() : this.#traced();
    const inside = (/** @type {number} */ place) => (border === "circular" ? (place + 2 * size) % size : place);
    for (const { row, column } of line(from, to)) drawing.set(inside(row - y), inside(column - x), on);
    this.#change({ shape: "drawing", drawing });
  }

  /** What is drawn now, as a drawing of one's own: its pixels that are brighter than half. */
  #traced() {
    const { size, y, x } = this.#state;
    const bitmap = new Bitmap(size);
    const values = this.#maps?.arrays["values_0"];
    if (values?.shape[1] !== size) return bitmap;
    for (let i = 0; i < size * size; i++) {
      if (Number(values.data[i]) > 0.5) bitmap.set(Math.floor(i / size) - y, (i % size) - x, true);
    }
    return bitmap;
  }

  /** Whether the address says more than a step of the tour. */
  #chosen() {
    return Object.keys(address.fields()).some((name) => name in this.#state);
  }

  /** @param {number} at @param {boolean} [asItIs] whether the first step leaves the room as it is */
  #startTour(at, asItIs = false) {
    let keep = asItIs;
    const prepare = (/** @type {State} */ state) => {
      if (!keep) this.#prepare(state);
      keep = false;
    };
    this.#tour.start(steps(prepare), at);
  }

  // ---------------------------------------------------------------- what the server says

  #ask() {
    const state = this.#state;
    const question = drawn(state);
    const key = JSON.stringify(question);
    this.#answered(this.#levels, "invariance.maps", { ...question, dy: state.dy, dx: state.dx }, (reply) => {
      this.#maps = reply;
      this.#showMaps();
    });
    if (key === this.#askedShifts) return; // those of the twin's place are the same
    this.#askedShifts = key;
    this.#answered(this.#shiftMap, "invariance.shifts", question, (reply) => {
      this.#shifts = reply;
      this.#showShifts();
    });
  }

  /**
   * Ask, and let a part show the answer. It is busy until the newest answer is there.
   *
   * @param {HTMLElement} part
   * @param {string} what
   * @param {Record<string, unknown>} question
   * @param {(reply: Reply) => void} show
   */
  async #answered(part, what, question, show) {
    const turn = Number(part.dataset["turn"] ?? 0) + 1;
    part.dataset["turn"] = String(turn);
    part.setAttribute("aria-busy", "true");
    try {
      show(await server().ask(what, question));
    } catch (error) {
      report(error);
    }
    if (part.dataset["turn"] === String(turn)) part.setAttribute("aria-busy", "false");
  }

  /** Fit everything that needs no answer. */
  #fit() {
    const { tool, count, dy, dx, size, shape, half } = this.#state;
    this.#knobs.fit(this.#state);
    this.#pad.tool = tool;
    this.#pad.step = half ? 0.5 : 1;
    this.#pad.describe(t("pad-label", { size, what: t(shape), move: move(dy, dx) }), "pad-help");
    this.#padHint.textContent = t(`help-${tool}`);
    this.#aboutCount.textContent = t(`about-${count}`);
    this.#shiftMap.choose(dy, dx);
  }

  #showMaps() {
    const values = this.#maps?.arrays["values_0"];
    if (!this.#maps || !values) return;
    const { levels, same_from: sameFrom } = this.#maps.fields;
    this.#pad.show(values);
    this.#levels.show(levels, this.#maps.arrays, sameFrom);
    const said = this.#conclusion(levels, sameFrom);
    if (this.#verdict.textContent !== said) this.#verdict.textContent = said;
  }

  /** @param {Level[]} levels @param {number | null} sameFrom */
  #conclusion(levels, sameFrom) {
    const last = levels.length - 1;
    const dots = levels.map(({ left }) => left[0]);
    const merged = dots.lastIndexOf("two") + 1;
    /** @type {string[]} */
    const said = [];
    if (sameFrom === 0) said.push(t(levels[0]?.strongest[0] ? "all-same" : "all-blank"));
    else if (sameFrom !== null && !levels[sameFrom]?.strongest[0]) said.push(t("all-lost", { n: sameFrom }));
    else if (sameFrom !== null) said.push(t(sameFrom === 1 ? "all-from-one" : "all-from", { n: sameFrom }));
    else said.push(levels.every(({ moved }) => moved) ? t("all-moved") : t("all-differ", { n: last }));
    if (this.#state.shape === "dots" && dots[0] !== undefined) {
      if (merged > last) said.push(t("dots-two"));
      else said.push(t(dots[merged] === "nothing" ? "dots-nothing" : "dots-one", { n: merged }));
    }
    return said.join(t("between"));
  }

  #showShifts() {
    const table = this.#shifts?.arrays[this.#state.count];
    if (!this.#shifts || !table) return;
    const { fields } = this.#shifts;
    this.#shiftMap.show(table, { ...fields, most: fields.distinct.length - 1 }, this.#state.count);
    this.#shiftMap.choose(this.#state.dy, this.#state.dx);
    this.#counts.replaceChildren(
      h("table", { class: "counts" },
        h("caption", { class: "hint" }, t("counts", { of: fields.of, near: fields.near })),
        h("thead", { class: "visually-hidden" }, h("tr", {}, h("th", { scope: "col" }, t("count-pools")), h("th", { scope: "col", colspan: 2 }, t("count-maps")))),
        h("tbody", {}, fields.distinct.map((/** @type {number} */ n, /** @type {number} */ pools) =>
          h("tr", {},
            h("th", { scope: "row" }, pools ? t(pools === 1 ? "pools-one" : "pools-n", { n: pools }) : t("no-pool")),
            h("td", {}, h("span", { class: "bar", style: { "--part": n / fields.of } }, h("span"))),
            h("td", { class: "number", "data-distinct": n }, t("count-of", { n, of: fields.of })))))));
  }

  /** @param {{level: number, row: number, column: number} | null} cell */
  #see(cell) {
    const values = cell && this.#maps?.arrays[`values_${cell.level}`];
    if (!cell || !values) {
      this.#pad.box = null;
      this.#reading.textContent = "";
      return;
    }
    const { level, row, column } = cell;
    const width = Number(values.shape[2]);
    const at = row * width + column;
    /** @type {Level["field"]} */
    const field = this.#maps?.fields.levels[level].field ?? null;
    const said = [t("cell-reading", {
      pools: t(level === 0 ? "pools-none" : level === 1 ? "pools-one" : "pools-n", { n: level }), row, column,
      original: number(Number(values.data[at])), twin: number(Number(values.data[width * width + at])),
    })];
    if (field) {
      const [first, step, length] = field;
      const [top, left] = [first + row * step, first + column * step];
      this.#pad.box = { top, left, height: length, width: length };
      said.push(t("cell-sees", { top, bottom: top + length - 1, left, right: left + length - 1 }));
    }
    this.#reading.textContent = said.join(" ");
  }
}

customElements.define("invariance-room", InvarianceRoom);
