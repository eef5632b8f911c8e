"""What an alert would have fired over stored minutes, by the engine that watches prices when it is in earnest.

The alert is one that was made at the close of the day before.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import merge
from operator import attrgetter

import msgspec

from feeds.candles.bars import Bar
from feeds.market_hours.sessions import ist_day
from hub.alerting.backtest import Backtest, Fired
from hub.alerting.minutes import Minutes, ticks_of
from hub.feeding.hours import FeedHours
from notifiers.conditions.checking import Checked, Instrument, SourceKey
from notifiers.conditions.options import Baseline, Options
from notifiers.conditions.text import expression_text
from notifiers.conditions.text import text as condition_text
from notifiers.conditions.tree import Extreme, Field, walk
from notifiers.engine.samples import Firing, Rule
from schemas.durations import Seconds

MAX_FIRED = 500
"""Firings that are told, the last ones."""

TICKS_IN_A_ROW = 25
"""A millisecond of work or so. An event loop that waits for this thread would wait five where it does not pause."""
PAUSE_S: Seconds = 0.0001

_UNSEEN_MS = 120_000
"""What was traded lately may not be stored yet, so nothing is known to have lasted until now."""

_MADE = frozenset({"price", "open", "high", "low", "change_from_open_percent"})
"""What every tick made of candles has."""
_OF_YESTERDAY = frozenset({"close", "change", "change_percent"})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried. `minutes` are the instrument's own first; `history` has candles from before them."""

    exchange: str
    symbol: str
    condition: Checked
    options: Options
    minutes: Mapping[Instrument, Minutes]
    history: Mapping[SourceKey, Sequence[Bar]]
    now_ms: int


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The last MAX_FIRED firings, oldest first, and how many there were."""

    fired: Sequence[Firing]
    total: int
    unsettled: Sequence[str]
    """Indicators that never had a value: too few candles are stored, or they count volumes that there aren't."""


class Abandoned(Exception):
    """Nobody waits for what is being tried any more."""


def tried(asked: Asked, hours: FeedHours, is_abandoned: Callable[[], bool] = lambda: False) -> Tried:
    """Run it; for a thread, as a minute takes 20 µs, and 100 µs more for each kind of candle that is looked at.

    Raises Abandoned within a millisecond or so of `is_abandoned`, as nothing else ends a thread.
    """
    run = Backtest({0: (_rule(asked), asked.condition.text)}, hours=hours, history=asked.history, grace_ms=0)
    told = _Told()
    last_ms = 0
    for tick in merge(*map(ticks_of, asked.minutes.values()), key=attrgetter("time_ms")):
        told.take(run.take(tick))
        if not run.ticks % TICKS_IN_A_ROW:
            if is_abandoned():
                raise Abandoned
            time.sleep(PAUSE_S)
        last_ms = tick.time_ms
    told.take(run.end(max(last_ms + 1, asked.now_ms - _UNSEEN_MS)))
    return Tried(fired=list(told.fired), total=told.total, unsettled=run.unsettled if run.ticks else [])


class _Told:
    def __init__(self) -> None:
        self.fired: deque[Firing] = deque(maxlen=MAX_FIRED)
        self.total = 0

    def take(self, several: Sequence[Fired]) -> None:
        counted = [one.firing for one in several if one.firing.suppressed is None]
        self.fired += counted
        self.total += len(counted)


def _rule(asked: Asked) -> Rule:
    """An alert that begins with the last price before the minutes, where one is known."""
    own = asked.minutes.get((asked.exchange, asked.symbol))
    before = None if own is None else own.before
    return Rule(
        id=0,
        version=1,
        exchange=asked.exchange,
        symbol=asked.symbol,
        tree=asked.condition.tree,
        options=asked.options,
        baseline=None if before is None else Baseline(price=before.close, time_ms=before.end_ms - 1),
        created_at_ms=0 if before is None else before.end_ms - 1,
    )


def lacking(asked: Asked) -> list[str]:
    """What the condition looks at and candles don't hold, in the words of conditions."""
    found: dict[str, None] = {}
    for node in walk(asked.condition.tree):
        match node:
            case Field() if not _has(asked, node):
                found[expression_text(node)] = None
            case Extreme(of="year"):
                found[condition_text(node)] = None
            case _:
                pass
    return list(found)


def _has(asked: Asked, field: Field) -> bool:
    minutes = asked.minutes.get((field.exchange or asked.exchange, field.symbol or asked.symbol))
    if minutes is None or not minutes.bars:  # which is said of the instrument as a whole
        return True
    if field.name == "volume":
        return any(bar.volume is not None for bar in minutes.bars)
    if field.name == "open_interest":
        return any(bar.open_interest is not None for bar in minutes.bars)
    if field.timeframe is not None or field.name in _MADE:
        return True
    return field.name in _OF_YESTERDAY and _has_yesterday(minutes)


def _has_yesterday(minutes: Minutes) -> bool:
    return minutes.before is not None or ist_day(minutes.bars[0].start_ms) != ist_day(minutes.bars[-1].start_ms)
