"""Deliveries that one worker at a time works on: a lease with a token and an end, by the database's clock."""

import secrets
from collections.abc import Collection, Sequence

from msgspec.structs import replace
from sqlalchemy import Select, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.outbox import transitions
from notifiers.outbox.delivery import Delivery, NewDelivery, Status
from notifiers.outbox.gates import Hold, Instead, Skip, Verdict
from notifiers.outbox.ledger import Claimed, Ledger
from notifiers.outbox.new_deliveries import derived, insert_deliveries
from notifiers.outbox.rows import Row, free, lock, read_or_bury, save
from notifiers.way import Way
from schemas.database_clock import NowMs
from schemas.tables import deliveries

_rows = deliveries.c
WAITING = (_rows.status == literal_column("'queued'")) & _rows.lease_token.is_(None)
"""As the index `ix_deliveries_due` has it: in literals, so that the database knows it again."""
NO_ENDPOINT = "no endpoint"
IN_TURN = {Way.SMS: 1000, Way.VOICE: 5000}
"""The channels that are slow, where one user's many would keep all others waiting: users take turns there, among so
many due deliveries, so that a claim stays quick however many there are."""
LATELY_MS = 600_000


class Claims:
    """Each call raises Unavailable where the database fails, is safe to cancel, and safe to repeat.

    A cancelled or failed claim may have claimed: then the lease's end gives it back.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def claim(self, way: Way, most: int) -> list[Claimed]:
        """Due deliveries of a channel that nobody else works on, the most urgent first; of `IN_TURN`, users in turn."""
        due = _in_turn(way) if way in IN_TURN else _first_come(way)
        due = due.limit(most)
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


def _first_come(way: Way) -> Select[int]:
    due = select(_rows.id).where(WAITING, _rows.channel == way, _rows.due_at_ms <= NowMs())
    return due.order_by(_rows.priority, _rows.due_at_ms)


def _in_turn(way: Way) -> Select[int]:
    """Within a priority, who has had least of late comes first: a user's nth counts as n, after what they have had.

    Ranks are given apart from the lock, as PostgreSQL wants it.
    """
    window = select(_rows.id, _rows.user_id, _rows.priority, _rows.due_at_ms).where(
        WAITING, _rows.channel == way, _rows.due_at_ms <= NowMs()
    )
    first = window.order_by(_rows.priority, _rows.due_at_ms).limit(IN_TURN[way]).cte("first")
    lately = (
        select(_rows.user_id, func.count().label("count"))
        .where(
            _rows.user_id.in_(select(first.c.user_id).distinct()),
            _rows.channel == way,
            _rows.sent_at_ms >= NowMs() - LATELY_MS,
        )
        .group_by(_rows.user_id)
        .cte("lately")
    )
    nth = func.row_number().over(partition_by=(first.c.user_id, first.c.priority), order_by=first.c.due_at_ms)
    turns = (
        select(first.c.id, (nth + func.coalesce(lately.c.count, 0)).label("turn"))
        .select_from(first.outerjoin(lately, lately.c.user_id == first.c.user_id))
        .cte("turns")
    )
    return (
        select(_rows.id)
        .join(turns, turns.c.id == _rows.id)
        .where(WAITING)
        .order_by(_rows.priority, turns.c.turn, _rows.due_at_ms)
    )


async def lease(connection: AsyncConnection, due: Select[int], lease_ms: int) -> tuple[str, list[Row]]:
    """Takes what a query finds and nobody else takes at this moment; says with which token."""
    # A CTE with a lock in it is run once; a subquery PostgreSQL may run again, and so take more than the limit.
    chosen = due.with_for_update(skip_locked=True, of=deliveries).cte("due")
    token = secrets.token_hex(16)
    statement = (
        update(deliveries)
        .where(_rows.id.in_(select(chosen.c.id)))
        .values(lease_token=token, lease_until_ms=NowMs() + lease_ms)
        .returning(deliveries)
    )
    rows = (await connection.execute(statement)).mappings().all()
    return token, await read_or_bury(connection, rows)


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
