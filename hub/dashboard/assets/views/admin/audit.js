// The audit trail: what happened, who did it, whether the chain of entries still holds, and a file to take along.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { moment, whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { input, select, worker } from "../../ui/controls.js";
import { openDialog } from "../../ui/dialog.js";
import { complain } from "../../ui/notices.js";
import { makePaged } from "../../ui/paged.js";

const LEVELS = ["debug", "info", "warning", "critical"];

/** Downloads the trail, which wants a token, so it can't be a plain link. @param {string} format */
async function download(format) {
  try {
    const answer = await fetch(`/api/v1/admin/logs/export?format=${format}`, { headers: { Authorization: `Bearer ${await session.token()}` } });
    if (!answer.ok) throw new Error(t("The server answered {status}. Try again in a moment.", { status: answer.status }));
    const address = URL.createObjectURL(await answer.blob());
    h("a", { href: address, download: `audit.${format}` }).click();
    URL.revokeObjectURL(address);
  } catch (error) {
    complain(t("The trail could not be downloaded"), error);
  }
}

/** @param {HTMLElement} place */
async function verify(place) {
  try {
    const { intact, chains } = await get("/admin/logs/verify");
    const count = chains.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.count, 0);
    const broken = chains.filter((/** @type {any} */ one) => !one.intact).map((/** @type {any} */ one) => t("{level} at entry {id}", { level: one.level, id: one.broken_id }));
    fill(place, h("span.pill", { class: intact ? "good" : "bad" }, intact ? t("Intact: {count} entries were checked", { count: whole(count) }) : t("Broken: {places}", { places: broken.join(", ") })));
  } catch (error) {
    complain(t("The trail could not be checked"), error);
  }
}

/** @param {any} entry */
function detail(entry) {
  return openDialog({
    title: entry.action,
    body: () => h("div.stack", null,
      h("dl.facts", null, [[t("when"), moment(entry.at)], [t("who"), entry.actor ?? "–"], [t("whom or what"), entry.target ?? "–"], [t("address"), entry.address ?? "–"], [t("browser"), entry.user_agent ?? "–"], [t("request"), entry.request_id ?? "–"], [t("hash"), entry.hash]].map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
      h("pre", { tabindex: "0" }, JSON.stringify(entry.details, null, 2))),
  });
}

/** @param {HTMLElement} panel */
export function mountAudit(panel) {
  const checked = h("span", { role: "status" });
  const list = makePaged({
    path: "/admin/logs",
    label: t("Audit trail"),
    filters: [
      input({ name: "q", type: "search", placeholder: t("Any text"), "aria-label": t("Any text") }),
      input({ name: "action", type: "search", placeholder: t("Action, such as login"), "aria-label": t("Action, such as login") }),
      select([["", t("Every level")], ...LEVELS.map((one) => /** @type {[string, string]} */ ([one, one]))], { name: "level", "aria-label": t("Level") }),
      select([["", t("Any risk")], ["40", t("Risk from {risk}", { risk: 40 })], ["70", t("Risk from {risk}", { risk: 70 })]], { name: "min_risk", "aria-label": t("Risk") }),
    ],
    columns: [[t("When")], [t("Action")], [t("Who")], [t("Whom or what")], [t("Address")], [t("Risk"), true]],
    none: { title: t("Nothing of this kind has happened") },
    row: (/** @type {any} */ one) => h("tr", null,
      h("td", null, moment(one.at)),
      h("td", null, h("button.quiet.small", { type: "button", onclick: () => void detail(one) }, one.action), one.level === "info" ? null : h("span.tag", null, one.level)),
      h("td", null, one.actor ?? "–"),
      h("td", null, one.target ?? "–"),
      h("td", null, one.address ?? "–"),
      h("td.number", { class: (one.risk ?? 0) >= 70 ? "down" : "" }, one.risk ?? "–")),
  });
  panel.append(h("div.stack", null,
    h("div.row", null, worker("button", { onclick: () => verify(checked) }, t("Check the chain")), worker("button", { onclick: () => download("csv") }, t("Download as CSV")), worker("button", { onclick: () => download("ndjson") }, t("Download as NDJSON")), checked),
    list.element));
  return list.end;
}
