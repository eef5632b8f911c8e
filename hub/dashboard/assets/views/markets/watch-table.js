// The watchlist: a grid for the pointer and the keyboard, with a filter, an order, and what changes the list.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { nothing } from "../../ui/controls.js";
import { notify } from "../../ui/notices.js";
import { openSearch } from "../../ui/search.js";
import { partsOf } from "./instruments.js";
import { makePrices } from "./prices.js";
import { ordered, pressed } from "./watch-order.js";
import { letDrag } from "./watch-drag.js";
import { makeRows } from "./watch-rows.js";
import { watchlist } from "./watchlist.js";

/** How often rows change places while the list is sorted by a figure. */
const SORT_MS = 1000;

const phone = matchMedia("(max-width: 720px)");
const height = () => (phone.matches ? 52 : 36);

/** @param {{ onopen: (place: string) => void }} options */
export function makeWatchTable({ onopen }) {
  let filter = "";
  /** @type {import("./watch-order.js").Sorting} */
  let sorting = null;
  /** @type {string[]} */
  let shown = [];
  let active = 0;
  let open = "";

  const heads = makeHeads((column) => { sorting = pressed(sorting, column); arrange(); });
  const space = h("div.watch-space", { role: "rowgroup" });
  const empty = h("div", { hidden: true });
  const grid = h("div.watch-grid", { role: "grid", tabindex: "0", "aria-label": t("Watchlist"), onkeydown: press, onclick: click }, heads.element, space, empty);
  const count = h("span.tag");
  const filterBox = h("input", { type: "search", placeholder: t("Filter"), "aria-label": t("Filter the watchlist"), oninput: () => { filter = filterBox.value; arrange(); } });
  const edit = h("button.quiet.square", { type: "button", "aria-pressed": "false", "aria-label": t("Edit the watchlist"), title: t("Edit the watchlist"), onclick: () => edit.setAttribute("aria-pressed", String(element.classList.toggle("editing"))) }, icon("edit"));
  const add = h("button.quiet.square", { type: "button", "aria-label": t("Add a symbol"), title: t("Add a symbol"), onclick: () => openSearch({ adding: true }) }, icon("plus"));
  const element = h("section.watch", { "aria-label": t("Watchlist") }, h("header", null, h("h2", null, t("Watchlist")), count, h("span.grow"), edit, add), h("div.watch-filter", null, filterBox), grid);

  const prices = makePrices((place) => rows.touch(place));
  const rows = makeRows({ scroller: grid, space, height, prices, inSight: prices.setInSight, appeared: () => point(active) });

  function arrange() {
    const before = shown[active];
    shown = ordered(watchlist.places.value, { filter, sorting, value: prices.value });
    active = Math.max(0, Math.min(shown.length - 1, shown.includes(before) ? shown.indexOf(before) : active));
    grid.setAttribute("aria-rowcount", String(shown.length + 1));
    heads.show(sorting);
    rows.set(shown);
    point(active, false);
    count.textContent = String(watchlist.places.value.length);
    empty.hidden = shown.length > 0;
    fill(empty, watchlist.places.value.length ? nothing(t("Nothing fits the filter")) : nothing(t("The watchlist is empty"), t("Add symbols to see their prices here."), h("button.primary", { type: "button", onclick: () => openSearch({ adding: true }) }, icon("plus"), t("Add a symbol"))));
  }

  /** @param {number} index @param {boolean} [seen] whether it is to be scrolled to */
  function point(index, seen = true) {
    active = Math.max(0, Math.min(shown.length - 1, index));
    rows.mark(active, open);
    if (!seen) return;
    const [top, head] = [active * height(), heads.element.offsetHeight];
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + height() + head > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + height() + head - grid.clientHeight;
  }

  /** @param {string} place */
  function drop(place) {
    const at = watchlist.places.value.indexOf(place);
    watchlist.remove(place);
    notify({ title: t("{symbol} was removed from the watchlist", { symbol: partsOf(place).symbol }), action: { label: t("Undo"), run: () => watchlist.add(place, at) } });
  }

  /** @param {string} place @param {number} by */
  function shift(place, by) {
    if (sorting || filter || !place) return;
    watchlist.move(place, watchlist.places.value.indexOf(place) + by);
    point(shown.indexOf(place));
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    if (event.target !== grid || event.ctrlKey || event.metaKey) return;
    const page = Math.floor(grid.clientHeight / height()) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -shown.length, End: shown.length };
    const by = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (by && event.altKey) shift(shown[active], by);
    else if (by) point(active + by);
    else if (event.key === "Enter" && shown[active]) onopen(shown[active]);
    else if (event.key === "Delete" && shown[active]) drop(shown[active]);
    else return;
    event.preventDefault();
  }

  /** @param {Event} event */
  function click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const place = /** @type {HTMLElement | null} */ (target.closest(".watch-row"))?.dataset.place;
    if (!place) return;
    const does = /** @type {HTMLElement | null} */ (target.closest("[data-does]"))?.dataset.does;
    point(shown.indexOf(place), false);
    if (does === "remove") drop(place);
    else if (does) shift(place, does === "up" ? -1 : 1);
    else if (!element.classList.contains("editing")) onopen(place);
  }

  const endDrag = letDrag({ grid, space, height, count: () => shown.length, may: () => !sorting && !filter, move: (place, to) => watchlist.move(place, to) });
  const endPlaces = watchlist.places.on((places) => { prices.setAll(places); arrange(); });
  const timer = setInterval(() => { if (sorting && sorting.column !== "symbol") arrange(); }, SORT_MS);
  phone.addEventListener("change", arrange);

  return {
    element,
    /** Marks the symbol that is shown beside it. @param {string} place */
    show(place) {
      open = place;
      const index = shown.indexOf(place);
      point(index < 0 ? active : index, index >= 0);
    },
    /** The first symbol, where there is one. */
    first: () => shown[0],
    end() {
      clearInterval(timer);
      phone.removeEventListener("change", arrange);
      endPlaces();
      endDrag();
      rows.end();
      prices.end();
    },
  };
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
