// What was sent of an alert, channel by channel, and how far it has come.

import { fill, h } from "../../core/dom.js";
import { clock, moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { loading, nothing } from "../../ui/controls.js";
import { deliveryMark, reasonLabel, wayIcon, wayLabel } from "./labels.js";

/** @typedef {import("./log.js").Delivery} Delivery */

/** @param {import("./log.js").Log} log */
export function makeDeliveries(log) {
  const element = h("div.deliveries");
  const off = log.entries.on(({ deliveries, error }) => {
    if (error && !deliveries) fill(element, nothing(t("The deliveries could not be read"), error.message, h("button", { type: "button", onclick: () => void log.load() }, t("Try again"))));
    else if (!deliveries) fill(element, loading(4));
    else if (!deliveries.length) fill(element, nothing(t("Nothing was sent yet"), t("What goes out by mail, SMS, call, push or webhook stands here from the moment that it is due.")));
    else fill(element, h("ol.triggers", null, deliveries.map(entry)));
  });
  return { element, end: off };
}

/** @type {Record<string, () => string>} */
const KINDS = { alert: () => t("Alert"), digest: () => t("Digest"), notice: () => t("Notice"), test: () => t("Test") };

/** @param {Delivery} one */
function entry(one) {
  const mark = deliveryMark(one.status);
  return h("li.trigger", null,
    h("div.trigger-line", null,
      h("span.pill", null, wayIcon(one.channel), wayLabel(one.channel)), h("span.tag", null, KINDS[one.kind]?.() ?? one.kind),
      h("time.mono", { datetime: one.created_at }, moment(one.created_at)),
      h("span.grow.muted", null, [reasonLabel(one.reason), one.due_at && one.status === "queued" ? t("goes out at {time}", { time: moment(one.due_at) }) : "", one.cost ? t("{count} parts", { count: one.cost }) : ""].filter(Boolean).join(" · ")),
      h("span.pill", { class: mark.kind }, h("i.dot"), mark.label())),
    path(one));
}

/** The way that a delivery took, step by step. @param {Delivery} one */
function path(one) {
  /** @type {{ time: string, label: string, kind: string }[]} */
  const steps = [{ time: one.created_at, label: t("Queued"), kind: "" }];
  for (const attempt of one.attempts) steps.push({ time: attempt.finished_at ?? attempt.started_at, label: attempted(attempt), kind: FAILED.has(attempt.state) ? "bad" : "" });
  for (const heard of one.heard ?? []) if (heard.status !== one.status) steps.push({ time: heard.time, label: deliveryMark(heard.status).label(), kind: "" });
  const mark = deliveryMark(one.status);
  if (one.status !== "queued") steps.push({ time: one.finished_at ?? one.sent_at ?? one.heard?.at(-1)?.time ?? one.created_at, label: mark.label(), kind: mark.kind });
  const seen = new Set();
  const kept = steps.filter(({ label }) => !seen.has(label) && seen.add(label)).sort((a, b) => new Date(a.time).getTime() - new Date(b.time).getTime());
  return h("ol.path", { "aria-label": t("Its way") }, kept.map(({ time, label, kind }) => h("li", { class: kind }, h("i.dot"), h("span", null, label), h("time.mono.muted", { datetime: time }, clock(time)))));
}

/** What an attempt ended with, where it didn't get on. */
const FAILED = new Set(["refused", "unreached", "unavailable", "unknown"]);

/** @param {any} attempt */
const attempted = ({ number, provider, state, reason }) => t("Attempt {number} by {provider}", { number, provider }) + (FAILED.has(state) && reason ? `: ${reasonLabel(reason)}` : "");
