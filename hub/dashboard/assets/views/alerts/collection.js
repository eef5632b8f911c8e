// The user's alerts as they are kept here: read once, then changed by what the socket says and by what is done here.

import { get, post, remove } from "../../core/api.js";
import { live } from "../../core/live.js";
import { observable } from "../../core/observable.js";

/** @typedef {any} Alert  As `GET alerts/{id}` has it. */
/** @typedef {any} Event  What a message on `alerts:user` says, see docs/protocol.md. */

/** What the API gives at one go. */
const PAGE = 500;

/** An alert after it has fired, as the server has it: what a firing does to it needs no question. @param {Alert} alert @param {Event} event @returns {Alert} */
export function afterFiring(alert, { number, time }) {
  if (number <= alert.fired) return alert;
  const over = alert.max_total ? number >= alert.max_total : alert.frequency === "once";
  const status = over ? "fired" : alert.rearm === "manual" ? "paused" : alert.status;
  return { ...alert, fired: number, last_fired_at: time, status };
}

/**
 * @typedef {object} Kept
 * @property {Alert[] | null} alerts  Null while they are on their way.
 * @property {number} total
 * @property {any} error
 */

export function makeCollection() {
  const kept = observable(/** @type {Kept} */ ({ alerts: null, total: 0, error: null }));
  let ended = false;
  const change = (/** @type {(alerts: Alert[]) => Alert[]} */ how, added = 0) => {
    const { alerts, total } = kept.value;
    if (alerts && !ended) kept.set({ alerts: how(alerts), total: total + added, error: null });
  };
  const put = (/** @type {Alert} */ alert) => {
    const known = kept.value.alerts?.some(({ id }) => id === alert.id);
    if (known) change((alerts) => alerts.map((one) => (one.id === alert.id ? alert : one)));
    else change((alerts) => [alert, ...alerts], 1);
  };
  const load = async () => {
    try {
      const { items, total } = await get("/alerts", { limit: PAGE });
      if (!ended) kept.set({ alerts: items, total, error: null });
    } catch (error) {
      if (!ended) kept.set({ alerts: null, total: 0, error });
    }
  };
  const hear = async (/** @type {Event} */ event) => {
    const mine = kept.value.alerts?.find(({ id }) => id === event.alert);
    if (event.event === "triggered" && mine) put(afterFiring(mine, event));
    if (event.event === "notice" && event.alert) await get(`/alerts/${event.alert}`).then(put, () => null);
  };
  const subscription = live.hub?.subscribe("alerts:user", hear);
  void load();
  return {
    kept,
    load,
    put,
    /** The next ones, where there are more than what is read at one go. */
    async more() {
      const { items } = await get("/alerts", { limit: PAGE, page: Math.floor((kept.value.alerts?.length ?? 0) / PAGE) + 1 });
      change((alerts) => [...alerts, ...items.filter((/** @type {Alert} */ { id }) => alerts.every((one) => one.id !== id))]);
    },
    /** @param {Alert} alert @param {"pause" | "resume"} what */
    async turn(alert, what) {
      put({ ...alert, status: what === "pause" ? "paused" : "active", status_reason: null });
      try {
        put(await post(`/alerts/${alert.id}/${what}`));
      } catch (error) {
        put(alert);
        throw error;
      }
    },
    /** @param {Alert} alert */
    async remove(alert) {
      await remove(`/alerts/${alert.id}`);
      change((alerts) => alerts.filter(({ id }) => id !== alert.id), -1);
    },
    end() {
      ended = true;
      subscription?.unsubscribe();
    },
  };
}

/** @typedef {ReturnType<typeof makeCollection>} Collection */
