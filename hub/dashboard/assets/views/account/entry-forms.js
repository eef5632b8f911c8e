// The ways in: log in, register, a new password, a token.

import { boot } from "../../core/boot.js";
import { claims, ended } from "../../core/claims.js";
import { h } from "../../core/dom.js";
import { bare } from "../../core/http.js";
import { spoken, t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { session } from "../../core/session.js";
import { field, input } from "../../ui/controls.js";
import { notify } from "../../ui/notices.js";
import { mailFolder } from "./contacts.js";
import { form, passwordField, text, value } from "./form.js";
import { passwordRules } from "./password-rules.js";

/**
 * @typedef {object} Ways  Where forms lead.
 * @property {(mode: string) => string} href  The address of another of them.
 * @property {(wanted: import("../../core/session.js").SecondFactor) => void} secondFactor
 * @property {string} email  What was typed as an address so far.
 */

/** @param {Ways} ways @param {string} [autocomplete] */
function mailField(ways, autocomplete = "username") {
  const box = input({ type: "email", autocomplete, required: true, inputmode: "email", autocapitalize: "none", spellcheck: "false", maxlength: 254, value: ways.email, oninput: () => { ways.email = box.value; } });
  return field(t("Mail address"), box);
}

/** @param {Ways} ways */
export function loginForm(ways) {
  const email = mailField(ways);
  const password = passwordField(t("Password"), { autocomplete: "current-password" });
  return form({
    fields: { email, password },
    button: t("Log in"),
    content: [email, password, h("a.aside", { href: ways.href("forgot") }, t("Forgotten the password?"))],
    async send() {
      const wanted = await session.login(text(email), value(password));
      if (wanted) ways.secondFactor(wanted);
    },
  });
}

/** @param {Ways} ways */
export function registerForm(ways) {
  const rules = passwordRules();
  const judge = () => rules.judge(value(password), [text(name), text(email)]);
  const name = field(t("Name"), input({ autocomplete: "name", maxlength: 100, oninput: () => judge() }), { hint: t("As mails should address you. May be left out.") });
  const email = mailField(ways);
  email.addEventListener("input", () => judge());
  const password = passwordField(t("Password"), { autocomplete: "new-password", hint: rules.element, oninput: judge });
  const shown = boot.token ? claims(boot.token).plan : undefined;
  return form({
    fields: { name, email, password },
    button: t("Create the account"),
    content: [email, password, name, shown === undefined ? null : h("p.hint", null, t("A new account begins on the plan free; this demonstration shows the plan {plan}.", { plan: shown }))],
    async send() {
      await session.register({ email: text(email), password: value(password), name: text(name), language: spoken() });
      notify({ kind: "good", title: t("A mail is on its way"), text: `${t("A link was sent there. Alerts go to this address once you have opened it.")} ${mailFolder()}` });
    },
  });
}

/** @param {Ways} ways */
export function forgotForm(ways) {
  const email = mailField(ways);
  const answer = h("div.told", { role: "status", tabindex: "-1", hidden: true });
  const whole = form({
    fields: { email },
    button: t("Send the link"),
    content: [h("p.muted", null, t("A link comes by mail, with which you can set a new password. It is good for 30 minutes, once.")), email],
    async send() {
      await bare("POST", "/auth/forgot-password", { body: { email: text(email) } });
      answer.replaceChildren(icon("check"), h("p", null, t("If there is an account with {email}, a mail is on its way. Look among unwanted mail too.", { email: text(email) })));
      answer.hidden = false;
      whole.hidden = true;
      answer.focus();
    },
  });
  return h("div.stack", null, whole, answer);
}

export function tokenForm() {
  const box = h("textarea.mono", { rows: 4, required: true, autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
  const token = field(t("Token"), box, { hint: t("From another login, or made on the server by: {command}", { command: "python -m hub token --user 7 --plan pro" }) });
  return form({
    fields: { token },
    button: t("Use it"),
    content: [h("p.muted", null, t("The page acts as the token's bearer until the token ends. It stays in this tab.")), token],
    async send() {
      const given = box.value.trim();
      const { sub, exp } = claims(given);
      if (!sub) return token.fail(t("This is no token: it should have three parts with dots between."));
      if (exp && ended(given)) return token.fail(t("This token has ended. Ask for a new one."));
      await bare("GET", "/users/me", { token: given });
      session.useToken(given);
    },
  });
}

/** @param {import("../../core/session.js").SecondFactor} wanted @param {() => void} back */
export function secondFactorForm(wanted, back) {
  const box = input({ inputmode: "numeric", autocomplete: "one-time-code", required: true, maxlength: 20, autocapitalize: "none", spellcheck: "false", class: "code mono" });
  const code = field(t("Code"), box, { hint: t("Six digits from your authenticator app, or one of your recovery codes.") });
  const told = h("p.muted", { role: "status" });
  const whole = form({
    fields: { code },
    button: t("Log in"),
    content: [code, told],
    beside: [h("button.quiet", { type: "button", onclick: back }, t("Back"))],
    send: () => session.verify(wanted.challenge, box.value.trim()),
  });
  box.addEventListener("input", () => { if (/^\d{6}$/.test(box.value)) whole.requestSubmit(); });
  const send = async (/** @type {"email" | "sms"} */ channel) => {
    try {
      await bare("POST", "/auth/2fa/send", { body: { challenge: wanted.challenge, channel } });
      told.textContent = channel === "email" ? t("A code is on its way to your mail address.") : t("A code is on its way to your telephone.");
      box.focus();
    } catch (error) { whole.fail(error); }
  };
  const others = [
    wanted.methods.includes("email") ? h("button", { type: "button", onclick: () => send("email") }, t("Send a code by mail")) : null,
    wanted.methods.includes("sms") ? h("button", { type: "button", onclick: () => send("sms") }, t("Send a code by SMS")) : null,
  ].filter(Boolean);
  return h("div.stack", null, whole, others.length ? h("div.others", null, h("p.muted", null, t("No app at hand?")), h("div.row", null, others)) : null);
}
