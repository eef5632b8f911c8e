// What one is told, by which way, and when not; the browsers and servers that are told.
//
// The preferences are one object, which is sent whole: each card changes its part of it, and all show what is saved.

import { put } from "../../core/api.js";
import { h, settled } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { complain } from "../../ui/notices.js";
import { digestCard } from "./digest.js";
import { loaded } from "./parts.js";
import { pushCard } from "./push.js";
import { quietCard } from "./quiet-hours.js";
import { waysCard } from "./ways.js";
import { webhooksCard } from "./webhooks.js";

/**
 * @typedef {"websocket" | "email" | "sms" | "voice" | "push" | "webhook"} Way
 * @typedef {"alert" | "digest" | "notice"} Kind
 * @typedef {Partial<Record<Way, boolean>>} Switches  What isn't named is on.
 * @typedef {object} Window
 * @property {string} start
 * @property {string} end
 * @property {string[]} [days]
 * @property {Way[]} [channels]
 * @property {"hold" | "drop" | "downgrade"} [action]
 * @property {Way} [to]
 * @typedef {object} Wishes  `notifications` of `GET users/preferences`.
 * @property {Switches} [channels]
 * @property {Partial<Record<Kind, Switches>>} [kinds]
 * @property {Window[]} [quiet_hours]
 * @property {boolean} [critical_override]
 * @property {{ minutes: number, channels?: Way[] } | null} [digest]
 * @property {number | null} [sms_per_month]
 * @property {{ channel: Way, kind?: Kind | null }[]} [unsubscribed]
 *
 * @typedef {object} Kept
 * @property {Wishes} wishes
 * @property {(changes: Wishes) => void} change  Saves, a moment later.
 * @property {string | null} timezone
 */

const PREFERENCES = "/users/preferences";
const SAVED_AFTER_MS = 500;

/** @param {HTMLElement} panel @param {import("./account.js").Ground} ground */
export function mountNotifications(panel, { read }) {
  const state = h("p.saved.muted", { role: "status" });
  panel.append(h("div.stack", null,
    loaded(() => read.get(PREFERENCES), (preferences, again) => {
      const kept = keeping(preferences, state, read, () => { read.forget(PREFERENCES); again(); });
      return [h("div.stack", null, waysCard(kept), h("div.pair", null, quietCard(kept), digestCard(kept, read)))];
    }),
    pushCard(read), webhooksCard(read), state));
}

/**
 * @param {any} preferences @param {HTMLElement} state @param {import("./parts.js").Reading} read
 * @param {() => void} undo  Shows again what is saved.
 * @returns {Kept}
 */
function keeping(preferences, state, read, undo) {
  const send = settled(SAVED_AFTER_MS, async () => {
    const sent = kept.wishes;
    try {
      read.set(PREFERENCES, await put(PREFERENCES, { notifications: sent }));
      if (sent === kept.wishes) state.textContent = t("Saved. It counts from the next message on.");
    } catch (error) {
      state.textContent = "";
      complain(t("This was not saved"), error);
      undo();
    }
  });
  /** @type {Kept} */
  const kept = {
    wishes: preferences.notifications,
    timezone: preferences.timezone,
    change(changes) {
      kept.wishes = { ...kept.wishes, ...changes };
      state.textContent = t("Saving…");
      send();
    },
  };
  return kept;
}
