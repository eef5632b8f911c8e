// This browser's own address for push messages, if it has one.

import { ApiError, bare } from "./http.js";

export const PUSH_SUBSCRIPTIONS = "/users/push-subscriptions";

export const hasPush = () => "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

/** @returns {Promise<PushSubscription | null>} */
export async function pushSubscription() {
  if (!hasPush()) return null;
  const worker = await navigator.serviceWorker.getRegistration("/");
  return (await worker?.pushManager.getSubscription()) ?? null;
}

/** Whoever logs out leaves no messages to the next at this browser. @param {string | null} token  Of who logs out. */
export async function endPush(token) {
  const mine = await pushSubscription();
  if (!mine) return;
  await bare("DELETE", PUSH_SUBSCRIPTIONS, { token, body: { endpoint: mine.endpoint } }).catch((error) => {
    if (!(error instanceof ApiError)) throw error; // else the push service will tell the hub
  });
  await mine.unsubscribe();
}
