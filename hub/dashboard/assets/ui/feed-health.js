import { h } from "../core/dom.js";

/** @returns {{ element: HTMLElement, end: () => void }} */
export function makeFeedHealth() {
  return { element: h("span"), end() {} };
}
