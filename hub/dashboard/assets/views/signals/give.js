// Giving and closing signals, for those who publish them.

import { post, put } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { field, input, select, worker } from "../../ui/controls.js";
import { openDialog } from "../../ui/dialog.js";
import { makeInstrumentField } from "../alerts/place.js";

/** @typedef {import("./signals.js").Signal} Signal */

const decimal = (/** @type {string} */ text) => (text.trim() ? Number(text.replaceAll(/[,\s₹]/g, "")) : null);

/** A form in a dialog that sends what it reads; the answer is what the dialog resolves to. @param {{ title: string, label: string, fields: Node[], send: () => Promise<Signal> }} options @returns {Promise<Signal | undefined>} */
function ask({ title, label, fields, send }) {
  return openDialog({
    title,
    body: (close) => {
      const problem = h("p.problem.grow", { role: "alert" });
      const run = async () => {
        problem.textContent = "";
        try { close(await send()); } catch (/** @type {any} */ error) { problem.textContent = error.message; }
      };
      const form = h("form.form", { id: "signal-form", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void run(); } }, fields, h("button", { type: "submit", hidden: true, tabindex: "-1" }));
      return [form, h("footer", null, problem, h("button", { type: "button", onclick: () => close() }, t("Cancel")), worker("button.primary", { onclick: run }, label))];
    },
  });
}

/** Gives a signal; resolves to it, or to undefined where it was left. */
export function giveSignal() {
  let place = "NSE:RELIANCE";
  const type = select([["BUY", t("Buy")], ["SELL", t("Sell")], ["HOLD", t("Hold")]]);
  const confidence = input({ type: "number", min: 0, max: 100, value: 70 });
  const [entry, target, stop] = [0, 1, 2].map(() => input({ inputmode: "decimal" }));
  const reason = h("textarea", { rows: 3, maxlength: 4000 });
  const instrument = makeInstrumentField({ place, chosen: (chosen) => { place = chosen; } });
  return ask({
    title: t("Give a signal"),
    label: t("Give it"),
    fields: [
      instrument.element,
      h("div.columns", null, field(t("Type"), type), field(t("Confidence in percent"), confidence)),
      h("div.columns", null, field(t("Entry"), entry), field(t("Target"), target), field(t("Stop"), stop)),
      field(t("Reason"), reason, { hint: t("Everybody whose plan has signals reads it.") }),
    ],
    send: () => post("/signals", {
      exchange: place.split(":")[0], symbol: place.slice(place.indexOf(":") + 1), signal_type: type.value, confidence: Number(confidence.value),
      entry_price: decimal(entry.value), target_price: decimal(target.value), stop_loss: decimal(stop.value), reason: reason.value.trim() || null,
    }),
  });
}

/** Closes a signal at a price. @param {Signal} signal */
export function closeSignal(signal) {
  const price = input({ inputmode: "decimal", value: signal.entry_price ?? "" });
  return ask({
    title: t("Close the signal on {symbol}", { symbol: signal.symbol }),
    label: t("Close it"),
    fields: [field(t("Price"), price, { hint: t("Empty: it is closed without a price, and counts in no average.") })],
    send: () => put(`/signals/${signal.id}`, { status: "CLOSED", close_price: decimal(price.value) }),
  });
}
