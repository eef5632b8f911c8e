// A line whose owner acts while it is told something, and networks that come back: over sockets that do what they are told.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { connect } from "../tickhub.js";

class Socket {
  /** @type {Socket[]} */
  static made = [];
  sent = [];
  protocol = "";
  closed = false;
  constructor() { Socket.made.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.closed = true; }
  welcome() { this.onmessage({ data: JSON.stringify({ type: "welcome", heartbeat: 25, client: "c" }) }); }
}

const turn = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));
const open = (options = {}) => connect("ws://hub.example/ws", { token: "t", WebSocket: Socket, backoff: { min: 5, max: 5 }, ...options });

beforeEach(() => { Socket.made = []; });

test("a hub that is closed as it waits for its next attempt makes none", async (t) => {
  const hub = open();
  t.after(() => hub.close());
  hub.on("state", ({ state }) => { if (state === "waiting") hub.close(); });
  await turn();
  Socket.made[0].onclose({ code: 1006, reason: "" });
  await turn(50);
  assert.equal(hub.state, "closed");
  assert.equal(Socket.made.length, 1);
});

test("a hub that is closed as it gets live subscribes when it connects again", async (t) => {
  const hub = open();
  t.after(() => hub.close());
  hub.subscribe("market:X", () => {});
  const off = hub.on("state", ({ state }) => { if (state === "live") hub.close(); });
  await turn();
  Socket.made[0].welcome();
  assert.equal(hub.state, "closed");
  off();
  hub.reconnect();
  await turn();
  Socket.made[1].welcome();
  await turn();
  assert.deepEqual(Socket.made[1].sent.map(({ action }) => action), ["subscribe"]);
});

test("the network's return replaces an attempt that is under way", async (t) => {
  const { navigator } = globalThis;
  const heard = new EventTarget();
  Object.defineProperty(globalThis, "navigator", { value: { onLine: false }, configurable: true });
  globalThis.addEventListener = heard.addEventListener.bind(heard);
  t.after(() => {
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
    delete globalThis.addEventListener;
  });
  const hub = open();
  t.after(() => hub.close());
  await turn();
  assert.equal(hub.state, "offline");
  globalThis.navigator.onLine = true;
  heard.dispatchEvent(new Event("online"));
  await turn();
  assert.deepEqual(Socket.made.map(({ closed }) => closed), [true, false]);
  Socket.made[1].welcome();
  assert.equal(hub.state, "live");
});
