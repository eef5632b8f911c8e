"""A live hub as an administrator sees it: what is asked of `/api/v1/admin`, and what becomes of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from auth.accounts import Accounts
from auth.sessions import Sessions
from hub.instances.fleet import Fleet
from schemas.tables import audit
from tests.hub.live import Answer, Hub, bearer, request, running, until

BOSS = bearer("boss", role="admin")


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit trail."""

    action: str
    level: str
    actor: str | None
    target: str | None
    address: str | None
    details: dict[str, Any]


class Desk:
    """Administration of one hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    @property
    def fleet(self) -> Fleet:
        return self.hub.web.api.fleet

    @property
    def accounts(self) -> Accounts:
        return self.hub.web.accounts

    @property
    def sessions(self) -> Sessions:
        return self.hub.web.api._people.sessions

    async def trail(self) -> list[Recorded]:
        """What administrators did, the oldest first."""
        query = select(audit).order_by(audit.c.id)
        async with self.hub.engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        names = [name for name in Recorded.__struct_fields__ if name != "details"]
        return [Recorded(**{name: row[name] for name in names}, details=json.loads(row["details"])) for row in rows]

    async def get(self, path: str, **headers: str) -> Answer:
        """`GET /api/v1/admin<path>`, as an administrator unless told otherwise."""
        return await self.hub.get(f"/api/v1/admin{path}", **(headers or BOSS))

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        """`POST /api/v1/admin<path>`."""
        return await self.hub.post(f"/api/v1/admin{path}", body, **(headers or BOSS))

    async def put(self, path: str, body: Any, **headers: str) -> Answer:
        """`PUT /api/v1/admin<path>`."""
        url, data = f"{self.hub.url}/api/v1/admin{path}", json.dumps(body).encode()
        return await asyncio.to_thread(request, url, "PUT", data, **(headers or BOSS))

    async def configure(self, **sections: Any) -> Answer:
        """Set sections of the configuration."""
        return await self.post("/config/update", sections)


@contextlib.asynccontextmanager
async def administered(folder: Path, *, feeds: bool = False, **environ: str) -> AsyncIterator[Desk]:
    """A hub and its administration, at work inside the block."""
    async with running(folder, feeds=feeds, **environ) as hub:
        await until(lambda: hub.web.standing._migrated)
        yield Desk(hub)


@contextlib.asynccontextmanager
async def two_administered(folder: Path, redis_url: str, **environ: str) -> AsyncIterator[tuple[Desk, Desk]]:
    """Two instances over one Redis and one database, which know of each other."""
    async with (
        administered(folder, REDIS_URL=redis_url, **environ) as one,
        administered(folder, REDIS_URL=redis_url, **environ) as other,
    ):
        await both_living(one, other)
        yield one, other


async def both_living(*desks: Desk) -> None:
    """Returns once all know of all."""
    await until(lambda: all(desk.hub.broker.connected for desk in desks))  # type: ignore[attr-defined]
    async with asyncio.timeout(8):
        for desk in desks:
            while len(await desk.fleet._others()) != len(desks) - 1:  # noqa: ASYNC110 - Redis has no event for it
                await asyncio.sleep(0.02)
