"""What a user wants to be told about, by which channels, and when not: the object `preferences.notifications`.

What somebody sends is checked to the last field; what is stored is read as far as it makes sense, since any object was
taken once.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, structs

from notifiers.outbox.delivery import Kind
from notifiers.way import Way
from schemas.errors import CommandError, ErrorCode

MAX_WINDOWS = 14
MAX_UNSUBSCRIBED = 32
ALL_DAY = 24 * 60
"""Minutes."""

ClockText = Annotated[str, Meta(pattern="^(?:[01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]
"""A time of day, `22:00`."""
MessageKind = Literal["alert", "digest", "notice"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Quiet(StrEnum):
    """What becomes of what is due in quiet hours."""

    HOLD = "hold"
    """It waits for their end."""
    DROP = "drop"
    DOWNGRADE = "downgrade"
    """It goes by another channel."""


class _Wishes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What nobody said is left out, and means the default."""


class Switches(_Wishes, frozen=True):
    """Which channels are on; one that isn't named is."""

    websocket: bool = True
    email: bool = True
    sms: bool = True
    voice: bool = True
    push: bool = True
    webhook: bool = True

    def on(self, way: Way) -> bool:
        """Whether a channel is."""
        return bool(getattr(self, way.value))


class Kinds(_Wishes, frozen=True):
    """Which channels are on for which kind of delivery. A test is an alert."""

    alert: Switches = Switches()
    digest: Switches = Switches()
    notice: Switches = Switches()

    def of(self, kind: Kind) -> Switches:
        """Those of a kind."""
        match kind:
            case Kind.ALERT | Kind.TEST:
                return self.alert
            case Kind.DIGEST:
                return self.digest
            case Kind.NOTICE:
                return self.notice


class QuietWindow(_Wishes, frozen=True):
    """When the user is not to be disturbed, by the clock where they live.

    From `start` to before `end`, which is of the next day where it is not later; the same twice is a whole day. `days`
    are those on which it starts, all where none are named. Without `channels` it is for all but the websocket, which
    disturbs nobody.
    """

    start: ClockText
    end: ClockText
    days: Annotated[tuple[Day, ...], Meta(max_length=7)] = ()
    channels: Annotated[tuple[Way, ...], Meta(max_length=6)] = ()
    action: Quiet = Quiet.HOLD
    to: Way | None = None
    """Of `downgrade`: by which channel instead."""

    @property
    def start_minute(self) -> int:
        """Of the day."""
        return _minute(self.start)

    @property
    def minutes(self) -> int:
        """How long it is."""
        return (_minute(self.end) - self.start_minute - 1) % ALL_DAY + 1

    def concerns(self, way: Way) -> bool:
        """Whether it is for that channel."""
        if way is self.to:
            return False
        return way in self.channels if self.channels else way is not Way.WEBSOCKET


class Digest(_Wishes, frozen=True):
    """On these channels an alert is told at once when it fires; what it does within so many minutes after that, in one.

    Without `channels`: all but the websocket.
    """

    minutes: Annotated[int, Meta(ge=1, le=1440)]
    channels: Annotated[tuple[Way, ...], Meta(max_length=6)] = ()

    def concerns(self, way: Way) -> bool:
        """Whether that channel is digested."""
        return way in self.channels if self.channels else way is not Way.WEBSOCKET


class Unsubscribed(_Wishes, frozen=True):
    """What the user has said no to, by a link in a message or here; without a kind to all that the channel brings."""

    channel: Way
    kind: MessageKind | None = None

    def covers(self, way: Way, kind: Kind) -> bool:
        """Whether that is meant too."""
        meant = Kind.ALERT if kind is Kind.TEST else kind
        return way is self.channel and self.kind in (None, meant.value)


class Notifications(_Wishes, frozen=True):
    """All of it. `critical_override` is the consent that alerts marked critical pass quiet hours.

    `sms_per_month` counts parts of SMS, as the plan's does, which it can only lower. `unsubscribed` stays as it is
    where it isn't named.
    """

    channels: Switches = Switches()
    kinds: Kinds = Kinds()
    quiet_hours: Annotated[tuple[QuietWindow, ...], Meta(max_length=MAX_WINDOWS)] = ()
    critical_override: bool = False
    digest: Digest | None = None
    sms_per_month: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    unsubscribed: Annotated[tuple[Unsubscribed, ...], Meta(max_length=MAX_UNSUBSCRIBED)] | UnsetType = UNSET

    def said_no(self, way: Way, kind: Kind) -> bool:
        """Whether the user has unsubscribed from that."""
        return self.unsubscribed is not UNSET and any(one.covers(way, kind) for one in self.unsubscribed)


_FIELDS = {field.name: field.type for field in structs.fields(Notifications)}


def check(given: Notifications) -> None:
    """Refuse what can't be meant. Raises CommandError BAD_REQUEST, naming the place."""
    for number, window in enumerate(given.quiet_hours):
        place = f"$.notifications.quiet_hours[{number}].to"
        if window.action is Quiet.DOWNGRADE and window.to is None:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected the channel to use instead - at `{place}`", place=place)
        if window.action is not Quiet.DOWNGRADE and window.to is not None:
            raise CommandError(
                ErrorCode.BAD_REQUEST, "Only the action downgrade has another channel - at `{place}`", place=place
            )


def stored(given: Notifications, before: Mapping[str, Any]) -> dict[str, Any]:
    """What to keep of what was sent, where `before` was kept until now."""
    kept: dict[str, Any] = msgspec.to_builtins(given)
    if given.unsubscribed is UNSET and (known := read(before).unsubscribed) is not UNSET:
        kept["unsubscribed"] = msgspec.to_builtins(known)
    return kept


def read(kept: Mapping[str, Any]) -> Notifications:
    """What is stored, as far as it makes sense: a field that doesn't is as if nobody had said anything."""
    known: dict[str, Any] = {}
    for name, value in kept.items():
        if name not in _FIELDS:
            continue
        try:
            known[name] = msgspec.convert(value, _FIELDS[name])
        except msgspec.ValidationError:
            continue
    return Notifications(**known)


def without(kept: Mapping[str, Any], one: Unsubscribed) -> dict[str, Any]:
    """What to keep once the user has unsubscribed from that."""
    notifications = read(kept)
    said = () if notifications.unsubscribed is UNSET else notifications.unsubscribed
    if one in said:
        return msgspec.to_builtins(notifications)  # type: ignore[no-any-return]
    left = [other for other in said if one.kind is not None or other.channel is not one.channel]
    return msgspec.to_builtins(structs.replace(notifications, unsubscribed=(*left, one)))  # type: ignore[no-any-return]


def with_again(kept: Mapping[str, Any], one: Unsubscribed) -> dict[str, Any]:
    """What to keep once the user wants that again."""
    notifications = read(kept)
    said = () if notifications.unsubscribed is UNSET else notifications.unsubscribed
    left = tuple(other for other in said if other != one)
    return msgspec.to_builtins(structs.replace(notifications, unsubscribed=left))  # type: ignore[no-any-return]


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
