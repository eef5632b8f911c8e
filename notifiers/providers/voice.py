"""Deliveries by telephone call: through Twilio, or into files with the words that would have been said.

Only a person can have heard a call: it counts as read when a key was pressed or Twilio's detection heard a human. What
a machine took is delivered, and no more.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from urllib.parse import quote

from notifiers.errors import Blame, Refused
from notifiers.outbox.delivery import Delivery, NewDelivery
from notifiers.outbox.provider import Job, Outcome
from notifiers.outbox.rows import content_text
from notifiers.providers.call_script import Script, Scripts
from notifiers.providers.files import Outbox
from notifiers.providers.telephone import reachable
from notifiers.providers.twilio import LATER_S, TIMEOUT_S, Twilio, created_since, newest
from notifiers.way import Way
from schemas.durations import Seconds

log = logging.getLogger("tickhub.notifiers.providers.voice")

RINGS_S = 30
LONGEST_CALL_S = 180
COST = 1
"""Of a call, in parts of SMS: both come out of one budget."""
SNOOZE_MS = 600_000
SNOOZED_LIVES_MS = SNOOZE_MS + 300_000

_EVENTS = ["initiated", "ringing", "answered", "completed"]
_UNANSWERED = frozenset({"busy", "no-answer", "failed"})


class TwilioVoice:
    """The provider `twilio` of the channel voice. See `notifiers.outbox.provider.Provider`."""

    name = "twilio_voice"
    way = Way.VOICE
    time_limit_s: Seconds = TIMEOUT_S + 5
    resend_unknown = False

    def __init__(
        self,
        twilio: Twilio,
        scripts: Scripts,
        *,
        sender: str,
        callbacks: str | None = None,
        wall: Callable[[], float],
    ) -> None:
        """`sender` is a number of the account's.

        `callbacks` is where the world reaches `/api/v1/webhooks/twilio`; without it no key is heard, and statuses are
        only asked for. `wall` is Unix seconds.
        """
        self._twilio = twilio
        self._scripts = scripts
        self._sender = sender
        self._callbacks = callbacks
        self._wall = wall

    async def send(self, job: Job) -> Outcome:
        """See `Provider`."""
        to = reachable(job.addressee.phone, Way.VOICE)
        if job.delivery.expires_at_ms <= self._wall() * 1000:
            raise Refused("too late", permanent=True)
        wanted: dict[str, object] = {
            "to": to,
            "from_": self._sender,
            "twiml": self._twiml(job),
            "machine_detection": "Enable",
            "timeout": RINGS_S,
            "time_limit": LONGEST_CALL_S,
        }
        if self._callbacks is not None:
            wanted["status_callback"] = f"{self._callbacks}/voice?d={quote(job.token, safe='')}"
            wanted["status_callback_event"] = _EVENTS
        call = await self._twilio.create(self._twilio.client.calls.create_async(**wanted))
        log.info("voice.accepted", extra={"delivery": job.delivery.id, "sid": call.sid})
        return Outcome(status="accepted", id=str(call.sid), detail=_text(call.status), cost=COST)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`. A call from our number to theirs, made since then, is the one."""
        to = reachable(job.addressee.phone, Way.VOICE)
        listed = await self._twilio.read(newest(self._twilio.client.calls, to=to, from_=self._sender))
        for call in created_since(listed, since_ms):
            return _known(voice_progress(_text(call.status), _text(call.answered_by), str(call.sid)))
        return None

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`."""
        if delivery.provider_id is None:
            return None
        call = await self._twilio.read(self._twilio.client.calls(delivery.provider_id).fetch_async())
        if call is None:
            return None
        return _known(voice_progress(_text(call.status), _text(call.answered_by), delivery.provider_id))

    async def close(self) -> None:
        """See `Provider`."""

    def _twiml(self, job: Job) -> str:
        script = self._scripts.of(job, keys=self._callbacks is not None)
        action = None
        if self._callbacks is not None:
            action = f"{self._callbacks}/voice/gather?d={quote(job.token, safe='')}&l={script.language}"
        return self._scripts.twiml(script, action)


class FileVoice:
    """The provider `files` of the channel voice: writes what would be said into a file that people can read."""

    name = "call_files"
    way = Way.VOICE
    time_limit_s: Seconds = 5.0
    resend_unknown = False

    def __init__(self, outbox: Outbox, scripts: Scripts) -> None:
        self._outbox = outbox
        self._scripts = scripts
        self._said = False

    async def send(self, job: Job) -> Outcome:
        """See `Provider`."""
        to, script = reachable(job.addressee.phone, Way.VOICE), self._scripts.of(job)
        if not self._said:
            self._said = True
            log.info("voice.to_files", extra={"folder": str(self._outbox.folder)})
        delivery = job.delivery
        content = _readable(to, script).encode()
        path = await asyncio.to_thread(self._outbox.keep, delivery.kind, str(delivery.id), "call.txt", content)
        return Outcome(status="delivered", id=path.name, cost=COST)

    async def find(self, job: Job, since_ms: int) -> Outcome | None:
        """See `Provider`."""
        del since_ms
        name = await asyncio.to_thread(self._outbox.find, job.delivery.kind, str(job.delivery.id), "call.txt")
        return None if name is None else Outcome(status="delivered", id=name, cost=COST)

    async def look(self, delivery: Delivery) -> Outcome | None:
        """See `Provider`: it is there since it was written."""
        return Outcome(status="delivered", id=delivery.provider_id, cost=COST)

    async def close(self) -> None:
        """See `Provider`."""


def voice_progress(status: str, answered_by: str, sid: str) -> Outcome | Refused:
    """What one of Twilio's statuses says of a call; raises nothing. A status that is none yet counts as accepted."""
    match status:
        case "completed":
            return _ended(answered_by, sid)
        case "ringing" | "in-progress" | "answered":
            return Outcome(status="sent", id=sid, detail=status, cost=COST)
        case "canceled":
            return Refused("call canceled", permanent=True)
        case _ if status in _UNANSWERED:
            return Refused(f"call {status}", permanent=False, blame=Blame.HANDSET, retry_after_s=LATER_S)
        case _:
            return Outcome(status="accepted", id=sid, detail=status or None, cost=COST)


def _ended(answered_by: str, sid: str) -> Outcome:
    if answered_by == "human":
        return Outcome(status="read", id=sid, detail="human", cost=COST)
    machine = answered_by == "fax" or answered_by.startswith("machine")
    return Outcome(status="delivered", id=sid, detail="voicemail" if machine else "completed", cost=COST)


def snoozed(delivery: Delivery) -> NewDelivery:
    """The call once more, in ten minutes: always the same one of the same call."""
    return NewDelivery(
        key=hashlib.sha256(f"{delivery.key}\0snooze".encode()).hexdigest(),
        user=delivery.user,
        kind=delivery.kind,
        channel=delivery.channel,
        content=content_text(delivery.content),
        after_ms=SNOOZE_MS,
        lives_ms=SNOOZED_LIVES_MS,
        trigger_id=delivery.trigger_id,
        alert_id=delivery.alert_id,
        endpoint=delivery.endpoint,
        priority=delivery.priority,
        unless_acknowledged=True,
    )


def _known(told: Outcome | Refused) -> Outcome:
    if isinstance(told, Refused):
        raise told
    return told


def _readable(to: str, script: Script) -> str:
    keys = f"\n\nKeys: 1 acknowledges, 2 calls again in ten minutes, 9 stops such calls.\n{script.keys}"
    return f"To: {to}\nLanguage: {script.language}\nVoice: {script.voice}\n\n{script.words}{keys}\n"


def _text(value: object) -> str:
    """The SDK's enumerations are texts, or nothing."""
    return value if isinstance(value, str) else ""
