// Which indicators a chart has: those that are on, with their numbers to edit; a short list; and a field for any other.

import { h, write } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { MOST, read, shortList, title, written } from "../../ui/chart-indicators.js";
import { popover } from "../../ui/popover.js";

export class IndicatorMenu {
  #count = h("span.tag");
  #fault = h("p.error", { role: "alert", hidden: true });
  #button = h("button.small", { type: "button" }, icon("signal"), t("Indicators"), this.#count);
  #popover = popover({ label: t("Indicators"), button: this.#button, content: () => this.#content() });
  element = h("span.state-place", null, this.#button, this.#popover.panel);

  /** @param {{ chosen: string[], onchange: (names: string[]) => void }} options */
  constructor({ chosen, onchange }) {
    this.names = chosen.slice(0, MOST);
    this.onchange = onchange;
    write(this.#count, String(this.names.length));
  }

  /** Says what the server refused of them; nothing takes it away. @param {string} text */
  complain(text) {
    this.#fault.textContent = text;
    this.#fault.hidden = !text;
  }

  /** @param {string[]} names */
  #set(names) {
    this.names = [...new Set(names)].slice(0, MOST);
    write(this.#count, String(this.names.length));
    this.onchange(this.names);
    this.#popover.refresh();
  }

  #content() {
    const full = this.names.length >= MOST;
    return [
      h("h2", null, t("Indicators")),
      this.names.length ? h("div.stack", { role: "list", "aria-label": t("On the chart") }, this.names.map((one) => this.#row(one))) : h("p.muted", null, t("Choose what is drawn over the candles and below them.")),
      this.#fault,
      full ? h("p.hint", null, t("At most {count} at once.", { count: MOST })) : null,
      h("div.indicator-list", null, shortList().map((one) => this.#offer(one, full))),
      this.#other(full),
    ];
  }

  /** @param {{ name: string, label: string, parameters: Record<string, number> }} one @param {boolean} full */
  #offer({ name, label, parameters }, full) {
    const add = () => this.#set([...this.names, written(name, Object.values(parameters))]);
    return h("button.quiet.small", { type: "button", disabled: full, onclick: add }, icon("plus"), h("span.grow", null, label));
  }

  /** One that is on, with its numbers. @param {string} text */
  #row(text) {
    const { name, given } = read(text);
    const known = shortList().find((one) => one.name === name);
    const labels = Object.keys(known?.parameters ?? {});
    const change = (/** @type {number} */ index, /** @type {Event} */ { target }) => {
      const { value } = /** @type {HTMLInputElement} */ (target);
      this.#set(this.names.map((one) => (one === text ? written(name, given.with(index, value.trim())) : one)));
    };
    const fields = given.map((value, index) => h("input", { value, "aria-label": `${title(name)} ${labels[index] ?? index + 1}`, title: labels[index]?.replaceAll("_", " ") ?? "", inputmode: "decimal", onchange: (/** @type {Event} */ event) => change(index, event) }));
    const remove = h("button.quiet.small", { type: "button", "aria-label": t("Remove {name}", { name: title(text) }), onclick: () => this.#set(this.names.filter((one) => one !== text)) }, icon("close"));
    return h("div.indicator", { role: "listitem" }, h("b.grow", null, known?.label ?? title(name)), fields, remove);
  }

  /** A field for any of the catalogue. @param {boolean} full */
  #other(full) {
    const box = h("input", { "aria-label": t("Any other by its name"), placeholder: t("Any other, such as willr(14)"), autocapitalize: "off", spellcheck: "false", disabled: full });
    const add = (/** @type {Event} */ event) => {
      event.preventDefault();
      if (box.value.trim()) this.#set([...this.names, box.value.replaceAll(" ", "")]);
    };
    return h("form.row", { onsubmit: add }, h("span.grow", null, box), h("button", { type: "submit", disabled: full }, t("Add")));
  }
}
