"""The simulated market as a feed: its pace, and what it tells of itself."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.feed import Feed, Update
from feeds.simulated_market import MarketHours
from feeds.simulator import MAX_TICKS_PER_SECOND, Pace, Simulator
from schemas.market import MarketState
from tests.feeds.test_simulated_market import MORNING_MS, at_ms, ticks_of


@given(rate=st.floats(0.5, MAX_TICKS_PER_SECOND), gaps=st.lists(st.floats(0.001, 0.05), min_size=1, max_size=200))
def test_the_pace_is_the_rate_whatever_the_gaps(rate: float, gaps: list[float]) -> None:
    pace = Pace(rate, 100.0)
    now_s, made = 100.0, 0
    for gap in gaps:
        now_s += gap
        made += pace.due(now_s)
    assert made == pytest.approx(rate * (now_s - 100.0), abs=1.01)
    assert pace.dropped == pytest.approx(0, abs=1e-3)


def test_after_a_stall_only_the_newest_moments_are_made_up_for() -> None:
    pace = Pace(50_000, 0.0)
    assert pace.due(10.0) == 50_000 * Pace.LATEST_S
    assert pace.dropped == pytest.approx(50_000 * (10 - Pace.LATEST_S))
    assert pace.due(10.01) == pytest.approx(500, abs=1)


def test_a_clock_that_stands_or_jumps_back_makes_nothing() -> None:
    pace = Pace(1000, 50.0)
    assert pace.due(50.0) == 0
    assert pace.due(10.0) == 0
    assert pace.due(10.01) == pytest.approx(10, abs=1)


class Stopwatch:
    """Time that passes only by sleeping, until it stands still at `end_s`."""

    def __init__(self, end_s: float) -> None:
        self.now_s = 0.0
        self.end_s = end_s
        self.ended = asyncio.Event()

    def clock(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return MORNING_MS / 1000 + self.now_s

    async def sleep(self, seconds: float) -> None:
        if self.now_s >= self.end_s:
            self.ended.set()
            await asyncio.Event().wait()
        self.now_s += seconds


async def run_for(watch: Stopwatch, simulator: Feed, *, work_s: float = 0.0) -> list[Update]:
    updates: list[Update] = []

    async def publish(batch: Sequence[Update]) -> None:
        watch.now_s += work_s
        updates.extend(batch)

    async with asyncio.timeout(10):
        task = asyncio.create_task(simulator.run(publish), name="simulator")
        await watch.ended.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    return updates


@pytest.mark.parametrize("rate", [1, 265, 20_000])
async def test_the_feed_keeps_its_rate(rate: int) -> None:
    watch = Stopwatch(3.0)
    simulator = Simulator(seed=1, ticks_per_second=rate, clock=watch.clock, wall=watch.wall, sleep=watch.sleep)
    assert len(ticks_of(await run_for(watch, simulator))) == pytest.approx(rate * watch.now_s, abs=1.01)


async def test_the_feed_keeps_its_rate_while_publishing_takes_time() -> None:
    watch = Stopwatch(3.0)
    simulator = Simulator(seed=1, ticks_per_second=5000, clock=watch.clock, wall=watch.wall, sleep=watch.sleep)
    assert len(ticks_of(await run_for(watch, simulator, work_s=0.02))) == pytest.approx(15_000, rel=0.02)
    assert simulator.pace.dropped == pytest.approx(0, abs=1e-3)


async def test_the_feed_drops_what_a_slow_broker_made_late() -> None:
    watch = Stopwatch(10.0)
    simulator = Simulator(seed=1, ticks_per_second=5000, clock=watch.clock, wall=watch.wall, sleep=watch.sleep)
    updates = await run_for(watch, simulator, work_s=1.0)
    assert len(ticks_of(updates)) <= 11 * 5000 * Pace.LATEST_S
    assert simulator.pace.dropped > 40_000


async def test_the_same_seed_rate_and_clock_give_the_same_feed() -> None:
    runs = []
    for _ in range(2):
        watch = Stopwatch(1.0)
        simulator = Simulator(seed=9, ticks_per_second=777, clock=watch.clock, wall=watch.wall, sleep=watch.sleep)
        runs.append(await run_for(watch, simulator))
    assert runs[0] == runs[1]
    assert len(runs[0]) >= 776


@pytest.mark.parametrize("rate", [0, -1, 50_001, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="ticks a second"):
        Simulator(ticks_per_second=rate)


def test_the_default_rate_grows_with_the_symbols() -> None:
    assert Simulator().rate == 5 * 53
    assert Simulator(symbols=947).rate == 5 * 1000
    assert Simulator(symbols=20_000).rate == MAX_TICKS_PER_SECOND


def test_an_exchange_tells_its_session() -> None:
    always = Simulator(wall=lambda: MORNING_MS / 1000)
    assert (always.session("NSE").state, always.session("NSE").until_ms) == (MarketState.CONTINUOUS, None)
    clock = Simulator(wall=lambda: MORNING_MS / 1000, market_hours=MarketHours.CLOCK)
    assert clock.session("BSE").until_ms == at_ms("2026-11-23T15:15:00")
