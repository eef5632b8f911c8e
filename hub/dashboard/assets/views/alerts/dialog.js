// The dialog in which an alert is written: what it waits for, how often, and by which channels it tells.

import { get, post, put } from "../../core/api.js";
import { fill, h, settled } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { observable } from "../../core/observable.js";
import { tabs } from "../../ui/controls.js";
import { confirmed, openDialog } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { makeBuilder } from "./builder.js";
import { makeChannels } from "./channels.js";
import { makeChartPane } from "./chart-pane.js";
import { alertBody, changesBody, draftOf, emptyDraft, isWhole, previewBody } from "./draft.js";
import { makeExplanation } from "./explanation.js";
import { formFor } from "./forms.js";
import { makeMessage } from "./message.js";
import { makeOptions } from "./options.js";
import { makePlace } from "./place.js";
import { newestPrice } from "./prices.js";

/** How long nothing is typed before it is looked at. */
const PAUSE_MS = 300;

/**
 * @typedef {object} Opening  What the dialog begins with.
 * @property {string} [place]  Such as NSE:RELIANCE.
 * @property {number} [price]  A level.
 * @property {string} [condition]
 * @property {string} [frequency]
 * @property {any} [alert]  The one that is to be changed.
 * @property {any} [like]  One to make another of.
 *
 * @typedef {import("./draft.js").Draft} Draft
 *
 * @typedef {object} Preview  What the server makes of a draft.
 * @property {any} [said]
 * @property {any} [error]
 * @property {boolean} [asking]
 *
 * @typedef {object} Editing  What the parts of the dialog share.
 * @property {import("../../core/observable.js").Observable<Draft>} draft
 * @property {import("../../core/observable.js").Observable<Preview>} preview
 * @property {(patch: Partial<Draft>) => void} change
 */

/** Opens it; resolves to the alert that was made or changed, undefined where it was left. @param {Opening} [opening] @returns {Promise<any>} */
export async function openAlertDialog(opening = {}) {
  const place = opening.place ?? placeOf(opening.alert ?? opening.like) ?? "NSE:RELIANCE";
  const price = await newestPrice(place);
  const first = firstDraft(opening, place, price);
  const draft = observable(first);
  const preview = observable(/** @type {Preview} */ ({}));
  const editing = { draft, preview, change: (/** @type {Partial<Draft>} */ patch) => draft.set({ ...draft.value, ...patch }) };
  /** @type {(() => void)[]} */
  const ends = [];
  return openDialog({
    title: opening.alert ? t("Edit alert") : t("New alert"),
    wide: true,
    body: (close) => {
      ends.push(understand(editing));
      return body(editing, { alert: opening.alert, close, ends });
    },
    onclose: () => ends.forEach((end) => end()),
  });
}

const placeOf = (/** @type {any} */ alert) => (alert ? `${alert.exchange}:${alert.symbol}` : undefined);

/** @param {Opening} opening @param {string} place @param {number | null} price @returns {Draft} */
function firstDraft(opening, place, price) {
  if (opening.alert || opening.like) return draftOf(opening.alert ?? opening.like, price);
  const draft = emptyDraft(place, price);
  if (opening.price !== undefined) draft.values.level = { ...draft.values.level, level: String(opening.price), relation: price !== null && opening.price < price ? "below" : "above" };
  if (opening.frequency) draft.options.frequency = opening.frequency;
  return opening.condition ? { ...draft, mode: "text", text: opening.condition } : draft;
}

/** Asks the server what it makes of the draft, whenever that has settled. @param {Editing} editing */
function understand({ draft, preview, change }) {
  let asked = "";
  let adopted = draft.value.mode === "form" || draft.value.values === undefined;
  const ask = settled(PAUSE_MS, async () => {
    if (!isWhole(draft.value)) return preview.set({});
    const body = previewBody(draft.value);
    const key = JSON.stringify(body);
    if (key === asked) return;
    asked = key;
    preview.set({ ...preview.value, asking: true });
    const answer = await post("/alerts/preview", body).then((said) => ({ said }), (error) => ({ error }));
    if (asked !== key) return;
    preview.set(answer);
    if (!adopted && "said" in answer) adoptForm({ draft, change }, answer.said);
    adopted = true;
  });
  return draft.on(() => ask());
}

/** Shows a text that came from an example in the form that says the same. @param {Pick<Editing, "draft" | "change">} editing @param {any} said */
function adoptForm({ draft, change }, said) {
  const fitting = formFor(said.tree);
  if (!fitting || draft.value.mode !== "text" || draft.value.text === "") return;
  change({ mode: "form", form: fitting.form.id, values: { ...draft.value.values, [fitting.form.id]: fitting.values } });
}

/** @param {Editing} editing @param {{ alert?: any, close: (result?: any) => void, ends: (() => void)[] }} around */
function body(editing, { alert, close, ends }) {
  const part = (/** @type {{ element: HTMLElement, end: () => void }} */ { element, end }) => { ends.push(end); return element; };
  const place = part(makePlace(editing));
  const sections = tabs({
    label: t("Parts of the alert"),
    tabs: [
      { id: "condition", label: t("Condition"), mount: (panel) => mounted(panel, makeBuilder(editing, (id) => { sections.choose(id); document.getElementById(`tab-${id}`)?.focus(); })) },
      { id: "often", label: t("How often"), mount: (panel) => mounted(panel, makeOptions(editing)) },
      { id: "channels", label: t("Told by"), mount: (panel) => mounted(panel, makeChannels(editing)) },
      { id: "message", label: t("Message"), mount: (panel) => mounted(panel, makeMessage(editing)) },
    ],
  });
  ends.push(() => sections.end());
  const problem = h("p.problem.grow", { role: "alert" });
  const save = saver(editing, alert, close, problem);
  const fields = h("form.fields", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void save.run(); } }, place, sections, h("button", { type: "submit", hidden: true, tabindex: "-1" }));
  const side = h("div.side", null, part(makeChartPane(editing)), part(makeExplanation(editing)));
  const editor = h("div.alert-editor", null, fields, side);
  queueMicrotask(() => editor.closest("dialog")?.addEventListener("cancel", guard(editing.draft, close)));
  return [
    editor,
    h("footer", null, problem, h("button", { type: "button", onclick: () => close() }, t("Cancel")), save.button),
  ];
}

/** Escape asks before it throws away what was written. @param {Editing["draft"]} draft @param {() => void} close */
function guard(draft, close) {
  const written = () => JSON.stringify(alertBody(draft.value));
  const first = written();
  return async (/** @type {Event} */ event) => {
    if (written() === first) return;
    event.preventDefault();
    if (await confirmed({ title: t("Leave without saving?"), text: t("What you have written here is lost then."), yes: t("Leave") })) close();
  };
}

/** @param {HTMLElement} panel @param {{ element: HTMLElement, end: () => void }} made */
function mounted(panel, { element, end }) {
  fill(panel, element);
  return end;
}

/** @param {Editing} editing @param {any} alert @param {(result?: any) => void} close @param {HTMLElement} problem */
function saver(editing, alert, close, problem) {
  let before = alert;
  const button = h("button.primary", { type: "button" }, alert ? t("Save") : t("Create alert"));
  const run = async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    problem.textContent = "";
    try {
      const saved = await send(editing.draft.value, before);
      told(saved, Boolean(alert));
      close(saved);
    } catch (/** @type {any} */ error) {
      if (error.code === "CONFLICT" && before) before = (await resolved(before)) ?? before;
      problem.textContent = error.message;
    } finally {
      button.ariaBusy = "false";
    }
  };
  button.addEventListener("click", () => void run());
  return { button, run };
}

/** @param {Draft} draft @param {any} alert the one that it changes */
async function send(draft, alert) {
  if (!isWhole(draft)) throw new Error(t("Fill in every number of the condition first."));
  if (!alert) return post("/alerts", alertBody(draft));
  const changes = changesBody(draft, alert);
  return Object.keys(changes).length ? put(`/alerts/${alert.id}`, { ...changes, version: alert.version }) : alert;
}

/** Says that an alert is there now, and which of its channels reach nobody yet. @param {any} saved @param {boolean} changed */
function told(saved, changed) {
  notify({ kind: "good", title: changed ? t("The alert is saved") : t("The alert is set"), text: saved.words });
  for (const text of saved.warnings ?? []) notify({ kind: "bad", title: t("One of its channels doesn't reach you yet"), text, stays: true });
}

/** Somebody has changed the alert meanwhile: asks whether that may be overwritten. @param {any} alert @returns {Promise<any>} the newer one, where it may */
async function resolved(alert) {
  const newer = await get(`/alerts/${alert.id}`).catch((error) => { complain(t("The alert could not be read"), error); return null; });
  if (!newer) return null;
  const yes = await confirmed({ title: t("The alert was changed elsewhere"), text: t("It says now: {words}. Overwrite that with what stands here?", { words: newer.words }), yes: t("Overwrite at the next save") });
  return yes ? newer : null;
}

