"""One open socket of a source: opening it, what goes out, what comes in. Everything that ends it is an error.

VendorRefused      the vendor says no, at the handshake or later
ConnectionLost     the world is in between: names, networks, certificates, a vendor that hangs up
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from channels.broker import Clock
from feeds.accounts.http import refusal, retry_after
from feeds.brokers.source import (
    Conversation,
    Event,
    Frame,
    Heard,
    Limits,
    Mode,
    Ready,
    Rejected,
    Reply,
    Request,
    TokenExpired,
)
from feeds.errors import ConnectionLost, VendorRefused
from feeds.feed import Update
from feeds.instruments import Listing
from feeds.waiting import Sleep
from schemas.durations import Seconds

OPEN_TIMEOUT_S: Seconds = 10.0
READY_TIMEOUT_S: Seconds = 10.0
CLOSE_TIMEOUT_S: Seconds = 1.0
PING_INTERVAL_S: Seconds = 20.0
MAX_FRAME_BYTES = 4 << 20

_wire_log = logging.getLogger("tickhub.feeds.wire")
_wire_log.setLevel(logging.INFO)  # in detail, websockets logs the handshake, and with it the credentials


class Pace:
    """Spaces frames by the vendor's limit."""

    def __init__(self, frames_per_second: float, *, clock: Clock, sleep: Sleep) -> None:
        self._interval_s = 1 / frames_per_second
        self._clock = clock
        self._sleep = sleep
        self._next_s = 0.0

    async def turn(self) -> None:
        """Returns when the next frame may be sent."""
        now_s = self._clock()
        due_s = max(now_s, self._next_s)
        self._next_s = due_s + self._interval_s
        if due_s > now_s:
            await self._sleep(due_s - now_s)


class Connection:
    """A socket and the conversation on it. Made by `open_connection`; who opens it closes it."""

    def __init__(self, web_socket: ClientConnection, conversation: Conversation, limits: Limits, pace: Pace) -> None:
        self._socket = web_socket
        self._conversation = conversation
        self._limits = limits
        self._pace = pace
        self._ready = conversation.ready_at_once
        self.frames = 0
        """Frames that came in."""

    async def enter(self, wall: Clock) -> Heard:
        """Says the greeting and waits until instruments may be subscribed; returns what was heard meanwhile."""
        updates: list[Update] = []
        events: list[Event] = []
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self.send(self._conversation.greeting())
                while not self._ready:
                    heard = await self.receive(wall)
                    updates += heard.updates
                    events += heard.events
        except TimeoutError as exc:
            raise ConnectionLost(f"connected, but not let in within {READY_TIMEOUT_S:g} s") from exc
        return Heard(updates, events)

    async def receive(self, wall: Clock) -> Heard:
        """What the next frame means; what the vendor wants answered is answered. Cancelling is safe."""
        try:
            frame = await self._socket.recv()
        except ConnectionClosed as exc:
            raise ConnectionLost(_end(exc)) from exc
        self.frames += 1
        heard = self._conversation.receive(frame, int(wall() * 1000))
        for event in heard.events:
            await self._obey(event)
        return heard

    async def subscribe(self, listings: Sequence[Listing], mode: Mode) -> None:
        """Asks for instruments, in as many frames and as slowly as the vendor wants."""
        size = self._limits.instruments_per_frame
        for start in range(0, len(listings), size):
            await self.send(self._conversation.subscribe(listings[start : start + size], mode))

    async def unsubscribe(self, listings: Sequence[Listing]) -> None:
        """Ends instruments, as `subscribe`."""
        size = self._limits.instruments_per_frame
        for start in range(0, len(listings), size):
            await self.send(self._conversation.unsubscribe(listings[start : start + size]))

    async def send(self, frames: Sequence[Frame]) -> None:
        """Sends frames, each in its turn. Where the connection has ended, only `receive` says so."""
        for frame in frames:
            await self._pace.turn()
            await self._send(frame)

    async def close(self) -> None:
        """Lets go of the socket within about CLOSE_TIMEOUT_S, cancelled or not; safe to call twice."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
        except TimeoutError:
            pass  # it has had its chance
        finally:
            self._socket.transport.abort()

    async def _obey(self, event: Event) -> None:
        match event:
            case Reply(frame=frame):
                await self._send(frame)
            case Ready():
                self._ready = True
            case TokenExpired(reason=reason):
                raise VendorRefused(reason, expired=True)
            case Rejected(reason=reason):
                raise VendorRefused(reason)
            case _:
                pass  # for whoever called `receive`

    async def _send(self, frame: Frame) -> None:
        # `receive` tells an end, once it has read what the vendor said before, which may be the reason.
        with suppress(ConnectionClosed):
            await self._socket.send(frame)


def _end(exc: ConnectionClosed) -> str:
    if exc.rcvd is None:
        return "the connection broke off" if exc.sent is None else f"the connection had to be ended: {exc.sent.reason}"
    words = f" {exc.rcvd.reason[:120]}" if exc.rcvd.reason else ""
    return f"the vendor ended the connection ({exc.rcvd.code}{words})"


async def open_socket(request: Request, tls: ssl.SSLContext) -> ClientConnection:
    """A WebSocket by a source's request. Certificates are verified, and no proxy is used. Raises as this module says.

    Cancelling is safe.
    """
    try:
        host, secure = _place(request.url)
    except ValueError:
        raise VendorRefused("the address is no WebSocket address (wss://…)") from None  # the error quotes it
    try:
        return await connect(
            request.url,
            additional_headers=dict(request.headers),
            subprotocols=[Subprotocol(name) for name in request.subprotocols] or None,
            ssl=tls if secure else None,
            compression=None,
            proxy=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_INTERVAL_S,
            max_size=MAX_FRAME_BYTES,
            logger=_wire_log,
        )
    except InvalidStatus as exc:
        raise refusal(exc.response.status_code, retry_after(exc.response.headers)) from exc
    except UnicodeError as exc:  # a host with an empty or an overlong part
        raise ConnectionLost("the address names no host") from exc
    except (OSError, WebSocketException) as exc:
        raise ConnectionLost(_trouble(exc, host)) from exc


def _place(url: str) -> tuple[str, bool]:
    """The host of a WebSocket URL, and whether it is spoken to by TLS. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.port == 0 or parts.fragment:
        raise ValueError
    return parts.hostname, parts.scheme == "wss"


def _trouble(exc: OSError | WebSocketException, host: str) -> str:
    match exc:
        case TimeoutError():
            reason = f"{host} has not answered in {OPEN_TIMEOUT_S:g} s"
        case socket.gaierror():
            reason = f"the name {host} can't be resolved"
        case ssl.SSLCertVerificationError():
            reason = f"the certificate of {host} can't be trusted: {exc.verify_message}"
        case ssl.SSLError():
            reason = f"no TLS with {host}: {exc.reason}"
        case ConnectionRefusedError():
            reason = f"nobody listens at {host}"
        case OSError():
            reason = f"{host} can't be reached: {exc.strerror or type(exc).__name__}"
        case _:
            reason = f"{host} doesn't speak WebSocket: {type(exc).__name__}"
    return reason
