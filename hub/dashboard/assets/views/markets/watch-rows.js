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
 * @typedef {object} RowsOptions
 * @property {HTMLElement} scroller
 * @property {HTMLElement} space  As high as all rows together.
 * @property {() => number} height  Of a row, in pixels.
 * @property {ReturnType<typeof import("./prices.js").makePrices>} prices
 * @property {() => void} appeared  The list was hidden, and is seen again.
 */

export class Rows {
  /** @type {string[]} */
  #places = [];
  #active = -1;
  #shown = "";
  /** @type {Row[]} */
  #pool = [];
  /** @type {Set<string>} */
  #dirty = new Set();
  /** @type {Set<Row>} */
  #flashing = new Set();
  #view = { top: 0, height: 0 };
  #arranged = false;

  /** @param {RowsOptions} options */
  constructor(options) {
    this.options = options;
    const { scroller } = options;
    this.size = new ResizeObserver(() => this.#resized());
    this.size.observe(scroller);
    scroller.addEventListener("scroll", () => { this.#view.top = scroller.scrollTop; this.#again(); }, { passive: true });
  }

  /** @param {string[]} places */
  set(places) {
    const { space, height } = this.options;
    this.#places = places;
    space.style.height = `${places.length * height()}px`;
    for (const row of this.#pool) row.index = -1;
    this.#again();
  }

  /** @param {number} active  Where the keyboard is. @param {string} shown  What is shown beside the list. */
  mark(active, shown) {
    this.#active = active;
    this.#shown = shown;
    this.#again();
  }

  /** Its price has changed. @param {string} place */
  touch(place) {
    this.#dirty.add(place);
    this.#draw();
  }

  end() { this.size.disconnect(); }

  #again() {
    this.#arranged = false;
    this.#draw();
  }

  #resized() {
    const { scroller, appeared } = this.options;
    const hidden = this.#view.height === 0;
    this.#view = { top: scroller.scrollTop, height: scroller.clientHeight };
    this.#again();
    if (hidden && this.#view.height) appeared();
  }

  #draw = oncePerFrame(() => {
    if (!this.#arranged) this.#arrange();
    if (this.#dirty.size) for (const row of this.#pool) if (this.#dirty.has(row.place)) this.#paint(row);
    this.#dirty.clear();
    if (this.#flashing.size) this.#calm();
  });

  /** Gives every row in sight an element of the pool, and leaves those alone that have theirs. */
  #arrange() {
    const { height, prices, scroller } = this.options;
    this.#arranged = true;
    const size = Math.min(this.#places.length, Math.ceil(this.#view.height / height()) + 2 * SPARE);
    const first = Math.max(0, Math.min(this.#places.length - size, Math.floor(this.#view.top / height()) - SPARE));
    while (this.#pool.length < size) this.#pool.push(makeRow());
    for (const row of this.#pool.splice(size)) row.element.remove();
    for (let index = first; index < first + size; index += 1) this.#bind(this.#pool[index % size], index);
    prices.setInSight(this.#places.slice(first, first + size));
    if (this.#active >= first && this.#active < first + size) scroller.setAttribute("aria-activedescendant", `watch-${this.#active}`);
    else scroller.removeAttribute("aria-activedescendant");
  }

  /** @param {Row} row @param {number} index */
  #bind(row, index) {
    const { element } = row;
    if (!element.isConnected) this.options.space.append(element);
    if (row.index !== index) {
      row.index = index;
      element.style.transform = `translateY(${index * this.options.height()}px)`;
      element.setAttribute("aria-rowindex", String(index + 2));
      element.id = `watch-${index}`;
    }
    if (row.place !== this.#places[index]) this.#give(row, this.#places[index]);
    element.setAttribute("aria-selected", String(row.place === this.#shown));
    element.classList.toggle("active", index === this.#active);
    this.#paint(row);
  }

  /** @param {Row} row @param {string} place  The symbol that it shows from now on. */
  #give(row, place) {
    const { exchange, symbol } = partsOf(place);
    row.place = place;
    row.last = undefined;
    row.element.dataset.place = place;
    row.cells.symbol.textContent = symbol;
    row.cells.exchange.textContent = exchange;
    this.#still(row);
  }

  /** @param {Row} row */
  #paint(row) {
    const { prices } = this.options;
    const { cells, last, place } = row;
    const value = prices.value(place);
    write(cells.price, price(value?.price));
    write(cells.change, percent(value?.change_percent));
    write(cells.volume, short(value?.volume));
    const tone = `number ${direction(value?.change_percent)}`;
    if (cells.change.className !== tone) cells.change.className = tone;
    const fault = (value ? undefined : prices.fault(place)) ?? "";
    if (row.element.title !== fault) row.element.title = fault;
    if (value === undefined || value.price === last) return;
    row.last = value.price;
    if (last !== undefined) this.#flash(row, value.price > last ? "up" : "down");
  }

  /** @param {Row} row @param {string} way */
  #flash(row, way) {
    row.cells.price.dataset.flash = way;
    row.flashes = performance.now() + FLASH_MS;
    this.#flashing.add(row);
    this.#draw();
  }

  /** @param {Row} row */
  #still(row) {
    delete row.cells.price.dataset.flash;
    this.#flashing.delete(row);
  }

  #calm() {
    const now = performance.now();
    for (const row of this.#flashing) if (row.flashes <= now) this.#still(row);
    if (this.#flashing.size) this.#draw();
  }
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
