"""Webhooks in the form of Standard Webhooks (https://www.standardwebhooks.com, specification 1.0).

The body is `{"type", "timestamp", "data"}` in JSON, the same at each attempt. Signed is `<id>.<seconds>.<body>` by
HMAC-SHA256 with each secret that is good, under the delivery's own key as the id: by that a receiver tells that it has
heard the same before, and so to say it twice does no harm.

Whose server it is has chosen the URL, so its failures are only ever about itself: a refusal of this one message.
"""

import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from notifiers.errors import Blame, OutcomeUnknown, Refused
from notifiers.outbox.delivery import Delivery, Kind
from notifiers.outbox.provider import Job, Outcome
from notifiers.people.webhook_endpoints import Status, Target, WebhookEndpoint, WebhookEndpoints
from notifiers.providers.fair_share import FairShare
from notifiers.providers.outward import Answer, NotReachable, Outward
from notifiers.way import Way
from notifiers.wording.messages import Said
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.market import ist_text
from schemas.secret import Secret

log = logging.getLogger("tickhub.notifiers.providers.webhook")

TYPES = {
    Kind.ALERT: "alert.triggered",
    Kind.DIGEST: "alert.digest",
    Kind.TEST: "alert.test",
    Kind.NOTICE: "alert.notice",
}
TRIAL = "webhook.test"
"""What an owner has sent to see whether it works."""

_GONE = 410
_UNFINISHED = frozenset({"kind", "message", "language"})
"""Of the facts, what is said otherwise: as the type, and filled in."""


class WebhookCaller:
    """Signs and posts. Raises what `Outward.post` raises."""

    def __init__(self, outward: Outward, *, wall: Callable[[], float] = time.time) -> None:
        self._outward = outward
        self._wall = wall

    async def call(self, target: Target, message_id: str, body: bytes) -> Answer:
        """Post a body once. `message_id` says whether it is the same as before."""
        stamp = str(int(self._wall()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": signatures(target.secrets, message_id, stamp, body),
        }
        return await self._outward.post(target.endpoint.url, headers, body)

    async def try_out(self, target: Target) -> Answer:
        """Post something that says no more than that it is a trial."""
        now_ms = int(self._wall() * 1000)
        body = {"type": TRIAL, "timestamp": ist_text(now_ms), "data": {"webhook": target.endpoint.id}}
        return await self.call(target, f"test_{secrets.token_hex(12)}", msgspec.json.encode(body))

    async def close(self) -> None:
        """Lets go of all connections. Safe to call twice."""
        await self._outward.close()


class WebhookProvider:
    """The way to users' own servers; see `Provider`. A delivery's endpoint is an id of `webhook_endpoints`."""

    name = "webhook"
    way = Way.WEBHOOK
    time_limit_s: Seconds = 20.0
    resend_unknown = True

    def __init__(
        self,
        endpoints: WebhookEndpoints,
        caller: WebhookCaller,
        *,
        say: Callable[[Job], Said],
        on_disabled: Callable[[WebhookEndpoint], Awaitable[None]],
    ) -> None:
        """`on_disabled` tells an owner that their endpoint is; it may raise Unavailable."""
        self._endpoints = endpoints
        self._caller = caller
        self._say = say
        self._on_disabled = on_disabled
        self._share = FairShare()

    async def send(self, job: Job) -> Outcome:
        """See `Provider`."""
        target = await self._endpoints.target(job.delivery.user, _id(job.delivery))
        if target is None or target.endpoint.status is not Status.ACTIVE:
            reason = "webhook removed" if target is None else "webhook disabled"
            raise Refused(reason, permanent=True, blame=Blame.ADDRESS)
        said = self._say(job)
        try:
            with self._share.place(target.endpoint.user):
                answer = await self._caller.call(target, job.delivery.key, body_of(job.delivery, said))
        except (NotReachable, Unavailable, OutcomeUnknown) as exc:
            await self._failed(target.endpoint, job.attempt)
            raise _translated(exc) from exc
        return await self._judged(answer, target.endpoint, job, said)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`; nobody can be asked."""
        raise Unavailable("webhook", "nobody can be asked")

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`; there is nothing to be looked for."""

    async def close(self) -> None:
        """See `Provider`."""
        await self._caller.close()

    async def _judged(self, answer: Answer, endpoint: WebhookEndpoint, job: Job, said: Said) -> Outcome:
        status = answer.status
        if 200 <= status < 300:
            await self._noting(self._endpoints.succeeded(endpoint))
            return Outcome(status="delivered", detail=said.detail)
        if status == _GONE:
            if await self._endpoints.gone(endpoint):
                await self._noting(self._on_disabled(endpoint))
            raise Refused("HTTP 410", permanent=True, blame=Blame.ADDRESS)
        await self._failed(endpoint, job.attempt)
        raise Refused(f"HTTP {status}", permanent=300 <= status < 400, retry_after_s=answer.retry_after_s)

    async def _failed(self, endpoint: WebhookEndpoint, attempt: int) -> None:
        async def note() -> None:
            if await self._endpoints.failed(endpoint, attempt):
                await self._on_disabled(endpoint)

        await self._noting(note())

    async def _noting(self, writing: Awaitable[None]) -> None:
        """What is written down besides must not change what has become of a delivery."""
        try:
            await writing
        except Unavailable as exc:
            log.warning("webhook.unnoted", extra={"what": exc.what, "why": exc.why})


def signatures(keys: Sequence[Secret], message_id: str, stamp: str, body: bytes) -> str:
    """The header `webhook-signature`: one for each secret, by which receivers may change over."""
    signed = f"{message_id}.{stamp}.".encode() + body
    return " ".join(f"v1,{_signature(key, signed)}" for key in keys)


def _signature(key: Secret, signed: bytes) -> str:
    octets = base64.b64decode(key.reveal().removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(octets, signed, hashlib.sha256)).decode()


def body_of(delivery: Delivery, said: Said) -> bytes:
    """What is posted: the facts, and what a person would be told."""
    facts: dict[str, Any] = {name: value for name, value in delivery.content.items() if name not in _UNFINISHED}
    data = {"trigger": delivery.trigger_id, "title": said.title, "text": said.line, **facts}
    body = {"type": TYPES[delivery.kind], "timestamp": ist_text(delivery.created_at_ms), "data": data}
    return msgspec.json.encode(body)


def _translated(exc: NotReachable | Unavailable | OutcomeUnknown) -> Refused | OutcomeUnknown:
    match exc:
        case NotReachable():
            return Refused("webhook private address", permanent=True, blame=Blame.ADDRESS)
        case Unavailable():
            return Refused("webhook unreachable", permanent=False)
        case OutcomeUnknown():
            return OutcomeUnknown("webhook", exc.why)


def _id(delivery: Delivery) -> int:
    """The endpoint's id; 0, which nobody has, for what is none."""
    return int(delivery.endpoint) if delivery.endpoint.isdecimal() and len(delivery.endpoint) < 19 else 0
