// Reads MessagePack in base64, one value a line; answers with what was understood, as JSON and packed again. Driven by
// tests/clients/test_js.py.

import { createInterface } from "node:readline";

import { decodePacked, encodePacked } from "../tickhub.js";

for await (const line of createInterface({ input: process.stdin })) {
  const packed = Buffer.from(line, "base64");
  const value = decodePacked(packed.buffer.slice(packed.byteOffset, packed.byteOffset + packed.length));
  const again = Buffer.from(encodePacked(value)).toString("base64");
  process.stdout.write(`${JSON.stringify({ value, again })}\n`);
}
