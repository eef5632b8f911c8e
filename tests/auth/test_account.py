"""An account is read from its row, and counts are added up over all plans, roles and states."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.account import Status, account_of, statistics_of
from auth.identity import Plan, Role
from schemas.tables import accounts
from tests.auth.conftest import NOW


class Group(NamedTuple):
    """A row of counts."""

    plan: str
    role: str
    status: str
    total: int
    verified: int
    two_factor: int
    registered: int


def counted(*groups: Group) -> Any:
    rows: Sequence[Any] = groups
    return statistics_of(list(rows))


async def test_a_row_says_what_is_proved_by_when_it_was(engine: AsyncEngine) -> None:
    row = {
        "id": "u_aaaaaaaaaaaaaaaa", "email": "Asha@example.com", "email_key": "asha@example.com", "name": "Asha",
        "email_verified_at": NOW, "phone": "+919876543210", "password_hash": None, "plan": "pro", "role": "admin",
        "status": "disabled", "created_at": NOW, "updated_at": NOW + 1,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(accounts).values(row))
        account = account_of((await connection.execute(select(accounts))).one())
    assert (account.email, account.name, account.phone) == ("Asha@example.com", "Asha", "+919876543210")
    assert (account.plan, account.role, account.status) == (Plan.PRO, Role.ADMIN, Status.DISABLED)
    assert (account.email_verified, account.phone_verified) == (True, False)
    assert (account.two_factor, account.has_password) == (False, False)
    assert (account.created_at, account.updated_at, account.last_login_at) == (NOW, NOW + 1, None)


def test_nobody_is_counted_under_every_name() -> None:
    nobody = counted()
    assert nobody.plans == {"free": 0, "basic": 0, "pro": 0, "enterprise": 0}
    assert nobody.roles == {"user": 0, "publisher": 0, "admin": 0}
    assert nobody.statuses == {"active": 0, "disabled": 0}
    assert (nobody.total, nobody.verified, nobody.two_factor, nobody.registered) == (0, 0, 0, 0)


def test_groups_are_added_up() -> None:
    told = counted(Group("pro", "user", "active", 5, 4, 3, 2), Group("pro", "admin", "disabled", 1, 1, 1, 0))
    assert (told.total, told.verified, told.two_factor, told.registered) == (6, 5, 4, 2)
    assert (told.plans["pro"], told.roles["user"], told.statuses["disabled"]) == (6, 5, 1)
