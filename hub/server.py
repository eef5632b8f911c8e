"""uvicorn, as a part of our process instead of its owner: our loop, our signals, our listening socket."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.sockets.protocol import HubProtocol
from schemas.errors import SettingsError

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel may hold for one reader (it doubles the figure for its own needs). What is in there can no
longer be conflated, so it is how stale a slow reader's prices may be."""

BACKLOG = 4096

MAX_FRAME = 2 * 1024 * 1024
"""A frame up to this size is read, and refused with an error where it is over the protocol's limit; a larger one
ends the connection with 1009."""


MAX_HEAD_BYTES = 64 * 1024
"""A request's line and headers together; a token in the address has up to 8 KB of them."""

PATIENCE_S = 30.0
"""How long a request's head may take to come, and what is left of a body once the request has been answered."""


def listen(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """A listening socket. Raises SettingsError, naming HOST or the port's setting, where there can't be one."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as exc:
        raise SettingsError([f"HOST: {host!r} is no address of this machine: {exc.strerror}"]) from exc
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise SettingsError(
            [f"{setting}: can't listen on {host}:{port}: {exc.strerror}{_remedy(exc, setting, port)}"]
        ) from exc
    sock.setblocking(False)
    return sock


def _remedy(exc: OSError, setting: str, port: int) -> str:
    match exc.errno:
        case errno.EADDRINUSE:
            return f"; stop what listens there, or set another, such as {setting}={port % 65535 + 1}"
        case errno.EACCES:
            return "; ports below 1024 need a right of their own, so set a higher one"
        case _:
            return ""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, for strangers.

    Its parser bounds neither the size of a request's head and of what may follow a body, nor how long they take; and
    uvicorn takes headers that follow a body for the request's own, and lets a body trickle in for ever once the request
    has been answered.
    """

    patience_s = PATIENCE_S

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        # How far the parser has come, and how many bytes it has been given since.
        self._steps = 0
        self._held_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head is to come."""
        super().connection_made(transport)
        self._await_peer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is to come any more."""
        self._await_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bounds what the parser collects by itself: it tells of no header that is half there."""
        before = self._steps
        super().data_received(data)
        if self._steps != before:
            self._held_bytes = 0
        elif (held := self._held_bytes + len(data)) <= MAX_HEAD_BYTES:
            self._held_bytes = held
        elif self._in_head:
            self.send_400_response("The request's head is too long.")
        else:
            self.transport.close()
        if self._in_head and self._deadline is None and not self.transport.is_closing():
            self._await_peer()

    def on_message_begin(self) -> None:
        """A head has begun."""
        self._steps += 1
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of the head; a proxy has vouched for none of those after a body."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head has ended. What is raised here makes the parser refuse the request."""
        self._steps += 1
        self._in_head = False
        self._await_nothing()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            raise ValueError("the request's head is too long")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A body has ended."""
        self._steps += 1
        self._await_nothing()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer has been written, perhaps before all of what was asked had come."""
        super().on_response_complete()
        if self.cycle.more_body and not self.transport.is_closing():
            self._await_peer()

    def _await_peer(self) -> None:
        self._await_nothing()
        self._deadline = self.loop.call_later(self.patience_s, self.transport.close)

    def _await_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """A uvicorn server that leaves the signals alone and can stop accepting before it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process' business."""
        yield

    def stop_accepting(self) -> None:
        """Close the listening sockets; open connections go on."""
        for server in getattr(self, "servers", ()):
            server.close()


def server_for(app: Any, *, grace_s: float) -> Server:
    """The server of one ASGI application, tuned for many quiet sockets."""
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=HubProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_ping_interval=None,  # one sweep pings all
        ws_per_message_deflate=False,  # 18 KB a connection instead of 52
        ws_max_size=MAX_FRAME,
        backlog=BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    return Server(config)
