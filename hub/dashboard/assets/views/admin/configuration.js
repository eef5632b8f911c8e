// What is set while the hub runs: sessions, namespaces, plans and limits, each a document of its own.

import { get, post } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { field, loading, nothing, worker } from "../../ui/controls.js";
import { confirmed } from "../../ui/dialog.js";
import { notify } from "../../ui/notices.js";

/** What each section is for, and how it may look. @returns {[name: string, title: string, text: string, example: object][]} */
const sections = () => [
  ["sessions", t("Sessions"), t("Holidays, special hours and halts that exchanges announce at short notice."), { holidays: [{ date: "2026-12-25", markets: ["equity"], reason: "Christmas" }] }],
  ["plans", t("Plans"), t("What each plan has: which exchanges in real time or late, and how much of everything."), { free: { default: "15m", channels: 50 } }],
  ["namespaces", t("Namespaces"), t("Channels of your own, with their policy and who may hear and publish."), { news: { policy: "log", access: "basic" } }],
  ["limits", t("Limits"), t("How many requests and sockets a user may have."), { rate_limit_max: 200, rate_limit_time_window: "15m" }],
];

/** @param {[string, string, string, object]} section @param {any} set @param {() => void} refresh */
function card([name, title, text, example], set, refresh) {
  const area = h("textarea.mono", { rows: "8", spellcheck: "false", value: set ? JSON.stringify(set.value, null, 2) : "", placeholder: JSON.stringify(example, null, 2) });
  const whole = field(t("{name} as JSON", { name: title }), area, { hint: set ? t("Set by {user}, {time}", { user: set.updated_by, time: moment(set.updated_at) }) : t("Not set: files and settings count.") });
  const update = async (/** @type {any} */ value) => {
    whole.fail("");
    try {
      await post("/admin/config/update", { [name]: value });
      notify({ kind: "good", title: t("{name}: every process follows within seconds", { name: title }) });
      refresh();
    } catch (error) {
      whole.fail(/** @type {Error} */ (error).message);
    }
  };
  const save = () => {
    let value;
    try { value = JSON.parse(area.value); } catch (error) { return whole.fail(t("This is no JSON: {why}", { why: /** @type {Error} */ (error).message })); }
    return update(value);
  };
  const reset = async () => { if (await confirmed({ title: t("Take this section back?"), text: t("Then files and settings count again."), yes: t("Take it back") })) await update(null); };
  return h("section.card.stack", null, h("h2", null, title), h("p.muted", null, text), whole,
    h("div.row", null, worker("button.primary", { onclick: save }, t("Save")), set ? worker("button", { onclick: reset }, t("Take it back")) : null));
}

/** @param {HTMLElement} panel */
export function mountConfiguration(panel) {
  let over = false; // the panel is another tab's then
  const refresh = async () => {
    try {
      const config = await get("/admin/config");
      if (over) return;
      fill(panel, h("div.configuration", null, sections().map((one) => card(one, config[one[0]], () => void refresh()))));
    } catch (error) {
      if (!over) fill(panel, nothing(t("The configuration can't be read"), /** @type {Error} */ (error).message, h("button", { type: "button", onclick: () => void refresh() }, t("Try again"))));
    }
  };
  fill(panel, loading());
  void refresh();
  return () => { over = true; };
}
