"""What somebody is asked to prove, once and for a while: that a mail, a text message or a first login reached them.

A challenge is known by its token, 256 random bits of which the database holds a digest only; a code of six digits may
be asked for besides. The digest of the code is keyed with the token, so that whoever reads the database can neither
redeem a challenge nor try out the million codes.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import reading, writing
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode
from schemas.tables import accounts, challenges

MAX_OPEN = 5
"""Challenges of a kind that a user has open; the oldest goes when there is one more."""
MAX_ATTEMPTS = 5
MAX_CODES = 5
"""How often a challenge may be given a code anew."""

_ID_BYTES = 24
_CODE_DIGITS = 6


class Kind(StrEnum):
    """What a challenge is for. One of a kind can't be redeemed as another."""

    LOGIN = "login"
    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a word, not a password
    VERIFY_PHONE = "verify_phone"


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to whoever shall prove something, and is kept nowhere. `expires_at` in Unix seconds."""

    token: str
    code: str | None
    expires_at: int


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge that is open, or has just been redeemed. `details` are what its issuer wanted to remember."""

    user_id: str
    details: dict[str, Any]
    expires_at: int


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The column `details`. `codes` counts the codes that were given anew."""

    codes: int
    details: dict[str, Any]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


class Challenges:
    """The table `challenges`. Every call raises Unavailable where the database fails, and is safe to cancel.

    What can't be redeemed is refused with one and the same error, CommandError UNAUTHORIZED, whatever the reason:
    unknown, of another kind, expired, used, a wrong code, or MAX_ATTEMPTS wrong codes before.
    """

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    async def issue(
        self,
        kind: Kind,
        user_id: str,
        *,
        lifetime_s: Seconds,
        details: dict[str, Any] | None = None,
        with_code: bool = False,
    ) -> Issued:
        """A new challenge, in place of the oldest where the user has MAX_OPEN of the kind already.

        `details` is anything that JSON can hold. Raises CommandError NOT_FOUND where there is no such account.
        """
        token = secrets.token_urlsafe(32)
        code = _new_code() if with_code else None
        now = int(self._wall())
        row = {
            "id": _id(token),
            "kind": kind,
            "user_id": user_id,
            "secret_hash": _code_hash(token, code) if code else None,
            "details": _encode(_Stored(codes=0, details=details or {})).decode(),
            "attempts": 0,
            "created_at": now,
            "expires_at": now + int(lifetime_s),
        }
        async with writing(self._engine) as connection:
            await _lock_account(connection, user_id)
            await self._make_room(connection, kind, user_id, now)
            await connection.execute(insert(challenges).values(row))
        return Issued(token=token, code=code, expires_at=now + int(lifetime_s))

    async def look(self, kind: Kind, token: str) -> Challenge | None:
        """What could still be redeemed with that token; nothing happens to it."""
        query = select(challenges).where(*self._live(kind, token))
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _challenge(row)

    async def redeem(self, kind: Kind, token: str, code: str | None = None, *, counted: bool = False) -> Challenge:
        """Use a challenge up; one that has a code needs it. Of two at the same moment one succeeds.

        A code counts as an attempt before it is compared, unless the caller has `counted` it by `spend_attempt`, so
        that guesses that come at once can't share one. Raises CommandError UNAUTHORIZED.
        """
        async with writing(self._engine) as connection:  # an attempt is committed even where it fails
            if code is None:
                row = await self._use(connection, kind, token, challenges.c.secret_hash.is_(None))
            elif (counted or await self._spend(connection, kind, token)) and await self._knows(
                connection, kind, token, code
            ):
                row = await self._use(connection, kind, token)
            else:
                row = None
        if row is None:
            raise _refused()
        return _challenge(row)

    async def consume(self, kind: Kind, token: str) -> Challenge:
        """Use a challenge up whose proof the caller has checked, with or without a code of its own.

        Of two at the same moment one succeeds. Raises CommandError UNAUTHORIZED.
        """
        async with writing(self._engine) as connection:
            row = await self._use(connection, kind, token)
        if row is None:
            raise _refused()
        return _challenge(row)

    async def set_code(self, kind: Kind, token: str) -> str:
        """A fresh code for an open challenge, in place of the one before; attempts and end stay.

        Raises CommandError UNAUTHORIZED, or LIMIT_EXCEEDED the sixth time.
        """
        code = _new_code()
        query = select(challenges).where(*self._live(kind, token)).with_for_update()
        async with writing(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise _refused()
            stored = _decode(row.details)
            if stored.codes >= MAX_CODES:
                raise CommandError(
                    ErrorCode.LIMIT_EXCEEDED, "A code can be sent {count} times; start again", count=MAX_CODES
                )
            details = _encode(_Stored(codes=stored.codes + 1, details=stored.details)).decode()
            change = update(challenges).where(challenges.c.id == row.id)
            await connection.execute(change.values(secret_hash=_code_hash(token, code), details=details))
        return code

    async def spend_attempt(self, kind: Kind, token: str) -> bool:
        """Count an attempt whose code somebody else checks; False where none is left, and nothing may be checked."""
        async with writing(self._engine) as connection:
            return await self._spend(connection, kind, token)

    async def purge(self) -> None:
        """Delete what has been used or has expired."""
        done = or_(challenges.c.expires_at <= int(self._wall()), challenges.c.used_at.is_not(None))
        async with writing(self._engine) as connection:
            await connection.execute(delete(challenges).where(done))

    def _open(self, kind: Kind, token: str) -> tuple[ColumnElement[bool], ...]:
        """Neither used nor expired."""
        columns = challenges.c
        return (
            columns.id == _id(token),
            columns.kind == kind,
            columns.used_at.is_(None),
            columns.expires_at > int(self._wall()),
        )

    def _live(self, kind: Kind, token: str) -> tuple[ColumnElement[bool], ...]:
        """Open, with attempts left."""
        return (*self._open(kind, token), challenges.c.attempts < MAX_ATTEMPTS)

    async def _spend(self, connection: AsyncConnection, kind: Kind, token: str) -> bool:
        change = update(challenges).where(*self._live(kind, token)).values(attempts=challenges.c.attempts + 1)
        return bool((await connection.execute(change)).rowcount)

    async def _knows(self, connection: AsyncConnection, kind: Kind, token: str, code: str) -> bool:
        query = select(challenges.c.secret_hash).where(*self._open(kind, token)).with_for_update()
        kept = await connection.scalar(query)
        return kept is not None and hmac.compare_digest(kept, _code_hash(token, code))

    async def _use(
        self, connection: AsyncConnection, kind: Kind, token: str, *conditions: ColumnElement[bool]
    ) -> Row[Any] | None:
        change = update(challenges).where(*self._open(kind, token), *conditions).values(used_at=int(self._wall()))
        row: Row[Any] | None = (await connection.execute(change.returning(challenges))).one_or_none()
        return row

    async def _make_room(self, connection: AsyncConnection, kind: Kind, user_id: str, now: int) -> None:
        """Delete all open ones but the newest, so that there is room for one."""
        columns = challenges.c
        mine = (
            columns.user_id == user_id,
            columns.kind == kind,
            columns.used_at.is_(None),
            columns.expires_at > now,
        )
        newest_first = select(columns.id).where(*mine).order_by(columns.created_at.desc(), columns.id)
        older = (await connection.scalars(newest_first)).all()[MAX_OPEN - 1 :]
        if older:
            await connection.execute(delete(challenges).where(columns.id.in_(older)))


async def _lock_account(connection: AsyncConnection, user_id: str) -> None:
    """Let one at a time count the user's challenges, until the transaction ends."""
    query = select(accounts.c.id).where(accounts.c.id == user_id).with_for_update(key_share=True)
    if (await connection.execute(query)).one_or_none() is None:
        raise CommandError(ErrorCode.NOT_FOUND, "There is no such account")


def _challenge(row: Row[Any]) -> Challenge:
    return Challenge(user_id=row.user_id, details=_decode(row.details).details, expires_at=row.expires_at)


def _new_code() -> str:
    return f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}}"


def _id(token: str) -> str:
    """The row's id: 192 bits of the token's SHA-256."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:_ID_BYTES]).decode()


def _code_hash(token: str, code: str) -> str:
    key, text = (part.encode("utf-8", "surrogatepass") for part in (token, code))
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def _refused() -> CommandError:
    return CommandError(ErrorCode.UNAUTHORIZED, "The link or code is wrong, has been used, or has expired")
