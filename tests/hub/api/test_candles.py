"""Stored candles are read a page at a time, and none that its reader may not see yet."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from feeds.candles.history import CandleHistory
from feeds.instruments import Instruments
from hub.api import candles
from hub.api.candles import Candles, last_days
from tests.hub.alerting.stored import FRIDAY, MINUTE_MS, THURSDAY, at, minutes

NAMES = ChannelNames(Namespaces())
BARS = [*minutes(THURSDAY, *range(1, 8)), *minutes(FRIDAY, *range(8, 15))]


@pytest.mark.parametrize("page", [1, 3, 7, 14, 100])
async def test_pages_make_one_list(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(candles, "PAGE", page)
    history = CandleHistory(engine)
    history.offer(BARS)
    await history.flush()
    read = Candles(
        broker=MemoryBroker(),
        names=NAMES,
        instruments=lambda: Instruments([]),
        history=history,
        delay_of=lambda *_: 0,
    )
    channel, night_s = NAMES.parse("candles:1m:NSE:TCS"), at(FRIDAY, "20:00") // 1000
    for limit in (1, 6, 14, 50):
        assert await read.closed(channel, limit, to_s=night_s, seen_s=night_s) == BARS[-limit:]
    third_s = (BARS[2].start_ms + MINUTE_MS // 2) // 1000
    assert await read.closed(channel, 50, to_s=night_s, seen_s=third_s) == BARS[:2]
    assert await read.closed(channel, 50, to_s=BARS[2].start_ms // 1000, seen_s=night_s) == BARS[:2]
    assert await read.closed(channel, 0, to_s=night_s, seen_s=night_s) == []


def test_the_last_days_are_those_that_have_candles() -> None:
    assert list(last_days(BARS, 1)) == BARS[7:]
    assert list(last_days(BARS, 2)) == list(last_days(BARS, None)) == BARS
    assert list(last_days([], 3)) == []
