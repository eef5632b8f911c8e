"""What becomes of a firing: its row, and the deliveries that it asks for. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import RowMapping

from notifiers.alerts.alert import Status
from notifiers.alerts.asking import asked
from notifiers.alerts.facts import Facts, encode
from notifiers.alerts.rows import options_of, ways_of
from notifiers.conditions.options import Options, Rearm
from notifiers.engine.samples import Firing
from notifiers.outbox.delivery import Kind, NewDelivery
from notifiers.way import Way
from schemas.tables import alerts

FIRED, SUPPRESSED, TEST = "fired", "suppressed", "test"
"""The kinds of triggers."""
STORM = "storm"
DIGEST_MS = 180_000
"""What fires in a storm is told in one delivery for each three minutes of the exchange's time."""

_RANGE = 100_000
_VERSIONS = 20_000

COLUMNS = tuple(
    alerts.c[name]
    for name in (
        "id",
        "user_id",
        "exchange",
        "symbol",
        "status",
        "version",
        "condition",
        "options",
        "channels",
        "name",
        "message",
        "language",
        "delay_s",
    )
)
"""What has to be known of an alert that fires."""


class Owned(msgspec.Struct, frozen=True):
    """An alert as far as its firing goes."""

    id: int
    user: str
    exchange: str
    symbol: str
    version: int
    condition: str
    options: Options
    channels: tuple[Way, ...]
    name: str | None
    message: str | None
    language: str | None
    delay_s: int

    @property
    def ways(self) -> Sequence[Way]:
        """By what it goes out at once; on the socket always."""
        return tuple(dict.fromkeys((Way.WEBSOCKET, *self.channels)))


class Fired(msgspec.Struct, frozen=True):
    """A firing with the time of its evaluation, and its alert."""

    firing: Firing
    evaluated_ms: int
    alert: Owned

    @property
    def kind(self) -> str:
        """The kind of its trigger."""
        return FIRED if self.firing.suppressed is None else SUPPRESSED

    @property
    def number(self) -> int:
        """The number of its trigger.

        An alert that is changed begins anew to count what is suppressed, so that each version has a range of its own.
        """
        if self.firing.suppressed is None:
            return self.firing.number
        return (self.alert.version - 1) % _VERSIONS * _RANGE + self.firing.number


def owned(row: RowMapping) -> Owned:
    """The alert of a row with COLUMNS."""
    return Owned(
        row["id"],
        row["user_id"],
        row["exchange"],
        row["symbol"],
        row["version"],
        row["condition"],
        options_of.decode(row["options"]),
        ways_of.decode(row["channels"]),
        row["name"],
        row["message"],
        row["language"],
        row["delay_s"],
    )


def facts_of(firing: Firing, alert: Owned) -> Facts:
    """Why it fired, as it is stored and told."""
    return Facts(
        kind=Kind.ALERT,
        alert_id=alert.id,
        exchange=alert.exchange,
        symbol=alert.symbol,
        condition=alert.condition,
        at_ms=firing.at_ms,
        number=firing.number,
        name=alert.name,
        message=alert.message,
        language=alert.language,
        critical=alert.options.critical,
        price=firing.price,
        previous=firing.previous,
        previous_ms=firing.previous_ms,
        current=firing.current,
        level=firing.level,
        via=firing.via,
        gap=firing.gap,
        inputs=firing.inputs,
        source=firing.source,
        sample=firing.sample,
        storm=firing.storm,
        suppressed=firing.suppressed,
    )


def trigger_row(fired: Fired, facts: str, now_ms: int) -> dict[str, Any]:
    """The row of `triggers`."""
    firing, alert = fired.firing, fired.alert
    return {
        "alert_id": alert.id,
        "number": fired.number,
        "kind": fired.kind,
        "reason": STORM if firing.storm and firing.suppressed is None else firing.suppressed,
        "user_id": alert.user,
        "at_ms": firing.at_ms,
        "received_at_ms": firing.received_ms,
        "evaluated_at_ms": fired.evaluated_ms,
        "enqueued_at_ms": now_ms,
        "facts": facts,
    }


class Occasion(NamedTuple):
    """What is to be told: the trigger by its kind of deliveries, its number and its id, and the facts as JSON."""

    kind: Kind
    number: int
    trigger_id: int
    content: str


def asked_of(alert: Owned, occasion: Occasion) -> Iterator[NewDelivery]:
    """The deliveries of a firing or test: at once by all channels, and by the steps of an escalation later."""
    kind = occasion.kind
    steps = [(way, 0, False) for way in alert.ways]
    if kind is Kind.ALERT:
        steps += [(step.channel, step.after_s, True) for step in alert.options.escalation]
    for way, after_s, later in steps:
        yield asked(
            *(kind, alert.id, occasion.number, alert.user, way, after_s),
            trigger_id=occasion.trigger_id,
            alert_id=alert.id,
            user=alert.user,
            kind=kind,
            way=way,
            after_ms=after_s * 1000,
            content=occasion.content,
            unless_acknowledged=later,
        )


def window_of(at_ms: int) -> int:
    """When the digest's window of a moment began."""
    return at_ms - at_ms % DIGEST_MS


def digest_of(fired: Fired, count: int, trigger_id: int) -> Iterator[NewDelivery]:
    """The deliveries that tell of a window of a storm at its end; `fired` is the last one of it so far."""
    alert, firing = fired.alert, fired.firing
    since_ms = window_of(firing.at_ms)
    facts = msgspec.structs.replace(facts_of(firing, alert), kind=Kind.DIGEST, count=count, since_ms=since_ms)
    left_ms = since_ms + DIGEST_MS - firing.at_ms
    for way in alert.ways:
        yield asked(
            *(Kind.DIGEST, alert.id, since_ms, alert.user, way),
            trigger_id=trigger_id,
            alert_id=alert.id,
            user=alert.user,
            kind=Kind.DIGEST,
            way=way,
            after_ms=left_ms,
            content=encode(facts),
        )


def status_after(firing: Firing, alert: Owned) -> Status:
    """What becomes of an alert by firing."""
    if firing.ended:
        return Status.FIRED
    return Status.PAUSED if alert.options.rearm is Rearm.MANUAL else Status.ACTIVE
