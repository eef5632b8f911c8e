"""What a plan has delayed comes late on the socket and over HTTP, in order, and never early."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from auth.identity import Plan, Role
from tests.hub.live import WAIT_S, Client, Hub, Message, bearer, running, token
from tests.hub.vendors import Account

DELAY_S = 2
PLANS = f"""
[free]
NSE = "{DELAY_S}s"
BSE = "none"
"""
PACE_S = 0.25


class Market:
    """A market that goes up 5 paise with every trade, and remembers when."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.traded_at: dict[float, float] = {}

    async def run(self) -> None:
        """Trades until cancelled."""
        while True:
            await self.trade()
            await asyncio.sleep(PACE_S)  # nobody waits for this; it is how fast the market goes

    async def trade(self) -> float:
        """One trade; its price."""
        number = len(self.traded_at)
        price = round(1500 + number * 0.05, 2)
        self.traded_at[price] = time.monotonic()
        await self.account.trade(150_000 + number * 5, 1000 + number)
        return price

    def age_s(self, price: float) -> float:
        """How long ago a price was traded."""
        return time.monotonic() - self.traded_at[price]


@asynccontextmanager
async def trading(folder: Path) -> AsyncIterator[tuple[Hub, Market]]:
    """A hub whose free users hear NSE late, and a market that trades RELIANCE."""
    plans = folder / "plans.toml"
    plans.write_text(PLANS)
    async with Account("kite") as account:
        settings = account.settings(folder) | {"FEED_SYMBOLS": "NSE:RELIANCE", "PLANS_FILE": str(plans)}
        async with running(folder, feeds=True, **settings) as hub:
            await account.until_carried("RELIANCE")
            market = Market(account)
            task = asyncio.create_task(market.run(), name="market")
            try:
                yield hub, market
            finally:
                task.cancel()
                await asyncio.wait([task])


async def hear_trades(client: Client, market: Market, count: int) -> list[Message]:
    """So many updates of the market's own trades."""
    heard: list[Message] = []
    async with asyncio.timeout(2 * WAIT_S):
        while len(heard) < count:
            update = await client.hear("market:update")
            if update.get("price") in market.traded_at:
                update["age_s"] = market.age_s(update["price"])
                heard.append(update)
    return heard


async def test_a_free_user_hears_late_and_in_order_and_real_time_without_a_new_connection(tmp_path: Path) -> None:
    async with (
        trading(tmp_path) as (hub, market),
        hub.client(plan="free", user="1") as free,
        hub.client(plan="pro", user="2") as pro,
    ):
        reply = await free.ask("subscribe", channels=["market:RELIANCE", "candles:1m:RELIANCE", "market:BSE:RELIANCE"])
        assert [(one["channel"], one["delay"]) for one in reply["subscribed"]] == [
            ("market:NSE:RELIANCE", DELAY_S),
            ("candles:1m:NSE:RELIANCE", DELAY_S),
        ]
        (failed,) = reply["failed"]
        assert (failed["channel"], failed["code"]) == ("market:BSE:RELIANCE", "PERMISSION_DENIED")
        (granted,) = (await pro.subscribe("market:RELIANCE"))["subscribed"]
        assert "delay" not in granted
        assert (await hear_trades(pro, market, 2))[-1]["age_s"] < 1
        heard = await hear_trades(free, market, 3)
        assert all(DELAY_S <= one["age_s"] < DELAY_S + 3 for one in heard), heard
        prices = [one["price"] for one in heard]
        assert prices == sorted(set(prices))
        assert {one["channel"] for one in heard} == {"market:NSE:RELIANCE"}
        await is_late_over_http(hub, market)
        candle = await free.hear("candles:update")
        assert market.age_s(candle["close"]) >= DELAY_S

        refreshed = await free.ask("refresh", token=token("1", "pro"))
        assert refreshed["type"] == "refreshed"
        listed = (await free.ask("subscriptions"))["subscriptions"]
        assert [one.get("delay") for one in listed] == [None, None]
        free.backlog.clear()
        assert (await hear_trades(free, market, 2))[-1]["age_s"] < 1


async def test_a_grant_makes_it_real_time_and_taking_it_back_late_on_the_same_socket(tmp_path: Path) -> None:
    async with trading(tmp_path) as (hub, market), hub.client(plan="free", user="1") as client:
        await client.subscribe("market:RELIANCE", "candles:1m:RELIANCE")
        standing = hub.web.standing
        assert all(one["age_s"] >= DELAY_S for one in await hear_trades(client, market, 2))
        await standing.entitle(await standing.entitlements.grant("1", Plan.PRO, Role.USER, "root"))
        heard = await hear_trades(client, market, 4 * DELAY_S)
        assert heard[-1]["age_s"] < 1
        await client.subscribe("depth:RELIANCE")
        await standing.entitle(await standing.entitlements.grant("1", Plan.FREE, Role.USER, "root"))
        assert (await client.hear("unsubscribed"))["code"] == 2003
        client.backlog.clear()
        heard = await hear_trades(client, market, 4)
        assert all(one["age_s"] >= DELAY_S for one in heard[1:]), heard


async def is_late_over_http(hub: Hub, market: Market) -> None:
    free, pro = bearer("1", "free"), bearer("2", "pro")
    late = (await hub.get("/api/v1/market/prices/RELIANCE", **free)).data["price"]
    assert market.age_s(late) >= DELAY_S
    assert market.age_s((await hub.get("/api/v1/market/prices/RELIANCE", **pro)).data["price"]) < 1
    chart = (await hub.get("/api/v1/market/chart/RELIANCE?tf=1m", **free)).data["candles"]
    assert market.age_s(chart[-1]["close"]) >= DELAY_S
    answer = await hub.get("/api/v1/market/prices/RELIANCE?exchange=BSE", **free)
    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")


async def test_delayed_channels_speak_messagepack_and_tell_only_what_changed(tmp_path: Path) -> None:
    async with trading(tmp_path) as (hub, market), hub.client(plan="free", protocol="msgpack") as free:
        await free.subscribe("market:RELIANCE", delta=True)
        first, second = await hear_trades(free, market, 2)
        assert first["symbol"] == "RELIANCE"
        assert "symbol" not in second
        assert all(one["age_s"] >= DELAY_S for one in (first, second))
