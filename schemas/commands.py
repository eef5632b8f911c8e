"""What a client may say: one struct a command, one tagged union for all. Codecs decode, sessions obey."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.errors import CommandError, ErrorCode
from schemas.validation import phrase_of

ChannelName = Annotated[str, Meta(min_length=1, max_length=255)]
RequestId = int | Annotated[str, Meta(max_length=64)]
Frequency = Annotated[float, Meta(gt=0, le=1000)]
"""Updates a second."""

Mode = Literal["ltp", "quote", "full"]
"""How much of a market update a subscriber wants."""

MAX_HISTORY = 1000
"""The most publications that one `history` answers with."""


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action", gc=False):
    """What every command shares: an optional id, echoed in the reply."""

    id: RequestId | None = None


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A place in a log channel: the epoch (which log) and the offset of the last publication seen in it."""

    epoch: Annotated[str, Meta(max_length=64)]
    offset: Annotated[int, Meta(ge=0, le=2**53)]


def _names(channel: str | UnsetType, channels: list[str] | UnsetType) -> list[str]:
    match (channel, channels):
        case (str() as one, UnsetType()):
            return [one]
        case (UnsetType(), list() as several):
            return several
        case (UnsetType(), UnsetType()):
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `channel` or `channels`")
        case _:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected one of `channel` and `channels`, got both")


class Auth(Command, frozen=True, kw_only=True, tag="auth"):
    """The first message of a client that brought no token with its request."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]


class Subscribe(Command, frozen=True, kw_only=True, tag="subscribe"):
    """Hear channels. Idempotent; subscribing again changes the options."""

    channel: ChannelName | UnsetType = UNSET
    channels: list[ChannelName] | UnsetType = UNSET
    mode: Mode = "full"
    max_frequency: Frequency | None = None
    delta: bool = False
    indicators: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=20)] = []
    """Those that candles are to bring, e.g. `rsi(14)`."""
    recover: dict[str, str | int | Position] | None = None

    @property
    def names(self) -> list[str]:
        """The channels that the command is about. Raises CommandError BAD_REQUEST where it names none, or twice."""
        return _names(self.channel, self.channels)

    def positions(self) -> dict[str, Position]:
        """What `recover` asks for, by channel name as requested. Raises CommandError BAD_REQUEST for a wrong shape.

        `{"epoch": …, "offset": …}` is for the one channel of the command, a map of such positions for several.
        """
        if self.recover is None:
            return {}
        if "epoch" not in self.recover and "offset" not in self.recover:
            if not all(isinstance(position, Position) for position in self.recover.values()):
                raise CommandError(ErrorCode.BAD_REQUEST, "Expected a position for each channel - at `$.recover`")
            return {name: place for name, place in self.recover.items() if isinstance(place, Position)}
        names = self.names
        if len(names) != 1:
            raise CommandError(ErrorCode.BAD_REQUEST, "One position needs exactly one channel - at `$.recover`")
        try:
            return {names[0]: msgspec.convert(self.recover, Position)}
        except msgspec.ValidationError as exc:
            fault = phrase_of(str(exc))
            raise CommandError(ErrorCode.BAD_REQUEST, "{fault} (in `$.recover`)", fault=fault) from exc


class Unsubscribe(Command, frozen=True, kw_only=True, tag="unsubscribe"):
    """Hear channels no longer."""

    channel: ChannelName | UnsetType = UNSET
    channels: list[ChannelName] | UnsetType = UNSET

    @property
    def names(self) -> list[str]:
        """The channels that the command is about. Raises CommandError BAD_REQUEST where it names none, or twice."""
        return _names(self.channel, self.channels)


class Subscriptions(Command, frozen=True, kw_only=True, tag="subscriptions"):
    """List what this connection hears."""


class Ping(Command, frozen=True, kw_only=True, tag="ping"):
    """Ask for a `pong`."""


class Refresh(Command, frozen=True, kw_only=True, tag="refresh"):
    """Go on with a newer token, without reconnecting."""

    token: Annotated[str, Meta(min_length=1, max_length=8192)]


class History(Command, frozen=True, kw_only=True, tag="history"):
    """Read a log channel's last publications, or those after `since`."""

    channel: ChannelName
    limit: Annotated[int, Meta(ge=0, le=MAX_HISTORY)] = 100
    since: Position | None = None


class Presence(Command, frozen=True, kw_only=True, tag="presence"):
    """Who hears a channel now, on all instances."""

    channel: ChannelName


class Publish(Command, frozen=True, kw_only=True, tag="publish"):
    """Say something on a channel whose namespace lets clients publish."""

    channel: ChannelName
    data: dict[str, Any]


AnyCommand = Auth | Subscribe | Unsubscribe | Subscriptions | Ping | Refresh | History | Presence | Publish
