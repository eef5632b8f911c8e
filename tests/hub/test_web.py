import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.hub.live import bearer, running
from tests.servers import PostgresServer


async def test_a_revocation_outlives_the_process(tmp_path: Path) -> None:
    header = bearer("7")
    async with running(tmp_path) as hub:
        assert (await hub.post("/api/v1/auth/logout", **header)).status == 200
    async with running(tmp_path) as hub:
        assert (await hub.post("/api/v1/auth/ticket", **header)).status == 401


async def test_a_database_that_comes_late_is_migrated_then(tmp_path: Path) -> None:
    with PostgresServer() as postgres:
        await asyncio.to_thread(postgres.stop)
        async with running(tmp_path, DATABASE_URL=postgres.url) as hub, hub.client(user="7") as client:
            assert (await hub.get("/health/detailed")).status == 503
            await asyncio.to_thread(postgres.start)

            async def migrated() -> bool:
                async with hub.engine.connect() as connection:
                    return await connection.scalar(text("SELECT to_regclass('revocations')")) is not None

            async with asyncio.timeout(10):
                while not await migrated():  # noqa: ASYNC110 - the hub asks once a second
                    await asyncio.sleep(0.02)
            assert (await hub.get("/health/detailed")).status == 200
            assert (await hub.post("/api/v1/auth/logout", **bearer("7"))).status == 200
            await client.ask("ping")


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
async def test_logging_out_twice_at_once_is_fine(tmp_path: Path, request: pytest.FixtureRequest, where: str) -> None:
    environ = {} if where == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgres_url")}
    async with running(tmp_path, **environ) as hub:

        async def ready() -> bool:
            return (await hub.post("/api/v1/auth/logout", **bearer("other"))).status == 200

        async with asyncio.timeout(10):
            while not await ready():  # noqa: ASYNC110 - the tables are made in the background
                await asyncio.sleep(0.02)
        header = bearer("7")
        answers = await asyncio.gather(*(hub.post("/api/v1/auth/logout", **header) for _ in range(5)))
        assert {answer.status for answer in answers} <= {200, 401}
        assert 200 in {answer.status for answer in answers}
