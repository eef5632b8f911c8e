// Short notices at the edge of the page, read out by screen readers.

import { h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { t } from "../core/i18n.js";

/** How long a notice stays, unless the pointer or the focus is on it. */
const STAYS_MS = 6000;
const MOST = 4;

// A popover, so that it can be lifted over a dialog that is open, into which it is put meanwhile.
const place = h("div.notices", { role: "region", "aria-live": "polite", popover: "manual" });
place.style.padding = "0"; // also within a dialog, which pads what it holds
document.body.append(place);

/** Above the dialog that is open, since all behind one is out of reach of pointers and screen readers; else in the page. */
export function lift() {
  const above = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (place.parentElement !== above) above.append(place);
  place.hidePopover();
  if (place.childElementCount) place.showPopover();
}

/** Takes all away, as somebody else is looking now. */
export const clear = () => place.replaceChildren();

/**
 * @typedef {object} Notice
 * @property {string} title
 * @property {string} [text]
 * @property {"info" | "good" | "bad" | "alert"} [kind]
 * @property {{ label: string, run: () => void }} [action]
 * @property {boolean} [stays]  Until it is closed.
 */

/** Shows a notice; returns what takes it away. @param {Notice} notice @returns {() => void} */
export function notify({ title, text, kind = "info", action, stays = false }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const away = () => { clearTimeout(timer); shown.remove(); };
  const wait = () => {
    clearTimeout(timer);
    if (!stays && !shown.matches(":hover, :focus-within")) timer = setTimeout(away, STAYS_MS);
  };
  const shown = h(
    "div.notice",
    { class: kind, role: kind === "bad" || kind === "alert" ? "alert" : "status", onmouseenter: () => clearTimeout(timer), onmouseleave: wait, onfocusin: () => clearTimeout(timer), onfocusout: () => setTimeout(wait) },
    icon(kind === "bad" ? "warning" : kind === "alert" ? "alert" : kind === "good" ? "check" : "info"),
    h("div.grow", null, h("strong", null, title), text ? h("p", null, text) : null),
    action ? h("button.quiet.small", { type: "button", onclick: () => { action.run(); away(); } }, action.label) : null,
    h("button.quiet.small", { type: "button", "aria-label": t("Close"), onclick: away }, icon("close")),
  );
  place.setAttribute("aria-label", t("Notices"));
  place.append(shown);
  while (place.children.length > MOST) place.firstElementChild?.remove();
  lift();
  wait();
  return away;
}

/** Says what went wrong with something that was asked for. @param {string} what @param {any} error */
export function complain(what, error) {
  if (error?.name === "AbortError") return;
  notify({ kind: "bad", title: what, text: error?.message ?? String(error) });
}
