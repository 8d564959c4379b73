/** The page: connects, shows the room that its address names, and the way to the others. */

import * as address from "./base/address.js";
import * as colours from "./base/colours.js";
import { button } from "./base/controls.js";
import { h, svg } from "./base/dom.js";
import { clearNotice, notices, report } from "./base/notices.js";
import { Disconnected } from "./base/connection.js";
import { connect, recall, remember, server } from "./base/session.js";
import { LANGUAGES, language, preferredLanguage, speak, texts } from "./base/text.js";
import "./rooms/extract-room.js";
import "./rooms/invariance-room.js";
import "./rooms/model-room.js";
import "./rooms/scores-room.js";

const t = texts({
  en: {
    extract: "Extract", invariance: "Invariance", model: "Model", scores: "Scores",
    "extract-what": "filter, detect, condense a picture", "invariance-what": "what pooling forgets",
    "model-what": "what a trained model sees", "scores-what": "what global pooling counts",
    rooms: "Rooms", skip: "Skip to the room", dark: "Dark", light: "Light", theme: "Switch to the {theme} theme",
    tour: "Tour", title: "attar · {room}", refused: "This page is not allowed to talk to the server. Open the address that `attar explore` printed: it ends with #token=…",
  },
  zh: {
    extract: "提取", invariance: "不变性", model: "模型", scores: "得分",
    "extract-what": "对图片进行滤波、检测、浓缩", "invariance-what": "池化忘掉了什么",
    "model-what": "训练好的模型看到什么", "scores-what": "全局池化在数什么",
    rooms: "房间", skip: "跳到房间", dark: "深色", light: "浅色", theme: "切换到{theme}主题",
    tour: "导览", title: "attar · {room}", refused: "此页面无权与服务器通信。请打开 `attar explore` 打印的地址：它以 #token=… 结尾",
  },
});

/** @typedef {"extract" | "invariance" | "model" | "scores"} RoomName */
const ROOMS = /** @type {const} */ (["extract", "invariance", "model", "scores"]);

/** @returns {RoomName} */
function here() {
  return ROOMS.find((name) => name === address.room()) ?? "extract";
}

// ---------------------------------------------------------------- theme and language

/** @returns {"light" | "dark"} */
function theme() {
  const kept = document.documentElement.dataset["theme"];
  if (kept === "light" || kept === "dark") return kept;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function switchTheme() {
  const next = theme() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = next;
  remember("attar-theme", next);
  draw();
}

function begin() {
  const kept = recall("attar-theme");
  if (kept) document.documentElement.dataset["theme"] = kept;
  const asked = address.fields()["lang"] ?? recall("attar-language");
  speak(asked === "en" || asked === "zh" ? asked : preferredLanguage());
}

/** @param {import("./base/text.js").Language} chosen */
function switchLanguage(chosen) {
  speak(chosen);
  remember("attar-language", chosen);
  if (address.fields()["lang"]) address.write({ lang: chosen });
  draw();
}

// ---------------------------------------------------------------- the page

function mark() {
  return svg("svg", { viewBox: "0 0 32 32", class: "mark", "aria-hidden": true },
    svg("path", { d: "M16 3c5 7 9 11 9 16a9 9 0 0 1-18 0c0-5 4-9 9-16z" }),
    svg("path", { d: "M11.5 19.5a4.5 4.5 0 0 0 4.5 4.5", class: "mark-shine" }));
}

/** Go to a room without loading the page anew; the picture and the model go along. @param {MouseEvent} event @param {RoomName} name */
function visit(event, name) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  address.flush();
  history.pushState(null, "", doorTo(name));
  clearNotice();
  draw();
  document.querySelector("main")?.focus();
}

/** Go past the header, without a change of the address. @param {MouseEvent} event */
function skip(event) {
  event.preventDefault();
  document.querySelector("main")?.focus();
}

/** The address of a room, with what all rooms share. @param {RoomName} name */
function doorTo(name) {
  const { image, model, prepare, lang } = address.fields();
  return address.address(name, { image: image ?? null, model: model ?? null, prepare: prepare ?? null, lang: lang ?? null });
}

function header() {
  const other = language() === "en" ? "zh" : "en";
  const nextTheme = t(theme() === "dark" ? "light" : "dark");
  return h("header", { class: "page-header" },
    h("a", { class: "skip", href: "#room", onclick: (/** @type {MouseEvent} */ event) => skip(event) }, t("skip")),
    h("a", { class: "brand", href: doorTo("extract"), onclick: (/** @type {MouseEvent} */ event) => visit(event, "extract") }, mark(), "attar"),
    h("nav", { "aria-label": t("rooms") }, ROOMS.map((name) =>
      h("a", {
        href: doorTo(name), title: t(`${name}-what`), "aria-current": name === here() ? "page" : null,
        onclick: (/** @type {MouseEvent} */ event) => visit(event, name),
      }, t(name)))),
    h("div", { class: "row" },
      button(LANGUAGES[other].name, () => switchLanguage(other), { class: "quiet", lang: LANGUAGES[other].tag, name: "language" }),
      button(nextTheme, switchTheme, { class: "quiet", title: t("theme", { theme: nextTheme }), name: "theme" })),
  );
}

function draw() {
  document.title = t("title", { room: t(here()) });
  document.body.replaceChildren(
    header(), notices(),
    h("main", { id: "room", tabindex: -1, class: `room-${here()}` }, document.createElement(`${here()}-room`)),
  );
}

async function start() {
  begin();
  // Another token behind the same address does not load the page anew.
  window.addEventListener("hashchange", () => location.hash.startsWith("#token=") && location.reload());
  try {
    await connect();
    await colours.load();
  } catch (error) {
    document.body.replaceChildren(notices());
    report(error instanceof Disconnected ? new Error(t("refused")) : error);
    return;
  }
  window.addEventListener("popstate", draw);
  server().addEventListener("lost", () => report(new Disconnected()));
  server().addEventListener("found", () => {
    clearNotice();
    draw();
  });
  if (address.room() === null) {
    const { lang } = address.fields();
    history.replaceState(null, "", address.address("extract", { ...server().hello.opening, ...(lang ? { lang } : {}) }));
  }
  draw();
}

start();
