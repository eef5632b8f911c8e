"""Figures beyond all bounds, and states that can not be written or read: nothing of it ends anything."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.conditions import tree as t
from notifiers.conditions.checking import check
from notifiers.conditions.options import Baseline, Options
from notifiers.engine.figures import MOST
from notifiers.engine.memory import Unreadable, Unwritable, read, remembered, written
from notifiers.engine.operands import Constant, folded
from notifiers.engine.samples import Kept
from schemas.errors import CommandError
from schemas.market import Tick
from tests.notifiers.conditions.trees import READER
from tests.notifiers.engine.scenes import OPENS_MS, PRICE, Scene, above, baseline, number, over

VOLUME, BID, ASK = (t.Field(name=name) for name in ("volume", "bid", "ask"))
HUGE = t.Number(value=1e12)
"""More than a condition may say."""


def put_together(op: Any, *expressions: t.Expression) -> t.Expression:
    whole, *rest = expressions
    for one in rest:
        whole = t.Arithmetic(op=op, left=whole, right=one)
    return whole


BEYOND: dict[str, t.Condition] = {
    "price + bid crosses": above(1e12, put_together("+", PRICE, BID)),
    "price + huge moves": t.Move(value=put_together("+", PRICE, HUGE), amount=1, within_s=300),
    "price + huge steps": t.Step(value=put_together("+", PRICE, HUGE), amount=1),
    "huge sum steps": t.Step(value=put_together("+", PRICE, HUGE, HUGE), amount=1),
    "price - huge": over(5, put_together("-", PRICE, HUGE)),
    "price + bid - huge": over(5, put_together("-", PRICE, BID, HUGE)),
    "volumes step": t.Step(value=put_together("+", *[VOLUME] * 5), amount=1),
    "volumes cross": above(1, put_together("-", *[VOLUME] * 5)),
    "volume moves": t.Move(value=VOLUME, amount=1, within_s=300),
    "sum enters": t.Channel(value=put_together("+", PRICE, BID), relation="enters", low=number(1), high=HUGE),
    "price * huge steps": t.Step(value=put_together("*", PRICE, HUGE), amount=1),
    "bid - huge enters": t.Channel(
        value=put_together("-", BID, HUGE), relation="enters", low=number(1), high=number(2)
    ),
    "price / little - huge": t.Step(
        value=put_together("-", put_together("/", PRICE, number(0.000001)), HUGE), amount=1, percent=True
    ),
}


# -- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(BEYOND))
@pytest.mark.parametrize("volume", [2**62 - 1, 2**62, 2**64])
def test_a_condition_on_values_beyond_all_bounds_can_be_kept(name: str, volume: int) -> None:
    scene = Scene()
    scene.put(BEYOND[name], baseline=baseline(100))
    for price in (100, 101, 99):
        scene.tick(price, bid=99, ask=101, volume=volume)
    assert scene.engine.kept().misfits == ()


@pytest.mark.parametrize("name", ["bid", "ask", "high", "low", "open", "close", "year_low", "year_high"])
@pytest.mark.parametrize("value", [1e12, -1e12])
def test_figures_beyond_all_bounds_are_missing(name: str, value: float) -> None:
    scene = Scene()
    for rule_id, field in enumerate((name, "change", "spread"), 1):
        scene.put(above(1, t.Field(name=field)), rule_id)
    scene.put(t.Extreme(which="low", of="year"), 4)
    said = [
        one for price in (0.5, 0.6) for one in scene.tick(price, **{"bid": 1, "ask": 1, "close": 1} | {name: value})
    ]
    assert said == []
    assert scene.engine.kept().misfits == ()
    assert scene.engine.counters.unwritable == 0


def test_a_price_beyond_all_bounds_is_dropped() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.put(above(100, t.Field(name="close", timeframe="1m")), 2)
    assert scene.tick(1e12) == scene.tick(-1e12) == scene.bar(1e12, 0, closed=True) == []
    assert scene.engine.counters.odd == 3


def test_a_baseline_beyond_all_bounds_is_none() -> None:
    scene = Scene()
    tree = t.Cross(left=PRICE, right=put_together("+", ASK, number(1)), direction="above")
    scene.put(t.Step(value=PRICE, amount=1), 1, baseline=Baseline(price=MOST, time_ms=OPENS_MS - 1))
    scene.put(tree, 2, baseline=Baseline(price=MOST, time_ms=OPENS_MS - 1))
    assert scene.tick(100) == []
    assert set(scene.engine.kept().rules) == {1, 2}


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e300])
def test_an_indicator_beyond_all_bounds_is_missing(value: float) -> None:
    scene = Scene()
    for rule_id, gives in enumerate(("price", "number"), 1):
        scene.put(over(-1, t.Indicator(text="ema(9)", timeframe="1m", gives=gives)), rule_id)  # type: ignore[arg-type]
    assert scene.bar(100, 0, closed=True, indicators={"ema(9)": value}) == []
    assert len(scene.bar(100, 60, closed=True, indicators={"ema(9)": 1.0})) == 2


def test_what_constants_give_together_is_missing_from_a_bound_on() -> None:
    def of(left: int) -> Any:
        return folded("+", Constant(left), Constant(1))

    assert of(MOST - 2).constant == MOST - 1
    assert not isinstance(of(MOST - 1), Constant)
    assert of(-MOST).constant == 1 - MOST
    assert not isinstance(of(-MOST - 1), Constant)


@pytest.mark.parametrize("value", [100_000_000_001.0, -100_000_000_001.0])
def test_a_constant_has_bounds(value: float) -> None:
    tree = over(value)
    with pytest.raises(msgspec.ValidationError):
        t.decode(t.encode(tree))
    with pytest.raises(CommandError, match="10,000 crore"):
        check(tree, "NSE", "A", READER, options=Options())
    t.decode(t.encode(over(value - 1 if value > 0 else value + 1)))


# -- what can't be written ------------------------------------------------------------------------------------------


def test_a_rule_that_can_not_be_kept_leaves_and_the_others_are_kept() -> None:
    scene = Scene()
    for rule_id in (1, 2, 3):
        scene.put(t.Step(value=PRICE, amount=1), rule_id)
    scene.tick(100)
    watch = scene.engine._watches[2]
    watch.tree._reference = 2**70  # type: ignore[attr-defined]
    kept = scene.engine.kept()
    assert (list(kept.rules), kept.misfits, list(kept.tracks)) == ([1, 3], (2,), ["NSE:A"])
    assert (2 in scene.engine, scene.engine.counters.unwritable) == (False, 1)
    assert [one.rule for one in scene.tick(102)] == [1, 3]
    assert scene.engine.kept().misfits == ()


def test_a_source_that_can_not_be_kept_forgets_what_was() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99)
    (view,) = scene.engine._tracks.of("NSE", "A", "").views.values()
    view.year_low = -(2**64)
    engine = scene.engine
    scene.move()
    assert engine.counters.unwritable == 1
    assert scene.tick(101, counted=1) == []
    assert scene.prices(101, 99, 101) == [2]


def test_a_source_that_can_not_even_keep_its_number_is_kept_as_a_new_one() -> None:
    scene = Scene()
    scene.put(above(100))
    scene.tick(99, counted=2**65)
    kept = scene.engine.kept()
    assert kept.tracks == {"NSE:A": msgspec.msgpack.encode([-1, 0, []])}
    assert len(scene.tick(101, counted=2**65 + 1)) == 0


# -- what can't be read ---------------------------------------------------------------------------------------------


TREES: dict[str, t.Condition] = {
    "threshold": above(100),
    "expressions": t.Or(
        terms=(
            above(0, put_together("-", PRICE, ASK)),
            t.Compare(left=PRICE, op=">", right=put_together("+", BID, BID)),
        )
    ),
    "channel": t.Channel(value=put_together("+", PRICE, BID), relation="enters", low=number(1), high=number(2)),
    "moves": t.Move(value=PRICE, amount=1, within_s=60),
    "steps": t.Step(value=PRICE, amount=1),
    "holds": t.Or(terms=(t.Hold(term=over(100), seconds=5), t.Hold(term=over(100), samples=3))),
    "then": t.Then(first=over(100), second=over(102), within_s=60),
    "bars": t.Move(value=PRICE, amount=1, within_bars=3, timeframe="1m"),
}


def stored(tree: t.Condition) -> Kept:
    """What is kept of a rule that has been at work."""
    scene = Scene()
    scene.put(tree, cooldown_ms=60_000)
    run(scene)
    return scene.engine.kept()


def run(scene: Scene) -> None:
    """Samples of all kinds; whatever they fire can be published."""
    said = []
    for place, price in enumerate((99, 101, 98, 103, 99)):
        said += scene.tick(price, place * 10, bid=price - 1, ask=price + 1, high=price + 2)
        said += scene.bar(price, place * 60, closed=True)
        said += scene.advance(place * 10 + 8)
    msgspec.json.encode(said)


@pytest.mark.parametrize(
    "state", [b"", b"\xc1", b"nonsense", b"\x93\x01", b"\x81\x90\x01", b"\xa1\xff", b"\x91" * 5000]
)
@pytest.mark.parametrize("name", list(TREES))
def test_a_rule_whose_state_can_not_be_read_begins_anew(name: str, state: bytes) -> None:
    scene, other = Scene(), Scene()
    scene.put(TREES[name], state=state, baseline=baseline(99))
    other.put(TREES[name])
    assert scene.engine.counters.unreadable == 1
    assert scene.engine.rules == 1
    for price in (101, 99, 102, 103):
        assert scene.tick(price, bid=price) == other.tick(price, bid=price)
    assert scene.engine.kept().rules == other.engine.kept().rules


def test_a_state_of_another_tree_is_not_read() -> None:
    for name, tree in TREES.items():
        state = stored(tree).rules[1]
        for foreign, other in TREES.items():
            scene = Scene()
            scene.put(other, state=state)
            assert scene.engine.rules == 1
            assert name != foreign or scene.engine.counters.unreadable == 0
            run(scene)


@pytest.mark.parametrize("state", [b"", b"\xc1", b"nonsense", b"\x93\x01\x01\x91\x01", b"\x93\xa1a\x00\x90"])
def test_a_source_whose_state_can_not_be_read_begins_anew(state: bytes) -> None:
    scene = Scene()
    scene.engine.restore_track("NSE:A", state)
    scene.put(above(100))
    assert scene.engine.counters.unreadable == 1
    assert scene.prices(101, 99, 101) == [2]


def _spoilt(value: Any, other: Any, place: int) -> Any:
    """The value with one of its parts replaced by another, counted through the whole."""
    count = -1

    def go(one: Any) -> Any:
        nonlocal count
        count += 1
        if count == place:
            return other
        return [go(part) for part in one] if isinstance(one, list) else one

    return go(value)


odd = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3)
anything = st.recursive(odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner))
STORED = {name: stored(tree) for name, tree in TREES.items()}


@given(st.sampled_from(list(TREES)), anything, st.integers(0, 60))
def test_spoilt_states_end_nothing(name: str, other: Any, place: int) -> None:
    kept = STORED[name]
    scene = Scene()
    for text, state in kept.tracks.items():
        scene.engine.restore_track(text, written(_spoilt(msgspec.msgpack.decode(state), other, place)))
    spoilt = written(_spoilt(msgspec.msgpack.decode(kept.rules[1]), other, place))
    scene.put(TREES[name], state=spoilt, cooldown_ms=60_000)
    run(scene)
    scene.engine.kept()


# -- bytes ----------------------------------------------------------------------------------------------------------


def test_what_is_written_can_be_read() -> None:
    assert read(written([1, [2.5]]), tuple[int, list[float]]) == (1, [2.5])


@pytest.mark.parametrize(
    "state", [2**64, -(2**63) - 1, object(), {"a": {2**64}}], ids=["big", "small", "object", "set"]
)
def test_what_has_no_bytes_is_unwritable(state: object) -> None:
    with pytest.raises(Unwritable):
        written(state)


def test_what_has_another_shape_is_unreadable() -> None:
    for kept in (["1"], [True], [1, 2], [], 1, None):
        with pytest.raises(Unreadable):
            remembered(kept, tuple[int])


def test_a_tick_of_whole_numbers_can_be_kept_up_to_the_bound() -> None:
    scene = Scene()
    scene.put(above(1, put_together("-", PRICE, BID)))
    for place, price in enumerate((MOST - 1, 1 - MOST, MOST - 1), 1):
        scene.engine.take(Tick("NSE", "A", price, OPENS_MS + place, bid=-price), place, OPENS_MS)
    assert scene.engine.kept().misfits == ()
