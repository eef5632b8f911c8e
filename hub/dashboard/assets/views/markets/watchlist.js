// The user's own list of symbols: kept by the server for every user, and here until that answers.

import { get, put } from "../../core/api.js";
import { boot } from "../../core/boot.js";
import { settled } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { observable } from "../../core/observable.js";
import { session } from "../../core/session.js";
import { keep, kept } from "../../core/storage.js";
import { complain } from "../../ui/notices.js";

const SAVE_AFTER_MS = 800;

/** @type {string | null} */
let user = null;

const mine = () => `watchlist.${session.current.value.kind}.${session.current.value.user}`;

const save = settled(SAVE_AFTER_MS, async (/** @type {string} */ whose, /** @type {string[]} */ places) => {
  if (whose !== mine()) return;
  await put("/users/preferences", { watchlist: places }).catch((error) => complain(t("The watchlist could not be saved"), error));
});

/** @param {string[]} places */
function change(places) {
  watchlist.places.set(places);
  keep(mine(), places);
  save(mine(), places);
}

export const watchlist = {
  /** The symbols, such as `NSE:RELIANCE`, in the user's order. @type {import("../../core/observable.js").Observable<string[]>} */
  places: observable(/** @type {string[]} */ ([])),

  /** Reads the list of whoever is logged in, once. */
  async load() {
    if (user === mine()) return;
    user = mine();
    const ours = user;
    const before = kept(ours, boot.symbols);
    this.places.set(before);
    const wishes = await get("/users/preferences").catch(() => null);
    const changed = user !== ours || this.places.value !== before; // what the user does meanwhile is newer
    if (!changed && Array.isArray(wishes?.watchlist) && wishes.watchlist.join() !== before.join()) this.places.set(wishes.watchlist);
  },

  /** @param {string} place @returns {boolean} */
  has(place) { return this.places.value.includes(place); },

  /** @param {string} place @param {number} [at] */
  add(place, at) {
    const { value } = this.places;
    if (!value.includes(place)) change(value.toSpliced(at ?? value.length, 0, place));
  },

  /** @param {string} place */
  remove(place) { change(this.places.value.filter((one) => one !== place)); },

  /** Puts one at another place of the list. @param {string} place @param {number} to */
  move(place, to) {
    const others = this.places.value.filter((one) => one !== place);
    const at = Math.max(0, Math.min(others.length, to));
    if (this.places.value[at] !== place) change(others.toSpliced(at, 0, place));
  },
};
