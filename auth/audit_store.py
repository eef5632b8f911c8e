"""The tables of the audit trail: entries are appended to their chains, looked for, and taken off a chain's beginning.

Everything raises Unavailable where the database fails, and is safe to cancel.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auth.audit_chain import GENESIS, Entry, seal
from schemas.durations import Seconds
from schemas.storage import begun, database_errors
from schemas.tables import audit, audit_anchors

TIMEOUT_S: Seconds = 5.0
PAGE = 500
"""Entries that are read at once; checking so many holds up the event loop for some 10 ms."""
MAX_TOTAL = 100_000
"""Up to where what was found is counted: on millions of entries counting would take longer than reading."""
LOCK = int.from_bytes(b"audit")
"""The key of PostgreSQL's advisory lock."""

_COLUMNS = tuple(audit.c[name] for name in Entry.__struct_fields__)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries: `action` is a beginning of actions, `words` stand anywhere in action, actor, target or details.

    Times in Unix milliseconds, from inclusive, to exclusive. Entries without a risk count as less than any.
    """

    level: str | None = None
    action: str | None = None
    actor: str | None = None
    target: str | None = None
    address: str | None = None
    min_risk: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    words: str | None = None
    sort: Literal["at", "risk"] = "at"
    descending: bool = True
    limit: int = 50
    offset: int = 0


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain begins: after the entry `last_id`, whose hash was `hash`."""

    last_id: int = 0
    hash: str = GENESIS


class Batch:
    """Drafts that are to be written together. `last` is what the last of them became at the latest attempt."""

    def __init__(self, drafts: Sequence[Entry]) -> None:
        self.drafts = drafts
        self.last: Entry | None = None


class AuditStore:
    """The tables `audit` and `audit_anchors`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(sqlite_begin="DEFERRED")

    # -- writing --------------------------------------------------------------------------------------------------

    async def append(self, batch: Batch) -> None:
        """Append the drafts to their levels' chains, in one transaction.

        May be called again with the same batch after a failure: a commit of which no answer came is found, and
        nothing is written twice.
        """
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                await _lock(connection)
                if batch.last is not None and await _is_there(connection, batch.last):
                    return
                entries = await _chained(connection, batch.drafts)
                batch.last = entries[-1]
                await connection.execute(insert(audit), [msgspec.structs.asdict(entry) for entry in entries])

    async def begin_after(self, level: str, last: Entry, *, at: int) -> int:
        """Let the level's chain begin after that entry; says how many were deleted."""
        moved = {"last_id": last.id, "hash": last.hash, "pruned_at": at}
        rows, anchors = audit.c, audit_anchors.c
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                await _lock(connection)
                done = await connection.execute(delete(audit).where(rows.level == level, rows.id <= last.id))
                if not done.rowcount:  # another process was quicker
                    return 0
                known = await connection.execute(update(audit_anchors).where(anchors.level == level).values(moved))
                if not known.rowcount:
                    await connection.execute(insert(audit_anchors).values(level=level, **moved))
                return done.rowcount

    # -- reading --------------------------------------------------------------------------------------------------

    async def find(self, wanted: Wanted) -> tuple[list[Entry], int]:
        """The entries of a page, and how many there are in all, counted up to MAX_TOTAL."""
        found = _matching(wanted).limit(wanted.limit).offset(wanted.offset)
        counted = select(audit.c.id).where(*_conditions(wanted)).limit(MAX_TOTAL).subquery()
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading.connect() as connection:
                entries = await _entries(connection, found)
                total = await connection.scalar(select(func.count()).select_from(counted))
        return entries, total or 0

    async def stream(self, wanted: Wanted) -> AsyncIterator[list[Entry]]:
        """All entries that match and are there by now, page by page. Between two pages no connection is held."""
        newest = await self._newest_id()
        query = _matching(wanted).where(audit.c.id <= newest).limit(PAGE)
        entries = await self._read(query)
        while entries:
            yield entries
            if len(entries) < PAGE:
                return
            entries = await self._read(query.where(_beyond(wanted, entries[-1])))

    async def levels(self) -> list[str]:
        """Every level that an entry has, one that somebody made up too."""
        found: list[str] = []
        lowest = select(func.min(audit.c.level))  # each a step along the index
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading.connect() as connection:
                level = await connection.scalar(lowest)
                while level is not None:
                    found.append(level)
                    level = await connection.scalar(lowest.where(audit.c.level > level))
        return found

    async def chain(self, level: str, after: int = 0) -> tuple[Anchor, list[Entry]]:
        """Where the level's chain begins, and its next entries, as both were at one moment."""
        query = select(*_COLUMNS).where(audit.c.level == level, audit.c.id > after).order_by(audit.c.id).limit(PAGE)
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading.connect() as connection:
                await _lock(connection, shared=True)
                return await _anchor(connection, level), await _entries(connection, query)

    async def _newest_id(self) -> int:
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading.connect() as connection:
                return await connection.scalar(select(func.max(audit.c.id))) or 0

    async def _read(self, query: Select[Any]) -> list[Entry]:
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading.connect() as connection:
                return await _entries(connection, query)


async def _lock(connection: AsyncConnection, *, shared: bool = False) -> None:
    """Have the chains to ourselves until the transaction ends. SQLite's BEGIN has seen to it already."""
    if connection.dialect.name == "postgresql":
        how = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        await connection.execute(text(f"SELECT {how}(:key)"), {"key": LOCK})


async def _is_there(connection: AsyncConnection, entry: Entry) -> bool:
    same = select(audit.c.id).where(audit.c.id == entry.id, audit.c.hash == entry.hash)
    return await connection.scalar(same) is not None


async def _chained(connection: AsyncConnection, drafts: Sequence[Entry]) -> list[Entry]:
    """The drafts as the next entries; the lock is held, so ids grow along each chain."""
    hashes = {level: await _last_hash(connection, level) for level in {draft.level for draft in drafts}}
    entries = []
    for entry_id, draft in zip(await _next_ids(connection, len(drafts)), drafts, strict=True):
        entry = seal(draft, entry_id=entry_id, previous_hash=hashes[draft.level])
        hashes[draft.level] = entry.hash
        entries.append(entry)
    return entries


async def _last_hash(connection: AsyncConnection, level: str) -> str:
    last = select(audit.c.hash).where(audit.c.level == level).order_by(audit.c.id.desc()).limit(1)
    found: str | None = await connection.scalar(last)
    return (await _anchor(connection, level)).hash if found is None else found


async def _anchor(connection: AsyncConnection, level: str) -> Anchor:
    anchors = audit_anchors.c
    row = (await connection.execute(select(anchors.last_id, anchors.hash).where(anchors.level == level))).one_or_none()
    return Anchor() if row is None else Anchor(last_id=row.last_id, hash=row.hash)


async def _next_ids(connection: AsyncConnection, count: int) -> list[int]:
    """Ids that nobody has had. They are asked for beforehand because an entry's hash covers its id."""
    if connection.dialect.name == "postgresql":
        ask = text("SELECT nextval(pg_get_serial_sequence('audit', 'id')) FROM generate_series(1, :count)")
        return sorted((await connection.execute(ask, {"count": count})).scalars())
    last = await connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")) or 0
    return list(range(last + 1, last + 1 + count))


async def _entries(connection: AsyncConnection, query: Select[Any]) -> list[Entry]:
    names = Entry.__struct_fields__
    return [Entry(**dict(zip(names, row, strict=True))) for row in await connection.execute(query)]


def _sort_key(wanted: Wanted) -> ColumnElement[Any]:
    return audit.c.at_ms if wanted.sort == "at" else func.coalesce(audit.c.risk, -1)


def _matching(wanted: Wanted) -> Select[Any]:
    order = [_sort_key(wanted), audit.c.id]
    return (
        select(*_COLUMNS)
        .where(*_conditions(wanted))
        .order_by(*(column.desc() if wanted.descending else column.asc() for column in order))
    )


def _beyond(wanted: Wanted, entry: Entry) -> ColumnElement[bool]:
    """What comes after the entry in the order that is wanted."""
    risk = -1 if entry.risk is None else entry.risk
    here = tuple_(entry.at_ms if wanted.sort == "at" else risk, entry.id)
    place = tuple_(_sort_key(wanted), audit.c.id)
    return place < here if wanted.descending else place > here


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    rows = audit.c
    conditions = [
        column == value
        for column, value in [
            (rows.level, wanted.level),
            (rows.actor, wanted.actor),
            (rows.target, wanted.target),
            (rows.address, wanted.address),
        ]
        if value is not None
    ]
    if wanted.action is not None:
        conditions.append(rows.action.startswith(wanted.action, autoescape=True))
    if wanted.min_risk is not None:
        conditions.append(rows.risk >= wanted.min_risk)
    if wanted.from_ms is not None:
        conditions.append(rows.at_ms >= wanted.from_ms)
    if wanted.to_ms is not None:
        conditions.append(rows.at_ms < wanted.to_ms)
    if wanted.words is not None:
        conditions.append(_anywhere(wanted.words))
    return conditions


def _anywhere(words: str) -> ColumnElement[bool]:
    columns = (audit.c.action, audit.c.actor, audit.c.target, audit.c.details)
    return or_(*(column.icontains(words, autoescape=True) for column in columns))
