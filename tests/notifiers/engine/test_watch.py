"""When a rule that is true fires, and when again: frequency, re-arming, caps, expiry."""

import pytest

from notifiers.conditions import tree as t
from notifiers.conditions.options import Frequency, Overnight, Rearm
from tests.notifiers.engine.scenes import (
    DAY_S,
    OPENS_MS,
    PRICE,
    Scene,
    above,
    baseline,
    below,
    fired,
    number,
    over,
    suppressed,
)  # fmt: skip


def test_a_rule_that_is_to_fire_once_ends_with_that() -> None:
    scene = Scene()
    scene.put(above(100), frequency=Frequency.ONCE)
    scene.tick(99)
    (firing,) = scene.tick(101)
    assert (firing.number, firing.ended) == (1, True)
    assert scene.engine.rules == 0
    assert scene.prices(99, 101) == []


def test_an_edge_is_armed_again_at_once() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=1))
    assert scene.prices(100, 101, 102, 103) == [1, 2, 3]


def test_a_level_is_armed_again_once_it_is_false() -> None:
    scene = Scene()
    scene.put(over(100))
    assert scene.prices(101, 102, 103, 100, 101) == [0, 4]


def test_a_level_may_fire_with_every_sample_where_its_owner_says_so() -> None:
    scene = Scene()
    scene.put(over(100), rearm=Rearm.IMMEDIATELY)
    assert scene.prices(101, 102, 102, 99, 102) == [0, 1, 2, 4]


def test_an_edge_that_has_to_recover_does_so_at_the_next_sample_without_it() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=1), rearm=Rearm.RECOVER)
    assert scene.prices(100, 101, 102, 102, 103) == [1, 4]


def test_a_crossing_either_way_recovers_at_the_next_sample_although_no_level_is_near() -> None:
    scene = Scene()
    scene.put(t.Cross(left=PRICE, right=number(100)), rearm=Rearm.RECOVER)
    assert scene.prices(99, 101, 99, 98, 101, 102, 99) == [1, 4, 6]


@pytest.mark.parametrize(
    ("tree", "prices", "fires"),
    [
        (over(100), (101, 99, 101, 98, 101), [0, 4]),
        (t.Compare(left=PRICE, op="<", right=number(100)), (99, 101, 99, 102, 99), [0, 4]),
        (above(100), (99, 101, 99, 101, 98, 101), [1, 5]),
        (below(100), (101, 99, 101, 99, 102, 99), [1, 5]),
        (t.Cross(left=PRICE, right=number(100)), (99, 101, 99, 101, 102, 99), [1, 5]),
    ],
)
def test_a_band_is_how_far_back_the_value_has_to_be(tree: t.Condition, prices: list[int], fires: list[int]) -> None:
    scene = Scene()
    scene.put(tree, rearm=Rearm.RECOVER, band=2)
    assert scene.prices(*prices) == fires


def test_a_band_may_be_a_percentage_of_the_level() -> None:
    scene = Scene()
    scene.put(over(200), band=1, band_percent=True)
    assert scene.prices(201, 199, 201, 198, 201) == [0, 4]


def test_a_band_holds_for_an_expression_too() -> None:
    scene = Scene()
    twice = t.Arithmetic(op="*", left=PRICE, right=number(2))
    scene.put(over(200, twice), band=4)
    assert scene.prices(101, 99, 101, 98, 101) == [0, 4]


def test_a_rule_may_be_armed_again_after_a_time_although_it_has_not_recovered() -> None:
    scene = Scene()
    scene.put(over(100), rearm_after_ms=5000)
    told = [len(scene.tick(101, at_s)) for at_s in (0, 4, 5, 6, 9, 10)]
    assert told == [1, 0, 1, 0, 0, 1]


def test_nothing_fires_again_by_the_clock_alone() -> None:
    """Else an alert with a re-arming time would go off all night."""
    scene = Scene()
    scene.put(over(100), rearm_after_ms=5000)
    scene.tick(101, 0)
    assert scene.advance(3600) == []
    assert len(scene.tick(101, 3601)) == 1


def test_a_rule_may_be_armed_again_by_the_first_sample_of_the_next_day() -> None:
    scene = Scene()
    scene.put(over(100), rearm=Rearm.SESSION)
    assert scene.prices(101, 99, 101) == [0]
    assert len(scene.tick(101, DAY_S)) == 1
    assert scene.tick(101, DAY_S + 1) == []


def test_a_rule_that_its_owner_re_arms_leaves_until_then() -> None:
    scene = Scene()
    scene.put(above(100), rearm=Rearm.MANUAL)
    scene.tick(99)
    assert [one.ended for one in scene.tick(101)] == [False]
    assert scene.engine.rules == 0
    scene.put(above(100), version=2, rearm=Rearm.MANUAL)
    assert scene.prices(99, 101) == [1]


def test_a_rule_ends_after_so_many_firings() -> None:
    scene = Scene()
    scene.put(above(100), max_total=2)
    told = [scene.tick(price) for price in (99, 101, 99, 101, 99, 101)]
    assert [(one.number, one.ended) for some in told for one in some] == [(1, False), (2, True)]


# -- suppressed -----------------------------------------------------------------------------------------------------


def test_a_cooldown_suppresses_and_says_so_once() -> None:
    scene = Scene()
    scene.put(above(100), cooldown_ms=10_000)
    told = [scene.tick(price, at_s) for at_s, price in enumerate((99, 101, 99, 101, 99, 101))]
    assert [suppressed(one) for one in told] == [[], [], [], ["cooldown"], [], []]
    assert [one.number for one in told[3]] == [1]
    scene.tick(99, 10)
    assert len(fired(scene.tick(101, 11))) == 1
    scene.tick(99, 12)
    assert [(one.suppressed, one.number) for one in scene.tick(101, 13)] == [("cooldown", 2)]


def test_a_level_that_is_still_true_when_the_cooldown_is_over_fires_then() -> None:
    scene = Scene()
    scene.put(over(100), rearm=Rearm.IMMEDIATELY, cooldown_ms=10_000)
    told = [scene.tick(101, at_s) for at_s in (0, 1, 2, 9.9, 10)]
    assert [[one.suppressed for one in some] for some in told] == [[None], ["cooldown"], [], [], [None]]


def test_once_per_minute_is_by_the_minute_of_the_clock() -> None:
    scene = Scene()
    scene.put(over(100), frequency=Frequency.ONCE_PER_MINUTE)
    told = [scene.tick(101, at_s) for at_s in (50, 59, 60, 61, 119.9, 120)]
    assert [[one.suppressed for one in some] for some in told] == [
        [None],
        ["frequency"],
        [None],
        ["frequency"],
        [],
        [None],
    ]


@pytest.mark.parametrize(
    ("timeframe", "second_s", "fires"),
    [
        ("5m", 299, False),
        ("5m", 300, True),
        ("1h", 3599, False),
        ("1h", 3600, True),
        ("1d", 3600, False),
        ("1d", DAY_S, True),
    ],
)
def test_bars_are_counted_from_the_opening(timeframe: str, second_s: float, fires: bool) -> None:
    scene = Scene()
    scene.put(over(100), frequency=Frequency.ONCE_PER_BAR, timeframe=timeframe)
    assert len(scene.tick(101, 0)) == 1
    assert bool(fired(scene.tick(101, second_s))) == fires


def test_a_day_has_its_cap() -> None:
    scene = Scene()
    scene.put(above(100), max_per_day=2)
    told = [scene.tick(price) for price in (99, 101, 99, 101, 99, 101, 99, 101)]
    assert [len(fired(one)) for one in told] == [0, 1, 0, 1, 0, 0, 0, 0]
    assert [suppressed(one) for one in told][5] == ["max_per_day"]
    scene.tick(99, DAY_S)
    assert len(fired(scene.tick(101, DAY_S + 1))) == 1


def test_what_is_suppressed_stays_armed() -> None:
    scene = Scene()
    scene.put(over(100), cooldown_ms=5000)
    told = [bool(fired(scene.tick(price, at_s))) for at_s, price in ((0, 101), (1, 99), (2, 101), (5, 101))]
    assert told == [True, False, False, True]


def test_the_sixteenth_firing_within_three_minutes_is_told_in_a_digest() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=1))
    scene.tick(100, 0)
    told = [scene.tick(101 + place, 1 + place) for place in range(17)]
    assert [one.storm for some in told for one in some] == [False] * 15 + [True] * 2
    assert [one.storm for one in scene.tick(200, 400)] == [False]


# -- how it begins --------------------------------------------------------------------------------------------------


def test_a_level_that_is_true_from_the_start_fires_at_once() -> None:
    scene = Scene()
    scene.put(over(100))
    assert scene.prices(101) == [0]


def test_a_level_may_wait_until_it_has_been_false() -> None:
    scene = Scene()
    scene.put(over(100), initially="wait")
    assert scene.prices(101, 102, 99, 101) == [3]


def test_the_baseline_may_be_the_sample_at_which_a_level_was_false() -> None:
    scene = Scene()
    scene.put(over(100), initially="wait", baseline=baseline(99))
    assert scene.prices(101) == [0]


def test_waiting_goes_on_in_another_engine() -> None:
    scene = Scene()
    scene.put(over(100), initially="wait")
    scene.tick(101)
    scene.move()
    assert scene.prices(102, 99, 101) == [2]


def test_waiting_for_the_end_of_a_wick_goes_on_in_another_engine() -> None:
    scene = Scene()
    scene.put(over(105), initially="wait", baseline=baseline(106, high=106))
    assert scene.tick(99, high=107) == []
    scene.move()
    assert scene.prices(99, 106, high=107) == [1]


def test_what_opens_beyond_a_level_has_crossed_it_unless_the_day_begins_anew() -> None:
    scene = Scene()
    scene.put(above(100), 1)
    scene.put(above(100), 2, overnight=Overnight.REBASE)
    scene.tick(99)
    (firing,) = scene.tick(105, DAY_S)
    assert (firing.rule, firing.gap, firing.previous) == (1, True, 99.0)


# -- how it ends ----------------------------------------------------------------------------------------------------


def test_an_expired_rule_does_not_fire() -> None:
    scene = Scene()
    scene.put(above(100), expires_at_ms=OPENS_MS + 2000)
    scene.tick(99, 1)
    assert scene.tick(101, 2) == []
    assert scene.engine.rules == 0


def test_time_alone_removes_expired_rules() -> None:
    scene = Scene()
    scene.put(above(100), 1, expires_at_ms=OPENS_MS + 10_000)
    scene.put(above(100), 2, expires_at_ms=OPENS_MS + 20_000)
    scene.put(above(100), 3, expires_at_ms=OPENS_MS + 200_000)
    assert [(scene.advance(at_s), scene.engine.rules)[1] for at_s in (9, 10, 20, 30, 200)] == [3, 2, 1, 1, 0]


def test_a_rule_may_get_another_end() -> None:
    scene = Scene()
    scene.put(above(100), 1, expires_at_ms=OPENS_MS + 10_000)
    scene.engine.extend(1, OPENS_MS + 100_000)
    scene.advance(50)
    assert scene.engine.rules == 1
    scene.engine.extend(1, None)
    scene.advance(500)
    assert scene.engine.rules == 1
    scene.engine.extend(7, None)


def test_closed_candles_alone_count_once_per_bar_close() -> None:
    scene = Scene()
    scene.put(above(100), frequency=Frequency.ONCE_PER_BAR_CLOSE, baseline=baseline(99))
    scene.tick(99)
    scene.tick(105)
    told = [
        scene.bar(close, start_s, closed=closed)
        for start_s, close, closed in ((0, 99, True), (60, 101, False), (60, 99, True), (120, 101, True))
    ]
    assert [len(one) for one in told] == [0, 0, 0, 1]
    (firing,) = told[3]
    assert (firing.via, firing.source, firing.previous, firing.inputs) == (
        "bar",
        "1m:NSE:A",
        99.0,
        {"price on 1m": 101.0},
    )
