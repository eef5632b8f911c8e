"""Bars as they grow, outages, and bars as publications."""

from typing import Any

import orjson

from feeds.candles.bars import Away, Bar, Forming, candle_payload
from schemas.market import CandlePayload, scaled
from schemas.publications import schema_of
from tests.feeds.market_day import at


def whole(**fields: Any) -> Bar:
    return Bar(
        exchange="NSE",
        symbol="NIFTY 50",
        timeframe="5m",
        start_ms=at("09:15"),
        end_ms=at("09:20"),
        open=scaled(100),
        high=scaled(102.05),
        low=scaled(99.5),
        close=scaled(101),
        **fields,
    )


def test_a_candle_is_published_as_its_namespace_would_write_it() -> None:
    payload = candle_payload(
        whole(volume=10, open_interest=7, gap=True, closed=False), {"rsi": 51.5, "macd": {"macd": 1.0}, "sma": None}
    )
    assert orjson.loads(payload) == {
        "open": 100.0,
        "high": 102.05,
        "low": 99.5,
        "close": 101.0,
        "start": "2026-11-23T09:15:00.000+05:30",
        "volume": 10,
        "open_interest": 7,
        "closed": False,
        "gap": True,
        "indicators": {"rsi": 51.5, "macd": {"macd": 1.0}, "sma": None},
    }
    assert schema_of(CandlePayload)(payload) == payload


def test_what_a_candle_does_not_have_is_left_out() -> None:
    assert set(orjson.loads(candle_payload(whole()))) == {"open", "high", "low", "close", "start", "closed"}


def test_a_bar_goes_on_as_it_was() -> None:
    forming = Forming.of(whole(volume=10, open_interest=7, day_volume=99, gap=True))
    copied = forming.copy(1, 2)
    for one in (forming, copied):
        assert (one.open, one.high, one.low, one.close) == (scaled(100), scaled(102.05), scaled(99.5), scaled(101))
        assert (one.volume, one.open_interest, one.day_volume, one.gap) == (10, 7, 99, True)
    assert (copied.start_ms, copied.end_ms) == (1, 2)


def test_folding_keeps_the_first_open_the_last_close_and_the_last_known_interest() -> None:
    forming, later = Forming(0, 10, 5), Forming(5, 10, 9)
    forming.open_interest, forming.volume, later.volume, later.gap = 3, 1, 2, True
    later.stretch(2)
    later.close = 4
    forming.fold(later)
    assert (forming.open, forming.high, forming.low, forming.close, forming.volume) == (5, 9, 2, 4, 3)
    assert (forming.open_interest, forming.gap) == (3, True)


def test_an_outage_is_known_by_its_span_and_length() -> None:
    away = Away()
    away.begin("NSE", "", 100)
    away.begin("NSE", "", 150)
    assert away.during("NSE", "TCS", 5_000, 6_000)
    away.end("NSE", "", 200)
    away.end("NSE", "", 300)
    spans = {(0, 100): False, (0, 101): True, (120, 130): True, (199, 500): True, (200, 500): False}
    assert {span: away.during("NSE", "TCS", *span) for span in spans} == spans
    assert not away.during("BSE", "TCS", 0, 1_000)
    assert away.during("NSE", "TCS", 0, 1_000, at_least_ms=100)
    assert not away.during("NSE", "TCS", 0, 1_000, at_least_ms=101)


def test_the_outage_of_an_instrument_is_its_own() -> None:
    away = Away()
    away.begin("NSE", "TCS", 100)
    away.end("NSE", "TCS", 200)
    assert away.during("NSE", "TCS", 0, 1_000)
    assert not away.during("NSE", "RELIANCE", 0, 1_000)


def test_only_the_last_outages_are_remembered() -> None:
    away = Away()
    for place in range(Away.KEPT + 5):
        away.begin("NSE", "", 10 * place)
        away.end("NSE", "", 10 * place + 5)
    assert not away.during("NSE", "", 0, 45)
    assert away.during("NSE", "", 50, 55)
