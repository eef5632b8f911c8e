// One alert in the list.

import { fill, h, oncePerFrame } from "../../core/dom.js";
import { ago, direction, moment, percent, price } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { href } from "../../core/router.js";
import { menu, worker } from "../../ui/controls.js";
import { destroy, duplicate, edit, itemsOf, sendTest, turn } from "./actions.js";
import { levelsOf } from "./forms.js";
import { frequencyLabel, statusPill, statusReason, toldBy, wayIcons } from "./labels.js";

/** @typedef {import("./collection.js").Alert} Alert */

/** @param {{ alert: Alert, collection: import("./collection.js").Collection, prices: import("./prices.js").Prices }} parts */
export function makeRow({ alert: first, collection, prices }) {
  let alert = first;
  let shown = "";
  const status = h("td.of-status", { role: "cell" });
  const last = h("span.last");
  const change = h("span.change");
  const words = h("td.of-words", { role: "cell" });
  const distance = h("td.number.of-distance", { role: "cell" });
  const ways = h("td.of-told", { role: "cell" });
  const fired = h("td.of-fired", { role: "cell" });
  const toggle = h("span.toggle");
  const element = h("tr", { role: "row", dataset: { alert: String(first.id) }, onkeydown: (/** @type {KeyboardEvent} */ event) => press(event, element, collection, alert) },
    status,
    h("td.of-instrument", { role: "cell" }, h("a.of-symbol", { href: href("markets", `${first.exchange}:${first.symbol}`) }, first.symbol), h("span.tag", null, first.exchange), h("div.quote", null, last, change)),
    words, distance, ways, fired,
    h("td.of-actions", { role: "cell" }, toggle, menu({ label: t("Actions for {alert}", { alert: first.symbol }), class: "quiet square", content: [icon("more")], items: () => itemsOf(collection, alert) })));
  /** @type {import("./prices.js").Price | null} */
  let newest = null;
  const tell = oncePerFrame(() => {
    if (!newest) return;
    last.textContent = price(newest.price);
    change.textContent = percent(newest.change_percent);
    change.className = `change ${direction(newest.change_percent)}`;
    fill(distance, away(alert, newest.price));
  });
  const off = prices.on(`${first.exchange}:${first.symbol}`, (value) => { newest = value; tell(); });
  return {
    element,
    /** @param {Alert} now */
    update(now) {
      alert = now;
      const key = JSON.stringify(now);
      if (key === shown) return;
      if (shown && JSON.parse(shown).fired < now.fired) flash(element);
      shown = key;
      const focused = [words, toggle].find((part) => part.contains(document.activeElement));
      draw({ status, words, ways, fired, toggle }, now, collection);
      focused?.querySelector(focused === words ? "a" : "button")?.focus();
      element.classList.toggle("over", now.status !== "active");
      tell();
    },
    end: off,
  };
}

/** @param {HTMLElement} element */
function flash(element) {
  element.classList.remove("fired-now");
  void element.offsetWidth; // so that the animation begins anew
  element.classList.add("fired-now");
}

/** @param {Record<"status" | "words" | "ways" | "fired" | "toggle", HTMLElement>} cells @param {Alert} alert @param {import("./collection.js").Collection} collection */
function draw({ status, words, ways, fired, toggle }, alert, collection) {
  const reason = statusReason(alert);
  fill(status, statusPill(alert.status), reason ? h("p.hint", null, reason) : null);
  fill(words,
    h("a.what", { href: href("alerts", String(alert.id)) }, alert.name || alert.words),
    alert.name ? h("p.small-text.muted", null, alert.words) : null,
    h("p.small-text.muted", null, frequencyLabel(alert.frequency), alert.expires_at ? ` · ${t("until {time}", { time: moment(alert.expires_at) })}` : null, alert.critical ? [" · ", h("span.tag.critical", null, t("Critical"))] : null));
  fill(ways, wayIcons(toldBy(alert)));
  fill(fired, h("span.count", null, times(alert.fired)), alert.last_fired_at ? h("time.small-text.muted", { datetime: alert.last_fired_at, title: moment(alert.last_fired_at) }, ago(alert.last_fired_at)) : null);
  const active = alert.status === "active";
  const label = active ? t("Pause") : t("Resume");
  fill(toggle, worker("button.quiet.square", { "aria-label": `${label}: ${alert.symbol}`, title: label, onclick: () => turn(collection, alert) }, icon(active ? "pause" : "play")));
}

/** @param {number} fired */
const times = (fired) => (fired > 1 ? t("{count} times", { count: fired }) : fired ? t("Once") : t("Not yet"));

/** How far the price is from the nearest level, where there is one. @param {Alert} alert @param {number} now */
function away(alert, now) {
  const levels = alert.status === "active" || alert.status === "paused" ? levelsOf(alert.tree) : [];
  if (!levels.length) return h("span.muted.unset", null, h("span", { "aria-hidden": "true" }, "–"), h("span.unseen", null, t("No level")));
  const nearest = levels.reduce((best, one) => (Math.abs(one - now) < Math.abs(best - now) ? one : best));
  const part = ((nearest - now) / now) * 100;
  return [h("strong", null, percent(part)), h("span.small-text.muted", null, t("to {level}", { level: price(nearest) }))];
}

/** @type {Record<string, (collection: import("./collection.js").Collection, alert: Alert) => any>} */
const KEYS = {
  e: edit,
  p: turn,
  t: (_, alert) => sendTest(alert),
  d: duplicate,
  Delete: destroy,
};

/** What the keyboard does on an alert of the list. @param {KeyboardEvent} event @param {HTMLElement} row @param {import("./collection.js").Collection} collection @param {Alert} alert */
function press(event, row, collection, alert) {
  const inMenu = event.target instanceof Element && event.target.closest("[role=menu]");
  if (inMenu || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
  const run = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!to && !run) return;
  event.preventDefault();
  if (to) /** @type {HTMLElement | null} */ (to.querySelector("a.what"))?.focus();
  else void run(collection, alert);
}
