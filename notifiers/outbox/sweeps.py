"""What has to be done for all deliveries now and then, by any worker: the reaper and its like."""

import logging
from collections.abc import Collection, Sequence

from msgspec.structs import replace
from sqlalchemy import Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.outbox import retries, transitions
from notifiers.outbox.claims import WAITING
from notifiers.outbox.delivery import IN_DOUBT, Status
from notifiers.outbox.ledger import Ledger
from notifiers.outbox.rows import Row, attempts_of, free, lock, read_or_bury, save, save_attempts
from notifiers.way import Way
from schemas.database_clock import NowMs
from schemas.tables import deliveries, provider_reports

log = logging.getLogger("tickhub.notifiers.outbox.sweeps")

AT_ONCE = 500
KEEP_REPORTS_MS = 7 * 86_400_000

_rows = deliveries.c


class Sweeps:
    """Each call raises Unavailable where the database fails, is safe to cancel, and safe to repeat."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def reap(self) -> int:
        """Ends leases that are over: what had no intent is queued again, what had no result is in doubt."""
        over = select(_rows.id).where(_rows.lease_token.is_not(None), _rows.lease_until_ms <= NowMs()).limit(AT_ONCE)
        async with self._ledger.writing() as connection:
            now_ms, rows = await _found(connection, over)
            calling = [row.delivery.id for row in rows if row.delivery.status is Status.CALLING]
            attempts = await attempts_of(connection, calling) if calling else {}
            await save(connection, [_reaped(row, now_ms) for row in rows])
            await save_attempts(connection, [transitions.lost(one[-1], now_ms) for one in attempts.values()])
        doubtful = [_reaped(row, now_ms).delivery for row in rows if row.delivery.status is Status.CALLING]
        for delivery in doubtful:
            log.warning("delivery.in_doubt", extra={"delivery": delivery.id, "attempt": delivery.attempts})
        self._ledger.tell(doubtful)
        return len(rows)

    async def expire(self) -> int:
        """Ends what waits and is too late, whether anybody serves its channel or not."""
        late = select(_rows.id).where(WAITING, _rows.due_at_ms <= NowMs(), _rows.expires_at_ms <= NowMs())
        async with self._ledger.writing() as connection:
            now_ms, rows = await _found(connection, late.limit(AT_ONCE))
            dead = [transitions.expired(row.delivery, now_ms) for row in rows]
            await save(connection, map(free, dead))
        self._ledger.tell(dead)
        return len(dead)

    async def explain(self, ways: Collection[Way], reason: str) -> None:
        """Writes `reason` beside what is due by these channels, where none stands there: nobody claims it now."""
        waiting = (
            select(_rows.id)
            .where(WAITING, _rows.channel.in_(ways), _rows.due_at_ms <= NowMs(), _rows.reason.is_(None))
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
            .cte("waiting")
        )
        statement = (
            update(deliveries).where(_rows.id.in_(select(waiting.c.id))).values(reason=reason).returning(deliveries)
        )
        async with self._ledger.writing() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            told = await read_or_bury(connection, rows)
        self._ledger.tell([row.delivery for row in told])

    async def prune_reports(self) -> None:
        """Forgets which reports were taken, long after anybody would repeat one."""
        old = provider_reports.c.received_at_ms < NowMs() - KEEP_REPORTS_MS
        async with self._ledger.writing() as connection:
            await connection.execute(delete(provider_reports).where(old))


async def _found(connection: AsyncConnection, query: Select[int]) -> tuple[int, list[Row]]:
    """What a query finds and nobody else works on at this moment; and the time."""
    ids: Sequence[int] = (await connection.execute(query.with_for_update(skip_locked=True))).scalars().all()
    if not ids:
        return 0, []
    now_ms, rows = await lock(connection, ids)
    return now_ms, list(rows.values())


def _reaped(row: Row, now_ms: int) -> Row:
    if row.delivery.status is not Status.CALLING:
        return free(row.delivery)
    return free(replace(row.delivery, status=Status.UNKNOWN, reason=IN_DOUBT, due_at_ms=now_ms + retries.ASK_AFTER_MS))
