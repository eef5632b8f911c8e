"""Asking for deliveries: by a trigger in its own transaction, or because of another delivery."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.outbox.delivery import Delivery, NewDelivery, Status
from notifiers.outbox.rows import content_text
from notifiers.way import Way
from schemas.database_clock import NowMs
from schemas.tables import deliveries

_GIVEN = (
    "key",
    "trigger_id",
    "alert_id",
    "user_id",
    "kind",
    "channel",
    "endpoint",
    "priority",
    "unless_acknowledged",
    "content",
)


_CHUNK = 5000
"""Rows of one statement: a server that has much to do is to manage each within its time limit."""


async def insert_deliveries(
    connection: AsyncConnection, asked: Iterable[NewDelivery], *, renew_content: bool = False
) -> None:
    """Asks for deliveries in the caller's transaction; the same key asks once.

    With `renew_content`, one that was asked for before and still waits tells the new content. After the commit the
    worker's bell may be rung.
    """
    rows = [_values(one) for one in asked]
    statement = _STATEMENTS[connection.dialect.name, renew_content]
    for begin in range(0, len(rows), _CHUNK):
        await connection.execute(statement, rows[begin : begin + _CHUNK])


def _statement(make: Callable[..., Any], *, renew_content: bool) -> Any:
    """Times are the database's own: due and too late so long after its now."""
    inserted = make(deliveries).values(
        {name: bindparam(name) for name in _GIVEN}
        | {
            "status": Status.QUEUED.value,
            "attempts": 0,
            "cost": 0,
            "created_at_ms": NowMs(),
            "due_at_ms": NowMs() + bindparam("after_ms", type_=deliveries.c.due_at_ms.type),
            "expires_at_ms": NowMs() + bindparam("lives_ms", type_=deliveries.c.due_at_ms.type),
        }
    )
    if not renew_content:
        return inserted.on_conflict_do_nothing(index_elements=["key"])
    return inserted.on_conflict_do_update(
        index_elements=["key"],
        set_={"content": inserted.excluded.content},
        where=deliveries.c.status == Status.QUEUED.value,
    )


_STATEMENTS = {
    (dialect, renew_content): _statement(make, renew_content=renew_content)
    for dialect, make in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
    for renew_content in (False, True)
}


def _values(row: NewDelivery) -> dict[str, object]:
    return {
        "key": row.key,
        "trigger_id": row.trigger_id,
        "alert_id": row.alert_id,
        "user_id": row.user,
        "kind": row.kind,
        "channel": row.channel,
        "endpoint": row.endpoint,
        "priority": row.priority,
        "unless_acknowledged": row.unless_acknowledged,
        "content": row.content,
        "after_ms": min(row.after_ms, row.lives_ms),  # when it is too late, somebody is to notice
        "lives_ms": row.lives_ms,
    }


def derived(delivery: Delivery, way: Way, endpoint: str, now_ms: int) -> NewDelivery:
    """The same for another endpoint or by another channel: due at once, too late at the same time."""
    return NewDelivery(
        key=derived_key(delivery.key, way, endpoint),
        user=delivery.user,
        kind=delivery.kind,
        channel=way,
        content=content_text(delivery.content),
        lives_ms=max(0, delivery.expires_at_ms - now_ms),
        trigger_id=delivery.trigger_id,
        alert_id=delivery.alert_id,
        endpoint=endpoint,
        priority=delivery.priority,
        unless_acknowledged=delivery.unless_acknowledged,
    )


def derived_key(key: str, way: Way, endpoint: str) -> str:
    """Always the same of the same, so that to derive it twice makes one."""
    return hashlib.sha256(f"{key}\0{way}\0{endpoint}".encode()).hexdigest()
