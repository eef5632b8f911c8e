"""All sockets of this process: how one gets in, and what time does to them.

The endpoint authenticates a socket and hands it to a session. One sweep over the table, twice a second, does what
would otherwise need timers per connection: heartbeats, pings, expiring tokens, readers that have stopped.
"""

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import structs

from auth.identity import Identity
from auth.permissions import Action
from hub.languages import language_of, tell
from hub.sockets.codec import CODECS, JSON, BadFrame, Codec
from hub.sockets.frames import PING_FRAME
from hub.sockets.protocol import EXTENSION, AsgiSocket, Receive, Scope, Send, Socket
from hub.sockets.rights import Rights
from hub.sockets.services import Services
from hub.sockets.session import MAX_ERRORS_IN_A_ROW, Session
from schemas import commands, messages
from schemas.errors import CloseCode, CommandError, Disconnect, ErrorCode, Unavailable

log = logging.getLogger("tickhub.hub.sockets.connections")

SWEEP_S = 0.5
TOKEN_WARNING_S = 60


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What this process lets in. Zero means without limit."""

    connections: int = 0
    connections_per_user: int = 0
    auth_timeout_s: float = 10.0
    write_timeout_s: float = 15.0


class Origins:
    """Which pages may open a socket. Programs send no Origin and are judged by their token alone."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(allowed)

    def allow(self, origin: str | None, host: str | None) -> bool:
        """True for no origin, the hub's own pages, and those that the settings name."""
        if origin is None or "*" in self._allowed or origin in self._allowed:
            return True
        try:
            return bool(host) and urlsplit(origin).netloc == host
        except ValueError:  # such as `http://[`
            return False


def peer_of(scope: Scope) -> str | None:
    """The address of whoever is at the other end of the connection, a proxy perhaps."""
    client = scope.get("client")
    return client[0] if client else None


class Connections:
    """The table of sessions, and the ASGI endpoint that fills it."""

    def __init__(
        self,
        services: Services,
        *,
        redeem: Callable[[str], Awaitable[Identity]],
        origins: Origins,
        limits: Limits,
        address_of: Callable[[Scope], str | None] = peer_of,
    ) -> None:
        """`address_of` tells a client's address from its handshake."""
        self._address_of = address_of
        self._services = services
        self._redeem = redeem
        self._origins = origins
        self._limits = limits
        self._sessions: dict[str, Session] = {}
        self._per_user: Counter[str] = Counter()
        self._rights = Rights()
        self._opening = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False
        self.feeds: dict[str, Any] = {}
        """What the heartbeat says of the sources."""
        self.opened = 0
        self.closed: Counter[int] = Counter()
        self.loop_lag_s = 0.0

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def sessions(self) -> list[Session]:
        """Every authenticated session now."""
        return list(self._sessions.values())

    def subscription_count(self) -> int:
        """Channels heard, summed over sockets."""
        return sum(len(session.subscriptions) for session in self._sessions.values())

    # -- getting in -----------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One WebSocket connection, from handshake to end."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        await receive()  # websocket.connect
        codec, subprotocol = _negotiate(scope.get("subprotocols", []))
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        socket = scope.get("extensions", {}).get(EXTENSION)
        if socket is not None:
            await self._serve(scope, headers, receive, socket, codec)
            return
        plain = AsgiSocket(send)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(plain.run(), name="socket.writer")
            code = await self._serve(scope, headers, receive, plain, codec)
            if code is None:  # the peer is gone, there is nobody to write to
                writer.cancel()

    async def _serve(
        self, scope: Scope, headers: dict[bytes, str], receive: Receive, socket: Socket, codec: Codec
    ) -> CloseCode | None:
        """Authenticate and converse; returns the code we closed with, None where the peer left."""
        self._opening += 1
        session: Session | None = None
        try:
            self._check_entry(headers)
            identity = await self._authenticate(scope, headers, receive, socket, codec)
            session = self._admit(socket, codec, identity, self._address_of(scope), _language(headers))
            self._opening -= 1
            await session.begin(_channels(scope))
            socket.forget_handshake()
            code = await session.run(receive)
        except Disconnect as exc:
            socket.disconnect(exc.code)
            self._count_end(session, int(exc.code))
            return exc.code
        except ConnectionResetError:
            return None
        else:
            self._count_end(session, code)
            return None
        finally:
            if session is None:
                self._opening -= 1
            else:
                self._dismiss(session)

    def _check_entry(self, headers: dict[bytes, str]) -> None:
        if self.draining:
            raise Disconnect(CloseCode.SHUTDOWN)
        if not self._origins.allow(headers.get(b"origin"), headers.get(b"host")):
            raise Disconnect(CloseCode.PERMISSION_DENIED)
        if self._limits.connections and len(self._sessions) + self._opening > self._limits.connections:
            raise Disconnect(CloseCode.CONNECTION_LIMIT)

    async def _authenticate(
        self, scope: Scope, headers: dict[bytes, str], receive: Receive, socket: Socket, codec: Codec
    ) -> Identity:
        query = _query(scope)
        scheme, _, bearer = headers.get(b"authorization", "").partition(" ")
        try:
            if "token" in query:
                return await self._services.verify(query["token"][0])
            if scheme.lower() == "bearer":
                return await self._services.verify(bearer.strip())
            if "ticket" in query:
                return await self._redeem(query["ticket"][0])
            async with asyncio.timeout(self._limits.auth_timeout_s):
                return await self._first_message(receive, socket, codec, _language(headers))
        except TimeoutError:
            raise Disconnect(CloseCode.NO_AUTH) from None
        except CommandError as exc:
            expired = exc.code is ErrorCode.TOKEN_EXPIRED
            raise Disconnect(CloseCode.TOKEN_EXPIRED if expired else CloseCode.INVALID_TOKEN) from None
        except Unavailable as exc:
            log.warning("auth.unavailable", extra={"what": exc.what})
            raise Disconnect(CloseCode.UNAVAILABLE) from exc

    async def _first_message(self, receive: Receive, socket: Socket, codec: Codec, language: str) -> Identity:
        for _ in range(MAX_ERRORS_IN_A_ROW):
            message = await receive()
            if message["type"] == "websocket.disconnect":
                raise ConnectionResetError
            data: str | bytes = message["text"] if message.get("text") is not None else message["bytes"]
            request_id = None
            try:
                command = codec.decode(data)[0]
                if isinstance(command, commands.Auth):
                    return await self._services.verify(command.token)
                request_id = command.id
                error = CommandError(ErrorCode.UNAUTHORIZED, "Say `auth` with a token first")
            except BadFrame as exc:
                error, request_id = exc, exc.request_id
            told = tell(error, language)
            reply = messages.Error(id=request_id, code=error.code, message=told, temporary=False)
            socket.write(codec.message(reply))
        raise Disconnect(CloseCode.TOO_MANY_ERRORS)

    def _admit(self, socket: Socket, codec: Codec, identity: Identity, address: str | None, language: str) -> Session:
        try:
            self._services.permissions.allow(identity, Action.CONNECT)
        except CommandError as exc:
            raise Disconnect(CloseCode.PERMISSION_DENIED) from exc
        limit = self._limit(identity)
        if limit and self._per_user[identity.user] >= limit:
            raise Disconnect(CloseCode.CONNECTION_LIMIT)
        client = secrets.token_hex(8)
        session = Session(self._services, socket, codec, identity, client, address=address, language=language)
        session.heartbeat_due = asyncio.get_running_loop().time() + self._services.heartbeat_s
        socket.owner = session
        self._sessions[session.client] = session
        self._per_user[identity.user] += 1
        self.opened += 1
        self._empty.clear()
        session.welcome()
        return session

    def _limit(self, identity: Identity) -> int:
        """How many sockets the bearer may have here at once; 0: without limit."""
        limits = (self._limits.connections_per_user, self._services.permissions.connections(identity))
        return min((limit for limit in limits if limit), default=0)

    def _dismiss(self, session: Session) -> None:
        session.close()
        del self._sessions[session.client]
        self._per_user[session.identity.user] -= 1
        if not self._per_user[session.identity.user]:
            del self._per_user[session.identity.user]
        if not self._sessions:
            self._empty.set()

    def _count_end(self, session: Session | None, code: int) -> None:
        self.closed[code] += 1
        if session is None:
            log.info("socket.refused", extra={"code": code})
            return
        log.info(
            "session.closed",
            extra={
                "client": session.client,
                "code": code,
                "seconds": round(time.time() - session.opened_at, 1),
                "channels": len(session.subscriptions),
                "bytes": session.outbox.sent_bytes,
            },
        )

    # -- time -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sweep the table and apply rights that have changed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rights.run(), name="connections.rights")
            await self._sweep_for_ever()

    async def _sweep_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            self.loop_lag_s = max(0.0, now - before - SWEEP_S)
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        wall = time.time()
        frames: dict[Codec, bytes] = {}
        for session in self.sessions:
            outbox = session.outbox
            if session.identity.expires_at <= wall:
                session.socket.disconnect(CloseCode.TOKEN_EXPIRED)
            elif outbox.stalled(time.monotonic(), self._limits.write_timeout_s):
                session.socket.disconnect(CloseCode.SLOW)
            elif session.heartbeat_due <= now:
                self._beat(session, now, frames)
            if not session.expiring_told and session.identity.expires_at - wall <= TOKEN_WARNING_S:
                session.expiring_told = True
                session.send(messages.TokenExpiring(expires_in=max(0, round(session.identity.expires_at - wall))))

    def _beat(self, session: Session, now: float, frames: dict[Codec, bytes]) -> None:
        """One heartbeat and one ping; nothing heard since the last ping means that the peer is gone."""
        if session.pinged_at and session.socket.last_heard < session.pinged_at:
            session.socket.disconnect(CloseCode.NO_PONG)
            return
        frame = frames.get(session.codec)
        if frame is None:
            beat = messages.Heartbeat(time=round(time.time(), 3), feeds=self.feeds)
            frame = frames[session.codec] = PING_FRAME + session.codec.message(beat)
        session.pinged_at = now
        session.heartbeat_due = now + self._services.heartbeat_s
        session.outbox.put(frame)

    def disconnect_where(self, matches: Callable[[Identity], bool], code: CloseCode) -> int:
        """End every session whose bearer matches; returns how many."""
        chosen = [session for session in self.sessions if matches(session.identity)]
        for session in chosen:
            session.socket.disconnect(code)
        return len(chosen)

    # -- rights ---------------------------------------------------------------------------------------------------

    def change(self, user: str, changed: Callable[[Identity], Identity]) -> None:
        """Let what `changed` says of a user's identity count on their open sockets; a few turns later it does."""
        theirs = [session for session in self._sessions.values() if session.identity.user == user]
        for session in theirs:
            session.identity = changed(session.identity)
        self._end_excess(theirs)
        self._rights.put(theirs, urgent=True)

    def limit_users(self, connections_per_user: int) -> None:
        """How many sockets each user may have here from now on; 0: without limit. `reapply` ends what is too many."""
        self._limits = structs.replace(self._limits, connections_per_user=connections_per_user)

    def reapply(self) -> None:
        """Apply everybody's rights again, after plans or namespaces have changed; spread, so that prices go on."""
        self._end_excess(self._sessions.values())
        self._rights.put(self._sessions.values())

    def _end_excess(self, sessions: Iterable[Session]) -> None:
        """End the newest sockets of users who have more than they may."""
        seen: Counter[str] = Counter()
        for session in list(sessions):
            identity = session.identity
            seen[identity.user] += 1
            limit = self._limit(identity)
            if limit and seen[identity.user] > limit:
                session.socket.disconnect(CloseCode.CONNECTION_LIMIT)

    async def drain(self, budget_s: float) -> None:
        """Let nobody in, tell everybody when to come back, write what is left, and close within the budget."""
        self.draining = True
        self._services.registry.flush()
        spread_s = max(2.0, len(self._sessions) / 500)
        for session in self.sessions:
            wait_s = round(random.uniform(0.5, spread_s), 1)  # noqa: S311 - spreads load, guards nothing
            session.send(messages.Shutdown(reconnect_after=wait_s))
            session.socket.disconnect(CloseCode.SHUTDOWN)
        try:
            async with asyncio.timeout(budget_s):
                await self._empty.wait()
        except TimeoutError:
            log.warning("drain.unfinished", extra={"connections": len(self._sessions)})


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"))


def _channels(scope: Scope) -> list[str]:
    """What `?channels=market:RELIANCE,signals:generated` asks to hear from the start."""
    return [name.strip() for part in _query(scope).get("channels", ()) for name in part.split(",") if name.strip()]


def _language(headers: dict[bytes, str]) -> str:
    return language_of(headers.get(b"accept-language"))


def _negotiate(offered: list[str]) -> tuple[Codec, str | None]:
    for name in offered:
        if name in CODECS:
            return CODECS[name], name
    return JSON, None
