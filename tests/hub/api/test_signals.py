import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from feeds.market_hours.sessions import day_start_ms, ist_day
from feeds.signals.rules import SignalType
from feeds.signals.signal import Draft, Outcome, Source
from feeds.signals.store import SignalStore
from schemas.market import scaled
from tests.hub.live import Answer, Hub, bearer, request, running
from tests.servers import PostgresServer, RedisServer

SERVER = bearer("server", plan="free", role="publisher")
READER = bearer("7", plan="basic")
DAY_S = 86_400
PLANS = """
[basic]
MCX = "none"
"""
BUY = {
    "symbol": "RELIANCE", "signal_type": "BUY", "confidence": 71.5, "entry_price": 2500.05, "target_price": 2530,
    "stop_loss": 2485, "reason": "breakout",
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hub]:
    environ = {} if request.param == "sqlite" else {"DATABASE_URL": request.getfixturevalue("postgres_url")}
    async with running(tmp_path, **environ) as hub:
        yield hub


@pytest.fixture
async def planned(tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub on which the plan basic has nothing of MCX."""
    plans = tmp_path / "plans.toml"
    plans.write_text(PLANS)
    async with running(tmp_path, PLANS_FILE=str(plans)) as hub:
        yield hub


async def call(hub: Hub, method: str, place: str, body: Any = None, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    return await asyncio.to_thread(request, f"{hub.url}/api/v1/signals{place}", method, data, **headers)


async def give(hub: Hub, **fields: Any) -> Any:
    answer = await call(hub, "POST", "", BUY | fields, **SERVER)
    assert answer.status == 201, answer.json
    return answer.data


async def found(hub: Hub, query: str = "") -> list[int]:
    return [one["id"] for one in (await call(hub, "GET", query, **READER)).data["items"]]


async def keep(hub: Hub, given_s: int, **fields: Any) -> int:
    """Store a signal that was given at some time; its id."""
    values: dict[str, Any] = {
        "exchange": "NSE", "symbol": "TCS", "signal_type": SignalType.BUY, "confidence": 50.0,
        "entry_price": scaled(100), "expires_at": given_s + DAY_S,
    }  # fmt: skip
    return (await SignalStore(hub.engine).create(Draft(**values | fields), now_s=given_s)).id


async def ready(hub: Hub) -> None:
    """Returns once the tables are there."""
    assert await found(hub) == []


# -- giving -----------------------------------------------------------------------------------------------------------


async def test_a_signal_is_stored_and_heard_on_both_its_channels(hub: Hub) -> None:
    async with hub.client(plan="basic") as client:
        await client.subscribe("signals:generated", "signals:NSE:RELIANCE")
        before_s = int(time.time())
        given = await give(hub, timeframe="15m", ml_score=0.8)
        heard = await client.hear_many(2, "signals:new")
    assert {one["channel"] for one in heard} == {"signals:generated", "signals:NSE:RELIANCE"}
    for one in heard:
        assert one["data"] == {
            "id": given["id"], "exchange": "NSE", "timeframe": "15m", "ml_score": 0.8, "status": "ACTIVE",
            "time": given["created_at"],
        } | BUY  # fmt: skip
    expires_at = datetime.fromisoformat(given.pop("expires_at")).timestamp()
    assert before_s + DAY_S <= expires_at <= time.time() + DAY_S
    assert given.pop("created_at") == given.pop("updated_at")
    assert given == BUY | {
        "id": 1, "exchange": "NSE", "timeframe": "15m", "ml_score": 0.8, "source": "api", "status": "ACTIVE",
        "outcome": None, "close_price": None, "closed_at": None,
    }  # fmt: skip


async def test_a_signal_is_answered_as_it_was_given(hub: Hub) -> None:
    given = await give(hub, exchange="bse", symbol="sensex", reason={"en": "up", "hi": "ऊपर"}, confidence=0)
    assert (given["exchange"], given["symbol"]) == ("BSE", "SENSEX")
    assert (await call(hub, "GET", f"/{given['id']}", **READER)).data == given
    assert (await call(hub, "GET", "", **READER)).data == {"items": [given], "total": 1, "page": 1, "limit": 50}


@pytest.mark.parametrize(
    ("expires_at", "second"),
    [("2099-01-01T00:00:00+05:30", 4_070_889_000), (4_070_889_000, 4_070_889_000), ("2099-01-01", 4_070_889_000)],
)
async def test_a_signal_ends_when_its_giver_says(hub: Hub, expires_at: Any, second: int) -> None:
    given = await give(hub, expires_at=expires_at)
    assert datetime.fromisoformat(given["expires_at"]).timestamp() == second


async def test_a_symbol_that_is_not_listed_has_signals_once_it_has_a_price(hub: Hub) -> None:
    answer = await call(hub, "POST", "", BUY | {"symbol": "NOSUCHTHING"}, **SERVER)
    assert (answer.status, answer.code) == (404, "INVALID_SYMBOL")
    await hub.publish("market:NOSUCHTHING", price=1)
    assert (await give(hub, symbol="NOSUCHTHING"))["symbol"] == "NOSUCHTHING"


WRONG: list[tuple[Any, int, str, str]] = [
    (b"", 400, "BAD_REQUEST", ""),
    (b"[]", 400, "BAD_REQUEST", ""),
    (b"\xff", 400, "BAD_REQUEST", ""),
    (b"{" + b'"reason":{"a":' + b'{"a":' * 10_000, 400, "BAD_REQUEST", ""),
    ({"signal_type": "BUY", "confidence": 1}, 400, "BAD_REQUEST", "symbol"),
    (BUY | {"signal_type": "buy"}, 400, "BAD_REQUEST", "$.signal_type"),
    (BUY | {"confidence": 100.5}, 400, "BAD_REQUEST", "$.confidence"),
    (BUY | {"confidence": "70"}, 400, "BAD_REQUEST", "$.confidence"),
    (BUY | {"entry_price": 0}, 400, "BAD_REQUEST", "$.entry_price"),
    (BUY | {"entry_price": 1e-9}, 400, "BAD_REQUEST", "prices"),
    (BUY | {"target_price": 1e12}, 400, "BAD_REQUEST", "prices"),
    (BUY | {"target_price": 1e300}, 400, "BAD_REQUEST", "$.target_price"),
    (BUY | {"stop_loss": 2600}, 400, "BAD_REQUEST", "stop_loss < entry_price"),
    (BUY | {"exchange": "MOON"}, 400, "BAD_REQUEST", "$.exchange"),
    (BUY | {"symbol": "MOON:X"}, 404, "INVALID_SYMBOL", "MOON"),
    (BUY | {"symbol": "A\0B"}, 404, "UNKNOWN_CHANNEL", ""),
    (BUY | {"symbol": "ऊपर"}, 404, "UNKNOWN_CHANNEL", ""),
    (BUY | {"symbol": ""}, 400, "BAD_REQUEST", "$.symbol"),
    (BUY | {"symbol": "X" * 73}, 400, "BAD_REQUEST", "$.symbol"),
    (BUY | {"timeframe": "2h"}, 400, "BAD_REQUEST", "$.timeframe"),
    (BUY | {"ml_score": 1e7}, 400, "BAD_REQUEST", "$.ml_score"),
    (BUY | {"reason": 5}, 400, "BAD_REQUEST", "$.reason"),
    (BUY | {"reason": "x" * 4001}, 400, "BAD_REQUEST", "$.reason"),
    (BUY | {"reason": {"en": "x" * 40_000}}, 400, "BAD_REQUEST", "reason"),
    (BUY | {"reason": json.loads('{"a":' * 40 + "1" + "}" * 40)}, 400, "BAD_REQUEST", "deep"),
    (BUY | {"expires_at": "tomorrow"}, 400, "BAD_REQUEST", "$.expires_at"),
    (BUY | {"expires_at": 1}, 400, "BAD_REQUEST", "$.expires_at"),
    (BUY | {"expires_at": 2**70}, 400, "BAD_REQUEST", "$.expires_at"),
    (BUY | {"id": 5}, 400, "BAD_REQUEST", "id"),
    (BUY | {"status": "CLOSED"}, 400, "BAD_REQUEST", "status"),
    (BUY | {"reason": "x" * 80_000}, 422, "LIMIT_EXCEEDED", ""),
]  # fmt: skip


async def test_what_is_no_signal_is_refused_and_neither_stored_nor_heard(hub: Hub) -> None:
    async with hub.client() as client:
        await client.subscribe("signals:generated")
        for body, status, code, word in WRONG:
            answer = await call(hub, "POST", "", body, **SERVER)
            assert (body, answer.status, answer.code) == (body, status, code)
            assert word in answer.json["error"]["message"]
        assert await client.settled() == []
    assert await found(hub) == []


async def test_a_signal_given_while_redis_is_away_is_published_with_the_next_one(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    async with running(tmp_path, REDIS_URL=own_redis.url) as hub:
        await asyncio.to_thread(own_redis.kill)
        first = await give(hub)
        await asyncio.to_thread(own_redis.start)
        async with hub.client() as client:
            await client.subscribe("signals:generated")
            second = await give(hub)
            heard = await client.hear_many(2, "signals:new")
        assert [one["data"]["id"] for one in heard] == [first["id"], second["id"]]


# -- finding ----------------------------------------------------------------------------------------------------------


async def test_signals_are_found_by_what_they_are(hub: Hub) -> None:
    buy = (await give(hub, confidence=80, timeframe="15m"))["id"]
    sell = (await give(hub, signal_type="SELL", entry_price=None, target_price=1, stop_loss=2, confidence=40))["id"]
    sensex = (await give(hub, symbol="BSE:SENSEX", confidence=60))["id"]
    closed = await call(hub, "PUT", f"/{sensex}", {"status": "CLOSED", "close_price": 2510}, **SERVER)
    assert closed.data["outcome"] == "manual"
    for query, ids in (
        ("", [sensex, sell, buy]),
        ("?order=asc", [buy, sell, sensex]),
        ("?sort=confidence", [buy, sensex, sell]),
        ("?sort=confidence&order=asc&limit=1", [sell]),
        ("?limit=2&page=2", [buy]),
        ("?page=9", []),
        ("?symbol=reliance", [sell, buy]),
        ("?symbol=SENSEX", [sensex]),
        ("?symbol=BSE:SENSEX", [sensex]),
        ("?symbol=NSE:SENSEX", []),
        ("?symbol=SENSEX&exchange=NSE", []),
        ("?exchange=bse", [sensex]),
        ("?exchange=MCX", []),
        ("?signal_type=SELL", [sell]),
        ("?status=ACTIVE", [sell, buy]),
        ("?status=CLOSED", [sensex]),
        ("?min_confidence=60", [sensex, buy]),
        ("?min_confidence=60.5&signal_type=BUY", [buy]),
        ("?timeframe=15m", [buy]),
        ("?source=rules", []),
    ):
        assert (query, await found(hub, query)) == (query, ids)


async def test_signals_are_found_by_when_they_were_given(hub: Hub) -> None:
    await ready(hub)
    noon_s = 1_704_695_400  # 2024-01-08T12:00 in India
    first, second, third = [await keep(hub, noon_s + number * 3600) for number in range(3)]
    for query, ids in (
        ("?from=2024-01-08T13:00:00%2B05:30", [third, second]),
        ("?to=2024-01-08T13:00", [first]),
        (f"?from={noon_s}&to={noon_s + 3601}", [second, first]),
        ("?from=2024-01-09", []),
        ("?to=2024-01-09&sort=id&order=asc", [first, second, third]),
    ):
        assert (query, await found(hub, query)) == (query, ids)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("?page=0", "`?page`"),
        ("?limit=501", "`?limit`"),
        ("?sort=deleted_at", "`?sort`"),
        ("?order=up", "`?order`"),
        ("?signal_type=LONG", "`?signal_type`"),
        ("?status=OPEN", "`?status`"),
        ("?min_confidence=101", "`?min_confidence`"),
        ("?min_confidence=nan", "`?min_confidence`"),
        ("?exchange=MOON", "`?exchange`"),
        ("?timeframe=2h", "`?timeframe`"),
        ("?from=tomorrow", "`?from`"),
        ("?to=1e9", "`?to`"),
        ("?since=2024-01-01", "`?since`"),
        ("?status=ACTIVE&status=CLOSED", "once"),
        ("/1?full=true", "`?full`"),
        ("/stats/daily?days=0", "`?days`"),
        ("/stats/daily?days=367", "`?days`"),
        ("/stats/daily?from=2024-01-01", "`?from`"),
    ],
)
async def test_a_wrong_query_is_refused_with_its_place(planned: Hub, query: str, where: str) -> None:
    answer = await call(planned, "GET", query, **READER)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert where in answer.json["error"]["message"]


async def test_a_symbol_that_is_none_finds_nothing(planned: Hub) -> None:
    for symbol, code in (("A%00B", "UNKNOWN_CHANNEL"), ("MOON:A", "INVALID_SYMBOL")):
        answer = await call(planned, "GET", f"?symbol={symbol}", **READER)
        assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize("name", ["2", "0", "-1", "x", "1.0", "9" * 19, "9" * 5000, "stats"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_signal_that_is_not_there_is_not_found(planned: Hub, method: str, name: str) -> None:
    headers = READER if method == "GET" else SERVER
    answer = await call(planned, method, f"/{name}", {} if method == "PUT" else None, **headers)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


# -- changing ---------------------------------------------------------------------------------------------------------


async def test_what_is_said_of_a_signal_changes_and_the_rest_stays(hub: Hub) -> None:
    given = await give(hub)
    changes = {"confidence": 90, "target_price": 2600.5, "stop_loss": None, "reason": None, "expires_at": "2099-01-01"}
    changed = (await call(hub, "PUT", f"/{given['id']}", changes, **SERVER)).data
    assert changed == given | changes | {
        "expires_at": "2099-01-01T00:00:00.000+05:30", "updated_at": changed["updated_at"],
    }  # fmt: skip
    assert (await call(hub, "GET", f"/{given['id']}", **READER)).data == changed


async def test_a_signal_that_was_closed_changes_no_more(hub: Hub) -> None:
    place = f"/{(await give(hub))['id']}"
    closed = (await call(hub, "PUT", place, {"status": "CLOSED", "close_price": 2520.5}, **SERVER)).data
    assert (closed["status"], closed["outcome"], closed["close_price"]) == ("CLOSED", "manual", 2520.5)
    assert closed["closed_at"]
    answer = await call(hub, "PUT", place, {"confidence": 1}, **SERVER)
    assert (answer.status, answer.code) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"symbol": "TCS"}, "symbol"),
        ({"confidence": 101}, "$.confidence"),
        ({"confidence": None}, "$.confidence"),
        ({"stop_loss": 2600}, "stop_loss < entry_price"),
        ({"target_price": -1}, "$.target_price"),
        ({"close_price": 5}, "close_price"),
        ({"status": "DONE"}, "$.status"),
        ({"expires_at": "2000-01-01"}, "$.expires_at"),
        ({"reason": json.loads('{"a":' * 40 + "1" + "}" * 40)}, "deep"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(planned: Hub, changes: Any, word: str) -> None:
    given = await give(planned)
    answer = await call(planned, "PUT", f"/{given['id']}", changes, **SERVER)
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")
    assert word in answer.json["error"]["message"]
    assert (await call(planned, "GET", f"/{given['id']}", **READER)).data == given


async def test_a_deleted_signal_is_seen_no_more(hub: Hub) -> None:
    place = f"/{(await give(hub))['id']}"
    assert (await call(hub, "DELETE", place, **SERVER)).data == {}
    assert await found(hub) == []
    for method, headers in (("GET", READER), ("PUT", SERVER), ("DELETE", SERVER)):
        assert (await call(hub, method, place, {} if method == "PUT" else None, **headers)).code == "NOT_FOUND"


# -- counting ---------------------------------------------------------------------------------------------------------


async def test_days_are_counted_back_from_today_in_india(hub: Hub) -> None:
    await ready(hub)
    now_s = int(time.time())
    today_s = day_start_ms(ist_day(now_s * 1000)) // 1000
    store = SignalStore(hub.engine)
    won = await keep(hub, today_s, source=Source.RULES)
    await store.close(won, outcome=Outcome.TARGET, price=scaled(103), now_s=now_s)
    await keep(hub, today_s - 6 * DAY_S, symbol="INFY", signal_type=SignalType.SELL)
    await keep(hub, today_s - 6 * DAY_S - 1)
    answer = (await call(hub, "GET", "/stats/daily", **READER)).data
    assert answer == {
        "days": 7,
        "items": [
            {
                "day": ist_day(now_s * 1000).isoformat(), "total": 1, "buy": 1, "sell": 0, "hold": 0, "active": 0,
                "expired": 0, "closed": 1, "targets": 1, "stops": 0, "hit_rate": 100.0, "average_move": 3.0,
            },
            {
                "day": ist_day((today_s - 6 * DAY_S) * 1000).isoformat(), "total": 1, "buy": 0, "sell": 1, "hold": 0,
                "active": 1, "expired": 0, "closed": 0, "targets": 0, "stops": 0, "hit_rate": None,
                "average_move": None,
            },
        ],
    }  # fmt: skip
    for query, days in (("?days=8", 3), ("?days=1", 1), ("?symbol=INFY", 1), ("?exchange=BSE", 0)):
        assert len((await call(hub, "GET", f"/stats/daily{query}", **READER)).data["items"]) == days


# -- plans and outages ------------------------------------------------------------------------------------------------


async def test_an_exchange_that_a_plan_has_not_is_not_shown(planned: Hub) -> None:
    gold = await keep(planned, int(time.time()), exchange="MCX", symbol="GOLD26DECFUT")
    share = await keep(planned, int(time.time()))
    assert await found(planned) == [share]
    assert (await call(planned, "GET", f"/{gold}", **READER)).code == "NOT_FOUND"
    assert [one["total"] for one in (await call(planned, "GET", "/stats/daily", **READER)).data["items"]] == [1]
    for query in ("?exchange=MCX", "?symbol=MCX:GOLD26DECFUT", "/stats/daily?exchange=MCX"):
        assert (await call(planned, "GET", query, **READER)).code == "PERMISSION_DENIED"
    for headers in (bearer(plan="pro"), SERVER, bearer(plan="free", role="admin")):
        assert (await call(planned, "GET", "", **headers)).data["total"] == 2
        assert (await call(planned, "GET", f"/{gold}", **headers)).data["exchange"] == "MCX"
        assert (await call(planned, "GET", "/stats/daily", **headers)).data["items"][0]["total"] == 2


async def test_without_its_database_every_route_says_503(tmp_path: Path, own_postgres: PostgresServer) -> None:
    async with running(tmp_path, DATABASE_URL=own_postgres.url) as hub:
        place = f"/{(await give(hub))['id']}"
        await asyncio.to_thread(own_postgres.kill)
        for method, where, body in (
            ("GET", "", None),
            ("GET", place, None),
            ("GET", "/stats/daily", None),
            ("POST", "", BUY),
            ("PUT", place, {"confidence": 1}),
            ("DELETE", place, None),
        ):
            answer = await call(hub, method, where, body, **SERVER)
            assert (method, where, answer.status, answer.code) == (method, where, 503, "NOT_AVAILABLE")
            assert int(answer.headers["retry-after"]) > 0
