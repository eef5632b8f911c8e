// Deliveries of all users: what could not be delivered, why, and sending it again.

import { post } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { select, worker } from "../../ui/controls.js";
import { confirmed } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { makePaged } from "../../ui/paged.js";

const STATUSES = ["dead", "queued", "calling", "unknown", "accepted", "sent", "delivered", "read", "skipped", "cancelled"];
const CHANNELS = ["email", "sms", "voice", "push", "webhook", "websocket"];

/** @param {number[]} ids @param {() => void} refresh */
async function redrive(ids, refresh) {
  try {
    const answer = await post("/admin/deliveries/redrive", ids.length ? { ids } : {});
    notify({ kind: "good", title: t("{count} will be sent again", { count: answer.count }) });
    refresh();
  } catch (error) {
    complain(t("They could not be sent again"), error);
  }
}

/** @param {HTMLElement} panel */
export function mountDeliveries(panel) {
  const all = async () => {
    if (await confirmed({ title: t("Send all dead deliveries again?"), text: t("Those that may have arrived are left out. What no longer makes sense in an hour is not sent."), yes: t("Send again"), danger: false })) await redrive([], list.refresh);
  };
  const list = makePaged({
    path: "/admin/deliveries",
    label: t("Deliveries"),
    filters: [
      select(STATUSES.map((one) => /** @type {[string, string]} */ ([one, one])), { name: "status", "aria-label": t("Status") }),
      select([["", t("Every channel")], ...CHANNELS.map((one) => /** @type {[string, string]} */ ([one, one]))], { name: "channel", "aria-label": t("Channel") }),
    ],
    columns: [[t("When")], [t("User")], [t("Channel")], [t("Status")], [t("Reason")], [t("Attempts"), true], [t("Actions"), true]],
    none: { title: t("No delivery is in this state") },
    row: (/** @type {any} */ one) => h("tr", null,
      h("td", null, moment(one.created_at)),
      h("td", null, one.user),
      h("td", null, one.channel),
      h("td", null, h("span.pill", { class: one.status === "dead" ? "bad" : one.status === "delivered" ? "good" : "" }, one.status)),
      h("td", null, one.reason ?? "–"),
      h("td.number", null, one.attempts.length),
      h("td.number", null, one.status === "dead" ? worker("button.small", { onclick: () => redrive([one.id], list.refresh) }, t("Send again")) : null)),
  });
  panel.append(h("div.stack", null, h("div.row", null, h("p.muted.grow", null, t("A delivery is dead when every attempt has failed or its time has passed. The reason says which.")), worker("button", { onclick: all }, t("Send all dead ones again"))), list.element));
  return list.end;
}
