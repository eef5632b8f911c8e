// Push messages: for this browser, and what others get them.

import { get, post, remove } from "../../core/api.js";
import { h } from "../../core/dom.js";
import { day } from "../../core/format.js";
import { t } from "../../core/i18n.js";
import { icon } from "../../core/icons.js";
import { PUSH_SUBSCRIPTIONS, hasPush, pushSubscription } from "../../core/push-subscription.js";
import { nothing, worker } from "../../ui/controls.js";
import { complain, notify } from "../../ui/notices.js";
import { deviceOf, isHandheld } from "./devices.js";
import { card, loaded } from "./parts.js";


/** @param {import("./parts.js").Reading} read */
export function pushCard(read) {
  return card(
    { title: t("Push messages"), hint: t("They come while no page is open. What they say is encrypted for this browser; its maker's push service carries it.") },
    loaded(() => Promise.all([read.get(PUSH_SUBSCRIPTIONS), pushSubscription()]), ([{ items }, mine], again) => {
      const fresh = () => { read.forget(PUSH_SUBSCRIPTIONS); again(); };
      const here = mine && items.some((/** @type {any} */ { endpoint }) => endpoint === mine.endpoint);
      return [items.length ? h("ul.devices", null, items.map((/** @type {any} */ one) => row(one, one.endpoint === mine?.endpoint, fresh))) : null, thisBrowser(Boolean(here), items.length === 0, fresh)];
    }),
  );
}

/** @param {boolean} here @param {boolean} alone @param {() => void} fresh */
function thisBrowser(here, alone, fresh) {
  if (here) return null;
  if (!hasPush()) {
    const why = isSecureContext ? t("This browser has no push messages. On an iPhone, add the page to the home screen first.") : t("Browsers allow push messages on https pages only, and on this machine itself.");
    return alone ? nothing(t("Not in this browser"), why) : h("p.hint", null, why);
  }
  if (Notification.permission === "denied") {
    const how = t("This browser was told not to show notifications of this page. Allow them in its settings for this page, then load it again.");
    return alone ? nothing(t("Notifications are blocked"), how) : h("p.hint", null, how);
  }
  const enable = worker("button.primary", { onclick: () => subscribe(fresh) }, icon("alert"), t("Enable in this browser"));
  return alone ? nothing(t("No browser gets push messages yet"), t("The browser asks whether it may show them."), enable) : h("div.row", null, enable);
}

/** @param {() => void} fresh */
async function subscribe(fresh) {
  try {
    if (await Notification.requestPermission() !== "granted") return fresh();
    await navigator.serviceWorker.register("/worker.js");
    const { pushManager } = await navigator.serviceWorker.ready;
    const { public_key: key } = await get("/users/push-key");
    await forgetOther(pushManager, key);
    const made = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    await post(PUSH_SUBSCRIPTIONS, made.toJSON());
    notify({ kind: "good", title: t("This browser gets push messages now") });
  } catch (error) {
    complain(t("Push messages could not be enabled"), inWords(error));
  }
  fresh();
}

/** A subscription with another hub's key, or an older one, stands in the way. @param {PushManager} pushManager @param {string} key */
async function forgetOther(pushManager, key) {
  const before = await pushManager.getSubscription();
  const had = before?.options.applicationServerKey;
  if (had && encoded(had) !== key.replace(/=+$/, "")) await before.unsubscribe();
}

/** @param {ArrayBuffer} octets */
const encoded = (octets) => btoa(String.fromCharCode(...new Uint8Array(octets))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

/** @param {any} error */
const inWords = (error) => (error?.name === "AbortError" || error?.name === "NotAllowedError" ? new Error(t("The browser's push service refused or can't be reached: {why}", { why: error.message })) : error);

/** @param {any} one @param {boolean} here @param {() => void} fresh */
function row(one, here, fresh) {
  const app = one.endpoint.startsWith("fcm:");
  const name = app ? t("App") : deviceOf(one.user_agent) || t("Unknown device");
  return h("li", null,
    h("span.badge", null, icon(app || isHandheld(one.user_agent) ? "phone" : "system")),
    h("div.grow", null, h("div.row", null, h("strong", null, name), here ? h("span.pill.good", null, t("This one")) : null), h("p.hint", null, t("Since {day}", { day: day(one.created_at) }))),
    worker("button.small", { "aria-label": t("No more push messages on {device}", { device: name }), onclick: () => unsubscribe(one, here, fresh) }, t("Remove")));
}

/** @param {any} one @param {boolean} here @param {() => void} fresh */
async function unsubscribe(one, here, fresh) {
  try {
    await remove(PUSH_SUBSCRIPTIONS, { endpoint: one.endpoint });
    if (here) await (await pushSubscription())?.unsubscribe();
  } catch (error) { complain(t("It was not removed"), error); }
  fresh();
}
