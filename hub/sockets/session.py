"""The session of one socket: what an authenticated client may say, and what it is answered.

A session knows no wire dialect (its codec does) and no ASGI (its socket does); what it hears is in the hands of its
`Subscriptions`. It has no task, queue or timer of its own: commands are obeyed in the reader's task, time passes in
`hub.sockets.connections`.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
import orjson

from auth.identity import Identity
from auth.permissions import Action
from channels.broker import Publication
from channels.namespace import Policy
from channels.outbox import Outbox
from hub.languages import DEFAULT, tell
from hub.sockets.codec import BadFrame, Codec
from hub.sockets.protocol import Message, Receive, Socket
from hub.sockets.services import Services
from hub.sockets.subscriptions import Subscriptions
from schemas import commands, messages
from schemas.commands import AnyCommand, RequestId
from schemas.errors import CloseCode, CommandError, Disconnect, ErrorCode, Unavailable

log = logging.getLogger("tickhub.hub.sockets.session")

MAX_MESSAGE_BYTES = 64 * 1024
MAX_HISTORY_BYTES = 512 * 1024
"""Payloads in one `history` reply; with more, the reply is shorter than its limit."""
MAX_COMMANDS_PER_S = 100
MAX_ERRORS_IN_A_ROW = 10


class Session:
    """One authenticated socket."""

    __slots__ = (
        "_allowance",
        "_allowance_at",
        "_errors",
        "_language",
        "_services",
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
        "subscriptions",
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
        self._errors = 0
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
        self.subscriptions = Subscriptions(services, self)
        self.opened_at = time.time()
        self.heartbeat_due = 0.0
        self.pinged_at = 0.0
        self.expiring_told = False

    @property
    def language(self) -> str:
        """In what the client is told what went wrong: the user's own wish, else that of the handshake."""
        return self.identity.language or self._language

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

    async def begin(self, channels: list[str]) -> None:
        """Subscribe to what the handshake's address names, as a command would. Raises Disconnect, as `take`."""
        if channels:
            await self._obey_or_refuse(commands.Subscribe(channels=channels))

    def close(self) -> None:
        """Leave all channels. Safe to call twice."""
        self.subscriptions.close()

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
                await self.subscriptions.subscribe(command)
            case commands.Unsubscribe():
                self.subscriptions.unsubscribe(command)
            case commands.Subscriptions():
                self.subscriptions.describe(command)
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

    # -- rights ---------------------------------------------------------------------------------------------------

    async def _refresh(self, command: commands.Refresh) -> None:
        identity = await self._services.verify(command.token)
        if identity.user != self.identity.user:
            raise CommandError(ErrorCode.PERMISSION_DENIED, "The token is another user's")
        self._services.permissions.allow(identity, Action.CONNECT)
        self.identity = identity
        self.expiring_told = False
        self.send(messages.Refreshed(id=command.id, expires_at=identity.expires_at))
        await self.apply_rights()

    async def apply_rights(self) -> None:
        """Let the identity's rights count for what is heard, see `Subscriptions.apply_rights`.

        Then the client is told of its plan and role, where these are others, or mean something else by now.
        """
        changed = await self.subscriptions.apply_rights()
        told, self._told = self._told, self.identity
        if changed or (told.plan, told.role) != (self._told.plan, self._told.role):
            self.send(messages.Entitled(plan=self._told.plan, role=self._told.role))

    # -- the rest -------------------------------------------------------------------------------------------------

    async def _history(self, command: commands.History) -> None:
        channel = self._services.allowed(self.identity, command.channel, Action.HISTORY)
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
        channel = self._services.allowed(self.identity, command.channel, Action.PRESENCE)
        if not channel.namespace.presence:
            name = channel.namespace.name
            raise CommandError(ErrorCode.NOT_AVAILABLE, "Presence is off in {namespace}", namespace=name)
        members = await self._services.broker.presence(channel)
        clients = [messages.PresenceMember(client=member.client, user=member.user) for member in members]
        self.send(messages.PresenceReply(id=command.id, channel=channel.public_name, clients=clients))

    async def _publish(self, command: commands.Publish) -> None:
        channel = self._services.allowed(self.identity, command.channel, Action.PUBLISH)
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
