"""The socket beneath a session: uvicorn's WebSocket protocol, with a short way out to the transport.

Everything that comes in, and the handshake, goes through ASGI as ever. Outgoing frames go straight to the transport:
`scope["extensions"]["tickhub.socket"]` holds a `Socket`. On a server that does not offer one, `AsgiSocket` does the
same through ASGI's `send`, at the price of a task per connection.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, cast

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

from hub.sockets.frames import BINARY, TEXT, frames_in
from schemas.errors import CLOSE_REASON, CloseCode

EXTENSION = "tickhub.socket"

HIGH_WATER = 64 * 1024
"""Bytes in a transport's buffer from which on its reader counts as slow."""

LOW_WATER = 16 * 1024

CLOSE_TIMEOUT_S = 3.0
"""How long a peer has to answer a close before the connection is aborted."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Owner(Protocol):
    """Who is told about a socket's state; the session."""

    def pause(self) -> None:
        """The socket holds too much."""

    def resume(self) -> None:
        """The socket has room again."""


class Socket(Protocol):
    """What a session needs of the socket beneath, besides ASGI's receive."""

    owner: Owner | None
    last_heard: float
    """Loop time of the last bytes from the peer."""

    def write(self, data: bytes) -> None:
        """Write whole frames; never waits."""

    def buffered(self) -> int:
        """Bytes not yet handed to the kernel."""

    def forget_handshake(self) -> None:
        """The request has been read; nobody will ask for it again."""

    def disconnect(self, code: CloseCode) -> None:
        """Send a close frame and end the connection, by force where the peer does not answer. Safe to call twice."""


class _Inbox:
    """What uvicorn asks of the queue from socket to application, in a third of an `asyncio.Queue`'s memory."""

    __slots__ = ("_events", "_waiter")

    def __init__(self) -> None:
        self._events: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, event: Any) -> None:
        self._events.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        return not self._events

    async def get(self) -> Any:
        while not self._events:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._events.pop(0)


class _Gate:
    """What uvicorn asks of the event that holds back `send`; outgoing frames rarely come that way."""

    __slots__ = ("_open", "_waiters")

    def __init__(self) -> None:
        self._open = True
        self._waiters: list[asyncio.Future[None]] | None = None

    def set(self) -> None:
        self._open = True
        waiters, self._waiters = self._waiters or [], None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._open = False

    async def wait(self) -> None:
        while not self._open:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters = [*(self._waiters or ()), waiter]
            await waiter


class HubProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection of uvicorn's, which is also its session's `Socket`.

    Tens of thousands of these wait quietly, so what only the handshake needed is let go of, and the two asyncio
    primitives that uvicorn gives each connection are replaced by smaller ones: 15 KB a connection instead of 24.
    """

    owner: Owner | None = None
    last_heard = 0.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.queue = _Inbox()  # type: ignore[assignment] # the part of a queue that is used
        self.writable = _Gate()  # type: ignore[assignment] # the part of an event that is used

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound the buffer, so that a slow reader is noticed early."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)

    def handle_connect(self, event: Request) -> None:
        """Offer the short way in the scope."""
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            cast("dict[str, Any]", self.scope["extensions"])[EXTENSION] = self

    def forget_handshake(self) -> None:
        """Let go of the request, once nobody asks for its headers again; the token in them goes too."""
        self.request = self.response = cast("Any", None)
        self.scope["headers"] = []
        self.scope["query_string"] = self.scope["raw_path"] = b""

    def data_received(self, data: bytes) -> None:
        """Note that the peer lives."""
        self.last_heard = self.loop.time()
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:  # no request, and nobody answers it
            self.transport.abort()

    def handle_ping(self) -> None:
        """Answer, unless the peer reads no answers: pings must not fill our memory with pongs."""
        if self.transport.get_write_buffer_size() <= HIGH_WATER:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give what is still unsent to a peer that may have stopped reading a bounded time, then let go."""
        super().on_task_complete(task)
        if not self.disconnected and self.close_timer is None:
            self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Tell the session that its reader is slow."""
        super().pause_writing()
        if self.owner is not None:
            self.owner.pause()

    def resume_writing(self) -> None:
        """Tell the session that there is room again."""
        super().resume_writing()
        if self.owner is not None:
            self.owner.resume()

    def shutdown(self) -> None:
        """Close what no session owns; owned connections have been drained by then."""
        if self.owner is None:
            super().shutdown()
        else:
            self.disconnect(CloseCode.SHUTDOWN)

    def write(self, data: bytes) -> None:
        """See `Socket.write`. After the close frame nothing may follow, so nothing does."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def buffered(self) -> int:
        """See `Socket.buffered`."""
        return self.transport.get_write_buffer_size()

    def disconnect(self, code: CloseCode) -> None:
        """See `Socket.disconnect`."""
        if self.close_sent or self.disconnected or not self.handshake_complete:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code), "reason": CLOSE_REASON[code]})
        self.conn.send_close(int(code), CLOSE_REASON[code])
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)


class AsgiSocket:
    """A `Socket` over plain ASGI, for servers without the extension. `run` must run as long as the connection."""

    def __init__(self, send: Send) -> None:
        self.owner: Owner | None = None
        self.last_heard = asyncio.get_running_loop().time()
        self._send = send
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._close: CloseCode | None = None
        self._work = asyncio.Event()

    def forget_handshake(self) -> None:
        """See `Socket.forget_handshake`; another server's request is not ours to forget."""

    def write(self, data: bytes) -> None:
        """See `Socket.write`."""
        if self._close is not None:
            return
        self._waiting.append(data)
        self._size += len(data)
        self._work.set()
        if self._size > HIGH_WATER and not self._paused and self.owner is not None:
            self._paused = True
            self.owner.pause()

    def buffered(self) -> int:
        """See `Socket.buffered`."""
        return self._size

    def disconnect(self, code: CloseCode) -> None:
        """See `Socket.disconnect`."""
        self._close = self._close or code
        self._work.set()

    async def run(self) -> None:
        """Send what is written until disconnected; then close."""
        while self._close is None or self._waiting:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                await self._send_one(self._waiting.popleft())
        await self._send({"type": "websocket.close", "code": int(self._close), "reason": CLOSE_REASON[self._close]})

    async def _send_one(self, data: bytes) -> None:
        for opcode, payload in frames_in(data):
            if opcode == TEXT:
                await self._send({"type": "websocket.send", "text": payload.decode()})
            elif opcode == BINARY:
                await self._send({"type": "websocket.send", "bytes": payload})
        self._size -= len(data)
        if self._paused and self._size < LOW_WATER:
            self._paused = False
            if self.owner is not None:
                self.owner.resume()
