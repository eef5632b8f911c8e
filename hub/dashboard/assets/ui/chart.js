// A chart of one symbol: candles, volume, indicators, levels and markers, live.
//
//     const chart = makeChart(container, { label: t("Chart") });
//     chart.setSymbol("NSE:RELIANCE", "5m");
//     chart.setIndicators(["sma(20)", "rsi"]);               // as the API names them; any of its 95, at most 10
//     chart.setLevels([{ price: 2500, label: "2,500", colour: "--warn" }]);
//     chart.setMarkers([{ time: "2026-11-23T10:15:00+05:30", text: "BUY", shape: "arrowUp", colour: "--up", id: "7" }]);
//     const off = chart.on("click", ({ price, time }) => …);  // what `on` returns ends it
//     chart.end();
//
// The container gives it its size and must have a height. Colours are names of the style sheet's variables, so that they
// follow the theme. `setSymbol`, `setIndicators`, `setLevels` and `setMarkers` may be called at any time, before anything
// is loaded too; levels and markers stay until they are set again, also over another symbol.
//
// Events:
//     loaded   { place, tf, count }        the stored candles are there; again after each reconnect
//     failed   { error }                   they can't be had; the chart says so itself, and offers to try again
//     delay    { seconds }                 how late the plan has it, 0: real time
//     click    { price, time }             a click or tap: the price at that height, and the candle's time (Unix ms) or null
//     marker   { id }                      a marker was clicked or tapped
//     bar      { bar }                     the newest candle changed

import { fill, h, oncePerFrame } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { icon } from "../core/icons.js";
import { shade } from "../core/theme.js";
import { Candles } from "./chart-candles.js";
import { Drawing } from "./chart-drawing.js";
import { MOST } from "./chart-indicators.js";
import { makeLegend } from "./chart-legend.js";
import { chartLibrary } from "./chart-library.js";
import { loading, nothing } from "./controls.js";

/**
 * @typedef {object} Level
 * @property {number} price
 * @property {string} [label]  Beside the price, at the axis.
 * @property {string} [colour]  Such as `--warn`.
 *
 * @typedef {object} Marker
 * @property {string | number | Date} time  Within the candle that it stands at; one before the first candle is left out.
 * @property {string} [text]
 * @property {"arrowUp" | "arrowDown" | "circle" | "square"} [shape]
 * @property {"above" | "below" | "on"} [position]  Arrows up are below, all others above, where nothing is said.
 * @property {string} [colour]
 * @property {string} [id]
 *
 * @typedef {object} ChartOptions
 * @property {string} [label]  What it is, for screen readers.
 * @property {boolean} [live]  Whether it goes on by itself; true where nothing is said.
 * @property {boolean} [volume]  Likewise.
 * @property {boolean} [legend]  Likewise.
 * @property {number} [reach]  How far from the prices a level may be that is always shown, as a part of them.
 * @property {number} [spacing]  Pixels from candle to candle, to begin with.
 *
 * @typedef {ReturnType<typeof makeChart>} Chart
 */

/** @param {HTMLElement} container @param {ChartOptions} [options] */
export function makeChart(container, { label = t("Chart"), live = true, volume = true, legend = true, spacing = 8, reach = 0 } = {}) {
  /** @type {Map<string, Set<(event: any) => void>>} */
  const listeners = new Map();
  const tell = (/** @type {string} */ name, /** @type {any} */ event) => listeners.get(name)?.forEach((one) => one(event));
  const wanted = { place: "", tf: "5m", indicators: /** @type {string[]} */ ([]), levels: /** @type {Level[]} */ ([]), markers: /** @type {Marker[]} */ ([]) };
  /** @type {Drawing | null} */
  let drawing = null;
  let ended = false;

  const canvas = h("div.chart-canvas", { tabindex: "0", role: "application", "aria-label": label, onkeydown: (/** @type {KeyboardEvent} */ event) => drawing?.key(event) });
  const legendPart = makeLegend();
  const state = h("div.chart-state", { hidden: true });
  const now = h("button.small.chart-now", { type: "button", hidden: true, title: t("Go to now"), "aria-label": t("Go to now"), onclick: () => drawing?.goToNow() }, icon("chevron"));
  const credit = h("a.chart-credit", { href: "https://www.tradingview.com/", target: "_blank", rel: "noopener noreferrer" }, t("Charts by TradingView"));
  container.classList.add("chart");
  fill(container, canvas, legend ? legendPart.element : null, state, now, credit);

  /** @type {Set<number>} */
  const stale = new Set();
  const drawBars = oncePerFrame(() => {
    if (!drawing) return;
    for (const index of [...stale].sort((a, b) => a - b)) drawing.bar(index);
    stale.clear();
    describe();
  });
  const describe = (/** @type {number | null} */ index = null) => legendPart.show(candles, index);

  const candles = new Candles({
    live,
    delayed: (seconds) => tell("delay", { seconds: seconds ?? 0 }),
    changed(change) {
      if (change.kind === "bar") {
        stale.add(change.index);
        drawBars();
        tell("bar", { bar: candles.bars[change.index] });
        return;
      }
      stale.clear();
      if (change.kind !== "status") drawing?.all(change.kind === "older" ? change.count : 0);
      showState();
      describe();
      if (change.kind === "all" && candles.status === "ready") tell("loaded", { place: candles.place, tf: candles.tf, count: candles.bars.length });
      if (candles.status === "failed") tell("failed", { error: candles.error });
    },
  });

  function showState() {
    const { status, error, bars } = candles;
    state.hidden = status === "empty" || (status === "ready" && bars.length > 0) || (status === "failed" && bars.length > 0);
    if (status === "loading") fill(state, loading());
    else if (status === "failed") fill(state, nothing(t("The chart could not be loaded"), error?.message, h("button", { type: "button", onclick: () => void candles.load() }, t("Try again"))));
    else if (status === "ready") fill(state, nothing(t("No candles yet"), t("They begin with the next price.")));
  }

  chartLibrary().then((library) => {
    if (ended) return;
    drawing = new Drawing(library, canvas, candles, {
      volume,
      spacing,
      reach,
      older: () => void candles.older(),
      hover: (index) => describe(index),
      away: (isAway) => { now.hidden = !isAway; },
      click: (event) => tell("click", event),
      marker: (id) => tell("marker", { id }),
    });
    drawing.all(0);
    drawing.levels(wanted.levels);
    drawing.markers(wanted.markers);
  }, () => {
    state.hidden = false;
    fill(state, nothing(t("The chart could not be loaded"), t("Check the connection, and load the page again.")));
  });
  const endShade = shade.on(() => drawing?.paint());

  return {
    /** @param {string} place `NSE:RELIANCE` @param {string} tf 1m 3m 5m 15m 30m 1h 1d */
    setSymbol(place, tf) {
      if (place === wanted.place && tf === wanted.tf) return;
      Object.assign(wanted, { place, tf });
      drawing?.home();
      candles.choose(place, tf, wanted.indicators);
    },
    /** @param {string[]} names */
    setIndicators(names) {
      if (names.join(" ") === wanted.indicators.join(" ")) return;
      wanted.indicators = names.slice(0, MOST);
      if (wanted.place) candles.choose(wanted.place, wanted.tf, wanted.indicators);
    },
    /** @param {Level[]} levels */
    setLevels(levels) {
      wanted.levels = levels;
      drawing?.levels(levels);
    },
    /** @param {Marker[]} markers */
    setMarkers(markers) {
      wanted.markers = markers;
      drawing?.markers(markers);
    },
    /** Decimals of its prices, as the instrument's tick has them. @param {number} tick */
    setTick(tick) {
      candles.tick = tick;
      drawing?.tick(tick);
    },
    /** A trade, for the candle that forms. @param {number} price @param {number} at Unix milliseconds */
    trade: (price, at) => candles.trade(price, at),
    goToNow: () => drawing?.goToNow(),
    /** How far below the top of its container a price is drawn; null where it isn't. @param {number} price @returns {number | null} */
    heightOf: (price) => drawing?.heightOf(price) ?? null,
    /** The price at a height. @param {number} height @returns {number | null} */
    priceAt: (height) => drawing?.priceAt(height) ?? null,
    /** The candles that are loaded, oldest first. */
    bars: () => candles.bars,
    /** @param {"loaded" | "failed" | "delay" | "click" | "marker" | "bar"} name @param {(event: any) => void} listener @returns {() => void} */
    on(name, listener) {
      const those = listeners.get(name) ?? new Set();
      listeners.set(name, those.add(listener));
      return () => those.delete(listener);
    },
    end() {
      ended = true;
      endShade();
      candles.end();
      drawing?.end();
      drawing = null; // what was to be drawn in the next frame is not
      fill(container);
    },
  };
}
