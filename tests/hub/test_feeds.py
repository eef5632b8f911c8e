"""The role `feeds` as it is wired: only what is wanted, whose prices count, what happens when the world fails."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feeds.brokers.kite import Kite
from feeds.signals.store import SignalStore
from schemas.errors import SettingsError
from tests.hub.live import WAIT_S, Client, Hub, Message, bearer, running, until
from tests.hub.vendors import Account
from tests.servers import PostgresServer, RedisServer

SETTLED_S = 1.0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes many seconds takes few."""
    monkeypatch.setattr("channels.demand.REPEAT_S", 0.3)
    monkeypatch.setattr("channels.demand.LAPSE_S", 0.9)
    monkeypatch.setattr("feeds.interest.LINGER_S", 0.5)
    monkeypatch.setattr("hub.feed_board._POLL_S", 0.1)
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
    async with Account("kite") as account, running(tmp_path, feeds=True, **account.settings(tmp_path)) as hub:
        async with hub.client() as late:
            async with hub.client() as client:
                await client.subscribe("market:RELIANCE")
                await account.until_carried("RELIANCE")
                await late.ask("subscribe", channel="market:SUZLON-BE")
                ended = await late.hear("unsubscribed", channel="market:NSE:SUZLON-BE")
                assert ended["code"] == 2004
                assert ended["reason"] == (
                    "The feed's account carries at most 1 instruments at kite, and all are taken"
                )
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


async def test_a_replay_beside_other_feeds_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ticks.csv"
    file.write_text("time,symbol,price\n2026-11-20 10:00:00,TCS,100\n")
    with pytest.raises(SettingsError, match="replay goes by the time of its file"):
        async with running(tmp_path, feeds=True, FEED="simulator,replay", REPLAY_FILE=str(file)):
            raise AssertionError


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


async def test_a_csv_drives_prices_candles_and_signals(tmp_path: Path) -> None:
    file = trend(tmp_path / "ticks.csv")
    settings = {"FEED": "replay", "REPLAY_FILE": str(file), "REPLAY_SPEED": "max", "SIGNALS_TIMEFRAME": "1m"}
    async with running(tmp_path, feeds=True, **settings) as hub:
        assert hub.feeds is not None
        async with hub.client() as client:
            await client.subscribe("market:RELIANCE", "signals:generated", "candles:1m:RELIANCE")
            await until(hub.feeds._replay.ended.is_set)  # type: ignore[union-attr]
            assert (await hub.get("/api/v1/market/prices/RELIANCE", **bearer())).data["price"] == 1800.0
            chart = (await hub.get("/api/v1/market/chart/RELIANCE?tf=15m", **bearer())).data["candles"]
            print(len(chart), chart[:2], hub.feeds.signals.given, hub.feeds.signals.dropped, hub.feeds.gate.refused, hub.feeds.candles._engine.late)
            print(await client.settled())
