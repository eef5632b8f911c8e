"""`POST /api/v1/alerts/backtest`: what an alert would have fired over the days whose candles are stored."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from auth.limits import Rule
from auth.permissions import Action, Permissions, Scope
from channels.broker import Clock
from channels.channel import Channel, ChannelNames
from feeds.candles.bars import Bar
from feeds.indicators.indicator import history_for
from feeds.indicators.indicator import parse as indicator_of
from feeds.market_hours.sessions import ist_day
from hub import languages
from hub.alerting.minutes import Minutes
from hub.alerting.trial import Asked, Tried, lacking, tried
from hub.api.alert_bodies import BacktestBody
from hub.api.alert_conditions import ConditionReader
from hub.api.alert_market import AlertMarket
from hub.api.alert_views import BacktestView, fired_view
from hub.api.candles import Candles, last_days
from hub.feeding.hours import FeedHours
from hub.http.endpoint import Call, Endpoint
from notifiers.conditions.checking import Checked, Instrument, SourceKey
from notifiers.conditions.levels import levels
from notifiers.conditions.options import Options
from schemas.errors import CommandError, ErrorCode
from schemas.market import ist_text
from schemas.phrases import Phrase

MAX_BARS = 12_000
"""Minutes of all instruments of one backtest: 30 days of a stock."""
MAX_SOURCES = 10
"""Instruments and candles of theirs that one backtest may look at."""
AT_ONCE = 1
"""Backtests that run in this process at the same time: they share one processor with all sockets."""
WAITING = 2
"""Backtests of one user that may be asked for at the same time: one that runs and one that waits."""

_DAY_MINUTES = 1440
_ERRORS = (
    ErrorCode.UNKNOWN_CHANNEL,
    ErrorCode.INVALID_SYMBOL,
    ErrorCode.PERMISSION_DENIED,
    ErrorCode.LIMIT_EXCEEDED,
)


class AlertBacktests:
    """Backtests over HTTP. `hours_of` makes the hours by which wider candles are counted."""

    def __init__(
        self,
        *,
        conditions: ConditionReader,
        market: AlertMarket,
        candles: Candles,
        names: ChannelNames,
        permissions: Permissions,
        hours_of: Callable[[], FeedHours],
        clock: Clock = time.time,
    ) -> None:
        self._conditions = conditions
        self._market = market
        self._candles = candles
        self._names = names
        self._permissions = permissions
        self._hours_of = hours_of
        self._clock = clock
        self._turns: dict[str, _Turn] = {}
        self._running = asyncio.Semaphore(AT_ONCE)

    @property
    def endpoints(self) -> list[Endpoint]:
        """The one route."""
        return [
            Endpoint("POST", "/alerts/backtest", self.backtest, scope=Scope.ALERTS, limit=Rule.LOOKUP, errors=_ERRORS)
        ]

    async def backtest(self, call: Call, body: BacktestBody) -> BacktestView:
        """Say what an alert would have fired lately; nothing is stored.

        Over the minutes of the last `days` days that have any, as far as the caller may see them. Of each minute the
        open, its extremes and its close are taken for prices, the nearer extreme first.
        """
        channel = self._market.channel(body.exchange, body.symbol)
        self._permissions.allow_namespace(call.caller, Action.READ, self._channel("1m", channel).namespace)
        options = body.applied_to(Options())
        read = self._conditions.read(
            body.condition, body.threshold, channel, options, in_bars=body.timeframe is not msgspec.UNSET
        )
        if len(read.sources) > MAX_SOURCES:
            raise CommandError(
                ErrorCode.LIMIT_EXCEEDED, "A backtest looks at no more than {most} series of prices", most=MAX_SOURCES
            )
        watched = await self._market.watch(call.caller, channel, read)
        async with self._turn(call.caller.user):
            asked = await self._asked(channel, read, options, days=body.days, delay_s=watched.delay_s)
            found = await self._tried(asked)
        return _view(asked, found, body.days, call.language)

    async def _tried(self, asked: Asked) -> Tried:
        """What comes of it. A process that ends doesn't wait for the thread."""
        abandoned = threading.Event()
        try:
            return await asyncio.to_thread(tried, asked, self._hours_of(), abandoned.is_set)
        finally:
            abandoned.set()

    @asynccontextmanager
    async def _turn(self, user: str) -> AsyncIterator[None]:
        """One at a time for each user."""
        turn = self._turns.setdefault(user, _Turn())
        if turn.asked >= WAITING:
            raise CommandError(ErrorCode.RATE_LIMITED, "A backtest of yours is still running")
        turn.asked += 1
        try:
            async with turn.lock, self._running:
                yield
        finally:
            turn.asked -= 1
            if not turn.asked:
                del self._turns[user]

    # -- what is stored -----------------------------------------------------------------------------------------------

    async def _asked(self, channel: Channel, read: Checked, options: Options, *, days: int, delay_s: int) -> Asked:
        """Whatever the condition looks at, as far as it may be seen."""
        seen_s = int(self._clock()) - delay_s
        own = (channel.exchange or "", channel.symbol or "")
        minutes = await self._minutes(read.instruments or (own,), days, seen_s)
        begins = [one.bars[0].start_ms // 1000 for one in minutes.values() if one.bars]
        history: dict[SourceKey, Sequence[Bar]] = {}
        for key, texts in read.sources.items():
            if texts and begins:
                limit = history_for(map(indicator_of, texts))
                candles = self._names.parse(f"candles:{key[2]}:{key[0]}:{key[1]}")
                history[key] = await self._candles.closed(candles, limit, to_s=min(begins), seen_s=seen_s)
        return Asked(
            exchange=own[0],
            symbol=own[1],
            condition=read,
            options=options,
            minutes=minutes,
            history=history,
            now_ms=seen_s * 1000,
        )

    async def _minutes(self, places: Sequence[Instrument], days: int, seen_s: int) -> dict[Instrument, Minutes]:
        """The days' minutes of each instrument: of the first one the last so many, of the others the same."""
        limit = min(MAX_BARS // len(places), days * _DAY_MINUTES) + 1
        found: dict[Instrument, Minutes] = {}
        from_ms: int | None = None
        for place in places:
            candles = self._names.parse(f"candles:1m:{place[0]}:{place[1]}")
            bars = await self._candles.closed(candles, limit, to_s=seen_s, seen_s=seen_s)
            shown = _whole_days(bars, days, limit) if from_ms is None else [b for b in bars if b.start_ms >= from_ms]
            before = len(bars) - len(shown)
            found[place] = Minutes(shown, bars[before - 1] if before else None)
            if from_ms is None and shown:
                from_ms = shown[0].start_ms
        return found

    def _channel(self, timeframe: str, of: Channel) -> Channel:
        return self._names.parse(f"candles:{timeframe}:{of.exchange}:{of.symbol}")


class _Turn:
    """One user's backtests."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.asked = 0


def _whole_days(bars: Sequence[Bar], days: int, limit: int) -> Sequence[Bar]:
    """The last so many days; without the first one where `limit` has cut it, unless it is the only one."""
    shown = last_days(bars, days)
    if len(bars) < limit or len(shown) < len(bars):
        return shown
    count = len({ist_day(bar.start_ms) for bar in bars})
    return last_days(bars, count - 1) if count > 1 else shown


def _view(asked: Asked, found: Tried, days: int, language: str) -> BacktestView:
    bars = next((one.bars for one in asked.minutes.values() if one.bars), ())
    notes = [languages.say(one, language) for one in _notes(asked, found, bars, days)]
    return BacktestView(
        exchange=asked.exchange,
        symbol=asked.symbol,
        condition=asked.condition.text,
        bars=len(bars),
        from_=ist_text(bars[0].start_ms) if bars else None,
        to=ist_text(bars[-1].end_ms) if bars else None,
        fired=[fired_view(one) for one in found.fired],
        total=found.total,
        levels=levels(asked.condition.tree),
        note=". ".join(notes) or None,
    )


def _notes(asked: Asked, found: Tried, bars: Sequence[Bar], days: int) -> list[Phrase]:
    """What could not be tried."""
    notes: list[Phrase] = []
    absent = [":".join(place) for place, one in asked.minutes.items() if not one.bars]
    if absent:
        notes.append(Phrase("No candles of {instruments} are stored here yet", {"instruments": ", ".join(absent)}))
    if missing := lacking(asked):
        notes.append(
            Phrase("Candles do not hold {figures}, so nothing fires by that here", {"figures": ", ".join(missing)})
        )
    if bars and found.unsettled:
        unsettled = ", ".join(found.unsettled)
        notes.append(Phrase("The candles that are stored give no value of {indicators}", {"indicators": unsettled}))
    covered = len({ist_day(bar.start_ms) for bar in bars})
    if bars and covered < days:
        notes.append(Phrase("Only {covered} of the {days} days could be tried", {"covered": covered, "days": days}))
    return notes
