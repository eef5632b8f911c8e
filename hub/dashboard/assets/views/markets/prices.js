// The newest prices of a list: what is in sight ten times a second, the rest as often as its order needs it.

import { settled } from "../../core/dom.js";
import { live } from "../../core/live.js";

const IN_SIGHT_HZ = 10;
const OUT_OF_SIGHT_HZ = 1;
/** Rows that only fly past while the list is scrolled are not asked for. */
const SCROLLED_MS = 200;

const channelOf = (/** @type {string} */ place) => `market:${place}`;

/** @param {(place: string) => void} changed  Called for every update. */
export function makePrices(changed) {
  /** @type {Map<string, any>} */
  const values = new Map();
  /** @type {Map<string, string>} */
  const faults = new Map();
  const hear = (/** @type {any} */ value, /** @type {{ channel: string }} */ event) => {
    const place = event.channel.slice("market:".length);
    values.set(place, value);
    changed(place);
  };
  const fail = (/** @type {any} */ error) => {
    const place = String(error.channel).slice("market:".length);
    faults.set(place, error.message);
    changed(place);
  };
  const all = makeSet(live.hub?.subscribe([], { mode: "quote", maxFrequency: OUT_OF_SIGHT_HZ }, hear));
  const near = makeSet(live.hub?.subscribe([], { mode: "quote", maxFrequency: IN_SIGHT_HZ }, hear));
  all.subscription?.on("failed", fail);
  let ended = false;
  const look = settled(SCROLLED_MS, (/** @type {string[]} */ places) => { if (!ended) near.set(places); });
  return {
    /** The newest value, undefined before there is any. @param {string} place */
    value: (place) => values.get(place),
    /** Why there is none, where the server said so. @param {string} place */
    fault: (place) => faults.get(place),
    setAll: all.set,
    setInSight: look,
    end() {
      ended = true;
      all.subscription?.unsubscribe();
      near.subscription?.unsubscribe();
    },
  };
}

/** A subscription that is told which symbols it has. @param {import("../../tickhub.js").Subscription | undefined} subscription */
function makeSet(subscription) {
  /** @type {Set<string>} */
  let has = new Set();
  return {
    subscription,
    set(/** @type {string[]} */ places) {
      const wanted = new Set(places);
      const added = places.filter((one) => !has.has(one));
      const removed = [...has].filter((one) => !wanted.has(one));
      has = wanted;
      if (added.length) subscription?.add(added.map(channelOf));
      if (removed.length) subscription?.remove(removed.map(channelOf));
    },
  };
}
