"""What outsiders publish on market channels is heard as ticks."""

import json
from collections.abc import Sequence

from channels.shape import Update
from feeds.outside import OutsidePrices
from schemas.market import PRICE_SCALE, MarketState, Tick
from tests.channels.clock import turns
from tests.channels.floor import Floor, floor
from tests.channels.recorder import NAMES, channel

NOW_MS = 1_795_000_000_000


class Ear:
    """Follows prices on a floor, and remembers the ticks."""

    def __init__(self, room: Floor) -> None:
        self.room = room
        self.ticks: list[Tick] = []
        self.outside = OutsidePrices(room.registry, NAMES, self._take, lambda: NOW_MS)

    def _take(self, ticks: Sequence[Tick], _: Update) -> None:
        self.ticks += ticks

    async def say(self, name: str, **fields: object) -> None:
        await self.room.broker.publish(channel(name), json.dumps(fields).encode())


async def test_a_price_is_a_tick() -> None:
    async with floor() as room:
        ear = Ear(room)
        await ear.outside.follow([("NSE", "MINE")])
        await ear.say(
            "market:NSE:MINE",
            price=100.05,
            open=99.5,
            volume=12,
            state="continuous",
            time="2026-11-18T12:26:40.000+05:30",
        )
    (tick,) = ear.ticks
    assert (tick.exchange, tick.symbol) == ("NSE", "MINE")
    assert tick.price == 10_005 * PRICE_SCALE // 100
    assert tick.open == 995 * PRICE_SCALE // 10
    assert (tick.volume, tick.state) == (12, MarketState.CONTINUOUS)
    assert tick.time_ms == 1_794_985_000_000


async def test_a_price_without_a_time_or_from_the_future_is_of_now() -> None:
    async with floor() as room:
        ear = Ear(room)
        await ear.outside.follow([("NSE", "MINE")])
        await ear.say("market:NSE:MINE", price=1)
        await ear.say("market:NSE:MINE", price=2, time="2030-01-01T00:00:00+05:30")
    assert [tick.time_ms for tick in ear.ticks] == [NOW_MS, NOW_MS]


async def test_only_what_is_followed_is_heard() -> None:
    async with floor() as room:
        ear = Ear(room)
        await ear.outside.follow([("NSE", "MINE"), ("NSE", "YOURS")])
        await ear.outside.follow([("NSE", "YOURS"), ("NSE", "bad\u20b9")])
        await turns()
        await ear.say("market:NSE:MINE", price=1)
        await ear.say("market:NSE:YOURS", price=2)
        assert [tick.symbol for tick in ear.ticks] == ["YOURS"]
        await ear.outside.follow([])
        await turns()
        assert room.registry.channel_count == 0


async def test_following_again_hears_each_price_once() -> None:
    async with floor() as room:
        ear = Ear(room)
        for _ in range(3):
            await ear.outside.follow([("NSE", "MINE")])
        await ear.say("market:NSE:MINE", price=1)
    assert len(ear.ticks) == 1


async def test_a_value_that_is_no_price_is_passed_over() -> None:
    async with floor() as room:
        ear = Ear(room)
        await ear.outside.follow([("NSE", "MINE")])
        await ear.say("market:NSE:MINE", volume=1)
        await ear.say("market:NSE:MINE", price=1)
    assert len(ear.ticks) == 1


async def test_what_was_kept_without_a_time_is_no_news() -> None:
    async with floor() as room:
        ear = Ear(room)
        await ear.say("market:NSE:MINE", price=1)
        await ear.outside.follow([("NSE", "MINE")])
        assert ear.ticks == []
        await ear.say("market:NSE:MINE", price=2)
        assert [tick.price for tick in ear.ticks] == [2 * PRICE_SCALE]


async def test_a_time_before_all_times_is_now() -> None:
    async with floor() as room:
        ear = Ear(room)
        await ear.outside.follow([("NSE", "MINE")])
        await ear.say("market:NSE:MINE", price=1, time="0001-01-01T00:00:00+23:59")
    assert [tick.time_ms for tick in ear.ticks] in ([NOW_MS], [0])
