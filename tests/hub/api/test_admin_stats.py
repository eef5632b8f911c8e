"""One answer says how the installation does, also while parts of it are away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from auth.identity import Plan, Role
from tests.hub.administration import Desk, administered, two_administered
from tests.hub.live import bearer
from tests.servers import PostgresServer


async def stats(desk: Desk) -> dict[str, Any]:
    data: dict[str, Any] = (await desk.get("/stats")).data
    return data


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_users_sockets_and_health_are_counted(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    environ = {} if engine == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgres_url")}
    async with administered(tmp_path, **environ) as desk:
        await desk.accounts.create("a@example.org", None, "A", plan=Plan.PRO)
        await desk.accounts.create("b@example.org", None, "B", role=Role.ADMIN, email_verified=True)
        async with desk.hub.client(user="7") as client:
            await client.subscribe("market:TCS", "market:INFY")
            await desk.hub.publish("market:TCS", price=1)
            await client.hear("market:update")
            data = await stats(desk)
    assert data["users"] == {
        "total": 2,
        "plans": {"free": 1, "basic": 0, "pro": 1, "enterprise": 0},
        "roles": {"user": 1, "publisher": 0, "admin": 1},
        "statuses": {"active": 2, "disabled": 0},
        "verified": 1,
        "two_factor": 0,
        "registered": 2,
    }
    total = data["total"]
    assert {name: total[name] for name in ("sockets", "subscriptions", "opened", "deliveries")} == {
        "sockets": 1, "subscriptions": 2, "opened": 1, "deliveries": 1,
    }  # fmt: skip
    (instance,) = data["instances"]
    assert (instance["instance"], instance["draining"], instance["sockets"]) == (desk.fleet.instance, False, 1)
    assert {name: part["status"] for name, part in data["health"].items()} == {"broker": "ok", "database": "ok"}
    assert data["missing"] == []


async def test_instances_are_summed(tmp_path: Path, redis_url: str) -> None:
    async with two_administered(tmp_path, redis_url) as (one, other):
        for desk, path in ((one, "/stats"), (other, "/stats"), (other, "/connections/x")):
            await desk.get(path)
        async with one.hub.client(user="a"), other.hub.client(user="b"), other.hub.client(user="c"):
            data = await stats(one)
    assert data["total"]["sockets"] == 3
    assert data["total"]["http_requests"] == {"2xx": 2, "4xx": 1}
    assert sorted(one["sockets"] for one in data["instances"]) == [1, 2]


async def test_without_the_database_everything_else_is_told(tmp_path: Path, own_postgres: PostgresServer) -> None:
    async with administered(tmp_path, DATABASE_URL=own_postgres.url) as desk:
        assert (await stats(desk))["users"]["total"] == 0
        await asyncio.to_thread(own_postgres.kill)
        data = await stats(desk)
    assert data["users"] is None
    assert data["health"]["database"]["status"] == "unavailable"
    assert data["health"]["database"]["reason"]
    assert len(data["instances"]) == 1


async def test_only_administrators_may_know(tmp_path: Path) -> None:
    async with administered(tmp_path) as desk:
        assert (await desk.get("/stats", **bearer("7"))).code == "PERMISSION_DENIED"
