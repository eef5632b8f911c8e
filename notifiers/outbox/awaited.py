"""Deliveries that a provider may have, or has and says nothing of: asked about until somebody knows."""

import logging
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from sqlalchemy import literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.errors import Refused
from notifiers.outbox import transitions
from notifiers.outbox.claims import lease
from notifiers.outbox.delivery import Attempt, Delivery, Status
from notifiers.outbox.ledger import Claimed, Ledger, cancel_after_reading, moved
from notifiers.outbox.provider import Outcome
from notifiers.outbox.rows import Row, attempts_of, free, lock, save, save_attempts
from schemas.database_clock import NowMs
from schemas.tables import deliveries

log = logging.getLogger("tickhub.notifiers.outbox.awaited")

_rows = deliveries.c
_AWAITED = _rows.status.in_([literal_column(f"'{one}'") for one in ("accepted", "sent", "unknown")])
AWAITED = _AWAITED & _rows.finished_at_ms.is_(None)
"""As the index `ix_deliveries_awaited` has it: in literals, so that the database knows it again."""


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to ask about, ours until the lease ends, and its last attempt."""

    claimed: Claimed
    attempt: Attempt


class Nothing(StrEnum):
    """What a provider may be found to know, other than an outcome."""

    NEWS = "no news"
    """It doesn't say, or nobody can tell."""
    TAKEN = "nothing taken"
    """It surely doesn't have it."""
    HARMED = "nothing harmed"
    """It wasn't asked, as to send it again does no harm."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What asking has brought."""

    awaited: Awaited
    said: Outcome | Refused | Nothing


class Awaiting:
    """Each call raises Unavailable where the database fails, is safe to cancel, and safe to repeat."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def claim(self, most: int) -> list[Awaited]:
        """Those that are to be asked about by now, and that nobody else asks about."""
        due = (
            select(_rows.id)
            .where(AWAITED, _rows.lease_token.is_(None), _rows.due_at_ms <= NowMs())
            .order_by(_rows.due_at_ms)
            .limit(most)
        )
        async with self._ledger.writing() as connection:
            token, rows = await lease(connection, due, self._ledger.lease_ms)
            attempts = await attempts_of(connection, [row.delivery.id for row in rows]) if rows else {}
            changed = await _without_attempts(connection, [row for row in rows if row.delivery.id not in attempts])
        self._ledger.tell(changed)
        return [
            Awaited(claimed=Claimed(delivery=row.delivery, token=token), attempt=attempts[row.delivery.id][-1])
            for row in rows
            if row.delivery.id in attempts
        ]

    async def settle(self, found: Sequence[Found]) -> None:
        """Writes down what was found. Who has lost the lease is heard only where the provider has taken it."""
        for one in found:
            await self._ledger.suppress(one.awaited.claimed.delivery, one.said)
        ids = {one.awaited.claimed.delivery.id: one for one in found}
        async with self._ledger.writing() as connection:
            now_ms, before = await lock(connection, ids)
            attempts = await attempts_of(connection, ids)
            both = [self._settled(row, ids[id_], attempts.get(id_, ()), now_ms) for id_, row in before.items()]
            await save(connection, [row for row, _ in both])
            await save_attempts(connection, [attempt for _, attempt in both if attempt is not None])
            unneeded = await cancel_after_reading(connection, before.values(), [row for row, _ in both], now_ms)
        changed = [
            row.delivery for row, _ in both if row.delivery.status is not before[row.delivery.id].delivery.status
        ]
        self._ledger.tell([*changed, *unneeded])

    def _settled(self, row: Row, found: Found, attempts: Sequence[Attempt], now_ms: int) -> tuple[Row, Attempt | None]:
        asked = found.awaited.attempt
        attempt = next((one for one in attempts if one.number == asked.number), None)
        ours = row.token == found.awaited.claimed.token
        if attempt is None:
            return (free(transitions.unattempted(row.delivery, now_ms)) if ours else row), None
        if isinstance(found.said, Outcome):
            told, noted = transitions.taken(row.delivery, attempt, found.said, now_ms)
            after = moved(row, told)
            return (free(_later(after.delivery, noted, now_ms)) if ours and after.token else after), noted
        if not ours:
            return row, attempt
        if row.delivery.status is Status.UNKNOWN:
            return self._doubt(row.delivery, attempt, found.said, now_ms)
        if isinstance(found.said, Refused):
            luck = self._ledger.luck(attempts)
            told, noted = transitions.reported(row.delivery, attempt, found.said, now_ms, luck)
            return free(told), noted
        return free(transitions.silent(row.delivery, now_ms)), attempt

    def _doubt(self, delivery: Delivery, attempt: Attempt, said: Refused | Nothing, now_ms: int) -> tuple[Row, Attempt]:
        match said:
            case Nothing.TAKEN:
                told, noted = transitions.absent(delivery, attempt, now_ms)
                return free(told), noted
            case Nothing.HARMED:
                return free(transitions.queued(delivery, now_ms, delivery.reason)), attempt
            case _:
                return free(transitions.doubted(delivery, attempt.started_at_ms, now_ms)), attempt


async def _without_attempts(connection: AsyncConnection, rows: Sequence[Row]) -> list[Delivery]:
    """Puts off those of which no attempt is written down, or ends them: there is nothing to ask about."""
    if not rows:
        return []
    now_ms, locked = await lock(connection, [row.delivery.id for row in rows])
    for id_ in locked:
        log.error("delivery.unattempted", extra={"delivery": id_})
    after = [transitions.unattempted(row.delivery, now_ms) for row in locked.values()]
    await save(connection, map(free, after))
    return after


def _later(delivery: Delivery, attempt: Attempt, now_ms: int) -> Delivery:
    """It is no further than it was: asked again later, as with no news."""
    if delivery.status is Status.UNKNOWN:
        return transitions.doubted(delivery, attempt.started_at_ms, now_ms)
    return transitions.silent(delivery, now_ms)
