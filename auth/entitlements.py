"""Changes of users' plans and roles: kept in the database, known to every process by heart, told on at once.

A token says what its bearer was entitled to when it was issued. What has been changed since stands here and counts
over it, so that an upgrade or a dismissal waits for no new token; over what somebody else's login says, always.
"""

import time
from collections.abc import Callable

import msgspec
from msgspec import structs
from sqlalchemy import ColumnElement, RowMapping, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.identity import Identity, Plan, Role
from auth.journal import Journal
from auth.tokens import LEEWAY_S
from schemas.tables import entitlements


class Entitlement(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="entitlement"):
    """What a user has been entitled to since a time (Unix seconds). Of one user's, the one with the largest id counts.

    `by` is the administrator's id.
    """

    id: int
    user: str
    plan: Plan
    role: Role
    changed_at: int
    by: str

    def applied_to(self, identity: Identity) -> Identity:
        """The bearer as entitled since; unchanged where the token is another's, or newer and so knows better.

        For a moment the token doesn't: it may come from a machine whose clock is ahead, or have been issued by what was
        read just before the change. A foreign one never does. No API key becomes an administrator's.
        """
        knows_better = not identity.foreign and identity.issued_at > self.changed_at + LEEWAY_S
        if identity.user != self.user or knows_better:
            return identity
        role = Role.PUBLISHER if identity.scopes is not None and self.role is Role.ADMIN else self.role
        if (identity.plan, identity.role) == (self.plan, role):
            return identity
        return structs.replace(identity, plan=self.plan, role=role)


class Entitlements(Journal[Entitlement]):
    """Who has been entitled to what, with an account here or not."""

    table = entitlements
    subject = "user_id"
    order = "id"

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(engine, clock=clock)
        self._users: dict[str, Entitlement] = {}

    def applied_to(self, identity: Identity) -> Identity:
        """The bearer with the plan and role that count by now."""
        entitlement = self._users.get(identity.user)
        return identity if entitlement is None else entitlement.applied_to(identity)

    def of(self, user: str) -> tuple[Plan, Role] | None:
        """What a user was last entitled to, as far as this process has heard; None for nothing."""
        entitlement = self._users.get(user)
        return None if entitlement is None else (entitlement.plan, entitlement.role)

    async def grant(
        self, user: str, plan: Plan, role: Role, by: str, *, connection: AsyncConnection | None = None
    ) -> Entitlement:
        """Entitle a user: committed first, then known here, then answered with, to be announced.

        With a connection it is inserted in the caller's transaction and known to nobody yet: once that is committed,
        the caller announces it. Where two do so at once, whoever locks the account's row first must also insert first.

        Raises Unavailable where the database fails; then nothing has changed, as far as this process knows.
        """
        changed_at = int(self._clock())
        row = {"user_id": user, "plan": plan, "role": role, "changed_at": changed_at, "changed_by": by}
        (number,) = await self._add([row], connection)
        entitlement = Entitlement(id=number, user=user, plan=plan, role=role, changed_at=changed_at, by=by)
        if connection is None:
            self.apply(entitlement)
        return entitlement

    def _learn(self, entitlement: Entitlement) -> bool:
        known = self._users.get(entitlement.user)
        if known is not None and known.id >= entitlement.id:
            return False
        self._users[entitlement.user] = entitlement
        return True

    def _entry(self, row: RowMapping) -> Entitlement:
        return Entitlement(
            id=row["id"],
            user=row["user_id"],
            plan=Plan(row["plan"]),
            role=Role(row["role"]),
            changed_at=row["changed_at"],
            by=row["changed_by"],
        )

    def _counts(self) -> ColumnElement[bool]:
        return true()
