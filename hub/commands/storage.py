"""The database for commands that need it, up to date."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from hub import database
from hub.progress import Work, shown
from schemas.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database as it is. Raises Unavailable."""
    url = settings.database_url.reveal() if settings.database_url else ""
    engine = database.engine_for(url, settings.data_dir)
    try:
        yield engine
    finally:
        await engine.dispose()


async def migrate(engine: AsyncEngine) -> Work:
    """Bring it up to date; what there was to do. Raises Unavailable."""
    with shown("Migrating the database") as work:
        await database.migrate(engine, tell=work.tell)
    return work


@asynccontextmanager
async def migrated(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database, up to date. Raises Unavailable."""
    async with opened(settings) as engine:
        await migrate(engine)
        yield engine
