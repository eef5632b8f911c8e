// What the API calls things, in the words that people read.

import { h } from "../../core/dom.js";
import { icon } from "../../core/icons.js";
import { t } from "../../core/i18n.js";

/** @typedef {"websocket" | "email" | "sms" | "voice" | "push" | "webhook"} Way  A channel to a person. */

/** Every channel in the order in which it is shown. @type {Way[]} */
export const WAYS = ["websocket", "email", "sms", "voice", "push", "webhook"];

/** @type {Record<Way, { label: () => string, icon: import("../../core/icons.js").IconName }>} */
const WAY = {
  websocket: { label: () => t("On screen"), icon: "screen" },
  email: { label: () => t("Mail"), icon: "mail" },
  sms: { label: () => t("SMS"), icon: "message" },
  voice: { label: () => t("Call"), icon: "call" },
  push: { label: () => t("Push"), icon: "alert" },
  webhook: { label: () => t("Webhook"), icon: "webhook" },
};

/** @param {string} way */
export const wayLabel = (way) => WAY[/** @type {Way} */ (way)]?.label() ?? way;

/** @param {string} way */
export const wayIcon = (way) => icon(WAY[/** @type {Way} */ (way)]?.icon ?? "info");

/** All that an alert is told by: on screen it always is. @param {{ channels: string[] }} alert @returns {string[]} */
export const toldBy = ({ channels }) => [...new Set(["websocket", ...channels])];

/** Channels as pictures, each with its name for whoever can't see them. @param {string[]} ways */
export function wayIcons(ways) {
  return h("span.ways", null, ways.map((way) => h("span.way", { title: wayLabel(way) }, wayIcon(way), h("span.unseen", null, wayLabel(way)))));
}

/** @typedef {{ label: () => string, kind: "good" | "warn" | "bad" | "" }} Mark */

/** @type {Record<string, Mark>} */
const STATUS = {
  active: { label: () => t("Active"), kind: "good" },
  paused: { label: () => t("Paused"), kind: "warn" },
  fired: { label: () => t("Fired, and over"), kind: "" },
  expired: { label: () => t("Expired"), kind: "" },
  disabled: { label: () => t("Switched off"), kind: "bad" },
};

/** @returns {[string, string][]} */
export const statusOptions = () => Object.entries(STATUS).map(([name, { label }]) => [name, label()]);

/** @param {string} status */
export function statusPill(status) {
  const { label, kind } = STATUS[status] ?? { label: () => status, kind: "" };
  return h("span.pill", { class: kind, dataset: { status } }, h("i.dot"), label());
}

/** Why an alert isn't active, where the server said so. @param {{ status: string, status_reason: string | null }} alert */
export function statusReason({ status, status_reason: reason }) {
  if (reason === "instrument_ended") return t("The instrument has ended");
  if (reason === "corporate_action") return t("A corporate action changed what its level means; set a new one");
  if (reason === "misfit") return t("This version can't run its condition; write it anew");
  if (status === "fired") return t("Resume it to begin anew");
  return reason ?? "";
}

/** @type {Record<string, () => string>} */
const FREQUENCY = {
  once: () => t("Once"),
  every: () => t("Every time"),
  once_per_minute: () => t("Once a minute at most"),
  once_per_bar: () => t("Once a candle at most"),
  once_per_bar_close: () => t("When a candle closes"),
};

/** @param {string} frequency */
export const frequencyLabel = (frequency) => FREQUENCY[frequency]?.() ?? frequency;

/** @type {Record<string, Mark>} */
const DELIVERY = {
  queued: { label: () => t("Waits"), kind: "warn" },
  calling: { label: () => t("Being sent"), kind: "warn" },
  unknown: { label: () => t("In doubt"), kind: "warn" },
  accepted: { label: () => t("Taken by the provider"), kind: "" },
  sent: { label: () => t("Sent"), kind: "good" },
  delivered: { label: () => t("Delivered"), kind: "good" },
  read: { label: () => t("Read"), kind: "good" },
  skipped: { label: () => t("Skipped"), kind: "" },
  cancelled: { label: () => t("Cancelled"), kind: "" },
  dead: { label: () => t("Failed"), kind: "bad" },
};

/** @param {string} status @returns {Mark} */
export const deliveryMark = (status) => DELIVERY[status] ?? { label: () => status, kind: "" };

/** @type {Record<string, () => string>} */
const REASON = {
  "quiet hours": () => t("quiet hours"),
  "provider unavailable": () => t("the provider is away; it is tried again"),
  "switched off": () => t("switched off in your preferences"),
  unsubscribed: () => t("unsubscribed"),
  "no verified address": () => t("no verified address"),
  suppressed: () => t("the address takes no messages"),
  "in digest": () => t("told in a digest"),
  "sms budget": () => t("this month's SMS are used up"),
  "no endpoint": () => t("nowhere to send it to: no browser or server is set up"),
  acknowledged: () => t("you have seen it"),
  read: () => t("read on another channel"),
  deleted: () => t("the alert was deleted"),
  expired: () => t("it came too late"),
  "no report": () => t("the provider said nothing more of it"),
  cooldown: () => t("within its cooldown"),
  frequency: () => t("more often than it may fire"),
  max_per_day: () => t("as often as it may fire in a day"),
  storm: () => t("it fires too often: told in digests"),
};

/** Why something was not sent, or not said. @param {string | null | undefined} reason */
export const reasonLabel = (reason) => (reason ? REASON[reason]?.() ?? reason : "");

/** @type {Record<string, () => string>} */
const VIA = {
  tick: () => t("by a price"),
  session_extreme: () => t("by the day's high or low"),
  bar: () => t("by a candle that closed"),
  clock: () => t("by the clock"),
};

/** @param {string} via */
export const viaLabel = (via) => VIA[via]?.() ?? via;

/** @type {Record<string, () => string>} */
const SESSION = {
  pre_open: () => t("Before the open"),
  continuous: () => t("While the market trades"),
  closing_auction: () => t("Closing auction"),
  post_close: () => t("After the close"),
  halted: () => t("While trading is halted"),
  closed: () => t("While the market is closed"),
};

/** @returns {[string, string][]} */
export const sessionOptions = () => Object.entries(SESSION).map(([name, label]) => [name, label()]);

/** @returns {[string, string][]} */
export const timeframeOptions = () => [
  ["1m", t("{count} minute", { count: 1 })], ["3m", t("{count} minutes", { count: 3 })], ["5m", t("{count} minutes", { count: 5 })],
  ["15m", t("{count} minutes", { count: 15 })], ["30m", t("{count} minutes", { count: 30 })], ["1h", t("{count} hour", { count: 1 })], ["1d", t("{count} day", { count: 1 })],
];

/** A duration of the API, such as `90s` or `5m`, in words; others as they are. @param {string} text */
export function durationLabel(text) {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!found) return text;
  const count = Number(found[1]);
  switch (found[2]) {
    case "s": return t("{count} seconds", { count });
    case "m": return count === 1 ? t("{count} minute", { count }) : t("{count} minutes", { count });
    case "h": return count === 1 ? t("{count} hour", { count }) : t("{count} hours", { count });
    case "d": return count === 1 ? t("{count} day", { count }) : t("{count} days", { count });
    default: return text;
  }
}
