"""What has fired becomes lasting: the trigger, the alert's state and the deliveries, in one transaction or not at all.

A batch may be committed again, as one must be whose first commit got no answer: what is there already stays as it is.
Whoever no longer has the shard can't write: the transaction holds the shard's row, and compares its fence. Batches of
several shards that wait for their turn are written together.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.shards import Lost, Tenure
from notifiers.alerts.writing import Batch, Committed, held, write
from schemas.durations import Seconds
from schemas.errors import TickhubError, Unavailable
from schemas.storage import begun, database_errors

log = logging.getLogger("tickhub.notifiers.alerts.triggers")

TIMEOUT_S: Seconds = 120.0
"""Of one commit: thousands may fire at once, and after an outage all that has waited. Each statement has less."""
MOST_TOGETHER = 5000
"""Firings up to which batches of several shards are written together."""
CANCEL_S: Seconds = 2.0
"""How long one that is cancelled may go on."""
MOST_AT_ONCE = 4
"""Commits that one process makes at the same time: others need connections too."""


_OF_VALUES = ("22", "23")
"""Classes of SQLSTATE: the database works, and doesn't take what it was given."""


class _Unwritable(TickhubError):
    """The database refuses what is written, and would each time."""


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
        except _Unwritable:
            for one in taken:
                await self._write_apart(one)

    async def _write_apart(self, waiting: _Waiting) -> None:
        """Writes what fired one by one, then what is to be kept. What can't be written is left out.

        An alert's state goes with the last of its firings, so that who is killed in between leaves nothing unsaid.
        """
        batch, done = waiting.batch, Committed()
        states, last = dict(batch.states), {firing.rule: at for at, (firing, _) in enumerate(batch.firings)}
        for at, fired in enumerate(batch.firings):
            rule = fired[0].rule
            its = {rule: states[rule]} if last[rule] == at and rule in states else {}
            one = _Waiting(Batch([fired], {}, its), waiting.tenure)
            try:
                await self._write([one])
            except _Unwritable:
                log.exception("alerts.unwritable", extra={"alert": rule})
                continue
            except Unavailable as exc:
                waiting.outcome = exc
                return
            if not isinstance(one.outcome, Committed):
                waiting.outcome = one.outcome
                return
            done = _both(done, one.outcome)
        waiting.outcome = await self._kept(Batch((), batch.tracks, states), waiting.tenure, done)

    async def _kept(self, batch: Batch, tenure: Tenure, done: Committed) -> Committed | Lost | Unavailable:
        """What came of a batch whose firings are written, and of what is to be kept with them."""
        rest = _Waiting(batch, tenure)
        try:
            await self._write([rest])
        except Unavailable as exc:
            return exc
        except _Unwritable:
            return Unavailable("database", "refused")
        return _both(done, rest.outcome) if isinstance(rest.outcome, Committed) else rest.outcome or Lost(tenure)

    async def _write(self, taken: Sequence[_Waiting]) -> None:
        with database_errors(), _refusals():
            async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                ours = await held(connection, [one.tenure for one in taken])
                said = {one.tenure: one.batch for one in taken if one.tenure in ours}
                done = await write(connection, said, int(self._wall() * 1000)) if said else {}
        for one in taken:
            one.outcome = done.get(one.tenure) or Lost(one.tenure)
        if any(committed.fired for committed in done.values()):
            self._on_deliveries()


@contextmanager
def _refusals() -> Iterator[None]:
    """Tells what the database will never take from a database that fails. Raises _Unwritable."""
    try:
        yield
    except (DataError, IntegrityError, OverflowError, UnicodeEncodeError) as exc:
        raise _Unwritable from exc
    except DBAPIError as exc:
        if str(getattr(exc.orig, "sqlstate", None) or "").startswith(_OF_VALUES):
            raise _Unwritable from exc
        raise


def _both(one: Committed, other: Committed) -> Committed:
    return Committed(
        one.fired + other.fired,
        one.suppressed + other.suppressed,
        one.dropped + other.dropped,
        {**one.over, **other.over},
    )


__all__ = ["Batch", "Committed", "Triggers"]
