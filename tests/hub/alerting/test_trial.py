"""An alert tried on stored minutes fires when it would have fired."""

from collections.abc import Mapping, Sequence

import pytest

from feeds.candles.bars import Bar
from hub.alerting.indicators import CatalogueReader
from hub.alerting.minutes import Minutes
from hub.alerting.trial import MAX_FIRED, TICKS_IN_A_ROW, Abandoned, Asked, Tried, lacking, tried
from notifiers.conditions.checking import Instrument, SourceKey, check_text
from notifiers.conditions.options import Frequency, Options
from tests.hub.alerting.stored import FRIDAY, THURSDAY, at, bar, clock, hours, minutes, walk

EVERY = Options(frequency=Frequency.EVERY)
TCS, INFY = ("NSE", "TCS"), ("NSE", "INFY")
EVENING = at(FRIDAY, "20:00")


def asked(
    condition: str,
    bars: Sequence[Bar],
    *,
    before: Bar | None = None,
    options: Options = EVERY,
    others: Mapping[Instrument, Minutes] | None = None,
    history: Mapping[SourceKey, Sequence[Bar]] | None = None,
    now_ms: int = EVENING,
) -> Asked:
    return Asked(
        exchange="NSE",
        symbol="TCS",
        condition=check_text(condition, "NSE", "TCS", CatalogueReader(), options=options),
        options=options,
        minutes={TCS: Minutes(bars, before), **(others or {})},
        history=history or {},
        now_ms=now_ms,
    )


def times(found: Tried) -> list[str]:
    return [clock(one.at_ms)[:8] for one in found.fired]


def test_it_fires_at_the_price_of_the_minute_that_reached_the_level() -> None:
    day = [bar(at(FRIDAY, "09:15"), 98, 99, 97, 98), bar(at(FRIDAY, "09:16"), 98, 102, 97, 99)]
    found = tried(asked("price crosses above 100", day), hours())
    assert [(clock(one.at_ms), one.price, one.number) for one in found.fired] == [("09:16:40.000", 102.0, 1)]
    assert found.total == 1


def test_what_opens_beyond_a_level_has_crossed_it_over_night() -> None:
    before = bar(at(THURSDAY, "15:29"), 98)
    day = minutes(FRIDAY, 103, 104)
    assert times(tried(asked("price crosses above 100", day, before=before), hours())) == ["09:15:00"]
    assert times(tried(asked("price crosses above 100", day), hours())) == []


def test_what_nobody_waits_for_ends_at_the_next_pause() -> None:
    times_asked = 0

    def is_abandoned() -> bool:
        nonlocal times_asked
        times_asked += 1
        return times_asked == 2

    day = minutes(FRIDAY, *[98] * 3 * TICKS_IN_A_ROW)
    with pytest.raises(Abandoned):
        tried(asked("price crosses above 100", day), hours(), is_abandoned)
    assert times_asked == 2


def test_an_alert_that_fires_once_fires_once() -> None:
    day = minutes(FRIDAY, 98, 102, 98, 102)
    assert tried(asked("price crosses above 100", day), hours()).total == 2
    assert tried(asked("price crosses above 100", day, options=Options()), hours()).total == 1


def test_a_cooldown_holds_back_what_is_not_counted() -> None:
    day = minutes(FRIDAY, *[98, 102] * 10)
    options = Options(frequency=Frequency.EVERY, cooldown_ms=600_000)
    assert times(tried(asked("price crosses above 100", day, options=options), hours())) == ["09:16:00", "09:26:00"]


def test_the_figures_of_the_day_are_those_of_its_minutes() -> None:
    days = [*minutes(THURSDAY, 100, 100), *minutes(FRIDAY, 101, 102.5, 103)]
    assert times(tried(asked("change_percent > 2", days), hours())) == ["09:16:00"]
    assert times(tried(asked("volume > 250", days), hours())) == ["09:17:00"]
    assert times(tried(asked("price > 101 and new day high", days), hours())) == ["09:16:00", "09:17:00"]


def test_candles_are_those_of_the_minutes_and_close_on_time() -> None:
    options = Options(frequency=Frequency.ONCE_PER_BAR_CLOSE, timeframe="5m")
    day = minutes(FRIDAY, *range(100, 120))
    found = tried(asked("close on 5m > 108", day, options=options), hours())
    assert times(found)[0] == "09:25:00"
    assert [one.price for one in found.fired][:1] == [109.0]


def test_a_candle_that_still_forms_has_not_closed() -> None:
    options = Options(frequency=Frequency.ONCE_PER_BAR_CLOSE, timeframe="1d")
    day = minutes(FRIDAY, 100, 110)
    now_ms = at(FRIDAY, "09:17:30")
    assert tried(asked("close on 1d > 105", day, options=options, now_ms=now_ms), hours()).total == 0
    assert tried(asked("close on 1d > 105", day, options=options), hours()).total == 1


def test_indicators_count_the_history_before_the_minutes() -> None:
    condition = "close on 5m > sma(3) on 5m"
    key = ("NSE", "TCS", "5m")
    history = {key: [bar(at(THURSDAY, f"15:{minute}"), 500, timeframe="5m") for minute in (10, 15, 20, 25)]}
    day = minutes(FRIDAY, *[100] * 5, *[101] * 5)
    without, within = asked(condition, day), asked(condition, day, history=history)
    assert tried(within, hours()).unsettled == []
    assert tried(without, hours()).unsettled == ["sma(3) on 5m"]
    assert tried(within, hours()).total == 0


def test_another_instruments_prices_come_in_between() -> None:
    others = {INFY: Minutes(minutes(FRIDAY, 50, 150, 50, symbol="INFY"))}
    found = tried(asked("price < NSE:INFY.price", minutes(FRIDAY, 100, 100, 100), others=others), hours())
    assert times(found) == ["09:16:00"]


@pytest.mark.parametrize(("clock", "fires"), [("09:26:00", False), ("09:45:00", True)])
def test_nothing_has_lasted_beyond_what_may_be_stored(clock: str, fires: bool) -> None:
    one = asked("price > 100 for 10m", minutes(FRIDAY, 101), now_ms=at(FRIDAY, clock))
    assert tried(one, hours()).total == fires


def test_the_last_firings_are_told_and_all_are_counted() -> None:
    day = minutes(FRIDAY, *[98, 102] * 187)
    days = [*minutes(THURSDAY, *[98, 102] * 187), *day]
    many = tried(asked("price crosses 100", days), hours())
    assert (many.total, len(many.fired)) == (2 * 374 - 1, MAX_FIRED)
    assert [one.number for one in many.fired[-2:]] == [746, 747]


def test_the_same_minutes_fire_the_same() -> None:
    one = asked("rsi on 5m < 45 or price crosses above 1002", [*walk(THURSDAY, 1), *walk(FRIDAY, 2)])
    first, second = tried(one, hours()), tried(one, hours())
    assert first == second
    assert first.total > 0


def test_nothing_fires_over_no_minutes() -> None:
    assert tried(asked("price > 1", []), hours()) == Tried(fired=[], total=0, unsettled=[])


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("price > 1 and high > 1 and volume > 1 and change_from_open_percent > 1", []),
        ("close on 5m > 1 and volume on 5m > 1", []),
        ("bid > 1 or ask > 1 or bid > 2", ["bid", "ask"]),
        ("spread > 1", ["spread"]),
        ("price crosses vwap", ["average_price"]),
        ("new 52w high", ["new 52w high"]),
        ("open_interest > 1", ["open_interest"]),
        ("open_interest on 5m > 1", ["open_interest on 5m"]),
        ("change_percent > 1 and prev_close > 1", ["change_percent", "close"]),
        ("NSE:INFY.bid > 1", ["NSE:INFY.bid"]),
        ("NSE:WIPRO.bid > 1", []),
    ],
)
def test_what_candles_do_not_hold_is_named_in_the_words_of_conditions(condition: str, found: list[str]) -> None:
    others = {INFY: Minutes(minutes(FRIDAY, 1, symbol="INFY")), ("NSE", "WIPRO"): Minutes([])}
    assert [one.removeprefix("prev_") for one in lacking(asked(condition, minutes(FRIDAY, 1), others=others))] == found


def test_figures_that_some_candles_have_are_not_lacking() -> None:
    held = minutes(FRIDAY, 1, open_interest=5)
    before = bar(at(THURSDAY, "15:29"), 1)
    assert lacking(asked("open_interest > 1 and change_percent > 1", held, before=before)) == []
    assert lacking(asked("volume > 1", minutes(FRIDAY, 1, volume=None))) == ["volume"]
    assert lacking(asked("change > 1", [*minutes(THURSDAY, 1), *minutes(FRIDAY, 1)])) == []
