import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.broker import Count
from channels.broker_memory import MemoryBroker
from notifiers.outbox.pace import Pace
from schemas.errors import Unavailable
from tests.channels.clock import run


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_so_many_a_second_and_no_more() -> None:
    clock = Clock()
    pace = Pace("twilio", 2.0, clock=clock)
    assert [await pace.take(5), await pace.take(5)] == [1, 0]
    assert pace.wait_s == pytest.approx(0.5)
    clock.now += 0.5
    assert [await pace.take(5), await pace.take(5)] == [1, 0]
    clock.now += 60
    assert await pace.take(5) == 1


async def test_a_burst_after_a_pause() -> None:
    clock = Clock()
    pace = Pace("twilio", 2.0, burst=3, clock=clock)
    assert await pace.take(5) == 3
    clock.now += 1
    assert await pace.take(5) == 2


async def test_what_was_not_used_may_be_used() -> None:
    pace = Pace("twilio", 1.0, burst=2, clock=Clock())
    assert await pace.take(2) == 2
    await pace.give_back(1)
    await pace.give_back(0)
    assert await pace.take(2) == 1


@given(
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4)), max_size=40),
    per_s=st.floats(0.2, 10),
    burst=st.integers(1, 4),
)
def test_it_never_lets_through_more_than_its_rate_and_one_burst(
    steps: list[tuple[float, int]], per_s: float, burst: int
) -> None:
    clock, taken = Clock(), 0
    pace = Pace("twilio", per_s, burst=burst, clock=clock)
    for wait_s, most in steps:
        clock.now += wait_s
        taken += run(pace.take(most))
    assert taken <= burst + (clock.now - 100) * per_s + 1e-6


async def test_all_processes_share_one_pace() -> None:
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    several = [Pace("twilio", 1.0, shared=broker.count, clock=clock) for _ in range(4)]
    made = 0
    for _ in range(50):
        for pace in several:
            made += await pace.take(1)
        clock.now += 0.1
    assert 4 <= made <= 6
    other = Pace("msg91", 1.0, shared=broker.count, clock=clock)
    assert await other.take(1) == 1


async def test_who_is_refused_by_the_others_waits_for_the_end_of_their_second() -> None:
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    first, second = (Pace("twilio", 1.0, shared=broker.count, clock=clock) for _ in range(2))
    assert [await first.take(1), await second.take(1)] == [1, 0]
    assert second.wait_s == pytest.approx(1.0)
    await first.give_back(1)
    clock.now += 1
    assert await second.take(1) == 1


async def test_alone_each_keeps_the_pace_by_itself() -> None:
    async def away(key: str, window_s: float, cost: int) -> Count:
        raise Unavailable("Redis", "away")

    pace = Pace("twilio", 1.0, shared=away, clock=Clock())
    assert [await pace.take(3), await pace.take(3)] == [1, 0]
    await pace.give_back(1)
    assert await pace.take(3) == 1


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_pace_that_lets_nothing_through_is_none(per_s: float, burst: int) -> None:
    with pytest.raises(ValueError, match="pace"):
        Pace("twilio", per_s, burst=burst)
