// Servers of one's own that are told.

import { post, put, remove } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { ago, day, moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { now } from "../../core/server-clock.js";
import { field, input, menu, nothing, worker } from "../../ui/controls.js";
import { confirmed, openDialog } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { form, text } from "./form.js";
import { card, loaded, onlyNow, pill, secret } from "./parts.js";

const HOOKS = "/users/webhooks";
const MOST = 10;

/** @typedef {{ id: number, url: string, status: "active" | "disabled", status_reason: string | null, failing_since: string | null, created_at: string }} Hook */

/** @param {import("./parts.js").Reading} read */
export function webhooksCard(read) {
  return card(
    { title: t("Webhooks"), hint: t("Servers of yours that alerts are posted to, signed as Standard Webhooks has it.") },
    loaded(() => read.get(HOOKS), ({ items, total }, again) => list(items, total, () => { read.forget(HOOKS); again(); })),
  );
}

/** @param {Hook[]} items @param {number} total @param {() => void} fresh */
function list(items, total, fresh) {
  const make = h("button", { type: "button", disabled: total >= MOST, onclick: () => void openDialog({ title: t("New webhook"), body: (close) => newHook(close, fresh) }) }, icon("plus"), t("Add a webhook"));
  if (!items.length) return nothing(t("No webhooks yet"), t("Give an address that begins with https. The secret that signs what is sent is shown once."), make);
  return [h("ul.devices", null, items.map((one) => row(one, fresh))), h("div.row", null, make, total >= MOST ? h("span.muted", null, t("There are at most {most}.", { most: MOST })) : null)];
}

/** @param {Hook} one */
function condition(one) {
  if (one.status === "active") return one.failing_since ? pill("warn", t("Failing")) : pill("good", t("Active"));
  return pill("bad", t("Disabled"));
}

/** @param {Hook} one */
function story(one) {
  const why = { owner: t("disabled by you"), gone: t("disabled, because it answered that it is gone (410)"), failing: t("disabled, because it failed for five days") }[one.status_reason ?? ""];
  if (why) return why;
  return one.failing_since ? t("nothing has arrived since {when}", { when: moment(one.failing_since) }) : t("since {day}", { day: day(one.created_at) });
}

/** @param {Hook} one @param {() => void} fresh */
function row(one, fresh) {
  const answer = h("p.hint", { role: "status" }, story(one));
  const enabled = one.status === "active";
  return h("li", null,
    h("span.badge", null, icon("globe")),
    h("div.grow", null, h("div.row", null, h("strong.url", null, one.url), condition(one)), answer),
    enabled ? worker("button.small", { "aria-label": t("Test {url}", { url: one.url }), onclick: () => test(one, answer) }, t("Test")) : null,
    menu({ label: t("More of {url}", { url: one.url }), content: [icon("more")], class: "quiet square", items: () => [
      { label: enabled ? t("Disable") : t("Enable"), icon: enabled ? "pause" : "play", run: () => void changed(() => put(`${HOOKS}/${one.id}`, { enabled: !enabled }), fresh) },
      { label: t("New secret…"), icon: "key", run: () => void rotate(one) },
      { label: t("Delete…"), icon: "trash", danger: true, run: () => void discard(one, fresh) },
    ] }));
}

/** @param {() => Promise<any>} change @param {() => void} fresh */
async function changed(change, fresh) {
  try { await change(); } catch (error) { complain(t("The webhook was not changed"), error); }
  fresh();
}

/** @param {Hook} one @param {HTMLElement} answer */
async function test(one, answer) {
  answer.textContent = t("Sending…");
  try {
    const { delivered, status, reason } = await post(`${HOOKS}/${one.id}/test`);
    const why = { unreachable: t("it can't be reached"), private_address: t("its address is a private one"), no_answer: t("it didn't answer in time") }[/** @type {string} */ (reason ?? "")];
    answer.textContent = delivered ? t("Taken, with status {status}, {when}", { status, when: ago(now()) }) : t("Not taken: {why}", { why: why ?? t("it answered {status}", { status: status ?? "?" }) });
    answer.className = delivered ? "hint up" : "hint down";
  } catch (error) {
    answer.textContent = story(one);
    complain(t("The test was not sent"), error);
  }
}

/** @param {Hook} one */
async function rotate(one) {
  if (!await confirmed({ title: t("Make a new secret?"), text: t("For a day the present one signs too, so that your server can change over."), yes: t("Make it"), danger: false })) return;
  try {
    const made = await post(`${HOOKS}/${one.id}/rotate`);
    await openDialog({ title: t("New secret"), body: (close) => shownOnce(made.secret, close, t("Until {when} the one before it signs too.", { when: moment(made.previous_until) })) });
  } catch (error) { complain(t("There is no new secret"), error); }
}

/** @param {Hook} one @param {() => void} fresh */
async function discard(one, fresh) {
  if (!await confirmed({ title: t("Delete this webhook?"), text: t("Nothing more is sent to {url}.", { url: one.url }), yes: t("Delete it") })) return;
  await changed(() => remove(`${HOOKS}/${one.id}`), fresh);
  notify({ kind: "good", title: t("The webhook is deleted") });
}

/** @param {() => void} close @param {() => void} fresh */
function newHook(close, fresh) {
  const url = field(t("Address"), input({ type: "url", required: true, maxlength: 2000, inputmode: "url", placeholder: "https://" }), { hint: t("Reachable on the Internet, by https.") });
  const whole = form({
    fields: { url },
    button: t("Add it"),
    beside: [h("button", { type: "button", onclick: close }, t("Cancel"))],
    async send() {
      const made = await post(HOOKS, { url: text(url) });
      fresh();
      whole.replaceWith(shownOnce(made.secret, close));
    },
  });
  return whole;
}

/** @param {string} text @param {() => void} close @param {string} [more] */
const shownOnce = (text, close, more) => h("div.stack.account-part", null,
  onlyNow(t("Copy the secret now: it is not shown again. Your server checks signatures with it.")),
  secret(text, t("Secret of the webhook")),
  more ? h("p.hint", null, more) : null,
  h("div.row.actions", null, h("button.primary", { type: "button", onclick: () => close() }, t("I have kept it"))));
