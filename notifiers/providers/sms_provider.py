"""Deliveries by SMS: through Twilio, or into files."""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote

from msgspec.structs import replace

from notifiers.errors import Refused
from notifiers.outbox.delivery import Delivery
from notifiers.outbox.provider import Job, Outcome
from notifiers.providers.files import Outbox
from notifiers.providers.sms_text import SmsText, SmsTexts
from notifiers.providers.telephone import reachable
from notifiers.providers.twilio import TIMEOUT_S, Twilio, created_since, newest, refusal
from notifiers.way import Way
from schemas.durations import Seconds

log = logging.getLogger("tickhub.notifiers.providers.sms_provider")

LONGEST_VALID_S = 900
"""How long Twilio may try: its own default is ten hours, and a price is old after some minutes."""
SHORTEST_VALID_S = 5
"""Below that Twilio often doesn't even begin."""

_ON_ITS_WAY = frozenset({"accepted", "scheduled", "queued", "sending"})


class TwilioSms:
    """The provider `twilio` of the channel SMS. See `notifiers.outbox.provider.Provider`."""

    name = "twilio_sms"
    way = Way.SMS
    time_limit_s: Seconds = TIMEOUT_S + 5
    resend_unknown = False

    def __init__(
        self,
        twilio: Twilio,
        texts: SmsTexts,
        *,
        sender: str | None = None,
        messaging_service_sid: str | None = None,
        callbacks: str | None = None,
        wall: Callable[[], float],
    ) -> None:
        """`sender` is a number of the account's, or the service chooses one. Raises ValueError without either.

        `callbacks` is where the world reaches `/api/v1/webhooks/twilio`; without it statuses are only asked for. `wall`
        is Unix seconds.
        """
        if not sender and not messaging_service_sid:
            raise ValueError("an SMS needs a sender: a number or a messaging service")
        self._twilio = twilio
        self._texts = texts
        self._sender = sender
        self._service = messaging_service_sid
        self._callbacks = callbacks
        self._wall = wall

    async def send(self, job: Job) -> Outcome:
        """See `Provider`."""
        to, sms = reachable(job.addressee.phone, Way.SMS), self._texts.of(job)
        if sms.held_s:
            raise Refused("promotional hours", permanent=False, retry_after_s=sms.held_s)
        wanted = {
            "to": to,
            "body": sms.text,
            "validity_period": self._valid_for_s(job.delivery),
            "smart_encoded": False,  # what was counted and shown is what goes out
            **self._origin(sms),
            **self._callback(job),
        }
        message = await self._twilio.create(self._twilio.client.messages.create_async(**wanted))
        log.info(
            "sms.accepted", extra={"delivery": job.delivery.id, "sid": message.sid, "template": sms.template_id or ""}
        )
        detail = f"dlt {sms.template_id}" if sms.template_id else _text(message.status)
        return Outcome(status="accepted", id=str(message.sid), detail=detail, cost=_cost(message.num_segments, sms))

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`. A message of this very text to that number, made since then, is the one.

        The list is not narrowed by `DateSent`: what still waits to be sent has none.
        """
        sms, to = self._texts.of(job), reachable(job.addressee.phone, Way.SMS)
        listed = await self._twilio.read(newest(self._twilio.client.messages, to=to))
        for message in created_since(listed, since_ms):
            if message.body == sms.text and _text(message.direction) != "inbound":
                told = sms_progress(_text(message.status), message.error_code, str(message.sid))
                if isinstance(told, Outcome):
                    return replace(told, cost=_cost(message.num_segments, sms))
                raise told
        return None

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`."""
        if delivery.provider_id is None:
            return None
        message = await self._twilio.read(self._twilio.client.messages(delivery.provider_id).fetch_async())
        if message is None:
            return None
        told = sms_progress(_text(message.status), message.error_code, delivery.provider_id)
        if isinstance(told, Refused):
            raise told
        return told

    async def close(self) -> None:
        """See `Provider`."""

    def _origin(self, sms: SmsText) -> dict[str, str]:
        """A registered text comes from its own header."""
        origin = {"messaging_service_sid": self._service} if self._service else {}
        sender = sms.header or (None if self._service else self._sender)
        return origin | ({"from_": sender} if sender else {})

    def _callback(self, job: Job) -> dict[str, str]:
        if self._callbacks is None:
            return {}
        return {"status_callback": f"{self._callbacks}/sms?d={quote(job.token, safe='')}"}

    def _valid_for_s(self, delivery: Delivery) -> int:
        """Until the delivery is too late. Raises Refused if it nearly is."""
        left_s = int(delivery.expires_at_ms / 1000 - self._wall())
        if left_s < SHORTEST_VALID_S:
            raise Refused("too late", permanent=True)
        return min(LONGEST_VALID_S, left_s)


class FileSms:
    """The provider `files` of the channel SMS: writes each into a file that people can read."""

    name = "sms_files"
    way = Way.SMS
    time_limit_s: Seconds = 5.0
    resend_unknown = False

    def __init__(self, outbox: Outbox, texts: SmsTexts) -> None:
        self._outbox = outbox
        self._texts = texts
        self._said = False

    async def send(self, job: Job) -> Outcome:
        """See `Provider`."""
        to, sms = reachable(job.addressee.phone, Way.SMS), self._texts.of(job)
        if sms.held_s:
            raise Refused("promotional hours", permanent=False, retry_after_s=sms.held_s)
        if not self._said:
            self._said = True
            log.info("sms.to_files", extra={"folder": str(self._outbox.folder)})
        delivery = job.delivery
        content = _readable(to, sms).encode()
        path = await asyncio.to_thread(self._outbox.keep, delivery.kind, str(delivery.id), "sms.txt", content)
        return Outcome(status="delivered", id=path.name, cost=sms.segments.count)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`."""
        del since_ms
        name = await asyncio.to_thread(self._outbox.find, job.delivery.kind, str(job.delivery.id), "sms.txt")
        return None if name is None else Outcome(status="delivered", id=name)

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`: it is there since it was written."""
        return Outcome(status="delivered", id=delivery.provider_id)

    async def close(self) -> None:
        """See `Provider`."""


def sms_progress(status: str, code: int | None, sid: str) -> Outcome | Refused:
    """What one of Twilio's statuses says of a message; raises nothing. A status that is none yet counts as accepted."""
    match status:
        case "read":
            return Outcome(status="read", id=sid, detail=status)
        case "delivered" | "partially_delivered":
            return Outcome(status="delivered", id=sid, detail=status)
        case "sent":
            return Outcome(status="sent", id=sid, detail=status)
        case "failed" | "undelivered" | "canceled":
            return Refused(f"Twilio {status}", permanent=True) if code is None else refusal(code)
        case _:
            return Outcome(status="accepted", id=sid, detail=status if status in _ON_ITS_WAY else None)


def _cost(counted: object, sms: SmsText) -> int:
    """The parts as Twilio counts them, where it has done so: it knows none before a service has chosen the sender."""
    text = str(counted)
    return int(text) if text.isascii() and text.isdigit() and int(text) else sms.segments.count


def _readable(to: str, sms: SmsText) -> str:
    registered = ""
    if sms.template_id:
        registered = f"From: {sms.header}\nDLT entity: {sms.entity_id}\nDLT template: {sms.template_id}\n"
    parts = f"{sms.segments.count} ({sms.segments.encoding}, {sms.segments.units} characters)"
    return f"To: {to}\n{registered}Language: {sms.language}\nParts: {parts}\n\n{sms.text}\n"


def _text(value: object) -> str:
    """The SDK's enumerations are texts, or nothing."""
    return value if isinstance(value, str) else ""
