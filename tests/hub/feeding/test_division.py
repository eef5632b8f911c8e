"""What is wanted gets to the feeds, and what becomes of it back to who wants it."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest

from channels.broker_memory import MemoryBroker
from feeds.brokers.kite import Kite
from feeds.candles.engine import CandleEngine
from feeds.candles.worker import CandleWorker
from feeds.feed import FeedStatus, Health, Publish, Refusal
from feeds.instruments import Instrument
from feeds.interest import LINGER_S, Place
from hub.feeding.board import REFUSALS
from hub.feeding.division import Division
from tests.channels.brokers import FaultyBroker
from tests.hub.live import Hub, running, until
from tests.hub.vendors import Account


class ListFeed:
    """A feed that lists everything on NSE but OUTSIDE, and remembers what it was told to carry."""

    name = "kite"

    exchanges: Collection[str] = ()

    def __init__(self) -> None:
        self.status = FeedStatus(health=Health.LIVE, since_ms=0)
        self.wanted: list[Place] = []

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        if (exchange, symbol) == ("NSE", "OUTSIDE"):
            return None
        return Instrument(exchange=exchange, symbol=symbol, name=symbol, tick_size=1)

    def want(self, wanted: Collection[Place]) -> None:
        self.wanted = list(wanted)

    def take_refusals(self) -> list[Refusal]:
        return []

    async def run(self, publish: Publish) -> None:
        raise NotImplementedError


class Room:
    """A division that runs, whose clock a test turns."""

    def __init__(self) -> None:
        self.broker = FaultyBroker()
        self.feed = ListFeed()
        self.now_s = 1000.0
        self.followed: list[Place] = []
        self.division = Division(
            [self.feed],
            self.broker,
            always=[("NSE", "TCS")],
            follow=self._follow,
            candles=CandleWorker(CandleEngine(opens_ms=_never, closes_ms=_never), publish=_nowhere, wanted=list),
            clock=lambda: self.now_s,
        )

    async def _follow(self, places: Collection[Place]) -> None:
        self.followed = list(places)


def _never(*_: object) -> None:
    return None


async def _nowhere(*_: object) -> None:
    return None


@pytest.fixture
async def room(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setattr("hub.feeding.division.POLL_S", 0.001)
    room = Room()
    task = asyncio.create_task(room.division.run(), name="division")
    try:
        yield room
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_is_wanted_is_carried_and_what_nobody_lists_is_followed(room: Room) -> None:
    await until(lambda: room.feed.wanted == [("NSE", "TCS")])
    await room.broker.demand(["market:NSE:ACC", "candles:5m:MCX:GOLD#rsi(14)", "market:NSE:OUTSIDE"], 60)
    await until(lambda: len(room.feed.wanted) == 3)
    assert set(room.feed.wanted) == {("NSE", "TCS"), ("NSE", "ACC"), ("MCX", "GOLD")}
    assert room.followed == [("NSE", "OUTSIDE")]
    assert room.division.wanted_candles == {("MCX", "GOLD", "5m"): {"rsi(14)"}}
    assert room.division.exchanges == ["NSE", "BSE", "MCX"]
    assert room.division.fed == ["MCX", "NSE"]


async def test_while_the_broker_is_away_what_was_wanted_stays(room: Room) -> None:
    await room.broker.demand(["market:NSE:ACC"], 60)
    await until(lambda: len(room.feed.wanted) == 2)
    room.broker.away.add("*")
    for _ in range(5):
        room.now_s += LINGER_S / 2
        asked = room.broker.calls["demanded"]
        await until(lambda asked=asked: room.broker.calls["demanded"] > asked + 1)  # type: ignore[misc]
    room.broker.inner = MemoryBroker()  # it comes back without its memory
    room.broker.away.clear()
    asked = room.broker.calls["demanded"]
    await until(lambda: room.broker.calls["demanded"] > asked + 1)
    assert room.feed.wanted == [("NSE", "TCS"), ("NSE", "ACC")]
    room.now_s += LINGER_S + 1
    await until(lambda: room.feed.wanted == [("NSE", "TCS")])


def health(hub: Hub) -> Health:
    assert hub.feeds is not None
    return hub.feeds.feeds[0].status.health


def away(hub: Hub, symbol: str, since_ms: int) -> bool:
    """Whether the candles know that an instrument was not listened to since then."""
    assert hub.feeds is not None
    return hub.feeds.candles._engine._away.during("NSE", symbol, since_ms, int(time.time() * 1000) + 1)


async def test_candles_are_told_when_a_source_goes_away_and_when_an_instrument_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.demand.REPEAT_S", 0.1)
    monkeypatch.setattr("channels.demand.LAPSE_S", 0.5)
    monkeypatch.setattr("feeds.interest.LINGER_S", 0.1)
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path), FEED_SYMBOLS="NSE:RELIANCE") as hub,
    ):
        assert hub.feeds is not None
        await until(lambda: hub.feeds is not None and ("NSE", "RELIANCE") in hub.feeds.division._heard)
        since_ms = int(time.time() * 1000)
        assert not away(hub, "RELIANCE", since_ms)
        account.server.refuse_with = HTTPStatus.SERVICE_UNAVAILABLE
        account.server.abort()
        await until(lambda: away(hub, "RELIANCE", since_ms))
        account.server.refuse_with = None
        await until(lambda: health(hub) is Health.LIVE)
        await until(lambda: not away(hub, "RELIANCE", int(time.time() * 1000)))
        since_ms = int(time.time() * 1000)
        async with hub.client() as client:
            await client.subscribe("market:SUZLON-BE")
            await until(lambda: hub.feeds is not None and ("NSE", "SUZLON-BE") in hub.feeds.division._heard)
            assert not away(hub, "SUZLON-BE", since_ms)
        await until(lambda: away(hub, "SUZLON-BE", since_ms))
        assert not away(hub, "RELIANCE", since_ms)


async def test_what_cannot_be_carried_is_said_again_while_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.feeding.division.RETELL_S", 0.3)
    monkeypatch.setattr(
        Kite, "limits", msgspec.structs.replace(Kite.limits, connections=1, instruments_per_connection=1)
    )
    async with (
        Account("kite") as account,
        running(tmp_path, feeds=True, **account.settings(tmp_path), FEED_SYMBOLS="NSE:RELIANCE") as hub,
    ):
        told: list[bytes] = []
        await hub.web.registry.watch(REFUSALS, lambda update: told.append(update.payload))
        await hub.broker.demand(["market:NSE:SUZLON-BE"], 60)
        await until(lambda: len(told) >= 3)
        assert all(b'"SUZLON-BE"' in payload and b"LIMIT_EXCEEDED" in payload for payload in told)
        await account.until_carried("RELIANCE")


async def test_the_owner_of_an_instrument_is_known_before_anybody_wants_it(tmp_path: Path) -> None:
    async with Account("kite") as account:
        settings = account.settings(tmp_path) | {"FEED": "kite,simulator"}
        async with running(tmp_path, feeds=True, **settings) as hub:
            assert hub.feeds is not None
            division = hub.feeds.division
            assert division.owner("NSE", "TCS") is None  # kite may list it, as far as anybody knows
            await until(lambda: not division.unready)
            assert division.owner("NSE", "TCS") == "simulator"
            assert division.owner("NSE", "RELIANCE") == "kite"
            assert division.owner("NSE", "OUTSIDE") is None
