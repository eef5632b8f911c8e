// `#/login?to=…`: the ways in. Whoever is in is led on to where they wanted to go.

import { boot } from "../../core/boot.js";
import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { go } from "../../core/router.js";
import { session } from "../../core/session.js";
import { forgotForm, loginForm, registerForm, secondFactorForm, tokenForm } from "./entry-forms.js";
import { said } from "./form.js";

const MODES = {
  login: { title: () => t("Log in"), form: loginForm },
  register: { title: () => t("Create an account"), form: registerForm },
  forgot: { title: () => t("Set a new password"), form: forgotForm },
  token: { title: () => t("Use a token"), form: tokenForm },
};

/** @typedef {keyof typeof MODES} Mode */

/** @param {HTMLElement} root @param {import("../../core/router.js").Route} route */
export function mount(root, route) {
  const to = target(route);
  if (["account", "token"].includes(session.current.value.kind)) {
    go(to, { replace: true });
    return { end() {} };
  }
  const card = h("section.card.entry", { "aria-labelledby": "entry-title" });
  fill(root, h("div.entrance", null, offer(), card));
  /** @type {import("./entry-forms.js").Ways} */
  const ways = { email: "", href: (mode) => address(mode, to), secondFactor: (wanted) => { session.pending = wanted; draw(route); } };
  const back = () => { session.pending = null; draw(route); };
  const draw = (/** @type {import("../../core/router.js").Route} */ here) => {
    fill(card, ...(session.pending ? secondStep(session.pending, back) : entry(mode(here), ways, to)));
    focusFirst(card);
  };
  draw(route);
  return { end() {}, update: draw };
}

/** @param {import("../../core/router.js").Route} route @returns {Mode} */
const mode = ({ rest }) => (rest[0] in MODES ? /** @type {Mode} */ (rest[0]) : "login");

/** Where to go on to: only ever within this page. @param {import("../../core/router.js").Route} route */
function target({ query }) {
  const to = query.get("to") ?? "";
  return to.startsWith("#/") && !to.startsWith("#/login") ? to : "#/markets";
}

/** @param {string} mode @param {string} to */
const address = (mode, to) => `#/login${mode === "login" ? "" : `/${mode}`}?to=${encodeURIComponent(to)}`;

/** Without bringing up a telephone's keyboard over what there is to read. @param {HTMLElement} card */
function focusFirst(card) {
  if (matchMedia("(pointer: fine)").matches) /** @type {HTMLElement | null} */ (card.querySelector("input, textarea"))?.focus();
}

/** What the product is, for who comes here first. */
function offer() {
  /** @type {[import("../../core/icons.js").IconName, string, string][]} */
  const points = [
    ["markets", t("Live markets"), t("Prices, depth and charts of NSE, BSE and their derivatives, as they change.")],
    ["alert", t("Alerts that arrive"), t("By mail, SMS, call, push or webhook, with proof of each delivery.")],
    ["key", t("Open to programs"), t("Sockets and an HTTP API with keys of your own.")],
  ];
  return h("section.offer", { "aria-label": "tickhub" },
    h("h1", null, t("Indian markets, live")),
    h("ul", null, points.map(([picture, title, text]) => h("li", null, h("span.badge", null, icon(picture)), h("div", null, h("strong", null, title), h("p", null, text))))),
    boot.simulated ? h("p.small-text.muted", null, t("This hub shows invented prices, to try it out.")) : null);
}

/** @param {Mode} here @param {import("./entry-forms.js").Ways} ways @param {string} to */
function entry(here, ways, to) {
  const { title, form } = MODES[here];
  return [
    h("h2", { id: "entry-title" }, title()),
    farewell(),
    form(ways),
    here === "login" || here === "register" ? elsewhere(to) : null,
    switches(here, ways),
    demonstration(to),
  ];
}

/** Why one is here, calmly. */
function farewell() {
  const why = session.farewell;
  if (!why) return null;
  const text = why === "out" ? t("You are logged out.")
    : why === "ended" ? t("Your login has ended, here or from another device. Log in to go on where you were.")
      : why === "token" ? t("The token that this page used has ended, or was taken back.")
        : said(why);
  return h("p.farewell", { role: "status" }, icon("info"), h("span", null, text));
}

/** Someone else's login, where there is one. @param {string} to */
function elsewhere(to) {
  const name = boot.sign_in_with;
  if (!name) return null;
  const url = "/api/v1/auth/oidc/login?return_to=/";
  return [h("p.or", null, h("span", null, t("or"))), h("a.button.wide", { href: url, onclick: () => session.leaveFor(to) }, t("Sign in with {name}", { name }))];
}

/** @param {Mode} here @param {import("./entry-forms.js").Ways} ways */
function switches(here, ways) {
  const link = (/** @type {Mode} */ to, /** @type {string} */ label) => h("a", { href: ways.href(to) }, label);
  const row = (/** @type {string} */ question, /** @type {Node} */ answer) => h("p", null, question, " ", answer);
  return h("div.switches", null,
    here === "login" ? row(t("New here?"), link("register", t("Create an account"))) : null,
    here !== "login" ? row(here === "register" ? t("You have an account?") : t("Or go back:"), link("login", t("Log in"))) : null,
    here === "login" ? row(t("You were given a token?"), link("token", t("Use a token"))) : null);
}

/** @param {string} to */
function demonstration(to) {
  if (!boot.token) return null;
  const look = () => {
    if (session.current.value.kind === "demo" || session.demonstrate()) go(to, { replace: true });
    else location.reload();
  };
  return h("div.demonstration", null, h("button.wide", { type: "button", onclick: look }, icon("markets"), t("Look around first")), h("p.hint", null, t("Nothing is asked of you; what you set is kept on this machine.")));
}

/** @param {import("../../core/session.js").SecondFactor} wanted @param {() => void} back */
function secondStep(wanted, back) {
  return [h("h2", { id: "entry-title" }, t("The second factor")), secondFactorForm(wanted, back)];
}
