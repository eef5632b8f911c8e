// Keys for programs: made, shown once, deleted.

import { post, remove } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { ago, day } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { now } from "../../core/server-clock.js";
import { session } from "../../core/session.js";
import { checkbox, field, input, nothing, select, worker } from "../../ui/controls.js";
import { confirmed, openDialog } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { form, text, value } from "./form.js";
import { card, loaded, onlyNow, secret } from "./parts.js";
import { hasAccount } from "./without-account.js";

const KEYS = "/users/api-keys";
const MOST = 20;
const DAY_S = 86_400;

/** @typedef {{ id: string, prefix: string, name: string, scopes: string[], created_at: string, last_used_at: string | null, expires_at: string | null }} Key */

/** What each scope allows; the last two are for publishers. @type {[scope: string, allows: () => string, server?: true][]} */
const SCOPES = [
  ["market", () => t("Prices, charts, indicators and instruments over HTTP")],
  ["socket", () => t("Sockets, and on them all that you may hear")],
  ["signals", () => t("Read signals")],
  ["alerts", () => t("Read alerts, their history and deliveries")],
  ["alerts:write", () => t("Make, change, test and delete alerts; acknowledge what fired")],
  ["signals:write", () => t("Make, change and delete signals"), true],
  ["publish", () => t("Publish prices and messages"), true],
];

/** @param {HTMLElement} panel @param {import("./account.js").Ground} ground */
export function mountKeys(panel, { read }) {
  panel.append(h("div.stack", null, card(
    { title: t("API keys"), hint: t("A program brings a key instead of a password. It acts for you within its scopes, never as an administrator, and can make no keys.") },
    loaded(() => read.get(KEYS), ({ items, total }, again) => list(items, total, () => { read.forget(KEYS); again(); })),
  )));
}

/** @param {Key[]} items @param {number} total @param {() => void} fresh */
function list(items, total, fresh) {
  const make = h("button.primary", { type: "button", disabled: total >= MOST, onclick: () => void openDialog({ title: t("New API key"), body: (close) => newKey(close, fresh) }) }, icon("plus"), t("New key"));
  if (!items.length) return nothing(t("No keys yet"), t("Make one for each program, with no more scopes than it needs."), make);
  return [
    h("ul.devices", null, items.map((one) => row(one, fresh))),
    h("div.row", null, make, total >= MOST ? h("span.muted", null, t("There are at most {most} keys; delete one first.", { most: MOST })) : null),
  ];
}

/** @param {Key} one @param {() => void} fresh */
function row(one, fresh) {
  const over = one.expires_at !== null && Date.parse(one.expires_at) < now();
  const until = one.expires_at === null ? t("without end") : over ? t("ended on {day}", { day: day(one.expires_at) }) : t("until {day}", { day: day(one.expires_at) });
  return h("li", null,
    h("span.badge", null, icon("key")),
    h("div.grow", null,
      h("div.row", null, h("strong", null, one.name), h("code.mono.muted", null, `${one.prefix}…`), over ? h("span.pill.bad", null, t("Ended")) : null),
      h("div.row.tags", null, one.scopes.map((scope) => h("span.tag", null, scope))),
      h("p.hint", null, one.last_used_at ? t("Used {when}", { when: ago(one.last_used_at) }) : t("Never used"), ", ", until)),
    worker("button.small.danger-text", { "aria-label": t("Delete the key {name}", { name: one.name }), onclick: () => discard(one, fresh) }, t("Delete")));
}

/** @param {Key} one @param {() => void} fresh */
async function discard(one, fresh) {
  if (!await confirmed({ title: t("Delete this key?"), text: t("Programs that use {name} are refused at once, and their sockets close.", { name: one.name }), yes: t("Delete it") })) return;
  try {
    await remove(`${KEYS}/${one.id}`);
    notify({ kind: "good", title: t("The key is deleted") });
  } catch (error) { complain(t("The key was not deleted"), error); }
  fresh();
}

/** @param {() => void} close @param {() => void} fresh */
function newKey(close, fresh) {
  const name = field(t("Name"), input({ required: true, maxlength: 64, placeholder: t("Such as: trading bot") }));
  const server = session.current.value.role !== "user";
  const boxes = SCOPES.map(([scope, allows, forServers]) => {
    const box = checkbox(scope, { value: scope, name: "scope", disabled: forServers && !server, checked: scope === "market" || scope === "socket" });
    box.lastElementChild?.append(h("span.hint", null, allows(), forServers && !server ? ` (${t("for publishers")})` : null));
    return box;
  });
  const scopes = group(t("What it may do"), boxes);
  const ends = field(t("Good for"), select(lives(), { value: "90" }), { hint: hasAccount() ? undefined : t("Without an account a key ends after 90 days at the latest.") });
  const whole = form({
    fields: { name, scopes, expires_at: ends },
    button: t("Make the key"),
    beside: [h("button", { type: "button", onclick: close }, t("Cancel"))],
    async send() {
      const chosen = boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
      if (!chosen.length) return scopes.fail(t("Choose one at least."));
      const days = Number(value(ends));
      const made = await post(KEYS, { name: text(name), scopes: chosen, expires_at: days ? Math.floor(now() / 1000) + days * DAY_S : null });
      fresh();
      whole.replaceWith(shownOnce(made, close));
    },
  });
  return whole;
}

/** Boxes under one label, which can be wrong together. @param {string} label @param {HTMLElement[]} boxes */
function group(label, boxes) {
  const error = h("p.error", { role: "alert", hidden: true });
  const whole = h("fieldset.field", null, h("legend", null, label), boxes, error);
  const fail = (/** @type {string} */ text) => { error.hidden = !text; error.textContent = text; };
  return /** @type {import("../../ui/controls.js").Field} */ (/** @type {unknown} */ (Object.assign(whole, { fail })));
}

/** @returns {[string, string][]} */
function lives() {
  const some = [7, 30, 90].map((days) => /** @type {[string, string]} */ ([String(days), t("{days} days", { days })]));
  return hasAccount() ? [...some, ["365", t("a year")], ["0", t("until it is deleted")]] : some;
}

/** @param {Key & { key: string }} made @param {() => void} close */
function shownOnce(made, close) {
  const example = `curl -H "Authorization: Bearer ${made.key}" "${location.origin}/api/v1/market/prices/RELIANCE"`;
  return h("div.stack.account-part", null,
    onlyNow(t("Copy the key now: it is not shown again.")),
    secret(made.key, t("API key {name}", { name: made.name })),
    made.scopes.includes("market") ? [h("p.hint", null, t("To try it:")), secret(example, t("Command to try it"))] : null,
    h("div.row.actions", null, h("button.primary", { type: "button", onclick: close }, t("I have kept it"))));
}
