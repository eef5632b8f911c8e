// Search over all instruments, from anywhere: ⌘K, Ctrl+K or "/".

import { fill, h, settled } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { icon } from "../core/icons.js";
import { go, href } from "../core/router.js";
import { keep, kept } from "../core/storage.js";
import { placeOf, search } from "../views/markets/instruments.js";
import { watchlist } from "../views/markets/watchlist.js";
import { nothing } from "./controls.js";
import { openDialog } from "./dialog.js";
import { Results } from "./search-results.js";

const TYPED_MS = 120;
const RECENT = 8;

/** @typedef {import("../views/markets/instruments.js").Instrument} Instrument */

/** @returns {Instrument[]} */
const recent = () => kept("recent", []);

/** @param {Instrument} one */
function remember(one) {
  const others = recent().filter((other) => placeOf(other) !== placeOf(one));
  keep("recent", [one, ...others].slice(0, RECENT));
}

let isOpen = false;

/** Opens the search. @param {{ adding?: boolean }} [options] adding: Enter puts the symbol on the watchlist, and the search stays */
export function openSearch({ adding = false } = {}) {
  if (isOpen) return;
  isOpen = true;
  void watchlist.load();
  /** @type {Search | null} */
  let search = null;
  void openDialog({
    title: adding ? t("Add symbols to the watchlist") : t("Search instruments"),
    body: (close) => { search = new Search(adding, close); return search.element; },
    onclose: () => { isOpen = false; search?.end(); },
  });
}

class Search {
  /** @type {AbortController | null} */
  #asking = null;
  #state = h("div.search-state", { role: "status" });
  #typed = settled(TYPED_MS, (/** @type {string} */ text) => void this.#look(text));

  /** @param {boolean} adding @param {() => void} close */
  constructor(adding, close) {
    this.close = close;
    const box = h("input", {
      type: "text", role: "combobox", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", autofocus: true, "aria-autocomplete": "list", "aria-expanded": "true", "aria-controls": "search-results",
      "aria-label": t("Symbol, name or ISIN"), placeholder: t("Symbol, name or ISIN, such as reliance or nifty 24000 ce"), oninput: () => this.#typed(box.value),
    });
    const toggle = (/** @type {Instrument} */ one) => this.#toggle(one);
    this.results = new Results({ box, toggle, open: adding ? toggle : (one) => this.#open(one) });
    this.element = h("div.search", null, h("div.search-box", null, icon("search"), box), this.results.element, this.#state, keys(adding));
    this.#show(recent(), "");
  }

  /** @param {Instrument} one */
  #open(one) {
    remember(one);
    this.close();
    go(href("markets", placeOf(one)));
  }

  /** @param {Instrument} one */
  #toggle(one) {
    remember(one);
    if (watchlist.has(placeOf(one))) watchlist.remove(placeOf(one));
    else watchlist.add(placeOf(one));
    this.results.mark();
  }

  /** @param {string} text */
  async #look(text) {
    this.#asking?.abort();
    this.#asking = new AbortController();
    if (!text.trim()) return this.#show(recent(), "");
    try {
      this.#show(await search(text, this.#asking.signal), text.trim());
    } catch (/** @type {any} */ error) {
      if (error.name !== "AbortError") fill(this.#state, nothing(t("The search failed"), error.message));
    }
  }

  /** @param {Instrument[]} items @param {string} text */
  #show(items, text) {
    this.results.show(items, text ? "" : t("Recent"));
    if (items.length) fill(this.#state, h("span.unseen", null, t("{count} found", { count: items.length })));
    else if (!text) fill(this.#state, nothing(t("Type to search all instruments")));
    else fill(this.#state, nothing(t("Nothing was found for {text}", { text }), t("Try a symbol, a part of a company's name, an ISIN, or a contract such as nifty 24000 ce.")));
  }

  end() {
    this.#asking?.abort();
    this.results.end();
  }
}

/** @param {boolean} adding */
function keys(adding) {
  const key = (/** @type {string} */ name, /** @type {string} */ does) => h("span", null, h("kbd", null, name), " ", does);
  return h("p.search-keys", { "aria-hidden": "true" }, key("↑↓", t("choose")), key("Enter", adding ? t("add or remove") : t("open")), adding ? null : key("Shift Enter", t("add or remove")), key("Esc", t("close")));
}

/** Whether a key is meant for what has the focus. @param {EventTarget | null} target */
const types = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** @returns {{ element: HTMLElement, end: () => void }} */
export function makeSearch() {
  const mac = /Mac|iPhone|iPad/.test(navigator.userAgent);
  const press = (/** @type {KeyboardEvent} */ event) => {
    const wanted = (event.key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey)) || (event.key === "/" && !types(event.target) && !event.ctrlKey && !event.metaKey);
    if (!wanted || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    openSearch();
  };
  addEventListener("keydown", press);
  const label = t("Search instruments");
  const element = h("button.search-button", { type: "button", "aria-label": label, "aria-keyshortcuts": "Control+K Meta+K /", onclick: () => openSearch() }, icon("search"), h("span.grow", null, t("Search")), h("kbd", null, mac ? "⌘K" : "Ctrl K"));
  return { element, end: () => removeEventListener("keydown", press) };
}
