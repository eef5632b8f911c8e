// Markets: the watchlist, and the symbol that the address names. On a phone one of the two.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { go, href } from "../../core/router.js";
import { nothing } from "../../ui/controls.js";
import { timeframe } from "./chart-panel.js";
import { partsOf } from "./instruments.js";
import { makeResizer } from "./resizer.js";
import { makeSymbolPage } from "./symbol-page.js";
import { WatchTable } from "./watch-table.js";
import { watchlist } from "./watchlist.js";

const phone = matchMedia("(max-width: 720px)");

/** @param {string} place @param {string} tf */
const address = (place, tf) => `${href("markets", place)}?tf=${tf}`;

/** Whether the address names a symbol by now: it may have changed before anybody heard of that. */
const isNamed = () => /^#\/?markets\/./.test(location.hash);

/** @param {HTMLElement} root @param {import("../../core/router.js").Route} route */
export const mount = (root, route) => new Markets(root, route);

class Markets {
  /** @type {ReturnType<typeof makeSymbolPage> | null} */
  #page = null;
  #place = h("div.symbol-place");

  /** @param {HTMLElement} root @param {import("../../core/router.js").Route} route */
  constructor(root, route) {
    void watchlist.load();
    this.root = root;
    this.route = route;
    this.table = new WatchTable({ onopen: (place) => go(address(place, timeframe(this.route.query.get("tf")))) });
    fill(root, h("h1.unseen", null, t("Markets")), this.table.element, makeResizer(root), this.#place);
    this.update(route);
    const turn = () => this.update(this.route);
    phone.addEventListener("change", turn);
    const endPlaces = watchlist.places.on(() => { if (!this.#page) this.update(this.route); });
    this.ends = [endPlaces, () => phone.removeEventListener("change", turn), () => this.#page?.end(), () => this.table.end()];
  }

  /** @param {import("../../core/router.js").Route} route */
  update(route) {
    this.route = route;
    const place = route.rest[0] ? canonical(route.rest[0]) : "";
    const first = this.table.first() ?? watchlist.places.value[0];
    this.root.classList.toggle("one", place !== "");
    if (place) this.#show(place, timeframe(route.query.get("tf")));
    else if (!phone.matches && first) this.#lead(first);
    else this.#clear();
  }

  /** To a symbol, where the address names none; once this view is the one that is told of addresses. @param {string} place */
  #lead(place) {
    if (this.root.isConnected && !isNamed()) go(address(place, timeframe()), { replace: true });
  }

  /** @param {string} place @param {string} tf */
  #show(place, tf) {
    document.title = `${partsOf(place).symbol} · tickhub`;
    this.table.show(place);
    if (this.#page?.place !== place) {
      this.#page?.end();
      this.#page = makeSymbolPage(place, { onchoose: (wanted) => go(address(place, wanted), { replace: true }) });
      fill(this.#place, this.#page.element);
      this.#place.scrollTop = 0;
      if (phone.matches) scrollTo(0, 0);
    }
    this.#page.show(tf);
  }

  #clear() {
    this.#page?.end();
    this.#page = null;
    this.table.show("");
    document.title = `${t("Markets")} · tickhub`;
    fill(this.#place, phone.matches ? null : nothing(t("No symbol is chosen"), t("Add one to the watchlist, or search for one.")));
  }

  end() { for (const end of this.ends) end(); }
}

/** `reliance` → `NSE:RELIANCE`. @param {string} text */
function canonical(text) {
  const { exchange, symbol } = partsOf(text.toUpperCase());
  return `${exchange}:${symbol}`;
}
