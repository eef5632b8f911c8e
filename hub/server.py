"""uvicorn, as a part of our process instead of its owner: our loop, our signals, our listening socket."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from hub.protocol import HubProtocol
from schemas.errors import SettingsError

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel may hold for one reader (it doubles the figure for its own needs). What is in there can no
longer be conflated, so it is how stale a slow reader's prices may be."""

BACKLOG = 4096

MAX_FRAME = 2 * 1024 * 1024
"""A frame up to this size is read, and refused with an error where it is over the protocol's limit; a larger one
ends the connection with 1009."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError, naming HOST or PORT, where there can't be one."""
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
        raise SettingsError([f"PORT: can't listen on {host}:{port}: {exc.strerror}"]) from exc
    sock.setblocking(False)
    return sock


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
        http="httptools",
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
