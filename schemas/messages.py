"""What the server says besides publications: one struct a message. Publications are built by the codec itself."""

from typing import Any

import msgspec

from schemas.commands import RequestId


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """The root of all server messages; the tag is their `type`."""


class Reply(Message, frozen=True, kw_only=True):
    """A message that answers a command carries the command's id."""

    id: RequestId | None = None


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The connection is authenticated. `heartbeat` is in seconds, the times are Unix seconds."""

    client: str
    user: str
    heartbeat: int
    expires_at: int | None
    time: float


class SubscribedChannel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One channel of a `subscribed` reply; log channels tell their position and whether recovery was complete."""

    requested: str
    channel: str
    epoch: str | None = None
    offset: int | None = None
    recovered: bool | None = None
    delay: int | None = None
    """In seconds, where the plan gives this channel delayed."""


class FailedChannel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One channel that a command could not have, and why."""

    channel: str
    code: str
    message: str


class Subscribed(Reply, frozen=True, kw_only=True, tag="subscribed"):
    """The answer to `subscribe`: each requested channel is in one of the two lists."""

    subscribed: list[SubscribedChannel]
    failed: list[FailedChannel]


class UnsubscribedReply(Reply, frozen=True, kw_only=True, tag="unsubscribed"):
    """The answer to `unsubscribe`."""

    unsubscribed: list[str]
    failed: list[FailedChannel]


class Unsubscribed(Message, frozen=True, kw_only=True, tag="unsubscribed"):
    """The server ended one subscription; 2500 and above: subscribe again."""

    channel: str
    code: int
    reason: str


class SubscriptionEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One channel of a `subscriptions` reply, with the options in force."""

    channel: str
    mode: str = "full"
    max_frequency: float | None = None
    delta: bool = False
    indicators: tuple[str, ...] = ()
    delay: int | None = None


class SubscriptionList(Reply, frozen=True, kw_only=True, tag="subscriptions"):
    """The answer to `subscriptions`."""

    subscriptions: list[SubscriptionEntry]


class Pong(Reply, frozen=True, kw_only=True, tag="pong"):
    """The answer to `ping`; `time` is Unix seconds."""

    time: float


class Refreshed(Reply, frozen=True, kw_only=True, tag="refreshed"):
    """The answer to `refresh`."""

    expires_at: int | None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One publication of a `history` reply."""

    offset: int
    data: Any


class HistoryReply(Reply, frozen=True, kw_only=True, tag="history"):
    """The answer to `history`: publications in order, and the channel's present position."""

    channel: str
    epoch: str
    offset: int
    publications: list[HistoryEntry]


class PresenceMember(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One connection that hears a channel."""

    client: str
    user: str


class PresenceReply(Reply, frozen=True, kw_only=True, tag="presence"):
    """The answer to `presence`."""

    channel: str
    clients: list[PresenceMember]


class Published(Reply, frozen=True, kw_only=True, tag="published"):
    """The answer to `publish`; a log channel tells the offset that the publication got."""

    channel: str
    epoch: str | None = None
    offset: int | None = None


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """Sent at a fixed interval to every connection; `feeds` says which sources are live."""

    time: float
    feeds: dict[str, Any]


class TokenExpiring(Message, frozen=True, kw_only=True, tag="token_expiring"):
    """The token ends in `expires_in` seconds; `refresh` keeps the connection."""

    expires_in: int


class Entitled(Message, frozen=True, kw_only=True, tag="entitled"):
    """The plan or role is another one now, or means something else for what is heard here.

    What was refused may be subscribed now.
    """

    plan: str
    role: str


class Shutdown(Message, frozen=True, kw_only=True, tag="shutdown"):
    """This instance ends; connect again after so many seconds."""

    reconnect_after: float


class Error(Reply, frozen=True, kw_only=True, tag="error"):
    """One command failed. `temporary`: the same command may succeed later."""

    code: str
    message: str
    temporary: bool


AnyReply = (
    Subscribed
    | UnsubscribedReply
    | SubscriptionList
    | Pong
    | Refreshed
    | HistoryReply
    | PresenceReply
    | Published
    | Error
)
AnyMessage = AnyReply | Welcome | Unsubscribed | Heartbeat | TokenExpiring | Entitled | Shutdown
