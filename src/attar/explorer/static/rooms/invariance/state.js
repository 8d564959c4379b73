/** What is chosen in the room, and how its address says it. */

import * as address from "../../base/address.js";
import { Bitmap } from "./bitmap.js";

export const SIZES = /** @type {const} */ ([64, 32, 96]);
export const SHAPES = /** @type {const} */ (["circle", "dot", "dots", "car", "drawing"]);
export const POOLS = /** @type {const} */ (["max", "average", "blur", "max_blur", "polyphase", "none"]);
export const WINDOWS = /** @type {const} */ (["2", "3"]);
export const BORDERS = /** @type {const} */ (["zero", "circular"]);
export const COUNTS = /** @type {const} */ (["same", "moved"]);
export const TOOLS = /** @type {const} */ (["twin", "both", "draw", "erase"]);

/** Pools that have a window; the others are a filter of a fixed size, or none. */
export const WINDOWED = /** @type {readonly string[]} */ (["max", "average", "max_blur"]);

/**
 * @typedef {object} State
 * @property {number} size pixels a side
 * @property {typeof SHAPES[number]} shape
 * @property {number} radius
 * @property {number} distance
 * @property {Bitmap} drawing
 * @property {number} y  how far both were moved from the middle
 * @property {number} x
 * @property {number} dy  how far the twin is from the original
 * @property {number} dx
 * @property {boolean} half  whether the twin moves by half pixels
 * @property {typeof POOLS[number]} pool
 * @property {typeof WINDOWS[number]} window
 * @property {typeof BORDERS[number]} border
 * @property {typeof COUNTS[number]} count  what the map of shifts counts
 * @property {typeof TOOLS[number]} tool  what the pad does
 */

/** The radius of the lesson's circle. @param {number} size */
const usualRadius = (size) => size / 2 - 4;
const usualDistance = 8;

/** How far something may be moved. @param {number} size */
export const farthest = (size) => size / 2;

/** What the room begins with. @param {Partial<State>} [changes] @returns {State} */
export function usual(changes = {}) {
  const size = changes.size ?? 64;
  return {
    size, shape: "circle", radius: usualRadius(size), distance: usualDistance, drawing: new Bitmap(size),
    y: 0, x: 0, dy: 2, dx: 3, half: false, pool: "max", window: "2", border: "zero", count: "same", tool: "twin",
    ...changes,
  };
}

/** Read the address; what it does not say, or says wrongly, is as usual. @returns {State} */
export function read() {
  const from = address.fields();
  const size = SIZES.find((each) => String(each) === from["size"]) ?? 64;
  const far = farthest(size);
  const start = usual();
  const moved = (/** @type {"dy" | "dx"} */ name) => {
    const value = Number(from[name] ?? start[name]);
    return Number.isInteger(2 * value) && Math.abs(value) <= far ? value : start[name];
  };
  return {
    size,
    shape: address.word(from, "shape", SHAPES),
    radius: address.count(from, "radius", usualRadius(size), 1, size / 2),
    distance: address.count(from, "distance", usualDistance, 1, size / 2),
    drawing: Bitmap.decode(from["drawing"] ?? "", size),
    y: address.count(from, "y", 0, -far, far),
    x: address.count(from, "x", 0, -far, far),
    dy: moved("dy"),
    dx: moved("dx"),
    half: from["half"] === "1",
    pool: address.word(from, "pool", POOLS),
    window: address.word(from, "window", WINDOWS),
    border: address.word(from, "border", BORDERS),
    count: address.word(from, "count", COUNTS),
    tool: address.word(from, "tool", TOOLS),
  };
}

/** Write the address: what is as usual need not be said. @param {State} state */
export function write(state) {
  const start = usual({ size: state.size });
  const said = { ...state, drawing: state.drawing.encode() };
  /** @type {Record<string, string | number | null>} */
  const changes = {};
  for (const [name, value] of Object.entries(said)) {
    const like = name === "drawing" ? "" : name === "size" ? 64 : start[/** @type {keyof State} */ (name)];
    changes[name] = value === like ? null : typeof value === "boolean" ? "1" : value;
  }
  address.write(changes);
}

/** The drawing, as a question to the server says it. @param {State} state */
export function drawn({ size, shape, radius, distance, drawing, y, x, pool, window, border }) {
  return {
    size: String(size), shape, radius, distance, y, x, pool, window, border,
    drawing: shape === "drawing" ? drawing.encode() : "",
  };
}

/** The same on a pad of another size. @param {State} state @param {number} size @returns {State} */
export function resized(state, size) {
  const part = size / state.size;
  const far = farthest(size);
  const near = (/** @type {number} */ value) => Math.min(Math.max(value, -far), far);
  const scaled = (/** @type {number} */ value) => Math.min(Math.max(Math.round(value * part), 1), size / 2);
  return {
    ...state, size,
    radius: state.radius === usualRadius(state.size) ? usualRadius(size) : scaled(state.radius),
    distance: scaled(state.distance),
    drawing: state.drawing.resized(size),
    y: near(state.y), x: near(state.x), dy: near(state.dy), dx: near(state.dx),
  };
}
