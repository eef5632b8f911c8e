// How the sources of prices are: the worst of them in the bar, each of them behind it.

import { boot } from "../core/boot.js";
import { h } from "../core/dom.js";
import { ago, whole } from "../core/format.js";
import { t } from "../core/i18n.js";
import { live } from "../core/live.js";
import { nothing } from "./controls.js";
import { popover } from "./popover.js";

/** @typedef {{ state: string, since?: string, reason?: string, instruments?: number, limit?: number }} Source */

/** The best first: its words, and how it looks. @type {Record<string, [() => string, string]>} */
const HEALTH = {
  live: [() => t("live"), "good"],
  closed: [() => t("at rest"), ""],
  standby: [() => t("standing by"), ""],
  stale: [() => t("stale"), "warn"],
  connecting: [() => t("connecting"), "warn"],
  token_expired: [() => t("login expired"), "bad"],
  refused: [() => t("refused"), "bad"],
};
const ORDER = Object.keys(HEALTH);
const nameOf = (/** @type {string} */ state) => HEALTH[state]?.[0]() ?? state;
const classOf = (/** @type {string} */ state) => HEALTH[state]?.[1] ?? "warn";

/** @returns {{ element: HTMLElement, end: () => void }} */
export function makeFeedHealth() {
  /** @type {Record<string, string>} */
  let exchanges = {};
  /** @type {Record<string, Source>} */
  let sources = {};
  const text = h("span");
  const button = h("button.pill.feeds", { type: "button", hidden: true }, h("i.dot"), text);
  const { panel, refresh } = popover({ label: t("Sources of prices"), button, content: () => [h("h2", null, t("Sources of prices")), table(sources), markets(exchanges)] });

  const hear = (/** @type {any} */ data) => {
    const { sources: told = {}, ...rest } = data ?? {};
    sources = told;
    exchanges = Object.fromEntries(Object.entries(rest).filter(([, state]) => typeof state === "string"));
    const states = [...Object.values(exchanges), ...Object.values(sources).map(({ state }) => state)];
    const worst = states.sort((a, b) => ORDER.indexOf(b) - ORDER.indexOf(a))[0];
    button.hidden = !worst;
    if (!worst) return;
    button.className = `pill feeds ${classOf(worst)}`;
    const fine = ORDER.indexOf(worst) <= ORDER.indexOf("closed");
    text.textContent = button.ariaLabel = button.title = fine && boot.simulated ? t("Simulated prices") : t("Feed {state}", { state: nameOf(worst) });
    refresh();
  };
  const subscription = live.hub?.subscribe("status:feeds", hear);
  return { element: h("span.state-place", null, button, panel), end: () => subscription?.unsubscribe() };
}

/** @param {Record<string, Source>} sources */
function table(sources) {
  const every = Object.entries(sources);
  if (!every.length) return nothing(t("No source has said anything yet"));
  const heads = [t("Source"), t("State"), t("Since")].map((one) => h("th", { scope: "col" }, one));
  const rows = every.map(([name, { state, since, reason, instruments, limit }]) =>
    h("tr", null,
      h("th", { scope: "row" }, name),
      h("td", null, h("span.pill", { class: classOf(state) }, h("i.dot"), nameOf(state)), reason ? h("p.hint", null, reason) : null),
      h("td", null, since ? ago(since) : "–"),
      h("td.number", null, whole(instruments), limit ? h("small.muted", null, ` / ${whole(limit)}`) : null)));
  return h("table", null, h("thead", null, h("tr", null, heads, h("th.number", { scope: "col" }, t("Instruments")))), h("tbody", null, rows));
}

/** @param {Record<string, string>} exchanges */
function markets(exchanges) {
  return h("p.row", null, Object.entries(exchanges).map(([name, state]) => h("span.pill", { class: classOf(state) }, h("i.dot"), `${name} ${nameOf(state)}`)));
}
