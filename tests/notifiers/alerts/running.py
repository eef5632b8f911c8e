"""A runner with real engines, and a market that is said by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.runner import Runner
from notifiers.alerts.shards import Shards
from notifiers.alerts.triggers import Triggers
from notifiers.engine.samples import Source
from schemas.market import Tick, scaled
from schemas.tables import triggers
from tests.notifiers.alerts.stored import NOW_MS


class Market:
    """Follows what a runner wants, and tells it prices with numbers of its own."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.wanted: Mapping[Source, Collection[str]] = {}
        self.number = 0
        self.repeated: list[Source] = []
        runner.samples = self

    def follow(self, wanted: Mapping[Source, Collection[str]]) -> None:
        """See `notifiers.alerts.runner.Samples`."""
        self.wanted = wanted

    def repeat(self, sources: Collection[Source]) -> None:
        """See `notifiers.alerts.runner.Samples`."""
        self.repeated += sources

    def say(self, price: float, *, symbol: str = "TCS", number: int | None = None) -> None:
        """One tick, a second after the last one."""
        self.number = number or self.number + 1
        time_ms = NOW_MS + 1000 * self.number
        self.runner.take(Tick("NSE", symbol, scaled(price), time_ms), self.number, time_ms)


async def until(done: Callable[[], bool], timeout_s: float = 10) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110 - other tasks' doing, of which nobody is told
            await asyncio.sleep(0.005)


async def quick(seconds: float) -> None:
    """A sleep for periods of seconds."""
    await asyncio.sleep(min(seconds, 0.02 if seconds < 1 else 0.2))


@asynccontextmanager
async def running(engine: AsyncEngine, *, owner: str = "a", shards: int = 16) -> AsyncIterator[Market]:
    """A runner that has its shards, and is stopped in the end as a process that is told to."""
    triggers_ = Triggers(engine, wall=lambda: NOW_MS / 1000)
    runner = Runner(engine, Shards(engine, owner=owner), triggers_, sleep=quick)
    market = Market(runner)
    task = asyncio.create_task(runner.run(), name="runner")
    try:
        await until(lambda: runner.shards >= shards or task.done())
        yield market
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def fired(engine: AsyncEngine) -> list[tuple[int, str, int]]:
    """Alert, kind and number of all triggers."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(triggers.c.alert_id, triggers.c.kind, triggers.c.number).order_by(triggers.c.id)
        )
        return [(row[0], row[1], row[2]) for row in rows]


async def fired_count(engine: AsyncEngine, count: int) -> list[tuple[int, str, int]]:
    """The triggers, once there are so many."""
    async with asyncio.timeout(10):
        while len(found := await fired(engine)) < count:  # noqa: ASYNC110 - another process' doing
            await asyncio.sleep(0.01)
    return found
