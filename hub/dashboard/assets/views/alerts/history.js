// What an alert has fired, each firing with its reasons; what was suppressed; tests.

import { fill, h } from "../../core/dom.js";
import { clock, moment, price } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { loading, nothing, worker } from "../../ui/controls.js";
import { complain } from "../../ui/notices.js";
import { deliveryMark, reasonLabel, viaLabel, wayIcon, wayLabel } from "./labels.js";

/** @typedef {import("./log.js").Trigger} Trigger */
/** @typedef {import("./log.js").Delivery} Delivery */

/** @param {import("./log.js").Log} log @param {() => boolean} isUrgent  Whether it is to be acknowledged. */
export function makeHistory(log, isUrgent) {
  const element = h("div.history");
  const off = log.entries.on(({ triggers, deliveries, total, error }) => {
    if (error && !triggers) return fill(element, nothing(t("The history could not be read"), error.message, h("button", { type: "button", onclick: () => void log.load() }, t("Try again"))));
    if (!triggers) return fill(element, loading(4));
    if (!triggers.length) return fill(element, nothing(t("It has not fired yet"), t("Each firing stands here with what the alert looked at. A test shows how it would reach you.")));
    const open = new Set([...element.querySelectorAll("details[open]")].map((one) => one.closest("li")?.id));
    const list = h("ol.triggers", null, triggers.map((one) => entry(one, (deliveries ?? []).filter(({ trigger }) => trigger === one.id), log, isUrgent())));
    for (const one of list.children) if (open.has(one.id)) /** @type {HTMLDetailsElement} */ (one.querySelector("details")).open = true;
    fill(element, list, total > triggers.length ? worker("button", { onclick: () => log.more().catch((problem) => complain(t("The history could not be read"), problem)) }, t("Show more")) : null);
  });
  return { element, end: off };
}

/** @param {Trigger} one */
function markOf({ kind, reason }) {
  if (kind === "test") return h("span.pill", null, icon("test"), t("Test"));
  if (kind === "suppressed") return h("span.pill", null, icon("pause"), t("Held back"));
  if (reason === "storm") return h("span.pill.warn", null, icon("alert"), t("Fired, in a storm"));
  return h("span.pill.warn", null, icon("alert"), t("Fired"));
}

/** @param {Trigger} one @param {Delivery[]} sent @param {import("./log.js").Log} log @param {boolean} urgent */
function entry(one, sent, log, urgent) {
  const waits = sent.some(({ status }) => status === "queued");
  const acknowledge = one.kind === "fired" && !one.acknowledged_at && (waits || urgent)
    ? worker("button.small", { onclick: () => log.acknowledge(one).catch((error) => complain(t("It could not be acknowledged"), error)) }, icon("check"), t("Acknowledge"))
    : null;
  return h("li.trigger", { id: `trigger-${one.id}`, class: one.fresh ? "fired-now" : "" },
    h("div.trigger-line", null,
      markOf(one), h("time.mono", { datetime: one.at }, moment(one.at)), h("span.grow", null, why(one)),
      h("span.ways", null, sent.map((delivery) => chip(delivery))), acknowledge,
      one.acknowledged_at ? h("span.pill.good", null, icon("check"), t("Acknowledged by {channel}", { channel: one.acknowledged_by === "api" ? t("you, here") : wayLabel(one.acknowledged_by) })) : null),
    details(one));
}

/** A delivery in one sign: which channel, and how far. @param {Delivery} delivery */
function chip({ channel, status, reason }) {
  const mark = deliveryMark(status);
  const text = `${wayLabel(channel)}: ${mark.label()}${reason ? ` (${reasonLabel(reason)})` : ""}`;
  return h("span.pill.chip", { class: mark.kind, title: text }, wayIcon(channel), h("span.unseen", null, text), h("span", { "aria-hidden": "true" }, mark.label()));
}

/** What happened, in a sentence. @param {Trigger} one */
function why(one) {
  if (one.kind === "test") return t("You asked for it.");
  const parts = [];
  if (one.previous !== null && one.current !== null) parts.push(t("from {before} to {now}", { before: price(one.previous), now: price(one.current) }));
  else if (one.price !== null) parts.push(t("at {price}", { price: price(one.price) }));
  if (one.level !== null) parts.push(t("level {level}", { level: price(one.level) }));
  parts.push(viaLabel(one.via));
  if (one.gap) parts.push(t("it jumped over the level"));
  if (one.reason) parts.push(reasonLabel(one.reason));
  return parts.join(" · ");
}

/** Milliseconds between two times, where both are known. @param {string | null} from @param {string | null} to */
const between = (from, to) => (from && to ? t("{count} ms", { count: new Date(to).getTime() - new Date(from).getTime() }) : "–");

/** @param {Trigger} one */
function details(one) {
  /** @type {[string, string][]} */
  const rows = [
    [t("Condition"), one.condition],
    ...Object.entries(one.inputs ?? {}).map(([name, value]) => /** @type {[string, string]} */ ([name, value === null ? t("not known") : price(value)])),
    [t("Price's time at the exchange"), clock(one.at)],
    ...(one.received_at ? /** @type {[string, string][]} */ ([
      [t("From the price's arrival to the decision"), between(one.received_at, one.evaluated_at)],
      [t("To the record of all that is to be sent"), between(one.evaluated_at, one.enqueued_at)],
      [t("To the first provider's answer"), between(one.enqueued_at, one.provider_at)],
      [t("Series"), `${one.source ?? ""} #${one.sample ?? ""}`],
    ]) : []),
  ];
  return h("details.fold", null, h("summary", null, t("What it looked at, and how long it took")), h("dl", null, rows.flatMap(([name, value]) => [h("dt", null, name), h("dd.mono", null, value)])));
}
