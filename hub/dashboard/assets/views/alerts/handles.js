// Handles beside the levels of a chart: with the pointer or the keyboard a level is moved to another price.

import { fill, h } from "../../core/dom.js";
import { price } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { snapped } from "./levels.js";

/** The height of the axis of times below the prices. */
const EDGE = 30;

/**
 * @param {HTMLElement} place  The chart's container.
 * @param {import("../../ui/chart.js").Chart} chart
 * @param {{ moved: (from: number, to: number) => void }} options
 */
export function makeHandles(place, chart, { moved }) {
  const layer = h("div.handles");
  place.append(layer);
  /** @type {{ element: HTMLElement, level: number, y: number | null }[]} */
  let handles = [];
  let dragging = false;
  let frame = 0;
  // The chart tells nobody when its scale changes, so each frame asks where the levels are: that reads two numbers.
  const follow = () => {
    for (const one of handles) {
      const there = chart.heightOf(one.level);
      const y = there === null ? null : Math.min(place.clientHeight - EDGE, Math.max(EDGE / 2, there)); // one beyond the chart waits at its edge
      if (y === one.y) continue;
      one.y = y;
      one.element.hidden = y === null;
      if (y !== null) one.element.style.transform = `translateY(${y}px)`;
    }
    frame = requestAnimationFrame(follow);
  };
  follow();
  const make = (/** @type {number} */ level) => {
    const one = { element: h("span"), level, y: /** @type {number | null} */ (null) };
    const put = (/** @type {number} */ to) => {
      const from = one.level;
      one.level = snapped(to);
      if (one.level > 0 && one.level !== from) moved(from, one.level);
      label(one);
    };
    one.element = h("span.handle", { role: "slider", tabindex: "0", "aria-orientation": "vertical", "aria-label": t("Level"), onkeydown: (/** @type {KeyboardEvent} */ event) => step(event, one.level, put) });
    drag(one.element, place, chart, { put, turn: (on) => { dragging = on; } });
    label(one);
    return one;
  };
  return {
    /** @param {number[]} levels */
    show(levels) {
      if (dragging || (levels.length === handles.length && levels.every((level, index) => level === handles[index].level))) return;
      const focused = handles.findIndex(({ element }) => element === document.activeElement);
      handles = levels.map(make);
      fill(layer, handles.map(({ element }) => element));
      if (focused >= 0) handles[focused]?.element.focus();
    },
    end: () => cancelAnimationFrame(frame),
  };
}

/** @param {{ element: HTMLElement, level: number }} handle */
function label({ element, level }) {
  element.setAttribute("aria-valuenow", String(level));
  element.setAttribute("aria-valuetext", price(level));
}

/** @param {KeyboardEvent} event @param {number} level @param {(to: number) => void} put */
function step(event, level, put) {
  const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 20, PageDown: -20 }[event.key];
  if (!by) return;
  event.preventDefault();
  put(level + by * Math.max(0.05, Math.round(level / 1000) * 0.25));
}

/** @param {HTMLElement} element @param {HTMLElement} place @param {import("../../ui/chart.js").Chart} chart @param {{ put: (to: number) => void, turn: (on: boolean) => void }} options */
function drag(element, place, chart, { put, turn }) {
  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    element.focus();
    element.setPointerCapture(event.pointerId);
    turn(true);
  });
  element.addEventListener("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId)) return;
    const to = chart.priceAt(event.clientY - place.getBoundingClientRect().top);
    if (to !== null) put(to);
  });
  for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, () => turn(false));
}
