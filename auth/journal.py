"""An append-only table that every process knows by heart.

What is asked for every connection and command is looked up in memory. What other processes add arrives twice: over the
hub's control channel (`apply`), and by reading the table again (`poll`).
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, RowMapping, Table, and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.transactions import reading, writing

log = logging.getLogger("tickhub.auth.journal")

OVERLAP = 256
"""How many ids a poll reads again: PostgreSQL hands ids out in order, but commits may come in another."""

_PAGE = 5000

Entry = TypeVar("Entry")


class Journal(ABC, Generic[Entry]):
    """What has been added to one table.

    `apply` and the listeners touch memory alone; all else raises Unavailable where the database fails, and is safe to
    cancel.
    """

    table: ClassVar[Table]
    subject: ClassVar[str]
    """The column whose later entries cover earlier ones."""
    order: ClassVar[str]
    """The column that says which is later; of equal ones the later row."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        self.on_news: list[Callable[[Entry], None]] = []
        """Called once with every entry that is news to this process; must neither wait nor raise."""
        self._engine = engine
        self._clock = clock
        self._last_id = 0
        self._unreadable: set[int] = set()

    def apply(self, entry: Entry) -> bool:
        """Know an entry that was committed elsewhere; says whether it is news. May be called many times."""
        if not self._learn(entry):
            return False
        for listener in self.on_news:
            listener(entry)
        return True

    async def poll(self) -> None:
        """Read what has been added since, and know it, but for rows that only another release can read."""
        after = max(0, self._last_id - OVERLAP)
        self._unreadable = {one for one in self._unreadable if one > after}
        while rows := await self._read(after):
            for row in rows:
                self._apply_row(row)
            after = rows[-1]["id"]
            self._last_id = max(self._last_id, after)
            if len(rows) < _PAGE:
                return

    async def purge(self) -> None:
        """Forget what has ended by itself, and what a later entry of the same subject covers."""
        async with writing(self._engine) as connection:
            await connection.execute(delete(self.table).where(~self._counts()))
            await connection.execute(delete(self.table).where(self._covered()))

    def _apply_row(self, row: RowMapping) -> None:
        """Know the row's entry; one that can't be read is passed over, and logged the first time that it is met."""
        try:
            entry = self._entry(row)
        except ValueError as exc:
            if row["id"] not in self._unreadable:
                self._unreadable.add(row["id"])
                extra = {"table": self.table.name, "id": row["id"], "why": str(exc)}
                log.error("journal.unreadable", extra=extra)  # noqa: TRY400 - of another release, and no bug
            return
        self.apply(entry)

    @abstractmethod
    def _learn(self, entry: Entry) -> bool:
        """Know the entry; whether it is news."""

    @abstractmethod
    def _entry(self, row: RowMapping) -> Entry:
        """The entry of a row. Raises ValueError for one that says what this release doesn't know."""

    @abstractmethod
    def _counts(self) -> ColumnElement[bool]:
        """Which rows have not ended by themselves."""

    async def _add(self, rows: Sequence[dict[str, Any]], connection: AsyncConnection | None) -> list[int]:
        """Insert rows, in the transaction of `connection` where one is given, else in one of their own; their ids."""
        if connection is not None:
            return await self._insert(connection, rows)
        async with writing(self._engine) as own:
            return await self._insert(own, rows)

    async def _insert(self, connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> list[int]:
        statement = insert(self.table).returning(self.table.c.id)
        return [(await connection.execute(statement.values(row))).scalar_one() for row in rows]

    async def _read(self, after: int) -> list[RowMapping]:
        rows = self.table.c
        query = select(self.table).where(rows.id > after, self._counts()).order_by(rows.id).limit(_PAGE)
        async with reading(self._engine) as connection:
            return list((await connection.execute(query)).mappings())

    def _covered(self) -> ColumnElement[bool]:
        rows, later = self.table.c, self.table.alias("later")
        same = later.c[self.subject] == rows[self.subject]
        above = or_(
            later.c[self.order] > rows[self.order],
            and_(later.c[self.order] == rows[self.order], later.c.id > rows.id),
        )
        return select(later.c.id).where(same, above).exists()
