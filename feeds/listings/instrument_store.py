"""Instruments in the database: what each vendor's last master listed, and what every token has meant before.

Everything goes page by page, so that the event loop stays free while a hundred thousand rows go by.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from feeds.instruments import Instrument, Kind, Listing
from feeds.listings.instrument_changes import Changes, Key, Known, changes, token_changes
from feeds.listings.masters.naming import key_of
from schemas.durations import Seconds
from schemas.storage import begun, database_errors
from schemas.tables import instruments, masters, vendor_tokens

UPDATE_TIMEOUT_S: Seconds = 120.0
READ_TIMEOUT_S: Seconds = 60.0
_PAGE = 1000

_FIELDS = tuple(column for column in instruments.c if column.name not in ("id", "delisted_on"))
_NAMES = tuple(column.name for column in _FIELDS)


class InstrumentStore:
    """The tables of instruments. All methods raise Unavailable where the database fails, and are safe to cancel."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._reading = engine.execution_options(sqlite_begin="DEFERRED")
        self._clock = clock

    async def update(self, vendor: str, listings: Sequence[Listing], day: date) -> list[Listing]:
        """Take a vendor's master of a day over, all or nothing; the same with `listed_on` filled in.

        An instrument that goes on keeps its row; a token that means another one by now closes the old row and opens a
        new one; what has expired, or what no vendor lists any more, is closed. Two processes may do so at once.
        """
        with database_errors():
            async with asyncio.timeout(UPDATE_TIMEOUT_S), begun(self._engine) as connection:
                await _lock(connection)
                known = {key_of(row.instrument): row async for row in _known(connection)}
                todo = await asyncio.to_thread(changes, known, listings, day)
                await self._write(connection, todo, day)
                await self._relist(connection, vendor, todo.listings, await asyncio.to_thread(_let_go, known))
                await _close_unlisted(connection, day)
                await self._note(connection, vendor, day)
        return todo.listings

    async def live(self) -> list[Instrument]:
        """All instruments that some vendor lists; where two vendors disagree on a symbol's token, the newer row."""
        found: dict[str, Instrument] = {}
        with database_errors():
            async with asyncio.timeout(READ_TIMEOUT_S), self._reading.connect() as connection:
                async for row in _known(connection):
                    found[f"{row.instrument.exchange}:{row.instrument.symbol}"] = row.instrument
        return list(found.values())

    async def by_vendor(self, vendor: str) -> list[Listing]:
        """What a vendor's last master listed, but for what has been closed since."""
        with database_errors():
            async with asyncio.timeout(READ_TIMEOUT_S), self._reading.connect() as connection:
                tokens = {row_id: token async for token, row_id in _tokens(connection, vendor)}
                return [
                    Listing(instrument=row.instrument, token=tokens[row.id])
                    async for row in _known(connection)
                    if row.id in tokens
                ]

    async def loaded_for(self, vendor: str) -> date | None:
        """The day of the vendor's last master."""
        with database_errors():
            async with asyncio.timeout(READ_TIMEOUT_S), self._reading.connect() as connection:
                day: date | None = await connection.scalar(select(masters.c.day).where(masters.c.vendor == vendor))
                return day

    async def counts(self, vendor: str) -> Mapping[str, int]:
        """How many instruments of each exchange the vendor's last master had."""
        query = (
            select(instruments.c.exchange, func.count())
            .join(vendor_tokens, vendor_tokens.c.instrument_id == instruments.c.id)
            .where(vendor_tokens.c.vendor == vendor)
            .group_by(instruments.c.exchange)
        )
        with database_errors():
            async with asyncio.timeout(READ_TIMEOUT_S), self._reading.connect() as connection:
                return {row[0]: row[1] for row in await connection.execute(query)}

    async def _write(self, connection: AsyncConnection, todo: Changes, day: date) -> None:
        by_id = instruments.c.id == bindparam("row_id")
        await _in_pages(
            connection,
            update(instruments).where(by_id).values(delisted_on=day),
            ({"row_id": row_id} for row_id in todo.closed),
        )
        await _in_pages(
            connection,
            update(instruments).where(by_id).values({name: bindparam(name) for name in _NAMES}),
            ({"row_id": row.id, **_values(row.instrument)} for row in todo.changed),
        )
        await _in_pages(connection, insert(instruments), (_values(one) for one in todo.opened))

    async def _relist(
        self, connection: AsyncConnection, vendor: str, listings: Sequence[Listing], ids: dict[Key, int]
    ) -> None:
        """Make the vendor's tokens those of the listings; what is as before isn't touched. `ids` are of old rows."""
        newest = max(ids.values(), default=0)
        async for row in _known(connection, after=newest):
            ids[key_of(row.instrument)] = row.id
        before = {token: row_id async for token, row_id in _tokens(connection, vendor)}
        gone, new = await asyncio.to_thread(token_changes, before, listings, ids)
        this = and_(vendor_tokens.c.vendor == vendor, vendor_tokens.c.token == bindparam("row_token"))
        await _in_pages(connection, delete(vendor_tokens).where(this), ({"row_token": token} for token in gone))
        rows = ({"vendor": vendor, "token": token, "instrument_id": row_id} for token, row_id in new.items())
        await _in_pages(connection, insert(vendor_tokens), rows)

    async def _note(self, connection: AsyncConnection, vendor: str, day: date) -> None:
        await connection.execute(delete(masters).where(masters.c.vendor == vendor))
        values = {"vendor": vendor, "day": day, "loaded_at": int(self._clock())}
        await connection.execute(insert(masters).values(values))


def _let_go(known: dict[Key, Known]) -> dict[Key, int]:
    """The ids alone; the rows are freed one by one, since freeing all of them at once would hold up the loop."""
    ids = {}
    while known:
        key, row = known.popitem()
        ids[key] = row.id
    return ids


async def _lock(connection: AsyncConnection) -> None:
    """Have the tables to ourselves, but for readers. SQLite's BEGIN IMMEDIATE has seen to it already."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE instruments IN SHARE ROW EXCLUSIVE MODE"))


async def _close_unlisted(connection: AsyncConnection, day: date) -> None:
    listed = exists().where(vendor_tokens.c.instrument_id == instruments.c.id)
    unlisted = and_(instruments.c.delisted_on.is_(None), ~listed)
    await connection.execute(update(instruments).where(unlisted).values(delisted_on=day))


async def _known(connection: AsyncConnection, *, after: int = 0) -> AsyncIterator[Known]:
    """The live rows, oldest first."""
    table = instruments.c
    while True:
        query = select(table.id, *_FIELDS).where(table.delisted_on.is_(None), table.id > after)
        page = (await connection.execute(query.order_by(table.id).limit(_PAGE))).all()
        for row in page:
            yield Known(row[0], _instrument(row[1:]))
        if len(page) < _PAGE:
            return
        after = page[-1][0]


async def _tokens(connection: AsyncConnection, vendor: str) -> AsyncIterator[tuple[str, int]]:
    after = ""
    table = vendor_tokens.c
    while True:
        query = (
            select(table.token, table.instrument_id)
            .where(table.vendor == vendor, table.token > after)
            .order_by(table.token)
            .limit(_PAGE)
        )
        page = (await connection.execute(query)).all()
        for token, row_id in page:
            yield token, row_id
        if len(page) < _PAGE:
            return
        after = page[-1][0]


async def _in_pages(connection: AsyncConnection, statement: Any, rows: Iterable[dict[str, Any]]) -> None:
    rest = iter(rows)
    while page := list(islice(rest, _PAGE)):
        await connection.execute(statement, page)


def _values(instrument: Instrument) -> dict[str, Any]:
    return {name: getattr(instrument, name) for name in _NAMES}


def _instrument(values: Sequence[Any]) -> Instrument:
    fields = dict(zip(_NAMES, values, strict=True))
    return Instrument(**fields | {"kind": Kind(fields["kind"])})
