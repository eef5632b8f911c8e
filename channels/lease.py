"""Leases: work that only one process may do at a time, and that another takes over within seconds.

A lease only spares work: its holder may be stopped for a minute and wake up late beside its successor. What makes that
harmless is the fence, a number that grows with every holder. Whoever writes on behalf of the lease shows it, and what
keeps the values refuses a lower number than it has seen (`Broker.publish_latest`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

import msgspec

from schemas.errors import TickhubError

log = logging.getLogger("tickhub.channels.lease")


class Fence(msgspec.Struct, frozen=True):
    """The right to write on behalf of a lease; of two with the same name, the greater number is the newer holder."""

    name: str
    number: int


class LeaseLost(TickhubError):
    """Somebody else holds the lease, or may hold it soon."""


Work = Callable[[Fence], Awaitable[NoReturn]]
"""What is done while the lease is held, until cancelled. It may raise LeaseLost where it learns that it is not."""


class Lease(Protocol):
    """One lease, as one process sees it."""

    @property
    def held(self) -> bool:
        """Whether this process is the one that works. False as soon as another one may be, also before it is told."""

    async def hold(self, work: Work) -> NoReturn:
        """Waits for the lease, works, and waits again when it was lost; until cancelled. What `work` raises is raised.

        `work` is cancelled when the lease is lost; cancelling `hold` gives the lease up at once.
        """


class LocalLease:
    """A lease inside one process. Give all that compete the same lock."""

    def __init__(self, name: str, lock: asyncio.Lock, next_number: Callable[[], int]) -> None:
        self.held = False
        self._name = name
        self._lock = lock
        self._next_number = next_number

    async def hold(self, work: Work) -> NoReturn:
        """See `Lease`."""
        while True:
            async with self._lock:
                self.held = True
                try:
                    await work(Fence(self._name, self._next_number()))
                except* LeaseLost:
                    log.warning("lease.lost", extra={"lease": self._name})
                finally:
                    self.held = False
            give_way()
            await asyncio.sleep(0)  # somebody else's turn


def give_way() -> None:
    """Ends the task if it was cancelled from outside while a TaskGroup in it was failing.

    Python 3.11's TaskGroup then raises its children's errors and forgets the cancellation; who survives those errors
    would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
