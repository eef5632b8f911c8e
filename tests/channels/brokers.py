"""A broker with faults: MemoryBroker behind a wire that a test can cut, slow down, or let lose what it carries."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

from channels.broker import Count, Demanded, HistoryPage, Member, Publication, Receipt, Sink
from channels.broker_memory import MemoryBroker
from channels.channel import Channel
from channels.lease import Fence, Lease
from schemas.commands import Position
from schemas.errors import Unavailable


class Gate:
    """Holds calls of one method until opened."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.waiting = 0
        self._open = asyncio.Event()

    async def passing(self) -> None:
        self.waiting += 1
        self.arrived.set()
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


class FaultyBroker:
    """See `Broker`. Everything works until told otherwise.

    `away`: the methods named here raise Unavailable, "*" all of them. `loses`: publications for which it is true are
    never delivered, though the broker has them. `subscribed` counts `subscribe` minus `unsubscribe`, by channel.
    """

    def __init__(self) -> None:
        self.inner = MemoryBroker()
        self.away: set[str] = set()
        self.loses: Callable[[Publication], bool] = lambda _: False
        self.lost: list[Publication] = []
        self.calls: Counter[str] = Counter()
        self.subscribed: Counter[str] = Counter()
        self.delayed: list[Publication] | None = None
        self._gates: dict[str, tuple[Gate, bool]] = {}
        self._sink: Sink | None = None
        self._restarted = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self.inner.connected

    # -- faults ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def held(self, method: str, *, answered: bool = False) -> AsyncIterator[Gate]:
        """Calls of `method` wait inside the block until the gate opens, at the latest at its end.

        `answered`: they have been carried out by then, only their answers are late.
        """
        gate = Gate()
        self._gates[method] = (gate, answered)
        try:
            yield gate
        finally:
            if self._gates.get(method) == (gate, answered):
                del self._gates[method]
            gate.open()

    def hold_no_more(self, method: str) -> None:
        """Further calls of `method` pass; those that wait go on waiting."""
        del self._gates[method]

    def interrupt(self) -> None:
        """The connection was lost and is back."""
        if self._sink is not None:
            self._sink.interrupted()

    def delay(self) -> None:
        """From now on nothing is delivered, until `release`."""
        self.delayed = []

    def release(self) -> None:
        """Deliver what was delayed."""
        delayed, self.delayed = self.delayed or [], None
        self.deliver(delayed)

    async def restart(self) -> None:
        """The server comes back empty, with a new epoch; the sink is told."""
        self.inner = MemoryBroker()
        for name, count in self.subscribed.items():
            self.inner._subscribed[name] += count
        self._restarted.set()
        while not self.inner.connected:  # noqa: ASYNC110 - the twin has no event to offer
            await asyncio.sleep(0)
        self.interrupt()

    # -- the sink of the broker behind ----------------------------------------------------------------------------

    def deliver(self, publications: Sequence[Publication]) -> None:
        lost = [one for one in publications if self.loses(one)]
        self.lost += lost
        heard = [one for one in publications if one not in lost]
        if self.delayed is not None:
            self.delayed += heard
        elif heard and self._sink is not None:
            self._sink.deliver(heard)

    def interrupted(self) -> None:
        self.interrupt()

    def members(self, channel: str) -> list[Member]:
        return self._sink.members(channel) if self._sink is not None else []

    # -- the port -------------------------------------------------------------------------------------------------

    async def listen(self, sink: Sink) -> None:
        self._sink = sink
        while True:
            self._restarted.clear()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self.inner.listen(self), name="faulty.listen")
                await self._restarted.wait()
                task.cancel()

    async def publish(self, channel: Channel, payload: bytes, *, key: str | None = None) -> Receipt:
        async with self._call("publish"):
            return await self.inner.publish(channel, payload, key=key)

    async def publish_latest(self, batch: Sequence[tuple[Channel, bytes]], *, fence: Fence | None = None) -> None:
        async with self._call("publish_latest"):
            await self.inner.publish_latest(batch, fence=fence)

    async def subscribe(self, channels: Iterable[Channel]) -> None:
        """A call that fails or is cancelled does not count, as with Redis."""
        channels = list(channels)
        async with self._call("subscribe"):
            await self.inner.subscribe(channels)
            counted = Counter(channel.name for channel in channels)
            self.subscribed += counted
            taken_back = True
            try:
                await self._answer("subscribe")
                taken_back = False
            finally:
                if taken_back:
                    await self._forget(channels)

    async def unsubscribe(self, channels: Iterable[Channel]) -> None:
        async with self._call("unsubscribe"):
            await self._forget(list(channels))

    async def _forget(self, channels: list[Channel]) -> None:
        for channel in channels:
            self.subscribed[channel.name] -= 1
        await self.inner.unsubscribe(channels)

    async def history(self, channel: Channel, *, since: Position | None = None, limit: int) -> HistoryPage:
        async with self._call("history"):
            page = await self.inner.history(channel, since=since, limit=limit)
            await self._answer("history")
            return page

    async def last(self, channels: Iterable[Channel]) -> dict[str, Publication]:
        async with self._call("last"):
            values = await self.inner.last(channels)
            await self._answer("last")
            return values

    async def presence(self, channel: Channel) -> list[Member]:
        async with self._call("presence"):
            return await self.inner.presence(channel)

    async def claim(self, key: str, ttl_s: float) -> bool:
        async with self._call("claim"):
            return await self.inner.claim(key, ttl_s)

    async def count(self, key: str, window_s: float, cost: int = 1) -> Count:
        async with self._call("count"):
            return await self.inner.count(key, window_s, cost)

    def lease(self, name: str) -> Lease:
        return self.inner.lease(name)

    async def demand(self, names: Collection[str], ttl_s: float) -> None:
        async with self._call("demand"):
            await self.inner.demand(names, ttl_s)

    async def demanded(self, known: int = -1) -> Demanded:
        async with self._call("demanded"):
            return await self.inner.demanded(known)

    async def check(self) -> None:
        async with self._call("check"):
            return

    async def close(self) -> None:
        await self.inner.close()

    @asynccontextmanager
    async def _call(self, method: str) -> AsyncIterator[None]:
        self.calls[method] += 1
        gate, answered = self._gates.get(method, (None, True))
        if gate is not None and not answered:
            await gate.passing()
        if method in self.away or "*" in self.away:
            raise Unavailable("broker", "away")
        yield

    async def _answer(self, method: str) -> None:
        gate, answered = self._gates.get(method, (None, False))
        if gate is not None and answered:
            await gate.passing()
