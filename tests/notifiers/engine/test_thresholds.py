"""Conditions on one figure and constants: levels, crossings, channels, extremes, and the way between two samples."""

import pytest

from notifiers.conditions import tree as t
from tests.notifiers.engine.scenes import (
    DAY_S,
    OPENS_MS,
    PRICE,
    Scene,
    above,
    baseline,
    below,
    channel,
    fired,
    number,
    over,
    under,
)  # fmt: skip


@pytest.mark.parametrize(
    ("prices", "fires"),
    [
        ((99, 101), [1]),
        ((99, 100), [1]),
        ((99, 100, 101), [1]),
        ((99, 100, 99, 100), [1, 3]),
        ((100, 101), []),
        ((101, 100, 101), []),
        ((101, 99, 101), [2]),
        ((101,), []),
        ((99, 99, 99), []),
    ],
)
def test_crossing_above_happens_from_below_to_the_level_or_beyond(prices: tuple[int, ...], fires: list[int]) -> None:
    scene = Scene()
    scene.put(above(100))
    assert scene.prices(*prices) == fires


@pytest.mark.parametrize(
    ("prices", "fires"), [((101, 99), [1]), ((101, 100, 99), [1]), ((100, 99), []), ((99, 100, 99), []), ((99,), [])]
)
def test_crossing_below_happens_from_above_to_the_level_or_beyond(prices: tuple[int, ...], fires: list[int]) -> None:
    scene = Scene()
    scene.put(below(100))
    assert scene.prices(*prices) == fires


def test_crossing_either_way_is_one_firing_a_crossing_also_where_the_price_stops_at_the_level() -> None:
    scene = Scene()
    scene.put(t.Cross(left=PRICE, right=number(100)))
    assert scene.prices(99, 100, 101, 102, 100, 99, 98, 103) == [1, 4, 7]


def test_a_crossing_tells_what_was_before_and_that_it_jumped_over_the_level() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99, 1)
    (firing,) = scene.tick(103, 2)
    assert (firing.previous, firing.current, firing.level, firing.gap) == (99.0, 103.0, 100.0, True)
    assert (firing.previous_ms, firing.at_ms) == (OPENS_MS + 1000, OPENS_MS + 2000)
    assert (firing.source, firing.sample, firing.price, firing.via) == ("NSE:A", 2, 103.0, "tick")
    assert firing.inputs == {"price": 103.0}


def test_a_crossing_with_a_sample_at_the_level_is_no_gap() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99)
    assert [one.gap for one in scene.tick(100)] == [False]


@pytest.mark.parametrize(
    ("op", "true"), [(">", [101]), (">=", [100, 101]), ("<", [99]), ("<=", [99, 100]), ("==", [100])]
)
def test_a_level_is_true_as_long_as_its_comparison_is(op: str, true: list[int]) -> None:
    for price in (99, 100, 101):
        scene = Scene()
        scene.put(t.Compare(left=PRICE, op=op, right=number(100)))  # type: ignore[arg-type]
        assert bool(scene.tick(price)) == (price in true)


def test_a_constant_may_stand_at_the_left() -> None:
    scene = Scene()
    scene.put(t.Compare(left=number(100), op="<", right=PRICE))
    assert scene.prices(99, 101, 102) == [1]


@pytest.mark.parametrize(("prices", "fires"), [((99, 100), [1]), ((99, 105), [1]), ((105, 99), [1]), ((101, 102), [])])
def test_entering_a_channel_counts_what_jumps_through(prices: tuple[int, ...], fires: list[int]) -> None:
    scene = Scene()
    scene.put(channel("enters", 100, 102))
    assert scene.prices(*prices) == fires


def test_entering_a_channel_is_a_gap_only_where_it_was_jumped_through() -> None:
    scene = Scene()
    scene.put(channel("enters", 100, 102))
    scene.tick(99)
    (inside,) = scene.tick(101)
    scene.tick(99)
    (through,) = scene.tick(103)
    assert (inside.gap, inside.level, through.gap, through.level) == (False, 100.0, True, 100.0)


def test_leaving_a_channel_needs_to_have_been_inside() -> None:
    scene = Scene()
    scene.put(channel("exits", 100, 102))
    assert scene.prices(99, 98, 101, 102, 103, 104, 100, 99) == [4, 7]


def test_inside_and_outside_are_levels() -> None:
    scene = Scene()
    scene.put(channel("inside", 100, 102), 1)
    scene.put(channel("outside", 100, 102), 2)
    told = [[one.rule for one in scene.tick(price)] for price in (99, 100, 102, 103)]
    assert told == [[2], [1], [], [2]]


# -- wicks ----------------------------------------------------------------------------------------------------------


def test_a_new_high_of_the_day_means_that_the_price_has_been_there() -> None:
    scene = Scene()
    scene.put(above(105))
    scene.tick(99, high=100)
    (firing,) = scene.tick(99, high=106)
    assert (firing.via, firing.previous, firing.current, firing.level, firing.gap) == (
        "session_extreme",
        99.0,
        106.0,
        105.0,
        True,
    )


def test_one_wick_fires_once_and_not_again_all_day_long() -> None:
    """A latch that is set from the last price rather than from what fired goes off at each cooldown's end."""
    scene = Scene()
    scene.put(over(105), cooldown_ms=1000)
    scene.tick(99, high=100)
    told = [scene.tick(99, 10 + place * 60, high=106) for place in range(5)]
    assert [len(one) for one in told] == [1, 0, 0, 0, 0]


def test_a_level_is_that_of_the_last_price_after_a_wick() -> None:
    scene = Scene()
    scene.put(over(105))
    scene.tick(99, high=100)
    assert [one.via for one in scene.tick(99, high=106)] == ["session_extreme"]
    assert scene.tick(99, high=106) == []
    assert [one.via for one in scene.tick(106, high=106)] == ["tick"]


def test_a_high_that_was_told_before_is_no_news() -> None:
    scene = Scene()
    scene.put(above(105))
    assert scene.prices(99, 100, 99, high=106) == []


def test_a_new_low_and_back_crosses_both_ways() -> None:
    scene = Scene()
    scene.put(below(95), 1)
    scene.put(above(95), 2)
    scene.tick(99, low=98)
    assert [(one.rule, one.via) for one in scene.tick(99, low=90)] == [(1, "session_extreme"), (2, "session_extreme")]


def test_the_first_sample_has_no_way_only_a_value() -> None:
    scene = Scene()
    scene.put(above(105), 1)
    scene.put(over(105), 2)
    assert scene.tick(99, high=110) == []


def test_on_a_new_day_the_high_so_far_counts() -> None:
    scene = Scene()
    scene.put(above(105))
    scene.tick(99, high=110)
    (firing,) = scene.tick(100, DAY_S, high=106)
    assert (firing.via, firing.current) == ("session_extreme", 106.0)


def test_a_wick_during_an_outage_is_found_afterwards() -> None:
    scene = Scene()
    scene.put(above(105))
    scene.tick(99, high=100)
    scene.move()
    assert [one.via for one in scene.tick(98, high=105)] == ["session_extreme"]
    scene.move()
    assert scene.tick(98, high=105) == []


# -- extremes -------------------------------------------------------------------------------------------------------


def test_a_new_high_of_the_day_needs_one_before_on_that_day() -> None:
    scene = Scene()
    scene.put(t.Extreme(which="high"))
    assert scene.prices(100, 100, 101, 100, 101, 102) == [2, 5]
    assert scene.tick(200, DAY_S) == []
    assert len(scene.tick(201, DAY_S + 1)) == 1


def test_a_new_extreme_may_be_told_by_the_tick_alone() -> None:
    scene = Scene()
    scene.put(t.Extreme(which="low"))
    scene.tick(100, low=99)
    (firing,) = scene.tick(100, low=98)
    assert (firing.via, firing.previous, firing.current) == ("session_extreme", 99.0, 98.0)


def test_a_new_high_of_the_year_is_above_the_one_that_the_tick_before_told() -> None:
    scene = Scene()
    scene.put(t.Extreme(which="high", of="year"))
    scene.tick(100, year_high=105)
    assert scene.tick(105, year_high=105) == []
    assert [one.level for one in scene.tick(106, year_high=106)] == [105.0]
    assert scene.tick(106, year_high=106) == []


# -- the baseline ---------------------------------------------------------------------------------------------------


def test_the_price_when_an_alert_was_made_counts_as_the_sample_before_the_first() -> None:
    scene = Scene()
    scene.put(above(100), baseline=baseline(99))
    (firing,) = scene.tick(101)
    assert (firing.previous, firing.previous_ms) == (99.0, OPENS_MS - 1000)


def test_a_baseline_of_an_earlier_day_than_the_alert_does_not_count() -> None:
    scene = Scene()
    scene.put(above(100), baseline=baseline(99, -DAY_S))
    assert scene.prices(101, 99, 101) == [2]


def test_a_wick_since_the_alert_was_made_counts_from_its_first_sample() -> None:
    scene = Scene()
    scene.put(above(105), baseline=baseline(99, high=100))
    assert [one.via for one in scene.tick(99, high=106)] == ["session_extreme"]


def test_a_high_is_no_news_where_the_baseline_tells_none() -> None:
    scene = Scene()
    scene.put(above(105), baseline=baseline(99))
    assert scene.tick(99, high=106) == []


def test_samples_before_the_baseline_are_none_of_the_alert() -> None:
    scene = Scene()
    scene.put(above(100), baseline=baseline(101, counted=2))
    assert scene.prices(99, 101, 99, 101) == [3]


def test_what_came_before_a_rule_was_put_is_not_its_sample_before() -> None:
    scene = Scene()
    scene.put(under(0), 9)
    scene.tick(99)
    scene.put(above(100))
    assert scene.prices(101, 99, 101) == [2]


# -- what is missing ------------------------------------------------------------------------------------------------


def test_a_figure_that_a_sample_leaves_out_moves_nothing() -> None:
    scene = Scene()
    scene.put(above(100, t.Field(name="bid")))
    told = [scene.tick(1, **figures) for figures in ({"bid": 99}, {}, {}, {"bid": 101})]
    assert [len(one) for one in told] == [0, 0, 0, 1]
    assert told[3][0].previous_ms == OPENS_MS + 1000


def test_a_missing_figure_recovers_nothing() -> None:
    scene = Scene()
    scene.put(over(100, t.Field(name="bid")))
    told = [scene.tick(1, **figures) for figures in ({"bid": 101}, {}, {"bid": 101}, {"bid": 99}, {"bid": 101})]
    assert [len(one) for one in told] == [1, 0, 0, 0, 1]


def test_not_of_what_is_missing_is_not_true() -> None:
    scene = Scene()
    scene.put(t.Not(term=over(100, t.Field(name="bid"))))
    assert scene.tick(1) == []
    assert len(scene.tick(1, bid=100)) == 1


@pytest.mark.parametrize(
    ("name", "figures", "value"),
    [
        ("change", {"close": 90}, 10.0),
        ("change_percent", {"close": 80}, 25.0),
        ("change_from_open_percent", {"open": 50}, 100.0),
        ("spread", {"bid": 99, "ask": 101}, 2.0),
        ("upper_circuit_distance_percent", {"upper_circuit": 110}, 10.0),
        ("lower_circuit_distance_percent", {"lower_circuit": 95}, 5.0),
        ("prev_close", {"close": 90}, 90.0),
        ("volume", {"volume": 12}, 12.0),
        ("oi", {"open_interest": 7}, 7.0),
    ],
)
def test_figures_that_a_tick_tells_or_that_follow(name: str, figures: dict[str, int], value: float) -> None:
    scene = Scene()
    scene.put(t.Compare(left=t.Field(name=name), op=">=", right=number(value)))
    (firing,) = scene.tick(100, **figures)
    assert (firing.current, firing.level) == (value, value)
    assert list(firing.inputs.values()) == [value]


# -- many -----------------------------------------------------------------------------------------------------------


def test_only_the_rules_whose_levels_a_price_passes_are_looked_at() -> None:
    scene = Scene()
    for rule_id in range(1, 1001):
        scene.put(above(100 + rule_id), rule_id)
    scene.tick(100)
    before = scene.engine.counters.evaluated
    scene.prices(*[100.5] * 50)
    assert scene.engine.counters.evaluated == before
    assert [one.rule for one in fired(scene.tick(103))] == [1, 2, 3]
    assert scene.engine.counters.evaluated == before + 3
