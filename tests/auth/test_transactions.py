"""A transaction is committed whole or not at all, and a database that fails looks like one thing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from auth import transactions as module
from auth.transactions import ConstraintBroken, reading, writing
from hub.database import engine_for, migrate
from schemas.errors import CommandError, ErrorCode, Unavailable
from schemas.tables import configuration
from tests.servers import FaultProxy

ROW = {"key": "a", "value": "1", "updated_at": 1, "updated_by": "7"}


async def count(engine: AsyncEngine) -> int:
    async with reading(engine) as connection:
        return await connection.scalar(select(func.count()).select_from(configuration)) or 0


async def test_what_is_written_stays(engine: AsyncEngine, other_engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        await connection.execute(insert(configuration).values(ROW))
        assert await count(other_engine) == 0
    assert await count(other_engine) == 1


async def test_an_error_undoes_all(engine: AsyncEngine) -> None:
    async def write() -> None:
        async with writing(engine) as connection:
            await connection.execute(insert(configuration).values(ROW))
            raise CommandError(ErrorCode.NOT_FOUND, "no")

    with pytest.raises(CommandError):
        await write()
    assert await count(engine) == 0


async def test_cancelling_undoes_all(engine: AsyncEngine) -> None:
    written = asyncio.Event()

    async def write() -> None:
        async with writing(engine) as connection:
            await connection.execute(insert(configuration).values(ROW))
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await count(engine) == 0


async def test_a_key_that_is_taken_is_told_apart(engine: AsyncEngine) -> None:
    async def write(*keys: str) -> None:
        async with writing(engine) as connection:
            for key in keys:
                await connection.execute(insert(configuration).values({**ROW, "key": key}))

    await write("a")
    with pytest.raises(ConstraintBroken):
        await write("b", "a")
    assert await count(engine) == 1


async def test_any_other_fault_is_unavailable(engine: AsyncEngine) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        async with reading(engine) as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


@asynccontextmanager
async def behind_a_proxy(url: str, tmp_path: Path) -> AsyncIterator[tuple[AsyncEngine, FaultProxy]]:
    parts = urlsplit(url)
    async with FaultProxy(parts.hostname or "", parts.port or 5432) as proxy:
        user, at, _ = parts.netloc.rpartition("@")
        through = urlunsplit(parts._replace(netloc=f"{user}{at}{proxy.host}:{proxy.port}"))
        engine = engine_for(through, tmp_path)
        await migrate(engine)
        yield engine, proxy
        await engine.dispose()


async def test_a_database_that_is_gone_is_unavailable_until_it_is_back(postgres_url: str, tmp_path: Path) -> None:
    async with behind_a_proxy(postgres_url, tmp_path) as (engine, proxy):
        proxy.refuse()
        proxy.cut()
        for transaction in (reading, writing):
            with pytest.raises(Unavailable):
                async with transaction(engine) as connection:
                    await connection.execute(select(1))
        await proxy.accept()
        assert await count(engine) == 0


async def test_a_database_that_stops_answering_is_not_waited_for_forever(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_a_proxy(postgres_url, tmp_path) as (engine, proxy):
        assert await count(engine) == 0
        monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
        proxy.stall()
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match="no answer in time"):
                await count(engine)
        proxy.flow()
