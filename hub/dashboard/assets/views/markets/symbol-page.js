// All of one symbol: header, chart, depth, figures, signals.

import { h, oncePerFrame } from "../../core/dom.js";
import { live } from "../../core/live.js";
import { makeChartPanel } from "./chart-panel.js";
import { makeDepth } from "./depth.js";
import { makeFigures } from "./figures.js";
import { makeHeader } from "./symbol-header.js";
import { makeSignals } from "./symbol-signals.js";

const HZ = 10;

/** @param {string} place @param {{ onchoose: (tf: string) => void }} options */
export function makeSymbolPage(place, { onchoose }) {
  const header = makeHeader(place);
  const panel = makeChartPanel(place, { onchoose, ondelay: header.delay });
  const depth = makeDepth(place);
  const figures = makeFigures();
  const signals = makeSignals(place, { mark: (markers) => panel.chart.setMarkers(markers) });
  const element = h("div.symbol", null, h("div.symbol-main", null, header.element, panel.element), h("aside.symbol-side", null, depth.element, figures.element, signals.element));

  /** @type {any} */
  let newest = null;
  const draw = oncePerFrame(() => {
    for (const part of [header, depth, figures]) part.show(newest);
    if (newest.state === undefined || newest.state === "continuous") panel.chart.trade(newest.price, new Date(newest.time).getTime());
  });
  const subscription = live.hub?.subscribe(`market:${place}`, { mode: "full", maxFrequency: HZ }, (value) => {
    newest = value;
    draw();
  });
  return {
    element,
    place,
    show: panel.show,
    end() {
      subscription?.unsubscribe();
      for (const part of [header, panel, depth, signals]) part.end();
    },
  };
}
