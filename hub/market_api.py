"""`/api/v1/market`: prices, candles, indicators, symbols and the state of the markets.

What a plan has delayed on the socket it has delayed here too: prices are those of N minutes ago, and charts end there.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.identity import Identity
from channels.broker import Broker, Clock, Publication
from channels.channel import Channel, ChannelNames
from feeds.candles.bars import Bar
from feeds.candles.history import CandleHistory
from feeds.indicators.evaluation import evaluate
from feeds.indicators.indicator import history_for, parse_all
from feeds.instruments import Instrument, Instruments, Kind
from feeds.market_hours.sessions import ist_day
from hub.envelope import success
from hub.requests import Page, Verify, bearer, query
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES, PRICE_SCALE, CandlePayload, ist_text, scaled

MAX_SYMBOLS = 500
"""The most symbols that one request may ask prices of."""
MAX_BARS = 5000
"""The most candles that one chart holds."""
_FORMING_WANTED_S = 30.0
"""For how long a chart's forming candle is kept up to date after it was asked for."""

Exchange = Annotated[str, Meta(max_length=8)]
Timeframe = Annotated[str, Meta(pattern="^(1m|3m|5m|15m|30m|1h|1d)$")]


class ChartQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET chart/:symbol`: the last `days` days, or `limit` candles before `to` (Unix seconds)."""

    tf: Timeframe = "1h"
    days: Annotated[int, Meta(ge=1, le=3650)] = 1
    limit: Annotated[int, Meta(ge=1, le=MAX_BARS)] = MAX_BARS
    to: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    exchange: Exchange | None = None


class IndicatorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET indicators/:symbol`."""

    tf: Timeframe = "1h"
    names: Annotated[str, Meta(max_length=1000)] = "rsi,macd"
    exchange: Exchange | None = None


class PriceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET prices/:symbol`."""

    exchange: Exchange | None = None


class PricesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET prices`."""

    symbols: Annotated[str, Meta(max_length=64_000)] = ""


class SymbolsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET symbols`."""

    exchange: Exchange = "NSE"
    kind: Kind | None = None
    underlying: Annotated[str, Meta(max_length=32)] | None = None


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET search`."""

    q: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    exchange: Exchange | None = None
    kind: Kind | None = None


class MarketApi:
    """The routes of `/api/v1/market`. `delay_of`: by how many seconds a channel comes late to a bearer."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        verify: Verify,
        instruments: Callable[[], Instruments],
        history: CandleHistory,
        delay_of: Callable[[Identity, Channel], int],
        clock: Clock = time.time,
    ) -> None:
        self._broker = broker
        self._names = names
        self._verify = verify
        self._instruments = instruments
        self._history = history
        self._delay_of = delay_of
        self._clock = clock

    @property
    def routes(self) -> list[Route]:
        """To be mounted at `/api/v1/market`."""
        return [
            Route("/prices", self.prices),
            Route("/prices/{symbol:path}", self.price),
            Route("/chart/{symbol:path}", self.chart),
            Route("/indicators/{symbol:path}", self.indicators),
            Route("/symbols", self.symbols),
            Route("/search", self.search),
            Route("/status", self.status),
        ]

    async def price(self, request: Request) -> Response:
        """`GET prices/:symbol`: the last price of `RELIANCE`, `NSE:RELIANCE`, or with `?exchange=BSE`."""
        identity = await bearer(request, self._verify)
        asked = query(request, PriceQuery)
        channel = self._channel("market", request.path_params["symbol"], asked.exchange)
        found = await self._last(identity, [channel])
        if channel.name not in found:
            self._require(channel)
            raise CommandError(ErrorCode.NOT_FOUND, f"No price of {channel.exchange}:{channel.symbol} yet")
        return success(_price(channel, found[channel.name]))

    async def prices(self, request: Request) -> Response:
        """`GET prices?symbols=A,B`: the last prices of several; those without one are named in `missing`."""
        identity = await bearer(request, self._verify)
        symbols = [name for name in query(request, PricesQuery).symbols.split(",") if name.strip()]
        if not symbols:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `symbols`, comma separated")
        if len(symbols) > MAX_SYMBOLS:
            raise CommandError(ErrorCode.LIMIT_EXCEEDED, f"At most {MAX_SYMBOLS} symbols a request")
        channels = [self._names.parse(f"market:{symbol.strip()}") for symbol in symbols]
        found = await self._last(identity, channels)
        return success(
            {
                "prices": [_price(one, found[one.name]) for one in channels if one.name in found],
                "missing": [f"{one.exchange}:{one.symbol}" for one in channels if one.name not in found],
            }
        )

    async def chart(self, request: Request) -> Response:
        """`GET chart/:symbol?tf=1h&days=1`: candles, oldest first, the forming one last with `closed: false`."""
        identity = await bearer(request, self._verify)
        asked = query(request, ChartQuery)
        channel = self._channel(f"candles:{asked.tf}", request.path_params["symbol"], asked.exchange)
        bars = await self._bars(identity, channel, asked.limit, asked.to)
        if not bars:
            self._require(channel)
        days = sorted({ist_day(bar.start_ms) for bar in bars})[-asked.days :]
        candles = [_candle(bar) for bar in bars if days and ist_day(bar.start_ms) >= days[0]]
        return success({**_place(channel), "tf": asked.tf, "candles": candles})

    async def indicators(self, request: Request) -> Response:
        """`GET indicators/:symbol?tf=1h&names=rsi,macd(12,26,9)`: their values at the newest candle, null without."""
        identity = await bearer(request, self._verify)
        asked = query(request, IndicatorsQuery)
        wanted = parse_all(asked.names)
        if not wanted:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `names`, comma separated")
        channel = self._channel(f"candles:{asked.tf}", request.path_params["symbol"], asked.exchange)
        bars = await self._bars(identity, channel, history_for(wanted.values()))
        if not bars:
            self._require(channel)
        values = await asyncio.to_thread(evaluate, wanted, bars)
        newest = {"time": ist_text(bars[-1].start_ms), "closed": bars[-1].closed} if bars else {}
        return success({**_place(channel), "tf": asked.tf, **newest, "candles": len(bars), "indicators": values})

    async def symbols(self, request: Request) -> Response:
        """`GET symbols?exchange=NSE`: all instruments of an exchange by symbol, a page at a time."""
        await bearer(request, self._verify)
        asked = query(request, SymbolsQuery)
        exchange = asked.exchange.upper()
        if exchange not in EXCHANGES:
            raise CommandError(ErrorCode.BAD_REQUEST, f"Expected an exchange out of {' '.join(sorted(EXCHANGES))}")
        fitting = [
            one
            for one in self._instruments().listed(exchange)
            if asked.kind in (None, one.kind) and asked.underlying in (None, one.underlying)
        ]
        if asked.order == "desc" and asked.sort == "symbol":
            fitting.reverse()
        page = fitting[asked.offset : asked.offset + asked.limit]
        return success(asked.of([_instrument(one) for one in page], len(fitting)))

    async def search(self, request: Request) -> Response:
        """`GET search?q=reliance`: instruments by symbol, name, ISIN, or `NIFTY 24000 CE`; the best first."""
        await bearer(request, self._verify)
        asked = query(request, SearchQuery)
        exchange = asked.exchange.upper() if asked.exchange else None
        found = self._instruments().search(asked.q, limit=asked.limit, exchange=exchange, kind=asked.kind)
        return success({"items": [_instrument(one) for one in found]})

    async def status(self, request: Request) -> Response:
        """`GET status`: what the markets and the feeds are doing."""
        await bearer(request, self._verify)
        channels = {name: self._names.parse(f"status:{name}") for name in ("market", "feeds")}
        found = await self._broker.last(channels.values())
        return success(
            {
                name: orjson.loads(found[channel.name].payload) if channel.name in found else {}
                for name, channel in channels.items()
            }
        )

    def _channel(self, prefix: str, symbol: str, exchange: str | None) -> Channel:
        return self._names.parse(f"{prefix}:{exchange}:{symbol}" if exchange else f"{prefix}:{symbol}")

    def _require(self, channel: Channel) -> None:
        if self._instruments().get(channel.exchange or "", channel.symbol or "") is None:
            raise CommandError(ErrorCode.INVALID_SYMBOL, f"No instrument {channel.exchange}:{channel.symbol}")

    async def _last(self, identity: Identity, channels: Sequence[Channel]) -> Mapping[str, Publication]:
        """The newest values that the bearer may have, by the channels' own names."""
        heard = {one.name: self._heard(identity, one) for one in channels}
        found = await self._broker.last(heard.values())
        return {name: found[channel.name] for name, channel in heard.items() if channel.name in found}

    def _heard(self, identity: Identity, channel: Channel) -> Channel:
        delay_s = self._delay_of(identity, channel)
        return channel.delayed(delay_s) if delay_s else channel

    async def _bars(self, identity: Identity, channel: Channel, limit: int, to_s: int | None = None) -> list[Bar]:
        """The last `limit` bars, up to what the bearer may see, the forming one among them."""
        heard = self._heard(identity, channel)
        now_s = int(self._clock()) - heard.delay_s
        exchange, symbol, timeframe = channel.exchange or "", channel.symbol or "", channel.timeframe or ""
        until_s = now_s + 1 if to_s is None else min(to_s, now_s + 1)
        bars = await self._history.between(exchange, symbol, timeframe, 0, until_s, limit=limit)
        if heard.delay_s:  # a bar that ended later would show what is not to be seen yet
            bars = [bar for bar in bars if bar.end_ms <= now_s * 1000]
        if until_s <= now_s:
            return bars
        await self._broker.demand([channel.name], _FORMING_WANTED_S)
        found = await self._broker.last([heard])
        if heard.name in found:
            newest = _bar(channel, found[heard.name])
            if not bars or newest.start_ms > bars[-1].start_ms:
                bars = [*bars, newest][-limit:]
        return bars


def _place(channel: Channel) -> dict[str, Any]:
    return {"exchange": channel.exchange, "symbol": channel.symbol}


def _price(channel: Channel, publication: Publication) -> dict[str, Any]:
    return {**_place(channel), **orjson.loads(publication.payload), "seq": publication.offset}


def _bar(channel: Channel, publication: Publication) -> Bar:
    """A candle as it was published."""
    candle = msgspec.json.decode(publication.payload, type=CandlePayload)
    start_ms = int(datetime.fromisoformat(candle.start).timestamp() * 1000)
    return Bar(
        exchange=channel.exchange or "",
        symbol=channel.symbol or "",
        timeframe=channel.timeframe or "",
        start_ms=start_ms,
        end_ms=start_ms,
        open=scaled(candle.open),
        high=scaled(candle.high),
        low=scaled(candle.low),
        close=scaled(candle.close),
        volume=candle.volume,
        open_interest=candle.open_interest,
        gap=bool(candle.gap),
        closed=bool(candle.closed),
    )


def _candle(bar: Bar) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": ist_text(bar.start_ms),
        "open": bar.open / PRICE_SCALE,
        "high": bar.high / PRICE_SCALE,
        "low": bar.low / PRICE_SCALE,
        "close": bar.close / PRICE_SCALE,
        "volume": bar.volume,
        "closed": bar.closed,
    }
    if bar.open_interest is not None:
        fields["open_interest"] = bar.open_interest
    if bar.gap:
        fields["gap"] = True
    return fields


def _instrument(one: Instrument) -> dict[str, Any]:
    """An instrument for the outside: decimals, and only what it has."""
    fields: dict[str, Any] = {
        "exchange": one.exchange,
        "symbol": one.symbol,
        "name": one.name,
        "kind": one.kind,
        "tick_size": one.tick_size / PRICE_SCALE,
        "lot_size": one.lot_size,
        "has_derivatives": one.has_derivatives,
    }
    more: dict[str, Any] = {
        "isin": one.isin,
        "series": one.series,
        "underlying": one.underlying,
        "expiry": one.expiry.isoformat() if one.expiry else "",
        "strike": None if one.strike is None else one.strike / PRICE_SCALE,
        "option_type": one.option_type,
        "lower_circuit": None if one.lower_circuit is None else one.lower_circuit / PRICE_SCALE,
        "upper_circuit": None if one.upper_circuit is None else one.upper_circuit / PRICE_SCALE,
    }
    return fields | {name: value for name, value in more.items() if value not in ("", None)}
