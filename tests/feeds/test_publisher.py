"""The publisher on a real broker, and on one that goes away on cue."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from channels.broker import Member, Publication
from channels.broker_memory import MemoryBroker
from channels.channel import Channel, ChannelNames
from channels.lease import Fence
from channels.namespace import Namespaces
from feeds.market_hours.sessions import MarketSession
from feeds.publisher import Health, Publisher
from feeds.simulated_market import SimulatedMarket
from schemas.errors import Unavailable
from schemas.market import Depth, Level, MarketState, Tick, depth_payload, scaled, tick_payload

NOW_MS = 1_795_405_501_250
UNTIL_MS = 1_795_427_100_000
OPEN = MarketSession(MarketState.CONTINUOUS, UNTIL_MS)


class Listener:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []

    def deliver(self, publications: Sequence[Publication]) -> None:
        self.publications.extend(publications)

    def interrupted(self) -> None:
        """A broker in memory is never interrupted."""

    def members(self, channel: str) -> list[Member]:
        return []


class FickleBroker(MemoryBroker):
    """A broker in memory that is not there while `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = 0

    async def publish_latest(self, batch: Sequence[tuple[Channel, bytes]], *, fence: Fence | None = None) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("redis", "connection refused")
        await super().publish_latest(batch)


class Timer:
    """Time that passes only by sleeping, up to `end_s`, where it stands until it may go on."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.end_s = self.now_s
        self._go_on = asyncio.Event()
        self._stands = asyncio.Event()

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        while self.now_s + seconds > self.end_s:
            self._stands.set()
            self._go_on.clear()
            await self._go_on.wait()
        self.now_s += seconds

    async def pass_by(self, seconds: float) -> None:
        """Lets the sleeper live through so many seconds."""
        self.end_s += seconds
        self._stands.clear()
        self._go_on.set()
        async with asyncio.timeout(5):
            await self._stands.wait()


def tick(symbol: str = "RELIANCE", price: float = 1546.0, *, exchange: str = "NSE") -> Tick:
    return Tick(exchange=exchange, symbol=symbol, price=scaled(price), time_ms=NOW_MS, close=scaled(1500))


def depth(symbol: str = "RELIANCE") -> Depth:
    return Depth.of(
        exchange="NSE",
        symbol=symbol,
        time_ms=NOW_MS,
        bids=(Level(scaled(1545.9), 100, 2),),
        asks=(Level(scaled(1546), 50, 1),),
    )


@pytest.fixture
def broker() -> FickleBroker:
    return FickleBroker()


@pytest.fixture
def names() -> ChannelNames:
    return ChannelNames(Namespaces())


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def publisher(broker: FickleBroker, names: ChannelNames, timer: Timer) -> Publisher:
    return Publisher(broker, names, clock=timer.clock, wall=lambda: NOW_MS / 1000, sleep=timer.sleep)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name="work")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()  # or it ended by itself, with an error


@asynccontextmanager
async def listening(broker: MemoryBroker, names: ChannelNames, *channels: str) -> AsyncIterator[Listener]:
    listener = Listener()
    await broker.subscribe([names.parse(channel) for channel in channels])
    async with running(broker.listen(listener)):
        await asyncio.sleep(0)  # one turn, in which `listen` begins
        yield listener


async def value(broker: MemoryBroker, names: ChannelNames, channel: str) -> Any:
    found = await broker.last([names.parse(channel)])
    return orjson.loads(found[channel].payload) if channel in found else None


async def test_ticks_and_depths_reach_their_channels_in_order(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher
) -> None:
    updates = [tick(price=1546), depth(), tick("SENSEX", 85200, exchange="BSE"), tick(price=1547), tick("M&M")]
    channels = ("market:NSE:RELIANCE", "depth:NSE:RELIANCE", "market:BSE:SENSEX")
    async with listening(broker, names, *channels) as listener:
        await publisher.publish(updates)
    assert [(one.channel, one.payload) for one in listener.publications] == [
        ("market:NSE:RELIANCE", tick_payload(tick(price=1546))),
        ("depth:NSE:RELIANCE", depth_payload(depth())),
        ("market:BSE:SENSEX", tick_payload(tick("SENSEX", 85200, exchange="BSE"))),
        ("market:NSE:RELIANCE", tick_payload(tick(price=1547))),
    ]
    assert (await value(broker, names, "market:NSE:M&M"))["price"] == 1546.0
    assert (publisher.published, publisher.dropped, publisher.refused) == (5, 0, 0)


async def test_a_batch_is_one_call_of_the_broker_and_nothing_is_none(
    broker: FickleBroker, publisher: Publisher
) -> None:
    await publisher.publish([tick() for _ in range(500)])
    await publisher.publish([])
    assert broker.asked == 1


async def test_everything_simulated_has_a_channel(broker: FickleBroker, publisher: Publisher) -> None:
    updates = SimulatedMarket(seed=1).step(NOW_MS, 2000)
    await publisher.publish(updates)
    assert (publisher.published, publisher.refused) == (len(updates), 0)


async def test_a_broker_away_costs_the_late_prices_and_nothing_else(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tickhub.feeds.publisher")
    await publisher.publish([tick(price=1500)])
    for outage in (1, 2):
        caplog.clear()
        broker.away = True
        for price in range(1501, 1511):
            await publisher.publish([tick(price=price), depth()])
        assert [record.message for record in caplog.records] == ["publisher.broker_away"]
        assert (await value(broker, names, "market:NSE:RELIANCE"))["price"] == 1500.0 + (outage - 1) * 100
        broker.away = False
        newest = 1500 + outage * 100
        await publisher.publish([tick(price=newest)])
        assert [record.message for record in caplog.records] == ["publisher.broker_away", "publisher.broker_back"]
        assert caplog.records[-1].__dict__["dropped"] == 20
        assert (await value(broker, names, "market:NSE:RELIANCE"))["price"] == newest
        assert (publisher.published, publisher.dropped) == (1 + outage, 20 * outage)


async def test_a_symbol_that_makes_no_channel_spares_the_others(
    publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await publisher.publish([tick("A:B"), tick(exchange="LSE"), tick()])
    assert (publisher.published, publisher.refused) == (3, 6)
    assert [record.message for record in caplog.records] == ["publisher.refused"] * 2


async def test_a_bug_in_the_broker_is_not_hidden(broker: FickleBroker, names: ChannelNames) -> None:
    class Broken(FickleBroker):
        async def publish_latest(self, batch: Sequence[tuple[Channel, bytes]], *, fence: Fence | None = None) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Publisher(Broken(), names).publish([tick()])


@pytest.mark.parametrize(
    ("state", "age_s", "health"),
    [
        (MarketState.CONTINUOUS, 0.0, Health.LIVE),
        (MarketState.CONTINUOUS, 10.0, Health.LIVE),
        (MarketState.CONTINUOUS, 10.5, Health.STALE),
        (MarketState.PRE_OPEN, 10.5, Health.STALE),
        (MarketState.CLOSING_AUCTION, 1.0, Health.LIVE),
        (MarketState.POST_CLOSE, 1.0, Health.CLOSED),
        (MarketState.CLOSED, 0.0, Health.CLOSED),
        (MarketState.CLOSED, 10.5, Health.CLOSED),
    ],
)
async def test_health_is_fresh_prices_in_an_open_market(
    publisher: Publisher, timer: Timer, state: MarketState, age_s: float, health: Health
) -> None:
    await publisher.publish([tick()])
    timer.now_s += age_s
    assert publisher.health("NSE", MarketSession(state)) is health


async def test_an_exchange_that_was_never_heard_is_stale(publisher: Publisher) -> None:
    await publisher.publish([tick()])
    assert publisher.health("BSE", OPEN) is Health.STALE


TOLD = {
    "status:feeds": {
        "NSE": "live",
        "BSE": "stale",
        "stale_since": {"BSE": "2026-11-23T09:15:01.250+05:30"},
    },
    "status:market": {
        "NSE": {"state": "continuous", "until": "2026-11-23T15:15:00+05:30"},
        "BSE": {"state": "pre_open"},
        "time": "2026-11-23T09:15:01.250+05:30",
    },
}


@pytest.mark.parametrize("channel", TOLD)
async def test_a_status_is_told_at_once_and_every_ten_seconds(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher, timer: Timer, channel: str
) -> None:
    def session_of(exchange: str) -> MarketSession:
        return OPEN if exchange == "NSE" else MarketSession(MarketState.PRE_OPEN)

    await publisher.publish([tick()])
    tell = publisher.status_feeds if channel == "status:feeds" else publisher.status_market
    async with (
        listening(broker, names, channel) as listener,
        running(tell(["NSE", "BSE"], session_of)),
    ):
        await timer.pass_by(0)
        assert [orjson.loads(one.payload) for one in listener.publications] == [TOLD[channel]]
        await timer.pass_by(9.5)
        assert len(listener.publications) == 1
        await timer.pass_by(0.5)
        assert [orjson.loads(one.payload) for one in listener.publications] == [TOLD[channel]] * 2
        assert {one.channel for one in listener.publications} == {channel}


async def test_a_change_is_told_within_half_a_second(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher, timer: Timer
) -> None:
    session = OPEN
    await publisher.publish([tick()])
    async with (
        listening(broker, names, "status:feeds") as listener,
        running(publisher.status_feeds(["NSE"], lambda _: session)),
    ):
        await timer.pass_by(3)
        session = MarketSession(MarketState.CLOSED)
        await timer.pass_by(0.5)
        session = OPEN
        await timer.pass_by(7)
    told = [orjson.loads(one.payload)["NSE"] for one in listener.publications]
    assert told == ["live", "closed", "live", "stale"]


async def test_a_sessions_change_is_told_at_its_second(broker: FickleBroker, names: ChannelNames, timer: Timer) -> None:
    opens_s = timer.now_s + 10.317
    wall = Publisher(broker, names, clock=timer.clock, wall=timer.clock, sleep=timer.sleep)
    told_s: list[float] = []

    def session_of(exchange: str) -> MarketSession:
        if exchange == "MCX":
            return MarketSession(MarketState.CONTINUOUS)
        if timer.now_s < opens_s:
            return MarketSession(MarketState.PRE_OPEN, round(opens_s * 1000))
        told_s.append(timer.now_s)
        return MarketSession(MarketState.CONTINUOUS, round(opens_s * 1000) + 10**7)

    async with listening(broker, names, "status:market"), running(wall.status_market(["MCX", "NSE"], session_of)):
        await timer.pass_by(12)
    assert told_s[0] - opens_s < 0.0011


async def test_a_phase_and_provisional_hours_are_told(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher, timer: Timer
) -> None:
    session = MarketSession(
        MarketState.PRE_OPEN, UNTIL_MS, "limit_entry", phase_until_ms=UNTIL_MS - 60_000, provisional=True
    )
    async with running(publisher.status_market(["NSE"], lambda _: session)):
        await timer.pass_by(0)
    assert (await value(broker, names, "status:market"))["NSE"] == {
        "state": "pre_open",
        "until": "2026-11-23T15:15:00+05:30",
        "phase": "limit_entry",
        "provisional": True,
    }


async def test_an_exchange_that_is_carried_later_is_told(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher, timer: Timer
) -> None:
    exchanges = ["NSE"]
    async with running(publisher.status_market(exchanges, lambda _: OPEN)):
        await timer.pass_by(1)
        exchanges.append("MCX")
        await timer.pass_by(0.5)
        assert set(await value(broker, names, "status:market")) == {"NSE", "MCX", "time"}


async def test_a_status_that_was_not_heard_is_told_again(
    broker: FickleBroker, names: ChannelNames, publisher: Publisher, timer: Timer
) -> None:
    broker.away = True
    async with running(publisher.status_market(["NSE"], lambda _: OPEN)):
        await timer.pass_by(2)
        assert broker.asked >= 4
        assert await value(broker, names, "status:market") is None
        broker.away = False
        await timer.pass_by(0.5)
        assert (await value(broker, names, "status:market"))["NSE"]["state"] == "continuous"
    assert publisher.dropped == 0  # no prices were
