// Markets: the watchlist, and the symbol that the address names. On a phone one of the two.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { go, href } from "../../core/router.js";
import { nothing } from "../../ui/controls.js";
import { timeframe } from "./chart-panel.js";
import { partsOf } from "./instruments.js";
import { makeResizer } from "./resizer.js";
import { makeSymbolPage } from "./symbol-page.js";
import { makeWatchTable } from "./watch-table.js";
import { watchlist } from "./watchlist.js";

const phone = matchMedia("(max-width: 720px)");

/** @param {string} place @param {string} tf */
const address = (place, tf) => `${href("markets", place)}?tf=${tf}`;

/** @param {HTMLElement} root @param {import("../../core/router.js").Route} route */
export function mount(root, route) {
  let there = route;
  /** @type {ReturnType<typeof makeSymbolPage> | null} */
  let page = null;
  void watchlist.load();
  const table = makeWatchTable({ onopen: (place) => go(address(place, timeframe(there.query.get("tf")))) });
  const main = h("div.symbol-place", null);
  fill(root, h("h1.unseen", null, t("Markets")), table.element, makeResizer(root), main);

  /** @param {import("../../core/router.js").Route} now */
  function update(now) {
    there = now;
    const place = now.rest[0] ? canonical(now.rest[0]) : "";
    root.classList.toggle("one", place !== "");
    if (place) return show(place, timeframe(now.query.get("tf")));
    if (!phone.matches && first()) return go(address(first(), timeframe()), { replace: true });
    clear();
  }

  const first = () => table.first() ?? watchlist.places.value[0] ?? "";

  /** @param {string} place @param {string} tf */
  function show(place, tf) {
    document.title = `${partsOf(place).symbol} · tickhub`;
    table.show(place);
    if (page?.place !== place) {
      page?.end();
      page = makeSymbolPage(place, { onchoose: (wanted) => go(address(place, wanted), { replace: true }) });
      fill(main, page.element);
      main.scrollTop = 0;
      if (phone.matches) scrollTo(0, 0);
    }
    page.show(tf);
  }

  function clear() {
    page?.end();
    page = null;
    table.show("");
    document.title = `${t("Markets")} · tickhub`;
    fill(main, phone.matches ? null : nothing(t("No symbol is chosen"), t("Add one to the watchlist, or search for one.")));
  }

  update(route);
  const endPlaces = watchlist.places.on(() => { if (!page) update(there); });
  const turn = () => update(there);
  phone.addEventListener("change", turn);
  return {
    update,
    end() {
      phone.removeEventListener("change", turn);
      endPlaces();
      page?.end();
      table.end();
    },
  };
}

/** `reliance` → `NSE:RELIANCE`. @param {string} text */
function canonical(text) {
  const { exchange, symbol } = partsOf(text.toUpperCase());
  return `${exchange}:${symbol}`;
}
