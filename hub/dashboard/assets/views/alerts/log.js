// What an alert has fired and what was sent of that: read once, then carried on by what the socket says.

import { get, post } from "../../core/api.js";
import { observable } from "../../core/observable.js";

/** @typedef {any} Trigger  As `GET alerts/{id}/history` has it. */
/** @typedef {any} Delivery  As `GET alerts/{id}/deliveries` has it, with what the socket said of it in `heard`. */
/** @typedef {{ triggers: Trigger[] | null, deliveries: Delivery[] | null, total: number, error: any }} Entries */

const PAGE = 50;
/** How long after something was heard the details are read that the socket doesn't say. */
const PAUSE_MS = 1500;
/** While an alert fires all the time each reading comes twice as long after the one before, up to this. */
const LONGEST_MS = 60_000;

/** How far a status is: one that comes late changes nothing. */
const ORDER = ["queued", "calling", "unknown", "accepted", "sent", "delivered", "read", "skipped", "cancelled", "dead"];

/** @param {Delivery[]} deliveries @param {any} event @returns {Delivery[]} */
export function withDelivery(deliveries, { delivery: id, trigger, channel, status, reason, time }) {
  const heard = { status, reason: reason ?? null, time };
  const known = deliveries.find((one) => one.id === id);
  if (!known) return [{ id, trigger, channel, status, reason: reason ?? null, kind: "alert", created_at: time, attempts: [], cost: 0, provider: null, heard: [heard] }, ...deliveries];
  const newer = ORDER.indexOf(status) >= ORDER.indexOf(known.status);
  const next = { ...known, heard: [...(known.heard ?? []), heard], ...(newer ? { status, reason: reason ?? null } : {}) };
  return deliveries.map((one) => (one.id === id ? next : one));
}

/** A firing as the socket tells it, until its details are read. @param {any} event @returns {Trigger} */
const triggerOf = (event) => ({
  id: event.trigger, number: event.number, kind: event.event === "test" ? "test" : "fired", reason: null, at: event.time, received_at: null, provider_at: null, acknowledged_at: null, acknowledged_by: null,
  price: event.price ?? null, previous: event.previous ?? null, current: event.current ?? null, level: event.level ?? null, via: event.via ?? "tick", gap: event.gap === true, condition: event.condition, inputs: {}, fresh: true,
});

/** The newest entries as they were just read, and of those known before the older ones. @template {{ id: number }} T @param {T[]} items @param {T[] | null} before */
const withOlder = (items, before) => [...items, ...(before ?? []).filter(({ id }) => id < Math.min(...items.map((one) => one.id)))];

/** @param {number} id */
export function makeLog(id) {
  const entries = observable(/** @type {Entries} */ ({ triggers: null, deliveries: null, total: 0, error: null }));
  let ended = false;
  let pause = PAUSE_MS;
  let readAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const patch = (/** @type {Partial<Entries>} */ some) => { if (!ended) entries.set({ ...entries.value, ...some }); };
  const load = async () => {
    try {
      const [history, sent] = await Promise.all([get(`/alerts/${id}/history`, { limit: PAGE }), get(`/alerts/${id}/deliveries`, { limit: PAGE })]);
      const { triggers, deliveries } = entries.value;
      const heard = new Map((deliveries ?? []).map((one) => [one.id, one.heard]));
      const known = sent.items.map((/** @type {Delivery} */ one) => ({ ...one, heard: heard.get(one.id) }));
      patch({ triggers: withOlder(history.items, triggers), total: history.total, deliveries: withOlder(known, deliveries), error: null });
    } catch (error) {
      patch({ error });
    }
  };
  const later = () => {
    if (timer || ended) return;
    pause = Date.now() - readAt > LONGEST_MS ? PAUSE_MS : Math.min(LONGEST_MS, pause * 2);
    timer = setTimeout(() => { timer = undefined; readAt = Date.now(); void load(); }, pause);
  };
  void load();
  return {
    entries,
    load,
    /** @param {any} event */
    hear(event) {
      const { triggers, deliveries, total } = entries.value;
      if (event.event === "delivery") patch({ deliveries: withDelivery(deliveries ?? [], event) });
      if (event.event === "triggered" || event.event === "test") {
        const known = triggers?.some((one) => one.id === event.trigger);
        if (!known) patch({ triggers: [triggerOf(event), ...(triggers ?? [])].slice(0, 4 * PAGE), total: total + 1 });
      }
      later();
    },
    /** Says that one has seen it. @param {Trigger} trigger */
    async acknowledge(trigger) {
      await post(`/alerts/triggers/${trigger.id}/acknowledge`);
      patch({ triggers: (entries.value.triggers ?? []).map((one) => (one.id === trigger.id ? { ...one, acknowledged_at: new Date().toISOString(), acknowledged_by: "api" } : one)) });
    },
    async more() {
      const { triggers } = entries.value;
      const { items } = await get(`/alerts/${id}/history`, { limit: PAGE, page: Math.floor((triggers?.length ?? 0) / PAGE) + 1 });
      patch({ triggers: [...(triggers ?? []), ...items.filter((/** @type {Trigger} */ one) => (triggers ?? []).every((known) => known.id !== one.id))] });
    },
    end() { ended = true; clearTimeout(timer); },
  };
}

/** @typedef {ReturnType<typeof makeLog>} Log */
