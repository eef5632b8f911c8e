// The common forms of a condition: what one fills in, the text that comes of it, and the way back from a tree.
//
// Where no form fits a condition, it stays a text: nothing of it is lost, and nothing guessed.

import { boot } from "../../core/boot.js";
import { t } from "../../core/i18n.js";
import { timeframeOptions } from "./labels.js";

/** @typedef {Record<string, string>} Values  What the fields of a form hold, as texts. */
/** @typedef {any} Tree  A condition as the API has it; see docs/alerts.md. */

/**
 * @typedef {object} FormField
 * @property {string} name
 * @property {() => string} label
 * @property {() => [string, string][]} [options]  A choice; without it, a number.
 * @property {(values: Values) => string} [unit]
 * @property {(values: Values) => boolean} [shown]
 * @property {boolean} [level]  A price that can be set on the chart.
 */

/**
 * @typedef {object} Form
 * @property {string} id
 * @property {() => string} label
 * @property {FormField[]} fields
 * @property {(price: number | null) => Values} first  What it begins with.
 * @property {(values: Values) => string} write  The condition's text.
 * @property {(tree: Tree) => Values | null} read  Null where the tree says something else.
 */

/** Whether a text is a number. @param {string | undefined} text */
export const isNumber = (text) => /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text ?? "");

const number = (/** @type {any} */ node) => (node?.is === "number" ? plain(node.value) : null);
const plain = (/** @type {number} */ value) => String(Number(value.toFixed(4)));
const own = (/** @type {any} */ node) => node && !node.exchange && !node.symbol;
const isField = (/** @type {any} */ node, /** @type {string} */ name) => own(node) && node.is === "field" && node.name === name && !node.timeframe;
const near = (/** @type {number | null} */ price, /** @type {number} */ factor) => (price === null ? "" : rounded(price * factor));
const timeframe = () => timeframeOptions();
const isPrice = (/** @type {Values} */ { figure }) => figure === "price" || figure === "bid" || figure === "ask";

/** A level that people would choose: of three or four figures. @param {number} value */
function rounded(value) {
  const step = value >= 10_000 ? 50 : value >= 1000 ? 5 : value >= 100 ? 0.5 : 0.05;
  return plain(Math.round(value / step) * step);
}

const FIGURES = () => /** @type {[string, string][]} */ ([
  ["price", t("Price")], ["change_percent", t("Change of the day")], ["volume", t("Volume of the day")], ["open_interest", t("Open interest")], ["bid", t("Best bid")], ["ask", t("Best ask")],
]);

/** @type {Record<string, string>} */
const RELATIONS = { above: "crosses above", below: "crosses below", any: "crosses", over: ">", under: "<" };
const OVER = { ">": "over", "<": "under" };

/** @type {Form} */
const level = {
  id: "level",
  label: () => t("Level"),
  fields: [
    { name: "figure", label: () => t("What"), options: FIGURES },
    { name: "relation", label: () => t("Does what"), options: () => [["above", t("crosses above")], ["below", t("crosses below")], ["any", t("crosses, either way")], ["over", t("is above")], ["under", t("is below")]] },
    { name: "level", label: () => t("Level"), level: true, unit: (values) => (isPrice(values) ? "₹" : values.figure === "change_percent" ? "%" : "") },
  ],
  first: (price) => ({ figure: "price", relation: "above", level: near(price, boot.simulated ? 1.0005 : 1.005) }), // a demonstration shows it fire
  write: ({ figure, relation, level: at }) => `${figure} ${RELATIONS[relation]} ${at}`,
  read(tree) {
    const figure = FIGURES().find(([name]) => isField(tree.left, name))?.[0];
    const at = number(tree.right);
    if (!figure || at === null) return null;
    if (tree.is === "cross") return { figure, relation: tree.direction ?? "any", level: at };
    const relation = tree.is === "compare" ? OVER[/** @type {keyof typeof OVER} */ (tree.op)] : undefined;
    return relation ? { figure, relation, level: at } : null;
  },
};

const WINDOWS = ["30s", "1m", "2m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h"];
const seconds = (/** @type {string} */ text) => Number.parseInt(text, 10) * { s: 1, m: 60, h: 3600 }[/** @type {"s" | "m" | "h"} */ (text.slice(-1))];

/** @returns {[string, string][]} */
const windowOptions = () => WINDOWS.map((one) => {
  const count = Number.parseInt(one, 10);
  if (one.endsWith("s")) return [one, t("{count} seconds", { count })];
  if (one.endsWith("m")) return [one, count === 1 ? t("{count} minute", { count }) : t("{count} minutes", { count })];
  return [one, count === 1 ? t("{count} hour", { count }) : t("{count} hours", { count })];
});

/** @type {Form} */
const move = {
  id: "move",
  label: () => t("Move"),
  fields: [
    { name: "direction", label: () => t("The price"), options: () => [["any", t("moves, either way")], ["up", t("rises")], ["down", t("falls")]] },
    { name: "amount", label: () => t("By"), },
    { name: "unit", label: () => t("Unit"), options: () => [["%", t("percent")], ["", t("rupees")]] },
    { name: "window", label: () => t("Within"), options: windowOptions },
  ],
  first: () => ({ direction: "any", amount: "1", unit: "%", window: "5m" }),
  write: ({ direction, amount, unit, window: within }) => `price moves ${direction === "any" ? "" : `${direction} `}${amount}${unit} in ${within}`,
  read(tree) {
    if (tree.is !== "move" || !isField(tree.value, "price")) return null;
    const within = WINDOWS.find((one) => seconds(one) === tree.within_s);
    return within ? { direction: tree.direction ?? "any", amount: plain(tree.amount), unit: tree.percent ? "%" : "", window: within } : null;
  },
};

/** @type {Form} */
const range = {
  id: "range",
  label: () => t("Range"),
  fields: [
    { name: "relation", label: () => t("The price"), options: () => [["enters", t("enters the range")], ["exits", t("leaves the range")], ["inside", t("is inside the range")], ["outside", t("is outside the range")]] },
    { name: "low", label: () => t("From"), level: true, unit: () => "₹" },
    { name: "high", label: () => t("To"), level: true, unit: () => "₹" },
  ],
  first: (price) => ({ relation: "exits", low: near(price, 0.995), high: near(price, 1.005) }),
  write: ({ relation, low, high }) => `price ${relation} ${low}..${high}`,
  read(tree) {
    const [low, high] = [number(tree.low), number(tree.high)];
    return tree.is === "channel" && isField(tree.value, "price") && low !== null && high !== null ? { relation: tree.relation, low, high } : null;
  },
};

/** @type {Form} */
const extreme = {
  id: "extreme",
  label: () => t("New high or low"),
  fields: [
    { name: "which", label: () => t("A new"), options: () => [["high", t("high")], ["low", t("low")]] },
    { name: "of", label: () => t("Of"), options: () => [["day", t("the day")], ["52w", t("52 weeks")]] },
  ],
  first: () => ({ which: "high", of: "day" }),
  write: ({ which, of }) => `new ${of} ${which}`,
  read: (tree) => (tree.is === "extreme" && own(tree) ? { which: tree.which, of: tree.of === "year" ? "52w" : "day" } : null),
};

/** @type {Form} */
const step = {
  id: "step",
  label: () => t("Each step"),
  fields: [
    { name: "amount", label: () => t("Each time the price has moved by another") },
    { name: "unit", label: () => t("Unit"), options: () => [["", t("rupees")], ["%", t("percent")]] },
  ],
  first: (price) => ({ amount: price === null ? "10" : plain(Math.max(0.05, Math.round(price / 200))), unit: "" }),
  write: ({ amount, unit }) => `price steps ${amount}${unit}`,
  read: (tree) => (tree.is === "step" && isField(tree.value, "price") ? { amount: plain(tree.amount), unit: tree.percent ? "%" : "" } : null),
};

/** @type {Form} */
const volume = {
  id: "volume",
  label: () => t("Volume"),
  fields: [
    { name: "factor", label: () => t("A candle's volume is above"), unit: () => "×" },
    { name: "length", label: () => t("its average of so many candles") },
    { name: "timeframe", label: () => t("Candles of"), options: timeframe },
  ],
  first: () => ({ factor: "2", length: "20", timeframe: "5m" }),
  write: ({ factor, length, timeframe: tf }) => `volume > ${factor} * sma(volume, ${length}) on ${tf}`,
  read(tree) {
    const { left, right } = tree;
    if (tree.is !== "compare" || tree.op !== ">" || left?.name !== "volume" || !own(left) || right?.op !== "*") return null;
    const factor = number(right.left);
    const length = /^sma\(volume,(\d+)\)$/.exec(right.right?.text ?? "")?.[1];
    return factor && length && own(right.right) && left.timeframe && left.timeframe === right.right.timeframe ? { factor, length, timeframe: left.timeframe } : null;
  },
};

/** What an indicator's form compares: the two sides of a crossing. @type {Record<string, { write: (values: Values) => [string, string], read: (left: any, right: any) => Values | null }>} */
const PAIRS = {
  rsi: {
    write: ({ length, timeframe: tf, level: at }) => [`rsi(${length}) on ${tf}`, at],
    read: (left, right) => withLength(left, "rsi", 14, { level: number(right) }),
  },
  ...Object.fromEntries(["sma", "ema"].map((name) => [`price_${name}`, {
    write: ({ length, timeframe: tf }) => ["price", `${name}(${length}) on ${tf}`],
    read: (left, right) => (isField(left, "price") ? withLength(right, name, 20, {}) : null),
  }])),
  ...Object.fromEntries(["sma", "ema"].map((name) => [`${name}_${name}`, {
    write: ({ length, slow, timeframe: tf }) => [`${name}(${length}) on ${tf}`, `${name}(${slow}) on ${tf}`],
    read: (left, right) => {
      const slow = withLength(right, name, 20, {});
      return slow && left?.timeframe === right?.timeframe ? withLength(left, name, 20, { slow: slow.length }) : null;
    },
  }])),
  macd: {
    write: ({ timeframe: tf }) => [`macd on ${tf}`, `macd.signal on ${tf}`],
    read: (left, right) => (left?.text === "macd" && right?.text === "macd" && left.line === "macd" && right.line === "signal" && left.timeframe === right.timeframe && own(left) && own(right) ? { timeframe: left.timeframe } : null),
  },
  supertrend: {
    write: ({ timeframe: tf }) => ["price", `supertrend on ${tf}`],
    read: (left, right) => (isField(left, "price") && right?.text === "supertrend" && right.line === "value" && own(right) ? { timeframe: right.timeframe } : null),
  },
  vwap: {
    write: () => ["price", "vwap"],
    read: (left, right) => (isField(left, "price") && isField(right, "average_price") ? {} : null),
  },
};

/** What an indicator of one length holds; null for another one. @param {any} node @param {string} name @param {number} usual @param {Record<string, string | null>} more @returns {Values | null} */
function withLength(node, name, usual, more) {
  const found = node?.is === "indicator" && own(node) && !node.line ? new RegExp(`^${name}(?:\\((\\d+)\\))?$`).exec(node.text) : null;
  if (!found || Object.values(more).includes(null)) return null;
  return /** @type {Values} */ ({ length: found[1] ?? String(usual), timeframe: node.timeframe, ...more });
}

const has = (/** @type {string[]} */ ...pairs) => (/** @type {Values} */ { pair }) => pairs.includes(pair);

/** @type {Form} */
const indicator = {
  id: "indicator",
  label: () => t("Indicator"),
  fields: [
    { name: "pair", label: () => t("What"), options: () => [["rsi", t("RSI, and a level")], ["price_sma", t("Price, and its average (SMA)")], ["price_ema", t("Price, and its average (EMA)")], ["sma_sma", t("Two averages (SMA)")], ["ema_ema", t("Two averages (EMA)")], ["macd", t("MACD, and its signal line")], ["supertrend", t("Price, and Supertrend")], ["vwap", t("Price, and the day's average (VWAP)")]] },
    { name: "direction", label: () => t("Crosses"), options: () => [["above", t("crosses above")], ["below", t("crosses below")], ["any", t("crosses, either way")]] },
    { name: "level", label: () => t("Level"), shown: has("rsi") },
    { name: "length", label: () => t("Candles that count"), shown: has("rsi", "price_sma", "price_ema", "sma_sma", "ema_ema") },
    { name: "slow", label: () => t("Of the slower one"), shown: has("sma_sma", "ema_ema") },
    { name: "timeframe", label: () => t("Candles of"), options: timeframe, shown: ({ pair }) => pair !== "vwap" },
  ],
  first: () => ({ pair: "rsi", direction: "below", level: "30", length: "14", slow: "50", timeframe: "15m" }),
  write(values) {
    const [left, right] = PAIRS[values.pair].write(values);
    return `${left} crosses${values.direction === "any" ? "" : ` ${values.direction}`} ${right}`;
  },
  read(tree) {
    if (tree.is !== "cross") return null;
    for (const [pair, { read }] of Object.entries(PAIRS)) {
      const found = read(tree.left, tree.right);
      if (found) return { ...this.first(null), pair, direction: tree.direction ?? "any", ...found };
    }
    return null;
  },
};

/** @type {Form[]} */
export const FORMS = [level, move, range, extreme, indicator, volume, step];

/** @param {string} id @returns {Form} */
export const formOf = (id) => FORMS.find((one) => one.id === id) ?? level;

/** The form that says just what a tree does. @param {Tree} tree @returns {{ form: Form, values: Values } | null} */
export function formFor(tree) {
  for (const form of FORMS) {
    const values = tree ? form.read(tree) : null;
    if (values) return { form, values };
  }
  return null;
}

/** The fields that hold prices of the chart. @param {Form} form @param {Values} values */
export const levelFields = (form, values) => (form.id === "level" && !isPrice(values) ? [] : form.fields.filter(({ level: is, shown }) => is && (shown?.(values) ?? true)).map(({ name }) => name));

const PRICES = new Set(["price", "open", "high", "low", "close", "average_price", "bid", "ask"]);

/** With which constants a tree compares its own instrument's price, the lowest first. @param {Tree} tree @returns {number[]} */
export function levelsOf(tree) {
  /** @type {Set<number>} */
  const found = new Set();
  const look = (/** @type {any} */ node) => {
    const sides = node.is === "compare" || node.is === "cross" ? [node.left, node.right] : node.is === "channel" ? [node.value, node.low, node.high] : [];
    if (sides.some((one) => one.is === "field" && own(one) && PRICES.has(one.name))) sides.filter((one) => one.is === "number").forEach((one) => found.add(one.value));
    [...(node.terms ?? []), node.term, node.first, node.second].filter(Boolean).forEach(look);
  };
  if (tree) look(tree);
  return [...found].sort((a, b) => a - b);
}
