"""Asking for deliveries: by a trigger in its own transaction, or because of another delivery."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.alerts.alert import Way
from notifiers.outbox.database_clock import NowMs
from notifiers.outbox.delivery import Delivery, NewDelivery, Status
from notifiers.outbox.rows import content_text
from schemas.tables import deliveries

_INSERTS: dict[str, Callable[..., Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
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


async def insert_deliveries(connection: AsyncConnection, rows: Sequence[NewDelivery]) -> None:
    """Asks for deliveries in the caller's transaction; the same key asks once.

    After the commit the worker's bell may be rung.
    """
    if rows:
        await connection.execute(_STATEMENTS[connection.dialect.name], list(map(_values, rows)))


_STATEMENTS = {
    dialect: make(deliveries)
    .values(
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
    .on_conflict_do_nothing(index_elements=["key"])
    for dialect, make in _INSERTS.items()
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
        "content": content_text(row.content),
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
        content=delivery.content,
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
