"""`/api/v1/signals`: trading signals, read by who may hear their channels, given and changed by servers.

A signal given here goes the way of all others: into the database first, then to its two channels.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.identity import Identity, Role
from auth.permissions import allow, allow_server
from channels.broker import Broker, Clock
from channels.channel import Channel, ChannelNames
from feeds.instruments import Instruments
from feeds.market_hours.sessions import day_start_ms, ist_day
from feeds.signals.rules import SignalType
from feeds.signals.signal import Draft, Signal, Source, Status
from feeds.signals.statistics import daily
from feeds.signals.store import SORTS, Changes, SignalStore, Wanted
from feeds.signals.worker import LIFETIME_S, SignalWorker
from hub.envelope import success
from hub.requests import (
    ExchangeText,
    NothingQuery,
    Page,
    Timeframe,
    Verify,
    bearer,
    body,
    exchange_of,
    moment_of,
    query,
)
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES, PRICE_SCALE, PositiveDecimal, ist_text, scaled

_DAY_MS = 86_400_000
_ID = re.compile(r"[0-9]{1,18}")

SymbolText = Annotated[str, Meta(min_length=1, max_length=72)]
"""A symbol, perhaps with its exchange before it."""
TimeText = Annotated[str, Meta(max_length=40)]
Confidence = Annotated[float, Meta(ge=0, le=100)]
Reason = Annotated[str, Meta(max_length=4000)] | dict[str, Any]


class SignalsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET signals`; times from inclusive, to exclusive."""

    symbol: SymbolText | None = None
    exchange: ExchangeText | None = None
    timeframe: Timeframe | None = None
    signal_type: SignalType | None = None
    status: Status | None = None
    source: Source | None = None
    min_confidence: Confidence | None = None
    since: TimeText | None = msgspec.field(name="from", default=None)
    to: TimeText | None = None


class StatsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET signals/stats/daily`: the last `days` days, today among them."""

    days: Annotated[int, Meta(ge=1, le=366)] = 7
    exchange: ExchangeText | None = None
    symbol: SymbolText | None = None


class SignalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST signals`."""

    symbol: SymbolText
    signal_type: SignalType
    confidence: Confidence
    exchange: ExchangeText | None = None
    timeframe: Timeframe | None = None
    entry_price: PositiveDecimal | None = None
    target_price: PositiveDecimal | None = None
    stop_loss: PositiveDecimal | None = None
    ml_score: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    reason: Reason | None = None
    expires_at: int | TimeText | None = None


class ChangesBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT signals/:id`: what is to change. `close_price` goes with the status CLOSED."""

    confidence: Confidence | UnsetType = UNSET
    entry_price: PositiveDecimal | UnsetType | None = UNSET
    target_price: PositiveDecimal | UnsetType | None = UNSET
    stop_loss: PositiveDecimal | UnsetType | None = UNSET
    reason: Reason | UnsetType | None = UNSET
    expires_at: int | TimeText | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    close_price: PositiveDecimal | UnsetType | None = UNSET


class SignalsApi:
    """The routes of signals. `delay_s` raises CommandError where a bearer's plan has nothing of an exchange."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        engine: AsyncEngine,
        verify: Verify,
        instruments: Callable[[], Instruments],
        delay_s: Callable[[Identity, str], int],
        clock: Clock = time.time,
    ) -> None:
        self._broker = broker
        self._names = names
        self._engine = engine
        self._verify = verify
        self._instruments = instruments
        self._delay_s = delay_s
        self._clock = clock
        self._store = SignalStore(engine)
        self._worker = SignalWorker(
            self._store, self._publish, history=_no_candles, tick_size_of=lambda *_: None, clock=clock
        )
        self._namespace = names.parse("signals:generated").namespace

    @property
    def routes(self) -> list[Route]:
        """To be mounted at `/api/v1`."""
        return [
            Route("/signals", self.many, methods=["GET", "POST"]),
            Route("/signals/stats/daily", self.stats),
            Route("/signals/{id}", self.one, methods=["GET", "PUT", "DELETE"]),
        ]

    async def many(self, request: Request) -> Response:
        """`GET` and `POST signals`."""
        return await (self._create(request) if request.method == "POST" else self._list(request))

    async def one(self, request: Request) -> Response:
        """`GET`, `PUT` and `DELETE signals/:id`."""
        match request.method:
            case "PUT":
                return await self._update(request)
            case "DELETE":
                return await self._delete(request)
            case _:
                return await self._get(request)

    async def stats(self, request: Request) -> Response:
        """`GET signals/stats/daily?days=7`: how the signals of each day have done, the newest day first."""
        identity = await self._reader(request)
        asked = query(request, StatsQuery)
        exchange, symbol = self._instrument(identity, asked.exchange, asked.symbol)
        now_ms = int(self._clock() * 1000)
        from_ms = day_start_ms(ist_day(now_ms)) - (asked.days - 1) * _DAY_MS
        found = await daily(
            self._engine,
            from_s=from_ms // 1000,
            to_s=now_ms // 1000 + 1,
            exchange=exchange,
            symbol=symbol,
            hidden=self._hidden(identity),
        )
        return success({"days": asked.days, "items": found})

    async def _list(self, request: Request) -> Response:
        identity = await self._reader(request)
        asked = query(request, SignalsQuery)
        exchange, symbol = self._instrument(identity, asked.exchange, asked.symbol)
        wanted = Wanted(
            exchange=exchange,
            hidden=self._hidden(identity),
            symbol=symbol,
            timeframe=asked.timeframe,
            signal_type=asked.signal_type,
            status=asked.status,
            source=asked.source,
            min_confidence=asked.min_confidence,
            from_s=None if asked.since is None else moment_of(asked.since, "?from"),
            to_s=None if asked.to is None else moment_of(asked.to, "?to"),
        )
        sort = asked.sorted_by("created_at", *SORTS)
        found, total = await self._store.find(
            wanted, page=asked.page, limit=asked.limit, sort=sort, descending=asked.order != "asc"
        )
        return success(asked.of([_shown(one) for one in found], total))

    async def _get(self, request: Request) -> Response:
        identity = await self._reader(request)
        query(request, NothingQuery)
        signal = await self._store.get(_id(request))
        if signal.exchange in self._hidden(identity):
            raise _not_found(signal.id)
        return success(_shown(signal))

    async def _create(self, request: Request) -> Response:
        identity = await self._writer(request)
        asked = await body(request, SignalBody)
        channel = self._channel(asked.exchange, asked.symbol, place="$.exchange")
        await self._require(channel)
        self._check_reason(asked.reason)
        draft = Draft(
            exchange=channel.exchange or "",
            symbol=channel.symbol or "",
            signal_type=asked.signal_type,
            confidence=asked.confidence,
            timeframe=asked.timeframe,
            entry_price=_scaled(asked.entry_price),
            target_price=_scaled(asked.target_price),
            stop_loss=_scaled(asked.stop_loss),
            ml_score=asked.ml_score,
            reason=asked.reason,
            created_by=identity.user,
            expires_at=self._now_s() + LIFETIME_S if asked.expires_at is None else self._future(asked.expires_at),
        )
        return success(_shown(await self._worker.create(draft)), 201)

    async def _update(self, request: Request) -> Response:
        identity = await self._writer(request)
        asked = await body(request, ChangesBody)
        self._check_reason(None if asked.reason is UNSET else asked.reason)
        changes = Changes(
            confidence=asked.confidence,
            entry_price=_scaled(asked.entry_price),
            target_price=_scaled(asked.target_price),
            stop_loss=_scaled(asked.stop_loss),
            reason=asked.reason,
            expires_at=UNSET if asked.expires_at is UNSET else self._future(asked.expires_at),
            status=asked.status,
            close_price=_scaled(asked.close_price),
        )
        return success(_shown(await self._store.update(_id(request), changes, by=identity.user, now_s=self._now_s())))

    async def _delete(self, request: Request) -> Response:
        identity = await self._writer(request)
        await self._store.delete(_id(request), by=identity.user, now_s=self._now_s())
        return success({})

    # -- who and what -------------------------------------------------------------------------------------------------

    async def _reader(self, request: Request) -> Identity:
        """Who asks, and may hear signals; who may give them may read them, whatever the plan."""
        identity = await bearer(request, self._verify)
        if identity.role is not Role.PUBLISHER:
            allow(identity, "history", namespace=self._namespace.name, access=self._namespace.access)
        return identity

    async def _writer(self, request: Request) -> Identity:
        identity = await bearer(request, self._verify)
        allow_server(identity, namespace=self._namespace.name, access=self._namespace.access)
        return identity

    def _hidden(self, identity: Identity) -> tuple[str, ...]:
        """The exchanges of which the bearer's plan has nothing."""
        return tuple(exchange for exchange in sorted(EXCHANGES) if not self._has(identity, exchange))

    def _has(self, identity: Identity, exchange: str) -> bool:
        try:
            self._delay_s(identity, exchange)
        except CommandError:
            return False
        return True

    def _instrument(
        self, identity: Identity, exchange: str | None, symbol: str | None
    ) -> tuple[str | None, str | None]:
        """What of an instrument a query names, as the hub writes it; an exchange must be one that the plan has."""
        if symbol is not None:
            channel = self._channel(exchange, symbol)
            exchange = channel.exchange if exchange is not None or ":" in symbol else None
            symbol = channel.symbol
        elif exchange is not None:
            exchange = exchange_of(exchange)
        if exchange is not None:
            self._delay_s(identity, exchange)
        return exchange, symbol

    def _channel(self, exchange: str | None, symbol: str, *, place: str = "?exchange") -> Channel:
        if exchange is None and ":" in symbol:
            return self._names.parse(f"signals:{symbol}")
        return self._names.parse(f"signals:{exchange_of(exchange or 'NSE', place)}:{symbol}")

    async def _require(self, channel: Channel) -> None:
        """Refuses a symbol that is neither listed nor was ever published."""
        exchange, symbol = channel.exchange or "", channel.symbol or ""
        market = self._names.parse(f"market:{exchange}:{symbol}")
        if self._instruments().get(exchange, symbol) is None and not await self._broker.last([market]):
            raise CommandError(ErrorCode.INVALID_SYMBOL, f"No instrument {exchange}:{symbol}")

    def _check_reason(self, reason: Reason | None) -> None:
        """Refuses what could be stored and never published."""
        trial = {"symbol": "X", "signal_type": SignalType.HOLD, "confidence": 0, "reason": reason}
        try:
            self._namespace.normalise(msgspec.json.encode(trial))
        except RecursionError:
            raise CommandError(ErrorCode.BAD_REQUEST, "Objects and arrays go too deep - at `$.reason`") from None

    def _future(self, given: str | int) -> int:
        expires_at = moment_of(given, "$.expires_at")
        if expires_at <= self._now_s():
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected a time to come - at `$.expires_at`")
        return expires_at

    async def _publish(self, name: str, payload: bytes, key: str) -> object:
        return await self._broker.publish(self._names.parse(name), payload, key=key)

    def _now_s(self) -> int:
        return int(self._clock())


async def _no_candles(*_: object) -> Sequence[Any]:
    """A signal that is given by hand needs none."""
    return ()


def _id(request: Request) -> int:
    text: str = request.path_params["id"]
    if not _ID.fullmatch(text):
        raise _not_found(text[:40])
    return int(text)


def _not_found(signal_id: int | str) -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, f"There is no signal {signal_id}")


def _shown(signal: Signal) -> dict[str, Any]:
    """A signal for the outside: decimals, times as texts; who gave it is nobody's business."""
    fields = {name: getattr(signal, name) for name in _PLAIN}
    prices = {name: _decimal(getattr(signal, name)) for name in _PRICES}
    times = {name: _text(getattr(signal, name)) for name in _TIMES}
    return fields | prices | times


_PLAIN = (
    "id",
    "exchange",
    "symbol",
    "timeframe",
    "signal_type",
    "confidence",
    "ml_score",
    "reason",
    "source",
    "status",
    "outcome",
)
_PRICES = ("entry_price", "target_price", "stop_loss", "close_price")
_TIMES = ("created_at", "updated_at", "expires_at", "closed_at")


def _scaled(price: Any) -> Any:
    """An internal price; what is none stays as it is."""
    return scaled(price) if isinstance(price, float) else price


def _decimal(price: int | None) -> float | None:
    return None if price is None else price / PRICE_SCALE


def _text(seconds: int | None) -> str | None:
    return None if seconds is None else ist_text(seconds * 1000)
