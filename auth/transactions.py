"""How this package talks to the database: with a deadline, and with one kind of error where it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.durations import Seconds
from schemas.errors import TickhubError
from schemas.storage import begun, database_errors, for_reading

TIMEOUT_S: Seconds = 5.0
"""From asking for a connection to the commit."""


class ConstraintBroken(TickhubError):
    """A unique or foreign key didn't allow what was written, and nothing of the transaction was."""


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """For statements that only read, see `for_reading`. Raises Unavailable; cancelling is safe."""
    with database_errors():
        async with asyncio.timeout(TIMEOUT_S), for_reading(engine).connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that is committed at the end of the block, and undone by any error that leaves it.

    Raises Unavailable, or ConstraintBroken after undoing it. Cancelling is safe, and undoes it.
    """
    with database_errors():
        try:
            async with asyncio.timeout(TIMEOUT_S), begun(engine) as connection:
                yield connection
        except IntegrityError as exc:
            raise ConstraintBroken from exc
