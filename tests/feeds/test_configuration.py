"""The table of run-time settings, on SQLite and PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from feeds.configuration import MAX_VALUE, Configuration, Entry
from hub.database import engine_for
from schemas.errors import Unavailable


@pytest.fixture
def configuration(engine: AsyncEngine) -> Configuration:
    return Configuration(engine, wall=lambda: 1_795_405_501.9)


async def test_what_was_put_is_what_others_get(engine: AsyncEngine, configuration: Configuration) -> None:
    assert await configuration.get("sessions") is None
    await configuration.put("sessions", '{"holidays":[]}', by="7")
    await configuration.put("other", "1", by="7")
    other = Configuration(engine, wall=lambda: 1_795_405_600.0)
    assert await other.get("sessions") == Entry(value='{"holidays":[]}', updated_at=1_795_405_501, updated_by="7")
    await other.put("sessions", "{}", by="8")
    assert await configuration.get("sessions") == Entry(value="{}", updated_at=1_795_405_600, updated_by="8")


async def test_two_who_put_at_once_leave_one_value(engine: AsyncEngine) -> None:
    writers = [Configuration(engine, wall=lambda: 1.0) for _ in range(8)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number, writer in enumerate(writers):
            group.create_task(writer.put("sessions", str(number), by=str(number)), name=f"writer {number}")
    entry = await writers[0].get("sessions")
    assert entry is not None
    assert entry.value == entry.updated_by


@pytest.mark.parametrize("value", ["", "{", "holiday", '"' + "x" * MAX_VALUE + '"'])
async def test_a_value_that_is_no_json_is_refused(configuration: Configuration, value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await configuration.put("sessions", value, by="7")
    assert await configuration.get("sessions") is None


async def test_a_poll_tells_each_value_once(engine: AsyncEngine, configuration: Configuration) -> None:
    told: list[str | None] = []
    assert await configuration.poll("sessions", told.append)
    assert not await configuration.poll("sessions", told.append)
    await Configuration(engine, wall=lambda: 1.0).put("sessions", "{}", by="7")
    assert await configuration.poll("sessions", told.append)
    await configuration.put("sessions", "{}", by="8")
    assert not await configuration.poll("sessions", told.append)
    assert told == [None, "{}"]


async def test_a_value_that_is_not_taken_is_told_once(configuration: Configuration) -> None:
    def refuse(value: str | None) -> None:
        raise LookupError(value)

    await configuration.put("sessions", "{}", by="7")
    with pytest.raises(LookupError):
        await configuration.poll("sessions", refuse)
    assert not await configuration.poll("sessions", refuse)


async def test_several_are_set_read_and_taken_back_together(engine: AsyncEngine, configuration: Configuration) -> None:
    await configuration.change({"sessions": "{}", "plans": '{"free":{}}', "limits": None}, by="7")
    await configuration.put("other", "1", by="7")
    other = Configuration(engine, wall=lambda: 1_795_405_600.0)
    kept = await other.get_all(["sessions", "plans", "limits"])
    assert {key: entry.value for key, entry in kept.items()} == {"sessions": "{}", "plans": '{"free":{}}'}
    await other.change({"sessions": None, "plans": "{}", "limits": "{}"}, by="8")
    assert await configuration.get_all(["sessions", "plans", "limits", "other"]) == {
        "plans": Entry(value="{}", updated_at=1_795_405_600, updated_by="8"),
        "limits": Entry(value="{}", updated_at=1_795_405_600, updated_by="8"),
        "other": Entry(value="1", updated_at=1_795_405_501, updated_by="7"),
    }
    assert await configuration.get_all([]) == {}


async def test_of_several_all_are_set_or_none(configuration: Configuration) -> None:
    await configuration.change({"sessions": "1"}, by="7")
    with pytest.raises(ValueError, match=r"."):
        await configuration.change({"sessions": "2", "plans": "{"}, by="7")
    entry = await configuration.get("sessions")
    assert entry is not None
    assert entry.value == "1"


async def test_two_who_change_at_once_leave_what_one_of_them_said(engine: AsyncEngine) -> None:
    writers = [Configuration(engine, wall=lambda: 1.0) for _ in range(4)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number, writer in enumerate(writers):
            values = {"sessions": str(number), "plans": str(number)}
            group.create_task(writer.change(values, by=str(number)), name=f"writer {number}")
    kept = await writers[0].get_all(["sessions", "plans"])
    assert kept["sessions"] == kept["plans"]


async def test_a_database_that_fails_is_unavailable(tmp_path: Path) -> None:
    engine = engine_for("", tmp_path)  # without its tables
    configuration = Configuration(engine, wall=lambda: 1.0)
    try:
        with pytest.raises(Unavailable):
            await configuration.get("sessions")
        with pytest.raises(Unavailable):
            await configuration.put("sessions", "{}", by="7")
        with pytest.raises(Unavailable):
            await configuration.poll("sessions", lambda _: None)
    finally:
        await engine.dispose()
