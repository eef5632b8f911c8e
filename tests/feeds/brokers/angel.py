"""Angel's WebSocket Streaming 2.0 on loopback, and its packets by field name.

The packets are written from the byte table by `struct`, one field after another, so that they owe nothing to the
decoder. Prices are in the wire's own units: paise, in currencies 1e-7 rupee.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.feeds.brokers.server import BrokerServer, Frame

API_KEY, CLIENT_CODE = "angelkey", "A123456"
JWT_TOKEN, FEED_TOKEN = "today's jwt", "today's feed token"
CREDENTIALS = {"api_key": API_KEY, "client_code": CLIENT_CODE, "jwt_token": JWT_TOKEN, "feed_token": FEED_TOKEN}
MAX_CONNECTIONS = 3
MAX_SUBSCRIPTIONS = 1000
TIME_MS = 1_795_407_301_250

Levels = Sequence[tuple[int, int, int]]
"""(quantity, price, orders)."""

_NO_BOOK: Levels = ()


def head(mode: int, token: str, sequence: int, time_ms: int) -> bytes:
    """The first 43 bytes of every packet; `token` is the hub's, `1|2885`."""
    exchange_type, _, number = token.partition("|")
    padded = number.encode().ljust(25, b"\0")
    return bytes([mode, int(exchange_type)]) + padded + struct.pack("<q", sequence) + struct.pack("<q", time_ms)


def ltp_packet(token: str, price: int, *, sequence: int = 0, time_ms: int = TIME_MS, mode: int = 1) -> bytes:
    """51 bytes; with another mode the beginning of its packets."""
    return head(mode, token, sequence, time_ms) + struct.pack("<q", price)


def quote_packet(
    token: str,
    price: int,
    *,
    sequence: int = 0,
    time_ms: int = TIME_MS,
    mode: int = 2,
    last_quantity: int = 0,
    average: int = 0,
    volume: int = 0,
    buy_quantity: float = 0.0,
    sell_quantity: float = 0.0,
    opened: int = 0,
    high: int = 0,
    low: int = 0,
    close: int = 0,
) -> bytes:
    """123 bytes; with mode 3 the beginning of a snapshot."""
    trades = b"".join(struct.pack("<q", field) for field in (last_quantity, average, volume))
    totals = struct.pack("<d", buy_quantity) + struct.pack("<d", sell_quantity)
    day = b"".join(struct.pack("<q", field) for field in (opened, high, low, close))
    return ltp_packet(token, price, sequence=sequence, time_ms=time_ms, mode=mode) + trades + totals + day


def snap_packet(
    token: str,
    price: int,
    *,
    last_trade_s: int = 0,
    open_interest: int = 0,
    interest_change: bytes = b"\x01\x02\x03\x04\x05\x06\x07\xff",
    bids: Levels = _NO_BOOK,
    offers: Levels = _NO_BOOK,
    offers_first: bool = False,
    upper: int = 0,
    lower: int = 0,
    year_high: int = 0,
    year_low: int = 0,
    **quote: Any,
) -> bytes:
    """379 bytes; `quote` are `quote_packet`'s fields."""
    interest = struct.pack("<q", last_trade_s) + struct.pack("<q", open_interest) + interest_change
    sides = [_side(1, bids), _side(0, offers)]
    book = b"".join(reversed(sides) if offers_first else sides)
    limits = b"".join(struct.pack("<q", field) for field in (upper, lower, year_high, year_low))
    return quote_packet(token, price, mode=3, **quote) + interest + book + limits


def _side(flag: int, levels: Levels) -> bytes:
    filled = [*levels, *[(0, 0, 0)] * (5 - len(levels))]
    return b"".join(
        struct.pack("<H", flag) + struct.pack("<q", quantity) + struct.pack("<q", price) + struct.pack("<H", orders)
        for quantity, price, orders in filled
    )


def depth_packet(token: str, *, bids: Levels = _NO_BOOK, offers: Levels = _NO_BOOK, time_ms: int = TIME_MS) -> bytes:
    """443 bytes."""
    book = b""
    for levels in (bids, offers):
        for quantity, price, orders in [*levels, *[(0, 0, 0)] * (20 - len(levels))]:
            book += struct.pack("<i", quantity) + struct.pack("<i", price) + struct.pack("<h", orders)
    return head(4, token, 0, time_ms) + book


_PACKETS = {1: ltp_packet, 2: quote_packet, 3: snap_packet}
_TRADED = {"price", "last_quantity", "average", "volume", "buy_quantity", "sell_quantity"}
_FIELDS = {1: {"price"}, 2: _TRADED | {"opened", "high", "low", "close"}}


class AngelServer(BrokerServer):
    """Angel. A client gets each instrument's packet at once, in its modes, and a `pong` for each `ping`.

    `prices` holds the fields of each token's snapshot (`{"price": 150050, "high": …}`); one that is not there costs
    100 rupees. `price()` changes it and tells whoever has subscribed. Sequence numbers count all packets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.jwt_token, self.feed_token = JWT_TOKEN, FEED_TOKEN
        self.prices: dict[str, dict[str, Any]] = {}
        self.pings = 0
        self._sequence = 0
        self._modes: dict[ServerConnection, set[tuple[str, int]]] = {}

    # -- what the vendor is ---------------------------------------------------------------------------------------

    def admit(self, request: Request) -> HTTPStatus | None:
        """401 for wrong or ended credentials, 429 for a fourth connection."""
        wanted = {
            "Authorization": f"Bearer {self.jwt_token}",
            "x-api-key": API_KEY,
            "x-client-code": CLIENT_CODE,
            "x-feed-token": self.feed_token,
        }
        if any(request.headers.get(name) != value for name, value in wanted.items()):
            return HTTPStatus.UNAUTHORIZED
        return HTTPStatus.TOO_MANY_REQUESTS if len(self.connections) >= MAX_CONNECTIONS else None

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        """Answer a ping; obey a command, and answer with the packets of the instruments that it names."""
        if frame == "ping":
            self.pings += 1
            await connection.send("pong")
            return
        command = json.loads(frame)
        modes = self._modes.setdefault(connection, set())
        mode = command["params"]["mode"]
        lists = command["params"]["tokenList"]
        named = {(f"{one['exchangeType']}|{number}", mode) for one in lists for number in one["tokens"]}
        if command["action"] == 0:
            modes -= named
        elif len(modes | named) > MAX_SUBSCRIPTIONS:
            await self.error("E1002", "Subscription limit exceeded", command["correlationID"])
        else:
            modes |= named
            for token, _ in sorted(named):
                await connection.send(self._packet(token, mode))
        self._count()

    # -- what a test does with it ---------------------------------------------------------------------------------

    async def price(self, token: str, **fields: Any) -> None:
        """Change an instrument's fields and send its packets to whoever has subscribed to it."""
        self.prices[token] = self._fields(token) | fields
        await self.tell([token])

    async def tell(self, tokens: Iterable[str]) -> None:
        """Send new packets of these instruments, one frame for each client."""
        wanted = set(tokens)
        for connection, modes in list(self._modes.items()):
            if packets := [self._packet(token, mode) for token, mode in sorted(modes) if token in wanted]:
                await connection.send(b"".join(packets))

    async def error(self, code: str, text: str, correlation: str = "") -> None:
        """Send an error text."""
        await self.send(json.dumps({"correlationID": correlation, "errorCode": code, "errorMessage": text}))

    async def garbage(self) -> None:
        """Send what no decoder should choke on: noise, broken packets, broken texts."""
        await self.send(
            b"",
            b"\xff" * 300,
            ltp_packet("1|2885", 100)[:50],
            ltp_packet("1|2885", -100) + ltp_packet("9|9", 100) + b"\x03more",
            "{",
            '"text"',
            '{"errorCode":7}',
        )

    def expire_token(self) -> None:
        """The daily death: every connection ends abruptly, and the tokens of before get 401 from now on."""
        self.jwt_token, self.feed_token = f"the jwt after {self.jwt_token}", f"the token after {self.feed_token}"
        self.abort()

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _serve(self, connection: ServerConnection) -> None:
        try:
            await super()._serve(connection)
        finally:
            self._modes.pop(connection, None)
            self._count()
            await self._tell()

    def _count(self) -> None:
        self.subscribed.clear()
        for modes in self._modes.values():
            self.subscribed.update({token: str(mode) for token, mode in sorted(modes)})

    def _fields(self, token: str) -> dict[str, Any]:
        return self.prices.get(token, {"price": 10_000})

    def _packet(self, token: str, mode: int) -> bytes:
        self._sequence += 1
        fields = self._fields(token)
        given = {name: value for name, value in fields.items() if name in _FIELDS.get(mode, fields)}
        return _PACKETS[mode](token, **given, sequence=self._sequence)
