"""A DhanHQ on loopback: its packets, and a server that sends them."""

import json
import struct
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection

from tests.feeds.brokers.server import BrokerServer, Frame

_SEGMENTS = {
    "IDX_I": 0,
    "NSE_EQ": 1,
    "NSE_FNO": 2,
    "NSE_CURRENCY": 3,
    "BSE_EQ": 4,
    "MCX_COMM": 5,
    "BSE_CURRENCY": 7,
    "BSE_FNO": 8,
}
_MODES = {15: "ltp", 17: "quote", 21: "full"}

LevelRow = tuple[int, int, int, int, float, float]
"""Bid quantity, ask quantity, bid orders, ask orders, bid price, ask price."""


def packet(code: int, token: str, body: bytes, length: int | None = None) -> bytes:
    """A packet with its header of eight bytes; `length` lies where it is given."""
    segment, security = map(int, token.split("|"))
    return struct.pack("<BHBI", code, 8 + len(body) if length is None else length, segment, security) + body


def ticker(token: str, price: float, trade_s: int) -> bytes:
    return packet(2, token, struct.pack("<fI", price, trade_s))


def quote(
    token: str,
    price: float,
    trade_s: int,
    *,
    quantity: int = 7,
    average: float = 0.0,
    volume: int = 1000,
    sell: int = 0,
    buy: int = 0,
    ohlc: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
) -> bytes:
    """`ohlc` in that order; the wire has the close second."""
    open_, high, low, close = ohlc
    body = struct.pack("<fHI", price, quantity, trade_s) + struct.pack("<fIII", average, volume, sell, buy)
    return packet(4, token, body + struct.pack("<ffff", open_, close, high, low))


def full(
    token: str,
    price: float,
    trade_s: int,
    *,
    quantity: int = 7,
    average: float = 0.0,
    volume: int = 1000,
    sell: int = 0,
    buy: int = 0,
    interest: tuple[int, int, int] = (0, 0, 0),
    ohlc: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    levels: Sequence[LevelRow] = (),
) -> bytes:
    """`interest` is open interest, its high and its low."""
    open_, high, low, close = ohlc
    body = struct.pack("<fHI", price, quantity, trade_s) + struct.pack("<fIII", average, volume, sell, buy)
    body += struct.pack("<III", *interest) + struct.pack("<ffff", open_, close, high, low)
    rows = [*levels, *[(0, 0, 0, 0, 0.0, 0.0)] * 5][:5]
    return packet(8, token, body + b"".join(struct.pack("<IIHHff", *row) for row in rows))


def open_interest(token: str, interest: int) -> bytes:
    return packet(5, token, struct.pack("<I", interest))


def previous_close(token: str, close: float, interest: int = 0) -> bytes:
    return packet(6, token, struct.pack("<fI", close, interest))


def status(token: str = "1|0") -> bytes:
    return packet(7, token, b"")


def disconnect(code: int) -> bytes:
    return packet(50, "0|0", struct.pack("<H", code))


def depth_side(code: int, token: str, levels: Sequence[tuple[float, int, int]], rows: int | None = None) -> bytes:
    """One side of a full market depth, 41 bids or 51 asks: price, quantity, orders."""
    segment, security = map(int, token.split("|"))
    body = b"".join(struct.pack("<dII", *level) for level in levels)
    return struct.pack("<hBBiI", 12 + len(body), code, segment, security, len(levels) if rows is None else rows) + body


class DhanServer(BrokerServer):
    """Speaks the live feed: a snapshot after each subscription, previous close and price stacked in one frame."""

    def __init__(self, access_token: str = "dhan-token", client_id: str = "1000000001") -> None:
        super().__init__()
        self.access_token = access_token
        self.client_id = client_id
        self.prices: dict[str, float] = {}
        """Of the tokens that exist; others are left without an answer, as Dhan does."""
        self.closes: dict[str, float] = {}
        self.trade_s = 1_790_000_000 + 19_800
        """The last trade's time as the wire tells it, in seconds of Indian clock time."""

    async def greet(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        if query.get("clientId") != [self.client_id]:
            await self._refuse(connection, 808)
        elif query.get("token") != [self.access_token]:
            await self._refuse(connection, 807)

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        message = json.loads(frame)
        code, rows = message["RequestCode"], message["InstrumentList"]
        assert message["InstrumentCount"] == len(rows) <= 100
        tokens = [f"{_SEGMENTS[row['ExchangeSegment']]}|{row['SecurityId']}" for row in rows]
        if code in _MODES:
            self.subscribed.update(dict.fromkeys(tokens, _MODES[code]))
            for token in tokens:
                await self._snapshot(connection, token)
        else:
            for token in tokens:
                if self.subscribed.get(token) == _MODES[code - 1]:
                    del self.subscribed[token]

    def price(self, token: str, price: float, volume: int = 1000) -> bytes:
        """The packet of a token's mode at this price."""
        return {
            "ltp": ticker(token, price, self.trade_s),
            "quote": quote(token, price, self.trade_s, volume=volume),
            "full": full(
                token, price, self.trade_s, volume=volume, levels=[(10, 20, 1, 2, price - 0.05, price + 0.05)]
            ),
        }[self.subscribed[token]]

    async def trade(self, prices: Mapping[str, float], volume: int = 1000) -> None:
        """New prices of subscribed tokens, stacked in one frame."""
        self.prices.update(prices)
        await self.send(b"".join(self.price(token, price, volume) for token, price in prices.items()))

    async def expire(self) -> None:
        """The access token dies, as it does each day: everyone is disconnected until another one is used."""
        self.access_token = "tomorrow's token"
        for connection in list(self.connections):
            await self._refuse(connection, 807)

    async def _snapshot(self, connection: ServerConnection, token: str) -> None:
        if token in self.prices:
            close = previous_close(token, self.closes.get(token, self.prices[token]))
            await connection.send(close + self.price(token, self.prices[token]))

    async def _refuse(self, connection: ServerConnection, code: int) -> None:
        await connection.send(disconnect(code))
        await connection.close()
