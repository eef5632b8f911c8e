"""API keys: what programs bring instead of a token. Named, for some purposes only, shown once, kept as a hash.

A key's text is `thk_<id without k_>_<secret>`, the id 64 bits and the secret 256 in hex. Its bearer acts for its owner,
with the plan and role that the owner has now, but never as an administrator: the key of one acts as a publisher's.
"""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from sqlalchemy import ColumnElement, RowMapping, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.identity import Identity, Plan, Role
from auth.permissions import Scope
from auth.refusals import Reason, TokenRefused
from auth.revocations import Revocation, Revocations
from auth.transactions import reading, writing
from schemas.durations import Seconds
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import api_keys

log = logging.getLogger("tickhub.auth.api_keys")

SCOPES = tuple(str(scope) for scope in Scope)
SERVER_SCOPES = frozenset({Scope.PUBLISH, Scope.SIGNALS_WRITE})
"""What only publishers' and administrators' keys may be for."""
MAX_LIVE_KEYS = 20
"""Of one user."""
MAX_LIFETIME_S = 10 * 365 * 86_400
MAX_FOREIGN_LIFETIME_S = 90 * 86_400
"""Of a key whose owner has no account here: nobody tells us what has become of them."""
CACHE_S: Seconds = 5.0
"""For how long a verified key is believed without asking the database again."""
MAX_CACHED = 4096
IDENTITY_S = 86_400
"""After how long at most a socket that was opened with a key has to show it again."""
USED_EVERY_S: Seconds = 60.0
"""How far apart the database is told of a key's use."""
FLUSH_EVERY_S: Seconds = 15.0

KEY_PREFIX = "thk_"
"""How the text of a key begins, and no token does."""

_KEY = re.compile(KEY_PREFIX + r"([0-9a-f]{16})_([0-9a-f]{64})")
_KEY_ID = re.compile(r"k_[0-9a-f]{16}")
_ID_BYTES = 8
_SECRET_BYTES = 32
_MAX_NAME = 64
_REFUSED = "This API key is not valid"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key, but for its secret. Times are Unix seconds."""

    id: str
    user: str
    name: str
    scopes: tuple[str, ...]
    created_at: int
    last_used_at: int | None = None
    expires_at: int | None = None

    @property
    def prefix(self) -> str:
        """How the key's text begins, by which its owner tells it from others."""
        return f"{KEY_PREFIX}{self.id.removeprefix('k_')}_"


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """What an account says of a key's owner now; a key of one that is not active is refused."""

    plan: Plan
    role: Role
    active: bool = True


class KeyRefused(TokenRefused):
    """A key is not taken. Whoever brought it isn't told why; `reason` is for metrics."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.code = ErrorCode.UNAUTHORIZED
        self.text = _REFUSED


class _Cached(msgspec.Struct, frozen=True):
    identity: Identity
    until: float


class ApiKeys:
    """The keys of all users. Everything raises Unavailable where the database fails; cancelling is safe."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        wall: Callable[[], float],
        account_of: Callable[[str], Awaitable[Owner | None]],
    ) -> None:
        """`account_of` answers None for a user who has no account here; then what the key was made with counts.

        Such a key ends after MAX_FOREIGN_LIFETIME_S.

        For the id of an account that is gone it answers with an owner who is not active.
        """
        self._engine = engine
        self._wall = wall
        self._account_of = account_of
        self._revocations = Revocations(engine, clock=wall)  # only writes; who is revoked is asked elsewhere
        self._verified: OrderedDict[bytes, _Cached] = OrderedDict()
        self._used: dict[str, int] = {}
        self._written: dict[str, float] = {}

    # -- the owner's side -----------------------------------------------------------------------------------------

    async def create(
        self, identity: Identity, name: str, scopes: Iterable[str], expires_at: int | None = None
    ) -> tuple[ApiKey, str]:
        """A new key for the bearer of a token, and its text, which is nowhere to be had again.

        Where no end is given, it has one only if its owner has no account here.

        Raises CommandError: PERMISSION_DENIED for a key as bearer, or a scope that is for publishers; BAD_REQUEST for a
        name, a scope or an end that can't be; LIMIT_EXCEEDED beyond MAX_LIVE_KEYS.
        """
        asked = _allowed(identity, scopes)
        now = int(self._wall())
        owner = await self._account_of(identity.user)
        key = ApiKey(
            id=f"k_{secrets.token_hex(_ID_BYTES)}",
            user=identity.user,
            name=_checked_name(name),
            scopes=asked,
            created_at=now,
            expires_at=_checked_end(expires_at, now, has_account=owner is not None),
        )
        secret = secrets.token_hex(_SECRET_BYTES)
        async with writing(self._engine) as connection:
            await _lock(connection, identity.user)
            await _check_count(connection, identity.user, now)
            await connection.execute(insert(api_keys).values(_row(key, identity, secret)))
        return key, key.prefix + secret

    async def listed(self, user: str) -> list[ApiKey]:
        """The user's keys, the newest first; those that have ended too, but not those that were revoked."""
        rows = api_keys.c
        query = select(api_keys).where(rows.user_id == user, rows.revoked_at.is_(None))
        async with reading(self._engine) as connection:
            found = await connection.execute(query.order_by(rows.created_at.desc(), rows.id))
            return [_key(row) for row in found.mappings()]

    async def revoke(self, user: str, key_id: str) -> Revocation | None:
        """Revoke a user's key; None where the user has no such key, or no more.

        The answer has been committed as a revocation, and is to be announced, so that other processes take the key no
        more at once and open sockets end. By themselves they take it no more after CACHE_S.
        """
        if not _KEY_ID.fullmatch(key_id):
            return None
        revoked = await self._revoke(api_keys.c.user_id == user, api_keys.c.id == key_id)
        return revoked[0] if revoked else None

    async def revoke_all(self, user: str) -> list[Revocation]:
        """Revoke all of a user's keys, as `revoke` does."""
        return await self._revoke(api_keys.c.user_id == user)

    async def purge(self, before: int) -> int:
        """Forget keys that ended or were revoked before a time (Unix seconds); says how many."""
        rows = api_keys.c
        async with writing(self._engine) as connection:
            gone = delete(api_keys).where(or_(rows.revoked_at < before, rows.expires_at < before))
            return (await connection.execute(gone)).rowcount

    async def _revoke(self, *which: ColumnElement[bool]) -> list[Revocation]:
        now = int(self._wall())
        live = update(api_keys).where(*which, api_keys.c.revoked_at.is_(None))
        async with writing(self._engine) as connection:
            ids = set((await connection.execute(live.values(revoked_at=now).returning(api_keys.c.id))).scalars())
            until = now + IDENTITY_S + int(CACHE_S)
            revoked = [Revocation(token_id=key_id, expires_at=until) for key_id in sorted(ids)]
            if revoked:
                await self._revocations.write(connection, revoked)
        for digest in [one for one, known in self._verified.items() if known.identity.token_id in ids]:
            del self._verified[digest]
        return revoked

    # -- the bearer's side ----------------------------------------------------------------------------------------

    async def verify(self, key_text: str) -> Identity:
        """Who brings this key, and what for. Asks the database at most once in CACHE_S; revocations are not asked here.

        The identity ends with the key, and after IDENTITY_S at the latest: a socket then has to show the key again.

        Raises KeyRefused with the same text for a key that is malformed, unknown, wrong, over or revoked, or whose
        owner's account is disabled.
        """
        match = _KEY.fullmatch(key_text)
        if match is None:
            raise KeyRefused(Reason.MALFORMED)
        digest = hashlib.sha256(key_text.encode("ascii")).digest()
        known = self._verified.get(digest)
        if known is None or known.until <= self._wall():
            self._verified.pop(digest, None)
            known = await self._verified_now(f"k_{match[1]}", match[2])
            self._keep(digest, known)
        self._used[known.identity.token_id] = int(self._wall())
        return known.identity

    async def _verified_now(self, key_id: str, secret: str) -> _Cached:
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).mappings().one_or_none()
        now = self._wall()
        row = _checked(row, secret, now)
        identity = _identity(row, await self._account_of(row["user_id"]), now)
        return _Cached(identity, min(now + CACHE_S, identity.expires_at))

    def _keep(self, digest: bytes, known: _Cached) -> None:
        self._verified[digest] = known
        self._verified.move_to_end(digest)
        if len(self._verified) > MAX_CACHED:
            self._verified.popitem(last=False)

    # -- when keys were used --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell the database every now and then which keys were used, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except Unavailable as exc:
                log.info("api_keys.use_unwritten", extra={"what": exc.what, "why": exc.why})

    async def flush(self) -> int:
        """Write when keys were last used, each at most once in USED_EVERY_S; says of how many. The rest waits."""
        now = self._wall()
        self._written = {one: at for one, at in self._written.items() if now - at < USED_EVERY_S}
        due = {one: at for one, at in self._used.items() if one not in self._written}
        if not due:
            return 0
        known = api_keys.c.last_used_at
        news = or_(known.is_(None), known <= bindparam("before"))
        told = update(api_keys).where(api_keys.c.id == bindparam("key"), news).values(last_used_at=bindparam("at"))
        uses = [{"key": one, "at": at, "before": at - int(USED_EVERY_S)} for one, at in sorted(due.items())]
        async with writing(self._engine) as connection:
            await connection.execute(told, uses)
        for one, at in due.items():
            self._written[one] = now
            if self._used.get(one) == at:
                del self._used[one]
        return len(due)


def _allowed(identity: Identity, scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes in their order, each once. Raises CommandError."""
    asked = set(scopes)
    if identity.scopes is not None:
        raise CommandError(ErrorCode.PERMISSION_DENIED, "API keys cannot make API keys")
    if not asked or not asked <= set(SCOPES):
        known = ", ".join(SCOPES)
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected scopes out of {known} - at `$.scopes`", known=known)
    if identity.role is Role.USER and not SERVER_SCOPES.isdisjoint(asked):
        needed = ", ".join(sorted(SERVER_SCOPES & asked))
        raise CommandError(ErrorCode.PERMISSION_DENIED, "Only publishers have keys for {scopes}", scopes=needed)
    return tuple(scope for scope in SCOPES if scope in asked)


def _checked_name(name: str) -> str:
    kept = name.strip()
    if not 1 <= len(kept) <= _MAX_NAME or not kept.isprintable():
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected a name of 1 to {most} printable characters - at `$.name`", most=_MAX_NAME
        )
    return kept


def _checked_end(expires_at: int | None, now: int, *, has_account: bool) -> int | None:
    if expires_at is None:
        return None if has_account else now + MAX_FOREIGN_LIFETIME_S
    if not now < expires_at <= now + MAX_LIFETIME_S:
        raise CommandError(ErrorCode.BAD_REQUEST, "A key ends within ten years from now - at `$.expires_at`")
    if not has_account and expires_at > now + MAX_FOREIGN_LIFETIME_S:
        raise CommandError(
            ErrorCode.BAD_REQUEST,
            "A key of somebody without an account here ends within {days} days from now - at `$.expires_at`",
            days=MAX_FOREIGN_LIFETIME_S // 86_400,
        )
    return expires_at


async def _lock(connection: AsyncConnection, user: str) -> None:
    """One new key of a user at a time, as they are counted. SQLite's BEGIN has seen to it already."""
    if connection.dialect.name == "postgresql":
        ask = text("SELECT pg_advisory_xact_lock(hashtext('api_keys'), hashtext(:user))")
        await connection.execute(ask, {"user": user})


async def _check_count(connection: AsyncConnection, user: str, now: int) -> None:
    rows = api_keys.c
    live = select(func.count()).where(
        rows.user_id == user, rows.revoked_at.is_(None), or_(rows.expires_at.is_(None), rows.expires_at > now)
    )
    if (await connection.scalar(live) or 0) >= MAX_LIVE_KEYS:
        raise CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {count} API keys a user", count=MAX_LIVE_KEYS)


def _row(key: ApiKey, identity: Identity, secret: str) -> dict[str, object]:
    return {
        "id": key.id,
        "user_id": key.user,
        "name": key.name,
        "secret_hash": _hash(secret),
        "scopes": " ".join(key.scopes),
        "plan": identity.plan,
        "role": identity.role,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(
        id=row["id"],
        user=row["user_id"],
        name=row["name"],
        scopes=tuple(row["scopes"].split()),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
    )


def _hash(secret: str) -> str:
    """A secret of 256 bits needs no slow hash: nobody guesses it."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _checked(row: RowMapping | None, secret: str, now: float) -> RowMapping:
    """The row, where the secret is its and the key is live. Raises KeyRefused."""
    if row is None or not hmac.compare_digest(row["secret_hash"], _hash(secret)):
        raise KeyRefused(Reason.UNKNOWN_KEY)
    if row["revoked_at"] is not None:
        raise KeyRefused(Reason.REVOKED)
    if row["expires_at"] is not None and row["expires_at"] <= now:
        raise KeyRefused(Reason.EXPIRED)
    return row


def _identity(row: RowMapping, owner: Owner | None, now: float) -> Identity:
    """Who the key's bearer is. Raises KeyRefused where the owner's account is disabled, or there is none and it is old.

    Where the account was asked, what it says is of now; else of when the key was made, and what has been changed since
    counts over it.
    """
    if owner is not None and not owner.active:
        raise KeyRefused(Reason.DISABLED)
    ends = [int(now) + IDENTITY_S]
    if row["expires_at"] is not None:
        ends.append(row["expires_at"])
    if owner is None:
        ends.append(row["created_at"] + MAX_FOREIGN_LIFETIME_S)  # also of keys from before they were given an end
    if min(ends) <= now:
        raise KeyRefused(Reason.EXPIRED)
    return Identity(
        user=row["user_id"],
        plan=Plan(row["plan"]) if owner is None else owner.plan,
        role=key_role(Role(row["role"]) if owner is None else owner.role),
        token_id=row["id"],
        issued_at=row["created_at"] if owner is None else int(now),
        expires_at=min(ends),
        scopes=frozenset(row["scopes"].split()),
    )


def key_role(role: Role) -> Role:
    """What the key of such an owner acts as."""
    return Role.PUBLISHER if role is Role.ADMIN else role
