"""The runner with every broker's source against that broker's server: what must hold for each of them alike."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from feeds.accounts.runner import BrokerFeed
from feeds.brokers.angel import Angel
from feeds.brokers.dhan import Dhan
from feeds.brokers.fyers import Fyers
from feeds.brokers.kite import Kite
from feeds.brokers.shoonya import Shoonya
from feeds.brokers.source import Source
from feeds.brokers.upstox import Upstox
from feeds.feed import Health
from feeds.instruments import Listing
from feeds.listings.directory import Directory
from schemas.market import PRICE_SCALE, MarketState, Tick
from tests.feeds.brokers import angel, kite
from tests.feeds.brokers.angel import AngelServer
from tests.feeds.brokers.dhan import DhanServer
from tests.feeds.brokers.fyers import FyersServer
from tests.feeds.brokers.kite import KiteServer
from tests.feeds.brokers.server import BrokerServer
from tests.feeds.brokers.shoonya import ShoonyaServer
from tests.feeds.brokers.upstox import UpstoxServer
from tests.feeds.clockwork import Market, Published, listing, until

PAISA = PRICE_SCALE // 100


class Broker(msgspec.Struct, frozen=True):
    """One broker: its source and server, how its tokens look, and how its server is told things, prices in paise."""

    source: Callable[[], Source]
    server: Callable[[], BrokerServer]
    tokens: tuple[str, str, str]
    credentials: Callable[[Any], Mapping[str, str]]
    price: Callable[[Any, str, int], Awaitable[None]]
    expire: Callable[[Any], Awaitable[None] | None]
    prepare: Callable[[Any, tuple[str, str, str]], None] = lambda server, tokens: None


def _carry_floats(server: Any, tokens: tuple[str, str, str]) -> None:
    server.prices.update(dict.fromkeys(tokens, 100.0))


def _carry_paise(server: Any, tokens: tuple[str, str, str]) -> None:
    server.prices.update(dict.fromkeys(tokens, 10_000))


def _carry_texts(server: Any, tokens: tuple[str, str, str]) -> None:
    server.prices.update(dict.fromkeys(tokens, "100.00"))


BROKERS = {
    "kite": Broker(
        source=Kite,
        server=KiteServer,
        tokens=("738561", "779521", "341249"),
        credentials=lambda server: {"api_key": kite.API_KEY, "access_token": server.access_token},
        price=lambda server, token, paise: server.price(int(token), price=paise),
        expire=lambda server: server.expire_token(),
    ),
    "upstox": Broker(
        source=Upstox,
        server=UpstoxServer,
        tokens=("NSE_EQ|INE002A01018", "NSE_EQ|INE062A01020", "NSE_EQ|INE040A01034"),
        credentials=lambda server: {"access_token": server.access_token},
        price=lambda server, token, paise: server.price(token, paise / 100),
        expire=lambda server: server.expire_token(),
    ),
    "angel": Broker(
        source=Angel,
        server=AngelServer,
        tokens=("1|2885", "1|3045", "1|1333"),
        credentials=lambda server: {
            "api_key": angel.API_KEY,
            "client_code": angel.CLIENT_CODE,
            "jwt_token": server.jwt_token,
            "feed_token": server.feed_token,
        },
        price=lambda server, token, paise: server.price(token, price=paise),
        expire=lambda server: server.expire_token(),
    ),
    "dhan": Broker(
        source=Dhan,
        server=DhanServer,
        tokens=("1|2885", "1|3045", "1|1333"),
        credentials=lambda server: {"client_id": server.client_id, "access_token": server.access_token},
        price=lambda server, token, paise: server.trade({token: paise / 100}),
        expire=lambda server: server.expire(),
        prepare=_carry_floats,
    ),
    "fyers": Broker(
        source=Fyers,
        server=FyersServer,
        tokens=("nse_cm|2885", "nse_cm|3045", "nse_cm|1333"),
        credentials=lambda server: {"access_token": server.access_token},
        price=lambda server, token, paise: server.trade({token: paise}),
        expire=lambda server: server.expire(),
        prepare=_carry_paise,
    ),
    "shoonya": Broker(
        source=Shoonya,
        server=ShoonyaServer,
        tokens=("NSE|2885", "NSE|3045", "NSE|1333"),
        credentials=lambda server: {"user_id": server.user_id, "access_token": server.access_token},
        price=lambda server, token, paise: server.trade({token: f"{paise / 100:.2f}"}),
        expire=lambda server: server.expire(),
        prepare=_carry_texts,
    ),
}


class Rig:
    """A running feed of one broker. Pauses are as short as chance allows."""

    def __init__(self, broker: Broker, server: BrokerServer) -> None:
        self.broker = broker
        self.server = server
        self.credentials = {**broker.credentials(server), "url": server.url}
        self.published = Published()
        self.market = Market()
        self.orders: list[bytes] = []
        self.listings: list[Listing] = [
            listing(symbol, token)
            for symbol, token in zip(("RELIANCE", "SBIN", "HDFCBANK"), broker.tokens, strict=True)
        ]
        self.source = broker.source()
        self.feed = BrokerFeed(
            self.source,
            directory=Directory(self.listings),
            credentials=lambda: dict(self.credentials),
            session_of=self.market,
            on_order=self.orders.append,
            chance=lambda: 0.01,
        )

    def want(self, *symbols: str) -> None:
        self.feed.want([("NSE", symbol) for symbol in symbols])

    def prices(self, symbol: str) -> list[int]:
        """Paise, oldest first."""
        updates = self.published.updates
        return [one.price // PAISA for one in updates if isinstance(one, Tick) and one.symbol == symbol]

    async def price(self, token: str, paise: int) -> None:
        await self.broker.price(self.server, token, paise)


@asynccontextmanager
async def running(name: str) -> AsyncIterator[Rig]:
    broker = BROKERS[name]
    async with broker.server() as server:
        broker.prepare(server, broker.tokens)
        rig = Rig(broker, server)
        task = asyncio.create_task(rig.feed.run(rig.published))
        try:
            yield rig
        finally:
            task.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait([task])
        assert task.cancelled(), task.exception()


@pytest.fixture(params=sorted(BROKERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_three_instruments_are_subscribed_and_each_gets_its_own_price(name: str) -> None:
    async with running(name) as rig:
        rig.want("RELIANCE", "SBIN", "HDFCBANK")
        await rig.server.until_subscribed(rig.broker.tokens)
        for token, paise in zip(rig.broker.tokens, (150_005, 80_010, 160_015), strict=True):
            await rig.price(token, paise)
        await rig.published.until(lambda _: 160_015 in rig.prices("HDFCBANK"))
        assert rig.prices("RELIANCE")[-1] == 150_005
        assert rig.prices("SBIN")[-1] == 80_010
        assert rig.feed.status.health is Health.LIVE
        assert rig.feed.status.instruments == 3
        assert rig.feed.bad == {}


async def test_everything_is_subscribed_again_after_an_abrupt_end(name: str) -> None:
    async with running(name) as rig:
        rig.want("RELIANCE", "SBIN")
        await rig.server.until_subscribed(rig.broker.tokens[:2])
        await rig.published.until(lambda _: bool(rig.prices("SBIN")))
        rig.server.abort()
        await rig.server.until(lambda: not rig.server.connections)
        await rig.server.until_subscribed(rig.broker.tokens[:2])
        await rig.price(rig.broker.tokens[1], 81_000)
        await rig.published.until(lambda _: 81_000 in rig.prices("SBIN"))
        assert rig.feed.reconnects == 1


async def test_what_is_no_longer_wanted_is_unsubscribed(name: str) -> None:
    async with running(name) as rig:
        rig.want("RELIANCE", "SBIN", "HDFCBANK")
        await rig.server.until_subscribed(rig.broker.tokens)
        rig.want("SBIN")
        await rig.server.until_subscribed(rig.broker.tokens[1:2])
        rig.want("SBIN", "RELIANCE")
        await rig.server.until_subscribed(rig.broker.tokens[:2])
        assert len(rig.server.connections) == 1


async def test_the_daily_end_of_the_token_is_told_and_the_new_one_gets_in(name: str) -> None:
    async with running(name) as rig:
        rig.want("RELIANCE")
        await rig.server.until_subscribed(rig.broker.tokens[:1])
        ended = rig.broker.expire(rig.server)
        if ended is not None:
            await ended
        await until(lambda: rig.feed.status.health is Health.TOKEN_EXPIRED)
        assert not any(secret in rig.feed.status.reason for secret in rig.credentials.values())
        rig.credentials |= rig.broker.credentials(rig.server)
        await rig.server.until_subscribed(rig.broker.tokens[:1])
        await until(lambda: rig.feed.status.health is Health.LIVE)


async def test_wrong_credentials_are_told_and_not_tried_over_and_over(name: str) -> None:
    async with running(name) as rig:
        for key in rig.broker.credentials(rig.server):
            if "token" in key:
                rig.credentials[key] = "yesterday.eyJoc21fa2V5IjoieSJ9.s"  # the form that one of them wants
        await until(lambda: rig.feed.status.health is Health.TOKEN_EXPIRED)
        assert rig.server.handshakes <= 1


async def test_noise_is_counted_and_prices_go_on(name: str) -> None:
    async with running(name) as rig:
        rig.want("RELIANCE")
        await rig.server.until_subscribed(rig.broker.tokens[:1])
        await rig.published.until(lambda _: bool(rig.prices("RELIANCE")))
        await rig.server.send(b"\xff" * 300, b"\x00\x02\x00", "{", '"text"', '{"type":7}')
        await rig.price(rig.broker.tokens[0], 151_000)
        await rig.published.until(lambda _: 151_000 in rig.prices("RELIANCE"))
        assert rig.feed.bad.total() > 0
        assert rig.server.handshakes == 1


async def test_kites_heartbeats_keep_a_connection_without_prices() -> None:
    async with running("kite") as rig:
        rig.want("RELIANCE")
        await rig.server.until_subscribed(["738561"])
        frames = rig.feed.frames
        for _ in range(3):
            await rig.server.send(kite.HEARTBEAT)
        await until(lambda: rig.feed.frames >= frames + 3)
        assert rig.feed.status.health is Health.LIVE


async def test_kites_silence_in_an_open_market_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kite, "silence_s", 0.5)
    async with running("kite") as rig:
        rig.want("RELIANCE")
        await rig.server.until_subscribed(["738561"])
        rig.server.silent = True
        await rig.server.until(lambda: rig.server.handshakes == 2)
        rig.server.silent = False
        rig.server.abort()
        await rig.server.until_subscribed(["738561"])


async def test_kites_silence_at_night_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kite, "silence_s", 0.1)
    monkeypatch.setattr("feeds.accounts.line.WATCH_S", 0.02)
    async with running("kite") as rig:
        rig.market.state = MarketState.CLOSED
        rig.want("RELIANCE")
        await rig.server.until_subscribed(["738561"])
        rig.server.silent = True
        await until(lambda: rig.feed.status.health is Health.CLOSED)
        since_s = asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > since_s + 0.5)
        assert rig.server.handshakes == 1


async def test_kites_order_updates_arrive_as_they_are() -> None:
    async with running("kite") as rig:
        await rig.server.until(lambda: bool(rig.server.connections))
        assert isinstance(rig.server, KiteServer)
        await rig.server.order_update(order_id="7", status="COMPLETE")
        await until(lambda: bool(rig.orders))
        assert json.loads(rig.orders[0]) == {"order_id": "7", "status": "COMPLETE"}


async def test_kites_full_account_is_spread_over_three_sockets() -> None:
    async with running("kite") as rig:
        rig.feed.directory = Directory(listing(f"S{n}", str(n << 8 | 1)) for n in range(1, 9_100))
        rig.feed.want([("NSE", f"S{n}") for n in range(1, 9_100)])
        refusals = rig.feed.take_refusals()
        assert len(refusals) == 99
        await rig.server.until(lambda: len(rig.server.subscribed) == 9_000, timeout_s=30)
        assert len(rig.server.connections) == 3
        assert set(rig.server.subscribed.values()) <= {"quote", "full"}
