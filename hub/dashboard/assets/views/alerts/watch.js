// Tells on every page when an alert fires, and what becomes of alerts.

import { t } from "../../core/i18n.js";
import { live } from "../../core/live.js";
import { go, href, route } from "../../core/router.js";
import { now } from "../../core/server-clock.js";
import { keep, kept } from "../../core/storage.js";
import { notify } from "../../ui/notices.js";
import { chime, wantsNotices } from "./sound.js";

/** What is older than this was missed, not heard: it stands in the history, and makes no noise. */
const FRESH_MS = 10 * 60_000;
/** How many were told lately, to be known again after a reconnect. */
const REMEMBERED = 200;

/** The messages that were told on this page. @type {Set<string>} */
const told = new Set();

/** @param {any} event */
function isNew(event) {
  const key = [event.event, event.alert, event.trigger ?? event.count ?? event.reason, event.time].join(" ");
  if (told.has(key)) return false;
  told.add(key);
  if (told.size > REMEMBERED) told.delete(/** @type {string} */ (told.values().next().value));
  return !event.time || now() - new Date(event.time).getTime() < FRESH_MS;
}

/** One tab is enough for what all of them would do at the same time: who takes it first does it. @param {any} event @param {() => void} run */
function inOneTab(event, run) {
  const key = `${event.alert} ${event.trigger ?? ""} ${event.time ?? ""}`;
  const once = () => {
    if (kept("alerts.told", "") === key) return;
    keep("alerts.told", key);
    run();
  };
  if (navigator.locks) void navigator.locks.request("tickhub.alerts.told", once);
  else once();
}

/** @param {any} event */
function tell(event) {
  if (!["triggered", "test", "digest", "notice"].includes(event.event) || !isNew(event)) return;
  const show = () => go(href("alerts", String(event.alert)));
  const here = route.value.view === "alerts" && route.value.rest[0] === String(event.alert);
  const title = event.title ?? event.words ?? t("An alert");
  notify({ kind: event.event === "notice" ? "info" : "alert", title, text: event.message ?? event.words, action: event.alert && !here ? { label: t("Show"), run: show } : undefined, stays: event.critical === true });
  inOneTab(event, () => {
    chime();
    if (document.hidden && wantsNotices()) showOutside(event, title, show);
  });
}

/** A notice of the browser's own, since nobody sees the page. @param {any} event @param {string} title @param {() => void} show */
function showOutside(event, title, show) {
  const notice = new Notification(title, { body: event.message ?? event.words ?? "", tag: `alert ${event.alert}` });
  notice.onclick = () => { window.focus(); show(); notice.close(); };
}

/** From now on, until what it returns is called. @returns {() => void} */
export function watchAlerts() {
  const subscription = live.hub?.subscribe("alerts:user", tell);
  return () => subscription?.unsubscribe();
}
