"""From a broker's wire to a browser's socket: the six brokers' servers, a whole hub, and clients."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth.plans import Plans
from feeds.candles.bars import Bar
from feeds.sanity import Reason
from hub.feeding.role import Feeds
from schemas.market import PRICE_SCALE
from tests.feeds.brokers.kite import frame_of, ltp_packet
from tests.hub.live import WAIT_S, Client, Hub, HubProcess, Message, bearer, running, until
from tests.hub.vendors import VENDORS, Account
from tests.servers import RedisServer


def bar(minutes_ago: int, rupees: int) -> Bar:
    """A closed minute of RELIANCE at one price."""
    start_ms = (int(time.time()) // 60 - minutes_ago) * 60_000
    price = rupees * PRICE_SCALE
    return Bar(
        exchange="NSE",
        symbol="RELIANCE",
        timeframe="1m",
        start_ms=start_ms,
        end_ms=start_ms + 60_000,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=10,
    )


async def hear_price(client: Client, price: float) -> Message:
    """The update of RELIANCE that says so."""
    return await client.hear("market:update", channel="market:NSE:RELIANCE", price=price)


@pytest.mark.parametrize("name", sorted(VENDORS))
async def test_a_brokers_prices_reach_sockets_candles_indicators_and_http(tmp_path: Path, name: str) -> None:
    async with Account(name) as account, running(tmp_path, feeds=True, **account.settings(tmp_path)) as hub:
        assert hub.feeds is not None
        hub.feeds.history.offer([bar(3, 1400), bar(2, 1400), bar(1, 1400)])
        await hub.feeds.history.flush()
        async with hub.client() as client:
            await client.subscribe("market:RELIANCE", "depth:RELIANCE", "status:feeds")
            await client.subscribe("candles:1m:RELIANCE", indicators=["sma(2)"])
            await account.until_carried("RELIANCE")
            for paise, volume in ((150_010, 1100), (151_010, 1300), (149_000, 1400)):
                await account.trade(paise, volume)
                update = await hear_price(client, paise / 100)
            assert update["volume"] == 1400
            assert update["state"] == "continuous"
            depth: Message = {"bids": []}
            while not depth["bids"] or depth["bids"][0]["price"] >= depth["asks"][0]["price"]:  # as some snapshots are
                depth = await client.hear("depth:update")
            await hears_candles_with_indicators(account, client)
            await finds_them_over_http(hub)
            status = await client.hear("status:update", channel="status:feeds")
            while status["data"].get("NSE") != "live":  # told once something is carried
                status = await client.hear("status:update", channel="status:feeds")
            assert status["data"]["sources"][name]["state"] == "live"
            assert status["data"]["sources"][name]["instruments"] == 1
            assert len(account.server.connections) == 1
            assert hub.feeds.gate.refused.keys() <= {Reason.FUTURE}  # snapshots of a day that may be yet to come
            assert hub.feeds.publisher.refused == 0


async def hears_candles_with_indicators(account: Account, client: Client) -> None:
    """Each trade moves the candle; once the closed ones have been read, the indicators come with it."""
    candle: Message = {}
    highest, volume = 0.0, 1400
    async with asyncio.timeout(WAIT_S):
        while "indicators" not in candle:
            volume += 100
            await account.trade(149_000, volume)
            candle = await client.hear("candles:update")
            highest = max(highest, candle["high"])
    assert candle["close"] == 1490.0
    assert highest == 1510.1
    assert candle["indicators"] in ({"sma(2)": 1445.0}, {"sma(2)": 1490.0})  # the latter where a minute just ended


async def finds_them_over_http(hub: Hub) -> None:
    assert (await hub.get("/api/v1/market/prices/RELIANCE", **bearer())).data["price"] == 1490.0
    chart = (await hub.get("/api/v1/market/chart/RELIANCE?tf=1m", **bearer())).data["candles"]
    assert [one["close"] for one in chart[:3]] == [1400.0, 1400.0, 1400.0]
    assert (chart[-1]["close"], chart[-1]["closed"]) == (1490.0, False)
    found = (await hub.get("/api/v1/market/indicators/RELIANCE?tf=1m&names=sma(2)", **bearer())).data
    assert found["indicators"]["sma(2)"] in (1445.0, 1490.0)


# -- one worker for an account ----------------------------------------------------------------------------------------


TAKEOVER_S = 6.0


class Pair:
    """Two processes of the role on one Redis and one account, and a hub that hears them."""

    def __init__(self, redis: RedisServer, account: Account, folder: Path) -> None:
        self.account = account
        self.settings = {**account.settings(folder), "REDIS_URL": redis.url, "LOG_LEVEL": "INFO"}
        self.left = HubProcess("feeds", **self.settings)
        self.right = HubProcess("feeds", **self.settings)

    async def begin(self) -> None:
        """The left one works, the right one stands by."""
        await asyncio.to_thread(self.left.start)
        await self.account.server.until(lambda: bool(self.account.server.connections), 20)
        await asyncio.to_thread(self.right.start)
        await until(lambda: "master." in self.right.log(), 20)

    def close(self) -> None:
        for process in (self.left, self.right):
            process.close()

    async def price_comes(self, client: Client, paise: int, within_s: float) -> None:
        """A trade is heard, told again until it is."""
        async with asyncio.timeout(within_s):
            while True:
                await self.account.trade(paise, paise)
                try:
                    await client.hear("market:update", price=paise / 100, within_s=0.25)
                except TimeoutError:
                    continue
                return


@contextlib.asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Pair, Client]]:
    with RedisServer() as redis:
        async with Account("kite") as account:
            built = Pair(redis, account, folder)
            try:
                await built.begin()
                async with running(folder, **built.settings) as hub, hub.client() as client:
                    await client.subscribe("market:RELIANCE")
                    await account.until_carried("RELIANCE")
                    await built.price_comes(client, 150_010, WAIT_S)
                    yield built, client
            finally:
                await asyncio.to_thread(built.close)


async def test_one_process_works_and_another_takes_over_and_who_wakes_up_late_is_silent(tmp_path: Path) -> None:
    async with pair(tmp_path) as (built, client):
        server = built.account.server
        assert (server.handshakes, len(server.connections)) == (1, 1)

        built.left.kill()
        began_s = time.monotonic()
        await server.until(lambda: server.handshakes == 2, TAKEOVER_S)
        await built.price_comes(client, 150_020, TAKEOVER_S)
        assert time.monotonic() - began_s < TAKEOVER_S

        await asyncio.to_thread(built.left.start)
        built.right.pause()
        try:
            (asleep,) = server.connections
            await server.until(lambda: server.handshakes == 3, 20)
            await built.price_comes(client, 150_030, TAKEOVER_S)
            for _ in range(20):
                await asleep.send(frame_of(ltp_packet(int(built.account.token("RELIANCE")), 99_999)))
            await built.price_comes(client, 150_040, WAIT_S)
        finally:
            built.right.resume()
        await server.until(lambda: asleep not in server.connections)
        await built.price_comes(client, 150_050, WAIT_S)
        heard = {one.get("price") for one in client.backlog}
        assert 999.99 not in heard
        assert len(server.connections) == 1
        await until(lambda: "lease.lost" in built.right.log())
        assert "Traceback" not in built.left.log() + built.right.log()


async def test_in_one_process_too_one_works_at_a_time(tmp_path: Path) -> None:
    async with Account("kite") as account, running(tmp_path, **account.settings(tmp_path)) as hub:
        one, other = [
            Feeds(
                hub.settings,
                broker=hub.broker,
                names=hub.names,
                engine=hub.engine,
                registry=hub.web.registry,
                plans=Plans(),
                environ=lambda: hub.environ,
            )
            for _ in range(2)
        ]
        server = account.server
        async with asyncio.TaskGroup() as group, hub.client() as client:
            first = group.create_task(run_parts(one), name="one")
            await client.subscribe("market:RELIANCE")
            await account.until_carried("RELIANCE")
            second = group.create_task(run_parts(other), name="other")
            await account.trade(150_010, 1000)
            await hear_price(client, 1500.1)
            assert (one.working, other.working, server.handshakes) == (True, False, 1)
            first.cancel()
            await server.until(lambda: server.handshakes == 2)
            await account.until_carried("RELIANCE")
            await account.trade(150_020, 1100)
            await hear_price(client, 1500.2)
            assert (one.working, other.working) == (False, True)
            second.cancel()


async def run_parts(feeds: Feeds) -> None:
    async with asyncio.TaskGroup() as group:
        for name, part in feeds.parts:
            group.create_task(part(), name=name)
