// What this browser keeps for us. Where it keeps nothing (a private window, a full disk), all goes on without.

/**
 * @template T
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
export function kept(name, otherwise) {
  try {
    const text = localStorage.getItem(`tickhub.${name}`);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** @param {string} name  @param {unknown} value  null: forget it */
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(`tickhub.${name}`);
    else localStorage.setItem(`tickhub.${name}`, JSON.stringify(value));
  } catch { /* then it is asked again next time */ }
}
