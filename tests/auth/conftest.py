"""A migrated database of each kind, and a clock that stands still until it is moved."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for, migrate

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


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A DATABASE_URL; empty for SQLite."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def engine(url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for(url, tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def other_engine(engine: AsyncEngine, url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """The same database, as another process sees it."""
    other = engine_for(url, tmp_path)
    yield other
    await other.dispose()
