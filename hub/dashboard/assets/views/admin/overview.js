// How the whole installation does, looked at every two seconds while somebody looks.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { bytes, countdown, short, whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { loading, nothing } from "../../ui/controls.js";
import { makePlot } from "../../ui/plot.js";
import { ratesBetween } from "./rates.js";

const EVERY_MS = 2000;

const count = (/** @type {number} */ value) => (value < 10_000 ? whole(value) : short(value));
const milliseconds = (/** @type {number} */ value) => t("{count} ms", { count: value < 10 ? value.toFixed(1) : Math.round(value) });

/** @typedef {{ plot: ReturnType<typeof makePlot>, values: (total: any, rates: import("./rates.js").Rates | null) => (number | null)[] }} Shown */

/** @returns {Shown[]} */
function makePlots() {
  const rate = (/** @type {keyof import("./rates.js").Rates} */ name) => (/** @type {any} */ _, /** @type {any} */ rates) => rates?.[name] ?? null;
  return [
    { plot: makePlot({ title: t("Connections"), lines: [{ label: t("sockets"), colour: "--series-1" }], format: count }), values: (total) => [total.sockets] },
    { plot: makePlot({ title: t("Channels"), lines: [{ label: t("heard"), colour: "--series-4" }, { label: t("subscriptions"), colour: "--series-3" }], format: count }), values: (total) => [total.channels, total.subscriptions] },
    { plot: makePlot({ title: t("Throughput a second"), lines: [{ label: t("deliveries"), colour: "--series-1" }, { label: t("publications"), colour: "--series-2" }], format: count }), values: (total, rates) => [rate("deliveries")(total, rates), rate("publications")(total, rates)] },
    { plot: makePlot({ title: t("Sent a second"), lines: [{ label: t("to sockets"), colour: "--series-4" }], format: bytes }), values: (total, rates) => [rate("sent_bytes")(total, rates)] },
    { plot: makePlot({ title: t("Lag"), lines: [{ label: t("event loop"), colour: "--series-2" }, { label: t("broker"), colour: "--series-3" }], format: milliseconds }), values: (total) => [total.loop_lag_ms, total.broker_lag_ms] },
    { plot: makePlot({ title: t("Slow readers"), lines: [{ label: t("updates spared a second"), colour: "--series-2" }, { label: t("closed a second"), colour: "--series-5" }], format: count }), values: (total, rates) => [rate("conflated")(total, rates), rate("slow_closes")(total, rates)] },
  ];
}

/** @param {any} stats */
function health(stats) {
  const parts = Object.entries(stats.health).map(([name, one]) => h("span.pill", { class: one.status === "ok" ? "good" : "bad" }, h("i.dot"), one.status === "ok" ? t("{name}: well, {time}", { name, time: milliseconds(one.ms) }) : t("{name}: away", { name })));
  const missing = stats.missing.map((/** @type {string} */ name) => h("span.pill.bad", null, h("i.dot"), t("Instance {name} does not answer", { name })));
  const sources = Object.entries(stats.feeds.sources ?? {}).map(([name, one]) => h("span.pill", { class: ["live", "closed"].includes(one.state) ? "good" : "warn", title: one.reason ?? "" }, h("i.dot"), `${name}: ${one.state}`));
  return h("div.row", null, parts, missing, sources);
}

/** @param {any} users */
function people(users) {
  if (!users) return h("section.card", null, h("h2", null, t("Accounts")), h("p.muted", null, t("The database is away.")));
  const rows = [[t("in all"), users.total], [t("new in seven days"), users.registered], [t("verified"), users.verified], [t("with a second factor"), users.two_factor], [t("disabled"), users.statuses.disabled]];
  const plans = Object.entries(users.plans).map(([plan, number]) => h("span.tag", null, `${plan} ${whole(/** @type {number} */ (number))}`));
  return h("section.card.stack", null, h("h2", null, t("Accounts")), h("dl.facts", null, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, whole(/** @type {number} */ (value)))))), h("div.row", null, plans));
}

/** @param {any[]} instances */
function table(instances) {
  const heads = [[t("Instance")], [t("Up for")], [t("Sockets"), 1], [t("Channels"), 1], [t("Deliveries"), 1], [t("Spared"), 1], [t("Slow closes"), 1], [t("Loop lag"), 1]];
  const rows = instances.map((one) => h("tr", null,
    h("td", null, h("code", null, one.instance), one.draining ? h("span.tag", null, t("ends")) : null),
    h("td", null, countdown(one.uptime_s)),
    ...[one.sockets, one.channels, one.deliveries, one.conflated, one.slow_closes].map((value) => h("td.number", null, count(value))),
    h("td.number", null, milliseconds(one.loop_lag_ms))));
  return h("section.card", null, h("header", null, h("h2", null, t("Instances"))),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": t("Instances") }, h("table", null, h("thead", null, h("tr", null, heads.map(([name, numeric]) => h("th", { scope: "col", class: numeric ? "number" : "" }, name)))), h("tbody", null, rows))));
}

/** @param {HTMLElement} panel @returns {() => void} */
export function mountOverview(panel) {
  const state = h("div", { role: "status" }, loading(1));
  const plots = makePlots();
  const below = h("div.stack");
  /** @type {{ at: number, instances: any[] } | null} */
  let before = null;
  let over = false;
  panel.append(h("div.stack", null, state, h("div.plots", null, plots.map((one) => one.plot.element)), below));

  async function look() {
    if (document.hidden) return;
    try {
      const stats = await get("/admin/stats");
      if (over) return;
      const now = { at: Date.now(), instances: stats.instances };
      const rates = ratesBetween(before, now);
      before = now;
      for (const { plot, values } of plots) plot.push(now.at, values(stats.total, rates));
      fill(state, health(stats));
      fill(below, table(stats.instances), people(stats.users));
    } catch (error) {
      if (!over) fill(state, nothing(t("The figures can't be read"), /** @type {Error} */ (error).message));
    }
  }

  void look();
  const timer = setInterval(() => void look(), EVERY_MS);
  return () => {
    over = true;
    clearInterval(timer);
    for (const { plot } of plots) plot.end();
  };
}
