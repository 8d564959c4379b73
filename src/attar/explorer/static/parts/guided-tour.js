/**
 * <guided-tour>: a lesson in steps beside the room that it speaks of.
 *
 * It covers nothing and stops nobody: every knob stays live. A step may set the room up, and points at
 * the part that it speaks of. The address holds which step it is at.
 */

import * as address from "../base/address.js";
import { button } from "../base/controls.js";
import { freshId, h } from "../base/dom.js";
import { texts } from "../base/text.js";

/**
 * @typedef {object} Step
 * @property {string} title
 * @property {string} text  paragraphs, with an empty line between them
 * @property {string} [target]  selector of what it speaks of
 * @property {() => void} [prepare]  sets up the room
 */

const t = texts({
  en: { tour: "Guided tour", back: "Back", next: "Next", done: "Finish", close: "Close the tour", step: "Step {n} of {of}" },
  zh: { tour: "导览", back: "上一步", next: "下一步", done: "完成", close: "关闭导览", step: "第 {n} 步，共 {of} 步" },
});

export class GuidedTour extends HTMLElement {
  /** @type {Step[]} */
  #steps = [];
  /** @type {Element | null} */
  #target = null;
  /** @type {HTMLElement | null} */
  #from = null;

  /**
   * Begin, or go on.
   *
   * @param {Step[]} steps
   * @param {number} at where to begin, from 0
   */
  start(steps, at) {
    this.#steps = steps;
    this.#from = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    this.#go(Math.min(Math.max(at, 0), steps.length - 1));
  }

  connectedCallback() {
    this.onkeydown = (event) => {
      if (event.key === "Escape") this.stop();
    };
  }

  disconnectedCallback() {
    this.#leave();
  }

  /** End the tour. */
  stop() {
    this.#leave();
    this.replaceChildren();
    address.write({ tour: null });
    this.#from?.focus();
  }

  #leave() {
    this.#target?.classList.remove("toured");
    this.#target = null;
  }

  /** @param {number} at */
  #go(at) {
    const step = this.#steps[at];
    if (!step) return;

    this.#leave();
    step.prepare?.();
    const heading = freshId("tour");
    const last = at === this.#steps.length - 1;
    const title = h("h2", { id: heading, tabindex: -1 }, step.title);
    this.replaceChildren(
      h("section", { class: "tour", "aria-labelledby": heading, role: "region" },
        h("header", {},
          h("p", { class: "tour-count" }, `${t("tour")} · ${t("step", { n: at + 1, of: this.#steps.length })}`),
          button("×", () => this.stop(), { class: "quiet icon", "aria-label": t("close"), title: t("close") }),
        ),
        title,
        step.text.split("\n\n").map((paragraph) => h("p", {}, paragraph)),
        h("footer", {},
          button(t("back"), () => this.#go(at - 1), { disabled: at === 0, name: "tour-back" }),
          button(last ? t("done") : t("next"), () => (last ? this.stop() : this.#go(at + 1)), { class: "primary", name: "tour-next" }),
        ),
      ),
    );
    title.focus({ preventScroll: true });
    this.#target = step.target ? document.querySelector(step.target) : null;
    this.#target?.classList.add("toured");
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#target?.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
    address.write({ tour: at + 1 });
  }
}

customElements.define("guided-tour", GuidedTour);

/** Make a tour. @returns {GuidedTour} */
export function guidedTour() {
  return /** @type {GuidedTour} */ (document.createElement("guided-tour"));
}
