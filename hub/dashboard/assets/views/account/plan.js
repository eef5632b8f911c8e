// What each plan includes, which one counts, and how much of it is used.

import { h } from "../../core/dom.js";
import { countdown, whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { card, loaded } from "./parts.js";

/**
 * @typedef {object} Plan  As `GET plans` has it.
 * @property {string} name
 * @property {number | null} price
 * @property {Record<string, string>} prices
 * @property {string[]} withheld
 * @property {number} connections
 * @property {number} channels
 * @property {number} alerts
 * @property {number} sms_per_month
 * @property {number | null} requests
 * @property {boolean} api_metrics
 */

/** @param {import("./parts.js").Reading} read */
export function planCard(read) {
  return card(
    { title: t("Plan and usage"), hint: t("Which plan counts is set by whoever runs this hub; paying happens elsewhere.") },
    loaded(() => read.get("/plans").then(async ({ items }) => ({ items, used: await usage(items, read) })), ({ items, used }) => [used, h("div.scroll", { tabindex: "0", role: "group", "aria-label": t("Plans") }, comparison(items))]),
  );
}

/** What is used; of a plan that doesn't show it, that it doesn't. @param {Plan[]} plans @param {import("./parts.js").Reading} read */
async function usage(plans, read) {
  const { plan } = session.current.value;
  if (plans.find(({ name }) => name === plan)?.api_metrics) return bars(await read.get("/users/usage"));
  const those = plans.filter((one) => one.api_metrics).map(({ name }) => name).join(", ");
  return those ? h("p.hint", null, t("What is used of a plan is shown with: {plans}", { plans: those })) : null;
}

/** @param {any} used */
function bars(used) {
  return h("div.bars", null,
    bar(t("Active alerts"), used.alerts, used.alerts_limit),
    bar(t("SMS and calls this month"), used.sms, used.sms_limit),
    bar(t("Sockets now"), used.sockets, used.sockets_limit),
    bar(t("Requests, for another {time}", { time: countdown(used.requests.resets_in_s) }), used.requests.limit - used.requests.remaining, used.requests.limit));
}

/** @param {string} label @param {number} used @param {number} most 0: without limit */
function bar(label, used, most) {
  const text = most ? t("{used} of {most}", { used: whole(used), most: whole(most) }) : t("{used}, without limit", { used: whole(used) });
  return h("div.bar-row", null,
    h("div.row", null, h("span.grow", null, label), h("span.muted", null, text)),
    most ? h("meter", { min: 0, max: most, high: most * 0.9, optimum: 0, value: Math.min(used, most), "aria-label": label }) : null);
}

/** @type {[label: () => string, of: (plan: Plan) => string][]} */
const ROWS = [
  [() => t("A month"), ({ price }) => (price === null ? t("on request") : price ? `₹ ${whole(price)}` : t("free of charge"))],
  [() => t("Prices"), ({ prices }) => delays(prices)],
  [() => t("Alerts"), ({ alerts }) => whole(alerts)],
  [() => t("SMS and calls a month"), ({ sms_per_month: sms }) => (sms ? whole(sms) : "–")],
  [() => t("Depth and signals"), ({ name, withheld }) => (name === "free" || ["depth", "signals"].every((one) => withheld.includes(one)) ? "–" : t("yes"))],
  [() => t("Sockets at once"), ({ connections }) => (connections ? whole(connections) : t("any number"))],
  [() => t("Symbols on a socket"), ({ channels }) => whole(channels)],
  [() => t("Usage figures"), ({ api_metrics: shown }) => (shown ? t("yes") : "–")],
];

/** @param {Plan[]} plans */
function comparison(plans) {
  const mine = session.current.value.plan;
  const here = (/** @type {Plan} */ { name }) => (name === mine ? "mine" : "");
  return h("table.plans", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span.unseen", null, t("What"))), plans.map((plan) => h("th", { scope: "col", class: here(plan) }, plan.name, plan.name === mine ? h("span.tag", null, t("yours")) : null)))),
    h("tbody", null, ROWS.map(([label, of]) => h("tr", null, h("th", { scope: "row" }, label()), plans.map((plan) => h("td", { class: here(plan) }, of(plan)))))));
}

/** How late prices are: in a word where all exchanges are alike. @param {Record<string, string>} prices */
function delays(prices) {
  const word = (/** @type {string} */ one) => (one === "realtime" ? t("live") : one === "none" ? "–" : t("{time} late", { time: one }));
  const kinds = Map.groupBy(Object.entries(prices), ([, delay]) => delay);
  if (kinds.size === 1) return word([...kinds.keys()][0]);
  return [...kinds].map(([delay, of]) => `${of.map(([exchange]) => exchange).join(", ")}: ${word(delay)}`).join("; ");
}
