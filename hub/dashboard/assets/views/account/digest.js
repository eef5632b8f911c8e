// What an alert fires again within some minutes, told in one message; and how many SMS there may be.

import { fill, h } from "../../core/dom.js";
import { duration, whole } from "../../core/format.js";
import { LANGUAGES, spoken, t } from "../../core/i18n.js";
import { href } from "../../core/router.js";
import { session } from "../../core/session.js";
import { field, input, select } from "../../ui/controls.js";
import { card } from "./parts.js";
import { boxes } from "./quiet-hours.js";
import { WAYS } from "./ways.js";

/** @typedef {import("./notifications.js").Way} Way */

const DISTURBING = /** @type {Way[]} */ (["email", "sms", "voice", "push", "webhook"]);
const MINUTES = [5, 15, 30, 60, 240, 1440];

/** @param {import("./notifications.js").Kept} kept @param {import("./parts.js").Reading} read */
export function digestCard(kept, read) {
  return card(
    { title: t("Digests and SMS"), hint: t("An alert is told at once when it fires. What it fires within the minutes after that can come in one message.") },
    h("div.form", null, digest(kept), budget(kept, read)),
  );
}

/** @param {import("./notifications.js").Kept} kept */
function digest(kept) {
  const now = kept.wishes.digest;
  const every = [...new Set([...MINUTES, ...(now ? [now.minutes] : [])])].sort((one, other) => one - other);
  const minutes = select([["0", t("Each message by itself")], ...every.map((one) => /** @type {[string, string]} */ ([String(one), t("In one, after {duration}", { duration: duration(one) })]))], { value: String(now?.minutes ?? 0), onchange: () => save() });
  const ways = boxes(t("For"), DISTURBING, (way) => WAYS[/** @type {Way} */ (way)].name(), now?.channels ?? []);
  const save = () => {
    const length = Number(minutes.value);
    const chosen = /** @type {Way[]} */ (ways.chosen());
    ways.element.hidden = !length;
    kept.change({ digest: length ? { minutes: length, ...(chosen.length && chosen.length < DISTURBING.length ? { channels: chosen } : {}) } : null });
  };
  ways.element.hidden = !now;
  ways.element.addEventListener("change", save);
  return [field(t("What fires again"), minutes), ways.element];
}

/** @param {import("./notifications.js").Kept} kept @param {import("./parts.js").Reading} read */
function budget(kept, read) {
  const plan = h("span");
  const box = input({ type: "number", min: 0, max: 1_000_000, step: 1, inputmode: "numeric", value: kept.wishes.sms_per_month ?? "", placeholder: t("as many as the plan has"), onchange: () => {
    if (box.validity.valid) kept.change({ sms_per_month: box.value === "" ? null : Number(box.value) });
    place.fail(box.validity.valid ? "" : t("A whole number, 0 or more."));
  } });
  const place = field(t("At most so many SMS and calls a month"), box, { hint: h("span", null, plan, " ", t("Texts are in {language}; other scripts than Latin take more parts.", { language: LANGUAGES[spoken()] }), " ", h("a", { href: href("account", "look") }, t("Change the language"))) });
  void read.get("/plans").then(({ items }) => {
    const mine = items.find((/** @type {any} */ { name }) => name === session.current.value.plan);
    fill(plan, mine?.sms_per_month ? t("Your plan has {count}; long texts count as several.", { count: whole(mine.sms_per_month) }) : t("Your plan has none: SMS and calls come with basic and up."));
  }, () => undefined);
  return place;
}
