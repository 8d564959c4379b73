/** The lesson of the room, step by step. */

import { t } from "../../text/invariance.js";
import { usual } from "./state.js";

/** @typedef {import("./state.js").State} State */

/** What each step sets up, and the part of the room that it speaks of. */
const STEPS = /** @type {const} */ ([
  ["tour-1", "text-1", "#pad-card", { shape: "dot", dy: 0, dx: -1 }],
  ["tour-2", "text-2", "#levels-card", { shape: "dot", dy: 0, dx: 1 }],
  ["tour-3", "text-3", "#shifts-card", { shape: "circle", dy: 2, dx: 3 }],
  ["tour-4", "text-4", "#levels-card", { shape: "circle", radius: 8, dy: 0, dx: 16 }],
  ["tour-5", "text-5", "#levels-card", { shape: "dots", distance: 8, dy: 0, dx: 3 }],
  ["tour-6", "text-6", "#levels-card", { shape: "circle", dy: 0, dx: 1, pool: "none", count: "moved" }],
  ["tour-7", "text-7", "#levels-card", { shape: "circle", dy: 0, dx: 1, pool: "blur" }],
  ["tour-8", "text-8", "#levels-card", { shape: "car", dy: 0, dx: 5, pool: "polyphase", border: "circular", count: "moved" }],
]);

/**
 * The steps of the tour.
 *
 * @param {(state: State) => void} prepare sets up the room
 * @returns {import("../../parts/guided-tour.js").Step[]}
 */
export function steps(prepare) {
  return STEPS.map(([title, text, target, changes]) => ({
    title: t(title), text: t(text), target, prepare: () => prepare(usual(changes)),
  }));
}
