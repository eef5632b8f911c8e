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
import { makeResults } from "./search-results.js";

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
  void openDialog({ title: adding ? t("Add symbols to the watchlist") : t("Search instruments"), body: (close) => makeBody(adding, close), onclose: () => { isOpen = false; ended(); } });
}

let ended = () => {};

/** @param {boolean} adding @param {() => void} close */
function makeBody(adding, close) {
  /** @type {AbortController | null} */
  let asking = null;
  const open = (/** @type {Instrument} */ one) => {
    remember(one);
    close();
    go(href("markets", placeOf(one)));
  };
  const toggle = (/** @type {Instrument} */ one) => {
    remember(one);
    if (watchlist.has(placeOf(one))) watchlist.remove(placeOf(one));
    else watchlist.add(placeOf(one));
    results.mark();
  };
  const results = makeResults({ open: adding ? toggle : open, toggle });
  const state = h("div.search-state", { role: "status" });
  const box = h("input", {
    type: "text", role: "combobox", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", autofocus: true, "aria-autocomplete": "list", "aria-expanded": "true", "aria-controls": "search-results",
    "aria-label": t("Symbol, name or ISIN"), placeholder: t("Symbol, name or ISIN, such as reliance or nifty 24000 ce"), oninput: () => { typed(box.value); },
    onkeydown: (/** @type {KeyboardEvent} */ event) => results.key(event),
  });
  results.of(box);

  const show = (/** @type {Instrument[]} */ items, /** @type {string} */ text) => {
    results.show(items, text ? "" : t("Recent"));
    if (items.length) fill(state, h("span.unseen", null, t("{count} found", { count: items.length })));
    else fill(state, text ? nothing(t("Nothing was found for {text}", { text }), t("Try a symbol, a part of a company's name, an ISIN, or a contract such as nifty 24000 ce.")) : nothing(t("Type to search all instruments")));
  };
  const look = async (/** @type {string} */ text) => {
    asking?.abort();
    asking = new AbortController();
    if (!text.trim()) return show(recent(), "");
    try {
      show(await search(text, asking.signal), text.trim());
    } catch (/** @type {any} */ error) {
      if (error.name !== "AbortError") fill(state, nothing(t("The search failed"), error.message));
    }
  };
  const typed = settled(TYPED_MS, (/** @type {string} */ text) => void look(text));
  ended = () => { asking?.abort(); results.end(); };
  show(recent(), "");
  return [h("div.search", null, h("div.search-box", null, icon("search"), box), results.element, state, keys(adding))];
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
