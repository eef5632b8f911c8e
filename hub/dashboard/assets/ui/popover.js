// A panel that a button opens below itself, and that goes when anything else is pressed.

import { fill, h } from "../core/dom.js";

/**
 * `content` is asked each time it opens, and may return what ends it beside the nodes.
 *
 * @param {{ label: string, button: HTMLButtonElement, content: () => (Node | null)[], onclose?: () => void }} options
 */
export function popover({ label, button, content, onclose }) {
  const panel = h("div.popover", { popover: "auto", role: "dialog", "aria-label": label, tabindex: "-1" });
  button.setAttribute("aria-haspopup", "dialog");
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => panel.togglePopover());
  const draw = () => fill(panel, content());
  panel.addEventListener("beforetoggle", (event) => {
    const opens = /** @type {ToggleEvent} */ (event).newState === "open";
    button.setAttribute("aria-expanded", String(opens));
    if (!opens) return;
    draw();
    const { left, right, bottom } = button.getBoundingClientRect();
    panel.style.insetBlockStart = `${bottom + 6}px`;
    panel.style.maxHeight = `${innerHeight - bottom - 20}px`;
    if (left > innerWidth / 2) Object.assign(panel.style, { insetInlineStart: "auto", insetInlineEnd: `${Math.max(8, innerWidth - right)}px` });
    else Object.assign(panel.style, { insetInlineStart: `${Math.max(8, left)}px`, insetInlineEnd: "auto" });
  });
  panel.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "open") panel.focus();
    else onclose?.();
  });
  return {
    panel,
    /** Draws its content anew, where it is open. */
    refresh() { if (panel.matches(":popover-open")) draw(); },
    close: () => panel.hidePopover(),
  };
}
