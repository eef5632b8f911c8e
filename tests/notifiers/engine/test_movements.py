"""Movements within seconds and within candles, and steps."""

import pytest

from notifiers.conditions import tree as t
from notifiers.conditions.options import Overnight
from notifiers.engine.movements import MOST_ENTRIES, _Lowest
from tests.notifiers.engine.scenes import DAY_S, PRICE, Scene, baseline


def moves(amount: float, within_s: int, **said: object) -> t.Move:
    return t.Move(value=PRICE, amount=amount, within_s=within_s, **said)  # type: ignore[arg-type]


def test_a_movement_happens_when_the_value_has_moved_so_far_within_the_window() -> None:
    scene = Scene()
    scene.put(moves(2, 10, direction="up"))
    told = [scene.tick(price, at_s) for at_s, price in ((0, 100), (5, 101), (9, 102))]
    assert [len(one) for one in told] == [0, 0, 1]
    assert (told[2][0].previous, told[2][0].current, told[2][0].level) == (100.0, 102.0, None)


def test_a_movement_happens_again_only_after_it_was_over() -> None:
    scene = Scene()
    scene.put(moves(2, 10))
    assert [bool(scene.tick(price, at_s)) for at_s, price in ((0, 100), (1, 102), (2, 103), (30, 103), (31, 105))] == [
        False, True, False, False, True,
    ]  # fmt: skip


def test_the_value_that_held_when_the_window_begins_belongs_to_it() -> None:
    scene = Scene()
    scene.put(moves(2, 10))
    scene.tick(100, 0)
    assert len(scene.tick(102, 3600)) == 1


def test_what_fell_out_of_the_window_is_forgotten() -> None:
    scene = Scene()
    scene.put(moves(3, 10))
    scene.tick(100, 0)
    scene.tick(102, 5)
    assert scene.tick(103, 15) == []


@pytest.mark.parametrize(("direction", "fires"), [("up", [1]), ("down", [2]), ("any", [1])])
def test_a_movement_has_a_direction(direction: str, fires: list[int]) -> None:
    scene = Scene()
    scene.put(moves(3, 2, direction=direction))
    assert [at for at, price in enumerate((100, 103, 100, 100)) if scene.tick(price, at * 1.5)] == fires


def test_a_percentage_is_of_the_value_from_which_it_moved() -> None:
    scene = Scene()
    scene.put(moves(10, 60, percent=True, direction="up"), 1)
    scene.put(moves(10, 60, percent=True, direction="down"), 2)
    scene.tick(100)
    assert [one.rule for one in scene.tick(90)] == [2]
    assert scene.tick(98.9) == []
    assert [one.rule for one in scene.tick(99)] == [1]


def test_the_baseline_belongs_to_the_window() -> None:
    scene = Scene()
    scene.put(moves(2, 10), baseline=baseline(100))
    assert len(scene.tick(102)) == 1


def test_a_movement_goes_on_in_another_engine() -> None:
    scene = Scene()
    scene.put(moves(3, 10))
    scene.prices(100, 101, 102)
    scene.move()
    assert len(scene.tick(103)) == 1


def test_a_rebased_movement_begins_anew_each_day() -> None:
    scene = Scene()
    scene.put(moves(2, 10), 1)
    scene.put(moves(2, 10), 2, overnight=Overnight.REBASE)
    scene.tick(100, 0)
    assert [one.rule for one in scene.tick(110, DAY_S)] == [1]
    assert [one.rule for one in scene.tick(112, DAY_S + 1)] == [2]


def test_a_movement_over_candles_counts_the_closed_ones_and_the_one_that_forms() -> None:
    scene = Scene()
    scene.put(t.Move(value=PRICE, amount=3, within_bars=2, timeframe="1m"))
    assert [
        bool(scene.bar(close, start_s, closed=closed))
        for start_s, close, closed in (
            (0, 100, True),
            (60, 101, True),
            (120, 102, False),
            (120, 102, True),
            (180, 103, True),
            (240, 105, False),
        )
    ] == [False, False, False, False, False, True]


def test_a_step_is_counted_from_the_first_value_and_then_from_the_last_whole_step() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=5))
    assert scene.prices(101, 105, 106, 110, 111, 121.5, 117, 116) == [2, 4, 5, 7]


def test_a_step_tells_from_where_and_to_where() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=5))
    scene.tick(100)
    (firing,) = scene.tick(112)
    assert (firing.previous, firing.current, firing.level) == (100.0, 112.0, 110.0)


def test_a_step_in_percent_is_of_where_it_was_last() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=10, percent=True))
    assert scene.prices(100, 109, 110, 120, 121) == [2, 4]


def test_a_step_goes_on_in_another_engine() -> None:
    scene = Scene()
    scene.put(t.Step(value=PRICE, amount=5))
    scene.prices(100, 105, 109)
    scene.move()
    assert scene.prices(109.5, 110) == [1]


def test_a_window_over_a_growing_value_keeps_no_more_than_a_bound() -> None:
    scene = Scene()
    scene.put(t.Move(value=t.Field(name="volume"), amount=1e9, within_s=3600))
    for place in range(20_000):
        scene.tick(100, place / 4, volume=place)
    assert len(scene.engine.kept().rules[1]) < 16 * MOST_ENTRIES


@pytest.mark.parametrize("step_ms", [1, 7, 150, 234, 235, 1000])
def test_a_coarse_window_counts_no_value_for_much_longer_than_it_is(step_ms: int) -> None:
    window_ms, lowest = 60_000, _Lowest()
    slice_ms = -(-window_ms // 256)
    for place in range(min(200_000 // step_ms, 5000) + 1000):
        now_ms = place * step_ms
        found = lowest.add(place, now_ms, window_ms)
        oldest = max(0, (now_ms - window_ms) // step_ms)
        assert oldest - slice_ms / step_ms - 1 <= found <= oldest
        assert len(lowest.entries) <= MOST_ENTRIES


def test_a_window_of_few_values_is_exact() -> None:
    lowest = _Lowest()
    found = [lowest.add(place, place * 120, 60_000) for place in range(3000)]
    assert found == [max(0, place - 500) for place in range(3000)]


def test_a_coarse_window_keeps_its_lowest_value() -> None:
    lowest = _Lowest()
    for place in range(2000):
        lowest.add(place if place != 900 else -5, place, 60_000)
    assert lowest.add(5000, 60_899, 60_000) == -5
    assert lowest.add(5000, 61_200, 60_000) > -5
