// The candles of one chart: what is stored, what is older, and the one that forms; with indicators beside them.

import { get } from "../core/api.js";
import { connection, live } from "../core/live.js";
import { toldAs } from "./chart-indicators.js";

/**
 * @typedef {object} Bar
 * @property {number} time  When it begins, in seconds as the chart library takes them: India's clock, said to be UTC.
 * @property {number} at  The same in Unix milliseconds.
 * @property {number} open
 * @property {number} high
 * @property {number} low
 * @property {number} close
 * @property {number | null} volume
 * @property {boolean} gap  The source was away during a part of it.
 * @property {boolean} closed
 *
 * @typedef {Map<string, Map<string, (number | null)[]>>} Lines  By indicator, then by line (empty for the only one): a value for each bar.
 *
 * @typedef {{ kind: "all" } | { kind: "older", count: number } | { kind: "bar", index: number } | { kind: "status" }} Change
 */

const IST_S = 19_800;
/** How many candles come at a time. */
const PAGE = 500;
const MOST = 5000;

/** Seconds of the chart's axis. @param {string | number | Date} moment ISO text, Unix milliseconds, or a date */
export const axisTime = (moment) => Math.floor(new Date(moment).getTime() / 1000) + IST_S;

/** @param {any} said  A candle of the chart or of the socket. @returns {Bar} */
function barOf(said) {
  const start = said.start ?? said.time;
  return {
    time: axisTime(start), at: new Date(start).getTime(), open: said.open, high: said.high, low: said.low, close: said.close,
    volume: said.volume ?? null, gap: said.gap === true, closed: said.closed === true,
  };
}

/** @param {Record<string, any> | undefined} said  @returns {Lines} */
function linesOf(said) {
  return new Map(Object.entries(said ?? {}).map(([name, one]) => [name, new Map(Array.isArray(one) ? [["", one]] : Object.entries(one))]));
}

export class Candles {
  /** @type {Bar[]} */
  bars = [];
  /** @type {Lines} */
  lines = new Map();
  /** @type {"empty" | "loading" | "ready" | "failed"} */
  status = "empty";
  /** @type {any} */
  error = null;
  place = "";
  tf = "";
  /** @type {string[]} */
  indicators = [];
  /** The smallest step of its price. */
  tick = 0.01;
  /** Whether nothing older is stored. */
  complete = false;
  /** @type {import("../tickhub.js").Subscription | null} */
  #subscription = null;
  /** @type {AbortController | null} */
  #asking = null;
  /** A candle that came before the stored ones did. @type {any} */
  #early = null;
  #leafing = false;
  #isLive;
  #wasLive = true;
  /** @type {(change: Change) => void} */
  #changed;
  /** @type {(seconds: number | null) => void} */
  #delayed;
  /** @type {() => void} */
  #endConnection;

  /** @param {{ live: boolean, changed: (change: Change) => void, delayed: (seconds: number | null) => void }} options */
  constructor({ live: isLive, changed, delayed }) {
    this.#isLive = isLive;
    this.#changed = changed;
    this.#delayed = delayed;
    this.#endConnection = connection.on(({ state }) => {
      if (state === "live" && !this.#wasLive && this.place) void this.load();
      this.#wasLive = state === "live" || (this.#wasLive && state === "connecting");
    });
  }

  /** @param {string} place `NSE:RELIANCE` @param {string} tf @param {string[]} indicators */
  choose(place, tf, indicators) {
    const other = place !== this.place || tf !== this.tf;
    Object.assign(this, { place, tf, indicators });
    if (other) this.clear();
    this.#listen();
    void this.load();
  }

  clear() {
    this.bars = [];
    this.lines = new Map();
    this.complete = false;
    this.#early = null;
    this.status = "loading";
    this.#changed({ kind: "all" });
  }

  #listen() {
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    if (!this.#isLive || !live.hub) return;
    const options = this.indicators.length ? { indicators: this.indicators } : {};
    this.#subscription = live.hub.subscribe(`candles:${this.tf}:${this.place}`, options, (value) => this.#hear(value));
    this.#subscription.on("subscribed", ({ delay }) => this.#delayed(delay ?? null));
  }

  /** Reads what is stored: as much as is shown already, at least a page. */
  async load() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    if (this.status !== "ready") {
      this.status = "loading";
      this.#changed({ kind: "status" });
    }
    try {
      const chart = await this.#ask({ limit: Math.min(MOST, Math.max(PAGE, this.bars.length)) }, asking.signal);
      this.bars = chart.candles.map(barOf);
      this.lines = linesOf(chart.indicators);
      this.complete = chart.candles.length < PAGE;
      this.status = "ready";
      this.error = null;
      this.#changed({ kind: "all" });
      if (this.#early) this.#hear(this.#early);
    } catch (/** @type {any} */ error) {
      if (error.name === "AbortError") return;
      this.error = error;
      this.status = "failed";
      this.#changed({ kind: "status" });
    }
  }

  /** Reads what came before; once at a time, and nothing once all is there. */
  async older() {
    if (this.#leafing || this.complete || this.status !== "ready" || !this.bars.length || this.bars.length >= MOST) return;
    this.#leafing = true;
    const first = this.bars[0];
    try {
      const chart = await this.#ask({ limit: PAGE, to: new Date(first.at).toISOString() }, this.#asking?.signal);
      if (this.bars[0] !== first) return;
      this.complete = chart.candles.length < PAGE;
      this.bars = [...chart.candles.map(barOf), ...this.bars];
      this.#prepend(linesOf(chart.indicators), chart.candles.length);
      if (chart.candles.length) this.#changed({ kind: "older", count: chart.candles.length });
    } catch {
      this.complete = true; // a later load asks again
    } finally {
      this.#leafing = false;
    }
  }

  /** @param {Lines} older @param {number} count */
  #prepend(older, count) {
    for (const [name, parts] of this.lines) {
      for (const [line, values] of parts) parts.set(line, [...(older.get(name)?.get(line) ?? Array(count).fill(null)), ...values]);
    }
  }

  /** @param {Record<string, string | number>} query @param {AbortSignal | undefined} signal */
  #ask(query, signal) {
    const indicators = this.indicators.join(",");
    return get(`/market/chart/${encodeURIComponent(this.place)}`, { tf: this.tf, indicators: indicators || null, ...query }, signal);
  }

  /** @param {any} value  What the socket says of a candle. */
  #hear(value) {
    if (this.status !== "ready") {
      this.#early = value;
      return;
    }
    const bar = barOf(value);
    let index = this.bars.length - 1;
    while (index >= 0 && this.bars[index].time > bar.time) index -= 1;
    if (index < 0 && this.bars.length) return;
    if (this.bars[index]?.time !== bar.time) {
      if (index !== this.bars.length - 1) return;
      index += 1;
      for (const parts of this.lines.values()) for (const values of parts.values()) values[index] = null;
    }
    this.bars[index] = bar;
    this.#setLines(value.indicators, index);
    this.#changed({ kind: "bar", index });
  }

  /** @param {Record<string, any> | undefined} said @param {number} index */
  #setLines(said, index) {
    const told = Object.keys(said ?? {});
    for (const [name, parts] of this.lines) {
      const one = said?.[toldAs(name, told) ?? ""];
      if (one === undefined) continue;
      for (const [line, values] of parts) values[index] = line ? (one?.[line] ?? null) : one;
    }
  }

  /** A trade, for the candle that forms: prices come more often than candles. @param {number} price @param {number} at Unix milliseconds */
  trade(price, at) {
    const index = this.bars.length - 1;
    const last = this.bars[index];
    if (!last || last.closed || at < last.at || last.close === price || (this.tf !== "1d" && at >= last.at + LENGTH_MS[this.tf])) return;
    this.bars[index] = { ...last, close: price, high: Math.max(last.high, price), low: Math.min(last.low, price) };
    this.#changed({ kind: "bar", index });
  }

  end() {
    this.#asking?.abort();
    this.#subscription?.unsubscribe();
    this.#endConnection();
  }
}

/** @type {Record<string, number>} */
export const LENGTH_MS = { "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000, "1d": 86_400_000 };
