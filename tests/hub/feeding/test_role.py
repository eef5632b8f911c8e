"""The role `feeds` as it is wired: only what is wanted, whose prices count, what happens when the world fails."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from channels.ingest import Ingest
from feeds.brokers.kite import Kite
from feeds.candles.bars import Bar
from feeds.feed import Health
from feeds.signals.store import SignalStore
from schemas.market import PRICE_SCALE
from tests.hub.live import WAIT_S, Client, Hub, bearer, one_command, running, until
from tests.hub.vendors import Account
from tests.servers import PostgresServer, RedisServer

SETTLED_S = 1.0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes many seconds takes few."""
    monkeypatch.setattr("channels.demand.REPEAT_S", 0.3)
    monkeypatch.setattr("channels.demand.LAPSE_S", 0.9)
    monkeypatch.setattr("feeds.interest.LINGER_S", 0.5)
    monkeypatch.setattr("hub.feeding.board._POLL_S", 0.1)
    monkeypatch.setattr("feeds.publisher.Publisher.POLL_S", 0.1)


async def source_of(client: Client, name: str, within_s: float = WAIT_S, **fields: Any) -> Mapping[str, Any]:
    """What `status:feeds` says of a source, once it says these fields."""
    async with asyncio.timeout(within_s):
        while True:
            status = await client.hear("status:update", channel="status:feeds", within_s=within_s)
            said: Mapping[str, Any] = status["data"].get("sources", {}).get(name, {})
            if all(said.get(key) == value for key, value in fields.items()):
                return said


# -- only what is wanted ----------------------------------------------------------------------------------------------


async def test_nothing_is_subscribed_until_somebody_asks_and_two_share_one_subscription(
    tmp_path: Path, hasty: None
) -> None:
    async with Account("kite") as account, running(tmp_path, feeds=True, **account.settings(tmp_path)) as hub:
        async with hub.client(user="1") as one, hub.client(user="2") as two:
            await one.subscribe("status:feeds")
            await source_of(one, "kite", state="live", instruments=0)
            assert account.server.heard == []
            await one.subscribe("market:RELIANCE")
            await account.server.until(lambda: bool(account.server.subscribed), SETTLED_S)
            await account.until_carried("RELIANCE")
            frames = len(account.server.heard)
            await two.subscribe("market:RELIANCE", "depth:RELIANCE")
            await account.trade(150_010, 1100)
            for client in (one, two):
                assert (await client.hear("market:update", price=1500.1))["symbol"] == "RELIANCE"
            await one.ask("unsubscribe", channel="market:RELIANCE")
            await account.trade(150_020, 1200)
            await two.hear("market:update", price=1500.2)
            assert len(account.server.heard) == frames
        await account.until_carried()


async def test_the_list_of_the_settings_is_always_carried(tmp_path: Path, hasty: None) -> None:
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path), FEED_SYMBOLS="NSE:RELIANCE") as hub,
    ):
        await account.until_carried("RELIANCE")
        async with hub.client() as client:
            await client.subscribe("market:SUZLON-BE")
            await account.until_carried("RELIANCE", "SUZLON-BE")
        await account.until_carried("RELIANCE")


async def test_who_comes_when_the_account_is_full_is_told_the_limit(
    tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = msgspec.structs.replace(Kite.limits, connections=1, instruments_per_connection=1)
    monkeypatch.setattr(Kite, "limits", limits)
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path)) as hub,
        hub.client() as late,
        hub.client() as client,
    ):
        await client.subscribe("market:RELIANCE")
        await account.until_carried("RELIANCE")
        await late.ask("subscribe", channel="market:SUZLON-BE")
        ended = await late.hear("unsubscribed", channel="market:NSE:SUZLON-BE")
        assert ended["code"] == 2004
        assert ended["reason"] == ("The feed's account carries at most 1 instruments at kite, and all are taken")
        (failed,) = (await late.ask("subscribe", channel="market:SUZLON-BE"))["failed"]
        assert (failed["code"], failed["message"]) == ("LIMIT_EXCEEDED", ended["reason"])
        await account.trade(150_010, 1100)
        await client.hear("market:update", price=1500.1)
        await late.subscribe("market:RELIANCE", "market:OUTSIDE")


async def test_what_the_vendor_refuses_ends_with_its_words(tmp_path: Path, hasty: None) -> None:
    async with Account("shoonya") as account:
        account.server.unauthorised.add(account.token("SUZLON-BE"))  # type: ignore[attr-defined]
        async with running(tmp_path, feeds=True, **account.settings(tmp_path)) as hub, hub.client() as client:
            await client.ask("subscribe", channel="market:SUZLON-BE")
            ended = await client.hear("unsubscribed", channel="market:NSE:SUZLON-BE")
            assert ended["code"] == 2004
            assert "not enabled" in ended["reason"]


# -- the daily end of a token -----------------------------------------------------------------------------------------


async def test_a_token_that_ends_is_told_and_the_next_one_needs_no_restart(tmp_path: Path, hasty: None) -> None:
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path), HEARTBEAT_INTERVAL="250ms") as hub,
        hub.client() as client,
    ):
        await client.subscribe("market:RELIANCE", "status:feeds")
        await account.until_carried("RELIANCE")
        await source_of(client, "kite", state="live", instruments=1)
        await account.expire()
        said = await source_of(client, "kite", state="token_expired")
        assert said["reason"]
        assert not any(secret in said["reason"] for secret in account.secrets.values())
        client.backlog.clear()
        beat = await client.hear("heartbeat")
        while beat["feeds"].get("sources", {}).get("kite", {}).get("state") != "token_expired":
            beat = await client.hear("heartbeat")
        assert beat["feeds"]["sources"]["kite"]["reason"] == said["reason"]
        hub.environ |= account.secrets
        await account.until_carried("RELIANCE")
        await account.trade(150_010, 1100)
        await client.hear("market:update", price=1500.1)
        await source_of(client, "kite", state="live", instruments=1)


# -- several feeds ----------------------------------------------------------------------------------------------------


async def test_each_instrument_comes_from_its_owner_and_nothing_invented_stands_in(tmp_path: Path, hasty: None) -> None:
    async with Account("kite") as account:
        settings = account.settings(tmp_path) | {"FEED": "kite,simulator", "SIMULATOR_RATE": "2000"}
        async with running(tmp_path, feeds=True, **settings) as hub, hub.client() as client:
            await client.subscribe("market:TCS", "market:RELIANCE", "status:feeds")
            await account.until_carried("RELIANCE")
            await account.trade(99_999_95, 1100)
            await client.hear("market:update", channel="market:NSE:RELIANCE", price=99_999.95)
            await client.hear_many(20, "market:update", channel="market:NSE:TCS")
            await account.expire()
            await source_of(client, "kite", state="token_expired")
            client.backlog.clear()
            await client.hear_many(20, "market:update", channel="market:NSE:TCS")
            assert not [one for one in await client.settled() if one.get("symbol") == "RELIANCE"]


def test_a_replay_beside_other_feeds_is_refused(tmp_path: Path) -> None:
    file = trend(tmp_path / "ticks.csv", minutes=1)
    with one_command("feeds", FEED="simulator,replay", REPLAY_FILE=str(file)) as process:
        code, printed = process.run()
    assert code == 78
    assert "FEED: replay goes by the time of its file" in printed


# -- replay -----------------------------------------------------------------------------------------------------------


def trend(path: Path, minutes: int = 300) -> Path:
    """Ticks of a morning that falls and then rises without end, four a minute."""
    start_s, volume, price = 1_795_146_300, 0, 1500.0  # Friday 20 November 2026, 09:15
    lines = ["time,symbol,price,volume"]
    for tick in range(minutes * 4):
        volume += 100
        price += -0.5 if tick < minutes * 2 else 1.0
        lines.append(f"{start_s + tick * 15},RELIANCE,{price:.2f},{volume}")
    path.write_text("\n".join(lines))
    return path


async def test_a_csv_drives_prices_candles_indicators_and_signals(tmp_path: Path) -> None:
    file = trend(tmp_path / "ticks.csv")
    settings = {"FEED": "replay", "REPLAY_FILE": str(file), "REPLAY_SPEED": "0", "SIGNALS_TIMEFRAME": "1m"}
    async with running(tmp_path, feeds=True, **settings) as hub, hub.client() as client:
        await client.subscribe("signals:generated", "candles:5m:RELIANCE", "status:market")
        signal = (await client.hear("signals:new"))["data"]
        assert (signal["symbol"], signal["signal_type"]) == ("RELIANCE", "BUY")
        await until(lambda: played(hub))
        assert (await hub.get("/api/v1/market/prices/RELIANCE", **bearer())).data["price"] == 1800.0
        await until(lambda: hub.feeds is not None and not hub.feeds.history.waiting)
        chart = (await hub.get("/api/v1/market/chart/RELIANCE?tf=15m", **bearer())).data["candles"]
        assert len(chart) == 20
        assert [one["volume"] for one in chart[1:-1]] == [6000] * 18
        asked = "/api/v1/market/indicators/RELIANCE?tf=15m&names=sma(5)"
        found = (await hub.get(asked, **bearer())).data["indicators"]["sma(5)"]
        assert found == pytest.approx(sum(one["close"] for one in chart[-5:]) / 5)
        store = SignalStore(hub.engine)
        stored = [*await store.active(), *await store.ended_since(0)]
        assert ("RELIANCE", signal["entry_price"]) in [(one.symbol, one.entry_price / PRICE_SCALE) for one in stored]


async def test_a_file_that_is_played_again_makes_the_same_candles_again(tmp_path: Path) -> None:
    file = trend(tmp_path / "ticks.csv")
    settings = {"FEED": "replay", "REPLAY_FILE": str(file), "REPLAY_SPEED": "0", "SIGNALS_TIMEFRAME": "off"}
    published: list[int] = []
    for _ in range(2):
        async with running(tmp_path, feeds=True, **settings) as hub:
            await until(lambda hub=hub: played(hub))  # type: ignore[misc]
            assert hub.feeds is not None
            published.append(hub.feeds.candles.published)
    assert published[0] == published[1] > 0


def played(hub: Hub) -> bool:
    """Whether the file is at its end."""
    return hub.feeds is not None and [feed.status.health for feed in hub.feeds.feeds] == [Health.CLOSED]


async def test_a_recording_of_a_broker_plays_again(tmp_path: Path, hasty: None) -> None:
    file = tmp_path / "kite.recording"
    async with Account("kite") as account:
        settings = account.settings(tmp_path)
        recording = running(tmp_path / "one", feeds=True, **settings, RECORD_FILE=str(file))
        async with recording as hub, hub.client() as client:
            await client.subscribe("market:RELIANCE")
            await account.until_carried("RELIANCE")
            for volume, paise in enumerate((150_010, 150_020, 150_030), 1000):
                await account.trade(paise, volume)
                await client.hear("market:update", price=paise / 100)
    again = {"FEED": "replay", "REPLAY_FILE": str(file), "SESSIONS_FILE": settings["SESSIONS_FILE"]}
    async with running(tmp_path / "two", feeds=True, **again) as hub, hub.client() as client:
        await client.subscribe("market:RELIANCE", "depth:RELIANCE", "candles:1m:RELIANCE")
        await client.hear("market:update", price=1500.3)
        assert (await client.hear("depth:update"))["bids"]
        assert (await client.hear("candles:update"))["close"] > 0


# -- what the world does ----------------------------------------------------------------------------------------------


async def test_prices_need_no_database_and_candles_are_kept_once_it_is_there(tmp_path: Path, hasty: None) -> None:
    database = PostgresServer()
    try:
        async with Account("kite") as account:
            settings = account.settings(tmp_path) | {"DATABASE_URL": database.url}
            async with running(tmp_path, feeds=True, **settings) as hub, hub.client() as client:
                await client.subscribe("market:RELIANCE")
                await account.until_carried("RELIANCE")
                await price_comes(account, client, 150_010)
                await asyncio.to_thread(database.start)
                await candle_is_kept(hub, 1)
                await asyncio.to_thread(database.kill)
                await price_comes(account, client, 150_020)
                await asyncio.to_thread(database.start)
                await candle_is_kept(hub, 2)
                await price_comes(account, client, 150_030)
                assert account.server.handshakes == 1
    finally:
        await asyncio.to_thread(database.close)


async def price_comes(account: Account, client: Client, paise: int, within_s: float = WAIT_S) -> None:
    """A trade is heard; told again until it is, as what a broker that is away misses is lost."""
    async with asyncio.timeout(within_s):
        while True:
            await account.trade(paise, paise)
            try:
                await client.hear("market:update", price=paise / 100, within_s=0.3)
            except TimeoutError:
                continue
            return


async def candle_is_kept(hub: Hub, count: int) -> None:
    """A closed candle gets into the database, sooner or later."""
    assert hub.feeds is not None
    start_ms = (int(time.time()) // 60 - 10 + count) * 60_000
    price = 100 * PRICE_SCALE
    hub.feeds.history.offer(
        [
            Bar(
                exchange="NSE",
                symbol="RELIANCE",
                timeframe="1m",
                start_ms=start_ms,
                end_ms=start_ms + 60_000,
                open=price,
                high=price,
                low=price,
                close=price,
            )
        ]
    )
    await until(lambda: hub.feeds is not None and not hub.feeds.history.waiting, 20)
    bars = await hub.feeds.history.between("NSE", "RELIANCE", "1m", 0, 2**40, limit=100)
    assert start_ms in [one.start_ms for one in bars]


async def test_prices_go_on_after_redis_restarts_with_nothing_in_its_memory(tmp_path: Path, hasty: None) -> None:
    with RedisServer() as redis:
        async with Account("kite") as account:
            settings = account.settings(tmp_path) | {"REDIS_URL": redis.url}
            async with running(tmp_path, feeds=True, **settings) as hub, hub.client() as client:
                await client.subscribe("market:RELIANCE")
                await account.until_carried("RELIANCE")
                await price_comes(account, client, 150_010)
                for paise in (150_020, 150_030):
                    await asyncio.to_thread(redis.kill)
                    await asyncio.to_thread(redis.start)
                    await price_comes(account, client, paise, 15)
                await is_demanded(hub, "market:NSE:RELIANCE")
                assert account.server.handshakes == 1


async def is_demanded(hub: Hub, name: str) -> None:
    """The broker knows that it is wanted, and nothing else."""
    async with asyncio.timeout(WAIT_S):
        while (await hub.broker.demanded()).names != {name}:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.02)  # it is told again now and then


# -- prices from outside ----------------------------------------------------------------------------------------------


async def test_candles_are_made_of_what_outsiders_publish(tmp_path: Path, own_redis: RedisServer) -> None:
    async with running(tmp_path, feeds=True, REDIS_URL=own_redis.url) as hub, hub.client() as client:
        ingest = Ingest(own_redis.url, names=hub.names, clock=time.monotonic)
        taking = asyncio.create_task(ingest.run(), name="ingest")
        try:
            await client.subscribe("candles:1m:OUTSIDE")

            async def repeat() -> None:  # what is published before anybody listens is nobody's
                while True:
                    await asyncio.to_thread(own_redis.command, "PUBLISH", "hub:market:OUTSIDE", '{"price": 42}')
                    await asyncio.sleep(0.1)

            repeating = asyncio.create_task(repeat(), name="outsider")
            await client.hear("candles:update", close=42.0)
            repeating.cancel()
            await asyncio.wait([repeating])
            words = ("hub:ingest", "*", "channel", "market:OUTSIDE", "data", '{"price": 43}')
            await asyncio.to_thread(own_redis.command, "XADD", *words)
            await client.hear("candles:update", close=43.0)
            body = {"channel": "market:OUTSIDE", "data": {"price": 44}}
            assert (await hub.post("/api/v1/publish", body, **bearer(role="publisher"))).status == 201
            await client.hear("candles:update", close=44.0)
            await client.ask("unsubscribe", channel="candles:1m:OUTSIDE")
        finally:
            taking.cancel()
            await asyncio.wait([taking])
