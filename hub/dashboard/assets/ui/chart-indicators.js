// What the chart knows of indicators: how their names are written, where they are drawn, and a short list to choose from.
// The server knows 95; each can be had by its name.

import { t } from "../core/i18n.js";

/** @typedef {{ name: string, parameters: { name: string, value: number }[] }} Entry  A row of the short list. */

/** @type {[string, () => string, Record<string, number>][]} */
const ROWS = [
  ["sma", () => t("Simple moving average"), { period: 20 }],
  ["ema", () => t("Exponential moving average"), { period: 20 }],
  ["vwap", () => t("Volume weighted average price"), {}],
  ["bbands", () => t("Bollinger bands"), { period: 20, deviations: 2 }],
  ["supertrend", () => t("Supertrend"), { period: 10, multiplier: 3 }],
  ["keltner", () => t("Keltner channels"), { period: 20, atr_period: 10, deviations: 2 }],
  ["donchian", () => t("Donchian channels"), { period: 20 }],
  ["sar", () => t("Parabolic stop and reverse"), { step: 0.02, most: 0.2 }],
  ["rsi", () => t("Relative strength index"), { period: 14 }],
  ["macd", () => t("MACD"), { fast: 12, slow: 26, signal: 9 }],
  ["stoch", () => t("Stochastic"), { k: 14, k_smoothing: 3, d: 3 }],
  ["adx", () => t("Average directional index"), { period: 14 }],
  ["atr", () => t("Average true range"), { period: 14 }],
  ["cci", () => t("Commodity channel index"), { period: 20 }],
  ["mfi", () => t("Money flow index"), { period: 14 }],
  ["obv", () => t("On-balance volume"), {}],
];

/** The short list: name, what it is called, and its parameters with their defaults. */
export const shortList = () => ROWS.map(([name, label, parameters]) => ({ name, label: label(), parameters }));

/** The most that a chart shows, as the server has it. */
export const MOST = 10;

/** Those that lie over the price; all others have a pane of their own. */
const OVER_PRICE = new Set(
  ("sma ema wma dema tema trima kama hma vwma zlema rma t3 mama bbands keltner donchian accbands supertrend sar vwap midpoint midprice" +
    " highest lowest ht_trendline linearreg linearreg_intercept tsf avgprice medprice typprice wclprice heikin_ashi").split(" "),
);

/** Lines that are always drawn in an indicator's pane, where it is said to be high or low. @type {Record<string, number[]>} */
const GUIDES = {
  rsi: [30, 70], stoch: [20, 80], stochf: [20, 80], stochrsi: [20, 80], mfi: [20, 80], cci: [-100, 100], willr: [-80, -20], adx: [25],
  macd: [0], ppo: [0], apo: [0], roc: [0], mom: [0], cmf: [0], cmo: [-50, 50], ao: [0], trix: [0], tsi: [0],
};

const FIGURES = new Set(["open", "high", "low", "volume", "open_interest"]);

/** `bbands(20, 2)` → its name and what stands in brackets. @param {string} text */
export function read(text) {
  const [, name = "", inner = ""] = /^\s*([a-z0-9_]+)\s*(?:\(([^()]*)\))?\s*$/i.exec(text) ?? [];
  return { name: name.toLowerCase(), given: inner.split(",").map((one) => one.trim()).filter(Boolean) };
}

/** The text as the server takes it. @param {string} name @param {(string | number)[]} given */
export const written = (name, given) => (given.length ? `${name}(${given.join(",")})` : name);

/**
 * Under which name the socket tells of it: there all parameters are written out, or none where all are the defaults.
 *
 * @param {string} text  As it was asked for.
 * @param {string[]} told
 */
export function toldAs(text, told) {
  if (told.includes(text)) return text;
  const { name, given } = read(text);
  const others = told.filter((one) => read(one).name === name);
  return others.find((one) => given.length && given.every((value, index) => read(one).given[index] === value)) ?? others.find((one) => one === name);
}

/** Whether it lies over the price: an average of the volume does not. @param {string} text */
export function isOverlay(text) {
  const { name, given } = read(text);
  return OVER_PRICE.has(name) && !(given[0] && FIGURES.has(given[0]));
}

/** @param {string} text */
export const guides = (text) => GUIDES[read(text).name] ?? [];

/**
 * How one line of it is drawn: a line, dots, columns, or not at all.
 *
 * @param {string} text
 * @param {string} line  Empty where the indicator has just one.
 * @returns {"line" | "dots" | "columns" | "none"}
 */
export function styleOf(text, line) {
  const { name } = read(text);
  if (name === "sar") return "dots";
  if (line === "histogram" || name === "ao") return "columns";
  return name === "supertrend" && line === "trend" ? "none" : "line";
}

/** Its name as a legend has it: `SMA 20`. @param {string} text */
export function title(text) {
  const { name, given } = read(text);
  return [name.toUpperCase().replaceAll("_", " "), given.join(", ")].filter(Boolean).join(" ");
}
