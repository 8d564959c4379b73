/** How far a model is, and the way to stop it. */

import { button } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { server } from "../../base/session.js";
import { t } from "../../text/model.js";

const LONG = 1500; // ms: a run that takes longer is taken back for the next one; a shorter one is awaited
const PATIENCE = 250; // ms before there is anything to see: most runs are shorter

export class RunBar {
  element = h("div", { class: "run-bar", id: "run-bar" });
  #progress = h("progress", { max: 1, "aria-label": t("running") });
  #what = h("p", { class: "hint" });
  #note = h("p", { class: "hint", role: "status" });
  #bar = h("div", { class: "run-bar-inside", hidden: true },
    this.#what, this.#progress, button(t("cancel"), () => this.cancel(), { name: "cancel" }));
  /** @type {AbortController | null} */
  #running = null;
  #since = 0;
  #shown = 0;

  constructor() {
    this.element.append(this.#bar, this.#note);
  }

  /** Take back the question that is being answered: what is shown stays. */
  cancel() {
    if (!this.#running) return;
    this.#running.abort();
    this.#note.textContent = t("cancelled");
  }

  /**
   * Ask a model, and show how far it is.
   *
   * @param {string} what
   * @param {Record<string, unknown>} fields
   * @returns {Promise<import("../../base/connection.js").Reply>}
   */
  async ask(what, fields) {
    if (this.#running && performance.now() - this.#since > LONG) this.#running.abort();
    const own = new AbortController();
    this.#running = own;
    this.#note.textContent = "";
    this.#since = performance.now();
    clearTimeout(this.#shown);
    this.#shown = window.setTimeout(() => this.#show(true), PATIENCE);
    try {
      return await server().ask(what, fields, {
        signal: own.signal,
        onprogress: ({ done, of, what: layer }) => {
          this.#progress.value = done / of;
          this.#what.textContent = t("layer-of", { layer, n: done + 1, of });
        },
      });
    } finally {
      if (this.#running === own) {
        this.#running = null;
        clearTimeout(this.#shown);
        this.#show(false);
      }
    }
  }

  /** @param {boolean} visible */
  #show(visible) {
    this.#bar.hidden = !visible;
    if (!visible) this.#progress.removeAttribute("value");
  }
}
