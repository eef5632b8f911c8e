"""What a failing database looks like to everyone above it: one error, with a text that gives nothing away."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

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
