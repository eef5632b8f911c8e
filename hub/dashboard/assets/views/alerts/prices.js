// Live prices of whatever instruments are looked at here, over one subscription.

import { live } from "../../core/live.js";

/** @typedef {{ price: number, change_percent?: number }} Price */

export function makePrices() {
  /** @type {Map<string, Set<(price: Price) => void>>} */
  const listeners = new Map();
  /** @type {Map<string, Price>} */
  const newest = new Map();
  /** @type {any} */
  let subscription = null;
  const hear = (/** @type {any} */ value) => {
    const place = `${value.exchange}:${value.symbol}`;
    newest.set(place, value);
    listeners.get(place)?.forEach((listener) => listener(value));
  };
  const add = (/** @type {string} */ place) => {
    if (subscription) subscription.add(`market:${place}`);
    else subscription = live.hub?.subscribe(`market:${place}`, { mode: "quote", maxFrequency: 2 }, hear);
  };
  return {
    /** Tells the price now and whenever it changes; returns what ends that. @param {string} place such as NSE:RELIANCE @param {(price: Price) => void} listener */
    on(place, listener) {
      const there = listeners.get(place) ?? new Set();
      if (!listeners.has(place)) {
        listeners.set(place, there);
        add(place);
      }
      there.add(listener);
      const known = newest.get(place);
      if (known) listener(known);
      return () => there.delete(listener);
    },
    end: () => subscription?.unsubscribe(),
  };
}

/** @typedef {ReturnType<typeof makePrices>} Prices */

/** How long a price is waited for. */
const PATIENCE_MS = 800;

/** The newest price of an instrument; null where none comes soon. @param {string} place @returns {Promise<number | null>} */
export function newestPrice(place) {
  return new Promise((resolve) => {
    const prices = makePrices();
    const tell = (/** @type {number | null} */ price) => { clearTimeout(timer); resolve(price); queueMicrotask(prices.end); };
    const timer = setTimeout(() => tell(null), PATIENCE_MS);
    prices.on(place, ({ price }) => tell(price));
  });
}
