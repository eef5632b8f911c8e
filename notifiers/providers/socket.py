"""The owner's own channel on the socket, `alerts:<user>`: what fired, and how far its deliveries have come.

What is published is kept in the channel's history, whence a client that was away gets it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from channels.broker import Receipt
from notifiers.alerts.facts import Facts, of_content
from notifiers.errors import Refused
from notifiers.outbox.delivery import Delivery, Kind
from notifiers.outbox.provider import Job, Outcome
from notifiers.way import Way
from notifiers.wording.messages import Said, change_of
from schemas.alert_events import AlertDigest, AlertEvent, AlertNotice, AlertTested, AlertTriggered, DeliveryProgress
from schemas.durations import Seconds
from schemas.errors import CommandError
from schemas.market import ist_text

Publish = Callable[[str, bytes, str], Awaitable[Receipt]]
"""Publishes a payload on the channel of that name, once for each key, as `Broker.publish` does.

Raises Unavailable, and CommandError for a name that can be no channel's.
"""


class SocketProvider:
    """Publishes each delivery to its owner; see `notifiers.outbox.provider.Provider`.

    What is published is `delivered`: it is theirs to read. Whether anybody has seen it, an acknowledgement says.
    """

    name = "socket"
    way = Way.WEBSOCKET
    resend_unknown = True
    """The delivery's key publishes once."""

    def __init__(self, publish: Publish, say: Callable[[Job], Said], *, time_limit_s: Seconds = 10.0) -> None:
        """`say` is `Messages.of`."""
        self.time_limit_s = time_limit_s
        self._publish = publish
        self._say = say

    async def send(self, job: Job) -> Outcome:
        """See `Provider`. The position in the channel is its id."""
        said = self._say(job)
        receipt = await self._tell(job.delivery.user, event_of(job.delivery, said), job.delivery.key)
        return Outcome(status="delivered", id=f"{receipt.epoch}:{receipt.offset}", detail=said.detail)

    async def progress(self, delivery: Delivery, at_ms: int) -> None:
        """Tells the owner how far a delivery by another channel has come. Raises Unavailable or Refused.

        The same progress is told once, however often it is reported.
        """
        if delivery.channel is not self.way:
            key = f"{delivery.key}:{delivery.status}:{delivery.attempts}"
            await self._tell(delivery.user, progress_of(delivery, at_ms), key)

    async def _tell(self, user: str, event: AlertEvent, key: str) -> Receipt:
        try:
            return await self._publish(f"alerts:{user}", msgspec.json.encode(event), key)
        except CommandError as exc:  # a user of somebody else's login whose id can't stand in a channel's name
            raise Refused("no_channel", permanent=True) from exc

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`. Publishing again is how to find out, and harmless."""
        del job, since_ms
        return None

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`. There is no more to know."""
        del delivery
        return None

    async def close(self) -> None:
        """See `Provider`. The broker is its owner's."""


def event_of(delivery: Delivery, said: Said) -> AlertEvent:
    """What is published of a delivery: its facts, and what to show, in the user's language."""
    facts = of_content(delivery.content)
    told: dict[str, Any] = {
        "alert": delivery.alert_id,
        "trigger": delivery.trigger_id,
        "time": ist_text(facts.at_ms),
        "exchange": facts.exchange,
        "symbol": facts.symbol,
        "name": facts.name,
        "condition": facts.condition,
        "words": said.condition,
        "title": said.title,
        "message": said.message or said.line,
        "language": said.language,
    }
    match facts.kind:
        case Kind.ALERT:
            return _triggered(facts, told)
        case Kind.TEST:
            return AlertTested(**told, number=facts.number, price=facts.price)
        case Kind.DIGEST:
            since = None if facts.since_ms is None else ist_text(facts.since_ms)
            return AlertDigest(**told, count=facts.count, since=since, price=facts.price)
        case Kind.NOTICE:
            return AlertNotice(**told, reason=facts.reason)


def _triggered(facts: Facts, told: dict[str, Any]) -> AlertTriggered:
    return AlertTriggered(
        **told,
        number=facts.number,
        price=facts.price,
        change_percent=change_of(facts),
        previous=facts.previous,
        current=facts.current,
        level=facts.level,
        via=facts.via,
        gap=facts.gap,
        critical=facts.critical,
    )


def progress_of(delivery: Delivery, at_ms: int) -> DeliveryProgress:
    """What is published of a delivery's progress."""
    return DeliveryProgress(
        alert=delivery.alert_id,
        trigger=delivery.trigger_id,
        time=ist_text(at_ms),
        delivery=delivery.id,
        channel=delivery.channel,
        status=delivery.status,
        reason=delivery.reason,
    )
