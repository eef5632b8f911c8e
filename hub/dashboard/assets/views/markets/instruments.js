// What is known of instruments: found by a search, and kept.

import { get } from "../../core/api.js";

/**
 * @typedef {object} Instrument
 * @property {string} exchange
 * @property {string} symbol
 * @property {string} name
 * @property {"stock" | "index" | "future" | "option"} kind
 * @property {number} [tick_size]
 * @property {number} [lot_size]
 * @property {string} [expiry]
 */

const KEPT = 200;
/** @type {Map<string, Promise<Instrument[]>>} */
const searches = new Map();
/** @type {Map<string, Instrument>} */
const known = new Map();

/** `NSE:RELIANCE`. @param {{ exchange: string, symbol: string }} one */
export const placeOf = ({ exchange, symbol }) => `${exchange}:${symbol}`;

/** @param {string} place @returns {{ exchange: string, symbol: string }} */
export function partsOf(place) {
  const [exchange, ...rest] = place.split(":");
  return rest.length ? { exchange, symbol: rest.join(":") } : { exchange: "NSE", symbol: exchange };
}

/** The instruments that fit, the best first. @param {string} text @param {AbortSignal} [signal] @param {string} [exchange] @returns {Promise<Instrument[]>} */
export function search(text, signal, exchange) {
  const key = `${exchange ?? ""} ${text.trim().toLowerCase()}`;
  const before = searches.get(key);
  if (before) return before;
  const found = get("/market/search", { q: text, limit: 30, exchange }, signal).then(({ items }) => {
    for (const one of items) known.set(placeOf(one), one);
    return items;
  });
  found.catch(() => searches.delete(key));
  searches.set(key, found);
  if (searches.size > KEPT) searches.delete(/** @type {string} */ (searches.keys().next().value));
  return found;
}

/** What is known of one without asking. @param {string} place */
export const instrumentKnown = (place) => known.get(place);

/** One instrument; null where no list has it. @param {string} place @returns {Promise<Instrument | null>} */
export async function instrument(place) {
  if (!known.has(place)) {
    const { exchange, symbol } = partsOf(place);
    await search(symbol, undefined, exchange);
  }
  return known.get(place) ?? null;
}
