"""What a failing database looks like to everyone above it: one error, with a text that gives nothing away."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from schemas.errors import Unavailable

_MAX_REASON = 200


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
