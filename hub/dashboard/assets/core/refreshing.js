// How a login goes on: a refresh token is given for new tokens, once. One that comes twice ends the whole login, for it
// must have been copied, so that nothing here may send one twice, in however many tabs.
//
// Where the browser takes the cookie, it holds the refresh token, out of reach of any script and the same in all tabs:
// these renew one after the other, and tell each other what they got. Where it doesn't (plain http on any host but this
// machine, and in Safari there too), each login belongs to one tab, which holds the token in memory. A reload finds it
// in the tab's storage, where it lies only while no page is shown: a tab that is duplicated gets none.

import { bare } from "./http.js";
import { keep, kept } from "./storage.js";

const LOCK = "tickhub.refresh";
const CARRIED = "tickhub.refresh";
/** For how long the lock is kept after an answer, until the tabs that wait for it have heard of it. */
const HEARD_MS = 500;
/** For how long an answer may still come to a page that was left while it waited. */
const UNDER_WAY_MS = 5000;

/** @type {boolean | undefined} */
let cookies;

/** Whether the browser keeps the cookie here. Asked by one that any script can read, but has the same conditions. */
export function takesCookie() {
  if (cookies === undefined) {
    document.cookie = "__Secure-tickhub_probe=1; Secure; SameSite=Strict; Path=/";
    cookies = document.cookie.includes("__Secure-tickhub_probe=1");
    document.cookie = "__Secure-tickhub_probe=; Secure; SameSite=Strict; Path=/; Max-Age=0";
  }
  return cookies;
}

/** The refresh token, where there is no cookie for it. */
let own = sessionStorage.getItem(CARRIED);
sessionStorage.removeItem(CARRIED);
addEventListener("pagehide", () => { if (own) sessionStorage.setItem(CARRIED, own); });
addEventListener("pageshow", (event) => { if (event.persisted) sessionStorage.removeItem(CARRIED); });

/** Whether there may be a login to go on with. */
export const mayGoOn = () => own !== null || kept("login", false);

/** Keeps what a login or a refresh answered. @param {any} said */
export function hold(said) {
  if (said.refresh_token) own = said.refresh_token;
  else keep("login", true);
}

/** Forgets it. */
export function drop() {
  own = null;
  keep("login", null);
  sessionStorage.removeItem(CARRIED);
}

/**
 * What the server answers to the refresh token. Raises ApiError: with 401 or 403 where the login has ended.
 *
 * @param {() => any} heard  What another tab got meanwhile, if anything; asked once it is this tab's turn.
 * @returns {Promise<any>}
 */
export function refreshed(heard) {
  if (own !== null || !navigator.locks) return asked(own);
  return new Promise((resolve, reject) => {
    void navigator.locks.request(LOCK, async () => {
      const said = heard();
      if (said) return resolve(said);
      await lastOnesAnswer();
      await asked(null).then(resolve, reject);
      await pause(HEARD_MS);
    });
  });
}

/** @param {string | null} token @returns {Promise<any>} */
async function asked(token) {
  keep("refreshing", Date.now());
  try {
    // Left alive: were the page left meanwhile, the cookie of the answer would be lost, and the one that is used up sent again.
    return await bare("POST", "/auth/refresh", { body: token === null ? {} : { refresh_token: token }, keepalive: true });
  } finally {
    keep("refreshing", null);
  }
}

/** The page before this one may have been left while it waited for its answer. */
async function lastOnesAnswer() {
  const left = kept("refreshing", 0) + UNDER_WAY_MS - Date.now();
  if (left > 0) await pause(Math.min(left, UNDER_WAY_MS));
}

const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
