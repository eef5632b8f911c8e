"""Where users' own servers want to be told, and with which secrets that is signed.

A secret is `whsec_` and 32 random bytes in base64, as Standard Webhooks has it; it is shown once, and kept sealed. One
that is replaced still signs for a day, so that its owner can change over without missing anything.
"""

import base64
import logging
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Row, delete, false, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.sealing import WEBHOOK_SECRET, Sealer, Unsealable
from auth.transactions import reading, writing
from notifiers.people.reach import Reach
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.secret import Secret
from schemas.tables import webhook_endpoints

log = logging.getLogger("tickhub.notifiers.people.webhook_endpoints")

MAX_ENDPOINTS = 10
"""Of one user."""
PREVIOUS_MS = 24 * 3_600_000
"""For how long a secret that was replaced still signs."""
GIVE_UP_MS = 5 * 86_400_000
"""For how long an endpoint may fail before it is disabled."""
GIVE_UP_ATTEMPTS = 3

_SECRET_BYTES = 32
_MAX_ID = 2**63 - 1
_ROWS = webhook_endpoints.c
_SHOWN: tuple[ColumnElement[Any], ...] = (
    _ROWS.id,
    _ROWS.user_id,
    _ROWS.url,
    _ROWS.status,
    _ROWS.status_reason,
    _ROWS.failing_since_ms,
    _ROWS.created_at_ms,
)
_SECRETS: tuple[ColumnElement[Any], ...] = (_ROWS.secret, _ROWS.previous_secret, _ROWS.previous_until_ms)


class Status(StrEnum):
    """Whether an endpoint is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Reason(StrEnum):
    """Why an endpoint is disabled."""

    OWNER = "owner"
    GONE = "gone"
    """It has answered 410."""
    FAILING = "failing"
    """For GIVE_UP_MS."""


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One of a user's, without its secrets. Times are Unix milliseconds."""

    id: int
    user: str
    url: str
    status: Status
    status_reason: Reason | None
    failing_since_ms: int | None
    created_at_ms: int


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with what signs for it, the newest secret first."""

    endpoint: WebhookEndpoint
    secrets: tuple[Secret, ...]


class WebhookEndpoints:
    """The table `webhook_endpoints`. Every call raises Unavailable where the database fails; cancelling is safe."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer, reach: Reach, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._sealer = sealer
        self._reach = reach
        self._wall = wall

    # -- the owner's side ---------------------------------------------------------------------------------------------

    async def add(self, user: str, url: str) -> tuple[WebhookEndpoint, Secret]:
        """A new endpoint, and its secret, which is nowhere to be had again.

        Raises CommandError BAD_REQUEST for a URL that can't be asked, LIMIT_EXCEEDED beyond MAX_ENDPOINTS.
        """
        row: dict[str, Any] = {"user_id": user, "url": self._reach.url(url), "secret": ""}
        row |= {"status": Status.ACTIVE, "created_at_ms": self._now_ms()}
        async with writing(self._engine) as connection:
            await _lock(connection, user)
            await _check_count(connection, user)
            made = (await connection.execute(insert(webhook_endpoints).values(row).returning(*_SHOWN))).one()
            secret = await self._new_secret(connection, made.id)
        return _endpoint(made), secret

    async def listed(self, user: str) -> list[WebhookEndpoint]:
        """All of a user's, the oldest first."""
        query = select(*_SHOWN).where(_ROWS.user_id == user).order_by(_ROWS.id)
        async with reading(self._engine) as connection:
            return [_endpoint(row) for row in (await connection.execute(query)).all()]

    async def get(self, user: str, endpoint_id: int) -> WebhookEndpoint:
        """One of the user's. Raises CommandError NOT_FOUND for any other."""
        async with reading(self._engine) as connection:
            return _found((await connection.execute(select(*_SHOWN).where(_mine(user, endpoint_id)))).first())

    async def change(
        self,
        user: str,
        endpoint_id: int,
        *,
        url: str | UnsetType = UNSET,
        enabled: bool | UnsetType = UNSET,
    ) -> WebhookEndpoint:
        """Change one of the user's; one with another URL, or that is enabled, begins anew as if it had never failed.

        Raises CommandError NOT_FOUND, or BAD_REQUEST for a URL that can't be asked.
        """
        changes: dict[str, Any] = {} if url is UNSET and enabled is not True else {"failing_since_ms": None}
        if url is not UNSET:
            changes["url"] = self._reach.url(url)
        if enabled is not UNSET:
            status, reason = (Status.ACTIVE, None) if enabled else (Status.DISABLED, Reason.OWNER)
            changes |= {"status": status, "status_reason": reason}
        if not changes:
            return await self.get(user, endpoint_id)
        change = update(webhook_endpoints).where(_mine(user, endpoint_id)).values(changes)
        async with writing(self._engine) as connection:
            return _found((await connection.execute(change.returning(*_SHOWN))).first())

    async def remove(self, user: str, endpoint_id: int) -> None:
        """Forget one of the user's. Raises CommandError NOT_FOUND for any other."""
        async with writing(self._engine) as connection:
            if not (await connection.execute(delete(webhook_endpoints).where(_mine(user, endpoint_id)))).rowcount:
                raise _missing()

    async def rotate(self, user: str, endpoint_id: int) -> tuple[Secret, int]:
        """A new secret, and until when (Unix milliseconds) the present one signs beside it.

        The one before that signs no more. Raises CommandError NOT_FOUND.
        """
        until_ms = self._now_ms() + PREVIOUS_MS
        aside = {"previous_secret": _ROWS.secret, "previous_until_ms": until_ms}
        change = update(webhook_endpoints).where(_mine(user, endpoint_id)).values(aside)
        async with writing(self._engine) as connection:
            if not (await connection.execute(change)).rowcount:
                raise _missing()
            return await self._new_secret(connection, endpoint_id), until_ms

    # -- the deliveries' side -----------------------------------------------------------------------------------------

    async def endpoints_of(self, user: str) -> list[str]:
        """Those that are to be told, as deliveries name them."""
        active = (_ROWS.user_id == user, _ROWS.status == Status.ACTIVE)
        async with reading(self._engine) as connection:
            return [str(one) for one in await connection.scalars(select(_ROWS.id).where(*active).order_by(_ROWS.id))]

    async def target(self, user: str, endpoint_id: int) -> Target | None:
        """An endpoint with its secrets; None where the user has no such one.

        Raises Unavailable where no key at hand opens its secret.
        """
        query = select(*_SHOWN, *_SECRETS).where(_mine(user, endpoint_id))
        async with reading(self._engine) as connection:
            row: Row[Any] | None = (await connection.execute(query)).first()
        return None if row is None else Target(endpoint=_endpoint(row), secrets=self._secrets(row))

    async def succeeded(self, endpoint: WebhookEndpoint) -> None:
        """It has taken something. Costs nothing where it had not failed before."""
        if endpoint.failing_since_ms is None:
            return
        change = update(webhook_endpoints).where(_ROWS.id == endpoint.id).values(failing_since_ms=None)
        async with writing(self._engine) as connection:
            await connection.execute(change)

    async def failed(self, endpoint: WebhookEndpoint, attempt: int) -> bool:
        """It has not taken something at that attempt; True if that was once too often, and it is disabled now.

        Never before the third attempt: who is told something once a week may have failed for five days, and once.
        """
        now_ms = self._now_ms()
        if endpoint.failing_since_ms is not None:
            too_often = attempt >= GIVE_UP_ATTEMPTS and now_ms - endpoint.failing_since_ms >= GIVE_UP_MS
            return too_often and await self._disable(endpoint, Reason.FAILING, _ROWS.failing_since_ms.is_not(None))
        change = update(webhook_endpoints).where(_ROWS.id == endpoint.id, _ROWS.failing_since_ms.is_(None))
        async with writing(self._engine) as connection:
            await connection.execute(change.values(failing_since_ms=now_ms))
        return False

    async def gone(self, endpoint: WebhookEndpoint) -> bool:
        """It wants no more; True if it is disabled by this."""
        return await self._disable(endpoint, Reason.GONE)

    async def _disable(self, endpoint: WebhookEndpoint, reason: Reason, *still: ColumnElement[bool]) -> bool:
        """False where somebody else has done it, or its owner has changed it meanwhile."""
        same = (_ROWS.id == endpoint.id, _ROWS.url == endpoint.url, _ROWS.status == Status.ACTIVE, *still)
        change = update(webhook_endpoints).where(*same).values(status=Status.DISABLED, status_reason=reason)
        async with writing(self._engine) as connection:
            done = bool((await connection.execute(change)).rowcount)
        if done:
            log.info("webhook.disabled", extra={"endpoint": endpoint.id, "reason": reason})
        return done

    # -- secrets ------------------------------------------------------------------------------------------------------

    async def _new_secret(self, connection: AsyncConnection, endpoint_id: int) -> Secret:
        key = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
        sealed = self._sealer.seal(key, WEBHOOK_SECRET.context(endpoint_id))
        await connection.execute(update(webhook_endpoints).where(_ROWS.id == endpoint_id).values(secret=sealed))
        return Secret(key)

    def _secrets(self, row: Row[Any]) -> tuple[Secret, ...]:
        sealed = [row.secret]
        if row.previous_secret is not None and row.previous_until_ms > self._now_ms():
            sealed.append(row.previous_secret)
        context = WEBHOOK_SECRET.context(row.id)
        try:
            return tuple(Secret(self._sealer.open(one, context)) for one in sealed)
        except Unsealable as exc:
            log.warning("webhook.unsealable", extra={"endpoint": row.id, "known_key": exc.known_key})
            raise Unavailable("the webhook's secret", "no key opens it") from exc

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)


async def _lock(connection: AsyncConnection, user: str) -> None:
    """One new endpoint of a user at a time, as they are counted. SQLite's BEGIN has seen to it already."""
    if connection.dialect.name == "postgresql":
        ask = text("SELECT pg_advisory_xact_lock(hashtext('webhook_endpoints'), hashtext(:user))")
        await connection.execute(ask, {"user": user})


async def _check_count(connection: AsyncConnection, user: str) -> None:
    there_are = await connection.scalar(select(func.count()).where(_ROWS.user_id == user))
    if (there_are or 0) >= MAX_ENDPOINTS:
        raise CommandError(ErrorCode.LIMIT_EXCEEDED, "At most {count} webhooks", count=MAX_ENDPOINTS)


def _mine(user: str, endpoint_id: int) -> ColumnElement[bool]:
    if not 0 < endpoint_id <= _MAX_ID:
        return false()
    return (_ROWS.id == endpoint_id) & (_ROWS.user_id == user)


def _found(row: Row[Any] | None) -> WebhookEndpoint:
    if row is None:
        raise _missing()
    return _endpoint(row)


def _missing() -> CommandError:
    return CommandError(ErrorCode.NOT_FOUND, "You have no such webhook")


def _endpoint(row: Row[Any]) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=row.id,
        user=row.user_id,
        url=row.url,
        status=Status(row.status),
        status_reason=None if row.status_reason is None else Reason(row.status_reason),
        failing_since_ms=row.failing_since_ms,
        created_at_ms=row.created_at_ms,
    )
