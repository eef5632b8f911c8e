"""The market-wide breaker, level by level and minute by minute."""

import logging
from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.market_hours.halts import REST_OF_DAY, MarketHalts, halt_minutes, level_of
from feeds.market_hours.hours import SessionClass
from feeds.market_hours.sessions import Sessions
from schemas.market import IST, MarketState, Tick

CLOSE = 240_000_000_000  # 24,000 points


def at_ms(clock: str, day: str = "2026-11-23") -> int:
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=IST).timestamp() * 1000)


def tick(percent: float, clock: str, symbol: str = "NIFTY 50", exchange: str = "NSE", day: str = "2026-11-23") -> Tick:
    price = CLOSE + round(CLOSE * percent / 100)
    return Tick(exchange=exchange, symbol=symbol, price=price, time_ms=at_ms(clock, day), close=CLOSE)


@pytest.mark.parametrize(
    ("level", "clock", "minutes"),
    [
        (10, "09:15:00", 45),
        (10, "12:59:59", 45),
        (10, "13:00:00", 15),
        (10, "14:29:59", 15),
        (10, "14:30:00", 0),
        (10, "15:14:59", 0),
        (15, "09:15:00", 105),
        (15, "12:59:59", 105),
        (15, "13:00:00", 45),
        (15, "13:59:59", 45),
        (15, "14:00:00", REST_OF_DAY),
        (15, "15:14:59", REST_OF_DAY),
        (20, "09:15:00", REST_OF_DAY),
        (20, "15:14:59", REST_OF_DAY),
    ],
)
def test_the_rule_by_level_and_time(level: int, clock: str, minutes: int) -> None:
    assert halt_minutes(level, time.fromisoformat(clock)) == minutes


@given(close=st.integers(1, 10**13), price=st.integers(-(10**13), 10**14))
def test_a_level_is_reached_exactly(close: int, price: int) -> None:
    moved = abs(price - close)
    expected = 20 if moved * 5 >= close else 15 if moved * 20 >= close * 3 else 10 if moved * 10 >= close else 0
    assert level_of(price, close) == expected


def test_a_close_that_is_none_reaches_nothing() -> None:
    assert level_of(100, 0) == 0


@pytest.mark.parametrize("percent", [-10.0, 10.0])
def test_a_second_tick_confirms_the_first(percent: float, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tickhub.feeds.market_hours.halts")
    sessions = Sessions()
    halts = MarketHalts(sessions)
    assert halts.offer(tick(percent * 0.999, "10:04:59")) is None
    assert halts.offer(tick(percent, "10:05:00")) is None
    assert halts.offer(tick(percent, "10:05:00")) is None  # the same again confirms nothing
    halt = halts.offer(tick(percent, "10:05:01"))
    assert halt is not None
    assert (halt.since_ms, halt.until_ms, halt.reopens_ms) == (at_ms("10:05:00"), at_ms("10:50:00"), at_ms("11:05:00"))
    assert [(one.message, one.__dict__["level_percent"]) for one in caplog.records] == [("sessions.market_halt", 10)]
    sessions.halt(halt)
    for one in SessionClass:
        stands = one not in {SessionClass.CURRENCY, SessionClass.COMMODITY}
        assert (sessions.state(one, at_ms("10:30:00"), "NSE") is MarketState.HALTED) is stands
    assert sessions.state(SessionClass.CASH, at_ms("11:00:00"), "BSE") is MarketState.PRE_OPEN
    assert sessions.state(SessionClass.CASH, at_ms("11:05:00"), "BSE") is MarketState.CONTINUOUS


def test_the_other_index_confirms_too() -> None:
    halts = MarketHalts(Sessions())
    assert halts.offer(tick(-10.1, "10:05:00")) is None
    assert halts.offer(tick(-10.1, "10:05:00", "SENSEX", "BSE")) is not None


def test_a_single_wild_tick_halts_nothing() -> None:
    halts = MarketHalts(Sessions())
    for clock in ("10:00", "10:01", "10:02"):
        assert halts.offer(tick(-90, f"{clock}:00")) is None
        assert halts.offer(tick(-1, f"{clock}:01")) is None
        assert halts.offer(tick(-11, f"{clock}:02")) is None
        assert halts.offer(tick(-9, f"{clock}:03")) is None


def test_a_wild_tick_does_not_raise_the_level() -> None:
    halts = MarketHalts(Sessions())
    assert halts.offer(tick(-90, "10:00:00")) is None
    assert halts.offer(tick(-11, "10:00:01")) is None
    halt = halts.offer(tick(-11, "10:00:02"))
    assert halt is not None
    assert halt.until_ms == at_ms("10:45:01")


def test_each_level_halts_once_a_day() -> None:
    sessions = Sessions()
    halts = MarketHalts(sessions)
    found = []
    for percent, clock in [
        (-10, "10:00"),
        (-10.5, "11:30"),
        (9, "11:40"),
        (12, "11:41"),
        (-15, "13:05"),
        (-20, "14:00"),
    ]:
        for second in ("00", "01"):
            halt = halts.offer(tick(percent, f"{clock}:{second}"))
            if halt is not None:
                found.append((halt.since_ms, halt.until_ms))
                sessions.halt(halt)
    assert found == [
        (at_ms("10:00:00"), at_ms("10:45:00")),
        (at_ms("13:05:00"), at_ms("13:50:00")),
    ]  # at 14:00 the market is in the pre-open that follows
    for second in ("00", "01"):
        halt = halts.offer(tick(-20, f"14:10:{second}"))
    assert halt is not None
    assert (halt.until_ms, halt.reopens_ms) == (at_ms("00:00:00", "2026-11-24"), None)
    sessions.halt(halt)
    assert sessions.state(SessionClass.CASH, at_ms("15:29:59")) is MarketState.HALTED
    next_day = [halts.offer(tick(-10, f"10:00:0{second}", day="2026-11-25")) for second in range(2)]
    assert next_day[1] is not None


def test_a_level_after_which_nothing_halts_is_dealt_with() -> None:
    halts = MarketHalts(Sessions())
    assert [halts.offer(tick(-10, f"14:45:0{second}")) for second in range(5)] == [None] * 5


@pytest.mark.parametrize(
    "one",
    [
        tick(-12, "10:00:00", "RELIANCE"),
        tick(-12, "10:00:00", "NIFTY BANK"),
        tick(-12, "09:05:00"),
        tick(-12, "15:20:00"),
        tick(-12, "10:00:00", day="2026-11-24"),
        Tick(exchange="NSE", symbol="NIFTY 50", price=CLOSE // 2, time_ms=at_ms("10:00:00")),
    ],
)
def test_only_the_two_indices_count_and_only_in_continuous_trading(one: Tick) -> None:
    halts = MarketHalts(Sessions())
    assert halts.offer(one) is None
    later = Tick(exchange=one.exchange, symbol=one.symbol, price=one.price, time_ms=one.time_ms + 1000, close=one.close)
    assert halts.offer(later) is None
