// The line between the watchlist and the rest, which may be moved by the pointer and by the arrow keys.

import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { keep, kept } from "../../core/storage.js";

const LEAST = 260;
const MOST = 560;
const STEP = 20;

/** @param {HTMLElement} whole  Its `--watch` says how wide the watchlist is. */
export function makeResizer(whole) {
  let width = kept("watch", 350);
  const element = h("div.resizer", { role: "separator", tabindex: "0", "aria-orientation": "vertical", "aria-label": t("Width of the watchlist"), "aria-valuemin": LEAST, "aria-valuemax": MOST });
  const set = (/** @type {number} */ wanted) => {
    width = Math.round(Math.max(LEAST, Math.min(MOST, wanted)));
    whole.style.setProperty("--watch", `${width}px`);
    element.setAttribute("aria-valuenow", String(width));
  };
  set(width);
  element.addEventListener("pointerdown", (event) => element.setPointerCapture(event.pointerId));
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) set(event.clientX - whole.getBoundingClientRect().left);
  });
  element.addEventListener("lostpointercapture", () => keep("watch", width));
  element.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    set(width + by);
    keep("watch", width);
  });
  return element;
}
