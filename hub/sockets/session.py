"""The session of one socket: what an authenticated client may say, and what it is answered.

A session knows no wire dialect (its codec does) and no ASGI (its socket does). It has no task, queue or timer of its
own: commands are obeyed in the reader's task, time passes in `hub.sockets.connections`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import msgspec
import orjson

from auth.identity import Identity
from auth.permissions import Action, Permissions
from auth.plans import Plans
from channels.broker import Broker, Publication
from channels.channel import Channel, ChannelNames
from channels.namespace import Policy
from channels.outbox import Outbox, Subscription
from channels.registry import Joined, Registry, Wish
from channels.shape import Shape
from hub.languages import DEFAULT, say, tell
from hub.sockets.codec import BadFrame, Codec
from hub.sockets.protocol import Message, Receive, Socket
from schemas import commands, messages
from schemas.commands import AnyCommand, Position, RequestId
from schemas.errors import CloseCode, CommandError, Disconnect, ErrorCode, Unavailable, UnsubscribeCode
from schemas.phrases import Phrase

log = logging.getLogger("tickhub.hub.sockets.session")

MAX_MESSAGE_BYTES = 64 * 1024
MAX_HISTORY_BYTES = 512 * 1024
"""Payloads in one `history` reply; with more, the reply is shorter than its limit."""
MAX_COMMANDS_PER_S = 100
MAX_ERRORS_IN_A_ROW = 10

UNSUBSCRIBE_REASON = {
    UnsubscribeCode.FORCED: Phrase("ended by the server"),
    UnsubscribeCode.PERMISSION_DENIED: Phrase("permission denied"),
    UnsubscribeCode.NOT_CARRIED: Phrase("the feeds do not carry this instrument"),
    UnsubscribeCode.INSUFFICIENT_STATE: Phrase("messages were lost; subscribe again"),
}


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What every session of a process works with."""

    registry: Registry
    broker: Broker
    names: ChannelNames
    verify: Any
    """`async (token) -> Identity`; raises CommandError UNAUTHORIZED or TOKEN_EXPIRED."""
    known_symbol: Callable[[Channel], bool]
    """Whether a channel may be subscribed under STRICT_SYMBOLS; always true without."""
    heartbeat_s: float = 25.0
    permissions: Permissions = msgspec.field(default_factory=lambda: Permissions(Plans()))
    refusal: Callable[[Channel], CommandError | None] = lambda _: None
    """Why the feeds can't carry a channel's instrument, where they have said so."""
    indicator_names: Callable[[Sequence[str]], tuple[str, ...]] = tuple
    """The canonical names of indicators; raises CommandError BAD_REQUEST for what is none."""


class Session:
    """One authenticated socket."""

    __slots__ = (
        "_allowance",
        "_allowance_at",
        "_applied",
        "_errors",
        "_language",
        "_services",
        "_subscriptions",
        "_told",
        "address",
        "client",
        "codec",
        "expiring_told",
        "heartbeat_due",
        "identity",
        "opened_at",
        "outbox",
        "pinged_at",
        "socket",
    )

    def __init__(
        self,
        services: Services,
        socket: Socket,
        codec: Codec,
        identity: Identity,
        client: str,
        *,
        address: str | None = None,
        language: str = DEFAULT,
    ) -> None:
        """`language` is the one for people whose identity says none."""
        self._services = services
        self._subscriptions: dict[str, Subscription] = {}
        self._errors = 0
        self._applied = 0
        self._allowance = float(MAX_COMMANDS_PER_S)
        self._allowance_at = 0.0
        self.socket = socket
        self.codec = codec
        self.identity = identity
        self._told = identity
        self.client = client
        self._language = language
        self.address = address
        """Where the client is, as far as that is known."""
        self.outbox = Outbox(socket, client=client, user=identity.user)
        self.outbox.on_unsubscribed = self._unsubscribed
        self.opened_at = time.time()
        self.heartbeat_due = 0.0
        self.pinged_at = 0.0
        self.expiring_told = False

    @property
    def language(self) -> str:
        """In what the client is told what went wrong: the user's own wish, else that of the handshake."""
        return self.identity.language or self._language

    @property
    def channel_count(self) -> int:
        """Channels that this session hears."""
        return len(self._subscriptions)

    @property
    def channels(self) -> list[str]:
        """The names of these, as the client sees them."""
        return list(self._subscriptions)

    # -- the socket's owner ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The reader is slow."""
        self.outbox.pause(time.monotonic())

    def resume(self) -> None:
        """The reader has caught up."""
        self._services.registry.resume(self.outbox)

    # -- the conversation -----------------------------------------------------------------------------------------

    def send(self, message: messages.AnyMessage) -> None:
        """Write one message at once."""
        self.outbox.put(self.codec.message(message))

    def welcome(self) -> None:
        """Tell the client who it is."""
        self.send(
            messages.Welcome(
                client=self.client,
                user=self.identity.user,
                heartbeat=max(1, round(self._services.heartbeat_s)),
                expires_at=self.identity.expires_at,
                time=round(time.time(), 3),
            )
        )

    async def run(self, receive: Receive) -> int:
        """Obey commands until the peer is gone; returns the close code. Raises Disconnect where we end it."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1005)
            await self.take(message)

    def close(self) -> None:
        """Leave all channels. Safe to call twice."""
        subscriptions, self._subscriptions = self._subscriptions, {}
        for subscription in subscriptions.values():
            self._services.registry.leave(subscription)

    async def take(self, message: Message) -> None:
        """One frame from the client. Raises Disconnect after too many errors in a row."""
        data: str | bytes = message["text"] if message.get("text") is not None else message["bytes"]
        try:
            self._check_rate()
            if _too_long(data):
                raise CommandError(
                    ErrorCode.LIMIT_EXCEEDED, "A message holds at most {count} bytes", count=MAX_MESSAGE_BYTES
                )
            requests = self.codec.decode(data)
        except BadFrame as exc:
            self._refuse(exc, exc.request_id)
            return
        except CommandError as exc:
            self._refuse(exc, None)
            return
        for command in requests:
            await self._obey_or_refuse(command)

    async def _obey_or_refuse(self, command: AnyCommand) -> None:
        try:
            await self._obey(command)
            self._errors = 0
        except CommandError as exc:
            self._refuse(exc, command.id)
        except Unavailable as exc:
            self._refuse(exc.refusal, command.id)
        except Exception:  # the top of a session: a bug in one command is told, logged, and nobody else's trouble
            log.exception("session.bug", extra={"client": self.client, "action": type(command).__name__})
            self._refuse(CommandError(ErrorCode.INTERNAL, "Something went wrong on our side"), command.id)

    def _refuse(self, error: CommandError, request_id: RequestId | None) -> None:
        told = tell(error, self.language)
        self.send(messages.Error(id=request_id, code=error.code, message=told, temporary=error.temporary))
        self._errors += 1
        if self._errors >= MAX_ERRORS_IN_A_ROW:
            raise Disconnect(CloseCode.TOO_MANY_ERRORS)

    def _check_rate(self) -> None:
        now = time.monotonic()
        gained = (now - self._allowance_at) * MAX_COMMANDS_PER_S
        self._allowance = min(float(MAX_COMMANDS_PER_S), self._allowance + gained)
        self._allowance_at = now
        if self._allowance < 1:
            raise CommandError(ErrorCode.RATE_LIMITED, "At most {count} commands a second", count=MAX_COMMANDS_PER_S)
        self._allowance -= 1

    async def _obey(self, command: AnyCommand) -> None:
        match command:
            case commands.Subscribe():
                await self._subscribe(command)
            case commands.Unsubscribe():
                self._unsubscribe(command)
            case commands.Subscriptions():
                self._list_subscriptions(command)
            case commands.Ping():
                self.send(messages.Pong(id=command.id, time=round(time.time(), 3)))
            case commands.Refresh():
                await self._refresh(command)
            case commands.History():
                await self._history(command)
            case commands.Presence():
                await self._presence(command)
            case commands.Publish():
                await self._publish(command)
            case commands.Auth():
                raise CommandError(ErrorCode.BAD_REQUEST, "Already authenticated; a newer token goes into `refresh`")
            case _:
                assert_never(command)

    # -- subscriptions --------------------------------------------------------------------------------------------

    async def _subscribe(self, command: commands.Subscribe) -> None:
        failed: list[messages.FailedChannel] = []
        granted: list[messages.SubscribedChannel] = []
        applied = self._applied
        wishes = self._wishes(command, granted, failed)
        answers = await self._services.registry.join(self.outbox, [wish for _, wish in wishes])
        joined: list[Joined] = []
        for (names, wish), answer in zip(wishes, answers, strict=True):
            if isinstance(answer, CommandError):
                failed += [self._failed(name, answer) for name in names]
            else:
                joined.append(answer)
                granted += [self._granted(name, wish.channel, answer.position, answer.recovered) for name in names]
        self.send(messages.Subscribed(id=command.id, subscribed=granted, failed=failed))
        for one in joined:
            self._start(one)
        if self._applied != applied:  # by rights that have changed since they were asked
            await self.apply_rights()

    def _wishes(
        self,
        command: commands.Subscribe,
        granted: list[messages.SubscribedChannel],
        failed: list[messages.FailedChannel],
    ) -> list[tuple[list[str], Wish]]:
        """What has to be joined, and by which names it was asked for; what hasn't goes to one of the lists."""
        wishes: dict[str, tuple[list[str], Wish]] = {}
        positions = command.positions()
        left = self._services.permissions.channels(self.identity) - len(self._subscriptions)
        for requested in command.names:
            try:
                channel = self._allowed(requested, Action.SUBSCRIBE)
                wish = self._wish(channel, command, positions.get(requested))
                current = self._subscriptions.get(channel.public_name)
                new = current is None and channel.name not in wishes
                if new and left <= 0:
                    raise self._too_many()
            except CommandError as exc:
                failed.append(self._failed(requested, exc))
                continue
            left -= new
            if current is not None and wish.since is None and _same(current, wish):
                granted.append(self._granted(requested, channel, self._services.registry.position(channel.name)))
            else:
                wishes.setdefault(channel.name, ([], wish))[0].append(requested)
        return list(wishes.values())

    def _too_many(self) -> CommandError:
        count = self._services.permissions.channels(self.identity)
        return CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {count} channels a connection", count=count)

    def _start(self, joined: Joined) -> None:
        subscription = joined.subscription
        name = subscription.channel.public_name
        previous = self._subscriptions.get(name)
        if previous is not None:
            self._services.registry.leave(previous)
        self._subscriptions[name] = subscription
        self._services.registry.start(joined)

    def _wish(self, channel: Channel, command: commands.Subscribe, since: Position | None) -> Wish:
        if channel.namespace.policy is Policy.LOG:
            return Wish(channel, Shape(self.codec), since)
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
        return Wish(channel, Shape(self.codec, command.mode, command.delta, command.max_frequency, indicators))

    def _failed(self, requested: str, error: CommandError) -> messages.FailedChannel:
        return messages.FailedChannel(channel=requested, code=error.code, message=tell(error, self.language))

    @staticmethod
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

    def _unsubscribe(self, command: commands.Unsubscribe) -> None:
        ended: list[str] = []
        failed: list[messages.FailedChannel] = []
        for requested in command.names:
            try:
                channel = self._services.names.parse(requested, user=self.identity.user)
            except CommandError as exc:
                failed.append(self._failed(requested, exc))
                continue
            subscription = self._subscriptions.pop(channel.public_name, None)
            if subscription is not None:
                self._services.registry.leave(subscription)
            ended.append(channel.public_name)
        self.send(messages.UnsubscribedReply(id=command.id, unsubscribed=ended, failed=failed))

    def _unsubscribed(self, subscription: Subscription, code: UnsubscribeCode, reason: Phrase | None = None) -> None:
        name = subscription.channel.public_name
        if self._subscriptions.get(name) is subscription:
            del self._subscriptions[name]
        told = say(reason or UNSUBSCRIBE_REASON[code], self.language)
        self.send(messages.Unsubscribed(channel=name, code=int(code), reason=told))

    def _list_subscriptions(self, command: commands.Subscriptions) -> None:
        entries = [
            messages.SubscriptionEntry(
                channel=one.channel.public_name,
                mode=one.shape.mode,
                max_frequency=one.shape.max_frequency,
                delta=one.shape.delta,
                indicators=one.shape.indicators,
                delay=one.channel.delay_s or None,
            )
            for one in self._subscriptions.values()
        ]
        self.send(messages.SubscriptionList(id=command.id, subscriptions=entries))

    def _allowed(self, requested: str, action: Action) -> Channel:
        channel = self._services.names.parse(requested, user=self.identity.user)
        delay_s = self._services.permissions.allow(self.identity, action, channel)
        if not self._services.known_symbol(channel):
            place = f"{channel.exchange}:{channel.symbol}"
            raise CommandError(ErrorCode.INVALID_SYMBOL, "No instrument {place}", place=place)
        if action is not Action.SUBSCRIBE:
            return channel
        if refusal := self._services.refusal(channel):
            raise refusal
        return channel.delayed(delay_s) if delay_s else channel

    # -- rights ---------------------------------------------------------------------------------------------------

    async def _refresh(self, command: commands.Refresh) -> None:
        identity: Identity = await self._services.verify(command.token)
        if identity.user != self.identity.user:
            raise CommandError(ErrorCode.PERMISSION_DENIED, "The token is another user's")
        self._services.permissions.allow(identity, Action.CONNECT)
        self.identity = identity
        self.expiring_told = False
        self.send(messages.Refreshed(id=command.id, expires_at=identity.expires_at))
        await self.apply_rights()

    async def apply_rights(self) -> None:
        """End what is no longer allowed, and bring delayed channels in real time or the other way round.

        Then the client is told of its plan and role, where these are others. May be called while it runs already, also
        from another task: then both look once more. Where it fails, or is cancelled, the connection ends: it comes back
        with the right ones.
        """
        self._applied += 1
        try:
            begun = 0
            while begun != self._applied:
                begun = self._applied
                await self._move(self._judge())
        except BaseException:
            self.socket.disconnect(CloseCode.UNAVAILABLE)
            raise
        told, self._told = self._told, self.identity
        if (told.plan, told.role) != (self._told.plan, self._told.role):
            self.send(messages.Entitled(plan=self._told.plan, role=self._told.role))

    def _judge(self) -> list[tuple[Subscription, Wish]]:
        """End the subscriptions that are not allowed or too many; answers with those that are now another channel."""
        left = self._services.permissions.channels(self.identity)
        moved: list[tuple[Subscription, Wish]] = []
        for name, subscription in list(self._subscriptions.items()):
            try:
                channel = self._allowed(name, Action.SUBSCRIBE)
            except CommandError:
                self._end(subscription, UnsubscribeCode.PERMISSION_DENIED)
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
        answers = await self._services.registry.join(self.outbox, [wish for _, wish in moved])
        for (subscription, wish), answer in zip(moved, answers, strict=True):
            if isinstance(answer, CommandError):
                continue
            if self._subscriptions.get(wish.channel.public_name) is subscription:
                self._start(answer)
            else:
                self._services.registry.abandon(answer)

    def _end(self, subscription: Subscription, code: UnsubscribeCode, reason: Phrase | None = None) -> None:
        self._services.registry.leave(subscription)
        self._unsubscribed(subscription, code, reason)

    # -- the rest -------------------------------------------------------------------------------------------------

    async def _history(self, command: commands.History) -> None:
        channel = self._allowed(command.channel, Action.HISTORY)
        if channel.namespace.policy is not Policy.LOG:
            raise CommandError(
                ErrorCode.NOT_AVAILABLE, "{channel} keeps only its newest value", channel=channel.public_name
            )
        page = await self._services.broker.history(channel, since=command.since, limit=command.limit)
        if not page.complete:
            raise CommandError(ErrorCode.UNRECOVERABLE_POSITION, "Messages after this position are gone")
        fitting = _fitting(page.publications, oldest_first=command.since is not None)
        self.send(
            messages.HistoryReply(
                id=command.id,
                channel=channel.public_name,
                epoch=page.position.epoch,
                offset=page.position.offset,
                publications=[
                    messages.HistoryEntry(offset=one.offset, data=orjson.loads(one.payload)) for one in fitting
                ],
            )
        )

    async def _presence(self, command: commands.Presence) -> None:
        channel = self._allowed(command.channel, Action.PRESENCE)
        if not channel.namespace.presence:
            name = channel.namespace.name
            raise CommandError(ErrorCode.NOT_AVAILABLE, "Presence is off in {namespace}", namespace=name)
        members = await self._services.broker.presence(channel)
        clients = [messages.PresenceMember(client=member.client, user=member.user) for member in members]
        self.send(messages.PresenceReply(id=command.id, channel=channel.public_name, clients=clients))

    async def _publish(self, command: commands.Publish) -> None:
        channel = self._allowed(command.channel, Action.PUBLISH)
        payload = channel.namespace.normalise(_json(command.data))
        receipt = await self._services.broker.publish(channel, payload)
        self.send(
            messages.Published(
                id=command.id,
                channel=channel.public_name,
                epoch=receipt.epoch or None,
                offset=receipt.offset if receipt.epoch else None,
            )
        )


def _same(current: Subscription, wish: Wish) -> bool:
    """Whether the wish is what is heard already."""
    return (current.channel.name, current.shape) == (wish.channel.name, wish.shape)


def _json(data: dict[str, Any]) -> bytes:
    """The data as JSON. Raises CommandError for what MessagePack can say and JSON can't."""
    try:
        return msgspec.json.encode(data)
    except (TypeError, ValueError, RecursionError) as exc:
        raise CommandError(ErrorCode.BAD_REQUEST, "{why} - at `$.data`", why=str(exc)) from exc


def _fitting(publications: Sequence[Publication], *, oldest_first: bool) -> list[Publication]:
    """As many as one reply holds, whole: the oldest ones where the client pages forward, else the newest."""
    chosen: list[Publication] = []
    size = 0
    for one in publications if oldest_first else reversed(publications):
        size += len(one.payload)
        if chosen and size > MAX_HISTORY_BYTES:
            break
        chosen.append(one)
    return chosen if oldest_first else chosen[::-1]


def _too_long(data: str | bytes) -> bool:
    if len(data) > MAX_MESSAGE_BYTES:
        return True
    return isinstance(data, str) and len(data) > MAX_MESSAGE_BYTES // 4 and len(data.encode()) > MAX_MESSAGE_BYTES
