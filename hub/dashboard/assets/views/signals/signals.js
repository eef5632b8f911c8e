// Trading signals as they are given, each with its reasons; how those of the last days have done.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { live } from "../../core/live.js";
import { session } from "../../core/session.js";
import { loading, nothing, worker } from "../../ui/controls.js";
import { complain } from "../../ui/notices.js";
import { makePrices } from "../alerts/prices.js";
import { makeFilters } from "./filters.js";
import { closeSignal, giveSignal } from "./give.js";
import { makeSignal } from "./signal.js";
import { makeStatistics } from "./statistics.js";

/**
 * @typedef {any} Signal  As `GET signals/{id}` has it; what the socket says of a new one lacks some of it. One that somebody
 *   else published has no id: then it is not stored, and none is the same as another.
 */
/** @typedef {{ place: string, signal_type: string, status: string, min_confidence: string }} Wishes */

const PAGE = 50;
/** How long the server may take to see that a signal has ended. */
const SETTLES_MS = 3000;

/** @type {(root: HTMLElement, route: import("../../core/router.js").Route) => import("../../app.js").View} */
export function mount(root) {
  const wishes = { place: "", signal_type: "", status: "", min_confidence: "" };
  const statistics = makeStatistics();
  const list = makeList(wishes, { read: statistics.load, denied: () => { filters.hidden = true; } });
  const filters = makeFilters(wishes, () => list.load());
  const gives = ["publisher", "admin"].includes(session.current.value.role);
  const give = async () => { const made = await giveSignal(); if (made) list.put(made); };
  root.append(h("div.page", null,
    h("header", null, h("h1.grow", null, t("Signals")), gives ? h("button.primary", { type: "button", onclick: () => void give() }, icon("plus"), t("Give a signal")) : null),
    filters,
    h("div.signals-and-days", null, list.element, statistics.element),
    h("p.hint", null, t("Signals are worked out by rules over candles, or given by whoever publishes them. None of this is advice."))));
  return { end() { list.end(); statistics.end(); } };
}

/** @param {Signal} signal @param {Wishes} wishes */
function fits(signal, { place, signal_type, status, min_confidence }) {
  return (!place || `${signal.exchange}:${signal.symbol}` === place) && (!signal_type || signal.signal_type === signal_type)
    && (!status || (signal.status ?? "ACTIVE") === status) && signal.confidence >= Number(min_confidence);
}

/** @param {Wishes} wishes @param {{ read: () => void, denied: () => void }} told  `read` is called once the first ones are there, `denied` where the plan has none. */
function makeList(wishes, { read, denied }) {
  const prices = makePrices();
  const element = h("section.card.signal-list", { "aria-label": t("Signals") }, loading(5));
  /** @type {{ signals: Signal[], total: number, fresh: Signal | null }} */
  let kept = { signals: [], total: 0, fresh: null };
  /** @type {{ element: HTMLElement, end: () => void }[]} */
  let shown = [];
  let asked = 0;
  /** @type {ReturnType<typeof setTimeout>[]} */
  const timers = [];
  const draw = () => {
    shown.forEach(({ end }) => end());
    shown = kept.signals.map((signal) => makeSignal(signal, { prices, fresh: signal === kept.fresh, close: () => void closeSignal(signal).then((closed) => { if (closed) put(closed); }), over: () => follow(signal) }));
    if (!shown.length) return fill(element, nothing(t("No signals here yet"), wished(wishes) ? t("None fits these filters.") : t("They come here by themselves, as soon as the rules find one.")));
    const left = kept.total - kept.signals.length;
    fill(element, h("ol", null, shown.map((one) => one.element)), left > 0 ? worker("button", { onclick: more }, t("Show {count} more", { count: Math.min(left, PAGE) })) : null);
  };
  const put = (/** @type {Signal} */ signal) => {
    const known = signal.id !== undefined && kept.signals.some(({ id }) => id === signal.id);
    if (known) kept = { ...kept, signals: kept.signals.map((one) => (one.id === signal.id ? { ...one, ...signal } : one)) };
    else kept = { signals: [signal, ...kept.signals], total: kept.total + 1, fresh: signal };
    draw();
  };
  /** @type {Set<number>} */
  const followed = new Set();
  // Nobody is told when a signal ends, so it is asked once, a moment after the price got there.
  const follow = (/** @type {Signal} */ { id }) => {
    if (id === undefined || followed.has(id)) return;
    followed.add(id);
    timers.push(setTimeout(() => void get(`/signals/${id}`).then(put, () => null), SETTLES_MS));
  };
  const page = (/** @type {number} */ number) => get("/signals", { ...query(wishes), limit: PAGE, page: number });
  const load = async () => {
    const ours = ++asked;
    try {
      const { items, total } = await page(1);
      if (ours !== asked) return;
      kept = { signals: items, total, fresh: null };
      draw();
      if (ours === 1) read();
    } catch (/** @type {any} */ error) {
      if (ours !== asked) return;
      if (error.code === "PERMISSION_DENIED") denied();
      fill(element, refused(error, load));
    }
  };
  const more = () => page(Math.floor(kept.signals.length / PAGE) + 1).then(({ items }) => {
    kept = { ...kept, signals: [...kept.signals, ...items.filter((/** @type {Signal} */ { id }) => kept.signals.every((one) => one.id !== id))] };
    draw();
  }, (error) => complain(t("The signals could not be read"), error));
  const subscription = live.hub?.subscribe("signals:generated", (/** @type {Signal} */ signal) => {
    const whole = { exchange: "NSE", status: "ACTIVE", created_at: signal.time ?? new Date().toISOString(), ...signal };
    if (fits(whole, wishes)) put(whole);
  });
  void load();
  return { element, load, put, end() { asked += 1; timers.forEach(clearTimeout); shown.forEach(({ end }) => end()); prices.end(); subscription?.unsubscribe(); } };
}

/** @param {Wishes} wishes */
const wished = (wishes) => Object.values(wishes).some(Boolean);

/** @param {Wishes} wishes */
function query({ place, ...others }) {
  const at = place.indexOf(":");
  return place ? { ...others, exchange: place.slice(0, at), symbol: place.slice(at + 1) } : others;
}

/** @param {any} error @param {() => Promise<void>} again */
function refused(error, again) {
  if (error.code === "PERMISSION_DENIED") return nothing(t("Signals come with the plan basic"), t("Every plan from basic up has them: live here, on the charts, and over the API."), h("a.button.primary", { href: "#/account" }, t("See the plans")));
  return nothing(t("The signals could not be read"), error.message, h("button", { type: "button", onclick: () => void again() }, t("Try again")));
}
