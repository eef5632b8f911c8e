// Numbers as they are written in India, and times as the exchanges' clocks show them.

import { spoken } from "./i18n.js";
import { now as serverNow } from "./server-clock.js";

const ZONE = "Asia/Kolkata";
/** @type {Map<string, any>} */
const made = new Map();

/** A formatter of the language that is spoken; digits are 0–9 in all of them. @template T @param {string} name @param {(locale: string) => T} make @returns {T} */
function formatter(name, make) {
  const key = `${spoken()} ${name}`;
  if (!made.has(key)) made.set(key, make(`${spoken()}-IN-u-nu-latn`));
  return made.get(key);
}

/** Two to four decimals, with lakhs apart: 1,23,456.50. @param {number | null | undefined} value */
export function price(value) {
  return value === null || value === undefined ? "–" : RUPEES.format(value);
}

const RUPEES = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const WHOLE = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-IN", { notation: "compact", maximumFractionDigits: 2 });

/** @param {number | null | undefined} value */
export const whole = (value) => (value === null || value === undefined ? "–" : WHOLE.format(value));

/** In lakhs and crores: 12.4L. @param {number | null | undefined} value */
export const short = (value) => (value === null || value === undefined ? "–" : SHORT.format(value));

/** With its sign, unless it is 0 as it is written: +1,234.50. @param {number | null | undefined} value @param {number} [decimals] */
export function signed(value, decimals = 2) {
  if (value === null || value === undefined) return "–";
  const text = fixed(decimals).format(Math.abs(value));
  if (!/[1-9]/.test(text)) return text;
  return (value > 0 ? "+" : "−") + text;
}

/** @type {Map<number, Intl.NumberFormat>} */
const FIXED = new Map();

/** @param {number} decimals */
function fixed(decimals) {
  const known = FIXED.get(decimals) ?? new Intl.NumberFormat("en-IN", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  FIXED.set(decimals, known);
  return known;
}

/** @param {number | null | undefined} value */
export const percent = (value) => (value === null || value === undefined ? "–" : `${signed(value)}%`);

/** `up`, `down` or nothing, for a class. @param {number | null | undefined} value */
export const direction = (value) => (!value ? "" : value > 0 ? "up" : "down");

/** @typedef {string | number | Date} Moment  ISO text, Unix milliseconds, or a date */

/** 15:29:58 @param {Moment} moment */
export const clock = (moment) => formatter("clock", (locale) => new Intl.DateTimeFormat(locale, { timeZone: ZONE, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })).format(new Date(moment));

/** 15:29 @param {Moment} moment */
export const hour = (moment) => formatter("hour", (locale) => new Intl.DateTimeFormat(locale, { timeZone: ZONE, hour: "2-digit", minute: "2-digit", hourCycle: "h23" })).format(new Date(moment));

/** 23 Nov 2026 @param {Moment} moment */
export const day = (moment) => formatter("day", (locale) => new Intl.DateTimeFormat(locale, { timeZone: ZONE, day: "numeric", month: "short", year: "numeric" })).format(new Date(moment));

/** 23 Nov, 15:29:58 @param {Moment} moment */
export const moment = (moment) => formatter("moment", (locale) => new Intl.DateTimeFormat(locale, { timeZone: ZONE, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })).format(new Date(moment));

/** "3 minutes ago". @param {Moment} moment @param {number} [now] */
export function ago(moment, now = serverNow()) {
  const relative = formatter("ago", (locale) => new Intl.RelativeTimeFormat(locale, { numeric: "auto" }));
  const seconds = Math.round((new Date(moment).getTime() - now) / 1000);
  for (const [unit, length] of /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([["day", 86_400], ["hour", 3600], ["minute", 60]])) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return relative.format(seconds, "second");
}

/** "15 minutes", "4 hours" or "1 day". @param {number} minutes */
export function duration(minutes) {
  const [unit, length] = minutes % 1440 ? (minutes % 60 ? ["minute", 1] : ["hour", 60]) : ["day", 1440];
  return formatter(`duration ${unit}`, (locale) => new Intl.NumberFormat(locale, { style: "unit", unit: String(unit), unitDisplay: "long" })).format(minutes / Number(length));
}

/** 1:02:03 or 12:34, of seconds that are left. @param {number} seconds */
export function countdown(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const days = Math.floor(left / 86_400);
  const parts = [Math.floor((left % 86_400) / 3600), Math.floor((left % 3600) / 60), left % 60];
  if (!days && !parts[0]) parts.shift();
  const text = parts.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
  return days ? `${days}d ${text}` : text;
}

/** 12.3 MB @param {number} count */
export function bytes(count) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(count) / Math.log(1000)));
  return `${(count / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}
