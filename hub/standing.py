"""Who somebody is by now: tokens, tickets and keys, less what was revoked, with what was granted since.

What changes is told to every instance at once over the control channel, and a poll each second makes a lost message
harmless. Open sockets end or get their new rights then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NoReturn

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.api_keys import KEY_PREFIX
from auth.entitlements import Entitlement, Entitlements
from auth.identity import Identity, Role
from auth.journal import Journal
from auth.refusals import Reason, TokenRefused
from auth.revocations import Revocation, Revocations
from auth.tickets import Tickets
from auth.tokens import TokenVerifier
from channels.broker import Broker
from channels.channel import Channel
from channels.namespace import CONTROL
from channels.registry import Registry
from channels.shape import Update
from hub import database
from hub.sockets.connections import Connections
from schemas.durations import Seconds
from schemas.errors import CloseCode, Unavailable

log = logging.getLogger("tickhub.hub.standing")

NEWS = Channel(name="control:standing", namespace=CONTROL)

POLL_S: Seconds = 1.0
"""How often the database is asked for changes of which no message has come."""

PURGE_EVERY = 600
"""Polls between two clearings of what counts no longer."""


class ConfigurationChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="configuration"):
    """An administrator has set a section of the run-time configuration."""

    section: str


News = Revocation | Entitlement | ConfigurationChanged

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(News).decode


class Standing:
    """One instance's judgement of bearers. `run` must run: until it has read the tables once, `verify` waits.

    `keys` says whose an API key is, and raises as `TokenVerifier.verify` does.
    """

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        broker: Broker,
        registry: Registry,
        verifier: TokenVerifier,
        tickets: Tickets,
        keys: Callable[[str], Awaitable[Identity]] | None = None,
    ) -> None:
        self.revocations = Revocations(engine)
        self.entitlements = Entitlements(engine)
        self.on_configuration: list[Callable[[str], None]] = []
        """Called with the section when one has been set, here or elsewhere; must neither wait nor raise."""
        self._journals: tuple[Journal[Any], ...] = (self.revocations, self.entitlements)
        self._engine = engine
        self._broker = broker
        self._registry = registry
        self._verifier = verifier
        self._tickets = tickets
        self._keys = keys
        self._migrated = False
        self._tried = asyncio.Event()
        self._unread: set[Journal[Any]] = set(self._journals)

    # -- who it is ------------------------------------------------------------------------------------------------

    async def verify(self, text: str) -> Identity:
        """The bearer of a token or API key that is good and has not been revoked, with what counts by now.

        Raises TokenRefused, Unavailable.
        """
        if self._keys is not None and text.startswith(KEY_PREFIX):
            return await self._judged(await self._keys(text))
        return await self._judged(await self._verifier.verify(text))

    async def redeem(self, ticket: str) -> Identity:
        """The bearer of a ticket, as `verify`; the ticket is used up."""
        return await self._judged(await self._tickets.redeem(ticket))

    async def _judged(self, identity: Identity) -> Identity:
        """The identity, judged once the tables have been read, or the database turned out to be away.

        Until they have been read, nobody knows who was logged out, whose key is revoked or who was dismissed. Other
        users' tokens are taken all the same, so that prices flow without a database.
        """
        if not self._tried.is_set():
            await self._tried.wait()
        if self.revocations.is_revoked(identity):
            raise TokenRefused(Reason.REVOKED)
        entitled = self.entitlements.applied_to(identity)
        if self._unread and _may_have_ended(entitled):
            raise Unavailable("database", "what was revoked has not been read yet")
        return entitled

    # -- what changes ---------------------------------------------------------------------------------------------

    async def revoke(self, identity: Identity) -> Revocation:
        """Revoke one token, see `revoke_all`. Whoever has a login ends that instead (`auth.sessions`)."""
        revocation = Revocation(token_id=identity.token_id, expires_at=identity.expires_at)
        await self.revoke_all([revocation])
        return revocation

    async def revoke_all(self, revocations: Sequence[Revocation]) -> None:
        """Put revocations in force: in the database, here, and by a message to every other instance.

        The message only rings the bell: an instance that misses it finds the rows within POLL_S. Raises Unavailable
        where they could not be kept; they hold all the same, on every instance that lives.
        """
        try:
            await self.revocations.revoke(revocations)
        finally:
            await self.announce(revocations)

    async def announce(self, revocations: Iterable[Revocation]) -> None:
        """Put revocations in force that have been committed: here at once, and on every other instance."""
        told = list(revocations)
        for revocation in told:
            self.revocations.apply(revocation)
        await self._ring(told)

    async def entitle(self, entitlement: Entitlement) -> None:
        """Put an entitlement in force that has been committed: here at once, and on every other instance."""
        self.entitlements.apply(entitlement)
        await self._ring([entitlement])

    async def announce_configuration(self, section: str) -> None:
        """Have every instance look at a section of the configuration that has been committed; this one too."""
        news = ConfigurationChanged(section)
        self._apply(news)
        await self._ring([news])

    async def _ring(self, news: Sequence[News]) -> None:
        try:
            for one in news:
                await self._broker.publish(NEWS, _encode(one))
        except Unavailable as exc:
            log.warning("standing.unannounced", extra={"what": exc.what, "why": exc.why})

    # -- what is heard --------------------------------------------------------------------------------------------

    async def run(self, connections: Connections) -> NoReturn:
        """Hear and read what changes, and have it reach open sockets, until cancelled."""

        def revoked(revocation: Revocation) -> None:
            connections.disconnect_where(revocation.ends, CloseCode.INVALID_TOKEN)

        def entitled(entitlement: Entitlement) -> None:
            connections.change(entitlement.user, entitlement.applied_to)

        self.revocations.on_news.append(revoked)
        self.entitlements.on_news.append(entitled)
        await self._registry.watch(NEWS, self._hear)
        polls = 0
        while True:
            if await self._migrate():
                for journal in self._journals:
                    await self._read(journal, purge=polls % PURGE_EVERY == PURGE_EVERY - 1)
            self._tried.set()
            polls += 1
            await asyncio.sleep(POLL_S)

    async def _migrate(self) -> bool:
        """Bring the tables up to date, once; whether they are."""
        if not self._migrated:
            try:
                await database.migrate(self._engine)
                self._migrated = True
            except Unavailable as exc:
                log.warning("standing.without_database", extra={"what": exc.what, "why": exc.why})
        return self._migrated

    async def _read(self, journal: Journal[Any], *, purge: bool) -> None:
        try:
            await journal.poll()
            self._unread.discard(journal)
            if purge:
                await journal.purge()
        except Unavailable as exc:
            log.warning("standing.unread", extra={"table": journal.table.name, "what": exc.what, "why": exc.why})

    def _hear(self, update: Update) -> None:
        try:
            news = _decode(update.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            log.warning("standing.unreadable")  # of another release
            return
        self._apply(news)

    def _apply(self, news: News) -> None:
        match news:
            case Revocation():
                self.revocations.apply(news)
            case Entitlement():
                self.entitlements.apply(news)
            case ConfigurationChanged():
                for listener in self.on_configuration:
                    listener(news.section)


def _may_have_ended(identity: Identity) -> bool:
    """Whether the bearer comes by a login or a key, or has rights that can be taken away from one day to the next."""
    return identity.session is not None or identity.scopes is not None or identity.role is not Role.USER
