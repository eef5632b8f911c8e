"""Revoked tokens: kept in the database, known to every process by heart, told on at once.

Whether a token is revoked is asked for every connection and command, so the answer is a look-up in memory. What other
processes revoke arrives twice: over the hub's control channel (`apply`), and by reading the table again (`poll`).
"""

import asyncio
import time
from collections.abc import Callable

import msgspec
from sqlalchemy import RowMapping, and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.identity import Identity
from auth.tokens import LEEWAY_S
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.storage import database_errors
from schemas.tables import revocations

TIMEOUT_S = 5.0
OVERLAP = 256
"""How many ids a poll reads again: PostgreSQL hands ids out in order, but commits may come in another."""

_PAGE = 5000


class Revocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="revocation"):
    """One token (`token_id`, until `expires_at`), or all of a user's issued at or before `issued_before`, for good."""

    token_id: str | None = None
    user: str | None = None
    issued_before: int | None = None
    expires_at: int | None = None

    def __post_init__(self) -> None:
        of_token = self.token_id is not None and self.expires_at is not None
        of_user = self.user is not None and self.issued_before is not None
        if of_token == of_user:
            raise ValueError("a revocation is of one token with its end, or of one user with a time")

    def ends(self, identity: Identity) -> bool:
        """Whether the bearer's token is revoked by this."""
        if self.token_id is not None:
            return identity.token_id == self.token_id
        return identity.user == self.user and identity.issued_at <= (self.issued_before or 0)


class NotDurable(Unavailable):
    """A revocation holds in this process, but the database did not take it; announcing it is still right."""

    def __init__(self, why: str, revocation: Revocation) -> None:
        super().__init__("database", why)
        self.revocation = revocation


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Revocation).decode


def encode_revocation(revocation: Revocation) -> bytes:
    """A revocation as a payload for the control channel: `{"kind":"revocation",…}`."""
    return _encode(revocation)


def decode_revocation(payload: bytes) -> Revocation:
    """The inverse of `encode_revocation`. Raises ValueError for anything else."""
    try:
        return _decode(payload)
    except RecursionError as exc:
        raise ValueError("no revocation") from exc


class Revocations:
    """What is revoked. Without an engine it is known in this process only, and gone with it.

    Nothing but `is_revoked`, `apply` and the listeners touches memory alone; all else raises Unavailable where the
    database fails, and is safe to cancel.
    """

    def __init__(self, engine: AsyncEngine | None, *, clock: Callable[[], float] = time.time) -> None:
        self.on_revoked: list[Callable[[Revocation], None]] = []
        """Called once with every revocation that is news to this process; must neither wait nor raise."""
        self._engine = engine
        self._clock = clock
        self._tokens: dict[str, int] = {}
        self._users: dict[str, int] = {}
        self._last_id = 0

    def is_revoked(self, identity: Identity) -> bool:
        """Whether the bearer's token has been revoked, as far as this process has heard."""
        if identity.token_id in self._tokens:
            return True
        issued_before = self._users.get(identity.user)
        return issued_before is not None and identity.issued_at <= issued_before

    async def revoke_token(self, identity: Identity) -> Revocation:
        """Revoke the bearer's token: committed first, then known here, then answered with, to be announced.

        Raises NotDurable where the database fails; the revocation then holds in this process until it ends.
        """
        return await self._revoke(Revocation(token_id=identity.token_id, expires_at=identity.expires_at))

    async def revoke_user(self, user: str, at: Seconds) -> Revocation:
        """Revoke all tokens that the user was given at or before a time (Unix seconds), as `revoke_token` does.

        Times of issue are whole seconds, so a token of the same second ends too.
        """
        return await self._revoke(Revocation(user=user, issued_before=int(at)))

    def apply(self, revocation: Revocation) -> bool:
        """Know a revocation that was committed elsewhere; says whether it is news. May be called many times."""
        if not self._learn(revocation):
            return False
        for listener in self.on_revoked:
            listener(revocation)
        return True

    async def load(self) -> None:
        """Read the whole list; what was known before is kept."""
        self._last_id = 0
        await self.poll()

    async def poll(self) -> None:
        """Read what has been added since, and know it."""
        if self._engine is None:
            return
        after = max(0, self._last_id - OVERLAP)
        while rows := await self._read(self._engine, after):
            for row in rows:
                self.apply(_revocation(row))
            after = rows[-1]["id"]
            self._last_id = max(self._last_id, after)
            if len(rows) < _PAGE:
                return

    async def purge(self) -> None:
        """Forget tokens that have ended anyway, and what a later revocation of the same user covers."""
        ended = self._ended_at()
        self._tokens = {token: expires_at for token, expires_at in self._tokens.items() if expires_at > ended}
        if self._engine is None:
            return
        later = revocations.alias("later")
        covered = (
            select(later.c.id)
            .where(
                later.c.user_id == revocations.c.user_id,
                or_(
                    later.c.issued_before > revocations.c.issued_before,
                    and_(later.c.issued_before == revocations.c.issued_before, later.c.id > revocations.c.id),
                ),
            )
            .exists()
        )
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._engine.begin() as connection:
                await connection.execute(delete(revocations).where(revocations.c.expires_at <= ended))
                await connection.execute(delete(revocations).where(covered))

    async def _revoke(self, revocation: Revocation) -> Revocation:
        try:
            if self._engine is not None:
                await self._insert(self._engine, revocation)
        except Unavailable as exc:
            raise NotDurable(exc.why, revocation) from exc
        finally:
            self.apply(revocation)  # also where it failed or was cancelled: what might be revoked is
        return revocation

    async def _insert(self, engine: AsyncEngine, revocation: Revocation) -> None:
        values = {
            "token_id": revocation.token_id,
            "user_id": revocation.user,
            "issued_before": revocation.issued_before,
            "expires_at": revocation.expires_at,
            "created_at": int(self._clock()),
        }
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), engine.begin() as connection:
                await connection.execute(insert(revocations).values(values))

    async def _read(self, engine: AsyncEngine, after: int) -> list[RowMapping]:
        rows = revocations.c
        query = (
            select(revocations)
            .where(rows.id > after, or_(rows.expires_at.is_(None), rows.expires_at > self._ended_at()))
            .order_by(rows.id)
            .limit(_PAGE)
        )
        with database_errors():
            reading = engine.execution_options(sqlite_begin="DEFERRED")
            async with asyncio.timeout(TIMEOUT_S), reading.connect() as connection:
                return list((await connection.execute(query)).mappings())

    def _ended_at(self) -> int:
        """A token whose time was up by then is refused everywhere, whatever the clocks say."""
        return int(self._clock()) - 2 * LEEWAY_S

    def _learn(self, revocation: Revocation) -> bool:
        if revocation.token_id is not None and revocation.expires_at is not None:
            known = revocation.token_id in self._tokens
            self._tokens[revocation.token_id] = max(revocation.expires_at, self._tokens.get(revocation.token_id, 0))
            return not known
        if revocation.user is not None and revocation.issued_before is not None:
            known_before = self._users.get(revocation.user, -1)
            self._users[revocation.user] = max(revocation.issued_before, known_before)
            return revocation.issued_before > known_before
        return False


def _revocation(row: RowMapping) -> Revocation:
    return Revocation(
        token_id=row["token_id"],
        user=row["user_id"],
        issued_before=row["issued_before"],
        expires_at=row["expires_at"],
    )
