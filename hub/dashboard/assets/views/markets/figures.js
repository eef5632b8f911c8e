// The day's figures of one symbol, with where the price stands in the day's and the year's range.

import { h, write } from "../../core/dom.js";
import { price, short, whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";

/** @type {[string, () => string, (value: number) => string][]} */
const ROWS = [
  ["open", () => t("Open"), price],
  ["close", () => t("Previous close"), price],
  ["average_price", () => t("Average price"), price],
  ["last_quantity", () => t("Last quantity"), whole],
  ["volume", () => t("Volume"), short],
  ["open_interest", () => t("Open interest"), short],
  ["lower_circuit", () => t("Lower circuit"), price],
  ["upper_circuit", () => t("Upper circuit"), price],
  ["indicative_price", () => t("Indicative price"), price],
  ["implied_volatility", () => t("Implied volatility"), price],
];

export function makeFigures() {
  const day = makeRange(t("Day's range"));
  const year = makeRange(t("52 weeks' range"));
  const rows = ROWS.map(([field, label, format]) => {
    const value = h("dd");
    return { field, format, value, row: h("div", { hidden: true }, h("dt", null, label()), value) };
  });
  const element = h("section.card.key-figures", null, h("h2", null, t("Key figures")), day.element, year.element, h("dl", null, rows.map(({ row }) => row)));
  return {
    element,
    /** @param {any} said */
    show(said) {
      day.show(said.low, said.high, said.price);
      year.show(said.year_low, said.year_high, said.price);
      for (const { field, format, value, row } of rows) {
        const has = said[field] !== undefined && said[field] !== null;
        if (row.hidden === has) row.hidden = !has;
        if (has) write(value, format(said[field]));
      }
    },
  };
}

/** @param {string} label */
function makeRange(label) {
  const [low, high] = [h("span"), h("span")];
  const mark = h("i.mark-at");
  const element = h("div.range", { hidden: true }, h("span.label", null, label), h("div.ends", null, low, h("div.track", { "aria-hidden": "true" }, mark), high));
  return {
    element,
    /** @param {number | undefined} from @param {number | undefined} to @param {number} at */
    show(from, to, at) {
      element.hidden = from === undefined || to === undefined;
      if (from === undefined || to === undefined) return;
      write(low, price(from));
      write(high, price(to));
      const share = to > from ? Math.max(0, Math.min(1, (at - from) / (to - from))) : 0.5;
      mark.style.insetInlineStart = `${(100 * share).toFixed(1)}%`;
    },
  };
}
