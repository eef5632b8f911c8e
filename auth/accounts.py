"""People who log in here, and whom somebody else's login knows them as."""

import base64
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import UNSET, UnsetType, structs
from sqlalchemy import ColumnElement, Row, Select, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.account import Account, AccountStatistics, Status, Wanted, account_of, credentials_of, statistics_of
from auth.addresses import read_email, read_name, read_phone
from auth.identity import Plan, Role, is_account_id
from auth.passwords import Passwords, check_password
from auth.permissions import PLAN_RANK
from auth.transactions import ConstraintBroken, reading, writing
from schemas.errors import CommandError, ErrorCode
from schemas.tables import accounts, api_keys, foreign_logins, preferences, push_subscriptions, webhook_endpoints

MAX_TEXT = 255
"""Characters of what is looked for, of an issuer, and of a subject, which in OpenID Connect has no more either."""

_OF_USERS = (preferences, push_subscriptions, api_keys, webhook_endpoints)
"""What serves users without an account too, and so refers to none."""

_BY_ID = select(accounts).where(accounts.c.id == bindparam("user_id"))

_SORTS: dict[str, ColumnElement[Any]] = {
    "created_at": accounts.c.created_at,
    "email": accounts.c.email_key,
    "name": func.lower(accounts.c.name),
    "plan": case({str(plan): rank for plan, rank in PLAN_RANK.items()}, value=accounts.c.plan),
    "last_login_at": accounts.c.last_login_at,
}

Within = Callable[[AsyncConnection, Account], Awaitable[None]]
"""Writes more in the transaction of a change, of which it is given what the account is after it."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL can't hold in a text, or UTF-8 can't say."""


class Accounts:
    """The tables `accounts` and `foreign_logins`. Every call raises Unavailable where the database fails.

    An id that can be nobody's here, such as that of a foreign token, has no account. Cancelling is safe.
    """

    def __init__(self, engine: AsyncEngine, *, passwords: Passwords, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._passwords = passwords
        self._wall = wall

    async def create(
        self,
        email: str,
        password: str | None,
        name: str,
        *,
        plan: Plan = Plan.FREE,
        role: Role = Role.USER,
        email_verified: bool = False,
        phone: str | None = None,
    ) -> Account:
        """A new account; without a password its owner comes through someone else's login.

        Raises CommandError BAD_REQUEST for what `check_password` or a function of `auth.addresses` doesn't take,
        CONFLICT where the address has an account in any spelling, even one that was made a moment ago.
        """
        address, name, now = read_email(email), read_name(name), int(self._wall())
        row = {
            "id": _new_id(),
            "email": address.shown,
            "email_key": address.key,
            "email_verified_at": now if email_verified else None,
            "name": name,
            "phone": None if phone is None else read_phone(phone),
            "password_hash": await self._first_hash(password, name, address.key),
            "plan": plan,
            "role": role,
            "status": Status.ACTIVE,
            "created_at": now,
            "updated_at": now,
        }
        try:
            async with writing(self._engine) as connection:
                made = (await connection.execute(insert(accounts).values(row).returning(accounts))).one()
        except ConstraintBroken:
            raise _taken() from None
        return account_of(made)

    async def get(self, user_id: str) -> Account | None:
        """The account of that id."""
        if not is_account_id(user_id):
            return None
        return _maybe(await self._one(_BY_ID, user_id=user_id))

    async def by_email(self, text: str) -> Account | None:
        """The account of that address in any spelling; None for what is no address too."""
        return _maybe(await self._row_of(text))

    async def authenticate(self, email: str, password: str) -> Account | None:
        """The account, where that is its password. A disabled one too: what to say then is the caller's to judge.

        An unknown address, an account without a password and a wrong password take the same work. A hash of older
        parameters is made anew.
        """
        row = await self._row_of(email)
        hashed = None if row is None else row.password_hash
        if not await self._passwords.verify(password, hashed) or row is None or hashed is None:
            return None
        account = account_of(row)
        if self._passwords.outdated(hashed):
            newer = await self._passwords.hash(password)
            if await self._renew_hash(row.id, hashed, newer):
                return structs.replace(account, credentials=credentials_of(newer))
        return account

    async def verify_password(self, user_id: str, password: str) -> bool:
        """Whether that is the account's password, without an account it is not, after the same work."""
        row = await self._one(_BY_ID, user_id=user_id) if is_account_id(user_id) else None
        return await self._passwords.verify(password, None if row is None else row.password_hash)

    async def set_password(self, user_id: str, new: str, *, place: str = "$.password") -> None:
        """Set another password, or a first one. Whether the old one was known is for the caller to have asked.

        Raises CommandError BAD_REQUEST, naming `place`, for one that `check_password` doesn't take; NOT_FOUND.
        """
        account = await self.get(user_id)
        if account is None:
            raise _unknown()
        self.check_password(new, account, place=place)
        if not await self._update(user_id, {"password_hash": await self._passwords.hash(new)}):
            raise _unknown()

    @staticmethod
    def check_password(new: str, account: Account, *, place: str = "$.password") -> None:
        """Let a new password of that account pass. Raises CommandError BAD_REQUEST, naming `place`."""
        check_password(new, about=(account.name, account.email), place=place)

    async def verify_email(self, user_id: str, email_key: str) -> bool:
        """Note that the address has been proved; False where it isn't the account's address any more."""
        verified_at = func.coalesce(accounts.c.email_verified_at, int(self._wall()))
        return _is_storable(email_key) and await self._update(
            user_id, {"email_verified_at": verified_at}, accounts.c.email_key == email_key
        )

    async def verify_phone(self, user_id: str, phone: str) -> bool:
        """Note that the number has been proved; False where it isn't the account's number any more."""
        verified_at = func.coalesce(accounts.c.phone_verified_at, int(self._wall()))
        return _is_storable(phone) and await self._update(
            user_id, {"phone_verified_at": verified_at}, accounts.c.phone == phone
        )

    async def update(
        self,
        user_id: str,
        *,
        name: str | UnsetType = UNSET,
        phone: str | UnsetType | None = UNSET,
        email: str | UnsetType = UNSET,
    ) -> Account:
        """Take over what people change about themselves. A new address or number is unverified; None takes it away.

        Raises CommandError BAD_REQUEST for what is no name, number or address, NOT_FOUND, and CONFLICT for an address
        that has an account already.
        """
        fields: dict[str, Any] = {
            "name": name if name is UNSET else read_name(name),
            "phone": read_phone(phone) if isinstance(phone, str) else phone,
        }
        if email is not UNSET:
            address = read_email(email)
            fields |= {"email": address.shown, "email_key": address.key}
        try:
            _, after = await self._change(user_id, fields)
        except ConstraintBroken:
            raise _taken() from None
        return after

    async def administer(
        self,
        user_id: str,
        *,
        plan: Plan | UnsetType = UNSET,
        role: Role | UnsetType = UNSET,
        status: Status | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        within: Within | None = None,
    ) -> tuple[Account, Account]:
        """Take over what an administrator changes; the account before and after. Raises CommandError NOT_FOUND.

        Telling those who hold tokens is the caller's: nothing here reaches a token. What is written `within` the
        transaction is committed with the change or not at all; the account's row is locked, so changes come in order.
        """
        name = name if name is UNSET else read_name(name)
        return await self._change(user_id, {"plan": plan, "role": role, "status": status, "name": name}, within)

    async def logged_in(self, user_id: str) -> None:
        """Note the time of a login."""
        await self._update(user_id, {"last_login_at": int(self._wall())}, touch=False)

    async def link(self, issuer: str, subject: str, user_id: str) -> None:
        """Let an issuer's subject be this account from now on. May be called twice.

        Raises CommandError CONFLICT where it is another account already, NOT_FOUND where there is no such account,
        BAD_REQUEST for an issuer or subject that can't be kept.
        """
        if not (_is_storable(issuer) and _is_storable(subject)):
            raise CommandError(ErrorCode.BAD_REQUEST, "The login's issuer or subject is too long, or no text")
        row = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": int(self._wall())}
        try:
            async with writing(self._engine) as connection:
                await connection.execute(insert(foreign_logins).values(row))
        except ConstraintBroken:
            present = await self.by_foreign(issuer, subject)
            if present is None:
                raise _unknown() from None
            if present.id != user_id:
                raise CommandError(ErrorCode.CONFLICT, "This login belongs to another account") from None

    async def by_foreign(self, issuer: str, subject: str) -> Account | None:
        """The account that an issuer's subject is."""
        if not (_is_storable(issuer) and _is_storable(subject)):
            return None
        logins = foreign_logins.c
        query = select(accounts).join(foreign_logins).where(logins.issuer == issuer, logins.subject == subject)
        return _maybe(await self._one(query))

    async def find(self, wanted: Wanted) -> tuple[list[Account], int]:
        """That part of the accounts, and how many there are in all. Raises CommandError BAD_REQUEST."""
        conditions = _conditions(wanted)
        query = select(accounts).where(*conditions).order_by(*_order(wanted)).limit(wanted.limit).offset(wanted.offset)
        async with reading(self._engine) as connection:
            total = await connection.scalar(select(func.count()).select_from(accounts).where(*conditions))
            rows = (await connection.execute(query)).all()
        return [account_of(row) for row in rows], total or 0

    async def statistics(self, since: int) -> AccountStatistics:
        """Counts; `registered` are those since a time (Unix seconds). Reads the whole table once."""
        columns = accounts.c
        groups = (columns.plan, columns.role, columns.status)
        query = select(
            *groups,
            func.count().label("total"),
            func.count(columns.email_verified_at).label("verified"),
            func.count(columns.totp_enabled_at).label("two_factor"),
            func.count(case((columns.created_at >= since, 1))).label("registered"),
        ).group_by(*groups)
        async with reading(self._engine) as connection:
            return statistics_of(list((await connection.execute(query)).all()))

    async def delete(self, user_id: str) -> bool:
        """Delete an account and all that hangs on it, the audit trail aside; False where there is none.

        What its owner still holds of tokens and keys is for the caller to revoke.
        """
        if not is_account_id(user_id):
            return False
        async with writing(self._engine) as connection:
            for table in _OF_USERS:
                await connection.execute(delete(table).where(table.c.user_id == user_id))
            return bool((await connection.execute(delete(accounts).where(accounts.c.id == user_id))).rowcount)

    async def _first_hash(self, password: str | None, name: str, address: str) -> str | None:
        if password is None:
            return None
        check_password(password, about=(name, address))
        return await self._passwords.hash(password)

    async def _renew_hash(self, user_id: str, old: str, new: str) -> bool:
        """Whether it was; not where the password was changed meanwhile."""
        return await self._update(user_id, {"password_hash": new}, accounts.c.password_hash == old, touch=False)

    async def _row_of(self, email: str) -> Row[Any] | None:
        try:
            key = read_email(email).key
        except CommandError:
            return None
        return await self._one(select(accounts).where(accounts.c.email_key == key))

    async def _one(self, query: Select[Any], **values: str) -> Row[Any] | None:
        async with reading(self._engine) as connection:
            row: Row[Any] | None = (await connection.execute(query, values)).one_or_none()
        return row

    async def _update(
        self, user_id: str, fields: dict[str, Any], *conditions: ColumnElement[bool], touch: bool = True
    ) -> bool:
        """Whether there was such an account, and the conditions held."""
        if not is_account_id(user_id):
            return False
        if touch:
            fields = {**fields, "updated_at": int(self._wall())}
        change = update(accounts).where(accounts.c.id == user_id, *conditions).values(fields)
        async with writing(self._engine) as connection:
            return bool((await connection.execute(change)).rowcount)

    async def _change(
        self, user_id: str, fields: dict[str, Any], within: Within | None = None
    ) -> tuple[Account, Account]:
        if not is_account_id(user_id):
            raise _unknown()
        async with writing(self._engine) as connection:
            before = await _locked(connection, user_id)
            fields = {name: value for name, value in fields.items() if value is not UNSET}
            if fields.get("email_key", before.email_key) != before.email_key:
                fields["email_verified_at"] = None
            if fields.get("phone", before.phone) != before.phone:
                fields["phone_verified_at"] = None
            fields["updated_at"] = int(self._wall())
            change = update(accounts).where(accounts.c.id == user_id).values(fields).returning(accounts)
            after = account_of((await connection.execute(change)).one())
            if within is not None:
                await within(connection, after)
        return account_of(before), after


async def _locked(connection: AsyncConnection, user_id: str) -> Row[Any]:
    query = select(accounts).where(accounts.c.id == user_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise _unknown()
    return row


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    columns = accounts.c
    equal = {columns.plan: wanted.plan, columns.role: wanted.role, columns.status: wanted.status}
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if wanted.verified is not None:
        conditions.append(columns.email_verified_at.is_not(None) == wanted.verified)
    if wanted.q:
        if not _is_storable(wanted.q):
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected a part of a mail address or name - at `?q`")
        conditions.append(_holds(wanted.q))
    return conditions


def _holds(q: str) -> ColumnElement[bool]:
    """SQLite, and PostgreSQL in some locales, know the case of ASCII letters only: the others are tried in each."""
    forms = {q} if q.isascii() else {q, q.lower(), q.upper(), q.title()}
    return or_(
        accounts.c.email_key.contains(q.casefold(), autoescape=True),
        *(accounts.c.name.icontains(form, autoescape=True) for form in sorted(forms)),
    )


def _order(wanted: Wanted) -> tuple[ColumnElement[Any], ...]:
    if wanted.sort not in _SORTS:
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected one of {words} - at `?sort`", words=", ".join(_SORTS))
    by = _SORTS[wanted.sort].desc() if wanted.descending else _SORTS[wanted.sort].asc()
    if wanted.sort == "last_login_at":  # of what is never null, saying so would keep PostgreSQL from its index
        by = by.nulls_last()
    return by, accounts.c.id


def _maybe(row: Row[Any] | None) -> Account | None:
    return None if row is None else account_of(row)


def _new_id() -> str:
    return "u_" + base64.b32encode(secrets.token_bytes(10)).decode().lower()


def _is_storable(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and not _UNSTORABLE.search(text)


def _taken() -> CommandError:
    return CommandError(ErrorCode.CONFLICT, "This mail address has an account already")


def _unknown() -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "There is no such account")
