"""Deliveries and attempts as rows: read under a lock, changed in memory, written back in one go."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    RowMapping,
    any_,
    bindparam,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.outbox.delivery import UNREADABLE, Attempt, AttemptState, Delivery, Kind, Status
from notifiers.way import Way
from schemas.database_clock import NowMs
from schemas.tables import deliveries, delivery_attempts

log = logging.getLogger("tickhub.notifiers.outbox.rows")

T = TypeVar("T")

_attempts = delivery_attempts.c
_CHANGING = (
    "endpoint",
    "status",
    "reason",
    "due_at_ms",
    "expires_at_ms",
    "attempts",
    "provider",
    "provider_id",
    "provider_status",
    "cost",
    "sent_at_ms",
    "finished_at_ms",
)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery and who works on it: the token of the lease and its end, by the database's clock."""

    delivery: Delivery
    token: str | None
    lease_until_ms: int | None

    def as_is(self, delivery: Delivery) -> "Row":
        """The delivery changed, under the same lease."""
        return Row(delivery=delivery, token=self.token, lease_until_ms=self.lease_until_ms)


def free(delivery: Delivery) -> Row:
    """A delivery that nobody works on."""
    return Row(delivery=delivery, token=None, lease_until_ms=None)


def delivery_of(row: RowMapping) -> Delivery:
    """The delivery in a row of the table's columns."""
    return Delivery(
        id=row["id"],
        key=row["key"],
        trigger_id=row["trigger_id"],
        alert_id=row["alert_id"],
        user=row["user_id"],
        kind=Kind(row["kind"]),
        channel=Way(row["channel"]),
        endpoint=row["endpoint"],
        status=Status(row["status"]),
        reason=row["reason"],
        priority=row["priority"],
        due_at_ms=row["due_at_ms"],
        expires_at_ms=row["expires_at_ms"],
        unless_acknowledged=row["unless_acknowledged"],
        content=_decode(row["content"]),
        attempts=row["attempts"],
        provider=row["provider"],
        provider_id=row["provider_id"],
        provider_status=row["provider_status"],
        cost=row["cost"],
        created_at_ms=row["created_at_ms"],
        sent_at_ms=row["sent_at_ms"],
        finished_at_ms=row["finished_at_ms"],
    )


def readable(rows: Iterable[RowMapping], read: Callable[[RowMapping], T]) -> tuple[list[T], list[RowMapping]]:
    """What rows say, and those that say nothing: of another release, or spoilt."""
    found: list[T] = []
    odd: list[RowMapping] = []
    for row in rows:
        try:
            found.append(read(row))
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
            odd.append(row)
    return found, odd


async def read_or_bury(connection: AsyncConnection, rows: Iterable[RowMapping]) -> list[Row]:
    """The deliveries in rows that were read under the lock. Those that can't be read are dead, and nobody's any more.

    One of them must not keep the others from their way, nor be met again and again.
    """
    found, odd = readable(rows, row_of)
    if odd:
        ids = [row["id"] for row in odd]
        buried = {"status": Status.DEAD, "reason": UNREADABLE, "lease_token": None, "lease_until_ms": None}
        statement = update(deliveries).where(among(connection, deliveries.c.id, ids))
        await connection.execute(statement.values(buried | {"finished_at_ms": NowMs()}))
        for row in odd:
            log.error("delivery.unreadable", extra={"delivery": row["id"]})
    return found


def content_text(content: Mapping[str, Any]) -> str:
    """What a delivery tells, as it is stored."""
    return _encode(content).decode()


def attempt_of(row: RowMapping) -> Attempt:
    """The attempt in a row of the table's columns."""
    return Attempt(
        delivery_id=row["delivery_id"],
        number=row["number"],
        state=AttemptState(row["state"]),
        provider=row["provider"],
        provider_id=row["provider_id"],
        reason=row["reason"],
        started_at_ms=row["started_at_ms"],
        finished_at_ms=row["finished_at_ms"],
    )


def among(connection: AsyncConnection, column: ColumnElement[int], ids: Collection[int]) -> ColumnElement[bool]:
    """`column` is one of `ids`; on PostgreSQL with one parameter, so that it is one statement for any number."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(ids), ARRAY(BigInteger)))
    return column.in_(ids)


async def lock(connection: AsyncConnection, ids: Collection[int]) -> tuple[int, dict[int, Row]]:
    """The time by the database's clock, and the deliveries of those ids, which nobody else changes until the commit.

    What can't be read is missing, see `read_or_bury`.

    Always in the order of their ids, so that two transactions never wait for each other in a ring. SQLite has seen to
    it with BEGIN IMMEDIATE already.
    """
    query = (
        select(deliveries, NowMs().label("now_ms"))
        .where(among(connection, deliveries.c.id, ids))
        .order_by(deliveries.c.id)
        .with_for_update(of=deliveries)
    )
    rows = (await connection.execute(query)).mappings().all()
    now_ms = rows[0]["now_ms"] if rows else 0
    return now_ms, {row.delivery.id: row for row in await read_or_bury(connection, rows)}


def row_of(row: RowMapping) -> Row:
    """The delivery and its lease in a row of the table's columns."""
    return Row(delivery=delivery_of(row), token=row["lease_token"], lease_until_ms=row["lease_until_ms"])


async def save(connection: AsyncConnection, rows: Iterable[Row]) -> None:
    """Writes deliveries back that were read under the lock."""
    values = [
        {f"_{name}": getattr(row.delivery, name) for name in _CHANGING}
        | {"_id": row.delivery.id, "_lease_token": row.token, "_lease_until_ms": row.lease_until_ms}
        for row in rows
    ]
    if values:
        await connection.execute(_SAVE, values)


_SAVE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("_id"))
    .values({name: bindparam(f"_{name}") for name in (*_CHANGING, "lease_token", "lease_until_ms")})
)


async def attempts_of(connection: AsyncConnection, ids: Collection[int]) -> dict[int, list[Attempt]]:
    """The attempts of deliveries, by their ids, in order. What can't be read is missing."""
    query = (
        select(delivery_attempts)
        .where(among(connection, _attempts.delivery_id, ids))
        .order_by(_attempts.delivery_id, _attempts.number)
    )
    found: dict[int, list[Attempt]] = {}
    attempts, odd = readable((await connection.execute(query)).mappings(), attempt_of)
    for row in odd:
        log.error("attempt.unreadable", extra={"delivery": row["delivery_id"], "attempt": row["number"]})
    for attempt in attempts:
        found.setdefault(attempt.delivery_id, []).append(attempt)
    return found


async def begin_calls(
    connection: AsyncConnection, ids: Collection[int], provider: str, *, attempt: int, lease_until_ms: int
) -> None:
    """A provider is about to be asked about deliveries that were read under the lock, all for so many times."""
    statement = (
        update(deliveries)
        .where(among(connection, deliveries.c.id, ids))
        .values(status=Status.CALLING, reason=None, attempts=attempt, provider=provider, lease_until_ms=lease_until_ms)
    )
    await connection.execute(statement)


async def begin_attempts(connection: AsyncConnection, attempts: Sequence[Attempt]) -> None:
    """Writes down attempts before they are made."""
    if attempts:
        await connection.execute(insert(delivery_attempts), [msgspec.structs.asdict(attempt) for attempt in attempts])


async def save_attempts(connection: AsyncConnection, attempts: Iterable[Attempt]) -> None:
    """Writes back what has become of attempts."""
    values = [
        {
            "_delivery_id": attempt.delivery_id,
            "_number": attempt.number,
            "_state": attempt.state,
            "_provider_id": attempt.provider_id,
            "_reason": attempt.reason,
            "_finished_at_ms": attempt.finished_at_ms,
        }
        for attempt in attempts
    ]
    if values:
        await connection.execute(_SAVE_ATTEMPT, values)


_SAVE_ATTEMPT = (
    update(delivery_attempts)
    .where(_attempts.delivery_id == bindparam("_delivery_id"), _attempts.number == bindparam("_number"))
    .values({name: bindparam(f"_{name}") for name in ("state", "provider_id", "reason", "finished_at_ms")})
)
