// Rows of the watchlist, dragged to another place with the pointer.

import { h } from "../../core/dom.js";

/**
 * @param {{ grid: HTMLElement, space: HTMLElement, height: () => number, count: () => number, may: () => boolean, move: (place: string, to: number) => void }} options
 * @returns {() => void} what ends it
 */
export function letDrag({ grid, space, height, count, may, move }) {
  const line = h("div.watch-drop", { hidden: true });
  space.append(line);
  let dragged = "";
  let from = 0;

  /** Before which row the pointer is. @param {DragEvent} event */
  const gap = (event) => Math.max(0, Math.min(count(), Math.round((event.clientY - space.getBoundingClientRect().top) / height())));

  /** @param {DragEvent} event */
  const begin = (event) => {
    const row = /** @type {HTMLElement} */ (event.target).closest?.(".watch-row");
    if (!(row instanceof HTMLElement) || !may()) return event.preventDefault();
    dragged = row.dataset.place ?? "";
    from = Number(row.getAttribute("aria-rowindex")) - 2;
    event.dataTransfer?.setData("text/plain", dragged);
  };
  /** @param {DragEvent} event */
  const over = (event) => {
    if (!dragged) return;
    event.preventDefault();
    line.hidden = false;
    line.style.transform = `translateY(${gap(event) * height() - 1}px)`;
  };
  /** @param {DragEvent} event */
  const drop = (event) => {
    if (!dragged) return;
    event.preventDefault();
    const to = gap(event);
    move(dragged, to > from ? to - 1 : to);
  };
  const end = () => {
    dragged = "";
    line.hidden = true;
  };
  const those = /** @type {[string, any][]} */ ([["dragstart", begin], ["dragover", over], ["drop", drop], ["dragend", end]]);
  for (const [name, listener] of those) grid.addEventListener(name, listener);
  return () => { for (const [name, listener] of those) grid.removeEventListener(name, listener); };
}
