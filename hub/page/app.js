// Live prices over the hub's own socket, with nothing between: what this page does, any client can do.

const boot = JSON.parse(document.getElementById("boot").textContent);
const table = document.getElementById("prices");
const entry = document.getElementById("entry");
const rows = new Map();
let token = new URLSearchParams(location.hash.slice(1)).get("token") || boot.token;
let received = 0;
let attempt = 0;
let frame = 0;
const changed = new Set();

const rupees = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const whole = new Intl.NumberFormat("en-IN");

function show(id, text, state) {
  const element = document.getElementById(id);
  element.textContent = text;
  if (state) element.dataset.state = state; else delete element.dataset.state;
}

function makeRow(channel, exchange, symbol) {
  const row = document.createElement("tr");
  const cells = {};
  for (const [name, wide] of [["symbol"], ["price"], ["change"], ["change_percent"], ["bid", 1], ["ask", 1], ["low", 1], ["high", 1], ["volume", 1]]) {
    const cell = cells[name] = row.insertCell();
    if (wide) cell.className = "wide";
  }
  cells.symbol.textContent = symbol;
  if (exchange !== "NSE") cells.symbol.append(Object.assign(document.createElement("small"), { textContent: exchange }));
  cells.price.className = "price";
  table.tBodies[0].append(row);
  rows.set(channel, { cells, value: null, drawn: null });
}

function draw() {
  frame = 0;
  for (const entry of changed) {
    const { cells, value, drawn } = entry;
    for (const name of ["price", "bid", "ask", "low", "high"]) {
      if (!drawn || value[name] !== drawn[name]) cells[name].textContent = value[name] ? rupees.format(value[name]) : "–";
    }
    cells.volume.textContent = value.volume ? whole.format(value.volume) : "–";
    const sign = value.change > 0 ? "up" : value.change < 0 ? "down" : "";
    for (const name of ["change", "change_percent"]) {
      cells[name].textContent = value[name] === undefined ? "–" : (value[name] > 0 ? "+" : "") + value[name].toFixed(2);
      cells[name].className = sign;
    }
    if (drawn && value.price !== drawn.price) {
      const flash = value.price > drawn.price ? "rose" : "fell";
      cells.price.classList.add(flash);
      requestAnimationFrame(() => requestAnimationFrame(() => cells.price.classList.remove(flash)));
    }
    entry.drawn = value;
  }
  changed.clear();
}

function take(message) {
  switch (message.type) {
    case "welcome":
      attempt = 0;
      show("connection", "live", "live");
      break;
    case "market:update": {
      received += 1;
      const row = rows.get(message.channel);
      if (!row) return;
      row.value = message.snapshot ? message : { ...row.value, ...message };
      changed.add(row);
      frame ||= requestAnimationFrame(draw);
      break;
    }
    case "status:update":
      if (message.channel === "status:market") {
        show("market", "NSE " + (message.data.NSE?.state ?? "").replaceAll("_", " "));
      } else {
        const feeds = Object.entries(message.data).filter(([, state]) => typeof state === "string");
        const troubles = Object.entries(message.data.sources ?? {}).filter(([, source]) => !["live", "closed"].includes(source.state));
        const told = troubles.map(([name, source]) => `${name} ${source.state.replaceAll("_", " ")}`);
        show("feeds", [...feeds.map(([name, state]) => `${name} ${state}`), ...told].join(" · "));
      }
      break;
  }
}

function connect() {
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("token", token);
  const socket = new WebSocket(url);
  let later = null;
  socket.onopen = () => {
    const channels = boot.symbols.map(([exchange, symbol]) => `market:${exchange}:${symbol}`);
    socket.send(JSON.stringify({ action: "subscribe", channels, delta: true, max_frequency: 10 }));
    socket.send(JSON.stringify({ action: "subscribe", channels: ["status:market", "status:feeds"] }));
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "shutdown") later = message.reconnect_after * 1000;
    take(message);
  };
  socket.onclose = (event) => {
    if ((event.code >= 3500 && event.code < 4000) || event.code === 3005) {
      show("connection", event.reason || "refused", "away");
      ask();
      return;
    }
    attempt += 1;
    const wait = later ?? Math.random() * Math.min(20000, 500 * 2 ** attempt);
    show("connection", `reconnecting in ${Math.ceil(wait / 1000)} s`, "away");
    setTimeout(connect, wait);
  };
}

function ask() {
  table.hidden = true;
  entry.hidden = false;
  document.getElementById("token").focus();
}

function start() {
  entry.hidden = true;
  table.hidden = false;
  connect();
}

entry.onsubmit = (event) => {
  event.preventDefault();
  token = document.getElementById("token").value.trim();
  start();
};

for (const [exchange, symbol] of boot.symbols) makeRow(`market:${exchange}:${symbol}`, exchange, symbol);
setInterval(() => { show("rate", `${received} updates/s`); received = 0; }, 1000);
if (token) start(); else { show("connection", "needs a token"); ask(); }
