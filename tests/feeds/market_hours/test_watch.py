"""The sessions kept up to date, from a real file and a real database."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.configuration import Configuration
from feeds.market_hours.hours import SessionClass
from feeds.market_hours.overrides import CONFIGURATION_KEY, OverridesFile
from feeds.market_hours.sessions import Sessions
from feeds.market_hours.watch import SessionWatch
from hub.database import engine_for, migrate
from schemas.market import IST, MarketState

HOLIDAY_TOML = b'[[holidays]]\ndate = 2026-11-23\nmarkets = ["equity"]\n'
HOLIDAY_JSON = '{"holidays":[{"date":"2026-11-23","markets":["equity"]}]}'
OPEN_JSON = '{"special":[{"date":"2026-11-23","markets":["cash"]}]}'
NOON_MS = int(datetime(2026, 11, 23, 12, tzinfo=IST).timestamp() * 1000)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def configuration(engine: AsyncEngine) -> Configuration:
    return Configuration(engine, wall=lambda: 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sessions.toml"
    path.touch()
    return path


def write(path: Path) -> None:
    path.write_bytes(HOLIDAY_TOML)


def open_classes(sessions: Sessions) -> set[str]:
    return {one.value for one in SessionClass if sessions.state(one, NOON_MS) is MarketState.CONTINUOUS}


async def test_file_and_administrator_are_merged_and_the_administrator_counts(
    configuration: Configuration, path: Path
) -> None:
    sessions = Sessions()
    watch = SessionWatch(sessions, file=OverridesFile(path), configuration=configuration)
    await watch.poll()
    assert open_classes(sessions) == set(SessionClass)
    write(path)
    await watch.poll()
    assert open_classes(sessions) == {"currency", "commodity"}
    await configuration.put(CONFIGURATION_KEY, OPEN_JSON, by="7")
    await watch.poll()
    assert open_classes(sessions) == {"currency", "commodity", "cash"}
    await configuration.put(CONFIGURATION_KEY, "{}", by="7")
    await watch.poll()
    assert open_classes(sessions) == {"currency", "commodity"}


async def test_nonsense_in_the_database_is_told_once_and_changes_nothing(
    configuration: Configuration, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = Sessions()
    watch = SessionWatch(sessions, configuration=configuration)
    await configuration.put(CONFIGURATION_KEY, HOLIDAY_JSON, by="7")
    await watch.poll()
    await configuration.put(CONFIGURATION_KEY, '{"holidays":[{"date":"today"}]}', by="7")
    for _ in range(3):
        await watch.poll()
    assert "cash" not in open_classes(sessions)
    assert [one.message for one in caplog.records] == ["sessions.bad_configuration"]


async def test_a_database_away_is_told_once_and_the_file_still_counts(
    engine: AsyncEngine, configuration: Configuration, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "tickhub.feeds.market_hours.watch")
    sessions = Sessions()
    watch = SessionWatch(sessions, file=OverridesFile(path), configuration=configuration)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE configuration RENAME TO elsewhere"))
    write(path)
    await watch.poll()
    await watch.poll()
    assert open_classes(sessions) == {"currency", "commodity"}
    assert [one.message for one in caplog.records] == ["sessions.database_away"]
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO configuration"))
    await configuration.put(CONFIGURATION_KEY, OPEN_JSON, by="7")
    await watch.poll()
    assert "cash" in open_classes(sessions)


async def test_it_loads_the_calendar_and_polls_again_and_again(path: Path) -> None:
    sessions = Sessions()
    slept: list[float] = []
    done = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:
            assert not sessions.trades_on(SessionClass.CASH, date(2019, 4, 29))  # the package's list
            await asyncio.to_thread(write, path)
            return
        done.set()
        await asyncio.Event().wait()

    watch = SessionWatch(sessions, file=OverridesFile(path), sleep=sleep)
    task = asyncio.create_task(watch.run(), name="watch")
    async with asyncio.timeout(20):
        await done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slept == [5.0, 5.0]
    assert "cash" not in open_classes(sessions)
