"""What the hub publishes on `alerts:<user>`: what fired, and how far its deliveries have come. `event` tells it apart.

Prices and other values are decimals, times ISO 8601 in Indian Standard Time. What is unknown is left out.
"""

from typing import Literal

import msgspec

Via = Literal["tick", "session_extreme", "bar", "clock"]


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """`alert` is missing where it is about none, `trigger` where nothing fired."""

    alert: int | None = None
    trigger: int | None = None
    time: str


class _Told(_Event, frozen=True, kw_only=True):
    """Of an alert, with what to show: `title`, `message` and `words` are in `language`."""

    exchange: str
    symbol: str
    name: str | None = None
    condition: str
    """As it is stored."""
    words: str
    """The condition in words."""
    title: str
    message: str
    language: str


class AlertTriggered(_Told, frozen=True, kw_only=True, tag="triggered"):
    """An alert fired: for the `number`th time."""

    number: int
    price: float | None = None
    change_percent: float | None = None
    previous: float | None = None
    current: float | None = None
    level: float | None = None
    via: Via
    """What made it fire: a tick, the day's high or low, a candle, or that time went by."""
    gap: bool
    """The price jumped over the level."""
    critical: bool


class AlertTested(_Told, frozen=True, kw_only=True, tag="test"):
    """Its owner asked for a test."""

    number: int
    price: float | None = None


class AlertDigest(_Told, frozen=True, kw_only=True, tag="digest"):
    """It fired so often that it is told at one go."""

    count: int
    since: str | None = None
    price: float | None = None


class AlertNotice(_Told, frozen=True, kw_only=True, tag="notice"):
    """What became of an alert by itself: `expired`, `instrument_ended`, `adjusted` and so on."""

    reason: str | None = None


class DeliveryProgress(_Event, frozen=True, kw_only=True, tag="delivery"):
    """How far a delivery by another channel has come."""

    delivery: int
    channel: str
    status: str
    reason: str | None = None


AlertEvent = AlertTriggered | AlertTested | AlertDigest | AlertNotice | DeliveryProgress
