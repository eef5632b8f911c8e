"""A lease among all processes on one Redis."""

import asyncio
import logging
import random
import time
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
        self._link = link
        self._name = name
        self._key = key
        self._owner = owner
        self._until_s = 0.0

    @property
    def held(self) -> bool:
        """See `Lease`. By our own clock, so that a process that was stopped knows when it wakes up."""
        return time.monotonic() < self._until_s

    async def hold(self, work: Work) -> NoReturn:
        """See `Lease`."""
        while True:
            if number := await self._acquire():
                await self._hold(work, Fence(self._name, number))
            await asyncio.sleep(RENEW_INTERVAL_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load

    async def _acquire(self) -> int:
        asked_s = time.monotonic()
        try:
            number = int(await self._link.run(Call(ACQUIRE, [self._key], [self._owner, LEASE_MS])))
        except Unavailable as exc:
            log.info("lease.waiting", extra={"lease": self._name, "why": exc.why})
            return 0
        if number:
            self._until_s = asked_s + LEASE_MS / 1000
        return number

    async def _hold(self, work: Work, fence: Fence) -> None:
        log.info("lease.held", extra={"lease": self._name})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep(), name=f"lease-{self._name}")
                await work(fence)
        except* LeaseLost:
            log.warning("lease.lost", extra={"lease": self._name})
        finally:
            self._until_s = 0.0
            await self._release()
        give_way()

    async def _keep(self) -> NoReturn:
        """Prolongs the lease until somebody else has it, or may have it, as the server was away for too long.

        A server that lost its memory is asked for the lease again. The fence stays: whoever had the lease in between
        has got a greater one, and is obeyed.
        """
        while True:
            await asyncio.sleep(RENEW_INTERVAL_S)
            asked_s = time.monotonic()
            try:
                kept = await self._link.run(Call(RENEW, [self._key], [self._owner, LEASE_MS]))
            except Unavailable as exc:
                if not self.held:
                    raise LeaseLost from exc
                continue
            if kept:
                self._until_s = asked_s + LEASE_MS / 1000
            elif not await self._acquire():
                self._until_s = 0.0
                raise LeaseLost

    async def _release(self) -> None:
        try:
            await self._link.run(Call(RELEASE, [self._key], [self._owner]))
        except Unavailable:
            log.info("lease.left", extra={"lease": self._name, "ends_within_s": LEASE_MS / 1000})
