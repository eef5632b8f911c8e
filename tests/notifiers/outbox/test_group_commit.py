import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from notifiers.outbox.group_commit import GroupCommit
from schemas.errors import Unavailable
from tests.channels.clock import jumping, turns


class Table:
    """Commits into a list, as slowly as `free` says, and fails as often as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failures = 0
        self.free = asyncio.Event()
        self.free.set()

    async def commit(self, items: Sequence[int]) -> Sequence[int]:
        await self.free.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("database", "away")
        self.batches.append(list(items))
        return [-item for item in items]


@asynccontextmanager
async def running(commit: GroupCommit[int, int]) -> AsyncIterator[Callable[[int], "asyncio.Task[int]"]]:
    task = asyncio.create_task(commit.run())
    try:
        yield lambda item: asyncio.create_task(commit.submit(item))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@jumping
async def test_what_comes_during_a_commit_goes_into_the_next_together() -> None:
    table = Table()
    async with running(GroupCommit("test", table.commit)) as submit:
        table.free.clear()
        first = submit(1)
        await turns()
        others = [submit(2), submit(3)]
        await turns()
        assert not first.done()
        table.free.set()
        assert await asyncio.gather(first, *others) == [-1, -2, -3]
        assert table.batches == [[1], [2, 3]]


@jumping
async def test_a_batch_has_a_bound() -> None:
    table = Table()
    async with running(GroupCommit("test", table.commit, most=3)) as submit:
        await asyncio.gather(*(submit(number) for number in range(7)))
    assert [len(batch) for batch in table.batches] == [3, 3, 1]


@jumping
async def test_it_outlasts_the_database_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.failures = 9
    with caplog.at_level(logging.WARNING):
        async with running(GroupCommit("test", table.commit)) as submit:
            assert await asyncio.gather(submit(1), submit(2)) == [-1, -2]
    assert table.batches == [[1, 2]]
    assert [record.message for record in caplog.records] == ["outbox.database_away"]


@jumping
async def test_who_gave_up_waiting_is_not_committed() -> None:
    table = Table()
    table.failures = 1
    async with running(GroupCommit("test", table.commit)) as submit:
        gone, stays = submit(1), submit(2)
        await turns()
        gone.cancel()
        assert await stays == -2
    assert table.batches == [[2]]
