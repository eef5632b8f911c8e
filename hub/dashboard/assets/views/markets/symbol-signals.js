// The signals of one symbol: as markers on its chart, and the newest with their reasons beside it.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { ago, price } from "../../core/format.js";
import { spoken, t } from "../../core/i18n.js";
import { live } from "../../core/live.js";
import { href } from "../../core/router.js";
import { loading, nothing } from "../../ui/controls.js";
import { partsOf } from "./instruments.js";

const MOST = 100;
const LISTED = 3;

/** @type {Record<string, { shape: "arrowUp" | "arrowDown" | "circle", colour: string, label: () => string, look: string }>} */
const TYPES = {
  BUY: { shape: "arrowUp", colour: "--up", label: () => t("Buy"), look: "good" },
  SELL: { shape: "arrowDown", colour: "--down", label: () => t("Sell"), look: "bad" },
  HOLD: { shape: "circle", colour: "--warn", label: () => t("Hold"), look: "warn" },
};

/** @param {any} reason  A text, or an object of texts by language. */
const wordsOf = (reason) => (typeof reason === "string" ? reason : (reason?.[spoken()] ?? reason?.en ?? ""));
const timeOf = (/** @type {any} */ one) => one.created_at ?? one.time;

/** Those that were given before, the newest first. The socket knows the last ones too, for whoever has asked too often. @param {string} place @param {AbortSignal} signal @returns {Promise<any[]>} */
async function stored(place, signal) {
  try {
    return (await get("/signals", { ...partsOf(place), limit: MOST }, signal)).items;
  } catch (/** @type {any} */ error) {
    if (error.status !== 429) throw error;
    const messages = await live.hub.history(`signals:${place}`, { limit: MOST });
    return messages.map(({ data }) => data).reverse();
  }
}

/** @param {string} place @param {{ mark: (markers: import("../../ui/chart.js").Marker[]) => void }} options */
export function makeSignals(place, { mark }) {
  const { symbol } = partsOf(place);
  const list = h("div.stack");
  const element = h("section.card.signals", null, h("header", null, h("h2.grow", null, t("Signals")), h("a", { href: href("signals") }, t("All signals"))), list);
  /** @type {any[]} */
  let signals = [];
  const asking = new AbortController();

  function show() {
    const known = signals.filter((one) => one.signal_type in TYPES);
    mark(known.map((one) => ({ ...TYPES[one.signal_type], time: timeOf(one), text: TYPES[one.signal_type].label(), id: String(one.id ?? "") })));
    if (known.length) fill(list, known.slice(0, LISTED).map(item));
    else fill(list, nothing(t("No signals yet"), t("Those of {symbol} come here and onto the chart as they are given.", { symbol })));
  }
  /** @param {any} error */
  function fail(error) {
    if (error.name === "AbortError") return;
    if (error.code === "PERMISSION_DENIED") fill(list, nothing(t("Signals come with the plan basic"), t("Live and on the chart, with every plan from basic up."), h("a.button.small", { href: href("account") }, t("See the plans"))));
    else fill(list, nothing(t("The signals could not be loaded"), error.message, h("button.small", { type: "button", onclick: () => void load() }, t("Try again"))));
  }
  const load = () => stored(place, asking.signal).then((items) => {
    const those = new Set(items.map((/** @type {any} */ one) => one.id));
    signals = [...signals.filter((one) => !those.has(one.id)), ...items];
    show();
  }, fail);
  const subscription = live.hub?.subscribe(`signals:${place}`, (data) => {
    signals = [data, ...signals.filter((one) => one.id === undefined || one.id !== data.id)].slice(0, MOST);
    show();
  });
  subscription?.on("subscribed", () => void load());
  subscription?.on("failed", fail);
  fill(list, loading());
  return {
    element,
    end() {
      asking.abort();
      subscription?.unsubscribe();
    },
  };
}

/** @param {any} one */
function item(one) {
  const { label, look } = TYPES[one.signal_type];
  const figures = /** @type {[string, any][]} */ ([[t("Entry"), one.entry_price], [t("Target"), one.target_price], [t("Stop"), one.stop_loss]]).filter(([, value]) => value);
  return h("article.signal", null,
    h("div.row", null, h("span.pill", { class: look }, label()), h("b", null, t("{percent}% confidence", { percent: Math.round(one.confidence) })), h("span.grow"), timeOf(one) ? h("small.muted", null, ago(timeOf(one))) : null),
    figures.length ? h("p.small-text", null, figures.map(([name, value]) => h("span", null, h("span.muted", null, `${name} `), price(value), " "))) : null,
    wordsOf(one.reason) ? h("p.small-text.muted", null, wordsOf(one.reason)) : null);
}
