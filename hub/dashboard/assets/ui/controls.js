// Parts of forms and pages that many views have.

import { fill, h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { t } from "../core/i18n.js";

let number = 0;

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Control */
/** @typedef {HTMLDivElement & { fail: (text: string) => void }} Field  `fail("")` takes the error away */

/**
 * A label, its control, and what there is to say of it.
 *
 * @param {string} label
 * @param {Control} control
 * @param {{ hint?: string | Node, hiddenLabel?: boolean }} [options]
 * @returns {Field}
 */
export function field(label, control, { hint, hiddenLabel = false } = {}) {
  const id = control.id || `field-${++number}`;
  control.id = id;
  const error = h("p.error", { id: `${id}-error`, hidden: true, role: "alert" });
  const said = hint ? h("p.hint", { id: `${id}-hint` }, hint) : null;
  control.setAttribute("aria-describedby", [said?.id, error.id].filter(Boolean).join(" "));
  const whole = /** @type {Field} */ (h("div.field", null, h("label", { for: id, class: hiddenLabel ? "unseen" : "" }, label), control, said, error));
  whole.fail = (text) => {
    error.hidden = !text;
    error.textContent = text;
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  return whole;
}

/** @param {Record<string, any>} [attributes] */
export const input = (attributes = {}) => h("input", { type: "text", autocomplete: "off", ...attributes });

/**
 * @param {[value: string, label: string][]} options
 * @param {Record<string, any>} [attributes]
 */
export const select = (options, { value, ...attributes } = {}) =>
  h("select", attributes, options.map(([one, label]) => h("option", { value: one, selected: one === value }, label)));

/** A box to tick, with its label behind. @param {string} label @param {Record<string, any>} [attributes] */
export function checkbox(label, attributes = {}) {
  const box = h("input", { type: "checkbox", ...attributes });
  return Object.assign(h("label.check", null, box, h("span", null, label)), { box });
}

/**
 * A button that is busy while its work runs, and can't be pressed twice meanwhile.
 *
 * @param {string} tag such as `button.primary`
 * @param {Record<string, any> & { onclick: (event: Event) => any }} attributes
 * @param {...import("../core/dom.js").Child} children
 */
export function worker(tag, { onclick, ...attributes }, ...children) {
  const button = h(/** @type {"button"} */ (tag), { type: "button", ...attributes }, ...children);
  button.addEventListener("click", async (event) => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    try { await onclick(event); } finally { button.ariaBusy = "false"; }
  });
  return button;
}

/**
 * A button that opens a menu below it. `items` is asked each time.
 *
 * @param {{ label: string, content: import("../core/dom.js").Child[], items: () => (MenuItem | null)[], class?: string }} options
 * @typedef {{ label: string, icon?: import("../core/icons.js").IconName, run: () => void, checked?: boolean, danger?: boolean }} MenuItem
 */
export function menu({ label, content, items, class: classes = "quiet" }) {
  const list = h("div.menu", { popover: "auto", role: "menu", "aria-label": label });
  const button = h("button", { type: "button", class: classes, "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": label, title: label }, content);
  button.addEventListener("click", () => {
    list.togglePopover();
    if (list.matches(":popover-open")) keepInSight(list, button);
  });
  list.addEventListener("beforetoggle", (event) => {
    const opens = /** @type {ToggleEvent} */ (event).newState === "open";
    button.setAttribute("aria-expanded", String(opens));
    if (!opens) return;
    fill(list, items().filter((one) => one !== null).map((one) => item(one, list)));
    const { right, bottom } = button.getBoundingClientRect();
    list.style.insetBlockStart = `${bottom + 6}px`;
    list.style.insetInlineEnd = `${Math.max(8, innerWidth - right)}px`;
  });
  list.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "open") /** @type {HTMLElement | null} */ (list.firstElementChild)?.focus();
  });
  list.addEventListener("keydown", (event) => step(list, event));
  return h("span.menu-place", null, button, list);
}

/** Above its button, where there is no room below. @param {HTMLElement} list @param {HTMLElement} button */
function keepInSight(list, button) {
  const { bottom, height } = list.getBoundingClientRect();
  if (bottom > innerHeight - 8) list.style.insetBlockStart = `${Math.max(8, button.getBoundingClientRect().top - 6 - height)}px`;
}

/** @param {MenuItem} one @param {HTMLElement} list */
function item(one, list) {
  return h(
    one.danger ? "button.danger-text" : "button",
    { type: "button", role: one.checked === undefined ? "menuitem" : "menuitemradio", "aria-checked": one.checked === undefined ? null : String(one.checked), onclick: () => { list.hidePopover(); one.run(); } },
    one.icon ? icon(one.icon) : null, h("span.grow", null, one.label), one.checked ? icon("check") : null,
  );
}

/** Up and down within a menu. @param {HTMLElement} list @param {KeyboardEvent} event */
function step(list, event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const every = [...list.querySelectorAll("button")];
  const next = every[(every.indexOf(/** @type {any} */ (document.activeElement)) + by + every.length) % every.length];
  next?.focus();
}

/**
 * Tabs; the panel of the chosen one is made when it is first shown. `onmount` may return what ends it.
 *
 * @param {{ label: string, tabs: { id: string, label: string, mount: (panel: HTMLElement) => void | (() => void) }[], chosen?: string, onchoose?: (id: string) => void }} options
 */
export function tabs({ label, tabs: every, chosen, onchoose }) {
  const panel = h("div.panel", { role: "tabpanel", tabindex: "0" });
  /** @type {void | (() => void)} */
  let end;
  const buttons = every.map(({ id, label: said }) => h("button", { type: "button", role: "tab", id: `tab-${id}`, onclick: () => choose(id) }, said));
  const list = h("div.tabs", { role: "tablist", "aria-label": label, onkeydown: (/** @type {KeyboardEvent} */ event) => move(event) }, buttons);
  const choose = (/** @type {string} */ id, told = true) => {
    end?.();
    fill(panel);
    buttons.forEach((button, index) => {
      const here = every[index].id === id;
      button.setAttribute("aria-selected", String(here));
      button.tabIndex = here ? 0 : -1;
      if (here) requestAnimationFrame(() => button.scrollIntoView({ block: "nearest", inline: "center" })); // once it stands in the page
    });
    panel.setAttribute("aria-labelledby", `tab-${id}`);
    end = every.find((one) => one.id === id)?.mount(panel);
    if (told) onchoose?.(id);
  };
  const move = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = buttons[(buttons.indexOf(/** @type {any} */ (document.activeElement)) + by + buttons.length) % buttons.length];
    next.focus();
    next.click();
  };
  choose(every.some((one) => one.id === chosen) ? /** @type {string} */ (chosen) : every[0].id, false);
  return Object.assign(h("div.tabbed", null, list, panel), { end: () => end?.(), choose: (/** @type {string} */ id) => choose(id, false) });
}

/** What stands where there is nothing to show. @param {string} title @param {string} [text] @param {...import("../core/dom.js").Child} more */
export const nothing = (title, text, ...more) => h("div.nothing", null, h("strong", null, title), text ? h("p", null, text) : null, more);

/** What stands where something is still on its way. @param {number} [lines] */
export const loading = (lines = 3) => h("div.loading", { role: "status", "aria-label": t("Loading") }, Array.from({ length: lines }, () => h("span")));
