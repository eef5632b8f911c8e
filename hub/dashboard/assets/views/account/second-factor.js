// The second factor: set up with an app, recovery codes for when the app is gone, switched off.

import { post } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { session } from "../../core/session.js";
import { field, input, worker } from "../../ui/controls.js";
import { openDialog } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { form, passwordField, text, value } from "./form.js";
import { card, copyButton, loaded, onlyNow, pill, secret } from "./parts.js";

const STATUS = "/auth/2fa";
/** From so few on it is time for new ones. */
const FEW_CODES = 3;

/** @param {import("./parts.js").Reading} read */
export function secondFactorCard(read) {
  const state = h("span");
  /** @type {() => void} */
  let again = () => undefined;
  const fresh = () => { read.forget(STATUS); again(); };
  const tell = (/** @type {boolean} */ on) => fill(state, on ? pill("good", t("On")) : pill("warn", t("Off")));
  return card(
    { title: t("Second factor"), state, hint: t("A code from an app on your telephone, asked for besides the password. Whoever learns the password alone can't get in.") },
    loaded(() => read.get(STATUS), (status, asked) => {
      again = asked;
      tell(status.enabled);
      return status.enabled ? whenOn(status, fresh) : whenOff(fresh, () => tell(true));
    }),
  );
}

/** @param {() => void} fresh @param {() => void} done */
function whenOff(fresh, done) {
  const place = h("div.setup");
  const begin = async () => {
    try { fill(place, ...setup(await post("/auth/2fa/setup"), place, fresh, done)); } catch (error) { return complain(t("It could not be set up"), error); }
    place.querySelector("input")?.focus();
  };
  fill(place,
    h("p", null, t("Any authenticator app does: Google Authenticator, Aegis, 2FAS, a password manager.")),
    h("div.row", null, worker("button.primary", { onclick: begin }, t("Set it up"))));
  return place;
}

/** Scan, type, done. @param {{ secret: string, qr_svg: string }} made @param {HTMLElement} place @param {() => void} fresh @param {() => void} done */
function setup(made, place, fresh, done) {
  const code = codeField(t("The six digits that the app shows"));
  const confirm = form({
    fields: { code },
    button: t("Switch it on"),
    beside: [h("button", { type: "button", onclick: fresh }, t("Cancel"))],
    async send() {
      const { recovery_codes: codes } = await post("/auth/2fa/verify", { code: text(code) });
      note(true);
      done();
      fill(place, ...recoveryCodes(codes, fresh));
      place.querySelector("button")?.focus();
    },
  });
  const typed = made.secret.match(/.{1,4}/g)?.join(" ") ?? made.secret;
  return [
    h("ol.steps", null,
      h("li", null, h("p", null, t("Scan this with the app:")),
        h("img.qr", { src: `data:image/svg+xml,${encodeURIComponent(made.qr_svg)}`, alt: t("QR code with the secret for an authenticator app; the same stands below as text"), width: 200, height: 200 }),
        h("p", null, t("Or type this into it:")), secret(typed, t("Secret for the app"))),
      h("li", null, confirm)),
  ];
}

/** @param {{ recovery_codes_left: number }} status @param {() => void} fresh */
function whenOn({ recovery_codes_left: left }, fresh) {
  const ask = (/** @type {string} */ title, /** @type {(close: () => void) => Node | Node[]} */ body) => void openDialog({ title, body, onclose: fresh });
  return [
    h("p", { class: left < FEW_CODES ? "short-of" : "" }, left < FEW_CODES ? icon("warning") : null, t("Recovery codes left: {count}", { count: whole(left) })),
    left < FEW_CODES ? h("p.hint", null, t("Get new ones before they are gone: without app and codes nobody can let you in.")) : null,
    h("div.row", null,
      h("button", { type: "button", onclick: () => ask(t("New recovery codes"), newCodes) }, t("New recovery codes…")),
      h("button.danger-text", { type: "button", onclick: () => ask(t("Switch the second factor off"), (close) => switchOff(close)) }, t("Switch it off…"))),
  ];
}

/** @param {string} label */
const codeField = (label) => field(label, input({ inputmode: "numeric", autocomplete: "one-time-code", required: true, maxlength: 20, autocapitalize: "none", spellcheck: "false", class: "code mono" }));

/** @param {() => void} close */
function newCodes(close) {
  const place = h("div.stack.account-part");
  const code = codeField(t("Code from the app"));
  fill(place, form({
    fields: { code },
    button: t("Get new codes"),
    content: [h("p", null, t("The old ones are void from then on.")), code],
    async send() {
      const { recovery_codes: codes } = await post("/auth/2fa/recovery-codes", { code: text(code) });
      fill(place, ...recoveryCodes(codes, close));
      place.querySelector("button")?.focus();
    },
  }));
  return place;
}

/** @param {() => void} close */
function switchOff(close) {
  const password = passwordField(t("Your password"), { autocomplete: "current-password" });
  return form({
    fields: { password },
    button: t("Switch it off"),
    kind: "danger",
    content: [h("p", null, t("The password alone will be enough then. The app's entry and the recovery codes are void.")), password],
    async send() {
      await post("/auth/2fa/disable", { password: value(password) });
      note(false);
      close();
      notify({ kind: "good", title: t("The second factor is off") });
    },
  });
}

/** @param {boolean} on */
function note(on) {
  const { account } = session.current.value;
  session.update({ ...account, two_factor: on });
}

/** The codes, this once: to copy, to keep as a file, to print. @param {string[]} codes @param {() => void} done */
function recoveryCodes(codes, done) {
  const lines = codes.join("\n");
  const file = URL.createObjectURL(new Blob([`tickhub\n\n${lines}\n`], { type: "text/plain" }));
  return [
    onlyNow(t("Keep these codes where you find them without your telephone. Each lets you in once, and they are never shown again.")),
    h("ul.codes.mono", { "aria-label": t("Recovery codes") }, codes.map((one) => h("li", null, one))),
    h("div.row.actions", null,
      copyButton(lines),
      h("a.button", { href: file, download: "tickhub-recovery-codes.txt" }, t("Download")),
      h("button", { type: "button", onclick: () => print() }, t("Print")),
      h("button.primary", { type: "button", onclick: () => { URL.revokeObjectURL(file); done(); } }, t("I have kept them"))),
  ];
}
