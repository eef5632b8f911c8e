// A list that is too long for one page: filters above, a table, and the way to the next ones below.

import { get } from "../core/api.js";
import { fill, h, settled } from "../core/dom.js";
import { whole } from "../core/format.js";
import { t } from "../core/i18n.js";
import { loading, nothing } from "./controls.js";

const LIMIT = 25;

/**
 * `row` makes a table row of each item; `filters` are controls with a `name`, whose values go into the query.
 *
 * @template T
 * @param {object} options
 * @param {string} options.path
 * @param {string} options.label
 * @param {[label: string, numeric?: boolean][]} options.columns
 * @param {(item: T) => HTMLTableRowElement} options.row
 * @param {HTMLElement[]} [options.filters]
 * @param {Record<string, string>} [options.query]  What is always asked
 * @param {{ title: string, text?: string }} options.none
 * @param {(answer: any) => import("../core/dom.js").Child} [options.note]  What there is to say of an answer
 */
export function makePaged({ path, label, columns, row, filters = [], query = {}, none, note }) {
  let page = 1;
  /** @type {AbortController | null} */
  let asked = null;
  const body = h("div.paged-body", null, loading());
  const form = h("form.filters", { role: "search", "aria-label": label, onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); page = 1; void show(); } }, filters);
  form.addEventListener("input", settled(300, () => { page = 1; void show(); }));

  /** @param {any} answer */
  function table(answer) {
    const heads = columns.map(([name, numeric]) => h("th", { scope: "col", class: numeric ? "number" : "" }, name));
    return h("div.scroll", { tabindex: "0", role: "region", "aria-label": label },
      h("table", null, h("caption.unseen", null, label), h("thead", null, h("tr", null, heads)), h("tbody", null, answer.items.map(row))));
  }

  /** @param {any} answer */
  function steps(answer) {
    const last = Math.max(1, Math.ceil(answer.total / answer.limit));
    const step = (/** @type {number} */ by) => { page += by; void show(); };
    return h("footer.row", null,
      h("span.muted.grow", null, t("{count} in all", { count: whole(answer.total) })),
      h("button.small", { type: "button", disabled: page <= 1, onclick: () => step(-1) }, t("Previous page")),
      h("span.muted", null, t("{page} of {last}", { page, last })),
      h("button.small", { type: "button", disabled: page >= last, onclick: () => step(1) }, t("Next page")));
  }

  async function show() {
    asked?.abort();
    asked = new AbortController();
    const wanted = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
    body.setAttribute("aria-busy", "true");
    try {
      const answer = await get(path, { ...query, ...wanted, page, limit: LIMIT }, asked.signal);
      const empty = answer.items.length === 0;
      fill(body, note?.(answer), empty ? nothing(none.title, none.text) : table(answer), empty && page === 1 ? null : steps(answer));
    } catch (error) {
      if (/** @type {Error} */ (error).name === "AbortError") return;
      fill(body, nothing(t("This could not be read"), /** @type {Error} */ (error).message, h("button", { type: "button", onclick: () => void show() }, t("Try again"))));
    }
    body.removeAttribute("aria-busy");
  }

  void show();
  return { element: h("div.paged", null, filters.length ? form : null, body), refresh: () => void show(), end: () => asked?.abort() };
}
