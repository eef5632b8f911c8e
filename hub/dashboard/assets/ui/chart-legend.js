// What stands over a chart: the figures of the candle under the pointer, or of the newest, and the indicators' values there.

import { fill, h, write } from "../core/dom.js";
import { direction, percent, price, short } from "../core/format.js";
import { t } from "../core/i18n.js";
import { styleOf, title } from "./chart-indicators.js";

/** The colours of indicators, in their order. */
export const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];

/** A number of any size, short enough for a legend. @param {number | null | undefined} value */
function figure(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 1e6 ? short(value) : price(Number(value.toFixed(size >= 10 ? 2 : 4)));
}

export class Legend {
  #bar = h("div.chart-bar");
  #lines = h("div.chart-lines");
  #shape = "";
  /** Where each figure stands. @type {Map<string, HTMLElement>} */
  #values = new Map();
  element = h("div.chart-legend", { "aria-hidden": "true" }, this.#bar, this.#lines);

  /** @param {import("./chart-candles.js").Candles} candles @param {number | null} index null: the newest */
  show(candles, index) {
    this.#arrange(candles);
    const at = index ?? candles.bars.length - 1;
    const one = candles.bars[at];
    const before = candles.bars[at - 1]?.close ?? one?.open;
    for (const name of /** @type {const} */ (["open", "high", "low", "close"])) this.#say(name, one ? price(one[name]) : "–");
    this.#say("change", one && before ? percent((100 * (one.close - before)) / before) : "");
    this.#say("volume", one?.gap ? t("{volume}, incomplete", { volume: short(one.volume) }) : short(one?.volume));
    /** @type {HTMLElement} */ (this.#values.get("change")).className = direction(one ? one.close - before : null);
    for (const [name, parts] of candles.lines) for (const [line, all] of parts) this.#say(`${name}.${line}`, figure(all[at]));
  }

  /** Makes the rows anew where there are other indicators. @param {import("./chart-candles.js").Candles} candles */
  #arrange(candles) {
    const wanted = [...candles.lines].map(([name, parts]) => `${name}:${[...parts.keys()]}`).join(" ");
    if (wanted === this.#shape && this.#values.size) return;
    this.#shape = wanted;
    this.#values = new Map(["open", "high", "low", "close", "change", "volume"].map((name) => [name, h("b")]));
    const pair = (/** @type {string} */ label, /** @type {string} */ name) => h("span", null, h("i", null, label), this.#values.get(name));
    fill(this.#bar, pair(t("O"), "open"), pair(t("H"), "high"), pair(t("L"), "low"), pair(t("C"), "close"), this.#values.get("change"), pair(t("Vol"), "volume"));
    fill(this.#lines, [...candles.lines].map(([name, parts], index) => this.#row(name, [...parts.keys()], SERIES[index % SERIES.length])));
  }

  /** @param {string} name @param {string[]} lines @param {string} tone */
  #row(name, lines, tone) {
    const swatch = h("i.swatch");
    swatch.style.background = `var(${tone})`;
    const figures = lines.filter((line) => styleOf(name, line) !== "none").map((line) => [`${name}.${line}`, h("b")]);
    for (const [key, element] of figures) this.#values.set(/** @type {string} */ (key), /** @type {HTMLElement} */ (element));
    return h("span", null, swatch, title(name), figures.map(([, element]) => element));
  }

  /** @param {string} name @param {string} text */
  #say(name, text) {
    const place = this.#values.get(name);
    if (place) write(place, text);
  }
}
