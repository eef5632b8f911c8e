// Which instrument an alert is for: a search as one types, with the list below it.

import { fill, h, settled } from "../../core/dom.js";
import { direction, percent, price } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { field, input } from "../../ui/controls.js";
import { search } from "../markets/instruments.js";
import { makePrices } from "./prices.js";

/** @typedef {import("../markets/instruments.js").Instrument} Found */

/** A combobox over all instruments. `chosen` is called with a place such as NSE:RELIANCE; with `optional` with an empty text, too. @param {{ place: string, chosen: (place: string) => void, label?: string, optional?: boolean }} options */
export function makeInstrumentField({ place, chosen, label = t("Instrument"), optional = false }) {
  let current = place;
  /** @type {Found[]} */
  let found = [];
  let at = 0;
  const list = h("ul.options", { role: "listbox", id: `instruments-${Math.random().toString(36).slice(2)}`, hidden: true, "aria-label": label });
  const box = input({ value: place, role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id, spellcheck: "false", onfocus: () => box.select() });
  const close = () => { list.hidden = true; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); };
  const choose = (/** @type {Found} */ one) => { current = `${one.exchange}:${one.symbol}`; box.value = current; close(); chosen(current); };
  const draw = () => {
    fill(list, found.map((one, index) => h("li", { role: "option", id: `${list.id}-${index}`, "aria-selected": String(index === at), onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); choose(one); } },
      h("strong", null, one.symbol), h("span.tag", null, one.exchange), h("span.muted.cut.grow", null, one.name ?? ""))));
    list.hidden = !found.length;
    box.setAttribute("aria-expanded", String(found.length > 0));
    if (found.length) box.setAttribute("aria-activedescendant", `${list.id}-${at}`);
  };
  const look = settled(150, async () => {
    const said = box.value.trim();
    if (!said || said === current) return close();
    const [, exchange, symbol] = /^(?:([A-Z]{3}):)?(.*)$/i.exec(said) ?? [];
    const items = await search(symbol, undefined, exchange?.toUpperCase()).catch(() => []);
    if (box.value.trim() !== said) return;
    [found, at] = [items.slice(0, 8), 0];
    draw();
  });
  const leave = () => {
    close();
    if (!optional || box.value.trim()) { box.value = current; return; }
    if (current) chosen("");
    current = "";
  };
  box.addEventListener("input", look);
  box.addEventListener("blur", leave);
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by && found.length && !list.hidden) { at = (at + by + found.length) % found.length; draw(); event.preventDefault(); }
    if (event.key === "Enter" && !list.hidden) { choose(found[at]); event.preventDefault(); } else if (event.key === "Enter" && optional) leave();
    if (event.key === "Escape" && !list.hidden) { close(); event.preventDefault(); event.stopPropagation(); }
  });
  const whole = field(label, box);
  whole.append(list);
  whole.classList.add("combobox");
  return { element: whole, box };
}

/** @param {import("./dialog.js").Editing} editing */
export function makePlace({ draft, change }) {
  const prices = makePrices();
  const quote = h("p.quote");
  const show = (/** @type {import("./prices.js").Price} */ { price: now, change_percent: moved }) => fill(quote, h("strong", null, price(now)), " ", h("span", { class: direction(moved) }, percent(moved)));
  let off = prices.on(draft.value.place, show);
  const { element } = makeInstrumentField({
    place: draft.value.place,
    chosen: (place) => {
      off();
      fill(quote);
      off = prices.on(place, show);
      change({ place });
    },
  });
  return { element: h("div.place", null, element, quote), end() { off(); prices.end(); } };
}
