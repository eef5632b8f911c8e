"""Whole processes die and freeze while alerts fire: what fires is what would have fired, and arrives, once each.

Prices only rise while something is broken: then each level that the last price lies beyond has been crossed once,
whatever was heard in between, so that it is known what must fire. What was accepted more than once, or may have been,
is counted, and must stand in the history of its delivery.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.alert_estate import START, Estate, Watched, eventually, installed
from tests.alert_providers import Counted, Providers, providing
from tests.servers import PostgresServer, RedisServer

SYMBOLS = [f"FAULT{number}" for number in range(12)]
TRADERS = ["asha", "ravi", "meera", "kiran", "tara", "dev"]
LEVELS = [START + step + 0.5 for step in range(20)]
CUSTOMERS = [f"u_{letter * 16}" for letter in "abcdef"]
"""With accounts: they have addresses."""


async def watching(estate: Estate, url: str, symbols: Sequence[str] = SYMBOLS) -> list[Watched]:
    """Traders have alerts on twenty levels of each instrument, whose price they have seen."""
    await estate.hook(TRADERS, url)
    await estate.walk(symbols, START)
    users = [TRADERS[number % len(TRADERS)] for number in range(len(symbols))]
    made = await asyncio.gather(*map(estate.make, users, symbols, [LEVELS] * len(symbols)))
    return [one for several in made for one in several]


def crossings(alerts: Sequence[Watched], *tops: float) -> dict[int, int]:
    """How often each fires where the price rises to these, each time from where it began."""
    return {one.id: sum(one.level <= top for top in tops) for one in alerts}


async def counted(estate: Estate, providers: Providers, channel: str) -> Counted:
    """What became of a channel's deliveries. All that was accepted twice was in doubt, and is told to be."""
    found = await estate.rows("SELECT id, key, provider_id FROM deliveries WHERE channel = $1", channel)
    accepted, doubts = providers.accepted(channel), await estate.doubts(channel)
    if channel == "webhook":
        lost = sum(not accepted[one["key"]] for one in found)
        for one in found:
            assert accepted[one["key"]] <= 1 + doubts[one["id"]], dict(one)
    else:
        lost = len(found) - len(accepted)
    doubled = accepted.total() - len(accepted)
    assert doubled <= doubts.total()
    return Counted(len(found), lost, doubled, doubts.total())


async def told_of_doubts(estate: Estate, alerts: Sequence[Watched], channel: str) -> int:
    """How many attempts owners are shown to have been in doubt."""
    shown = await asyncio.gather(*map(estate.told, alerts))
    attempts = [
        one for items in shown for item in items if item["channel"] == channel for one in item["attempts"]
    ]
    return sum(one["reason"] == "lost" or one["state"] in ("unknown", "untaken") for one in attempts)


# -- engines ----------------------------------------------------------------------------------------------------------


async def test_engines_that_are_killed_or_freeze_neither_lose_nor_double_what_fires(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    async with providing() as providers, installed(own_redis, own_postgres, engines=3) as estate:
        alerts = await watching(estate, providers.hook_url)
        killed, frozen, _ = estate.engines
        before = set(await estate.owners())
        rising = asyncio.create_task(estate.walk(SYMBOLS, *(START + step for step in range(1, 13))), name="rising")
        await eventually(lambda: estate.count("SELECT (count(*) >= 30)::int FROM triggers"))
        await estate.kill(killed)
        await freeze_within_a_transaction(estate, frozen)
        began = time.monotonic()
        await rising
        await outage(estate)
        await estate.have_fired(crossings(alerts, START + 14.7), within_s=30)
        print(f"all shards taken over and up to date after {time.monotonic() - began:.1f} s")
        assert len(before & set(await estate.owners())) == 1
        await the_frozen_one_wakes(estate, alerts, frozen, killed)
        assert await counted(estate, providers, "webhook") == Counted(12 * (15 + 20 + 20), 0, 0, 0)


async def freeze_within_a_transaction(estate: Estate, frozen: object) -> None:
    """So that it holds locks while it is away."""


async def outage(estate: Estate) -> None:
    """What is published while nobody hears half of it: of a peak nothing is left but the day's high."""
    await estate.walk(SYMBOLS[::2], START + 14.7)
    for symbol in SYMBOLS[1::2]:
        assert await estate.publish(symbol, START + 14.7) == 201
        assert await estate.publish(symbol, START + 13, high=START + 14.7) == 201


async def the_frozen_one_wakes(estate: Estate, alerts: Sequence[Watched], *others: object) -> None:
    """It writes nothing more of what it knew, gets its share again, and so does one that is started anew."""
