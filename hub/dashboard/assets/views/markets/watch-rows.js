// The rows of the watchlist that are in sight, and no others: some dozen elements, however long the list is.

import { h, oncePerFrame, write } from "../../core/dom.js";
import { direction, percent, price, short } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { partsOf } from "./instruments.js";

const FLASH_MS = 250;
/** Rows above and below those in sight. */
const SPARE = 4;

/**
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {Record<"symbol" | "exchange" | "price" | "change" | "volume", HTMLElement>} cells
 * @property {number} index
 * @property {string} place
 * @property {number | undefined} last  The price that it shows.
 * @property {number} flashes  Until then, as `performance.now` counts.
 */

/**
 * @param {object} options
 * @param {HTMLElement} options.scroller
 * @param {HTMLElement} options.space
 * @param {() => number} options.height  Of a row, in pixels.
 * @param {ReturnType<typeof import("./prices.js").makePrices>} options.prices
 * @param {(places: string[]) => void} options.inSight
 * @param {() => void} options.appeared  The list was hidden, and is seen again.
 */
export function makeRows({ scroller, space, height, prices, inSight, appeared }) {
  /** @type {string[]} */
  let places = [];
  let active = -1;
  let shown = "";
  /** @type {Row[]} */
  let pool = [];
  /** @type {Set<string>} */
  const dirty = new Set();
  /** @type {Set<Row>} */
  const flashing = new Set();
  let view = { top: 0, height: 0 };
  let arranged = false;

  const draw = oncePerFrame(() => {
    if (!arranged) arrange();
    if (dirty.size) for (const row of pool) if (dirty.has(row.place)) paint(row);
    dirty.clear();
    if (flashing.size) calm();
  });

  /** Gives every row in sight an element of the pool, and leaves those alone that have theirs. */
  function arrange() {
    arranged = true;
    const size = Math.min(places.length, Math.ceil(view.height / height()) + 2 * SPARE);
    const first = Math.max(0, Math.min(places.length - size, Math.floor(view.top / height()) - SPARE));
    while (pool.length < size) pool.push(makeRow());
    for (const row of pool.splice(size)) row.element.remove();
    for (let index = first; index < first + size; index += 1) bind(pool[index % size], index);
    inSight(places.slice(first, first + size));
    if (active >= first && active < first + size) scroller.setAttribute("aria-activedescendant", `watch-${active}`);
    else scroller.removeAttribute("aria-activedescendant");
  }

  /** @param {Row} row @param {number} index */
  function bind(row, index) {
    const place = places[index];
    if (!row.element.isConnected) space.append(row.element);
    if (row.index !== index) {
      row.index = index;
      row.element.style.transform = `translateY(${index * height()}px)`;
      row.element.setAttribute("aria-rowindex", String(index + 2));
      row.element.id = `watch-${index}`;
    }
    if (row.place !== place) {
      row.place = place;
      row.last = undefined;
      const { exchange, symbol } = partsOf(place);
      row.element.dataset.place = place;
      row.cells.symbol.textContent = symbol;
      row.cells.exchange.textContent = exchange;
      still(row);
    }
    row.element.setAttribute("aria-selected", String(place === shown));
    row.element.classList.toggle("active", index === active);
    paint(row);
  }

  /** @param {Row} row */
  function paint(row) {
    const value = prices.value(row.place);
    const { cells, last } = row;
    write(cells.price, price(value?.price));
    write(cells.change, percent(value?.change_percent));
    write(cells.volume, short(value?.volume));
    cells.change.className = `number ${direction(value?.change_percent)}`;
    const fault = value ? undefined : prices.fault(row.place);
    row.element.title = fault ?? "";
    if (value === undefined || value.price === last) return;
    row.last = value.price;
    if (last !== undefined) flash(row, value.price > last ? "up" : "down");
  }

  /** @param {Row} row @param {string} way */
  function flash(row, way) {
    row.cells.price.dataset.flash = way;
    row.flashes = performance.now() + FLASH_MS;
    flashing.add(row);
    draw();
  }

  /** @param {Row} row */
  function still(row) {
    delete row.cells.price.dataset.flash;
    flashing.delete(row);
  }

  function calm() {
    const now = performance.now();
    for (const row of flashing) if (row.flashes <= now) still(row);
    if (flashing.size) draw();
  }

  const again = () => { arranged = false; draw(); };
  const size = new ResizeObserver(() => {
    const hidden = view.height === 0;
    view = { top: scroller.scrollTop, height: scroller.clientHeight };
    again();
    if (hidden && view.height) appeared();
  });
  size.observe(scroller);
  const scrolled = () => { view = { ...view, top: scroller.scrollTop }; again(); };
  scroller.addEventListener("scroll", scrolled, { passive: true });

  return {
    /** @param {string[]} every */
    set(every) {
      places = every;
      space.style.height = `${every.length * height()}px`;
      for (const row of pool) row.index = -1;
      again();
    },
    /** @param {number} index @param {string} place */
    mark(index, place) {
      active = index;
      shown = place;
      again();
    },
    /** @param {string} place */
    touch(place) { dirty.add(place); draw(); },
    end: () => size.disconnect(),
  };
}

/** @returns {Row} */
function makeRow() {
  const cells = { symbol: h("b"), exchange: h("small.tag"), price: h("div.number", { role: "gridcell" }), change: h("div.number", { role: "gridcell" }), volume: h("div.number.volume", { role: "gridcell" }) };
  const button = (/** @type {import("../../core/icons.js").IconName} */ name, /** @type {string} */ does, /** @type {string} */ label) =>
    h("button.quiet.square", { type: "button", tabindex: "-1", dataset: { does }, "aria-label": label, title: label }, icon(name));
  const tools = h("div.tools", { role: "gridcell" }, button("up", "up", t("Move up")), button("down", "down", t("Move down")), button("close", "remove", t("Remove")));
  const element = h("div.watch-row", { role: "row", draggable: "true" },
    h("div.name", { role: "gridcell" }, cells.symbol, cells.exchange), cells.price, cells.change, cells.volume, tools);
  return { element, cells, index: -1, place: "", last: undefined, flashes: 0 };
}
