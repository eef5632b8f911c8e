import pytest

from channels.broker_memory import MemoryBroker
from hub.api.wishes import _MANY, LASTS_S, Wishes


class Time:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def broker(clock: Time) -> MemoryBroker:
    return MemoryBroker(clock=clock)


@pytest.fixture
def wishes(broker: MemoryBroker, clock: Time) -> Wishes:
    return Wishes(broker, clock=clock)


async def test_what_is_wished_is_wanted_for_a_while(wishes: Wishes, broker: MemoryBroker, clock: Time) -> None:
    assert await wishes.want(["market:NSE:TCS", "market:NSE:INFY"]) is True
    assert (await broker.demanded()).names == {"market:NSE:TCS", "market:NSE:INFY"}
    clock.now += LASTS_S
    assert (await broker.demanded()).names == frozenset()
    assert await wishes.want(["market:NSE:TCS"]) is True


async def test_a_wish_that_is_repeated_lasts_and_is_new_only_once(
    wishes: Wishes, broker: MemoryBroker, clock: Time
) -> None:
    assert await wishes.want(["market:NSE:TCS"]) is True
    for _ in range(20):
        clock.now += LASTS_S / 4
        assert await wishes.want(["market:NSE:TCS"]) is False
        assert (await broker.demanded()).names == {"market:NSE:TCS"}
    clock.now += LASTS_S / 4
    assert await wishes.want(["market:NSE:TCS", "market:NSE:INFY"]) is True


async def test_nothing_is_wished_for_by_no_names(wishes: Wishes, broker: MemoryBroker) -> None:
    assert await wishes.want([]) is False
    assert (await broker.demanded()).names == frozenset()


async def test_wishes_that_have_ended_are_forgotten(wishes: Wishes, clock: Time) -> None:
    await wishes.want([f"market:NSE:{number}" for number in range(_MANY + 1)])
    clock.now += LASTS_S + 1
    await wishes.want(["market:NSE:TCS"])
    assert set(wishes._ends_at) == {"market:NSE:TCS"}
