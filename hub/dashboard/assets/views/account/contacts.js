// Where one is reached: the mail address and the telephone, and whether they are proved to be one's own.

import { get, post, put } from "../../core/api.js";
import { boot } from "../../core/boot.js";
import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { field, input, worker } from "../../ui/controls.js";
import { confirmed } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { form, passwordField, text, value } from "./form.js";
import { card, pill } from "./parts.js";

/**
 * @typedef {import("../../core/session.js").Account} Account
 * @typedef {(account: Account, show: (face: Face) => void) => HTMLElement} Face  One of the things that a card can show.
 */

/**
 * A card with several faces, which shows the first again when what it is about has changed.
 *
 * @param {Face} first @param {(account: Account) => string} about
 */
function faced(first, about) {
  const element = h("div.faced");
  const show = (/** @type {Face} */ face) => {
    fill(element, face(session.current.value.account, show));
    if (face !== first) element.querySelector("input")?.focus();
  };
  let known = "";
  const end = session.current.on(({ kind, account }) => {
    if (kind !== "account" || about(account) === known) return;
    known = about(account);
    show(first);
  });
  return { element, end };
}

const proof = (/** @type {boolean | undefined} */ verified) => (verified ? pill("good", t("Verified")) : pill("warn", t("Not verified")));
const button = (/** @type {string} */ label, /** @type {() => void} */ onclick) => h("button", { type: "button", onclick }, label);

export const mailCard = () => faced(mailFace, ({ email, email_verified: verified }) => `${email} ${verified}`);

/** Where a newcomer's own hub has put the mail. */
export const mailFolder = () => (boot.mail_folder ? t("This hub has no mail server: mail is written to {folder}.", { folder: boot.mail_folder }) : "");

/** @type {Face} */
const mailFace = (account, show) => card(
  { title: t("Mail address"), state: proof(account.email_verified) },
  h("p.contact", null, account.email),
  account.email_verified ? null : h("p.hint", null, t("A link was sent there. Alerts go to this address once you have opened it."), " ", mailFolder()),
  h("div.row", null,
    account.email_verified ? null : worker("button", { onclick: sendAgain }, t("Send the link again")),
    account.email_verified ? null : worker("button", { onclick: lookAgain }, t("I have opened it")),
    button(t("Change…"), () => show(mailChange))),
);

async function sendAgain() {
  try {
    await post("/auth/verify-email/send");
    notify({ kind: "good", title: t("A mail is on its way"), text: `${t("The link in it is good for 3 days.")} ${mailFolder()}` });
  } catch (error) { complain(t("No mail was sent"), error); }
}

async function lookAgain() {
  try {
    const account = await get("/users/me");
    session.update(account);
    if (!account.email_verified) notify({ title: t("Not verified yet"), text: t("Open the link in the mail, and press the button on its page.") });
  } catch (error) { complain(t("This could not be read"), error); }
}

/** @type {Face} */
function mailChange(_account, show) {
  const email = field(t("New mail address"), input({ type: "email", autocomplete: "email", required: true, inputmode: "email", maxlength: 254 }), { hint: t("A link goes there, and the old address is told.") });
  const password = passwordField(t("Your password"), { autocomplete: "current-password" });
  return card({ title: t("Mail address") }, form({
    fields: { email, password },
    button: t("Change it"),
    beside: [button(t("Cancel"), () => show(mailFace))],
    async send() {
      session.update(await put("/users/me", { email: text(email), password: value(password) }));
      notify({ kind: "good", title: t("A mail is on its way"), text: t("Open the link in it to verify the new address.") });
    },
  }));
}

export const phoneCard = () => faced(phoneFace, ({ phone, phone_verified: verified }) => `${phone} ${verified}`);

/** @type {Face} */
function phoneFace({ phone, phone_verified: verified }, show) {
  if (!phone) {
    return card({ title: t("Telephone") },
      h("p.hint", null, t("For alerts by SMS and call, and as another way to get a code when you log in.")),
      h("div.row", null, button(t("Add a number…"), () => show(phoneChange))));
  }
  const send = async () => {
    try {
      const { challenge } = await post("/users/me/phone/send");
      show(codeFace(challenge));
    } catch (error) { complain(t("No SMS was sent"), error); }
  };
  return card({ title: t("Telephone"), state: proof(verified) },
    h("p.contact", null, phone),
    verified ? null : h("p.hint", null, t("Nothing is sent there before a code has proved that it is yours.")),
    h("div.row", null,
      verified ? null : worker("button", { onclick: send }, t("Send a code by SMS")),
      button(t("Change…"), () => show(phoneChange)),
      h("button.danger-text", { type: "button", onclick: removePhone }, t("Remove"))));
}

/** @type {Face} */
function phoneChange({ phone: before }, show) {
  const phone = field(t("Mobile number"), input({ type: "tel", autocomplete: "tel", required: true, maxlength: 32, value: before ?? "", placeholder: "+91 98765 43210" }), { hint: t("With the country's code; ten digits alone are an Indian number.") });
  return card({ title: t("Telephone") }, form({
    fields: { phone },
    button: t("Save"),
    beside: [button(t("Cancel"), () => show(phoneFace))],
    async send() {
      session.update(await put("/users/me", { phone: text(phone) }));
      show(phoneFace);
    },
  }));
}

/** @param {string} challenge @returns {Face} */
const codeFace = (challenge) => ({ phone }, show) => {
  const code = field(t("Code in the SMS to {phone}", { phone: phone ?? "" }), input({ inputmode: "numeric", autocomplete: "one-time-code", required: true, maxlength: 6, class: "code mono" }), { hint: t("Six digits; good for ten minutes.") });
  return card({ title: t("Telephone") }, form({
    fields: { code },
    button: t("Verify"),
    beside: [button(t("Cancel"), () => show(phoneFace))],
    async send() {
      session.update(await post("/users/me/phone/verify", { challenge, code: text(code) }));
      notify({ kind: "good", title: t("The number is verified") });
    },
  }));
};

async function removePhone() {
  if (!await confirmed({ title: t("Remove the number?"), text: t("Alerts will not come by SMS or call any more."), yes: t("Remove") })) return;
  try { session.update(await put("/users/me", { phone: null })); } catch (error) { complain(t("The number was not removed"), error); }
}
