"""Many small writes in few transactions: whoever comes while one runs goes into the next one together."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from schemas.durations import Seconds
from schemas.errors import Unavailable

log = logging.getLogger("tickhub.notifiers.outbox.group_commit")

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST = 500
FIRST_PAUSE_S: Seconds = 0.1
LONGEST_PAUSE_S: Seconds = 5.0


class GroupCommit(Generic[Item, Answer]):
    """`commit` writes several items in one transaction, and may be repeated with the same ones.

    What waits is bounded by those who submit: each of them waits for its answer.
    """

    def __init__(
        self, name: str, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], *, most: int = MOST
    ) -> None:
        self._name = name
        self._commit = commit
        self._most = most
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._filled = asyncio.Event()

    async def submit(self, item: Item) -> Answer:
        """Returns once the item is committed, however long the database is away.

        Cancelling leaves open whether it will be.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._filled.set()
        return await future

    async def run(self) -> None:
        """Commits until cancelled."""
        failures = 0
        while True:
            await self._filled.wait()
            batch = self._next()
            try:
                answers = await self._commit([item for item, _ in batch]) if batch else ()
            except Unavailable as exc:
                if not failures:
                    log.warning("outbox.database_away", extra={"what": self._name, "why": exc.why})
                failures += 1
                self._waiting.extendleft(reversed(batch))
                self._filled.set()
                await asyncio.sleep(_pause_s(failures))
                continue
            failures = 0
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting.popleft()
            if not future.done():  # else whoever submitted it was cancelled
                batch.append((item, future))
        if not self._waiting:
            self._filled.clear()
        return batch


def _pause_s(failures: int) -> Seconds:
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
    return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
