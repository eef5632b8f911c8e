"""The bounds of counters in memory, on a clock that jumps; the rest is in the contract of a Broker."""

from hypothesis import given
from hypothesis import strategies as st

from channels.broker import Count
from channels.counters import Counters
from tests.channels.conftest import Jump


def test_a_counter_ends_and_begins_anew(jump: Jump) -> None:
    counters = Counters(clock=jump)
    counters.count("k", 10)
    jump.now += 4
    assert counters.count("k", 10) == Count(2, 6)
    jump.now += 6
    assert counters.count("k", 10, 0) == Count(0, 10)
    assert counters.count("k", 10, 3) == Count(3, 10)


def test_there_are_never_more_than_so_many_and_the_oldest_go_first(jump: Jump) -> None:
    counters = Counters(clock=jump, max_counters=100)
    for number in range(1000):
        counters.count(str(number), 60)
        assert len(counters) <= 100
    assert counters.count("999", 60, 0).count == 1
    assert counters.count("920", 60, 0).count == 1
    assert counters.count("0", 60, 0).count == 0


def test_what_has_ended_is_forgotten_before_anything_that_lives(jump: Jump) -> None:
    counters = Counters(clock=jump, max_counters=100)
    counters.count("lives", 600)
    for number in range(1000):
        counters.count(str(number), 1)
        jump.now += 0.1
    assert counters.count("lives", 600, 0).count == 1


def test_what_has_ended_is_swept_long_before_the_bound(jump: Jump) -> None:
    counters = Counters(clock=jump)
    for number in range(50_000):
        counters.count(str(number), 1)
        jump.now += 0.01
    assert len(counters) <= 1000


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 5), st.floats(0, 20)), max_size=40))
def test_a_counter_is_the_sum_since_its_beginning(steps: list[tuple[str, int, float]]) -> None:
    jump = Jump()
    counters = Counters(clock=jump)
    expected: dict[str, tuple[int, float]] = {}
    for key, cost, wait_s in steps:
        jump.now += wait_s
        count, ends_at = expected.get(key, (0, 0.0))
        if ends_at > jump.now:
            expected[key] = (max(0, count + cost), ends_at)
        elif cost > 0:
            expected[key] = (cost, jump.now + 10)
        else:
            expected.pop(key, None)
        assert counters.count(key, 10, cost).count == expected.get(key, (0, 0.0))[0]
