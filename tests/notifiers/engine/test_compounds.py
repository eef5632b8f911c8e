"""Conditions put together: and, or, not, for, then."""

from notifiers.conditions import tree as t
from schemas.market import MarketState
from tests.notifiers.engine.scenes import OPENS_MS, PRICE, Scene, above, baseline, below, over, under

VOLUME = t.Field(name="volume")


def test_and_is_true_where_all_of_its_levels_are() -> None:
    scene = Scene()
    scene.put(t.And(terms=(over(100), over(5, VOLUME))))
    told = [
        bool(scene.tick(price, volume=volume)) for price, volume in ((101, 5), (101, 6), (101, 6), (99, 6), (101, 6))
    ]
    assert told == [False, True, False, False, True]


def test_an_edge_in_and_happens_only_while_the_level_holds() -> None:
    scene = Scene()
    scene.put(t.And(terms=(above(100), over(5, VOLUME))))
    told = [
        bool(scene.tick(price, volume=volume)) for price, volume in ((99, 6), (101, 5), (101, 6), (99, 6), (101, 6))
    ]
    assert told == [False, False, False, False, True]


def test_two_edges_in_and_happen_at_the_same_sample() -> None:
    scene = Scene()
    scene.put(t.And(terms=(above(100), above(102))))
    assert scene.prices(99, 101, 103, 99, 103) == [4]


def test_or_is_true_where_one_of_its_terms_is() -> None:
    scene = Scene()
    scene.put(t.Or(terms=(over(105), under(95))))
    assert scene.prices(100, 106, 94, 100, 94) == [1, 4]


def test_a_level_among_edges_in_or_happens_when_it_becomes_true() -> None:
    scene = Scene()
    scene.put(t.Or(terms=(below(95), over(105))))
    assert scene.prices(106, 107, 104, 106, 106, 94) == [3, 5]


def test_not_is_true_where_its_level_is_false() -> None:
    scene = Scene()
    scene.put(t.Not(term=over(100)))
    assert scene.prices(101, 100, 99, 101, 100) == [1, 4]


# -- for ------------------------------------------------------------------------------------------------------------


def test_a_level_has_to_hold_for_so_long_without_a_false_sample() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), seconds=10))
    told = [bool(scene.tick(price, at_s)) for at_s, price in ((0, 101), (9, 101), (9.5, 100), (10, 101), (19.9, 102))]
    assert told == [False] * 5
    assert [one.via for one in scene.tick(102, 20)] == ["clock"]


def test_time_alone_fires_what_has_held_for_so_long() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), seconds=10))
    scene.tick(101, 3)
    assert scene.advance(12.9) == []
    (firing,) = scene.advance(60)
    assert (firing.via, firing.at_ms, firing.sample) == ("clock", OPENS_MS + 13_000, 1)
    assert (firing.previous, firing.current, firing.level) == (None, 101.0, 100.0)
    assert scene.advance(120) == []


def test_what_fell_due_before_a_sample_is_worked_off_before_it() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), seconds=10))
    scene.tick(101, 0)
    (firing,) = scene.tick(99, 11)
    assert (firing.at_ms, firing.via, firing.current) == (OPENS_MS + 10_000, "clock", 101.0)


def test_a_wick_holds_for_no_time() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(105), seconds=10))
    scene.tick(99, 0, high=100)
    assert scene.tick(99, 1, high=106) == []
    assert scene.advance(100) == []


def test_a_late_sample_does_not_undo_what_has_held_for_long_enough() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), seconds=10))
    scene.tick(101, 0)
    assert len(scene.advance(10)) == 1
    scene.move()
    assert scene.tick(101, 8) == []
    assert scene.advance(20) == []


def test_the_baseline_begins_a_hold_but_only_a_sample_tells_that_it_lasts() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), seconds=10), baseline=baseline(101, 0))
    assert scene.advance(20) == []
    assert [one.at_ms for one in scene.tick(101, 21)] == [OPENS_MS + 21_000]


def test_a_hold_goes_on_in_another_engine_and_is_over_once() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), seconds=10))
    scene.tick(101, 0)
    scene.move()
    assert [one.at_ms for one in scene.advance(10)] == [OPENS_MS + 10_000]
    scene.move()
    assert scene.advance(30) == []
    assert scene.tick(101, 31) == []


def test_a_level_may_have_to_hold_over_so_many_samples_in_a_row() -> None:
    scene = Scene()
    scene.put(t.Hold(term=over(100), samples=3))
    assert scene.prices(101, 101, 99, 101, 101, 101, 101) == [5]


# -- then -----------------------------------------------------------------------------------------------------------


def _then(first: t.Condition, second: t.Condition, within_s: int = 10) -> t.Then:
    return t.Then(first=first, second=second, within_s=within_s)


def test_then_happens_when_the_second_does_soon_enough_after_the_first() -> None:
    scene = Scene()
    scene.put(_then(above(100), below(95)))
    told = [bool(scene.tick(price, at_s)) for at_s, price in ((0, 99), (1, 101), (11, 94), (12, 101), (23, 94))]
    assert told == [False, False, True, False, False]


def test_the_second_has_to_come_at_a_later_sample() -> None:
    scene = Scene()
    scene.put(_then(above(100), over(100)))
    assert scene.prices(99, 101, 101, 101) == [2]


def test_a_first_that_happens_again_begins_anew() -> None:
    scene = Scene()
    scene.put(_then(above(100), below(90)))
    for at_s, price in ((0, 99), (1, 101), (8, 99), (9, 101)):
        scene.tick(price, at_s)
    assert len(scene.tick(89, 19)) == 1


def test_a_first_that_is_a_level_counts_when_it_becomes_true() -> None:
    scene = Scene()
    scene.put(_then(over(100), under(95)))
    assert scene.prices(101, 94, 101, 94) == [3]


def test_then_starts_anew_after_it_happened() -> None:
    scene = Scene()
    scene.put(_then(above(100), below(95)))
    assert scene.prices(99, 101, 94, 96, 94, 101, 94) == [2, 6]


def test_then_goes_on_in_another_engine() -> None:
    scene = Scene()
    scene.put(_then(above(100), below(95)))
    scene.prices(99, 101)
    scene.move()
    assert scene.prices(94) == [0]


# -- other instruments and candles ----------------------------------------------------------------------------------

_SPREAD = t.Arithmetic(op="-", left=PRICE, right=t.Field(name="price", exchange="NSE", symbol="B"))


def test_a_spread_is_looked_at_with_the_samples_of_either_instrument() -> None:
    scene = Scene()
    scene.put(over(5, _SPREAD))
    assert scene.tick(100) == []
    assert scene.tick(98, symbol="B", counted=1) == []
    (firing,) = scene.tick(94, symbol="B", counted=2)
    assert (firing.source, firing.current, firing.level, firing.price) == ("NSE:B", 6.0, 5.0, 100.0)
    assert firing.inputs == {"price": 100.0, "NSE:B.price": 94.0}


def test_a_spread_crosses_between_two_samples_of_the_rule() -> None:
    scene = Scene()
    scene.put(above(5, _SPREAD))
    scene.tick(100)
    scene.tick(98, symbol="B", counted=1)
    (firing,) = scene.tick(103)
    assert (firing.previous, firing.current, firing.gap) == (2.0, 5.0, False)


def test_what_another_instrument_leaves_out_is_missing_in_another_engine_too() -> None:
    scene = Scene()
    scene.put(over(5, t.Arithmetic(op="-", left=PRICE, right=t.Field(name="bid", exchange="NSE", symbol="B"))))
    scene.tick(90)
    scene.tick(1, symbol="B", counted=1, bid=90)
    scene.tick(1, symbol="B", counted=2)
    scene.move()
    assert scene.tick(100) == []
    assert len(scene.tick(1, symbol="B", counted=3, bid=90)) == 1


def test_a_division_by_zero_is_missing() -> None:
    scene = Scene()
    scene.put(over(1, t.Arithmetic(op="/", left=VOLUME, right=t.Field(name="open_interest"))))
    assert scene.tick(100, volume=5, open_interest=0) == []
    assert len(scene.tick(100, volume=5, open_interest=1)) == 1


def test_prices_times_a_number_are_prices() -> None:
    scene = Scene()
    twice = t.Arithmetic(op="*", left=t.Number(value=2), right=t.Field(name="open"))
    scene.put(t.Compare(left=PRICE, op=">=", right=twice))
    assert scene.tick(99, open=50) == []
    (firing,) = scene.tick(100, open=50)
    assert (firing.current, firing.level) == (100.0, 100.0)


def test_an_indicator_of_candles_beside_a_price() -> None:
    scene = Scene()
    average = t.Indicator(text="sma(20)", timeframe="1m", gives="price")
    scene.put(t.Cross(left=PRICE, right=average, direction="above"))
    scene.bar(100, 0, closed=False, indicators={"sma(20)": 100.5})
    assert scene.tick(100) == []
    (firing,) = scene.tick(100.5)
    assert firing.inputs == {"price": 100.5, "sma(20) on 1m": 100.5}


def test_a_line_of_an_indicator_is_compared_with_a_constant() -> None:
    scene = Scene()
    signal = t.Indicator(text="macd(12,26,9)", line="signal", timeframe="1m")
    scene.put(above(0, signal))
    scene.bar(100, 0, closed=False, indicators={"macd(12,26,9)": {"macd": 1.0, "signal": -0.5}})
    scene.bar(100, 0, closed=False, indicators={"macd(12,26,9)": None})
    scene.bar(100, 0, closed=False)
    (firing,) = scene.bar(100, 0, closed=True, indicators={"macd(12,26,9)": {"macd": 1.0, "signal": 0.5}})
    assert (firing.via, firing.source, firing.previous, firing.current) == ("bar", "1m:NSE:A", -0.5, 0.5)


def test_a_crossing_and_a_level_of_candles_are_woken_by_either() -> None:
    scene = Scene()
    strength = t.Indicator(text="rsi(14)", timeframe="1m")
    scene.put(t.And(terms=(above(100), under(30, strength))))
    scene.tick(99)
    scene.bar(99, 0, closed=False, at_s=1, indicators={"rsi(14)": 50.0})
    assert scene.tick(101) == []
    scene.bar(99, 0, closed=False, at_s=3, indicators={"rsi(14)": 20.0})
    assert scene.prices(99, 101) == [1]


def test_what_other_sessions_bring_does_not_exist() -> None:
    scene = Scene()
    scene.put(above(100), sessions=(MarketState.CONTINUOUS,))
    scene.tick(99, state=MarketState.CONTINUOUS)
    assert scene.tick(101, state=MarketState.PRE_OPEN) == []
    assert scene.tick(99, state=MarketState.CONTINUOUS) == []
    assert len(scene.tick(101, state=None)) == 1
