"""The gate: whether a tick can be true, before anything else sees it. Pure; it knows only the time it is told.

What is impossible is counted by its reason and kept out, never mended. What is merely odd passes and is counted:

- A price off the instrument's grid passes: ticks are set anew every month, and a master may be older.
- A price outside the circuit limits is impossible for shares without derivatives. Stocks with derivatives, and
  derivatives, have limits that the exchange widens within the day, often before a vendor's figures say so; there it
  takes a price as far outside again as the limits are wide. Limits count once the instrument has traded today, since
  before that the price is an earlier day's; and a master's only where they lie around the close that the tick names.
- A price of zero means none. Futures on commodities may be below it, as crude was on 20 April 2020.

Time: an instrument's ticks never go back. A tick of an earlier day is a snapshot, as a vendor sends it outside hours
or of what has not traded since; it passes once, as `closed`. A tick that claims to be more than a minute ahead is
impossible, unless most ticks are ahead: then it is our clock that is behind, which is told once, and up to ten minutes
are borne. Neither time nor volume is believed for ever: after `PATIENCE` refusals in a row of one instrument, the one
that is contradicted was the liar, and the next one counts.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum

from msgspec.structs import force_setattr

from feeds.feed import Update
from feeds.instruments import Instrument, Kind
from feeds.market_hours.hours import SessionClass, session_class
from feeds.market_hours.sessions import Sessions, day_start_ms, ist_day
from schemas.market import MarketState, Tick

log = logging.getLogger("tickhub.feeds.sanity")

FUTURE_MS = 60_000
"""How far ahead of our clock a tick may be."""
FUTURE_BORNE_MS = 600_000
"""The same while our clock is known to be behind."""
LATE_MS = 60_000
"""A tick that is older tells of an earlier trade: its state is that of now."""
OLDEST_MS = 400 * 86_400_000
PATIENCE = 5
LOG_INTERVAL_MS = 60_000

_DAY_MS = 86_400_000
_MAX_SEEN = 400_000
_TRADED = frozenset({MarketState.CONTINUOUS, MarketState.CLOSING_AUCTION, MarketState.POST_CLOSE})


class Reason(StrEnum):
    """Why a tick was kept out, for a metric's label."""

    UNKNOWN_INSTRUMENT = "unknown_instrument"
    NO_PRICE = "no_price"
    OUTSIDE_CIRCUIT = "outside_circuit"
    OUT_OF_ORDER = "out_of_order"
    DUPLICATE = "duplicate"
    FUTURE = "future"
    TOO_OLD = "too_old"
    VOLUME_BACKWARDS = "volume_backwards"


class Oddity(StrEnum):
    """What a tick that passed had about it, for a metric's label."""

    OFF_TICK = "off_tick"
    STALE_SNAPSHOT = "stale_snapshot"


class _Seen:
    """What is remembered of one instrument, anew each day but for its last tick."""

    __slots__ = (
        "day_ms", "instrument", "last", "listed_limits", "negative", "refused", "session_class", "tick_size", "volume",
        "widened",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, moment_ms: int) -> None:
        self.last: Tick | None = None
        self.refused = 0
        """Times in a row that it was refused for going back."""
        self.begin(instrument, moment_ms)

    def begin(self, instrument: Instrument, moment_ms: int) -> None:
        """Another day."""
        day = ist_day(moment_ms)
        self.day_ms = day_start_ms(day)
        self.instrument = instrument
        self.session_class = session_class(instrument, day)
        self.tick_size = instrument.tick_size if instrument.kind is Kind.STOCK and instrument.tick_size > 0 else 1
        self.negative = self.session_class is SessionClass.COMMODITY and instrument.kind is Kind.FUTURE
        self.listed_limits = instrument.upper_circuit is not None
        self.widened = self.session_class is not SessionClass.CASH
        """Whether the exchange may widen the circuit limits within the day."""
        self.volume = 0
        """What has been traded today, as last told."""


class Gate:
    """Judges the ticks of one process. `find` looks an instrument up by exchange and symbol."""

    def __init__(self, sessions: Sessions, find: Callable[[str, str], Instrument | None]) -> None:
        self._sessions = sessions
        self._find = find
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._told_ms: dict[Reason, int] = {}
        self._clock = WireClock(sessions)
        self.passed = 0
        self.refused: Counter[Reason] = Counter()
        """Ticks kept out, by reason."""
        self.odd: Counter[Oddity] = Counter()
        """Ticks that passed all the same, by what was odd."""

    def sift(self, updates: Sequence[Update], now_ms: int) -> list[Update]:
        """The updates without impossible ticks, in their order; `now_ms` is the wall clock's (Unix milliseconds).

        One tick of each batch is compared with our clock.
        """
        judge, last = self.judge, next((one for one in reversed(updates) if type(one) is Tick), None)
        if last is not None:
            self._clock.count(now_ms - last.time_ms, now_ms)
        return [one for one in updates if type(one) is not Tick or judge(one, now_ms) is None]

    def judge(self, tick: Tick, now_ms: int) -> Reason | None:
        """Why a tick is kept out; None where it passes. Where the wire told no state, it has one from then on.

        About 1 µs. A tick is judged once, before anybody else has it.
        """
        late_ms = now_ms - tick.time_ms
        moment_ms = tick.time_ms if -FUTURE_BORNE_MS <= late_ms < LATE_MS else now_ms
        seen = self._seen.get((tick.exchange, tick.symbol))
        if seen is None or not 0 <= moment_ms - seen.day_ms < _DAY_MS:
            seen = self._begin(tick, moment_ms)
        reason = Reason.UNKNOWN_INSTRUMENT if seen is None else self._reason(tick, seen, late_ms, moment_ms)
        if reason is None:
            self.passed += 1
        else:
            self._refuse(tick, reason, now_ms)
        return reason

    def _reason(self, tick: Tick, seen: _Seen, late_ms: int, moment_ms: int) -> Reason | None:
        """The checks, and what is remembered of a tick that passes them. Nearly all do, so each is cheap to pass."""
        price, time_ms, volume, last = tick.price, tick.time_ms, tick.volume, seen.last
        if (price <= 0 or late_ms < -FUTURE_MS or late_ms > OLDEST_MS) and (
            why := self._impossible(tick, seen, late_ms)
        ):
            return why
        if tick.state is None or time_ms < seen.day_ms:
            self._fill_state(tick, seen, moment_ms)
        backwards = volume is not None and volume < seen.volume
        if last is not None and (backwards or time_ms <= last.time_ms) and (why := _contradiction(tick, seen, last)):
            return why
        if volume and tick.state in _TRADED:
            if (seen.listed_limits or tick.upper_circuit) and _outside_circuit(tick, seen):
                return Reason.OUTSIDE_CIRCUIT
            seen.volume = volume
        if price % seen.tick_size:
            self.odd[Oddity.OFF_TICK] += 1
        seen.refused = 0
        seen.last = tick
        return None

    def _begin(self, tick: Tick, moment_ms: int) -> _Seen | None:
        """The instrument's first tick, or its first of another day: then the master may say other things of it."""
        instrument = self._find(tick.exchange, tick.symbol)
        key = (tick.exchange, tick.symbol)
        if instrument is None:
            self._seen.pop(key, None)
            return None
        seen = self._seen.get(key)
        if seen is not None:
            seen.begin(instrument, moment_ms)
            return seen
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen[key] = seen = _Seen(instrument, moment_ms)
        return seen

    def _impossible(self, tick: Tick, seen: _Seen, late_ms: int) -> Reason | None:
        """What is wrong with the tick by itself."""
        if tick.price <= 0 and not (tick.price and seen.negative):
            return Reason.NO_PRICE
        if late_ms < -FUTURE_MS and late_ms < -self._clock.borne_ms:
            return Reason.FUTURE
        if late_ms > OLDEST_MS:
            return Reason.TOO_OLD
        return None

    def _fill_state(self, tick: Tick, seen: _Seen, moment_ms: int) -> None:
        if tick.time_ms < seen.day_ms:
            self.odd[Oddity.STALE_SNAPSHOT] += 1
            state = MarketState.CLOSED
        else:
            state = self._sessions.state(seen.session_class, moment_ms, tick.exchange)
        force_setattr(tick, "state", state)  # nobody else has it yet, and a copy would cost as much as all the rest

    def _refuse(self, tick: Tick, reason: Reason, now_ms: int) -> None:
        self.refused[reason] += 1
        told_ms = self._told_ms.get(reason)
        if told_ms is None or not 0 <= now_ms - told_ms < LOG_INTERVAL_MS:
            self._told_ms[reason] = now_ms
            log.log(
                logging.DEBUG if reason is Reason.DUPLICATE else logging.WARNING,  # vendors repeat themselves
                "feed.tick_refused",
                extra={
                    "reason": reason.value,
                    "exchange": tick.exchange,
                    "symbol": tick.symbol,
                    "price": tick.price,
                    "time_ms": tick.time_ms,
                    "total": self.refused[reason],
                },
            )


def _contradiction(tick: Tick, seen: _Seen, last: Tick) -> Reason | None:
    """What is wrong with a tick that is no newer than its predecessor, or whose volume is smaller."""
    if tick.time_ms == last.time_ms and tick == last:
        return Reason.DUPLICATE
    older = tick.time_ms < last.time_ms
    if not older and (tick.volume is None or tick.volume >= seen.volume):
        return None
    if seen.refused < PATIENCE:
        seen.refused += 1
        return Reason.OUT_OF_ORDER if older else Reason.VOLUME_BACKWARDS
    seen.volume = 0
    return None


def _outside_circuit(tick: Tick, seen: _Seen) -> bool:
    lower, upper = tick.lower_circuit or 0, tick.upper_circuit
    if not upper:  # vendors write 0 where there are none
        lower, upper = _listed_limits(tick, seen.instrument)
    if not upper or lower <= tick.price <= upper:
        return False
    slack = upper - lower if seen.widened else 0
    return not lower - slack <= tick.price <= upper + slack


def _listed_limits(tick: Tick, instrument: Instrument) -> tuple[int, int]:
    """The master's limits, if they are today's: around the close from which the tick measures. Else zeros."""
    lower, upper = instrument.lower_circuit or 0, instrument.upper_circuit or 0
    close = tick.close or 0
    of_today = close > 0 and abs(lower + upper - 2 * close) * 100 <= 2 * close
    return (lower, upper) if of_today else (0, 0)


class WireClock:
    """Compares our clock with the wire's: whether most ticks of a window are ahead of it, or all of several late."""

    WINDOW = 128
    """Batches that are judged together, by one tick of each."""
    AHEAD_MS = 2_000
    LATE_MS = 5_000
    LATE_WINDOWS = 4
    """So many in a row without any fresh tick, in continuous trading: single ones are snapshots of what rests."""

    __slots__ = ("_ahead", "_counted", "_fresh", "_late_windows", "_sessions", "_told", "borne_ms")

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._counted = self._ahead = self._fresh = self._late_windows = 0
        self._told = ""
        self.borne_ms = FUTURE_MS
        """How far ahead ticks may be at present."""

    def count(self, late_ms: int, now_ms: int) -> None:
        """Counts one tick that came `late_ms` after its own time, or before it."""
        self._counted += 1
        if late_ms < -self.AHEAD_MS:
            self._ahead += 1
        elif late_ms <= self.LATE_MS:
            self._fresh += 1
        if self._counted >= self.WINDOW:
            self._weigh(late_ms, now_ms)

    def _weigh(self, late_ms: int, now_ms: int) -> None:
        behind = self._ahead * 2 >= self._counted
        trading = self._sessions.state(SessionClass.CASH_WITH_DERIVATIVES, now_ms) is MarketState.CONTINUOUS
        self._late_windows = self._late_windows + 1 if trading and not self._fresh and not behind else 0
        self._counted = self._ahead = self._fresh = 0
        self.borne_ms = FUTURE_BORNE_MS if behind else FUTURE_MS
        self._tell("behind" if behind else "ahead" if self._late_windows >= self.LATE_WINDOWS else "", late_ms)

    def _tell(self, finding: str, late_ms: int) -> None:
        if finding and finding != self._told:
            hint = "ours is behind the vendor's" if finding == "behind" else "ours is ahead, or the prices come late"
            log.warning("feed.clock", extra={"clock": finding, "seconds": round(abs(late_ms) / 1000), "hint": hint})
        elif self._told and not finding:
            log.info("feed.clock_right")
        self._told = finding
