"""What a failing database looks like to everyone above it: one error, with a text that gives nothing away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from weakref import WeakKeyDictionary

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.errors import Unavailable

_MAX_REASON = 200


@lru_cache(maxsize=8)
def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The engine for statements that only read, each by itself: no transaction is begun and ended around them.

    That saves two of three round trips to PostgreSQL, and its transactions see the newest in each statement anyway. On
    SQLite it is a transaction that others may be beside. No server-side cursors. What is answered is kept, for to
    make it takes as long as a statement does.
    """
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(sqlite_begin="DEFERRED")


_turns: WeakKeyDictionary[AsyncEngine, asyncio.Lock] = WeakKeyDictionary()


@asynccontextmanager
async def begun(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that writes, committed at the end of the block. Cancelling is safe, and undoes it.

    SQLite has one writer at a time, and who waits there looks again and again without a place in a queue: many writers
    of one process would starve some. Here they take turns, first come first served.
    """
    if engine.dialect.name != "sqlite":
        async with engine.begin() as connection:
            yield connection
        return
    async with _turns.setdefault(engine, asyncio.Lock()), engine.begin() as connection:
        yield connection


@contextmanager
def database_errors() -> Iterator[None]:
    """Turns what drivers and SQLAlchemy raise for a database that fails into Unavailable("database", why).

    A constraint that is broken inside is turned as well; who expects one catches IntegrityError inside the block.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError, TimeoutError) as exc:
        raise Unavailable("database", _reason(exc)) from exc


def _reason(exc: Exception) -> str:
    """The database's own words, without the statement, its values or an address."""
    match exc:
        case DBAPIError():
            text = str(exc.orig).partition(">: ")[2] or str(exc.orig)
            return text.partition("\n")[0][:_MAX_REASON]
        case PoolTimeout():
            return "all connections are in use"
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "connection refused"
        case _:
            return f"no connection ({type(exc).__name__})"
