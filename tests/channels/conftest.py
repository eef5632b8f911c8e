"""Brokers for the contract suite: each twin, and the Redis one also over a cluster."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from channels.broker_memory import MemoryBroker
from channels.broker_redis import RedisBroker
from tests.channels.recorder import NAMES
from tests.servers import RedisCluster

Broker = MemoryBroker | RedisBroker
MakeBroker = Callable[[], Awaitable[Broker]]


class Jump:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Three nodes that share the slots; tests use prefixes of their own."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture(params=["memory", "redis", pytest.param("cluster", marks=pytest.mark.cluster)])
def twin(request: pytest.FixtureRequest) -> str:
    """The name of the twin under test."""
    name: str = request.param
    return name


@pytest.fixture
async def make_broker(twin: str, request: pytest.FixtureRequest) -> AsyncIterator[MakeBroker]:
    """Makes brokers that share one server; of the memory twin there is one, however often it is asked for."""
    made: list[Broker] = []
    prefix = f"t{id(request.node):x}:"

    async def make() -> Broker:
        if twin == "memory":
            if not made:
                made.append(MemoryBroker())
            return made[0]
        url = request.getfixturevalue("redis_url") if twin == "redis" else request.getfixturevalue("redis_cluster").url
        made.append(RedisBroker(url, names=NAMES, prefix=prefix))
        return made[-1]

    yield make
    for broker in made:
        await broker.close()


@pytest.fixture
async def broker(make_broker: MakeBroker) -> Broker:
    """One broker, not listening yet."""
    return await make_broker()


@pytest.fixture
def jump() -> Jump:
    """A clock that stands still until moved."""
    return Jump()
