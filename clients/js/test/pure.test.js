import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, Update, applyDelta, decodePacked, encodePacked } from "../tickhub.js";

const bytes = (...values) => new Uint8Array(values.flat()).buffer;

test("a backoff's ceiling doubles up to its bound, and jitter takes any part of it", () => {
  const longest = new Backoff({ min: 100, max: 1000 }, () => 1);
  assert.deepEqual(Array.from({ length: 6 }, () => longest.next()), [100, 200, 400, 800, 1000, 1000]);
  const shortest = new Backoff({ min: 100, max: 1000 }, () => 0);
  assert.deepEqual([shortest.next(), shortest.next()], [0, 0]);
  longest.reset();
  assert.equal(longest.next(), 100);
});

test("a backoff stays within its bounds for ever, and spreads", () => {
  const backoff = new Backoff({ min: 10, max: 500 });
  const waits = Array.from({ length: 3000 }, () => backoff.next());
  assert.ok(waits.every((wait) => wait >= 0 && wait <= 500));
  const late = waits.slice(10);
  const mean = late.reduce((sum, wait) => sum + wait, 0) / late.length;
  assert.ok(mean > 200 && mean < 300, `mean ${mean}`);
});

test("a delta replaces fields, takes away those that are null, and changes neither side", () => {
  const before = { price: 1, bid: 2, levels: [1] };
  const delta = { price: 3, bid: null, ask: 4 };
  assert.deepEqual(applyDelta(before, delta), { price: 3, levels: [1], ask: 4 });
  assert.deepEqual(before, { price: 1, bid: 2, levels: [1] });
  assert.deepEqual(delta, { price: 3, bid: null, ask: 4 });
});

test("an update tells what changed only of a delta, and without the head", () => {
  const delta = { type: "t", channel: "c", seq: 4, price: 1 };
  assert.deepEqual(new Update("c", "t", delta, false, 0, null, false).changed, new Set(["price"]));
  assert.equal(new Update("c", "t", null, true, 0, null, false).changed, null);
});

test("MessagePack of every kind and width is read", () => {
  const cases = [
    [[0xc0], null], [[0xc2], false], [[0xc3], true], [[0x7f], 127], [[0xff], -1], [[0xe0], -32],
    [[0xcc, 200], 200], [[0xcd, 1, 0], 256], [[0xce, 0xff, 0xff, 0xff, 0xff], 4294967295],
    [[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], 2 ** 32], [[0xd0, 0x80], -128], [[0xd1, 0x80, 0], -32768],
    [[0xd2, 0x80, 0, 0, 0], -(2 ** 31)], [[0xd3, 0xff, 0xe0, 0, 0, 0, 0, 0, 0], -(2 ** 53)],
    [[0xca, 0x3f, 0x80, 0, 0], 1], [[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], 1.5],
    [[0xa2, 0x68, 0x69], "hi"], [[0xd9, 3, 0xe2, 0x82, 0xb9], "₹"], [[0xda, 0, 1, 0x61], "a"],
    [[0xdb, 0, 0, 0, 1, 0x61], "a"], [[0x92, 1, 2], [1, 2]], [[0xdc, 0, 1, 7], [7]], [[0xdd, 0, 0, 0, 1, 7], [7]],
    [[0x81, 0xa1, 0x61, 1], { a: 1 }], [[0xde, 0, 1, 0xa1, 0x61, 1], { a: 1 }],
    [[0xdf, 0, 0, 0, 1, 0xa1, 0x61, 1], { a: 1 }], [[0x81, 5, 1], { 5: 1 }],
    [[0xc4, 2, 1, 2], new Uint8Array([1, 2])], [[0xc5, 0, 1, 9], new Uint8Array([9])],
    [[0xc6, 0, 0, 0, 1, 9], new Uint8Array([9])],
  ];
  for (const [packed, value] of cases) assert.deepEqual(decodePacked(bytes(packed)), value);
});

test("MessagePack that is cut off, goes on, lies about sizes or nests without end is refused", () => {
  const whole = new Uint8Array(encodePacked({ a: [1, "two", 3.5, { b: null }] }));
  for (let size = 0; size < whole.length; size += 1) {
    assert.throws(() => decodePacked(whole.slice(0, size).buffer), RangeError, `${size} bytes`);
  }
  assert.throws(() => decodePacked(bytes([...whole, 0])), /goes on/);
  assert.throws(() => decodePacked(bytes(0xdd, 0xff, 0xff, 0xff, 0xff)), /ends within/);
  assert.throws(() => decodePacked(bytes(0xdf, 0x7f, 0xff, 0xff, 0xff, 1)), /ends within/);
  assert.throws(() => decodePacked(bytes(Array(5000).fill(0x91), 0)), /levels/);
  assert.throws(() => decodePacked(bytes(0xc1)), /0xc1/);
  assert.throws(() => decodePacked(bytes(0xc7, 1, 1, 1)), /0xc7/);
  assert.throws(() => decodePacked(bytes(0xa1, 0xff)), TypeError);
});

test("a key named __proto__ is data", () => {
  const packed = bytes(0x81, 0xa9, [...Buffer.from("__proto__")], 0x81, 0xa1, 0x61, 1);
  const value = decodePacked(packed);
  assert.equal(JSON.stringify(value), '{"__proto__":{"a":1}}');
  assert.equal(value.a, undefined);
});

test("what is written as MessagePack is what JSON would have said", () => {
  const values = [
    0, 31, 127, 128, -1, -32, -33, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31), 1e300, 0.1, true, null,
    "", "x".repeat(31), "x".repeat(40), "₹".repeat(500), [], Array(20).fill(1), { a: { b: [1] } },
    { gone: undefined, kept: null, date: new Date(0) }, Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, n])),
  ];
  for (const value of values) {
    assert.deepEqual(decodePacked(encodePacked(value).buffer), JSON.parse(JSON.stringify(value)));
  }
  assert.ok(Object.is(decodePacked(encodePacked(-0).buffer), -0));
  assert.throws(() => encodePacked({ f() {} }), TypeError);
  const endless = {};
  endless.self = endless;
  assert.throws(() => encodePacked(endless), /levels/);
});
