"""Attempts: written down before the wire, and what came of them, fenced by the lease."""

import logging
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.outbox import transitions
from notifiers.outbox.delivery import Attempt, AttemptState, Delivery, Status
from notifiers.outbox.ledger import Claimed, Ledger, cancel_after_reading, moved
from notifiers.outbox.provider import Outcome
from notifiers.outbox.retries import Failure
from notifiers.outbox.rows import Row, among, attempts_of, begin_attempts, begin_calls, free, lock, save, save_attempts
from schemas.tables import triggers

log = logging.getLogger("tickhub.notifiers.outbox.attempts")

ACKNOWLEDGED = "acknowledged"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """That a claimed delivery is about to go to a provider, as its attempt of that number."""

    claimed: Claimed
    provider: str
    number: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt.

    `harmless`: to send it twice does no harm. `elsewhere`: after a failure that allows another try, that is made at
    once, with another provider and under the same lease.
    """

    claimed: Claimed
    number: int
    said: Outcome | Failure
    harmless: bool = False
    elsewhere: bool = False


class Attempts:
    """Each call raises Unavailable where the database fails, is safe to cancel, and safe to repeat."""

    def __init__(self, ledger: Ledger) -> None:
        self.late = 0
        """Results that came after their lease had ended."""
        self._ledger = ledger

    async def begin(self, intents: Sequence[Intent]) -> list[Delivery | None]:
        """Writes down attempts that are about to be made; where None comes back, it must not be made.

        So it is with what is too late by now, acknowledged, cancelled, settled by a report, or ours no more. The
        lease begins anew. What comes back holds the newest content.
        """
        wanted = {intent.claimed.delivery.id: intent for intent in intents}
        async with self._ledger.writing() as connection:
            now_ms, rows = await lock(connection, wanted)
            mine = [row for row in rows.values() if row.token == wanted[row.delivery.id].claimed.token]
            again = [row.delivery for row in mine if _is_begun(row.delivery, wanted[row.delivery.id])]
            waiting = [row for row in mine if _is_next(row.delivery, wanted[row.delivery.id])]
            seen = await _acknowledged(connection, waiting)
            after = [_begun(row.delivery, wanted[row.delivery.id], seen, now_ms) for row in waiting]
            begun = [delivery for delivery in after if delivery.status is Status.CALLING]
            await save(connection, [free(delivery) for delivery in after if delivery.status is not Status.CALLING])
            await self._write_down(connection, begun, now_ms)
        self._ledger.tell(after)
        going = {delivery.id: delivery for delivery in (*again, *begun)}
        return [going.get(intent.claimed.delivery.id) for intent in intents]

    async def _write_down(self, connection: AsyncConnection, begun: Sequence[Delivery], now_ms: int) -> None:
        """Few statements for many: a batch mostly goes to one provider, for the first time."""
        alike: dict[tuple[str, int], list[int]] = {}
        for delivery in begun:
            alike.setdefault((delivery.provider or "", delivery.attempts), []).append(delivery.id)
        until_ms = now_ms + self._ledger.lease_ms
        for (provider, attempt), ids in alike.items():
            await begin_calls(connection, ids, provider, attempt=attempt, lease_until_ms=until_ms)
        await begin_attempts(connection, [_attempt(delivery, now_ms) for delivery in begun])

    async def end(self, results: Sequence[Result]) -> list[Delivery | None]:
        """Writes down what came of attempts; what comes back is still ours, to be sent elsewhere.

        Who has lost the lease is not heard, but for this: that a provider has taken it is never lost.
        """
        for result in results:
            await self._ledger.suppress(result.claimed.delivery, result.said)
        ids = {result.claimed.delivery.id for result in results}
        async with self._ledger.writing() as connection:
            now_ms, before = await lock(connection, ids)
            attempts = await attempts_of(connection, ids)
            after, noted = self._ended(before, attempts, results, now_ms)
            changed = [row for id_, row in after.items() if row != before[id_]]
            await save(connection, changed)
            await save_attempts(connection, noted)
            unneeded = await cancel_after_reading(connection, before.values(), changed, now_ms)
        self._ledger.tell([*(row.delivery for row in changed), *unneeded])
        return [_kept(after, result) for result in results]

    def _ended(
        self, rows: Mapping[int, Row], attempts: Mapping[int, list[Attempt]], results: Sequence[Result], now_ms: int
    ) -> tuple[dict[int, Row], list[Attempt]]:
        after, noted = dict(rows), []
        for result in results:
            id_ = result.claimed.delivery.id
            attempt = next((one for one in attempts.get(id_, ()) if one.number == result.number), None)
            if attempt is None or id_ not in after:  # the delivery was pruned meanwhile, or is unreadable
                continue
            after[id_], told = self._answered(after[id_], attempt, attempts[id_], result, now_ms)
            noted.append(told)
        return after, noted

    def _answered(
        self, row: Row, attempt: Attempt, attempts: Sequence[Attempt], result: Result, now_ms: int
    ) -> tuple[Row, Attempt]:
        delivery = row.delivery
        ours = row.token == result.claimed.token and delivery.status is Status.CALLING
        if not ours:
            self._note_late(delivery, result)
        if isinstance(result.said, Outcome):
            told, noted = transitions.taken(delivery, attempt, result.said, now_ms)
            return moved(row, told), noted
        if not ours:
            return row, transitions.late(attempt, result.said, now_ms)
        luck = self._ledger.luck(attempts, harmless=result.harmless)
        told, noted = transitions.failed(delivery, attempt, result.said, now_ms, luck)
        if result.elsewhere and told.status is Status.QUEUED:
            until_ms = now_ms + self._ledger.lease_ms
            return Row(delivery=replace(told, due_at_ms=now_ms), token=row.token, lease_until_ms=until_ms), noted
        return free(told), noted

    def _note_late(self, delivery: Delivery, result: Result) -> None:
        if delivery.status in (Status.QUEUED, Status.UNKNOWN):  # else a report was quicker, or it is told again
            self.late += 1
            log.warning("delivery.late_result", extra={"delivery": delivery.id, "attempt": result.number})


def _begun(delivery: Delivery, intent: Intent, acknowledged: Collection[int], now_ms: int) -> Delivery:
    if delivery.expires_at_ms <= now_ms:
        return transitions.expired(delivery, now_ms)
    if delivery.unless_acknowledged and delivery.trigger_id in acknowledged:
        return transitions.ended(delivery, Status.CANCELLED, ACKNOWLEDGED, now_ms)
    return replace(delivery, status=Status.CALLING, reason=None, attempts=intent.number, provider=intent.provider)


def _kept(after: Mapping[int, Row], result: Result) -> Delivery | None:
    row = after.get(result.claimed.delivery.id)
    if row is None or not result.elsewhere or row.token != result.claimed.token:
        return None
    return row.delivery if row.delivery.status is Status.QUEUED else None


def _is_begun(delivery: Delivery, intent: Intent) -> bool:
    """It was written down before, by a transaction whose commit was not heard of."""
    return delivery.status is Status.CALLING and delivery.attempts == intent.number


def _is_next(delivery: Delivery, intent: Intent) -> bool:
    return delivery.status is Status.QUEUED and delivery.attempts + 1 == intent.number


def _attempt(delivery: Delivery, now_ms: int) -> Attempt:
    return Attempt(
        delivery_id=delivery.id,
        number=delivery.attempts,
        state=AttemptState.CALLING,
        provider=delivery.provider or "",
        provider_id=None,
        reason=None,
        started_at_ms=now_ms,
        finished_at_ms=None,
    )


async def _acknowledged(connection: AsyncConnection, rows: Sequence[Row]) -> frozenset[int]:
    """The triggers that their owners have seen, of those where that matters."""
    asked = {row.delivery.trigger_id for row in rows if row.delivery.unless_acknowledged}
    ids = [id_ for id_ in asked if id_ is not None]
    if not ids:
        return frozenset()
    seen = select(triggers.c.id).where(
        among(connection, triggers.c.id, ids), triggers.c.acknowledged_at_ms.is_not(None)
    )
    return frozenset((await connection.execute(seen)).scalars())
