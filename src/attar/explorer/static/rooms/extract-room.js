/**
 * <extract-room>: filter → detect → condense, with every knob.
 *
 * Event "painted", and the attribute data-painted with the number of the question (data-asked), once the maps
 * of an answer are on the screen.
 */

import * as address from "../base/address.js";
import * as colours from "../base/colours.js";
import { button } from "../base/controls.js";
import { h } from "../base/dom.js";
import { report } from "../base/notices.js";
import { server } from "../base/session.js";
import { guidedTour } from "../parts/guided-tour.js";
import { WHOLE } from "../parts/map-panel.js";
import { picturePicker } from "../parts/picture-picker.js";
import { roomHead } from "../parts/room-head.js";
import { t } from "../text/extract.js";
import { ArithmeticCard, marksOf } from "./extract/arithmetic.js";
import { STAGES, USUAL, read, wish, written } from "./extract/choices.js";
import { KernelCard } from "./extract/kernel-card.js";
import { coloursCard, readKnob, stepCards } from "./extract/knobs.js";
import { NumbersCard, Panels } from "./extract/panels.js";
import { takeAlong } from "./extract/take-along.js";
import { tourSteps } from "./extract/tour.js";

/**
 * @typedef {import("./extract/choices.js").Choices} Choices
 * @typedef {import("./extract/choices.js").Spot} Spot
 * @typedef {import("../parts/map-panel.js").View} View
 * @typedef {import("../parts/map-panel.js").Cell} Cell
 */

const CLOSE_UP = 8; // boxes that are seen side by side after "look closer"

class ExtractRoom extends HTMLElement {
  /** @type {Choices} */
  choices = USUAL;
  #panels = new Panels();
  #numbers = new NumbersCard();
  #sum = new ArithmeticCard({
    strongest: () => this.change({ at: { stage: "strongest" } }),
    release: () => this.change({ at: null }),
    closer: () => this.#lookCloser(),
  });
  #tour = guidedTour();
  #picker = picturePicker();
  #kernel = new KernelCard(this);
  #picture = h("section", { class: "card stack", id: "picture" });
  #steps = h("div", { class: "stack" });

  #renewed = Promise.resolve();
  #asked = 0;
  #due = false;
  #painted = ""; // the image that is shown: picture, view and pixels
  /** @type {Spot | null} the pixel under the mouse */
  #pointed = null;
  /** @type {any} */
  #probed = null;

  connectedCallback() {
    const fields = address.fields();
    this.choices = read(fields);
    this.#picker.addEventListener("picture", (event) => {
      this.change({ image: /** @type {CustomEvent} */ (event).detail.image, at: null });
    });
    this.#picker.seen = async () => this.#renewed;
    this.#listen();
    this.replaceChildren(
      roomHead(t("title"), h("p", { class: "muted" }, t("lead")), () => this.#startTour(0)),
      h("div", { class: "extract-desk" },
        h("div", { class: "stack extract-source" }, this.#picture, this.#kernel.element),
        h("div", { class: "stack extract-maps" },
          this.#tools(), this.#panels.element,
          h("div", { class: "extract-below" }, this.#sum.element, this.#numbers.element)),
        this.#steps),
      this.#tour,
    );
    this.#steps.classList.add("extract-steps");
    this.#draw();
    this.#ask();
    const step = address.count(fields, "tour", 0, 1, 99);
    if (step) this.#startTour(step - 1);
  }

  /**
   * Change what is chosen, and everything that follows from it.
   *
   * @param {Partial<Choices>} changes
   * @param {{redraw?: boolean}} [how] redraw: the change did not come from a knob, so they have to follow
   */
  change = (changes, { redraw = false } = {}) => {
    this.choices = { ...this.choices, ...changes };
    address.write(written(this.choices));
    if (redraw) this.#draw();
    if ("active" in changes || "signed" in changes) this.#recolour();
    const seen = Object.keys(changes).some((name) => !["at", "active", "signed"].includes(name));
    if (seen) this.#ask();
    else if ("at" in changes) this.#probe();
  };

  #draw() {
    this.#picker.chosen = { image: this.choices.image };
    this.#picture.replaceChildren(h("h2", {}, t("picture-card")), this.#picker, readKnob(this));
    this.#steps.replaceChildren(...stepCards(this), coloursCard(this));
    for (const map of Object.values(this.#panels.maps)) map.view = this.choices.view;
    this.#recolour();
  }

  #recolour() {
    for (const kind of /** @type {const} */ (["active", "signed"])) {
      colours.choose(kind, this.choices[kind] || String(colours.choices(kind)[0]));
    }
    this.#panels.recolour();
    this.#kernel.recolour();
    this.#showProbe();
  }

  #tools() {
    const zoom = (/** @type {number} */ factor) => this.#panels.maps.image.zoom(factor);
    return h("div", { class: "row spread extract-tools", role: "toolbar", "aria-label": t("tools") },
      h("div", { class: "row" },
        button(t("save"), () => takeAlong(wish(this.choices)), { name: "take-along" })),
      h("div", { class: "row" },
        button("−", () => zoom(1 / 2), { class: "icon", "aria-label": t("farther"), title: t("farther"), name: "zoom-out" }),
        button("+", () => zoom(2), { class: "icon", "aria-label": t("closer"), title: t("closer"), name: "zoom-in" }),
        button(t("whole"), () => this.#look(WHOLE), { name: "zoom-whole" })));
  }

  /** @param {number} at */
  #startTour(at) {
    const steps = tourSteps((changes) => this.change({ ...changes, image: this.choices.image }, { redraw: true }));
    this.#tour.start(steps, at);
  }

  // ---------------------------------------------------------------- maps

  #listen() {
    for (const stage of STAGES) {
      const map = this.#panels.maps[stage];
      map.addEventListener("viewchange", (event) => this.#look(/** @type {CustomEvent<View>} */ (event).detail));
      map.addEventListener("resized", () => this.#ask());
      map.addEventListener("point", (event) => {
        this.#pointed = { stage, .../** @type {CustomEvent<Cell>} */ (event).detail };
        this.#probe();
      });
      map.addEventListener("leave", () => {
        this.#pointed = null;
        this.#probe();
      });
      map.addEventListener("pick", (event) => {
        this.change({ at: { stage, .../** @type {CustomEvent<Cell>} */ (event).detail } });
      });
    }
  }

  /** @param {View} view */
  #look(view) {
    for (const map of Object.values(this.#panels.maps)) map.view = view;
    this.change({ view });
  }

  /** Ask for the maps, once for all that changes in this moment. */
  #ask() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (this.isConnected) this.#renewed = this.#renew();
    });
  }

  async #renew() {
    const { choices } = this;
    const number = ++this.#asked;
    this.dataset["asked"] = String(number);
    const view = { ...choices.view, ...this.#panels.maps.image.pixels };
    const image = JSON.stringify([choices.image, choices.read, view]);
    try {
      const reply = await server().ask("extract.maps", { ...wish(choices), view, image_known: image === this.#painted });
      this.#painted = image;
      this.#panels.show(reply, choices);
      this.#numbers.show(reply.fields.stats);
      // While a person edits, the grid is ahead of the answers.
      if (choices.kernel === this.choices.kernel) this.#kernel.show(reply.fields.kernel);
      this.#probe();
      // A task of the next frame runs once that frame is on its way to the screen.
      requestAnimationFrame(() => setTimeout(() => {
        this.dataset["painted"] = String(number);
        this.dispatchEvent(new CustomEvent("painted", { detail: number }));
      }));
    } catch (error) {
      report(error);
    }
  }

  // ---------------------------------------------------------------- one number

  async #probe() {
    const { choices } = this;
    const at = this.#pointed ?? choices.at;
    if (!at) {
      this.#probed = null;
      this.#showProbe();
      return;
    }
    try {
      const reply = await server().ask("extract.probe", { ...wish(choices), at });
      // The mouse may have left meanwhile.
      if (at !== (this.#pointed ?? this.choices.at)) return;
      this.#probed = reply;
      this.#showProbe();
    } catch (error) {
      report(error);
    }
  }

  #showProbe() {
    /** @type {Record<string, import("../parts/map-panel.js").Mark[]>} */
    const marks = this.#probed ? marksOf(this.#probed.fields) : {};
    for (const stage of STAGES) this.#panels.maps[stage].marks = marks[stage] ?? [];
    if (this.#probed) this.#sum.show(this.#probed, this.choices);
    else this.#sum.clear();
  }

  /** Zoom in on what the number has seen. */
  #lookCloser() {
    if (!this.#probed) return;
    const { box, size: [rows, columns] } = this.#probed.fields;
    const part = Math.min(Math.max((CLOSE_UP * box.height) / rows, (CLOSE_UP * box.width) / columns, 1 / 256), 1);
    const begin = (/** @type {number} */ middle) => Math.min(Math.max(middle - part / 2, 0), 1 - part);
    this.#look({ part, top: begin((box.top + box.height / 2) / rows), left: begin((box.left + box.width / 2) / columns) });
  }
}

customElements.define("extract-room", ExtractRoom);
