// What the server says to a page that begins.

/**
 * @typedef {object} Boot
 * @property {number} now  The server's time, in Unix milliseconds.
 * @property {string | null} token  A token for whoever opens a demonstration on its own machine.
 * @property {string | null} mail_folder  Where a demonstration's mail is written, where no server takes it.
 * @property {string[]} symbols  What a watchlist begins with, `NSE:RELIANCE`.
 * @property {string | null} sign_in_with  The name of someone else's login, such as Google, where there is one.
 * @property {boolean} simulated  Whether all prices are invented.
 */

const text = document.getElementById("boot")?.textContent ?? "{}";

/** @type {Boot} */
export const boot = JSON.parse(text);
