"""A delivery: what is to reach one person by one channel, and the states that it goes through.

queued ──► calling ──► accepted ──► sent ──► delivered ──► read
  ▲  │        │ │          │          │
  │  │        │ └► unknown ┤          │         the provider may have it: reconciled, then sent again or dead
  └──┼────────┘            └──────────┴► dead   refused, or too late; can be redriven
     └► skipped, cancelled                      by its owner's wish, or because it is acknowledged
"""

from enum import StrEnum
from typing import Any

import msgspec

from notifiers.alerts.alert import Way

MINUTE_MS = 60_000


class Status(StrEnum):
    """How far a delivery has come."""

    QUEUED = "queued"
    """Waits for `due_at_ms`; `reason` says for what, where it is not for the first time."""
    CALLING = "calling"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    """The provider has taken it over, and will report."""
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    """Seen, heard by a person, or acknowledged."""
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    DEAD = "dead"


FINAL = frozenset({Status.DELIVERED, Status.READ, Status.SKIPPED, Status.CANCELLED, Status.DEAD})


class Kind(StrEnum):
    """The occasion of a delivery."""

    ALERT = "alert"
    DIGEST = "digest"
    TEST = "test"
    NOTICE = "notice"
    """About an alert that was disabled or expired, or a channel that was."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as it is stored."""

    id: int
    key: str
    trigger_id: int | None
    alert_id: int | None
    user: str
    kind: Kind
    channel: Way
    endpoint: str
    status: Status
    reason: str | None
    priority: int
    due_at_ms: int
    expires_at_ms: int
    unless_acknowledged: bool
    content: dict[str, Any]
    """What it tells, in JSON: `notifiers.wording.messages.Facts`."""
    attempts: int
    provider: str | None
    provider_id: str | None
    provider_status: str | None
    cost: int
    created_at_ms: int
    sent_at_ms: int | None
    finished_at_ms: int | None
