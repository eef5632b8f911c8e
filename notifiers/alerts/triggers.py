"""What has fired becomes lasting: the trigger, the alert's state and the deliveries, in one transaction or not at all.

A batch may be committed again, as one must be whose first commit got no answer: what is there already stays as it is.
Whoever no longer has the shard can't write: the transaction holds the shard's row, and compares its fence. Batches of
several shards that wait for their turn are written together.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.shards import Lost, Tenure
from notifiers.alerts.writing import Batch, Committed, held, write
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.storage import begun, database_errors

TIMEOUT_S: Seconds = 120.0
"""Of one commit: thousands may fire at once, and after an outage all that has waited. Each statement has less."""
MOST_TOGETHER = 5000
"""Firings up to which batches of several shards are written together."""
CANCEL_S: Seconds = 2.0
"""How long one that is cancelled may go on."""
MOST_AT_ONCE = 4
"""Commits that one process makes at the same time: others need connections too."""


@dataclass(slots=True, eq=False)
class _Waiting:
    batch: Batch
    tenure: Tenure
    outcome: Committed | Lost | Unavailable | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nobody's transaction has it."""


class Triggers:
    """Writes what fires. `on_deliveries` rings for the outbox's workers; it must neither wait nor raise."""

    def __init__(
        self, engine: AsyncEngine, *, wall: Callable[[], float], on_deliveries: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._wall = wall
        self._on_deliveries = on_deliveries
        self._waiting: list[_Waiting] = []
        self._turns = asyncio.Semaphore(MOST_AT_ONCE if engine.dialect.name == "postgresql" else 1)
        """SQLite has one writer at a time, and lets those that wait starve."""

    async def commit(self, batch: Batch, tenure: Tenure) -> Committed:
        """Writes a batch. Raises Lost where the shard is another's by now, Unavailable; cancelling is safe.

        What an alert fired that has been changed, paused or ended since is dropped: its owner doesn't want it.
        """
        mine = _Waiting(batch, tenure)
        self._waiting.append(mine)
        try:
            while mine.outcome is None:
                async with self._turns:
                    while mine in self._waiting:
                        await self._write_waiting()
                await mine.left.wait()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        if isinstance(mine.outcome, Committed):
            return mine.outcome
        raise mine.outcome

    async def _write_waiting(self) -> None:
        """Writes all that waits. Who cancels waits for the transaction: one that is broken off keeps SQLite locked."""
        taken = self._next()
        for one in taken:
            one.left.clear()
        writing = asyncio.create_task(self._write_all(taken), name="alerts.commit")
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing], timeout=CANCEL_S)
            raise
        finally:
            writing.cancel()
            self._waiting = [one for one in taken if one.outcome is None] + self._waiting
            for one in taken:
                one.left.set()

    def _next(self) -> list[_Waiting]:
        """The first one, and of the others as many as make no great difference."""
        firings, count = 0, 0
        for one in self._waiting:
            firings += len(one.batch.firings)
            if count and firings > MOST_TOGETHER:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _write_all(self, taken: Sequence[_Waiting]) -> None:
        """Brings each an outcome."""
        try:
            await self._write(taken)
        except Unavailable as exc:
            for one in taken:
                one.outcome = exc

    async def _write(self, taken: Sequence[_Waiting]) -> None:
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                ours = await held(connection, [one.tenure for one in taken])
                said = {one.tenure: one.batch for one in taken if one.tenure in ours}
                done = await write(connection, said, int(self._wall() * 1000)) if said else {}
        for one in taken:
            one.outcome = done.get(one.tenure) or Lost(one.tenure)
        if any(committed.fired for committed in done.values()):
            self._on_deliveries()


__all__ = ["Batch", "Committed", "Triggers"]
