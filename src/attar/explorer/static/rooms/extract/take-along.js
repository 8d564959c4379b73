/** The dialog with what can be taken along: the program that makes the picture, and files. */

import { button } from "../../base/controls.js";
import { freshId, h } from "../../base/dom.js";
import { report } from "../../base/notices.js";
import { server } from "../../base/session.js";
import { t } from "../../text/extract.js";

const FILES = /** @type {const} */ ([["png", "PNG"], ["svg", "SVG"], ["npy", ".npy"], ["npz", ".npz"]]);

/**
 * Open it.
 *
 * @param {Record<string, unknown>} wish what is extracted
 */
export async function takeAlong(wish) {
  try {
    const { fields } = await server().ask("extract.recipe", wish);
    const heading = freshId("save");
    const dialog = h("dialog", { class: "take-along", "aria-labelledby": heading, onclose: () => dialog.remove() },
      h("div", { class: "row spread" },
        h("h2", { id: heading }, t("save-title")),
        button("×", () => dialog.close(), { class: "quiet icon", "aria-label": t("close"), title: t("close"), name: "close" })),
      h("div", { class: "row" }, FILES.map(([kind, name]) =>
        button(name, () => download(`extract-${kind}`, `attar.${kind}`, wish), { name: `save-${kind}`, title: t(`${kind}-what`) }))),
      program("python", fields.python, wish), program("keras", fields.keras, wish));
    document.body.append(dialog);
    dialog.showModal();
  } catch (error) {
    report(error);
  }
}

/**
 * @param {"python" | "keras"} kind
 * @param {string} code
 * @param {Record<string, unknown>} wish
 */
function program(kind, code, wish) {
  const text = h("pre", { tabindex: 0, role: "region", "aria-label": `${t("code-label")}: ${t(kind)}`, id: `code-${kind}` }, h("code", {}, code));
  const said = h("span", { role: "status", class: "hint" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code);
      said.textContent = t("copied");
    } catch {
      // Not allowed to: then a person copies what is selected.
      getSelection()?.selectAllChildren(text);
      said.textContent = t("copy-failed");
    }
  };
  return h("section", { class: "stack" },
    h("div", { class: "row spread" },
      h("h3", {}, t(kind)),
      h("div", { class: "row" }, said,
        button(t("copy"), copy, { name: `copy-${kind}` }),
        button(".py", () => download(`extract-${kind}`, kind === "keras" ? "attar_keras.py" : "attar_extract.py", wish), {
          name: `save-${kind}`, title: t("python-what"), "aria-label": `${t(kind)}: ${t("python-what")}`,
        }))),
    text);
}

/**
 * Have the server make a file, and the browser keep it.
 *
 * @param {string} kind
 * @param {string} name
 * @param {Record<string, unknown>} wish
 */
async function download(kind, name, wish) {
  try {
    const response = await server().post(`/exports/${kind}`, JSON.stringify(wish));
    const address = URL.createObjectURL(await response.blob());
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) {
    report(error);
  }
}
