"""What a client may say: one struct a command, one tagged union for all. Decoded by the codec, obeyed by the session."""

from typing import Annotated

import msgspec
from msgspec import Meta

ChannelName = Annotated[str, Meta(min_length=1, max_length=255)]
RequestId = int | Annotated[str, Meta(max_length=64)]
Frequency = Annotated[float, Meta(gt=0, le=1000)]
"""Updates a second."""

MAX_HISTORY = 1000
"""The most publications that one `history` answers with."""


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action", gc=False):
    """What every command shares: an optional id, echoed in the reply."""

    id: RequestId | None = None


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A place in a log channel: the epoch (which log) and the offset of the last publication seen in it."""

    epoch: Annotated[str, Meta(max_length=64)]
    offset: Annotated[int, Meta(ge=0)]


class Auth(Command, frozen=True, tag="auth"):
    """The first message of a client that brought no token with its request."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]


class Subscribe(Command, frozen=True, tag="subscribe"):
    """Hear channels. Idempotent; subscribing again changes the options."""

    channel: ChannelName | None = None
    channels: list[ChannelName] | None = None
    mode: Annotated[str, Meta(pattern="^(ltp|quote|full)$")] = "full"
    max_frequency: Frequency | None = None
    delta: bool = False
    recover: Position | dict[str, Position] | None = None


class Unsubscribe(Command, frozen=True, tag="unsubscribe"):
    """Hear channels no longer."""

    channel: ChannelName | None = None
    channels: list[ChannelName] | None = None


class Subscriptions(Command, frozen=True, tag="subscriptions"):
    """List what this connection hears."""


class Ping(Command, frozen=True, tag="ping"):
    """Ask for a `pong`."""


class Refresh(Command, frozen=True, tag="refresh"):
    """Go on with a newer token, without reconnecting."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]


class History(Command, frozen=True, tag="history"):
    """Read a log channel's last publications, or those after `since`."""

    channel: ChannelName
    limit: Annotated[int, Meta(ge=0, le=MAX_HISTORY)] = 100
    since: Position | None = None


class Presence(Command, frozen=True, tag="presence"):
    """Who hears a channel now, on all instances."""

    channel: ChannelName


class Publish(Command, frozen=True, tag="publish"):
    """Say something on a channel whose namespace lets clients publish."""

    channel: ChannelName
    data: dict[str, msgspec.Raw]


AnyCommand = Auth | Subscribe | Unsubscribe | Subscriptions | Ping | Refresh | History | Presence | Publish
