// Words in five languages. English stands in the code; the others come as a table from the server.

/** Each language by its own name. */
export const LANGUAGES = { en: "English", hi: "हिन्दी", mr: "मराठी", gu: "ગુજરાતી", kn: "ಕನ್ನಡ" };

/** @typedef {keyof typeof LANGUAGES} Language */

/** @type {Language} */
let language = "en";
/** @type {Record<string, string>} */
let words = {};

/** The language that is spoken now. @returns {Language} */
export const spoken = () => language;

/** @param {string | null | undefined} code  @returns {code is Language} */
export const isLanguage = (code) => typeof code === "string" && Object.hasOwn(LANGUAGES, code);

/** What the browser would like, of what there is. @returns {Language} */
export function wished() {
  for (const tag of navigator.languages ?? []) {
    const code = tag.split("-")[0];
    if (isLanguage(code)) return code;
  }
  return "en";
}

/** Speaks it from now on; what is already drawn stays as it was. @param {Language} code */
export async function speak(code) {
  words = code === "en" ? {} : await (await fetch(new URL(`../words/${code}.json`, import.meta.url))).json();
  language = code;
  document.documentElement.lang = code;
  try { localStorage.setItem("tickhub.language", code); } catch { /* asked again next time */ }
}

/**
 * A text in the language that is spoken, with its places filled: `t("{count} symbols", { count: 3 })`.
 *
 * @param {string} text  In English, as a literal, so that it can be found and translated.
 * @param {Record<string, string | number>} [values]
 */
export function t(text, values) {
  const said = words[text] ?? text;
  return values ? said.replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place)) : said;
}
