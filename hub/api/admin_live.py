"""`/api/v1/admin`: sockets as they are now, on all instances: who hears what, and ending it."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from auth.audit import Event, Level
from auth.identity import Plan
from hub.api.trail import event
from hub.http.endpoint import Access, Call, Endpoint
from hub.http.requests import Page
from hub.instances.fleet import Fleet, Gathered
from hub.sockets.live import (
    ORDERS,
    ClientAsked,
    ClientHere,
    Connection,
    ConnectionDetail,
    ConnectionsAsked,
    ConnectionsHere,
    Ended,
    Ending,
    first_of,
)
from schemas.errors import CommandError, ErrorCode

MAX_DEPTH = 5000
"""How far down a list goes: each instance tells as many, and the first of all are chosen."""

UserId = Annotated[str, Meta(min_length=1, max_length=128)]
ClientId = Annotated[str, Meta(min_length=1, max_length=64)]
InstanceId = Annotated[str, Meta(min_length=1, max_length=64)]


class ConnectionsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET connections`; sorted by opened_at, bytes, channels, lag or user."""

    user: UserId | None = None
    plan: Plan | None = None
    instance: InstanceId | None = None


class ConnectionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sockets; `missing` are instances that did not answer."""

    items: list[Connection]
    total: int
    page: int
    limit: int
    instances: list[str]
    missing: list[str]


class DisconnectBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST admin/disconnect`: one socket, or all of a user. The reason is for the audit trail."""

    client: ClientId | None = None
    user: UserId | None = None
    reason: Annotated[str, Meta(max_length=200)] = ""


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """How many sockets were told to end; instances that are `missing` do so once they live again."""

    disconnected: int
    missing: list[str]


class AdminLiveApi:
    """The endpoints of live connections. `record` writes the audit trail."""

    def __init__(self, *, fleet: Fleet, record: Callable[[Event], Awaitable[None]]) -> None:
        self._fleet = fleet
        self._record = record

    @property
    def endpoints(self) -> list[Endpoint]:
        """Under `/api/v1`."""
        one_errors = (ErrorCode.NOT_FOUND, ErrorCode.NOT_AVAILABLE)
        return [
            Endpoint(
                "GET",
                "/admin/connections",
                self.connections,
                access=Access.ADMIN,
                errors=(ErrorCode.LIMIT_EXCEEDED,),
            ),
            Endpoint("GET", "/admin/connections/{client}", self.connection, access=Access.ADMIN, errors=one_errors),
            Endpoint("POST", "/admin/disconnect", self.disconnect, access=Access.ADMIN, errors=one_errors),
        ]

    async def connections(self, call: Call, query: ConnectionsQuery) -> ConnectionList:
        """List the live connections of all instances.

        Sorted from the largest down, users from A on, unless `order` says otherwise. An instance that does not answer
        within a second is named in `missing`.
        """
        sort = query.sorted_by(*ORDERS)
        depth = query.offset + query.limit
        if depth > MAX_DEPTH:
            raise CommandError(
                ErrorCode.LIMIT_EXCEEDED,
                "Only the first {count} connections can be listed; ask for those of a user, a plan or an instance",
                count=MAX_DEPTH,
            )
        asked = ConnectionsAsked(
            limit=depth,
            sort=sort,
            descending=(query.order or ("asc" if sort == "user" else "desc")) == "desc",
            user=query.user,
            plan=query.plan,
            instance=query.instance,
        )
        told = await self._fleet.ask("connections", asked, ConnectionsHere)
        answers = told.answers.values()
        return ConnectionList(
            items=first_of((row for one in answers for row in one.items), asked)[query.offset :],
            total=sum(one.total for one in answers),
            page=query.page,
            limit=query.limit,
            instances=sorted(told.answers),
            missing=list(told.missing),
        )

    async def connection(self, call: Call) -> ConnectionDetail:
        """Show one live connection and what it hears."""
        told = await self._fleet.ask("connection", ClientAsked(client=call.path("client")), ClientHere)
        for here in told.answers.values():
            if here.connection is not None:
                return here.connection
        raise _unknown(told)

    async def disconnect(self, call: Call, body: DisconnectBody) -> Disconnected:
        """Close one connection, or all of a user, with code 3503.

        Clients do not connect again after that code by themselves; their tokens stay good.
        """
        if (body.client is None) == (body.user is None):
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected either `client` or `user`")
        told = await self._fleet.ask("disconnect", Ending(client=body.client, user=body.user), Ended)
        count = sum(one.count for one in told.answers.values())
        if body.client is not None and not count:
            raise _unknown(told)
        await self._record(
            event(
                call,
                "connection.ended",
                level=Level.WARNING,
                target=body.user or body.client,
                count=count,
                reason=body.reason,
            )
        )
        return Disconnected(disconnected=count, missing=list(told.missing))


def _unknown(told: Gathered[ClientHere] | Gathered[Ended]) -> CommandError:
    if told.missing:
        return CommandError(
            ErrorCode.NOT_AVAILABLE,
            "Not found, but these instances did not answer: {instances}",
            instances=", ".join(told.missing),
        )
    return CommandError(ErrorCode.NOT_FOUND, "No such connection")
