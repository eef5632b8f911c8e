// What the exchanges do now, and how long until that changes.

import { boot } from "../core/boot.js";
import { h, write } from "../core/dom.js";
import { countdown, day, hour } from "../core/format.js";
import { t } from "../core/i18n.js";
import { live } from "../core/live.js";
import { now } from "../core/server-clock.js";
import { popover } from "./popover.js";

/** @typedef {{ state: string, until?: string, phase?: string, provisional?: boolean }} Session */

/** What each state is called, and how it looks. @type {Record<string, [() => string, string]>} */
const STATES = {
  pre_open: [() => t("Pre-open"), "warn"],
  continuous: [() => t("Open"), "good"],
  closing_auction: [() => t("Closing auction"), "warn"],
  post_close: [() => t("After close"), "warn"],
  halted: [() => t("Halted"), "bad"],
  closed: [() => t("Closed"), ""],
};
/** The exchange that stands in the bar, where several are told of. */
const FIRST = ["NSE", "BSE", "NFO", "MCX"];

/** The words of a state, for whoever shows one. @param {string | undefined} state */
export const stateName = (state) => (state && state in STATES ? STATES[state][0]() : (state ?? ""));
/** @param {string | undefined} state `good`, `warn`, `bad` or nothing */
export const stateClass = (state) => (state && state in STATES ? STATES[state][1] : "");

const PHASES = /** @type {Record<string, () => string>} */ ({
  entry: () => t("orders are taken"), limit_entry: () => t("limit orders are taken"), matching: () => t("orders are matched"), buffer: () => t("about to open"),
  reference: () => t("the reference price is found"), reopening: () => t("about to reopen"),
});

/** @returns {{ element: HTMLElement, end: () => void }} */
export const makeMarketClock = () => new MarketClock();

class MarketClock {
  /** @type {Record<string, Session>} */
  #sessions = {};
  #text = h("span");
  #time = h("span.time");
  #button = h("button.pill.clock", { type: "button", hidden: true }, h("i.dot"), this.#text, this.#time);
  #popover = popover({ label: t("Market hours"), button: this.#button, content: () => [h("h2", null, t("Market hours")), table(this.#sessions, this.#left)] });
  element = h("span.state-place", null, this.#button, this.#popover.panel);

  constructor() {
    const subscription = live.hub?.subscribe("status:market", (data) => this.#hear(data));
    const timer = setInterval(() => this.#tick(), 1000);
    this.ends = [() => subscription?.unsubscribe(), () => clearInterval(timer)];
  }

  /** @param {any} data */
  #hear(data) {
    this.#sessions = Object.fromEntries(Object.entries(data ?? {}).filter(([, one]) => one && typeof one === "object"));
    this.#tick();
    this.#popover.refresh();
  }

  /** Seconds until a session changes; null where that is not known. @param {Session} session */
  #left = ({ until }) => (until ? Math.max(0, (new Date(until).getTime() - now()) / 1000) : null);

  #tick() {
    const name = FIRST.find((one) => one in this.#sessions) ?? Object.keys(this.#sessions)[0];
    const session = this.#sessions[name];
    this.#button.hidden = !session;
    if (!session) return;
    const state = stateName(session.state);
    const seconds = this.#left(session);
    this.#button.className = `pill clock ${stateClass(session.state)}`;
    write(this.#text, `${name} ${state}`);
    write(this.#time, seconds === null ? "" : countdown(seconds));
    const said = session.until ? t("{exchange}: {state} until {time}", { exchange: name, state, time: when(session.until) }) : `${name}: ${state}`;
    if (this.#button.title !== said) this.#button.title = this.#button.ariaLabel = said;
    refreshTimes(this.#popover.panel, this.#sessions, this.#left);
  }

  end() { for (const end of this.ends) end(); }
}

/** 15:30, and the day where it is another one. @param {string} moment */
const when = (moment) => (day(moment) === day(now()) ? hour(moment) : `${day(moment)}, ${hour(moment)}`);

/** @param {Record<string, Session>} sessions @param {(session: Session) => number | null} left */
function table(sessions, left) {
  const rows = Object.entries(sessions).map(([name, session]) => {
    const seconds = left(session);
    const phase = session.phase && PHASES[session.phase];
    return h("tr", null,
      h("th", { scope: "row" }, name),
      h("td", null, h("span.pill", { class: stateClass(session.state) }, h("i.dot"), stateName(session.state)), phase ? h("small.muted", null, ` ${phase()}`) : null),
      h("td", null, session.until ? when(session.until) : boot.simulated ? t("always, as simulated") : t("no end known"), session.provisional ? h("small.muted", null, ` ${t("provisional")}`) : null),
      h("td.number", { dataset: { left: name } }, seconds === null ? "–" : countdown(seconds)));
  });
  return h("table", null, h("thead", null, h("tr", null, [t("Exchange"), t("State"), t("Until")].map((one) => h("th", { scope: "col" }, one)), h("th.number", { scope: "col" }, t("Left")))), h("tbody", null, rows));
}

/** @param {Element} panel @param {Record<string, Session>} sessions @param {(session: Session) => number | null} left */
function refreshTimes(panel, sessions, left) {
  for (const cell of /** @type {NodeListOf<HTMLElement>} */ (panel.querySelectorAll("[data-left]"))) {
    const seconds = left(sessions[cell.dataset.left ?? ""] ?? { state: "" });
    if (seconds !== null) write(cell, countdown(seconds));
  }
}
