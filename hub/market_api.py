"""`/api/v1/market`: prices, candles, indicators, symbols and the state of the markets.

What a plan has delayed on the socket it has delayed here too: prices are those of N minutes ago, and charts end there.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec
import orjson
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.identity import Identity
from channels.broker import Broker, Clock, Publication
from channels.channel import Channel, ChannelNames
from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.candles.history import CandleHistory
from feeds.indicators.evaluation import evaluate
from feeds.indicators.indicator import history_for, parse_all
from feeds.instruments import Instruments, Kind
from feeds.market_hours.sessions import ist_day
from hub import market_view
from hub.envelope import success
from hub.requests import ExchangeText, NothingQuery, Page, Timeframe, Verify, bearer, exchange_of, moment_of, query
from hub.wishes import Wishes
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode
from schemas.market import ist_text

MAX_SYMBOLS = 500
"""The most symbols that one request may ask prices of."""
MAX_BARS = 5000
"""The most candles that one chart holds."""
OLD_S: Seconds = 60.0
"""A price that nobody wanted until now may be so old before a newer one is waited for."""
POLL_S: Seconds = 0.05
POLLS = 15
"""How long a feed is waited for, once something is wanted that was not before."""

_DAY_MS = 86_400_000


class ChartQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET chart/:symbol`: the last `days` days that have candles, the last `limit` of these, before `to`.

    Without either it is one day.
    """

    tf: Timeframe = "1h"
    days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_BARS)] | None = None
    to: Annotated[str, Meta(max_length=40)] | None = None
    exchange: ExchangeText | None = None


class IndicatorsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET indicators/:symbol`."""

    tf: Timeframe = "1h"
    names: Annotated[str, Meta(max_length=1000)] = "rsi,macd"
    exchange: ExchangeText | None = None


class PriceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET prices/:symbol`."""

    exchange: ExchangeText | None = None


class PricesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET prices`."""

    symbols: Annotated[str, Meta(max_length=64_000)] = ""


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
        self._wishes = Wishes(broker)

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
        return success(market_view.price(channel, found[channel.name]))

    async def prices(self, request: Request) -> Response:
        """`GET prices?symbols=A,B`: the last prices of several; those without one are named in `missing`."""
        identity = await bearer(request, self._verify)
        symbols = [name for name in query(request, PricesQuery).symbols.split(",") if name.strip()]
        if not symbols:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `symbols`, comma separated")
        if len(symbols) > MAX_SYMBOLS:
            raise CommandError(ErrorCode.LIMIT_EXCEEDED, f"At most {MAX_SYMBOLS} symbols a request")
        channels = list(dict.fromkeys(self._names.parse(f"market:{symbol.strip()}") for symbol in symbols))
        found = await self._last(identity, channels)
        return success(
            {
                "prices": [market_view.price(one, found[one.name]) for one in channels if one.name in found],
                "missing": [f"{one.exchange}:{one.symbol}" for one in channels if one.name not in found],
            }
        )

    async def chart(self, request: Request) -> Response:
        """`GET chart/:symbol?tf=1h&days=1`: candles, oldest first, the forming one last with `closed: false`."""
        identity = await bearer(request, self._verify)
        asked = query(request, ChartQuery)
        channel = self._channel(f"candles:{asked.tf}", request.path_params["symbol"], asked.exchange)
        days = 1 if asked.days is None and asked.limit is None else asked.days
        limit = asked.limit or MAX_BARS
        if days is not None:
            limit = min(limit, days * _DAY_MS // LENGTHS_MS.get(asked.tf, _DAY_MS))
        bars = await self._bars(identity, channel, limit, None if asked.to is None else moment_of(asked.to, "?to"))
        if not bars:
            self._require(channel)
        candles = [market_view.candle(bar) for bar in _last_days(bars, days)]
        return success({**market_view.place(channel), "tf": asked.tf, "candles": candles})

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
        about = {**market_view.place(channel), "tf": asked.tf, **newest, "candles": len(bars)}
        return success({**about, "indicators": values})

    async def symbols(self, request: Request) -> Response:
        """`GET symbols?exchange=NSE`: all instruments of an exchange by symbol, a page at a time."""
        await bearer(request, self._verify)
        asked = query(request, SymbolsQuery)
        asked.sorted_by("symbol")
        fitting = [
            one
            for one in self._instruments().listed(exchange_of(asked.exchange))
            if asked.kind in (None, one.kind) and asked.underlying in (None, one.underlying)
        ]
        if asked.order == "desc":
            fitting.reverse()
        page = fitting[asked.offset : asked.offset + asked.limit]
        return success(asked.of([market_view.instrument(one) for one in page], len(fitting)))

    async def search(self, request: Request) -> Response:
        """`GET search?q=reliance`: instruments by symbol, name, ISIN, or `NIFTY 24000 CE`; the best first."""
        await bearer(request, self._verify)
        asked = query(request, SearchQuery)
        exchange = exchange_of(asked.exchange) if asked.exchange is not None else None
        found = self._instruments().search(asked.q, limit=asked.limit, exchange=exchange, kind=asked.kind)
        return success({"items": [market_view.instrument(one) for one in found]})

    async def status(self, request: Request) -> Response:
        """`GET status`: what the markets and the feeds are doing."""
        await bearer(request, self._verify)
        query(request, NothingQuery)
        channels = {name: self._names.parse(f"status:{name}") for name in ("market", "feeds")}
        found = await self._broker.last(channels.values())
        return success(
            {
                name: orjson.loads(found[channel.name].payload) if channel.name in found else {}
                for name, channel in channels.items()
            }
        )

    def _channel(self, prefix: str, symbol: str, exchange: str | None) -> Channel:
        place = symbol if exchange is None else f"{exchange_of(exchange)}:{symbol}"
        return self._names.parse(f"{prefix}:{place}")

    def _require(self, channel: Channel) -> None:
        if not self._is_listed(channel):
            raise CommandError(ErrorCode.INVALID_SYMBOL, f"No instrument {channel.exchange}:{channel.symbol}")

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
            found = await self._renewed(old, found)
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

    async def _renewed(self, old: Sequence[Channel], found: Mapping[str, Publication]) -> Mapping[str, Publication]:
        """What was found, with what comes of the old ones within POLLS times POLL_S."""
        for _ in range(POLLS):
            if not old:
                break
            await asyncio.sleep(POLL_S)
            newer = await self._broker.last(old)
            old = [one for one in old if newer.get(one.name) == found.get(one.name)]
            found = {**found, **newer}
        return found

    # -- candles ----------------------------------------------------------------------------------------------------

    async def _bars(self, identity: Identity, channel: Channel, limit: int, to_s: int | None = None) -> list[Bar]:
        """The last `limit` bars that start before `to_s`, up to what the bearer may see, the forming one among them."""
        heard = self._heard(identity, channel)
        now_s = int(self._clock()) - heard.delay_s
        exchange, symbol, timeframe = channel.exchange or "", channel.symbol or "", channel.timeframe or ""
        until_s = now_s + 1 if to_s is None else min(to_s, now_s + 1)
        bars = await self._history.between(exchange, symbol, timeframe, 0, until_s, limit=limit)
        if heard.delay_s:  # a bar that ended later would show what is not to be seen yet
            bars = [bar for bar in bars if bar.end_ms <= now_s * 1000]
        newest = await self._forming(channel, heard, bars) if until_s > now_s else None
        if newest is None or (bars and newest.start_ms < bars[-1].start_ms):
            return bars
        if bars and newest.start_ms == bars[-1].start_ms:  # what a process that ended left of it
            bars.pop()
        return [*bars, newest][-limit:]

    async def _forming(self, channel: Channel, heard: Channel, bars: Sequence[Bar]) -> Bar | None:
        """The newest candle that was told; feeds tell the forming ones that somebody wants."""
        new = self._is_listed(channel) and await self._wishes.want([channel.name])
        found: Mapping[str, Publication] = await self._broker.last([heard])
        if new and not heard.delay_s and await self._moves(channel, bars):
            found = await self._renewed([heard], found)
        return market_view.bar_of(channel, found[heard.name]) if heard.name in found else None

    async def _moves(self, channel: Channel, bars: Sequence[Bar]) -> bool:
        """Whether there was a price after the last closed candle, so that one is forming."""
        market = self._names.parse(f"market:{channel.exchange}:{channel.symbol}")
        found = await self._broker.last([market])
        time_ms = market_view.price_time_ms(found[market.name]) if market.name in found else None
        return time_ms is not None and (not bars or time_ms >= bars[-1].end_ms)


def _last_days(bars: Sequence[Bar], count: int | None) -> Sequence[Bar]:
    """Those of the last so many days in India that have any."""
    if count is None or not bars:
        return bars
    days = sorted({ist_day(bar.start_ms) for bar in bars})[-count:]
    return [bar for bar in bars if ist_day(bar.start_ms) >= days[0]]
