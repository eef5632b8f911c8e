"""A clock that stands still until it is moved, and a second process at the same database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for

NOW = 1_800_000_000


class Clock:
    """The time, in Unix seconds."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def other_engine(engine: AsyncEngine, database_url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """The same database, as another process sees it."""
    other = engine_for(database_url, tmp_path)
    yield other
    await other.dispose()
