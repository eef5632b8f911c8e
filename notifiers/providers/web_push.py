"""Push messages to browsers: encrypted for one browser (RFC 8291), carried by the service that it names (RFC 8030).

Browsers name the service, and so could anybody who wants to see us fail: what a service says is only ever about the one
subscription, never a reason to keep others waiting.
"""

import base64
import logging

import http_ece  # type: ignore[import-untyped]
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from auth.push_subscriptions import PushSubscription
from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.providers.notification import Gone, Notification
from notifiers.providers.outward import Answer, NotReachable, Outward
from notifiers.providers.vapid import Vapid
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.notifiers.providers.web_push")

_RECORD_BYTES = 4096
"""All is one record of at most so many (RFC 8291, 4)."""


class WebPush:
    """Sends to browsers."""

    def __init__(self, outward: Outward, vapid: Vapid) -> None:
        self._outward = outward
        self._vapid = vapid

    async def push(self, subscription: PushSubscription, notification: Notification) -> None:
        """Asks once. Raises Gone for a browser that is no more, Refused, or OutcomeUnknown."""
        body = encrypted(msgspec.json.encode(notification.payload), subscription.p256dh, subscription.auth)
        headers = {
            "Authorization": self._vapid.authorization(subscription.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(notification.ttl_s),
            "Topic": notification.topic,
            "Urgency": "high" if notification.urgent else "normal",
        }
        try:
            answer = await self._outward.post(subscription.endpoint, headers, body)
        except NotReachable as exc:
            raise Refused("push private address", permanent=True, blame=Blame.ADDRESS) from exc
        except Unavailable as exc:
            raise Refused("push unreachable", permanent=False) from exc
        except OutcomeUnknown as exc:
            raise OutcomeUnknown("push", exc.why) from exc
        _judge(answer, subscription)


def encrypted(
    text: bytes, p256dh: str, auth: str, *, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """The body of a push message for a browser's keys; `key` and `salt` are made anew, but for tests.

    Raises Gone for keys that no browser can have.
    """
    try:
        body: bytes = http_ece.encrypt(
            text,
            salt=salt,
            private_key=key or ec.generate_private_key(ec.SECP256R1()),
            dh=_octets(p256dh),
            auth_secret=_octets(auth),
            rs=_RECORD_BYTES,
            version="aes128gcm",
        )
    except ValueError as exc:  # no point on the curve
        raise Gone("push keys") from exc
    return body


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _judge(answer: Answer, subscription: PushSubscription) -> None:
    """What services answer: RFC 8030, 5 and 7.3, and 413 and 429, which they have added."""
    status, reason = answer.status, f"push HTTP {answer.status}"
    if 200 <= status < 300:
        return
    if status in {404, 410}:
        raise Gone(reason)
    if status == 429 or status >= 500:
        raise Refused(reason, permanent=False, retry_after_s=answer.retry_after_s)
    if status in {400, 401, 403}:  # the clock, or a key other than the one that it was subscribed with
        log.warning("push.refused", extra={"subscription": subscription.id, "status": status})
    raise Refused(reason, permanent=True)
