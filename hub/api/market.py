"""`/api/v1/market`: prices, candles, indicators, symbols and the state of the markets.

What a plan has delayed on the socket it has delayed here too: prices are those of N minutes ago, and charts end there.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from auth.identity import Identity
from auth.limits import Rule
from channels.broker import Broker, Clock, Publication
from channels.channel import Channel, ChannelNames
from feeds.candles.bars import LENGTHS_MS
from feeds.indicators.evaluation import Line, Value, evaluate, lines
from feeds.indicators.indicator import history_for, parse_all
from feeds.instruments import Instruments, Kind
from hub.api import market_view
from hub.api.candles import Candles, DelayOf, last_days, renewed
from hub.api.market_view import CandleView, InstrumentView, PriceBytes
from hub.api.wishes import Wishes
from hub.http.endpoint import Call, Endpoint
from hub.http.requests import ExchangeText, Page, Timeframe, exchange_of, moment_of
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode
from schemas.market import ist_text

MAX_SYMBOLS = 500
"""The most symbols that one request may ask prices of."""
MAX_BARS = 5000
"""The most candles that one chart holds."""
MAX_LINED = 1000
"""The most of one with indicators: computing and writing more would hold up everybody's prices."""
OLD_S: Seconds = 60.0
"""A price that nobody wanted until now may be so old before a newer one is waited for."""
MAX_LINES = 10
"""The most indicators of one chart."""

_DAY_MS = 86_400_000
_LOOKUP = Rule.LOOKUP

_ONE = (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.INVALID_SYMBOL, ErrorCode.NOT_FOUND, ErrorCode.PERMISSION_DENIED)
_MANY = (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.INVALID_SYMBOL, ErrorCode.LIMIT_EXCEEDED, ErrorCode.PERMISSION_DENIED)


class ChartQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET market/chart/{symbol}`.

    The last `days` days that have candles, the last `limit` of these, before `to`. Without either it is one day.
    """

    tf: Timeframe = "1h"
    days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_BARS)] | None = None
    to: Annotated[str, Meta(max_length=40)] | None = None
    exchange: ExchangeText | None = None
    indicators: Annotated[str, Meta(max_length=1000)] | None = None
    """Comma separated: `sma(20),rsi,macd(12,26,9)`; at most 10."""


class IndicatorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET market/indicators/{symbol}`."""

    tf: Timeframe = "1h"
    names: Annotated[str, Meta(max_length=1000)] = "rsi,macd"
    exchange: ExchangeText | None = None


class PriceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET market/prices/{symbol}`."""

    exchange: ExchangeText | None = None


class PricesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET prices`."""

    symbols: Annotated[str, Meta(max_length=20_000, pattern=r"^[\x00-\x7F]*$")] = ""
    """So bounded, it is never too long for a request's first line, of which the server takes 64 KiB."""


class SymbolsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET symbols`."""

    exchange: ExchangeText = "NSE"
    kind: Kind | None = None
    underlying: Annotated[str, Meta(max_length=48)] | None = None


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET search`."""

    q: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    exchange: ExchangeText | None = None
    kind: Kind | None = None


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """Last prices, in the order asked for; `missing` names those without one."""

    prices: list[PriceBytes]
    missing: list[str]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Candles, oldest first.

    `indicators`, where they were asked for, have a value for each candle, by the names that they were asked by; null
    while history is too short.
    """

    exchange: str
    symbol: str
    tf: str
    candles: list[CandleView]
    indicators: dict[str, Line | dict[str, Line]] | UnsetType = UNSET


class IndicatorValues(msgspec.Struct, frozen=True, kw_only=True):
    """Indicators at the newest candle, by the names that they were asked by; null while history is too short.

    `time` and `closed` are that candle's, and missing where there is none; `candles` is how many were counted with.
    """

    exchange: str
    symbol: str
    tf: str
    candles: int
    indicators: dict[str, Value]
    time: str | UnsetType = UNSET
    closed: bool | UnsetType = UNSET


class InstrumentPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of instruments."""

    items: list[InstrumentView]
    total: int
    page: int
    limit: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Instruments that a search found, the best first."""

    items: list[InstrumentView]


class MarketStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `status:market` and `status:feeds` last said; empty before they said anything."""

    market: dict[str, Any]
    feeds: dict[str, Any]


class MarketApi:
    """Markets over HTTP. `delay_of`: by how many seconds a channel comes late to a bearer."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        instruments: Callable[[], Instruments],
        candles: Candles,
        delay_of: DelayOf,
        clock: Clock = time.time,
    ) -> None:
        self._broker = broker
        self._names = names
        self._instruments = instruments
        self._candles = candles
        self._delay_of = delay_of
        self._clock = clock
        self._wishes = Wishes(broker)

    @property
    def endpoints(self) -> list[Endpoint]:
        """All of `/market`."""
        return [
            Endpoint("GET", "/market/prices", self.prices, scope="market", errors=_MANY),
            Endpoint("GET", "/market/prices/{symbol:path}", self.price, scope="market", errors=_ONE),
            Endpoint("GET", "/market/chart/{symbol:path}", self.chart, scope="market", limit=_LOOKUP, errors=_ONE),
            Endpoint("GET", "/market/indicators/{symbol:path}", self.indicators, scope="market", errors=_ONE),
            Endpoint("GET", "/market/symbols", self.symbols, scope="market", limit=_LOOKUP),
            Endpoint("GET", "/market/search", self.search, scope="market", limit=_LOOKUP),
            Endpoint("GET", "/market/status", self.status, scope="market"),
        ]

    async def price(self, call: Call, query: PriceQuery) -> PriceBytes:
        """Last price of one instrument.

        The symbol is `RELIANCE`, `NSE:RELIANCE`, or one with `?exchange=BSE`. A plan that has an exchange delayed gets
        the price of so many minutes ago.
        """
        channel = self._channel("market", call.path("symbol"), query.exchange)
        found = await self._last(call.caller, [channel])
        if channel.name not in found:
            self._require(channel)
            place = f"{channel.exchange}:{channel.symbol}"
            raise CommandError(ErrorCode.NOT_FOUND, "No price of {place} yet", place=place)
        return market_view.price(channel, found[channel.name])

    async def prices(self, call: Call, query: PricesQuery) -> PriceList:
        """Last prices of several instruments.

        `symbols` is comma separated, at most 500. Those without a price are named in `missing`.
        """
        symbols = [name for name in query.symbols.split(",") if name.strip()]
        if not symbols:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `symbols`, comma separated")
        if len(symbols) > MAX_SYMBOLS:
            raise CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {count} symbols a request", count=MAX_SYMBOLS)
        channels = list(dict.fromkeys(self._names.parse(f"market:{symbol.strip()}") for symbol in symbols))
        found = await self._last(call.caller, channels)
        return PriceList(
            prices=[market_view.price(one, found[one.name]) for one in channels if one.name in found],
            missing=[f"{one.exchange}:{one.symbol}" for one in channels if one.name not in found],
        )

    async def chart(self, call: Call, query: ChartQuery) -> Chart:
        """Candles of one instrument, and indicators over them.

        Oldest first, the forming one last with `closed: false`: the last `days` days that have candles, the last
        `limit` of these, before `to`. Without any of them it is one day. With `indicators` they are at most 1,000;
        candles before those shown are counted too.
        """
        wanted = parse_all(query.indicators or "", most=MAX_LINES)
        channel = self._channel(f"candles:{query.tf}", call.path("symbol"), query.exchange)
        days = 1 if query.days is None and query.limit is None else query.days
        limit = query.limit or MAX_BARS
        if days is not None:
            limit = min(limit, days * _DAY_MS // LENGTHS_MS.get(query.tf, _DAY_MS))
        to_s = None if query.to is None else moment_of(query.to, "?to")
        if wanted:
            limit = min(limit, MAX_LINED)
        before = history_for(wanted.values()) if wanted else 0
        bars = await self._candles.newest(call.caller, channel, limit + before, to_s)
        if not bars:
            self._require(channel)
        shown = last_days(bars[-limit:], days)
        return Chart(
            **market_view.place(channel),
            tf=query.tf,
            candles=[market_view.candle(bar) for bar in shown],
            indicators=UNSET if query.indicators is None else await asyncio.to_thread(lines, wanted, bars, len(shown)),
        )

    async def indicators(self, call: Call, query: IndicatorsQuery) -> IndicatorValues:
        """Values of technical indicators at the newest candle.

        `names` is comma separated: `rsi,macd(12,26,9)`.
        """
        wanted = parse_all(query.names)
        if not wanted:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `names`, comma separated")
        channel = self._channel(f"candles:{query.tf}", call.path("symbol"), query.exchange)
        bars = await self._candles.newest(call.caller, channel, history_for(wanted.values()))
        if not bars:
            self._require(channel)
        return IndicatorValues(
            **market_view.place(channel),
            tf=query.tf,
            candles=len(bars),
            indicators=await asyncio.to_thread(evaluate, wanted, bars),
            time=ist_text(bars[-1].start_ms) if bars else UNSET,
            closed=bars[-1].closed if bars else UNSET,
        )

    async def symbols(self, call: Call, query: SymbolsQuery) -> InstrumentPage:
        """All instruments of an exchange, by symbol."""
        query.sorted_by("symbol")
        fitting = [
            one
            for one in self._instruments().listed(exchange_of(query.exchange))
            if query.kind in (None, one.kind) and query.underlying in (None, one.underlying)
        ]
        if query.order == "desc":
            fitting.reverse()
        page = fitting[query.offset : query.offset + query.limit]
        items = [market_view.instrument(one) for one in page]
        return InstrumentPage(items=items, total=len(fitting), page=query.page, limit=query.limit)

    async def search(self, call: Call, query: SearchQuery) -> Found:
        """Instruments by symbol, name or ISIN.

        Also by words of an option: `NIFTY 24000 CE`. The best come first.
        """
        exchange = exchange_of(query.exchange) if query.exchange is not None else None
        found = self._instruments().search(query.q, limit=query.limit, exchange=exchange, kind=query.kind)
        return Found(items=[market_view.instrument(one) for one in found])

    async def status(self, call: Call) -> MarketStatus:
        """What the markets and the feeds are doing."""
        channels = [self._names.parse(f"status:{name}") for name in ("market", "feeds")]
        found = await self._broker.last(channels)
        market, feeds = (orjson.loads(found[one.name].payload) if one.name in found else {} for one in channels)
        return MarketStatus(market=market, feeds=feeds)

    def _channel(self, prefix: str, symbol: str, exchange: str | None) -> Channel:
        place = symbol if exchange is None else f"{exchange_of(exchange)}:{symbol}"
        return self._names.parse(f"{prefix}:{place}")

    def _require(self, channel: Channel) -> None:
        if not self._is_listed(channel):
            place = f"{channel.exchange}:{channel.symbol}"
            raise CommandError(ErrorCode.INVALID_SYMBOL, "No instrument {place}", place=place)

    def _is_listed(self, channel: Channel) -> bool:
        return self._instruments().get(channel.exchange or "", channel.symbol or "") is not None

    def _heard(self, identity: Identity, channel: Channel) -> Channel:
        delay_s = self._delay_of(identity, channel)
        return channel.delayed(delay_s) if delay_s else channel

    # -- prices -----------------------------------------------------------------------------------------------------

    async def _last(self, identity: Identity, channels: Sequence[Channel]) -> Mapping[str, Publication]:
        """The newest values that the bearer may have, by the channels' own names."""
        heard = {one.name: self._heard(identity, one) for one in channels}
        found: Mapping[str, Publication] = await self._broker.last(heard.values())
        if await self._wishes.want([one.name for one in channels if self._is_listed(one)]):
            old = [one for one in heard.values() if self._may_renew(one, found.get(one.name))]
            found = await renewed(self._broker, old, found)
        return {name: found[channel.name] for name, channel in heard.items() if channel.name in found}

    def _may_renew(self, channel: Channel, publication: Publication | None) -> bool:
        """Whether a feed that is told of a wish may soon bring something newer."""
        if channel.delay_s or not self._is_listed(channel):
            return False
        if publication is None:
            return True
        time_ms = market_view.price_time_ms(publication)
        closed = b'"state":"closed"' in publication.payload
        return not closed and time_ms is not None and self._clock() - time_ms / 1000 > OLD_S
