// What stands in a token, as far as this page needs it. Whether it is genuine is the server's affair.

import { now } from "./server-clock.js";

/** @typedef {{ sub?: string, plan?: any, role?: any, exp?: number, iat?: number }} Claims */

/** Seconds before its end that a token is renewed: before the server says on the socket that it is about to end. */
const MARGIN_S = 90;

/** @param {string} token @returns {Claims} */
export function claims(token) {
  try {
    const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (one) => one.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** Whether it is over, or as good as over; one that lives shortly anyway is used longer. @param {string} token */
export function ended(token) {
  const { exp = Infinity, iat = exp - 3600 } = claims(token);
  return exp - Math.min(MARGIN_S, (exp - iat) / 3) < now() / 1000;
}
