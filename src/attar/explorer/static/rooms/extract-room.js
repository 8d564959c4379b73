/** <extract-room>: filter → detect → condense, with every knob. */

import * as address from "../base/address.js";
import { h } from "../base/dom.js";
import { report } from "../base/notices.js";
import { server } from "../base/session.js";
import { WHOLE, mapPanel } from "../parts/map-panel.js";
import { picturePicker } from "../parts/picture-picker.js";

/** @typedef {import("../parts/map-panel.js").View} View */
const STAGES = /** @type {const} */ (["image", "filter", "detect", "condense"]);

class ExtractRoom extends HTMLElement {
  /** @type {View} */
  #view = WHOLE;
  #image = address.fields()["image"] ?? "coffee";
  #panels = Object.fromEntries(STAGES.map((stage) => [stage, mapPanel()]));

  connectedCallback() {
    const picker = picturePicker();
    picker.chosen = { image: this.#image };
    picker.addEventListener("picture", (event) => {
      this.#image = /** @type {CustomEvent} */ (event).detail.image;
      address.write({ image: this.#image });
      this.#ask();
    });
    for (const panel of Object.values(this.#panels)) {
      panel.addEventListener("viewchange", (event) => {
        this.#view = /** @type {CustomEvent<View>} */ (event).detail;
        for (const each of Object.values(this.#panels)) each.view = this.#view;
        this.#ask();
      });
      panel.addEventListener("resized", () => this.#ask());
    }
    this.replaceChildren(
      h("div", { class: "desk" },
        h("section", { class: "card stack" }, picker),
        h("div", { class: "panels" }, STAGES.map((stage) =>
          h("figure", { class: "panel" }, this.#panels[stage], h("figcaption", {}, h("strong", {}, stage)))))),
    );
  }

  async #ask() {
    try {
      const { fields, arrays } = await server().ask("extract.maps", {
        image: this.#image,
        kernel: [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
        view: { ...this.#view, ...this.#panels["image"]?.pixels },
      });
      for (const stage of STAGES) {
        const facts = fields.maps[stage];
        const panel = this.#panels[stage];
        const levels = arrays[stage];
        if (!panel || !levels) continue;
        panel.proportion(fields.maps.image.size[0], fields.maps.image.size[1]);
        panel.show(levels, facts);
      }
    } catch (error) {
      report(error);
    }
  }
}

customElements.define("extract-room", ExtractRoom);
