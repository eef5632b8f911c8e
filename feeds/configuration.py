"""What administrators set at run time, as JSON texts by key, for every process that shares the database."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from channels.broker import Clock
from schemas.durations import Seconds
from schemas.errors import Unavailable
from schemas.storage import begun, database_errors
from schemas.tables import configuration

TIMEOUT_S: Seconds = 5.0
MAX_VALUE = 1_000_000
"""Characters of one value."""

_ATTEMPTS = 5


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One value, and who set it when (Unix seconds)."""

    value: str
    updated_at: int
    updated_by: str


class Configuration:
    """The table `configuration`. Every call raises Unavailable where the database fails, and is safe to cancel."""

    def __init__(self, engine: AsyncEngine, *, wall: Clock) -> None:
        self._engine = engine
        self._wall = wall
        self._polled: dict[str, str | None] = {}

    async def get(self, key: str) -> Entry | None:
        """What is set, if anything."""
        columns = (configuration.c.value, configuration.c.updated_at, configuration.c.updated_by)
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading().connect() as connection:
                row = (await connection.execute(select(*columns).where(configuration.c.key == key))).one_or_none()
        return None if row is None else Entry(value=row.value, updated_at=row.updated_at, updated_by=row.updated_by)

    async def get_all(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What is set of several keys, with one query."""
        columns = (configuration.c.key, configuration.c.value, configuration.c.updated_at, configuration.c.updated_by)
        query = select(*columns).where(configuration.c.key.in_(list(keys)))
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), self._reading().connect() as connection:
                rows = (await connection.execute(query)).all()
        return {row.key: Entry(value=row.value, updated_at=row.updated_at, updated_by=row.updated_by) for row in rows}

    async def put(self, key: str, value: str, *, by: str) -> None:
        """Sets a JSON text; `by` is the administrator's id. The last of two at once stays.

        Raises ValueError for a text that is no JSON or too long. What the value must hold is for its reader to check
        beforehand.
        """
        _check(value)
        fields = {"value": value, "updated_at": int(self._wall()), "updated_by": by}
        if not await self._update(key, fields) and not await self._insert(key, fields):
            await self._update(key, fields)

    async def change(self, values: Mapping[str, str | None], *, by: str) -> None:
        """Sets several JSON texts, or takes them back where they are None: all of them or none; see `put`."""
        kept = [{"key": key, "value": value} for key, value in values.items() if value is not None]
        for row in kept:
            _check(row["value"])
        fields = {"updated_at": int(self._wall()), "updated_by": by}
        rows = [{**row, **fields} for row in kept]
        for _ in range(_ATTEMPTS):
            if await self._replace(list(values), rows):
                return
        raise Unavailable("database", "others keep changing the same")

    async def _replace(self, keys: list[str], rows: list[dict[str, object]]) -> bool:
        """False where another process has inserted one of the keys meanwhile; then nothing has changed."""
        with database_errors():
            try:
                async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                    await connection.execute(delete(configuration).where(configuration.c.key.in_(keys)))
                    if rows:
                        await connection.execute(insert(configuration).values(rows))
            except IntegrityError:
                return False
        return True

    async def poll(self, key: str, apply: Callable[[str | None], None]) -> bool:
        """Hands the value to `apply` if it is another one than at the last poll of this object; True where it was.

        The first poll hands over what it finds; None for nothing. What `apply` raises is raised, once: the same value
        is not handed over again.
        """
        entry = await self.get(key)
        value = None if entry is None else entry.value
        if key in self._polled and self._polled[key] == value:
            return False
        self._polled[key] = value
        apply(value)
        return True

    async def _update(self, key: str, fields: dict[str, object]) -> bool:
        statement = update(configuration).where(configuration.c.key == key).values(fields)
        with database_errors():
            async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                return bool((await connection.execute(statement)).rowcount)

    async def _insert(self, key: str, fields: dict[str, object]) -> bool:
        """False where another process was quicker."""
        with database_errors():
            try:
                async with asyncio.timeout(TIMEOUT_S), begun(self._engine) as connection:
                    await connection.execute(insert(configuration).values(key=key, **fields))
            except IntegrityError:
                return False
        return True

    def _reading(self) -> AsyncEngine:
        return self._engine.execution_options(sqlite_begin="DEFERRED")


def _check(value: str) -> None:
    if len(value) > MAX_VALUE:
        raise ValueError(f"a value of {len(value)} characters; the most is {MAX_VALUE}")
    msgspec.json.decode(value)
