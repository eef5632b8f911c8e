// What stands around every view: where one can go, how the connection is, and who one is.

import { put } from "../core/api.js";
import { fill, h } from "../core/dom.js";
import { countdown } from "../core/format.js";
import { LANGUAGES, spoken, t } from "../core/i18n.js";
import { icon } from "../core/icons.js";
import { connection, live } from "../core/live.js";
import { go, href } from "../core/router.js";
import { session } from "../core/session.js";
import { paint, theme } from "../core/theme.js";
import { watchAlerts } from "../views/alerts/watch.js";
import { menu } from "./controls.js";
import { makeFeedHealth } from "./feed-health.js";
import { makeMarketClock } from "./market-clock.js";
import { complain } from "./notices.js";
import { makeSearch } from "./search.js";

/** @typedef {{ name: string, label: string, icon: import("../core/icons.js").IconName }} Place */

/** @returns {Place[]} */
function places() {
  const { role } = session.current.value;
  return [
    { name: "markets", label: t("Markets"), icon: "markets" },
    { name: "alerts", label: t("Alerts"), icon: "alert" },
    { name: "signals", label: t("Signals"), icon: "signal" },
    { name: "account", label: t("Account"), icon: "account" },
    ...(role === "admin" ? [{ name: "admin", label: t("Admin"), icon: /** @type {const} */ ("admin") }] : []),
  ];
}

/**
 * @param {{ place: HTMLElement, change: (language: import("../core/i18n.js").Language) => Promise<void> }} options
 */
export function makeShell({ place, change }) {
  const known = session.current.value.kind !== "nobody";
  const links = places().map((one) => h("a", { href: href(one.name), dataset: { view: one.name } }, icon(one.icon), h("span", null, one.label)));
  /** @type {(() => void)[]} */
  const ends = [];
  const part = (/** @type {{ element: HTMLElement, end: () => void }} */ one) => { ends.push(() => one.end()); return one.element; };
  const pill = part(makeConnectionPill());
  const skip = h("a.skip", { href: "#main", onclick: (/** @type {Event} */ event) => { event.preventDefault(); document.getElementById("main")?.focus(); } }, t("Skip to the content"));
  const view = h("div.view");
  const banner = part(makeBanner());
  fill(
    place,
    skip,
    h("header.bar", null,
      h("a.brand", { href: href("markets"), "aria-label": "tickhub" }, h("span.mark", { "aria-hidden": "true" }), h("span", null, "tickhub")),
      known ? h("nav.places", { "aria-label": t("Main") }, links) : h("span.grow"),
      known ? part(makeSearch()) : null,
      known ? h("div.states", null, part(makeMarketClock()), part(makeFeedHealth()), pill) : null,
      makeLanguageMenu(change),
      makeUserMenu()),
    banner,
    view,
  );
  if (known) ends.push(watchAlerts());
  return {
    /** @param {string} name @param {HTMLElement} root */
    show(name, root) {
      for (const link of links) {
        if (link.dataset.view === name) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      fill(view, root);
      scrollTo(0, 0);
    },
    end: () => ends.forEach((end) => end()),
  };
}

/** @param {(language: import("../core/i18n.js").Language) => Promise<void>} change */
function makeLanguageMenu(change) {
  const choose = async (/** @type {any} */ code) => {
    try {
      await change(code);
      if (session.current.value.kind === "nobody") return;
      await put("/users/preferences", { language: code });
      await session.languageChanged();
    } catch (error) {
      complain(t("The language could not be changed"), error);
    }
  };
  return menu({
    label: t("Language"),
    class: "quiet square",
    content: [icon("globe")],
    items: () => Object.entries(LANGUAGES).map(([code, name]) => ({ label: name, checked: code === spoken(), run: () => void choose(code) })),
  });
}

/** @param {"light" | "dark" | "system"} wanted */
async function choose(wanted) {
  paint(wanted);
  if (session.current.value.kind !== "nobody") await put("/users/preferences", { theme: wanted }).catch(() => null);
}

function makeUserMenu() {
  const { kind, plan, account, user } = session.current.value;
  const name = kind === "account" ? account?.name || account?.email : kind === "demo" ? t("Demonstration") : user;
  const themes = () => /** @type {const} */ ([["light", t("Light"), "sun"], ["dark", t("Dark"), "moon"], ["system", t("As the system"), "system"]])
    .map(([wanted, label, picture]) => ({ label, icon: picture, checked: theme.value === wanted, run: () => void choose(wanted) }));
  const leave = { label: t("Log out"), icon: /** @type {const} */ ("logout"), run: () => void session.logout().catch((error) => complain(t("Logging out failed"), error)) };
  const enter = { label: t("Log in or register"), icon: /** @type {const} */ ("account"), run: () => go(href("login")) };
  return menu({
    label: kind === "nobody" ? t("Menu") : t("{name}, plan {plan}", { name, plan }),
    class: "quiet square",
    content: [icon("account")],
    items: () => [
      kind === "nobody" || kind === "demo" ? enter : null,
      kind === "nobody" ? null : { label: t("Account and preferences"), icon: "account", run: () => go(href("account")) },
      ...themes(),
      kind === "account" || kind === "token" ? leave : null,
    ],
  });
}

const STATES = {
  connecting: () => t("Connecting"),
  live: () => t("Live"),
  waiting: () => t("Reconnecting"),
  offline: () => t("Offline"),
  closed: () => t("Closed"),
};

function makeConnectionPill() {
  const label = h("span");
  const element = h("span.pill", { role: "status", id: "connection" }, h("i.dot"), label);
  const end = connection.on(({ state }) => {
    element.dataset.state = state;
    label.textContent = STATES[state]();
  });
  return { element, end };
}

/** Says what is wrong with the connection, in a line over the view, and what is being done about it. */
function makeBanner() {
  const text = h("span.grow");
  const now = h("button.small", { type: "button", onclick: () => live.hub.reconnect() }, t("Try now"));
  const element = h("div.banner", { role: "status", hidden: true }, icon("warning"), text, now);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  const end = connection.on(({ state, retryAt, reason }) => {
    clearInterval(timer);
    element.hidden = !["waiting", "offline", "closed"].includes(state) || session.current.value.kind === "nobody";
    if (state === "offline") text.textContent = t("There is no network. Prices stand still; they go on by themselves when it is back.");
    else if (state === "closed") text.textContent = reason ? t("The server ended the connection: {reason}", { reason }) : t("The connection has ended.");
    else if (state === "waiting") {
      const tell = () => { text.textContent = t("The connection was lost. Trying again in {time}; nothing that counts is lost meanwhile.", { time: countdown(((retryAt ?? 0) - Date.now()) / 1000) }); };
      tell();
      timer = setInterval(tell, 500);
    }
  });
  return { element, end: () => { clearInterval(timer); end(); } };
}
