// The order book of one symbol: five levels a side with bars as long as their quantities, and what each side wants in all.

import { fill, h, oncePerFrame, write } from "../../core/dom.js";
import { price, short, whole } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { live } from "../../core/live.js";
import { href } from "../../core/router.js";
import { nothing } from "../../ui/controls.js";

const LEVELS = 5;
const HZ = 5;

/** @param {string} place */
export function makeDepth(place) {
  const bids = makeSide("bid");
  const asks = makeSide("ask");
  const share = makeShare();
  const table = h("div.book", { hidden: true }, bids.element, asks.element);
  const note = h("div.note", null, nothing(t("No order book yet"), t("It comes with the next order; an index has none.")));
  const element = h("section.card.depth", null, h("h2", null, t("Market depth")), table, share.element, note);
  /** @type {any} */
  let newest = null;
  const draw = oncePerFrame(() => {
    const most = Math.max(1, ...[...newest.bids, ...newest.asks].slice(0, 2 * LEVELS).map(({ quantity }) => quantity));
    bids.show(newest.bids, most);
    asks.show(newest.asks, most);
    table.hidden = false;
    note.hidden = true;
  });
  const subscription = live.hub?.subscribe(`depth:${place}`, { maxFrequency: HZ }, (value) => {
    if (!value?.bids || !value.asks) return;
    newest = value;
    draw();
  });
  subscription?.on("failed", (error) => {
    note.hidden = false;
    if (error.code === "PERMISSION_DENIED") fill(note, nothing(t("Depth comes with the plan basic"), t("Five levels a side, live, with every plan from basic up."), h("a.button.small", { href: href("account") }, t("See the plans"))));
    else fill(note, nothing(t("The order book can't be had"), error.message));
  });
  return {
    element,
    /** @param {any} value  The newest price, in full. */
    show: (value) => share.show(value.total_buy_quantity, value.total_sell_quantity),
    end: () => subscription?.unsubscribe(),
  };
}

/** @param {"bid" | "ask"} side */
function makeSide(side) {
  const rows = Array.from({ length: LEVELS }, () => {
    const cells = { price: h("td.number"), quantity: h("td.number"), orders: h("td.number.muted.orders") };
    const bar = h("i.bar-of");
    cells.quantity.append(bar, h("span"));
    return { cells, bar, row: h("tr", null, side === "bid" ? [cells.orders, cells.quantity, cells.price] : [cells.price, cells.quantity, cells.orders]) };
  });
  const heads = [t("Orders"), t("Quantity"), side === "bid" ? t("Bid") : t("Ask")].map((one, index) => h(index ? "th.number" : "th.number.orders", { scope: "col" }, one));
  const element = h("table", { class: side, "aria-label": side === "bid" ? t("Bids") : t("Asks") }, h("thead", null, h("tr", null, side === "bid" ? heads : heads.reverse())), h("tbody", null, rows.map(({ row }) => row)));
  return {
    element,
    /** @param {{ price: number, quantity: number, orders?: number }[]} levels @param {number} most */
    show(levels, most) {
      rows.forEach(({ cells, bar }, index) => {
        const level = levels[index];
        write(cells.price, level ? price(level.price) : "–");
        write(/** @type {HTMLElement} */ (cells.quantity.lastElementChild), level ? whole(level.quantity) : "–");
        write(cells.orders, level?.orders === undefined ? "–" : whole(level.orders));
        bar.style.transform = `scaleX(${level ? (level.quantity / most).toFixed(3) : 0})`;
      });
    },
  };
}

/** What buyers and sellers want in all, side by side. */
function makeShare() {
  const [buy, sell] = [h("b.up"), h("b.down")];
  const bar = h("i");
  const element = h("div.share", { hidden: true }, h("div.row", null, h("span", null, t("Buyers"), " ", buy), h("span.grow"), h("span", null, t("Sellers"), " ", sell)), h("div.track", { "aria-hidden": "true" }, bar));
  return {
    element,
    /** @param {number | undefined} bought @param {number | undefined} sold */
    show(bought, sold) {
      element.hidden = !bought && !sold;
      if (element.hidden) return;
      write(buy, short(bought));
      write(sell, short(sold));
      bar.style.transform = `scaleX(${((bought ?? 0) / ((bought ?? 0) + (sold ?? 0))).toFixed(3)})`;
    },
  };
}
