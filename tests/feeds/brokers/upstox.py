"""Upstox's Market Data Feed V3 on loopback: the call that authorises, and the socket, on one port.

Messages are made with the generated classes; that their field numbers are the vendor's is tested with bytes written by
hand (`tests/feeds/test_upstox_messages.py`).
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from feeds.brokers.upstox_feed_pb2 import Feed, FeedResponse, FullFeed, MarketFullFeed, MarketOHLC, OptionGreeks, Type
from tests.feeds.brokers.server import BrokerServer, Frame

ACCESS_TOKEN = "today's token"
CREDENTIALS = {"access_token": ACCESS_TOKEN}
AUTHORIZE = "/v3/feed/market-data-feed/authorize"
MAX_CONNECTIONS = 2
MAX_INSTRUMENTS = {"ltpc": 5000, "full": 2000}
TIME_MS = 1_795_407_301_250
LAST_TRADE_MS = 1_795_407_299_000

NORMAL_OPEN = 2

Day = tuple[float, float, float, float]
"""Open, high, low and the running close."""


def message(feeds: Mapping[str, Feed], *, kind: str = "live_feed", time_ms: int = TIME_MS) -> bytes:
    """One message with prices."""
    return FeedResponse(type=Type.Value(kind), feeds=feeds, currentTs=time_ms).SerializeToString()


def ltpc_feed(*, ltp: float, cp: float = 0.0, ltq: int = 0, ltt: int = LAST_TRADE_MS, iep: float | None = None) -> Feed:
    """What mode ltpc brings."""
    feed = Feed()
    feed.ltpc.ltp, feed.ltpc.cp, feed.ltpc.ltq, feed.ltpc.ltt = ltp, cp, ltq, ltt
    if iep is not None:
        feed.ltpc.iep.value = iep
    return feed


def index_feed(*, day: Day | None = None, **last: Any) -> Feed:
    """What mode full brings of an index."""
    feed = Feed(requestMode="full_d5")
    full = feed.fullFeed.indexFF
    full.ltpc.CopyFrom(ltpc_feed(**last).ltpc)
    full.marketOHLC.CopyFrom(_bars(day))
    return feed


def market_feed(
    *,
    levels: Iterable[tuple[int, float, int, float]] = (),
    day: Day | None = None,
    greeks: Mapping[str, float] | None = None,
    last: Mapping[str, Any] | None = None,
    **figures: Any,
) -> Feed:
    """What mode full brings; `levels` are (bidQ, bidP, askQ, askP), `figures` the message's own fields."""
    full = MarketFullFeed(**figures)
    full.ltpc.CopyFrom(ltpc_feed(**(last or {"ltp": 100.0})).ltpc)
    full.marketOHLC.CopyFrom(_bars(day))
    for bid_q, bid_p, ask_q, ask_p in levels:
        full.marketLevel.bidAskQuote.add(bidQ=bid_q, bidP=bid_p, askQ=ask_q, askP=ask_p)
    if greeks is not None:
        full.optionGreeks.CopyFrom(OptionGreeks(**greeks))
    return Feed(requestMode="full_d5", fullFeed=FullFeed(marketFF=full))


def _bars(day: Day | None) -> MarketOHLC:
    """The minute's bar, and after it the day's, if any."""
    bars = MarketOHLC()
    bars.ohlc.add(interval="I1", open=1.0, high=1.0, low=1.0, close=1.0, vol=1, ts=TIME_MS)
    if day is not None:
        opened, high, low, close = day
        bars.ohlc.add(interval="1d", open=opened, high=high, low=low, close=close, vol=1, ts=TIME_MS)
    return bars


def market_info(**states: int) -> bytes:
    """The first message of a connection."""
    response = FeedResponse(type=Type.Value("market_info"), currentTs=TIME_MS)
    response.marketInfo.segmentStatus.update(states)
    return response.SerializeToString()


class UpstoxServer(BrokerServer):
    """Upstox. A client gets a snapshot of what it subscribes, and nothing for what it says in text frames.

    `prices` holds each key's last price; one that is not there costs 100 rupees. `price()` changes it and tells whoever
    has subscribed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.access_token = ACCESS_TOKEN
        self.prices: dict[str, float] = {}
        self.authorisations = 0
        """Calls for an address, refused ones too."""
        self.leads_to = ""
        """The address that is given out, if not our own."""
        self._codes: set[str] = set()
        self._numbers = itertools.count(1)
        self._modes: dict[ServerConnection, dict[str, str]] = {}

    @property
    def url(self) -> str:
        """What `UPSTOX_URL` gets: the base of the HTTP call."""
        return super().url.replace("ws://", "http://")

    # -- what the vendor is ---------------------------------------------------------------------------------------

    def admit(self, request: Request) -> HTTPStatus | None:
        """403 for a code that is not, or no longer, good, and for a third connection."""
        code = parse_qs(urlsplit(request.path).query).get("code", [""])[0]
        if code not in self._codes or len(self.connections) >= MAX_CONNECTIONS:
            return HTTPStatus.FORBIDDEN
        self._codes.remove(code)
        return None

    async def greet(self, connection: ServerConnection) -> None:
        """The segments' states."""
        await connection.send(market_info(NSE_EQ=NORMAL_OPEN, NSE_INDEX=NORMAL_OPEN))

    async def hear(self, connection: ServerConnection, frame: Frame) -> None:
        """Obey a command, and answer with a snapshot; a key beyond the limit is met with silence."""
        if isinstance(frame, str):
            return
        command = json.loads(frame)
        modes = self._modes.setdefault(connection, {})
        keys = command["data"]["instrumentKeys"]
        match command["method"]:
            case "sub":
                wanted = command["data"]["mode"]
                room = MAX_INSTRUMENTS[wanted] - len(modes)
                keys = [*filter(modes.__contains__, keys), *[key for key in keys if key not in modes][:room]]
                modes.update(dict.fromkeys(keys, wanted))
            case "change_mode":
                keys = [key for key in keys if key in modes]
                modes.update(dict.fromkeys(keys, command["data"]["mode"]))
            case "unsub":
                for key in keys:
                    modes.pop(key, None)
            case unknown:
                raise AssertionError(unknown)
        self._count()
        if feeds := {key: self._feed(key, modes[key]) for key in keys if key in modes}:
            await connection.send(message(feeds, kind="initial_feed"))

    # -- what a test does with it ---------------------------------------------------------------------------------

    async def price(self, key: str, price: float, *, time_ms: int = TIME_MS) -> None:
        """Change an instrument's price and send it to whoever has subscribed to it, in each one's mode."""
        self.prices[key] = price
        for connection, modes in list(self._modes.items()):
            if key in modes:
                await connection.send(message({key: self._feed(key, modes[key])}, time_ms=time_ms))

    async def garbage(self) -> None:
        """Send what no decoder should choke on: noise, an empty message, texts."""
        whole = message({"NSE_EQ|INE002A01018": ltpc_feed(ltp=100.0)})
        await self.send(b"", b"\xff" * 300, whole[:-3], message({"NSE_EQ|": ltpc_feed(ltp=-1.0)}), "{", "text")

    def expire_token(self) -> None:
        """The nightly death: every connection ends abruptly, and the token of before gets 401 from now on."""
        self.access_token = f"the token after {self.access_token}"
        self.abort()

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != AUTHORIZE:
            return await super()._handshake(connection, request)
        self.authorisations += 1
        await self._tell()
        if self.refuse_with is not None:
            return connection.respond(self.refuse_with, f"{self.refuse_with.phrase}\n")
        if request.headers.get("Authorization") != f"Bearer {self.access_token}":
            return _json(connection, HTTPStatus.UNAUTHORIZED, {"status": "error", "errors": [{"message": "invalid"}]})
        code = str(next(self._numbers))
        self._codes.add(code)
        address = self.leads_to or f"{super().url}/market-data-feeder/v3/feeds?requestId={code}&code={code}"
        data = {"authorized_redirect_uri": address, "authorizedRedirectUri": address}
        return _json(connection, HTTPStatus.OK, {"status": "success", "data": data})

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
            self.subscribed.update(modes)

    def _feed(self, key: str, mode: str) -> Feed:
        price = self.prices.get(key, 100.0)
        if mode == "ltpc":
            return ltpc_feed(ltp=price)
        if key.startswith("NSE_INDEX|"):
            return index_feed(ltp=price)
        return market_feed(last={"ltp": price}, levels=[(10, price - 1, 20, price + 1)])


def _json(connection: ServerConnection, status: HTTPStatus, body: object) -> Response:
    response = connection.respond(status, json.dumps(body))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response
