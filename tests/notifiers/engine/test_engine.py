"""What the engine takes, what it hears, and what it says to keep."""

import msgspec
import pytest

from notifiers.conditions import tree as t
from notifiers.engine.compiling import Unsuitable
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Source
from tests.notifiers.engine.scenes import OPENS_MS, PRICE, Scene, above, over, under

A, B = Source("NSE", "A"), Source("NSE", "B")


# -- samples --------------------------------------------------------------------------------------------------------


def test_a_sample_whose_number_is_not_above_the_last_one_is_no_news() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99, counted=5)
    assert scene.tick(101, counted=5) == []
    assert scene.tick(101, counted=4) == []
    assert len(scene.tick(101, counted=6)) == 1
    assert (scene.engine.counters.old, scene.engine.counters.accepted) == (2, 2)


def test_a_sample_from_before_the_last_one_is_dropped() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99, 10)
    assert scene.tick(101, 9.9) == []
    assert len(scene.tick(101, 10)) == 1
    assert scene.engine.counters.late == 1


@pytest.mark.parametrize(
    ("price", "limits"), [(0, {}), (101, {"upper_circuit": 100.5}), (101, {"lower_circuit": 101.5})]
)
def test_a_price_that_can_not_be_is_dropped(price: float, limits: dict[str, float]) -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99)
    assert scene.tick(price, **limits) == []
    assert scene.engine.counters.odd == 1
    assert [one.previous for one in scene.tick(102)] == [99.0]


def test_limits_of_zero_are_none() -> None:
    scene = Scene()
    scene.put(over(100))
    assert len(scene.tick(101, upper_circuit=0, lower_circuit=0)) == 1


def test_a_candle_without_a_price_is_dropped() -> None:
    scene = Scene()
    scene.put(over(100, t.Field(name="close", timeframe="1m")))
    assert scene.bar(0, 0, closed=True) == []
    assert scene.engine.counters.odd == 1


def test_what_nobody_asked_for_is_passed_over() -> None:
    scene = Scene()
    assert scene.tick(99) == []
    assert scene.bar(99, 0, closed=True) == []
    assert scene.engine.counters.accepted == 0


def test_firings_come_by_rule() -> None:
    scene = Scene()
    for rule_id in (3, 1, 2):
        scene.put(above(100), rule_id)
    scene.tick(99)
    assert [one.rule for one in scene.tick(101)] == [1, 2, 3]


# -- rules ----------------------------------------------------------------------------------------------------------


def test_a_rule_is_replaced_by_a_higher_version_only() -> None:
    scene = Scene()
    scene.put(above(100), version=2)
    scene.put(above(50), version=2)
    scene.put(above(50), version=1)
    assert scene.prices(49, 51, 101) == [2]
    scene.put(above(200), version=3)
    assert scene.engine.rules == 1
    assert scene.prices(99, 101, 199, 201) == [3]


def test_a_rule_that_is_dropped_fires_no_more() -> None:
    scene = Scene()
    scene.put(above(100), 1)
    scene.put(above(100), 2)
    scene.tick(99)
    scene.engine.drop(1)
    scene.engine.drop(7)
    assert 1 not in scene.engine
    assert [one.rule for one in scene.tick(101)] == [2]


def test_many_rules_come_and_go() -> None:
    scene = Scene()
    for rule_id in range(1, 201):
        scene.put(above(100 + rule_id), rule_id)
    scene.tick(100)
    for rule_id in range(1, 201, 2):
        scene.engine.drop(rule_id)
    for rule_id in range(201, 205):
        scene.put(above(100), rule_id)
    scene.tick(99)
    assert [one.rule for one in scene.tick(300)] == [*range(2, 201, 2), *range(201, 205)]


def test_a_tree_that_makes_no_sense_is_unsuitable_and_leaves_nothing_behind() -> None:
    scene = Scene()
    volume = t.Field(name="volume", symbol="B", exchange="NSE")
    for tree in (
        t.Not(term=above(100)),
        t.Hold(term=above(100), seconds=5),
        t.Compare(left=PRICE, op=">", right=volume),
        over(1, t.Field(name="weather")),
        over(1, t.Field(name="bid", timeframe="1m")),
    ):
        with pytest.raises(Unsuitable):
            scene.put(tree)
    assert scene.engine.rules == 0
    assert scene.engine.sources == {}


# -- sources --------------------------------------------------------------------------------------------------------


def test_sources_are_those_that_some_rule_looks_at() -> None:
    scene = Scene()
    rsi = t.Indicator(text="rsi(14)", timeframe="5m")
    scene.put(above(100), 1)
    scene.put(t.And(terms=(under(30, rsi), over(1, t.Field(name="price", exchange="NSE", symbol="B")))), 2)
    assert scene.engine.sources == {A: frozenset(), B: frozenset(), Source("NSE", "A", "5m"): frozenset({"rsi(14)"})}
    version = scene.engine.sources_version
    scene.engine.drop(2)
    assert scene.engine.sources == {A: frozenset()}
    assert scene.engine.sources_version != version
    scene.engine.drop(1)
    assert scene.engine.sources == {}


def test_the_version_of_the_sources_stays_while_rules_look_at_the_same() -> None:
    scene = Scene()
    scene.put(above(100), 1)
    version = scene.engine.sources_version
    scene.put(above(101), 2)
    scene.engine.drop(1)
    assert scene.engine.sources_version == version


# -- at rest --------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_kept_again() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99)
    first = scene.engine.kept()
    assert (list(first.tracks), list(first.rules)) == (["NSE:A"], [1])
    assert scene.engine.kept() == msgspec.structs.replace(first, tracks={}, rules={})
    scene.tick(99)
    again = scene.engine.kept()
    assert (list(again.tracks), list(again.rules)) == (["NSE:A"], [])


def test_little_is_kept_of_a_plain_rule() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99)
    assert len(scene.engine.kept().rules[1]) == 1


def test_each_part_of_a_rule_that_begins_is_kept() -> None:
    scene = Scene()
    scene.put(t.Or(terms=tuple(above(100, t.Field(name=name)) for name in ("bid", "ask"))))
    scene.tick(1)
    scene.engine.kept()
    scene.tick(1, bid=99)
    assert list(scene.engine.kept().rules) == [1]


def test_of_some_sources_only_what_hangs_together_with_them_is_kept() -> None:
    scene = Scene()
    in_b = t.Field(name="price", exchange="NSE", symbol="B")
    in_c = t.Field(name="price", exchange="NSE", symbol="C")
    scene.put(above(100), 1)
    scene.put(over(5, t.Arithmetic(op="-", left=PRICE, right=in_b)), 2)
    scene.put(above(100, in_c), 3)
    for symbol in "ABC":
        scene.tick(99, symbol=symbol)
    kept = scene.engine.kept(["NSE:B"])
    assert (list(kept.tracks), list(kept.rules)) == (["NSE:A", "NSE:B"], [1, 2])
    rest = scene.engine.kept()
    assert (list(rest.tracks), list(rest.rules)) == (["NSE:C"], [3])


def test_what_hangs_together_by_a_rule_that_has_not_changed_is_kept_together() -> None:
    scene = Scene()
    in_b = t.Field(name="price", exchange="NSE", symbol="B")
    scene.put(t.And(terms=(over(100), over(50, in_b))), 1)
    scene.put(above(100.5), 2)
    scene.tick(99)
    scene.tick(40, symbol="B")
    scene.engine.kept()
    said = [(101, "A"), (51, "B"), (40, "B"), (101.2, "A")]
    assert [[one.rule for one in scene.tick(price, symbol=symbol)] for price, symbol in said] == [[2], [1], [], []]
    kept = scene.engine.kept(["NSE:A"])
    assert list(kept.tracks) == ["NSE:A", "NSE:B"]
    scene.engine.drop(1)
    for symbol in "AB":
        scene.tick(99, symbol=symbol)
    assert list(scene.engine.kept(["NSE:A"]).tracks) == ["NSE:A"]


def test_rules_hang_together_by_others() -> None:
    scene = Scene()
    in_b, in_c = (t.Field(name="price", exchange="NSE", symbol=symbol) for symbol in "BC")
    for rule_id in (1, 2):
        scene.put(t.And(terms=(over(100), over(50, in_b))), rule_id)
    scene.put(t.And(terms=(over(100, in_b), over(50, in_c))), 3)
    scene.engine.drop(1)
    for symbol in "ABC":
        scene.tick(10, symbol=symbol)
    assert list(scene.engine.kept(["NSE:A"]).tracks) == ["NSE:A", "NSE:B", "NSE:C"]


def test_numbers_go_on_in_another_engine() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99, counted=7)
    scene.move()
    assert scene.tick(101, counted=7) == []
    assert [one.previous for one in scene.tick(101, counted=8)] == [99.0]


def test_a_track_of_candles_goes_on_too() -> None:
    scene = Scene()
    scene.put(above(100, t.Field(name="close", timeframe="1m")))
    scene.bar(99, 0, closed=True)
    scene.move()
    assert len(scene.bar(101, 60, closed=False)) == 1


def test_a_symbol_may_have_a_colon() -> None:
    engine = Engine()
    engine.restore_track("5m:NSE:A:B", msgspec.msgpack.encode([1, OPENS_MS, []]))
    assert engine.sources == {}


def test_after_a_split_what_is_remembered_is_in_the_new_prices() -> None:
    scene = Scene()
    scene.put(above(3000), 1)
    scene.tick(2900, high=2950)
    scene.engine.rescale("NSE", "A", 1, 10)
    scene.put(above(300), 1, version=2)
    scene.put(above(294), 2)
    assert scene.tick(290, high=295) == []
    assert [(one.rule, one.via) for one in scene.tick(290, high=295.5)] == [(2, "session_extreme")]
    assert [(one.rule, one.previous) for one in scene.tick(301, high=301)] == [(1, 290.0), (2, 290.0)]


def test_a_rescaled_sample_is_what_the_next_one_is_compared_with() -> None:
    scene = Scene()
    scene.put(above(295))
    scene.tick(2900)
    scene.engine.rescale("NSE", "A", 1, 10)
    scene.engine.rescale("NSE", "B", 1, 10)
    assert [one.previous for one in scene.tick(296)] == [290.0]
