"""What every session of a process works with, and what it may be asked of any session's bearer."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from auth.identity import Identity
from auth.permissions import Action, Permissions
from auth.plans import Plans
from channels.broker import Broker
from channels.channel import Channel, ChannelNames
from channels.registry import Registry
from schemas.errors import CommandError, ErrorCode


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the process that sessions share."""

    registry: Registry
    broker: Broker
    names: ChannelNames
    verify: Callable[[str], Awaitable[Identity]]
    """Whose token it is; raises CommandError UNAUTHORIZED or TOKEN_EXPIRED."""
    known_symbol: Callable[[Channel], bool]
    """Whether a channel may be subscribed under STRICT_SYMBOLS; always true without."""
    heartbeat_s: float = 25.0
    permissions: Permissions = msgspec.field(default_factory=lambda: Permissions(Plans()))
    refusal: Callable[[Channel], CommandError | None] = lambda _: None
    """Why the feeds can't carry a channel's instrument, where they have said so."""
    indicator_names: Callable[[Sequence[str]], tuple[str, ...]] = tuple
    """The canonical names of indicators; raises CommandError BAD_REQUEST for what is none."""

    def allowed(self, identity: Identity, requested: str, action: Action) -> Channel:
        """The channel that the bearer means by a name and may do this with; to subscribe, perhaps its delayed twin.

        Raises CommandError for a name that is none, an instrument that is none, and what the bearer may not do.
        """
        channel = self.names.parse(requested, user=identity.user)
        delay_s = self.permissions.allow(identity, action, channel)
        if not self.known_symbol(channel):
            place = f"{channel.exchange}:{channel.symbol}"
            raise CommandError(ErrorCode.INVALID_SYMBOL, "No instrument {place}", place=place)
        if action is not Action.SUBSCRIBE:
            return channel
        if refusal := self.refusal(channel):
            raise refusal
        return channel.delayed(delay_s) if delay_s else channel
