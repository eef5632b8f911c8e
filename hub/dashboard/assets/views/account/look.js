// Language, theme and time zone, each shown as it will be before it is chosen.

import { put } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { LANGUAGES, spoken, t } from "../../core/i18n.js";
import { session } from "../../core/session.js";
import { paint, theme } from "../../core/theme.js";
import { field, select } from "../../ui/controls.js";
import { complain, notify } from "../../ui/notices.js";
import { card, loaded } from "./parts.js";

/** @typedef {import("../../core/i18n.js").Language} Language */
/** @typedef {import("../../core/theme.js").Theme} Theme */

/** What was just chosen, to have the focus again once all is drawn in another language. @type {Language | null} */
let chosen = null;

/** @param {HTMLElement} panel @param {import("./account.js").Ground} ground */
export function mountLook(panel, { read, page }) {
  const languages = languageCard(page);
  panel.append(h("div.stack", null, languages, themeCard(), zoneCard(read)));
  if (chosen) queueMicrotask(() => /** @type {HTMLElement | null} */ (languages.querySelector("input:checked"))?.focus()); // once it stands in the page
  chosen = null;
  return theme.on((now) => {
    for (const box of panel.querySelectorAll("input[name=theme]")) /** @type {HTMLInputElement} */ (box).checked = /** @type {HTMLInputElement} */ (box).value === now;
  });
}

/** @param {Record<string, any>} wishes */
async function keep(wishes) {
  try {
    await put("/users/preferences", wishes);
    const { kind, account } = session.current.value;
    if (kind === "account") session.update({ ...account, ...wishes });
  } catch (error) { complain(t("This was not saved: it counts until you leave"), error); }
}

/** One of several, with a picture or a sample of itself. @param {{ name: string, value: string, checked: boolean, onchange: () => void, lang?: string }} box @param {...import("./parts.js").Child} shown */
const choice = ({ lang, ...box }, ...shown) => h("label.choice", { lang }, h("input", { type: "radio", ...box }), shown);

/** A date as it is written in a language. @param {string} code */
const sample = (code) => new Intl.DateTimeFormat(`${code}-IN-u-nu-latn`, { weekday: "long", day: "numeric", month: "long" }).format();

/** @param {import("../../app.js").Page} page */
function languageCard(page) {
  const choose = async (/** @type {Language} */ code) => {
    chosen = code;
    try {
      await page.change(code);
    } catch (error) { return complain(t("The language could not be changed"), error); }
    await keep({ language: code });
    await session.languageChanged().catch(() => null); // the token is renewed soon anyway
  };
  const boxes = Object.entries(LANGUAGES).map(([code, name]) => choice(
    { name: "language", value: code, checked: code === spoken(), lang: code, onchange: () => void choose(/** @type {Language} */ (code)) },
    h("span.grow", null, h("strong", null, name), h("span.muted", null, sample(code)))));
  return card({ title: t("Language"), hint: t("Of this page, and of mails, SMS, calls and push messages.") }, h("fieldset", null, h("legend.unseen", null, t("Language")), h("div.choices", null, boxes)));
}

function themeCard() {
  /** @type {[Theme, string][]} */
  const themes = [["light", t("Light")], ["dark", t("Dark")], ["system", t("As the system")]];
  const choose = (/** @type {Theme} */ wanted) => { paint(wanted); void keep({ theme: wanted }); };
  const boxes = themes.map(([wanted, label]) => choice(
    { name: "theme", value: wanted, checked: theme.value === wanted, onchange: () => choose(wanted) },
    h("span.preview", { class: wanted, "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i")), h("strong", null, label)));
  return card({ title: t("Theme") }, h("fieldset", null, h("legend.unseen", null, t("Theme")), h("div.choices", null, boxes)));
}

/** Where nothing is said. */
const USUAL = "Asia/Kolkata";

/** @param {import("./parts.js").Reading} read */
function zoneCard(read) {
  const now = h("p.hint", { role: "status" });
  const tell = (/** @type {string} */ zone) => { now.textContent = t("There it is {time} now.", { time: new Intl.DateTimeFormat(`${spoken()}-IN-u-nu-latn`, { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format() }); };
  return card(
    { title: t("Time zone"), hint: t("For quiet hours and for times in messages. Times of the markets are always India's.") },
    loaded(() => read.get("/users/preferences"), (kept) => {
      const zone = kept.timezone ?? USUAL;
      const box = select(zones(zone).map((one) => [one, one.replaceAll("_", " ")]), { value: zone, onchange: async () => {
        tell(box.value);
        await keep({ timezone: box.value });
        read.set("/users/preferences", { ...kept, timezone: box.value });
        notify({ kind: "good", title: t("Saved") });
      } });
      tell(zone);
      return h("div.form", null, field(t("Time zone"), box, { hiddenLabel: true }), now);
    }),
  );
}

/** All that the browser knows; its own and India's first. @param {string} mine @returns {string[]} */
function zones(mine) {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone.replace("Asia/Calcutta", USUAL);
  const every = Intl.supportedValuesOf("timeZone").map((one) => one.replace("Asia/Calcutta", USUAL));
  return [...new Set([mine, here, USUAL, ...every])];
}
