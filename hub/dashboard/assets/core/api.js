// The HTTP API for whoever is logged in: one function a method.

import { ApiError, bare } from "./http.js";
import { session } from "./session.js";

/** @type {(path: string, query?: import("./http.js").Query, signal?: AbortSignal) => Promise<any>} */
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
 * @param {{ query?: import("./http.js").Query, body?: any, signal?: AbortSignal }} [options]
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
