/** What the rooms of models show as long as there is none. */

import { button } from "../../base/controls.js";
import { h } from "../../base/dom.js";
import { t } from "../../text/model.js";

/**
 * Make the invitation.
 *
 * @param {{browse: () => void, demo: () => void}} on
 */
export function invitation({ browse, demo }) {
  return h("section", { class: "card stack invitation", id: "invitation", hidden: true },
    h("h2", {}, t("invite")),
    t("invite-text").split("\n").map((line) => h("p", {}, line)),
    h("div", { class: "row" },
      button(t("open"), browse, { class: "primary", name: "invite-open" }),
      button(t("invite-demo"), demo, { name: "invite-demo" })));
}
