"""An account with a vendor on loopback, carried by the real runner."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from math import inf

import msgspec

from feeds.accounts.runner import BrokerFeed
from feeds.brokers.source import Source
from feeds.feed import Health
from feeds.instruments import Listing
from feeds.listings.directory import Directory
from schemas.market import Tick
from tests.feeds.clockwork import FakeTime, Market, Published, until


class Account:
    """A feed with its vendor's listings; nothing waits but for the clock of the test."""

    def __init__(self, source: Source, listings: Collection[Listing], credentials: Mapping[str, str]) -> None:
        source.limits = msgspec.structs.replace(source.limits, frames_per_second=inf)
        self.credentials = dict(credentials)
        self.time = FakeTime()
        self.published = Published()
        self.feed = BrokerFeed(
            source,
            directory=Directory(listings),
            credentials=lambda: dict(self.credentials),
            session_of=Market(),
            clock=self.time.clock,
            wall=self.time.wall,
            sleep=self.time.sleep,
            chance=lambda: 0.5,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.feed.run(self.published), name="feed")
        try:
            yield
        finally:
            task.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait([task])
            assert task.cancelled()

    async def until(self, health: Health) -> None:
        await until(lambda: self.feed.status.health is health)

    async def reconnect(self) -> None:
        """Let the pause before the next attempt pass."""
        await self.time.until_asleep()
        await self.time.advance(2.0)

    async def until_price(self, symbol: str, price: int) -> None:
        """Wait until a tick with this price is published."""
        await self.published.until(
            lambda updates: any(isinstance(one, Tick) and (one.symbol, one.price) == (symbol, price) for one in updates)
        )
