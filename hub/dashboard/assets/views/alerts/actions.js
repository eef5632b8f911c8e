// What can be done with an alert, from wherever it is shown.

import { post } from "../../core/api.js";
import { t } from "../../core/i18n.js";
import { go, href } from "../../core/router.js";
import { confirmed } from "../../ui/dialog.js";
import { complain, notify } from "../../ui/notices.js";
import { openAlertDialog } from "./dialog.js";

/** @typedef {import("./collection.js").Alert} Alert */
/** @typedef {{ put: (alert: Alert) => void, turn: (alert: Alert, what: "pause" | "resume") => Promise<void>, remove: (alert: Alert) => Promise<void> }} Keeper */

/** What an alert is called where it has no name. @param {Alert} alert @returns {string} */
export const titleOf = (alert) => alert.name || alert.words;

/** @param {Keeper} keeper @param {Alert} alert */
export async function turn(keeper, alert) {
  const what = alert.status === "active" ? "pause" : "resume";
  try {
    await keeper.turn(alert, what);
  } catch (error) {
    complain(what === "pause" ? t("The alert could not be paused") : t("The alert could not be resumed"), error);
  }
}

/** @param {Keeper} keeper @param {Alert} alert */
export async function edit(keeper, alert) {
  const changed = await openAlertDialog({ alert });
  if (changed) keeper.put(changed);
}

/** @param {Keeper} keeper @param {Alert} alert */
export async function duplicate(keeper, alert) {
  const made = await openAlertDialog({ like: alert });
  if (made) keeper.put(made);
}

/** Sends now what the alert would send. @param {Alert} alert @param {{ stay?: boolean }} [options] stay: it is already shown @returns {Promise<number | null>} the trigger */
export async function sendTest(alert, { stay = false } = {}) {
  try {
    const { trigger } = await post(`/alerts/${alert.id}/test`, {});
    if (!stay) notify({ kind: "good", title: t("A test is on its way"), text: t("The alert's page shows how far it has come."), action: { label: t("Show"), run: () => go(href("alerts", String(alert.id))) } });
    return trigger;
  } catch (error) {
    complain(t("No test was sent"), error);
    return null;
  }
}

/** @param {Keeper} keeper @param {Alert} alert @returns {Promise<boolean>} whether it is gone */
export async function destroy(keeper, alert) {
  const sure = await confirmed({ title: t("Delete this alert?"), text: t("{alert}. What of it is still to be sent is cancelled. Its history goes with it.", { alert: titleOf(alert) }), yes: t("Delete") });
  if (!sure) return false;
  try {
    await keeper.remove(alert);
    return true;
  } catch (error) {
    complain(t("The alert could not be deleted"), error);
    return false;
  }
}

/** The menu of an alert. @param {Keeper} keeper @param {Alert} alert @param {{ gone?: () => void }} [options] @returns {import("../../ui/controls.js").MenuItem[]} */
export const itemsOf = (keeper, alert, { gone } = {}) => [
  { label: t("Edit"), icon: "edit", run: () => void edit(keeper, alert) },
  { label: t("Send a test"), icon: "test", run: () => void sendTest(alert, { stay: gone !== undefined }) },
  { label: t("Duplicate"), icon: "copy", run: () => void duplicate(keeper, alert) },
  { label: t("Delete"), icon: "trash", danger: true, run: () => void destroy(keeper, alert).then((done) => { if (done) gone?.(); }) },
];
