import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feeds.configuration import Configuration
from feeds.market_hours.overrides import read_json
from feeds.market_hours.watch import SessionWatch
from schemas.market import IST, MarketState
from tests.hub.live import Answer, Hub, bearer, running, until
from tests.servers import PostgresServer

BOSS = bearer("boss", role="admin")
SESSIONS = {
    "holidays": [{"date": "2026-11-23", "markets": ["equity"], "reason": "State funeral"}],
    "special": [
        {
            "date": "2026-11-08",
            "markets": ["cash"],
            "sessions": [{"state": "continuous", "start": "18:15:00", "end": "19:15:00"}],
        }
    ],
    "halts": [{"markets": ["NSE"], "from": "2026-11-23T10:05:00+05:30", "until": "2026-11-23T11:00:00"}],
}


@pytest.fixture(params=["sqlite", "postgres"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hub]:
    environ = {} if request.param == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgres_url")}
    async with running(tmp_path, **environ) as hub:
        yield hub


async def put(hub: Hub, body: Any) -> Answer:
    return await hub.post("/api/v1/admin/config/update", body, **BOSS)


async def kept(hub: Hub) -> Any:
    return (await hub.get("/api/v1/admin/config", **BOSS)).data


async def test_what_is_set_is_shown_with_who_set_it_and_when(hub: Hub) -> None:
    assert await kept(hub) == {"sessions": None}
    answer = await put(hub, {"sessions": SESSIONS})
    assert answer.status == 200
    data = answer.data
    assert await kept(hub) == data
    set_at = datetime.fromisoformat(data["sessions"].pop("updated_at")).timestamp()
    assert abs(set_at - time.time()) < 30
    assert data == {"sessions": {"value": SESSIONS, "updated_by": "boss"}}
    stored = await Configuration(hub.engine, wall=time.time).get("sessions")
    assert stored is not None
    assert read_json(stored.value).holidays[0].reason == "State funeral"


async def test_the_next_word_replaces_the_last_and_an_empty_one_takes_it_back(hub: Hub) -> None:
    await put(hub, {"sessions": SESSIONS})
    await put(hub, {"sessions": {"halts": SESSIONS["halts"]}})
    assert (await kept(hub))["sessions"]["value"] == {"halts": SESSIONS["halts"]}
    await put(hub, {"sessions": {}})
    assert (await kept(hub))["sessions"]["value"] == {}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", ""),
        (b"{}", "sessions"),
        (b"[]", "object"),
        (b'{"sessions":', ""),
        (b'{"sessions":{"holidays":[}}', ""),
        (b'{"sessions":{"holidays":[{"date":"2026-11-23","markets":["equity"],"reason":"\xff"}]}}', ""),
        (b'{"sessions":' + b"[" * 50_000 + b"]" * 50_000 + b"}", ""),
        (b'{"sessions":{"holidays":' + b"[" * 50_000 + b"]" * 50_000 + b"}}", ""),
        ({"sessions": None}, "$.sessions"),
        ({"sessions": []}, "$.sessions"),
        ({"sessions": "{}"}, "$.sessions"),
        ({"feeds": {}}, "feeds"),
        ({"sessions": {}, "feeds": {}}, "feeds"),
        ({"sessions": {"weekends": []}}, "weekends"),
        ({"sessions": {"holidays": [{"date": "2026-11-23"}]}}, "$.sessions.holidays[0]"),
        ({"sessions": {"holidays": [{"date": "2026-11-31", "markets": ["equity"]}]}}, "$.sessions.holidays[0].date"),
        ({"sessions": {"holidays": [{"date": "2026-11-23", "markets": ["moon"]}]}}, "moon"),
        ({"sessions": {"holidays": [{"date": "2026-11-23", "markets": []}]}}, "$.sessions.holidays[0].markets"),
        ({"sessions": {"special": [{"date": "2026-11-08", "markets": ["cash"], "sessions": [{}]}]}}, "sessions[0]"),
        ({"sessions": {"halts": [{"markets": ["NSE"], "from": "soon"}]}}, "$.sessions.halts[0].from"),
        (
            {
                "sessions": {
                    "halts": [{"markets": ["NSE"], "from": "2026-11-23T11:00:00", "until": "2026-11-23T10:00:00"}]
                }
            },
            "follow",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place_and_changes_nothing(
    tmp_path: Path, body: Any, word: str
) -> None:
    async with running(tmp_path) as hub:
        await put(hub, {"sessions": SESSIONS})
        answer = await put(hub, body)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert word in answer.json["error"]["message"]
        assert (await kept(hub))["sessions"]["value"] == SESSIONS


async def test_a_question_that_the_route_does_not_know_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        answer = await hub.get("/api/v1/admin/config?section=sessions", **BOSS)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert "`section`" in answer.json["error"]["message"]


async def test_a_thousand_holidays_fit_and_a_million_characters_do_not(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        holidays = [
            {"date": f"2{number:03}-01-01", "markets": ["equity"], "reason": "x" * 150} for number in range(1000)
        ]
        assert (await put(hub, {"sessions": {"holidays": holidays}})).status == 200
        too_long = {"sessions": {"holidays": holidays, "reason": "x" * 1_000_000}}
        answer = await put(hub, too_long)
        assert (answer.status, answer.code) == (422, "LIMIT_EXCEEDED")


async def test_who_set_what_is_logged(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tickhub.hub.admin"):
        await put(hub, {"sessions": SESSIONS})
    (record,) = [one for one in caplog.records if one.message == "config.updated"]
    assert (record.__dict__["section"], record.__dict__["by"]) == ("sessions", "boss")


async def test_a_halt_that_is_set_stops_the_feeds_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionWatch, "POLL_S", 0.05)
    now = datetime.now(IST)
    halt = {"markets": ["NSE", "BSE", "equity"], "from": (now - timedelta(hours=1)).isoformat()}
    async with running(tmp_path, feeds=True, SIMULATOR_HOURS="clock") as hub:
        assert hub.feeds is not None
        day = {"date": now.date().isoformat(), "markets": ["equity"]}
        hours = {"sessions": [{"state": "continuous", "start": "00:00:00", "end": "23:59:59"}]}
        await put(hub, {"sessions": {"special": [day | hours]}})
        await until(lambda: hub.feeds and hub.feeds.hours.session_of("NSE").state is MarketState.CONTINUOUS)
        await put(hub, {"sessions": {"special": [day | hours], "halts": [halt]}})
        await until(lambda: hub.feeds and hub.feeds.hours.session_of("NSE").state is MarketState.HALTED)


async def test_without_its_database_both_routes_say_503(tmp_path: Path, own_postgres: PostgresServer) -> None:
    async with running(tmp_path, DATABASE_URL=own_postgres.url) as hub:
        assert await kept(hub) == {"sessions": None}
        await asyncio.to_thread(own_postgres.kill)
        for answer in (await put(hub, {"sessions": {}}), await hub.get("/api/v1/admin/config", **BOSS)):
            assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")
