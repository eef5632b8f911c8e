// What the tests share: tokens, a network that can be cut, and a hub of one's own. The hub that all of them talk to is
// started by tests/clients/test_js.py, which says in the environment where it is.

import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import net from "node:net";

import { connect } from "../tickhub.js";

export const place = process.env.TICKHUB_PLACE ?? "127.0.0.1:8191";
const secret = process.env.TICKHUB_SECRET ?? "";
const WAIT_MS = 15_000;

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token as the hub issues them. */
export function token({ user = randomUUID(), plan = "pro", role = "user", expiresIn = 3600 } = {}) {
  const now = Date.now() / 1000;
  const claims = { iss: "tickhub", aud: "tickhub", typ: "access", jti: randomUUID(), sub: user, plan, role };
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ ...claims, iat: Math.floor(now), exp: Math.floor(now + expiresIn) })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

/** Resolves once `true()` holds; rejects where that takes too long. */
export async function until(isTrue, what = String(isTrue)) {
  const deadline = Date.now() + WAIT_MS;
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A hub that is closed when the test ends; what it says of itself is in `states` and `errors`. */
export function hubFor(test, options = {}, url = `http://${place}`) {
  const hub = connect(url, { token: () => token(), backoff: { min: 20, max: 200 }, ...options });
  test.after(() => hub.close());
  hub.states = [];
  hub.errors = [];
  hub.on("state", (state) => hub.states.push(state));
  hub.on("error", (error) => hub.errors.push(error));
  return hub;
}

export const live = (hub) => until(() => hub.state === "live", "live");

/** A channel that no other test uses. */
export const chat = () => `chat:${randomUUID()}`;
export const quick = () => `quick:${randomUUID()}`;

/** Subscribe and wait for the answer; `heard` holds what comes. */
export async function heardOn(hub, channels, options = {}) {
  const heard = [];
  const subscription = hub.subscribe(channels, options, (value, event) => heard.push({ value, event }));
  subscription.heard = heard;
  subscription.outcome = await subscription.ready;
  return subscription;
}

/** A TCP way to the hub that can be cut, closed and silenced. */
export class Proxy {
  sockets = new Set();
  open = true;
  silent = false;
  connections = 0;

  static async to(test, target = place) {
    const proxy = new Proxy();
    const [host, port] = target.split(":");
    proxy.server = net.createServer((near) => proxy.take(near, host, Number(port)));
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    test.after(() => proxy.close());
    return proxy;
  }

  take(near, host, port) {
    this.sockets.add(near);
    near.on("error", () => undefined);
    if (!this.open) {
      near.destroy();
      return;
    }
    this.connections += 1;
    const far = net.connect(port, host);
    this.sockets.add(far);
    far.on("error", () => undefined);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (data) => this.silent || to.write(data));
      from.on("close", () => to.destroy());
    }
  }

  /** Break all connections; nobody comes through before `mend`. */
  cut() {
    this.open = false;
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  mend() {
    this.open = true;
  }

  close() {
    this.cut();
    this.server.close();
  }
}

/** A second hub, to stop and start. */
export const other = {
  place: process.env.TICKHUB_OTHER ?? "",

  /** @param {"start" | "stop"} what */
  async ask(what) {
    const answer = await fetch(`http://${process.env.TICKHUB_CONTROL}/${what}`, { method: "POST" });
    if (!answer.ok) throw new Error(`${what}: ${answer.status}`);
  },
};
