/** Which model looks at which pictures, and how: as the address has it, and as the server is asked. */

import * as address from "../../base/address.js";

export const PREPARATIONS = /** @type {const} */ (["unit", "bytes", "vgg", "torch", "custom"]);
export const POOLS = /** @type {const} */ (["built", "max", "average", "blur"]);
export const COMPARISONS = /** @type {const} */ (["nothing", "picture", "shift", "built"]);
export const SIDES = { usual: 320, least: 16, most: 2048 };
export const MOST_SHIFT = 32;

/**
 * @typedef {object} Looking
 * @property {string} model  its key; empty where none is chosen
 * @property {string} image
 * @property {number} side  pixels of the longer side, where the model leaves it open
 * @property {typeof PREPARATIONS[number]} prepare
 * @property {number} scale  of a preparation of one's own, like the next three
 * @property {number[]} mean
 * @property {number[]} std
 * @property {boolean} bgr
 * @property {typeof POOLS[number]} pools
 * @property {typeof COMPARISONS[number]} compare
 * @property {string} other  the second picture
 * @property {number} dx
 * @property {number} dy
 */

/** Read numbers such as "0.5" or "1,2,3". @param {string | undefined} text @param {number[]} usual */
export function numbers(text, usual) {
  const found = (text ?? "").split(",").map(Number);
  return text && found.every(Number.isFinite) && (found.length === 1 || found.length === 3) ? found : usual;
}

/** Read the address. @returns {Looking} */
export function read() {
  const from = address.fields();
  const [scale = 1] = numbers(from["scale"], [1]);
  return {
    model: from["model"] ?? "",
    image: from["image"] ?? "coffee",
    side: address.count(from, "side", SIDES.usual, SIDES.least, SIDES.most),
    prepare: address.word(from, "prepare", PREPARATIONS),
    scale,
    mean: numbers(from["mean"], [0]),
    std: numbers(from["std"], [1]),
    bgr: from["bgr"] === "true",
    pools: address.word(from, "pools", POOLS),
    compare: address.word(from, "with", COMPARISONS),
    other: from["other"] ?? "car",
    dx: address.count(from, "dx", 2, -MOST_SHIFT, MOST_SHIFT),
    dy: address.count(from, "dy", 0, -MOST_SHIFT, MOST_SHIFT),
  };
}

/** Write the address: what is as usual is left out. @param {Looking} looking */
export function write(looking) {
  const custom = looking.prepare === "custom";
  const shifted = looking.compare === "shift";
  address.write({
    model: looking.model || null,
    image: looking.image,
    side: looking.side === SIDES.usual ? null : looking.side,
    prepare: looking.prepare === "unit" ? null : looking.prepare,
    scale: custom ? looking.scale : null,
    mean: custom ? looking.mean.join() : null,
    std: custom ? looking.std.join() : null,
    bgr: custom ? looking.bgr : null,
    pools: looking.pools === "built" ? null : looking.pools,
    with: looking.compare === "nothing" ? null : looking.compare,
    other: looking.compare === "picture" ? looking.other : null,
    dx: shifted ? looking.dx : null,
    dy: shifted ? looking.dy : null,
  });
}

/** What the server is asked with. @param {Looking} looking @returns {Record<string, unknown>} */
export function question(looking) {
  const { model, image, side, pools, prepare, scale, mean, std, bgr, compare, other, dx, dy } = looking;
  return {
    model, image, side, pools,
    prepare: prepare === "custom" ? { as: prepare, scale, mean, std, bgr } : { as: prepare },
    compare: { with: compare, image: other, dx, dy },
  };
}
