/** The knobs of the three steps, and of the picture and the colours. */

import * as colours from "../../base/colours.js";
import { numberField, picklist, segments } from "../../base/controls.js";
import { freshId, h } from "../../base/dom.js";
import { t } from "../../text/extract.js";
import { MOST_STEP } from "./choices.js";

/** @typedef {import("./choices.js").Room} Room */

const MOST_BIAS = 1e6;
const SLID_BIAS = 2;

/** @template {string} Word @param {readonly Word[]} words @param {(word: Word) => string} say */
function options(words, say) {
  return words.map((value) => ({ value, text: say(value) }));
}

/** Whether the picture is read as it is or as gray. @param {Room} room */
export function readKnob({ choices, change }) {
  return segments({
    label: t("read"), name: "read", value: choices.read, options: options(/** @type {const} */ (["color", "gray"]), t),
    onchange: (read) => change({ read }),
  });
}

/** The cards of the three steps. @param {Room} room */
export function stepCards(room) {
  return [filterCard(room), detectCard(room), condenseCard(room)];
}

/** @param {Room} room */
function filterCard({ choices, change }) {
  return h("section", { class: "card stack step", id: "step-filter" },
    h("h2", {}, t("filter-card")),
    bias(choices.bias, (to) => change({ bias: to })),
    h("div", { class: "pair" },
      steps("conv_stride", t("stride"), choices.conv_stride, (conv_stride) => change({ conv_stride })),
      padding("conv_padding", choices.conv_padding, (conv_padding) => change({ conv_padding }))));
}

/** @param {Room} room */
function detectCard({ choices, change }) {
  const say = (/** @type {"relu" | "none"} */ name) => t(name === "relu" ? "relu-name" : "none");
  return h("section", { class: "card stack step", id: "step-detect" },
    h("h2", {}, t("detect-card")),
    segments({
      label: t("activation"), name: "activation", value: choices.activation,
      options: options(/** @type {const} */ (["relu", "none"]), say), onchange: (activation) => change({ activation }),
    }));
}

/** @param {Room} room */
function condenseCard({ choices, change }) {
  const details = h("div", { class: "stack", hidden: choices.pool === "none" });
  const stride = steps("pool_stride", t("stride"), choices.pool_stride || choices.pool_size, (to) => {
    change({ pool_stride: to === room.size ? 0 : to });
  });
  const field = /** @type {HTMLInputElement} */ (stride.querySelector("input"));
  const room = { size: choices.pool_size, follows: choices.pool_stride === 0 };
  field.addEventListener("input", () => { room.follows = Number(field.value) === room.size; });
  details.append(
    h("div", { class: "pair" },
      steps("pool_size", t("size"), choices.pool_size, (pool_size) => {
        room.size = pool_size;
        // The stride is that of the size until it is given one of its own.
        if (room.follows) field.value = String(pool_size);
        change({ pool_size });
      }),
      stride),
    padding("pool_padding", choices.pool_padding, (pool_padding) => change({ pool_padding })),
  );
  return h("section", { class: "card stack step", id: "step-condense" },
    h("h2", {}, t("condense-card")),
    segments({
      label: t("pool"), name: "pool", value: choices.pool,
      options: options(/** @type {const} */ (["max", "average", "none"]), t),
      onchange: (pool) => {
        details.hidden = pool === "none";
        change({ pool });
      },
    }),
    details);
}

/** The colour tables. @param {Room} room */
export function coloursCard({ choices, change }) {
  return h("section", { class: "card", id: "colours" },
    h("details", {}, h("summary", {}, t("colours-card")),
      h("div", { class: "stack" }, (/** @type {const} */ (["active", "signed"])).map((kind) => picklist({
        label: t(kind), name: `colours-${kind}`, value: choices[kind] || String(colours.choices(kind)[0]),
        options: options(colours.choices(kind), (name) => name.replace("_r", "")),
        onchange: (name) => change({ [kind]: name === colours.choices(kind)[0] ? "" : name }),
      })))));
}

/** @param {string} name @param {string} label @param {number} value @param {(to: number) => void} oninput */
function steps(name, label, value, oninput) {
  return numberField({ label, name, min: 1, max: MOST_STEP, value, oninput });
}

/** @param {string} name @param {"same" | "valid"} value @param {(to: "same" | "valid") => void} onchange */
function padding(name, value, onchange) {
  return picklist({ label: t("padding"), name, value, options: options(/** @type {const} */ (["same", "valid"]), t), onchange });
}

/** A slider for the usual, a field for any number. @param {number} value @param {(to: number) => void} onchange */
function bias(value, onchange) {
  const id = freshId("bias");
  const field = h("input", {
    id, type: "number", name: "bias", step: 0.05, min: -MOST_BIAS, max: MOST_BIAS, value: String(value), inputmode: "decimal",
    oninput: () => {
      if (field.value === "" || !(Math.abs(Number(field.value)) <= MOST_BIAS)) return;
      range.value = field.value;
      onchange(Number(field.value));
    },
  });
  const range = h("input", {
    type: "range", name: "bias-slider", min: -SLID_BIAS, max: SLID_BIAS, step: 0.05, value: String(value), "aria-label": t("bias"),
    oninput: () => {
      field.value = range.value;
      onchange(Number(range.value));
    },
  });
  return h("div", { class: "control slider" }, h("label", { for: id }, t("bias")), field, range);
}
