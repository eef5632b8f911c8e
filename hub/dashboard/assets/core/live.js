// The socket of this page: opened for whoever is logged in, and opened anew when that changes.

import { connect } from "../tickhub.js";
import { observable } from "./observable.js";
import { heard } from "./server-clock.js";
import { session } from "./session.js";

/** @typedef {{ state: "connecting" | "live" | "waiting" | "offline" | "closed", attempt?: number, retryAt?: number | null, code?: number | null, reason?: string }} Connection */

/** What a socket is closed with whose token isn't taken. */
const TOKEN_REFUSED = 3500;

/** How the connection is. */
export const connection = observable(/** @type {Connection} */ ({ state: "connecting" }));

export const live = {
  /** The hub, as the SDK gives it. Another one after a login: what subscribes does so when it is mounted. @type {import("../tickhub.js").Hub} */
  hub: /** @type {any} */ (null),

  /** Connects as whoever is logged in now. */
  open() {
    this.hub?.close();
    const { kind, user } = session.current.value;
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.hub = connect(url.href, { token: () => (session.current.value.user === user ? session.token() : null), share: kind === "account" ? `account ${user}` : false });
    const opened = this.hub;
    opened.on("entitled", ({ plan, role }) => session.entitle(/** @type {any} */ (plan), /** @type {any} */ (role)));
    for (const name of /** @type {const} */ (["welcome", "heartbeat"])) opened.on(name, ({ time }) => { if (time) heard(time * 1000); });
    opened.on("state", (/** @type {Connection} */ state) => {
      if (opened !== this.hub) return;
      connection.set({ ...state });
      if (state.state === "closed" && state.code === TOKEN_REFUSED && session.current.value.user === user) void this.askAgain(opened);
    });
  },

  /** A login that has ended leads to the login; a token that was taken back while the login goes on, to another one. @param {import("../tickhub.js").Hub} opened */
  async askAgain(opened) {
    const again = await session.refused().catch(() => false);
    if (again && opened === this.hub) opened.reconnect();
  },

  close() {
    this.hub?.close();
    this.hub = /** @type {any} */ (null);
    connection.set({ state: "closed" });
  },
};
