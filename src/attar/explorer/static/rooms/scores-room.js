/** <scores-room>: what global pooling leaves of each map, and what becomes of it. */

import * as address from "../base/address.js";
import { picklist, segments } from "../base/controls.js";
import { h } from "../base/dom.js";
import { clearNotice, report } from "../base/notices.js";
import { guidedTour } from "../parts/guided-tour.js";
import { roomHead } from "../parts/room-head.js";
import { scoresTour } from "../text/scores-tour.js";
import { t } from "../text/scores.js";
import { invitation } from "./model/invitation.js";
import { LookingDesk, modelName, sideNames } from "./model/looking-desk.js";
import { question, read, write } from "./model/looking.js";
import { RunBar } from "./model/run-bar.js";
import { ClassCard } from "./scores/class-card.js";
import { rankings } from "./scores/rankings.js";

const TILE = 96; // pixels of a thumbnail that the server is asked for, at most
const BY = /** @type {const} */ (["mean", "maximum"]);

class ScoresRoom extends HTMLElement {
  #looking = read();
  #layer = address.fields()["layer"] ?? "";
  #by = address.word(address.fields(), "by", BY);
  /** @type {number | null} */
  #label = null;

  #listening = new AbortController();
  #desk = new LookingDesk(this.#looking, () => this.#run());
  #bar = new RunBar();
  #tour = guidedTour();
  #about = h("p", { class: "muted", id: "about-model" });
  #knobs = h("div", { class: "score-knobs" });
  #lists = h("div", { class: "stack" });
  #classes = new ClassCard((label) => {
    this.#label = label;
    this.#run();
  });
  #results = h("div", { class: "stack results", hidden: true },
    h("section", { class: "card stack", id: "scores" }, this.#knobs, this.#lists), this.#classes.element);
  #invitation = invitation({ browse: () => this.#desk.browse(), demo: () => this.#desk.change({ model: "demo" }) });

  async connectedCallback() {
    const fields = address.fields();
    this.#label = "class" in fields ? address.count(fields, "class", 0, 0, 1 << 24) : null;
    this.#desk.listen(this.#listening.signal);
    this.replaceChildren(
      roomHead(t("title"), this.#about, () => this.#startTour(0)),
      h("div", { class: "desk" }, this.#desk.element, h("div", { class: "stack" }, this.#bar.element, this.#invitation, this.#results)),
      this.#tour,
    );
    try {
      await this.#desk.list();
    } catch (error) {
      report(error);
      return;
    }
    await this.#run();
    if ("tour" in fields) this.#startTour(address.count(fields, "tour", 1, 1, 99) - 1);
  }

  disconnectedCallback() {
    this.#listening.abort();
    this.#bar.cancel();
  }

  /** @param {number} at */
  #startTour(at) {
    this.#tour.start(scoresTour((changes, { by = this.#by, layer = this.#layer } = {}) => {
      this.#by = by;
      this.#layer = layer;
      this.#label = null;
      this.#desk.change(changes);
    }, this.#looking), at);
  }

  /** Ask for the scores, and show them. */
  async #run() {
    this.#results.hidden ||= !this.#desk.hasModel;
    this.#invitation.hidden = this.#desk.hasModel;
    if (!this.#desk.hasModel) return;
    write(this.#looking);
    address.write({ layer: this.#layer || null, by: this.#by === "mean" ? null : this.#by, class: this.#label });
    try {
      const { fields, arrays } = await this.#bar.ask("scores.run", {
        ...question(this.#looking), layer: this.#layer, by: this.#by, tile: TILE, ...(this.#label === null ? {} : { label: this.#label }),
      });
      clearNotice();
      this.#desk.facts = fields.model;
      this.#layer = fields.layer;
      address.write({ layer: this.#layer });
      const [height = 1, width = 1] = fields.size;
      this.#about.textContent = t("about", { name: modelName(fields.model), layer: fields.layer, n: fields.channels, height, width });
      this.#drawKnobs(fields);
      const names = sideNames(this.#looking);
      this.#lists.replaceChildren(...rankings(fields, arrays, names));
      this.#classes.show(fields, arrays, names);
      this.#results.hidden = false;
    } catch (error) {
      report(error);
    }
  }

  /** @param {import("./scores/rankings.js").ScoresFacts} fields */
  #drawKnobs({ layers, size: [height = 1, width = 1] }) {
    const focused = document.activeElement;
    const name = this.#knobs.contains(focused) ? focused?.getAttribute("data-name") ?? focused?.getAttribute("name") : null;
    this.#knobs.replaceChildren(
      picklist({
        label: t("layer"), options: layers.map((value) => ({ value, text: value })), value: this.#layer, name: "layer",
        onchange: (layer) => {
          this.#layer = layer;
          this.#run();
        },
      }),
      segments({
        label: t("by"), value: this.#by, name: "by", options: BY.map((value) => ({ value, text: t(`by-${value}`) })),
        onchange: (by) => {
          this.#by = by;
          this.#run();
        },
      }),
      h("p", { class: "muted" }, t(`says-${this.#by}`, { height, width, n: height * width })),
    );
    const again = name && this.#knobs.querySelector(`select[name="${name}"], [data-name="${name}"]:checked`);
    if (again instanceof HTMLElement) again.focus();
  }
}

customElements.define("scores-room", ScoresRoom);
