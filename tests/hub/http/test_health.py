"""Health tells a process that lives from one that can't work."""

import msgspec
from starlette.requests import Request

from hub.http.health import DependencyHealth, Health, health_of
from schemas.errors import Unavailable

ASKED = Request({"type": "http", "method": "GET", "path": "/health", "query_string": b"", "headers": []})


async def well() -> None: ...


async def away() -> None:
    raise Unavailable("database", "connection refused")


async def test_a_check_is_timed_and_one_that_fails_says_why() -> None:
    good = await health_of(well)
    assert good.status == "ok"
    assert isinstance(good.ms, float)
    assert good.ms >= 0
    assert await health_of(away) == DependencyHealth(status="unavailable", reason="connection refused")


async def test_a_process_lives_whatever_it_depends_on() -> None:
    answer = await Health(checks={"database": away}, facts=dict).health(ASKED)
    assert answer.status_code == 200
    assert msgspec.json.decode(answer.body)["data"]["status"] == "ok"


async def test_the_detailed_report_asks_everything_and_is_503_where_one_is_away() -> None:
    health = Health(checks={"broker": well, "database": away}, facts=lambda: {"connections": 3})
    answer = await health.detailed(ASKED)
    data = msgspec.json.decode(answer.body)["data"]
    assert (answer.status_code, data["status"], data["connections"]) == (503, "degraded", 3)
    assert set(data["parts"]["broker"]) == {"status", "ms"}
    assert data["parts"]["database"] == {"status": "unavailable", "reason": "connection refused"}
    answer = await Health(checks={"broker": well}, facts=dict).detailed(ASKED)
    assert (answer.status_code, msgspec.json.decode(answer.body)["data"]["status"]) == (200, "ok")
