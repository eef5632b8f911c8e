// Forms that send themselves: busy while they do, each error at the field that it is about.

import { h } from "../../core/dom.js";
import { countdown } from "../../core/format.js";
import { ApiError } from "../../core/http.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { field, input } from "../../ui/controls.js";

/** @typedef {import("../../ui/controls.js").Field} Field */
/** @typedef {HTMLFormElement & { fail: (error: any) => void, busy: (busy: boolean) => void }} Form */

/**
 * A form. `fields` are named as the server names what is wrong with them; each is shown unless `content` says what is.
 *
 * @param {object} options
 * @param {Record<string, Field>} options.fields
 * @param {string} options.button  What its button says.
 * @param {() => any} options.send  What it does; what that throws is shown.
 * @param {import("../../core/dom.js").Child[]} [options.content]  In place of the fields alone.
 * @param {import("../../core/dom.js").Child[]} [options.beside]  Beside the button.
 * @param {string} [options.kind]  Classes of the button.
 * @returns {Form}
 */
export function form({ fields, button, send, content, beside = [], kind = "primary" }) {
  const trouble = h("p.trouble", { role: "alert", hidden: true });
  const press = h("button", { type: "submit", class: kind }, button);
  const whole = h("form.form.account-part", { novalidate: true }, content ?? Object.values(fields), trouble, h("div.row.actions", null, press, beside));
  const busy = (/** @type {boolean} */ now) => { press.ariaBusy = String(now); };
  const fail = (/** @type {any} */ error) => show(error, fields, trouble);
  whole.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (press.ariaBusy === "true") return;
    clear(fields, trouble);
    if (!complete(fields)) return;
    busy(true);
    try { await send(); } catch (error) { fail(error); } finally { busy(false); }
  });
  return Object.assign(whole, { fail, busy });
}

/** @param {Record<string, Field>} fields @param {HTMLElement} trouble */
function clear(fields, trouble) {
  trouble.hidden = true;
  for (const one of Object.values(fields)) one.fail("");
}

/** Whether all is there that has to be; the first gap gets the focus. @param {Record<string, Field>} fields */
function complete(fields) {
  const gaps = Object.values(fields).filter((one) => { const at = control(one); return at?.required && !one.closest("[hidden]") && !at.value.trim(); });
  for (const one of gaps) one.fail(t("This is needed."));
  control(gaps[0])?.focus();
  return gaps.length === 0;
}

/** @param {any} error @param {Record<string, Field>} fields @param {HTMLElement} trouble */
function show(error, fields, trouble) {
  if (!(error instanceof ApiError)) { reportError(error); }
  const name = Object.keys(fields).find((one) => error.place === one || error.place?.startsWith(`${one}.`) || error.place?.startsWith(`${one}[`));
  if (name) {
    fields[name].fail(said(error));
    return control(fields[name])?.focus();
  }
  trouble.hidden = false;
  trouble.textContent = said(error);
}

/** What went wrong, and when it may be tried again. @param {any} error */
export function said(error) {
  const text = error?.message ?? String(error);
  return error?.status === 429 && error.retryAfter ? `${text} ${t("Try again in {time}.", { time: countdown(error.retryAfter) })}` : text;
}

/** @param {Field | undefined} one @returns {HTMLInputElement | null} */
const control = (one) => one?.querySelector("input, select, textarea") ?? null;

/** @param {Field} one */
export const value = (one) => control(one)?.value ?? "";

/** What was typed, without spaces around it. @param {Field} one */
export const text = (one) => value(one).trim();

/**
 * A field for a password, which can be looked at.
 *
 * @param {string} label
 * @param {{ autocomplete: "current-password" | "new-password", hint?: Node, oninput?: () => void, id?: string, autofocus?: boolean }} options
 */
export function passwordField(label, { autocomplete, hint, ...attributes }) {
  const box = input({ type: "password", autocomplete, required: true, spellcheck: "false", autocapitalize: "none", maxlength: 256, ...attributes });
  const whole = field(label, box, { hint });
  const eye = h("button.quiet.square", { type: "button", "aria-pressed": "false", "aria-label": t("Show the password"), title: t("Show the password"), onclick: () => {
    const open = box.type === "password";
    box.type = open ? "text" : "password";
    eye.setAttribute("aria-pressed", String(open));
  } }, icon("eye"));
  const place = h("div.with-button");
  box.before(place);
  place.append(box, eye);
  return whole;
}
