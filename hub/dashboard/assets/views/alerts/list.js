// All alerts of the user, with live prices and how far each is from firing.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { session } from "../../core/session.js";
import { input, loading, nothing, select } from "../../ui/controls.js";
import { complain } from "../../ui/notices.js";
import { makeCollection } from "./collection.js";
import { openAlertDialog } from "./dialog.js";
import { statusOptions } from "./labels.js";
import { ownPlan } from "./plan.js";
import { makePrices } from "./prices.js";
import { makeRow } from "./row.js";
import { soundButton } from "./sound.js";

/** @typedef {import("./collection.js").Alert} Alert */

/** @param {HTMLElement} root */
export function mountList(root) {
  const collection = makeCollection();
  const prices = makePrices();
  const wishes = { status: "", text: "" };
  const body = h("div");
  const add = async (/** @type {import("./dialog.js").Opening} */ opening = {}) => {
    const made = await openAlertDialog(opening);
    if (made) collection.put(made);
  };
  const table = makeTable({ collection, prices });
  const draw = () => {
    const { alerts, error, total } = collection.kept.value;
    if (error) return fill(body, failed(error, collection.load));
    if (!alerts) return fill(body, h("div.card", null, loading(5)));
    filters.hidden = !alerts.length;
    if (!alerts.length) return fill(body, h("div.card", null, firstSteps(add)));
    const shown = alerts.filter((one) => fits(one, wishes));
    table.show(shown);
    const left = total - alerts.length;
    if (shown.length && !left && body.firstElementChild === table.element && body.childElementCount === 1) return; // else what has the focus would lose it
    fill(body, shown.length ? table.element : h("div.card", null, nothing(t("No alert fits"), t("Choose another status, or clear the text."))), left > 0 ? moreButton(collection, left) : null);
  };
  const filters = makeFilters(wishes, draw);
  const limit = makeLimit(collection);
  root.append(h("div.page", null,
    h("header", null, h("h1.grow", null, t("Alerts")), limit, soundButton(), h("button.primary", { type: "button", onclick: () => void add() }, icon("plus"), t("New alert"))),
    filters, body));
  const end = collection.kept.on(draw);
  return { end() { end(); table.end(); prices.end(); collection.end(); } };
}

/** @param {Alert} alert @param {{ status: string, text: string }} wishes */
function fits(alert, { status, text }) {
  if (status && alert.status !== status) return false;
  const said = `${alert.exchange}:${alert.symbol} ${alert.name ?? ""} ${alert.words}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => said.includes(word));
}

/** @param {{ status: string, text: string }} wishes @param {() => void} draw */
function makeFilters(wishes, draw) {
  const status = select([["", t("Any status")], ...statusOptions()], { "aria-label": t("Status"), onchange: () => { wishes.status = status.value; draw(); } });
  const text = input({ type: "search", placeholder: t("Symbol or words"), "aria-label": t("Symbol or words"), oninput: () => { wishes.text = text.value.trim(); draw(); } });
  return h("div.wishes", { role: "search", hidden: true }, text, status);
}

/** How many alerts of those that the plan has are used. @param {import("./collection.js").Collection} collection */
function makeLimit(collection) {
  const element = h("span.limit.muted", { hidden: true });
  void ownPlan().then((plan) => {
    const most = plan?.alerts;
    if (!most || session.current.value.role !== "user") return;
    collection.kept.on(({ alerts }) => {
      if (!alerts) return;
      const used = alerts.filter(({ status }) => status === "active").length;
      element.hidden = false;
      fill(element, h("meter", { min: 0, max: most, value: used, high: most * 0.9, "aria-hidden": "true" }), h("span", null, t("{used} of {most} active", { used, most })));
    });
  });
  return element;
}

/** @param {{ collection: import("./collection.js").Collection, prices: import("./prices.js").Prices }} parts */
function makeTable({ collection, prices }) {
  /** @type {Map<number, ReturnType<typeof makeRow>>} */
  const rows = new Map();
  const body = h("tbody", { role: "rowgroup" });
  const heads = [t("Status"), t("Instrument"), t("Fires when"), t("Distance"), t("Told by"), t("Fired")];
  const element = h("div.card.alert-table", null,
    h("table", { role: "table", "aria-label": t("Alerts") },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((head, index) => h("th", { role: "columnheader", scope: "col", class: index === 3 ? "number" : "" }, head)), h("th", { role: "columnheader", scope: "col" }, h("span.unseen", null, t("Actions"))))),
      body),
    h("p.hint.keys", null, h("kbd", null, "↑"), " ", h("kbd", null, "↓"), " ", t("go through the list; on an alert:"), " ", ...keys()));
  return {
    element,
    /** @param {Alert[]} alerts */
    show(alerts) {
      const wanted = new Set(alerts.map(({ id }) => id));
      for (const [id, row] of rows) {
        if (wanted.has(id)) continue;
        row.end();
        rows.delete(id);
      }
      const elements = alerts.map((alert) => {
        const row = rows.get(alert.id) ?? makeRow({ alert, collection, prices });
        rows.set(alert.id, row);
        row.update(alert);
        return row.element;
      });
      if (elements.some((one, index) => body.children[index] !== one) || body.children.length !== elements.length) fill(body, elements);
    },
    end: () => rows.forEach((row) => row.end()),
  };
}

const keys = () => [["E", t("edit")], ["P", t("pause or resume")], ["T", t("test")], ["D", t("duplicate")], ["Del", t("delete")]].flatMap(([key, does]) => [h("kbd", null, key), ` ${does} `]);

/** @param {any} error @param {() => Promise<void>} again */
const failed = (error, again) => h("div.card", null, nothing(t("The alerts could not be read"), error.message, h("button", { type: "button", onclick: () => void again() }, t("Try again"))));

/** @param {import("./collection.js").Collection} collection @param {number} left */
const moreButton = (collection, left) => h("button", { type: "button", onclick: () => void collection.more().catch((error) => complain(t("The alerts could not be read"), error)) }, t("Show {count} more", { count: left }));

/** What to begin with. @param {(opening: import("./dialog.js").Opening) => Promise<void>} add */
function firstSteps(add) {
  const example = (/** @type {import("../../core/icons.js").IconName} */ picture, /** @type {string} */ title, /** @type {string} */ text, /** @type {import("./dialog.js").Opening} */ opening) =>
    h("button.example", { type: "button", onclick: () => void add(opening) }, icon(picture), h("strong", null, title), h("span.muted", null, text));
  return nothing(t("You have no alerts yet"), t("An alert watches every price and tells you on screen, by mail, SMS, call, push or webhook. Begin with one of these, or with your own."),
    h("div.examples", null,
      example("signal", t("NIFTY 50 at a new high of the day"), t("Each time that the index makes one"), { place: "NSE:NIFTY 50", condition: "new day high", frequency: "once_per_bar" }),
      example("bolt", t("RELIANCE moves 1% in 5 minutes"), t("Either way, whatever the price is"), { place: "NSE:RELIANCE", condition: "price moves 1% in 5m" }),
      example("markets", t("TCS with unusual volume"), t("Twice the average of 20 candles of 5 minutes"), { place: "NSE:TCS", condition: "volume > 2 * sma(volume, 20) on 5m" })));
}
