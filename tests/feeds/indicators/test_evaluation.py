"""Indicators have the values that TA-Lib's functions give, however they are worked out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.indicators.catalogue import CATALOGUE
from feeds.indicators.evaluation import IndicatorSet, LiveIndicator, Value, evaluate, lines, series
from feeds.indicators.indicator import SOURCES, Indicator, parse, parse_all
from schemas.market import PRICE_SCALE
from tests.feeds.bars import MINUTE_MS, NINE_FIFTEEN_MS, Candle, candle, series_of_candles, walk, without_volume

DAY_MS = 24 * 60 * MINUTE_MS


def same(one: Value, other: Value) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one is None and other is None


def column(candles: list[Candle], name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([getattr(one, name) / PRICE_SCALE for one in candles])


def volumes(candles: list[Candle]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([float(one.volume or 0) for one in candles])


def test_values_are_talibs_in_rupees() -> None:
    candles = walk(1, 120)
    close, high, low = column(candles, "close"), column(candles, "high"), column(candles, "low")
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    assert evaluate(parse_all("rsi,macd,bbands(20,2),atr(7),mfi"), candles) == {
        "rsi": talib.RSI(close, 14)[-1],
        "macd": {"macd": macd[-1], "signal": signal[-1], "histogram": histogram[-1]},
        "bbands(20,2)": {"upper": upper[-1], "middle": middle[-1], "lower": lower[-1]},
        "atr(7)": talib.ATR(high, low, close, 7)[-1],
        "mfi": talib.MFI(high, low, close, volumes(candles), 14)[-1],
    }


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_indicator_gets_its_value_at_its_first_possible_candle(name: str) -> None:
    indicator = parse(name)
    values = series(indicator, walk(2, 400))
    first = next(place for place, value in enumerate(values) if value is not None)
    assert first >= indicator.lookback
    assert first <= indicator.lookback + 2
    assert all(value is not None for value in values[first:])
    assert isinstance(values[-1], dict) == bool(CATALOGUE[name].outputs)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_bound_of_a_parameter_is_one_that_talib_takes(name: str) -> None:
    entry = CATALOGUE[name]
    candles = walk(3, 3_200)
    for place, parameter in enumerate(entry.parameters):
        for value in (parameter.least, parameter.most):
            values = [one.default for one in entry.parameters]
            values[place] = value
            indicator = Indicator(name, tuple(values))
            assert LiveIndicator(indicator, candles).value is not None
            assert same(evaluate({name: indicator}, candles)[name], LiveIndicator(indicator, candles).value)


@settings(max_examples=100)
@given(st.sampled_from(list(CATALOGUE)), series_of_candles(), st.integers(0, 200))
def test_live_values_are_those_of_the_whole_series(name: str, candles: list[Candle], known: int) -> None:
    indicator = parse(name)
    expected = series(indicator, candles)
    live = LiveIndicator(indicator, candles[:known])
    if 0 < known <= len(candles):
        assert same(live.value, expected[known - 1])
    for one, value in zip(candles[known:], expected[known:], strict=False):
        assert same(live.closed(one), value)
    assert same(live.value, expected[-1])
    assert same(evaluate({name: indicator}, candles)[name], expected[-1])


@settings(max_examples=100)
@given(st.sampled_from(list(CATALOGUE)), series_of_candles(most=120), st.integers(0, 2**32))
def test_a_forming_candle_gives_what_it_would_give_if_closed_and_changes_nothing(
    name: str, candles: list[Candle], seed: int
) -> None:
    indicator = parse(name)
    live = LiveIndicator(indicator, candles)
    before = live.value
    for forming in walk(seed, 3, start_ms=candles[-1].start_ms + MINUTE_MS, step_ms=0):
        assert same(live.forming(forming), series(indicator, [*candles, forming])[-1])
    assert live.value == before
    final = replace(candles[-1], start_ms=candles[-1].start_ms + MINUTE_MS)
    assert same(live.closed(final), series(indicator, [*candles, final])[-1])


OF_THE_CLOSE = [name for name, entry in CATALOGUE.items() if entry.inputs == ("close",)]


@settings(max_examples=100)
@given(st.sampled_from(OF_THE_CLOSE), st.sampled_from(SOURCES), series_of_candles(), st.integers(0, 200))
def test_live_values_are_those_of_the_whole_series_over_any_figure(
    name: str, source: str, candles: list[Candle], known: int
) -> None:
    indicator = parse(f"{name}({source})")
    expected = series(indicator, candles)
    live = LiveIndicator(indicator, candles[:known])
    for one, value in zip(candles[known:], expected[known:], strict=False):
        assert same(live.forming(one), value)
        assert same(live.closed(one), value)
    assert same(live.value, expected[-1])
    assert same(evaluate({"it": indicator}, candles)["it"], expected[-1])


def test_another_figure_stands_in_for_the_close() -> None:
    candles = walk(6, 60)
    assert evaluate(parse_all("sma(volume,20),ema(high,9),sma(close,5)"), candles) == {
        "sma(volume,20)": talib.SMA(volumes(candles), 20)[-1],
        "ema(high,9)": talib.EMA(column(candles, "high"), 9)[-1],
        "sma(close,5)": talib.SMA(column(candles, "close"), 5)[-1],
    }


def test_an_indicator_of_volumes_that_nobody_knows_has_no_value() -> None:
    indicator, candles = parse("sma(volume,5)"), without_volume(walk(7, 30))
    assert series(indicator, candles) == [None] * 30
    assert LiveIndicator(indicator, candles).value is None


def test_no_candles_have_no_values() -> None:
    assert evaluate(parse_all("rsi,vwap,macd"), []) == {"rsi": None, "vwap": None, "macd": None}
    assert series(parse("rsi"), []) == []
    assert IndicatorSet(parse_all("rsi,vwap")).values == {"rsi": None, "vwap": None}


@pytest.mark.parametrize("text", ["sma(5)", "macd", "vwap", "sma(volume,5)", "supertrend", "obv"])
@pytest.mark.parametrize("with_volume", [True, False])
def test_lines_are_the_series_of_the_last_candles(text: str, with_volume: bool) -> None:
    candles = walk(9, 80) if with_volume else without_volume(walk(9, 80))
    indicator = parse(text)
    for count in (80, 10, 1):
        found = lines({"it": indicator}, candles, count)["it"]
        expected = series(indicator, candles)[-count:]
        if isinstance(found, dict):
            assert list(found) == list(indicator.entry.outputs)
            several = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
            assert [None if None in one.values() else one for one in several] == expected
        else:
            assert found == expected


def test_lines_over_no_candles_are_empty() -> None:
    none: list[float | None] = []
    assert lines(parse_all("rsi,macd"), [], 0) == {
        "rsi": none,
        "macd": {"macd": none, "signal": none, "histogram": none},
    }


def test_a_short_history_has_no_value_until_it_is_long_enough() -> None:
    candles = walk(4, 16)
    live = LiveIndicator(parse("rsi(14)"), candles[:13])
    assert live.value is None
    assert live.closed(candles[13]) is None
    assert live.forming(candles[14]) is not None
    assert live.closed(candles[14]) == talib.RSI(column(candles, "close")[:15], 14)[-1]


def test_vwap_begins_anew_each_day() -> None:
    evening, morning = NINE_FIFTEEN_MS, NINE_FIFTEEN_MS + DAY_MS
    candles = [
        Candle(evening, 0, 110 * PRICE_SCALE, 90 * PRICE_SCALE, 100 * PRICE_SCALE, 10),
        Candle(evening + MINUTE_MS, 0, 210 * PRICE_SCALE, 190 * PRICE_SCALE, 200 * PRICE_SCALE, 30),
        Candle(morning, 0, 51 * PRICE_SCALE, 49 * PRICE_SCALE, 50 * PRICE_SCALE, 5),
    ]
    assert series(parse("vwap"), candles) == [100.0, 175.0, 50.0]
    live = LiveIndicator(parse("vwap"), candles[:2])
    assert live.forming(candles[2]) == 50.0
    assert live.value == 175.0
    assert live.closed(candles[2]) == 50.0


def test_vwap_of_one_day_is_talibs() -> None:
    candles = walk(5, 300, step_ms=MINUTE_MS)
    expected = talib.VWAP(column(candles, "high"), column(candles, "low"), column(candles, "close"), volumes(candles))
    assert series(parse("vwap"), candles) == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_day_in_which_nothing_was_traded_yet_has_no_vwap() -> None:
    assert series(parse("vwap"), [candle(NINE_FIFTEEN_MS, 100.0, volume=0)]) == [None]


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if "volume" in entry.inputs])
def test_an_index_without_volumes_has_no_indicator_of_volumes(name: str) -> None:
    candles = without_volume(walk(6, 200))
    assert evaluate({"it": parse(name)}, candles) == {"it": None}
    live = LiveIndicator(parse(name), candles)
    assert live.value is None
    assert live.forming(candle(candles[-1].start_ms + MINUTE_MS, 1.0, volume=None)) is None


def test_an_unknown_volume_between_known_ones_counts_as_none() -> None:
    candles = walk(7, 60)
    gap = [*candles[:30], replace(candles[30], volume=None), *candles[31:]]
    zero = [*candles[:30], replace(candles[30], volume=0), *candles[31:]]
    assert series(parse("obv"), gap) == series(parse("obv"), zero)


def test_a_set_counts_each_candle_once() -> None:
    candles = walk(8, 40)
    asked = parse_all("ema(5),obv")
    live = IndicatorSet(asked, candles[:30])
    expected = evaluate(asked, candles[:31])
    assert live.closed(candles[30]) == expected
    assert live.closed(candles[30]) == expected
    assert live.closed(candles[3]) == expected
    assert live.forming(candles[30]) == expected
    assert live.values == expected
    assert live.last_start_ms == candles[30].start_ms
