"""A ring is heard in every process, soon, and a lost one costs nothing but a second."""

import asyncio

from channels.broker_memory import MemoryBroker
from channels.channel import Channel
from channels.fanout import Fanout
from channels.registry import Registry
from hub.instances.doorbell import Doorbell
from schemas.errors import Unavailable


class Deaf(MemoryBroker):
    """A broker that is away for who publishes."""

    async def publish(self, channel: Channel, payload: bytes, *, key: str | None = None) -> None:  # type: ignore[override]
        raise Unavailable("broker", "away")


async def _two(
    broker: MemoryBroker,
) -> tuple[Doorbell, Doorbell, asyncio.Event, asyncio.Event, list[asyncio.Task[None]]]:
    registry = Registry(broker, Fanout())
    here, there = Doorbell("things", broker, registry), Doorbell("things", broker, registry)
    heard_here, heard_there = asyncio.Event(), asyncio.Event()
    here.on_ring(heard_here.set)
    there.on_ring(heard_there.set)
    parts = [broker.listen(registry), registry.run(), here.run(), there.run()]
    return here, there, heard_here, heard_there, [asyncio.create_task(part) for part in parts]


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_ring_is_heard_here_at_once_and_elsewhere_soon() -> None:
    here, _, heard_here, heard_there, tasks = await _two(MemoryBroker())
    here.ring()
    assert heard_here.is_set()
    async with asyncio.timeout(5):
        while not heard_there.is_set():  # who has just come may have missed the first
            await asyncio.sleep(0.01)
            here.ring()
    await _end(tasks)


async def test_a_ring_that_nobody_carries_is_heard_here_all_the_same() -> None:
    here, _, heard_here, heard_there, tasks = await _two(Deaf())
    here.ring()
    assert heard_here.is_set()
    await asyncio.sleep(0)
    here.ring()
    assert not heard_there.is_set()
    await _end(tasks)
