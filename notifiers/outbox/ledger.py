"""What all who write to the table `deliveries` share, and what they hand each other."""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import reading, writing
from notifiers.errors import Blame, Refused
from notifiers.outbox import transitions
from notifiers.outbox.delivery import Attempt, AttemptState, Delivery, Status
from notifiers.outbox.rows import Row, among, free, lock, save
from notifiers.outbox.transitions import Luck
from schemas.durations import Seconds
from schemas.tables import deliveries

LEASE_S: Seconds = 60.0

Progress: TypeAlias = Callable[[Sequence[Delivery]], None]
"""Called after each commit with what it changed, as it is now; must neither wait nor raise."""
BadAddress: TypeAlias = Callable[[Delivery, str], Awaitable[None]]
"""Called with the provider's reason before a delivery is stored as dead for its address, perhaps more than once: to
write there no more."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is ours until the lease ends."""

    delivery: Delivery
    token: str


class Ledger:
    """The table and whom to tell of changes."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        on_progress: Progress = lambda _: None,
        on_bad_address: BadAddress | None = None,
        lease_s: Seconds = LEASE_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.lease_s = lease_s
        self.lease_ms = round(lease_s * 1000)
        self.tell = on_progress
        self._engine = engine
        self._on_bad_address = on_bad_address
        self._chance = chance

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `auth.transactions.reading`."""
        return reading(self._engine)

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `auth.transactions.writing`."""
        return writing(self._engine)

    async def suppress(self, delivery: Delivery, said: object) -> None:
        """Says where a provider has refused an address for good; outside of any transaction of ours."""
        if self._on_bad_address is None or not isinstance(said, Refused):
            return
        if said.permanent and said.blame is Blame.ADDRESS:
            await self._on_bad_address(delivery, said.reason)

    def luck(self, attempts: Iterable[Attempt], *, harmless: bool = False) -> Luck:
        """What a failure after these attempts depends on besides."""
        unreached = sum(attempt.state is AttemptState.UNREACHED for attempt in attempts)
        return Luck(chance=self._chance(), unreached=unreached, harmless=harmless)


def moved(row: Row, delivery: Delivery) -> Row:
    """The row with a changed delivery: where its status is another one, whoever had a lease on it has it no more."""
    return row.as_is(delivery) if delivery.status is row.delivery.status else free(delivery)


async def cancel_after_reading(
    connection: AsyncConnection, before: Iterable[Row], after: Iterable[Row], now_ms: int
) -> list[Delivery]:
    """Cancels what waits in case nobody sees what has just been read."""
    unread = {row.delivery.id for row in before if row.delivery.status is not Status.READ}
    seen = {
        row.delivery.trigger_id
        for row in after
        if row.delivery.status is Status.READ and row.delivery.id in unread and row.delivery.trigger_id is not None
    }
    return await cancel_waiting(connection, seen, "read", now_ms) if seen else []


async def cancel_waiting(
    connection: AsyncConnection, trigger_ids: Iterable[int], reason: str, now_ms: int | None = None
) -> list[Delivery]:
    """Cancels what of these triggers waits for nobody's acknowledgement."""
    query = select(deliveries.c.id).where(
        among(connection, deliveries.c.trigger_id, list(trigger_ids)),
        deliveries.c.unless_acknowledged,
        deliveries.c.status == Status.QUEUED,
    )
    return await cancel_queued(connection, (await connection.execute(query)).scalars().all(), reason, now_ms)


async def cancel_queued(
    connection: AsyncConnection, ids: Sequence[int], reason: str, now_ms: int | None = None
) -> list[Delivery]:
    """Cancels those of them that no provider is being asked about; who has claimed one finds so before the wire."""
    locked_ms, rows = await lock(connection, ids)
    at_ms = now_ms or locked_ms
    cancelled = [
        transitions.ended(row.delivery, Status.CANCELLED, reason, at_ms)
        for row in rows.values()
        if row.delivery.status is Status.QUEUED
    ]
    await save(connection, map(free, cancelled))
    return cancelled
