// One alert: what it waits for, on its chart; all that it has fired, and what was sent of that, as it happens.

import { get, post, remove } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { moment, price } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { live } from "../../core/live.js";
import { observable } from "../../core/observable.js";
import { href } from "../../core/router.js";
import { loading, menu, nothing, tabs, worker } from "../../ui/controls.js";
import { makeChart } from "../../ui/chart.js";
import { edit, itemsOf, sendTest, titleOf, turn } from "./actions.js";
import { afterFiring } from "./collection.js";
import { makeDeliveries } from "./deliveries.js";
import { levelsOf } from "./forms.js";
import { makeHistory } from "./history.js";
import { durationLabel, frequencyLabel, statusPill, statusReason, toldBy, wayIcon, wayLabel } from "./labels.js";
import { frameOf, indicatorsOf } from "./levels.js";
import { makeLog } from "./log.js";
import { byCandle } from "./markers.js";

/** @typedef {import("./collection.js").Alert} Alert */

/** @param {HTMLElement} root @param {number} id @param {{ left: () => void }} options */
export function mountAlert(root, id, { left }) {
  let ended = false;
  /** @type {{ end: () => void } | null} */
  let page = null;
  const load = async () => {
    fill(root, h("div.page", null, h("div.card", null, loading(6))));
    try {
      const alert = await get(`/alerts/${id}`);
      if (!ended) page = makePage(root, alert, left);
    } catch (/** @type {any} */ error) {
      const again = error.status === 404 ? h("a.button", { href: "#/alerts" }, t("All alerts")) : h("button", { type: "button", onclick: () => void load() }, t("Try again"));
      if (!ended) fill(root, h("div.page", null, h("div.card", null, nothing(error.status === 404 ? t("There is no such alert of yours") : t("The alert could not be read"), error.message, again))));
    }
  };
  void load();
  return { end() { ended = true; page?.end(); } };
}

/** @param {HTMLElement} root @param {Alert} first @param {() => void} left */
function makePage(root, first, left) {
  const kept = observable(first);
  const keeper = makeKeeper(kept);
  const log = makeLog(first.id);
  /** @type {(() => void)[]} */
  const ends = [log.end];
  const subscription = live.hub?.subscribe("alerts:user", (/** @type {any} */ event) => {
    if (event.alert !== first.id) return;
    if (event.event === "triggered") kept.set(afterFiring(kept.value, event));
    if (event.event === "notice") void get(`/alerts/${first.id}`).then((alert) => kept.set(alert), () => null);
    log.hear(event);
  });
  ends.push(() => subscription?.unsubscribe());
  const head = h("header.alert-head");
  const facts = h("section.card.facts", { "aria-label": t("The alert") });
  ends.push(kept.on((alert) => {
    fill(head, ...headOf(alert, keeper, left));
    fill(facts, ...factsOf(alert));
  }));
  const chart = makeAlertChart(kept, log);
  const parts = tabs({
    label: t("What became of it"),
    tabs: [
      { id: "history", label: t("History"), mount: (panel) => mounted(panel, makeHistory(log, () => kept.value.critical || kept.value.escalation.length > 0)) },
      { id: "deliveries", label: t("Deliveries"), mount: (panel) => mounted(panel, makeDeliveries(log)) },
    ],
  });
  ends.push(() => chart.end(), () => parts.end());
  fill(root, h("div.page.one-alert", null, head, h("div.alert-top", null, chart.element, facts), h("section.card", null, parts)));
  return { end: () => ends.forEach((end) => end()) };
}

/** @param {HTMLElement} panel @param {{ element: HTMLElement, end: () => void }} made */
function mounted(panel, { element, end }) {
  fill(panel, element);
  return end;
}

/** What the actions on an alert need of whoever keeps it. @param {import("../../core/observable.js").Observable<Alert>} kept @returns {import("./actions.js").Keeper} */
function makeKeeper(kept) {
  return {
    put: (alert) => { if (alert.id === kept.value.id) kept.set(alert); },
    async turn(alert, what) { kept.set(await post(`/alerts/${alert.id}/${what}`)); },
    async remove(alert) { await remove(`/alerts/${alert.id}`); },
  };
}

/** @param {Alert} alert @param {import("./actions.js").Keeper} keeper @param {() => void} left */
function headOf(alert, keeper, left) {
  const active = alert.status === "active";
  return [
    h("a.button.quiet", { href: "#/alerts" }, icon("chevron"), h("span", null, t("Alerts"))),
    h("h1.grow", null, titleOf(alert)),
    statusPill(alert.status),
    worker("button", { onclick: () => sendTest(alert, { stay: true }) }, icon("test"), t("Send a test")),
    worker("button", { onclick: () => turn(keeper, alert) }, icon(active ? "pause" : "play"), active ? t("Pause") : t("Resume")),
    h("button.primary", { type: "button", onclick: () => void edit(keeper, alert) }, icon("edit"), t("Edit")),
    menu({ label: t("More actions"), class: "quiet square", content: [icon("more")], items: () => itemsOf(keeper, alert, { gone: left }).slice(2) }),
  ];
}

/** @param {Alert} alert */
function factsOf(alert) {
  const reason = statusReason(alert);
  /** @type {[string, import("../../core/dom.js").Child | import("../../core/dom.js").Child[]][]} */
  const rows = [
    [t("Fires when"), h("strong", null, alert.words)],
    [t("Condition"), h("code", null, alert.condition)],
    [t("Instrument"), h("a", { href: href("markets", `${alert.exchange}:${alert.symbol}`) }, `${alert.exchange}:${alert.symbol}`)],
    [t("How often"), [frequencyLabel(alert.frequency), alert.frequency.startsWith("once_per_bar") ? ` (${alert.timeframe})` : "", alert.cooldown === "0s" ? "" : `, ${t("then silence for {time}", { time: durationLabel(alert.cooldown) })}`]],
    [t("Told by"), h("span.row", null, toldBy(alert).map((way) => h("span.pill", null, wayIcon(way), wayLabel(way))))],
    [t("Fired"), alert.fired > 1 ? t("{count} times, last {time}", { count: alert.fired, time: moment(alert.last_fired_at) }) : alert.fired ? t("Once, {time}", { time: moment(alert.last_fired_at) }) : t("Not yet")],
    ...(reason ? [/** @type {[string, any]} */ ([t("Why it rests"), reason])] : []),
    ...(alert.expires_at ? [/** @type {[string, any]} */ ([t("Ends"), moment(alert.expires_at)])] : []),
    ...(alert.delay ? [/** @type {[string, any]} */ ([t("Prices"), t("{time} late, as your plan has them", { time: durationLabel(alert.delay) })])] : []),
    ...(alert.baseline ? [/** @type {[string, any]} */ ([t("Since"), t("{price} at {time}", { price: price(alert.baseline.price), time: moment(alert.baseline.time) })])] : []),
    ...(alert.escalation.length ? [/** @type {[string, any]} */ ([t("Unless acknowledged"), alert.escalation.map((/** @type {any} */ step) => t("{channel} after {time}", { channel: wayLabel(step.channel), time: durationLabel(`${step.after_s}s`) })).join(", ")])] : []),
  ];
  return [h("dl", null, rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]))];
}

/** The chart of an alert, with its levels and where it has fired. @param {import("../../core/observable.js").Observable<Alert>} kept @param {import("./log.js").Log} log */
function makeAlertChart(kept, log) {
  const place = h("div.chart-place");
  const chart = makeChart(place, { label: t("Chart with the alert's levels and what it has fired") });
  const ends = [
    kept.on((alert) => {
      const frame = frameOf(alert.tree) ?? "5m";
      chart.setSymbol(`${alert.exchange}:${alert.symbol}`, frame);
      chart.setLevels(levelsOf(alert.tree).map((level) => ({ price: level, label: t("Alert"), colour: "--warn" })));
      chart.setIndicators(indicatorsOf(alert.tree, frame));
    }),
    log.entries.on(({ triggers }) => chart.setMarkers(byCandle((triggers ?? []).filter(({ kind }) => kind === "fired").map(({ id, at }) => ({ id, time: at })), frameOf(kept.value.tree) ?? "5m"))),
    chart.on("marker", ({ id }) => document.getElementById(`trigger-${id}`)?.scrollIntoView({ block: "center" })),
    () => chart.end(),
  ];
  return { element: h("section.card.alert-chart", { "aria-label": t("Chart") }, place), end: () => ends.forEach((end) => end()) };
}
