"""Minutes are told as prices that make the same minutes again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from feeds.candles.bars import Bar
from feeds.candles.engine import CandleEngine
from hub.alerting.minutes import Minutes, path, ticks_of
from schemas.market import PRICE_SCALE, MarketState, Tick
from tests.hub.alerting.stored import FRIDAY, THURSDAY, at, bar, clock, hours, minutes, walk


def rupees(prices: list[int]) -> list[float]:
    return [price / PRICE_SCALE for price in prices]


def made(bars: list[Bar], before: Bar | None = None) -> list[Tick]:
    return list(ticks_of(Minutes(bars, before)))


@pytest.mark.parametrize(
    ("prices", "found"),
    [
        ((100, 103, 95, 101), [100, 103, 95, 101]),
        ((100, 105, 97, 101), [100, 97, 105, 101]),
        ((100, 105, 95, 101), [100, 105, 95, 101]),
        ((100, 105, 100, 105), [100, 105]),
        ((100, 100, 95, 97), [100, 95, 97]),
        ((100, 100, 100, 100), [100]),
    ],
)
def test_the_extreme_nearer_to_the_open_comes_first(prices: tuple[float, ...], found: list[float]) -> None:
    assert rupees(path(bar(0, *prices))) == found


def test_so_few_trades_as_leave_no_room_came_the_other_way_round() -> None:
    assert rupees(path(bar(0, 102, 105, 100, 100, volume=4))) == [102, 100, 105, 100]
    assert rupees(path(bar(0, 102, 105, 100, 100, volume=3))) == [102, 105, 100]


def test_prices_lie_apart_evenly_and_the_last_one_within_the_minute() -> None:
    dawn, *ticks = made([bar(at(FRIDAY, "09:15"), 100, 103, 95, 101)])
    assert (dawn.state, clock(dawn.time_ms)) == (MarketState.PRE_OPEN, "09:14:59.999")
    assert [clock(one.time_ms) for one in ticks] == ["09:15:00.000", "09:15:20.000", "09:15:40.000", "09:15:59.999"]
    assert {one.state for one in ticks} == {MarketState.CONTINUOUS}


def test_the_days_figures_grow_and_begin_anew_each_morning() -> None:
    before = bar(at("2026-11-18", "15:29"), 98)
    thursday = [bar(at(THURSDAY, "09:15"), 100, 103, 95, 101), bar(at(THURSDAY, "09:16"), 101, 110, 101, 110)]
    ticks = made([*thursday, *minutes(FRIDAY, 120)], before)
    last = ticks[-3]
    assert rupees([last.open or 0, last.high or 0, last.low or 0, last.close or 0]) == [100, 110, 95, 98]
    assert (last.volume, last.price) == (200, 110 * PRICE_SCALE)
    dawn, first = ticks[-2:]
    assert (dawn.price, dawn.close, dawn.volume) == (110 * PRICE_SCALE, 110 * PRICE_SCALE, 0)
    assert rupees([first.open or 0, first.high or 0, first.low or 0, first.close or 0]) == [120, 120, 120, 110]
    assert first.volume == 100


def test_without_the_day_before_nobody_knows_its_close() -> None:
    assert {one.close for one in made(minutes(FRIDAY, 100, 101))} == {None}


def test_what_was_traded_before_the_first_minute_counts_towards_the_day() -> None:
    ticks = made(minutes(FRIDAY, 100, begin="11:00", volume=10, day_volume=5010))
    assert [one.volume for one in ticks] == [5000, 5010]


def test_an_index_has_no_volume() -> None:
    assert {one.volume for one in made(minutes(FRIDAY, 100, 101, volume=None))} == {None}


def test_no_minutes_are_no_prices() -> None:
    assert made([]) == []


@given(seed=st.integers(0, 2**32), known=st.booleans())
def test_the_candles_of_the_prices_are_the_minutes(seed: int, known: bool) -> None:
    bars = walk(THURSDAY, seed, 20) + walk(FRIDAY, seed + 1, 20)
    if not known:
        bars = [replace(one, volume=None, day_volume=None) for one in bars]
    engine = CandleEngine(opens_ms=hours().opens_ms, closes_ms=hours().closes_ms, grace_ms=0)
    closed: list[Bar] = []
    for tick in made(bars):
        closed += engine.advance(tick.time_ms)
        engine.take(tick)
    closed += engine.advance(bars[-1].end_ms)
    again = [one for one in closed if one.timeframe == "1m"]
    figures = ("start_ms", "end_ms", "open", "high", "low", "close", "volume", "gap")
    assert [[getattr(one, name) for name in figures] for one in again] == [
        [getattr(one, name) for name in figures] for one in bars
    ]
    assert len([one for one in closed if one.timeframe == "5m"]) == 8
