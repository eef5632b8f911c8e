"""The Redis broker and the ingest over a cluster; the contract suite runs there too (`test_broker`)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as redis
from redis.asyncio.cluster import RedisCluster as ClusterClient

from channels.broker_redis import RedisBroker
from channels.ingest import Ingest
from schemas.errors import Unavailable
from tests.channels.recorder import NAMES, channel, listening, until
from tests.servers import RedisCluster

pytestmark = pytest.mark.cluster

MARKET = channel("market:NSE:RELIANCE")
SYMBOLS = [channel(f"market:NSE:S{number}") for number in range(200)]


@pytest.fixture
def own_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@asynccontextmanager
async def broker_of(cluster: RedisCluster, prefix: str) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(
        cluster.url, names=NAMES, prefix=prefix, timeout_s=2.0, probe_interval_s=0.1, probe_timeout_s=1.5
    )
    try:
        yield broker
    finally:
        await broker.close()


async def test_partitions_are_spread_over_all_nodes(redis_cluster: RedisCluster) -> None:
    async with broker_of(redis_cluster, "spread:") as broker, listening(broker) as heard:
        await broker.subscribe(SYMBOLS)
        await broker.publish_latest([(symbol, b"{}") for symbol in SYMBOLS])
        await heard.until(lambda heard: len(heard.heard) == len(SYMBOLS))
        assert len(broker.listener._wires) == 3
        assert len(await broker.last(SYMBOLS)) == len(SYMBOLS)


async def test_a_raw_publish_to_any_node_is_heard_once(redis_cluster: RedisCluster) -> None:
    async with broker_of(redis_cluster, "raw:") as broker, listening(broker) as heard:
        await broker.subscribe([MARKET])
        for number, node in enumerate(redis_cluster.nodes, start=1):
            node.command("PUBLISH", "raw:market:RELIANCE", f'{{"price":{number}}}')
        await heard.until(lambda heard: len(heard.heard) >= 3)
    assert sorted(heard.payloads()) == [b'{"price":1.0}', b'{"price":2.0}', b'{"price":3.0}']


async def test_a_cluster_addressed_as_one_server_is_said_so(redis_cluster: RedisCluster) -> None:
    said = []
    for node in redis_cluster.nodes:
        broker = RedisBroker(node.url, names=NAMES)
        try:
            await broker.check()
        except Unavailable as exc:
            said.append(exc.why)
        await broker.close()
    assert said == ["it is a cluster, which wants redis+cluster:// in its address"] * 2


async def test_ingest_crosses_slots(redis_cluster: RedisCluster) -> None:
    places = [channel(f"signals:c{number}") for number in range(20)]
    worker = Ingest(redis_cluster.url, names=NAMES, clock=time.monotonic, prefix="xs:")
    async with (
        broker_of(redis_cluster, "xs:") as broker,
        listening(broker) as heard,
        asyncio.TaskGroup() as tasks,
    ):
        await broker.subscribe(places)
        task = tasks.create_task(worker.run())
        async with ClusterClient.from_url(redis_cluster.nodes[0].url) as client:
            for number in range(300):
                data = json.dumps({"symbol": str(number), "signal_type": "BUY", "confidence": 1})
                await client.xadd("xs:ingest", {"channel": f"signals:c{number % 20}", "data": data})
            await client.xadd("xs:ingest", {"channel": "nothing:here", "data": "{}"})
            await heard.until(lambda heard: len(heard.heard) == 300)
            await until(lambda: worker.dead == 1)
            assert await client.xlen("xs:ingest:dead") == 1
        task.cancel()
    for number, place in enumerate(places):
        publications = [held for held in heard.heard if held.channel == place.name]
        assert [int(json.loads(held.payload)["symbol"]) for held in publications] == list(range(number, 300, 20))


async def test_a_slot_that_moves_is_followed(own_cluster: RedisCluster) -> None:
    """The partition's slot goes to another node while it is heard: a short interruption, then all as before."""
    async with broker_of(own_cluster, "hub:") as broker, listening(broker) as heard:
        await broker.subscribe([MARKET])
        await broker.publish(MARKET, b'{"n":0}')
        await heard.until_heard(b'{"n":0}')
        (envelope,) = broker.listener._wanted
        slot = own_cluster.nodes[0].command("CLUSTER", "KEYSLOT", envelope.decode()).decode().strip()[1:]
        owner = int(slot) * 3 // 16384
        source, target = own_cluster.nodes[owner], own_cluster.nodes[(owner + 1) % 3]
        ids = [node.command("CLUSTER", "MYID").decode().strip() for node in (source, target)]
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        async with redis.Redis.from_url(source.url) as client:
            keys = await client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
            await client.execute_command("MIGRATE", target.host, target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *own_cluster.nodes):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        await heard.until(lambda heard: heard.interruptions >= 1)
        receipt = await broker.publish(MARKET, b'{"n":1}')
        await heard.until_heard(b'{"n":1}')
    assert receipt.offset > heard.heard[0].offset


async def test_a_node_that_dies_and_returns_is_heard_again(own_cluster: RedisCluster) -> None:
    async with broker_of(own_cluster, "hub:") as broker, listening(broker) as heard:
        await broker.subscribe(SYMBOLS)
        await broker.publish_latest([(symbol, b'{"n":0}') for symbol in SYMBOLS])
        await heard.until(lambda heard: len(heard.heard) == len(SYMBOLS))
        await asyncio.to_thread(own_cluster.nodes[1].kill)
        await until(lambda: not broker.connected)
        with pytest.raises(Unavailable):
            await broker.publish_latest([(symbol, b'{"n":1}') for symbol in SYMBOLS])
        await asyncio.to_thread(own_cluster.nodes[1].start)
        for node in own_cluster.nodes:
            await asyncio.to_thread(node.await_cluster, nodes=3)
        await until(lambda: broker.connected and heard.interruptions >= 1)
        await broker.publish_latest([(symbol, b'{"n":2}') for symbol in SYMBOLS])
        await heard.until(lambda heard: heard.payloads().count(b'{"n":2}') == len(SYMBOLS))
