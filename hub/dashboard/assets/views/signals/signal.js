// One signal: what it says, how sure it is, why, and where the price stands between its stop and its target.

import { h, oncePerFrame } from "../../core/dom.js";
import { ago, moment, percent, price } from "../../core/format.js";
import { spoken, t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { href } from "../../core/router.js";
import { session } from "../../core/session.js";

/** @typedef {import("./signals.js").Signal} Signal */

/** @type {Record<string, { label: () => string, icon: import("../../core/icons.js").IconName, kind: string }>} */
const TYPES = {
  BUY: { label: () => t("Buy"), icon: "up", kind: "good" },
  SELL: { label: () => t("Sell"), icon: "down", kind: "bad" },
  HOLD: { label: () => t("Hold"), icon: "pause", kind: "warn" },
};

/** @type {Record<string, () => string>} */
const OUTCOMES = { target: () => t("Target reached"), stop: () => t("Stopped out"), manual: () => t("Closed by hand"), reversal: () => t("Reversed") };
/** @type {Record<string, () => string>} */
const SOURCES = { rules: () => t("by rules"), ml: () => t("by rules and a prediction"), api: () => t("by a publisher") };

/** @param {any} reason  A text, or texts by language. @returns {string} */
const wordsOf = (reason) => (typeof reason === "string" ? reason : reason?.[spoken()] ?? reason?.en ?? "");

/** Whether the price is where the signal ends. @param {Signal} signal @param {number} now */
function isOver({ entry_price: entry, target_price: target, stop_loss: stop }, now) {
  const ends = (/** @type {number | null} */ at) => Boolean(at) && (Number(at) > entry ? now >= Number(at) : now <= Number(at));
  return ends(target) || ends(stop);
}

/** @param {Signal} signal @param {{ prices: import("../alerts/prices.js").Prices, fresh: boolean, close: () => void, over: () => void }} parts `over` is called while the price is where the signal ends. */
export function makeSignal(signal, { prices, fresh, close, over }) {
  const { label, icon: picture, kind } = TYPES[signal.signal_type] ?? TYPES.HOLD;
  const place = `${signal.exchange}:${signal.symbol}`;
  const open = (signal.status ?? "ACTIVE") === "ACTIVE";
  const ladder = makeLadder(signal);
  const off = open && ladder ? prices.on(place, ({ price: now }) => { ladder.put(now); if (isOver(signal, now)) over(); }) : () => {};
  const address = `${href("markets", place)}${signal.timeframe ? `?tf=${signal.timeframe}` : ""}`;
  const mayClose = open && signal.id !== undefined && ["publisher", "admin"].includes(session.current.value.role);
  const element = h("li.one-signal", { class: fresh ? "fired-now" : "" },
    h("div.says", null, h("span.pill", { class: kind }, icon(picture), label()), confidence(signal.confidence)),
    h("div.about", null,
      h("p.row", null, h("a.of-symbol", { href: address }, signal.symbol), h("span.tag", null, signal.exchange), signal.timeframe ? h("span.tag", null, signal.timeframe) : null, statusPill(signal, open), h("time.muted.small-text", { datetime: signal.created_at, title: moment(signal.created_at) }, ago(signal.created_at))),
      h("p.reason", null, wordsOf(signal.reason) || t("No reason was given.")),
      signal.source ? h("p.muted.small-text", null, t("Given {how}", { how: SOURCES[signal.source]?.() ?? signal.source })) : null),
    h("div.prices", null, ladder?.element ?? null, mayClose ? h("button.small", { type: "button", onclick: close }, t("Close the signal")) : null));
  return { element, end: off };
}

/** @param {number} value */
const confidence = (value) => h("div.confidence", null, h("span", null, h("strong", null, `${Math.round(value)}%`), h("span.unseen", null, ` ${t("confidence")}`)), h("meter", { min: 0, max: 100, value, "aria-hidden": "true" }));

/** @param {Signal} signal @param {boolean} open */
function statusPill(signal, open) {
  if (open) return null;
  const text = signal.status === "EXPIRED" ? t("Run out") : OUTCOMES[signal.outcome]?.() ?? t("Closed");
  const move = signal.entry_price && signal.close_price ? ((signal.close_price - signal.entry_price) / signal.entry_price) * 100 * (signal.signal_type === "SELL" ? -1 : 1) : null;
  return h("span.pill", { class: signal.outcome === "target" ? "good" : signal.outcome === "stop" ? "bad" : "" }, move === null ? text : `${text} ${percent(move)}`);
}

/** The way from stop to target, with the price on it; null where a signal names no prices. @param {Signal} signal */
function makeLadder({ entry_price: entry, target_price: target, stop_loss: stop, close_price: closed }) {
  if (!entry) return null;
  const figures = h("dl", null, ...[[t("Stop"), stop], [t("Entry"), entry], [t("Target"), target]].map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, price(/** @type {number | null} */ (value))))));
  if (!target || !stop) return { element: h("div.ladder", null, figures), put() {} };
  const at = (/** @type {number} */ value) => `${Math.min(100, Math.max(0, ((value - stop) / (target - stop)) * 100))}%`;
  const now = h("i.now", { hidden: true });
  const from = h("i.from");
  from.style.insetInlineStart = at(entry);
  let newest = closed ?? 0;
  const put = oncePerFrame(() => { now.hidden = !newest; now.style.insetInlineStart = at(newest); now.title = price(newest); });
  if (closed) put();
  return { element: h("div.ladder", null, h("div.way-to-go", { "aria-hidden": "true" }, from, now), figures), put(/** @type {number} */ value) { newest = value; put(); } };
}
