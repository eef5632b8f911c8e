"""Killed at any moment, replaced by another: what has fired is what would have fired without it."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.rules import rules_of
from notifiers.alerts.runner import LATENESS_MS
from notifiers.alerts.store import Alerts
from notifiers.conditions.options import Frequency, Options, Rearm
from notifiers.conditions.tree import Compare, Condition, Field, Hold, Move, Number, Step
from notifiers.engine.engine import Engine
from notifiers.engine.samples import Rule
from schemas.tables import deliveries, triggers
from tests.notifiers.alerts.engine_process import TICKS, walk
from tests.notifiers.alerts.stored import crossing, draft, now_s

PRICE = Field(name="price")
CONDITIONS: list[tuple[Condition, Options]] = [
    (crossing(103), Options(frequency=Frequency.EVERY)),
    (crossing(110), Options(frequency=Frequency.ONCE)),
    (
        Compare(left=PRICE, op="<", right=Number(value=97)),
        Options(frequency=Frequency.EVERY, rearm=Rearm.RECOVER, band=2, cooldown_ms=20_000),
    ),
    (Step(value=PRICE, amount=4), Options(frequency=Frequency.EVERY)),
    (Move(value=PRICE, amount=6, within_s=10), Options(frequency=Frequency.EVERY, max_per_day=40)),
    (Hold(term=Compare(left=PRICE, op=">", right=Number(value=101)), samples=3), Options(frequency=Frequency.EVERY)),
]


async def begun(url: str, folder: Path, owner: str, prices: int) -> Process:
    module = "tests.notifiers.alerts.engine_process"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        url,
        str(folder),
        owner,
        str(prices),
        stdout=DEVNULL,
        cwd=Path(__file__).parents[3],
    )


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(triggers)) or 0)


def uninterrupted(rules: list[Rule]) -> list[tuple[object, ...]]:
    """What an engine that nothing happens to says of the walk."""
    engine = Engine()
    for rule in rules:
        engine.put(rule)
    found = []
    for number, tick in enumerate(walk(), 1):
        found += engine.take(tick, number, tick.time_ms)
        found += engine.advance(tick.time_ms - LATENESS_MS)
    return sorted(
        (one.rule, "fired" if one.suppressed is None else "suppressed", one.number, one.at_ms, one.current)
        for one in found
    )


async def committed(engine: AsyncEngine) -> list[tuple[object, ...]]:
    rows = triggers.c
    async with engine.connect() as connection:
        found = await connection.execute(select(rows.alert_id, rows.kind, rows.number, rows.at_ms, rows.facts))
        return sorted((*row[:4], msgspec.json.decode(row.facts).get("current")) for row in found)


@pytest.mark.parametrize("after", [3, 60])
async def test_who_takes_over_from_one_that_was_killed_misses_and_doubles_nothing(
    after: int, engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    store = Alerts(engine, wall=now_s)
    for tree, options in CONDITIONS:
        for symbol in ("TCS", "INFY"):
            await store.create(draft(symbol=symbol, tree=tree, options=options, channels=()), limit=99)
    rules = [rule for shard in range(16) async for page in rules_of(engine, shard) for rule in page.rules]

    first = await begun(database_url, tmp_path, "first", TICKS // 2)
    async with asyncio.timeout(20):
        while await count(engine) < after:  # noqa: ASYNC110 - the other process' doing
            await asyncio.sleep(0.005)
    first.kill()
    await first.wait()
    interrupted_at = await count(engine)
    second = await begun(database_url, tmp_path, "second", TICKS)
    async with asyncio.timeout(30):
        assert await second.wait() == 0

    expected = uninterrupted(rules)
    assert interrupted_at < len(expected)
    assert await committed(engine) == expected
    async with engine.connect() as connection:
        told = await connection.scalar(select(func.count()).select_from(deliveries).where(deliveries.c.kind == "alert"))
        storm_free = select(func.count()).select_from(triggers).where(triggers.c.reason.is_(None))
        assert told == await connection.scalar(storm_free)
