"""Kite's ticker on loopback, and its packets by field name.

The packets are written from the byte table by `struct`, one field after another, so that they owe nothing to the
decoder. Prices are in the wire's own units (paise, unless the segment has a finer divisor), times Unix seconds.
"""

import asyncio
import json
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from tests.feeds.brokers.server import BrokerServer, Frame

API_KEY = "kitekey"
ACCESS_TOKEN = "today's token"
HEARTBEAT = b"\x00"
MAX_CONNECTIONS = 3
MAX_INSTRUMENTS = 3000

Levels = Sequence[tuple[int, int, int]]
"""(quantity, price, orders), at most five."""

_INDICES = 9
_NO_BOOK: Levels = ()


def frame_of(*packets: bytes) -> bytes:
    """Packets as one binary frame."""
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def ltp_packet(token: int, price: int) -> bytes:
    """8 bytes."""
    return struct.pack(">I", token) + struct.pack(">i", price)


def index_packet(
    token: int,
    price: int,
    *,
    high: int = 0,
    low: int = 0,
    opened: int = 0,
    close: int = 0,
    change: int = 0,
    exchange_s: int | None = None,
) -> bytes:
    """28 bytes; 32 with an exchange time."""
    prices = b"".join(struct.pack(">i", field) for field in (price, high, low, opened, close, change))
    return struct.pack(">I", token) + prices + (b"" if exchange_s is None else struct.pack(">I", exchange_s))


def quote_packet(
    token: int,
    price: int,
    *,
    last_quantity: int = 0,
    average: int = 0,
    volume: int = 0,
    buy_quantity: int = 0,
    sell_quantity: int = 0,
    opened: int = 0,
    high: int = 0,
    low: int = 0,
    close: int = 0,
) -> bytes:
    """44 bytes."""
    last = struct.pack(">Ii", token, price) + struct.pack(">I", last_quantity) + struct.pack(">i", average)
    day = struct.pack(">I", volume) + struct.pack(">I", buy_quantity) + struct.pack(">I", sell_quantity)
    return last + day + b"".join(struct.pack(">i", field) for field in (opened, high, low, close))


def full_packet(
    token: int,
    price: int,
    *,
    last_trade_s: int = 0,
    open_interest: int = 0,
    open_interest_high: int = 0,
    open_interest_low: int = 0,
    exchange_s: int = 0,
    bids: Levels = _NO_BOOK,
    offers: Levels = _NO_BOOK,
    **quote: int,
) -> bytes:
    """184 bytes; `quote` are `quote_packet`'s fields."""
    times = (last_trade_s, open_interest, open_interest_high, open_interest_low, exchange_s)
    tail = b"".join(struct.pack(">I", field) for field in times)
    return quote_packet(token, price, **quote) + tail + _side(bids) + _side(offers)


def _side(levels: Levels) -> bytes:
    filled = [*levels, *[(0, 0, 0)] * (5 - len(levels))]
    return b"".join(struct.pack(">I", quantity) + struct.pack(">iHH", *rest, 0) for quantity, *rest in filled)


class KiteServer(BrokerServer):
    """Kite. A client gets each instrument's last packet at once, in its mode, and a heartbeat every second.

    `prices` holds the fields of each token's full packet (`{"price": 150050, "high": …}`); one that is not there
    costs 100 rupees. `price()` changes it and tells whoever has subscribed.
    """

    def __init__(self, *, heartbeat_s: float = 1.0) -> None:
        super().__init__()
        self.api_key = API_KEY
        self.access_token = ACCESS_TOKEN
        self.prices: dict[int, dict[str, Any]] = {}
        self._heartbeat_s = heartbeat_s
        self._modes: dict[ServerConnection, dict[int, str]] = {}
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._beating = asyncio.create_task(self._beat(), name="kite-server-heartbeat")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._beating is not None
        self._beating.cancel()
        await asyncio.wait([self._beating])
        await super().__aexit__(kind, exc, tb)

    # -- what the vendor is ---------------------------------------------------------------------------------------

    def admit(self, request: Request) -> HTTPStatus | None:
        """403 for wrong or ended credentials, 429 for a fourth connection."""
        query = parse_qs(urlsplit(request.path).query)
        if request.headers.get("X-Kite-Version") != "3":
            return HTTPStatus.BAD_REQUEST
        if query.get("api_key") != [self.api_key] or query.get("access_token") != [self.access_token]:
            return HTTPStatus.FORBIDDEN
        if len(self.connections) >= MAX_CONNECTIONS:
            return HTTPStatus.TOO_MANY_REQUESTS
        return None

    async def greet(self, connection: ServerConnection) -> None:
        """The two texts that nobody has documented, and a heartbeat."""
        await connection.send('{"type":"instruments_meta","data":{"count":86481,"etag":"W/\\"68907d60-55bf\\""}}')
        await connection.send('{"type":"app_code","timestamp":"2026-11-23T09:00:00+05:30"}')
        await connection.send(HEARTBEAT)

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        """Obey a command, and answer with the last packets of the instruments that it names."""
        command = json.loads(frame)
        modes = self._modes.setdefault(connection, {})
        match command["a"], command["v"]:
            case "subscribe", tokens:
                modes.update({token: "quote" for token in tokens if token not in modes})
            case "unsubscribe", tokens:
                for token in tokens:
                    modes.pop(token, None)
            case "mode", [mode, tokens]:
                modes.update({token: mode for token in tokens if token in modes})
            case unknown:
                raise AssertionError(unknown)
        self._count()
        if len(modes) > MAX_INSTRUMENTS:
            await connection.send(json.dumps({"type": "error", "data": "Maximum instruments of a connection exceeded"}))
        if packets := [self._packet(token, modes[token]) for token in tokens if token in modes]:
            await connection.send(frame_of(*packets))

    # -- what a test does with it ---------------------------------------------------------------------------------

    async def price(self, token: int, **fields: Any) -> None:
        """Change an instrument's fields and send its packet to whoever has subscribed to it, in each one's mode."""
        self.prices[token] = self._fields(token) | fields
        await self.tell([token])

    async def tell(self, tokens: Iterable[int]) -> None:
        """Send the last packets of these instruments again, one frame for each client."""
        wanted = list(tokens)
        for connection, modes in list(self._modes.items()):
            if packets := [self._packet(token, modes[token]) for token in wanted if token in modes]:
                await connection.send(frame_of(*packets))

    async def heartbeat(self) -> None:
        """Send one heartbeat to everyone now."""
        await self.send(HEARTBEAT)

    async def order_update(self, **data: object) -> None:
        """Tell that an order has changed."""
        await self.send(json.dumps({"type": "order", "data": data}, separators=(",", ":")))

    async def error(self, text: str) -> None:
        """Send an error text."""
        await self.send(json.dumps({"type": "error", "data": text}))

    async def garbage(self) -> None:
        """Send what no decoder should choke on: noise, broken packets, broken texts."""
        await self.send(
            b"\xff" * 300,
            b"\x00\x02\x00\x08" + ltp_packet(256265, 100),
            frame_of(b"\x00" * 9, b"", ltp_packet(0xFFFFFFFF, 1)) + b"more",
            "{",
            '"text"',
            '{"type":7}',
            '{"type":"order"}',
        )

    def expire_token(self) -> None:
        """The daily death: every connection ends abruptly, and the token of before gets 403 from now on."""
        self.access_token = f"the token after {self.access_token}"
        self.abort()

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            await super()._serve(connection)
        finally:
            self._modes.pop(connection, None)
            self._count()
            await self._tell()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            if not self.silent:
                with suppress(ConnectionClosed):
                    await self.send(HEARTBEAT)

    def _count(self) -> None:
        self.subscribed.clear()
        for modes in self._modes.values():
            self.subscribed.update({str(token): mode for token, mode in modes.items()})

    def _fields(self, token: int) -> dict[str, Any]:
        return self.prices.get(token, {"price": 10_000})

    def _packet(self, token: int, mode: str) -> bytes:
        """The packet of an instrument's fields in a mode, as the vendor cuts it."""
        fields = self._fields(token)
        price = fields["price"]
        if mode == "ltp":
            return ltp_packet(token, price)
        if token & 0xFF == _INDICES:
            names = {"high", "low", "opened", "close", "change"} | ({"exchange_s"} if mode == "full" else set())
            given = {name: value for name, value in fields.items() if name in names}
            return index_packet(token, price, **({"exchange_s": 0} if mode == "full" else {}) | given)
        packet = full_packet(token, **fields)
        return packet if mode == "full" else packet[:44]
