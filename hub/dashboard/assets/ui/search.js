import { h } from "../core/dom.js";

/** @returns {{ element: HTMLElement, end: () => void }} */
export function makeSearch() {
  return { element: h("span"), end() {} };
}
