/** Messages to the person at the page: errors, and what went on while they were not looking. */

import { button } from "./controls.js";
import { Disconnected, Superseded } from "./connection.js";
import { h } from "./dom.js";
import { texts } from "./text.js";

const t = texts({
  en: { close: "Dismiss", lost: "The server cannot be reached. Is `attar explore` still running?" },
  zh: { close: "知道了", lost: "无法连接服务器。`attar explore` 还在运行吗？" },
});

const place = h("div", { class: "notices", role: "status", "aria-live": "polite" });

/** Where notices appear. */
export function notices() {
  return place;
}

/** Show a notice until it is dismissed, or another takes its place. @param {string} text */
export function notice(text) {
  place.replaceChildren(
    h("div", { class: "notice" }, h("p", {}, text),
      button("×", () => place.replaceChildren(), { class: "quiet icon", "aria-label": t("close"), title: t("close") })),
  );
}

/** Take away what is shown. */
export function clearNotice() {
  place.replaceChildren();
}

/**
 * Tell of an error; questions that a newer one replaced are none.
 *
 * @param {unknown} error
 */
export function report(error) {
  if (error instanceof Superseded) return;
  if (error instanceof Disconnected) notice(t("lost"));
  else notice(error instanceof Error ? error.message : String(error));
}
