// The list below the search: a listbox that the keyboard walks from within the text field.

import { fill, h } from "../core/dom.js";
import { day, direction, percent, price } from "../core/format.js";
import { t } from "../core/i18n.js";
import { icon } from "../core/icons.js";
import { live } from "../core/live.js";
import { placeOf } from "../views/markets/instruments.js";
import { watchlist } from "../views/markets/watchlist.js";

/** How many of the rows have a price, and how often it comes. */
const PRICED = 10;
const PRICE_HZ = 2;

/** @typedef {import("../views/markets/instruments.js").Instrument} Instrument */

const KINDS = { stock: () => t("Share"), index: () => t("Index"), future: () => t("Future"), option: () => t("Option") };

/** @param {{ open: (one: Instrument) => void, toggle: (one: Instrument) => void }} options */
export function makeResults({ open, toggle }) {
  /** @type {Instrument[]} */
  let items = [];
  /** @type {HTMLElement[]} */
  let rows = [];
  let chosen = 0;
  /** @type {HTMLInputElement | null} */
  let box = null;
  /** @type {import("../tickhub.js").Subscription | undefined} */
  let subscription;
  const title = h("p.search-title.muted");
  const list = h("div.search-list", { id: "search-results", role: "listbox", "aria-label": t("Instruments") });

  /** @param {number} index */
  function choose(index) {
    rows[chosen]?.setAttribute("aria-selected", "false");
    chosen = Math.max(0, Math.min(rows.length - 1, index));
    const row = rows[chosen];
    row?.setAttribute("aria-selected", "true");
    row?.scrollIntoView({ block: "nearest" });
    if (row) box?.setAttribute("aria-activedescendant", row.id);
    else box?.removeAttribute("aria-activedescendant");
  }

  /** @param {Instrument} one @param {number} index */
  function makeRow(one, index) {
    const add = h("span.search-add", { dataset: { add: "" } });
    const figures = h("span.search-price");
    const row = h("div.search-row", { role: "option", id: `search-${index}`, "aria-selected": "false", dataset: { place: placeOf(one) }, onclick: (/** @type {Event} */ event) => {
      choose(index);
      const element = /** @type {Element} */ (event.target);
      if (element.closest("[data-add]")) toggle(one);
      else open(one);
    } }, h("span.name", null, h("b", null, one.symbol), h("small.muted.cut", null, one.name)), figures, h("small.tag", null, one.exchange), h("small.muted.kind", null, kindOf(one)), add);
    return row;
  }

  function mark() {
    for (const row of rows) {
      const add = /** @type {HTMLElement} */ (row.querySelector("[data-add]"));
      const has = watchlist.has(row.dataset.place ?? "");
      add.title = has ? t("Remove from the watchlist") : t("Add to the watchlist");
      fill(add, icon(has ? "check" : "plus"), h("span.unseen", null, has ? t("on the watchlist") : ""));
      add.classList.toggle("has", has);
    }
  }

  function priced() {
    subscription?.unsubscribe();
    const wanted = items.slice(0, PRICED).map((one) => `market:${placeOf(one)}`);
    subscription = wanted.length ? live.hub?.subscribe(wanted, { mode: "ltp", maxFrequency: PRICE_HZ }, (value, { channel }) => {
      const row = rows.find((one) => `market:${one.dataset.place}` === channel);
      const place = row?.querySelector(".search-price");
      if (place) fill(place, h("span", null, price(value.price)), h("small", { class: direction(value.change_percent) }, percent(value.change_percent)));
    }) : undefined;
  }

  return {
    element: h("div.search-results", null, title, list),
    /** @param {HTMLInputElement} given */
    of(given) { box = given; },
    mark,
    /** @param {Instrument[]} every @param {string} heading */
    show(every, heading) {
      items = every;
      rows = every.map(makeRow);
      title.textContent = every.length ? heading : "";
      fill(list, rows);
      list.hidden = !every.length;
      mark();
      choose(0);
      priced();
    },
    /** @param {KeyboardEvent} event */
    key(event) {
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (by) choose(chosen + by);
      else if (event.key === "Enter" && items[chosen] && event.shiftKey) toggle(items[chosen]);
      else if (event.key === "Enter" && items[chosen]) open(items[chosen]);
      else return;
      event.preventDefault();
    },
    end: () => subscription?.unsubscribe(),
  };
}

/** @param {Instrument} one */
const kindOf = (one) => [KINDS[one.kind]?.() ?? one.kind, one.expiry ? day(one.expiry) : ""].filter(Boolean).join(" · ");
