"""Deliveries and attempts at them, as a worker hands them to providers."""

from typing import Any

import msgspec

from hub.alerting.indicators import CatalogueReader
from notifiers.alerts.facts import Facts
from notifiers.conditions.parser import parse
from notifiers.conditions.tree import Condition
from notifiers.outbox.delivery import Delivery, Kind, Status
from notifiers.outbox.provider import Addressee, Job
from notifiers.way import Way

AT_MS = 1_795_322_702_000
"""22 November 2026, 10:15:02 in India."""


def read(text: str) -> Condition:
    """The tree of a canonical text."""
    return parse(text, CatalogueReader())


def facts_of(kind: Kind = Kind.ALERT, **known: Any) -> Facts:
    """What is known of an alert for RELIANCE at 2,500 rupees."""
    common = {"alert_id": 7, "exchange": "NSE", "symbol": "RELIANCE", "condition": "price crosses above 2500"}
    own: dict[Kind, dict[str, Any]] = {
        Kind.ALERT: {"number": 3, "price": 2510.5, "current": 2510.5, "previous": 2498.0, "level": 2500.0},
        Kind.TEST: {"number": 1, "price": 2510.5, "current": 2510.5},
        Kind.DIGEST: {"count": 12, "since_ms": AT_MS - 180_000, "price": 2510.5},
        Kind.NOTICE: {"reason": "expired"},
    }
    return Facts(**{"kind": kind, "at_ms": AT_MS, **common, **own[kind], **known})


def delivery_of(facts: Facts, *, channel: Way = Way.EMAIL, **known: Any) -> Delivery:
    """A delivery that tells these facts."""
    values = {
        "id": 41,
        "key": "k" * 64,
        "trigger_id": 9 if facts.kind is Kind.ALERT else None,
        "alert_id": facts.alert_id,
        "user": "u1",
        "kind": facts.kind,
        "channel": channel,
        "endpoint": "",
        "status": Status.CALLING,
        "reason": None,
        "priority": 0,
        "due_at_ms": AT_MS,
        "expires_at_ms": AT_MS + 900_000,
        "unless_acknowledged": False,
        "content": msgspec.to_builtins(facts),
        "attempts": 1,
        "provider": None,
        "provider_id": None,
        "provider_status": None,
        "cost": 0,
        "created_at_ms": AT_MS + 5,
        "sent_at_ms": None,
        "finished_at_ms": None,
    }
    return Delivery(**(values | known))


def job_of(
    facts: Facts,
    *,
    channel: Way = Way.EMAIL,
    language: str = "en",
    email: str | None = "asha@example.com",
    attempt: int = 1,
    timezone: str = "Asia/Kolkata",
) -> Job:
    """An attempt at it."""
    return Job(
        delivery=delivery_of(facts, channel=channel, attempts=attempt),
        attempt=attempt,
        addressee=Addressee(user="u1", email=email, phone="+919876543210", language=language, timezone=timezone),
        language=language,
        token="t0ken",
    )
