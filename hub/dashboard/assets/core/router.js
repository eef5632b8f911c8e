// Which view is shown: the part of the address behind `#`, such as `#/markets/NSE:RELIANCE?tf=5m`.

import { observable } from "./observable.js";

/** @typedef {{ view: string, rest: string[], query: URLSearchParams }} Route */

/** A part of an address as it is meant; one with a stray `%` as it stands. @param {string} part */
function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @returns {Route} */
function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...rest] = path.split("/").map(plain);
  return { view: view || "markets", rest, query: new URLSearchParams(query) };
}

export const route = observable(read());

addEventListener("hashchange", () => {
  // A link that brings a token or a login is for a page that begins, which takes it out of the address.
  if (/^#(token|login)=/.test(location.hash)) location.reload();
  else route.set(read());
});

/** An address within this page: `href("markets", "NSE:NIFTY 50")`. @param {...string} parts */
export const href = (...parts) => `#/${parts.map((part) => encodeURIComponent(part).replaceAll("%3A", ":")).join("/")}`;

/** Goes there. @param {string} address @param {{ replace?: boolean }} [options] replace: without a step in the history */
export function go(address, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", address);
    queueMicrotask(() => route.set(read())); // as `hashchange` tells it: once whoever goes there has done its work
  } else location.hash = address;
}
