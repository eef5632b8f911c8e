"""Addresses that must not be written to: they don't exist, or whose they are said stop.

The table holds digests, so that what was suppressed outlives an account without keeping its owner's address.
"""

import hashlib
from collections.abc import Callable, Collection

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.transactions import reading, writing
from notifiers.way import Way
from schemas.tables import suppressions

MAX_REASON = 64

_CHUNK = 1000

Place = tuple[Way, str]
"""An address of one channel."""

_THIS = (suppressions.c.channel == bindparam("way")) & (suppressions.c.address_hash == bindparam("digest"))
_REASON = select(suppressions.c.reason).where(_THIS)


class Suppressions:
    """The table `suppressions`. Every call raises Unavailable where the database fails, and is safe to cancel."""

    def __init__(self, engine: AsyncEngine, *, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    async def add(self, way: Way, address: str, reason: str) -> None:
        """Write to an address no more by that channel. May be said again; the first reason stays."""
        row = {
            "channel": way.value,
            "address_hash": _digest(address),
            "reason": reason[:MAX_REASON],
            "created_at_ms": int(self._wall() * 1000),
        }
        async with writing(self._engine) as connection:
            insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
            await connection.execute(insert(suppressions).values(row).on_conflict_do_nothing())

    async def remove(self, way: Way, address: str) -> bool:
        """Write there again; False where nothing spoke against it."""
        async with writing(self._engine) as connection:
            done = await connection.execute(delete(suppressions).where(_THIS), _which(way, address))
            return bool(done.rowcount)

    async def among(self, places: Collection[Place]) -> set[Place]:
        """Those of the places that must not be written to."""
        by_key = {(way.value, _digest(address)): (way, address) for way, address in places}
        digests = sorted({digest for _, digest in by_key})
        found: set[Place] = set()
        if not digests:
            return found
        rows = suppressions.c
        async with reading(self._engine) as connection:
            for start in range(0, len(digests), _CHUNK):
                query = select(rows.channel, rows.address_hash).where(
                    rows.address_hash.in_(digests[start : start + _CHUNK])
                )
                found |= {by_key[key] for row in await connection.execute(query) if (key := tuple(row)) in by_key}
        return found

    async def reason(self, way: Way, address: str) -> str | None:
        """Why an address must not be written to by that channel; None where it may."""
        async with reading(self._engine) as connection:
            found: str | None = (await connection.execute(_REASON, _which(way, address))).scalar_one_or_none()
        return found


def _which(way: Way, address: str) -> dict[str, str]:
    return {"way": way.value, "digest": _digest(address)}


def _digest(address: str) -> str:
    return hashlib.sha256(address.strip().casefold().encode()).hexdigest()
