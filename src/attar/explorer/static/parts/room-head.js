/** The head of a room: what it is for, and the way into its tour. */

import { button } from "../base/controls.js";
import { h } from "../base/dom.js";
import { texts } from "../base/text.js";

const t = texts({ en: { tour: "Guided tour" }, zh: { tour: "导览" } });

/**
 * Make the head of a room.
 *
 * @param {string} title
 * @param {import("../base/dom.js").Child} about
 * @param {() => void} ontour begins the tour
 */
export function roomHead(title, about, ontour) {
  return h("div", { class: "row spread room-head" },
    h("div", {}, h("h1", {}, title), about),
    button(t("tour"), ontour, { name: "tour" }));
}
