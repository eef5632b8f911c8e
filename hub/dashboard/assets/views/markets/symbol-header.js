// What stands over the chart: the symbol, its name and state, the price in large, and the day's figures.

import { fill, h, write } from "../../core/dom.js";
import { direction, percent, price, short, signed } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { href } from "../../core/router.js";
import { worker } from "../../ui/controls.js";
import { stateClass, stateName } from "../../ui/market-clock.js";
import { instrument, partsOf } from "./instruments.js";
import { watchlist } from "./watchlist.js";

/** @param {string} place  The dialog comes from the alerts' own view, when it is wanted. */
async function setAlert(place) {
  const { openAlertDialog } = await import("../alerts/dialog.js");
  void openAlertDialog({ place });
}

/** @param {string} place */
export function makeHeader(place) {
  const { exchange, symbol } = partsOf(place);
  const name = h("span.muted.cut", null);
  const state = h("span.pill", { hidden: true });
  const figure = h("span.last", { "aria-live": "off" }, "–");
  const change = h("span.change");
  const cells = Object.fromEntries(FIGURES.map(([field]) => [field, h("dd", null, "–")]));
  const star = h("button.quiet.square", { type: "button", onclick: () => (watchlist.has(place) ? watchlist.remove(place) : watchlist.add(place)) }, icon("star"));
  const element = h("header.symbol-header", null,
    h("a.button.quiet.square.back", { href: href("markets"), "aria-label": t("Back to the watchlist") }, icon("chevron")),
    h("div.title", null, h("div.row", null, h("h2", null, symbol), h("span.tag", null, exchange), state, star), name),
    h("div.quote", null, figure, change),
    worker("button.small.alert-link", { onclick: () => setAlert(place) }, icon("alert"), t("Set an alert")),
    h("dl.day", null, FIGURES.map(([field, label]) => h("div", null, h("dt", null, label()), cells[field]))));
  const end = watchlist.places.on(() => {
    const has = watchlist.has(place);
    star.setAttribute("aria-pressed", String(has));
    star.ariaLabel = star.title = has ? t("Remove from the watchlist") : t("Add to the watchlist");
  });
  instrument(place).then((one) => { name.textContent = one?.name ?? ""; }, () => null);

  return {
    element,
    /** @param {any} value  The newest price, in full. */
    show(value) {
      write(figure, price(value.price));
      figure.className = `last ${direction(value.change)}`;
      write(change, `${signed(value.change)} (${percent(value.change_percent)})`);
      change.className = `change ${direction(value.change)}`;
      for (const [field, , format] of FIGURES) write(cells[field], format(value));
      state.hidden = !value.state;
      if (state.dataset.is === value.state) return;
      state.dataset.is = value.state;
      state.className = `pill ${stateClass(value.state)}`;
      fill(state, h("i.dot"), stateName(value.state));
    },
    /** Says how late the prices are. @param {number} seconds */
    delay(seconds) { name.dataset.delay = seconds ? t("delayed by {count} minutes", { count: Math.round(seconds / 60) }) : ""; },
    end,
  };
}

/** @type {[string, () => string, (value: any) => string][]} */
const FIGURES = [
  ["open", () => t("Open"), (value) => price(value.open)],
  ["high", () => t("High"), (value) => price(value.high)],
  ["low", () => t("Low"), (value) => price(value.low)],
  ["volume", () => t("Volume"), (value) => short(value.volume)],
  ["circuits", () => t("Circuit limits"), ({ lower_circuit: low, upper_circuit: high }) => (low || high ? `${price(low)} – ${price(high)}` : "–")],
];
