/** A kernel as tiles, one for each channel that it reads, with its numbers where they are few. */

import * as colours from "../../base/colours.js";
import { h } from "../../base/dom.js";
import { number } from "../../base/text.js";
import { t, together } from "../../text/model.js";
import { tileCanvas } from "./thumbnails.js";

/**
 * @typedef {import("../../base/frames.js").Table} Table
 * @typedef {{layer: string, size: number[], channels: number, shown: number[], reach: number, bias: number | null}} KernelFacts
 */

/**
 * Draw a kernel.
 *
 * @param {KernelFacts | null} facts
 * @param {Record<string, Table>} arrays  kernel: levels (n, kh, kw); weights: numbers, of small ones
 * @param {string} layer  whose map is shown
 * @returns {HTMLElement[]}
 */
export function kernelTiles(facts, arrays, layer) {
  const levels = arrays["kernel"];
  if (!facts || !levels) return [h("p", { class: "hint" }, t("no-kernel"))];
  const { size: [height = 1, width = 1], channels, shown, reach, bias } = facts;
  const weights = arrays["weights"];
  const strip = h("canvas", { "aria-hidden": true });
  colours.drawScale(strip, "signed");
  const few = shown.length < channels ? t("kernel-shown", { n: shown.length }) : "";
  return [
    h("h3", {}, facts.layer === layer ? t("kernel") : t("kernel-of", { layer: facts.layer })),
    h("p", { class: "muted" }, together(t("kernel-size", { height, width, channels, bias: number(bias ?? NaN) }), few)),
    h("div", { class: weights ? "kernel-tiles with-numbers" : "kernel-tiles", role: weights ? null : "img", "aria-label": weights ? null : t("kernel-alt", { n: shown.length }) },
      shown.map((channel, i) => h("figure", { class: "kernel-tile" },
        weights ? numberTable(weights, levels, i, channel) : tileCanvas(levels, i, "signed"),
        h("figcaption", { "aria-hidden": weights ? null : true }, channels > 1 ? t("kernel-channel", { n: channel }) : "")))),
    h("div", { class: "scale" }, h("span", {}, number(-reach)), strip, h("span", {}, number(reach))),
  ];
}

/**
 * The numbers of one channel, in cells that have the colours of the tile.
 *
 * @param {Table} weights
 * @param {Table} levels
 * @param {number} i
 * @param {number} channel
 */
function numberTable(weights, levels, i, channel) {
  const [, height = 1, width = 1] = weights.shape;
  const at = i * height * width;
  const { data } = colours.coloured({ data: levels.data.subarray(at, at + height * width), shape: [height, width] }, "signed");
  const cell = (/** @type {number} */ k) => {
    const [r = 0, g = 0, b = 0] = data.subarray(4 * k, 4 * k + 3);
    const ink = 0.299 * r + 0.587 * g + 0.114 * b > 128 ? "#000" : "#fff";
    return h("td", { style: { "background-color": `rgb(${r} ${g} ${b})`, color: ink } }, number(Number(weights.data[at + k]), 2));
  };
  return h("table", { class: "kernel-numbers" },
    h("caption", { class: "visually-hidden" }, t("kernel-channel", { n: channel })),
    h("tbody", {}, Array.from({ length: height }, (_, y) =>
      h("tr", {}, Array.from({ length: width }, (_unused, x) => cell(y * width + x))))));
}
