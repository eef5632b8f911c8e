"""When the market does what: NSE and BSE cash sessions as dated data, and the pure functions that read them.

Hours are in Indian Standard Time. They changed on 3 August 2026 (closing auction for stocks with derivatives), on
7 September 2026 (pre-open) and will on 7 December 2026 (closing auction after 15:30), so each row says from which
day on it holds. Between sessions, and on days without any, the state is `closed`. An index keeps the hours of
stocks with derivatives, which make it.

Not in the data: the Muhurat session (8 November 2026; its hours are announced shortly before) and holidays after
2026, of which no list was out. `Calendar` takes both, and whatever an exchange announces at short notice.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import date, time
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from schemas.market import MarketState


class Session(NamedTuple):
    """A part of the day, `start` inclusive and `end` exclusive. `phase` tells parts of the same state apart."""

    state: MarketState
    start: time
    end: time
    phase: str = ""


class Hours(NamedTuple):
    """The sessions of a day from the day `since` on, by whether the stock has derivatives."""

    since: date
    with_derivatives: tuple[Session, ...]
    others: tuple[Session, ...]


class MarketSession(msgspec.Struct, frozen=True, gc=False):
    """What the market does, and until when (Unix milliseconds). None: no end is known."""

    state: MarketState
    until_ms: int | None = None


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """Which days are trading days, and the hours of days that keep hours of their own."""

    holidays: frozenset[date]
    special: Mapping[date, tuple[Session, ...] | None]
    """A session on a day that would have none, or other hours: None for a day's usual ones."""


def _session(state: MarketState, start: str, end: str, phase: str = "") -> Session:
    return Session(state, time.fromisoformat(start), time.fromisoformat(end), phase)


_PRE_OPEN = (
    _session(MarketState.PRE_OPEN, "09:00", "09:08", "entry"),
    _session(MarketState.PRE_OPEN, "09:08", "09:12", "matching"),
    _session(MarketState.PRE_OPEN, "09:12", "09:15", "buffer"),
)
_PRE_OPEN_SINCE_SEPTEMBER = (
    _session(MarketState.PRE_OPEN, "09:00", "09:05", "entry"),
    _session(MarketState.PRE_OPEN, "09:05", "09:10", "limit_entry"),
    _session(MarketState.PRE_OPEN, "09:10", "09:12", "matching"),
    _session(MarketState.PRE_OPEN, "09:12", "09:15", "buffer"),
)
_UNTIL_1530 = _session(MarketState.CONTINUOUS, "09:15", "15:30")
_UNTIL_1515 = _session(MarketState.CONTINUOUS, "09:15", "15:15")
_AUCTION_AT_1515 = _session(MarketState.CLOSING_AUCTION, "15:15", "15:35")
_AUCTION_AT_1530 = _session(MarketState.CLOSING_AUCTION, "15:30", "15:40")
_POST_CLOSE_AT_1540 = _session(MarketState.POST_CLOSE, "15:40", "16:00")
_POST_CLOSE_AT_1550 = _session(MarketState.POST_CLOSE, "15:50", "16:00")

CASH: tuple[Hours, ...] = (
    Hours(
        since=date.min,
        with_derivatives=(*_PRE_OPEN, _UNTIL_1530, _POST_CLOSE_AT_1540),
        others=(*_PRE_OPEN, _UNTIL_1530, _POST_CLOSE_AT_1540),
    ),
    Hours(
        since=date(2026, 8, 3),
        with_derivatives=(*_PRE_OPEN, _UNTIL_1515, _AUCTION_AT_1515, _POST_CLOSE_AT_1550),
        others=(*_PRE_OPEN, _UNTIL_1530, _POST_CLOSE_AT_1550),
    ),
    Hours(
        since=date(2026, 9, 7),
        with_derivatives=(*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1515, _AUCTION_AT_1515, _POST_CLOSE_AT_1550),
        others=(*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1530, _POST_CLOSE_AT_1550),
    ),
    Hours(
        since=date(2026, 12, 7),
        with_derivatives=(*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1530, _AUCTION_AT_1530, _POST_CLOSE_AT_1550),
        others=(*_PRE_OPEN_SINCE_SEPTEMBER, _UNTIL_1530, _POST_CLOSE_AT_1550),
    ),
)
"""The cash segments of NSE and BSE, oldest hours first."""

CALENDAR = Calendar(
    holidays=frozenset(
        date(2026, month, day)
        for month, day in (
            (1, 15), (1, 26), (3, 3), (3, 26), (3, 31), (4, 3), (4, 14), (5, 1),
            (5, 28), (6, 26), (9, 14), (10, 2), (10, 20), (11, 10), (11, 24), (12, 25),
        )
    ),
    special=MappingProxyType({date(2026, 2, 1): None}),  # the Union Budget, on a Sunday
)  # fmt: skip
"""NSE and BSE cash in 2026."""

_IST_OFFSET_S = 19_800
_DAY_S = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LONGEST_PAUSE_DAYS = 30
"""How far to look for the next session; no market was ever closed for longer."""


def ist_day(moment_ms: int) -> date:
    """The calendar day in India."""
    return date.fromordinal(_EPOCH_ORDINAL + (moment_ms // 1000 + _IST_OFFSET_S) // _DAY_S)


def next_day_ms(moment_ms: int) -> int:
    """The coming midnight in India."""
    return _moment_ms(ist_day(moment_ms), time.min) + _DAY_S * 1000


def sessions_on(day: date, *, has_derivatives: bool, calendar: Calendar = CALENDAR) -> tuple[Session, ...]:
    """The cash sessions of a day in order; none on holidays and weekends."""
    special = calendar.special.get(day)
    if special is not None:
        return special
    if day not in calendar.special and (day.weekday() >= 5 or day in calendar.holidays):
        return ()
    hours = CASH[bisect_right(CASH, day, key=lambda row: row.since) - 1]
    return hours.with_derivatives if has_derivatives else hours.others


def session_at(moment_ms: int, *, has_derivatives: bool, calendar: Calendar = CALENDAR) -> Session | None:
    """The session in which a moment lies; None while the market is closed."""
    day = ist_day(moment_ms)
    for session in sessions_on(day, has_derivatives=has_derivatives, calendar=calendar):
        if _moment_ms(day, session.start) <= moment_ms < _moment_ms(day, session.end):
            return session
    return None


def market_state(moment_ms: int, *, has_derivatives: bool, calendar: Calendar = CALENDAR) -> MarketState:
    """What the cash market of NSE and BSE does for a stock with or without derivatives."""
    session = session_at(moment_ms, has_derivatives=has_derivatives, calendar=calendar)
    return MarketState.CLOSED if session is None else session.state


def market_session(moment_ms: int, *, has_derivatives: bool, calendar: Calendar = CALENDAR) -> MarketSession:
    """The state and the moment of its next change, over nights, weekends and holidays."""
    state = market_state(moment_ms, has_derivatives=has_derivatives, calendar=calendar)
    changes = _changes(ist_day(moment_ms), has_derivatives=has_derivatives, calendar=calendar)
    until_ms = next((at for at, new in changes if at > moment_ms and new is not state), None)
    return MarketSession(state, until_ms)


def _changes(day: date, *, has_derivatives: bool, calendar: Calendar) -> Iterator[tuple[int, MarketState]]:
    """Every moment from `day` on at which a session begins, or ends without another, with the state from then on."""
    for ordinal in range(day.toordinal(), day.toordinal() + _LONGEST_PAUSE_DAYS):
        today = date.fromordinal(ordinal)
        sessions = sessions_on(today, has_derivatives=has_derivatives, calendar=calendar)
        for place, session in enumerate(sessions):
            yield _moment_ms(today, session.start), session.state
            if place + 1 == len(sessions) or sessions[place + 1].start != session.end:
                yield _moment_ms(today, session.end), MarketState.CLOSED


def _moment_ms(day: date, clock: time) -> int:
    second = clock.hour * 3600 + clock.minute * 60 + clock.second
    return ((day.toordinal() - _EPOCH_ORDINAL) * _DAY_S + second - _IST_OFFSET_S) * 1000
