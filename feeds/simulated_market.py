"""The simulated NSE and BSE, as instruments that move together: nothing in it is a real price.

Pure: the same seed and the same steps give the same ticks, at any speed. Of the SENSEX the stocks' NSE prices are
taken, of the BANK NIFTY only the banks that are also in the NIFTY 50.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from random import Random

from feeds.feed import Update
from feeds.instruments import SIMULATED, Kind, SimulatedInstrument
from feeds.interest import Place
from feeds.market_hours.hours import SessionClass
from feeds.market_hours.sessions import MarketSession, Sessions, ist_day, next_day_ms
from feeds.simulated_books import MOVING, Book, Factors, Index, Stand, Stock
from schemas.market import MarketState


class MarketHours(StrEnum):
    """When the simulated market trades."""

    ALWAYS = "always"
    """Continuously, day and night; a new trading day begins at midnight in India."""
    CLOCK = "clock"
    """In the sessions of the NSE, by the clock."""


class SimulatedMarket:
    """A market of simulated instruments that moves step by step. Pure: it knows only the time it is told.

    Instruments that `stood` somewhere on the day on which it begins go on from there; `rows` have their prices.
    """

    def __init__(
        self,
        rows: Sequence[SimulatedInstrument] = SIMULATED,
        *,
        seed: int | None = None,
        market_hours: MarketHours = MarketHours.ALWAYS,
        sessions: Sessions | None = None,
        stood: Mapping[Place, Stand] | None = None,
    ) -> None:
        stands = stood or {}
        random = Random(seed)  # noqa: S311 - prices, not secrets
        stocks = [row for row in rows if row.instrument.kind is Kind.STOCK]
        sectors = {sector: place for place, sector in enumerate(dict.fromkeys(row.sector for row in stocks))}
        prices: list[int] = []
        self._random = random
        self._market_hours = market_hours
        self._sessions = sessions or Sessions()
        self._factors = Factors(random, len(sectors))
        self._books: list[Book] = [
            Stock(
                row,
                stands.get(place_of(row)),
                random=random,
                factors=self._factors,
                sector=sectors[row.sector],
                prices=prices,
            )
            for row in stocks
        ]
        # Indices behind the stocks, so that at the end of an auction they see all its trades.
        self._books += [
            Index(row, stands.get(place_of(row)), stocks=stocks, prices=prices)
            for row in rows
            if row.instrument.kind is Kind.INDEX
        ]
        self._shares = [2 + min(6, int(row.weight)) for row in stocks] + [4] * (len(rows) - len(stocks))
        self._moving: list[Book] = []
        self._entering: deque[Book] = deque()
        self._states: dict[bool, MarketState] = {}
        self._day: date | None = None
        self._now_ms = 0
        self._until_ms = 0

    def __len__(self) -> int:
        return len(self._books)

    def session(self, now_ms: int, *, has_derivatives: bool = True) -> MarketSession:
        """What the market does for stocks with or without derivatives, and until when."""
        if self._market_hours is MarketHours.ALWAYS:
            return MarketSession(MarketState.CONTINUOUS)
        market = SessionClass.CASH_WITH_DERIVATIVES if has_derivatives else SessionClass.CASH
        return self._sessions.session(market, now_ms)

    def step(self, now_ms: int, n: int) -> list[Update]:
        """What happens up to `now_ms` in at most `n` ticks, with depths between them; all carry that time.

        A time before the last step's counts as the last step's. When the state of the market changes, each
        instrument is told once before anything else happens; then, while it is closed, nothing does.
        """
        now_ms = self._now_ms = max(now_ms, self._now_ms)
        self._factors.move(now_ms)
        if now_ms >= self._until_ms:
            self._turn(now_ms)
        updates: list[Update] = []
        while self._entering and n > 0:
            n -= 1
            book = self._entering.popleft()
            book.enter(now_ms, self._states[book.has_derivatives], ist_day(now_ms))
            self._tell(book, now_ms, updates)
        if self._moving:
            self._happen(now_ms, n, updates)
        return updates

    def _happen(self, now_ms: int, n: int, updates: list[Update]) -> None:
        chance, moving, size = self._random.random, self._moving, len(self._moving)
        for _ in range(n):
            book = moving[int(chance() * size)]
            book.move(now_ms)
            self._tell(book, now_ms, updates)

    def _tell(self, book: Book, now_ms: int, updates: list[Update]) -> None:
        updates.append(book.tick(now_ms))
        if isinstance(book, Stock) and (depth := book.depth(now_ms)) is not None:
            updates.append(depth)

    def _turn(self, now_ms: int) -> None:
        """Another state of the market, or another day of one that never closes."""
        sessions = {flag: self.session(now_ms, has_derivatives=flag) for flag in (True, False)}
        ends = [session.until_ms for session in sessions.values() if session.until_ms is not None]
        self._until_ms = min([*ends, next_day_ms(now_ms)])
        states = {flag: session.state for flag, session in sessions.items()}
        day = ist_day(now_ms)
        new_day = day != self._day and any(state in MOVING for state in states.values())
        changed = {flag for flag in states if states[flag] is not self._states.get(flag) or new_day}
        self._states = states
        if new_day:
            self._day = day
            self._factors.restart()
        waiting = set(map(id, self._entering))
        self._entering.extend(
            book for book in self._books if book.has_derivatives in changed and id(book) not in waiting
        )
        self._moving = [
            book
            for book, shares in zip(self._books, self._shares, strict=True)
            if states[book.has_derivatives] in MOVING
            for _ in range(shares)
        ]


def place_of(row: SimulatedInstrument) -> Place:
    """The exchange and symbol of a row."""
    return row.instrument.exchange, row.instrument.symbol
