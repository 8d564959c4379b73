/** The kernel: one with a name, one that is drawn by chance or from a bell, or one's own. */

import { button, numberField, picklist } from "../../base/controls.js";
import { freshId, h } from "../../base/dom.js";
import { report } from "../../base/notices.js";
import { server } from "../../base/session.js";
import { language } from "../../base/text.js";
import { kernelGrid } from "../../parts/kernel-grid.js";
import { kernelName, t } from "../../text/extract.js";
import { kernelText } from "./choices.js";

const MOST_SIDE = 11;
const OWN = "own";
/** Names of the kernels of the library; the same for every visit. @type {string[]} */
let names = [];

export class KernelCard {
  #room;
  #grid = kernelGrid();
  #choice = h("div");
  #sizes = h("div", { class: "pair" });
  #text = h("textarea", { rows: 4, spellcheck: "false", id: freshId("kernel-text"), name: "kernel-text" });
  #kind = "";
  #edits = Promise.resolve();

  /** @param {import("./choices.js").Room} room */
  constructor(room) {
    this.#room = room;
    this.#grid.addEventListener("edit", (event) => {
      room.change({ kernel: kernelText(/** @type {CustomEvent} */ (event).detail) });
    });
    this.#grid.addEventListener("text", (event) => this.#edit("read", {}, /** @type {CustomEvent} */ (event).detail));
    const what = (/** @type {"rotate" | "flip" | "normalise" | "another"} */ name, /** @type {() => void} */ act) =>
      button(t(name), act, { name, title: t(`${name}-what`) });
    this.element = h("section", { class: "card stack", id: "kernel" },
      h("h2", {}, t("kernel-card")),
      this.#choice, this.#sizes, this.#grid,
      h("div", { class: "row tight" },
        what("rotate", () => this.#edit("rotate")), what("flip", () => this.#edit("flip")),
        what("normalise", () => this.#edit("normalise")), what("another", () => this.#random())),
      h("details", {}, h("summary", {}, t("text")),
        h("div", { class: "stack" },
          h("label", { class: "hint", for: this.#text.id }, t("text-label")), this.#text,
          h("div", {}, button(t("use"), () => this.#edit("read", {}, this.#text.value), { name: "use" })))),
    );
    this.#load();
  }

  async #load() {
    try {
      if (!names.length) names = (await server().ask("extract.kernel", { kernel: "edge" })).fields.names;
      this.#draw();
    } catch (error) {
      report(error);
    }
  }

  /** "gaussian:5:1.5" is ["gaussian", 5, 1.5]. @returns {[string, number, number] | null} */
  get #recipe() {
    const [kind = "", size, number] = this.#room.choices.kernel.split(":");
    return kind === "gaussian" || kind === "random" ? [kind, Number(size), Number(number)] : null;
  }

  /** The room asked for another kernel, or the server said what one is. @param {{rows: number[][], name: string | null}} kernel */
  show({ rows, name }) {
    this.#grid.rows = rows;
    if (document.activeElement !== this.#text) this.#text.value = rows.map((row) => row.join(" ")).join("\n");
    const list = this.#choice.querySelector("select");
    const value = this.#recipe?.[0] ?? name ?? OWN;
    if (list && list.value !== value) list.value = value;
    const [height, width] = [rows.length, rows[0]?.length ?? 1];
    const kind = this.#recipe?.[0] ?? OWN;
    if (kind !== this.#kind) this.#drawSizes(height, width);
    this.#kind = kind;
    const [, size = height, number = 0] = this.#recipe ?? [];
    const values = { "kernel-height": height, "kernel-width": width, "kernel-size": size, std: number, seed: number };
    for (const field of this.#sizes.querySelectorAll("input")) {
      // Not the one that is being written in.
      if (field !== document.activeElement) field.value = String(values[/** @type {keyof typeof values} */ (field.name)]);
    }
  }

  recolour() {
    this.#grid.recolour();
  }

  #draw() {
    const kinds = [
      ...names.map((value) => ({ value, text: kernelName(value, language()) })),
      ...(/** @type {const} */ (["gaussian", "random", OWN])).map((value) => ({ value, text: t(value) })),
    ];
    const { kernel } = this.#room.choices;
    const value = this.#recipe?.[0] ?? (names.includes(kernel) ? kernel : OWN);
    this.#choice.replaceChildren(picklist({
      label: t("kernel"), name: "kernel", value, options: kinds,
      onchange: (chosen) => {
        if (chosen === "gaussian") this.#use("gaussian:5:1");
        else if (chosen === "random") this.#random();
        else if (chosen === OWN) this.#use(kernelText(this.#grid.rows));
        else this.#use(chosen);
      },
    }));
  }

  /** @param {number} height @param {number} width */
  #drawSizes(height, width) {
    const side = (
      /** @type {"height" | "width" | "size"} */ name, /** @type {number} */ value, /** @type {(to: number) => void} */ oninput,
    ) => numberField({ label: t(name), name: `kernel-${name}`, min: 1, max: MOST_SIDE, value, oninput });
    if (this.#recipe) {
      const [kind, size, value] = this.#recipe;
      const cook = (/** @type {number} */ to, /** @type {number} */ with_) => this.#use(`${kind}:${to}:${with_}`);
      const number = (/** @type {number} */ to) => cook(this.#recipe?.[1] ?? size, to);
      this.#sizes.replaceChildren(
        side("size", size, (to) => cook(to, this.#recipe?.[2] ?? value)),
        kind === "gaussian"
          ? numberField({ label: t("std"), name: "std", min: 0.1, max: 100, step: 0.1, value, oninput: number })
          : numberField({ label: t("seed"), name: "seed", min: 0, max: 1e6, value, oninput: number }),
      );
    } else {
      // Both as they are written: the answer to a change of one may still be on its way.
      const resize = () => {
        const [to = height, across = width] = Array.from(this.#sizes.querySelectorAll("input"), (field) => Number(field.value));
        this.#edit("resize", { height: to, width: across });
      };
      this.#sizes.replaceChildren(
        side("height", height, resize), side("width", width, resize),
      );
    }
  }

  #random() {
    const seed = this.#recipe?.[0] === "random" ? this.#recipe[2] + 1 : 1;
    const side = Math.max(this.#grid.rows.length, 2);
    this.#use(`random:${side}:${seed}`);
  }

  /** @param {string} kernel */
  #use(kernel) {
    this.#room.change({ kernel });
  }

  /**
   * Have the server change the kernel, after the changes that were asked for before.
   *
   * @param {string} what
   * @param {Record<string, unknown>} [more]
   * @param {string} [kernel] the one in use, unless it is another
   */
  #edit(what, more = {}, kernel) {
    this.#edits = this.#edits.then(async () => {
      try {
        const { fields } = await server().ask("extract.kernel", { kernel: kernel ?? this.#room.choices.kernel, do: what, ...more });
        this.#use(fields.kernel);
      } catch (error) {
        report(error);
      }
    });
  }
}
