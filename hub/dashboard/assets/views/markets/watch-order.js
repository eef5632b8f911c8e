// In which order the watchlist is shown: the user's own, or by a column; and what of it the filter leaves.

import { partsOf } from "./instruments.js";

/** @typedef {"symbol" | "price" | "change" | "volume"} Column */
/** @typedef {{ column: Column, way: 1 | -1 } | null} Sorting  null: the user's own order */

/** @type {Record<Column, (value: any) => number>} */
const FIGURES = {
  symbol: () => 0,
  price: (value) => value?.price ?? -Infinity,
  change: (value) => value?.change_percent ?? -Infinity,
  volume: (value) => value?.volume ?? -Infinity,
};

/**
 * @param {string[]} places
 * @param {{ filter: string, sorting: Sorting, value: (place: string) => any }} how
 */
export function ordered(places, { filter, sorting, value }) {
  const wanted = filter.trim().toUpperCase();
  const left = wanted ? places.filter((one) => one.toUpperCase().includes(wanted)) : [...places];
  if (!sorting) return left;
  const { column, way } = sorting;
  if (column === "symbol") return left.sort((a, b) => way * partsOf(a).symbol.localeCompare(partsOf(b).symbol));
  const figures = new Map(left.map((one) => [one, FIGURES[column](value(one))]));
  return left.sort((a, b) => way * (Number(figures.get(a)) - Number(figures.get(b))) || a.localeCompare(b));
}

/** What a press on a column's head makes of the order: figures begin with the most, names with A; the third press ends it. @param {Sorting} now @param {Column} column @returns {Sorting} */
export function pressed(now, column) {
  const begin = column === "symbol" ? 1 : -1;
  if (now?.column !== column) return { column, way: begin };
  return now.way === begin ? { column, way: /** @type {1 | -1} */ (-begin) } : null;
}
