import assert from "node:assert/strict";
import { test } from "node:test";

import { HubError, connect } from "../tickhub.js";
import { Proxy, chat, heardOn, hubFor, live, place, quick, token, until } from "./support.js";

const values = (subscription) => subscription.heard.map(({ value }) => value);
const numbers = (subscription) => values(subscription).map(({ n }) => n);
const range = (from, to) => Array.from({ length: to - from }, (_, place) => from + place);

test("a connection becomes live, says so, and answers commands", async (t) => {
  const hub = hubFor(t);
  const welcomes = [];
  hub.on("welcome", (welcome) => welcomes.push(welcome.type));
  assert.ok((await hub.ping()) >= 0);
  assert.deepEqual(welcomes, ["welcome"]);
  assert.deepEqual(hub.states.map(({ state }) => state), ["connecting", "live"]);
  await assert.rejects(hub.history("nowhere:x"), { name: "HubError", code: "UNKNOWN_CHANNEL", temporary: false });
  await assert.rejects(hub.publish("market:RELIANCE", { price: 1 }), { code: "PERMISSION_DENIED" });
});

test("every channel that was asked for is in one of the two lists, under its full name", async (t) => {
  const hub = hubFor(t);
  const failures = [];
  const subscription = hub.subscribe(["market:RELIANCE", "nowhere:x", "alerts:somebody", "", "chat:₹"]);
  subscription.on("failed", (error) => failures.push(error.channel));
  const { subscribed, failed } = await subscription.ready;
  assert.deepEqual(subscribed.map(({ channel, requested }) => [channel, requested]), [["market:NSE:RELIANCE", "market:RELIANCE"]]);
  assert.deepEqual(
    Object.fromEntries(failed.map(({ channel, code }) => [channel, code])),
    { "nowhere:x": "UNKNOWN_CHANNEL", "alerts:somebody": "PERMISSION_DENIED", "": "UNKNOWN_CHANNEL", "chat:₹": "UNKNOWN_CHANNEL" },
  );
  assert.ok(failed.every((error) => error instanceof HubError));
  assert.equal(failures.length, 4);
  assert.ok(subscription.channels.includes("market:NSE:RELIANCE"));
});

test("options that make no sense are refused where they are said", (t) => {
  const hub = hubFor(t);
  assert.throws(() => hub.subscribe("market:X", { mode: "some" }), TypeError);
  assert.throws(() => hub.subscribe("market:X", { maxFrequency: 0 }), TypeError);
  assert.throws(() => hub.subscribe("market:X", { maxFrequency: 1001 }), TypeError);
});

test("deltas put together are what others get whole, in both formats", async (t) => {
  const [talker, deltas, whole, packed] = [hubFor(t), hubFor(t), hubFor(t), hubFor(t, { format: "msgpack" })];
  const channel = quick();
  const heard = await Promise.all([
    heardOn(deltas, channel),
    heardOn(whole, channel, { delta: false }),
    heardOn(packed, channel),
  ]);
  const said = [
    { price: 1, bid: 1, levels: [[1, 2]] }, { price: 2, bid: 1, levels: [[1, 2]] }, { price: 2, levels: [[1, 3]] },
    { price: 2, ask: 0.1, levels: [[1, 3]] }, { price: -5, text: "₹".repeat(40), on: true, deep: { a: [{ b: 1 }] } },
    { price: 9007199254740991, on: false, deep: { a: [{ b: 2 }] } },
  ];
  for (const data of said) await talker.publish(channel, data);
  for (const one of heard) {
    await until(() => one.heard.length === said.length, "all updates");
    assert.deepEqual(values(one), said);
    assert.deepEqual(one.value(), said.at(-1));
  }
  assert.deepEqual(heard[0].heard[1].event.changed, new Set(["price"]));
  assert.deepEqual(heard[0].heard[2].event.changed, new Set(["bid", "levels"]));
  assert.equal(heard[1].heard[1].event.changed, null);
  assert.deepEqual(await deltas.subscriptions(), [{ channel, delta: true }]);
});

test("a later subscription of a channel begins with the newest value, at once", async (t) => {
  const [talker, hub] = [hubFor(t), hubFor(t)];
  const channel = quick();
  const first = await heardOn(hub, channel);
  await talker.publish(channel, { n: 1 });
  await until(() => first.heard.length === 1);
  const second = await heardOn(hub, channel);
  assert.deepEqual(numbers(second), [1]);
  assert.equal(second.heard[0].event.snapshot, true);
  assert.equal(first.heard.length, 1);
});

test("subscriptions of one channel share one, with the widest of their options", async (t) => {
  const hub = hubFor(t);
  const inForce = async () => (await hub.subscriptions())[0];
  const prices = hub.subscribe("market:TCS", { mode: "ltp", maxFrequency: 1 });
  await prices.ready;
  assert.deepEqual(await inForce(), { channel: "market:NSE:TCS", mode: "ltp", max_frequency: 1, delta: true });
  const quotes = hub.subscribe("market:NSE:TCS", { mode: "quote", maxFrequency: 5 });
  await quotes.ready;
  assert.deepEqual(await inForce(), { channel: "market:NSE:TCS", mode: "quote", max_frequency: 5, delta: true });
  const all = hub.subscribe("market:tcs");
  await all.ready;
  assert.deepEqual(await hub.subscriptions(), [{ channel: "market:NSE:TCS", delta: true }]);
  all.unsubscribe();
  quotes.unsubscribe();
  await until(() => true);
  assert.deepEqual(await inForce(), { channel: "market:NSE:TCS", mode: "ltp", max_frequency: 1, delta: true });
  prices.remove("market:TCS");
  await hub.ping();
  assert.deepEqual(await hub.subscriptions(), []);
});

test("names of one channel become one subscription on the wire, and each hears it", async (t) => {
  const hub = hubFor(t, { token: () => token({ user: "spelt" }) });
  const one = await heardOn(hub, "market:INFY");
  const other = await heardOn(hub, "market:nse:infy");
  assert.equal(one.outcome.subscribed[0].channel, other.outcome.subscribed[0].channel);
  assert.deepEqual((await hub.subscriptions()).map(({ channel }) => channel), ["market:NSE:INFY"]);
});

test("who asked for fewer gets fewer, and always the newest", async (t) => {
  const [talker, hub] = [hubFor(t), hubFor(t)];
  const channel = quick();
  const all = await heardOn(hub, channel);
  const few = await heardOn(hub, channel, { maxFrequency: 4 });
  for (const n of range(0, 60)) await talker.publish(channel, { n });
  await until(() => all.heard.length === 60);
  await until(() => numbers(few).at(-1) === 59);
  assert.ok(few.heard.length <= 6, `${few.heard.length} updates`);
  assert.equal(few.heard.reduce((sum, { event }) => sum + event.missed + 1, 0), 60);
});

test("max_frequency alone is the server's work", async (t) => {
  const [talker, hub] = [hubFor(t), hubFor(t)];
  const channel = quick();
  const few = await heardOn(hub, channel, { maxFrequency: 5 });
  for (const n of range(0, 40)) await talker.publish(channel, { n });
  await until(() => numbers(few).at(-1) === 39);
  assert.ok(few.heard.length < 10);
  assert.equal(few.heard.reduce((sum, { event }) => sum + event.missed + 1, 0), 40);
  assert.ok(values(few).every((value) => Object.keys(value).join() === "n"));
});

for (const format of ["json", "msgpack"]) {
  test(`a log is recovered after a cut, without a gap or a double (${format})`, async (t) => {
    const talker = hubFor(t);
    const proxy = await Proxy.to(t);
    const hub = hubFor(t, { format }, proxy.url);
    const recovered = [];
    hub.on("recovered", (event) => recovered.push(event));
    const channel = chat();
    const log = await heardOn(hub, channel);
    for (const round of range(0, 3)) {
      await talker.publish(channel, { n: 4 * round });
      await until(() => log.heard.length === 4 * round + 1);
      proxy.cut();
      for (const n of range(4 * round + 1, 4 * round + 4)) await talker.publish(channel, { n });
      await until(() => hub.state !== "live");
      proxy.mend();
      await until(() => log.heard.length === 4 * round + 4, "what was missed");
    }
    assert.deepEqual(numbers(log), range(0, 12));
    assert.deepEqual(log.heard.map(({ event }) => event.offset), range(1, 13));
    assert.deepEqual(log.heard.slice(0, 4).map(({ event }) => event.recovered), [false, true, true, true]);
    assert.deepEqual(recovered, Array(3).fill({ channel, recovered: true, messages: 3 }));
  });
}

test("connections that break again and again while messages come lose and double none", async (t) => {
  const talker = hubFor(t);
  const proxy = await Proxy.to(t);
  const hub = hubFor(t, { backoff: { min: 5, max: 15 } }, proxy.url);
  const channel = "chat:storm";
  const log = await heardOn(hub, channel);
  for (const n of range(0, 120)) {
    if (n % 8 === 3) proxy.cut();
    if (n % 8 === 5) proxy.mend();
    if (n % 8 === 7) await until(() => log.heard.length > n - 3); // the log keeps twenty
    await talker.publish(channel, { n });
  }
  await until(() => log.heard.length >= 120, "all messages");
  assert.deepEqual(numbers(log), range(0, 120));
  assert.ok(proxy.connections > 5);
});

test("what is gone is told, and the log goes on from where it is", async (t) => {
  const talker = hubFor(t);
  const proxy = await Proxy.to(t);
  const hub = hubFor(t, {}, proxy.url);
  const recovered = [];
  hub.on("recovered", (event) => recovered.push(event));
  const channel = chat();
  const log = await heardOn(hub, channel);
  await talker.publish(channel, { n: 0 });
  await until(() => log.heard.length === 1);
  proxy.cut();
  for (const n of range(1, 30)) await talker.publish(channel, { n });
  proxy.mend();
  await until(() => recovered.length === 1);
  await talker.publish(channel, { n: 30 });
  await until(() => log.heard.length === 2);
  assert.deepEqual(numbers(log), [0, 30]);
  assert.deepEqual(recovered, [{ channel, recovered: false, messages: 0 }]);
});

test("a subscription that knows where it was begins there, though another hears the channel", async (t) => {
  const [talker, hub] = [hubFor(t), hubFor(t)];
  const channel = chat();
  const first = await heardOn(hub, channel);
  for (const n of range(0, 6)) await talker.publish(channel, { n });
  await until(() => first.heard.length === 6);
  const { epoch } = first.outcome.subscribed[0];
  const later = await heardOn(hub, channel, { recover: { epoch, offset: 2 } });
  const stranger = await heardOn(hub, channel, { recover: { epoch: "other", offset: 2 } });
  await talker.publish(channel, { n: 6 });
  await until(() => later.heard.length === 5);
  await until(() => stranger.heard.length === 1);
  await until(() => first.heard.length === 7);
  assert.deepEqual([numbers(first), numbers(later), numbers(stranger)], [range(0, 7), range(2, 7), [6]]);
  assert.equal(later.outcome.subscribed[0].recovered, true);
  assert.equal(stranger.outcome.subscribed[0].recovered, false);
  assert.deepEqual((await hub.history(channel, { limit: 2 })).map(({ data }) => data.n), [5, 6]);
  assert.deepEqual((await hub.history(channel, { since: { epoch, offset: 5 } })).map(({ offset }) => offset), [6, 7]);
});

test("a late frame of the old subscription does not come before what is being recovered", async (t) => {
  const sockets = [];
  class Kept extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const hub = hubFor(t, { WebSocket: Kept });
  const channel = chat();
  const first = await heardOn(hub, channel);
  for (const n of range(0, 4)) await hub.publish(channel, { n });
  const { epoch } = first.outcome.subscribed[0];
  const heard = [];
  const later = hub.subscribe(channel, { recover: { epoch, offset: 1 } }, ({ n }) => heard.push(n));
  later.on("subscribed", () => {
    const late = { type: "chat:new", channel, offset: 4, data: { n: 3 } };
    queueMicrotask(() => sockets[0].onmessage({ data: JSON.stringify(late) }));
  });
  await until(() => heard.length >= 3);
  assert.deepEqual(heard, [1, 2, 3]);
  assert.deepEqual(numbers(first), range(0, 4));
});

test("latest channels begin with a snapshot after a cut, without what is gone", async (t) => {
  const talker = hubFor(t);
  const proxy = await Proxy.to(t);
  const hub = hubFor(t, {}, proxy.url);
  const channel = quick();
  const latest = await heardOn(hub, channel);
  await talker.publish(channel, { n: 0, old: 1 });
  await until(() => latest.heard.length === 1);
  proxy.cut();
  await talker.publish(channel, { n: 1 });
  proxy.mend();
  await until(() => latest.heard.length === 2);
  assert.deepEqual(latest.value(), { n: 1 });
  assert.equal(latest.heard[1].event.snapshot, true);
});

test("a token that has ended is replaced with the next connection, without waiting", async (t) => {
  let asked = 0;
  const hub = hubFor(t, { backoff: { min: 60_000, max: 60_000 }, token: () => token({ expiresIn: (asked += 1) === 1 ? -10 : 60 * 60 }) });
  await live(hub);
  assert.equal(asked, 2);
  assert.equal(hub.states.find(({ state }) => state === "waiting").code, 3005);
});

test("a plain token that has ended closes the hub", async (t) => {
  const hub = hubFor(t, { token: token({ expiresIn: -10 }) });
  await until(() => hub.state === "closed");
  assert.equal(hub.states.at(-1).code, 3005);
});

test("no token closes with 3500; a getter that throws is asked again", async (t) => {
  let signedIn = false;
  let asked = 0;
  const hub = hubFor(t, {
    token: () => {
      asked += 1;
      if (asked === 1) throw new Error("offline");
      return signedIn ? token() : null;
    },
  });
  await until(() => hub.state === "closed");
  assert.equal(hub.errors[0].code, "UNAUTHORIZED");
  assert.equal(hub.states.at(-1).code, 3500);
  signedIn = true;
  hub.reconnect();
  await live(hub);
});

test("an end for good stands in the console, unless somebody listens for it", async (t) => {
  const warned = t.mock.method(console, "warn", () => undefined);
  const heard = hubFor(t, { token: "no token at all" });
  await until(() => heard.state === "closed");
  assert.equal(warned.mock.callCount(), 0);
  const unheard = connect(`http://${place}`, { token: "no token at all" });
  await until(() => unheard.state === "closed");
  assert.match(warned.mock.calls[0].arguments[0], /closed for good with 3500/);
});

test("a close code from 3500 on ends everything, until reconnect is said", async (t) => {
  let bad = true;
  const hub = hubFor(t, { token: () => (bad ? "no token at all" : token()) });
  const subscription = hub.subscribe("market:RELIANCE");
  const iteration = subscription[Symbol.asyncIterator]();
  await assert.rejects(iteration.next(), { code: "CLOSED", closeCode: 3500 });
  await assert.rejects(hub.ping(), { code: "CLOSED" });
  assert.equal(hub.state, "closed");
  bad = false;
  hub.reconnect();
  assert.equal((await subscription.ready).subscribed.length, 1);
});

test("an administrator's end is final; the state says why", async (t) => {
  const user = "ended";
  const hub = hubFor(t, { token: () => token({ user }) });
  await live(hub);
  const answer = await fetch(`http://${place}/api/v1/admin/disconnect`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token({ role: "admin" })}`, "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
  });
  assert.equal(answer.status, 200, await answer.text());
  await until(() => hub.state === "closed");
  assert.equal(hub.states.at(-1).code, 3503);
});

test("a refresh that brings another plan is told, and what was refused is asked for again", async (t) => {
  let plan = "free";
  const hub = hubFor(t, { token: () => token({ user: "rising", plan }) });
  const entitled = [];
  hub.on("entitled", (event) => entitled.push(event));
  const signals = await heardOn(hub, "signals:generated");
  assert.deepEqual(signals.outcome.failed.map(({ code }) => code), ["PERMISSION_DENIED"]);
  const granted = [];
  const ended = [];
  signals.on("subscribed", ({ channel }) => granted.push(channel));
  signals.on("ended", ({ code }) => ended.push(code));
  plan = "pro";
  await hub.refresh();
  await until(() => granted.length === 1);
  assert.deepEqual(entitled, [{ plan: "pro", role: "user" }]);
  plan = "free";
  await hub.refresh();
  await until(() => ended.length === 1);
  assert.deepEqual(ended, [2003]);
  plan = "pro";
  await hub.refresh();
  await until(() => granted.length === 2);
});

test("a command waits for the connection, up to its time; what can't be known is not said twice", async (t) => {
  const proxy = await Proxy.to(t);
  proxy.cut();
  const hub = hubFor(t, {}, proxy.url);
  const pong = hub.ping();
  await until(() => hub.state === "waiting");
  proxy.mend();
  assert.ok((await pong) > 0);
  proxy.silent = true;
  const published = hub.publish(chat(), { n: 1 });
  const history = hub.history(chat());
  proxy.silent = false;
  proxy.cut();
  await assert.rejects(published, { code: "DISCONNECTED", temporary: true });
  proxy.mend();
  assert.deepEqual(await history, []);
  hub.close();
  await assert.rejects(hub.ping(), { code: "CLOSED" });
});

test("frames that can't be read are told and harm nothing", async (t) => {
  /** @type {WebSocket[]} */
  const sockets = [];
  class Noisy extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const hub = hubFor(t, { WebSocket: Noisy });
  const channel = quick();
  const heard = await heardOn(hub, channel);
  for (const data of ["", "{", "null", "[]", "7", "{}", '{"type":5}', new ArrayBuffer(3), new Uint8Array([0x81, 0xa1]).buffer]) {
    sockets[0].onmessage({ data });
  }
  for (const data of ['{"type":"novel"}', `{"type":"x","channel":"chat:other","data":{}}`, '{"type":"pong","id":999}']) {
    sockets[0].onmessage({ data });
  }
  assert.deepEqual(hub.errors.map(({ code }) => code), Array(9).fill("BAD_FRAME"));
  await hub.publish(channel, { n: 1 });
  await until(() => heard.heard.length === 1);
  assert.equal(hub.state, "live");
});

test("a listener that throws is reported, and the others hear", async (t) => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  t.after(() => delete globalThis.reportError);
  const hub = hubFor(t);
  hub.on("state", () => {
    throw new Error("state");
  });
  const channel = chat();
  const subscription = hub.subscribe(channel, () => {
    throw new Error("update");
  });
  const heard = [];
  subscription.on("update", (value) => heard.push(value.n));
  await subscription.ready;
  await hub.publish(channel, { n: 1 });
  await hub.publish(channel, { n: 2 });
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [1, 2]);
  assert.equal(reported.filter((message) => message === "update").length, 2);
  assert.ok(reported.includes("state"));
});

test("a slow loop gets the newest of latest channels and each message of logs", async (t) => {
  const hub = hubFor(t);
  const [latest, log] = [hub.subscribe(quick()), hub.subscribe(chat())];
  await Promise.all([latest.ready, log.ready]);
  const iterations = [latest, log].map((one) => one[Symbol.asyncIterator]());
  for (const n of range(0, 15)) {
    await hub.publish(latest.channels[0], { n });
    await hub.publish(log.channels[0], { n });
  }
  const newest = (await iterations[0].next()).value;
  assert.deepEqual([newest.value, newest.missed, newest.channel], [{ n: 14 }, 14, latest.channels[0]]);
  const each = [];
  for await (const { value, offset } of iterations[1]) {
    each.push(value.n);
    if (offset === 15) break;
  }
  assert.deepEqual(each, range(0, 15));
  assert.equal((await iterations[1].next()).done, true);
  latest.unsubscribe();
  assert.equal((await iterations[0].next()).done, true);
});

test("a loop that never reads a log is ended by its bound", async (t) => {
  const sockets = [];
  class Kept extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  }
  const hub = hubFor(t, { WebSocket: Kept });
  const channel = chat();
  const subscription = hub.subscribe(channel);
  await subscription.ready;
  const iteration = subscription[Symbol.asyncIterator]();
  for (const offset of range(1, 10_002)) {
    sockets[0].onmessage({ data: JSON.stringify({ type: "chat:new", channel, offset, data: {} }) });
  }
  await assert.rejects(iteration.next(), { code: "OVERFLOW" });
  assert.equal((await iteration.next()).done, true);
});

test("three thousand channels are subscribed and kept through a cut", async (t) => {
  const proxy = await Proxy.to(t);
  const hub = hubFor(t, { token: () => token({ plan: "enterprise" }) }, proxy.url);
  const channels = range(0, 2500).map((n) => `quick:many-${n}`);
  const subscription = hub.subscribe(channels);
  assert.equal((await subscription.ready).subscribed.length, 2500);
  proxy.cut();
  await until(() => hub.state !== "live");
  proxy.mend();
  await live(hub);
  await hub.ping();
  assert.equal((await hub.subscriptions()).length, 2500);
  subscription.remove(channels.slice(1));
  subscription.add(["quick:more", "quick:many-0"]);
  await hub.ping();
  const left = (await hub.subscriptions()).map(({ channel }) => channel);
  assert.deepEqual(left.sort(), ["quick:many-0", "quick:more"]);
});
