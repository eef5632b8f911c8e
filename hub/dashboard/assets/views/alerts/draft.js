// An alert that is being written: what the dialog holds, and what the API is sent of it.

import { FORMS, formFor, formOf, isNumber } from "./forms.js";

/** @typedef {import("./forms.js").Values} Values */
/** @typedef {{ channel: string, after_s: number }} Step */

/**
 * @typedef {object} Options  As the API names them; empty texts are "as usual".
 * @property {string} frequency
 * @property {string} timeframe
 * @property {string} cooldown
 * @property {string} rearm
 * @property {string} rearm_after
 * @property {string} band
 * @property {string} initially
 * @property {string} overnight
 * @property {string[]} sessions
 * @property {string} max_per_day
 * @property {string} max_total
 * @property {boolean} critical
 * @property {Step[]} escalation
 */

/**
 * @typedef {object} Draft
 * @property {string} place  Such as NSE:RELIANCE.
 * @property {"form" | "text"} mode
 * @property {string} form  Which form is filled in.
 * @property {Record<string, Values>} values  By form, so that going from one to another loses nothing.
 * @property {string} text
 * @property {Options} options
 * @property {string[]} channels
 * @property {string} name
 * @property {string} message
 * @property {string} language
 * @property {string} expires  As an input of date and time has it, by India's clock.
 */

/** @type {Options} */
const USUAL = {
  frequency: "once", timeframe: "1m", cooldown: "0s", rearm: "", rearm_after: "", band: "", initially: "fire", overnight: "fire",
  sessions: ["continuous", "closing_auction", "post_close"], max_per_day: "", max_total: "", critical: false, escalation: [],
};

/** @param {number | null} price @returns {Record<string, Values>} */
const firstValues = (price) => Object.fromEntries(FORMS.map((form) => [form.id, form.first(price)]));

/** An empty one. @param {string} place @param {number | null} price @returns {Draft} */
export const emptyDraft = (place, price) => ({
  place, mode: "form", form: "level", values: firstValues(price), text: "", options: { ...USUAL }, channels: ["websocket"], name: "", message: "", language: "", expires: "",
});

const text = (/** @type {unknown} */ value) => (value === null || value === undefined ? "" : String(value));

/** One that says what an alert does. @param {any} alert @param {number | null} price @returns {Draft} */
export function draftOf(alert, price) {
  const fitting = formFor(alert.tree);
  const draft = emptyDraft(`${alert.exchange}:${alert.symbol}`, price);
  return {
    ...draft,
    ...(fitting ? { form: fitting.form.id, values: { ...draft.values, [fitting.form.id]: fitting.values } } : { mode: "text" }),
    text: alert.condition,
    options: {
      frequency: alert.frequency, timeframe: alert.timeframe, cooldown: alert.cooldown, rearm: text(alert.rearm), rearm_after: text(alert.rearm_after), band: text(alert.band),
      initially: alert.initially, overnight: alert.overnight, sessions: [...alert.sessions], max_per_day: text(alert.max_per_day), max_total: text(alert.max_total),
      critical: alert.critical, escalation: [...alert.escalation],
    },
    channels: [...alert.channels],
    name: text(alert.name),
    message: text(alert.message),
    language: text(alert.language),
    expires: alert.expires_at ? alert.expires_at.slice(0, 16) : "",
  };
}

/** What a draft waits for. @param {Draft} draft */
export const conditionOf = ({ mode, form, values, text: written }) => (mode === "text" ? written.trim() : formOf(form).write(values[form]));

/** Whether every number of its form is one. @param {Draft} draft */
export function isWhole({ mode, form, values, text: written }) {
  if (mode === "text") return written.trim() !== "";
  const { fields } = formOf(form);
  return fields.every(({ name, options, shown }) => options || (shown && !shown(values[form])) || isNumber(values[form][name]));
}

const number = (/** @type {string} */ given) => (given === "" ? null : Number(given));

/** @param {Options} options */
function optionsBody({ frequency, timeframe, cooldown, rearm, rearm_after, band, initially, overnight, sessions, max_per_day, max_total, critical, escalation }) {
  return {
    frequency, cooldown, initially, overnight, sessions, critical, escalation,
    ...(frequency.startsWith("once_per_bar") ? { timeframe } : {}),
    rearm: rearm || null,
    rearm_after: rearm_after || null,
    band: band === "" ? null : band.endsWith("%") ? band : Number(band),
    max_per_day: number(max_per_day),
    max_total: number(max_total),
  };
}

/** @param {string} place */
function placeBody(place) {
  const at = place.indexOf(":");
  return { exchange: place.slice(0, at), symbol: place.slice(at + 1) };
}

/** For a preview. @param {Draft} draft */
export const previewBody = (draft) => ({ ...trialBody(draft), ...(draft.message ? { message: draft.message } : {}), ...(draft.name ? { name: draft.name } : {}) });

/** For a backtest. @param {Draft} draft */
export const trialBody = (draft) => ({ ...placeBody(draft.place), condition: conditionOf(draft), ...optionsBody(draft.options) });

/** For a new alert. @param {Draft} draft */
export function alertBody(draft) {
  return {
    ...trialBody(draft),
    channels: draft.channels.length ? draft.channels : ["websocket"],
    name: draft.name.trim() || null,
    message: draft.message.trim() ? draft.message : null,
    language: draft.language || null,
    expires_at: draft.expires ? `${draft.expires}:00+05:30` : null,
  };
}

/** What a draft changes of an alert: only that is sent, since a new condition or option begins it anew. @param {Draft} draft @param {any} alert */
export function changesBody(draft, alert) {
  const before = /** @type {Record<string, any>} */ (alertBody(draftOf(alert, null)));
  const after = /** @type {Record<string, any>} */ (alertBody(draft));
  const changed = Object.keys(after).filter((name) => name !== "condition" && JSON.stringify(after[name]) !== JSON.stringify(before[name]));
  if (after.condition !== before.condition && after.condition !== alert.condition) changed.push("condition");
  return Object.fromEntries(changed.map((name) => [name, after[name]]));
}
