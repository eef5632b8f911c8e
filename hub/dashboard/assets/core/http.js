// One request of the HTTP API: answers without their envelope, failures as ApiError.

import { spoken, t } from "./i18n.js";

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
