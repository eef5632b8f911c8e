/**
 * The browser and Node client of a tickhub hub: one module, no dependencies.
 *
 *     const hub = connect("https://hub.example", { token: () => fetchToken() });
 *     hub.subscribe("market:RELIANCE", (value) => console.log(value.price));
 *
 * From the outside in: a `Hub` has `Subscription`s; each of their channels is an `Entry` on the channel's `Wire`, of
 * which the server hears one subscription however many entries there are; the `Line` below holds the socket, and is
 * back by itself when it breaks. Commands and their replies are matched by `Commands`.
 *
 * @module tickhub
 */

/**
 * @typedef {"ltp" | "quote" | "full"} Mode
 * @typedef {"connecting" | "live" | "waiting" | "offline" | "closed"} StateName
 * @typedef {{ state: StateName, attempt: number, retryAt: number | null, code: number | null, reason: string }} State
 *   `retryAt` is in milliseconds since 1970; `code` and `reason` say how the last connection ended.
 * @typedef {{ epoch: string, offset: number }} Position  The last message of a log channel that somebody has.
 * @typedef {string | (() => string | null | Promise<string | null>)} TokenSource
 * @typedef {{ min: number, max: number }} BackoffBounds  In milliseconds.
 * @typedef {{ [name: string]: any, type: string }} Message  What the server says, see the protocol's reference.
 * @typedef {object} ConnectOptions
 * @property {TokenSource} token  A getter is asked for each connection, and when the token is about to end; with null
 *   the hub closes with 3500, and when it throws the hub tries again later. A plain string is used until it ends.
 * @property {"json" | "msgpack"} [format]
 * @property {false | string} [share]  A name: tabs of this origin that use the same one have one socket between them.
 *   Put the user into it.
 * @property {Partial<BackoffBounds>} [backoff]
 * @property {typeof WebSocket} [WebSocket]  For runtimes that have none.
 * @typedef {object} SubscribeOptions
 * @property {Mode} [mode]  How much of a price: `market` channels only.
 * @property {number} [maxFrequency]  Updates a second and channel; the newest always arrives.
 * @property {boolean} [delta]  Whether only changes travel (the default); what you get is whole in any case.
 * @property {string[]} [indicators]  Of `candles` channels, such as `"rsi(14)"`.
 * @property {Position} [recover]  The last message of a log channel that you have; what came after it comes first.
 * @typedef {{ channel: string, requested: string, delay: number | null, epoch: string | null, offset: number | null,
 *   recovered: boolean | null }} Granted  `delay` is in seconds, where the plan has the channel delayed.
 * @typedef {{ channel: string, code: number, reason: string }} Ended
 * @typedef {{ subscribed: Granted[], failed: HubError[] }} Outcome
 * @typedef {(value: any, event: Update) => void} UpdateListener
 * @typedef {{ channel: string, epoch: string, offset: number, data: any }} LogMessage
 * @typedef {{ channel: string, value: any, type: string, snapshot: boolean, missed: number, offset: number | null,
 *   changed: Set<string> | null, recovered: boolean }} IteratedUpdate
 * @typedef {object} HubEvents
 * @property {State} state  Each change; a new listener is told the present one at once.
 * @property {Message} welcome
 * @property {Message} heartbeat
 * @property {{ plan: string, role: string }} entitled
 * @property {HubError} error  What went wrong outside any command.
 * @property {{ channel: string, recovered: boolean, messages: number }} recovered  A log channel after a reconnect.
 * @typedef {object} SubscriptionEvents
 * @property {Granted} subscribed
 * @property {HubError} failed
 * @property {Ended} ended
 */

// -- errors and small things ------------------------------------------------------------------------------------------

/** What can't be had, and why. `code` is one of the server's words, or `TIMEOUT`, `DISCONNECTED`, `CLOSED`, `OVERFLOW`
 * or `BAD_FRAME`, which are this module's own. */
export class HubError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{ temporary?: boolean, channel?: string | null, closeCode?: number | null }} [details]
   */
  constructor(code, message, { temporary = false, channel = null, closeCode = null } = {}) {
    super(message);
    this.name = "HubError";
    this.code = code;
    /** Whether the same may succeed later. */
    this.temporary = temporary;
    /** The channel that it is about, if it is about one. */
    this.channel = channel;
    /** How the connection ended, of `CLOSED`. */
    this.closeCode = closeCode;
  }
}

const TEMPORARY = new Set(["RATE_LIMITED", "NOT_AVAILABLE", "INTERNAL"]);
const CONNECT_TIMEOUT_MS = 15_000;
const TOKEN_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 4_000;
const TICK_MS = 1_000;
const SLEPT_MS = 5_000;
const STEADY_MS = 10_000;
const REFRESH_PAUSE_MS = 10_000;
const MAX_PENDING = 1_000;
const MAX_DEPTH = 100;
const MAX_ITERATED = 10_000;
const MAX_COMMAND_BYTES = 48_000;
const MAX_COMMAND_CHANNELS = 500;
const MODES = ["ltp", "quote", "full"];
const NAME = /^[ -~]{1,255}$/;

/** @param {unknown} error  Tells the page's error handling, and nobody else. */
function report(error) {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}

const isOffline = () => globalThis.navigator?.onLine === false;

/**
 * Full jitter: a random time below a ceiling that doubles with each attempt, so that clients cut off together don't
 * come back together.
 */
export class Backoff {
  /**
   * @param {Partial<BackoffBounds>} [bounds]
   * @param {() => number} [random]  From 0 to 1.
   */
  constructor({ min = 500, max = 20_000 } = {}, random = Math.random) {
    this.min = min;
    this.max = max;
    this.random = random;
    this.attempt = 0;
  }

  /** Milliseconds until the next attempt. */
  next() {
    const ceiling = Math.min(this.max, this.min * 2 ** Math.min(this.attempt, 30));
    this.attempt += 1;
    return this.random() * ceiling;
  }

  reset() {
    this.attempt = 0;
  }
}

/** @param {(...values: any[]) => void} listener  @param {any} value  @param {any} [more] */
function call(listener, value, more) {
  try {
    listener(value, more);
  } catch (error) {
    report(error);
  }
}

/**
 * Listeners by event; one that throws is reported, and the others hear all the same.
 *
 * @internal
 * @template {object} Events
 */
class Emitter {
  constructor() {
    /** @type {Map<keyof Events, Array<(...values: any[]) => void>>} */
    this.listeners = new Map();
  }

  /**
   * @param {keyof Events} event
   * @param {(...values: any[]) => void} listener
   * @returns {() => void}
   */
  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
    return () => {
      const left = (this.listeners.get(event) ?? []).filter((one) => one !== listener);
      this.listeners.set(event, left);
    };
  }

  /** @param {keyof Events} event  Whether anybody listens. */
  hears(event) {
    return (this.listeners.get(event) ?? []).length > 0;
  }

  /**
   * @param {keyof Events} event
   * @param {any} value
   * @param {any} [more]
   */
  emit(event, value, more) {
    const listeners = this.listeners.get(event);
    if (listeners === undefined) return;
    for (const listener of listeners) call(listener, value, more);
  }
}

// -- commands ---------------------------------------------------------------------------------------------------------

/**
 * Commands that wait for their replies. One that can't be sent yet waits for the connection, up to its deadline; one
 * that was under way when the connection broke is sent again, unless that could do it twice.
 */
class Commands {
  /** @param {(message: object) => boolean} send  False where it can't be sent now. */
  constructor(send) {
    this.send = send;
    this.lastId = 0;
    /** Why nothing is sent any more. @type {HubError | null} */
    this.closed = null;
    /** @type {Map<number, { message: object, again: boolean, sent: boolean, resolve: (reply: Message) => void,
     *   reject: (error: HubError) => void, timer: ReturnType<typeof setTimeout> }>} */
    this.pending = new Map();
  }

  /**
   * @param {string} action
   * @param {object} [fields]
   * @param {{ timeout?: number, again?: boolean }} [options]
   * @returns {Promise<Message>}
   */
  ask(action, fields, { timeout = COMMAND_TIMEOUT_MS, again = true } = {}) {
    if (this.closed !== null) return Promise.reject(this.closed);
    if (this.pending.size >= MAX_PENDING) {
      return Promise.reject(new HubError("OVERFLOW", `More than ${MAX_PENDING} commands wait for replies`));
    }
    return new Promise((resolve, reject) => {
      const id = ++this.lastId;
      const message = { action, id, ...fields };
      const late = new HubError("TIMEOUT", `No reply to ${action} within ${timeout / 1000} s`, { temporary: true });
      const timer = setTimeout(() => this.settle(id)?.reject(late), timeout);
      this.pending.set(id, { message, again, sent: false, resolve, reject, timer });
      this.post(id);
    });
  }

  /** @param {number} id  Fails alone where it can't be written, such as an object that holds itself. */
  post(id) {
    const waiting = this.pending.get(id);
    if (waiting === undefined || waiting.sent) return;
    try {
      waiting.sent = this.send(waiting.message);
    } catch (error) {
      this.settle(id)?.reject(new HubError("BAD_REQUEST", String(error)));
    }
  }

  /** @param {Message} message  @returns {boolean} whether it is a reply to one of these. */
  take(message) {
    const waiting = this.settle(message.id);
    if (waiting === undefined) return false;
    if (message.type === "error") waiting.reject(errorOf(message));
    else waiting.resolve(message);
    return true;
  }

  /** @param {number} id */
  settle(id) {
    const waiting = this.pending.get(id);
    if (waiting !== undefined) {
      this.pending.delete(id);
      clearTimeout(waiting.timer);
    }
    return waiting;
  }

  /** The connection stands: send what has waited. */
  live() {
    for (const id of this.pending.keys()) this.post(id);
  }

  /** The connection is gone. */
  down() {
    for (const [id, waiting] of this.pending) {
      if (waiting.sent && !waiting.again) {
        const text = "The connection ended before the reply; it may have been done or not";
        this.settle(id)?.reject(new HubError("DISCONNECTED", text, { temporary: true }));
      }
      waiting.sent = false;
    }
  }

  open() {
    this.closed = null;
  }

  /** @param {HubError} error  Nothing more will be answered. */
  close(error) {
    this.closed = error;
    for (const id of this.pending.keys()) this.settle(id)?.reject(error);
  }
}

/** @param {{ [name: string]: any }} told  An `error`, or a channel's refusal.  @param {string | null} [channel] */
function errorOf(told, channel = null) {
  const temporary = told.temporary ?? TEMPORARY.has(told.code);
  return new HubError(String(told.code), String(told.message), { temporary, channel });
}

// -- the line: one socket, again and again ----------------------------------------------------------------------------

/**
 * What hears a line.
 *
 * @internal
 * @typedef {object} LineOwner
 * @property {(state: State) => void} changed
 * @property {(welcome: Message) => void} live
 * @property {() => void} down  The connection is gone; only after `live`.
 * @property {(message: Message, raw: string | ArrayBuffer) => void} take
 * @property {(error: HubError) => void} fault
 */

/**
 * Looks whether time passes: timers that come late, and what the browser tells of the page and the network.
 *
 * @internal
 * @typedef {object} Watcher
 * @property {(slept: boolean) => unknown} tick  Once a second; `slept` where this one came late.
 * @property {() => unknown} woke  The tab is looked at again, or was frozen and goes on.
 * @property {() => unknown} [offline]
 * @property {() => unknown} [online]
 * @property {(gone: boolean) => unknown} [hidden]  The page is left, or else frozen.
 * @property {() => unknown} [shown]  Neither any more.
 */
class Watch {
  /** @param {Watcher} watcher */
  constructor(watcher) {
    this.watcher = watcher;
    this.tickedAt = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.ticker = undefined;
    /** @type {AbortController | null} */
    this.listening = null;
  }

  start() {
    if (this.listening !== null) return;
    this.listening = new AbortController();
    this.tickedAt = Date.now();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    const { watcher } = this;
    const { document } = /** @type {{ document?: Document }} */ (globalThis);
    this.hear(globalThis, "offline", () => watcher.offline?.());
    this.hear(globalThis, "online", () => watcher.online?.());
    this.hear(globalThis, "pagehide", () => watcher.hidden?.(true));
    this.hear(globalThis, "pageshow", () => this.back());
    this.hear(document, "freeze", () => watcher.hidden?.(false));
    this.hear(document, "resume", () => this.back());
    this.hear(document, "visibilitychange", () => !document?.hidden && watcher.woke());
  }

  /** @param {Partial<EventTarget> | undefined} target  @param {string} event  @param {() => unknown} listener */
  hear(target, event, listener) {
    target?.addEventListener?.(event, listener, { signal: this.listening?.signal });
  }

  stop() {
    clearInterval(this.ticker);
    this.listening?.abort();
    this.listening = null;
  }

  tick() {
    const now = Date.now();
    const slept = now - this.tickedAt > SLEPT_MS;
    this.tickedAt = now;
    this.watcher.tick(slept);
  }

  back() {
    this.watcher.shown?.();
    this.watcher.woke();
  }
}

/** A connection that comes back: token, socket, backoff, and the watch over whether the other end still lives. */
class Line {
  /**
   * @param {string} url
   * @param {ConnectOptions} options
   * @param {LineOwner} owner
   */
  constructor(url, options, owner) {
    this.url = url;
    this.owner = owner;
    this.source = options.token;
    this.format = options.format ?? "json";
    this.WebSocket = options.WebSocket ?? globalThis.WebSocket;
    this.backoff = new Backoff(options.backoff);
    this.commands = new Commands((message) => this.send(message));
    /** @type {State} */
    this.state = { state: "connecting", attempt: 0, retryAt: null, code: null, reason: "" };
    /** @type {WebSocket | null} */
    this.socket = null;
    /** Counts sockets, so that what was begun for an older one is seen to be late. */
    this.round = 0;
    /** @type {string | null} */
    this.token = null;
    this.refreshedAt = -Infinity;
    /** @type {number | null} */
    this.comeBackAfter = null;
    this.heartbeat = 25_000;
    this.heardAt = 0;
    this.liveSince = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retryTimer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.deadline = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.refreshTimer = undefined;
    this.watch = new Watch({
      tick: (slept) => this.tick(slept),
      woke: () => Date.now() - this.heardAt > SLEPT_MS && this.probe(),
      offline: () => this.wentOffline(),
      online: () => this.cameOnline(),
    });
  }

  get live() {
    return this.state.state === "live";
  }

  /** Connect now, whatever the state: a present socket is replaced. */
  start() {
    this.watch.start();
    this.commands.open();
    this.backoff.reset();
    this.drop(1000, "a new connection was asked for");
    void this.open();
  }

  /** @param {number | null} code  @param {string} reason  For good, until `start`. */
  close(code, reason) {
    this.watch.stop();
    this.drop(code, reason);
    this.enter("closed", null, code, reason);
    this.commands.close(new HubError("CLOSED", reason || "The hub is closed", { closeCode: code }));
  }

  /**
   * @param {StateName} state
   * @param {number | null} [retryAt]
   * @param {number | null} [code]
   * @param {string} [reason]
   */
  enter(state, retryAt = null, code = this.state.code, reason = this.state.reason) {
    this.state = { state, attempt: this.backoff.attempt, retryAt, code, reason };
    this.owner.changed(this.state);
  }

  // -- opening

  async open() {
    const round = ++this.round;
    this.enter(isOffline() ? "offline" : "connecting");
    let token;
    try {
      token = await this.newToken();
    } catch (error) {
      if (round !== this.round) return;
      this.owner.fault(tokenFault(error));
      this.retry(null, "no token could be had");
      return;
    }
    if (round !== this.round) return;
    if (token === null) this.close(3500, "no token");
    else this.openSocket(token, round);
  }

  /** @returns {Promise<string | null>} */
  async newToken() {
    if (typeof this.source !== "function") return this.source;
    const answer = Promise.resolve(this.source());
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(reject, TOKEN_TIMEOUT_MS, new Error("The token getter did not answer in time"));
    });
    try {
      return /** @type {string | null} */ (await Promise.race([answer, late])) ?? null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {string} token  @param {number} round */
  openSocket(token, round) {
    this.token = token;
    let socket;
    try {
      socket = new this.WebSocket(this.url, this.format === "msgpack" ? ["msgpack"] : []);
    } catch (error) {
      this.close(null, String(error)); // such as ws: on a page that came over https:
      return;
    }
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.write({ action: "auth", token });
    };
    socket.onmessage = (event) => this.hear(event.data);
    socket.onclose = (event) => this.lost(event.code, event.reason);
    this.deadline = setTimeout(() => {
      if (round === this.round) this.lost(1006, "no answer in time");
    }, CONNECT_TIMEOUT_MS);
  }

  /** @param {Message} message */
  welcomed(message) {
    clearTimeout(this.deadline);
    this.heartbeat = message.heartbeat * 1000;
    this.liveSince = Date.now();
    this.comeBackAfter = null;
    const { round } = this;
    this.enter("live", null, null, "");
    if (round !== this.round) return; // who heard it has closed the line
    this.commands.live();
    this.owner.live(message);
  }

  // -- losing

  /** @param {number | null} code  @param {string} reason  Forget the socket, and tell who heard it. */
  drop(code, reason) {
    this.round += 1;
    clearTimeout(this.retryTimer);
    clearTimeout(this.deadline);
    clearTimeout(this.refreshTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = () => undefined;
      socket.close();
    }
    if (!this.live) return;
    if (Date.now() - this.liveSince >= STEADY_MS) this.backoff.reset();
    this.state = { ...this.state, state: "connecting", code, reason };
    this.commands.down();
    this.owner.down();
  }

  /** @param {number} code  @param {string} reason  The socket is gone, or as good as gone. */
  lost(code, reason) {
    this.drop(code, reason);
    const final = code >= 3500 && code <= 3999;
    if (final || (code === 3005 && typeof this.source !== "function")) this.close(code, reason);
    else this.retry(code, reason);
  }

  /** @param {number | null} code  @param {string} reason */
  retry(code, reason) {
    const expired = code === 3005 && this.backoff.attempt === 0;
    const jittered = this.backoff.next();
    const wait = this.comeBackAfter ?? (expired ? 0 : jittered);
    this.comeBackAfter = null;
    this.retryTimer = setTimeout(() => void this.open(), wait); // before it is told: who hears it may close the line
    this.enter(isOffline() ? "offline" : "waiting", Date.now() + wait, code, reason);
  }

  // -- talking

  /** @param {object} message  @returns {boolean} */
  send(message) {
    if (!this.live) return false;
    this.write(message);
    return true;
  }

  /** @param {object} message */
  write(message) {
    const { socket } = this;
    socket?.send(socket.protocol === "msgpack" ? encodePacked(message) : JSON.stringify(message));
  }

  /** @param {string | ArrayBuffer} raw */
  hear(raw) {
    this.heardAt = Date.now();
    let message;
    try {
      message = decode(raw);
    } catch (error) {
      this.owner.fault(new HubError("BAD_FRAME", `A frame that can't be read: ${String(error)}`));
      return;
    }
    if (message.channel !== undefined && message.id === undefined) this.owner.take(message, raw);
    else this.obey(message, raw);
  }

  /** @param {Message} message  @param {string | ArrayBuffer} raw */
  obey(message, raw) {
    switch (message.type) {
      case "welcome":
        this.welcomed(message);
        return;
      case "token_expiring":
        this.expiring(message.expires_in * 1000);
        return;
      case "pong":
        this.commands.take(message);
        return;
      case "shutdown":
        this.comeBackAfter = message.reconnect_after * 1000;
        return;
      default:
        if (!this.commands.take(message)) this.owner.take(message, raw);
    }
  }

  // -- the token

  /** @param {number} left  In milliseconds. */
  expiring(left) {
    if (typeof this.source !== "function") return;
    const soon = Date.now() - this.refreshedAt < REFRESH_PAUSE_MS; // a token that lives shorter than the warning
    clearTimeout(this.refreshTimer);
    this.refreshTimer = setTimeout(() => void this.refreshOrTell(left), soon ? left / 2 : 0);
  }

  /** @param {number} left  In milliseconds. */
  async refreshOrTell(left) {
    const { round, token } = this;
    try {
      await this.refresh();
    } catch (error) {
      this.owner.fault(tokenFault(error));
    }
    if (round !== this.round || token !== this.token) return;
    this.refreshTimer = setTimeout(() => void this.refreshOrTell(left / 2), Math.max(1000, left / 2));
  }

  /** Take a new token now. Rejects with what the getter threw or the server said. */
  async refresh() {
    const { round } = this;
    this.refreshedAt = Date.now();
    const token = await this.newToken();
    if (round !== this.round) return;
    if (token === null) this.close(3500, "no token");
    else if (this.live && token !== this.token) {
      await this.commands.ask("refresh", { token }, { again: false });
      this.token = token;
    }
  }

  // -- watching

  isSilent() {
    return this.live && Date.now() - this.heardAt > 2 * this.heartbeat + Math.max(2000, this.heartbeat / 5);
  }

  /** @param {boolean} slept */
  tick(slept) {
    if (slept) this.probe();
    else if (this.isSilent()) this.lost(1006, "nothing was heard for two heartbeats");
  }

  /** Ask for any sign of life, and soon. Where the line waits for its next attempt, that comes now. */
  probe() {
    if (this.state.state === "waiting") void this.openNow();
    if (!this.live) return;
    const { round } = this;
    const asked = Date.now();
    this.write({ action: "ping" });
    setTimeout(() => {
      if (round === this.round && this.heardAt < asked) this.lost(1006, "no answer after a sleep");
    }, PROBE_TIMEOUT_MS);
  }

  openNow() {
    this.drop(this.state.code, this.state.reason); // an attempt that is under way would be a second socket
    return this.open();
  }

  /** Attempts go on, more and more rarely: a hub on this very machine is there without a network. */
  wentOffline() {
    if (this.state.state !== "closed") this.lost(1006, "offline");
  }

  cameOnline() {
    this.backoff.reset();
    if (this.state.state === "offline" || this.state.state === "waiting") void this.openNow();
  }
}

/** @param {unknown} error */
function tokenFault(error) {
  if (error instanceof HubError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new HubError("UNAUTHORIZED", `No token: ${why}`, { temporary: true });
}

// -- formats ----------------------------------------------------------------------------------------------------------

/** @param {string | ArrayBuffer} raw  @returns {Message} */
function decode(raw) {
  const message = typeof raw === "string" ? JSON.parse(raw) : decodePacked(raw);
  if (typeof message?.type !== "string") throw new TypeError("no message with a type");
  return message;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Reads MessagePack as the hub writes it; see https://github.com/msgpack/msgpack/blob/master/spec.md. */
class PackedReader {
  /** @param {ArrayBuffer} buffer */
  constructor(buffer) {
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.at = 0;
    this.depth = 0;
  }

  /** @param {number} count  Step over so many bytes, which must be there; answers where they begin. */
  skip(count) {
    const start = this.at;
    if (count > this.bytes.length - start) throw new RangeError("the frame ends within a value");
    this.at = start + count;
    return start;
  }

  /** @returns {any} */
  value() {
    const tag = this.view.getUint8(this.skip(1));
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.map(tag & 0x0f);
    if (tag < 0xa0) return this.array(tag & 0x0f);
    if (tag < 0xc0) return this.text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    const { view } = this;
    switch (tag) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.binary(view.getUint8(this.skip(1)));
      case 0xc5: return this.binary(view.getUint16(this.skip(2)));
      case 0xc6: return this.binary(view.getUint32(this.skip(4)));
      case 0xca: return view.getFloat32(this.skip(4));
      case 0xcb: return view.getFloat64(this.skip(8));
      case 0xcc: return view.getUint8(this.skip(1));
      case 0xcd: return view.getUint16(this.skip(2));
      case 0xce: return view.getUint32(this.skip(4));
      case 0xcf: return Number(view.getBigUint64(this.skip(8)));
      case 0xd0: return view.getInt8(this.skip(1));
      case 0xd1: return view.getInt16(this.skip(2));
      case 0xd2: return view.getInt32(this.skip(4));
      case 0xd3: return Number(view.getBigInt64(this.skip(8)));
      case 0xd9: return this.text(view.getUint8(this.skip(1)));
      case 0xda: return this.text(view.getUint16(this.skip(2)));
      case 0xdb: return this.text(view.getUint32(this.skip(4)));
      case 0xdc: return this.array(view.getUint16(this.skip(2)));
      case 0xdd: return this.array(view.getUint32(this.skip(4)));
      case 0xde: return this.map(view.getUint16(this.skip(2)));
      case 0xdf: return this.map(view.getUint32(this.skip(4)));
      default: throw new RangeError(`no value begins with 0x${tag.toString(16)} here`);
    }
  }

  /** @param {number} size */
  binary(size) {
    const start = this.skip(size);
    return this.bytes.slice(start, start + size);
  }

  /** @param {number} size */
  text(size) {
    const { bytes } = this;
    const start = this.skip(size);
    if (size > 32) return utf8.decode(bytes.subarray(start, this.at));
    let text = "";
    for (let at = start; at < this.at; at += 1) {
      const byte = /** @type {number} */ (bytes[at]);
      if (byte > 0x7f) return utf8.decode(bytes.subarray(start, this.at));
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** @param {number} left  How many values the next level has at least; each has a byte or more. */
  enter(left) {
    if (left > this.bytes.length - this.at) throw new RangeError("the frame ends within a value");
    if (++this.depth > MAX_DEPTH) throw new RangeError(`more than ${MAX_DEPTH} levels`);
  }

  /** @param {number} size */
  array(size) {
    this.enter(size);
    const items = [];
    for (let place = 0; place < size; place += 1) items.push(this.value());
    this.depth -= 1;
    return items;
  }

  /** @param {number} size */
  map(size) {
    this.enter(2 * size);
    /** @type {{ [name: string]: any }} */
    const map = {};
    for (let place = 0; place < size; place += 1) {
      const name = String(this.value());
      const value = this.value();
      if (name === "__proto__") Object.defineProperty(map, name, { value, enumerable: true, configurable: true });
      else map[name] = value;
    }
    this.depth -= 1;
    return map;
  }
}

/** One MessagePack value. Throws RangeError or TypeError for what is none. @param {ArrayBuffer} buffer */
export function decodePacked(buffer) {
  const reader = new PackedReader(buffer);
  const value = reader.value();
  if (reader.at < reader.bytes.length) throw new RangeError("the frame goes on after its value");
  return value;
}

/** Writes what JSON can say as MessagePack, with JSON's idea of what an object holds. */
class PackedWriter {
  constructor() {
    this.bytes = new Uint8Array(256);
    this.view = new DataView(this.bytes.buffer);
    this.at = 0;
    this.depth = 0;
  }

  /** @param {number} count  Room for so many bytes; answers where it begins. */
  room(count) {
    const start = this.at;
    this.at += count;
    if (this.at > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.at, 2 * this.bytes.length));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return start;
  }

  /** @param {any} value */
  value(value) {
    const plain = typeof value?.toJSON === "function" ? value.toJSON() : value;
    if (plain === null || plain === undefined) this.tag(0xc0);
    else if (typeof plain === "boolean") this.tag(plain ? 0xc3 : 0xc2);
    else if (typeof plain === "number") this.number(plain);
    else if (typeof plain === "string") this.text(plain);
    else if (Array.isArray(plain)) this.array(plain);
    else if (typeof plain === "object") this.map(plain);
    else throw new TypeError(`a ${typeof plain} can't be sent`);
  }

  /** @param {number} tag */
  tag(tag) {
    const at = this.room(1); // may replace the view
    this.view.setUint8(at, tag);
  }

  /** @param {number} value */
  number(value) {
    const integer = Number.isInteger(value) && !Object.is(value, -0) && value >= -0x80000000 && value <= 0xffffffff;
    if (integer && value >= -32 && value < 0x80) this.tag(value & 0xff);
    else this.wide(integer ? (value < 0 ? 0xd2 : 0xce) : 0xcb, value);
  }

  /** @param {0xcb | 0xce | 0xd2} tag  @param {number} value */
  wide(tag, value) {
    this.tag(tag);
    const at = this.room(tag === 0xcb ? 8 : 4);
    if (tag === 0xcb) this.view.setFloat64(at, value);
    else if (tag === 0xce) this.view.setUint32(at, value);
    else this.view.setInt32(at, value);
  }

  /**
   * The head of what has a size: with the size in it up to `most`, else before it.
   *
   * @param {number} size
   * @param {number} short
   * @param {number} most
   * @param {number} long
   */
  head(size, short, most, long) {
    if (size <= most) {
      this.tag(short | size);
      return;
    }
    this.tag(long);
    const at = this.room(4);
    this.view.setUint32(at, size);
  }

  /** @param {string} text */
  text(text) {
    const bytes = new TextEncoder().encode(text);
    this.head(bytes.length, 0xa0, 31, 0xdb);
    const at = this.room(bytes.length);
    this.bytes.set(bytes, at);
  }

  deeper() {
    if (++this.depth > MAX_DEPTH) throw new RangeError(`more than ${MAX_DEPTH} levels`);
  }

  /** @param {any[]} items */
  array(items) {
    this.deeper();
    this.head(items.length, 0x90, 15, 0xdd);
    for (const item of items) this.value(item);
    this.depth -= 1;
  }

  /** @param {{ [name: string]: any }} map */
  map(map) {
    this.deeper();
    const names = Object.keys(map).filter((name) => map[name] !== undefined);
    this.head(names.length, 0x80, 15, 0xdf);
    for (const name of names) {
      this.text(name);
      this.value(map[name]);
    }
    this.depth -= 1;
  }
}

/** @param {unknown} value  @returns {Uint8Array<ArrayBuffer>} */
export function encodePacked(value) {
  const writer = new PackedWriter();
  writer.value(value);
  return writer.bytes.slice(0, writer.at);
}

// -- updates ----------------------------------------------------------------------------------------------------------

const HEAD = new Set(["type", "channel", "seq"]);

/** What a listener may want to know of an update beside its value. */
export class Update {
  /** @type {{ [name: string]: unknown } | null} */
  #delta;

  /**
   * @param {string} channel
   * @param {string} type
   * @param {{ [name: string]: unknown } | null} delta
   * @param {boolean} snapshot
   * @param {number} missed
   * @param {number | null} offset
   * @param {boolean} recovered
   */
  constructor(channel, type, delta, snapshot, missed, offset, recovered) {
    this.channel = channel;
    /** The message's type, such as `market:update`. */
    this.type = type;
    /** Whether it is where the channel stood, and not news. */
    this.snapshot = snapshot;
    /** How many newer values there were between the last one and this one. */
    this.missed = missed;
    /** Of a log channel's message; null where it was published live only. */
    this.offset = offset;
    /** Whether the message was missed, and came later. */
    this.recovered = recovered;
    this.#delta = delta;
  }

  /** The names of the fields that have changed; null where the server sent all of them. */
  get changed() {
    if (this.#delta === null) return null;
    return new Set(Object.keys(this.#delta).filter((name) => !HEAD.has(name)));
  }
}

/**
 * A delta put over the value before; a field that is null is gone. Neither of the two is changed.
 *
 * @param {{ [name: string]: any }} before
 * @param {{ [name: string]: any }} delta
 */
export function applyDelta(before, delta) {
  const after = { ...before, ...delta };
  for (const name in delta) {
    if (delta[name] === null) delete after[name];
  }
  return after;
}

// -- wires: what the server is asked for ------------------------------------------------------------------------------

/** @typedef {{ mode: Mode, frequency: number, delta: boolean, indicators: string[] }} Wish
 *   `frequency` is Infinity where every update is wanted. */

/** One who wants one channel: a subscription of this page, or another tab. */
class Entry {
  /** @param {string} requested  @param {Wish} wish  @param {Position | null} position */
  constructor(requested, wish, position) {
    this.requested = requested;
    this.wish = wish;
    /** @type {Wire | null} */
    this.wire = null;
    /** @type {"waiting" | "on" | "failed" | "ended"} */
    this.state = "waiting";
    /** The last message that it has, on a log channel. @type {Position | null} */
    this.position = position;
    /** Up to here, messages were missed and come one by one. */
    this.replayed = -1;
    /** Why it is not on. @type {HubError | null} */
    this.error = null;
  }

  /** @param {Granted} _granted */
  granted(_granted) {}

  /** @param {HubError} error */
  refused(error) {
    this.error = error;
  }

  /** @param {Ended} _ended */
  ended(_ended) {}

  /** @param {any} _value  @param {Update} _update  The newest value of a channel. */
  take(_value, _update) {}

  /** @param {any} value  @param {Update} update  The newest value, for this entry alone. */
  takeSnapshot(value, update) {
    this.take(value, update);
  }

  /** @param {Message} _message  @param {boolean} _recovered */
  logged(_message, _recovered) {}

  /** @param {Message} message  One of a log; what it has already, or comes before its turn, is left out. */
  takeLogged(message) {
    const { offset } = message;
    if (offset !== undefined && this.position !== null) {
      const last = this.position.offset;
      if (offset <= last || (last < this.replayed && offset !== last + 1)) return;
      this.position.offset = offset;
    }
    this.logged(message, offset !== undefined && offset <= this.replayed);
  }
}

/** One channel as the server is asked for it, and what is known of it. */
class Wire {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    /** @type {Set<Entry>} */
    this.entries = new Set();
    this.on = false;
    /** Whether it has been live before, so that what was missed is told. */
    this.resuming = false;
    /** The subscribe that is under way. @type {{ id: string, at: number, position: Position | null } | null} */
    this.asked = null;
    /** The options that the server was asked for last. */
    this.key = "";
    /** How often it comes, at most. */
    this.frequency = 0;
    /** Whether what comes may be deltas; after a change of options, until the snapshot. */
    this.deltas = false;
    /** @type {any} */
    this.value = undefined;
    this.type = "";
    /** @type {number | null} */
    this.delay = null;
    /** Where the log stands, as far as it was heard. @type {Position | null} */
    this.head = null;
  }

  /** The widest of what its entries wish. @returns {Wish} */
  wish() {
    /** @type {Wish} */
    const widest = { mode: "ltp", frequency: 0, delta: false, indicators: [] };
    for (const { wish } of this.entries) {
      if (MODES.indexOf(wish.mode) > MODES.indexOf(widest.mode)) widest.mode = wish.mode;
      widest.frequency = Math.max(widest.frequency, wish.frequency);
      widest.delta ||= wish.delta;
      widest.indicators.push(...wish.indicators);
    }
    widest.indicators = [...new Set(widest.indicators)].sort();
    return widest;
  }

  /** The options of a subscribe; the server refuses some where they make no sense. */
  options() {
    const wish = this.wish();
    this.frequency = wish.frequency;
    return {
      ...(wish.mode !== "full" && this.name.startsWith("market:") && { mode: wish.mode }),
      ...(wish.frequency !== Infinity && { max_frequency: wish.frequency }),
      ...(wish.delta && { delta: true }),
      ...(wish.indicators.length > 0 && this.name.startsWith("candles:") && { indicators: wish.indicators }),
    };
  }

  /** The position to recover from: the earliest that an entry waits at. @returns {Position | null} */
  since() {
    /** @type {Position | null} */
    let since = null;
    for (const { state, position } of this.entries) {
      if (state !== "waiting" || position === null) continue;
      if (since === null || (since.epoch === position.epoch && position.offset < since.offset)) since = position;
    }
    return since && { ...since };
  }

  /** @param {Entry} entry  @param {boolean | null} recovered */
  grant(entry, recovered) {
    entry.state = "on";
    const { epoch, offset } = this.head ?? { epoch: null, offset: null };
    entry.granted({ channel: this.name, requested: entry.requested, delay: this.delay, epoch, offset, recovered });
  }

  /** Let an entry begin at the head of the log, or with the newest value. @param {Entry} entry */
  join(entry) {
    entry.position = this.head && { ...this.head };
    this.grant(entry, null);
    if (this.value !== undefined) entry.takeSnapshot(this.value, this.update(null, true, 0));
  }

  /** The server has answered for a log channel. @param {boolean} recovered  @param {Position | null} since */
  settleLog(recovered, since) {
    const head = /** @type {Position} */ (this.head);
    for (const entry of this.entries) {
      const { position } = entry;
      if (entry.state === "on" && position?.epoch !== head.epoch) entry.position = { ...head };
      if (entry.state !== "waiting") continue;
      if (position === null) this.join(entry);
      else if (since === null || position.epoch !== since.epoch || position.offset < since.offset) continue;
      else if (recovered) {
        entry.replayed = head.offset;
        this.grant(entry, true);
      } else if (position.offset === since.offset) {
        entry.position = { ...head };
        this.grant(entry, false);
      }
    }
  }

  /** @param {Message} message  One publication. */
  take(message) {
    if (this.head !== null) {
      if (message.offset > this.head.offset) this.head.offset = message.offset;
      for (const entry of this.entries) if (entry.state === "on") entry.takeLogged(message);
      return;
    }
    const snapshot = message.snapshot === true;
    const missed = message.missed ?? 0;
    if (snapshot) delete message.snapshot; // the last ones, so that the object keeps its hidden class
    if (missed > 0) delete message.missed;
    const fields = message.data ?? message;
    const whole = snapshot || this.value === undefined || !this.deltas || message.symbol !== undefined;
    if (snapshot) this.deltas = this.key.includes('"delta"');
    this.value = whole ? fields : applyDelta(this.value, fields);
    this.type = message.type;
    const update = this.update(whole ? null : fields, snapshot, missed);
    for (const entry of this.entries) if (entry.state === "on") entry.take(this.value, update);
  }

  /** @param {{ [name: string]: unknown } | null} delta  @param {boolean} snapshot  @param {number} missed */
  update(delta, snapshot, missed) {
    return new Update(this.name, this.type, delta, snapshot, missed, null, false);
  }

  /** Nothing comes any more; entries that were on wait to be so again. */
  down() {
    this.resuming ||= this.on && this.head !== null;
    this.on = false;
    this.asked = null;
    this.value = undefined;
    for (const entry of this.entries) {
      if (entry.state === "on") entry.state = "waiting";
      entry.replayed = -1;
    }
  }
}

/**
 * All wires of a line. What is wished and what the server was asked for are compared a turn later, so that a thousand
 * calls in a row become one command.
 */
class Wires {
  /**
   * @param {(message: object) => boolean} send
   * @param {(event: HubEvents["recovered"]) => void} [recovered]
   * @param {boolean} [shared]  Whether what comes is what any tab has asked for.
   */
  constructor(send, recovered = () => undefined, shared = false) {
    this.send = send;
    this.recovered = recovered;
    this.shared = shared;
    /** By canonical name, or as asked until that is known. @type {Map<string, Wire>} */
    this.byName = new Map();
    /** Canonical names by other spellings. @type {Map<string, string>} */
    this.canonical = new Map();
    /** @type {Set<Wire>} */
    this.dirty = new Set();
    this.isLive = false;
    this.lastId = 0;
    this.backoff = new Backoff({ min: 1000, max: 30_000 });
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.lateTimer = undefined;
  }

  /** @param {Entry} entry */
  add(entry) {
    const name = this.canonical.get(entry.requested) ?? entry.requested;
    let wire = this.byName.get(name);
    if (wire === undefined) this.byName.set(name, (wire = new Wire(name)));
    entry.wire = wire;
    wire.entries.add(entry);
    this.touch(wire);
  }

  /** @param {Entry} entry */
  remove(entry) {
    const { wire } = entry;
    if (wire === null) return;
    entry.wire = null;
    wire.entries.delete(entry);
    this.touch(wire);
  }

  /** @param {Wire} wire */
  touch(wire) {
    if (this.dirty.size === 0) queueMicrotask(() => this.settle());
    this.dirty.add(wire);
  }

  live() {
    this.isLive = true;
    this.backoff.reset();
    this.retry(() => true);
  }

  down() {
    this.isLive = false;
    clearTimeout(this.timer);
    clearTimeout(this.lateTimer);
    this.timer = this.lateTimer = undefined;
    for (const wire of this.byName.values()) wire.down();
  }

  /** @param {(entry: Entry) => boolean} chosen  Ask for what is not on; of what was refused or has ended, for these. */
  retry(chosen) {
    for (const wire of this.byName.values()) {
      let found = !wire.on && wire.asked === null;
      for (const entry of wire.entries) {
        if (entry.state === "on" || entry.state === "waiting" || !chosen(entry)) continue;
        entry.state = "waiting";
        found = true;
      }
      if (found) this.touch(wire);
    }
  }

  /** The same for what has failed for a while only, after a while. */
  retryLater() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.retry((entry) => entry.error?.temporary === true);
    }, this.backoff.next());
  }

  /** Ask again where no reply came. */
  retryLate() {
    this.lateTimer ??= setTimeout(() => {
      this.lateTimer = undefined;
      for (const wire of this.byName.values()) {
        if (wire.asked === null) continue;
        if (Date.now() - wire.asked.at < COMMAND_TIMEOUT_MS) this.retryLate();
        else {
          wire.asked = null;
          this.touch(wire);
        }
      }
    }, COMMAND_TIMEOUT_MS);
  }

  // -- asking

  /** Bring the server to what is wished. */
  settle() {
    const dirty = [...this.dirty];
    this.dirty.clear();
    /** @type {string[]} */
    const left = [];
    /** @type {Map<string, Wire[]>} */
    const wanted = new Map();
    for (const wire of dirty) {
      if (wire.entries.size === 0) {
        this.byName.delete(wire.name);
        if (this.isLive && (wire.on || wire.asked !== null)) left.push(wire.name);
      } else if (this.isLive) {
        this.compare(wire, wanted);
      }
    }
    for (const names of chunks(left, (name) => name.length)) this.send({ action: "unsubscribe", channels: names });
    for (const [key, wires] of wanted) {
      for (const some of chunks(wires, (wire) => 2 * wire.name.length + 100)) this.subscribe(key, some);
    }
  }

  /** @param {Wire} wire  @param {Map<string, Wire[]>} wanted */
  compare(wire, wanted) {
    const entries = [...wire.entries];
    const waiting = entries.filter((entry) => entry.state === "waiting");
    if (waiting.length === 0 && !wire.on) return;
    const key = JSON.stringify(wire.options());
    if (this.shared) wire.frequency = Infinity; // as often as the tab that wants it most
    const standing = (wire.on || wire.asked !== null) && (key === wire.key || wire.head !== null);
    const recovering = waiting.some((entry) => entry.position !== null);
    if (!standing || (recovering && wire.asked === null)) {
      const others = wanted.get(key);
      if (others === undefined) wanted.set(key, [wire]);
      else others.push(wire);
    } else if (wire.on && wire.asked === null) {
      for (const entry of waiting) wire.join(entry);
    }
  }

  /** @param {string} key  @param {Wire[]} wires */
  subscribe(key, wires) {
    const id = `s${++this.lastId}`;
    /** @type {{ [name: string]: Position }} */
    const recover = {};
    for (const wire of wires) {
      const position = wire.since();
      if (position !== null) recover[wire.name] = position;
      wire.asked = { id, at: Date.now(), position };
      wire.key = key;
      wire.deltas = key.includes('"delta"') || (wire.on && wire.deltas);
    }
    const channels = wires.map((wire) => wire.name);
    const since = Object.keys(recover).length > 0 && { recover };
    this.send({ action: "subscribe", id, channels, ...JSON.parse(key), ...since });
    this.retryLate();
  }

  // -- hearing

  /** @param {Message} message  @returns {boolean} whether somebody wants it. */
  take(message) {
    switch (message.type) {
      case "subscribed":
        for (const granted of message.subscribed) this.granted(granted, message.id);
        for (const failed of message.failed) this.refused(failed.channel, errorOf(failed, failed.channel), message.id);
        return true;
      case "unsubscribed":
        if (message.channel !== undefined) this.ended(/** @type {any} */ (message));
        return true;
      case "error":
        return this.failed(message);
      default: {
        const wire = this.byName.get(message.channel);
        if (wire === undefined || !wire.on) return false;
        wire.take(message);
        return true;
      }
    }
  }

  /** @param {{ [name: string]: any }} fact  @param {string} id */
  granted(fact, id) {
    const asked = this.byName.get(fact.requested);
    if (asked === undefined || asked.asked?.id !== id) return;
    const since = asked.asked.position;
    asked.asked = null;
    const wire = this.rename(asked, fact.channel);
    if (wire === null) return;
    wire.on = true;
    wire.delay = fact.delay ?? null;
    if (fact.epoch == null) {
      for (const entry of wire.entries) if (entry.state === "waiting") wire.grant(entry, null);
      return;
    }
    wire.head = { epoch: fact.epoch, offset: fact.offset };
    if (wire.resuming && since !== null) {
      const messages = fact.recovered ? fact.offset - since.offset : 0;
      this.recovered({ channel: wire.name, recovered: fact.recovered === true, messages });
    }
    wire.resuming = false;
    wire.settleLog(fact.recovered === true, since);
    this.touch(wire);
  }

  /** @param {Wire} wire  @param {string} name  @returns {Wire | null} null where another wire has the name. */
  rename(wire, name) {
    if (wire.name === name) return wire;
    this.canonical.set(wire.name, name);
    this.byName.delete(wire.name);
    const other = this.byName.get(name);
    if (other === undefined) {
      wire.name = name;
      this.byName.set(name, wire);
      return wire;
    }
    for (const entry of wire.entries) {
      entry.wire = other;
      other.entries.add(entry);
    }
    wire.entries.clear();
    other.key = ""; // the server has the options that it was told last
    this.touch(other);
    return null;
  }

  /** @param {string} name  @param {HubError} error  @param {string} id */
  refused(name, error, id) {
    const wire = this.byName.get(name);
    if (wire === undefined || wire.asked?.id !== id) return;
    wire.asked = null;
    const waiting = [...wire.entries].filter((entry) => entry.state === "waiting");
    for (const entry of waiting) {
      entry.state = "failed";
      entry.refused(error);
    }
    if (error.temporary) this.retryLater();
  }

  /** A whole subscribe was refused. @param {Message} message */
  failed(message) {
    let found = false;
    for (const wire of this.byName.values()) {
      if (wire.asked === null || wire.asked.id !== message.id) continue;
      found = true;
      this.refused(wire.name, errorOf(message, wire.name), message.id);
    }
    return found;
  }

  /** @param {Ended} ended */
  ended({ channel, code, reason }) {
    const wire = this.byName.get(channel);
    if (wire === undefined) return;
    wire.down();
    if (code >= 2500) {
      this.retryLater();
      return;
    }
    const waiting = [...wire.entries].filter((entry) => entry.state === "waiting");
    for (const entry of waiting) {
      entry.state = "ended";
      entry.ended({ channel, code, reason });
    }
  }
}

/**
 * Parts of a list that one command can carry.
 *
 * @template T
 * @param {T[]} items
 * @param {(item: T) => number} size
 * @returns {T[][]}
 */
function chunks(items, size) {
  /** @type {T[][]} */
  const parts = [];
  let bytes = Infinity;
  for (const item of items) {
    bytes += size(item);
    if (bytes > MAX_COMMAND_BYTES || (parts.at(-1)?.length ?? 0) >= MAX_COMMAND_CHANNELS) {
      parts.push([]);
      bytes = size(item);
    }
    parts.at(-1)?.push(item);
  }
  return parts;
}

// -- subscriptions ----------------------------------------------------------------------------------------------------

/** One channel of a subscription. */
class SubscriptionEntry extends Entry {
  /**
   * @param {Subscription} subscription
   * @param {string} requested
   * @param {Wish} wish
   * @param {Position | null} position
   */
  constructor(subscription, requested, wish, position) {
    super(requested, wish, position);
    this.subscription = subscription;
    /** @type {any} */
    this.value = undefined;
    this.period = 1000 / wish.frequency;
    this.due = 0;
    /** The newest that came before its time. @type {Update | null} */
    this.held = null;
    this.missed = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  get channel() {
    return this.wire?.name ?? this.requested;
  }

  /** @override @param {Granted} granted */
  granted(granted) {
    this.error = null;
    this.subscription.settled(this.requested, granted, null);
  }

  /** @override @param {HubError} error */
  refused(error) {
    const known = this.error?.code === error.code;
    this.error = error;
    if (!known) this.subscription.settled(this.requested, null, error);
  }

  /** @override @param {Ended} ended */
  ended(ended) {
    this.error = new HubError("ENDED", ended.reason, { channel: ended.channel });
    this.subscription.emitter.emit("ended", ended);
  }

  /** @override @param {any} value  @param {Update} update */
  take(value, update) {
    this.value = value;
    if (this.period > 0 && this.wire?.frequency !== this.wish.frequency) this.pace(update);
    else this.subscription.deliver(value, update, true);
  }

  /** Hand on at most as often as was asked, where others hear the channel more often. @param {Update} update */
  pace(update) {
    const now = performance.now();
    if (now >= this.due) {
      this.due = now + this.period;
      this.subscription.deliver(this.value, update, true);
      return;
    }
    if (this.held !== null) this.missed += 1 + this.held.missed;
    this.held = update;
    this.timer ??= setTimeout(() => this.release(), this.due - now);
  }

  release() {
    const { held } = this;
    this.timer = undefined;
    if (held === null) return;
    const update = new Update(held.channel, held.type, null, held.snapshot, held.missed + this.missed, null, false);
    this.held = null;
    this.missed = 0;
    this.due = performance.now() + this.period;
    this.subscription.deliver(this.value, update, true);
  }

  /** @override @param {Message} message  @param {boolean} recovered */
  logged(message, recovered) {
    const { type, data, offset = null } = message;
    this.subscription.deliver(data, new Update(this.channel, type, null, false, 0, offset, recovered), false);
  }

  close() {
    clearTimeout(this.timer);
    this.held = null;
  }
}

/** Some channels with the same options, and who listens to them. Made by `Hub.subscribe`. */
export class Subscription {
  #wires;
  #options;
  /** @type {Map<string, SubscriptionEntry>} */
  #entries = new Map();
  /** @type {Set<Iteration>} */
  #iterations = new Set();
  /** @type {Set<string>} */
  #unsettled = new Set();
  /** @type {Outcome} */
  #outcome = { subscribed: [], failed: [] };
  /** @type {(outcome: Outcome) => void} */
  #resolve = () => undefined;
  /** @type {(subscription: Subscription) => void} */
  #forget;

  /**
   * @internal
   * @param {Wires} wires
   * @param {SubscribeOptions} options
   * @param {(subscription: Subscription) => void} forget
   */
  constructor(wires, options, forget) {
    this.#wires = wires;
    this.#options = options;
    this.#forget = forget;
    /** @internal @type {Emitter<SubscriptionEvents & { update: any }>} */
    this.emitter = new Emitter();
    /** What became of the first channels, once that is known of each.
     * @type {Promise<Outcome>} */
    this.ready = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** The channels' names; in full once the server has answered. */
  get channels() {
    return [...new Set([...this.#entries.values()].map((entry) => entry.channel))];
  }

  /**
   * The newest value of a latest channel; of the first one where none is named.
   *
   * @param {string} [channel]  As asked for, or in full.
   * @returns {any}
   */
  value(channel) {
    for (const entry of this.#entries.values()) {
      if (channel === undefined || channel === entry.requested || channel === entry.channel) return entry.value;
    }
    return undefined;
  }

  /**
   * @overload @param {"update"} event  @param {UpdateListener} listener  @returns {() => void}
   */
  /**
   * @template {keyof SubscriptionEvents} Name
   * @overload @param {Name} event  @param {(value: SubscriptionEvents[Name]) => void} listener  @returns {() => void}
   */
  /**
   * @param {keyof SubscriptionEvents | "update"} event
   * @param {(...values: any[]) => void} listener
   * @returns {() => void} takes the listener off again.
   */
  on(event, listener) {
    return this.emitter.on(event, listener);
  }

  /** @param {string | string[]} channels  More channels with the same options; those that are here already stay. */
  add(channels) {
    const wish = wishOf(this.#options);
    for (const requested of [channels].flat()) {
      if (this.#entries.has(requested)) continue;
      const { recover } = this.#options;
      const entry = new SubscriptionEntry(this, requested, wish, recover ? { ...recover } : null);
      this.#entries.set(requested, entry);
      this.#unsettled.add(requested);
      if (NAME.test(requested)) this.#wires.add(entry);
      else queueMicrotask(() => entry.refused(badName(requested)));
    }
  }

  /** @param {string | string[]} channels  As asked for, or in full. */
  remove(channels) {
    const names = new Set([channels].flat());
    for (const [requested, entry] of this.#entries) {
      if (!names.has(requested) && !names.has(entry.channel)) continue;
      this.#entries.delete(requested);
      this.#wires.remove(entry);
      entry.close();
      this.#settle(requested);
    }
  }

  /** End it: no listener hears anything any more, and iterations end. */
  unsubscribe() {
    this.remove([...this.#entries.keys()]);
    this.emitter.listeners.clear();
    this.end(null);
    this.#forget(this);
  }

  /** @returns {AsyncIterableIterator<IteratedUpdate>} Of latest channels the newest of each, of logs every message. */
  [Symbol.asyncIterator]() {
    const iteration = new Iteration(() => this.#iterations.delete(iteration));
    this.#iterations.add(iteration);
    return iteration;
  }

  /** @internal @param {HubError | null} error */
  end(error) {
    for (const iteration of this.#iterations) iteration.end(error);
  }

  /** @internal @param {any} value  @param {Update} update  @param {boolean} latest */
  deliver(value, update, latest) {
    this.emitter.emit("update", value, update);
    if (this.#iterations.size === 0) return;
    for (const iteration of this.#iterations) iteration.put(value, update, latest);
  }

  /** @internal @param {string} requested  @param {Granted | null} granted  @param {HubError | null} error */
  settled(requested, granted, error) {
    if (this.#unsettled.has(requested)) {
      if (granted !== null) this.#outcome.subscribed.push(granted);
      if (error !== null) this.#outcome.failed.push(error);
    }
    if (granted !== null) this.emitter.emit("subscribed", granted);
    if (error !== null) this.emitter.emit("failed", error);
    this.#settle(requested);
  }

  /** @param {string} requested */
  #settle(requested) {
    if (this.#unsettled.delete(requested) && this.#unsettled.size === 0) this.#resolve(this.#outcome);
  }
}

/** @param {unknown} name */
function badName(name) {
  const text = `${JSON.stringify(name)} is no channel: 1 to 255 printable ASCII characters`;
  return new HubError("UNKNOWN_CHANNEL", text, { channel: String(name) });
}

/** @param {SubscribeOptions} options  @returns {Wish} */
function wishOf({ mode = "full", maxFrequency = Infinity, delta = true, indicators = [] }) {
  if (!MODES.includes(mode)) throw new TypeError(`mode is one of ${MODES.join(", ")}`);
  if (!(maxFrequency > 0 && (maxFrequency <= 1000 || maxFrequency === Infinity))) {
    throw new TypeError("maxFrequency is a number above 0, at most 1000");
  }
  return { mode, frequency: maxFrequency, delta, indicators };
}

/**
 * What a `for await` loop has not asked for yet: of latest channels the newest, of logs everything, up to a bound.
 *
 * @implements {AsyncIterableIterator<IteratedUpdate>}
 */
class Iteration {
  /** @type {Map<string | number, { value: any, update: Update, missed: number }>} */
  #waiting = new Map();
  /** @type {Array<{ resolve: (result: IteratorResult<IteratedUpdate>) => void, reject: (error: HubError) => void }>} */
  #asking = [];
  #count = 0;
  #ended = false;
  /** @type {HubError | null} */
  #error = null;
  #onEnd;

  /** @param {() => void} onEnd */
  constructor(onEnd) {
    this.#onEnd = onEnd;
  }

  /** @param {any} value  @param {Update} update  @param {boolean} latest */
  put(value, update, latest) {
    const asking = this.#asking.shift();
    if (asking !== undefined) {
      asking.resolve({ done: false, value: iterated(value, update, 0) });
      return;
    }
    const key = latest ? update.channel : ++this.#count;
    const before = this.#waiting.get(key);
    this.#waiting.set(key, { value, update, missed: before ? before.missed + before.update.missed + 1 : 0 });
    if (this.#waiting.size <= MAX_ITERATED) return;
    this.#waiting.clear();
    this.end(new HubError("OVERFLOW", `More than ${MAX_ITERATED} messages wait to be read`));
  }

  /** @returns {Promise<IteratorResult<IteratedUpdate>>} */
  next() {
    for (const [key, { value, update, missed }] of this.#waiting) {
      this.#waiting.delete(key);
      return Promise.resolve({ done: false, value: iterated(value, update, missed) });
    }
    const error = this.#error;
    this.#error = null;
    if (error !== null) return Promise.reject(error);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#asking.push({ resolve, reject }));
  }

  /** @returns {Promise<IteratorResult<IteratedUpdate>>} */
  return() {
    this.#waiting.clear();
    this.end(null);
    return Promise.resolve({ done: true, value: undefined });
  }

  /** @param {HubError | null} error  Nothing more comes; what waits can still be read. */
  end(error) {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    const [first, ...others] = this.#asking.splice(0);
    if (first === undefined) this.#error = error;
    else if (error !== null) first.reject(error);
    else first.resolve({ done: true, value: undefined });
    for (const other of others) other.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/** @param {any} value  @param {Update} update  @param {number} missed  @returns {IteratedUpdate} */
function iterated(value, update, missed) {
  const { channel, type, snapshot, offset, recovered } = update;
  const changed = missed > 0 ? null : update.changed;
  return { channel, value, type, snapshot, missed: update.missed + missed, offset, changed, recovered };
}

// -- one socket for many tabs -----------------------------------------------------------------------------------------
//
// Every tab stands in line for one Web Lock. Who holds it keeps the Switchboard: a Line, and Wires whose entries are
// the tabs' wishes. Tabs speak the hub's own protocol with it over a BroadcastChannel, so that for a tab a new holder
// is nothing but a new connection: it subscribes again, and recovers from the positions that it knows itself.

/**
 * @internal
 * @typedef {{ tab: string, kind: "join" | "leave" | "restart" }
 *   | { tab: string, kind: "say", message: Message }} TabSays
 * @typedef {string | ArrayBuffer | { to: string, message: Message }} Relayed  A frame for all, or a message for one.
 * @typedef {{ holder: string, kind: "state", state: State, welcome: Message | null }
 *   | { holder: string, kind: "batch", items: Relayed[] }} HolderSays
 */

/** What one tab wants of one channel. */
class SeatEntry extends Entry {
  /** @param {Seat} seat  @param {string} id  @param {string} requested  @param {Message} asked */
  constructor(seat, id, requested, asked) {
    const { mode = "full", max_frequency: frequency = Infinity, indicators = [], recover = {} } = asked;
    super(requested, { mode, frequency, delta: true, indicators }, recover[requested] ?? null);
    this.seat = seat;
    this.id = id;
  }

  /** @override @param {Granted} granted */
  granted(granted) {
    this.seat.say({ type: "subscribed", id: this.id, subscribed: [granted], failed: [] });
  }

  /** @override @param {HubError} error */
  refused({ code, message, temporary }) {
    const failed = { channel: this.requested, code, message, temporary };
    this.seat.remove(this);
    this.seat.say({ type: "subscribed", id: this.id, subscribed: [], failed: [failed] });
  }

  /** @override @param {any} value  @param {Update} update */
  takeSnapshot(value, { channel, type }) {
    const flat = value.channel === channel && value.symbol !== undefined;
    this.seat.say(flat ? { ...value, snapshot: true } : { type, channel, snapshot: true, data: value });
  }
}

/** One tab, as the holder of the socket knows it. */
class Seat {
  /** @param {Switchboard} board  @param {string} tab */
  constructor(board, tab) {
    this.board = board;
    this.tab = tab;
    /** @type {Map<string, SeatEntry>} */
    this.entries = new Map();
    this.gone = new AbortController();
  }

  /** @param {Message} message */
  say(message) {
    this.board.relay({ to: this.tab, message });
  }

  /** @param {Message} message  A command. */
  obey(message) {
    const { action, id, ...fields } = message;
    if (action === "subscribe") {
      for (const name of message.channels) this.add(new SeatEntry(this, id, name, message));
    } else if (action === "unsubscribe") {
      for (const entry of this.entries.values()) {
        if (message.channels.includes(entry.wire?.name ?? entry.requested)) this.remove(entry);
      }
    } else {
      void this.forward(action, id, fields);
    }
  }

  /** @param {string} action  @param {number} id  @param {object} fields */
  async forward(action, id, fields) {
    const { line } = this.board;
    try {
      if (action === "refresh") await line.refresh();
      const again = action !== "publish";
      const reply = action === "refresh" ? { type: "refreshed" } : await line.commands.ask(action, fields, { again });
      this.say({ ...reply, id });
    } catch (error) {
      const { code, message, temporary } = tokenFault(error);
      this.say({ type: "error", id, code, message, temporary });
    }
  }

  /** @param {SeatEntry} entry */
  add(entry) {
    const before = this.entries.get(entry.requested);
    if (before !== undefined) this.remove(before);
    this.entries.set(entry.requested, entry);
    this.board.wires.add(entry);
  }

  /** @param {SeatEntry} entry */
  remove(entry) {
    this.entries.delete(entry.requested);
    this.board.wires.remove(entry);
  }

  clear() {
    for (const entry of this.entries.values()) this.remove(entry);
  }
}

/** The socket of all tabs, in the one that holds the lock. */
class Switchboard {
  /** @param {string} name  @param {string} url  @param {ConnectOptions} options */
  constructor(name, url, options) {
    this.name = name;
    this.id = crypto.randomUUID();
    this.post = new BroadcastChannel(name);
    this.post.onmessage = ({ data }) => data.tab !== undefined && this.hear(data);
    /** @type {Map<string, Seat>} */
    this.seats = new Map();
    /** @type {Message | null} */
    this.welcome = null;
    /** @type {Relayed[]} */
    this.batch = [];
    this.turn = new MessageChannel(); // a turn of the loop that hidden tabs get at once, unlike a timer's
    this.turn.port1.onmessage = () => this.flush();
    this.line = new Line(url, options, {
      changed: (state) => state.state !== "live" && this.tell(),
      live: (welcome) => this.live(welcome),
      down: () => this.down(),
      take: (message, raw) => this.take(message, raw),
      fault: ({ code, message, temporary }) => this.relay(JSON.stringify({ type: "error", code, message, temporary })),
    });
    this.wires = new Wires((message) => this.line.send(message));
    this.line.start();
  }

  close() {
    this.line.close(1000, "");
    this.post.close();
    this.turn.port1.close();
    for (const seat of this.seats.values()) seat.gone.abort();
  }

  // -- what the server says

  /** @param {Message} welcome */
  live(welcome) {
    this.welcome = welcome;
    this.tell();
    this.wires.live();
  }

  /** The tabs will ask again, from where they are. */
  down() {
    this.welcome = null;
    this.wires.down();
    for (const seat of this.seats.values()) seat.clear();
  }

  /** @param {Message} message  @param {string | ArrayBuffer} raw */
  take(message, raw) {
    if (message.type === "unsubscribed" && message.id === undefined) this.ended(message.channel);
    else this.wires.take(message);
    if (message.id === undefined) this.relay(raw);
  }

  /** @param {string} channel */
  ended(channel) {
    this.wires.byName.get(channel)?.down();
    for (const seat of this.seats.values()) {
      for (const entry of seat.entries.values()) if (entry.wire?.name === channel) seat.remove(entry);
    }
  }

  // -- what tabs hear

  /** @param {Relayed} item */
  relay(item) {
    if (this.batch.length === 0) this.turn.port2.postMessage(null);
    this.batch.push(item);
  }

  flush() {
    if (this.batch.length === 0) return;
    this.post.postMessage({ holder: this.id, kind: "batch", items: this.batch });
    this.batch = [];
  }

  tell() {
    this.flush();
    this.post.postMessage({ holder: this.id, kind: "state", state: this.line.state, welcome: this.welcome });
  }

  // -- what tabs say

  /** @param {TabSays} said */
  hear(said) {
    const seat = this.seats.get(said.tab) ?? this.seat(said.tab);
    if (said.kind === "say") seat.obey(said.message);
    else if (said.kind === "leave") this.leave(seat);
    else if (said.kind === "restart") this.line.start();
    else this.tell();
  }

  /** @param {string} tab */
  seat(tab) {
    const seat = new Seat(this, tab);
    this.seats.set(tab, seat);
    // Each tab holds a lock of its own while it lives: whoever gets that lock knows that the tab is gone.
    const { signal } = seat.gone;
    navigator.locks.request(`${this.name} ${tab}`, { signal }, () => this.leave(seat)).catch(() => undefined);
    return seat;
  }

  /** @param {Seat} seat */
  leave(seat) {
    seat.clear();
    seat.gone.abort();
    this.seats.delete(seat.tab);
  }
}

/** A tab's way to the socket that all tabs share: to its owner, the same as a Line. */
class SharedLine {
  /** @param {string} url  @param {ConnectOptions} options  @param {LineOwner} owner */
  constructor(url, options, owner) {
    this.url = url;
    this.options = options;
    this.owner = owner;
    this.name = `tickhub ${options.share} ${options.format ?? "json"} ${url}`;
    this.tab = crypto.randomUUID();
    this.commands = new Commands((message) => this.send(message));
    /** @type {State} */
    this.state = { state: "connecting", attempt: 0, retryAt: null, code: null, reason: "" };
    /** @type {BroadcastChannel | null} */
    this.post = null;
    /** @type {string | null} */
    this.holder = null;
    /** @type {string | null} */
    this.client = null;
    this.heartbeat = 25_000;
    this.heardAt = 0;
    this.watch = new Watch({
      tick: (slept) => (slept || this.isSilent()) && this.probe(),
      woke: () => this.probe(),
      hidden: (gone) => this.hidden(gone),
      shown: () => this.join(),
    });
    /** Ends what waits for or holds a lock; null while this tab takes no part. @type {AbortController | null} */
    this.leaving = null;
    /** @type {Switchboard | null} */
    this.board = null;
  }

  get live() {
    return this.state.state === "live";
  }

  start() {
    this.watch.start();
    if (this.leaving === null) this.join();
    else this.tell({ kind: "restart" });
  }

  /** @param {number | null} code  @param {string} reason  Leaves the other tabs their socket. */
  close(code, reason) {
    this.watch.stop();
    this.part();
    this.follow({ ...this.state, state: "closed", retryAt: null, code, reason }, null);
  }

  async refresh() {
    await this.commands.ask("refresh");
  }

  /** @param {object} message  @returns {boolean} */
  send(message) {
    if (this.live) this.tell({ kind: "say", message });
    return this.live;
  }

  /** @param {{ kind: string, message?: object }} said */
  tell(said) {
    this.post?.postMessage({ tab: this.tab, ...said });
  }

  // -- coming and going

  join() {
    if (this.leaving !== null) return;
    this.leaving = new AbortController();
    const { signal } = this.leaving;
    this.heardAt = Date.now();
    // The tab says nothing before it holds its own lock, by which the others see that it lives.
    this.hold(signal, `${this.name} ${this.tab}`, { signal }, () => {
      this.post = new BroadcastChannel(this.name);
      this.post.onmessage = ({ data }) => data.holder !== undefined && this.hear(data);
      this.tell({ kind: "join" });
      this.stand(signal, false);
    });
  }

  /**
   * Stand in line for the socket, or take it from a tab that doesn't answer.
   *
   * @param {AbortSignal} signal
   * @param {boolean} steal
   */
  stand(signal, steal) {
    this.hold(signal, this.name, steal ? { steal } : { signal }, () => {
      this.board = new Switchboard(this.name, this.url, this.options);
    });
  }

  /** @param {AbortSignal} signal  @param {string} name  @param {LockOptions} options  @param {() => void} held */
  hold(signal, name, options, held) {
    const holding = async () => {
      if (signal.aborted) return;
      held();
      await aborted(signal);
    };
    navigator.locks.request(name, options, holding).catch(() => {
      if (signal.aborted) return;
      this.stepDown(); // another tab has taken it, as this one did not answer
      this.stand(signal, false);
    });
  }

  stepDown() {
    this.board?.close();
    this.board = null;
  }

  /** Leave what is shared to the others, at once. */
  part() {
    this.tell({ kind: "leave" });
    this.stepDown();
    this.leaving?.abort();
    this.post?.close();
    this.leaving = this.post = this.holder = null;
  }

  /** A frozen tab may keep its seat, but not the socket. @param {boolean} gone */
  hidden(gone) {
    if (!gone && this.board === null) return;
    this.part();
    this.follow({ ...this.state, state: "connecting", retryAt: null }, null);
  }

  // -- what the holder says

  /** @param {HolderSays} said */
  hear(said) {
    this.heardAt = Date.now();
    if (said.holder !== this.holder) {
      this.follow({ ...this.state, state: "connecting", retryAt: null }, null);
      this.holder = said.holder;
      this.tell({ kind: "join" });
    }
    if (said.kind === "state") this.follow(said.state, said.welcome);
    else for (const item of said.items) this.take(item);
  }

  /** @param {State} state  @param {Message | null} welcome */
  follow(state, welcome) {
    const client = welcome?.client ?? null;
    if (this.live && client === this.client) return;
    const wasLive = this.live;
    this.client = client;
    this.state = state;
    if (wasLive) {
      this.commands.down();
      this.owner.down();
    }
    this.owner.changed(state);
    if (this.state !== state) return; // who heard it has closed the line
    if (state.state !== "closed") this.commands.open();
    else {
      this.commands.close(new HubError("CLOSED", state.reason || "The hub is closed", { closeCode: state.code }));
    }
    if (welcome === null) return;
    this.heartbeat = welcome.heartbeat * 1000;
    this.commands.live();
    this.owner.live(welcome);
  }

  /** @param {Relayed} item */
  take(item) {
    if (!this.live) return;
    if (typeof item === "string" || item instanceof ArrayBuffer) this.owner.take(decode(item), item);
    else if (item.to === this.tab && !this.commands.take(item.message)) this.owner.take(item.message, "");
  }

  // -- whether the holder still answers

  isSilent() {
    return this.board === null && Date.now() - this.heardAt > 2 * this.heartbeat + SLEPT_MS + CONNECT_TIMEOUT_MS;
  }

  probe() {
    if (this.board !== null || this.post === null || this.leaving === null) return;
    const asked = Date.now();
    const { signal } = this.leaving;
    this.tell({ kind: "join" });
    setTimeout(() => {
      if (this.heardAt < asked && !signal.aborted && this.board === null) this.stand(signal, true);
    }, PROBE_TIMEOUT_MS);
  }
}

/** @param {AbortSignal} signal  @returns {Promise<void>} */
function aborted(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

// -- the hub ----------------------------------------------------------------------------------------------------------

/** A connection to a hub, for as long as you want it. Made by `connect`. */
export class Hub {
  /** @type {Emitter<HubEvents>} */
  #emitter = new Emitter();
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();
  #shared;
  #line;
  #wires;

  /** @param {string | URL} url  @param {ConnectOptions} options */
  constructor(url, options) {
    this.#shared = Boolean(options.share && globalThis.navigator?.locks && globalThis.BroadcastChannel);
    this.#line = new (this.#shared ? SharedLine : Line)(socketUrl(url), options, {
      changed: (state) => this.#changed(state),
      live: (welcome) => this.#live(welcome),
      down: () => this.#wires.down(),
      take: (message) => this.#take(message),
      fault: (error) => this.#emitter.emit("error", error),
    });
    this.#wires = new Wires(
      (message) => this.#line.send(message),
      (event) => this.#emitter.emit("recovered", event),
      this.#shared,
    );
    this.#line.start();
  }

  /** @returns {StateName} */
  get state() {
    return this.#line.state.state;
  }

  /**
   * @template {keyof HubEvents} Name
   * @param {Name} event
   * @param {(value: HubEvents[Name]) => void} listener
   * @returns {() => void} takes the listener off again.
   */
  on(event, listener) {
    const off = this.#emitter.on(event, listener);
    if (event === "state") call(listener, this.#line.state);
    return off;
  }

  /**
   * Hear channels. Several subscriptions of one channel share one on the wire, with the widest of their options.
   *
   * @param {string | string[]} channels
   * @param {SubscribeOptions | UpdateListener} [options]
   * @param {UpdateListener} [listener]
   * @returns {Subscription}
   */
  subscribe(channels, options = {}, listener = undefined) {
    if (typeof options === "function") return this.subscribe(channels, {}, options);
    const travelling = this.#shared ? { ...options, delta: true } : options; // tabs share the frames as they come
    const subscription = new Subscription(this.#wires, travelling, (one) => this.#subscriptions.delete(one));
    subscription.add(channels);
    if (listener !== undefined) subscription.on("update", listener);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /**
   * A log channel's last messages, or those after `since`, the oldest first.
   *
   * @param {string} channel
   * @param {{ limit?: number, since?: Position }} [options]
   * @returns {Promise<LogMessage[]>}
   */
  async history(channel, { limit, since } = {}) {
    const reply = await this.#line.commands.ask("history", { channel, limit, since });
    const { epoch } = reply;
    return reply.publications.map((/** @type {{ offset: number, data: any }} */ one) => ({
      channel: reply.channel,
      epoch,
      ...one,
    }));
  }

  /**
   * Who hears a channel now.
   *
   * @param {string} channel
   * @returns {Promise<Array<{ client: string, user: string }>>}
   */
  async presence(channel) {
    return (await this.#line.commands.ask("presence", { channel })).clients;
  }

  /**
   * Say something on a channel whose namespace allows it. Never sent twice by itself.
   *
   * @param {string} channel
   * @param {object} data
   * @returns {Promise<{ channel: string, epoch: string | null, offset: number | null }>}
   */
  async publish(channel, data) {
    const reply = await this.#line.commands.ask("publish", { channel, data }, { again: false });
    return { channel: reply.channel, epoch: reply.epoch ?? null, offset: reply.offset ?? null };
  }

  /** What the server says that this connection hears. @returns {Promise<Array<{ [name: string]: any }>>} */
  async subscriptions() {
    return (await this.#line.commands.ask("subscriptions")).subscriptions;
  }

  /** How long the way to the server and back takes, in milliseconds. @returns {Promise<number>} */
  async ping() {
    const before = performance.now();
    await this.#line.commands.ask("ping");
    return performance.now() - before;
  }

  /** Take a new token from the getter now. */
  refresh() {
    return this.#line.refresh();
  }

  /** Connect anew, at once; also after `closed`. */
  reconnect() {
    this.#line.start();
  }

  /** End the connection and all iterations. Subscriptions would go on after `reconnect`. */
  close() {
    this.#line.close(1000, "");
  }

  /** @param {State} state */
  #changed(state) {
    this.#emitter.emit("state", state);
    if (state.state !== "closed") return;
    const { code } = state;
    const error = code === 1000 ? null : new HubError("CLOSED", state.reason, { closeCode: code });
    if (error !== null && !this.#emitter.hears("state")) console.warn(`tickhub: closed for good with ${code ?? "no code"}: ${state.reason}`);
    for (const subscription of this.#subscriptions) subscription.end(error);
  }

  /** @param {Message} welcome */
  #live(welcome) {
    this.#emitter.emit("welcome", welcome);
    this.#wires.live();
  }

  /** @param {Message} message */
  #take(message) {
    if (this.#wires.take(message)) return;
    switch (message.type) {
      case "heartbeat":
        this.#emitter.emit("heartbeat", message);
        return;
      case "entitled":
        this.#emitter.emit("entitled", { plan: message.plan, role: message.role });
        this.#wires.retry(() => true);
        return;
      case "error":
        this.#emitter.emit("error", errorOf(message));
        return;
      default: // a message of later servers, or one for a channel that was just left
    }
  }
}

/** @param {string | URL} url */
function socketUrl(url) {
  const place = new URL(url, globalThis.location?.href);
  if (place.protocol === "http:" || place.protocol === "https:") {
    place.protocol = place.protocol === "http:" ? "ws:" : "wss:";
    place.pathname = `${place.pathname.replace(/\/+$/, "").replace(/\/ws$/, "")}/ws`;
  }
  place.hash = "";
  return place.href;
}

/**
 * Connect to a hub; the connection begins at once.
 *
 * @param {string | URL} url  `ws://host/ws`, or the hub's `http(s)` address.
 * @param {ConnectOptions} options
 * @returns {Hub}
 */
export function connect(url, options) {
  return new Hub(url, options);
}
