"""What the test servers of all brokers share: a WebSocket on loopback, and the faults that a vendor can have.

Each broker's server is a subclass that speaks its protocol: `admit` judges the handshake, `hear` one frame from the
client, `snapshot` and `price` build frames from the byte tables, independently of the decoders under test.
"""

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Frame = str | bytes


class BrokerServer:
    """One vendor on loopback. `async with` it; `url` is what the source's `…_URL` setting gets."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.handshakes = 0
        """Attempts to connect, refused ones too."""
        self.refuse_with: HTTPStatus | None = None
        """Refuse every handshake with this status until it is None again."""
        self.silent = False
        """Send nothing, not even heartbeats, and answer nothing."""
        self.subscribed: dict[str, str] = {}
        """Vendor's token → mode, over all connections."""
        self.heard: list[Frame] = []
        """Every frame that clients sent, the newest 1,000."""
        self._changed = asyncio.Condition()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The address of the socket."""
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._handshake, compression=None, ping_interval=None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self.abort()
        self._server.close()
        await self._server.wait_closed()

    # -- what a vendor is -----------------------------------------------------------------------------------------

    def admit(self, request: Request) -> HTTPStatus | None:
        """Judge a handshake: None lets it in, a status refuses it."""
        return None

    async def greet(self, connection: ServerConnection) -> None:
        """Say what the vendor says first."""

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        """Obey one frame from the client; subclasses fill `subscribed`."""
        raise NotImplementedError

    # -- what a test does with it ---------------------------------------------------------------------------------

    async def send(self, *frames: Frame) -> None:
        """Send frames to every client, as they are."""
        for connection in list(self.connections):
            for frame in frames:
                await connection.send(frame)

    def abort(self) -> None:
        """End every connection abruptly, without a close frame."""
        for connection in list(self.connections):
            connection.transport.abort()

    async def until(self, done: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until `done` holds; it is asked after everything that happens here. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(done)

    async def until_subscribed(self, tokens: Iterable[str], timeout_s: float = 10.0) -> None:
        """Wait until exactly these tokens are subscribed."""
        wanted = set(tokens)
        await self.until(lambda: set(self.subscribed) == wanted, timeout_s)

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        status = self.refuse_with or self.admit(request)
        await self._tell()
        return connection.respond(status, f"{status.phrase}\n") if status is not None else None

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            if not self.silent:
                await self.greet(connection)
            await self._tell()
            async for frame in connection:
                self.heard = [*self.heard[-999:], frame]
                if not self.silent:
                    await self.hear(connection, frame)
                await self._tell()
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)
            if not self.connections:
                self.subscribed.clear()
            await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
