"""The ways in for outsiders: what other programs write to Redis with clients of their own."""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis.asyncio as redis

from channels.broker_redis import RedisBroker
from channels.ingest import Ingest
from tests.channels.recorder import NAMES, Recorder, channel, listening, until
from tests.servers import RedisServer, redis_cli

MARKET = channel("market:NSE:RELIANCE")
SIGNALS = channel("signals:generated")
LEADER = "hub:{lease:ingest}"
ROOT = Path(__file__).resolve().parents[2]
SIGNAL = '{"symbol":"TCS","signal_type":"BUY","confidence":%d}'


@asynccontextmanager
async def ingesting(url: str) -> AsyncIterator[Ingest]:
    """An ingest worker that runs inside the block."""
    worker = Ingest(url, names=NAMES, clock=time.monotonic)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(worker.run(), name="ingest")
        try:
            yield worker
        finally:
            task.cancel()


@asynccontextmanager
async def hub(url: str) -> AsyncIterator[tuple[RedisBroker, Recorder, redis.Redis]]:
    """A broker that listens to the test's channels, and a client of somebody else's."""
    broker = RedisBroker(url, names=NAMES)
    try:
        async with listening(broker) as heard, redis.Redis.from_url(url) as client:
            await broker.subscribe([MARKET, SIGNALS])
            yield broker, heard, client
    finally:
        await broker.close()


async def until_empty(client: redis.Redis, *, within_s: float = 20.0) -> None:
    """Returns once the ingest stream holds nothing more to do."""
    async with asyncio.timeout(within_s):
        while await client.xlen("hub:ingest"):  # noqa: ASYNC110 - a stream has no event to offer
            await asyncio.sleep(0.01)


class TestStream:
    async def test_an_entry_is_checked_counted_and_published(self, redis_url: str) -> None:
        async with hub(redis_url) as (broker, heard, client), ingesting(redis_url):
            await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 70 + "\n"})
            await client.xadd("hub:ingest", {"channel": "market:reliance", "data": '{"price": 2500.5}'})
            await heard.until(lambda heard: len(heard.heard) == 2)
            await until_empty(client)
            page = await broker.history(SIGNALS, limit=10)
            last = await broker.last([MARKET])
        by_channel = {publication.channel: publication for publication in heard.heard}
        assert list(page.publications) == [by_channel[SIGNALS.name]]
        assert by_channel[SIGNALS.name].offset == 1
        assert last == {MARKET.name: by_channel[MARKET.name]}
        assert last[MARKET.name].payload == b'{"price":2500.5}'

    async def test_the_line_from_the_manual_works(self, redis_url: str, tmp_path: Path) -> None:
        words = ("XADD", "hub:ingest", "*", "channel", "signals:generated", "data", SIGNAL % 1, "key", "k1")
        async with hub(redis_url) as (_, heard, _), ingesting(redis_url):
            process = await asyncio.create_subprocess_exec(
                redis_cli(tmp_path), "-u", redis_url, *words, stdout=asyncio.subprocess.DEVNULL
            )
            assert await process.wait() == 0
            await heard.until(lambda heard: len(heard.heard) == 1)

    async def test_entries_that_wait_are_published_in_order(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, heard, client):
            async with client.pipeline(transaction=False) as pipeline:
                for number in range(1000):
                    pipeline.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % (number % 100)})
                await pipeline.execute()
            async with ingesting(redis_url) as worker:
                await heard.until(lambda heard: len(heard.heard) == 1000)
                await until_empty(client)
        assert [publication.offset for publication in heard.heard] == list(range(1, 1001))
        assert [json.loads(payload)["confidence"] for payload in heard.payloads()] == [n % 100 for n in range(1000)]
        assert (worker.published, worker.duplicates, worker.dead) == (1000, 0, 0)

    async def test_the_same_key_publishes_once(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, heard, client), ingesting(redis_url):
            for number in range(3):
                fields = {"channel": "signals:generated", "data": SIGNAL % number, "key": "k"}
                await client.xadd("hub:ingest", fields)
            await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 9, "key": "other"})
            await heard.until(lambda heard: len(heard.heard) == 2)
            await until_empty(client)
        assert [json.loads(payload)["confidence"] for payload in heard.payloads()] == [0, 9]

    async def test_bad_entries_go_to_the_dead_with_the_reason(self, redis_url: str) -> None:
        bad: list[tuple[dict[str | bytes, str | bytes], bytes]] = [
            ({"data": "{}"}, b"no field channel"),
            ({"channel": "signals:generated"}, b"no field data"),
            ({"nonsense": "1"}, b"no field channel"),
            ({"channel": "nothing:here", "data": "{}"}, b"UNKNOWN_CHANNEL"),
            ({"channel": "control:revocations", "data": "{}"}, b"UNKNOWN_CHANNEL"),
            ({"channel": "alerts:user", "data": "{}"}, b"UNKNOWN_CHANNEL"),
            ({"channel": "signals:generated", "data": "{"}, b"BAD_REQUEST"),
            ({"channel": "signals:generated", "data": '{"symbol":"TCS"}'}, b"signal_type"),
            ({"channel": "market:TCS", "data": b'{"price":\xff}'}, b"BAD_REQUEST"),
            ({"channel": b"\xff\xfe", "data": "{}"}, b"UTF-8"),
            ({"channel": "x" * 5000, "data": "{}"}, b"at most"),
            ({"channel": "status:a", "data": "{}", "key": "k" * 5000}, b"at most"),
            ({"channel": "status:a", "data": '"' + "x" * 1_000_000 + '"'}, b"at most 65536 bytes"),
            ({f"field{number}": "x" for number in range(9000)}, b"no field channel"),
        ]
        async with hub(redis_url) as (_, heard, client):
            ids = [await client.xadd("hub:ingest", fields) for fields, _ in bad]  # type: ignore[arg-type]
            async with ingesting(redis_url) as worker:
                await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 1})
                await heard.until(lambda heard: len(heard.heard) == 1)
                await until_empty(client)
            dead = [fields for _, fields in await client.xrange("hub:ingest:dead")]
        assert [fields[b"id"] for fields in dead] == ids
        for fields, (sent, reason) in zip(dead, bad, strict=True):
            assert reason in fields[b"reason"]
            name, value = next(iter(sent.items()))
            kept = fields[name.encode() if isinstance(name, str) else name]
            assert (value.encode() if isinstance(value, str) else value).startswith(kept)
        assert worker.dead == len(bad)

    async def test_a_stream_with_ids_of_ones_own_is_taken_too(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, heard, client), ingesting(redis_url):
            for id_ in ("1-1", "1-2", "9-0", "10-0", "10-5", "18446744073709551614-1", "18446744073709551614-2"):
                await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 1}, id=id_)
            await heard.until(lambda heard: len(heard.heard) == 7)
            await until_empty(client)

    async def test_a_stream_that_was_deleted_and_begins_anew_is_taken(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, heard, client), ingesting(redis_url):
            await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 1}, id="500-0")
            await heard.until(lambda heard: len(heard.heard) == 1)
            await until_empty(client)
            await client.delete("hub:ingest")
            await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 2}, id="3-0")
            await heard.until(lambda heard: len(heard.heard) == 2)

    async def test_an_outage_loses_nothing(self) -> None:
        with await asyncio.to_thread(RedisServer(persistent=True).__enter__) as server:
            async with redis.Redis.from_url(server.url) as client, ingesting(server.url) as worker:
                await until(lambda: worker.leading)
                await asyncio.to_thread(server.kill)
                await until(lambda: not worker.leading)
                await asyncio.to_thread(server.start)
                await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 1})
                await until_empty(client)
            assert worker.published == 1


class TestLeader:
    async def test_one_of_many_leads_and_another_follows(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, heard, client), ingesting(redis_url) as second:
            await until(lambda: second.leading)
            async with ingesting(redis_url) as third:
                await client.set(LEADER, "nobody", px=1)
                await until(lambda: not second.leading)
                await until(lambda: second.leading or third.leading)
                await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 1})
                await heard.until(lambda heard: len(heard.heard) == 1)
                assert second.leading != third.leading
            await until(lambda: second.leading)
            await client.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % 2})
            await heard.until(lambda heard: len(heard.heard) == 2)

    async def test_a_leader_whose_lease_was_taken_stops(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, _, client), ingesting(redis_url) as worker:
            await until(lambda: worker.leading)
            in_a_minute = int(time.time() * 1000) + 60_000
            await client.hset(LEADER, mapping={"owner": "somebody else", "until": in_a_minute})
            await until(lambda: not worker.leading)
            assert await client.hget(LEADER, "owner") == b"somebody else"

    async def test_two_that_both_take_themselves_for_the_leader_double_nothing(self, redis_url: str) -> None:
        async with hub(redis_url) as (_, heard, client):
            workers = [Ingest(redis_url, names=NAMES, clock=time.monotonic) for _ in range(3)]
            numbers = list(range(2000))
            async with client.pipeline(transaction=False) as pipeline:
                for number in numbers:
                    pipeline.xadd("hub:ingest", {"channel": "status:a", "data": json.dumps({"n": number})})
                    pipeline.xadd("hub:ingest", {"channel": "signals:generated", "data": SIGNAL % (number % 100)})
                await pipeline.execute()

            async def take_all(worker: Ingest) -> None:
                while await worker._take_batch():  # noqa: ASYNC110 - this is the work, at uneven speed
                    await asyncio.sleep(random.uniform(0, 0.002))
                await worker._link.close()
                await worker._waiting_link.close()

            await asyncio.gather(*map(take_all, workers))
            await heard.until(lambda heard: len(heard.heard) == len(numbers))
        assert [json.loads(payload)["confidence"] for payload in heard.payloads()] == [n % 100 for n in numbers]
        assert [publication.offset for publication in heard.heard] == list(range(1, len(numbers) + 1))

    async def test_killed_at_any_point_nothing_is_lost_doubled_or_disordered(self, redis_url: str) -> None:
        """Workers are killed again and again while entries stream in; each counts exactly once, in order."""
        entries = 8000
        places = [channel(f"signals:c{number}") for number in range(7)]
        rng = random.Random(7)

        async def write(client: redis.Redis) -> None:
            for first in range(0, entries, 50):
                async with client.pipeline(transaction=False) as pipeline:
                    for number in range(first, first + 50):
                        name = f"signals:c{number % 7}"
                        data = json.dumps({"symbol": str(number), "signal_type": "BUY", "confidence": 1})
                        pipeline.xadd("hub:ingest", {"channel": name, "data": "{" if number % 100 == 99 else data})
                    await pipeline.execute()
                await asyncio.sleep(0.02)

        async def kill_again_and_again(client: redis.Redis, writing: asyncio.Task[None]) -> None:
            while not writing.done() or await client.xlen("hub:ingest"):
                await client.delete(LEADER)  # rather than wait for the lease of the dead
                worker = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.channels.ingest_worker", redis_url, cwd=ROOT
                )
                while not await client.exists(LEADER):  # noqa: ASYNC110 - a key has no event to offer
                    await asyncio.sleep(0.002)
                await asyncio.sleep(rng.uniform(0.0, 0.1))  # the point at which it is killed
                worker.kill()
                await worker.wait()
                kills.append(worker.pid)

        kills: list[int] = []
        broker = RedisBroker(redis_url, names=NAMES)
        async with listening(broker) as heard, redis.Redis.from_url(redis_url) as client:
            await broker.subscribe(places)
            async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(write(client), name="write")
                tasks.create_task(kill_again_and_again(client, writing), name="kill")
            good = entries - entries // 100
            await heard.until(lambda heard: len(heard.heard) >= good)
            dead = await client.xrange("hub:ingest:dead")
        await broker.close()
        for number, place in enumerate(places):
            publications = [held for held in heard.heard if held.channel == place.name]
            expected = [n for n in range(number, entries, 7) if n % 100 != 99]
            assert [int(json.loads(held.payload)["symbol"]) for held in publications] == expected
            assert [held.offset for held in publications] == list(range(1, len(expected) + 1))
        assert len(dead) == entries // 100
        assert len(kills) > 3

    async def test_a_leader_that_wakes_up_late_harms_nothing(self, redis_url: str) -> None:
        """It is frozen in the midst of its work, another takes over, and then it goes on as if nothing had been."""

        async def write(first: int) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                for number in range(first, first + 2000):
                    data = json.dumps({"symbol": str(number), "signal_type": "BUY", "confidence": 1})
                    pipeline.xadd("hub:ingest", {"channel": "signals:generated", "data": data})
                await pipeline.execute()

        async with hub(redis_url) as (_, heard, client):
            await write(0)
            sleeper = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.channels.ingest_worker", redis_url, cwd=ROOT
            )
            try:
                await heard.until(lambda heard: len(heard.heard) > 0)
                sleeper.send_signal(signal.SIGSTOP)
                await client.delete(LEADER)  # rather than wait for its lease to end
                async with ingesting(redis_url):
                    await write(2000)
                    await heard.until(lambda heard: len(heard.heard) >= 3000)
                    sleeper.send_signal(signal.SIGCONT)
                    await write(4000)
                    await until_empty(client)
                    await heard.until(lambda heard: len(heard.heard) >= 6000)
            finally:
                sleeper.kill()
                await sleeper.wait()
        assert [int(json.loads(payload)["symbol"]) for payload in heard.payloads()] == list(range(6000))


class TestRaw:
    async def test_a_raw_price_is_a_snapshot_for_who_comes_later(self, redis_url: str) -> None:
        async with hub(redis_url) as (broker, heard, client), ingesting(redis_url) as worker:
            await broker.publish(MARKET, b'{"price":1.0}')
            before = (await broker.last([MARKET]))[MARKET.name]
            await until(lambda: worker.leading)
            async with asyncio.timeout(10):  # the leader begins to hear a moment after it leads
                while (await broker.last([MARKET]))[MARKET.name].payload != b'{"price":2.0}':
                    await client.publish("hub:market:RELIANCE", '{"price": 2}')
                    await asyncio.sleep(0.01)
            stored = (await broker.last([MARKET]))[MARKET.name]
        assert stored.offset > before.offset
        # Stored, but published once: by the outsider.
        assert {publication.offset for publication in heard.heard if publication.payload == b'{"price":2.0}'} == {0}

    async def test_raw_garbage_and_raw_logs_store_nothing(self, redis_url: str) -> None:
        async with hub(redis_url) as (broker, _, client), ingesting(redis_url) as worker:
            await until(lambda: worker.leading)
            async with asyncio.timeout(10):
                while not await broker.last([MARKET]):
                    for name in ("market:NSE:TCS", "nothing:here", "signals:generated"):
                        await client.publish(f"hub:{name}", "garbage")
                    await client.publish("hub:signals:generated", SIGNAL % 1)
                    await client.publish("hub:market:RELIANCE", '{"price": 2}')
                    await asyncio.sleep(0.01)
            assert not await broker.last([channel("market:NSE:TCS")])
            assert (await broker.history(SIGNALS, limit=10)).position.offset == 0
