"""When what a process carries is traded: by the sessions, or around the clock where prices are simulated so."""

from collections.abc import Callable

from channels.broker import Clock
from feeds.instruments import Instrument
from feeds.market_hours.hours import MAIN_CLASS, SessionClass, session_class
from feeds.market_hours.sessions import MarketSession, Sessions, ist_day, next_day_ms
from schemas.market import MarketState

_DAY_MS = 86_400_000


class FeedHours:
    """The hours of exchanges and instruments. `find` looks an instrument up; `wall` is Unix seconds."""

    def __init__(
        self,
        sessions: Sessions,
        find: Callable[[str, str], Instrument | None],
        wall: Clock,
        *,
        around_the_clock: bool,
    ) -> None:
        self._sessions = sessions
        self._find = find
        self._wall = wall
        self.around_the_clock = around_the_clock

    def session_of(self, exchange: str) -> MarketSession:
        """What an exchange does now."""
        if self.around_the_clock and exchange in ("NSE", "BSE"):
            return MarketSession(MarketState.CONTINUOUS)
        return self._sessions.session(exchange, int(self._wall() * 1000))

    def opens_ms(self, exchange: str, symbol: str, moment_ms: int) -> int | None:
        """When an instrument's day of that moment begins; None where it has none."""
        kind = self._class_of(exchange, symbol, moment_ms)
        return next_day_ms(moment_ms) - _DAY_MS if kind is None else self._sessions.opens_ms(kind, moment_ms)

    def closes_ms(self, exchange: str, symbol: str, moment_ms: int) -> int | None:
        """When it ends."""
        kind = self._class_of(exchange, symbol, moment_ms)
        return next_day_ms(moment_ms) if kind is None else self._sessions.closes_ms(kind, moment_ms)

    def _class_of(self, exchange: str, symbol: str, moment_ms: int) -> SessionClass | None:
        """Whose hours an instrument keeps; None around the clock, as what outsiders publish."""
        instrument = None if self.around_the_clock else self._find(exchange, symbol)
        if instrument is None or exchange not in MAIN_CLASS:
            return None
        return session_class(instrument, ist_day(moment_ms))
