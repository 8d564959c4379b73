/** Everything that is chosen in the room: how it stands in the address, and what is asked of the server. */

import { count, word } from "../../base/address.js";
import { WHOLE } from "../../parts/map-panel.js";

/**
 * @typedef {"image" | "filter" | "detect" | "condense"} Stage
 * @typedef {{stage: Stage, row: number, column: number} | {stage: "strongest"}} Spot  a pixel of a map
 * @typedef {object} Choices
 * @property {string} image
 * @property {"color" | "gray"} read
 * @property {string} kernel  a name, a recipe such as "gaussian:5:1.5", or its rows
 * @property {number} bias
 * @property {number} conv_stride
 * @property {"same" | "valid"} conv_padding
 * @property {"relu" | "none"} activation
 * @property {"max" | "average" | "none"} pool
 * @property {number} pool_size
 * @property {number} pool_stride  0 is that of the size
 * @property {"same" | "valid"} pool_padding
 * @property {string} active  colour table; empty for the usual one
 * @property {string} signed
 * @property {import("../../parts/map-panel.js").View} view
 * @property {Spot | null} at  the pixel whose arithmetic is held on to
 *
 * @typedef {object} Room  what the parts of the room know of it
 * @property {Choices} choices
 * @property {(changes: Partial<Choices>, how?: {redraw?: boolean}) => void} change
 */

export const STAGES = /** @type {const} */ (["image", "filter", "detect", "condense"]);
export const MOST_STEP = 64;

/** @type {Choices} */
export const USUAL = {
  image: "coffee", read: "color", kernel: "edge", bias: 0, conv_stride: 1, conv_padding: "same", activation: "relu",
  pool: "max", pool_size: 2, pool_stride: 0, pool_padding: "same", active: "", signed: "", view: WHOLE, at: null,
};

/** Read the choices of an address. @param {import("../../base/address.js").Fields} fields @returns {Choices} */
export function read(fields) {
  const bias = Number(fields["bias"] ?? 0);
  return {
    image: fields["image"] || USUAL.image,
    read: word(fields, "read", ["color", "gray"]),
    kernel: fields["kernel"] || USUAL.kernel,
    bias: Number.isFinite(bias) && Math.abs(bias) <= 1e6 ? bias : 0,
    conv_stride: count(fields, "conv_stride", 1, 1, MOST_STEP),
    conv_padding: word(fields, "conv_padding", ["same", "valid"]),
    activation: word(fields, "activation", ["relu", "none"]),
    pool: word(fields, "pool", ["max", "average", "none"]),
    pool_size: count(fields, "pool_size", 2, 1, MOST_STEP),
    pool_stride: count(fields, "pool_stride", 0, 0, MOST_STEP),
    pool_padding: word(fields, "pool_padding", ["same", "valid"]),
    active: fields["active"] ?? "",
    signed: fields["signed"] ?? "",
    view: readView(fields["view"]),
    at: readSpot(fields["at"]),
  };
}

/** @param {string | undefined} text */
function readView(text) {
  const [top = NaN, left = NaN, part = NaN] = (text ?? "").split(",").map(Number);
  const inside = [top, left].every((start) => start >= 0 && start + part <= 1 + 1e-9);
  return part > 0.001 && inside ? { top, left, part } : WHOLE;
}

/** @param {string | undefined} text @returns {Spot | null} */
function readSpot(text) {
  if (text === "strongest") return { stage: "strongest" };
  const [name, place = ""] = (text ?? "").split(":");
  const stage = STAGES.find((each) => each === name);
  const [row = NaN, column = NaN] = place.split(",").map(Number);
  return stage && Number.isInteger(row) && Number.isInteger(column) && Math.min(row, column) >= 0
    ? { stage, row, column } : null;
}

/** The choices as fields of the address; what is as usual is left out. @param {Choices} choices */
export function written(choices) {
  /** @type {Record<string, string | number | null>} */
  const fields = {};
  for (const [name, value] of Object.entries(choices)) {
    if (typeof value === "string" || typeof value === "number") {
      fields[name] = value === USUAL[/** @type {keyof Choices} */ (name)] ? null : value;
    }
  }
  const { view, at } = choices;
  const short = (/** @type {number} */ place) => Number(place.toFixed(5));
  fields["image"] = choices.image;
  fields["view"] = view.part === 1 ? null : [view.top, view.left, view.part].map(short).join(",");
  fields["at"] = !at ? null : at.stage === "strongest" ? at.stage : `${at.stage}:${at.row},${at.column}`;
  return fields;
}

/** What is asked of the server, without what is to be seen of it. @param {Choices} choices */
export function wish({ image, read, kernel, bias, conv_stride, conv_padding, activation, pool, pool_size, pool_stride, pool_padding }) {
  return {
    image, read, kernel, bias, conv_stride, conv_padding, activation, pool, pool_size,
    pool_stride: pool_stride || pool_size, pool_padding,
  };
}

/** The text of a kernel's weights. @param {number[][]} rows */
export function kernelText(rows) {
  return rows.map((row) => row.map(String).join(",")).join(";");
}
