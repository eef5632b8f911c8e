// Socket.IO on Node: one room a symbol, WebSocket transport only. Arguments: port, number of symbols.
// The publisher and its control protocol are those of publisher.py, in JavaScript.
"use strict";

const { createServer } = require("node:http");
const { createInterface } = require("node:readline");
const { Server } = require("socket.io");

const TOKEN = "bench-token-of-thirty-two-letters";
const STAMP_OFFSET_US = 1e15;
const TICK_MS = 2;
const MAX_BEHIND_MS = 250;
const TICKS_AT_ONCE = 5;
const [port, symbols] = process.argv.slice(2).map(Number);

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"], pingInterval: 3_600_000, perMessageDeflate: false, serveClient: false,
});
io.use((socket, next) => next(socket.handshake.query.token === TOKEN ? undefined : new Error("invalid token")));
io.on("connection", (socket) => {
  socket.on("subscribe", (names) => {
    socket.join(names);
    socket.emit("subscribed");
  });
});

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
let rate = 0;
let published = 0;
let next = 0;
let due = 0;
let owed = 0;

function publish(count, stamp) {
  for (let i = 0; i < count; i++) {
    const symbol = `S${String(next).padStart(4, "0")}`;
    next = (next + 1) % symbols;
    io.to(symbol).emit("price", {
      type: "market:update", channel: `market:NSE:${symbol}`, exchange: "NSE", symbol, price: 12500.55, change: 1112.45,
      total_buy_quantity: stamp, state: "continuous", seq: 1795300000000,
    });
  }
  published += count;
}

function pace() {
  if (!rate) return;
  const now = nowMs();
  if (now - due > MAX_BEHIND_MS) due = now - TICK_MS;
  // A few ticks a turn of the loop at most, so that an overloaded server still reads its sockets.
  for (let tick = 0; tick < TICKS_AT_ONCE && now - due >= TICK_MS; tick++) {
    due += TICK_MS;
    owed += (rate * TICK_MS) / 1000;
    const count = Math.floor(owed);
    owed -= count;
    publish(count, STAMP_OFFSET_US + Math.floor(due * 1000));
  }
  if (nowMs() - due >= TICK_MS) setImmediate(pace);
  else setTimeout(pace, 1);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  if ("rate" in command) {
    const idle = rate === 0;
    rate = command.rate;
    owed = 0;
    due = nowMs();
    if (idle && rate) pace();
  }
  if ("gc" in command && global.gc) global.gc();
  console.log(JSON.stringify({ published }));
});
http.listen(port, "127.0.0.1", 2048);
