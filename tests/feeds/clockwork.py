"""What tests of the runner have instead of time and a market."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress

from feeds.feed import Update
from feeds.instruments import Instrument, Listing
from feeds.market_hours.sessions import MarketSession
from schemas.market import MarketState

START_S = 1_795_408_200.0
"""Monday 23 November 2026, 10:00 IST."""


class FakeTime:
    """A clock that moves when it is told to, and wakes who sleeps on it in the right order."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._more = asyncio.Event()

    def clock(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return START_S + self.now_s

    async def sleep(self, seconds: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + seconds, next(self._numbers), waiter))
        self._more.set()
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let this time pass; whoever wakes up gets to sleep again before the next one does."""
        target_s = self.now_s + seconds
        while (due_s := self._next_s()) is not None and due_s <= target_s:
            self.now_s = max(self.now_s, due_s)
            _, _, waiter = heapq.heappop(self._sleepers)
            self._more.clear()
            waiter.set_result(None)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._more.wait()
        self.now_s = target_s

    async def until_asleep(self) -> None:
        """Wait until somebody sleeps."""
        async with asyncio.timeout(5):
            while self._next_s() is None:
                self._more.clear()
                await self._more.wait()

    def _next_s(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled
        return self._sleepers[0][0] if self._sleepers else None


class Market:
    """`session_of`: every exchange is continuous, unless told otherwise."""

    def __init__(self, state: MarketState = MarketState.CONTINUOUS, until_ms: int | None = None) -> None:
        self.state = state
        self.until_ms = until_ms

    def __call__(self, exchange: str) -> MarketSession:
        return MarketSession(self.state, self.until_ms)


def listing(symbol: str, token: str, exchange: str = "NSE") -> Listing:
    instrument = Instrument(exchange=exchange, symbol=symbol, name=symbol, tick_size=500_000)
    return Listing(instrument=instrument, token=token)


class Published:
    """A `Publish` that keeps what it is given."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.batches: list[int] = []
        self._changed = asyncio.Condition()

    async def __call__(self, updates: Sequence[Update]) -> None:
        async with self._changed:
            self.updates += updates
            self.batches.append(len(updates))
            self._changed.notify_all()

    async def until(self, done: Callable[[list[Update]], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: done(self.updates))


async def until(done: Callable[[], bool]) -> None:
    """Wait, a turn of the loop at a time, until something holds that nobody tells of."""
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - what a test watches from outside rings no bell
            await asyncio.sleep(0.001)
