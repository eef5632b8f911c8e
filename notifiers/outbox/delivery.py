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

from notifiers.way import Way

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

IN_DOUBT = "unknown"
"""The reason of a delivery that is dead because nobody could tell whether the provider had it."""
EXPIRED = "expired"
UNREADABLE = "unreadable"
"""The reason of one that is dead because nobody can tell what it was to say."""
NO_REPORT = "no report"
"""The reason of one that is `sent` for good: its provider took it, and never said more."""


class Kind(StrEnum):
    """The occasion of a delivery."""

    ALERT = "alert"
    DIGEST = "digest"
    TEST = "test"
    NOTICE = "notice"
    """About an alert that was disabled or expired, or a channel that was."""


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is asked for. `key` makes it one: the same key a second time asks for nothing.

    Times count from the transaction that stores it, by the database's clock: due after so long, too late after so long.
    """

    key: str
    """At most 64 characters."""
    user: str
    kind: Kind
    channel: Way
    content: str
    """What it tells: JSON of `notifiers.alerts.facts.Facts`."""
    lives_ms: int
    after_ms: int = 0
    trigger_id: int | None = None
    alert_id: int | None = None
    endpoint: str = ""
    """Of push and webhook, empty: all that the user has, by the time it is due."""
    priority: int = 1
    """The lower, the sooner."""
    unless_acknowledged: bool = False


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
    """What it tells: `notifiers.alerts.facts.Facts`, as JSON has it."""
    attempts: int
    """How many there were; the last one's number."""
    provider: str | None
    provider_id: str | None
    provider_status: str | None
    cost: int
    created_at_ms: int
    sent_at_ms: int | None
    finished_at_ms: int | None


class AttemptState(StrEnum):
    """What became of one question to a provider."""

    CALLING = "calling"
    """It may be on the wire."""
    TAKEN = "taken"
    REFUSED = "refused"
    UNREACHED = "unreached"
    """Taken, but the handset was off."""
    UNAVAILABLE = "unavailable"
    """The provider couldn't be asked: it has nothing."""
    UNKNOWN = "unknown"
    UNTAKEN = "untaken"
    """It was unknown, until the provider was found not to have it."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as it is stored."""

    delivery_id: int
    number: int
    state: AttemptState
    provider: str
    provider_id: str | None
    reason: str | None
    started_at_ms: int
    finished_at_ms: int | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery and how it went."""

    delivery: Delivery
    attempts: tuple[Attempt, ...]
