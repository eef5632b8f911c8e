"""An alert as it is stored."""

from enum import StrEnum

import msgspec

from notifiers.conditions.options import Baseline, Options
from notifiers.conditions.tree import Condition
from notifiers.way import Way

SHARDS = 16
"""Into how many parts the instruments are divided, by `shard_of`. Stored with each alert: never to be changed."""


class Status(StrEnum):
    """What is to become of an alert."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Its owner's wish, or waiting for it (`rearm` manual)."""
    FIRED = "fired"
    """It was to fire once, or so many times, and has."""
    EXPIRED = "expired"
    DISABLED = "disabled"
    """By us, for `status_reason`: its owner is told."""
    DELETED = "deleted"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it is stored."""

    id: int
    user: str
    exchange: str
    symbol: str
    shard: int
    status: Status
    status_reason: str | None
    version: int
    condition: str
    """The canonical text."""
    tree: Condition
    options: Options
    channels: tuple[Way, ...]
    name: str | None
    message: str | None
    language: str | None
    delay_s: int
    baseline: Baseline | None
    fired: int
    last_fired_ms: int | None
    expires_at_ms: int | None
    created_at_ms: int
    updated_at_ms: int
