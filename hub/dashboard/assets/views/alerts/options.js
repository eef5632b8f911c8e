// How often an alert fires, until when, and what it listens to.

import { fill, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { checkbox, field, input, select } from "../../ui/controls.js";
import { durationLabel, sessionOptions, timeframeOptions, WAYS, wayLabel } from "./labels.js";

/** @typedef {import("./dialog.js").Editing} Editing */
/** @typedef {import("./draft.js").Options} Options */
/** @typedef {(patch: Partial<Options>) => void} ChangeOptions */

/** @type {[string, () => string, () => string][]} */
const FREQUENCIES = [
  ["once", () => t("Once"), () => t("Then it is over, until you resume it.")],
  ["every", () => t("Every time"), () => t("Each time that it happens, after it was not so.")],
  ["once_per_minute", () => t("Once a minute at most"), () => t("What happens again within a minute stands in the history only.")],
  ["once_per_bar", () => t("Once a candle at most"), () => t("At the first moment within a candle that it happens.")],
  ["once_per_bar_close", () => t("When a candle closes"), () => t("Looks at closed candles only, so a wick makes nothing fire.")],
];

const COOLDOWNS = ["0s", "30s", "1m", "5m", "15m", "1h", "4h", "1d"];

/** @param {Editing} editing */
export function makeOptions({ draft, preview, change }) {
  const set = (/** @type {Partial<Options>} */ patch) => change({ options: { ...draft.value.options, ...patch } });
  const { options, expires } = draft.value;
  const bars = field(t("Candles of"), picked(timeframeOptions(), options.timeframe, (timeframe) => set({ timeframe })));
  const frequency = h("fieldset.frequencies", null, h("legend", null, t("How often")), FREQUENCIES.map(([name, label, explained]) =>
    h("label.choice", null, h("input", { type: "radio", name: "frequency", value: name, checked: options.frequency === name, onchange: () => set({ frequency: name }) }), h("span", null, h("strong", null, label()), h("span.hint", null, explained())))));
  const ends = input({ type: "datetime-local", value: expires, oninput: () => change({ expires: ends.value }) });
  const cooldown = picked(cooldowns(options.cooldown), options.cooldown, (value) => set({ cooldown: value }));
  const initially = field(t("If it is true already"), picked([["fire", t("fire at once")], ["wait", t("wait until it has been false")]], options.initially, (value) => set({ initially: value })));
  const element = h("div.stack", null,
    frequency, bars,
    h("div.columns", null,
      field(t("Silence after it fired"), cooldown),
      field(t("Ends (Indian time)"), ends, { hint: t("Empty: it doesn't end by itself.") }),
      initially),
    makeSessions(options, set),
    field(t("Over night"), picked([["fire", t("a price that opens beyond the level has crossed it")], ["rebase", t("each day begins anew with its first price")]], options.overnight, (overnight) => set({ overnight }))),
    makeAdvanced(options, set));
  const off = draft.on((now) => { bars.hidden = !now.options.frequency.startsWith("once_per_bar"); });
  const offPreview = preview.on(({ said }) => { initially.hidden = said?.happens === "edge"; });
  return { element, end() { off(); offPreview(); } };
}

/** @param {[string, string][]} options @param {string} value @param {(value: string) => void} changed */
function picked(options, value, changed) {
  const control = select(options, { value, onchange: () => changed(control.value) });
  return control;
}

/** @param {string} own @returns {[string, string][]} */
const cooldowns = (own) => [...new Set([...COOLDOWNS, own])].map((one) => [one, one === "0s" ? t("none") : durationLabel(one)]);

/** @param {Options} options @param {ChangeOptions} set */
function makeSessions(options, set) {
  let chosen = new Set(options.sessions);
  return h("fieldset", null, h("legend", null, t("Prices that count")), h("div.columns", null, sessionOptions().map(([name, label]) => {
    const one = checkbox(label, { checked: chosen.has(name), onchange: () => {
      const next = new Set(chosen);
      if (one.box.checked) next.add(name);
      else next.delete(name);
      if (!next.size) { one.box.checked = true; return; } // it has to listen to something
      chosen = next;
      set({ sessions: [...next] });
    } });
    return one;
  })));
}

/** @param {Options} options @param {ChangeOptions} set */
function makeAdvanced(options, set) {
  const text = (/** @type {"band" | "max_per_day" | "max_total"} */ name, /** @type {string} */ label, /** @type {string} */ hint) => {
    const control = input({ value: options[name], inputmode: "decimal", class: "mono", oninput: () => set({ [name]: control.value.trim() }) });
    return field(label, control, { hint });
  };
  const critical = checkbox(t("Critical: it passes quiet hours, where your preferences consent to that"), { checked: options.critical, onchange: () => set({ critical: critical.box.checked }) });
  const open = options.critical || options.escalation.length > 0 || options.rearm !== "" || options.band !== "" || options.max_per_day !== "" || options.max_total !== "";
  return h("details.fold", { open }, h("summary", null, t("More")), h("div.stack", null,
    h("div.columns", null,
      field(t("May fire again"), picked([["", t("as is usual")], ["immediately", t("at once")], ["recover", t("once it has been false")], ["session", t("on the next trading day")], ["manual", t("when I resume it")]], options.rearm, (rearm) => set({ rearm })))),
    h("div.columns", null,
      text("band", t("Band"), t("How far back beyond the level: 5 or 0.5%")),
      text("max_per_day", t("At most a day"), t("Firings; empty: no limit")),
      text("max_total", t("At most in all"), t("Then it is over"))),
    critical,
    makeEscalation(options, set)));
}

/** @param {Options} options @param {ChangeOptions} set */
function makeEscalation(options, set) {
  let steps = options.escalation;
  const rows = h("div.stack");
  const put = (/** @type {import("./draft.js").Step[]} */ next) => { steps = next; set({ escalation: next }); draw(); };
  const change = (/** @type {number} */ index, /** @type {Partial<import("./draft.js").Step>} */ patch) => { steps = steps.map((one, at) => (at === index ? { ...one, ...patch } : one)); set({ escalation: steps }); };
  const draw = () => fill(rows, steps.map((step, index) => h("div.row.step", null,
    field(t("Then by"), picked(WAYS.filter((way) => way !== "websocket").map((way) => [way, wayLabel(way)]), step.channel, (channel) => change(index, { channel }))),
    field(t("after"), picked([...new Set([30, 60, 120, 180, 300, 600, 1800, 3600, step.after_s])].sort((a, b) => a - b).map((one) => [String(one), one < 120 ? durationLabel(`${one}s`) : durationLabel(`${one / 60}m`)]), String(step.after_s), (after) => change(index, { after_s: Number(after) }))),
    h("button.quiet.square", { type: "button", "aria-label": t("Take this step away"), onclick: () => put(steps.filter((_, at) => at !== index)) }, icon("close")))),
    steps.length < 4 ? h("button.small", { type: "button", onclick: () => put([...steps, { channel: "sms", after_s: steps.length ? Math.min(3600, (steps.at(-1)?.after_s ?? 60) * 2) : 60 }]) }, icon("plus"), t("Add a step")) : null);
  draw();
  return h("fieldset", null, h("legend", null, t("Unless I acknowledge it")), rows);
}
