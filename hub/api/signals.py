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

from auth.audit import Event, Level
from auth.identity import Identity
from auth.permissions import Action, Permissions
from channels.broker import Broker, Clock
from channels.channel import Channel, ChannelNames
from feeds.instruments import Instruments
from feeds.market_hours.sessions import day_start_ms, ist_day
from feeds.signals.rules import SignalType
from feeds.signals.signal import Draft, Outcome, Signal, Source, Status
from feeds.signals.statistics import Day, daily
from feeds.signals.store import SORTS, Changes, SignalStore, Wanted
from feeds.signals.worker import LIFETIME_S, SignalWorker
from hub.api.trail import event
from hub.http.endpoint import Call, Endpoint, Nothing
from hub.http.requests import ExchangeText, Page, Timeframe, exchange_of, moment_of
from schemas.errors import CommandError, ErrorCode
from schemas.market import EXCHANGES, PRICE_SCALE, PositiveDecimal, moment_text, scaled

_DAY_MS = 86_400_000
_ID = re.compile(r"[0-9]{1,18}")

_READ = "signals"
_WRITE = "signals:write"
_NO_SYMBOL = (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.INVALID_SYMBOL)

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
    """The body of `PUT signals/{id}`: what is to change. `close_price` goes with the status CLOSED."""

    confidence: Confidence | UnsetType = UNSET
    entry_price: PositiveDecimal | UnsetType | None = UNSET
    target_price: PositiveDecimal | UnsetType | None = UNSET
    stop_loss: PositiveDecimal | UnsetType | None = UNSET
    reason: Reason | UnsetType | None = UNSET
    expires_at: int | TimeText | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    close_price: PositiveDecimal | UnsetType | None = UNSET


class SignalView(msgspec.Struct, frozen=True, kw_only=True):
    """One signal, for the outside: decimals, times as texts; who gave it is nobody's business."""

    id: int
    exchange: str
    symbol: str
    timeframe: str | None
    signal_type: SignalType
    confidence: float
    entry_price: float | None
    target_price: float | None
    stop_loss: float | None
    ml_score: float | None
    reason: str | dict[str, Any] | None
    source: Source
    status: Status
    outcome: Outcome | None
    close_price: float | None
    created_at: str
    updated_at: str
    expires_at: str
    closed_at: str | None


class SignalPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of signals."""

    items: list[SignalView]
    total: int
    page: int
    limit: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The days that have signals, the newest first, out of the last `days`."""

    days: int
    items: list[Day]


class SignalsApi:
    """Signals over HTTP. `delay_s` raises CommandError where a bearer's plan has nothing of an exchange."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        engine: AsyncEngine,
        instruments: Callable[[], Instruments],
        permissions: Permissions,
        note: Callable[[Event], None],
        clock: Clock = time.time,
    ) -> None:
        self._broker = broker
        self._names = names
        self._engine = engine
        self._instruments = instruments
        self._permissions = permissions
        self._note = note
        self._clock = clock
        self._store = SignalStore(engine)
        self._worker = SignalWorker(
            self._store, self._publish, history=_no_candles, tick_size_of=lambda *_: None, clock=clock
        )
        self._namespace = names.parse("signals:generated").namespace

    @property
    def endpoints(self) -> list[Endpoint]:
        """All of `/signals`."""
        one, missing = "/signals/{id}", (ErrorCode.NOT_FOUND,)
        return [
            Endpoint("GET", "/signals", self.find, scope=_READ, errors=_NO_SYMBOL),
            Endpoint(
                "POST", "/signals", self.create, scope=_WRITE, status=201, errors=(*_NO_SYMBOL, ErrorCode.CONFLICT)
            ),
            Endpoint("GET", "/signals/stats/daily", self.stats, scope=_READ, errors=_NO_SYMBOL),
            Endpoint("GET", one, self.get, scope=_READ, errors=missing),
            Endpoint("PUT", one, self.update, scope=_WRITE, errors=(*missing, ErrorCode.CONFLICT)),
            Endpoint("DELETE", one, self.delete, scope=_WRITE, errors=missing),
        ]

    async def stats(self, call: Call, query: StatsQuery) -> Statistics:
        """How the signals of each day have done.

        The newest day first; days without signals are left out.
        """
        self._check_reader(call.caller)
        exchange, symbol = self._instrument(call.caller, query.exchange, query.symbol)
        now_ms = int(self._clock() * 1000)
        from_ms = day_start_ms(ist_day(now_ms)) - (query.days - 1) * _DAY_MS
        found = await daily(
            self._engine,
            from_s=from_ms // 1000,
            to_s=now_ms // 1000 + 1,
            exchange=exchange,
            symbol=symbol,
            hidden=self._hidden(call.caller),
        )
        return Statistics(days=query.days, items=found)

    async def find(self, call: Call, query: SignalsQuery) -> SignalPage:
        """Signals, a page at a time.

        `from` is inclusive and `to` exclusive, both ISO 8601 or Unix seconds. The newest come first, unless `sort` and
        `order` say otherwise.
        """
        self._check_reader(call.caller)
        exchange, symbol = self._instrument(call.caller, query.exchange, query.symbol)
        wanted = Wanted(
            exchange=exchange,
            hidden=self._hidden(call.caller),
            symbol=symbol,
            timeframe=query.timeframe,
            signal_type=query.signal_type,
            status=query.status,
            source=query.source,
            min_confidence=query.min_confidence,
            from_s=None if query.since is None else moment_of(query.since, "?from"),
            to_s=None if query.to is None else moment_of(query.to, "?to"),
        )
        sort = query.sorted_by("created_at", *SORTS)
        found, total = await self._store.find(
            wanted, page=query.page, limit=query.limit, sort=sort, descending=query.order != "asc"
        )
        items = [_shown(one) for one in found]
        return SignalPage(items=items, total=total, page=query.page, limit=query.limit)

    async def get(self, call: Call) -> SignalView:
        """One signal."""
        self._check_reader(call.caller)
        signal = await self._store.get(_id(call))
        if signal.exchange in self._hidden(call.caller):
            raise _not_found(signal.id)
        return _shown(signal)

    async def create(self, call: Call, body: SignalBody) -> SignalView:
        """Give a signal, as servers do.

        It goes into the database first, then to its two channels. It stands until `expires_at`, or for a day.
        """
        self._check_writer(call.caller)
        channel = self._channel(body.exchange, body.symbol, place="$.exchange")
        await self._require(channel)
        self._check_reason(body.reason)
        draft = Draft(
            exchange=channel.exchange or "",
            symbol=channel.symbol or "",
            signal_type=body.signal_type,
            confidence=body.confidence,
            timeframe=body.timeframe,
            entry_price=_scaled(body.entry_price),
            target_price=_scaled(body.target_price),
            stop_loss=_scaled(body.stop_loss),
            ml_score=body.ml_score,
            reason=body.reason,
            created_by=call.caller.user,
            expires_at=self._now_s() + LIFETIME_S if body.expires_at is None else self._future(body.expires_at),
        )
        made = await self._worker.create(draft)
        self._note(event(call, "signal.created", actor=_actor(call), target=str(made.id)))
        return _shown(made)

    async def update(self, call: Call, body: ChangesBody) -> SignalView:
        """Change a signal, or close it.

        What is not named stays. `close_price` goes with the status CLOSED.
        """
        self._check_writer(call.caller)
        self._check_reason(None if body.reason is UNSET else body.reason)
        changes = Changes(
            confidence=body.confidence,
            entry_price=_scaled(body.entry_price),
            target_price=_scaled(body.target_price),
            stop_loss=_scaled(body.stop_loss),
            reason=body.reason,
            expires_at=UNSET if body.expires_at is UNSET else self._future(body.expires_at),
            status=body.status,
            close_price=_scaled(body.close_price),
        )
        changed = await self._store.update(_id(call), changes, by=call.caller.user, now_s=self._now_s())
        self._note(event(call, "signal.changed", actor=_actor(call), target=str(changed.id)))
        return _shown(changed)

    async def delete(self, call: Call) -> Nothing:
        """Delete a signal."""
        self._check_writer(call.caller)
        await self._store.delete(_id(call), by=call.caller.user, now_s=self._now_s())
        self._note(event(call, "signal.deleted", level=Level.WARNING, actor=_actor(call), target=call.path("id")))
        return Nothing()

    # -- who and what -------------------------------------------------------------------------------------------------

    def _check_reader(self, identity: Identity) -> None:
        self._permissions.allow_namespace(identity, Action.READ, self._namespace)

    def _check_writer(self, identity: Identity) -> None:
        self._permissions.allow_namespace(identity, Action.PROVIDE, self._namespace)

    def _hidden(self, identity: Identity) -> tuple[str, ...]:
        """The exchanges of which the bearer's plan has nothing."""
        return self._permissions.hidden(identity, sorted(EXCHANGES))

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
            self._permissions.plans.delay_s(identity, exchange)
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
            raise CommandError(ErrorCode.INVALID_SYMBOL, "No instrument {place}", place=f"{exchange}:{symbol}")

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


def _actor(call: Call) -> str:
    """Who gives or changes a signal: the user, or the key."""
    return call.caller.user if call.caller.scopes is None else call.caller.token_id


def _id(call: Call) -> int:
    text = call.path("id")
    if not _ID.fullmatch(text):
        raise _not_found(text[:40])
    return int(text)


def _not_found(signal_id: int | str) -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "There is no signal {signal}", signal=signal_id)


def _shown(signal: Signal) -> SignalView:
    return SignalView(
        id=signal.id,
        exchange=signal.exchange,
        symbol=signal.symbol,
        timeframe=signal.timeframe,
        signal_type=signal.signal_type,
        confidence=signal.confidence,
        entry_price=_decimal(signal.entry_price),
        target_price=_decimal(signal.target_price),
        stop_loss=_decimal(signal.stop_loss),
        ml_score=signal.ml_score,
        reason=signal.reason,
        source=signal.source,
        status=signal.status,
        outcome=signal.outcome,
        close_price=_decimal(signal.close_price),
        created_at=moment_text(signal.created_at),
        updated_at=moment_text(signal.updated_at),
        expires_at=moment_text(signal.expires_at),
        closed_at=moment_text(signal.closed_at),
    )


def _scaled(price: Any) -> Any:
    """An internal price; what is none stays as it is."""
    return scaled(price) if isinstance(price, float) else price


def _decimal(price: int | None) -> float | None:
    return None if price is None else price / PRICE_SCALE
