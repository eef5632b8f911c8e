"""Whole processes die and freeze while alerts fire: what fires is what would have fired, and arrives, once each.

Prices only rise while something is broken: then each level that the last price lies beyond has been crossed once,
whatever was heard in between, so that it is known what must fire. What was accepted more than once, or may have been,
is counted, and must stand in the history of its delivery.
"""

import asyncio
from collections.abc import Sequence

import pytest

from tests.alert_estate import START, Estate, Watched, eventually, installed
from tests.alert_providers import Counted, Providers, providing
from tests.hub.live import HubProcess, until
from tests.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

SYMBOLS = [f"FAULT{number}" for number in range(12)]
TRADERS = ["asha", "ravi", "meera", "kiran", "tara", "dev"]
CUSTOMERS = [f"u_{letter * 16}" for letter in "abcdef"]
"""With accounts, and so with addresses and numbers."""
LEVELS = [START + step + 0.5 for step in range(20)]
TOP = START + 20


async def watching(estate: Estate, url: str, symbols: Sequence[str] = SYMBOLS) -> list[Watched]:
    """Traders have alerts on twenty levels of each instrument, whose price they have seen."""
    await estate.hook(TRADERS, url)
    await estate.walk(symbols, START)
    users = [TRADERS[number % len(TRADERS)] for number in range(len(symbols))]
    made = await asyncio.gather(*map(estate.make, users, symbols, [LEVELS] * len(symbols)))
    return [one for several in made for one in several]


async def corresponding(estate: Estate, levels: Sequence[float]) -> list[Watched]:
    """Each customer has alerts on these levels of one instrument, by mail and SMS."""
    await estate.sign_up(CUSTOMERS)
    made = [await estate.make(user, SYMBOLS[0], levels, "email", "sms") for user in CUSTOMERS]
    return [one for several in made for one in several]


def crossings(alerts: Sequence[Watched], *tops: float) -> dict[int, int]:
    """How often each fires where the price rises to these, each time from where it began."""
    return {one.id: sum(one.level <= top for top in tops) for one in alerts}


async def counted(estate: Estate, providers: Providers, channel: str) -> Counted:
    """What became of a channel's deliveries; nothing was accepted more often than it may have been."""
    name = "provider_id" if channel == "email" else "key"
    found = await estate.rows("SELECT id, key, provider_id FROM deliveries WHERE channel = $1", channel)
    accepted, doubts = providers.accepted(channel), await estate.doubts(channel)
    for one in found:
        if channel != "sms":
            assert 1 <= accepted[one[name]] <= 1 + doubts[one["id"]], dict(one)
    return Counted(
        deliveries=len(found),
        lost=len(found) - len(accepted),
        doubled=accepted.total() - len(accepted),
        in_doubt=doubts.total(),
    )


async def told_to_be_in_doubt(estate: Estate, alerts: Sequence[Watched], channel: str) -> int:
    """Of how many attempts owners are shown that their outcome was not known."""
    shown = [item for items in await asyncio.gather(*map(estate.told, alerts)) for item in items]
    attempts = [one for item in shown if item["channel"] == channel for one in item["attempts"]]
    taken = sum(one["state"] == "taken" and one["reason"] is not None for one in attempts)
    return taken + sum(one["state"] in ("unknown", "untaken") for one in attempts)


# -- engines ----------------------------------------------------------------------------------------------------------


async def test_engines_that_are_killed_or_freeze_neither_lose_nor_double_what_fires(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    async with providing() as providers, installed(own_redis, own_postgres, engines=3) as estate:
        alerts = await watching(estate, providers.hook_url)
        killed, frozen, _ = estate.engines
        rising = asyncio.create_task(estate.walk(SYMBOLS, *(START + step for step in range(1, 13))), name="rising")
        await eventually(lambda: estate.count("SELECT (count(*) >= 30)::int FROM triggers"))
        await estate.kill(killed)
        await estate.freeze_holding_locks(frozen)
        await rising
        await outage(estate)
        await estate.have_fired(crossings(alerts, START + 14.7), within_s=30)
        assert len(await estate.owners()) == 1
        await rises_while_engines_come(estate, alerts, killed, frozen)
        await estate.are_all("webhook", 12 * (15 + 20 + 20), "delivered")
        assert await counted(estate, providers, "webhook") == Counted(12 * (15 + 20 + 20), 0, 0, 0)


async def outage(estate: Estate) -> None:
    """What is published while only a third is heard: of half of the peaks nothing is left but the day's high."""
    await estate.walk(SYMBOLS, START + 14.7)
    for symbol in SYMBOLS[1::2]:
        assert await estate.publish(symbol, START + 13, high=START + 14.7) == 201


async def rises_while_engines_come(
    estate: Estate, alerts: Sequence[Watched], killed: HubProcess, frozen: HubProcess
) -> None:
    """The frozen one wakes, with prices and firings of before that count no more; then the killed one is back too."""
    await estate.walk(SYMBOLS, START)
    frozen.resume()
    await estate.walk(SYMBOLS, START + 5, TOP - 5)
    await eventually(lambda: engines_are(estate, 2))
    await estate.walk(SYMBOLS, TOP)
    await estate.have_fired(crossings(alerts, START + 14.7, TOP))
    await estate.walk(SYMBOLS, START)
    await estate.start(killed)
    rising = asyncio.create_task(estate.walk(SYMBOLS, *(START + step for step in range(1, 21))), name="rising")
    await eventually(lambda: engines_are(estate, 3))
    await rising
    await estate.have_fired(crossings(alerts, START + 14.7, TOP, TOP))


async def engines_are(estate: Estate, count: int) -> bool:
    owners = await estate.owners()
    return owners.total() == 16 and len(owners) == count


# -- workers ----------------------------------------------------------------------------------------------------------


async def test_a_worker_that_is_killed_again_and_again_loses_nothing_and_doubles_only_what_it_tells_to_be_in_doubt(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    async with providing() as providers, installed(own_redis, own_postgres, **providers.settings) as estate:
        alerts = await watching(estate, providers.hook_url)
        letters = await corresponding(estate, LEVELS[:3])
        providers.hold()
        await eventually(lambda: has_risen(estate, len(alerts) + len(letters)))
        await estate.have_fired(crossings([*alerts, *letters], TOP))
        calling = [await killed_while_it_delivers(estate, providers) for _ in range(2)]
        providers.release()
        calling.append(await killed_while_it_delivers(estate, providers))
        await estate.are_all("webhook", len(alerts), "delivered", within_s=30)
        await estate.are_all("email", len(letters), "sent", within_s=30)
        await estate.are_all("sms", len(letters), "accepted", within_s=30)
        found = {channel: await counted(estate, providers, channel) for channel in ("webhook", "email", "sms")}
        assert min(calling) > 0
        assert [one.lost for one in found.values()] == [0, 0, 0]
        assert found["sms"].doubled == 0
        assert sum(one.in_doubt for one in found.values()) <= sum(calling)
        for channel, asked in (("webhook", alerts), ("email", letters), ("sms", letters)):
            assert found[channel].doubled <= found[channel].in_doubt > 0
            assert await told_to_be_in_doubt(estate, asked, channel) == found[channel].in_doubt


async def has_risen(estate: Estate, count: int) -> bool:
    """The price comes again until all are watched that were made a moment ago; who has fired doesn't by that."""
    await estate.walk(SYMBOLS, TOP)
    return await estate.count("SELECT count(*) FROM triggers") >= count


async def killed_while_it_delivers(estate: Estate, providers: Providers) -> int:
    """The worker is killed once it has asked some more, and another begins after its leases; how much was in flight."""
    asked = len(providers.hooks.asked) + 10
    await until(lambda: len(providers.hooks.asked) >= asked, 20)
    await estate.kill(estate.notifiers)
    calling = await estate.let_leases_end()
    await estate.start(estate.notifiers)
    return calling


# -- servers ----------------------------------------------------------------------------------------------------------


async def test_servers_and_providers_that_die_and_come_back_cost_no_alert_and_no_delivery(
    own_redis: RedisServer, own_postgres: PostgresServer
) -> None:
    async with providing() as providers, installed(own_redis, own_postgres, **providers.settings) as estate:
        alerts = await watching(estate, providers.hook_url, SYMBOLS[:6])
        letters = await corresponding(estate, [START + 11.5, START + 12.5])
        watched = [*alerts, *letters]
        await redis_dies(estate, providers, watched)
        await postgres_dies(estate, providers, watched)
        assert await counted(estate, providers, "webhook") == Counted(6 * 10, 0, 0, 0)
        await providers_die_before(estate, providers, watched)
        assert await counted(estate, providers, "webhook") == Counted(6 * 12, 0, 0, 0)
        assert await counted(estate, providers, "email") == Counted(6, 0, 0, 0)
        assert await counted(estate, providers, "sms") == Counted(6, 0, 0, 0)
        await providers_die_after(estate, providers, watched)
        assert await counted(estate, providers, "webhook") == Counted(6 * 12 + 1, 0, 1, 1)
        assert await counted(estate, providers, "email") == Counted(12, 0, 1, 1)
        assert await counted(estate, providers, "sms") == Counted(12, 0, 0, 1)
        for channel, asked in (("webhook", alerts), ("email", letters), ("sms", letters)):
            assert await told_to_be_in_doubt(estate, asked, channel) == 1
        await estate.are_all("websocket", 6 * 12 + 1 + 12, "sent", "delivered", "read", within_s=30)


async def redis_dies(estate: Estate, providers: Providers, watched: Sequence[Watched]) -> None:
    """Deliveries go on without it; prices are refused, and those that come after it fire."""
    symbols = SYMBOLS[:6]
    providers.hold()
    await estate.walk(symbols, START + 3)
    await until(lambda: len(providers.hooks.asked) >= 6, 20)
    await estate.kill(estate.redis)
    providers.release()
    await estate.have_fired(crossings(watched, START + 3))
    await estate.are_all("webhook", 6 * 3, "delivered")
    assert await estate.publish(SYMBOLS[0], START + 4) == 503
    await asyncio.to_thread(estate.redis.start)
    await eventually(lambda: published(estate, SYMBOLS[0], START + 4))
    await estate.walk(symbols, START + 6)
    await estate.have_fired(crossings(watched, START + 6))
    await estate.are_all("webhook", 6 * 6, "delivered")


async def published(estate: Estate, symbol: str, price: float) -> bool:
    return await estate.publish(symbol, price) == 201


async def postgres_dies(estate: Estate, providers: Providers, watched: Sequence[Watched]) -> None:
    """What fires meanwhile, and what was answered meanwhile, is committed once it is back."""
    symbols = SYMBOLS[:6]
    asked = len(providers.hooks.asked)
    providers.hold()
    await estate.walk(symbols, START + 8)
    await until(lambda: len(providers.hooks.asked) >= asked + 6, 20)
    await estate.kill(estate.postgres)
    providers.release()
    for symbol in symbols:
        await estate.shout(symbol, START + 10)
    await until(lambda: "alerts.uncommitted" in estate.engines[0].log())
    await asyncio.to_thread(estate.postgres.start)
    await estate.have_fired(crossings(watched, START + 10))
    await estate.let_claims_end()
    await estate.are_all("webhook", 6 * 10, "delivered")


async def providers_die_before(estate: Estate, providers: Providers, watched: Sequence[Watched]) -> None:
    """They are tried again until they are back, and nothing is in doubt."""
    providers.die()
    await estate.walk(SYMBOLS[:6], START + 12)
    query = (
        "SELECT count(DISTINCT d.channel) FROM deliveries d JOIN delivery_attempts a ON a.delivery_id = d.id"
        " WHERE a.state IN ('refused', 'unavailable') AND d.channel IN ('webhook', 'email', 'sms')"
    )
    await eventually(lambda: three(estate, query))
    await providers.live()
    await estate.have_fired(crossings(watched, START + 12))
    await estate.are_all("webhook", 6 * 12, "delivered", within_s=30)
    await estate.are_all("email", 6, "sent", within_s=30)
    await estate.are_all("sms", 6, "accepted", within_s=30)


async def three(estate: Estate, query: str) -> bool:
    return await estate.count(query) == 3


async def providers_die_after(estate: Estate, providers: Providers, watched: Sequence[Watched]) -> None:
    """Each has accepted one, and nobody hears of it: mail and webhook come again as the same, the SMS is found."""
    providers.die_unheard()
    await estate.walk(SYMBOLS[:1], START + 12.9)
    higher = [one for one in watched if one.symbol == SYMBOLS[0]]
    await estate.have_fired(crossings(watched, START + 12) | crossings(higher, START + 12.9))
    await estate.are_all("webhook", 6 * 12 + 1, "delivered", within_s=30)
    await estate.are_all("email", 12, "sent", within_s=30)
    await estate.are_all("sms", 12, "accepted", within_s=30)
