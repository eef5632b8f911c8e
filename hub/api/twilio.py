"""What Twilio tells and asks: how messages and calls went on, which key somebody pressed, and who writes STOP.

Every request is signed with the account's token over the address that we gave Twilio, so `PUBLIC_URL` decides and never
the Host header. No rate limit counts them, as all come from few addresses: one without a signature is turned away by
its headers alone, one that is forged costs a body of some kilobytes and a hash.

Reports come late, twice and in any order; `Deliveries.report` sees to that. Their keys are made of what is signed.
"""

import hashlib
import logging
import time
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from starlette.datastructures import ImmutableMultiDict
from starlette.responses import Response
from twilio.request_validator import (  # type: ignore[import-untyped]
    HMAC_SHA1,
    HMAC_SHA256,
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
    get_signature_algorithm,
)

from hub.http.endpoint import Access, Call, Endpoint
from hub.http.requests import raw_body
from notifiers.errors import Refused
from notifiers.outbox.delivery import Delivery, NewDelivery
from notifiers.outbox.provider import Outcome
from notifiers.outbox.tokens import DeliveryTokens, Reference
from notifiers.providers.call_script import Answer, Key, Scripts
from notifiers.providers.sms_provider import sms_progress
from notifiers.providers.voice import snoozed, voice_progress
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.secret import Secret

log = logging.getLogger("tickhub.hub.api.twilio")

PATH = "/webhooks/twilio"
MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 100
MAX_SIGNATURE = 64
FORGED_LOGGED_EVERY_S = 60.0

STOP_WORDS = frozenset({
    "stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout",
    "बंद", "बंद करें", "रोकें", "रोको", "बंद करा", "थांबा", "थांबवा",
    "બંધ", "બંધ કરો", "રોકો", "ನಿಲ್ಲಿಸಿ", "ನಿಲ್ಲಿಸು",
})  # fmt: skip
START_WORDS = frozenset({
    "start", "unstop", "शुरू", "शुरु", "चालू", "सुरू", "सुरु", "सुरू करा", "शुरू करें",
    "શરૂ", "ચાલુ", "શરૂ કરો", "ಶುರು", "ಪ್ರಾರಂಭಿಸಿ", "ಆರಂಭಿಸಿ",
})  # fmt: skip
"""A message that is nothing but one of these, in any case and with any marks around it."""

Form = ImmutableMultiDict[str, str]


class Report(Protocol):
    """`Deliveries.report`."""

    async def __call__(  # noqa: D102 - described by the class
        self, delivery_id: int, attempt: int, said: Outcome | Refused, *, key: str
    ) -> Delivery | None: ...


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What we put into the address: the delivery's token, and the language of a call."""

    d: Annotated[str, Meta(max_length=256)] = ""
    l: Annotated[str, Meta(max_length=8)] = ""  # noqa: E741 - as short as an address should be


class TwilioApi:
    """The routes that Twilio calls."""

    def __init__(
        self,
        *,
        public_url: str | None,
        auth_token: Secret | None,
        tokens: DeliveryTokens,
        scripts: Scripts,
        report: Report,
        acknowledge: Callable[[int, str], Awaitable[object]],
        ask: Callable[[Sequence[NewDelivery]], Awaitable[object]],
        suppress: Callable[[Way, str, str], Awaitable[object]],
        allow: Callable[[Way, str], Awaitable[object]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`public_url` has no slash at its end; without it, or without a token, nothing is believed.

        `acknowledge` takes a trigger and by what; `ask` is `Deliveries.add`; `suppress` takes channel, address and
        reason, and `allow` undoes it.
        """
        self.forged = 0
        self._public_url = public_url
        self._validator = None if auth_token is None else RequestValidator(auth_token.reveal())
        self._tokens = tokens
        self._scripts = scripts
        self._report = report
        self._acknowledge = acknowledge
        self._ask = ask
        self._suppress = suppress
        self._allow = allow
        self._clock = clock
        self._logged_at = float("-inf")

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        return [
            _endpoint("/sms", self.sms, "MessageSid", "MessageStatus", "ErrorCode"),
            _endpoint("/voice", self.voice, "CallSid", "CallStatus", "AnsweredBy", "SequenceNumber"),
            _endpoint("/voice/gather", self.gather, "CallSid", "Digits", "To", media_type="text/xml; charset=utf-8"),
            _endpoint("/inbound", self.inbound, "From", "Body", "OptOutType", media_type="text/xml; charset=utf-8"),
        ]

    async def sms(self, call: Call, query: DeliveryQuery) -> Response:
        """Take Twilio's report about an SMS."""
        form = await self._signed(call)
        reference, sid, status = self._reference(query), form.get("MessageSid", ""), form.get("MessageStatus", "")
        said = sms_progress(status, _code(form), sid)
        await self._report(reference.delivery_id, reference.attempt, said, key=_key(sid, status))
        return Response(status_code=204)

    async def voice(self, call: Call, query: DeliveryQuery) -> Response:
        """Take Twilio's report about a call."""
        form = await self._signed(call)
        reference, sid, status = self._reference(query), form.get("CallSid", ""), form.get("CallStatus", "")
        said = voice_progress(status, form.get("AnsweredBy", ""), sid)
        key = _key(sid, status, form.get("SequenceNumber", ""))
        await self._report(reference.delivery_id, reference.attempt, said, key=key)
        return Response(status_code=204)

    async def gather(self, call: Call, query: DeliveryQuery) -> Response:
        """Take the key that somebody pressed in a call, and say what came of it."""
        form = await self._signed(call)
        reference = self._reference(query)
        try:
            answer = await self._pressed(reference, form)
        except Unavailable:
            answer = Answer.FAILED
        return _twiml(self._scripts.answer(answer, query.l))

    async def inbound(self, call: Call) -> Response:
        """Take an SMS that somebody wrote to our number: STOP and START in five languages, nothing else."""
        form = await self._signed(call)
        sender, wish = form.get("From", ""), _wish(form)
        if wish == "STOP" and sender:
            await self._suppress(Way.SMS, sender, "STOP")
        elif wish == "START" and sender:
            await self._allow(Way.SMS, sender)
        return _twiml('<?xml version="1.0" encoding="UTF-8"?><Response/>')

    async def _pressed(self, reference: Reference, form: Form) -> Answer:
        sid, digit = form.get("CallSid", ""), form.get("Digits", "")
        heard = Outcome(status="read", id=sid, detail=f"key {digit[:1]}")
        delivery = await self._report(reference.delivery_id, reference.attempt, heard, key=_key(sid, "key", digit))
        if delivery is None:
            return Answer.FAILED
        match digit:
            case Key.ACKNOWLEDGE:
                if delivery.trigger_id is not None:
                    await self._acknowledge(delivery.trigger_id, Way.VOICE)
                return Answer.ACKNOWLEDGED
            case Key.SNOOZE:
                await self._ask([snoozed(delivery)])
                return Answer.SNOOZED
            case Key.STOP if number := form.get("To", ""):
                await self._suppress(Way.VOICE, number, "key 9")
                return Answer.STOPPED
            case _:
                return Answer.UNKNOWN

    async def _signed(self, call: Call) -> Form:
        """The fields of a request that Twilio has signed. Raises CommandError PERMISSION_DENIED for any other."""
        headers = call.request.headers
        signature = headers.get(SIGNATURE_HEADER, "")
        algorithm = get_signature_algorithm(headers.get(SIGNATURE_SETTINGS_HEADER))
        if self._validator is None or self._public_url is None or not 0 < len(signature) <= MAX_SIGNATURE:
            raise self._denied()
        if algorithm not in (HMAC_SHA1, HMAC_SHA256):
            raise self._denied()
        raw = await raw_body(call.request, max_bytes=MAX_FORM_BYTES)
        form = _form(raw)
        if form is None or not self._validator.validate(self._address(call), form, signature, algorithm):
            raise self._denied()
        return form

    def _address(self, call: Call) -> str:
        """Where Twilio was told to come."""
        scope = call.request.scope
        query = scope["query_string"].decode("latin-1")
        return f"{self._public_url}{scope['path']}{f'?{query}' if query else ''}"

    def _reference(self, query: DeliveryQuery) -> Reference:
        """Raises CommandError PERMISSION_DENIED for a token that isn't ours."""
        reference = self._tokens.read(query.d)
        if reference is None:
            raise self._denied()
        return reference

    def _denied(self) -> CommandError:
        self.forged += 1
        if self._clock() - self._logged_at >= FORGED_LOGGED_EVERY_S:
            self._logged_at = self._clock()
            log.warning("twilio.forged", extra={"count": self.forged})
        return CommandError(ErrorCode.PERMISSION_DENIED, "This is not signed by Twilio for this address")


def _endpoint(
    path: str, handle: Callable[..., Awaitable[Response]], *fields: str, media_type: str | None = None
) -> Endpoint:
    return Endpoint(
        "POST",
        f"{PATH}{path}",
        handle,
        access=Access.PUBLIC,
        limit=None,
        status=200 if media_type else 204,
        errors=(ErrorCode.PERMISSION_DENIED,),
        form=fields,
        media_type=media_type,
    )


def _form(raw: bytes) -> Form | None:
    """The fields of an urlencoded body, the empty ones too, as they are signed; None for what is none."""
    try:
        fields = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return None
    return ImmutableMultiDict(fields)


def _code(form: Form) -> int | None:
    text = form.get("ErrorCode", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) else None


def _key(*parts: str) -> str:
    """A report's own key, the same for the same report."""
    return hashlib.sha256("\0".join(("twilio", *parts)).encode()).hexdigest()


def _wish(form: Form) -> str:
    """STOP, START or neither. Of a messaging service that looks by itself, what it has found."""
    found = form.get("OptOutType", "").upper()
    if found in ("STOP", "START"):
        return found
    words = _words(form.get("Body", ""))
    return "STOP" if words in STOP_WORDS else "START" if words in START_WORDS else ""


def _words(text: str) -> str:
    """Lower case, without anything around and between the words but single spaces."""
    kept = (char if unicodedata.category(char)[0] in "LMN" else " " for char in unicodedata.normalize("NFC", text))
    return " ".join("".join(kept).casefold().split())


def _twiml(text: str) -> Response:
    return Response(text, media_type="text/xml")
