// What the user's plan has, asked once in this page's life.

import { get } from "../../core/api.js";
import { session } from "../../core/session.js";

/** @type {Promise<any[]> | null} */
let asked = null;

/** The rules of the user's plan as `GET plans` tells them; null where it can't be asked. @returns {Promise<any>} */
export async function ownPlan() {
  asked ??= get("/plans").then(({ items }) => items);
  try {
    return (await asked).find(({ name }) => name === session.current.value.plan) ?? null;
  } catch {
    asked = null;
    return null;
  }
}
