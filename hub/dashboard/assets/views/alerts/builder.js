// What an alert waits for: one of the common forms, or a text. Both say the same, and one can go from either to the other.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { field, input, select } from "../../ui/controls.js";
import { conditionOf } from "./draft.js";
import { FORMS, formFor, formOf } from "./forms.js";
import { makeSummary } from "./summary.js";

/** @typedef {import("./dialog.js").Editing} Editing */

/** @param {Editing} editing @param {(part: string) => void} open  Shows another part of the dialog. */
export function makeBuilder(editing, open) {
  const { draft } = editing;
  const place = h("div");
  const summary = makeSummary(editing, open);
  let shown = "";
  /** @type {{ element: HTMLElement, update: () => void, end: () => void }} */
  let part = { element: place, update() {}, end() {} };
  const off = draft.on(({ mode, form }) => {
    const wanted = `${mode} ${form}`;
    if (wanted !== shown) {
      shown = wanted;
      part.end();
      part = mode === "text" ? makeText(editing) : makeForm(editing);
      fill(place, part.element);
    }
    part.update();
  });
  return { element: h("div.builder.stack", null, place, summary.element), end() { off(); part.end(); summary.end(); } };
}

/** @param {Editing} editing */
function makeForm({ draft, change }) {
  const form = formOf(draft.value.form);
  const kinds = h("div.kinds", { role: "radiogroup", "aria-label": t("Kind of condition") }, FORMS.map(({ id, label }) =>
    h("label.kind", null, h("input", { type: "radio", name: "kind", value: id, checked: id === form.id, autofocus: id === form.id, onchange: () => { change({ form: id }); keepFocus(id); } }), h("span", null, label()))));
  const controls = form.fields.map((one) => makeField(one, () => draft.value.values[form.id], (value) => change({ values: { ...draft.value.values, [form.id]: { ...draft.value.values[form.id], [one.name]: value } } })));
  const written = h("code");
  const element = h("div.stack", null, kinds, h("div.form-fields", null, controls.map((one) => one.element)),
    h("p.written", null, written, h("button.quiet.small", { type: "button", onclick: () => change({ mode: "text", text: conditionOf(draft.value) }) }, t("Write it as text"))));
  return {
    element,
    update() {
      controls.forEach((one) => one.update());
      written.textContent = conditionOf(draft.value);
    },
    end() {},
  };
}

/** The radio button that was chosen is drawn anew with its form, and keeps the focus. @param {string} id */
const keepFocus = (id) => /** @type {HTMLElement | null} */ (document.querySelector(`.kinds input[value="${id}"]`))?.focus();

/** @param {import("./forms.js").FormField} one @param {() => import("./forms.js").Values} values @param {(value: string) => void} changed */
function makeField(one, values, changed) {
  const control = one.options
    ? select(one.options(), { value: values()[one.name], onchange: () => changed(control.value) })
    : input({ value: values()[one.name], inputmode: "decimal", oninput: () => changed(control.value.replaceAll(/[,\s₹%]/g, "")) });
  const unit = h("span.unit", { "aria-hidden": "true" });
  const element = field(one.label(), control);
  if (!one.options) {
    const wrap = h("div.with-unit");
    control.before(wrap);
    wrap.append(unit, control);
  }
  return {
    element,
    update() {
      const value = values()[one.name];
      element.hidden = one.shown ? !one.shown(values()) : false;
      unit.textContent = one.unit?.(values()) ?? "";
      unit.hidden = !unit.textContent;
      if (document.activeElement !== control && control.value !== value) control.value = value;
    },
  };
}

/** @param {Editing} editing */
function makeText({ draft, preview, change }) {
  const box = h("textarea.mono", { rows: 4, spellcheck: "false", autocapitalize: "off", value: draft.value.text, oninput: () => change({ text: box.value }) });
  const whole = field(t("Condition"), box, { hint: t("For example: price > 2500 and rsi(14) on 15m < 30. Terms are put together by and, or, not, then … within, for.") });
  const show = h("button.quiet.small", { type: "button", hidden: true }, t("Show where"));
  const back = h("button.quiet.small", { type: "button", onclick: () => toForm() }, t("Use a form"));
  const stays = h("p.hint", { role: "status" });
  const toForm = () => {
    const fitting = formFor(preview.value.said?.tree);
    if (fitting) change({ mode: "form", form: fitting.form.id, values: { ...draft.value.values, [fitting.form.id]: fitting.values } });
    else stays.textContent = preview.value.said ? t("No form says just this, so it stays a text. Nothing of it is lost.") : t("It has to be understood first.");
  };
  const off = preview.on(({ error }) => {
    const column = error?.details?.column;
    whole.fail(error?.message ?? "");
    show.hidden = !column;
    show.onclick = () => { box.focus(); box.setSelectionRange(column - 1, endOfWord(box.value, column - 1)); };
  });
  const clear = draft.on(() => { stays.textContent = ""; });
  return {
    element: h("div.stack", null, whole, h("div.row", null, back, show), stays, grammar((text) => insert(box, text))),
    update() { if (document.activeElement !== box && box.value !== draft.value.text) box.value = draft.value.text; },
    end() { off(); clear(); },
  };
}

/** @param {string} text @param {number} from */
function endOfWord(text, from) {
  const rest = /^[\w.]+/.exec(text.slice(from));
  return from + (rest ? rest[0].length : 1);
}

/** Puts a text where the cursor is. @param {HTMLTextAreaElement | HTMLInputElement} box @param {string} text */
export function insert(box, text) {
  const { selectionStart, selectionEnd } = box;
  box.setRangeText(text, selectionStart ?? box.value.length, selectionEnd ?? box.value.length, "end");
  box.focus();
  box.dispatchEvent(new Event("input"));
}

const EXAMPLES = () => /** @type {[string, string][]} */ ([
  ["price crosses above prev_close * 1.02", t("two percent over yesterday's close")],
  ["price > 500 for 10s", t("it has held for ten seconds")],
  ["new day high and volume > 2 * sma(volume, 20) on 5m", t("two things at the same time")],
  ["price crosses above 500 then price crosses below 495 within 10m", t("one after the other")],
  ["NFO:NIFTY26DECFUT.price - NSE:NIFTY 50.price > 80", t("another instrument")],
  ["rsi(7) on 5m > rsi(7) on 1h", t("indicators of two kinds of candles")],
]);

/** @param {(text: string) => void} add */
const grammar = (add) => h("details.fold", null, h("summary", null, t("What can be written")), h("ul.examples-of-text", null, EXAMPLES().map(([text, says]) =>
  h("li", null, h("button.quiet.small", { type: "button", onclick: () => add(text) }, h("code", null, text)), h("span.muted", null, says)))));
