import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.candles.history import CandleHistory
from feeds.instruments import SIMULATED
from feeds.simulated_past import begin, past, spans
from feeds.simulator import Simulator
from hub import database
from schemas.market import Tick

NOW_MS = 1_795_347_123_456
"""A Sunday in India, at 16:58."""
LENGTHS = {**LENGTHS_MS, "1d": 86_400_000}


def bars_of(row: int = 5, seed: int = 1) -> list[Bar]:
    random = Random(seed)
    return list(past(SIMULATED[row], spans(NOW_MS, random), random))


@pytest.mark.parametrize("seed", range(5))
def test_the_candles_of_each_timeframe_follow_one_another_up_to_now(seed: int) -> None:
    """Each begins where the one before it ends, in time and in price; the newest ends in the last such time."""
    for timeframe, length_ms in LENGTHS.items():
        bars = [bar for bar in bars_of(seed=seed) if bar.timeframe == timeframe]
        assert len(bars) > 40
        assert all(bar.end_ms - bar.start_ms == length_ms for bar in bars)
        assert all(earlier.end_ms == later.start_ms for earlier, later in pairwise(bars))
        assert all(earlier.close == later.open for earlier, later in pairwise(bars))
        assert NOW_MS - length_ms < bars[-1].end_ms <= NOW_MS


def test_bars_are_counted_from_midnight_in_india() -> None:
    assert all((bar.start_ms + 19_800_000) % LENGTHS[bar.timeframe] == 0 for bar in bars_of())


def test_every_candle_makes_sense_and_keeps_to_the_years_range() -> None:
    row = SIMULATED[5]
    for bar in bars_of():
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert row.year_low * 0.9 < bar.low
        assert bar.high < row.year_high * 1.1
        assert all(price % row.instrument.tick_size == 0 for price in (bar.open, bar.high, bar.low))
        assert bar.volume


def test_the_last_minute_closes_where_the_market_begins() -> None:
    assert [bar for bar in bars_of() if bar.timeframe == "1m"][-1].close == SIMULATED[5].close


def test_longer_candles_are_made_of_the_minutes_within_them() -> None:
    bars = bars_of()
    minutes = [bar for bar in bars if bar.timeframe == "1m"]
    for whole in bars:
        within = [one for one in minutes if whole.start_ms <= one.start_ms < whole.end_ms]
        if whole.timeframe in ("1m", "1d") or whole.start_ms < minutes[0].start_ms or not within:
            continue
        assert (whole.open, whole.close) == (within[0].open, within[-1].close)
        assert (whole.high, whole.low) == (max(one.high for one in within), min(one.low for one in within))
        assert whole.volume == sum(one.volume or 0 for one in within)


def test_an_index_has_no_volume() -> None:
    place = next(place for place, row in enumerate(SIMULATED) if row.instrument.symbol == "NIFTY 50")
    assert {bar.volume for bar in bars_of(place)} == {None}


async def test_a_first_start_stores_a_past_and_a_later_one_goes_on_from_it(tmp_path: Path) -> None:
    engine: AsyncEngine = database.engine_for("", tmp_path)
    try:
        await database.migrate(engine)
        history, now_ms = CandleHistory(engine), int(time.time() * 1000)
        await begin(Simulator(), history, now_ms, random=Random(3))
        await history.flush()
        stored = await history.between("NSE", "RELIANCE", "5m", 0, now_ms // 1000, limit=5000)
        assert len(stored) > 300
        assert stored[-1].end_ms > now_ms - 300_000

        moved = Bar(
            exchange="NSE", symbol="RELIANCE", timeframe="1m", start_ms=now_ms, end_ms=now_ms + 60_000,
            open=10**10, high=10**10, low=10**10, close=10**10,
        )  # fmt: skip
        history.offer([moved])
        await history.flush()
        written, later = history.written, Simulator()
        await begin(later, history, now_ms + 120_000)
        assert history.written + history.waiting == written
        first = next(
            one for one in later._market.step(now_ms, 500) if one.symbol == "RELIANCE" and isinstance(one, Tick)
        )
        assert first.close == 10**10
    finally:
        await engine.dispose()


async def test_a_past_that_was_not_written_to_its_end_is_drawn_anew_up_to_the_price_of_then(tmp_path: Path) -> None:
    engine: AsyncEngine = database.engine_for("", tmp_path)
    try:
        await database.migrate(engine)
        now_ms = int(time.time() * 1000)
        await begin(Simulator(), CandleHistory(engine), now_ms, random=Random(3))  # and ends before the rest is written
        history, later = CandleHistory(engine), Simulator()
        moved = Bar(
            exchange="NSE", symbol="RELIANCE", timeframe="1m", start_ms=now_ms, end_ms=now_ms + 60_000,
            open=15 * 10**9, high=15 * 10**9, low=15 * 10**9, close=15 * 10**9,
        )  # fmt: skip
        history.offer([moved])
        await history.flush()
        await begin(later, history, now_ms + 120_000, random=Random(4))
        await history.flush()
        days = await history.between("NSE", "RELIANCE", "1d", 0, now_ms // 1000, limit=500)
        assert len(days) > 100
        minutes = await history.between("NSE", "RELIANCE", "1m", 0, now_ms // 1000 + 120, limit=5000)
        assert len(minutes) > 350
        assert minutes[-1].close == 15 * 10**9
    finally:
        await engine.dispose()
