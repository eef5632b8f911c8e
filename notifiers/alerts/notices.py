"""Notices: that an alert was ended or changed by us, told to its owner like anything else, by deliveries."""

from collections.abc import Iterator, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from notifiers.alerts.alert import Alert
from notifiers.alerts.asking import asked
from notifiers.alerts.facts import Facts, encode
from notifiers.outbox.delivery import Kind, NewDelivery
from notifiers.outbox.new_deliveries import insert_deliveries
from notifiers.way import Way

NOTICE_WAYS = frozenset({Way.EMAIL, Way.PUSH, Way.WEBHOOK})
"""By which of an alert's channels a notice goes: nobody is called, and no SMS is spent, because an alert ended."""


async def add_notices(connection: AsyncConnection, about: Sequence[Alert], reason: str, now_ms: int) -> None:
    """Asks for the deliveries, in the transaction that changes the alerts; their owners hear why."""
    await insert_deliveries(connection, [one for alert in about for one in _asked(alert, reason, now_ms)])


def _asked(alert: Alert, reason: str, now_ms: int) -> Iterator[NewDelivery]:
    content = encode(notice_facts(alert, reason, now_ms))
    for way in (Way.WEBSOCKET, *(one for one in alert.channels if one in NOTICE_WAYS)):
        yield asked(
            *("notice", alert.id, alert.updated_at_ms, reason, way),
            trigger_id=None,
            alert_id=alert.id,
            user=alert.user,
            kind=Kind.NOTICE,
            way=way,
            content=content,
        )


def notice_facts(alert: Alert, reason: str, now_ms: int) -> Facts:
    """What a notice of an alert tells."""
    return Facts(
        kind=Kind.NOTICE,
        alert_id=alert.id,
        exchange=alert.exchange,
        symbol=alert.symbol,
        condition=alert.condition,
        at_ms=now_ms,
        name=alert.name,
        language=alert.language,
        reason=reason,
    )
