"""Revoked tokens, logins and API keys: kept in the database, known to every process by heart, told on at once."""

import time
from collections.abc import Callable, Iterable, Sequence

import msgspec
from sqlalchemy import ColumnElement, RowMapping, or_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.identity import Identity
from auth.journal import Journal
from auth.tokens import LEEWAY_S
from schemas.errors import Unavailable
from schemas.tables import revocations


class Revocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="revocation"):
    """One token, login or API key by its id (`token_id`, until `expires_at`), or all tokens that a user was given.

    Of a user it is what was issued at or before `issued_before`, for good; but neither logins nor keys, which are
    revoked one by one: times of issue are whole seconds, and somebody may log in again within the same.
    """

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
            return self.token_id in (identity.token_id, identity.session)
        return _alone(identity) and identity.user == self.user and identity.issued_at <= (self.issued_before or 0)


class NotDurable(Unavailable):
    """Revocations hold in this process, but the database did not take them; announcing them is still right."""

    def __init__(self, why: str, revocations: Sequence[Revocation]) -> None:
        super().__init__("database", why)
        self.revocations = tuple(revocations)


class Revocations(Journal[Revocation]):
    """What is revoked."""

    table = revocations
    subject = "user_id"
    order = "issued_before"

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(engine, clock=clock)
        self._ids: dict[str, int] = {}
        self._users: dict[str, int] = {}

    def is_revoked(self, identity: Identity) -> bool:
        """Whether the bearer's token, its login or its key has been revoked, as far as this process has heard."""
        if identity.token_id in self._ids or identity.session in self._ids:
            return True
        issued_before = self._users.get(identity.user)
        return issued_before is not None and identity.issued_at <= issued_before and _alone(identity)

    async def revoke(self, revoked: Sequence[Revocation]) -> None:
        """Put revocations in force: committed first, all or none of them, then known here.

        Raises NotDurable where the database fails; they then hold in this process until they end.
        """
        try:
            await self._add([self._row(one) for one in revoked], None)
        except Unavailable as exc:
            raise NotDurable(exc.why, revoked) from exc
        finally:
            for one in revoked:
                self.apply(one)  # also where it failed or was cancelled: what might be revoked is

    async def write(self, connection: AsyncConnection, revoked: Iterable[Revocation]) -> None:
        """Insert them in the caller's transaction. Once that is committed, the caller applies and announces them."""
        await self._add([self._row(one) for one in revoked], connection)

    async def purge(self) -> None:
        """Forget what has ended anyway, and what a later revocation of the same user covers."""
        ended = self._ended_at()
        self._ids = {one: expires_at for one, expires_at in self._ids.items() if expires_at > ended}
        await super().purge()

    def _row(self, revocation: Revocation) -> dict[str, str | int | None]:
        return {
            "token_id": revocation.token_id,
            "user_id": revocation.user,
            "issued_before": revocation.issued_before,
            "expires_at": revocation.expires_at,
            "created_at": int(self._clock()),
        }

    def _entry(self, row: RowMapping) -> Revocation:
        return Revocation(
            token_id=row["token_id"],
            user=row["user_id"],
            issued_before=row["issued_before"],
            expires_at=row["expires_at"],
        )

    def _counts(self) -> ColumnElement[bool]:
        return or_(revocations.c.expires_at.is_(None), revocations.c.expires_at > self._ended_at())

    def _ended_at(self) -> int:
        """A token whose time was up by then is refused everywhere, whatever the clocks say."""
        return int(self._clock()) - 2 * LEEWAY_S

    def _learn(self, revocation: Revocation) -> bool:
        if revocation.token_id is not None and revocation.expires_at is not None:
            known = revocation.token_id in self._ids
            self._ids[revocation.token_id] = max(revocation.expires_at, self._ids.get(revocation.token_id, 0))
            return not known
        if revocation.user is not None and revocation.issued_before is not None:
            known_before = self._users.get(revocation.user, -1)
            self._users[revocation.user] = max(revocation.issued_before, known_before)
            return revocation.issued_before > known_before
        return False


def _alone(identity: Identity) -> bool:
    """Whether a token belongs to no login and is no key, so that only its own id or its user can revoke it."""
    return identity.session is None and identity.scopes is None
