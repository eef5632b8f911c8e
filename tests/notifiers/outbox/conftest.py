import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.database import engine_for, migrate
from notifiers.outbox.deliveries import Deliveries
from notifiers.outbox.delivery import Delivery
from schemas.tables import alerts, deliveries, delivery_attempts, provider_reports, triggers
from tests.conftest import _administer


class Place(NamedTuple):
    """Where a database is: its URL, empty for SQLite, and the folder of that."""

    url: str
    folder: Path


@pytest.fixture(scope="package", params=["sqlite", "postgres"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A database of each kind in turn, migrated once for all tests here."""
    place = Place("", tmp_path_factory.mktemp("outbox"))
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        name = f"test_{uuid.uuid4().hex[:12]}"
        _administer(server, f"CREATE DATABASE {name}")
        place = Place(urlunsplit(urlsplit(server)._replace(path=f"/{name}")), place.folder)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _migrate(place)).result()
    yield place
    if place.url:
        _administer(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _migrate(place: Place) -> None:
    engine = engine_for(*place)
    await migrate(engine)
    await engine.dispose()


@pytest.fixture
async def engine(migrated: Place) -> AsyncIterator[AsyncEngine]:
    """An empty database of each kind in turn."""
    engine = engine_for(*migrated)
    async with engine.begin() as connection:
        for table in (delivery_attempts, deliveries, provider_reports, triggers, alerts):
            await connection.execute(delete(table))
    yield engine
    await engine.dispose()


@pytest.fixture
def told() -> list[Delivery]:
    """What was told of deliveries, in order."""
    return []


@pytest.fixture
def store(engine: AsyncEngine, told: list[Delivery]) -> Deliveries:
    """An empty outbox, on each kind of database; pauses are half as long as they may be."""
    return Deliveries(engine, on_progress=told.extend, chance=lambda: 0.5)
