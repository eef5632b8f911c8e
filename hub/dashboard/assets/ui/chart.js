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
import { Legend } from "./chart-legend.js";
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
 */

/** @param {HTMLElement} container @param {ChartOptions} [options] */
export const makeChart = (container, options = {}) => new Chart(container, options);

export class Chart {
  /** @type {Map<string, Set<(event: any) => void>>} */
  #listeners = new Map();
  #place = "";
  #tf = "5m";
  /** @type {string[]} */
  #indicators = [];
  /** @type {Level[]} */
  #levels = [];
  /** @type {Marker[]} */
  #markers = [];
  /** @type {Drawing | null} */
  #drawing = null;
  #ended = false;
  /** Bars that are to be drawn in the next frame. @type {Set<number>} */
  #stale = new Set();
  /** The bar under the pointer. @type {number | null} */
  #hovered = null;
  #legend = new Legend();
  #state = h("div.chart-state", { hidden: true });
  #now = h("button.small.chart-now", { type: "button", hidden: true, title: t("Go to now"), "aria-label": t("Go to now"), onclick: () => this.goToNow() }, icon("chevron"));

  /** @param {HTMLElement} container @param {ChartOptions} options */
  constructor(container, { label = t("Chart"), live = true, volume = true, legend = true, spacing = 8, reach = 0 }) {
    this.container = container;
    const canvas = h("div.chart-canvas", { tabindex: "0", role: "application", "aria-label": label, onkeydown: (/** @type {KeyboardEvent} */ event) => this.#drawing?.key(event) });
    const credit = h("a.chart-credit", { href: "https://www.tradingview.com/", target: "_blank", rel: "noopener noreferrer" }, t("Charts by TradingView"));
    container.classList.add("chart");
    fill(container, canvas, legend ? this.#legend.element : null, this.#state, this.#now, credit);
    this.candles = new Candles({ live, delayed: (seconds) => this.#tell("delay", { seconds: seconds ?? 0 }), changed: (change) => this.#changed(change) });
    this.endShade = shade.on(() => this.#drawing?.paint());
    chartLibrary().then((library) => this.#draw(library, canvas, { volume, spacing, reach }), () => this.#say(t("The chart could not be loaded"), t("Check the connection, and load the page again.")));
  }

  /** @param {any} library @param {HTMLElement} canvas @param {{ volume: boolean, spacing: number, reach: number }} look */
  #draw(library, canvas, look) {
    if (this.#ended) return;
    this.#drawing = new Drawing(library, canvas, this.candles, {
      ...look,
      older: () => void this.candles.older(),
      hover: (index) => { this.#hovered = index; this.#describe(); },
      away: (isAway) => { this.#now.hidden = !isAway; },
      click: (event) => this.#tell("click", event),
      marker: (id) => this.#tell("marker", { id }),
    });
    this.#drawing.all(0);
    this.#drawing.levels(this.#levels);
    this.#drawing.markers(this.#markers);
  }

  #drawBars = oncePerFrame(() => {
    if (!this.#drawing) return;
    for (const index of [...this.#stale].sort((a, b) => a - b)) this.#drawing.bar(index);
    this.#stale.clear();
    this.#describe();
  });

  /** @param {import("./chart-candles.js").Change} change */
  #changed(change) {
    const { candles } = this;
    if (change.kind === "bar") {
      this.#stale.add(change.index);
      this.#drawBars();
      return this.#tell("bar", { bar: candles.bars[change.index] });
    }
    this.#stale.clear();
    if (change.kind !== "status") this.#drawing?.all(change.kind === "older" ? change.count : 0);
    this.#hovered = null;
    this.#describe();
    this.#showState();
    if (change.kind === "all" && candles.status === "ready") this.#tell("loaded", { place: candles.place, tf: candles.tf, count: candles.bars.length });
    if (candles.status === "failed") this.#tell("failed", { error: candles.error });
  }

  #describe() { this.#legend.show(this.candles, this.#hovered); }

  #showState() {
    const { status, error, bars } = this.candles;
    if (bars.length || status === "empty") this.#state.hidden = true;
    else if (status === "ready") this.#say(t("No candles yet"), t("They begin with the next price."));
    else if (status === "failed") this.#say(t("The chart could not be loaded"), error?.message, h("button", { type: "button", onclick: () => void this.candles.load() }, t("Try again")));
    else {
      this.#state.hidden = false;
      fill(this.#state, loading());
    }
  }

  /** @param {string} title @param {string} text @param {...Node} more */
  #say(title, text, ...more) {
    this.#state.hidden = false;
    fill(this.#state, nothing(title, text, ...more));
  }

  /** @param {string} name @param {any} event */
  #tell(name, event) { this.#listeners.get(name)?.forEach((one) => one(event)); }

  /** @param {string} place `NSE:RELIANCE` @param {string} tf 1m 3m 5m 15m 30m 1h 1d */
  setSymbol(place, tf) {
    if (place === this.#place && tf === this.#tf) return;
    this.#place = place;
    this.#tf = tf;
    this.#drawing?.home();
    this.candles.choose(place, tf, this.#indicators);
  }

  /** @param {string[]} names */
  setIndicators(names) {
    if (names.join(" ") === this.#indicators.join(" ")) return;
    this.#indicators = names.slice(0, MOST);
    if (this.#place) this.candles.choose(this.#place, this.#tf, this.#indicators);
  }

  /** @param {Level[]} levels */
  setLevels(levels) {
    this.#levels = levels;
    this.#drawing?.levels(levels);
  }

  /** @param {Marker[]} markers */
  setMarkers(markers) {
    this.#markers = markers;
    this.#drawing?.markers(markers);
  }

  /** The smallest step of its prices. @param {number} tick */
  setTick(tick) {
    this.candles.tick = tick;
    this.#drawing?.tick(tick);
  }

  /** A trade, for the candle that forms. @param {number} price @param {number} at Unix milliseconds */
  trade(price, at) { this.candles.trade(price, at); }

  goToNow() { this.#drawing?.goToNow(); }

  /** How far below the top of its container a price is drawn; null where it isn't. @param {number} price @returns {number | null} */
  heightOf(price) { return this.#drawing?.heightOf(price) ?? null; }

  /** The price at a height. @param {number} height @returns {number | null} */
  priceAt(height) { return this.#drawing?.priceAt(height) ?? null; }

  /** The candles that are loaded, oldest first. */
  bars() { return this.candles.bars; }

  /** @param {"loaded" | "failed" | "delay" | "click" | "marker" | "bar"} name @param {(event: any) => void} listener @returns {() => void} */
  on(name, listener) {
    const those = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, those.add(listener));
    return () => those.delete(listener);
  }

  end() {
    this.#ended = true;
    this.endShade();
    this.candles.end();
    this.#drawing?.end();
    this.#drawing = null; // what was to be drawn in the next frame is not
    fill(this.container);
  }
}
