"""What the outbox is asked for: rows of `deliveries`, each at most once, in the transaction that has the reason."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.alerts.alert import Way
from notifiers.outbox.database_clock import NowMs
from notifiers.outbox.delivery import Kind, Status
from schemas.tables import deliveries

_MINUTE_MS = 60_000
_CHUNK = 5000
"""Rows of one statement: a server that has much to do is to manage each within its time limit."""
_LIFE_MS = {
    Way.WEBSOCKET: 360 * _MINUTE_MS,
    Way.EMAIL: 360 * _MINUTE_MS,
    Way.SMS: 60 * _MINUTE_MS,
    Way.VOICE: 30 * _MINUTE_MS,
    Way.PUSH: 60 * _MINUTE_MS,
    Way.WEBHOOK: 24 * 60 * _MINUTE_MS,
}
WEBSOCKET_PRIORITY = 0
CRITICAL_PRIORITY = 1
ALERT_PRIORITY = 3
LATER_PRIORITY = 5
"""Of digests and notices."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivery that is to be. `key` holds everything that makes it another one than any before."""

    key: str
    trigger_id: int | None
    alert_id: int
    user: str
    kind: Kind
    channel: Way
    endpoint: str = ""
    priority: int
    due_at_ms: int
    content: str
    """JSON of `notifiers.alerts.facts.Facts`."""
    unless_acknowledged: bool = False


def life_ms(way: Way) -> int:
    """For how long after it is due a delivery makes sense. A voice that calls an hour late is no help."""
    return _LIFE_MS[way]


def key_of(*parts: object) -> str:
    """The unique key of what the parts tell apart."""
    return sha256("|".join(map(str, parts)).encode()).hexdigest()


def priority_of(way: Way, kind: Kind, *, critical: bool = False) -> int:
    """Lower ones go first: what is seen at once, then what matters, then what only informs."""
    if way is Way.WEBSOCKET:
        return WEBSOCKET_PRIORITY
    if kind in (Kind.DIGEST, Kind.NOTICE):
        return LATER_PRIORITY
    return CRITICAL_PRIORITY if critical else ALERT_PRIORITY


async def add_deliveries(
    connection: AsyncConnection, asked: Iterable[Asked], now_ms: int, *, renew_content: bool = False
) -> None:
    """Queues what was not asked for before. With `renew_content`, what still waits tells the new content.

    The workers go by the database's clock: a delivery is due as long after its now as `due_at_ms` is after `now_ms`.
    """
    rows = [_row(one, now_ms) for one in asked]
    if not rows:
        return
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(deliveries).values(_TIMES)
    if renew_content:
        inserted = statement.on_conflict_do_update(
            index_elements=[deliveries.c.key],
            set_={"content": statement.excluded.content},
            where=deliveries.c.status == Status.QUEUED.value,
        )
    else:
        inserted = statement.on_conflict_do_nothing(index_elements=[deliveries.c.key])
    for begin in range(0, len(rows), _CHUNK):
        await connection.execute(inserted, rows[begin : begin + _CHUNK])


def _row(asked: Asked, now_ms: int) -> dict[str, Any]:
    return {
        "key": asked.key,
        "trigger_id": asked.trigger_id,
        "alert_id": asked.alert_id,
        "user_id": asked.user,
        "kind": asked.kind.value,
        "channel": asked.channel.value,
        "endpoint": asked.endpoint,
        "status": Status.QUEUED.value,
        "priority": asked.priority,
        "after_ms": asked.due_at_ms - now_ms,
        "gone_ms": asked.due_at_ms - now_ms + _LIFE_MS[asked.channel],
        "unless_acknowledged": asked.unless_acknowledged,
        "content": asked.content,
        "attempts": 0,
        "cost": 0,
    }


_TIMES = {
    "due_at_ms": NowMs() + bindparam("after_ms", type_=deliveries.c.due_at_ms.type),
    "expires_at_ms": NowMs() + bindparam("gone_ms", type_=deliveries.c.due_at_ms.type),
    "created_at_ms": NowMs(),
}
