"""The table `deliveries`, whose rows nobody loses and nobody sends twice. PostgreSQL and SQLite alike.

    add           asked for once by key                            .claims.claim     one worker's, under a lease
    report        what a provider says, whenever that comes        .attempts.begin   written down before the wire
    acknowledge   its owner has seen it                            .attempts.end     what came of it, fenced
    cancel        not wanted any more                              .awaiting         in doubt or silent: asked about
    redrive       what is dead, once more                          .sweeps           leases that ended, too late ones

What callbacks and people need stands here, what the worker needs in the four parts. All times that decide are the
database's own: a process whose clock is wrong changes nothing.
"""

import random
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from notifiers.errors import Refused
from notifiers.outbox import transitions
from notifiers.outbox.attempts import ACKNOWLEDGED, Attempts
from notifiers.outbox.awaited import Awaiting
from notifiers.outbox.claims import Claims
from notifiers.outbox.delivery import IN_DOUBT, UNREADABLE, Delivery, History, NewDelivery, Status
from notifiers.outbox.ledger import (
    LEASE_S,
    BadAddress,
    Ledger,
    Progress,
    cancel_after_reading,
    cancel_queued,
    cancel_waiting,
    moved,
)
from notifiers.outbox.new_deliveries import insert_deliveries
from notifiers.outbox.provider import Outcome
from notifiers.outbox.rows import attempts_of, delivery_of, free, lock, readable, save, save_attempts
from notifiers.outbox.sweeps import Sweeps
from notifiers.way import Way
from schemas.database_clock import NowMs
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode
from schemas.tables import deliveries, provider_reports, triggers

__all__ = ["Deliveries", "Redrive", "insert_deliveries"]

_rows = deliveries.c
_REDRIVEN_AT_ONCE = 500


class Redrive(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead deliveries are to be sent again: all that fit everything that is said.

    Those in doubt may have arrived, and are meant only where it is said; the unreadable only by their reason.
    """

    lives_s: Seconds
    """The new deadline, from now."""
    ids: Sequence[int] = ()
    way: Way | None = None
    user: str | None = None
    reason: str | None = None
    died_since_ms: int = 0
    in_doubt: bool = False
    most: int = 10_000


class Deliveries:
    """Each call raises Unavailable where the database fails, is safe to cancel, and safe to repeat."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        on_progress: Progress = lambda _: None,
        on_bad_address: BadAddress | None = None,
        lease_s: Seconds = LEASE_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` draws from [0, 1) for the pauses between tries."""
        self._ledger = Ledger(
            engine, on_progress=on_progress, on_bad_address=on_bad_address, lease_s=lease_s, chance=chance
        )
        self.lease_s = lease_s
        self.claims = Claims(self._ledger)
        self.attempts = Attempts(self._ledger)
        self.awaiting = Awaiting(self._ledger)
        self.sweeps = Sweeps(self._ledger)

    async def add(self, rows: Sequence[NewDelivery]) -> None:
        """Asks for deliveries; the same key asks once."""
        async with self._ledger.writing() as connection:
            await insert_deliveries(connection, rows)

    # -- what is said of them -----------------------------------------------------------------------------------------

    async def report(self, delivery_id: int, attempt: int, said: Outcome | Refused, *, key: str) -> Delivery | None:
        """What a provider says by itself about an attempt: in any order, even before it has answered to it.

        `key` (at most 64 characters) is the report's own; the same one again changes nothing. Answers with the
        delivery as it is then, None where that attempt was never made.
        """
        known = await self.find(delivery_id)
        if known is None or all(one.number != attempt for one in known.attempts):
            return None
        await self._ledger.suppress(known.delivery, said)
        async with self._ledger.writing() as connection:
            now_ms, rows = await lock(connection, [delivery_id])
            row = rows.get(delivery_id)
            if row is None:
                return None
            if not await _is_news(connection, key):
                return row.delivery
            attempts = (await attempts_of(connection, [delivery_id]))[delivery_id]
            asked = next(one for one in attempts if one.number == attempt)
            if isinstance(said, Outcome):
                told, noted = transitions.taken(row.delivery, asked, said, now_ms)
            else:
                luck = self._ledger.luck(attempts)
                told, noted = transitions.reported(row.delivery, asked, said, now_ms, luck)
            after = moved(row, told)
            await save(connection, [after])
            await save_attempts(connection, [noted])
            unneeded = await cancel_after_reading(connection, [row], [after], now_ms)
        self._ledger.tell([told, *unneeded] if told != row.delivery else unneeded)
        return told

    async def acknowledge(self, trigger_id: int, by: str, *, user: str | None = None) -> bool:
        """Its owner has seen what fired: what waits for nobody's having seen it is cancelled. False if noted before.

        `by` is how: a channel, or `api`. Raises CommandError NOT_FOUND, with `user` also for another's.
        """
        mine = (
            [triggers.c.id == trigger_id] if user is None else [triggers.c.id == trigger_id, triggers.c.user_id == user]
        )
        noting = update(triggers).where(*mine, triggers.c.acknowledged_at_ms.is_(None))
        async with self._ledger.writing() as connection:
            noted = await connection.execute(noting.values(acknowledged_at_ms=NowMs(), acknowledged_by=by))
            if not noted.rowcount and await connection.scalar(select(triggers.c.id).where(*mine)) is None:
                raise CommandError(ErrorCode.NOT_FOUND, "There is no trigger {trigger}", trigger=trigger_id)
            cancelled = await cancel_waiting(connection, [trigger_id], ACKNOWLEDGED)
        self._ledger.tell(cancelled)
        return bool(noted.rowcount)

    async def cancel(self, alert_id: int, reason: str) -> int:
        """Cancels what of an alert no provider was asked about yet; says how many."""
        query = select(_rows.id).where(_rows.alert_id == alert_id, _rows.status == Status.QUEUED)
        async with self._ledger.writing() as connection:
            ids = (await connection.execute(query)).scalars().all()
            cancelled = await cancel_queued(connection, ids, reason)
        self._ledger.tell(cancelled)
        return len(cancelled)

    async def redrive(self, wanted: Redrive) -> int:
        """Queues dead ones again, each as its next attempt; says how many. Ring the worker's bell after it."""
        done = 0
        while done < wanted.most:
            count = await self._redrive(wanted, min(_REDRIVEN_AT_ONCE, wanted.most - done))
            if not count:
                break
            done += count
        return done

    async def _redrive(self, wanted: Redrive, most: int) -> int:
        query = select(_rows.id).where(*_conditions(wanted)).order_by(_rows.id).limit(most)
        async with self._ledger.writing() as connection:
            now_ms, rows = await lock(connection, (await connection.execute(query)).scalars().all())
            dead = [row.delivery for row in rows.values() if row.delivery.status is Status.DEAD]
            lives_ms = round(wanted.lives_s * 1000)
            again = [
                transitions.queued(replace(one, expires_at_ms=now_ms + lives_ms), now_ms, "redriven") for one in dead
            ]
            await save(connection, map(free, again))
        self._ledger.tell(again)
        return len(again)

    # -- reading: what can't be read is counted, and left out ----------------------------------------------------------

    async def find(self, delivery_id: int) -> History | None:
        """One delivery and how it went."""
        found, _ = await self._listed(_rows.id == delivery_id, limit=1, offset=0)
        return found[0] if found else None

    async def of_alert(self, alert_id: int, *, limit: int, offset: int = 0) -> tuple[list[History], int]:
        """An alert's deliveries, the newest first, and how many there are in all."""
        return await self._listed(_rows.alert_id == alert_id, limit=limit, offset=offset)

    async def of_trigger(self, trigger_id: int) -> list[History]:
        """All deliveries that one firing has asked for."""
        found, _ = await self._listed(_rows.trigger_id == trigger_id, limit=1000, offset=0)
        return found

    async def listed(
        self, status: Status, *, way: Way | None = None, user: str | None = None, limit: int, offset: int = 0
    ) -> tuple[list[History], int]:
        """All users' deliveries of a status, the newest first, and how many there are."""
        which = [_rows.status == status]
        if way is not None:
            which.append(_rows.channel == way)
        if user is not None:
            which.append(_rows.user_id == user)
        return await self._listed(and_(*which), limit=limit, offset=offset)

    async def _listed(self, which: ColumnElement[bool], *, limit: int, offset: int) -> tuple[list[History], int]:
        page = select(deliveries).where(which).order_by(_rows.id.desc()).limit(limit).offset(offset)
        async with self._ledger.reading() as connection:
            total = (await connection.execute(select(func.count()).select_from(deliveries).where(which))).scalar_one()
            found, _ = readable((await connection.execute(page)).mappings(), delivery_of)
            attempts = await attempts_of(connection, [delivery.id for delivery in found]) if found else {}
        return [History(delivery=delivery, attempts=tuple(attempts.get(delivery.id, ()))) for delivery in found], total


def _conditions(wanted: Redrive) -> list[ColumnElement[bool]]:
    conditions = [_rows.status == Status.DEAD, _rows.finished_at_ms >= wanted.died_since_ms]
    if wanted.ids:
        conditions.append(_rows.id.in_(wanted.ids))
    if wanted.way is not None:
        conditions.append(_rows.channel == wanted.way)
    if wanted.user is not None:
        conditions.append(_rows.user_id == wanted.user)
    if wanted.reason is not None:
        conditions.append(_rows.reason == wanted.reason)
    else:
        conditions.append(_rows.reason.is_distinct_from(UNREADABLE))
    if not wanted.in_doubt:
        conditions.append(_rows.reason.is_distinct_from(IN_DOUBT))
    return conditions


async def _is_news(connection: AsyncConnection, key: str) -> bool:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(provider_reports).values(key=key, received_at_ms=NowMs())
    noted = statement.on_conflict_do_nothing(index_elements=["key"]).returning(provider_reports.c.key)
    return (await connection.execute(noted)).first() is not None
