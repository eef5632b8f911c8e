"""Deliveries and what they say, for the tests of those who carry them."""

from typing import Any

from notifiers.outbox.delivery import Delivery, Kind, Status
from notifiers.outbox.provider import Addressee, Job
from notifiers.way import Way
from notifiers.wording.messages import Said

NOW = 1_800_000_000
FACTS = {"kind": "alert", "alert_id": 5, "exchange": "NSE", "symbol": "TCS", "condition": "price > 2500",
         "at_ms": NOW * 1000, "price": 2500.5, "message": "{{symbol}}!"}  # fmt: skip


def job_of(way: Way, endpoint: str, *, attempt: int = 1, user: str = "7", **changes: Any) -> Job:
    """One attempt of a delivery that is good for ten more minutes."""
    given: dict[str, Any] = {
        "id": 3,
        "key": "k" * 64,
        "trigger_id": 9,
        "alert_id": 5,
        "user": user,
        "kind": Kind.ALERT,
        "channel": way,
        "endpoint": endpoint,
        "status": Status.CALLING,
        "reason": None,
        "priority": 1,
        "due_at_ms": NOW * 1000,
        "expires_at_ms": NOW * 1000 + 600_000,
        "unless_acknowledged": False,
        "content": FACTS,
        "attempts": attempt,
        "provider": None,
        "provider_id": None,
        "provider_status": None,
        "cost": 0,
        "created_at_ms": NOW * 1000,
        "sent_at_ms": None,
        "finished_at_ms": None,
    }
    delivery = Delivery(**(given | changes))
    return Job(delivery=delivery, attempt=attempt, addressee=Addressee(user=user), language="mr", token="t")


def said(job: Job) -> Said:
    """What every delivery says here."""
    return Said(
        language="mr",
        wished=job.language,
        title="TCS: सूचना",
        line="किंमत ₹2,500.50",
        sms="",
        text="",
        condition="",
    )
