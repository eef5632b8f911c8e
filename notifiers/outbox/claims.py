"""Deliveries that one worker at a time works on: a lease with a token and an end, by the database's clock."""

import secrets
from collections.abc import Collection, Sequence

from msgspec.structs import replace
from sqlalchemy import Select, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.outbox import transitions
from notifiers.outbox.delivery import Delivery, NewDelivery, Status
from notifiers.outbox.gates import Hold, Instead, Skip, Verdict
from notifiers.outbox.ledger import Claimed, Ledger
from notifiers.outbox.new_deliveries import derived, insert_deliveries
from notifiers.outbox.rows import Row, free, lock, row_of, save
from notifiers.way import Way
from schemas.database_clock import NowMs
from schemas.tables import deliveries

_rows = deliveries.c
WAITING = (_rows.status == literal_column("'queued'")) & _rows.lease_token.is_(None)
"""As the index `ix_deliveries_due` has it: in literals, so that the database knows it again."""
NO_ENDPOINT = "no endpoint"


class Claims:
    """Each call raises Unavailable where the database fails, is safe to cancel, and safe to repeat.

    A cancelled or failed claim may have claimed: then the lease's end gives it back.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def claim(self, way: Way, most: int) -> list[Claimed]:
        """Due deliveries of a channel that nobody else works on, the most urgent first."""
        due = (
            select(_rows.id)
            .where(WAITING, _rows.channel == way, _rows.due_at_ms <= NowMs())
            .order_by(_rows.priority, _rows.due_at_ms)
            .limit(most)
        )
        async with self._ledger.writing() as connection:
            token, rows = await lease(connection, due, self._ledger.lease_ms)
        claimed = sorted((row.delivery for row in rows), key=lambda one: (one.priority, one.due_at_ms, one.id))
        return [Claimed(delivery=delivery, token=token) for delivery in claimed]

    async def due(self, ways: Collection[Way]) -> set[Way]:
        """The channels that have something to claim."""
        asked = list(ways)
        questions = [
            select(_rows.id).where(WAITING, _rows.channel == way, _rows.due_at_ms <= NowMs()).exists().label(way)
            for way in asked
        ]
        async with self._ledger.reading() as connection:
            answers = (await connection.execute(select(*questions))).one()
        return {way for way, waits in zip(asked, answers, strict=True) if waits}

    async def release(self, claims: Sequence[Claimed]) -> None:
        """Gives back at once what was claimed and will not be attempted."""
        async with self._ledger.writing() as connection:
            _, mine = await _locked(connection, claims)
            await save(connection, [free(row.delivery) for row in mine])

    async def judge(self, verdicts: Sequence[tuple[Claimed, Verdict]]) -> None:
        """Does what gates have said: to hold, to skip, or to take another channel instead."""
        said = {claimed.delivery.id: verdict for claimed, verdict in verdicts}
        async with self._ledger.writing() as connection:
            now_ms, mine = await _locked(connection, [claimed for claimed, _ in verdicts])
            await insert_deliveries(connection, _instead(mine, said, now_ms))
            changed = [_judged(row.delivery, said[row.delivery.id], now_ms) for row in mine]
            await save(connection, map(free, changed))
        self._ledger.tell(changed)

    async def divide(self, claimed: Claimed, endpoints: Sequence[str]) -> Claimed | None:
        """Makes one delivery per endpoint of it: itself goes to the first, new ones to the others.

        None where there is no endpoint, and it is skipped, or where it is ours no more.
        """
        if not endpoints:
            await self.judge([(claimed, Skip(NO_ENDPOINT))])
            return None
        first, *others = endpoints
        async with self._ledger.writing() as connection:
            now_ms, mine = await _locked(connection, [claimed])
            if not mine:
                return None
            whole = mine[0].delivery
            await insert_deliveries(connection, [derived(whole, whole.channel, other, now_ms) for other in others])
            delivery = replace(whole, endpoint=first)
            await save(connection, [mine[0].as_is(delivery)])
        return Claimed(delivery=delivery, token=claimed.token)


async def lease(connection: AsyncConnection, due: Select[int], lease_ms: int) -> tuple[str, list[Row]]:
    """Takes what a query finds and nobody else takes at this moment; says with which token."""
    # A CTE with a lock in it is run once; a subquery PostgreSQL may run again, and so take more than the limit.
    chosen = due.with_for_update(skip_locked=True).cte("due")
    token = secrets.token_hex(16)
    statement = (
        update(deliveries)
        .where(_rows.id.in_(select(chosen.c.id)))
        .values(lease_token=token, lease_until_ms=NowMs() + lease_ms)
        .returning(deliveries)
    )
    return token, list(map(row_of, (await connection.execute(statement)).mappings()))


async def _locked(connection: AsyncConnection, claims: Sequence[Claimed]) -> tuple[int, list[Row]]:
    """The time, and which of the claims still stand and wait."""
    tokens = {claimed.delivery.id: claimed.token for claimed in claims}
    now_ms, rows = await lock(connection, tokens)
    mine = [row for row in rows.values() if row.token == tokens[row.delivery.id]]
    return now_ms, [row for row in mine if row.delivery.status is Status.QUEUED]


def _instead(rows: Sequence[Row], said: dict[int, Verdict], now_ms: int) -> list[NewDelivery]:
    return [
        derived(row.delivery, verdict.way, "", now_ms)
        for row in rows
        if isinstance(verdict := said[row.delivery.id], Instead)
    ]


def _judged(delivery: Delivery, verdict: Verdict, now_ms: int) -> Delivery:
    match verdict:
        case Hold():
            return transitions.held(delivery, verdict)
        case Skip(reason=reason) | Instead(reason=reason):
            return transitions.ended(delivery, Status.SKIPPED, reason, now_ms)
