"""Two `web`, one `feeds`, one Redis, each a process of its own: what the whole promises when a part of it dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from auth.identity import Plan, Role
from tests.hub.live import WAIT_S, Client, Hub, HubProcess, bearer, position, request, running, token, until
from tests.servers import RedisServer


class Estate:
    """The processes of one installation."""

    def __init__(self, redis: RedisServer) -> None:
        shared = {"REDIS_URL": redis.url, "DRAIN_TIMEOUT": "1s"}
        self.redis = redis
        self.left = HubProcess("web", **shared)
        self.right = HubProcess("web", **shared)
        self.feeds = HubProcess("feeds", SIMULATOR_RATE="400", SIMULATOR_SYMBOLS="8", **shared)
        self.right.environ["DATA_DIR"] = self.left.environ["DATA_DIR"]

    def close(self) -> None:
        for process in (self.left, self.right, self.feeds):
            process.close()


@contextlib.asynccontextmanager
async def estate() -> AsyncIterator[Estate]:
    with RedisServer(persistent=True) as redis:
        built = Estate(redis)
        try:
            await asyncio.gather(*(asyncio.to_thread(one.start) for one in (built.left, built.right, built.feeds)))
            yield built
        finally:
            await asyncio.to_thread(built.close)


async def add(redis: RedisServer, channel: str, data: str, *more: str) -> None:
    """`redis-cli XADD`, as an outsider would."""
    reply = await asyncio.to_thread(redis.command, "XADD", "hub:ingest", "*", "channel", channel, "data", data, *more)
    assert reply[:1].isdigit(), reply


async def hear_numbers(client: Client, last: int) -> list[int]:
    """The `n` of every message on `chat:a`, up to the last."""
    heard: list[int] = []
    while not heard or heard[-1] != last:
        heard.append((await client.hear("chat:new"))["data"]["n"])
    return heard


async def test_what_one_says_all_hear_and_nothing_is_lost_when_parts_die() -> None:
    async with estate() as built:
        redis, left, right = built.redis, built.left, built.right
        async with left.client(user="7") as one, right.client(user="7") as other:
            await prices_flow_to_both(one, other)
            await outsiders_are_heard_on_both(redis, one, other)
            await logging_out_here_closes_there(left, right)
            place = await the_log_is_one_for_both(redis, one, other)
            left.kill()
            assert await one.close_code() == 1006
        for n in range(100, 110):
            await add(redis, "chat:a", f'{{"n":{n}}}')
        async with right.client(user="7") as again:
            (entry,) = (await again.subscribe("chat:a", recover=place))["subscribed"]
            assert entry["recovered"] is True
            assert await hear_numbers(again, 109) == [*range(5, 10), *range(100, 110)]
            await redis_restarts_without_a_silent_gap(redis, again)
        right.stop()
        built.feeds.stop()
        assert "Traceback" not in right.log() + built.feeds.log()


async def prices_flow_to_both(one: Client, other: Client) -> None:
    for client in (one, other):
        await client.subscribe("market:RELIANCE")
    heard = [await client.hear_many(20, "market:update") for client in (one, other)]
    prices = [{update["seq"]: update["price"] for update in updates} for updates in heard]
    both = prices[0].keys() & prices[1].keys()
    assert both
    assert all(prices[0][seq] == prices[1][seq] for seq in both)
    for client in (one, other):
        await client.ask("unsubscribe", channel="market:RELIANCE")


async def outsiders_are_heard_on_both(redis: RedisServer, one: Client, other: Client) -> None:
    for client in (one, other):
        await client.subscribe("market:OUTSIDE", "signals:generated")
    await asyncio.to_thread(redis.command, "PUBLISH", "hub:market:OUTSIDE", '{"price": 42.5}')
    await add(redis, "signals:generated", '{"symbol":"TCS","signal_type":"BUY","confidence":80}', "key", "k1")
    await add(redis, "signals:generated", '{"symbol":"TCS","signal_type":"BUY","confidence":80}', "key", "k1")
    await add(redis, "signals:generated", '{"symbol":"TCS","signal_type":"SELL","confidence":70}')
    for client in (one, other):
        assert (await client.hear("market:update", channel="market:NSE:OUTSIDE"))["price"] == 42.5
        signals = await client.hear_many(2, "signals:new")
        assert [(one["offset"], one["data"]["signal_type"]) for one in signals] == [(1, "BUY"), (2, "SELL")]
    await asyncio.to_thread(redis.command, "PUBLISH", "hub:market:OUTSIDE", "garbage")
    await asyncio.to_thread(redis.command, "PUBLISH", "hub:nowhere:x", "{}")
    await one.ask("ping")


async def logging_out_here_closes_there(left: HubProcess, right: HubProcess) -> None:
    header = bearer("9")
    async with left.client(headers=header) as here, right.client(headers=header) as there:
        answer = await asyncio.to_thread(request, f"{left.url}/api/v1/auth/logout", "POST", b"", **header)
        assert answer.status == 200
        assert await here.close_code(1.0) == 3500
        assert await there.close_code(1.0) == 3500
    async with right.client(headers=header, welcomed=False) as refused:
        assert await refused.close_code() == 3500


async def the_log_is_one_for_both(redis: RedisServer, one: Client, other: Client) -> dict[str, Any]:
    """Ten messages, of which the first client acknowledges five; answers with its place."""
    place = position(await one.subscribe("chat:a"))
    await other.subscribe("chat:a")
    for n in range(10):
        await add(redis, "chat:a", f'{{"n":{n}}}')
    assert await hear_numbers(other, 9) == list(range(10))
    fifth = (await one.hear_many(5, "chat:new"))[-1]
    assert fifth["data"]["n"] == 4
    return place | {"offset": fifth["offset"]}


async def redis_restarts_without_a_silent_gap(redis: RedisServer, client: Client) -> None:
    await client.subscribe("market:RELIANCE")
    redis.kill()
    await asyncio.to_thread(redis.start)
    await add(redis, "chat:a", '{"n":200}')
    message = await client.hear(channel="chat:a", within_s=15)
    if message["type"] == "unsubscribed":
        assert message["code"] == 2500
    else:
        assert message["data"]["n"] == 200
    client.backlog = [one for one in client.backlog if one["type"] != "market:update"]
    await client.hear("market:update", within_s=15)


# -- in one process, where Redis can be watched -----------------------------------------------------------------------


async def test_a_hub_starts_without_redis_and_hears_once_it_is_there(tmp_path: Path) -> None:
    redis = RedisServer()
    try:
        async with running(tmp_path, REDIS_URL=redis.url) as hub, hub.client() as client:
            answer = await hub.get("/health/detailed")
            assert (answer.status, answer.data["status"]) == (503, "degraded")
            reply = await client.ask("subscribe", channels=["market:TCS", "chat:a"])
            assert [entry["requested"] for entry in reply["subscribed"]] == ["market:TCS"]
            assert [(entry["channel"], entry["code"]) for entry in reply["failed"]] == [("chat:a", "NOT_AVAILABLE")]
            assert (await client.ask("history", channel="chat:a"))["code"] == "NOT_AVAILABLE"
            error = await client.ask("publish", channel="chat:a", data={})
            assert (error["code"], error["temporary"]) == ("NOT_AVAILABLE", True)
            await asyncio.to_thread(redis.start)
            await until(lambda: hub.broker.connected)  # type: ignore[attr-defined]
            await hub.publish("market:TCS", price=5)
            assert (await client.hear("market:update"))["price"] == 5.0
            await client.subscribe("chat:a")
            await hub.publish("chat:a", n=1)
            assert (await client.hear("chat:new"))["offset"] == 1
            assert (await hub.get("/health/detailed")).status == 200
    finally:
        redis.close()


@pytest.mark.parametrize("persistent", [True, False])
async def test_a_redis_that_comes_back_leaves_no_silent_gap(tmp_path: Path, persistent: bool) -> None:
    with RedisServer(persistent=persistent) as redis:
        async with running(tmp_path, REDIS_URL=redis.url) as hub, hub.client() as client:
            await until(lambda: hub.broker.connected)  # type: ignore[attr-defined]
            await client.subscribe("chat:a", "market:TCS")
            await hub.publish("chat:a", n=1)
            await client.hear("chat:new")
            await asyncio.to_thread(redis.kill)
            assert (await client.ask("ping"))["type"] == "pong"
            await asyncio.to_thread(redis.start)
            await publish_when_possible(hub, "chat:a", n=2)
            message = await client.hear(channel="chat:a", within_s=10)
            if message["type"] == "unsubscribed":
                assert message["code"] == 2500
            else:
                assert persistent
                assert (message["offset"], message["data"]) == (2, {"n": 2})
            await publish_when_possible(hub, "market:TCS", price=7)
            assert (await client.hear("market:update", within_s=10))["price"] == 7.0


async def publish_when_possible(hub: Hub, name: str, **data: Any) -> None:
    async def reachable() -> bool:
        return (await hub.get("/health/detailed")).status == 200

    async with asyncio.timeout(WAIT_S):
        while not await reachable():  # noqa: ASYNC110 - another process comes up
            await asyncio.sleep(0.01)
    await hub.publish(name, **data)


async def test_a_redis_that_is_slow_delays_and_loses_nothing(tmp_path: Path, own_redis: RedisServer) -> None:
    async with running(tmp_path, REDIS_URL=own_redis.url) as hub, hub.client() as client:
        await client.subscribe("chat:a", "market:TCS")
        await hub.publish("chat:a", n=1)
        await client.hear("chat:new")
        own_redis.pause()
        try:
            await client.say("publish", id="p", channel="chat:a", data={"n": 2})
            error = await client.hear(id="p")
            assert (error["code"], error["temporary"]) == ("NOT_AVAILABLE", True)
        finally:
            own_redis.resume()
        await publish_when_possible(hub, "chat:a", n=3)
        heard = [await client.hear("chat:new")]
        while heard[-1]["data"]["n"] != 3:
            heard.append(await client.hear("chat:new"))
        assert [message["offset"] for message in heard] == list(range(2, 2 + len(heard)))


async def test_two_hubs_share_presence_tickets_and_values(tmp_path: Path, redis_url: str) -> None:
    async with (
        running(tmp_path / "left", REDIS_URL=redis_url) as left,
        running(tmp_path / "right", REDIS_URL=redis_url) as right,
        left.client(user="1") as one,
        right.client(user="2") as two,
    ):
        await one.subscribe("chat:a")
        await two.subscribe("chat:a")
        members = (await one.ask("presence", channel="chat:a"))["clients"]
        assert sorted(member["user"] for member in members) == ["1", "2"]
        ticket = (await left.post("/api/v1/auth/ticket", **bearer("3"))).data["ticket"]
        async with right.client(query=f"?ticket={ticket}"):
            pass
        async with left.client(query=f"?ticket={ticket}", welcomed=False) as again:
            assert await again.close_code() == 3500
        await left.publish("market:TCS", price=5)
        await two.subscribe("market:TCS")
        assert (await two.hear("market:update"))["price"] == 5.0
        assert (await right.get("/api/v1/market/prices/TCS", Authorization=f"Bearer {token()}")).data["price"] == 5.0


async def test_logging_out_reaches_the_other_instance_over_redis_alone(tmp_path: Path, redis_url: str) -> None:
    """The two have databases of their own here, so only the message can tell."""
    header = bearer("7")
    async with (
        running(tmp_path / "left", REDIS_URL=redis_url) as left,
        running(tmp_path / "right", REDIS_URL=redis_url) as right,
        right.client(headers=header) as there,
    ):
        await until(lambda: left.broker.connected and right.broker.connected)  # type: ignore[attr-defined]
        assert (await left.post("/api/v1/auth/logout", **header)).status == 200
        assert await there.close_code(1.0) == 3500


async def test_logging_out_reaches_the_other_instance_over_the_database_alone(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    header = bearer("7")
    shared: dict[str, Any] = {"REDIS_URL": own_redis.url, "DATA_DIR": str(tmp_path / "data")}
    async with (
        running(tmp_path, **shared) as left,
        running(tmp_path / "right", **shared) as right,
        right.client(headers=header) as there,
    ):
        await asyncio.to_thread(own_redis.kill)
        assert (await left.post("/api/v1/auth/logout", **header)).status == 200
        assert await there.close_code(2.0) == 3500


async def test_logging_out_without_a_database_still_reaches_the_other_instance(tmp_path: Path, redis_url: str) -> None:
    header = bearer("7")
    async with (
        running(tmp_path / "left", REDIS_URL=redis_url) as left,
        running(tmp_path / "right", REDIS_URL=redis_url) as right,
        right.client(headers=header) as there,
    ):
        await until(lambda: left.broker.connected and right.broker.connected)  # type: ignore[attr-defined]
        async with left.engine.begin() as connection:
            await connection.execute(text("DROP TABLE revocations"))
        answer = await left.post("/api/v1/auth/logout", **header)
        assert (answer.status, answer.code) == (503, "NOT_AVAILABLE")
        assert await there.close_code(1.0) == 3500


async def is_heard_in_real_time(client: Client, real_time: bool, within_s: float) -> None:
    """Returns once the client's `market` channel is, or isn't. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            listed = (await client.ask("subscriptions"))["subscriptions"]
            (one,) = [one for one in listed if one["channel"] == "market:NSE:TCS"]
            if ("delay" not in one) is real_time:
                return
            await asyncio.sleep(0.01)  # clients aren't told, they just hear otherwise


@pytest.mark.parametrize("way", ["both", "redis alone", "database alone"])
async def test_what_is_granted_here_is_had_there_within_a_second(
    tmp_path: Path, own_redis: RedisServer, way: str
) -> None:
    (tmp_path / "plans.toml").write_text('[free]\nNSE = "15m"\n')
    shared: dict[str, Any] = {"REDIS_URL": own_redis.url, "PLANS_FILE": str(tmp_path / "plans.toml")}
    if way != "redis alone":
        shared["DATA_DIR"] = str(tmp_path / "data")
    async with (
        running(tmp_path / "left", **shared) as left,
        running(tmp_path / "right", **shared) as right,
        left.client(user="7", plan="free") as here,
        right.client(user="7", plan="free") as there,
    ):
        await until(lambda: left.broker.connected and right.broker.connected)  # type: ignore[attr-defined]
        for client in (here, there):
            await client.subscribe("market:TCS")
        await left.publish("market:TCS", price=1)
        if way == "database alone":
            await asyncio.to_thread(own_redis.kill)
        standing, within_s = left.web.standing, 2.0 if way == "database alone" else 1.0
        for plan, code in ((Plan.PRO, None), (Plan.FREE, 2003)):
            await standing.entitle(await standing.entitlements.grant("7", plan, Role.USER, "root"))
            async with asyncio.timeout(within_s):
                for client in (there, here):
                    if code is not None and way != "database alone":
                        ended = await client.hear("unsubscribed", within_s=within_s)
                        assert (ended["channel"], ended["code"]) == ("depth:NSE:TCS", code)
                    await is_heard_in_real_time(client, plan is Plan.PRO, within_s)
                    if plan is Plan.PRO and way != "database alone":
                        assert (await client.hear("market:update"))["price"] == 1.0
            if plan is Plan.PRO and way != "database alone":
                for client in (here, there):
                    await client.subscribe("depth:TCS")
