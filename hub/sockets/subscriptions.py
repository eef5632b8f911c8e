"""What one session hears: subscribing, leaving, and following the rights of its bearer as they change.

It is the only one who knows both the names that the client uses and the registry's subscriptions. Between a check and
what follows from it nothing is awaited, but for joining channels; what has changed meanwhile is looked at afterwards.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from auth.identity import Identity
from auth.permissions import Action
from channels.channel import Channel
from channels.namespace import Policy
from channels.outbox import Outbox, Subscription
from channels.registry import Joined, Wish
from channels.shape import Shape
from hub.languages import say, tell
from hub.sockets.codec import Codec
from hub.sockets.services import Services
from schemas import commands, messages
from schemas.commands import Position
from schemas.errors import CloseCode, CommandError, ErrorCode, UnsubscribeCode
from schemas.phrases import Phrase

UNSUBSCRIBE_REASON = {
    UnsubscribeCode.FORCED: Phrase("ended by the server"),
    UnsubscribeCode.PERMISSION_DENIED: Phrase("permission denied"),
    UnsubscribeCode.NOT_CARRIED: Phrase("the feeds do not carry this instrument"),
    UnsubscribeCode.INSUFFICIENT_STATE: Phrase("messages were lost; subscribe again"),
}


class Member(Protocol):
    """The session, as its subscriptions see it."""

    codec: Codec
    identity: Identity
    outbox: Outbox

    @property
    def language(self) -> str:
        """In what the client is told what went wrong."""

    def send(self, message: messages.AnyMessage) -> None:
        """Write one message at once."""

    async def apply_rights(self) -> None:
        """Have `Subscriptions.apply_rights` run, and tell the client what has changed by it."""


class Subscriptions:
    """The subscriptions of one session, by the names that the client knows. Iterating gives them, the oldest first."""

    __slots__ = ("_applied", "_by_name", "_member", "_services")

    def __init__(self, services: Services, member: Member) -> None:
        self._services = services
        self._member = member
        self._by_name: dict[str, Subscription] = {}
        self._applied = 0
        """How often rights were applied; whoever awaits in between sees by it that they may have changed."""
        member.outbox.on_unsubscribed = self._unsubscribed

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._by_name.values())

    @property
    def names(self) -> list[str]:
        """The channels' names, as the client sees them."""
        return list(self._by_name)

    def close(self) -> None:
        """Leave all channels. Safe to call twice."""
        subscriptions, self._by_name = self._by_name, {}
        for subscription in subscriptions.values():
            self._services.registry.leave(subscription)

    # -- commands -------------------------------------------------------------------------------------------------

    async def subscribe(self, command: commands.Subscribe) -> None:
        """Join channels, answer, and let live messages follow the answer. Raises Unavailable."""
        failed: list[messages.FailedChannel] = []
        granted: list[messages.SubscribedChannel] = []
        applied = self._applied
        wishes = self._wishes(command, granted, failed)
        answers = await self._services.registry.join(self._member.outbox, [wish for _, wish in wishes])
        joined: list[Joined] = []
        for (names, wish), answer in zip(wishes, answers, strict=True):
            if isinstance(answer, CommandError):
                failed += [self._failed(name, answer) for name in names]
            else:
                joined.append(answer)
                granted += [_granted(name, wish.channel, answer.position, answer.recovered) for name in names]
        self._member.send(messages.Subscribed(id=command.id, subscribed=granted, failed=failed))
        for one in joined:
            self._start(one)
        if self._applied != applied:  # by rights that have changed since they were asked
            await self._member.apply_rights()

    def _wishes(
        self,
        command: commands.Subscribe,
        granted: list[messages.SubscribedChannel],
        failed: list[messages.FailedChannel],
    ) -> list[tuple[list[str], Wish]]:
        """What has to be joined, and by which names it was asked for; what hasn't goes to one of the lists."""
        wishes: dict[str, tuple[list[str], Wish]] = {}
        positions = command.positions()
        left = self._services.permissions.channels(self._member.identity) - len(self._by_name)
        for requested in command.names:
            try:
                channel = self._services.allowed(self._member.identity, requested, Action.SUBSCRIBE)
                wish = self._wish(channel, command, positions.get(requested))
                current = self._by_name.get(channel.public_name)
                new = current is None and channel.name not in wishes
                if new and left <= 0:
                    raise self._too_many()
            except CommandError as exc:
                failed.append(self._failed(requested, exc))
                continue
            left -= new
            if current is not None and wish.since is None and _same(current, wish):
                granted.append(_granted(requested, channel, self._services.registry.position(channel.name)))
            else:
                wishes.setdefault(channel.name, ([], wish))[0].append(requested)
        return list(wishes.values())

    def _too_many(self) -> CommandError:
        count = self._services.permissions.channels(self._member.identity)
        return CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {count} channels a connection", count=count)

    def _start(self, joined: Joined) -> None:
        subscription = joined.subscription
        name = subscription.channel.public_name
        previous = self._by_name.get(name)
        if previous is not None:
            self._services.registry.leave(previous)
        self._by_name[name] = subscription
        self._services.registry.start(joined)

    def _wish(self, channel: Channel, command: commands.Subscribe, since: Position | None) -> Wish:
        if channel.namespace.policy is Policy.LOG:
            return Wish(channel, Shape(self._member.codec), since)
        if since is not None:
            raise CommandError(
                ErrorCode.BAD_REQUEST, "{channel} has no history to recover", channel=channel.public_name
            )
        indicators: tuple[str, ...] = ()
        if command.indicators:
            if channel.timeframe is None:
                raise CommandError(
                    ErrorCode.BAD_REQUEST, "{channel} has no indicators; candles have", channel=channel.public_name
                )
            indicators = self._services.indicator_names(command.indicators)
        return Wish(channel, Shape(self._member.codec, command.mode, command.delta, command.max_frequency, indicators))

    def _failed(self, requested: str, error: CommandError) -> messages.FailedChannel:
        return messages.FailedChannel(channel=requested, code=error.code, message=tell(error, self._member.language))

    def unsubscribe(self, command: commands.Unsubscribe) -> None:
        """Leave channels, and answer; what is not heard is left already."""
        ended: list[str] = []
        failed: list[messages.FailedChannel] = []
        for requested in command.names:
            try:
                channel = self._services.names.parse(requested, user=self._member.identity.user)
            except CommandError as exc:
                failed.append(self._failed(requested, exc))
                continue
            subscription = self._by_name.pop(channel.public_name, None)
            if subscription is not None:
                self._services.registry.leave(subscription)
            ended.append(channel.public_name)
        self._member.send(messages.UnsubscribedReply(id=command.id, unsubscribed=ended, failed=failed))

    def describe(self, command: commands.Subscriptions) -> None:
        """Answer with what is heard, and how."""
        entries = [
            messages.SubscriptionEntry(
                channel=one.channel.public_name,
                mode=one.shape.mode,
                max_frequency=one.shape.max_frequency,
                delta=one.shape.delta,
                indicators=one.shape.indicators,
                delay=one.channel.delay_s or None,
            )
            for one in self
        ]
        self._member.send(messages.SubscriptionList(id=command.id, subscriptions=entries))

    # -- rights ---------------------------------------------------------------------------------------------------

    async def apply_rights(self) -> bool:
        """End what is no longer allowed, and bring delayed channels in real time or the other way round.

        Returns whether anything of what is heard changed by that. May be called while it runs already, also from
        another task: then both look once more. Where it fails, or is cancelled, the connection ends: it comes back with
        the right ones.
        """
        self._applied += 1
        try:
            begun, changed = 0, False
            while begun != self._applied:
                begun = self._applied
                heard = len(self)
                moved = self._judge()
                changed = changed or bool(moved) or len(self) != heard
                await self._move(moved)
        except BaseException:
            self._member.outbox.transport.disconnect(CloseCode.UNAVAILABLE)
            raise
        return changed

    def _judge(self) -> list[tuple[Subscription, Wish]]:
        """End the subscriptions that are not allowed or too many; answers with those that are now another channel."""
        left = self._services.permissions.channels(self._member.identity)
        moved: list[tuple[Subscription, Wish]] = []
        for name, subscription in list(self._by_name.items()):
            try:
                channel = self._services.allowed(self._member.identity, name, Action.SUBSCRIBE)
            except CommandError as exc:
                gone = exc.code is ErrorCode.UNKNOWN_CHANNEL  # its namespace was taken out
                self._end(subscription, UnsubscribeCode.FORCED if gone else UnsubscribeCode.PERMISSION_DENIED)
                continue
            if not left:
                self._end(subscription, UnsubscribeCode.PERMISSION_DENIED, Phrase("the plan has fewer channels"))
                continue
            left -= 1
            if channel.name != subscription.channel.name:
                moved.append((subscription, Wish(channel, subscription.shape)))
        return moved

    async def _move(self, moved: Sequence[tuple[Subscription, Wish]]) -> None:
        """Put other channels in the place of subscriptions, but for those that ended or were replaced meanwhile."""
        answers = await self._services.registry.join(self._member.outbox, [wish for _, wish in moved])
        for (subscription, wish), answer in zip(moved, answers, strict=True):
            if isinstance(answer, CommandError):
                continue
            if self._by_name.get(wish.channel.public_name) is subscription:
                self._start(answer)
            else:
                self._services.registry.abandon(answer)

    def _end(self, subscription: Subscription, code: UnsubscribeCode, reason: Phrase | None = None) -> None:
        self._services.registry.leave(subscription)
        self._unsubscribed(subscription, code, reason)

    def _unsubscribed(self, subscription: Subscription, code: UnsubscribeCode, reason: Phrase | None = None) -> None:
        """Forget a subscription that has ended, and tell the client why."""
        name = subscription.channel.public_name
        if self._by_name.get(name) is subscription:
            del self._by_name[name]
        told = say(reason or UNSUBSCRIBE_REASON[code], self._member.language)
        self._member.send(messages.Unsubscribed(channel=name, code=int(code), reason=told))


def _granted(
    requested: str, channel: Channel, position: Position | None, recovered: bool | None = None
) -> messages.SubscribedChannel:
    return messages.SubscribedChannel(
        requested=requested,
        channel=channel.public_name,
        epoch=position.epoch if position is not None else None,
        offset=position.offset if position is not None else None,
        recovered=recovered,
        delay=channel.delay_s or None,
    )


def _same(current: Subscription, wish: Wish) -> bool:
    """Whether the wish is what is heard already."""
    return (current.channel.name, current.shape) == (wish.channel.name, wish.shape)
