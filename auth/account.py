"""What an account is, and what may be asked of accounts: the values that `Accounts` takes and gives."""

import hashlib
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Row

from auth.identity import Plan, Role
from schemas.tables import accounts

_NAMES = tuple(column.name for column in accounts.columns)


class Status(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person who logs in here. Times are Unix seconds; `plan` and `role` are those of tokens to come."""

    id: str
    email: str
    email_verified: bool
    name: str
    phone: str | None
    phone_verified: bool
    plan: Plan
    role: Role
    status: Status
    created_at: int
    updated_at: int
    last_login_at: int | None
    two_factor: bool
    has_password: bool
    credentials: str
    """Stands for the password without telling it: another one after each change."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are looked for, and which part of them. `q` is a part of the mail address or name, in any case.

    `sort` is created_at, email, name, plan (from the least to the most) or last_login_at; who never logged in is last.
    """

    q: str | None = None
    plan: Plan | None = None
    role: Role | None = None
    status: Status | None = None
    verified: bool | None = None
    sort: str = "created_at"
    descending: bool = False
    limit: int = 50
    offset: int = 0


class AccountStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many accounts there are. Every plan, role and status is named, and may have none."""

    total: int
    plans: dict[str, int]
    roles: dict[str, int]
    statuses: dict[str, int]
    verified: int
    two_factor: int
    registered: int


def credentials_of(password_hash: str | None) -> str:
    """What stands for a password; the hash itself goes nowhere."""
    return hashlib.sha256((password_hash or "").encode()).hexdigest()[:16]


def account_of(row: Row[Any]) -> Account:
    """A whole row of the table `accounts`."""
    known = dict(zip(_NAMES, row, strict=True))  # a row's own attributes take more than twice as long
    return Account(
        id=known["id"],
        email=known["email"],
        email_verified=known["email_verified_at"] is not None,
        name=known["name"],
        phone=known["phone"],
        phone_verified=known["phone_verified_at"] is not None,
        plan=Plan(known["plan"]),
        role=Role(known["role"]),
        status=Status(known["status"]),
        created_at=known["created_at"],
        updated_at=known["updated_at"],
        last_login_at=known["last_login_at"],
        two_factor=known["totp_enabled_at"] is not None,
        has_password=known["password_hash"] is not None,
        credentials=credentials_of(known["password_hash"]),
    )


def statistics_of(rows: list[Row[Any]]) -> AccountStatistics:
    """Rows of counts, one for each plan, role and status that there are."""

    def by(column: str, kinds: type[StrEnum]) -> dict[str, int]:
        return {str(kind): sum(row.total for row in rows if getattr(row, column) == kind) for kind in kinds}

    return AccountStatistics(
        total=sum(row.total for row in rows),
        plans=by("plan", Plan),
        roles=by("role", Role),
        statuses=by("status", Status),
        verified=sum(row.verified for row in rows),
        two_factor=sum(row.two_factor for row in rows),
        registered=sum(row.registered for row in rows),
    )
