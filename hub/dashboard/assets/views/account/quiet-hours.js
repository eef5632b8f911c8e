// When one is not to be disturbed.

import { fill, h } from "../../core/dom.js";
import { spoken, t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { href } from "../../core/router.js";
import { checkbox, field, select } from "../../ui/controls.js";
import { openDialog } from "../../ui/dialog.js";
import { form, value } from "./form.js";
import { card } from "./parts.js";
import { WAYS } from "./ways.js";

/** @typedef {import("./notifications.js").Window} Window */
/** @typedef {import("./notifications.js").Way} Way */
/** @typedef {import("./notifications.js").Kept} Kept */

const MOST = 14;
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DISTURBING = /** @type {Way[]} */ (["email", "sms", "voice", "push", "webhook"]);

/** Monday was the first day of 2024. @param {string} day */
const dayName = (day) => new Intl.DateTimeFormat(`${spoken()}-IN`, { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + DAYS.indexOf(day)));
const wayNames = (/** @type {Way[]} */ ways) => new Intl.ListFormat(`${spoken()}-IN`, { type: "unit" }).format(ways.map((way) => WAYS[way].name()));

/** @param {Kept} kept */
export function quietCard(kept) {
  const list = h("ul.windows");
  const windows = () => kept.wishes.quiet_hours ?? [];
  const change = (/** @type {Window[]} */ next) => { kept.change({ quiet_hours: next }); draw(); };
  const edit = (/** @type {Window | null} */ one) => void openDialog({ title: one ? t("Change quiet hours") : t("New quiet hours"), body: (close) => editor(one, (made) => {
    change(one ? windows().map((other) => (other === one ? made : other)) : [...windows(), made]);
    close();
  }, close) });
  const more = h("button", { type: "button", onclick: () => edit(null) }, icon("plus"), t("Add quiet hours"));
  const draw = () => {
    fill(list, windows().map((one) => row(one, () => edit(one), () => change(windows().filter((other) => other !== one)))));
    if (!windows().length) list.append(h("li.muted", null, t("None: messages come at any hour.")));
    more.disabled = windows().length >= MOST;
  };
  draw();
  return card(
    { title: t("Quiet hours"), hint: h("span", null, t("By the clock of {zone}.", { zone: (kept.timezone ?? "Asia/Kolkata").replaceAll("_", " ") }), " ", h("a", { href: href("account", "look") }, t("Change the time zone"))) },
    list, h("div.row", null, more), breaking(kept));
}

/** What may come all the same. @param {Kept} kept */
function breaking(kept) {
  const box = checkbox(t("Let critical alerts through"), { checked: Boolean(kept.wishes.critical_override), onchange: () => kept.change({ critical_override: box.box.checked }) });
  box.lastElementChild?.append(h("span.hint", null, t("Alerts that you have marked as critical come in quiet hours too. A test comes at once, always.")));
  return box;
}

/** @param {Window} one */
export function inWords(one) {
  const when = one.start === one.end ? t("all day from {start}", { start: one.start }) : t("{start} to {end}", { start: one.start, end: one.end });
  const days = one.days?.length ? one.days.map(dayName).join(", ") : t("every day");
  const ways = one.channels?.length ? wayNames(one.channels) : t("all ways but this page");
  const what = one.action === "drop" ? t("is dropped") : one.action === "downgrade" && one.to ? t("comes by {way} instead", { way: WAYS[one.to].name() }) : t("waits until the end");
  return { when, days, what: t("{ways}: {what}", { ways, what }) };
}

/** @param {Window} one @param {() => void} edit @param {() => void} discard */
function row(one, edit, discard) {
  const { when, days, what } = inWords(one);
  return h("li.row", null,
    icon("moon"),
    h("div.grow", null, h("strong", null, when), " ", h("span.muted", null, days), h("p.hint", null, what)),
    h("button.quiet.square", { type: "button", "aria-label": t("Change the quiet hours {when}", { when }), onclick: edit }, icon("edit")),
    h("button.quiet.square", { type: "button", "aria-label": t("Delete the quiet hours {when}", { when }), onclick: discard }, icon("trash")));
}

/** @param {Window | null} one @param {(made: Window) => void} done @param {() => void} close */
function editor(one, done, close) {
  const time = (/** @type {string} */ now) => h("input", { type: "time", required: true, value: now });
  const [start, end] = [field(t("From"), time(one?.start ?? "22:00")), field(t("To"), time(one?.end ?? "07:00"), { hint: t("Earlier than the start: the next morning.") })];
  const days = boxes(t("Days on which they begin"), DAYS, dayName, one?.days ?? []);
  const ways = boxes(t("For"), DISTURBING, (way) => WAYS[/** @type {Way} */ (way)].name(), one?.channels ?? []);
  const to = field(t("By which way instead"), select(Object.entries(WAYS).map(([way, { name }]) => [way, name()]), { value: one?.to ?? "push" }));
  const action = select([["hold", t("waits until they end")], ["drop", t("is dropped")], ["downgrade", t("comes by another way")]], { value: one?.action ?? "hold", onchange: () => { to.hidden = action.value !== "downgrade"; } });
  to.hidden = action.value !== "downgrade";
  return form({
    fields: { start, end },
    button: one ? t("Save") : t("Add"),
    content: [h("div.columns", null, start, end), days.element, ways.element, field(t("What comes in them"), action), to],
    beside: [h("button", { type: "button", onclick: close }, t("Cancel"))],
    send: () => done(windowOf({ start: value(start), end: value(end), days: days.chosen(), channels: /** @type {Way[]} */ (ways.chosen()), action: /** @type {any} */ (action.value) }, /** @type {Way} */ (value(to)))),
  });
}

/** Without what goes without saying. @param {Required<Omit<Window, "to">>} given @param {Way} to @returns {Window} */
function windowOf({ start, end, days, channels, action }, to) {
  return {
    start, end,
    ...(days.length && days.length < DAYS.length ? { days } : {}),
    ...(channels.length && channels.length < DISTURBING.length ? { channels } : {}),
    ...(action === "hold" ? {} : { action }),
    ...(action === "downgrade" ? { to } : {}),
  };
}

/** Boxes of which none ticked means all. @param {string} label @param {string[]} every @param {(one: string) => string} name @param {string[]} ticked */
export function boxes(label, every, name, ticked) {
  const made = every.map((one) => checkbox(name(one), { value: one, checked: !ticked.length || ticked.includes(one) }));
  return {
    element: h("fieldset.boxes", null, h("legend", null, label), h("div.row", null, made)),
    chosen: () => made.filter(({ box }) => box.checked).map(({ box }) => box.value),
  };
}
