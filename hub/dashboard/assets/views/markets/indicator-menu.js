// Which indicators a chart has: those that are on, with their numbers to edit; a short list; and a field for any other.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { MOST, read, shortList, title, written } from "../../ui/chart-indicators.js";
import { popover } from "../../ui/popover.js";

/** @param {{ chosen: string[], onchange: (names: string[]) => void }} options */
export function makeIndicatorMenu({ chosen, onchange }) {
  let names = chosen.slice(0, MOST);
  const count = h("span.tag");
  const fault = h("p.error", { role: "alert", hidden: true });
  const button = h("button.small", { type: "button" }, icon("signal"), t("Indicators"), count);
  const { panel, refresh } = popover({ label: t("Indicators"), button, content });

  /** @param {string[]} now */
  function set(now) {
    names = [...new Set(now)].slice(0, MOST);
    count.textContent = String(names.length);
    onchange(names);
    refresh();
  }

  function content() {
    const full = names.length >= MOST;
    return [
      h("h2", null, t("Indicators")),
      names.length ? h("div.stack", { role: "list", "aria-label": t("On the chart") }, names.map((one) => row(one))) : h("p.muted", null, t("Choose what is drawn over the candles and below them.")),
      fault,
      full ? h("p.hint", null, t("At most {count} at once.", { count: MOST })) : null,
      h("div.indicator-list", null, shortList().map(({ name, label, parameters }) =>
        h("button.quiet.small", { type: "button", disabled: full, onclick: () => set([...names, written(name, Object.values(parameters))]) }, icon("plus"), h("span.grow", null, label)))),
      other(full),
    ];
  }

  /** One that is on, with its numbers. @param {string} text */
  function row(text) {
    const { name, given } = read(text);
    const known = shortList().find((one) => one.name === name);
    const labels = known ? Object.keys(known.parameters) : [];
    const change = (/** @type {number} */ index, /** @type {string} */ value) => set(names.map((one) => (one === text ? written(name, given.with(index, value)) : one)));
    const fields = given.map((value, index) => h("input", { value, "aria-label": `${title(name)} ${labels[index] ?? index + 1}`, title: labels[index]?.replaceAll("_", " ") ?? "", inputmode: "decimal", onchange: (/** @type {Event} */ event) => change(index, /** @type {HTMLInputElement} */ (event.target).value.trim()) }));
    return h("div.indicator", { role: "listitem" }, h("b.grow", null, known?.label ?? title(name)), fields,
      h("button.quiet.small", { type: "button", "aria-label": t("Remove {name}", { name: title(text) }), onclick: () => set(names.filter((one) => one !== text)) }, icon("close")));
  }

  /** A field for any of the catalogue. @param {boolean} full */
  function other(full) {
    const box = h("input", { "aria-label": t("Any other by its name"), placeholder: t("Any other, such as willr(14)"), autocapitalize: "off", spellcheck: "false", disabled: full });
    return h("form.row", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); if (box.value.trim()) set([...names, box.value.trim().replaceAll(" ", "")]); } }, h("span.grow", null, box), h("button", { type: "submit", disabled: full }, t("Add")));
  }

  count.textContent = String(names.length);
  return {
    element: h("span.state-place", null, button, panel),
    names: () => names,
    /** Says what the server refused of them; nothing takes it away. @param {string} text */
    complain(text) {
      fault.textContent = text;
      fault.hidden = !text;
    },
  };
}
