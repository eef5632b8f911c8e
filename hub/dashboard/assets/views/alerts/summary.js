// What else an alert that is written will do, in a line each, with the way to where it is set.

import { fill, h } from "../../core/dom.js";
import { moment } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { durationLabel, frequencyLabel, wayIcon, wayLabel } from "./labels.js";

/** @param {import("./dialog.js").Editing} editing @param {(part: string) => void} open */
export function makeSummary({ draft }, open) {
  const element = h("dl.summary");
  const line = (/** @type {string} */ part, /** @type {string} */ name, /** @type {import("../../core/dom.js").Child[]} */ ...said) =>
    [h("dt", null, name), h("dd", null, h("span.grow", null, said), h("button.quiet.small", { type: "button", "aria-label": t("Edit: {what}", { what: name }), onclick: () => open(part) }, t("Edit")))];
  const off = draft.on(({ options, expires, channels, message, name }) => fill(element,
    line("often", t("How often"), frequencyLabel(options.frequency), options.cooldown === "0s" ? "" : `, ${t("then silence for {time}", { time: durationLabel(options.cooldown) })}`),
    line("often", t("Ends"), expires ? moment(`${expires}:00+05:30`) : t("Not by itself")),
    line("channels", t("Told by"), h("span.row", null, [...new Set(["websocket", ...channels])].map((way) => h("span.pill", null, wayIcon(way), wayLabel(way))))),
    line("message", t("Says"), message || t("its condition in words"), name ? ` (${name})` : "")));
  return { element, end: off };
}
