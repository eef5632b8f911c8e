// Dialogs: the browser's own, so that focus stays inside, Escape closes, and what is behind is out of reach.

import { h } from "../core/dom.js";
import { icon } from "../core/icons.js";
import { t } from "../core/i18n.js";
import { lift } from "./notices.js";

let number = 0;

/**
 * Opens a dialog; `body` is called with what closes it. Returns a promise of what it was closed with, undefined where
 * it was left.
 *
 * @template T
 * @param {{ title: string, wide?: boolean, body: (close: (result?: T) => void) => Node | Node[], onclose?: () => void }} options
 * @returns {Promise<T | undefined>}
 */
export function openDialog({ title, wide = false, body, onclose }) {
  return new Promise((resolve) => {
    /** @type {T | undefined} */
    let result;
    const id = `dialog-${++number}`;
    const close = (/** @type {T | undefined} */ given = undefined) => { result = given; dialog.close(); };
    const dialog = h(
      wide ? "dialog.wide" : "dialog",
      { "aria-labelledby": id },
      h("header", null, h("h2", { id }, title), h("button.quiet.square", { type: "button", "aria-label": t("Close"), onclick: () => close() }, icon("close"))),
    );
    const content = body(close);
    dialog.append(...(Array.isArray(content) ? content : [content]));
    dialog.addEventListener("close", () => { lift(); onclose?.(); dialog.remove(); resolve(result); });
    document.body.append(dialog);
    dialog.showModal();
    lift();
    /** @type {HTMLElement | null} */ (dialog.querySelector("[autofocus]") ?? dialog.querySelector("input:not([type=hidden]), textarea, select"))?.focus();
  });
}

/** Leaves every dialog: whoever opened them is not looking any more. */
export function closeDialogs() {
  for (const one of /** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll("dialog[open]"))) one.close();
}

/**
 * Asks before something that can't be taken back. Resolves to whether it is wanted.
 *
 * @param {{ title: string, text: string, yes: string, danger?: boolean }} question
 */
export async function confirmed({ title, text, yes, danger = true }) {
  const answer = await openDialog({
    title,
    body: (/** @type {(result?: boolean) => void} */ close) => [
      h("p", null, text),
      h("footer", null,
        h("button", { type: "button", onclick: () => close(false) }, t("Cancel")),
        h(danger ? "button.danger" : "button.primary", { type: "button", onclick: () => close(true) }, yes)),
    ],
  });
  return answer === true;
}
