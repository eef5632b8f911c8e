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
    if (this.pending.size >= MAX_PENDING) {
      return Promise.reject(new HubError("OVERFLOW", `More than ${MAX_PENDING} commands wait for replies`));
    }
    return new Promise((resolve, reject) => {
      const id = ++this.lastId;
      const message = { action, id, ...fields };
      const late = new HubError("TIMEOUT", `No reply to ${action} within ${timeout / 1000} s`, { temporary: true });
      const timer = setTimeout(() => this.settle(id)?.reject(late), timeout);
      this.pending.set(id, { message, again, sent: this.send(message), resolve, reject, timer });
    });
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
    for (const waiting of this.pending.values()) {
      if (!waiting.sent) waiting.sent = this.send(waiting.message);
    }
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

  /** @param {HubError} error  Nothing more will be answered. */
  close(error) {
    for (const id of [...this.pending.keys()]) this.settle(id)?.reject(error);
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
 * @typedef {object} LineOwner
 * @property {(state: State) => void} changed
 * @property {(welcome: Message) => void} live
 * @property {() => void} down  The connection is gone; only after `live`.
 * @property {(message: Message, raw: string | ArrayBuffer) => void} take
 * @property {(error: HubError) => void} fault
 */

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
    this.tickedAt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retryTimer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.deadline = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.refreshTimer = undefined;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.ticker = undefined;
    /** @type {AbortController | null} */
    this.watching = null;
  }

  get live() {
    return this.state.state === "live";
  }

  /** Connect now, whatever the state: a present socket is replaced. */
  start() {
    this.watch();
    this.backoff.reset();
    this.drop(1000, "a new connection was asked for");
    void this.open();
  }

  /** @param {number | null} code  @param {string} reason  For good, until `start`. */
  close(code, reason) {
    this.unwatch();
    this.drop(code, reason);
    this.enter("closed", null, code, reason);
    this.commands.close(new HubError("CLOSED", reason || "The hub is closed", { closeCode: code }));
  }

  /** @param {StateName} state  @param {number | null} [retryAt]  @param {number | null} [code]  @param {string} [reason] */
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
    const socket = new this.WebSocket(this.url, this.format === "msgpack" ? ["msgpack"] : []);
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
    this.enter("live", null, null, "");
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
    this.enter(isOffline() ? "offline" : "waiting", Date.now() + wait, code, reason);
    this.retryTimer = setTimeout(() => void this.open(), wait);
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
    this.socket?.send(JSON.stringify(message));
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
    try {
      await this.refresh();
    } catch (error) {
      this.owner.fault(tokenFault(error));
      if (this.live) this.refreshTimer = setTimeout(() => void this.refreshOrTell(left / 2), Math.max(1000, left / 2));
    }
  }

  /** Take a new token now. Rejects with what the getter threw or the server said. */
  async refresh() {
    const round = this.round;
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

  watch() {
    if (this.watching !== null) return;
    this.watching = new AbortController();
    const { signal } = this.watching;
    this.tickedAt = Date.now();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    const { window, document } = /** @type {{ window?: Window, document?: Document }} */ (globalThis);
    window?.addEventListener?.("offline", () => this.wentOffline(), { signal });
    window?.addEventListener?.("online", () => this.cameOnline(), { signal });
    window?.addEventListener?.("pageshow", (event) => event.persisted && this.probe(), { signal });
    document?.addEventListener?.("resume", () => this.probe(), { signal });
    document?.addEventListener?.(
      "visibilitychange",
      () => !document.hidden && Date.now() - this.heardAt > SLEPT_MS && this.probe(),
      { signal },
    );
  }

  unwatch() {
    clearInterval(this.ticker);
    this.watching?.abort();
    this.watching = null;
  }

  /** A timer that comes late means that the tab slept; a line on which nothing comes for two heartbeats is dead. */
  tick() {
    const now = Date.now();
    const slept = now - this.tickedAt > SLEPT_MS;
    this.tickedAt = now;
    const silent = now - this.heardAt > 2 * this.heartbeat + Math.max(2000, this.heartbeat / 5);
    if (slept) this.probe();
    else if (this.live && silent) this.lost(1006, "nothing was heard for two heartbeats");
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
    clearTimeout(this.retryTimer);
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
  return new HubError("UNAUTHORIZED", `No token: ${error instanceof Error ? error.message : error}`, { temporary: true });
}

// -- formats ----------------------------------------------------------------------------------------------------------

/** @param {string | ArrayBuffer} raw  @returns {Message} */
function decode(raw) {
  const message = JSON.parse(/** @type {string} */ (raw));
  if (typeof message?.type !== "string") throw new TypeError("no message with a type");
  return message;
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
  }

  /** @param {Granted} granted */
  granted(granted) {
    void granted;
  }

  /** @param {HubError} error */
  refused(error) {
    void error;
  }

  /** @param {Ended} ended */
  ended(ended) {
    void ended;
  }

  /** @param {any} value  @param {Update} update  The newest value of a channel. */
  take(value, update) {
    void value;
    void update;
  }

  /** @param {Message} message  One of a log; those that it has already, or that come before their turn, are left out. */
  takeLogged(message) {
    const { offset } = message;
    if (offset !== undefined && this.position !== null) {
      const last = this.position.offset;
      if (offset <= last || (last < this.replayed && offset !== last + 1)) return;
      this.position.offset = offset;
    }
    this.logged(message, offset !== undefined && offset <= this.replayed);
  }

  /** @param {Message} message  @param {boolean} recovered */
  logged(message, recovered) {
    void message;
    void recovered;
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
    this.deltas = true;
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
    if (this.value !== undefined) entry.take(this.value, this.update(null, true, 0));
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
   */
  constructor(send, recovered = () => undefined) {
    this.send = send;
    this.recovered = recovered;
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
  }

  /** @param {string} name */
  find(name) {
    return this.byName.get(this.canonical.get(name) ?? name);
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
    this.timer = undefined;
    for (const wire of this.byName.values()) wire.down();
  }

  /** Ask again for what was refused or ended, where `chosen` says so. @param {(entry: Entry) => boolean} chosen */
  retry(chosen) {
    for (const wire of this.byName.values()) {
      for (const entry of wire.entries) {
        if ((entry.state === "failed" || entry.state === "ended") && chosen(entry)) entry.state = "waiting";
      }
      this.touch(wire);
    }
  }

  /** The same, after a while. */
  retryLater() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      for (const wire of this.byName.values()) {
        if (wire.asked !== null && Date.now() - wire.asked.at >= COMMAND_TIMEOUT_MS) wire.asked = null;
      }
      this.retry((entry) => entry instanceof SubscriptionEntry && entry.error?.temporary === true);
    }, this.backoff.next());
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
      wire.deltas ||= key.includes('"delta"');
    }
    const channels = wires.map((wire) => wire.name);
    const since = Object.keys(recover).length > 0 && { recover };
    this.send({ action: "subscribe", id, channels, ...JSON.parse(key), ...since });
    this.retryLater();
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
    if (fact.epoch === undefined) {
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
    for (const entry of [...wire.entries]) {
      if (entry.state !== "waiting") continue;
      entry.state = "failed";
      entry.refused(error);
    }
    if (error.temporary) this.retryLater();
  }

  /** A whole subscribe was refused. @param {Message} message */
  failed(message) {
    let found = false;
    for (const wire of [...this.byName.values()]) {
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
      this.touch(wire);
      return;
    }
    for (const entry of [...wire.entries]) {
      if (entry.state !== "waiting") continue;
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
  /** @param {Subscription} subscription  @param {string} requested  @param {Wish} wish  @param {Position | null} position */
  constructor(subscription, requested, wish, position) {
    super(requested, wish, position);
    this.subscription = subscription;
    /** @type {HubError | null} */
    this.error = null;
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
    if (this.period > 0 && this.wire?.wish().frequency !== this.wish.frequency) this.pace(update);
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
   * @hideconstructor
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

// -- the hub ----------------------------------------------------------------------------------------------------------

/** A connection to a hub, for as long as you want it. Made by `connect`. */
export class Hub {
  /** @type {Emitter<HubEvents>} */
  #emitter = new Emitter();
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();
  #line;
  #wires;

  /** @param {string | URL} url  @param {ConnectOptions} options */
  constructor(url, options) {
    this.#line = new Line(socketUrl(url), options, {
      changed: (state) => this.#changed(state),
      live: (welcome) => this.#live(welcome),
      down: () => this.#wires.down(),
      take: (message) => this.#take(message),
      fault: (error) => this.#emitter.emit("error", error),
    });
    this.#wires = new Wires(
      (message) => this.#line.send(message),
      (event) => this.#emitter.emit("recovered", event),
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
    const subscription = new Subscription(this.#wires, options, (one) => this.#subscriptions.delete(one));
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
