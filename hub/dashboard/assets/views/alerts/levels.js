// The levels of a draft on its chart: which there are, and what it means to move one.

import { conditionOf } from "./draft.js";
import { formOf, isNumber, levelFields } from "./forms.js";

/** @typedef {import("./dialog.js").Editing} Editing */

/** The prices at which lines stand: at once what a form holds, else what the server has read. @param {import("./draft.js").Draft} draft @param {any} said @returns {number[]} */
export function levelsFrom(draft, said) {
  if (draft.mode === "text") return said && said.exchange + said.symbol === draft.place.replace(":", "") ? said.levels : [];
  const values = draft.values[draft.form];
  return levelFields(formOf(draft.form), values).map((name) => values[name]).filter(isNumber).map(Number).sort((a, b) => a - b);
}

/** To the tick, as far as a chart's height can tell. @param {number} value */
export const snapped = (value) => Number((Math.round(value / 0.05) * 0.05).toFixed(2));

/**
 * Puts a level elsewhere.
 *
 * @param {Editing} editing
 * @param {number | null} from  Null: the one that is nearest.
 * @param {number} to
 */
export function moveLevel({ draft, preview, change }, from, to) {
  const now = draft.value;
  const levels = levelsFrom(now, preview.value.said);
  const nearest = levels.length ? levels.reduce((best, one) => (Math.abs(one - to) < Math.abs(best - to) ? one : best)) : null;
  const moved = from ?? nearest;
  if (now.mode === "text") {
    if (moved === null) return;
    const text = withNumber(conditionOf(now), moved, snapped(to));
    if (text !== null) change({ text });
    return;
  }
  const values = now.values[now.form];
  const fields = levelFields(formOf(now.form), values);
  const name = fields.find((one) => Number(values[one]) === moved) ?? fields[0];
  if (name) change({ values: { ...now.values, [now.form]: { ...values, [name]: String(snapped(to)) } } });
}

/** A text with another number in the place of one that stands in it just once; null where it doesn't. @param {string} text @param {number} from @param {number} to */
function withNumber(text, from, to) {
  const found = [...text.matchAll(/(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w%])/g)].filter(([one]) => Number(one.replaceAll(",", "")) === from);
  if (found.length !== 1) return null;
  const { index } = found[0];
  return text.slice(0, index) + to + text.slice(index + found[0][0].length);
}

/** The indicators that a condition looks at of its own instrument and of these candles. @param {any} tree @param {string} timeframe @returns {string[]} */
export function indicatorsOf(tree, timeframe) {
  /** @type {Set<string>} */
  const found = new Set();
  const look = (/** @type {any} */ node) => {
    if (node?.is === "indicator" && !node.symbol && node.timeframe === timeframe && !node.text.includes("volume")) found.add(node.text);
    for (const below of Object.values(node ?? {})) if (below && typeof below === "object") look(below);
  };
  look(tree);
  return [...found];
}

/** The candles that a condition looks at, where it looks at some. @param {any} node @returns {string | null} */
export function frameOf(node) {
  if (!node || typeof node !== "object") return null;
  if (typeof node.timeframe === "string") return node.timeframe;
  for (const below of Object.values(node)) {
    const found = frameOf(below);
    if (found) return found;
  }
  return null;
}
