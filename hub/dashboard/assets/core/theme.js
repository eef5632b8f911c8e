// Light, dark, or as the system has it.

import { observable } from "./observable.js";

/** @typedef {"light" | "dark" | "system"} Theme */

const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {Theme} */
function chosen() {
  const kept = document.documentElement.dataset.theme;
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const theme = observable(chosen());

/** What is shown: light or dark. Charts draw themselves anew when it changes. */
export const shade = observable(shown());

/** @returns {"light" | "dark"} */
function shown() {
  const wanted = document.documentElement.dataset.theme;
  if (wanted === "light" || wanted === "dark") return wanted;
  return system.matches ? "dark" : "light";
}

system.addEventListener("change", () => shade.set(shown()));

/** @param {Theme} wanted */
export function paint(wanted) {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  try { localStorage.setItem("tickhub.theme", wanted); } catch { /* until the page is left */ }
  theme.set(wanted);
  shade.set(shown());
}

/** A colour of the style sheet as it is now, for what is drawn on a canvas. @param {string} name such as `--up` */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
