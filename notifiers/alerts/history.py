"""What alerts have fired, for who wants to know why; acknowledged, and tried out.

Every method raises Unavailable where the database fails, and is safe to cancel: what it does is one transaction.
"""

from collections.abc import Callable

import msgspec
from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import reading, writing
from notifiers.alerts.alert import Alert
from notifiers.alerts.facts import Facts, decode, encode
from notifiers.alerts.trigger_rows import TEST, Occasion, Owned, asked_of
from notifiers.alerts.writing import insert_triggers
from notifiers.outbox.delivery import Kind
from notifiers.outbox.new_deliveries import insert_deliveries
from schemas.errors import CommandError, ErrorCode
from schemas.market import PRICE_SCALE
from schemas.tables import alerts, deliveries, triggers

MAX_PAGE = 500

_rows = triggers.c


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """One firing, suppressed firing or test, and when it got how far; times of the exchange's clock, then of ours."""

    id: int
    alert_id: int
    number: int
    kind: str
    """fired, suppressed or test."""
    reason: str | None
    """Why it was suppressed; `storm` where it is told in a digest."""
    at_ms: int
    received_at_ms: int
    evaluated_at_ms: int
    enqueued_at_ms: int
    provider_at_ms: int | None
    """When the first provider took a delivery of it."""
    facts: Facts
    acknowledged_at_ms: int | None
    acknowledged_by: str | None


class History:
    """The table of triggers. `wall` tells Unix seconds; `on_deliveries` rings for the outbox's workers."""

    def __init__(
        self, engine: AsyncEngine, *, wall: Callable[[], float], on_deliveries: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._wall = wall
        self._on_deliveries = on_deliveries

    async def of(
        self, alert_id: int, user: str, *, kind: str | None = None, page: int = 1, limit: int = 20
    ) -> tuple[list[Trigger], int]:
        """A page of an alert's triggers, the newest first, and how many there are in all.

        Empty for an alert that is somebody else's. Raises CommandError BAD_REQUEST.
        """
        if page < 1 or not 1 <= limit <= MAX_PAGE:
            raise CommandError(ErrorCode.BAD_REQUEST, "page is at least 1, limit from 1 to {most}", most=MAX_PAGE)
        conditions = [_rows.alert_id == alert_id, _rows.user_id == user]
        if kind is not None:
            conditions.append(_rows.kind == kind)
        query = select(triggers).where(*conditions).order_by(_rows.id.desc()).limit(limit).offset((page - 1) * limit)
        async with reading(self._engine) as connection:
            found = (await connection.execute(query)).mappings().all()
            total = await connection.scalar(select(func.count()).select_from(triggers).where(*conditions))
            sent = await _first_sent(connection, [row["id"] for row in found])
        return [_trigger(row, sent.get(row["id"])) for row in found], int(total or 0)

    async def test(self, alert: Alert, *, price: float | None = None) -> int:
        """Sends what the alert would send if it fired now, but for escalation; the trigger's id.

        `price` is the instrument's newest. How often the alert has fired doesn't change.
        """
        now_ms = self._now_ms()
        owner = _owned(alert)
        async with writing(self._engine) as connection:
            await connection.execute(select(alerts.c.id).where(alerts.c.id == alert.id).with_for_update())
            newest = select(func.max(_rows.number)).where(_rows.alert_id == alert.id, _rows.kind == TEST)
            number = int(await connection.scalar(newest) or 0) + 1
            text = encode(_test_facts(alert, number, price, now_ms))
            row = {"alert_id": alert.id, "number": number, "kind": TEST, "user_id": alert.user, "facts": text}
            times = dict.fromkeys(("at_ms", "received_at_ms", "evaluated_at_ms", "enqueued_at_ms"), now_ms)
            ids = await insert_triggers(connection, [row | times])
            trigger_id = ids[alert.id, TEST, number]
            await insert_deliveries(connection, asked_of(owner, Occasion(Kind.TEST, number, trigger_id, text)))
        self._on_deliveries()
        return trigger_id

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


async def _first_sent(connection: AsyncConnection, ids: list[int]) -> dict[int, int]:
    rows = deliveries.c
    query = select(rows.trigger_id, func.min(rows.sent_at_ms)).where(
        rows.trigger_id.in_(ids), rows.sent_at_ms.is_not(None)
    )
    found = await connection.execute(query.group_by(rows.trigger_id))
    return {row[0]: row[1] for row in found}


def _trigger(row: RowMapping, sent_ms: int | None) -> Trigger:
    values = {name: row[name] for name in Trigger.__struct_fields__ if name in row}
    return Trigger(**values | {"facts": decode(row["facts"]), "provider_at_ms": sent_ms})


def _owned(alert: Alert) -> Owned:
    return Owned(
        alert.id,
        alert.user,
        alert.exchange,
        alert.symbol,
        alert.version,
        alert.condition,
        alert.options,
        alert.channels,
        alert.name,
        alert.message,
        alert.language,
        alert.delay_s,
    )


def _test_facts(alert: Alert, number: int, price: float | None, now_ms: int) -> Facts:
    if price is None and alert.baseline is not None:
        price = alert.baseline.price / PRICE_SCALE
    return Facts(
        kind=Kind.TEST,
        alert_id=alert.id,
        exchange=alert.exchange,
        symbol=alert.symbol,
        condition=alert.condition,
        at_ms=now_ms,
        number=number,
        name=alert.name,
        message=alert.message,
        language=alert.language,
        critical=alert.options.critical,
        price=price,
        current=price,
        inputs={} if price is None else {"price": price},
        source=f"{alert.exchange}:{alert.symbol}",
    )
