// The time by the server's clock: a browser's own may be wrong by hours, and tokens, sessions and alerts go by the server's.

import { boot } from "./boot.js";

/** How far the server's clock is ahead of this one, in milliseconds. */
let ahead = boot.now - Date.now();

/** Unix milliseconds. */
export const now = () => Date.now() + ahead;

/** The server has just said its time, in Unix milliseconds. @param {number} said */
export function heard(said) {
  ahead = said - Date.now();
}
