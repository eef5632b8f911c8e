import asyncio

import pytest

from hub.api.errands import MAX_WAITING, Errands
from schemas.errors import CommandError, ErrorCode, Unavailable


async def test_errands_are_done_in_order_and_one_that_fails_spares_the_next() -> None:
    errands, done = Errands(), asyncio.Event()
    seen: list[int] = []

    async def good(number: int) -> None:
        seen.append(number)
        if number == 3:
            done.set()

    async def away() -> None:
        raise Unavailable("database", "gone")

    async def refused() -> None:
        raise CommandError(ErrorCode.NOT_FOUND, "gone")

    errands.send("one", lambda: good(1))
    errands.send("two", away)
    errands.send("two", refused)
    errands.send("three", lambda: good(3))
    running = asyncio.create_task(errands.run())
    async with asyncio.timeout(5):
        await done.wait()
    assert seen == [1, 3]
    running.cancel()


async def test_a_full_queue_is_told() -> None:
    errands = Errands()

    async def nothing() -> None: ...

    for _ in range(MAX_WAITING):
        errands.send("more", nothing)
    with pytest.raises(Unavailable):
        errands.send("too many", nothing)
