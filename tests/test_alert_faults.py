"""Whole processes die and freeze while alerts fire: what fires is what would have fired, once each.

Prices only rise across the levels while something is broken: then each level that the last price lies beyond has been
crossed once, whatever was heard in between, so that what must fire is known.
"""

import asyncio
import time

from tests.alert_estate import START, Estate, Watched, eventually, installed
from tests.notifiers.providers.cue_server import CueServer, answer
from tests.servers import PostgresServer, RedisServer

SYMBOLS = [f"FAULT{number}" for number in range(12)]
USERS = ["asha", "ravi", "meera", "kiran"]
LEVELS = [START + step + 0.5 for step in range(20)]


async def watching(estate: Estate, url: str) -> list[Watched]:
    """Every user has alerts on some of the instruments, 240 in all, the price of which they have seen."""
    await estate.hook(USERS, url)
    await estate.walk(SYMBOLS, START)
    made = await asyncio.gather(
        *(estate.make(USERS[number % 4], symbol, LEVELS) for number, symbol in enumerate(SYMBOLS))
    )
    return [one for several in made for one in several]


def crossings(alerts: list[Watched], *tops: float) -> dict[int, int]:
    """How often each fires where the price rises to these, each time from where it began."""
    return {one.id: sum(one.level <= top for top in tops) for one in alerts}


async def owner_of(estate: Estate, symbol: str) -> str:
    query = "SELECT owner FROM alert_shards s JOIN alerts a ON a.shard = s.shard WHERE a.symbol = $1 LIMIT 1"
    return str((await estate.rows(query, symbol))[0][0])


async def test_engines_that_are_killed_or_freeze_neither_lose_nor_double_what_fires(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    async with CueServer() as receiver, installed(own_redis, own_postgres, engines=3) as estate:
        receiver.cues = [answer(200)]
        alerts = await watching(estate, receiver.url)
        killed, frozen, _ = estate.engines
        steps = asyncio.create_task(estate.walk(SYMBOLS, *(START + step for step in range(1, 13))), name="walk")
        await eventually(lambda: estate.count("SELECT count(*) >= 30 FROM triggers"))
        before = await estate.owners()
        await estate.kill(killed)
        frozen.pause()
        began = time.monotonic()
        await steps
        await estate.walk(SYMBOLS[::2], START + 14.6)
        for symbol in SYMBOLS[1::2]:
            assert await estate.publish(symbol, START + 13, high=START + 14.6) == 201
        await estate.have_fired(crossings(alerts, START + 14.6) , within_s=30)
        print(f"failover {time.monotonic() - began:.1f} s, before {before}, after {await estate.owners()}")
