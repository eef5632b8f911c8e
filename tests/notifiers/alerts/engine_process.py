"""An engine as a process of its own: `python -m tests.notifiers.alerts.engine_process URL FOLDER OWNER PRICES`.

It takes all shards and hears the walk from its first price on, so many prices. After all of them it ends as one that is
told to; before that it waits to be killed.
"""

import asyncio
import sys
from pathlib import Path
from random import Random

from hub.database import engine_for
from notifiers.alerts.runner import Runner
from notifiers.alerts.shards import Shards
from notifiers.alerts.triggers import Triggers
from schemas.market import Tick, scaled
from tests.notifiers.alerts.running import Market, quick, until
from tests.notifiers.alerts.stored import NOW_MS

LEASE_MS = 400
TICKS = 2500
PAUSE_S = 0.0005


def walk() -> list[Tick]:
    """The prices of two instruments, the same each time, with jumps."""
    chance = Random(5)
    prices = {"TCS": 100.0, "INFY": 100.0}
    ticks = []
    for step in range(TICKS):
        symbol = chance.choice(("TCS", "INFY"))
        prices[symbol] = min(120.0, max(80.0, round(prices[symbol] + chance.choice((-3, -1, -0.5, 0.5, 1, 3)), 2)))
        ticks.append(Tick("NSE", symbol, scaled(prices[symbol]), NOW_MS + 700 * step))
    return ticks


async def run(url: str, folder: Path, owner: str, prices: int) -> None:
    """Takes over, and plays it all."""
    engine = engine_for(url, folder)
    shards = Shards(engine, owner=owner, lease_ms=LEASE_MS)
    runner = Runner(engine, shards, Triggers(engine, wall=lambda: NOW_MS / 1000), sleep=quick)
    Market(runner)
    task = asyncio.create_task(runner.run(), name="runner")
    await until(lambda: runner.shards == 16 or task.done())
    for number, tick in enumerate(walk()[:prices], 1):
        runner.take(tick, number, tick.time_ms)
        if number % 10 == 0:
            await asyncio.sleep(PAUSE_S * 10)
    if prices < TICKS:
        await task
    task.cancel()
    await asyncio.wait([task])
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
