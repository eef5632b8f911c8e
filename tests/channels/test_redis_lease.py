"""A lease among processes while its Redis is not as it should be; what every lease does is in the brokers' contract."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NoReturn

from channels.broker_redis import RedisBroker
from channels.lease import Fence, Lease
from channels.redis_lease import LEASE_MS
from tests.channels.recorder import NAMES
from tests.servers import RedisServer

WAIT_S = 10.0


class Holder:
    """A process that wants the lease."""

    def __init__(self, broker: RedisBroker) -> None:
        self.lease: Lease = broker.lease("feeds")
        self.began: list[Fence] = []
        self.ended = 0

    async def work(self, fence: Fence) -> NoReturn:
        self.began.append(fence)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended += 1
        raise AssertionError

    async def until(self, began: int, ended: int, within_s: float = WAIT_S) -> None:
        async with asyncio.timeout(within_s):
            while (len(self.began), self.ended) != (began, ended):  # noqa: ASYNC110 - a lease has no event to offer
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def holding(redis: RedisServer) -> AsyncIterator[Holder]:
    broker = RedisBroker(redis.url, names=NAMES, timeout_s=1.0)
    holder = Holder(broker)
    task = asyncio.create_task(holder.lease.hold(holder.work), name="holder")
    try:
        yield holder
    finally:
        task.cancel()
        await asyncio.wait([task])
        await broker.close()


async def lease_is_kept(redis: RedisServer) -> None:
    """Somebody has taken the lease, or taken it again."""
    async with asyncio.timeout(WAIT_S):
        while await asyncio.to_thread(redis.command, "EXISTS", "hub:{lease:feeds}") != b":1\r\n":  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)


async def test_a_redis_that_restarts_without_its_memory_interrupts_nobody(own_redis: RedisServer) -> None:
    async with holding(own_redis) as holder:
        await holder.until(1, 0)
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_redis.start)
        await lease_is_kept(own_redis)
        assert holder.lease.held
        assert (len(holder.began), holder.ended) == (1, 0)


async def test_who_comes_to_the_empty_redis_first_has_the_lease_and_the_greater_fence(own_redis: RedisServer) -> None:
    async with holding(own_redis) as first:
        await first.until(1, 0)
        async with holding(own_redis) as second:
            await asyncio.to_thread(own_redis.command, "HSET", "hub:{lease:feeds}", "owner", "nobody", "until", "0")
            await second.until(1, 0)
            await first.until(1, 1)
            assert second.began[0].number > first.began[0].number
            assert (first.lease.held, second.lease.held) == (False, True)


async def test_a_redis_that_is_away_for_longer_than_the_lease_ends_the_work(own_redis: RedisServer) -> None:
    async with holding(own_redis) as holder:
        await holder.until(1, 0)
        await asyncio.to_thread(own_redis.kill)
        began_s = asyncio.get_running_loop().time()
        await holder.until(1, 1)
        assert asyncio.get_running_loop().time() - began_s < LEASE_MS / 1000 + 2
        assert not holder.lease.held
        await asyncio.to_thread(own_redis.start)
        await holder.until(2, 1)
        assert holder.began[1].number > holder.began[0].number
