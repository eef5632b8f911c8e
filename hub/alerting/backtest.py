"""`python -m hub alerts --backtest FILE`: what alerts would have fired over a day that was recorded.

The ticks go through the same engine as on the day itself; the candles that conditions look at are made of them as the
feeds make them, so an indicator begins to have values once the file has enough candles before it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.candles.bars import Bar as Candle
from feeds.candles.engine import GRACE_MS, CandleEngine
from feeds.feed import Update
from feeds.indicators.evaluation import IndicatorSet
from feeds.indicators.indicator import parse as indicator_of
from feeds.instruments import Instrument
from feeds.market_hours.sessions import Sessions
from feeds.replay.player import AS_FAST_AS_POSSIBLE, ReplayFeed
from hub.alerting.indicators import CatalogueReader
from hub.feeding.hours import FeedHours
from hub.feeding.sources import SOURCES
from notifiers.alerts.alert import SHARDS
from notifiers.alerts.rules import rules_of
from notifiers.conditions.checking import SourceKey, check_text
from notifiers.conditions.options import Frequency, Options
from notifiers.conditions.text import text as condition_text
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Bar, Firing, Rule, Source
from notifiers.wording.numbers import load
from notifiers.wording.numbers import price as price_text
from schemas.errors import CommandError, ErrorCode
from schemas.market import IST, Tick

TICKS_BETWEEN_TELLING = 1000
_END_MS = 86_400_000
"""After the last tick, so that the last candles close."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of the command line's, on one instrument."""

    exchange: str
    symbol: str
    condition: str
    frequency: Frequency = Frequency.EVERY


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """A firing and the rule's text."""

    firing: Firing
    rule: Rule
    text: str


class Backtest:
    """An engine over ticks gone by. Pure but for what its rules are given.

    `history` holds candles from before the ticks, for indicators, by exchange, symbol and timeframe. `grace_ms`: how
    long after its end a candle waits for late ticks.
    """

    def __init__(
        self,
        rules: Mapping[int, tuple[Rule, str]],
        *,
        hours: FeedHours,
        history: Mapping[SourceKey, Sequence[Candle]] = MappingProxyType({}),
        grace_ms: int = GRACE_MS,
    ) -> None:
        self.ticks = 0
        self._rules = rules
        self._engine = Engine()
        for rule, _ in rules.values():
            self._engine.put(rule)
        self._candles = CandleEngine(opens_ms=hours.opens_ms, closes_ms=hours.closes_ms, grace_ms=grace_ms)
        self._sets: dict[SourceKey, IndicatorSet] = {
            source: IndicatorSet({text: indicator_of(text) for text in sorted(indicators)}, history.get(source, ()))
            for source, indicators in self._engine.sources.items()
            if source.timeframe
        }

    @property
    def unsettled(self) -> list[str]:
        """The indicators that have no value yet."""
        return [
            f"{text} on {timeframe}"
            for (_, _, timeframe), indicators in self._sets.items()
            for text, value in indicators.values.items()
            if value is None
        ]

    def take(self, tick: Tick) -> list[Fired]:
        """The next tick; what fires."""
        self.ticks += 1
        firings = self._close_until(tick.time_ms)
        firings += self._engine.take(tick, self.ticks, tick.time_ms)
        if self._sets:
            self._candles.take(tick)
            for candle in self._candles.forming(tick.time_ms, self._sets):
                firings += self._take_bar(candle)
        return [self._told(one) for one in firings]

    def end(self, until_ms: int) -> list[Fired]:
        """No more ticks come: what lasts or closes until then."""
        return [self._told(one) for one in self._close_until(until_ms)]

    def _close_until(self, now_ms: int) -> list[Firing]:
        firings: list[Firing] = []
        for candle in self._candles.advance(now_ms) if self._sets else ():
            firings += self._take_bar(candle)
        return firings + self._engine.advance(now_ms)

    def _take_bar(self, candle: Candle) -> list[Firing]:
        indicators = self._sets.get((candle.exchange, candle.symbol, candle.timeframe))
        if indicators is None:
            return []
        values = indicators.closed(candle) if candle.closed else indicators.forming(candle)
        time_ms = candle.end_ms if candle.closed else candle.start_ms
        bar = Bar(
            exchange=candle.exchange,
            symbol=candle.symbol,
            timeframe=candle.timeframe,
            start_ms=candle.start_ms,
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume,
            open_interest=candle.open_interest,
            closed=candle.closed,
            time_ms=time_ms,
            indicators=values,
        )
        return self._engine.take_bar(bar, self._number(bar), time_ms)

    def _number(self, bar: Bar) -> int:
        """Candles have no numbers of their own: the ticks before them say which is later."""
        return 2 * self.ticks + bar.closed

    def _told(self, firing: Firing) -> Fired:
        rule, text = self._rules[firing.rule]
        return Fired(firing=firing, rule=rule, text=text)


def rule_of(number: int, asked: Asked) -> tuple[Rule, str]:
    """The rule of a condition. Raises CommandError for one that makes no sense."""
    options = Options(frequency=asked.frequency)
    checked = check_text(asked.condition, asked.exchange, asked.symbol, CatalogueReader(), options=options)
    rule = Rule(id=number, version=1, exchange=asked.exchange, symbol=asked.symbol, tree=checked.tree, options=options)
    return rule, checked.text


async def stored(engine: AsyncEngine) -> dict[int, tuple[Rule, str]]:
    """All active alerts as if each had just been made, by id. Raises Unavailable."""
    found: dict[int, tuple[Rule, str]] = {}
    for shard in range(SHARDS):
        async for page in rules_of(engine, shard):
            for rule in page.rules:
                fresh = replace(rule, baseline=None, fired=0, last_fired_ms=None, expires_at_ms=None, state=None)
                found[rule.id] = (fresh, condition_text(rule.tree))
    return found


async def backtest(
    path: Path,
    rules: Mapping[int, tuple[Rule, str]],
    *,
    say: Callable[[str], None],
    tell: Callable[[int, int, str], None] = lambda *_: None,
) -> int:
    """Play the file and say what fires; how many did. Raises BadFile, OSError.

    `tell` hears how many ticks it has been, 0 as nobody knows how many there are, and what time it is in the file.
    """
    await asyncio.to_thread(load)
    feed = ReplayFeed(path, source_of=lambda name: SOURCES[name]("full"), speed=AS_FAST_AS_POSSIBLE)
    await feed.open()
    hours = FeedHours(Sessions(), feed.find, feed.now_s, around_the_clock=False)
    run = Backtest(_there(rules, feed.instruments, path), hours=hours)
    told = _Telling(say, tell)
    playing = asyncio.create_task(feed.run(lambda updates: told.take(run, updates)), name="backtest")
    ended = asyncio.create_task(feed.ended.wait(), name="backtest.ended")
    await asyncio.wait([playing, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in (ended, playing):
        task.cancel()
    await asyncio.wait([playing, ended])
    if not playing.cancelled() and (failure := playing.exception()) is not None:
        raise failure
    told.end(run)
    return told.fired


class _Telling:
    """Says what fires as it does, and at the end how much it was."""

    def __init__(self, say: Callable[[str], None], tell: Callable[[int, int, str], None]) -> None:
        self.fired = 0
        self._suppressed = 0
        self._say = say
        self._progress = tell
        self._next_ticks = 0
        self._first_ms = self._last_ms = 0

    async def take(self, run: Backtest, updates: Sequence[Update]) -> None:
        """What happened at a moment of the file."""
        for update in updates:
            if isinstance(update, Tick):
                self._first_ms = self._first_ms or update.time_ms
                self._last_ms = max(self._last_ms, update.time_ms)
                self._tell(run.take(update))
        if run.ticks >= self._next_ticks:
            self._next_ticks = run.ticks + TICKS_BETWEEN_TELLING
            self._progress(run.ticks, 0, f"ticks, {_moment(self._last_ms)}")

    def end(self, run: Backtest) -> None:
        """The sum of it."""
        self._tell(run.end(self._last_ms + _END_MS))
        span = f", {_moment(self._first_ms)} to {_moment(self._last_ms)}" if run.ticks else ""
        held = f", {self._suppressed} held back" if self._suppressed else ""
        self._say(f"{self.fired} fired{held}, over {run.ticks:,} ticks{span}")

    def _tell(self, several: Sequence[Fired]) -> None:
        for one in several:
            if one.firing.suppressed is None:
                self.fired += 1
                self._say(_line(one))
            else:
                self._suppressed += 1


def _line(fired: Fired) -> str:
    """`2026-11-20 10:15:03  NSE:RELIANCE  2,503.20  price crosses above 2500  (before 2,498.00; gap)`."""
    firing, rule = fired.firing, fired.rule
    more = [f"before {price_text(firing.previous)}"] if firing.previous is not None else []
    more += [
        word for word, holds in (("gap", firing.gap), (firing.via.replace("_", " "), firing.via != "tick")) if holds
    ]
    price = "" if firing.price is None else price_text(firing.price)
    told = f"{_moment(firing.at_ms)}  {Source(rule.exchange, rule.symbol).text}  {price:>12}  {fired.text}"
    return f"{told}  ({'; '.join(more)})" if more else told


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, IST).strftime("%Y-%m-%d %H:%M:%S")


def _there(
    rules: Mapping[int, tuple[Rule, str]], listed: Sequence[Instrument], path: Path
) -> Mapping[int, tuple[Rule, str]]:
    """The rules whose instrument the file has. Raises CommandError INVALID_SYMBOL where it has none of them."""
    places = {(one.exchange, one.symbol) for one in listed}
    found = {number: one for number, one in rules.items() if (one[0].exchange, one[0].symbol) in places}
    if rules and not found:
        rule = next(iter(rules.values()))[0]
        raise CommandError(
            ErrorCode.INVALID_SYMBOL,
            "{file} has no prices of {exchange}:{symbol}",
            file=path.name,
            exchange=rule.exchange,
            symbol=rule.symbol,
        )
    return found
