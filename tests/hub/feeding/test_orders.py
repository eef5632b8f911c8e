"""Order updates of a broker's account come to the channel of the account's owner."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.namespace import Namespaces
from hub.feeding import orders as feed_orders
from hub.feeding.orders import FeedOrders

ORDER = b'{"order_id":"1511","status":"COMPLETE"}'


def names(folder: Path, text: str = '[orders]\npolicy = "log"\naccess = "owner"\n') -> ChannelNames:
    (folder / "namespaces.toml").write_text(text)
    return ChannelNames(Namespaces.load(folder / "namespaces.toml"))


@asynccontextmanager
async def running(orders: FeedOrders) -> AsyncIterator[None]:
    task = asyncio.create_task(orders.run())
    try:
        yield
        async with asyncio.timeout(5):
            while not orders._waiting.empty():  # noqa: ASYNC110 - a queue tells nobody that it is empty
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def heard(broker: MemoryBroker, known: ChannelNames, user: str) -> list[bytes]:
    page = await broker.history(known.parse(f"orders:{user}"), limit=10)
    return [one.payload for one in page.publications]


async def test_an_order_comes_to_its_owner(tmp_path: Path) -> None:
    broker, known = MemoryBroker(), await asyncio.to_thread(names, tmp_path)
    orders = FeedOrders(broker, known, lambda: {"KITE_USER": "7"})
    async with running(orders):
        orders.hear("kite", ORDER)
        orders.hear("kite", b'{"order_id":"1512"}')
    assert await heard(broker, known, "7") == [ORDER, b'{"order_id":"1512"}']
    assert orders.lost == 0


async def test_without_an_owner_it_goes_nowhere(tmp_path: Path) -> None:
    broker, known = MemoryBroker(), await asyncio.to_thread(names, tmp_path)
    orders = FeedOrders(broker, known, lambda: {"UPSTOX_USER": "7"})
    async with running(orders):
        orders.hear("kite", ORDER)
    assert await heard(broker, known, "7") == []


async def test_without_a_namespace_it_is_lost_and_counted(tmp_path: Path) -> None:
    orders = FeedOrders(MemoryBroker(), await asyncio.to_thread(names, tmp_path, ""), lambda: {"KITE_USER": "7"})
    async with running(orders):
        orders.hear("kite", ORDER)
    assert orders.lost == 1


async def test_what_is_no_object_is_lost_and_the_next_one_comes(tmp_path: Path) -> None:
    broker, known = MemoryBroker(), await asyncio.to_thread(names, tmp_path)
    orders = FeedOrders(broker, known, lambda: {"KITE_USER": "7"})
    async with running(orders):
        orders.hear("kite", b"[1]")
        orders.hear("kite", ORDER)
    assert await heard(broker, known, "7") == [ORDER]
    assert orders.lost == 1


def test_more_than_can_wait_are_lost(tmp_path: Path) -> None:
    orders = FeedOrders(MemoryBroker(), names(tmp_path), dict)
    for _ in range(feed_orders.MAX_WAITING + 3):
        orders.hear("kite", ORDER)
    assert orders.lost == 3
