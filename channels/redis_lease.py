"""A lease among all processes on one Redis."""

import asyncio
import logging
import random
from typing import NoReturn

from channels.lease import Fence, LeaseLost, Work, give_way
from channels.redis_link import Call, RedisLink
from channels.redis_scripts import ACQUIRE, RELEASE, RENEW
from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.channels.lease")

LEASE_MS = 3000
RENEW_INTERVAL_S: Seconds = 1.0


class RedisLease:
    """See `channels.lease.Lease`. `owner` is a word that no other process has, `key` the lease's key in Redis."""

    def __init__(self, link: RedisLink, *, name: str, key: bytes, owner: bytes) -> None:
        self.held = False
        self._link = link
        self._name = name
        self._key = key
        self._owner = owner

    async def hold(self, work: Work) -> NoReturn:
        """See `Lease`."""
        while True:
            if number := await self._acquire():
                await self._hold(work, Fence(self._name, number))
            await asyncio.sleep(RENEW_INTERVAL_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load

    async def _acquire(self) -> int:
        try:
            return int(await self._link.run(Call(ACQUIRE, [self._key], [self._owner, LEASE_MS])))
        except Unavailable as exc:
            log.info("lease.waiting", extra={"lease": self._name, "why": exc.why})
            return 0

    async def _hold(self, work: Work, fence: Fence) -> None:
        self.held = True
        log.info("lease.held", extra={"lease": self._name})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(), name=f"lease-{self._name}")
                await work(fence)
        except* LeaseLost:
            log.warning("lease.lost", extra={"lease": self._name})
        finally:
            self.held = False
            await self._release()
        give_way()

    async def _keep(self) -> NoReturn:
        while True:
            await asyncio.sleep(RENEW_INTERVAL_S)
            try:
                renewed = await self._link.run(Call(RENEW, [self._key], [self._owner, LEASE_MS]))
            except Unavailable as exc:
                raise LeaseLost from exc
            if not renewed:
                raise LeaseLost

    async def _release(self) -> None:
        try:
            await self._link.run(Call(RELEASE, [self._key], [self._owner]))
        except Unavailable:
            log.info("lease.left", extra={"lease": self._name, "ends_within_s": LEASE_MS / 1000})
