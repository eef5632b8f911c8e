import { h } from "../core/dom.js";

/** @returns {{ element: HTMLElement, end: () => void }} */
export function makeMarketClock() {
  return { element: h("span"), end() {} };
}
