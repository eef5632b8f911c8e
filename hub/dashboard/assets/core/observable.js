// A value that tells when it changes.

/**
 * @template T
 * @typedef {object} Observable
 * @property {T} value
 * @property {(value: T) => void} set  Tells every listener, unless it is the value that it has.
 * @property {(listener: (value: T) => void) => () => void} on  Calls at once and at each change; returns what ends that.
 */

/**
 * @template T
 * @param {T} first
 * @returns {Observable<T>}
 */
export function observable(first) {
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set();
  return {
    value: first,
    set(value) {
      if (value === this.value) return;
      this.value = value;
      for (const listener of listeners) listener(value);
    },
    on(listener) {
      listeners.add(listener);
      listener(this.value);
      return () => listeners.delete(listener);
    },
  };
}
