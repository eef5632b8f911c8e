"""What the outbox is asked for, and for how long each makes sense."""

from hashlib import sha256

from notifiers.outbox.delivery import Kind, NewDelivery
from notifiers.way import Way

_MINUTE_MS = 60_000
_LIFE_MS = {
    Way.WEBSOCKET: 360 * _MINUTE_MS,
    Way.EMAIL: 360 * _MINUTE_MS,
    Way.SMS: 60 * _MINUTE_MS,
    Way.VOICE: 30 * _MINUTE_MS,
    Way.PUSH: 60 * _MINUTE_MS,
    Way.WEBHOOK: 24 * 60 * _MINUTE_MS,
}
WEBSOCKET_PRIORITY = 0
ALERT_PRIORITY = 3
LATER_PRIORITY = 5
"""Of digests and notices."""


def key_of(*parts: object) -> str:
    """The unique key of what the parts tell apart."""
    return sha256("|".join(map(str, parts)).encode()).hexdigest()


def priority_of(way: Way, kind: Kind) -> int:
    """Lower ones go first: what is seen at once, then what fires, then what only informs."""
    if way is Way.WEBSOCKET:
        return WEBSOCKET_PRIORITY
    if kind in (Kind.DIGEST, Kind.NOTICE):
        return LATER_PRIORITY
    return ALERT_PRIORITY


def asked(
    *parts: object,
    alert_id: int,
    trigger_id: int | None,
    user: str,
    kind: Kind,
    way: Way,
    content: str,
    after_ms: int = 0,
    endpoint: str = "",
    unless_acknowledged: bool = False,
) -> NewDelivery:
    """A delivery that is to be, due in so long; the parts are what makes it another one than any before."""
    return NewDelivery(
        key=key_of(*parts),
        trigger_id=trigger_id,
        alert_id=alert_id,
        user=user,
        kind=kind,
        channel=way,
        endpoint=endpoint,
        priority=priority_of(way, kind),
        after_ms=after_ms,
        lives_ms=after_ms + _LIFE_MS[way],
        content=content,
        unless_acknowledged=unless_acknowledged,
    )
