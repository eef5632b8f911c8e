"""Browsers that a user wants push messages in, as the Push API's `PushSubscription` describes them.

The keys are those of RFC 8291: `p256dh` a point on P-256 in uncompressed form, `auth` 16 random octets, both base64url.
Users whose tokens come from someone else's login have subscriptions too, so no account is asked for. An app that is
reached through Firebase is one as well, with `fcm:` and its token as the endpoint, and without keys.
"""

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading, writing
from schemas.errors import CommandError, ErrorCode
from schemas.tables import push_subscriptions

MAX_SUBSCRIPTIONS = 20
"""Of one user."""
MAX_ENDPOINT = 2000
FCM = "fcm:"
"""How the endpoint of an app begins."""

_MAX_AGENT = 256
_MAX_ID = 2**63 - 1
_POINT_BYTES = 65
_UNCOMPRESSED = 4
_AUTH_BYTES = 16
_FCM_TOKEN = re.compile(r"[A-Za-z0-9_:-]{1,1024}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")


class PushSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with which keys a push message is sent. The keys are base64url without padding, an app's empty."""

    id: int
    endpoint: str
    p256dh: str
    auth: str
    user_agent: str
    created_at: int


class PushSubscriptions:
    """The table `push_subscriptions`. Every call raises Unavailable where the database fails; cancelling is safe."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    async def add(self, user_id: str, endpoint: str, p256dh: str, auth: str, user_agent: str = "") -> int:
        """The subscription's id. An endpoint that is known already becomes this user's, with the new keys.

        Raises CommandError BAD_REQUEST for an endpoint or key that is none, LIMIT_EXCEEDED for the user's 21st.
        """
        keys = {
            "p256dh": _key(p256dh, "$.p256dh", _POINT_BYTES, first=_UNCOMPRESSED),
            "auth": _key(auth, "$.auth", _AUTH_BYTES),
        }
        return await self._put(user_id, _endpoint(endpoint), keys, user_agent)

    async def add_app(self, user_id: str, token: str, user_agent: str = "") -> int:
        """The id of a subscription of an app with that token of Firebase's; otherwise as `add`."""
        if not _FCM_TOKEN.fullmatch(token):
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected a token of Firebase's - at `$.fcm_token`")
        return await self._put(user_id, FCM + token, {"p256dh": "", "auth": ""}, user_agent)

    async def remove(self, user_id: str, which: str | int) -> bool:
        """Forget one of the user's by its endpoint or id; False where there is none."""
        columns = push_subscriptions.c
        if isinstance(which, str):
            this = columns.endpoint_hash == _hash(which)
        elif 0 < which <= _MAX_ID:
            this = columns.id == which
        else:
            return False
        async with writing(self._engine) as connection:
            done = await connection.execute(delete(push_subscriptions).where(columns.user_id == user_id, this))
            return bool(done.rowcount)

    async def listed(self, user_id: str) -> list[PushSubscription]:
        """All of the user's, the oldest first."""
        columns = push_subscriptions.c
        query = select(push_subscriptions).where(columns.user_id == user_id).order_by(columns.id)
        async with reading(self._engine) as connection:
            return [_subscription(row) for row in (await connection.execute(query)).all()]

    async def get(self, user_id: str, subscription_id: int) -> PushSubscription | None:
        """One of the user's; None where there is none."""
        if not 0 < subscription_id <= _MAX_ID:
            return None
        columns = push_subscriptions.c
        query = select(push_subscriptions).where(columns.id == subscription_id, columns.user_id == user_id)
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _subscription(row)

    async def endpoints_of(self, user_id: str) -> list[str]:
        """The ids of all of the user's, as deliveries name them."""
        columns = push_subscriptions.c
        query = select(columns.id).where(columns.user_id == user_id).order_by(columns.id)
        async with reading(self._engine) as connection:
            return [str(one) for one in await connection.scalars(query)]

    async def _put(self, user_id: str, endpoint: str, keys: dict[str, str], user_agent: str) -> int:
        columns = push_subscriptions.c
        fields = {
            "user_id": user_id,
            "endpoint": endpoint,
            "endpoint_hash": _hash(endpoint),
            **keys,
            "user_agent": _agent(user_agent),
            "created_at": int(self._wall()),
        }
        # Locked, so that two requests can't both take the last place.
        mine = select(columns.endpoint_hash).where(columns.user_id == user_id).order_by(columns.id).with_for_update()
        async with writing(self._engine) as connection:
            await connection.execute(mine)
            others = set(await connection.scalars(mine)) - {fields["endpoint_hash"]}  # as they are once locked
            if len(others) >= MAX_SUBSCRIPTIONS:
                raise CommandError(
                    ErrorCode.LIMIT_EXCEEDED, "At most {count} push subscriptions", count=MAX_SUBSCRIPTIONS
                )
            return int((await connection.execute(_upsert(connection.dialect.name, fields))).scalar_one())


def _subscription(row: Row[Any]) -> PushSubscription:
    return PushSubscription(
        id=row.id,
        endpoint=row.endpoint,
        p256dh=row.p256dh,
        auth=row.auth,
        user_agent=row.user_agent,
        created_at=row.created_at,
    )


def _upsert(dialect: str, fields: dict[str, Any]) -> Any:
    """In one statement, for between two of them others may add and remove the same endpoint any number of times."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(push_subscriptions).values(fields)
    columns = push_subscriptions.c
    return insert.on_conflict_do_update(index_elements=[columns.endpoint_hash], set_=fields).returning(columns.id)


def _hash(endpoint: str) -> str:
    return hashlib.sha256(endpoint.encode("utf-8", "surrogatepass")).hexdigest()


def _agent(text: str) -> str:
    """What a browser calls itself, as far as it can be kept."""
    return "".join(character for character in text[:_MAX_AGENT] if character.isprintable())


def _endpoint(text: str) -> str:
    if len(text) > MAX_ENDPOINT:
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected at most {most} characters - at `$.endpoint`", most=MAX_ENDPOINT
        )
    if not _VISIBLE.fullmatch(text) or not _is_reachable(text):
        raise CommandError(ErrorCode.BAD_REQUEST, "Expected an https:// address - at `$.endpoint`")
    return text


def _is_reachable(url: str) -> bool:
    """Whether it is an https:// URL, or http:// on this machine, with a host and at most a sensible port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(text: str, place: str, size: int, *, first: int | None = None) -> str:
    """A key without padding. Raises CommandError BAD_REQUEST for one that doesn't decode to so many bytes."""
    bare = text.rstrip("=")
    try:
        octets = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)) if _BASE64URL.fullmatch(text) else b""
    except binascii.Error:
        octets = b""
    if len(octets) != size or first not in (None, octets[0]):
        raise CommandError(
            ErrorCode.BAD_REQUEST, "Expected {size} bytes as base64url - at `{place}`", size=size, place=place
        )
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
