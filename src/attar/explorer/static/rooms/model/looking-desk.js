/** The knobs that the rooms Model and Scores share: which model, which picture, how it is prepared, and what with. */

import { button, numberField, picklist, segments, slider, tick } from "../../base/controls.js";
import { freshId, h } from "../../base/dom.js";
import { report } from "../../base/notices.js";
import { server } from "../../base/session.js";
import { number } from "../../base/text.js";
import { picturePicker, upload } from "../../parts/picture-picker.js";
import { t } from "../../text/model.js";
import { COMPARISONS, MOST_SHIFT, POOLS, PREPARATIONS, SIDES, numbers, write } from "./looking.js";

/**
 * @typedef {import("./looking.js").Looking} Looking
 * @typedef {{model: string, name: string}} Listed
 * @typedef {{model: string, name: string, input: (number | null)[] | null, layers: number, parameters: number, pools: boolean, head: boolean}} ModelFacts
 */

/** What a model is called. @param {Listed} listed */
export function modelName({ model, name }) {
  return model === "demo" ? t("demo") : name;
}

/**
 * What the two sides of a comparison are called.
 *
 * @param {Looking} looking
 * @returns {Record<string, string>}
 */
export function sideNames({ compare, pools }) {
  if (compare === "shift") return { first: t("side-still"), second: t("side-shifted") };
  if (compare === "built") return { first: t("side-pools", { pools: t(`pools-${pools}`) }), second: t("compare-built") };
  return { first: t("first"), second: t("second") };
}

export class LookingDesk {
  element = h("div", { class: "stack looking" });
  /** @type {Looking} */
  looking;
  /** @type {Listed[]} */
  models = [];
  /** @type {ModelFacts | null} */
  #facts = null;
  /** @type {() => Promise<void>} */
  #onchange;
  /** Resolves when what was changed last is seen. */
  #seen = Promise.resolve();
  #file = h("input", {
    type: "file", accept: ".onnx", hidden: true, name: "model-file",
    onchange: () => {
      this.#take(this.#file.files);
      this.#file.value = "";
    },
  });
  #picker = picturePicker();
  #places = {
    model: h("section", { class: "card stack", id: "choose-model" }),
    prepare: h("section", { class: "card stack", id: "prepare" }),
    compare: h("section", { class: "card stack", id: "compare" }),
  };

  /**
   * @param {Looking} looking changed in place
   * @param {() => Promise<void>} onchange called when something else is to be looked at
   */
  constructor(looking, onchange) {
    this.looking = looking;
    this.#onchange = onchange;
    this.#picker.chosen = { image: looking.image };
    this.#picker.addEventListener("picture", (event) => {
      this.change({ image: /** @type {CustomEvent} */ (event).detail.image });
    });
    this.#picker.seen = () => this.#seen;
    this.element.append(
      this.#places.model,
      h("section", { class: "card stack", id: "choose-picture" }, this.#picker),
      this.#places.prepare,
      this.#places.compare,
    );
    this.draw();
  }

  /** Look at something else. @param {Partial<Looking>} changes */
  change(changes) {
    Object.assign(this.looking, changes);
    if ("image" in changes && changes.image) this.#picker.chosen = { image: changes.image };
    if ("model" in changes || "compare" in changes || "pools" in changes || "prepare" in changes) this.draw();
    write(this.looking);
    this.#seen = this.#onchange();
  }

  /** What is known of the model, once it is. @param {ModelFacts | null} facts */
  set facts(facts) {
    const other = facts?.model !== this.#facts?.model;
    this.#facts = facts;
    if (other) this.draw();
  }

  /** Ask which models there are. */
  async list() {
    const { fields } = await server().ask("model.list");
    this.models = fields.models;
    this.draw();
  }

  /** Whether the model of the address is there. */
  get hasModel() {
    return this.models.some(({ model }) => model === this.looking.model);
  }

  /** Draw the controls anew; the focus stays where it was. */
  draw() {
    const focused = document.activeElement;
    const name = this.element.contains(focused) ? focused?.getAttribute("data-name") ?? focused?.getAttribute("name") : null;
    const value = focused instanceof HTMLInputElement && focused.type === "radio" ? focused.value : null;
    this.#places.model.replaceChildren(...this.#drawModel());
    this.#places.prepare.replaceChildren(...this.#drawPreparation());
    this.#places.compare.replaceChildren(...this.#drawComparison());
    if (name && !document.contains(focused)) {
      const by = value === null ? `[name="${name}"]` : `[data-name="${name}"][value="${value}"]`;
      /** @type {HTMLElement | null} */ (this.element.querySelector(by))?.focus();
    }
  }

  // ---------------------------------------------------------------- the model

  #drawModel() {
    const options = this.models.map((each) => ({ value: each.model, text: modelName(each) }));
    if (!this.hasModel) options.unshift({ value: this.looking.model, text: t("none") });
    return [
      picklist({ label: t("model"), options, value: this.looking.model, name: "model", onchange: (model) => this.change({ model, ...START }) }),
      h("div", { class: "row" }, button(t("open"), () => this.browse(), { name: "open-model" }), this.#file),
      h("p", { class: "hint" }, t("open-hint")),
    ];
  }

  /** Let a person choose a file. */
  browse() {
    this.#file.click();
  }

  /** Take a model that was dropped or chosen, if there is one. @param {FileList | null | undefined} files */
  async #take(files) {
    const file = Array.from(files ?? []).find((each) => /\.onnx$/i.test(each.name));
    if (!file) return;
    this.element.setAttribute("aria-busy", "true");
    try {
      const response = await server().post("/models", file, { "X-File-Name": encodeURIComponent(file.name) });
      const facts = await response.json();
      await this.list();
      this.change({ model: facts.model, ...START });
    } catch (error) {
      report(error);
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  /** Take models that are dropped on the page, until the signal. @param {AbortSignal} signal */
  listen(signal) {
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#take(event.dataTransfer?.files);
    }, { signal });
  }

  // ---------------------------------------------------------------- what it sees

  #drawPreparation() {
    const { prepare, scale, mean, std, bgr, side } = this.looking;
    const input = this.#facts?.input ?? [null, null, null];
    const fixed = input[0] !== null && input[1] !== null;
    /** @type {HTMLElement[]} */
    const parts = [
      h("h2", {}, t("sees")),
      picklist({
        label: t("numbers"), value: prepare, name: "prepare",
        options: PREPARATIONS.map((value) => ({ value, text: t(`prepare-${value}`) })),
        onchange: (chosen) => this.change({ prepare: chosen }),
      }),
    ];
    if (prepare === "custom") {
      parts.push(
        numberField({ label: t("scale"), value: scale, step: "any", name: "scale", oninput: (value) => value && this.change({ scale: value }) }),
        listField(t("mean"), mean, "mean", (value) => this.change({ mean: value })),
        listField(t("std"), std, "std", (value) => value.every(Boolean) && this.change({ std: value })),
        tick({ label: t("bgr"), checked: bgr, name: "bgr", onchange: (value) => this.change({ bgr: value }) }),
      );
    }
    parts.push(
      fixed
        ? h("p", { class: "hint" }, t("fixed", { height: Number(input[0]), width: Number(input[1]) }))
        : numberField({
          label: t("side"), value: side, min: SIDES.least, max: SIDES.most, name: "side",
          oninput: (value) => this.change({ side: value }),
        }),
    );
    return parts;
  }

  // ---------------------------------------------------------------- what with

  #drawComparison() {
    const { pools, compare, dx, dy, other } = this.looking;
    const swapped = pools !== "built";
    const choices = COMPARISONS.filter((each) => each !== "built" || swapped);
    /** @type {HTMLElement[]} */
    const parts = [
      segments({
        label: t("pools"), value: pools, name: "pools",
        options: POOLS.map((value) => ({ value, text: t(`pools-${value}`) })),
        onchange: (chosen) => this.#swap(chosen),
      }),
    ];
    if (this.#facts && !this.#facts.pools) parts.push(h("p", { class: "hint" }, t("no-pools")));
    parts.push(
      segments({
        label: t("compare"), value: compare, name: "compare",
        options: choices.map((value) => ({ value, text: t(`compare-${value}`) })),
        onchange: (chosen) => this.change({ compare: chosen }),
      }),
    );
    if (compare === "shift") {
      const pixels = (/** @type {number} */ value) => t("pixels", { n: number(value) });
      parts.push(
        slider({ label: t("dx"), min: -MOST_SHIFT, max: MOST_SHIFT, value: dx, format: pixels, name: "dx", oninput: (value) => this.change({ dx: value }) }),
        slider({ label: t("dy"), min: -MOST_SHIFT, max: MOST_SHIFT, value: dy, format: pixels, name: "dy", oninput: (value) => this.change({ dy: value }) }),
      );
    }
    if (compare === "picture") parts.push(this.#otherPicture(other));
    return parts;
  }

  /** Other pools are shown beside those that the model was built with. @param {Looking["pools"]} pools */
  #swap(pools) {
    const { compare } = this.looking;
    if (pools !== "built" && compare === "nothing") this.change({ pools, compare: "built" });
    else if (pools === "built" && compare === "built") this.change({ pools, compare: "nothing" });
    else this.change({ pools });
  }

  /** @param {string} other */
  #otherPicture(other) {
    /** @type {string[]} */
    const samples = server().hello.samples;
    const options = samples.map((value) => ({ value, text: t(/** @type {"coffee"} */ (value)) }));
    if (!samples.includes(other)) options.unshift({ value: other, text: t("own-picture") });
    const file = h("input", {
      type: "file", accept: "image/*", hidden: true, name: "other-file",
      onchange: async () => {
        const [chosen] = file.files ?? [];
        if (!chosen) return;
        try {
          const { image } = await upload(chosen, chosen.name);
          this.change({ other: image });
          this.draw();
        } catch (error) {
          report(error);
        }
      },
    });
    return h("div", { class: "stack" },
      picklist({ label: t("other"), options, value: other, name: "other", onchange: (value) => this.change({ other: value }) }),
      h("div", { class: "row" }, button(t("open-picture"), () => file.click(), { name: "open-other" }), file));
  }
}

/** Another model begins as it was built. @type {Partial<Looking>} */
const START = { pools: "built" };

/**
 * A field for one number or three.
 *
 * @param {string} label
 * @param {number[]} value
 * @param {string} name
 * @param {(value: number[]) => void} oninput
 */
function listField(label, value, name, oninput) {
  const id = freshId(name);
  const input = h("input", {
    id, type: "text", name, value: value.join(", "), inputmode: "decimal", class: "numbers",
    oninput: () => {
      const found = numbers(input.value.replaceAll(" ", ""), []);
      input.setCustomValidity(found.length ? "" : t("numbers-wanted"));
      if (found.length) oninput(found);
    },
  });
  return h("div", { class: "control" }, h("label", { for: id }, label), input);
}
