/** The knobs of the room: what is drawn, how it is condensed, where both lie. */

import { button, numberField, picklist, segments, slider, tick } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { t } from "../../text/invariance.js";
import { BORDERS, POOLS, SHAPES, SIZES, WINDOWED, WINDOWS, farthest } from "./state.js";

/** @typedef {import("./state.js").State} State */

/**
 * Make the knobs, and a function that fits them to another state of the same size.
 *
 * @param {State} state
 * @param {(changes: Partial<State>) => void} change
 */
export function knobs(state, change) {
  const far = farthest(state.size);
  const words = (/** @type {readonly string[]} */ values) =>
    values.map((value) => ({ value, text: t(/** @type {"max"} */ (value)) }));
  const place = (/** @type {"dy" | "dx" | "y" | "x"} */ name, step = 1) =>
    numberField({
      label: t(name), name, min: -far, max: far, step, value: state[name], oninput: (value) => change({ [name]: value }),
    });
  const pixels = (/** @type {number} */ n) => t("pixels", { n });

  const shape = picklist({
    label: t("drawn"), name: "shape", options: words(SHAPES), value: /** @type {string} */ (state.shape),
    onchange: (value) => change({ shape: /** @type {State["shape"]} */ (value) }),
  });
  const radius = slider({
    label: t("radius"), name: "radius", min: 1, max: state.size / 2, value: state.radius, format: pixels,
    oninput: (value) => change({ radius: value }),
  });
  const distance = slider({
    label: t("distance"), name: "distance", min: 1, max: state.size / 2, value: state.distance, format: pixels,
    oninput: (value) => change({ distance: value }),
  });
  const size = segments({
    label: t("size"), name: "size", value: String(state.size),
    options: SIZES.toSorted((a, b) => a - b).map((each) => ({ value: String(each), text: String(each) })),
    onchange: (value) => change({ size: Number(value) }),
  });
  const pool = picklist({
    label: t("pool"), name: "pool", options: words(POOLS), value: /** @type {string} */ (state.pool),
    onchange: (value) => change({ pool: /** @type {State["pool"]} */ (value) }),
  });
  const aboutPool = h("p", { class: "hint" });
  const window = segments({
    label: t("window"), name: "window", value: state.window,
    options: WINDOWS.map((value) => ({ value, text: `${value} × ${value}` })), onchange: (value) => change({ window: value }),
  });
  const border = segments({
    label: t("border"), name: "border", value: /** @type {string} */ (state.border), options: words(BORDERS),
    onchange: (value) => change({ border: /** @type {State["border"]} */ (value) }),
  });
  const aboutBorder = h("p", { class: "hint" });
  const twinPlace = h("div", { class: "stack" });
  const aboutHalf = h("p", { class: "hint" }, t("about-half"));

  const element = h("div", { class: "stack knobs" },
    h("section", { class: "card stack" }, h("h2", {}, t("feature")), shape, radius, distance, size),
    h("section", { class: "card stack", id: "pool-card" }, h("h2", {}, t("pooling")), pool, aboutPool, window, border, aboutBorder),
    h("section", { class: "card stack" },
      h("h2", {}, t("place")),
      twinPlace,
      tick({ label: t("half"), name: "half", checked: state.half, onchange: (half) => change({ half }) }), aboutHalf,
      place("y"), place("x"),
      button(t("reset"), () => change({ dy: 0, dx: 0 }), { name: "reset" })),
  );

  let step = 0;

  /** @param {State} now */
  function fit(now) {
    radius.hidden = now.shape !== "circle";
    distance.hidden = now.shape !== "dots";
    window.hidden = !WINDOWED.includes(now.pool);
    aboutHalf.hidden = !now.half;
    aboutPool.textContent = t(`about-${now.pool}`);
    aboutBorder.textContent = t(`about-${now.border}`);
    // A twin that stands between pixels stays there, whatever its next move.
    const next = now.half || !Number.isInteger(now.dy) || !Number.isInteger(now.dx) ? 0.5 : 1;
    if (next !== step) twinPlace.replaceChildren(place("dy", next), place("dx", next));
    step = next;
    for (const name of /** @type {const} */ (["shape", "dy", "dx", "y", "x"])) {
      const input = /** @type {HTMLInputElement | HTMLSelectElement | null} */ (element.querySelector(`[name="${name}"]`));
      if (input && (name === "shape" || Number(input.value) !== now[name])) input.value = String(now[name]);
    }
  }

  fit(state);
  return { element, fit };
}
