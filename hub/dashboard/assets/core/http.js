// The HTTP API: one function a method, answers without their envelope, failures as ApiError.

import { spoken, t } from "./i18n.js";
import { session } from "./session.js";

/** What the server, or the way to it, refused. `code` is one of the protocol's words, or OFFLINE. */
export class ApiError extends Error {
  /** @param {{ code: string, message: string, status?: number, details?: Record<string, any>, retryAfter?: number }} said */
  constructor({ code, message, status = 0, details = {}, retryAfter = 0 }) {
    const { text, place } = placed(message);
    super(text);
    this.name = "ApiError";
    this.code = code;
    /** Which field or parameter is wrong, such as `email`, where the server names one. */
    this.place = place;
    this.status = status;
    this.details = details;
    /** Seconds until it may be tried again; 0: not said. */
    this.retryAfter = retryAfter;
  }
}

/** Errors about a field end with where it stands, in every language: ` - at `$.email``. @param {string} message */
function placed(message) {
  const found = / - [^`]*`([^`]*)`[^`]*$/.exec(message);
  return found ? { text: message.slice(0, found.index), place: found[1].replace(/^(\$\.|\?)/, "") } : { text: message, place: "" };
}

/** @typedef {Record<string, string | number | boolean | null | undefined>} Query */

/** @type {(path: string, query?: Query, signal?: AbortSignal) => Promise<any>} */
export const get = (path, query, signal) => ask("GET", path, { query, signal });
/** @type {(path: string, body?: any) => Promise<any>} */
export const post = (path, body) => ask("POST", path, { body });
/** @type {(path: string, body?: any) => Promise<any>} */
export const put = (path, body) => ask("PUT", path, { body });
/** @type {(path: string, body?: any) => Promise<any>} */
export const remove = (path, body) => ask("DELETE", path, { body });

/**
 * Asks as whoever is logged in, with a new token where the old one has ended.
 *
 * @param {string} method
 * @param {string} path  Beneath /api/v1, such as `/market/search`.
 * @param {{ query?: Query, body?: any, signal?: AbortSignal }} [options]
 */
export async function ask(method, path, options = {}) {
  const token = await session.token();
  try {
    return await bare(method, path, { ...options, token });
  } catch (error) {
    if (!(error instanceof ApiError) || !worthRenewing(method, error)) throw error;
    return bare(method, path, { ...options, token: await session.token({ renew: true }) });
  }
}

/** A token that has ended, or belongs to a login that has; codes and passwords that are wrong are refused in the same words. @param {string} method @param {ApiError} error */
const worthRenewing = (method, { code }) => code === "TOKEN_EXPIRED" || (code === "UNAUTHORIZED" && method === "GET");

/**
 * Asks with just this token, or none.
 *
 * @param {string} method
 * @param {string} path
 * @param {{ query?: Query, body?: any, signal?: AbortSignal, token?: string | null, keepalive?: boolean }} [options]
 */
export async function bare(method, path, { query, body, signal, token, keepalive } = {}) {
  const url = new URL(`/api/v1${path}`, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  const headers = new Headers({ "Accept-Language": spoken() });
  if (token) headers.set("Authorization", `Bearer ${token}`);
  /** @type {RequestInit} */
  const sent = { method, headers, signal, keepalive };
  if (body !== undefined) {
    headers.set("Content-Type", "application/json");
    sent.body = JSON.stringify(body);
  }
  const answer = await fetch(url, sent).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ code: "OFFLINE", message: t("The server can't be reached. Check the connection and try again.") });
  });
  return read(answer);
}

/** @param {Response} answer */
async function read(answer) {
  const text = await answer.text();
  /** @type {any} */
  let said = null;
  try { said = JSON.parse(text); } catch { /* a proxy's page, or nothing */ }
  if (answer.ok) return said?.data;
  throw new ApiError({
    code: said?.error?.code ?? "INTERNAL",
    message: said?.error?.message ?? t("The server answered {status}. Try again in a moment.", { status: answer.status }),
    status: answer.status,
    details: said?.error?.details,
    retryAfter: Number(answer.headers.get("Retry-After") ?? 0),
  });
}
