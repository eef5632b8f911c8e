"""Deliveries by SMS and by call, written as the hub writes them, by a clock that stands still."""

from typing import Any

from msgspec.structs import replace

from notifiers.outbox.delivery import Kind
from notifiers.outbox.provider import Job
from notifiers.providers.call_script import Scripts
from notifiers.providers.dlt import Dlt
from notifiers.providers.sms_text import SmsTexts
from notifiers.way import Way
from notifiers.wording.messages import Messages
from tests.notifiers.jobs import AT_MS, facts_of, job_of, read

PRODUCT = "Tickhub"
PHONE = "+919876543210"
NOW_S = AT_MS / 1000

MESSAGES = Messages(PRODUCT, read, wall=lambda: NOW_S)
SCRIPTS = Scripts(MESSAGES.of, PRODUCT)


def phone_job(
    way: Way, *, language: str = "mr", phone: str | None = PHONE, kind: Kind = Kind.ALERT, **known: Any
) -> Job:
    """An attempt at an alert for RELIANCE at 2,510.50 rupees, fifteen minutes before it is too late."""
    job = job_of(facts_of(kind, **known), channel=way, language=language)
    return replace(job, addressee=replace(job.addressee, phone=phone))


def texts(dlt: Dlt | None = None, *, now_s: float = NOW_S) -> SmsTexts:
    """Who writes them."""
    return SmsTexts(MESSAGES.of, PRODUCT, dlt=dlt, wall=lambda: now_s)
