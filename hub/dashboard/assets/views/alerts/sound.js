// A soft sound when an alert fires, for whoever wants it: two notes out of the browser, no file.

import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { keep, kept } from "../../core/storage.js";
import { menu } from "../../ui/controls.js";
import { notify } from "../../ui/notices.js";

/** @type {AudioContext | null} */
let audio = null;

export const wantsSound = () => Boolean(kept("alerts.sound", false));

/** Plays it, where it is wanted and the browser lets it. */
export function chime() {
  if (!wantsSound()) return;
  audio ??= new AudioContext();
  if (audio.state === "suspended") void audio.resume();
  [[660, 0], [880, 0.14]].forEach(([pitch, after]) => note(/** @type {AudioContext} */ (audio), pitch, after));
}

/** @param {AudioContext} context @param {number} pitch @param {number} after seconds */
function note(context, pitch, after) {
  const [tone, gain] = [context.createOscillator(), context.createGain()];
  const start = context.currentTime + after;
  tone.frequency.value = pitch;
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(0.12, start + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.001, start + 0.45);
  tone.connect(gain).connect(context.destination);
  tone.start(start);
  tone.stop(start + 0.5);
}

/** Whether notices of the browser are wanted and allowed while no page is looked at. */
export const wantsNotices = () => Boolean(kept("alerts.notices", false)) && typeof Notification !== "undefined" && Notification.permission === "granted";

async function turnNotices() {
  if (wantsNotices()) return keep("alerts.notices", false);
  const answer = typeof Notification === "undefined" ? "denied" : await Notification.requestPermission();
  keep("alerts.notices", answer === "granted");
  if (answer !== "granted") notify({ kind: "bad", title: t("The browser doesn't allow notices"), text: t("Allow them for this page in the browser's settings, then choose this again.") });
}

/** How this browser draws attention to an alert. */
export function soundButton() {
  return menu({
    label: t("How this browser tells"),
    class: "quiet square",
    content: [icon("alert")],
    items: () => [
      { label: t("Play a sound"), checked: wantsSound(), run: () => { keep("alerts.sound", !wantsSound()); chime(); } },
      { label: t("Notices while the page is hidden"), checked: wantsNotices(), run: () => void turnNotices() },
    ],
  });
}
