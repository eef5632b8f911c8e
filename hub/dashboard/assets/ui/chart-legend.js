// What stands over a chart: the figures of the candle under the pointer, or of the newest, and the indicators' values there.

import { fill, h } from "../core/dom.js";
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

export function makeLegend() {
  const bar = h("div.chart-bar");
  const lines = h("div.chart-lines");
  let shape = "";
  /** @type {Map<string, HTMLElement>} */
  let values = new Map();

  /** @param {import("./chart-candles.js").Candles} candles  Draws the rows anew where there are others. */
  function arrange(candles) {
    const wanted = [...candles.lines.keys()].join(" ");
    if (wanted === shape && values.size) return;
    shape = wanted;
    values = new Map(["open", "high", "low", "close", "change", "volume"].map((name) => [name, h("b")]));
    const pair = (/** @type {string} */ label, /** @type {string} */ name) => h("span", null, h("i", null, label), values.get(name));
    fill(bar, pair(t("O"), "open"), pair(t("H"), "high"), pair(t("L"), "low"), pair(t("C"), "close"), values.get("change"), pair(t("Vol"), "volume"));
    fill(lines, [...candles.lines].map(([name, parts], index) => {
      const colour = SERIES[index % SERIES.length];
      const figures = [...parts.keys()].filter((line) => styleOf(name, line) !== "none").map((line) => {
        const value = h("b");
        values.set(`${name}.${line}`, value);
        return value;
      });
      const row = h("span", null, h("i.swatch"), title(name), figures);
      /** @type {HTMLElement} */ (row.firstElementChild).style.background = `var(${colour})`;
      return row;
    }));
  }

  /** @param {import("./chart-candles.js").Candles} candles @param {number | null} index null: the newest */
  function show(candles, index) {
    arrange(candles);
    const at = index ?? candles.bars.length - 1;
    const one = candles.bars[at];
    const before = candles.bars[at - 1]?.close ?? one?.open;
    const change = one ? one.close - before : null;
    for (const name of /** @type {const} */ (["open", "high", "low", "close"])) write(name, one ? price(one[name]) : "–");
    write("change", one && before ? percent((100 * (one.close - before)) / before) : "");
    write("volume", one?.gap ? t("{volume}, incomplete", { volume: short(one.volume) }) : short(one?.volume));
    /** @type {HTMLElement} */ (values.get("change")).className = direction(change);
    for (const [name, parts] of candles.lines) for (const [line, all] of parts) write(`${name}.${line}`, figure(all[at]));
  }

  /** @param {string} name @param {string} text */
  function write(name, text) {
    const place = values.get(name);
    if (place && place.textContent !== text) place.textContent = text;
  }

  return { element: h("div.chart-legend", { "aria-hidden": "true" }, bar, lines), show };
}
