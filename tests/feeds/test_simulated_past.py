import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds import simulated_past
from feeds import simulator as simulator_module
from feeds.candles.bars import LENGTHS_MS, Bar
from feeds.candles.engine import CandleEngine
from feeds.candles.history import CandleHistory
from feeds.instruments import SIMULATED
from feeds.market_hours.sessions import day_start_ms, ist_day, next_day_ms
from feeds.simulated_past import begin, past, spans, stands
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
        assert row.year_low <= bar.low
        assert bar.high <= row.year_high
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


def today_of(bars: list[Bar]) -> list[Bar]:
    """The minutes and five minutes of the present day, each moment once."""
    day = [bar for bar in bars if ist_day(bar.start_ms) == ist_day(NOW_MS)]
    minutes = [bar for bar in day if bar.timeframe == "1m"]
    return [bar for bar in day if bar.timeframe == "5m" and bar.end_ms <= minutes[0].start_ms] + minutes


@pytest.mark.parametrize("seed", range(5))
def test_the_days_figures_are_those_of_its_candles(seed: int) -> None:
    bars = bars_of(seed=seed)
    stand, today = stands(bars)["NSE", SIMULATED[5].instrument.symbol], today_of(bars)
    yesterday = [bar for bar in bars if bar.timeframe == "1d"][-1]
    assert (stand.price, stand.previous_close) == (SIMULATED[5].close, yesterday.close)
    assert (stand.open, stand.high, stand.low) == (
        today[0].open, max(bar.high for bar in today), min(bar.low for bar in today),
    )  # fmt: skip
    assert stand.volume == sum(bar.volume or 0 for bar in today)
    assert stand.low < stand.average_price < stand.high
    assert stand.day == ist_day(NOW_MS)


def test_hours_and_the_last_minutes_tell_the_day_too() -> None:
    """As they are read at a later start."""
    bars = bars_of()
    hours_end = max(bar.end_ms for bar in bars if bar.timeframe == "1h")
    some = [bar for bar in bars if bar.timeframe == "1h" or (bar.timeframe == "1m" and bar.start_ms >= hours_end)]
    place = "NSE", SIMULATED[5].instrument.symbol
    whole, told = stands(bars)[place], stands(some)[place]
    assert (told.open, told.high, told.low, told.volume) == (whole.open, whole.high, whole.low, whole.volume)
    assert told.previous_close == whole.previous_close


def ticks_of(simulator: Simulator, now_ms: int) -> dict[str, Tick]:
    """The first tick of each instrument."""
    updates = simulator._market.step(now_ms, len(simulator.rows))
    return {one.symbol: one for one in updates if isinstance(one, Tick)}


def test_the_market_goes_on_within_its_day() -> None:
    stood = stands(bars_of())
    symbol = SIMULATED[5].instrument.symbol
    stand, simulator = stood["NSE", symbol], Simulator(seed=1)
    simulator.begin_at(stood)
    tick = ticks_of(simulator, NOW_MS)[symbol]
    assert (tick.price, tick.close, tick.open) == (stand.price, stand.previous_close, stand.open)
    assert tick.year_high is not None
    assert tick.year_high >= stand.high
    assert (tick.high, tick.low, tick.volume) == (stand.high, stand.low, stand.volume)
    assert tick.bid is not None
    assert abs(tick.bid - stand.price) < stand.price / 1000
    assert tick.lower_circuit == pytest.approx(stand.previous_close * 0.9, rel=1e-4)


def test_another_day_begins_with_the_price_that_was_the_last() -> None:
    stood = stands(bars_of())
    symbol = SIMULATED[5].instrument.symbol
    simulator = Simulator(seed=1)
    simulator.begin_at(stood)
    tick = ticks_of(simulator, NOW_MS + 86_400_000)[symbol]
    assert tick.close == stood["NSE", symbol].price
    assert tick.open == tick.price
    assert tick.volume == tick.last_quantity


def test_the_candles_go_on_without_a_jump() -> None:
    """The minute that forms holds what is traded from now on, and the day what was traded before too."""
    bars = bars_of()
    symbol = SIMULATED[5].instrument.symbol
    engine = CandleEngine(
        opens_ms=lambda _, __, at_ms: day_start_ms(ist_day(at_ms)), closes_ms=lambda _, __, at_ms: next_day_ms(at_ms)
    )
    engine.restore(bars, NOW_MS)
    simulator = Simulator(seed=1)
    simulator.begin_at(stands(bars))
    volumes = []
    for moment in range(NOW_MS, NOW_MS + 1000, 10):
        for one in simulator._market.step(moment, 100):
            if isinstance(one, Tick) and one.symbol == symbol:
                engine.take(one)
                volumes.append(one.volume or 0)
    minute, day = (engine.forming(NOW_MS + 1000, [("NSE", symbol, timeframe)])[0] for timeframe in ("1m", "1d"))
    assert minute.volume == volumes[-1] - volumes[0] > 0
    assert day.volume == volumes[-1]
    assert (day.open, day.high) == (today_of(bars)[0].open, max(bar.high for bar in [*today_of(bars), minute]))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A past of four instruments alone, which is written sooner."""
    known = [row for row in SIMULATED if row.instrument.symbol in ("RELIANCE", "TCS", "INFY", "NIFTY 50")]
    monkeypatch.setattr(simulated_past, "SIMULATED", known)
    monkeypatch.setattr(simulator_module, "SIMULATED", tuple(known))


@pytest.mark.usefixtures("few")
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


@pytest.mark.usefixtures("few")
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
