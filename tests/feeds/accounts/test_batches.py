import asyncio
from collections.abc import Sequence

from feeds.accounts.batches import Batches
from feeds.feed import Update
from schemas.market import Tick


def tick(price: int) -> Tick:
    return Tick(exchange="NSE", symbol="S", price=price, time_ms=0)


async def test_what_comes_while_a_batch_is_on_its_way_makes_the_next_one() -> None:
    batches = Batches()
    batches.MOST = 3
    gate = asyncio.Semaphore(0)
    started = asyncio.Semaphore(0)
    taken: list[list[int]] = []

    async def publish(updates: Sequence[Update]) -> None:
        taken.append([update.price for update in updates if isinstance(update, Tick)])
        started.release()
        await gate.acquire()

    pouring = asyncio.create_task(batches.pour(publish))
    batches.put([tick(1)])
    await started.acquire()
    batches.put([tick(2)])
    assert not batches.full
    batches.put([tick(3), tick(4)])
    assert batches.full
    waiting = asyncio.create_task(batches.room())
    gate.release()
    await asyncio.wait_for(waiting, 5)
    await started.acquire()
    assert taken == [[1], [2, 3, 4]]
    pouring.cancel()
    await asyncio.wait([pouring])


async def test_what_was_left_when_it_was_stopped_is_not_published_later() -> None:
    batches = Batches()
    batches.MOST = 2
    started, taken = asyncio.Event(), []

    async def publish(updates: Sequence[Update]) -> None:
        taken.append([update.price for update in updates if isinstance(update, Tick)])
        started.set()
        await asyncio.Event().wait()

    for price in (1, 10):
        started.clear()
        pouring = asyncio.create_task(batches.pour(publish))
        await asyncio.sleep(0)  # its first step
        batches.put([tick(price)])
        await asyncio.wait_for(started.wait(), 5)
        batches.put([tick(price + 1), tick(price + 2)])
        pouring.cancel()
        await asyncio.wait([pouring])
        assert not batches.full
    assert taken == [[1], [10]]
