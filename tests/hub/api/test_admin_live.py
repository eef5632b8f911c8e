"""Administrators see every socket of every instance, and end them."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from auth.audit import Level
from tests.hub.administration import Desk, administered, two_administered
from tests.hub.live import Raw, bearer, until


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with administered(tmp_path) as desk:
        yield desk


async def listed(desk: Desk, query: str = "") -> list[str]:
    data = (await desk.get(f"/connections{query}")).data
    return [one["user"] for one in data["items"]]


async def test_a_socket_is_shown_with_all_that_is_known_of_it(desk: Desk) -> None:
    async with desk.hub.client(user="7", plan="pro", protocol="msgpack") as client:
        await client.subscribe("market:TCS", "market:INFY")
        data = (await desk.get("/connections")).data
        (row,) = data["items"]
        assert (data["total"], data["page"], data["limit"]) == (1, 1, 50)
        assert (data["instances"], data["missing"]) == ([desk.fleet.instance], [])
        opened_at = datetime.fromisoformat(row.pop("opened_at")).timestamp()
        assert abs(opened_at - time.time()) < 30
        assert row.pop("sent_bytes") > 100
        client_id = row.pop("client")
        assert row == {
            "user": "7",
            "plan": "pro",
            "role": "user",
            "instance": desk.fleet.instance,
            "address": "127.0.0.1",
            "session": None,
            "codec": "msgpack",
            "channels": 2,
            "pending_bytes": 0,
            "held_channels": 0,
            "lag_ms": 0,
        }
        one = (await desk.get(f"/connections/{client_id}")).data
        assert one["client"] == client_id
        assert sorted(one["subscriptions"]) == ["market:NSE:INFY", "market:NSE:TCS"]


async def test_the_list_is_filtered_sorted_and_paged(desk: Desk) -> None:
    hub = desk.hub
    async with hub.client(user="a", plan="free") as one, hub.client(user="b", plan="pro") as two:
        async with hub.client(user="c", plan="pro") as three:
            await one.subscribe("market:TCS")
            await three.subscribe("market:TCS", "market:INFY", "market:SBIN")
            assert await listed(desk) == ["c", "b", "a"]
            assert await listed(desk, "?order=asc") == ["a", "b", "c"]
            assert await listed(desk, "?sort=user") == ["a", "b", "c"]
            assert await listed(desk, "?sort=channels") == ["c", "a", "b"]
            assert await listed(desk, "?sort=channels&limit=1&page=2") == ["a"]
            assert await listed(desk, "?sort=bytes&order=asc") == ["b", "a", "c"]
            assert await listed(desk, "?plan=pro&sort=user") == ["b", "c"]
            assert await listed(desk, "?user=b") == ["b"]
            assert await listed(desk, "?instance=elsewhere") == []
            assert (await desk.get("/connections?limit=2&page=2")).data["total"] == 3
        await two.ask("ping")
        await until(lambda: len(hub.web.connections) == 2)
        assert await listed(desk) == ["b", "a"]


async def test_a_reader_that_has_stopped_is_shown_with_its_lag(desk: Desk) -> None:
    async with Raw(desk.hub, receive_buffer=4096) as raw, desk.hub.client(user="quick"):
        channels = [f"market:NSE:S{n}" for n in range(100)]
        await raw.say(b'{"action":"subscribe","id":1,"channels":[%s]}' % ",".join(f'"{c}"' for c in channels).encode())
        await raw.read_until(b'"subscribed"')

        async def flood() -> bool:
            for n, name in enumerate(channels):
                await desk.hub.publish(name, price=n + 1)
            return any(one.outbox.behind for one in desk.hub.web.connections.sessions)

        async with asyncio.timeout(20):
            while not await flood():  # noqa: ASYNC110 - until the kernel's buffers are full
                await asyncio.sleep(0)
        await flood()
        await until(lambda: any(one.outbox.held for one in desk.hub.web.connections.sessions))
        rows = (await desk.get("/connections?sort=lag")).data["items"]
        assert [row["user"] for row in rows] == ["raw", "quick"]
        assert rows[0]["pending_bytes"] > 0
        assert rows[0]["held_channels"] > 0
        assert rows[0]["lag_ms"] > 0
        assert rows[1]["lag_ms"] == rows[1]["pending_bytes"] == 0


@pytest.mark.parametrize("query", ["?sort=age", "?page=0", "?limit=501", "?plan=gold", "?colour=red", "?order=up"])
async def test_a_question_that_makes_no_sense_is_refused(desk: Desk, query: str) -> None:
    answer = await desk.get(f"/connections{query}")
    assert (answer.status, answer.code) == (400, "BAD_REQUEST")


async def test_a_list_goes_only_so_deep(desk: Desk) -> None:
    assert (await desk.get("/connections?limit=500&page=10")).status == 200
    answer = await desk.get("/connections?limit=500&page=11")
    assert (answer.status, answer.code) == (422, "LIMIT_EXCEEDED")


async def test_one_socket_is_ended_and_the_others_stay(desk: Desk) -> None:
    async with desk.hub.client(user="7") as one, desk.hub.client(user="7") as other:
        first = (await desk.get("/connections?order=asc")).data["items"][0]["client"]
        answer = await desk.post("/disconnect", {"client": first, "reason": "noise"})
        assert answer.data == {"disconnected": 1, "missing": []}
        assert await one.close_code() == 3503
        await other.ask("ping")
    (event,) = await desk.trail()
    assert (event.level, event.action, event.actor, event.target) == (
        Level.WARNING,
        "connection.ended",
        "boss",
        first,
    )
    assert (event.address, event.details) == ("127.0.0.1", {"count": 1, "reason": "noise"})


async def test_all_sockets_of_a_user_are_ended(desk: Desk) -> None:
    hub = desk.hub
    async with hub.client(user="7") as one, hub.client(user="7") as two, hub.client(user="8") as other:
        assert (await desk.post("/disconnect", {"user": "7"})).data["disconnected"] == 2
        assert [await one.close_code(), await two.close_code()] == [3503, 3503]
        await other.ask("ping")
    assert (await desk.post("/disconnect", {"user": "7"})).data["disconnected"] == 0


async def test_a_socket_that_nobody_has_is_not_found(desk: Desk) -> None:
    for answer in (await desk.get("/connections/nobody"), await desk.post("/disconnect", {"client": "nobody"})):
        assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert await desk.trail() == []


@pytest.mark.parametrize(
    "body", [{}, {"client": "a", "user": "b"}, {"client": ""}, {"user": 7}, {"user": "7", "why": "x"}, [], b"{"]
)
async def test_an_order_that_makes_no_sense_ends_nobody(desk: Desk, body: object) -> None:
    async with desk.hub.client(user="7") as client:
        answer = await desk.post("/disconnect", body)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        await client.ask("ping")


async def test_only_administrators_may_look_or_end(desk: Desk) -> None:
    for headers, status in ((bearer("7"), 403), (bearer("p", role="publisher"), 403)):
        assert (await desk.get("/connections", **headers)).status == status
        assert (await desk.get("/connections/x", **headers)).status == status
        assert (await desk.post("/disconnect", {"user": "7"}, **headers)).status == status


async def test_both_instances_are_one_to_an_administrator(tmp_path: Path, redis_url: str) -> None:
    async with (
        two_administered(tmp_path, redis_url) as (one, other),
        one.hub.client(user="a") as here,
        other.hub.client(user="b") as there,
    ):
        await there.subscribe("market:TCS")
        for desk in (one, other):
            data = (await desk.get("/connections?sort=user")).data
            assert [(row["user"], row["instance"]) for row in data["items"]] == [
                ("a", one.fleet.instance),
                ("b", other.fleet.instance),
            ]
            assert (data["total"], data["missing"]) == (2, [])
            assert len(data["instances"]) == 2
        assert await listed(one, "?sort=user&limit=1&page=2") == ["b"]
        assert await listed(one, f"?instance={other.fleet.instance}") == ["b"]
        client = (await one.get("/connections?user=b")).data["items"][0]["client"]
        assert (await one.get(f"/connections/{client}")).data["subscriptions"] == ["market:NSE:TCS"]
        assert (await one.post("/disconnect", {"client": client})).data["disconnected"] == 1
        assert await there.close_code() == 3503
        async with other.hub.client(user="a") as second:
            assert (await other.post("/disconnect", {"user": "a"})).data["disconnected"] == 2
            assert [await here.close_code(), await second.close_code()] == [3503, 3503]


async def test_what_is_not_found_may_be_with_an_instance_that_does_not_answer(tmp_path: Path, redis_url: str) -> None:
    async with two_administered(tmp_path, redis_url) as (one, other):
        silent = other.fleet.instance
        other.fleet._handlers.clear()  # as a release that knows no such question
        assert (await one.get("/connections")).data["missing"] == [silent]
        for answer in (await one.get("/connections/x"), await one.post("/disconnect", {"client": "x"})):
            assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")
            assert silent in answer.json["error"]["message"]
        assert (await one.post("/disconnect", {"user": "x"})).data == {"disconnected": 0, "missing": [silent]}
