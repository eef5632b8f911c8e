// The watchlist: a grid for the pointer and the keyboard, with a filter, an order, and what changes the list.

import { fill, h, write } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { nothing } from "../../ui/controls.js";
import { notify } from "../../ui/notices.js";
import { openSearch } from "../../ui/search.js";
import { partsOf } from "./instruments.js";
import { makePrices } from "./prices.js";
import { ordered, pressed } from "./watch-order.js";
import { letDrag } from "./watch-drag.js";
import { Rows } from "./watch-rows.js";
import { watchlist } from "./watchlist.js";

/** How often rows change places while the list is sorted by a figure. */
const SORT_MS = 1000;

const phone = matchMedia("(max-width: 720px)");
const height = () => (phone.matches ? 52 : 36);

/** @param {HTMLElement} element  @param {string} selector  @returns {HTMLElement | null} */
const above = (element, selector) => element.closest(selector);

export class WatchTable {
  #filter = "";
  /** @type {import("./watch-order.js").Sorting} */
  #sorting = null;
  /** @type {string[]} */
  #shown = [];
  #active = 0;
  #open = "";
  #heads = makeHeads((column) => { this.#sorting = pressed(this.#sorting, column); this.#arrange(); });
  #space = h("div.watch-space", { role: "rowgroup" });
  #empty = h("div", { hidden: true });
  #count = h("span.tag");
  #grid = h("div.watch-grid", {
    role: "grid", tabindex: "0", "aria-label": t("Watchlist"), onkeydown: (/** @type {KeyboardEvent} */ event) => this.#press(event), onclick: (/** @type {Event} */ event) => this.#click(event),
  }, this.#heads.element, this.#space, this.#empty);
  #prices = makePrices((place) => this.#rows.touch(place));
  #rows = new Rows({ scroller: this.#grid, space: this.#space, height, prices: this.#prices, appeared: () => this.#point(this.#active) });

  /** @param {{ onopen: (place: string) => void }} options */
  constructor({ onopen }) {
    this.onopen = onopen;
    this.element = h("section.watch", { "aria-label": t("Watchlist") }, this.#top(), this.#filterBox(), this.#grid);
    const turn = () => this.#arrange();
    const timer = setInterval(() => { if (this.#sorting && this.#sorting.column !== "symbol") this.#arrange(); }, SORT_MS);
    phone.addEventListener("change", turn);
    this.ends = [
      letDrag({ grid: this.#grid, space: this.#space, height, count: () => this.#shown.length, may: () => this.#isOwn(), move: (place, to) => watchlist.move(place, to) }),
      watchlist.places.on((places) => { this.#prices.setAll(places); this.#arrange(); }),
      () => clearInterval(timer),
      () => phone.removeEventListener("change", turn),
      () => this.#rows.end(),
      () => this.#prices.end(),
    ];
  }

  #top() {
    const edits = () => edit.setAttribute("aria-pressed", String(this.element.classList.toggle("editing")));
    const edit = h("button.quiet.square", { type: "button", "aria-pressed": "false", "aria-label": t("Edit the watchlist"), title: t("Edit the watchlist"), onclick: edits }, icon("edit"));
    const add = h("button.quiet.square", { type: "button", "aria-label": t("Add a symbol"), title: t("Add a symbol"), onclick: () => openSearch({ adding: true }) }, icon("plus"));
    return h("header", null, h("h2", null, t("Watchlist")), this.#count, h("span.grow"), edit, add);
  }

  #filterBox() {
    const box = h("input", { type: "search", placeholder: t("Filter"), "aria-label": t("Filter the watchlist"), oninput: () => { this.#filter = box.value; this.#arrange(); }, onkeydown: (/** @type {KeyboardEvent} */ event) => this.#leaveFilter(event) });
    return h("div.watch-filter", null, box);
  }

  /** Enter opens the first that fits, and an arrow goes on among them. @param {KeyboardEvent} event */
  #leaveFilter(event) {
    const first = this.#shown[0];
    if (!first || event.isComposing || !["Enter", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    this.#point(0);
    if (event.key === "Enter") this.onopen(first);
    else this.#grid.focus();
  }

  /** Whether it is shown whole and in the user's own order. */
  #isOwn() { return !this.#sorting && !this.#filter; }

  #arrange() {
    const every = watchlist.places.value;
    const before = this.#shown[this.#active];
    this.#shown = ordered(every, { filter: this.#filter, sorting: this.#sorting, value: this.#prices.value });
    const at = this.#shown.indexOf(before);
    this.#heads.show(this.#sorting);
    this.#grid.setAttribute("aria-rowcount", String(this.#shown.length + 1));
    this.#rows.set(this.#shown);
    this.#point(at < 0 ? this.#active : at, false);
    write(this.#count, String(every.length));
    this.#empty.hidden = this.#shown.length > 0;
    if (every.length) fill(this.#empty, nothing(t("Nothing fits the filter")));
    else fill(this.#empty, nothing(t("The watchlist is empty"), t("Add symbols to see their prices here."), h("button.primary", { type: "button", onclick: () => openSearch({ adding: true }) }, icon("plus"), t("Add a symbol"))));
  }

  /** @param {number} index @param {boolean} [seen] whether it is to be scrolled to */
  #point(index, seen = true) {
    this.#active = Math.max(0, Math.min(this.#shown.length - 1, index));
    this.#rows.mark(this.#active, this.#open);
    if (!seen) return;
    const grid = this.#grid;
    const top = this.#active * height();
    const below = top + height() + this.#heads.element.offsetHeight - grid.clientHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (below > grid.scrollTop) grid.scrollTop = below;
  }

  /** @param {string} place */
  #drop(place) {
    const at = watchlist.places.value.indexOf(place);
    watchlist.remove(place);
    notify({ title: t("{symbol} was removed from the watchlist", { symbol: partsOf(place).symbol }), action: { label: t("Undo"), run: () => watchlist.add(place, at) } });
  }

  /** @param {string} place @param {number} by */
  #shift(place, by) {
    if (!this.#isOwn()) return;
    watchlist.move(place, watchlist.places.value.indexOf(place) + by);
    this.#point(this.#shown.indexOf(place));
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.target !== this.#grid || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.#grid.clientHeight / height()) - 1);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.#shown.length, End: this.#shown.length }[event.key];
    const place = this.#shown[this.#active];
    if (by && event.altKey && place) this.#shift(place, by);
    else if (by) this.#point(this.#active + by);
    else if (event.key === "Enter" && place) this.onopen(place);
    else if (event.key === "Delete" && place) this.#drop(place);
    else return;
    event.preventDefault();
  }

  /** @param {Event} event */
  #click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const place = above(target, ".watch-row")?.dataset.place;
    if (!place) return;
    const does = above(target, "[data-does]")?.dataset.does;
    this.#point(this.#shown.indexOf(place), false);
    if (does === "remove") this.#drop(place);
    else if (does) this.#shift(place, does === "up" ? -1 : 1);
    else if (!this.element.classList.contains("editing")) this.onopen(place);
  }

  /** Marks the symbol that is shown beside it. @param {string} place */
  show(place) {
    this.#open = place;
    const index = this.#shown.indexOf(place);
    this.#point(index < 0 ? this.#active : index, index >= 0);
  }

  /** The first symbol, where there is one. */
  first() { return this.#shown[0]; }

  end() { for (const end of this.ends) end(); }
}

/** @param {(column: import("./watch-order.js").Column) => void} onpress */
function makeHeads(onpress) {
  const columns = /** @type {const} */ ([["symbol", t("Symbol")], ["price", t("Price")], ["change", t("Change")], ["volume", t("Volume")]]);
  const cells = columns.map(([column, label]) =>
    h("div", { role: "columnheader", class: column === "symbol" ? "" : `number ${column}` }, h("button", { type: "button", onclick: () => onpress(column) }, label, h("span.arrow", { "aria-hidden": "true" }))));
  const element = h("div.watch-head", { role: "row", "aria-rowindex": "1" }, cells, h("div.tools", { role: "columnheader" }, h("span.unseen", null, t("Actions"))));
  return {
    element,
    /** @param {import("./watch-order.js").Sorting} sorting */
    show(sorting) {
      cells.forEach((cell, index) => {
        const way = sorting?.column === columns[index][0] ? sorting.way : 0;
        cell.setAttribute("aria-sort", way ? (way > 0 ? "ascending" : "descending") : "none");
      });
    },
  };
}
