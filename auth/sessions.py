"""Sessions: logins that last, each with one refresh token at a time and the access tokens that came of it.

Every refresh makes the session's next generation, and only the newest refresh token is good. An older one has been
copied: either its thief or its owner comes second, nobody can tell which, so the whole session ends. What ends a
session revokes it by its id in the same transaction, and with it the access tokens and sockets that carry its id.
"""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.account import credentials_of
from auth.identity import Plan, Role
from auth.refresh_tokens import RefreshClaims, RefreshTokens
from auth.refusals import Reason, TokenRefused
from auth.revocations import Revocation, Revocations
from auth.tokens import LEEWAY_S, TokenIssuer
from auth.transactions import reading, writing
from schemas.tables import accounts, sessions

log = logging.getLogger("tickhub.auth.sessions")

MAX_SESSIONS = 50
"""How many a user may have; the next login ends the one that was used longest ago."""

_ACTIVE = "active"
_ID = re.compile(r"s_[0-9a-f]{24}")
_MAX_USER_AGENT = 256
_MAX_ADDRESS = 45


class Bearer(Protocol):
    """What is asked of an account."""

    @property
    def id(self) -> str:
        """The user."""

    @property
    def plan(self) -> str:
        """The plan as it is now."""

    @property
    def role(self) -> str:
        """The role as it is now."""

    @property
    def status(self) -> str:
        """`active`, or a word for why not."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a login or a refresh gives. `revocations` is of the sessions that ended for it, to be announced."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token lives."""
    refresh_expires_in: int
    """Seconds that the refresh token lives, and with it the session, unless it is refreshed."""
    session: str
    user: str
    revocations: Sequence[Revocation] = ()

    def __repr__(self) -> str:
        return f"Tokens(session={self.session!r}, user={self.user!r})"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session that lives. Times are Unix seconds."""

    id: str
    created_at: int
    last_used_at: int
    expires_at: int
    user_agent: str
    address: str


class RefreshReused(TokenRefused):
    """A refresh token came a second time; its session has ended, and `revocations` are to be announced."""

    def __init__(self, user: str, session: str, revocations: Sequence[Revocation]) -> None:
        super().__init__(Reason.REUSED)
        self.user = user
        self.session = session
        self.revocations = revocations


class Sessions:
    """The sessions of all users with an account here.

    Everything raises Unavailable where the database fails. Cancelling is safe, but a refresh that is cancelled may have
    used up its token; who cancels it logs in again.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        access: TokenIssuer,
        refresh: RefreshTokens,
        revocations: Revocations,
        account_of: Callable[[str], Awaitable[Bearer | None]],
        language_of: Callable[[str], Awaitable[str | None]],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._access = access
        self._refresh = refresh
        self._revocations = revocations
        self._account_of = account_of
        self._language_of = language_of
        self._wall = wall

    async def start(self, user_id: str, *, credentials: str, user_agent: str, address: str) -> Tokens:
        """A new session of a user who has proved to be that.

        `credentials` are the account's when the proof was begun. Raises TokenRefused where the account is not active,
        or has had another password since: whoever proved to know the old one is too late.
        """
        now = int(self._wall())
        account = await self._active(user_id)
        language = await self._language_of(user_id)
        session = f"s_{secrets.token_hex(12)}"
        row = self._used(now, user_agent, address)
        row |= {"id": session, "user_id": user_id, "generation": 0, "created_at": now}
        async with writing(self._engine) as connection:
            locked = await _lock_account(connection, user_id)
            if locked is None or locked[0] != _ACTIVE:  # disabled since it was looked up
                raise TokenRefused(Reason.DISABLED)
            if locked[1] != credentials:
                raise TokenRefused(Reason.ENDED)
            surplus = await _surplus(connection, user_id, now)
            ended = await self._end(connection, "limit", sessions.c.id.in_(surplus)) if surplus else []
            await connection.execute(insert(sessions).values(row))
        return self._tokens(account, language, session, generation=0, issued_at=now, revocations=ended)

    async def refresh(self, token: str, *, user_agent: str, address: str) -> Tokens:
        """The next tokens of a session, for the newest of its refresh tokens, which is used up.

        Raises RefreshReused for an older one, having ended the session; of two who come with one token at the same
        moment the second has come too late as well. Raises TokenRefused for a session that has ended, is too old or
        was never, and for an account that is not active.
        """
        claims = self._refresh.read(token)
        now = int(self._wall())
        account = await self._active(claims.user)
        language = await self._language_of(claims.user)
        row = self._used(now, user_agent, address)
        refused: TokenRefused | None = None
        async with writing(self._engine) as connection:
            if not await _advance(connection, claims, now, row):
                refused = await self._refusal(connection, claims, now)
        if refused is not None:  # raised only now that what it ended is committed
            if isinstance(refused, RefreshReused):
                log.warning("session.reused", extra={"user": refused.user, "session": refused.session})
            raise refused
        return self._tokens(account, language, claims.session, generation=claims.generation + 1, issued_at=now)

    async def end(self, session_id: str, user_id: str, reason: str) -> list[Revocation]:
        """End a user's session; what is to be announced, nothing where the user has no such session that lives.

        `reason` is a word of at most 16 letters.
        """
        if not _ID.fullmatch(session_id):
            return []
        async with writing(self._engine) as connection:
            return await self._end(connection, reason, sessions.c.id == session_id, sessions.c.user_id == user_id)

    def whose(self, refresh_token: str) -> tuple[str, str]:
        """User and session of a refresh token, of whichever generation. Raises TokenRefused for what is none."""
        claims = self._refresh.read(refresh_token)
        return claims.user, claims.session

    async def end_all(self, user_id: str, reason: str, except_session: str | None = None) -> list[Revocation]:
        """End all of a user's sessions, or all but one; what is to be announced. `token_id` is the session's id."""
        conditions = [sessions.c.user_id == user_id]
        if except_session is not None:
            conditions.append(sessions.c.id != except_session)
        async with writing(self._engine) as connection:
            await _lock_account(connection, user_id)
            return await self._end(connection, reason, *conditions)

    async def listed(self, user_id: str) -> list[Session]:
        """The user's sessions that live, the one used last first."""
        order = (sessions.c.last_used_at.desc(), sessions.c.id)
        query = select(*(sessions.c[name] for name in Session.__struct_fields__))
        query = query.where(*_living(user_id, int(self._wall()))).order_by(*order)
        async with reading(self._engine) as connection:
            return [Session(**row) for row in (await connection.execute(query)).mappings()]

    async def purge(self) -> int:
        """Forget the sessions whose time is up; how many."""
        old = delete(sessions).where(sessions.c.expires_at <= int(self._wall()) - LEEWAY_S)
        async with writing(self._engine) as connection:
            return (await connection.execute(old)).rowcount

    async def _active(self, user_id: str) -> Bearer:
        account = await self._account_of(user_id)
        if account is None:
            raise TokenRefused(Reason.ENDED)
        if account.status != _ACTIVE:
            raise TokenRefused(Reason.DISABLED)
        return account

    def _used(self, now: int, user_agent: str, address: str) -> dict[str, str | int]:
        """What a session's row says of its use at this moment."""
        return {
            "last_used_at": now,
            "expires_at": now + self._refresh.expires_in_s,
            "user_agent": user_agent.replace("\0", "")[:_MAX_USER_AGENT],
            "address": address[:_MAX_ADDRESS],
        }

    def _tokens(
        self,
        account: Bearer,
        language: str | None,
        session: str,
        *,
        generation: int,
        issued_at: int,
        revocations: Sequence[Revocation] = (),
    ) -> Tokens:
        """The tokens of one generation. `issued_at` is from before the account was read: later changes count."""
        plan, role = Plan(account.plan), Role(account.role)
        return Tokens(
            access_token=self._access.issue(
                account.id, plan, role, session=session, language=language, issued_at=issued_at
            ),
            refresh_token=self._refresh.issue(account.id, session, generation),
            expires_in=int(self._access.expires_in_s),
            refresh_expires_in=self._refresh.expires_in_s,
            session=session,
            user=account.id,
            revocations=revocations,
        )

    async def _refusal(self, connection: AsyncConnection, claims: RefreshClaims, now: int) -> TokenRefused:
        """Why the session's generation could not be counted on; where that is reuse, the session is ended."""
        its = (sessions.c.id == claims.session, sessions.c.user_id == claims.user)
        found = (await connection.execute(select(sessions).where(*its))).first()
        if found is None or found.ended_at is not None:
            return TokenRefused(Reason.ENDED)
        if found.expires_at <= now:
            return TokenRefused(Reason.EXPIRED)
        if found.generation < claims.generation:  # the database was restored from a time before the token
            return TokenRefused(Reason.ENDED)
        ended = await self._end(connection, "reused", *its)
        if not ended:  # somebody else was faster
            return TokenRefused(Reason.ENDED)
        return RefreshReused(claims.user, claims.session, ended)

    async def _end(
        self, connection: AsyncConnection, reason: str, *conditions: ColumnElement[bool]
    ) -> list[Revocation]:
        now = int(self._wall())
        ending = update(sessions).where(sessions.c.ended_at.is_(None), *conditions)
        ending = ending.values(ended_at=now, end_reason=reason)
        ids = (await connection.execute(ending.returning(sessions.c.id))).scalars().all()
        until = now + int(self._access.expires_in_s) + LEEWAY_S
        revocations = [Revocation(token_id=one, expires_at=until) for one in ids]
        await self._revocations.write(connection, revocations)
        return revocations


def _living(user_id: str, now: int) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > now


async def _lock_account(connection: AsyncConnection, user_id: str) -> tuple[str, str] | None:
    """The account's status and credentials, which stay so until the transaction ends.

    Nor do two count a user's sessions at once.
    """
    columns = (accounts.c.status, accounts.c.password_hash)
    query = select(*columns).where(accounts.c.id == user_id).with_for_update(key_share=True)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.status, credentials_of(row.password_hash))


async def _surplus(connection: AsyncConnection, user_id: str, now: int) -> Sequence[str]:
    """The sessions that must end to make room for one more."""
    newest_first = (sessions.c.last_used_at.desc(), sessions.c.created_at.desc(), sessions.c.id)
    query = select(sessions.c.id).where(*_living(user_id, now)).order_by(*newest_first).offset(MAX_SESSIONS - 1)
    return (await connection.execute(query)).scalars().all()


async def _advance(connection: AsyncConnection, claims: RefreshClaims, now: int, row: dict[str, str | int]) -> bool:
    """Make the session's next generation, if the token is of its newest and the session lives."""
    statement = (
        update(sessions)
        .where(*_living(claims.user, now), sessions.c.id == claims.session)
        .where(sessions.c.generation == claims.generation)
        .values(row | {"generation": claims.generation + 1})
    )
    return (await connection.execute(statement)).rowcount == 1
