"""The role in one process: a price is published, and a trigger and its deliveries are there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.alerting.role import AlertRole
from hub.metrics import Metrics
from notifiers.alerts.store import Alerts
from schemas.market import Tick, scaled, tick_payload
from tests.channels.floor import Floor, floor
from tests.channels.recorder import NAMES, channel
from tests.notifiers.alerts.running import fired_count, until
from tests.notifiers.alerts.stored import NOW_MS, draft, now_s


@asynccontextmanager
async def role_on(room: Floor, engine: AsyncEngine, rung: list[bool]) -> AsyncIterator[AlertRole]:
    def ring() -> None:
        rung.append(True)

    role = AlertRole(engine=engine, registry=room.registry, broker=room.broker, names=NAMES, on_deliveries=ring)
    tasks = [asyncio.create_task(part(), name=name) for name, part in role.parts]
    try:
        await until(lambda: role.runner.shards == 16)
        yield role
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_a_published_price_fires_an_alert_that_was_made_a_moment_ago(engine: AsyncEngine) -> None:
    store = Alerts(engine, wall=now_s)
    rung: list[bool] = []
    async with floor() as room, role_on(room, engine, rung) as role:
        store.on_changed.append(lambda _: role.ring())
        made = await store.create(draft(), limit=1)
        await until(lambda: role.sources.heard == 1)
        for second, price in enumerate((2499, 2501)):
            tick = Tick("NSE", "TCS", scaled(price), NOW_MS + 1000 * second)
            await room.broker.publish(channel("market:NSE:TCS"), tick_payload(tick))
        assert await fired_count(engine, 1) == [(made.id, "fired", 1)]
        await until(lambda: bool(rung))
        await until(lambda: role.sources.heard == 0)

        metrics = Metrics()
        role.measure(metrics)
        text = generate_latest(metrics.registry).decode()
        assert "tickhub_alerts_fired_total 1.0" in text
        assert "tickhub_alerts_shards 16.0" in text


async def test_an_alert_of_who_has_prices_late_fires_on_what_is_said_late_and_on_nothing_else(
    engine: AsyncEngine,
) -> None:
    store, market = Alerts(engine, wall=now_s), channel("market:NSE:TCS")
    hour_ago_ms = int(time.time() * 1000) - 3_600_000
    async with floor() as room, role_on(room, engine, []) as role:
        late = await store.create(draft(delay_s=900), limit=9)
        plain = await store.create(draft(), limit=9)
        role.ring()
        await until(lambda: role.sources.heard == 2)
        ticks = [Tick("NSE", "TCS", scaled(price), hour_ago_ms + 1000 * at) for at, price in enumerate((2499, 2501))]
        for tick in ticks:
            await room.broker.publish(market, tick_payload(tick))
        assert await fired_count(engine, 1) == [(plain.id, "fired", 1)]
        for tick in ticks:
            await room.broker.publish(market.delayed(900), tick_payload(tick))
        assert await fired_count(engine, 2) == [(plain.id, "fired", 1), (late.id, "fired", 1)]
    times = [(await store.get(one.id, "7")).last_fired_ms for one in (late, plain)]
    assert times == [hour_ago_ms + 1000] * 2
