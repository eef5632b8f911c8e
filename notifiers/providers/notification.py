"""What is shown on somebody's screen, however it gets there."""

import base64
import hashlib

import msgspec

from notifiers.outbox.delivery import Delivery, Kind
from notifiers.outbox.provider import Job
from notifiers.wording.messages import Said
from schemas.errors import TickhubError
from schemas.market import ist_text

MAX_BYTES = 3000
"""Of a payload: about what every push service takes once it is encrypted."""

_TOPIC_CHARS = 32
_LONGEST_TTL_S = 28 * 86_400


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page's service worker, or an app, is given; the names are those of the browser's Notification API."""

    kind: Kind
    title: str
    body: str
    tag: str
    """One notification with it replaces another: the same told twice is seen once."""
    lang: str
    dir: str = "auto"
    time: str
    """Of what happened; ISO 8601."""
    url: str | None = None
    """Where a click leads."""
    alert: int | None = None
    trigger: int | None = None
    acknowledge: str | None = None
    """What to POST to for having seen it."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A payload, and what the one who carries it has to know."""

    payload: Payload
    topic: str
    """At most 32 characters of base64url (RFC 8030, 5.4), the same at each attempt and for no other delivery."""
    ttl_s: int
    expires_at_s: int
    urgent: bool


class Gone(TickhubError):
    """Nobody is there any more; `reason` is a code as in `Refused`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def notification_of(job: Job, said: Said, *, url: str | None, acknowledge: str | None, now_s: float) -> Notification:
    """What is to be shown of a delivery."""
    delivery, topic = job.delivery, topic_of(job.delivery)
    payload = Payload(
        kind=delivery.kind,
        title=said.title,
        body=said.line,
        tag=topic,
        lang=said.language,
        time=ist_text(delivery.created_at_ms),
        url=url,
        alert=delivery.alert_id,
        trigger=delivery.trigger_id,
        acknowledge=acknowledge,
    )
    expires_at_s = delivery.expires_at_ms // 1000
    return Notification(
        payload=_fitted(payload),
        topic=topic,
        ttl_s=min(max(0, expires_at_s - int(now_s)), _LONGEST_TTL_S),
        expires_at_s=expires_at_s,
        urgent=delivery.kind in {Kind.ALERT, Kind.TEST},
    )


def topic_of(delivery: Delivery) -> str:
    """Not the alert's: two firings are two things to hear of, also for who was away meanwhile."""
    digest = hashlib.sha256(delivery.key.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:_TOPIC_CHARS]


def _fitted(payload: Payload) -> Payload:
    """The payload with as much of its body as there is room for."""
    excess = len(msgspec.json.encode(payload)) - MAX_BYTES
    if excess <= 0:
        return payload
    octets = payload.body.encode()
    kept = octets[: max(0, len(octets) - excess - 3)].decode(errors="ignore")
    return msgspec.structs.replace(payload, body=f"{kept}…")
