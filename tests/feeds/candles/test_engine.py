"""Ticks become the right candles: what counts as a trade, when bars close, and what is known of gaps."""

from typing import Any

import pytest

from feeds.candles.bars import Bar
from feeds.candles.engine import FORGOTTEN_MS, CandleEngine
from schemas.market import Auction, MarketState, scaled
from tests.feeds.market_day import (
    DAY_MS,
    MINUTE_MS,
    at,
    clock_of,
    figures,
    hours,
    minutes,
    nse,
    opened,
    tick,
    told,
)

PRE_OPEN, CONTINUOUS = MarketState.PRE_OPEN, MarketState.CONTINUOUS
AUCTION, POST_CLOSE = MarketState.CLOSING_AUCTION, MarketState.POST_CLOSE
CLOSED, HALTED = MarketState.CLOSED, MarketState.HALTED


# -- what counts as a trade -------------------------------------------------------------------------------------------


def test_trades_make_the_bar_and_its_volume_is_what_the_days_volume_grew() -> None:
    engine = opened(nse())
    for second, price, volume in ((1, 100, 50), (2, 103, 80), (3, 99, 80 + 7), (59, 101, 100)):
        engine.take(tick(f"09:15:{second:02}", price, volume, open_interest=second))
    [bar] = told(engine.advance(at("09:16:02")), "1m")
    assert bar == Bar(
        exchange="NSE",
        symbol="RELIANCE",
        timeframe="1m",
        start_ms=at("09:15"),
        end_ms=at("09:16"),
        open=scaled(100),
        high=scaled(103),
        low=scaled(99),
        close=scaled(101),
        volume=100,
        open_interest=59,
        day_volume=100,
        gap=False,
        closed=True,
    )


def test_a_tick_without_more_volume_is_a_quote() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 50))
    engine.take(tick("09:15:02", 999, 50))
    engine.take(tick("09:16:01", 999, 50))
    assert minutes(engine.advance(at("09:20"))) == {"09:15": (100, 100, 100, 100, 50)}


def test_every_tick_of_an_index_counts_but_only_while_the_market_trades() -> None:
    engine = nse()
    for clock, price, state in (
        ("09:05", 90, PRE_OPEN),
        ("09:15:01", 100, CONTINUOUS),
        ("09:15:02", 100, CONTINUOUS),
        ("09:15:03", 98, None),
        ("09:16:03", 50, HALTED),
        ("15:31:00", 60, AUCTION),
        ("15:45:00", 60, POST_CLOSE),
        ("17:00:00", 60, CLOSED),
    ):
        engine.take(tick(clock, price, None, state))
    assert minutes(engine.advance(at("18:00"))) == {"09:15": (100, 100, 98, 98, None)}


def test_indicative_prices_of_the_opening_auction_make_no_candle_and_its_match_opens_the_first_one() -> None:
    engine = opened(nse())
    for second in range(10, 50):
        engine.take(tick(f"09:04:{second}", 80 + second, 0, PRE_OPEN, auction=Auction(price=scaled(80 + second))))
    assert engine.forming(at("09:05"), [("NSE", "RELIANCE", "1d"), ("NSE", "RELIANCE", "1m")]) == []
    engine.take(tick("09:10:30", 100, 5_000, PRE_OPEN))
    assert engine.forming(at("09:11"), [("NSE", "RELIANCE", "1m")]) == []  # its minute has not begun
    assert engine.advance(at("09:14")) == []
    engine.take(tick("09:15:01", 101, 5_010))
    assert minutes(engine.advance(at("09:16:02"))) == {"09:15": (100, 101, 100, 101, 5_010)}


def test_of_the_closing_auction_only_the_match_is_a_trade_and_post_close_belongs_to_the_day() -> None:
    engine = opened(CandleEngine(**hours("09:15", "15:35")))
    engine.take(tick("15:14:59", 100, 1_000))
    for minute in range(15, 35):
        engine.take(tick(f"15:{minute}:01", 200, 1_000, AUCTION, auction=Auction(price=scaled(200))))
    engine.take(tick("15:34:40", 102, 3_000, AUCTION))
    engine.take(tick("15:55:00", 102, 3_500, POST_CLOSE))
    bars = engine.advance(at("17:00"))
    assert minutes(bars) == {"15:14": (100, 100, 100, 100, 1_000), "15:34": (102, 102, 102, 102, 2_000)}
    assert [figures(bar) for bar in told(bars, "1d")] == [(100, 102, 100, 102, 3_500)]


def test_a_trade_told_just_after_the_close_belongs_to_the_last_minute_and_a_later_one_to_the_day() -> None:
    engine = opened(nse())
    engine.take(tick("15:29:00", 100, 1_000))
    engine.take(tick("15:30:01", 101, 1_100, CLOSED))
    engine.take(tick("15:32:00", 105, 1_200, CLOSED))
    bars = engine.advance(at("17:00"))
    assert minutes(bars) == {"15:29": (100, 101, 100, 101, 1_100)}
    assert [figures(bar) for bar in told(bars, "1d")] == [(100, 105, 100, 105, 1_200)]


def test_the_time_of_the_trade_places_it_where_it_is_known() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:30", 100, 10))
    engine.take(tick("09:16:00.500", 101, 20, last_trade_ms=at("09:15:59")))
    engine.take(tick("09:16:01", 102, 30, last_trade_ms=at("09:16:00")))
    assert minutes(engine.advance(at("09:18"))) == {
        "09:15": (100, 101, 100, 101, 20),
        "09:16": (102, 102, 102, 102, 10),
    }


# -- volumes that do not simply grow ----------------------------------------------------------------------------------


def test_one_lower_volume_is_taken_for_a_slip() -> None:
    engine = opened(nse())
    for second, volume in ((1, 1_000), (2, 0), (3, 1_010), (4, 0), (5, 1_010), (6, 20), (7, 1_030)):
        engine.take(tick(f"09:15:{second:02}", 100, volume))
    assert minutes(engine.advance(at("09:17")))["09:15"][-1] == 1_030


def test_a_corrected_volume_counts_on_from_the_correction() -> None:
    engine = opened(nse())
    for second, price, volume in ((1, 100, 1_000), (2, 100, 900), (3, 101, 910), (4, 102, 930)):
        engine.take(tick(f"09:15:{second:02}", price, volume))
    assert minutes(engine.advance(at("09:17"))) == {"09:15": (100, 102, 100, 102, 1_030)}


def test_a_slip_that_was_long_ago_confirms_nothing() -> None:
    engine = opened(nse())
    for second, volume in ((1, 1_000), (2, 0), (3, 1_000), (4, 1_000), (5, 900), (6, 910)):
        engine.take(tick(f"09:15:{second:02}", 100, volume))
    assert minutes(engine.advance(at("09:17")))["09:15"][-1] == 1_010


def test_yesterdays_volume_before_the_open_is_no_trade_of_today() -> None:
    engine = nse()
    engine.take(tick("08:50", 100, 9_000_000, CLOSED))
    engine.take(tick("09:01", 100, 9_000_000, PRE_OPEN))
    engine.take(tick("09:15:01", 101, 40))
    bars = engine.advance(at("09:17"))
    assert minutes(bars) == {"09:15": (101, 101, 101, 101, 40)}
    assert not told(bars, "1m")[0].gap


def test_a_new_day_begins_from_nothing_and_closes_the_day_before() -> None:
    engine = opened(nse())
    engine.take(tick("15:29:59", 100, 5_000))
    engine.take(tick(at("09:05") + DAY_MS, 100, 5_100, PRE_OPEN))  # yesterday's last figure, not heard yesterday
    engine.take(tick(at("09:15:01") + DAY_MS, 110, 300))
    engine.take(tick(at("09:15:02") + DAY_MS, 111, 320))
    bars = engine.advance(at("09:17") + DAY_MS)
    assert [figures(bar) for bar in told(bars, "1m")] == [(100, 100, 100, 100, 5_000), (110, 111, 110, 111, 320)]
    assert [(figures(bar), bar.start_ms) for bar in told(bars, "1d")] == [((100, 100, 100, 100, 5_000), at("09:15"))]


def test_a_tick_of_an_earlier_day_is_left_out() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 10))
    engine.take(tick(at("15:00") - DAY_MS, 500, 999))
    assert engine.late == 1
    assert minutes(engine.advance(at("09:17"))) == {"09:15": (100, 100, 100, 100, 10)}


def test_on_a_day_without_a_session_only_a_trade_that_nobody_foresaw_counts() -> None:
    engine = CandleEngine(opens_ms=lambda *_: None, closes_ms=lambda *_: None)
    engine.take(tick("10:00", 100, 500, CLOSED, last_quantity=500))
    engine.take(tick("10:01", 100, 600, CLOSED))
    assert engine.forming(at("10:02"), [("NSE", "RELIANCE", "1d")]) == []
    engine.take(tick("18:00:01", 100, 500, CONTINUOUS))
    engine.take(tick("18:00:02", 101, 510, CONTINUOUS))
    bars = engine.advance(at("19:01"))
    assert minutes(bars) == {"18:00": (101, 101, 101, 101, 10)}
    assert [clock_of(bar.start_ms) for bar in told(bars, "1h")] == ["18:00"]


# -- when bars close --------------------------------------------------------------------------------------------------


def test_bars_count_from_the_open_and_the_last_one_ends_with_the_session() -> None:
    engine = opened(nse())
    for minute in range(375):
        engine.take(tick(at("09:15") + minute * MINUTE_MS, 100 + minute, minute + 1))
    bars = engine.advance(at("15:30:02"))
    assert [(clock_of(bar.start_ms), clock_of(bar.end_ms), bar.volume) for bar in told(bars, "1h")] == [
        ("09:15", "10:15", 60),
        ("10:15", "11:15", 60),
        ("11:15", "12:15", 60),
        ("12:15", "13:15", 60),
        ("13:15", "14:15", 60),
        ("14:15", "15:15", 60),
        ("15:15", "15:30", 15),
    ]
    assert {timeframe: len(told(bars, timeframe)) for timeframe in ("1m", "3m", "5m", "15m", "30m", "1d")} == {
        "1m": 375,
        "3m": 125,
        "5m": 75,
        "15m": 25,
        "30m": 13,
        "1d": 0,
    }
    [day] = told(engine.advance(at("16:15")), "1d")
    assert (clock_of(day.start_ms), clock_of(day.end_ms), day.volume) == ("09:15", "15:30", 375)
    assert engine.advance(at("23:00")) == []


@pytest.mark.parametrize(
    ("opens", "closes", "whole_day", "starts"),
    [
        ("09:00", "23:30", False, ["09:00", "09:00", "10:00"]),
        ("09:15", "15:30", False, ["09:15", "09:15", "09:15"]),
        ("00:00", "00:00", True, ["09:00", "09:00", "10:00"]),
    ],
)
def test_every_market_has_its_own_first_hour(opens: str, closes: str, whole_day: bool, starts: list[str]) -> None:
    engine = CandleEngine(**hours(opens, closes, whole_day=whole_day))
    found = []
    for volume, clock in enumerate(("09:20", "09:59", "10:10"), 1):
        engine.take(tick(clock, 100, volume * 10, last_quantity=10))
        [bar] = engine.forming(at(clock), [("NSE", "RELIANCE", "1h")])
        found.append(clock_of(bar.start_ms))
    assert found == starts


def test_a_market_that_never_closes_changes_its_day_at_midnight() -> None:
    engine = CandleEngine(**hours("00:00", "00:00", whole_day=True))
    engine.take(tick("23:59:59.900", 100, 10, last_quantity=10))
    engine.take(tick(at("00:00:00.100") + DAY_MS, 101, 5))
    bars = engine.advance(at("00:00:01") + DAY_MS)
    assert [(bar.timeframe, figures(bar)) for bar in bars if bar.timeframe in ("1m", "1d")] == [
        ("1m", (100, 100, 100, 100, 10)),
        ("1d", (100, 100, 100, 100, 10)),
    ]
    assert minutes(engine.advance(at("00:01:02") + DAY_MS)) == {"00:00": (101, 101, 101, 101, 5)}


def test_a_bar_closes_by_the_clock_once_its_grace_is_over_and_only_once() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:10", 100, 10))
    assert engine.advance(at("09:16:01.999")) == []
    assert [bar.timeframe for bar in engine.advance(at("09:16:02"))] == ["1m"]
    assert [bar.timeframe for bar in engine.advance(at("09:18:02"))] == ["3m"]
    assert engine.advance(at("09:18:30")) == []
    assert engine.advance(at("09:15:00")) == []  # a clock that is set back
    assert [bar.timeframe for bar in engine.advance(at("12:00"))] == ["5m", "15m", "30m", "1h"]


def test_closing_many_may_be_done_in_parts() -> None:
    symbols = [f"S{place}" for place in range(10)]
    engine = opened(nse(), *symbols)
    for symbol in symbols:
        engine.take(tick("09:15:10", 100, 10, symbol=symbol))
    parts = []
    while (part := engine.advance(at("09:16:02"), at_most=4)) or engine.closing:
        parts.append([bar.symbol for bar in part])
        engine.take(tick("09:16:05", 101, 20, symbol=symbols[len(parts)]))
    assert parts == [symbols[:4], symbols[4:8], symbols[8:]]
    later = [bar.symbol for bar in told(engine.advance(at("09:17:02")), "1m")]
    assert later == symbols[1:4]


def test_a_minute_without_a_trade_has_no_bar() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:10", 100, 10))
    engine.take(tick("09:19:10", 101, 20))
    assert list(minutes(engine.advance(at("09:30")))) == ["09:15", "09:19"]


def test_a_late_tick_reaches_its_bar_within_the_grace_and_is_counted_after() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:50", 100, 10))
    engine.take(tick("09:16:00.100", 105, 30))
    engine.take(tick("09:16:01", 90, 40, last_trade_ms=at("09:15:59")))
    assert engine.late == 0
    closed = engine.advance(at("09:16:02"))
    engine.take(tick("09:16:03", 1, 50, last_trade_ms=at("09:15:59")))
    assert engine.late == 1
    closed += engine.advance(at("09:17:02"))
    assert minutes(closed) == {"09:15": (100, 100, 90, 90, 20), "09:16": (105, 105, 105, 105, 20)}


def test_a_tick_is_late_by_its_own_instruments_ticks_too() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:50", 100, 10))
    engine.take(tick("09:16:03", 105, 30))
    engine.take(tick("09:16:04", 1, 40, last_trade_ms=at("09:15:59")))
    assert engine.late == 1
    assert minutes(engine.advance(at("09:16:30"))) == {"09:15": (100, 100, 100, 100, 10)}


def test_a_late_first_trade_of_a_minute_still_makes_its_bar() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:10", 100, 10))
    engine.take(tick("09:17:00.100", 102, 20))
    engine.take(tick("09:17:01", 101, 30, last_trade_ms=at("09:16:59")))
    assert list(minutes(engine.advance(at("09:20")))) == ["09:15", "09:16", "09:17"]


def test_an_older_tick_of_an_index_widens_its_bar_and_does_not_close_it() -> None:
    engine = nse()
    for clock, price in (("09:15:10", 100), ("09:15:30", 101), ("09:15:20", 90), ("09:16:00.500", 103)):
        engine.take(tick(clock, price))
    engine.take(tick("09:15:25", 110))
    engine.take(tick("09:15:59", 102))
    bars = minutes(engine.advance(at("09:17:02")))
    assert bars == {"09:15": (100, 110, 90, 102, None), "09:16": (103, 103, 103, 103, None)}


def test_an_older_tick_of_an_index_never_is_the_close() -> None:
    engine = nse()
    for clock, price in (("09:15:30", 101), ("09:15:40", 102), ("09:15:20", 90), ("09:16:00.500", 103)):
        engine.take(tick(clock, price))
    engine.take(tick("09:15:35", 92))
    engine.take(tick("09:16:00.200", 99))
    bars = minutes(engine.advance(at("09:17:02")))
    assert bars == {"09:15": (101, 102, 90, 102, None), "09:16": (103, 103, 99, 103, None)}


def test_a_session_that_is_prolonged_has_longer_bars() -> None:
    closes = "15:30"

    def closes_ms(exchange: str, symbol: str, moment_ms: int) -> int:
        return at(closes)

    engine = opened(CandleEngine(opens_ms=hours("09:15", "15:30")["opens_ms"], closes_ms=closes_ms))
    engine.take(tick("15:14", 100, 10))
    closes = "16:00"
    engine.take(tick("15:20", 101, 20))
    engine.take(tick("15:45", 102, 30))
    bars = engine.advance(at("16:00:02"))
    assert [(clock_of(bar.start_ms), clock_of(bar.end_ms)) for bar in told(bars, "1h")][-1] == ("15:15", "16:00")
    [day] = told(engine.advance(at("16:45")), "1d")
    assert (clock_of(day.end_ms), day.volume) == ("16:00", 30)


def test_a_trade_from_the_future_is_left_out() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 10))
    engine.take(tick("09:15:02", 500, 20, last_trade_ms=at("11:00")))
    engine.take(tick("09:15:02", 101, 20))
    assert engine.ahead == 1
    assert minutes(engine.advance(at("09:16:02"))) == {"09:15": (100, 101, 100, 101, 20)}


def test_a_replay_may_leap_over_a_night() -> None:
    engine = opened(nse())
    engine.take(tick("15:29", 100, 10))
    closed = engine.advance(at("15:29"))
    engine.take(tick(at("09:15:01") + DAY_MS, 101, 5))
    closed += engine.advance(at("09:15:01") + DAY_MS)
    assert [figures(bar) for bar in told(closed, "1d")] == [(100, 100, 100, 100, 10)]


def test_an_instrument_that_trades_no_more_is_forgotten() -> None:
    engine = opened(nse(), "EXPIRED", "ALIVE")
    engine.take(tick("15:00", 100, 10, symbol="EXPIRED"))
    engine.advance(at("17:00"))
    engine.advance(at("09:15:01") + 2 * DAY_MS)
    engine.take(tick(at("09:15:01") + 2 * DAY_MS, 100, 10, symbol="ALIVE"))
    engine.advance(at("15:00") + FORGOTTEN_MS + MINUTE_MS)
    assert len(engine) == 1


# -- forming bars -----------------------------------------------------------------------------------------------------


def test_forming_bars_are_told_at_most_once_a_second_and_only_when_they_changed() -> None:
    engine = opened(nse(), "RELIANCE", "TCS")
    wanted = [("NSE", "RELIANCE", "1m"), ("NSE", "NOBODY", "1m")]
    engine.take(tick("09:15:01", 100, 10))
    engine.take(tick("09:15:01", 100, 10, symbol="TCS"))
    [bar] = engine.forming(at("09:15:01"), wanted)
    assert (figures(bar), bar.closed) == ((100, 100, 100, 100, 10), False)
    engine.take(tick("09:15:01.500", 101, 20))
    assert engine.forming(at("09:15:01.900"), wanted) == []
    [bar] = engine.forming(at("09:15:02"), wanted)
    assert figures(bar) == (100, 101, 100, 101, 20)
    assert engine.forming(at("09:15:10"), wanted) == []


def test_a_wider_forming_bar_holds_closed_minutes_and_those_that_form() -> None:
    engine = opened(nse())
    for clock, price, volume in (("09:15:01", 100, 10), ("09:16:01", 105, 20), ("09:17:00.100", 95, 30)):
        engine.take(tick(clock, price, volume))
    keys = [("NSE", "RELIANCE", timeframe) for timeframe in ("1m", "3m", "5m", "1h", "1d")]
    bars = {bar.timeframe: figures(bar) for bar in engine.forming(at("09:17:01"), keys)}
    whole = (100, 105, 95, 95, 30)
    assert bars == {"1m": (95, 95, 95, 95, 10), "3m": whole, "5m": whole, "1h": whole, "1d": whole}
    engine.take(tick("09:18:00.500", 97, 40))  # the minute before is still within its grace
    bars = {bar.timeframe: figures(bar) for bar in engine.forming(at("09:18:01"), keys)}
    assert bars["3m"] == (97, 97, 97, 97, 10)
    assert bars["5m"] == (100, 105, 95, 97, 40)


# -- gaps -------------------------------------------------------------------------------------------------------------


def gaps(bars: list[Bar], timeframe: str) -> dict[str, bool]:
    return {clock_of(bar.start_ms): bar.gap for bar in told(bars, timeframe)}


def test_bars_that_an_outage_touched_are_marked_and_its_volume_is_put_into_no_minute() -> None:
    engine = opened(nse(), "RELIANCE")
    engine.take(tick("09:15:01", 100, 100))
    engine.take(tick("09:17:30", 101, 200))
    engine.interrupted("NSE", at("09:17:40"))
    engine.interrupted("NSE", at("09:17:50"))
    engine.resumed("NSE", at("09:21:20"))
    engine.take(tick("09:21:21", 120, 9_000))
    engine.take(tick("09:21:30", 121, 9_010))
    engine.take(tick("09:22:30", 122, 9_020))
    bars = engine.advance(at("10:20"))
    assert minutes(bars) == {
        "09:15": (100, 100, 100, 100, 100),
        "09:17": (101, 101, 101, 101, 100),
        "09:21": (121, 121, 121, 121, 10),
        "09:22": (122, 122, 122, 122, 10),
    }
    assert gaps(bars, "1m") == {"09:15": False, "09:17": True, "09:21": True, "09:22": False}
    assert gaps(bars, "3m") == {"09:15": True, "09:21": True}
    assert gaps(bars, "1h") == {"09:15": True}


def test_an_outage_within_a_minute_loses_no_volume() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 100))
    engine.interrupted("NSE", at("09:15:10"))
    engine.resumed("NSE", at("09:15:20"))
    engine.take(tick("09:15:21", 101, 300))
    [bar] = told(engine.advance(at("09:17")), "1m")
    assert (figures(bar), bar.gap) == ((100, 101, 100, 101, 300), True)


def test_a_short_outage_over_a_minutes_end_loses_no_volume() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 100))
    engine.interrupted("NSE", at("09:15:58"))
    engine.resumed("NSE", at("09:16:03"))
    engine.take(tick("09:16:04", 101, 300))
    bars = engine.advance(at("09:18"))
    assert [(bar.volume, bar.gap) for bar in told(bars, "1m")] == [(100, True), (200, True)]


def test_an_earlier_outage_does_not_count_twice() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 100))
    engine.interrupted("NSE", at("09:20"))
    engine.resumed("NSE", at("09:25"))
    engine.take(tick("09:25:01", 100, 900))
    engine.take(tick("09:30:05", 100, 910))
    engine.interrupted("NSE", at("09:30:10"))
    engine.resumed("NSE", at("09:30:20"))
    engine.take(tick("09:30:21", 101, 1_000))
    assert minutes(engine.advance(at("09:32")))["09:30"] == (100, 101, 100, 101, 100)


def test_an_auction_after_an_outage_gives_the_day_no_indicative_price() -> None:
    engine = opened(CandleEngine(**hours("09:15", "15:35")))
    engine.take(tick("15:00", 100, 100))
    engine.interrupted("NSE", at("15:01"))
    engine.resumed("NSE", at("15:20"))
    engine.take(tick("15:20:01", 200, 900, AUCTION))
    [day] = told(engine.advance(at("17:00")), "1d")
    assert figures(day) == (100, 100, 100, 100, 100)
    assert day.gap


def test_the_day_is_filled_from_its_own_figures_so_that_an_outage_loses_nothing_there() -> None:
    engine = opened(nse())
    engine.take(tick("09:15:01", 100, 100))
    engine.interrupted("NSE", at("09:20"))
    engine.resumed("NSE", at("11:00"))
    day: dict[str, Any] = {"open": scaled(100), "high": scaled(140), "low": scaled(80)}
    engine.take(tick("11:00:01", 120, 9_000, **day))
    bars = engine.advance(at("17:00"))
    assert [(figures(bar), bar.gap) for bar in told(bars, "1d")] == [((100, 140, 80, 120, 9_000), False)]
    assert max(bar.high for bar in told(bars, "1m")) == scaled(100)  # extremes of the outage are not invented


def test_the_day_is_marked_where_its_figures_are_not_told_or_the_outage_never_ended() -> None:
    engine = opened(nse(), "RELIANCE", "TCS")
    engine.take(tick("09:15:01", 100, 100))
    day: dict[str, Any] = {"open": scaled(100), "high": scaled(100), "low": scaled(100)}
    engine.take(tick("09:15:01", 100, 100, symbol="TCS", **day))
    engine.interrupted("NSE", at("15:00"))
    assert [bar.gap for bar in told(engine.advance(at("17:00")), "1d")] == [True, True]


def test_the_outage_of_one_instrument_marks_only_its_own_bars() -> None:
    engine = opened(nse(), "RELIANCE", "TCS")
    for symbol in ("RELIANCE", "TCS"):
        engine.take(tick("09:15:01", 100, 100, symbol=symbol))
    engine.interrupted("NSE", at("09:15:30"), "TCS")
    engine.resumed("NSE", at("09:15:40"), "TCS")
    marked = {bar.symbol: bar.gap for bar in told(engine.advance(at("09:17")), "1m")}
    assert marked == {"RELIANCE": False, "TCS": True}


def test_what_was_away_over_night_marks_nothing_of_the_day() -> None:
    engine = opened(nse())
    engine.take(tick("15:29", 100, 100))
    engine.interrupted("NSE", at("22:00"))
    engine.resumed("NSE", at("08:45") + DAY_MS)
    engine.take(tick(at("09:15:01") + DAY_MS, 101, 5_000))
    bars = engine.advance(at("10:30") + DAY_MS)
    assert [(bar.volume, bar.gap) for bar in told(bars, "1m")] == [(100, False), (5_000, False)]
    assert not any(bar.gap for bar in bars if bar.timeframe == "1h")


def test_who_is_first_heard_in_mid_session_has_gaps_before_and_no_volume_of_others_time() -> None:
    engine = nse()
    day: dict[str, Any] = {"open": scaled(90), "high": scaled(130), "low": scaled(85)}
    engine.take(tick("11:20:30", 100, 1_000_000, last_quantity=5, **day))
    [bar] = engine.forming(at("11:20:30"), [("NSE", "RELIANCE", "1d")])
    assert (figures(bar), bar.gap) == ((90, 130, 85, 100, 1_000_000), False)
    engine.take(tick("11:20:40", 101, 1_000_010, **day))
    engine.take(tick("11:21:40", 102, 1_000_030, **day))
    bars = engine.advance(at("17:00"))
    assert minutes(bars) == {"11:20": (101, 101, 101, 101, 10), "11:21": (102, 102, 102, 102, 20)}
    assert gaps(bars, "1m") == {"11:20": True, "11:21": False}
    assert gaps(bars, "1h") == {"11:15": True}
    assert gaps(bars, "1d") == {"09:15": False}


def test_figures_from_before_the_open_make_no_day() -> None:
    engine = nse()
    engine.take(tick("08:30", 100, 5_000, None, open=scaled(90), high=scaled(110), low=scaled(80)))
    assert engine.forming(at("09:20"), [("NSE", "RELIANCE", "1d")]) == []
    assert engine.advance(at("17:00")) == []


def test_the_first_trade_of_the_day_is_known_by_its_quantity() -> None:
    engine = nse()
    engine.take(tick("11:20:30", 100, 5, last_quantity=5))
    assert minutes(engine.advance(at("11:22"))) == {"11:20": (100, 100, 100, 100, 5)}


# -- after a restart --------------------------------------------------------------------------------------------------


def test_after_a_restart_the_hour_goes_on_and_what_was_told_is_not_told_again() -> None:
    first = opened(nse())
    for minute in range(70):
        first.take(tick(at("09:15:10") + minute * MINUTE_MS, 100 + minute, 10 * (minute + 1)))
    stored = first.advance(at("10:24:30")) + first.partial()
    second = nse()
    second.restore(stored, at("10:24:40"))
    assert second.advance(at("10:24:40")) == []
    second.take(tick("10:24:50", 90, 705))
    bars = second.advance(at("10:25:30"))
    second.take(tick("10:25:50", 95, 720))
    bars += second.advance(at("11:15:02"))
    assert minutes(bars) == {"10:24": (169, 169, 90, 90, 15), "10:25": (95, 95, 95, 95, 15)}
    assert [figures(bar) for bar in told(bars, "1h")] == [(160, 169, 90, 95, 120)]
    assert gaps(bars, "1m") == {"10:24": True, "10:25": False}
    assert gaps(bars, "1h") == {"10:15": True}
    assert [clock_of(bar.start_ms) for bar in told(bars, "5m")] == ["10:20", "10:25"]
    [day] = told(second.advance(at("16:15")), "1d")
    assert (figures(day), day.gap) == ((100, 169, 90, 95, 720), True)


def test_restoring_some_instruments_at_a_time_is_the_same_as_all_at_once() -> None:
    first = nse()
    symbols = ("RELIANCE", "TCS", "INFY")
    for minute in range(70):
        for place, symbol in enumerate(symbols):
            if minute < 70 - 5 * place:  # the exchange's last bar is that of the first one
                moment_ms = at("09:15:10") + minute * MINUTE_MS
                first.take(tick(moment_ms, 100 + minute + place, 10 * (minute + 1), symbol=symbol))
    stored = first.advance(at("10:24:30")) + first.partial()
    whole, parts = nse(), nse()
    whole.restore(stored, at("10:26:40"))
    for symbol in symbols:
        parts.restore_some([bar for bar in stored if bar.symbol == symbol], at("10:26:40"))
    parts.end_restore(at("10:26:40"))
    found: list[list[Bar]] = []
    for engine in (whole, parts):
        for clock in ("10:26:50", "10:27:50"):
            for symbol in symbols:
                engine.take(tick(clock, 90, 705 if clock == "10:26:50" else 720, symbol=symbol))
        found.append(sorted(engine.advance(at("17:00")), key=lambda bar: (bar.symbol, bar.timeframe, bar.start_ms)))
    assert found[0] == found[1]
    minute_gaps = {clock_of(bar.start_ms): bar.gap for bar in found[1] if (bar.symbol, bar.timeframe) == ("TCS", "1m")}
    assert minute_gaps == {"10:27": False}


def test_after_a_restart_a_late_trade_reopens_nothing() -> None:
    first = opened(nse())
    first.take(tick("09:15:10", 100, 10))
    second = nse()
    second.restore(first.advance(at("09:16:02")), at("09:16:10"))
    second.take(tick("09:16:11", 50, 20, last_trade_ms=at("09:15:59")))
    assert second.late == 1
    assert told(second.advance(at("09:18")), "1m") == []


def test_a_day_that_was_told_is_not_told_again_after_a_restart() -> None:
    first = opened(nse())
    first.take(tick("15:29", 100, 10))
    second = nse()
    second.restore(first.advance(at("17:00")), at("18:00"))
    assert second.forming(at("18:00"), [("NSE", "RELIANCE", "1d")]) == []
    assert second.advance(at("18:00")) == []
    assert second.advance(at("18:00") + DAY_MS) == []


def test_hours_that_ended_while_nobody_ran_are_told_with_a_gap() -> None:
    first = opened(nse())
    first.take(tick("10:10", 100, 10))
    second = nse()
    second.restore(first.advance(at("10:12")), at("10:40"))
    bars = second.advance(at("10:40"))
    assert [(bar.timeframe, clock_of(bar.start_ms), bar.gap) for bar in bars] == [
        ("3m", "10:09", True),
        ("5m", "10:10", True),
        ("15m", "10:00", True),
        ("30m", "09:45", True),
        ("1h", "09:15", True),
    ]


def test_bars_of_yesterday_restore_nothing() -> None:
    first = opened(nse())
    first.take(tick("15:20", 100, 10))
    second = nse()
    second.restore(first.advance(at("17:00")), at("09:00") + DAY_MS)
    assert len(second) == 0
    assert second.advance(at("17:00") + DAY_MS) == []
