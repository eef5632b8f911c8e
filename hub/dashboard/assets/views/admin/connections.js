// The sockets of all instances: who, since when, and who is slow; and ending one.

import { get, post } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { ago, bytes, moment, whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { input, select, worker } from "../../ui/controls.js";
import { confirmed, openDialog } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { makePaged } from "../../ui/paged.js";

const PLANS = ["free", "basic", "pro", "enterprise"];
/** From here on a reader counts as slow. */
const SLOW_MS = 1000;

/** @param {string} client */
async function detail(client) {
  try {
    const one = await get(`/admin/connections/${encodeURIComponent(client)}`);
    await openDialog({
      title: t("Connection of {user}", { user: one.user }),
      body: () => h("div.stack", null,
        h("dl.facts", null, [[t("client"), one.client], [t("instance"), one.instance], [t("address"), one.address ?? "–"], [t("codec"), one.codec], [t("since"), moment(one.opened_at)], [t("waiting for the network"), bytes(one.pending_bytes)]].map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
        h("h3", null, t("{count} channels", { count: whole(one.subscriptions.length) })),
        h("ul.names", null, one.subscriptions.map((/** @type {string} */ name) => h("li", null, h("code", null, name))))),
    });
  } catch (error) {
    complain(t("The connection can't be shown"), error);
  }
}

/** @param {any} one @param {() => void} refresh */
async function end(one, refresh) {
  const sure = await confirmed({ title: t("End this connection?"), text: t("The socket of {user} closes, and its client does not connect again by itself. The token stays good.", { user: one.user }), yes: t("End it") });
  if (!sure) return;
  try {
    await post("/admin/disconnect", { client: one.client });
    notify({ kind: "good", title: t("The connection has ended") });
    refresh();
  } catch (error) {
    complain(t("The connection could not be ended"), error);
  }
}

/** @param {HTMLElement} panel */
export function mountConnections(panel) {
  const sorts = /** @type {[string, string][]} */ ([["opened_at", t("Newest first")], ["lag", t("Slowest first")], ["bytes", t("Most sent first")], ["channels", t("Most channels first")], ["user", t("By user")]]);
  const list = makePaged({
    path: "/admin/connections",
    label: t("Connections"),
    filters: [
      input({ name: "user", type: "search", placeholder: t("User"), "aria-label": t("User") }),
      select([["", t("Every plan")], ...PLANS.map((plan) => /** @type {[string, string]} */ ([plan, plan]))], { name: "plan", "aria-label": t("Plan") }),
      select(sorts, { name: "sort", "aria-label": t("Order") }),
    ],
    columns: [[t("User")], [t("Plan")], [t("Since")], [t("Address")], [t("Channels"), true], [t("Sent"), true], [t("Behind"), true], [t("Actions"), true]],
    none: { title: t("Nobody is connected") },
    note: (answer) => (answer.missing.length ? h("p.pill.warn", null, t("Without these instances, which do not answer: {names}", { names: answer.missing.join(", ") })) : null),
    row: (/** @type {any} */ one) => h("tr", null,
      h("td", null, h("button.quiet.small", { type: "button", onclick: () => void detail(one.client) }, one.user), one.role === "user" ? null : h("span.tag", null, one.role)),
      h("td", null, one.plan),
      h("td", { title: moment(one.opened_at) }, ago(one.opened_at)),
      h("td", null, one.address ?? "–"),
      h("td.number", null, whole(one.channels)),
      h("td.number", null, bytes(one.sent_bytes)),
      h("td.number", { class: one.lag_ms >= SLOW_MS ? "down" : "" }, one.lag_ms ? t("{count} ms", { count: whole(one.lag_ms) }) : "–"),
      h("td.number", null, worker("button.small", { onclick: () => end(one, list.refresh) }, t("End")))),
  });
  panel.append(list.element);
  const timer = setInterval(() => { if (!document.hidden && !panel.contains(document.activeElement)) list.refresh(); }, 5000);
  return () => { clearInterval(timer); list.end(); };
}
