// What the server makes of the condition, in words: what it means, when it fires, and what it says and costs.

import { fill, h } from "../../core/dom.js";
import { LANGUAGES, spoken, t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { isWhole } from "./draft.js";

/** @param {import("./dialog.js").Editing} editing */
export function makeExplanation({ draft, preview }) {
  const element = h("section.explanation", { "aria-label": t("What it means"), "aria-live": "polite" });
  const off = preview.on(({ said, error, asking }) => {
    element.classList.toggle("asking", Boolean(asking));
    if (error) fill(element, problem(error, draft.value.mode === "text"));
    else if (said) fill(element, meaning(said), speech(said, draft.value));
    else fill(element, h("p.muted", null, isWhole(draft.value) ? t("Reading the condition …") : t("Fill in the numbers, and it says here what the alert means.")));
  });
  return { element, end: off };
}

/** @param {any} error @param {boolean} beside Whether the text itself says what is wrong with it. */
const problem = (error, beside) => h("div.trouble", null, icon("warning"), h("div", null, h("strong", null, t("This can't be watched yet")), h("p", null, beside && error.code === "BAD_REQUEST" ? t("What is wrong stands below the text.") : error.message), error.retryAfter ? h("p", null, t("Try again in {count} seconds.", { count: error.retryAfter })) : null));

/** @param {any} said */
function meaning(said) {
  const edge = said.happens === "edge";
  return h("div", null,
    h("p.in-words", null, said.words[spoken()]),
    h("p.row", null,
      h("span.pill", { class: edge ? "edge" : "level" }, icon(edge ? "bolt" : "history"), edge ? t("Fires at the moment when this happens") : t("Fires while this is so, from the first moment on"))),
    h("details.fold", null, h("summary", null, t("In other languages")), h("dl.languages", null, Object.entries(LANGUAGES).filter(([code]) => code !== spoken()).flatMap(([code, name]) => [h("dt", null, name), h("dd", { lang: code }, said.words[code])]))));
}

/** @param {any} said @param {import("./dialog.js").Draft} draft */
function speech(said, draft) {
  const one = said.said.find((/** @type {any} */ { language }) => language === (draft.language || spoken()));
  if (!one || !draft.channels.some((way) => way === "sms" || way === "voice")) return null;
  if (one.sms_problem) return h("div.trouble", null, icon("warning"), h("p", null, t("No SMS can say this: {reason}", { reason: one.sms_problem })));
  return h("div.sms", null,
    h("p.bubble", null, one.sms),
    h("p.small-text.muted", null, t("{parts} of the month's SMS, {units} characters as {encoding}", { parts: one.segments.count, units: one.segments.units, encoding: one.segments.encoding })));
}
