"""What administrators set is followed by each process, and what can't be read is passed over."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.identity import Plan
from auth.plans import Plans
from channels.broker_memory import MemoryBroker
from channels.channel import ChannelNames
from channels.fanout import Fanout
from channels.namespace import Namespaces
from channels.registry import Registry
from feeds.configuration import Configuration
from hub.database import engine_for, migrate
from hub.instances import runtime as module
from hub.instances.runtime import Runtime
from hub.instances.sections import LimitsSection
from schemas.tables import configuration
from tests.hub.live import until


class Process:
    """What a process lets a runtime change."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.configuration = Configuration(engine, wall=lambda: 1.0)
        self.names = ChannelNames(Namespaces())
        self.plans = Plans.read({"free": {"NSE": "10m"}})
        self.limits: list[LimitsSection] = []
        self.applied = 0
        self.runtime = Runtime(Configuration(engine, wall=lambda: 1.0))
        self.runtime.follow_namespaces(self.names, Registry(MemoryBroker(), Fanout()))
        self.runtime.follow_plans(self.plans)
        self.runtime.follow_limits(self.limits.append)
        self.runtime.on_applied.append(self._count)

    def _count(self) -> None:
        self.applied += 1

    async def set(self, **sections: str | None) -> bool:
        await self.configuration.change(sections, by="boss")
        return await self.runtime.poll()

    def delay_s(self) -> int | None:
        return self.plans.of(Plan.FREE).delay_s("NSE")


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    engine = engine_for("", tmp_path)
    await migrate(engine)
    yield Process(engine)
    await engine.dispose()


@contextlib.asynccontextmanager
async def following(runtime: Runtime) -> AsyncIterator[None]:
    task = asyncio.create_task(runtime.run(), name="runtime")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_nothing_set_changes_nothing(process: Process) -> None:
    assert not await process.runtime.poll()
    assert (process.applied, process.limits, process.delay_s()) == (0, [], 600)


async def test_a_section_is_applied_once_and_taken_back(process: Process) -> None:
    assert await process.set(plans='{"free":{"NSE":"15m"}}', limits='{"rate_limit_max":5}')
    assert process.delay_s() == 900
    assert process.limits == [LimitsSection(rate_limit_max=5)]
    assert process.plans.delays_s == {900}
    assert process.applied == 1
    assert not await process.runtime.poll()
    assert await process.set(plans=None)
    assert (process.delay_s(), process.applied, len(process.limits)) == (600, 2, 1)


async def test_namespaces_come_and_go(process: Process) -> None:
    assert await process.set(namespaces='{"ideas":{"policy":"log"}}')
    assert process.names.parse("ideas:a").namespace.message_type == "ideas:new"
    assert process.names.parse("market:TCS").name == "market:NSE:TCS"
    assert await process.set(namespaces="{}")
    assert process.names.namespaces.get("ideas") is None


@pytest.mark.parametrize(
    "value",
    ["5", "null", "[]", '{"market":{"policy":"log"}}', '{"ideas":{"policy":"newest"}}', '{"ideas":' + "[" * 9000],
)
async def test_a_value_that_somebody_wrote_by_hand_is_passed_over(
    process: Process, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    await process.set(namespaces='{"good":{"policy":"log"}}')
    await _write(process, "namespaces", value)
    with caplog.at_level(logging.WARNING, logger="tickhub.hub.instances.runtime"):
        assert not await process.runtime.poll()
        assert not await process.runtime.poll()
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == ["config.unreadable"]
    assert process.names.namespaces.get("good") is not None
    assert await process.set(namespaces='{"better":{"policy":"log"}}')
    assert process.names.namespaces.get("good") is None


async def _write(process: Process, key: str, value: str) -> None:
    """Straight into the table."""
    async with process.configuration._engine.begin() as connection:
        await connection.execute(update(configuration).where(configuration.c.key == key).values(value=value))


async def test_a_bell_is_answered_at_once_and_a_poll_comes_without(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 60.0)
    async with following(process.runtime):
        await process.configuration.change({"limits": '{"rate_limit_max":5}'}, by="boss")
        process.runtime.ring("limits")
        await until(lambda: process.applied == 1)
    monkeypatch.setattr(module, "POLL_S", 0.01)
    async with following(process.runtime):
        await process.configuration.change({"limits": '{"rate_limit_max":6}'}, by="boss")
        await until(lambda: process.applied == 2)


async def test_a_database_that_is_away_is_told_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.005)
    engine = engine_for("", tmp_path)  # without its tables
    process = Process(engine)
    with caplog.at_level(logging.WARNING, logger="tickhub.hub.instances.runtime"):
        async with following(process.runtime):
            await until(lambda: bool(caplog.records))
            await migrate(engine)
            await process.configuration.change({"limits": "{}"}, by="boss")
            await until(lambda: process.applied == 1)
    assert [record.message for record in caplog.records] == ["config.unread"]
    await engine.dispose()
