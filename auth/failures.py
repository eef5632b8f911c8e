"""What the audit trail and the logins know about somebody who failed to log in."""

from collections.abc import Callable
from typing import Protocol

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.identity import Role
from auth.risk import WINDOW_S, LoginFacts
from auth.transactions import reading
from schemas.tables import audit, sessions

ACTIONS = ("login.failed", "password.refused", "two_factor.refused")
"""The events that are proofs which were not good; their actor is the account that was tried, where it exists."""
ENOUGH = 10
"""Failures beyond these change no risk."""
MOST_LOOKED_AT = 2000
"""Failures of the last minutes among which an address's are looked for, the newest first; thousands are an attack."""


class Tried(Protocol):
    """The account that was tried."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def role(self) -> Role:
        """What it may."""


class Failures:
    """Asks for the facts behind the risk of a failed login."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    async def facts(
        self, account: Tried | None, *, address: str, user_agent: str, second_factor: bool | None = None
    ) -> LoginFacts:
        """The facts as they stand before this failure is recorded; None for an account that doesn't exist.

        One query along indexes, of bounded cost. Raises Unavailable; cancelling is safe.
        """
        since_ms = int((self._wall() - WINDOW_S) * 1000)
        user = "" if account is None else account.id
        query = select(
            _of_account(user, since_ms),
            _from_address(address, since_ms),
            _used(user, sessions.c.address == address),
            _used(user, sessions.c.user_agent == user_agent),
        )
        async with reading(self._engine) as connection:
            on_account, from_address, known_address, known_agent = (await connection.execute(query)).one()
        return LoginFacts(
            account_failures=on_account,
            address_failures=from_address,
            account_exists=account is not None,
            admin=account is not None and account.role is Role.ADMIN,
            second_factor=second_factor,
            known_address=known_address,
            known_agent=known_agent,
        )


def _of_account(user: str, since_ms: int) -> ScalarSelect[int]:
    rows = audit.c
    failed = select(rows.id).where(rows.actor == user, rows.at_ms >= since_ms, rows.action.in_(ACTIONS)).limit(ENOUGH)
    return select(func.count()).select_from(failed.subquery()).scalar_subquery()


def _from_address(address: str, since_ms: int) -> ScalarSelect[int]:
    rows = audit.c
    recent = select(rows.address).where(rows.action.in_(ACTIONS), rows.at_ms >= since_ms)
    newest = recent.order_by(rows.at_ms.desc()).limit(MOST_LOOKED_AT).subquery()
    return select(func.count()).select_from(newest).where(newest.c.address == address).scalar_subquery()


def _used(user: str, how: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(sessions.c.id).where(sessions.c.user_id == user, how))
