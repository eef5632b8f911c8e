// Who is looking: nobody yet, a demonstration, the bearer of a token, or an account.
//
// The access token stays in this tab; what renews it is a cookie that no script can read. Tabs renew one after the
// other: a refresh token that comes twice would end the login.

import { boot } from "./boot.js";
import { ApiError, bare } from "./http.js";
import { observable } from "./observable.js";
import { keep, kept } from "./storage.js";

/**
 * @typedef {object} Who
 * @property {"nobody" | "demo" | "token" | "account"} kind
 * @property {string} user
 * @property {"free" | "basic" | "pro" | "enterprise"} plan
 * @property {"user" | "publisher" | "admin"} role
 * @property {any} [account]  As `GET users/me` has it, for an account.
 */

/** @type {Who} */
const NOBODY = { kind: "nobody", user: "", plan: "free", role: "user" };
/** Seconds before its end that a token is renewed. */
const MARGIN_S = 20;

/** @type {string | null} */
let access = null;

/** What stands in a token. @param {string} token @returns {{ sub?: string, plan?: any, role?: any, exp?: number }} */
function claims(token) {
  try {
    const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (one) => one.charCodeAt(0))));
  } catch {
    return {};
  }
}

const ended = (/** @type {string} */ token) => (claims(token).exp ?? Infinity) - MARGIN_S < Date.now() / 1000;

/** @param {Who["kind"]} kind @param {string} token @param {any} [account] @returns {Who} */
function who(kind, token, account) {
  const { sub = "", plan = "free", role = "user" } = claims(token);
  return { kind, user: sub, plan: account?.plan ?? plan, role: account?.role ?? role, account };
}

/** @type {import("./observable.js").Observable<Who>} */
const current = observable(NOBODY);

/** Takes what a login answered. @param {any} said */
function enter(said) {
  access = said.access_token;
  keep("login", true);
  current.set(who("account", said.access_token, said.user));
}

function leave() {
  access = null;
  keep("login", null);
  sessionStorage.removeItem("tickhub.token");
  current.set(NOBODY);
}

/** @type {Promise<string | null> | null} */
let renewing = null;

/** A new access token by the cookie; null once the login has ended. Raises ApiError where the server can't be asked. */
async function renewed() {
  const locked = navigator.locks ? navigator.locks.request.bind(navigator.locks, "tickhub.refresh") : (/** @type {() => any} */ run) => run();
  return locked(async () => {
    try {
      const said = await bare("POST", "/auth/refresh");
      const known = current.value.kind === "account";
      access = said.access_token;
      if (!known || said.user.role !== current.value.role || said.user.plan !== current.value.plan) enter(said);
      return said.access_token;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status < 400 || error.status >= 500 || error.status === 429) throw error;
      leave();
      return null;
    }
  });
}

export const session = {
  current,

  /** Finds out who is looking. Once, before anything is drawn. */
  async begin() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (given) history.replaceState(null, "", location.pathname);
    const token = given ?? sessionStorage.getItem("tickhub.token");
    if (token && !ended(token)) return this.useToken(token);
    if (kept("login", false)) {
      const found = await this.token({ renew: true, of: "account" }).catch(() => null);
      if (found) return;
    }
    this.demonstrate();
  },

  /** The demonstration's own user, where this hub is one. */
  demonstrate() {
    if (!boot.token || ended(boot.token)) return;
    access = boot.token;
    current.set(who("demo", boot.token));
  },

  /** Goes by a token that somebody has brought. @param {string} token */
  useToken(token) {
    sessionStorage.setItem("tickhub.token", token);
    access = token;
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
    if (access) leave();
    return null;
  },

  /** @param {string} email @param {string} password @returns {Promise<any>} null, or what a second factor needs: { challenge, methods } */
  async login(email, password) {
    return this.entered(await bare("POST", "/auth/login", { body: { email, password, cookie: true } }));
  },

  /** @param {{ email: string, password: string, name?: string, phone?: string, language?: string }} body */
  async register(body) {
    return this.entered(await bare("POST", "/auth/register", { body: { ...body, cookie: true } }));
  },

  /** @param {string} challenge @param {string} code */
  async verify(challenge, code) {
    return this.entered(await bare("POST", "/auth/2fa/verify", { body: { challenge, code, cookie: true } }));
  },

  /** Takes the answer of any way in. @param {any} said @returns {any} */
  entered(said) {
    if (said.two_factor_required) return said;
    sessionStorage.removeItem("tickhub.token");
    enter(said);
    return null;
  },

  /** What `GET users/me` says now, after it was changed. @param {any} account */
  update(account) {
    if (current.value.kind === "account") current.set({ ...current.value, account, plan: account.plan, role: account.role });
  },

  /** @param {{ everywhere?: boolean }} [options] */
  async logout({ everywhere = false } = {}) {
    const token = access;
    try {
      if (current.value.kind === "account") await bare("POST", "/auth/logout", { token, body: everywhere ? { everywhere } : {} });
    } finally {
      leave();
      this.demonstrate();
    }
  },
};
