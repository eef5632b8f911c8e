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

export class Results {
  /** @type {Instrument[]} */
  #items = [];
  /** @type {HTMLElement[]} */
  #rows = [];
  #chosen = 0;
  /** @type {import("../tickhub.js").Subscription | undefined} */
  #subscription;
  #title = h("p.search-title.muted");
  #list = h("div.search-list", { id: "search-results", role: "listbox", "aria-label": t("Instruments") });

  /** @param {{ box: HTMLInputElement, open: (one: Instrument) => void, toggle: (one: Instrument) => void }} options  `box` is the field that keeps the focus. */
  constructor({ box, open, toggle }) {
    this.box = box;
    this.open = open;
    this.toggle = toggle;
    this.element = h("div.search-results", null, this.#title, this.#list);
    box.addEventListener("keydown", (event) => this.#press(event));
  }

  /** @param {Instrument[]} items @param {string} heading */
  show(items, heading) {
    this.#items = items;
    this.#rows = items.map((one, index) => this.#row(one, index));
    this.#title.textContent = items.length ? heading : "";
    this.#list.hidden = !items.length;
    fill(this.#list, this.#rows);
    this.mark();
    this.#choose(0);
    this.#priced();
  }

  /** Says of each whether it is on the watchlist. */
  mark() {
    for (const row of this.#rows) {
      const add = /** @type {HTMLElement} */ (row.querySelector("[data-add]"));
      const has = watchlist.has(row.dataset.place ?? "");
      add.title = has ? t("Remove from the watchlist") : t("Add to the watchlist");
      add.classList.toggle("has", has);
      fill(add, icon(has ? "check" : "plus"), h("span.unseen", null, has ? t("on the watchlist") : ""));
    }
  }

  /** @param {Instrument} one @param {number} index */
  #row(one, index) {
    const press = (/** @type {Event} */ event) => {
      this.#choose(index);
      if (/** @type {Element} */ (event.target).closest("[data-add]")) this.toggle(one);
      else this.open(one);
    };
    return h("div.search-row", { role: "option", id: `search-${index}`, "aria-selected": "false", dataset: { place: placeOf(one) }, onclick: press },
      h("span.name", null, h("b", null, one.symbol), h("small.muted.cut", null, one.name)), h("span.search-price"), h("small.tag", null, one.exchange), h("small.muted.kind", null, kindOf(one)), h("span.search-add", { dataset: { add: "" } }));
  }

  /** @param {number} index */
  #choose(index) {
    this.#rows[this.#chosen]?.setAttribute("aria-selected", "false");
    this.#chosen = Math.max(0, Math.min(this.#rows.length - 1, index));
    const row = this.#rows[this.#chosen];
    if (!row) return this.box.removeAttribute("aria-activedescendant");
    row.setAttribute("aria-selected", "true");
    row.scrollIntoView({ block: "nearest" });
    this.box.setAttribute("aria-activedescendant", row.id);
  }

  #priced() {
    this.end();
    const wanted = this.#items.slice(0, PRICED).map((one) => `market:${placeOf(one)}`);
    if (!wanted.length) return;
    this.#subscription = live.hub?.subscribe(wanted, { mode: "ltp", maxFrequency: PRICE_HZ }, (value, { channel }) => {
      const place = this.#rows.find((one) => `market:${one.dataset.place}` === channel)?.querySelector(".search-price");
      if (place) fill(place, h("span", null, price(value.price)), h("small", { class: direction(value.change_percent) }, percent(value.change_percent)));
    });
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    const one = this.#items[this.#chosen];
    if (by) this.#choose(this.#chosen + by);
    else if (event.key === "Enter" && one && event.shiftKey) this.toggle(one);
    else if (event.key === "Enter" && one) this.open(one);
    else return;
    event.preventDefault();
  }

  end() { this.#subscription?.unsubscribe(); }
}

/** @param {Instrument} one */
const kindOf = (one) => [KINDS[one.kind]?.() ?? one.kind, one.expiry ? day(one.expiry) : ""].filter(Boolean).join(" · ");
