"""What only the memory twin can be asked: its bounds, on a clock that jumps."""

import pytest

from channels.broker import IDEMPOTENCY_WINDOW_S
from channels.broker_memory import MemoryBroker
from schemas.commands import Position
from tests.channels.conftest import Jump
from tests.channels.recorder import channel

MARKET = channel("market:NSE:RELIANCE")
SIGNALS = channel("signals:generated")


async def test_a_key_is_free_again_after_its_window(jump: Jump) -> None:
    broker = MemoryBroker(clock=jump)
    await broker.publish(SIGNALS, b"{}", key="k")
    jump.now += IDEMPOTENCY_WINDOW_S - 1
    assert (await broker.publish(SIGNALS, b"{}", key="k")).duplicate
    jump.now += 2
    assert not (await broker.publish(SIGNALS, b"{}", key="k")).duplicate


async def test_history_lapses_after_its_age_and_the_position_stays(jump: Jump) -> None:
    broker = MemoryBroker(clock=jump)
    receipt = await broker.publish(SIGNALS, b"{}")
    jump.now += SIGNALS.namespace.history_age_s - 1
    assert len((await broker.history(SIGNALS, limit=10)).publications) == 1
    jump.now += 2
    page = await broker.history(SIGNALS, since=Position(receipt.epoch, 0), limit=10)
    assert (page.position, page.publications, page.complete) == (Position(receipt.epoch, 1), (), False)


async def test_last_values_are_bounded_and_sequences_still_grow() -> None:
    broker = MemoryBroker(max_last_values=10)
    first = await broker.publish(MARKET, b"{}")
    for _ in range(5):
        first = await broker.publish(MARKET, b"{}")
    others = [channel(f"market:NSE:S{number}") for number in range(10)]
    await broker.publish_latest([(other, b"{}") for other in others])
    assert await broker.last([MARKET]) == {}
    assert len(await broker.last(others)) == 10
    assert (await broker.publish(MARKET, b"{}")).offset > first.offset


async def test_keys_are_bounded() -> None:
    broker = MemoryBroker(max_keys=3)
    for number in range(4):
        await broker.publish(SIGNALS, b"{}", key=str(number))
    assert not (await broker.publish(SIGNALS, b"{}", key="0")).duplicate
    assert (await broker.publish(SIGNALS, b"{}", key="3")).duplicate


async def test_what_lapsed_is_forgotten(jump: Jump) -> None:
    broker = MemoryBroker(clock=jump)
    for number in range(100):
        await broker.claim(f"claim{number}", 1.0)
        await broker.publish(channel(f"signals:c{number}"), b"{}", key="k")
    jump.now += 2 * IDEMPOTENCY_WINDOW_S
    for _ in range(1000):
        await broker.claim("other", 1.0)
    assert len(broker._claims) == 1
    assert not broker._receipts
    assert not any(log.kept for log in broker._logs.values())


async def test_a_new_process_has_a_new_epoch_and_higher_sequences(jump: Jump) -> None:
    jump.now = 1_800_000_000.0
    old = MemoryBroker(wall_clock=jump)
    before = await old.publish(SIGNALS, b"{}")
    price = await old.publish(MARKET, b"{}")
    jump.now += 1
    new = MemoryBroker(wall_clock=jump)
    assert not (await new.history(SIGNALS, since=Position(before.epoch, 1), limit=1)).complete
    assert (await new.publish(MARKET, b"{}")).offset > price.offset


@pytest.mark.parametrize("limit", [0, 3, 1000])
async def test_history_holds_no_more_than_its_size(limit: int) -> None:
    broker = MemoryBroker()
    for number in range(12):
        await broker.publish(channel("short:a"), b'{"n":%d}' % number)
    assert len((await broker.history(channel("short:a"), limit=limit)).publications) == min(limit, 5)
