// A chart on its canvas, by Lightweight Charts: what `Candles` holds, levels and markers, in the theme's colours.

import { day, hour, price } from "../core/format.js";
import { spoken } from "../core/i18n.js";
import { colour } from "../core/theme.js";
import { axisTime } from "./chart-candles.js";
import { guides, isOverlay, styleOf } from "./chart-indicators.js";
import { SERIES } from "./chart-legend.js";

const IST_MS = 19_800_000;
/** Bars that are left before the first one when older ones are asked for. */
const MARGIN = 30;
/** Bars' widths between the newest candle and the axis. */
const OFFSET = 6;

/**
 * @typedef {object} Calls
 * @property {boolean} volume
 * @property {number} spacing
 * @property {number} reach
 * @property {() => void} older
 * @property {(index: number | null) => void} hover
 * @property {(isAway: boolean) => void} away
 * @property {(event: { price: number | null, time: number | null }) => void} click
 * @property {(id: string) => void} marker
 *
 * @typedef {{ name: string, line: string, style: string, tone: string, series: any }} Drawn
 */

export class Drawing {
  /** @type {Drawn[]} */
  #drawn = [];
  #shape = "";
  /** @type {any[]} */
  #priceLines = [];
  /** @type {import("./chart.js").Level[]} */
  #levels = [];
  /** @type {import("./chart.js").Marker[]} */
  #markers = [];
  #goHome = true;

  /** @param {any} library @param {HTMLElement} place @param {import("./chart-candles.js").Candles} candles @param {Calls} calls */
  constructor(library, place, candles, calls) {
    this.library = library;
    this.candles = candles;
    this.calls = calls;
    this.chart = library.createChart(place, { autoSize: true, ...this.#look() });
    this.series = this.chart.addSeries(library.CandlestickSeries, { autoscaleInfoProvider: (/** @type {() => any} */ original) => this.#range(original()) });
    this.volume = calls.volume ? this.chart.addSeries(library.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false }) : null;
    this.volume?.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.plugin = library.createSeriesMarkers(this.series, []);
    this.chart.subscribeCrosshairMove((/** @type {any} */ event) => calls.hover(this.#indexOf(event.time)));
    this.chart.subscribeClick((/** @type {any} */ event) => this.#clicked(event));
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((/** @type {any} */ range) => this.#moved(range));
    this.tick(candles.tick);
    this.paint();
  }

  /** Its colours and formats, as theme and language are now. */
  #look() {
    const lines = { color: colour("--grid") };
    return {
      layout: {
        background: { type: "solid", color: colour("--panel") }, textColor: colour("--muted"), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11,
        attributionLogo: false, panes: { separatorColor: colour("--line"), separatorHoverColor: colour("--accent-soft"), enableResize: true },
      },
      grid: { vertLines: lines, horzLines: lines },
      crosshair: { mode: 0, vertLine: this.#hair(), horzLine: this.#hair() },
      rightPriceScale: { borderColor: colour("--line"), minimumWidth: 64 },
      timeScale: { borderColor: colour("--line"), rightOffset: OFFSET, minBarSpacing: 1, secondsVisible: false },
      localization: {
        locale: `${spoken()}-IN-u-nu-latn`,
        timeFormatter: (/** @type {number} */ time) => { const at = time * 1000 - IST_MS; return this.candles.tf === "1d" ? day(at) : `${day(at)} ${hour(at)}`; },
      },
    };
  }

  #hair() {
    return { color: colour("--line-strong"), labelBackgroundColor: colour("--line-strong"), style: 3, width: 1 };
  }

  /** Draws all in the colours of the theme. */
  paint() {
    const [up, down] = [colour("--candle-up"), colour("--candle-down")];
    this.chart.applyOptions(this.#look());
    this.series.applyOptions({ upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down });
    this.#shape = "";
    this.all(0);
    this.levels(this.#levels);
    this.markers(this.#markers);
  }

  /** All bars and lines, after so many older ones came. @param {number} older */
  all(older) {
    const { bars, tf } = this.candles;
    this.chart.timeScale().applyOptions({ timeVisible: tf !== "1d" });
    this.#arrange();
    this.series.setData(bars.map((one) => this.#candle(one)));
    this.volume?.setData(bars.map((one) => this.#column(one)));
    for (const one of this.#drawn) one.series.setData(bars.map((bar, index) => this.#point(one, bar, index)));
    this.#placeMarkers();
    if (older || !bars.length || !this.#goHome) return;
    this.#goHome = false;
    this.chart.timeScale().applyOptions({ barSpacing: this.calls.spacing, rightOffset: OFFSET });
    this.chart.timeScale().scrollToPosition(OFFSET, false);
  }

  /** One bar that changed or is new. @param {number} index */
  bar(index) {
    const bar = this.candles.bars[index];
    if (!bar) return;
    const earlier = index < this.candles.bars.length - 1;
    this.series.update(this.#candle(bar), earlier);
    this.volume?.update(this.#column(bar), earlier);
    for (const one of this.#drawn) one.series.update(this.#point(one, bar, index), earlier);
  }

  /** @param {import("./chart-candles.js").Bar} bar */
  #candle({ time, open, high, low, close, gap }) {
    if (!gap) return { time, open, high, low, close };
    const pale = colour("--line-strong");
    return { time, open, high, low, close, wickColor: pale, borderColor: pale };
  }

  /** @param {import("./chart-candles.js").Bar} bar */
  #column({ time, open, close, volume }) {
    return volume === null ? { time } : { time, value: volume, color: `${colour(close >= open ? "--candle-up" : "--candle-down")}55` };
  }

  /** @param {Drawn} one @param {import("./chart-candles.js").Bar} bar @param {number} index */
  #point({ name, line, style }, bar, index) {
    const value = this.candles.lines.get(name)?.get(line)?.[index];
    if (value === null || value === undefined) return { time: bar.time };
    return style === "columns" ? { time: bar.time, value, color: `${colour(value >= 0 ? "--candle-up" : "--candle-down")}99` } : { time: bar.time, value };
  }

  /** A series for each line of each indicator, where there are others than are drawn. */
  #arrange() {
    const { lines } = this.candles;
    const shape = [...lines].map(([name, parts]) => `${name}:${[...parts.keys()]}`).join(" ");
    if (shape === this.#shape) return;
    this.#shape = shape;
    for (const { series } of this.#drawn) this.chart.removeSeries(series);
    this.#drawn = [];
    let pane = 0;
    [...lines].forEach(([name, parts], index) => {
      const over = isOverlay(name);
      if (!over) pane += 1;
      for (const [line] of parts) this.#add(name, line, index, over ? 0 : pane);
    });
    this.chart.panes().forEach((/** @type {any} */ one, /** @type {number} */ index) => one.setStretchFactor(index ? 1 : Math.max(3, 4 - pane * 0.25)));
  }

  /** @param {string} name @param {string} line @param {number} index @param {number} pane */
  #add(name, line, index, pane) {
    const style = styleOf(name, line);
    if (style === "none") return;
    const tone = line === "signal" || line === "d" || line === "fama" ? SERIES[(index + 1) % SERIES.length] : SERIES[index % SERIES.length];
    const kind = style === "columns" ? this.library.HistogramSeries : this.library.LineSeries;
    const dots = style === "dots" ? { lineVisible: false, pointMarkersVisible: true, pointMarkersRadius: 1.5 } : {};
    const series = this.chart.addSeries(kind, {
      color: colour(tone), lineWidth: 1.5, lastValueVisible: pane > 0, priceLineVisible: false, crosshairMarkerVisible: false,
      ...(line === "middle" ? { lineStyle: 2 } : {}), ...dots,
    }, pane);
    if (pane && !this.#drawn.some((one) => one.name === name)) {
      for (const price of guides(name)) series.createPriceLine({ price, color: colour("--line-strong"), lineWidth: 1, lineStyle: 1, axisLabelVisible: false });
    }
    this.#drawn.push({ name, line, style, tone, series });
  }

  /** The smallest step of the price. @param {number} step */
  tick(step) {
    const least = step || 0.01;
    const formatter = (/** @type {number} */ value) => price(Number((Math.round(value / least) * least).toFixed(4)));
    this.series.applyOptions({ priceFormat: { type: "custom", formatter, minMove: least } });
  }

  /** @param {import("./chart.js").Level[]} levels */
  levels(levels) {
    this.#levels = levels;
    for (const one of this.#priceLines) this.series.removePriceLine(one);
    this.#priceLines = levels.map(({ price, label = "", colour: tone = "--accent" }) =>
      this.series.createPriceLine({ price, title: label, color: colour(tone), lineWidth: 1, lineStyle: 2, axisLabelVisible: true }));
  }

  /** The heights that are shown: levels that are near belong to them. @param {any} info */
  #range(info) {
    if (!info?.priceRange || !this.#levels.length) return info;
    const { minValue, maxValue } = info.priceRange;
    const reach = Math.max(1.5 * (maxValue - minValue), this.calls.reach * maxValue);
    const near = this.#levels.map(({ price }) => price).filter((price) => price > minValue - reach && price < maxValue + reach);
    return { ...info, priceRange: { minValue: Math.min(minValue, ...near), maxValue: Math.max(maxValue, ...near) } };
  }

  /** @param {import("./chart.js").Marker[]} markers */
  markers(markers) {
    this.#markers = markers;
    this.#placeMarkers();
  }

  #placeMarkers() {
    const { bars } = this.candles;
    const placed = this.#markers.flatMap(({ time, text = "", shape = "circle", position, colour: tone = "--accent", id }) => {
      const index = this.#before(axisTime(time));
      if (index < 0) return [];
      const where = { above: "aboveBar", below: "belowBar", on: "inBar" }[position ?? (shape === "arrowUp" ? "below" : "above")];
      return [{ time: bars[index].time, text, shape, position: where, color: colour(tone), id }];
    });
    this.plugin.setMarkers(placed.sort((a, b) => a.time - b.time));
  }

  /** The last bar that begins at or before this. @param {number} time  @returns {number} -1: none */
  #before(time) {
    const { bars } = this.candles;
    let [low, high] = [0, bars.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bars[middle].time <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** @param {number | undefined} time  @returns {number | null} */
  #indexOf(time) {
    if (time === undefined) return null;
    const index = this.#before(time);
    return this.candles.bars[index]?.time === time ? index : null;
  }

  /** @param {any} event */
  #clicked(event) {
    if (event.hoveredObjectId) this.calls.marker(String(event.hoveredObjectId));
    if (!event.point || event.paneIndex) return;
    const index = this.#indexOf(event.time);
    this.calls.click({ price: this.series.coordinateToPrice(event.point.y), time: index === null ? null : this.candles.bars[index].at });
  }

  /** @param {{ from: number, to: number } | null} range */
  #moved(range) {
    if (!range || !this.candles.bars.length) return;
    if (range.from < MARGIN) this.calls.older();
    this.calls.away(range.to < this.candles.bars.length - 2);
  }

  /** @param {number} price @returns {number | null} */
  heightOf(price) {
    return this.candles.bars.length ? this.series.priceToCoordinate(price) : null;
  }

  /** @param {number} height @returns {number | null} */
  priceAt(height) {
    return this.series.coordinateToPrice(height);
  }

  /** Where the next symbol is shown: at its newest candle. */
  home() {
    this.#goHome = true;
  }

  goToNow() {
    this.chart.timeScale().scrollToRealTime();
  }

  /** Left and right move, plus and minus change the width, End goes to now. @param {KeyboardEvent} event */
  key(event) {
    const scale = this.chart.timeScale();
    const by = { ArrowLeft: -10, ArrowRight: 10 }[event.key];
    const width = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
    if (by) scale.scrollToPosition(scale.scrollPosition() + by, false);
    else if (width && !event.metaKey && !event.ctrlKey) scale.applyOptions({ barSpacing: scale.options().barSpacing * width });
    else if (event.key === "End") this.goToNow();
    else return;
    event.preventDefault();
  }

  end() {
    this.chart.remove();
  }
}
