// How the signals of the last days have done.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { day, percent } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { loading, nothing } from "../../ui/controls.js";

const DAYS = 7;

/** @typedef {{ day: string, total: number, buy: number, sell: number, hold: number, active: number, closed: number, targets: number, stops: number, hit_rate: number | null, average_move: number | null }} Day */

export function makeStatistics() {
  const body = h("div", null, loading(4));
  const element = h("section.card.signal-days", { "aria-label": t("The last {count} days", { count: DAYS }), hidden: true }, h("header", null, h("h2", null, t("The last {count} days", { count: DAYS }))), body);
  let ended = false;
  const load = async () => {
    element.hidden = false;
    try {
      const { items } = await get("/signals/stats/daily", { days: DAYS });
      if (!ended) fill(body, items.length ? table(items) : nothing(t("No signals in these days"), t("What each day's signals came to stands here.")));
    } catch (/** @type {any} */ error) {
      if (!ended) fill(body, nothing(t("The figures could not be read"), error.message, h("button.small", { type: "button", onclick: () => void load() }, t("Try again"))));
    }
  };
  return { element, load: () => void load(), end() { ended = true; } };
}

/** @param {Day[]} days */
function table(days) {
  const most = Math.max(...days.map(({ total }) => total));
  return h("div.scroll", { tabindex: "0", role: "group", "aria-label": t("Signals by day") }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, t("Day")), h("th", { scope: "col" }, t("Given")), h("th.number", { scope: "col", title: t("How many of the closed ones reached their target") }, t("Hit")), h("th.number", { scope: "col", title: t("From entry to close, in the signal's direction") }, t("Move")))),
    h("tbody", null, days.map((one) => row(one, most)))));
}

/** @param {Day} one @param {number} most */
function row(one, most) {
  const parts = /** @type {const} */ ([["buy", one.buy, t("buy")], ["sell", one.sell, t("sell")], ["hold", one.hold, t("hold")]]).filter(([, count]) => count);
  const bar = h("span.parts", { "aria-hidden": "true" }, parts.map(([name, count]) => {
    const part = h("i", { class: name });
    part.style.width = `${(count / most) * 100}%`;
    return part;
  }));
  return h("tr", null,
    h("th", { scope: "row" }, day(one.day)),
    h("td", null, bar, h("span.small-text.muted", null, parts.map(([, count, name]) => `${count} ${name}`).join(", "))),
    h("td.number", null, one.hit_rate === null ? "–" : `${Math.round(one.hit_rate)}%`),
    h("td.number", null, percent(one.average_move)));
}
