"""`POST /api/v1/publish`: one message on one channel, for servers."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from auth.audit import Event, Level
from auth.identity import Role
from auth.permissions import Action, Permissions
from channels.broker import Broker
from channels.channel import ChannelNames
from hub.api.trail import event
from hub.http.endpoint import Call, Endpoint, Reply
from schemas.commands import ChannelName
from schemas.errors import ErrorCode


class PublishBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST publish`."""

    channel: ChannelName
    data: Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication; `epoch` and `offset` where its channel is a log."""

    channel: str
    duplicate: bool
    epoch: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class PublishApi:
    """Publishing over HTTP. What API keys publish is noted in the audit trail."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        permissions: Permissions,
        note: Callable[[Event], None],
    ) -> None:
        self._broker = broker
        self._names = names
        self._permissions = permissions
        self._note = note

    @property
    def endpoints(self) -> list[Endpoint]:
        """What belongs to none of the families."""
        unknown = (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.INVALID_SYMBOL)
        return [
            Endpoint("POST", "/publish", self.publish, scope="publish", status=201, also=(200,), errors=unknown),
        ]

    async def publish(self, call: Call, body: PublishBody) -> Reply[Receipt]:
        """Publish one message on one channel, as servers do.

        The same `idempotency_key` publishes once: the second answer is 200 instead of 201.
        """
        channel = self._names.parse(body.channel)
        self._permissions.allow(call.caller, Action.PROVIDE, channel)
        payload = channel.namespace.normalise(bytes(body.data))
        receipt = await self._broker.publish(channel, payload, key=body.idempotency_key)
        if call.caller.scopes is not None or call.caller.role is Role.ADMIN:
            actor = call.caller.user if call.caller.scopes is None else call.caller.token_id
            self._note(event(call, "publish", level=Level.DEBUG, actor=actor, target=channel.name))
        answer = Receipt(
            channel=channel.name,
            duplicate=receipt.duplicate,
            epoch=receipt.epoch or UNSET,
            offset=receipt.offset if receipt.epoch else UNSET,
        )
        return Reply(answer, 200 if receipt.duplicate else 201)
