/** <model-room>: what a trained model sees, layer by layer. */

import * as address from "../base/address.js";
import { h } from "../base/dom.js";
import { clearNotice, report } from "../base/notices.js";
import { server } from "../base/session.js";
import { guidedTour } from "../parts/guided-tour.js";
import { roomHead } from "../parts/room-head.js";
import { modelTour } from "../text/model-tour.js";
import { t } from "../text/model.js";
import { invitation } from "./model/invitation.js";
import { LayerTable, amount } from "./model/layer-table.js";
import { LookingDesk, modelName, sideNames } from "./model/looking-desk.js";
import { question, read, write } from "./model/looking.js";
import { MapDetail } from "./model/map-detail.js";
import { differenceCurve, predictionLists } from "./model/outcome.js";
import { RunBar } from "./model/run-bar.js";
import { Thumbnails } from "./model/thumbnails.js";

/** @typedef {import("./model/layer-table.js").LayerRow} LayerRow */

const TILE = 96; // pixels of a thumbnail that the server is asked for, at most

class ModelRoom extends HTMLElement {
  #looking = read();
  #layer = address.fields()["layer"] ?? "";
  /** @type {number | null} the channel; null for the first of the page */
  #channel = null;
  #order = address.word(address.fields(), "order", /** @type {const} */ (["strongest", "given"]));
  #page = 0;
  /** @type {LayerRow[]} */
  #layers = [];

  #listening = new AbortController();
  #desk = new LookingDesk(this.#looking, () => this.#run());
  #bar = new RunBar();
  #table = new LayerTable((name) => this.#chooseLayer(name));
  #thumbnails = new Thumbnails({
    channel: (channel) => this.#chooseChannel(channel),
    page: (page) => {
      this.#page = page;
      this.#channel = null;
      this.#showMaps();
    },
    order: (order) => {
      this.#order = order;
      this.#page = 0;
      this.#channel = null;
      this.#showMaps();
    },
  });
  #detail = new MapDetail({ view: () => this.#showMap(), point: (cell) => this.#point(cell) });
  #tour = guidedTour();
  #about = h("p", { class: "muted", id: "about-model" });
  #prediction = h("section", { class: "card stack", id: "prediction" });
  #curve = h("section", { class: "card stack", id: "curve", hidden: true });
  #results = h("div", { class: "stack results", hidden: true });
  #invitation = invitation({ browse: () => this.#desk.browse(), demo: () => this.#desk.change({ model: "demo" }) });

  async connectedCallback() {
    const fields = address.fields();
    this.#channel = "channel" in fields ? address.count(fields, "channel", 0, 0, 1 << 20) : null;
    this.#page = address.count(fields, "page", 0, 0, 1 << 20);
    this.#desk.listen(this.#listening.signal);
    this.#results.append(
      h("div", { class: "model-top" },
        h("section", { class: "card", id: "layers" }, h("h2", {}, t("layers")), h("p", { class: "hint" }, t("layers-hint")), this.#table.element),
        h("div", { class: "outcome" }, this.#prediction, this.#curve)),
      h("div", { class: "model-maps" },
        h("section", { class: "card stack", id: "maps" }, this.#thumbnails.element),
        h("section", { class: "card", id: "map" }, this.#detail.element)),
    );
    this.replaceChildren(
      roomHead(t("title"), this.#about, () => this.#startTour(0)),
      h("div", { class: "desk" }, this.#desk.element, h("div", { class: "stack" }, this.#bar.element, this.#invitation, this.#results)),
      this.#tour,
    );
    try {
      await this.#desk.list();
    } catch (error) {
      report(error);
      return;
    }
    await this.#run();
    if ("tour" in fields) this.#startTour(address.count(fields, "tour", 1, 1, 99) - 1);
  }

  disconnectedCallback() {
    this.#listening.abort();
    this.#bar.cancel();
  }

  /** @param {number} at */
  #startTour(at) {
    this.#tour.start(modelTour((changes, layer) => {
      if (layer) this.#layer = layer;
      this.#channel = null;
      this.#page = 0;
      this.#desk.change(changes);
    }, this.#looking), at);
  }

  // ---------------------------------------------------------------- from the model to one map

  /** Run the model, and show everything anew. */
  async #run() {
    this.#results.hidden ||= !this.#desk.hasModel;
    this.#invitation.hidden = this.#desk.hasModel;
    if (!this.#desk.hasModel) return;
    write(this.#looking);
    try {
      const { fields } = await this.#bar.ask("model.run", question(this.#looking));
      clearNotice();
      this.#desk.facts = fields.model;
      const compared = "second" in fields.predictions;
      this.#layers = fields.layers;
      if (!this.#layers.some(({ name }) => name === this.#layer)) {
        this.#layer = this.#layers[0]?.name ?? "";
        this.#channel = null;
      }
      this.#about.textContent = t(this.#layers.length === 1 ? "about-one" : "about", {
        name: modelName(fields.model), n: this.#layers.length, weights: amount(fields.model.parameters), height: fields.size[0], width: fields.size[1],
      });
      this.#table.show(this.#layers, compared);
      this.#prediction.replaceChildren(h("h2", {}, t("prediction")), ...predictionLists(fields.predictions, fields.labels, sideNames(this.#looking)));
      this.#curve.hidden = !compared;
      this.#results.hidden = false;
      await this.#showMaps();
    } catch (error) {
      report(error);
    }
  }

  /** @param {string} name */
  #chooseLayer(name) {
    this.#layer = name;
    this.#channel = null;
    this.#page = 0;
    this.#showMaps();
  }

  async #showMaps() {
    this.#table.chosen = this.#layer;
    if (!this.#curve.hidden) this.#curve.replaceChildren(h("h2", {}, t("difference-title")), differenceCurve(this.#layers, this.#layer));
    address.write({ layer: this.#layer, order: this.#order === "given" ? this.#order : null, page: this.#page || null });
    try {
      const { fields, arrays } = await this.#bar.ask("model.maps", {
        ...question(this.#looking), layer: this.#layer, order: this.#order, page: this.#page, tile: TILE,
      });
      this.#page = fields.page;
      this.#thumbnails.show(fields, arrays, this.#order);
      this.#channel ??= fields.tiles.first[0].channel;
      await this.#showMap();
    } catch (error) {
      report(error);
    }
  }

  /** @param {number} channel */
  #chooseChannel(channel) {
    this.#channel = channel;
    this.#showMap();
  }

  async #showMap() {
    const channel = this.#channel;
    if (channel === null || this.#results.hidden) return;
    this.#thumbnails.chosen = channel;
    address.write({ channel });
    try {
      const { fields, arrays } = await server().ask("model.map", {
        ...question(this.#looking), layer: this.#layer, channel, view: this.#detail.view,
      });
      this.#detail.show(this.#layer, fields, arrays, sideNames(this.#looking));
    } catch (error) {
      report(error);
    }
  }

  /** @param {import("../parts/map-panel.js").Cell} cell */
  async #point(cell) {
    try {
      const { fields } = await server().ask("model.point", {
        ...question(this.#looking), layer: this.#layer, channel: this.#channel, row: cell.row, column: cell.column,
      });
      this.#detail.point(fields);
    } catch (error) {
      report(error);
    }
  }
}

customElements.define("model-room", ModelRoom);
