/** The four maps: Input → Filter → Detect → Condense, each with its numbers and its colours. */

import { drawScale } from "../../base/colours.js";
import { h } from "../../base/dom.js";
import { number, percent, size } from "../../base/text.js";
import { mapPanel } from "../../parts/map-panel.js";
import { t } from "../../text/extract.js";
import { STAGES } from "./choices.js";

/**
 * @typedef {import("./choices.js").Stage} Stage
 * @typedef {import("./choices.js").Choices} Choices
 * @typedef {import("../../parts/map-panel.js").MapPanel} MapPanel
 * @typedef {{size: number[], minimum: number | string | null, maximum: number | string | null, dead_space: number | null,
 *   active_fraction: number | null}} Numbers  of a map, as the server counts them
 */

/** What a panel shows besides its map. */
class Surroundings {
  how = h("span", { class: "stage-how" });
  facts = h("span", { class: "stage-facts" });
  strip = h("canvas", { role: "img" });
  ends = [h("span"), h("span")];
  scale = h("div", { class: "scale" }, this.ends[0], this.strip, this.ends[1]);
  dead = h("span", { class: "digits" });
  bar = h("span", { class: "bar", "aria-hidden": true }, h("span"));
  space = h("div", { class: "scale stage-dead" }, h("span", {}, t("dead")), this.bar, this.dead);
}

export class Panels {
  /** @type {Record<Stage, MapPanel>} */
  maps = { image: mapPanel(), filter: mapPanel(), detect: mapPanel(), condense: mapPanel() };
  /** @type {Record<Stage, Surroundings>} */
  #around = { image: new Surroundings(), filter: new Surroundings(), detect: new Surroundings(), condense: new Surroundings() };
  #ratio = "";

  constructor() {
    this.element = h("div", { class: "stages" }, STAGES.map((stage) => {
      const { how, facts, scale, space } = this.#around[stage];
      return h("figure", { class: "panel stage", id: `stage-${stage}` },
        h("div", { class: "stage-head" }, h("strong", {}, t(stage)), how),
        this.maps[stage],
        h("figcaption", {}, facts, stage === "image" ? null : scale, stage === "image" || stage === "filter" ? null : space));
    }));
  }

  /**
   * Show an answer of the server.
   *
   * @param {import("../../base/connection.js").Reply} reply
   * @param {Choices} choices
   */
  show({ fields, arrays }, choices) {
    const { maps, stats, kernel, color } = fields;
    const [height, width] = stats.image.size;
    if (this.#ratio !== `${height} ${width}`) {
      this.#ratio = `${height} ${width}`;
      for (const stage of STAGES) this.maps[stage].proportion(height, width);
    }
    for (const stage of STAGES) {
      const levels = arrays[stage];
      if (levels) this.maps[stage].show(levels, maps[stage]);
      if (levels && stage !== "image") this.#scale(stage, maps[stage]);
      this.#numbers(stage, stats[stage]);
    }
    const { conv_stride, activation, pool, pool_size, pool_stride } = choices;
    const parts = [t("filter-how", { height: kernel.rows.length, width: kernel.rows[0].length })];
    if (conv_stride > 1) parts.push(t("filter-stride", { stride: conv_stride }));
    const pooled = [t(`pool-${pool}`, { size: pool_size })];
    if (pool !== "none" && pool_stride && pool_stride !== pool_size) pooled.push(t("pool-stride", { stride: pool_stride }));
    this.#around.image.how.textContent = t(color && choices.read === "color" ? "image-color" : "image-gray");
    this.#around.filter.how.textContent = parts.join(", ");
    this.#around.detect.how.textContent = t(activation === "relu" ? "relu" : "no-relu");
    this.#around.condense.how.textContent = pooled.join(", ");
  }

  /** @param {Stage} stage @param {Numbers} numbers */
  #numbers(stage, numbers) {
    const { facts, dead, bar } = this.#around[stage];
    const said = { size: size(numbers.size), from: worth(numbers.minimum), to: worth(numbers.maximum) };
    facts.textContent = `${said.size} · ${t("range", said)}`;
    const empty = stage === "detect" || stage === "condense" ? percent(numbers.dead_space ?? 1) : "";
    dead.textContent = empty;
    bar.style.setProperty("--part", String(numbers.dead_space ?? 1));
    this.maps[stage].label = [
      t("map", { stage: t(stage), ...said }), empty && t("map-dead", { dead: empty }), t("keys"),
    ].filter(Boolean).join(" ");
  }

  /** @param {Stage} stage @param {import("../../parts/map-panel.js").MapFacts} facts */
  #scale(stage, { scale, reach }) {
    const { strip, ends } = this.#around[stage];
    const [from, to] = [scale === "signed" ? number(-reach) : "0", number(reach)];
    strip.setAttribute("aria-label", t("scale", { stage: t(stage), from, to }));
    drawScale(strip, scale === "signed" ? "signed" : "active");
    // The strongest 1 % lie beyond the end.
    [scale === "signed" ? `≤ ${from}` : from, `≥ ${to}`].forEach((text, i) => {
      const end = ends[i];
      if (end) end.textContent = text;
    });
  }

  /** Colour everything anew. */
  recolour() {
    for (const stage of STAGES) {
      const facts = this.maps[stage].facts;
      if (!facts || stage === "image") continue;
      this.maps[stage].recolour();
      this.#scale(stage, facts);
    }
  }
}

/** A number of the server; infinities come as text. @param {number | string | null} value */
function worth(value) {
  return value === null ? "–" : number(Number(String(value).replace("inf", "Infinity")));
}

/** Dead space and intensification, as numbers and bars. */
export class NumbersCard {
  #body = h("tbody");
  #times = h("p", { class: "times digits", id: "intensification" });
  #said = h("p", { class: "hint" });

  constructor() {
    this.element = h("section", { class: "card stack numbers-card", id: "numbers" },
      h("h2", {}, t("numbers-card")),
      h("table", {},
        h("thead", {}, h("tr", {}, [t("stage"), t("dead"), t("active-part")].map((name) => h("th", { scope: "col" }, name)))),
        this.#body),
      h("div", { class: "row" }, h("strong", {}, t("intensification")), this.#times),
      this.#said);
  }

  /** @param {{detect: Numbers, condense: Numbers, intensification: number | null}} stats */
  show(stats) {
    this.#body.replaceChildren(...(/** @type {const} */ (["detect", "condense"])).map((stage) => {
      const dead = stats[stage].dead_space ?? 1;
      return h("tr", { id: `numbers-${stage}` },
        h("th", { scope: "row" }, t(stage)), bar(dead, "dead"), bar(1 - dead, ""));
    }));
    const times = stats.intensification === null ? null : number(stats.intensification);
    this.#times.textContent = times === null ? "–" : t("times", { times });
    this.#said.textContent = times === null ? t("not-intensified") : t(times === "1" ? "as-likely" : "intensified", { times });
  }
}

/** A cell with a fraction as a number and a bar. @param {number} part @param {string} kind */
function bar(part, kind) {
  return h("td", {},
    h("span", { class: "digits" }, percent(part)),
    h("span", { class: `bar ${kind}`, style: { "--part": part }, "aria-hidden": true }, h("span")));
}
