"""Leases of shards: shared out fairly, kept while their holder lives, and never two holders that write."""

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from notifiers.alerts.alert import SHARDS
from notifiers.alerts.shards import Lost, Shards, Tenure
from notifiers.alerts.writing import hold
from schemas.tables import alert_engines, alert_shards


async def holds(engine: AsyncEngine, tenure: Tenure) -> bool:
    try:
        async with engine.begin() as connection:
            await hold(connection, tenure)
    except Lost:
        return False
    return True


async def let_time_pass(engine: AsyncEngine, ms: int) -> None:
    """As if all that was said so far had been said earlier, by the database's clock."""
    async with engine.begin() as connection:
        shards, engines = alert_shards.c, alert_engines.c
        await connection.execute(update(alert_shards).values(lease_until_ms=shards.lease_until_ms - ms))
        await connection.execute(update(alert_engines).values(seen_at_ms=engines.seen_at_ms - ms))


async def test_the_only_engine_has_all_shards_and_keeps_them(engine: AsyncEngine) -> None:
    shards = Shards(engine, owner="a")
    held, surplus = await shards.turn()

    assert ({one.shard for one in held}, surplus) == (set(range(SHARDS)), 0)
    assert await shards.turn() == (held, 0)


async def test_a_second_engine_gets_its_half_once_the_first_gives_it_back(engine: AsyncEngine) -> None:
    first, second = Shards(engine, owner="a"), Shards(engine, owner="b")
    await first.turn()
    assert (await second.turn()).held == frozenset()

    held, surplus = await first.turn()
    assert surplus == SHARDS // 2
    for tenure in sorted(held)[:surplus]:
        await first.release(tenure)

    theirs = (await second.turn()).held
    mine, surplus = await first.turn()
    assert (len(mine), len(theirs), surplus) == (SHARDS // 2, SHARDS // 2, 0)
    assert {one.shard for one in mine}.isdisjoint(one.shard for one in theirs)


async def test_a_stopped_engine_that_wakes_up_late_can_write_nothing(engine: AsyncEngine) -> None:
    first, second = Shards(engine, owner="a"), Shards(engine, owner="b")
    old = (await first.turn()).held
    await let_time_pass(engine, 10_500)

    new = (await second.turn()).held

    assert len(new) == SHARDS
    assert not any([await holds(engine, tenure) for tenure in old])
    assert all([await holds(engine, tenure) for tenure in new])
    assert (await first.turn()).held == frozenset()


async def test_an_engine_that_nobody_replaced_goes_on_after_its_lease_ended(engine: AsyncEngine) -> None:
    shards = Shards(engine, owner="a")
    held = (await shards.turn()).held
    await let_time_pass(engine, 3_600_000)

    assert (await shards.turn()).held == held


async def test_who_leaves_makes_room_at_once_and_counts_no_more(engine: AsyncEngine) -> None:
    first, second = Shards(engine, owner="a"), Shards(engine, owner="b")
    await first.turn()
    await first.leave()

    assert len((await second.turn()).held) == SHARDS


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
async def test_when_the_databases_own_clock_jumps_shards_are_found_all_the_same(
    engine: AsyncEngine, jump_ms: int
) -> None:
    await Shards(engine, owner="a").turn()
    await let_time_pass(engine, jump_ms)

    assert len((await Shards(engine, owner="b").turn()).held) == SHARDS


async def test_engines_that_died_are_forgotten(engine: AsyncEngine) -> None:
    await Shards(engine, owner="a").turn()
    await let_time_pass(engine, 61_000)
    await Shards(engine, owner="b").turn()

    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(alert_engines)) == 1
