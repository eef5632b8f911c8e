// What the tabs of the account are made of: cards, what is on its way in them, secrets that are shown once.

import { get } from "../../core/api.js";
import { fill, h } from "../../core/dom.js";
import { ApiError } from "../../core/http.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { loading, nothing, worker } from "../../ui/controls.js";
import { notify } from "../../ui/notices.js";
import { said } from "./form.js";

/** @typedef {import("../../core/dom.js").Child} Child */

let number = 0;

/**
 * A card with a heading, what is to be known of it, and its content.
 *
 * @param {{ title: string, hint?: Child, state?: Child, class?: string }} head
 * @param {...(Child | Child[])} content
 */
export function card({ title, hint, state, class: classes = "" }, ...content) {
  const id = `card-${++number}`;
  return h("section.card", { "aria-labelledby": id, class: classes }, h("header", null, h("h2", { id }, title), state), hint ? h("p.hint", null, hint) : null, ...content);
}

/**
 * A place for what has to be asked for first: shows that it comes, then it, or what went wrong and a way to try again.
 *
 * @template T
 * @param {() => Promise<T>} load
 * @param {(found: T, again: () => void) => Child | Child[]} draw  `again`: asks anew
 */
export function loaded(load, draw) {
  const place = h("div.loaded", { "aria-busy": "true" });
  const begin = async () => {
    if (!place.childNodes.length) fill(place, loading());
    try {
      const found = await load();
      fill(place, ...[draw(found, begin)].flat());
    } catch (error) {
      if (!(error instanceof ApiError)) reportError(error);
      fill(place, nothing(t("This could not be read"), said(error), worker("button", { onclick: begin }, t("Try again"))));
    }
    place.removeAttribute("aria-busy");
  };
  void begin();
  return place;
}

/** Answers of the server, asked for once while the view is shown: requests are counted. */
export function reading() {
  /** @type {Map<string, Promise<any>>} */
  const known = new Map();
  return {
    /** @param {string} path */
    get(path) {
      if (!known.has(path)) {
        const asked = get(path);
        known.set(path, asked);
        asked.catch(() => known.delete(path));
      }
      return /** @type {Promise<any>} */ (known.get(path));
    },
    /** @param {string} path @param {any} answer */
    set(path, answer) { known.set(path, Promise.resolve(answer)); },
    /** @param {string} path */
    forget(path) { known.delete(path); },
  };
}

/** @typedef {ReturnType<typeof reading>} Reading */

/** Puts a text on the clipboard; where there is none (plain http) by a selection. @param {string} text */
async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const place = h("textarea", { class: "unseen", readonly: true }, text);
  (document.querySelector("dialog[open]") ?? document.body).append(place);
  place.select();
  document.execCommand("copy");
  place.remove();
}

/** @param {string} text @param {string} [label] */
export function copyButton(text, label = t("Copy")) {
  const shown = h("span", { "aria-live": "polite" }, label);
  return worker("button", {
    async onclick() {
      try {
        await copied(text);
        shown.textContent = t("Copied");
        setTimeout(() => { shown.textContent = label; }, 2000);
      } catch {
        notify({ kind: "bad", title: t("The browser didn't let it be copied"), text: t("Select the text and copy it by hand.") });
      }
    },
  }, icon("copy"), shown);
}

/** A text that is to be copied, in one line that can be selected. @param {string} text @param {string} label */
export const secret = (text, label) => h("div.secret", null, h("code.mono", { tabindex: "0", "aria-label": label }, text), copyButton(text));

/** What has just been shown for the only time. @param {string} text */
export const onlyNow = (text) => h("p.only-now", { role: "status" }, icon("warning"), h("span", null, text));

/** @param {"good" | "warn" | "bad" | ""} kind @param {string} text */
export const pill = (kind, text) => h("span.pill", { class: kind }, text);

/** A name and what it is, in two columns. @param {[string, Child][]} rows */
export const facts = (rows) => h("dl.facts", null, rows.map(([name, is]) => h("div", null, h("dt", null, name), h("dd", null, is))));
