"""What an alert would have fired over stored minutes, by the engine that watches prices when it is in earnest.

Of a minute four prices are known, and neither their order nor their times: the extreme nearer to the open is taken to
have come first, and all of them to lie apart evenly. The alert is one that was made at the close of the day before.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from operator import attrgetter

import msgspec

from feeds.candles.bars import Bar
from feeds.market_hours.sessions import ist_day
from hub.alerting.backtest import Backtest
from hub.feeding.hours import FeedHours
from notifiers.conditions.checking import Checked, Instrument, SourceKey
from notifiers.conditions.options import Baseline, Options
from notifiers.conditions.text import text as condition_text
from notifiers.conditions.tree import Extreme, Field, walk
from notifiers.engine.samples import Firing, Rule
from schemas.market import MarketState, Tick

MAX_FIRED = 500
"""Firings that are told, the last ones."""

_UNSEEN_MS = 120_000
"""What was traded lately may not be stored yet, so nothing is known to have lasted until now."""

_TOLD = frozenset(
    {"price", "open", "high", "low", "close", "change", "change_percent", "change_from_open_percent", "volume"}
)
"""The figures that ticks made of candles have, `open_interest` aside, which some candles lack."""


class Minutes(msgspec.Struct, frozen=True):
    """One instrument's minutes, oldest first, and the last one before them."""

    bars: Sequence[Bar]
    before: Bar | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried. `history` holds candles from before the minutes, for indicators."""

    exchange: str
    symbol: str
    condition: Checked
    options: Options
    minutes: Mapping[Instrument, Minutes]
    history: Mapping[SourceKey, Sequence[Bar]]
    now_ms: int
    """What is stored ends there."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The last MAX_FIRED firings, oldest first, and how many there were."""

    fired: Sequence[Firing]
    total: int
    without_values: Sequence[str]
    """Indicators that never had a value, as too few candles are stored."""


def tried(asked: Asked, hours: FeedHours) -> Tried:
    """Run it. For a thread: 10,000 minutes take about half a second."""
    run = Backtest({0: (_rule(asked), asked.condition.text)}, hours=hours, history=asked.history, grace_ms=0)
    fired: deque[Firing] = deque(maxlen=MAX_FIRED)
    total, last_ms = 0, 0
    for tick in merge(*(ticks_of(one) for one in asked.minutes.values()), key=attrgetter("time_ms")):
        last_ms = tick.time_ms
        for one in run.take(tick):
            fired.append(one.firing)
    raise NotImplementedError
