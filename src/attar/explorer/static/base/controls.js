/** Labelled controls: every one has a name, works with the keyboard, and says what it holds. */

import { freshId, h } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * A slider with its label and its value as text.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {number} options.min
 * @param {number} options.max
 * @param {number} [options.step]
 * @param {number} options.value
 * @param {(value: number) => string} [options.format]
 * @param {(value: number) => void} options.oninput called while it moves
 * @param {string} [options.name] to be found by
 */
export function slider({ label, min, max, step = 1, value, format = String, oninput, name }) {
  const id = freshId("slider");
  const output = h("output", { for: id }, format(value));
  const input = h("input", {
    id, type: "range", min, max, step, name, value: String(value), "aria-valuetext": format(value),
    oninput: () => {
      const now = Number(input.value);
      output.textContent = format(now);
      input.setAttribute("aria-valuetext", format(now));
      oninput(now);
    },
  });
  return h("div", { class: "control slider" }, h("label", { for: id }, label), output, input);
}

/**
 * A field for a number, with its label.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {number} [options.min]
 * @param {number} [options.max]
 * @param {number | "any"} [options.step]
 * @param {number} options.value
 * @param {(value: number) => void} options.oninput called with numbers that are accepted only
 * @param {string} [options.name]
 */
export function numberField({ label, min, max, step = 1, value, oninput, name }) {
  const id = freshId("number");
  const input = h("input", {
    id, type: "number", min, max, step, name, value: String(value), inputmode: step === 1 ? "numeric" : "decimal",
    oninput: () => {
      if (input.value !== "" && input.checkValidity()) oninput(Number(input.value));
    },
  });
  return h("div", { class: "control" }, h("label", { for: id }, label), input);
}

/**
 * One of several, all of them visible: for up to five short ones.
 *
 * @template {string} Value
 * @param {object} options
 * @param {string} options.label
 * @param {readonly {value: Value, text: string}[]} options.options
 * @param {Value} options.value
 * @param {(value: Value) => void} options.onchange
 * @param {string} [options.name]
 */
export function segments({ label, options, value, onchange, name = freshId("segments") }) {
  const group = freshId(name);
  return h(
    "fieldset", { class: "control segments" },
    h("legend", {}, label),
    h("div", { class: "segments-row" }, options.map((each) =>
      h("label", {},
        h("input", {
          type: "radio", name: group, "data-name": name, value: each.value, checked: each.value === value,
          onchange: () => onchange(each.value),
        }),
        h("span", {}, each.text),
      ))),
  );
}

/**
 * One of many, in a list that opens.
 *
 * @template {string} Value
 * @param {object} options
 * @param {string} options.label
 * @param {readonly {value: Value, text: string}[]} options.options
 * @param {Value} options.value
 * @param {(value: Value) => void} options.onchange
 * @param {string} [options.name]
 */
export function picklist({ label, options, value, onchange, name }) {
  const id = freshId("list");
  const list = h(
    "select", { id, name, onchange: () => onchange(/** @type {Value} */ (list.value)) },
    options.map((each) => h("option", { value: each.value, selected: each.value === value }, each.text)),
  );
  return h("div", { class: "control" }, h("label", { for: id }, label), list);
}

/**
 * A box to tick.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {boolean} options.checked
 * @param {(checked: boolean) => void} options.onchange
 * @param {string} [options.name]
 */
export function tick({ label, checked, onchange, name }) {
  const input = h("input", { type: "checkbox", name, checked, onchange: () => onchange(input.checked) });
  return h("label", { class: "control tick" }, input, h("span", {}, label));
}

/**
 * A button.
 *
 * @param {Child} text
 * @param {() => void} onclick
 * @param {Record<string, unknown>} [properties] class "primary" or "quiet", title, aria-label, name, disabled
 */
export function button(text, onclick, properties = {}) {
  return h("button", { type: "button", onclick, ...properties }, text);
}
