"""One instance of a fleet, in a test or as a process to be frozen: `python -m tests.hub.fleet_worker URL NAME`."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import msgspec

from channels.broker import Broker
from channels.broker_redis import RedisBroker
from channels.fanout import Fanout
from channels.registry import Registry
from hub.instances.fleet import Fleet
from tests.channels.recorder import NAMES


class Greeting(msgspec.Struct, frozen=True):
    """A question of the tests."""

    text: str
    size: int = 0


class Echo(msgspec.Struct, frozen=True):
    """Its answer."""

    text: str
    padding: str = ""


class Instance:
    """A fleet's member that answers `greet`, and remembers what it was told."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.heard: list[str] = []
        self.broker = broker
        self.registry = Registry(broker, Fanout())
        self.fleet = Fleet(broker, self.registry, name, announce_s=0.1, lapse_s=1.0)
        self.fleet.on("greet", Greeting, self._greet)
        self.fleet.on("recall", Greeting, lambda _: Echo(" ".join(self.heard)))
        self.fleet.on("break", Greeting, lambda greeting: 1 / len(greeting.text))

    def _greet(self, greeting: Greeting) -> Echo:
        self.heard.append(greeting.text)
        return Echo(f"{greeting.text}, says {self.fleet.instance}", "x" * greeting.size)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in (lambda: self.broker.listen(self.registry), self.registry.run, self.fleet.run):
                tasks.create_task(part(), name=f"{self.fleet.instance}")


@contextlib.asynccontextmanager
async def running(*instances: Instance) -> AsyncIterator[None]:
    """The instances are at work inside the block."""
    tasks = [asyncio.create_task(one.run(), name=one.fleet.instance) for one in instances]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for one in instances:
            await one.broker.close()
    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []


if __name__ == "__main__":
    asyncio.run(Instance(RedisBroker(sys.argv[1], names=NAMES), sys.argv[2]).run())
