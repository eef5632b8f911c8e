"""The simulated market as a feed, for demonstrations, tests and load: nothing in it is a real price."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from msgspec import structs

from channels.broker import Clock
from feeds.feed import FeedStatus, Health, Publish, Refusal
from feeds.instruments import SIMULATED, Instrument, instruments_of, synthetic
from feeds.interest import Place
from feeds.market_hours.sessions import MarketSession, Sessions
from feeds.simulated_books import Stand
from feeds.simulated_market import MarketHours, SimulatedMarket, place_of
from schemas.market import MarketState

TICKS_PER_SYMBOL = 5.0
"""The rate a second and instrument where none is set."""
MAX_TICKS_PER_SECOND = 50_000.0


class Pace:
    """How many ticks are due: the rate times the time that passed, without what came too late to matter."""

    INTERVAL_S = 0.01
    LATEST_S = 0.05
    """What a stall held up for longer is dropped, so that no burst follows it."""

    def __init__(self, rate: float, now_s: float) -> None:
        self._rate = rate
        self._last_s = now_s
        self._owed = 0.0
        self.dropped = 0.0
        """Ticks that were not made because their time had passed."""

    def due(self, now_s: float) -> int:
        """The ticks to make now; fractions are kept for the next time."""
        elapsed_s = max(0.0, now_s - self._last_s)
        self._last_s = now_s
        self.dropped += self._rate * max(0.0, elapsed_s - self.LATEST_S)
        self._owed += self._rate * min(elapsed_s, self.LATEST_S)
        due = int(self._owed)
        self._owed -= due
        return due


class Simulator:
    """The simulated market as a feed.

    `ticks_per_second` is the rate of all instruments together, about TICKS_PER_SYMBOL for each where it is None.
    `symbols` adds that many synthetic stocks to the bundled list. `clock` and `sleep` set the pace, `wall` (Unix
    seconds) the ticks' times and the sessions. Raises ValueError for a rate outside 0 to MAX_TICKS_PER_SECOND.
    """

    name = "simulator"

    def __init__(
        self,
        *,
        seed: int | None = None,
        ticks_per_second: float | None = None,
        market_hours: MarketHours = MarketHours.ALWAYS,
        symbols: int = 0,
        sessions: Sessions | None = None,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.rows = SIMULATED + synthetic(symbols)
        usual = min(TICKS_PER_SYMBOL * len(self.rows), MAX_TICKS_PER_SECOND)
        rate = usual if ticks_per_second is None else ticks_per_second
        if not 0 < rate <= MAX_TICKS_PER_SECOND:
            raise ValueError(f"a rate of {rate:g} ticks a second is not between 0 and {MAX_TICKS_PER_SECOND:g}")
        self.rate = rate
        self._make = partial(SimulatedMarket, seed=seed, market_hours=market_hours, sessions=sessions)
        self._market = self._make(self.rows)
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self.pace = Pace(rate, clock())
        self._instruments = instruments_of(self.rows)
        self._since_ms = self._now_ms()

    @property
    def status(self) -> FeedStatus:
        """As the simulated market is: live or closed."""
        quiet = self._market.session(self._now_ms()).state in (MarketState.CLOSED, MarketState.POST_CLOSE)
        return FeedStatus(
            health=Health.CLOSED if quiet else Health.LIVE,
            since_ms=self._since_ms,
            reason="simulated prices",
            instruments=len(self.rows),
        )

    @property
    def exchanges(self) -> Collection[str]:
        """Those of the simulated instruments."""
        return frozenset(row.instrument.exchange for row in SIMULATED)

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, if it is simulated."""
        return self._instruments.get(exchange, symbol)

    def want(self, wanted: Collection[tuple[str, str]]) -> None:
        """All is simulated, wanted or not."""

    def take_refusals(self) -> list[Refusal]:
        """Nothing is refused."""
        return []

    def session(self, exchange: str) -> MarketSession:
        """What an exchange does now, for its stocks with derivatives, and until when."""
        return self._market.session(self._now_ms())

    def begin_at(self, stood: Mapping[Place, Stand]) -> None:
        """Begin where the market stopped. Before it runs."""
        self.rows = tuple(
            structs.replace(row, close=stood[place_of(row)].price) if place_of(row) in stood else row
            for row in self.rows
        )
        self._market = self._make(self.rows, stood=stood)

    async def run(self, publish: Publish) -> None:
        """Moves the market by the clock until cancelled; cancelling is safe at any time."""
        self.pace = Pace(self.rate, self._clock())
        while True:
            await self._sleep(Pace.INTERVAL_S)
            updates = self._market.step(self._now_ms(), self.pace.due(self._clock()))
            if updates:
                await publish(updates)

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)
