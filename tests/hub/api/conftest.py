"""A hub and its administration, as several tests of the API want them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hub.administration import Desk, administered


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A hub on each database in turn."""
    environ = {"DATABASE_URL": database_url} if database_url else {}
    async with administered(tmp_path, **environ) as desk:
        yield desk


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Desk]:
    """A hub over SQLite."""
    async with administered(tmp_path) as desk:
        yield desk
