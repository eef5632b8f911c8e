// What a new password has to be, ticked off while it is typed. The server judges; it also knows those that many people use.

import { h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";

const LEAST = 8;
const MOST = 128;
const SENTENCE = 20;
const SHORTEST_NAME = 4;

/** How many kinds of characters it has; a letter without capitals is a small one. @param {string} password */
function kinds(password) {
  const kind = (/** @type {string} */ one) => (/[\p{Lu}\p{Lt}]/u.test(one) ? "capital" : /\p{Nd}/u.test(one) ? "digit" : /[\p{L}\p{M}]/u.test(one) ? "small" : "other");
  return new Set([...password].map(kind)).size;
}

/** Whether a part of a name or an address stands in it. @param {string} password @param {string[]} about */
function personal(password, about) {
  const low = password.normalize("NFKC").toLowerCase();
  const names = about.map((one) => one.normalize("NFKC").toLowerCase().split("@")[0]);
  const parts = names.flatMap((name) => [name, ...name.split(/[^\p{L}\p{N}]+/u)]);
  return parts.some((part) => part.length >= SHORTEST_NAME && low.includes(part));
}

/** @param {string} password @param {string[]} about @returns {boolean[]} */
export function kept(password, about) {
  const length = [...password].length;
  return [
    length >= LEAST && length <= MOST,
    kinds(password) >= (length >= SENTENCE ? 2 : 3),
    length > 0 && !personal(password, about),
  ];
}

/** The rules as a list; `judge` ticks off what is kept. */
export function passwordRules() {
  const texts = [
    t("{least} to {most} characters", { least: LEAST, most: MOST }),
    t("Three of: small letters, capitals, digits, other signs. Two are enough from {count} characters on", { count: SENTENCE }),
    t("Nothing of your name or mail address"),
  ];
  const items = texts.map((text) => h("li", null, icon("check"), h("span", null, text), h("span.unseen")));
  const element = h("ul.rules", null, items);
  return {
    element,
    /** @param {string} password @param {string[]} about */
    judge(password, about) {
      kept(password, about).forEach((fine, index) => {
        items[index].dataset.fine = String(fine);
        /** @type {Element} */ (items[index].lastElementChild).textContent = fine ? t("Done") : t("Not yet");
      });
    },
  };
}
