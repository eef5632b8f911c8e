// A small plot of figures over the last minutes, such as deliveries a second.

import { h } from "../core/dom.js";
import { colour, shade } from "../core/theme.js";
import { axisTime } from "./chart-candles.js";
import { chartLibrary } from "./chart-library.js";

/** How many points stay: five minutes of one each two seconds. */
const POINTS = 150;

/**
 * @typedef {{ label: string, colour: string }} PlotLine  The colour as a name of the style sheet.
 *
 * @param {{ title: string, lines: PlotLine[], format: (value: number) => string }} options
 */
export function makePlot({ title, lines, format }) {
  const figures = lines.map((line) => {
    const value = h("strong", null, "–");
    const mark = h("i.dot", { "aria-hidden": "true" });
    mark.style.color = `var(${line.colour})`;
    return { value, element: h("span.figure", null, lines.length > 1 ? mark : null, value, h("span.muted", null, line.label)) };
  });
  const canvas = h("div.plot-canvas", { "aria-hidden": "true" });
  const element = h("figure.card.plot", null, h("figcaption", null, h("h2", null, title), h("div.figures", null, figures.map((one) => one.element))), canvas);
  const drawing = new Drawing(canvas, lines, format);
  return {
    element,
    /** @param {number} at Unix milliseconds @param {(number | null)[]} values one for each line; null: not known */
    push(at, values) {
      figures.forEach((one, index) => { one.value.textContent = values[index] === null ? "–" : format(/** @type {number} */ (values[index])); });
      drawing.push(axisTime(at), values);
    },
    end: () => drawing.end(),
  };
}

/** The lines on their canvas, once the library is there. */
class Drawing {
  /** @param {HTMLElement} canvas @param {PlotLine[]} lines @param {(value: number) => string} format */
  constructor(canvas, lines, format) {
    this.lines = lines;
    /** @type {{ time: number, value: number }[][]} */
    this.points = lines.map(() => []);
    /** @type {any} */
    this.chart = null;
    /** @type {any[]} */
    this.series = [];
    this.over = false;
    this.off = () => {};
    void chartLibrary().then((library) => { if (!this.over) this.begin(library, canvas, format); }, () => null);
  }

  /** @param {any} library @param {HTMLElement} canvas @param {(value: number) => string} format */
  begin(library, canvas, format) {
    this.chart = library.createChart(canvas, {
      autoSize: true,
      handleScroll: false,
      handleScale: false,
      layout: { attributionLogo: false, background: { color: "transparent" }, fontSize: 11 },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.04 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: true },
      crosshair: { horzLine: { labelVisible: false } },
      localization: { priceFormatter: format },
    });
    this.series = this.lines.map(() => this.chart.addSeries(library.AreaSeries, { lineWidth: 2, priceLineVisible: false, lastValueVisible: false, crosshairMarkerRadius: 3, autoscaleInfoProvider: fromZero }));
    this.off = shade.on(() => this.paint());
    this.series.forEach((one, index) => one.setData(this.points[index]));
  }

  paint() {
    this.chart.applyOptions({
      layout: { textColor: colour("--muted"), fontFamily: colour("--font") },
      grid: { vertLines: { visible: false }, horzLines: { color: colour("--grid") } },
    });
    this.series.forEach((one, index) => {
      const line = colour(this.lines[index].colour);
      one.applyOptions({ lineColor: line, topColor: `${line}${this.lines.length > 1 ? "14" : "30"}`, bottomColor: `${line}00` });
    });
  }

  /** @param {number} time @param {(number | null)[]} values */
  push(time, values) {
    values.forEach((value, index) => {
      const points = this.points[index];
      const last = points.at(-1);
      if (value === null || (last && last.time >= time)) return;
      points.push({ time, value });
      if (points.length > POINTS) points.shift();
      this.series[index]?.setData(points);
    });
    this.chart?.timeScale().fitContent();
  }

  end() {
    this.over = true;
    this.off();
    this.chart?.remove();
  }
}

/** A scale from zero up, so that nothing looks like a leap that is none. @param {() => any} original */
function fromZero(original) {
  const info = original();
  return info === null ? null : { ...info, priceRange: { minValue: 0, maxValue: Math.max(info.priceRange.maxValue, 4) } };
}
