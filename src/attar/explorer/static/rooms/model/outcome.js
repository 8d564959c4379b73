/** What the model says in the end, and how far apart two pictures are on the way there. */

import { h, svg } from "../../base/dom.js";
import { percent } from "../../base/text.js";
import { t } from "../../text/model.js";
import { bar } from "./layer-table.js";

/**
 * @typedef {{how: "probabilities" | "softmax", count: number, top: [number, number][]}} Prediction
 * @typedef {import("./layer-table.js").LayerRow} LayerRow
 */

/** The name of a class, where it has one. @param {number} index @param {string[] | null} labels */
export function className(index, labels) {
  const key = labels?.[index];
  return key ? t(/** @type {"class-horizontal"} */ (`class-${key}`)) : t("class", { n: index });
}

/**
 * The strongest classes.
 *
 * @param {Record<string, Prediction | null>} predictions
 * @param {string[] | null} labels
 * @param {Record<string, string>} names of the sides
 * @returns {HTMLElement[]}
 */
export function predictionLists(predictions, labels, names) {
  const first = predictions["first"];
  if (!first) return [h("p", { class: "hint" }, t("no-prediction"))];
  const compared = "second" in predictions;
  return [
    h("div", { class: "predictions" }, Object.entries(predictions).map(([side, prediction]) => prediction &&
      h("div", { class: "stack" },
        compared && h("h3", {}, names[side]),
        h("ol", { class: "prediction", "data-side": side }, prediction.top.map(([index, value]) =>
          h("li", {}, h("span", {}, className(index, labels)), bar(value), h("span", { class: "digits" }, percent(value)))))))),
    h("p", { class: "hint" }, t(first.how === "softmax" ? "after-softmax" : "as-they-are", { n: first.count })),
  ];
}

const HEIGHT = 120;
const STEP = 24;

/**
 * How far apart the maps of two pictures are, layer by layer, as a curve; the table has its numbers.
 *
 * @param {LayerRow[]} layers
 * @param {string} chosen
 */
export function differenceCurve(layers, chosen) {
  const width = Math.max((layers.length - 1) * STEP, 1);
  const most = Math.max(1, ...layers.map((layer) => layer.difference ?? 0));
  const points = layers.flatMap((layer, i) => {
    const { difference } = layer;
    return difference === null || difference === undefined ? [] : [{ layer, x: i * STEP, y: HEIGHT * (1 - difference / most) }];
  });
  const last = points.at(-1)?.layer.difference ?? 0;
  return h("figure", { class: "curve" },
    svg("svg", { viewBox: `-8 -8 ${width + 16} ${HEIGHT + 16}`, role: "img", "aria-label": t("curve-alt", { n: points.length, last: percent(last) }), preserveAspectRatio: "none" },
      svg("path", { d: `M0 0V${HEIGHT}H${width}`, class: "axis" }),
      svg("polyline", { points: points.map(({ x, y }) => `${x},${y.toFixed(1)}`).join(" "), class: "line" }),
      // Dots are lines without length: these stay round in a picture that is stretched.
      points.flatMap(({ layer, x, y }) => {
        const d = `M${x} ${y.toFixed(1)}h0`;
        const dot = svg("path", { d, class: layer.name === chosen ? "dot chosen" : "dot" },
          svg("title", {}, `${layer.name}: ${percent(layer.difference ?? 0)}`));
        return /Pool/.test(layer.kind) ? [dot, svg("path", { d, class: "hole" })] : [dot];
      })),
    h("figcaption", { class: "hint" }, t("curve-caption", { most: percent(most) })));
}
