// What an alert says: its name, its own words with places to be filled in, and its language.

import { fill, h } from "../../core/dom.js";
import { LANGUAGES, spoken, t } from "../../core/i18n.js";
import { field, input, select } from "../../ui/controls.js";
import { insert } from "./builder.js";

const PLACES = ["symbol", "price", "level", "prev", "change_percent", "time", "condition", "name"];
const MOST = 500;

/** @param {import("./dialog.js").Editing} editing */
export function makeMessage({ draft, preview, change }) {
  const { name, message, language } = draft.value;
  const named = input({ value: name, maxlength: 100, oninput: () => change({ name: named.value }) });
  const box = h("textarea", { rows: 3, maxlength: MOST, value: message, oninput: () => { change({ message: box.value }); count(); } });
  const left = h("span.muted.small-text");
  const count = () => { left.textContent = `${box.value.length} / ${MOST}`; };
  count();
  const words = field(t("Message"), box, { hint: t("Empty: the alert says it in its own words. What stands in braces is filled in when it fires.") });
  const tongue = select([["", t("my language")], ...Object.entries(LANGUAGES)], { value: language, onchange: () => change({ language: tongue.value }) });
  const sample = h("div.sample");
  const off = preview.on(({ said }) => {
    const spokenNow = said?.said.find((/** @type {any} */ one) => one.language === (draft.value.language || spoken()));
    fill(sample, spokenNow ? [h("p.small-text.muted", null, t("What it says:")), h("div.bubble", null, h("strong", null, spokenNow.title), h("p", null, spokenNow.line))] : null);
  });
  return {
    element: h("div.stack", null,
      field(t("Name"), named, { hint: t("Empty: its condition is its name.") }),
      words,
      h("div.row.places-to-fill", { role: "group", "aria-label": t("Places to be filled in") }, PLACES.map((one) => h("button.small", { type: "button", onclick: () => insert(box, `{{${one}}}`) }, h("code", null, `{{${one}}}`))), left),
      field(t("Language"), tongue),
      sample),
    end: off,
  };
}
