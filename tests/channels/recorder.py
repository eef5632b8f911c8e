"""A sink that remembers, and brokers at work: what the tests of both twins need."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from channels.broker import Member, Publication
from channels.broker_memory import MemoryBroker
from channels.broker_redis import RedisBroker
from channels.channel import Channel, ChannelNames
from channels.namespace import BUILT_IN, Namespace, Namespaces, Policy

SHORT = Namespace(name="short", policy=Policy.LOG, message_type="short:new", history_size=5, history_age_s=3600.0)
"""A log that keeps five publications."""

BRIEF = Namespace(name="brief", policy=Policy.LOG, message_type="brief:new", history_size=5, history_age_s=0.2)
"""A log whose history lapses after 0.2 seconds."""

BARE = Namespace(name="bare", policy=Policy.LOG, message_type="bare:new", history_size=0, history_age_s=60.0)
"""A log without history."""

NAMES = ChannelNames(Namespaces((*BUILT_IN, SHORT, BRIEF, BARE)))


def channel(name: str) -> Channel:
    return NAMES.parse(name)


class Recorder:
    """A sink that keeps what it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[Publication] = []
        self.batches = 0
        self.interruptions = 0
        self.present: dict[str, list[Member]] = {}
        self._news = asyncio.Event()

    def deliver(self, publications: object) -> None:
        self.heard.extend(publications)  # type: ignore[arg-type]
        self.batches += 1
        self._news.set()

    def interrupted(self) -> None:
        self.interruptions += 1
        self._news.set()

    def members(self, name: str) -> list[Member]:
        return self.present.get(name, [])

    def payloads(self, name: str | None = None) -> list[bytes]:
        return [publication.payload for publication in self.heard if name in {None, publication.channel}]

    async def until(self, done: Callable[["Recorder"], bool], *, within_s: float = 10.0) -> None:
        """Returns once `done` holds; raises TimeoutError where it never does."""
        async with asyncio.timeout(within_s):
            while not done(self):
                self._news.clear()
                await self._news.wait()

    async def until_heard(self, payload: bytes, *, within_s: float = 10.0) -> None:
        """Returns once a publication with this payload was delivered."""
        await self.until(lambda self: any(held.payload == payload for held in self.heard), within_s=within_s)


@asynccontextmanager
async def listening(broker: MemoryBroker | RedisBroker, *, connected: bool = True) -> AsyncIterator[Recorder]:
    """The broker delivers to the recorder inside the block; `connected`: the block begins once it does."""
    recorder = Recorder()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(broker.listen(recorder), name="listen")
        try:
            if connected:
                await until(lambda: broker.connected)
            yield recorder
        finally:
            task.cancel()


async def until(done: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Returns once `done` holds, looking every few milliseconds; raises TimeoutError where it never does."""
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - what is waited for has no event to offer
            await asyncio.sleep(0.005)
