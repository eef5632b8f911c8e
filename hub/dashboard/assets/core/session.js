// Who is looking: nobody yet, a demonstration, the bearer of a token, or an account.

import { boot } from "./boot.js";
import { claims, ended } from "./claims.js";
import { ApiError, bare } from "./http.js";
import { observable } from "./observable.js";
import { endPush } from "./push-subscription.js";
import { go } from "./router.js";
import { drop, hold, mayGoOn, refreshed, takesCookie } from "./refreshing.js";

/**
 * @typedef {object} Account  As `GET users/me` has it.
 * @property {string} id
 * @property {string | null} [email]
 * @property {boolean} [email_verified]
 * @property {string | null} [name]
 * @property {string | null} [phone]
 * @property {boolean} [phone_verified]
 * @property {"free" | "basic" | "pro" | "enterprise"} plan
 * @property {"user" | "publisher" | "admin"} role
 * @property {boolean} [two_factor]
 * @property {string | null} [language]
 * @property {"light" | "dark" | "system" | null} [theme]
 * @property {string | null} [timezone]
 * @property {string | null} [created_at]
 * @property {string | null} [last_login_at]
 *
 * @typedef {object} Who
 * @property {"nobody" | "demo" | "token" | "account"} kind
 * @property {string} user
 * @property {Account["plan"]} plan
 * @property {Account["role"]} role
 * @property {any} [account]  Of an account: an `Account`.
 *
 * @typedef {{ challenge: string, methods: ("totp" | "email" | "sms")[], expires_in: number }} SecondFactor
 *
 * @typedef {"" | "out" | "ended" | "token" | ApiError} Farewell  Why nobody is logged in any more: by their own wish,
 *   because the login has ended elsewhere, because a token has; or why the server couldn't say.
 */

/** @type {Who} */
const NOBODY = { kind: "nobody", user: "", plan: "free", role: "user" };
const TOKEN = "tickhub.token";
const LOGIN = "tickhub.login";
const WANTED = "tickhub.to";
/** How long after one renewal a refused socket is no reason for another. */
const AGAIN_MS = 30_000;

/** @type {string | null} */
let access = null;
let renewedAt = 0;
let leaving = false;

/** @param {Who["kind"]} kind @param {string} token @param {any} [account] @returns {Who} */
function who(kind, token, account) {
  const { sub = "", plan = "free", role = "user" } = claims(token);
  return { kind, user: sub, plan: account?.plan ?? plan, role: account?.role ?? role, account };
}

/** @type {import("./observable.js").Observable<Who>} */
const current = observable(NOBODY);

// Tabs that share a cookie share the login: what one of them gets, begins or ends, the others hear of.
const tabs = new BroadcastChannel("tickhub.session");
tabs.addEventListener("message", ({ data }) => {
  const { kind, user } = current.value;
  if (kind === "token" || !takesCookie()) return;
  if (data.said && (data.entered || (kind === "account" && data.said.user.id === user))) enter(data.said);
  if (data.left && kind === "account" && data.left === user) leave("ended");
});

/** Takes what a login, a refresh, or the page before this one has. @param {any} said */
function enter(said) {
  access = said.access_token;
  session.farewell = "";
  sessionStorage.removeItem(TOKEN);
  remember(said.user);
  const next = who("account", said.access_token, said.user);
  const same = JSON.stringify(next) === JSON.stringify(current.value);
  if (!same) current.set(next);
}

/** A reload needs no new tokens. @param {any} account */
const remember = (account) => sessionStorage.setItem(LOGIN, JSON.stringify({ access_token: access, user: account }));

/** @param {Farewell} why @param {() => boolean} [next]  What to be instead of nobody, if it can be had. */
function leave(why, next = () => false) {
  const { kind } = current.value;
  access = null;
  session.farewell = why;
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(LOGIN);
  if (kind !== "token" && kind !== "demo") drop();
  if (!next()) current.set(NOBODY);
}

/** What the page before this one, in this tab, left to it. @returns {any} */
function remembered() {
  try {
    const said = JSON.parse(sessionStorage.getItem(LOGIN) ?? "null");
    return said && mayGoOn() && !ended(said.access_token) ? said : null;
  } catch {
    return null;
  }
}

/** @type {Promise<string | null> | null} */
let renewing = null;

/** A new access token; null once the login has ended. Raises ApiError where the server can't be asked. */
async function renewed() {
  const before = access;
  try {
    const said = await refreshed(() => (access !== before && access && !ended(access) ? { heard: access } : null));
    if (said.heard) return said.heard;
    renewedAt = Date.now();
    hold(said);
    enter(said);
    if (!said.refresh_token) tabs.postMessage({ said });
    return said.access_token;
  } catch (error) {
    if (!(error instanceof ApiError) || (error.status !== 401 && error.status !== 403)) throw error;
    leave("ended");
    return null;
  }
}

/** Goes on with what there is, without asking for a password. */
async function goOn() {
  const known = remembered();
  if (known) {
    enter(known);
    await bare("GET", "/users/me", { token: access }).then((account) => session.update(account), () => null);
  } else {
    await session.token({ renew: true, of: "account" }).catch((error) => { session.farewell = error; });
    if (session.farewell === "ended" && boot.token) session.farewell = "";
  }
}

export const session = {
  current,

  /** @type {Farewell} */
  farewell: "",

  /** What a sign-in elsewhere still wants. @type {SecondFactor | null} */
  pending: null,

  /** Finds out who is looking. Once, before anything is drawn. */
  async begin() {
    const given = new URLSearchParams(location.hash.slice(1));
    const [brought, code] = [given.get("token"), given.get("login")];
    if (brought || code) history.replaceState(null, "", location.pathname);
    const token = brought ?? sessionStorage.getItem(TOKEN);
    if (code) await this.exchange(code);
    else if (token && !ended(token)) return this.useToken(token);
    else if (mayGoOn()) await goOn();
    if (current.value.kind === "nobody" && !this.farewell && !this.pending) this.demonstrate();
  },

  /** The demonstration's own user, where this hub is one. Says whether it is. */
  demonstrate() {
    if (!boot.token || ended(boot.token)) return false;
    access = boot.token;
    this.farewell = "";
    current.set(who("demo", boot.token));
    return true;
  },

  /** Goes by a token that somebody has brought. @param {string} token */
  useToken(token) {
    sessionStorage.setItem(TOKEN, token);
    access = token;
    this.farewell = "";
    current.set(who("token", token));
  },

  /**
   * The token to ask with; null for nobody, and once a login or a token has ended.
   *
   * @param {{ renew?: boolean, of?: Who["kind"] }} [options]  `renew`: the one that is held was refused
   * @returns {Promise<string | null>}
   */
  async token({ renew = false, of = current.value.kind } = {}) {
    if (access && !renew && !ended(access)) return access;
    if (of === "account") {
      renewing ??= renewed().finally(() => { renewing = null; });
      return renewing;
    }
    if (access) leave("token");
    return null;
  },

  /** A language was chosen, and kept by the server: the token that is held says the one of before. */
  async languageChanged() {
    if (current.value.kind === "account") await this.token({ renew: true });
  },

  /** The socket was refused for good with what is held. Resolves to whether it is worth another try. */
  async refused() {
    const { kind } = current.value;
    if (leaving || kind === "nobody") return false;
    if (kind === "account" && Date.now() - renewedAt > AGAIN_MS) return (await this.token({ renew: true })) !== null;
    leave(kind === "account" ? "ended" : "token");
    return false;
  },

  /** @param {string} email @param {string} password @returns {Promise<SecondFactor | null>} */
  async login(email, password) {
    return entered(await bare("POST", "/auth/login", { body: { email, password, cookie: takesCookie() } }));
  },

  /** @param {{ email: string, password: string, name?: string, phone?: string, language?: string }} body */
  async register(body) {
    return entered(await bare("POST", "/auth/register", { body: { ...body, cookie: takesCookie() } }));
  },

  /** @param {string} challenge @param {string} code */
  async verify(challenge, code) {
    return entered(await bare("POST", "/auth/2fa/verify", { body: { challenge, code, cookie: takesCookie() } }));
  },

  /** Goes away to sign in elsewhere, to come back to where one wanted to go. @param {string} to */
  leaveFor(to) {
    sessionStorage.setItem(WANTED, to);
  },

  /** Comes back from a sign-in elsewhere. @param {string} code */
  async exchange(code) {
    const to = sessionStorage.getItem(WANTED) ?? "#/markets";
    sessionStorage.removeItem(WANTED);
    try {
      this.pending = entered(await bare("POST", "/auth/oidc/exchange", { body: { code, cookie: takesCookie() } }));
    } catch (error) {
      this.farewell = /** @type {ApiError} */ (error);
    }
    go(current.value.kind === "account" ? to : `#/login?to=${encodeURIComponent(to)}`, { replace: true });
  },

  /** What `GET users/me` says now, after it was changed. @param {Account} account */
  update(account) {
    if (current.value.kind !== "account" || current.value.user !== account.id) return;
    remember(account);
    current.set({ ...current.value, account, plan: account.plan, role: account.role });
  },

  /** What the server says that one may do from now on. @param {Who["plan"]} plan @param {Who["role"]} role */
  entitle(plan, role) {
    const { account } = current.value;
    if (account) this.update({ ...account, plan, role });
    else current.set({ ...current.value, plan, role });
  },

  /** @param {{ everywhere?: boolean }} [options] */
  async logout({ everywhere = false } = {}) {
    const token = access;
    const { kind, user } = current.value;
    leaving = true;
    try {
      if (kind === "account") await endPush(token).catch(() => null);
      if (kind === "account") await bare("POST", "/auth/logout", { token, body: everywhere ? { everywhere } : {} });
    } finally {
      leaving = false;
      if (kind === "account") tabs.postMessage({ left: user });
      leave("out", () => this.demonstrate());
    }
  },

  /** Nothing of the account is left once `end` has been done; the socket's end is no surprise then. @param {() => Promise<any>} end */
  async forget(end) {
    leaving = true;
    try { await end(); } finally { leaving = false; }
    tabs.postMessage({ left: current.value.user });
    leave("out", () => this.demonstrate());
  },
};

/** Takes the answer of any way in. @param {any} said @returns {SecondFactor | null} */
function entered(said) {
  if (said.two_factor_required) return said;
  session.pending = null;
  hold(said);
  enter(said);
  if (!said.refresh_token) tabs.postMessage({ said, entered: true });
  return null;
}
