import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.http.envelope import EXCEPTION_HANDLERS
from hub.http.requests import MAX_BODY_BYTES
from hub.server import listen, server_for
from tests.hub.live import WAIT_S, Hub, bearer, request, running, token
from tests.servers import RedisServer, free_port

PUBLISHER = bearer("server", role="publisher")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running(tmp_path) as hub:
        yield hub


# -- publish ----------------------------------------------------------------------------------------------------------


async def test_a_publication_is_heard_and_answered_with_201(hub: Hub) -> None:
    async with hub.client() as client:
        await client.subscribe("market:TCS", "chat:a")
        answer = await hub.post("/api/v1/publish", {"channel": "market:tcs", "data": {"price": 9.5}}, **PUBLISHER)
        assert (answer.status, answer.headers["content-type"]) == (201, "application/json")
        assert answer.json.keys() == {"status", "data", "timestamp"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer.json["timestamp"])
        assert answer.data == {"channel": "market:NSE:TCS", "duplicate": False}
        assert (await client.hear("market:update"))["price"] == 9.5
        logged = await hub.post("/api/v1/publish", {"channel": "chat:a", "data": {"n": 1}}, **PUBLISHER)
        assert logged.data["offset"] == 1
        assert logged.data["epoch"]
        assert (await client.hear("chat:new"))["offset"] == 1


async def test_the_same_key_publishes_once(hub: Hub) -> None:
    body = {"channel": "chat:a", "data": {"n": 1}, "idempotency_key": "k1"}
    async with hub.client() as client:
        await client.subscribe("chat:a")
        first = await hub.post("/api/v1/publish", body, **PUBLISHER)
        again = await hub.post("/api/v1/publish", body, **PUBLISHER)
        assert (first.status, again.status) == (201, 200)
        assert again.data == first.data | {"duplicate": True}
        assert len(await client.settled()) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "BAD_REQUEST"),
        (b"{", 400, "BAD_REQUEST"),
        (b"[]", 400, "BAD_REQUEST"),
        (b"\xff\xfe", 400, "BAD_REQUEST"),
        (b"[" * 50_000, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS"}, 400, "BAD_REQUEST"),
        ({"data": {"price": 1}}, 400, "BAD_REQUEST"),
        ({"channel": 5, "data": {}}, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS", "data": {"price": 1}, "loud": True}, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS", "data": {"price": 1}, "idempotency_key": ""}, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS", "data": {"price": 1}, "idempotency_key": "x" * 129}, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS", "data": {"price": -1}}, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS", "data": {"volume": 1}}, 400, "BAD_REQUEST"),
        ({"channel": "market:TCS", "data": [1]}, 400, "BAD_REQUEST"),
        ({"channel": "signals:generated", "data": {"symbol": "TCS"}}, 400, "BAD_REQUEST"),
        ({"channel": "chat:a", "data": {"x": "y" * (64 * 1024)}}, 400, "BAD_REQUEST"),
        ({"channel": "weather:x", "data": {}}, 404, "UNKNOWN_CHANNEL"),
        ({"channel": "market:MOON:TCS", "data": {"price": 1}}, 404, "INVALID_SYMBOL"),
        ({"channel": "alerts:user", "data": {}}, 404, "UNKNOWN_CHANNEL"),
        ({"channel": "control:revocations", "data": {}}, 404, "UNKNOWN_CHANNEL"),
        (b'{"channel":"chat:a","data":{},"x":"' + b"y" * MAX_BODY_BYTES + b'"}', 422, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_body_that_is_no_publication_is_refused(hub: Hub, body: Any, status: int, code: str) -> None:
    answer = await hub.post("/api/v1/publish", body, **PUBLISHER)
    assert (answer.status, answer.code) == (status, code)
    assert len(answer.body) < 1000
    assert b"Traceback" not in answer.body


async def test_a_body_that_never_ends_is_cut_off(hub: Hub) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.settings.port)
    writer.write(
        f"POST /api/v1/publish HTTP/1.1\r\nHost: {hub.place}\r\nAuthorization: {PUBLISHER['Authorization']}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    for _ in range(20):
        writer.write(chunk)
    async with asyncio.timeout(WAIT_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 422 ")
    writer.transport.abort()
    assert (await hub.get("/health")).status == 200


async def test_a_body_that_is_cut_off_publishes_nothing(hub: Hub) -> None:
    async with hub.client() as client:
        await client.subscribe("chat:a")
        _, writer = await asyncio.open_connection("127.0.0.1", hub.settings.port)
        writer.write(
            f"POST /api/v1/publish HTTP/1.1\r\nHost: {hub.place}\r\nAuthorization: {PUBLISHER['Authorization']}\r\n"
            'Content-Length: 100\r\n\r\n{"channel":"chat:a","data":{}}'.encode()
        )
        await writer.drain()
        writer.transport.abort()
        assert await client.settled() == []
    assert (await hub.get("/health")).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "UNAUTHORIZED"),
        ({"Authorization": "Basic abc"}, 401, "UNAUTHORIZED"),
        ({"Authorization": "Bearer"}, 401, "UNAUTHORIZED"),
        ({"Authorization": "Bearer garbage"}, 401, "UNAUTHORIZED"),
        ({"Authorization": f"Bearer {token('7')}"}, 403, "PERMISSION_DENIED"),
    ],
)
async def test_only_servers_may_publish(hub: Hub, headers: dict[str, str], status: int, code: str) -> None:
    answer = await hub.post("/api/v1/publish", {"channel": "market:TCS", "data": {"price": 1}}, **headers)
    assert (answer.status, answer.code) == (status, code)
    assert ("www-authenticate" in answer.headers) is (status == 401)


async def test_administrators_may_publish(hub: Hub) -> None:
    body = {"channel": "alerts:7", "data": {"rule": 1}}
    assert (await hub.post("/api/v1/publish", body, **bearer("boss", role="admin"))).status == 201


# -- prices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["RELIANCE", "reliance", "NSE:RELIANCE", "RELIANCE?exchange=NSE"])
async def test_the_last_price_is_answered(hub: Hub, place: str) -> None:
    await hub.publish("market:RELIANCE", price=2500.5, volume=3)
    answer = await hub.get(f"/api/v1/market/prices/{place}", **bearer(plan="free"))
    assert answer.status == 200
    assert answer.data["seq"] > 0
    assert {name: answer.data[name] for name in ("exchange", "symbol", "price", "volume")} == {
        "exchange": "NSE", "symbol": "RELIANCE", "price": 2500.5, "volume": 3,
    }  # fmt: skip


@pytest.mark.parametrize("place", ["NIFTY%2050", "M%26M", "BAJAJ-AUTO"])
async def test_symbols_with_other_characters_have_prices_too(hub: Hub, place: str) -> None:
    symbol = place.replace("%20", " ").replace("%26", "&")
    await hub.publish(f"market:NSE:{symbol}", price=1)
    assert (await hub.get(f"/api/v1/market/prices/{place}", **bearer())).data["symbol"] == symbol


async def test_a_symbol_that_is_not_listed_has_a_price_once_one_was_published(hub: Hub) -> None:
    unknown = await hub.get("/api/v1/market/prices/NOSUCHTHING", **bearer())
    assert (unknown.status, unknown.code) == (404, "INVALID_SYMBOL")
    quiet = await hub.get("/api/v1/market/prices/RELIANCE", **bearer())
    assert (quiet.status, quiet.code) == (404, "NOT_FOUND")
    await hub.publish("market:NOSUCHTHING", price=1)
    assert (await hub.get("/api/v1/market/prices/NOSUCHTHING", **bearer())).data["price"] == 1.0


async def test_several_prices_come_at_once_and_missing_ones_are_named(hub: Hub) -> None:
    await hub.publish("market:TCS", price=1)
    await hub.publish("market:BSE:SENSEX", price=2)
    answer = await hub.get("/api/v1/market/prices?symbols=TCS,%20INFY,BSE:SENSEX", **bearer())
    assert [(one["symbol"], one["price"]) for one in answer.data["prices"]] == [("TCS", 1.0), ("SENSEX", 2.0)]
    assert answer.data["missing"] == ["NSE:INFY"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "BAD_REQUEST"),
        ("?symbols=", 400, "BAD_REQUEST"),
        ("?symbols=,,", 400, "BAD_REQUEST"),
        ("?symbols=" + ",".join(["A"] * 501), 422, "LIMIT_EXCEEDED"),
        ("?symbols=MOON:A", 404, "INVALID_SYMBOL"),
        ("?symbols=A%00", 404, "UNKNOWN_CHANNEL"),
    ],
)
async def test_a_wrong_question_for_prices_is_refused(hub: Hub, query: str, status: int, code: str) -> None:
    answer = await hub.get(f"/api/v1/market/prices{query}", **bearer())
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("place", ["/api/v1/market/prices/TCS", "/api/v1/market/prices?symbols=TCS"])
async def test_prices_need_a_token(hub: Hub, place: str) -> None:
    answer = await hub.get(place)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


# -- tickets, logging out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/api/v1/auth/ticket", "/api/v1/auth/logout"])
async def test_tickets_and_logging_out_need_a_token(hub: Hub, place: str) -> None:
    answer = await hub.post(place)
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


async def test_a_token_that_was_logged_out_is_refused_everywhere(hub: Hub) -> None:
    header = bearer("7")
    assert (await hub.post("/api/v1/auth/logout", **header)).data == {}
    for method, place in (("POST", "auth/logout"), ("POST", "auth/ticket"), ("GET", "market/prices/TCS")):
        answer = await asyncio.to_thread(request, f"{hub.url}/api/v1/{place}", method, None, **header)
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


# -- routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "place", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/api/v1", 404, "NOT_FOUND"),
        ("GET", "/api/v1/nowhere", 404, "NOT_FOUND"),
        ("GET", "/api/v2/publish", 404, "NOT_FOUND"),
        ("GET", "/dashboard/0000/../../settings.py", 404, "NOT_FOUND"),
        ("GET", "/dashboard/0000/%2e%2e%2fpages.py", 404, "NOT_FOUND"),
        ("GET", "/dashboard/index.html", 404, "NOT_FOUND"),
        ("GET", "/ws", 404, "NOT_FOUND"),
        ("GET", "/api/v1/publish", 405, "BAD_REQUEST"),
        ("DELETE", "/health", 405, "BAD_REQUEST"),
        ("POST", "/api/v1/market/prices/TCS", 405, "BAD_REQUEST"),
    ],
)
async def test_what_is_not_there_is_answered_in_the_envelope(
    hub: Hub, method: str, place: str, status: int, code: str
) -> None:
    answer = await asyncio.to_thread(request, hub.url + place, method)
    assert (answer.status, answer.code) == (status, code)
    assert ("allow" in answer.headers) is (status == 405)


async def test_a_bug_is_answered_without_its_text_and_logged_with_it(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Request) -> Response:
        raise ZeroDivisionError("the inner secret")

    port = free_port()
    server = server_for(Starlette(routes=[Route("/", broken)], exception_handlers=EXCEPTION_HANDLERS), grace_s=1)
    serving = asyncio.create_task(server.serve(sockets=[listen("127.0.0.1", port)]), name="server")
    answer = await asyncio.to_thread(request, f"http://127.0.0.1:{port}/")
    server.should_exit = True
    await serving
    assert (answer.status, answer.code) == (500, "INTERNAL")
    assert b"inner secret" not in answer.body
    assert "inner secret" in caplog.text


async def test_pages_of_other_origins_may_call_where_the_settings_say_so(tmp_path: Path) -> None:
    async with running(tmp_path, CORS_ORIGIN="https://app.example.com") as hub:
        answer = await hub.get("/health", Origin="https://app.example.com")
        assert answer.headers.get("access-control-allow-origin") == "https://app.example.com"
        assert "access-control-allow-origin" not in (await hub.get("/health", Origin="https://evil.example")).headers


# -- health -----------------------------------------------------------------------------------------------------------


async def test_health_says_that_the_process_lives(hub: Hub) -> None:
    answer = await hub.get("/health")
    assert answer.status == 200
    assert answer.data["status"] == "ok"
    assert answer.data["uptime"] >= 0


async def test_detailed_health_asks_everything_that_is_depended_on(hub: Hub) -> None:
    async with hub.client() as client:
        await client.subscribe("market:TCS")
        answer = await hub.get("/health/detailed")
    assert answer.status == 200
    assert answer.data["status"] == "ok"
    assert {name: part["status"] for name, part in answer.data["parts"].items()} == {"broker": "ok", "database": "ok"}
    assert answer.data["connections"] == 1
    assert answer.data["loop_lag_ms"] >= 0


async def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    url = f"postgresql://somebody:hush-hush@127.0.0.1:{free_port()}/hub"
    async with running(tmp_path, DATABASE_URL=url) as hub:
        answer = await hub.get("/health/detailed")
        assert (answer.status, answer.data["status"]) == (503, "degraded")
        assert {name: part["status"] for name, part in answer.data["parts"].items()} == {
            "broker": "ok",
            "database": "unavailable",
        }
        assert b"hush-hush" not in answer.body
        assert (await hub.get("/health")).status == 200
        refused = await hub.post("/api/v1/auth/logout", **bearer("7"))
        assert (refused.status, refused.code) == (503, "NOT_AVAILABLE")


async def test_a_redis_that_is_away_is_named_and_everything_that_needs_it_says_503(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    async with running(tmp_path, REDIS_URL=own_redis.url) as hub:
        assert (await hub.get("/health/detailed")).status == 200
        await asyncio.to_thread(own_redis.kill)
        answer = await hub.get("/health/detailed")
        assert (answer.status, answer.data["parts"]["broker"]["status"]) == (503, "unavailable")
        assert answer.data["parts"]["database"]["status"] == "ok"
        assert (await hub.get("/health")).status == 200
        for method, place, body in (
            ("GET", "market/prices/TCS", None),
            ("GET", "market/prices?symbols=TCS", None),
            ("POST", "publish", json.dumps({"channel": "market:TCS", "data": {"price": 1}}).encode()),
        ):
            refused = await asyncio.to_thread(request, f"{hub.url}/api/v1/{place}", method, body, **PUBLISHER)
            assert (refused.status, refused.code) == (503, "NOT_AVAILABLE")
            assert int(refused.headers["retry-after"]) > 0
        assert (await hub.post("/api/v1/auth/logout", **bearer("7"))).status == 200


async def test_a_ticket_cannot_be_redeemed_while_nobody_knows_whether_it_was(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    async with running(tmp_path, REDIS_URL=own_redis.url) as hub:
        ticket = (await hub.post("/api/v1/auth/ticket", **bearer())).data["ticket"]
        await asyncio.to_thread(own_redis.kill)
        async with hub.client(query=f"?ticket={ticket}", welcomed=False) as client:
            assert 3000 <= await client.close_code() < 3500  # come back with it
        await asyncio.to_thread(own_redis.start)
        async with hub.client(query=f"?ticket={ticket}") as client:
            await client.ask("ping")


async def test_a_paused_redis_is_waited_for_two_seconds_at_most(tmp_path: Path, own_redis: RedisServer) -> None:
    async with running(tmp_path, REDIS_URL=own_redis.url) as hub:
        assert (await hub.get("/health/detailed")).status == 200
        own_redis.pause()
        try:
            async with hub.client() as client, asyncio.timeout(3.5):
                answer = await hub.get("/health/detailed")
                assert answer.data["parts"]["broker"]["status"] == "unavailable"
                await client.ask("ping")
        finally:
            own_redis.resume()


async def test_a_full_disk_refuses_to_promise_and_still_ends_the_token(tmp_path: Path) -> None:
    async with running(tmp_path) as hub:
        fill_disk(hub)
        header = bearer("7")
        async with hub.client(headers=header) as client:
            for _ in range(200):  # until a page is needed that there is none for
                answer = await hub.post("/api/v1/auth/logout", **bearer("filler"))
                if answer.status != 200:
                    break
            assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")
            answer = await hub.post("/api/v1/auth/logout", **header)
            assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")
            assert "full" in answer.json["error"]["message"]
            assert await client.close_code() == 3500
        assert (await hub.post("/api/v1/auth/ticket", **header)).code == "UNAUTHORIZED"
        async with hub.client(user="8") as client:
            await client.subscribe("market:TCS")


def fill_disk(hub: Hub) -> None:
    """Let SQLite's file grow no further, as on a full disk; each connection is told so when it is used."""

    def limit(connection: Any, *_: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size where that is more
        cursor.close()

    event.listen(hub.engine.sync_engine, "checkout", limit)
