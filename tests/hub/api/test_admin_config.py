"""Administrators set sections of the configuration; what makes no sense is refused, and every process follows."""

import asyncio
import logging
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feeds.configuration import Configuration
from feeds.market_hours.overrides import read_json
from feeds.market_hours.watch import SessionWatch
from schemas.market import IST, MarketState
from tests.hub.administration import Desk, administered, two_administered
from tests.hub.live import Client, bearer, until
from tests.servers import PostgresServer

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


NOTHING = {"sessions": None, "namespaces": None, "plans": None, "limits": None}


async def kept(desk: Desk) -> Any:
    return (await desk.get("/config")).data


async def values(desk: Desk) -> dict[str, Any]:
    return {name: one and one["value"] for name, one in (await kept(desk)).items()}


async def test_what_is_set_is_shown_with_who_set_it_and_when(desk: Desk) -> None:
    assert await kept(desk) == NOTHING
    answer = await desk.configure(sessions=SESSIONS)
    assert answer.status == 200
    data = answer.data
    assert await kept(desk) == data
    set_at = datetime.fromisoformat(data["sessions"].pop("updated_at")).timestamp()
    assert abs(set_at - time.time()) < 30
    assert data == NOTHING | {"sessions": {"value": SESSIONS, "updated_by": "boss"}}
    stored = await Configuration(desk.hub.engine, wall=time.time).get("sessions")
    assert stored is not None
    assert read_json(stored.value).holidays[0].reason == "State funeral"


async def test_the_next_word_replaces_the_last_and_null_takes_it_back(desk: Desk) -> None:
    await desk.configure(sessions=SESSIONS, limits={"rate_limit_max": 5})
    await desk.configure(sessions={"halts": SESSIONS["halts"]})
    assert await values(desk) == NOTHING | {
        "sessions": {"halts": SESSIONS["halts"]},
        "limits": {"rate_limit_max": 5},
    }
    await desk.configure(sessions={}, limits=None)
    assert await values(desk) == NOTHING | {"sessions": {}}
    assert (await desk.configure(sessions=None, plans=None)).status == 200
    assert await kept(desk) == NOTHING
    assert [(event.action, event.target) for event in await desk.trail()] == [
        ("config.updated", "sessions"),
        ("config.updated", "limits"),
        ("config.updated", "sessions"),
        ("config.updated", "sessions"),
        ("config.taken_back", "limits"),
        ("config.taken_back", "sessions"),
        ("config.taken_back", "plans"),
    ]


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
        ({"sessions": True}, "$.sessions"),
        ({"sessions": []}, "$.sessions"),
        ({"sessions": "{}"}, "$.sessions"),
        ({"feeds": {}}, "feeds"),
        ({"sessions": {}, "feeds": {}}, "feeds"),
        ({"sessions": {}, "plans": {"free": {"NSE": "soon"}}}, "$.plans.free.NSE"),
        ({"plans": {"gold": {}}}, "$.plans.gold"),
        ({"plans": {"free": {"channels": 0, "BSE": 5}}}, "$.plans.free.channels"),
        ({"plans": {"free": {"channels": 0, "BSE": 5}}}, "$.plans.free.BSE"),
        ({"plans": []}, "$.plans"),
        ({"plans": {"free": [1]}}, "$.plans.free"),
        ({"namespaces": {"chat": {}}}, "$.namespaces.chat"),
        ({"namespaces": {"a": {"policy": "newest"}, "b": {"policy": "log"}}}, "$.namespaces.a.policy"),
        ({"namespaces": {"market": {"policy": "log"}}}, "$.namespaces.market"),
        ({"namespaces": {"control": {"policy": "log"}}}, "$.namespaces.control"),
        ({"namespaces": {"UPPER": {"policy": "log"}}}, "$.namespaces.UPPER"),
        ({"namespaces": {"a": {"policy": "log", "history_age": "9999999d"}}}, "$.namespaces.a"),
        ({"namespaces": {"a": {"policy": "log", "access": "internal"}}}, "$.namespaces.a"),
        ({"namespaces": {"a": {"policy": "log", "fields": {"x": "blob"}}}}, "$.namespaces.a"),
        ({"namespaces": 5}, "$.namespaces"),
        ({"limits": {"rate_limit_max": 0}}, "$.limits.rate_limit_max"),
        ({"limits": {"rate_limit_time_window": "soon"}}, "$.limits.rate_limit_time_window"),
        ({"limits": {"rate_limit_time_window": "2d"}}, "$.limits.rate_limit_time_window"),
        ({"limits": {"max_connections": 5}}, "max_connections"),
        (b'{"limits":{"rate_limit_max":1e400}}', ""),
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
    one: Desk, body: Any, word: str
) -> None:
    await one.configure(sessions=SESSIONS)
    answer = await one.post("/config/update", body)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert word in answer.json["error"]["message"]
    assert await values(one) == NOTHING | {"sessions": SESSIONS}
    assert len(await one.trail()) == 1


async def test_a_question_that_the_route_does_not_know_is_refused(one: Desk) -> None:
    answer = await one.get("/config?section=sessions")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert "`?section`" in answer.json["error"]["message"]


async def test_a_thousand_holidays_fit_and_a_million_characters_do_not(one: Desk) -> None:
    holidays = [{"date": f"2{number:03}-01-01", "markets": ["equity"], "reason": "x" * 150} for number in range(1000)]
    assert (await one.configure(sessions={"holidays": holidays})).status == 200
    answer = await one.configure(sessions={"holidays": holidays, "reason": "x" * 1_000_000})
    assert (answer.status, answer.code) == (422, "LIMIT_EXCEEDED")


async def test_who_set_what_is_logged(one: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tickhub.hub.api.admin_config"):
        await one.configure(sessions=SESSIONS)
    (record,) = [entry for entry in caplog.records if entry.message == "config.updated"]
    assert (record.__dict__["section"], record.__dict__["by"]) == ("sessions", "boss")


async def test_only_administrators_may_look_or_set(one: Desk) -> None:
    for headers in (bearer("7"), bearer("p", role="publisher")):
        assert (await one.get("/config", **headers)).code == "PERMISSION_DENIED"
        assert (await one.post("/config/update", {"limits": {}}, **headers)).code == "PERMISSION_DENIED"
    assert await kept(one) == NOTHING


async def test_a_halt_that_is_set_stops_the_feeds_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionWatch, "POLL_S", 0.05)
    now = datetime.now(IST)
    halt = {"markets": ["NSE", "BSE", "equity"], "from": (now - timedelta(hours=1)).isoformat()}
    async with administered(tmp_path, feeds=True, SIMULATOR_HOURS="clock") as desk:
        feeds = desk.hub.feeds
        assert feeds is not None
        day = {"date": now.date().isoformat(), "markets": ["equity"]}
        hours = {"sessions": [{"state": "continuous", "start": "00:00:00", "end": "23:59:59"}]}
        await desk.configure(sessions={"special": [day | hours]})
        await until(lambda: feeds.hours.session_of("NSE").state is MarketState.CONTINUOUS)
        await desk.configure(sessions={"special": [day | hours], "halts": [halt]})
        await until(lambda: feeds.hours.session_of("NSE").state is MarketState.HALTED)


async def test_without_its_database_both_routes_say_503(tmp_path: Path, own_postgres: PostgresServer) -> None:
    async with administered(tmp_path, DATABASE_URL=own_postgres.url) as desk:
        assert await kept(desk) == NOTHING
        await asyncio.to_thread(own_postgres.kill)
        for answer in (await desk.configure(sessions={}), await desk.get("/config")):
            assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")


# -- what follows -----------------------------------------------------------------------------------------------------


async def test_a_namespace_that_is_added_carries_messages_on_both_instances(tmp_path: Path, redis_url: str) -> None:
    async with (
        two_administered(tmp_path, redis_url) as (one, other),
        one.hub.client() as here,
        other.hub.client() as there,
    ):
        assert (await there.ask("subscribe", channel="ideas:today"))["failed"][0]["code"] == "UNKNOWN_CHANNEL"
        ideas = {"policy": "log", "publish": "subscribers", "fields": {"text": "string"}}
        await one.configure(namespaces={"ideas": ideas})
        await until(lambda: all(desk.hub.names.namespaces.get("ideas") for desk in (one, other)))
        await here.subscribe("ideas:today")
        await there.subscribe("ideas:today")
        await one.hub.publish("ideas:today", text="first")
        await there.ask("publish", channel="ideas:today", data={"text": "second"})
        for client in (here, there):
            heard = await client.hear_many(2, "ideas:new")
            assert [(message["offset"], message["data"]["text"]) for message in heard] == [(1, "first"), (2, "second")]
        assert (await there.ask("publish", channel="ideas:today", data={"text": 5}))["code"] == "BAD_REQUEST"
        await other.configure(namespaces=None)
        for client in (here, there):
            assert (await client.hear("unsubscribed", channel="ideas:today"))["code"] == 2000


async def test_a_namespace_of_the_file_is_overridden_and_comes_back(one: Desk) -> None:
    hub = one.hub
    async with hub.client(plan="free") as client:
        await client.subscribe("chat:a", "quick:a")
        await one.configure(
            namespaces={"chat": {"policy": "log", "message_type": "chat:says", "fields": {"n": "integer"}}}
        )
        await until(lambda: hub.names.parse("chat:a").namespace.message_type == "chat:says")
        await hub.publish("chat:a", n=1)
        assert (await client.hear("chat:says"))["data"] == {"n": 1}
        await one.configure(namespaces={"chat": {"policy": "latest"}, "quick": {"policy": "latest", "access": "pro"}})
        assert (await client.hear("unsubscribed", channel="chat:a"))["code"] == 2500
        assert (await client.hear("unsubscribed", channel="quick:a"))["code"] == 2003
        await client.subscribe("chat:a")
        await hub.publish("chat:a", n=2)
        assert (await client.hear("chat:update"))["data"] == {"n": 2}
        await one.configure(namespaces=None)
        assert (await client.hear("unsubscribed", channel="chat:a"))["code"] == 2500
        await client.subscribe("chat:a", "quick:a")
        await hub.publish("chat:a", n=3)
        assert (await client.hear("chat:new"))["data"] == {"n": 3}


async def test_plans_that_are_set_reach_open_sockets(one: Desk) -> None:
    async with one.hub.client(plan="free") as client:
        reply = await client.subscribe("market:TCS", "market:BSE:TCS")
        assert all("delay" not in entry for entry in reply["subscribed"])
        await one.configure(plans={"free": {"NSE": "15m", "BSE": "none"}})
        assert (await client.hear("unsubscribed", channel="market:BSE:TCS"))["code"] == 2003

        async def delays() -> list[int | None]:
            reply = await client.ask("subscriptions")
            return [entry.get("delay") for entry in reply["subscriptions"]]

        assert await delays() == [900]
        shown = (await one.hub.get("/api/v1/plans")).data["items"][0]
        assert (shown["name"], shown["prices"]["NSE"], shown["prices"]["BSE"]) == ("free", "15m", "none")
        await one.configure(plans=None)
        async with asyncio.timeout(5):
            while await delays() != [None]:  # noqa: ASYNC110 - the client is told nothing of it
                await asyncio.sleep(0.01)


async def test_prices_that_a_plan_delays_at_run_time_come_late(tmp_path: Path) -> None:
    async with (
        administered(tmp_path, feeds=True, FEED="simulator", SIMULATOR_RATE="200") as desk,
        desk.hub.client(plan="free") as free,
        desk.hub.client(plan="pro") as pro,
    ):
        for client in (free, pro):
            await client.subscribe("market:RELIANCE")
            assert await age_s(client) < 1
        await desk.configure(plans={"free": {"NSE": "1s"}})
        async with asyncio.timeout(8):
            while await age_s(free) < 1:  # those from before the change
                pass
        assert 1 <= await age_s(free) < 4
        assert await age_s(pro) < 1


async def age_s(client: Client) -> float:
    """Of the next price that was not on its way already."""
    await client.ask("ping")
    client.backlog.clear()
    update = await client.hear("market:update", channel="market:NSE:RELIANCE")
    return time.time() - datetime.fromisoformat(update["time"]).timestamp()


async def test_limits_that_are_set_count_instead_of_the_settings(one: Desk) -> None:
    async with one.hub.client(user="7"), one.hub.client(user="7") as second:
        await one.configure(limits={"rate_limit_max": 7, "rate_limit_time_window": "5m", "max_connections_per_user": 1})
        assert await second.close_code() == 3504
        answer = await one.hub.get("/api/v1/market/status", **bearer("7"))
        assert "q=7;w=300" in answer.headers["ratelimit-policy"]
        await one.configure(limits=None)
        await until(lambda: one.hub.web.connections._limits.connections_per_user == 0)
        async with one.hub.client(user="7") as third:
            await third.ask("ping")
