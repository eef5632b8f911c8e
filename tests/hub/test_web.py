import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from auth.tokens import TokenVerifier
from schemas.tables import revocations
from tests.hub.live import SECRET, bearer, running, token, until
from tests.servers import PostgresServer


async def test_a_revocation_that_only_the_database_knows_reaches_open_sockets(tmp_path: Path) -> None:
    mine = token("7")
    identity = await TokenVerifier(secret=SECRET).verify(mine)
    async with running(tmp_path) as hub, hub.client(query=f"?token={mine}") as client:
        row = {"token_id": identity.token_id, "expires_at": identity.expires_at, "created_at": int(time.time())}
        async with hub.engine.begin() as connection:
            await connection.execute(insert(revocations).values(row))
        assert await client.close_code(2.0) == 3500
        assert (await hub.post("/api/v1/auth/ticket", **bearer("7"))).status == 201


async def test_a_revocation_outlives_the_process(tmp_path: Path) -> None:
    header = bearer("7")
    async with running(tmp_path) as hub:
        assert (await hub.post("/api/v1/auth/logout", **header)).status == 200
    async with running(tmp_path) as hub:
        await until(lambda: hub.web.revocations._tokens)
        assert (await hub.post("/api/v1/auth/ticket", **header)).status == 401


async def test_a_user_whose_tokens_are_all_revoked_is_closed_everywhere(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as hub,
        hub.client(user="7") as one,
        hub.client(user="7") as two,
        hub.client(user="8") as other,
    ):
        await hub.web.revocations.revoke_user("7", time.time())
        assert [await one.close_code(1.0), await two.close_code(1.0)] == [3500, 3500]
        await other.ask("ping")


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
