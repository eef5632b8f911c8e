// Starts the page: who is looking, in which language, and the view that the address names.

import { get } from "./core/api.js";
import { fill, h } from "./core/dom.js";
import { isLanguage, speak, spoken, t, wished } from "./core/i18n.js";
import { live } from "./core/live.js";
import { go, route } from "./core/router.js";
import { session } from "./core/session.js";
import { paint } from "./core/theme.js";
import { loading, nothing } from "./ui/controls.js";
import { closeDialogs } from "./ui/dialog.js";
import { clear, notify } from "./ui/notices.js";
import { makeShell } from "./ui/shell.js";

/**
 * @typedef {object} View  What a view's `mount` gives back.
 * @property {() => void} end  Takes down all that it has started.
 * @property {(route: import("./core/router.js").Route) => void} [update]  Another address within the same view.
 */

/**
 * @typedef {object} Page  What a view may do to the whole page.
 * @property {(language: import("./core/i18n.js").Language) => Promise<void>} change  Speaks another language, and draws all anew.
 */

/** @type {Record<string, { load: () => Promise<{ mount: (root: HTMLElement, route: import("./core/router.js").Route, page: Page) => View }>, title: () => string, open?: boolean, admin?: boolean }>} */
const VIEWS = {
  markets: { load: () => import("./views/markets/markets.js"), title: () => t("Markets") },
  alerts: { load: () => import("./views/alerts/alerts.js"), title: () => t("Alerts") },
  signals: { load: () => import("./views/signals/signals.js"), title: () => t("Signals") },
  account: { load: () => import("./views/account/account.js"), title: () => t("Account") },
  login: { load: () => import("./views/account/login.js"), title: () => t("Log in"), open: true },
  admin: { load: () => import("./views/admin/admin.js"), title: () => t("Administration"), admin: true },
};

const place = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {ReturnType<typeof makeShell> | null} */
let shell = null;
/** @type {{ name: string, view: View } | null} */
let shown = null;
let wanted = 0;

/** Shows the view of an address: the one that is there, told of it, or another in its place. @param {import("./core/router.js").Route} there */
async function show(there) {
  const name = Object.hasOwn(VIEWS, there.view) ? there.view : "markets";
  const { load, title, open, admin } = VIEWS[name];
  const who = session.current.value;
  if (!open && who.kind === "nobody") return go(`#/login?to=${encodeURIComponent(location.hash || "#/markets")}`, { replace: true });
  document.title = `${title()} · tickhub`;
  if (shown?.name === name && shown.view.update) return shown.view.update(there);
  shown?.view.end();
  shown = null;
  const ours = ++wanted;
  const root = h("main", { id: "main", tabindex: "-1", class: `view-${name}` }, loading());
  shell?.show(name, root);
  if (admin && who.role !== "admin") return fill(root, nothing(t("This page is for administrators"), t("Log in with an account that has the role, or with an administrator's token.")));
  const loaded = await load().catch(() => null);
  if (ours !== wanted) return;
  if (!loaded) return fill(root, unloaded());
  const { mount } = loaded;
  fill(root);
  shown = { name, view: mount(root, there, { change }) };
}

/** What stands where a view's file can't be had: without a network, or from a hub that is newer than this page. */
const unloaded = () => nothing(t("This could not be read"), undefined, h("button", { type: "button", onclick: () => location.reload() }, t("Try again")));

/** Draws everything anew: in another language, and with other rights. */
function draw() {
  shown?.view.end();
  shown = null;
  shell?.end();
  shell = makeShell({ place, change });
  void show(route.value);
}

/** Draws everything for somebody else, with a socket of theirs. */
function enter() {
  if (session.current.value.kind === "nobody") live.close();
  else live.open();
  draw();
}

/** Speaks another language, here and from now on wherever this user looks. @param {import("./core/i18n.js").Language} language */
async function change(language) {
  await speak(language);
  draw();
}

/** What the user has chosen elsewhere counts here too, before anything is drawn. */
async function adopt() {
  const { kind, account } = session.current.value;
  if (kind === "nobody") return;
  const wishes = account ?? await get("/users/preferences").catch(() => null);
  if (wishes?.theme) paint(wishes.theme);
  if (isLanguage(wishes?.language) && wishes.language !== spoken()) await speak(wishes.language);
}

async function start() {
  const kept = document.documentElement.lang;
  await speak(isLanguage(kept) && localStorage.getItem("tickhub.language") ? kept : wished()).catch(() => speak("en"));
  await session.begin();
  await adopt();
  let before = session.current.value;
  enter();
  route.on((there) => { if (there !== first) void show(there); });
  session.current.on((who) => {
    const { kind, user, plan, role } = before;
    before = who;
    if (who.kind === kind && who.user === user) {
      if (who.plan !== plan || who.role !== role) draw();
      return;
    }
    // What was said to somebody, and what they were about to do, is nobody else's.
    closeDialogs();
    clear();
    if (kind === "account" && who.kind === "demo") notify({ title: t("You are logged out"), text: t("What you see now is the demonstration.") });
    void adopt().then(enter);
  });
}

// A notification that was clicked says where to go.
navigator.serviceWorker?.addEventListener("message", ({ data }) => { if (typeof data?.open === "string") location.href = data.open; });

const first = route.value;
void start();
