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
export type Mode = "ltp" | "quote" | "full";
export type StateName = "connecting" | "live" | "waiting" | "offline" | "closed";
export type State = {
    state: StateName;
    attempt: number;
    retryAt: number | null;
    code: number | null;
    reason: string;
};
export type Position = {
    epoch: string;
    offset: number;
};
export type TokenSource = string | (() => string | null | Promise<string | null>);
export type BackoffBounds = {
    min: number;
    max: number;
};
export type Message = {
    [name: string]: any;
    type: string;
};
export type ConnectOptions = {
    /**
     * A getter is asked for each connection, and when the token is about to end; with null
     * the hub closes with 3500, and when it throws the hub tries again later. A plain string is used until it ends.
     */
    token: TokenSource;
    format?: "json" | "msgpack";
    /**
     * A name: tabs of this origin that use the same one have one socket between them.
     * Put the user into it.
     */
    share?: false | string;
    backoff?: Partial<BackoffBounds>;
    /**
     * For runtimes that have none.
     */
    WebSocket?: typeof WebSocket;
};
export type SubscribeOptions = {
    /**
     * How much of a price: `market` channels only.
     */
    mode?: Mode;
    /**
     * Updates a second and channel; the newest always arrives.
     */
    maxFrequency?: number;
    /**
     * Whether only changes travel (the default); what you get is whole in any case.
     */
    delta?: boolean;
    /**
     * Of `candles` channels, such as `"rsi(14)"`.
     */
    indicators?: string[];
    /**
     * The last message of a log channel that you have; what came after it comes first.
     */
    recover?: Position;
};
export type Granted = {
    channel: string;
    requested: string;
    delay: number | null;
    epoch: string | null;
    offset: number | null;
    recovered: boolean | null;
};
export type Ended = {
    channel: string;
    code: number;
    reason: string;
};
export type Outcome = {
    subscribed: Granted[];
    failed: HubError[];
};
export type UpdateListener = (value: any, event: Update) => void;
export type LogMessage = {
    channel: string;
    epoch: string;
    offset: number;
    data: any;
};
export type IteratedUpdate = {
    channel: string;
    value: any;
    type: string;
    snapshot: boolean;
    missed: number;
    offset: number | null;
    changed: Set<string> | null;
    recovered: boolean;
};
export type HubEvents = {
    /**
     * Each change; a new listener is told the present one at once.
     */
    state: State;
    welcome: Message;
    heartbeat: Message;
    entitled: {
        plan: string;
        role: string;
    };
    /**
     * What went wrong outside any command.
     */
    error: HubError;
    /**
     * A log channel after a reconnect.
     */
    recovered: {
        channel: string;
        recovered: boolean;
        messages: number;
    };
};
export type SubscriptionEvents = {
    subscribed: Granted;
    failed: HubError;
    ended: Ended;
};
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
/** What can't be had, and why. `code` is one of the server's words, or `TIMEOUT`, `DISCONNECTED`, `CLOSED`, `OVERFLOW`
 * or `BAD_FRAME`, which are this module's own. */
export declare class HubError extends Error {
    code: string;
    /** Whether the same may succeed later. */
    temporary: boolean;
    /** The channel that it is about, if it is about one. */
    channel: string | null;
    /** How the connection ended, of `CLOSED`. */
    closeCode: number | null;
    /**
     * @param {string} code
     * @param {string} message
     * @param {{ temporary?: boolean, channel?: string | null, closeCode?: number | null }} [details]
     */
    constructor(code: string, message: string, { temporary, channel, closeCode }?: {
        temporary?: boolean;
        channel?: string | null;
        closeCode?: number | null;
    });
}
/**
 * Full jitter: a random time below a ceiling that doubles with each attempt, so that clients cut off together don't
 * come back together.
 */
export declare class Backoff {
    min: number;
    max: number;
    random: () => number;
    attempt: number;
    /**
     * @param {Partial<BackoffBounds>} [bounds]
     * @param {() => number} [random]  From 0 to 1.
     */
    constructor({ min, max }?: Partial<BackoffBounds>, random?: () => number);
    /** Milliseconds until the next attempt. */
    next(): number;
    reset(): void;
}
export type LineOwner = {
    changed: (state: State) => void;
    live: (welcome: Message) => void;
    /**
     * The connection is gone; only after `live`.
     */
    down: () => void;
    take: (message: Message, raw: string | ArrayBuffer) => void;
    fault: (error: HubError) => void;
};
export type Watcher = {
    /**
     * Once a second; `slept` where this one came late.
     */
    tick: (slept: boolean) => unknown;
    /**
     * The tab is looked at again, or was frozen and goes on.
     */
    woke: () => unknown;
    offline?: () => unknown;
    online?: () => unknown;
    /**
     * The page is left, or else frozen.
     */
    hidden?: (gone: boolean) => unknown;
    /**
     * Neither any more.
     */
    shown?: () => unknown;
};
/** One MessagePack value. Throws RangeError or TypeError for what is none. @param {ArrayBuffer} buffer */
export declare function decodePacked(buffer: ArrayBuffer): any;
/** @param {unknown} value  @returns {Uint8Array<ArrayBuffer>} */
export declare function encodePacked(value: unknown): Uint8Array<ArrayBuffer>;
/** What a listener may want to know of an update beside its value. */
export declare class Update {
    #private;
    channel: string;
    /** The message's type, such as `market:update`. */
    type: string;
    /** Whether it is where the channel stood, and not news. */
    snapshot: boolean;
    /** How many newer values there were between the last one and this one. */
    missed: number;
    /** Of a log channel's message; null where it was published live only. */
    offset: number | null;
    /** Whether the message was missed, and came later. */
    recovered: boolean;
    /**
     * @param {string} channel
     * @param {string} type
     * @param {{ [name: string]: unknown } | null} delta
     * @param {boolean} snapshot
     * @param {number} missed
     * @param {number | null} offset
     * @param {boolean} recovered
     */
    constructor(channel: string, type: string, delta: {
        [name: string]: unknown;
    } | null, snapshot: boolean, missed: number, offset: number | null, recovered: boolean);
    /** The names of the fields that have changed; null where the server sent all of them. */
    get changed(): Set<string> | null;
}
/**
 * A delta put over the value before; a field that is null is gone. Neither of the two is changed.
 *
 * @param {{ [name: string]: any }} before
 * @param {{ [name: string]: any }} delta
 */
export declare function applyDelta(before: {
    [name: string]: any;
}, delta: {
    [name: string]: any;
}): {
    [x: string]: any;
};
export type Wish = {
    mode: Mode;
    frequency: number;
    delta: boolean;
    indicators: string[];
};
/** Some channels with the same options, and who listens to them. Made by `Hub.subscribe`. */
export declare class Subscription {
    #private;
    /** @internal @type {Emitter<SubscriptionEvents & { update: any }>} */
    emitter: Emitter<SubscriptionEvents & {
        update: any;
    }>;
    /** What became of the first channels, once that is known of each.
     * @type {Promise<Outcome>} */
    ready: Promise<Outcome>;
    /** The channels' names; in full once the server has answered. */
    get channels(): string[];
    /**
     * The newest value of a latest channel; of the first one where none is named.
     *
     * @param {string} [channel]  As asked for, or in full.
     * @returns {any}
     */
    value(channel?: string): any;
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
    on(event: "update", listener: UpdateListener): () => void;
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
    on<Name extends keyof SubscriptionEvents>(event: Name, listener: (value: SubscriptionEvents[Name]) => void): () => void;
    /** @param {string | string[]} channels  More channels with the same options; those that are here already stay. */
    add(channels: string | string[]): void;
    /** @param {string | string[]} channels  As asked for, or in full. */
    remove(channels: string | string[]): void;
    /** End it: no listener hears anything any more, and iterations end. */
    unsubscribe(): void;
    /** @returns {AsyncIterableIterator<IteratedUpdate>} Of latest channels the newest of each, of logs every message. */
    [Symbol.asyncIterator](): AsyncIterableIterator<IteratedUpdate>;
}
export type TabSays = {
    tab: string;
    kind: "join" | "leave" | "restart";
} | {
    tab: string;
    kind: "say";
    message: Message;
};
export type Relayed = string | ArrayBuffer | {
    to: string;
    message: Message;
};
export type HolderSays = {
    holder: string;
    kind: "state";
    state: State;
    welcome: Message | null;
} | {
    holder: string;
    kind: "batch";
    items: Relayed[];
};
/** A connection to a hub, for as long as you want it. Made by `connect`. */
export declare class Hub {
    #private;
    /** @param {string | URL} url  @param {ConnectOptions} options */
    constructor(url: string | URL, options: ConnectOptions);
    /** @returns {StateName} */
    get state(): StateName;
    /**
     * @template {keyof HubEvents} Name
     * @param {Name} event
     * @param {(value: HubEvents[Name]) => void} listener
     * @returns {() => void} takes the listener off again.
     */
    on<Name extends keyof HubEvents>(event: Name, listener: (value: HubEvents[Name]) => void): () => void;
    /**
     * Hear channels. Several subscriptions of one channel share one on the wire, with the widest of their options.
     *
     * @param {string | string[]} channels
     * @param {SubscribeOptions | UpdateListener} [options]
     * @param {UpdateListener} [listener]
     * @returns {Subscription}
     */
    subscribe(channels: string | string[], options?: SubscribeOptions | UpdateListener, listener?: UpdateListener): Subscription;
    /**
     * A log channel's last messages, or those after `since`, the oldest first.
     *
     * @param {string} channel
     * @param {{ limit?: number, since?: Position }} [options]
     * @returns {Promise<LogMessage[]>}
     */
    history(channel: string, { limit, since }?: {
        limit?: number;
        since?: Position;
    }): Promise<LogMessage[]>;
    /**
     * Who hears a channel now.
     *
     * @param {string} channel
     * @returns {Promise<Array<{ client: string, user: string }>>}
     */
    presence(channel: string): Promise<Array<{
        client: string;
        user: string;
    }>>;
    /**
     * Say something on a channel whose namespace allows it. Never sent twice by itself.
     *
     * @param {string} channel
     * @param {object} data
     * @returns {Promise<{ channel: string, epoch: string | null, offset: number | null }>}
     */
    publish(channel: string, data: object): Promise<{
        channel: string;
        epoch: string | null;
        offset: number | null;
    }>;
    /** What the server says that this connection hears. @returns {Promise<Array<{ [name: string]: any }>>} */
    subscriptions(): Promise<Array<{
        [name: string]: any;
    }>>;
    /** How long the way to the server and back takes, in milliseconds. @returns {Promise<number>} */
    ping(): Promise<number>;
    /** Take a new token from the getter now. */
    refresh(): Promise<void>;
    /** Connect anew, at once; also after `closed`. */
    reconnect(): void;
    /** End the connection and all iterations. Subscriptions would go on after `reconnect`. */
    close(): void;
}
/**
 * Connect to a hub; the connection begins at once.
 *
 * @param {string | URL} url  `ws://host/ws`, or the hub's `http(s)` address.
 * @param {ConnectOptions} options
 * @returns {Hub}
 */
export declare function connect(url: string | URL, options: ConnectOptions): Hub;
