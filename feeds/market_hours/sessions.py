"""When the market does what, for every class of instruments at every moment.

Hours are data (`feeds.market_hours.hours`), days come from `feeds.market_hours.holidays`, holidays of this morning and
halts from `feeds.market_hours.overrides`. Between sessions, and on days without any, the state is `closed`. All here is
pure and in memory; `feeds.market_hours.watch` keeps it up to date.
"""

import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, time
from typing import NamedTuple

import msgspec

from feeds.market_hours.holidays import CALENDAR, Calendar
from feeds.market_hours.hours import MAIN_CLASS, Hours, SessionClass
from feeds.market_hours.overrides import Halt, Overrides, applied
from schemas.market import MarketState

log = logging.getLogger("tickhub.feeds.market_hours.sessions")

REOPENING = "reopening"
"""The phase of a pre-open that follows a halt."""

_IST_OFFSET_MS = 19_800_000
_DAY_MS = 86_400_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LONGEST_PAUSE_DAYS = 30
"""How far to look for the next session; no market was ever closed for longer."""
_MAX_DAYS = 4096
"""Days of one class at one exchange that are kept worked out."""
_MAX_HALTS = 16


class MarketSession(msgspec.Struct, frozen=True, gc=False):
    """What the market does, and until when (Unix milliseconds). None: no end is known."""

    state: MarketState
    until_ms: int | None = None
    phase: str = ""
    """Which part of the state: `entry`, `limit_entry`, `matching`, `buffer`, `reference`, `reopening`, or none."""
    phase_until_ms: int | None = None
    """When the state or its phase changes next."""
    provisional: bool = False
    """The day's hours are still to be confirmed."""


class _Span(NamedTuple):
    """A stretch of time in which nothing changes. The spans of a day follow one another from midnight to midnight."""

    start_ms: int
    end_ms: int
    state: MarketState
    phase: str = ""
    provisional: bool = False


def ist_day(moment_ms: int) -> date:
    """The calendar day in India."""
    return date.fromordinal(_EPOCH_ORDINAL + (moment_ms + _IST_OFFSET_MS) // _DAY_MS)


def day_start_ms(day: date) -> int:
    """Midnight in India with which a day begins."""
    return (day.toordinal() - _EPOCH_ORDINAL) * _DAY_MS - _IST_OFFSET_MS


def next_day_ms(moment_ms: int) -> int:
    """The coming midnight in India."""
    return day_start_ms(ist_day(moment_ms)) + _DAY_MS


class Sessions:
    """The sessions of every market. Asking for a state costs a dict's look-up until it changes.

    Whoever asks names a class; the exchange matters for halts only, which may be of one exchange. Not for several
    threads.
    """

    def __init__(self, calendar: Calendar = CALENDAR, overrides: Sequence[Overrides] = ()) -> None:
        self._plain = calendar
        self._overrides = tuple(overrides)
        self._observed: tuple[Halt, ...] = ()
        self._calendar = calendar
        self._halts: tuple[Halt, ...] = ()
        self._now: dict[tuple[str, SessionClass], _Span] = {}
        self._days: dict[tuple[str, SessionClass, date], tuple[_Span, ...]] = {}
        self._warned: set[int] = set()
        self._work_out()

    def use(self, *, calendar: Calendar | None = None, overrides: Sequence[Overrides] | None = None) -> None:
        """From now on another calendar, or other overrides in place of all former ones; the last of them counts."""
        if calendar is not None:
            self._plain = calendar
        if overrides is not None:
            self._overrides = tuple(overrides)
        self._work_out()

    def halt(self, halt: Halt) -> None:
        """Adds a halt that was observed rather than announced (`feeds.market_hours.halts`); the last few are kept."""
        self._observed = (*self._observed, halt)[-_MAX_HALTS:]
        self._work_out()

    def state(self, session_class: SessionClass, moment_ms: int, exchange: str = "") -> MarketState:
        """What the market of a class does at a moment. About 0.2 µs."""
        span = self._now.get((exchange, session_class))
        if span is None or not span.start_ms <= moment_ms < span.end_ms:
            span = self._span(session_class, moment_ms, exchange)
        return span.state

    def session(self, market: str, moment_ms: int, exchange: str = "") -> MarketSession:
        """What the market of a class, or of an exchange's main class, does, and until when: over nights and holidays.

        Raises ValueError for what is neither.
        """
        main = MAIN_CLASS.get(market)
        session_class, exchange = (SessionClass(market), exchange) if main is None else (main, market)
        span = self._span(session_class, moment_ms, exchange)
        phase_until_ms = until_ms = None
        for later in self._later(session_class, span, exchange):
            if phase_until_ms is None and (later.state, later.phase) != (span.state, span.phase):
                phase_until_ms = later.start_ms
            if later.state is not span.state:
                until_ms = later.start_ms
                break
        return MarketSession(span.state, until_ms, span.phase, phase_until_ms, span.provisional)

    def opens_ms(self, session_class: SessionClass, moment_ms: int) -> int | None:
        """When continuous trading begins on the day of a moment, halts or not; None on a day without."""
        day = ist_day(moment_ms)
        starts = [one.start for one in self.hours(session_class, day).sessions if one.state is MarketState.CONTINUOUS]
        return _moment_ms(day, min(starts)) if starts else None

    def closes_ms(self, session_class: SessionClass, moment_ms: int) -> int | None:
        """When the day's last continuous trading or closing auction ends; None on a day without."""
        day = ist_day(moment_ms)
        ends = [one.end for one in self.hours(session_class, day).sessions if one.state in _PRICE_MAKING]
        return _moment_ms(day, max(ends)) if ends else None

    def hours(self, session_class: SessionClass, day: date) -> Hours:
        """The sessions of a day, overrides counted, halts not."""
        if day.year not in self._calendar.years and day.year not in self._warned:
            self._warned.add(day.year)
            log.warning("sessions.no_holiday_list", extra={"year": day.year, "hint": "name holidays in SESSIONS_FILE"})
        return self._calendar.hours(session_class, day)

    def trades_on(self, session_class: SessionClass, day: date) -> bool:
        """Whether a class trades at all on a day."""
        return bool(self.hours(session_class, day).sessions)

    def next_trading_day(self, session_class: SessionClass, day: date) -> date | None:
        """The first trading day after `day`; None if there is none within a month."""
        return self._trading_day(session_class, day, 1)

    def previous_trading_day(self, session_class: SessionClass, day: date) -> date | None:
        """The last trading day before `day`; None if there is none within a month."""
        return self._trading_day(session_class, day, -1)

    def _trading_day(self, session_class: SessionClass, day: date, step: int) -> date | None:
        ordinals = range(day.toordinal() + step, day.toordinal() + step * (_LONGEST_PAUSE_DAYS + 1), step)
        days = map(date.fromordinal, ordinals)
        return next((one for one in days if self.trades_on(session_class, one)), None)

    def _work_out(self) -> None:
        self._calendar = applied(self._plain, *self._overrides)
        self._halts = (*(halt for one in self._overrides for halt in one.halts), *self._observed)
        self._now.clear()
        self._days.clear()

    def _span(self, session_class: SessionClass, moment_ms: int, exchange: str) -> _Span:
        spans = self._spans(session_class, ist_day(moment_ms), exchange)
        span = spans[bisect_right(spans, moment_ms, key=lambda one: one.start_ms) - 1]
        self._now[exchange, session_class] = span
        return span

    def _later(self, session_class: SessionClass, span: _Span, exchange: str) -> Iterator[_Span]:
        first = ist_day(span.start_ms).toordinal()
        for ordinal in range(first, first + _LONGEST_PAUSE_DAYS):
            for later in self._spans(session_class, date.fromordinal(ordinal), exchange):
                if later.start_ms > span.start_ms:
                    yield later

    def _spans(self, session_class: SessionClass, day: date, exchange: str) -> tuple[_Span, ...]:
        key = (exchange, session_class, day)
        spans = self._days.get(key)
        if spans is None:
            if len(self._days) >= _MAX_DAYS:
                self._days.clear()
            halts = [halt for halt in self._halts if halt.holds_for(session_class, exchange)]
            spans = self._days[key] = _with_halts(_spans_of(self.hours(session_class, day), day), halts)
        return spans


_PRICE_MAKING = frozenset({MarketState.CONTINUOUS, MarketState.CLOSING_AUCTION})


def _moment_ms(day: date, clock: time) -> int:
    second = clock.hour * 3600 + clock.minute * 60 + clock.second
    return day_start_ms(day) + second * 1000 + clock.microsecond // 1000


def _spans_of(hours: Hours, day: date) -> tuple[_Span, ...]:
    spans, at_ms, end_ms = [], day_start_ms(day), day_start_ms(day) + _DAY_MS
    for session in hours.sessions:
        start_ms = _moment_ms(day, session.start)
        spans.append(_Span(at_ms, start_ms, MarketState.CLOSED, "", hours.provisional))
        at_ms = _moment_ms(day, session.end)
        spans.append(_Span(start_ms, at_ms, session.state, session.phase, hours.provisional))
    spans.append(_Span(at_ms, end_ms, MarketState.CLOSED, "", hours.provisional))
    return tuple(span for span in spans if span.start_ms < span.end_ms)


def _with_halts(spans: tuple[_Span, ...], halts: Sequence[Halt]) -> tuple[_Span, ...]:
    """The spans of a day with halts in them. A market that halts again while it reopens is halted."""
    for halt in halts:
        if halt.until_ms is not None and halt.reopens_ms is not None:
            spans = tuple(
                part
                for span in spans
                for part in _cut(span, halt.until_ms, halt.reopens_ms, MarketState.PRE_OPEN, REOPENING)
            )
    for halt in halts:
        spans = tuple(
            part for span in spans for part in _cut(span, halt.since_ms, halt.until_ms, MarketState.HALTED, "")
        )
    return spans


def _cut(span: _Span, from_ms: int, until_ms: int | None, state: MarketState, phase: str) -> Iterator[_Span]:
    """The span in up to three parts, the one in between with another state. What is closed stays closed."""
    start_ms = max(span.start_ms, from_ms)
    end_ms = span.end_ms if until_ms is None else min(span.end_ms, until_ms)
    if span.state is MarketState.CLOSED or start_ms >= end_ms:
        yield span
        return
    if span.start_ms < start_ms:
        yield span._replace(end_ms=start_ms)
    yield span._replace(start_ms=start_ms, end_ms=end_ms, state=state, phase=phase)
    if end_ms < span.end_ms:
        yield span._replace(start_ms=end_ms)
