"""A registry over a broker with faults, and readers on it: the room in which fan-out is tested."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.fanout import Fanout
from channels.outbox import Outbox, Subscription
from channels.registry import Joined, Registry, Wish
from channels.shape import Shape
from schemas.commands import Position
from schemas.errors import CommandError, UnsubscribeCode
from tests.channels.brokers import FaultyBroker
from tests.channels.clock import turns
from tests.channels.recorder import channel
from tests.channels.transports import LineDialect, Reader

INTERVAL_S = 0.010


class Floor:
    """Opened with `floor()`, where the broker delivers and the registry repairs."""

    def __init__(self, *, line_size: int = 0) -> None:
        self.broker = FaultyBroker()
        self.fanout = Fanout(INTERVAL_S)
        self.registry = Registry(self.broker, self.fanout)
        self.dialect = LineDialect(size=line_size)
        self.ended: list[tuple[Outbox, str, UnsubscribeCode]] = []

    def reader(self, client: str = "c", *, window: int | None = None) -> Reader:
        reader = Reader(self.registry.resume, client=client, user=client, window=window)
        reader.outbox.on_unsubscribed = lambda subscription, code, _: self.ended.append(
            (subscription.outbox, subscription.channel.name, code)
        )
        return reader

    def wish(self, name: str, *, since: Position | None = None, **shape: Any) -> Wish:
        return Wish(channel(name), Shape(self.dialect, **shape), since)

    async def grant(self, reader: Reader, name: str, **options: Any) -> Joined | CommandError:
        (answer,) = await self.registry.join(reader.outbox, [self.wish(name, **options)])
        return answer

    async def join(self, reader: Reader, name: str, **options: Any) -> Joined:
        """Granted and live."""
        answer = await self.grant(reader, name, **options)
        assert isinstance(answer, Joined), answer
        self.registry.start(answer)
        return answer

    async def subscribe(self, reader: Reader, name: str, **options: Any) -> Subscription:
        return (await self.join(reader, name, **options)).subscription

    async def say(self, name: str, *values: int) -> None:
        """One publication after the other, each delivered by itself."""
        for value in values:
            await self.broker.publish(channel(name), b'{"price":%d}' % value)

    async def say_at_once(self, *pairs: tuple[str, int]) -> None:
        """Values of latest channels, delivered in one call."""
        await self.broker.publish_latest([(channel(name), b'{"price":%d}' % value) for name, value in pairs])

    async def busy(self) -> None:
        """So much load that from here on updates wait for the tick, as long as time stands still."""
        filler = self.reader("filler")
        await self.subscribe(filler, "market:MCX:FILLER")
        for _ in range(10):
            await self.say_at_once(*[("market:MCX:FILLER", number) for number in range(2000)])
            if not filler.told():  # the first ones were written at once
                return
        raise AssertionError("no load makes this fan-out wait")


@asynccontextmanager
async def floor(**options: Any) -> AsyncIterator[Floor]:
    room = Floor(**options)
    parts = [
        asyncio.create_task(room.broker.listen(room.registry), name="floor.listen"),
        asyncio.create_task(room.registry.run(), name="floor.registry"),
    ]
    await turns()
    try:
        yield room
    finally:
        for part in parts:
            part.cancel()
        ends = await asyncio.gather(*parts, return_exceptions=True)
    faults = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
    assert faults == []


async def pass_time(seconds: float) -> None:
    """Every timer due within is run, and what they make ready."""
    await asyncio.sleep(seconds)
    await turns()
