// What takes its time: tokens that end, connections that die, hubs that restart.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Proxy, heardOn, hubFor, live, other, token, until } from "./support.js";

test("the token getter is asked again before the token ends, and the connection goes on", async (t) => {
  let asked = 0;
  const hub = hubFor(t, {
    token: async () => token({ user: "short", expiresIn: (asked += 1) === 1 ? 3 : 3600 }),
  });
  await live(hub);
  await until(() => asked === 2);
  await new Promise((resolve) => setTimeout(resolve, 3500)); // past the end of the first token
  assert.equal(hub.state, "live");
  assert.equal(asked, 2);
  assert.deepEqual(hub.states.map(({ state }) => state), ["connecting", "live"]);
  assert.deepEqual(hub.errors, []);
});

test("a connection on which nothing comes any more is left for a new one", async (t) => {
  const proxy = await Proxy.to(t);
  const hub = hubFor(t, {}, proxy.url);
  await live(hub);
  const before = proxy.connections;
  proxy.silent = true;
  await until(() => hub.states.some(({ state }) => state === "waiting"), "given up");
  proxy.silent = false;
  await live(hub);
  assert.ok(proxy.connections > before);
});

test("a shutdown's time is kept to, and logs of another life are told as lost", async (t) => {
  await other.ask("start");
  const hub = hubFor(t, { backoff: { min: 60_000, max: 60_000 } }, `ws://${other.place}/ws`);
  const recovered = [];
  hub.on("recovered", (event) => recovered.push(event));
  const log = await heardOn(hub, "chat:restart");
  await hub.publish("chat:restart", { n: 1 });
  const stopped = Date.now();
  await other.ask("stop");
  const { retryAt, code } = hub.states.find(({ state }) => state === "waiting");
  assert.equal(code, 3001);
  assert.ok(retryAt - stopped >= 400 && retryAt - stopped <= 4000, `${retryAt - stopped} ms`);
  await until(() => hub.states.filter(({ state }) => state === "waiting").length > 1, "a second wait");
  await other.ask("start");
  hub.reconnect();
  await until(() => recovered.length === 1);
  assert.equal(recovered[0].recovered, false);
  await hub.publish("chat:restart", { n: 2 });
  await until(() => log.heard.length === 2);
  assert.deepEqual(log.heard.map(({ value }) => value.n), [1, 2]);
});
