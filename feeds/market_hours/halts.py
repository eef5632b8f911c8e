"""The market-wide circuit breaker, watched on its own indices: a move of 10, 15 or 20 % halts all equities.

The exchanges' rule (either index, either way, against the previous close): 10 % before 13:00 halts for 45 minutes,
before 14:30 for 15, later not at all; 15 % before 13:00 for 105 minutes, before 14:00 for 45, later for the rest of the
day; 20 % for the rest of the day. A pre-open of 15 minutes follows each halt that ends.

No feed tells of a halt as such. What is worked out here is a suspicion: the exchanges round their triggers to points,
and act on their own prices. So it takes a second tick to confirm the first, it is logged as a warning, and it can be
turned off by whoever connects `MarketHalts` to `Sessions.halt`.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, time
from types import MappingProxyType
from typing import NamedTuple

from feeds.market_hours.hours import Segment, SessionClass
from feeds.market_hours.overrides import Halt
from feeds.market_hours.sessions import Sessions, day_start_ms, ist_day, next_day_ms
from schemas.market import IST, MarketState, Tick

log = logging.getLogger("tickhub.feeds.market_hours.halts")

INDICES = frozenset({("NSE", "NIFTY 50"), ("BSE", "SENSEX")})
LEVELS = (20, 15, 10)
"""Percent, the greatest first."""
REOPENING_MINUTES = 15

REST_OF_DAY = -1

_RULES: Mapping[int, tuple[tuple[time, int], ...]] = MappingProxyType(
    {
        10: ((time(13, 0), 45), (time(14, 30), 15), (time.max, 0)),
        15: ((time(13, 0), 105), (time(14, 0), 45), (time.max, REST_OF_DAY)),
        20: ((time.max, REST_OF_DAY),),
    }
)
"""By level: before this time of day, so many minutes."""


def level_of(price: int, close: int) -> int:
    """The greatest level that a move from `close` has reached, in percent; 0 for none. Exact."""
    moved = abs(price - close) * 100
    return next((level for level in LEVELS if moved >= level * close), 0) if close > 0 else 0


def halt_minutes(level: int, at: time) -> int:
    """For how long a level that is reached at a time of day (IST) halts: minutes, 0 or REST_OF_DAY."""
    return next(minutes for before, minutes in _RULES[level] if at < before or before == time.max)


class _Reached(NamedTuple):
    """A level that an index reached, and the tick that said so first."""

    level: int
    at_ms: int
    exchange: str


class MarketHalts:
    """Watches ticks of the two indices. Each level halts once a day, whichever way the market went."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._day_ms = 0
        self._done = 0
        """The greatest level that has been dealt with today."""
        self._first: _Reached | None = None

    def offer(self, tick: Tick) -> Halt | None:
        """The halt that this tick confirms, if any. Other instruments cost nothing to offer."""
        if (tick.exchange, tick.symbol) not in INDICES or not tick.close:
            return None
        if self._sessions.state(SessionClass.INDEX, tick.time_ms, tick.exchange) is not MarketState.CONTINUOUS:
            return None
        self._turn(tick.time_ms)
        level = level_of(tick.price, tick.close)
        if level <= self._done:
            self._first = None
            return None
        return self._confirmed(level, tick)

    def _turn(self, time_ms: int) -> None:
        day_ms = day_start_ms(ist_day(time_ms))
        if day_ms != self._day_ms:
            self._day_ms, self._done, self._first = day_ms, 0, None

    def _confirmed(self, level: int, tick: Tick) -> Halt | None:
        first = self._first
        if first is None or level < first.level:
            self._first = _Reached(level, tick.time_ms, tick.exchange)
            return None
        if (first.at_ms, first.exchange) == (tick.time_ms, tick.exchange):
            return None
        self._done, self._first = first.level, None
        return self._halt(first, tick)

    def _halt(self, reached: _Reached, tick: Tick) -> Halt | None:
        since = datetime.fromtimestamp(reached.at_ms / 1000, UTC).astimezone(IST)
        minutes = halt_minutes(reached.level, since.time())
        log.warning(
            "sessions.market_halt",
            extra={"index": tick.symbol, "level_percent": reached.level, "minutes": minutes, "since": str(since)},
        )
        if not minutes:
            return None
        until_ms = next_day_ms(reached.at_ms) if minutes == REST_OF_DAY else reached.at_ms + minutes * 60_000
        reopens_ms = None if minutes == REST_OF_DAY else until_ms + REOPENING_MINUTES * 60_000
        return Halt(
            markets=(Segment.EQUITY.value,),
            since=since,
            until=_moment(until_ms),
            reopens=None if reopens_ms is None else _moment(reopens_ms),
            reason=f"{tick.symbol} moved by {reached.level} %",
        )


def _moment(moment_ms: int) -> datetime:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(IST)
