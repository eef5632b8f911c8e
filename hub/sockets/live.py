"""The sockets of this instance, as they are told to whichever instance an administrator asks."""

import heapq
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from auth.identity import Plan, Role
from hub.instances.fleet import Fleet
from hub.sockets.connections import Connections
from hub.sockets.session import Session
from schemas.errors import CloseCode
from schemas.market import ist_text


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One socket."""

    client: str
    user: str
    plan: Plan
    role: Role
    instance: str
    """Which of the hub's processes holds it."""
    address: str | None
    session: str | None
    """The login that its token comes from, where it comes from one."""
    codec: str
    opened_at: str
    channels: int
    sent_bytes: int
    pending_bytes: int
    """Written, and not yet taken by the network."""
    held_channels: int
    """Channels whose newest value waits until a slow reader has room."""
    lag_ms: int
    """For how long a slow reader has taken nothing; 0 for one that keeps up."""


class ConnectionDetail(Connection, frozen=True, kw_only=True):
    """One socket, and what it hears."""

    subscriptions: list[str]


class ConnectionsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The first `limit` sockets that match, in an order of `ORDERS`."""

    limit: int
    sort: str = "opened_at"
    descending: bool = True
    user: str | None = None
    plan: Plan | None = None
    instance: str | None = None


class ConnectionsHere(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one instance; `total` counts all that match."""

    total: int
    items: list[Connection]


class ClientAsked(msgspec.Struct, frozen=True, kw_only=True):
    """One socket by its id."""

    client: str


class ClientHere(msgspec.Struct, frozen=True, kw_only=True):
    """That socket, where this instance holds it."""

    connection: ConnectionDetail | None


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Which sockets are to end: one, or all of a user."""

    client: str | None = None
    user: str | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How many did."""

    count: int


def _lag_ms(session: Session) -> int:
    outbox = session.outbox
    return max(0, int((time.monotonic() - outbox.behind_since) * 1000)) if outbox.behind else 0


ORDERS: dict[str, tuple[Callable[[Session], Any], Callable[[Connection], Any]]] = {
    "opened_at": (lambda one: int(one.opened_at * 1000), lambda one: one.opened_at),
    "bytes": (lambda one: one.outbox.sent_bytes, lambda one: one.sent_bytes),
    "channels": (lambda one: len(one.subscriptions), lambda one: one.channels),
    "lag": (_lag_ms, lambda one: one.lag_ms),
    "user": (lambda one: one.identity.user, lambda one: one.user),
}
"""By what sockets are sorted: before they are described, and after."""


def first_of(connections: Iterable[Connection], asked: ConnectionsAsked) -> list[Connection]:
    """The first of those that several instances have told."""
    key = ORDERS[asked.sort][1]
    chosen = sorted(connections, key=lambda one: (key(one), one.client), reverse=asked.descending)
    return chosen[: asked.limit]


class LiveConnections:
    """Answers for one instance."""

    def __init__(self, connections: Connections, fleet: Fleet) -> None:
        self._connections = connections
        self._instance = fleet.instance
        fleet.on("connections", ConnectionsAsked, self._list)
        fleet.on("connection", ClientAsked, self._one)
        fleet.on("disconnect", Ending, self._end)

    def _list(self, asked: ConnectionsAsked) -> ConnectionsHere:
        matching = [one for one in self._connections.sessions if self._matches(one, asked)]
        key = ORDERS[asked.sort][0]
        choose = heapq.nlargest if asked.descending else heapq.nsmallest
        chosen = choose(asked.limit, matching, key=lambda one: (key(one), one.client))
        return ConnectionsHere(total=len(matching), items=[Connection(**self._facts(one)) for one in chosen])

    def _matches(self, session: Session, asked: ConnectionsAsked) -> bool:
        return (
            asked.user in (None, session.identity.user)
            and asked.plan in (None, session.identity.plan)
            and asked.instance in (None, self._instance)
        )

    def _one(self, asked: ClientAsked) -> ClientHere:
        found = self._find(asked.client)
        if found is None:
            return ClientHere(connection=None)
        return ClientHere(connection=ConnectionDetail(**self._facts(found), subscriptions=found.subscriptions.names))

    def _end(self, ending: Ending) -> Ended:
        if ending.client is not None:
            found = self._find(ending.client)
            if found is not None:
                found.socket.disconnect(CloseCode.FORCED)
            return Ended(count=int(found is not None))
        user = ending.user
        return Ended(count=self._connections.disconnect_where(lambda one: one.user == user, CloseCode.FORCED))

    def _find(self, client: str) -> Session | None:
        return next((one for one in self._connections.sessions if one.client == client), None)

    def _facts(self, session: Session) -> dict[str, Any]:
        identity, outbox = session.identity, session.outbox
        return {
            "client": session.client,
            "user": identity.user,
            "plan": identity.plan,
            "role": identity.role,
            "instance": self._instance,
            "address": session.address,
            "session": identity.session,
            "codec": session.codec.subprotocol,
            "opened_at": ist_text(int(session.opened_at * 1000)),
            "channels": len(session.subscriptions),
            "sent_bytes": outbox.sent_bytes,
            "pending_bytes": outbox.transport.buffered(),
            "held_channels": len(outbox.held),
            "lag_ms": _lag_ms(session),
        }
