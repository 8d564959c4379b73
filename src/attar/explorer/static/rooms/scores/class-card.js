/** What a class makes of the scores: weight × score for each map, and the maps added up. */

import * as colours from "../../base/colours.js";
import { picklist } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { number } from "../../base/text.js";
import { t } from "../../text/scores.js";
import { className } from "../model/outcome.js";

/**
 * @typedef {import("../../base/frames.js").Table} Table
 * @typedef {object} ClassFacts
 * @property {number} label
 * @property {number} count
 * @property {number} bias
 * @property {Record<string, [number, number][]>} best
 * @property {Record<string, number>} score
 * @property {Record<string, [number, number, number][]>} added  channel, what it adds, its weight
 * @property {number} reach
 * @typedef {import("./rankings.js").ScoresFacts} ScoresFacts
 */

const STRENGTH = 0.85; // of the class activation map over the picture, where it is strongest
const ZERO = 128; // the level of 0: there the picture shows through

export class ClassCard {
  element = h("section", { class: "card stack", id: "classes" });
  #onchoose;

  /** @param {(label: number) => void} onchoose */
  constructor(onchoose) {
    this.#onchoose = onchoose;
  }

  /**
   * Show what a class makes of the scores.
   *
   * @param {ScoresFacts} facts
   * @param {Record<string, Table>} arrays
   * @param {Record<string, string>} names of the sides
   */
  show(facts, arrays, names) {
    const { classes, labels } = facts;
    const focused = this.element.contains(document.activeElement);
    if (!classes) {
      this.element.replaceChildren(h("h2", {}, t("classes")), h("p", { class: "hint" }, t("no-classes")));
      return;
    }
    const strongest = Object.values(classes.best).flat().map(([index]) => index);
    const options = [...new Set([...strongest, classes.label])].map((index) => ({ value: String(index), text: className(index, labels) }));
    const strip = h("canvas", { "aria-hidden": true });
    colours.drawScale(strip, "signed");
    const sides = Object.keys(classes.score);
    this.element.replaceChildren(
      h("h2", {}, t("classes")),
      h("p", {}, t("classes-text")),
      h("div", { class: "score-knobs" }, picklist({
        label: t("class"), options, value: String(classes.label), name: "class", onchange: (value) => this.#onchoose(Number(value)),
      })),
      h("div", { class: sides.length > 1 ? "class-sides" : "class-sides single" }, sides.map((side) => h("div", { class: "stack" },
        sides.length > 1 && h("h3", {}, names[side]),
        this.#activationMap(side, facts, arrays, className(classes.label, labels)),
        sum(side, classes)))),
      h("div", { class: "scale" }, h("span", {}, number(-classes.reach)), strip, h("span", {}, number(classes.reach))),
      h("p", { class: "hint" }, t("cam-text")),
    );
    if (focused) this.element.querySelector("select")?.focus();
  }

  /**
   * @param {string} side
   * @param {ScoresFacts} facts
   * @param {Record<string, Table>} arrays
   * @param {string} name
   */
  #activationMap(side, { pictures }, arrays, name) {
    const picture = /** @type {Table} */ (arrays[`picture_${side}`]);
    const cam = /** @type {Table} */ (arrays[`cam_${side}`]);
    const [height = 1, width = 1] = picture.shape;
    const canvas = h("canvas", { width, height, role: "img", class: "cam", id: `cam-${side}`, "aria-label": t("cam-alt", { name }) });
    const context = canvas.getContext("2d");
    if (context && pictures[side]) {
      context.putImageData(colours.coloured(picture, "image"), 0, 0);
      const over = h("canvas", { height: cam.shape[0], width: cam.shape[1] });
      const veil = colours.coloured(cam, "signed");
      cam.data.forEach((level, i) => {
        veil.data[4 * i + 3] = 255 * STRENGTH * Math.min((Math.abs(level - ZERO) / ZERO) * 1.5, 1);
      });
      over.getContext("2d")?.putImageData(veil, 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(over, 0, 0, width, height);
    }
    return canvas;
  }
}

/**
 * The sum behind the score of a class, line by line.
 *
 * @param {string} side
 * @param {ClassFacts} classes
 */
function sum(side, { added, score, bias }) {
  const rows = added[side] ?? [];
  const most = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-30);
  const rest = (score[side] ?? 0) - bias - rows.reduce((total, [, value]) => total + value, 0);
  const digits = { class: "number", scope: "col" };
  return h("table", { class: "sum", "data-side": side },
    h("caption", { class: "visually-hidden" }, t("sum")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("map-head")), h("th", digits, t("weight")), h("th", digits, t("adds")), h("td", {}))),
    h("tbody", {},
      rows.map(([channel, value, weight]) => h("tr", { "data-channel": channel },
        h("th", { scope: "row" }, t("map", { n: channel })), h("td", { class: "number" }, number(weight)), h("td", { class: "number" }, number(value)),
        h("td", {}, h("span", { class: value < 0 ? "signed-bar minus" : "signed-bar", "aria-hidden": true, style: { "--part": Math.abs(value) / most } })))),
      Math.abs(rest) > 1e-6 * most && h("tr", {}, h("th", { scope: "row" }, t("rest")), h("td", {}), h("td", { class: "number" }, number(rest)), h("td", {})),
      h("tr", {}, h("th", { scope: "row" }, t("bias")), h("td", {}), h("td", { class: "number" }, number(bias)), h("td", {}))),
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, t("score")), h("td", {}), h("td", { class: "number" }, number(score[side] ?? NaN)), h("td", {}))));
}
