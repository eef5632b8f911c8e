// Which signals are shown.

import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { field, select } from "../../ui/controls.js";
import { makeInstrumentField } from "../alerts/place.js";

/** @param {import("./signals.js").Wishes} wishes @param {() => Promise<void>} load */
export function makeFilters(wishes, load) {
  const put = (/** @type {Partial<import("./signals.js").Wishes>} */ patch) => { Object.assign(wishes, patch); void load(); };
  const choice = (/** @type {"signal_type" | "status" | "min_confidence"} */ name, /** @type {string} */ label, /** @type {[string, string][]} */ options) => {
    const control = select(options, { onchange: () => put({ [name]: control.value }) });
    return field(label, control);
  };
  const instrument = makeInstrumentField({ place: "", label: t("Instrument"), optional: true, chosen: (place) => put({ place }) });
  instrument.box.placeholder = t("Any");
  return h("div.card.wishes", { role: "search" },
    instrument.element,
    choice("signal_type", t("Type"), [["", t("Any")], ["BUY", t("Buy")], ["SELL", t("Sell")], ["HOLD", t("Hold")]]),
    choice("status", t("Status"), [["", t("Any")], ["ACTIVE", t("Open")], ["CLOSED", t("Closed")], ["EXPIRED", t("Run out")]]),
    choice("min_confidence", t("Confidence"), [["", t("Any")], ["50", t("{count}% and up", { count: 50 })], ["60", t("{count}% and up", { count: 60 })], ["70", t("{count}% and up", { count: 70 })], ["80", t("{count}% and up", { count: 80 })]]));
}
