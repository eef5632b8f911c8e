// The chart with its tools: the time a candle takes, and indicators; both are remembered.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { keep, kept } from "../../core/storage.js";
import { LENGTH_MS } from "../../ui/chart-candles.js";
import { makeChart } from "../../ui/chart.js";
import { IndicatorMenu } from "./indicator-menu.js";
import { instrument, partsOf } from "./instruments.js";

export const TIMEFRAMES = Object.keys(LENGTH_MS);

/** What a chart begins with: invented prices have just begun, so the shortest shows most of them. */
const FIRST = "5m";

/** The timeframe of an address, else the one that was looked at last. @param {string | null} [asked] */
export const timeframe = (asked) => (asked && TIMEFRAMES.includes(asked) ? asked : kept("tf", FIRST));

/** @param {string} place @param {{ onchoose: (tf: string) => void, ondelay: (seconds: number) => void }} options */
export function makeChartPanel(place, { onchoose, ondelay }) {
  const surface = h("div.surface");
  const chart = makeChart(surface, { label: t("Chart of {symbol}. The arrow keys move it, plus and minus change its scale.", { symbol: partsOf(place).symbol }) });
  const buttons = TIMEFRAMES.map((one) => h("button.quiet.small", { type: "button", "aria-pressed": "false", onclick: () => onchoose(one) }, one));
  const note = h("span.pill.warn", { hidden: true });
  const menu = new IndicatorMenu({ chosen: kept("indicators", ["sma(20)", "ema(50)"]), onchange: (names) => { keep("indicators", names); chart.setIndicators(names); } });
  const element = h("section.chart-panel", { "aria-label": t("Chart") },
    h("div.chart-tools", null, h("div.timeframes", { role: "group", "aria-label": t("Time that a candle takes") }, buttons), menu.element, h("span.grow"), note), surface);
  chart.on("delay", ({ seconds }) => {
    note.hidden = !seconds;
    fill(note, t("Delayed by {count} minutes", { count: Math.round(seconds / 60) }));
    ondelay(seconds);
  });
  chart.on("failed", ({ error }) => { if (error?.code === "BAD_REQUEST") menu.complain(error.message); });
  chart.on("loaded", () => menu.complain(""));
  instrument(place).then((one) => { if (one?.tick_size) chart.setTick(one.tick_size); }, () => null);
  chart.setIndicators(menu.names);
  return {
    element,
    chart,
    /** @param {string} tf */
    show(tf) {
      keep("tf", tf);
      buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(TIMEFRAMES[index] === tf)));
      chart.setSymbol(place, tf);
    },
    end: () => chart.end(),
  };
}
