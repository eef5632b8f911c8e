"""Every instance answers a question, and who can't is named; in one process, over Redis, frozen and dead."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from channels.broker import Broker
from channels.broker_memory import MemoryBroker
from channels.broker_redis import RedisBroker
from channels.registry import Registry
from hub.instances import fleet as module
from hub.instances.fleet import QUESTIONS, Gathered
from schemas.errors import CommandError, ErrorCode
from tests.channels.brokers import FaultyBroker
from tests.channels.recorder import NAMES
from tests.hub.fleet_worker import Echo, Greeting, Instance, running
from tests.hub.live import ROOT, until


def over_redis(url: str, *names: str) -> list[Instance]:
    return [Instance(RedisBroker(url, names=NAMES), name) for name in names]


async def all_living(instances: list[Instance], *others: str) -> None:
    """Returns once each knows of these and no more."""
    everyone = {one.fleet.instance for one in instances} | set(others)
    async with asyncio.timeout(8):
        for one in instances:
            while await one.fleet._others() != everyone - {one.fleet.instance}:  # noqa: ASYNC110 - Redis has no event for it
                await asyncio.sleep(0.02)


async def greet(instance: Instance, text: str = "hello", *, within_s: float = 5.0) -> Gathered[Echo]:
    return await instance.fleet.ask("greet", Greeting(text), Echo, within_s=within_s)


async def test_one_process_asks_itself() -> None:
    alone = Instance(MemoryBroker(), "a")
    async with running(alone):
        told = await greet(alone)
        assert told == Gathered(answers={"a": Echo("hello, says a")})
        await greet(alone, "news")
    assert alone.heard == ["hello", "news"]


async def test_all_instances_answer_and_each_hears_once(redis_url: str) -> None:
    instances = over_redis(redis_url, "a", "b", "c")
    async with running(*instances):
        await all_living(instances)
        for asker in instances:
            told = await greet(asker, f"from {asker.fleet.instance}")
            assert told.missing == ()
            assert {name: echo.text for name, echo in told.answers.items()} == {
                name: f"from {asker.fleet.instance}, says {name}" for name in "abc"
            }
        await greet(instances[0], "news")
        await until(lambda: all(one.heard == ["from a", "from b", "from c", "news"] for one in instances))


async def test_many_questions_at_once_keep_their_answers_apart(redis_url: str) -> None:
    instances = over_redis(redis_url, "a", "b")
    async with running(*instances):
        await all_living(instances)
        asked = await asyncio.gather(*(greet(instances[n % 2], str(n)) for n in range(40)))
        for n, told in enumerate(asked):
            assert {echo.text for echo in told.answers.values()} == {f"{n}, says a", f"{n}, says b"}


async def test_a_long_answer_arrives_whole_and_a_too_long_one_does_not(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instances = over_redis(redis_url, "a", "b")
    async with running(*instances):
        await all_living(instances)
        told = await instances[0].fleet.ask("greet", Greeting("hi", 500_000), Echo, within_s=5.0)
        assert len(told.answers["b"].padding) == 500_000
        monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1000)
        told = await instances[0].fleet.ask("greet", Greeting("hi", 1001), Echo, within_s=0.3)
        assert (set(told.answers), told.missing) == ({"a"}, ("b",))


async def test_an_instance_that_ends_is_missed_until_its_announcement_lapses(redis_url: str) -> None:
    staying, leaving = over_redis(redis_url, "a", "b")
    async with running(staying):
        async with running(leaving):
            await all_living([staying, leaving])
        assert (await greet(staying, within_s=0.2)).missing == ("b",)
        await all_living([staying])
        assert await greet(staying) == Gathered(answers={"a": Echo("hello, says a")})


@contextlib.asynccontextmanager
async def process(url: str, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.hub.fleet_worker", url, name, cwd=ROOT)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def test_a_frozen_process_is_named_and_obeys_once_it_wakes(redis_url: str) -> None:
    (here,) = over_redis(redis_url, "here")
    async with running(here), process(redis_url, "there") as child:
        await all_living([here], "there")
        child.send_signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        before = loop.time()
        told = await greet(here, within_s=0.3)
        assert loop.time() - before < 0.6
        assert (set(told.answers), told.missing) == ({"here"}, ("there",))
        await all_living([here])  # its announcement has lapsed: nobody waits for it any more
        await greet(here, "order")
        assert (await greet(here)).missing == ()
        child.send_signal(signal.SIGCONT)
        await all_living([here], "there")
        told = await here.fleet.ask("recall", Greeting(""), Echo)
        assert told.answers["there"].text.split() == ["hello", "order", "hello"]
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await all_living([here])


async def test_with_the_broker_away_an_instance_answers_for_itself() -> None:
    broker = FaultyBroker()
    alone = Instance(broker, "a")
    async with running(alone):
        await broker.demand(["instance:b"], 60)
        broker.away = {"publish"}
        assert await greet(alone) == Gathered(answers={"a": Echo("hello, says a")}, missing=("b",))
        broker.away = {"*"}
        assert await greet(alone) == Gathered(answers={"a": Echo("hello, says a")}, missing=("b",))


async def test_a_broker_that_does_not_answer_holds_nobody_up() -> None:
    broker = FaultyBroker()
    alone = Instance(broker, "a")
    async with running(alone), broker.held("demanded"):
        assert set((await greet(alone, within_s=0.1)).answers) == {"a"}


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"id":"1","asker":"z","kind":"greet","details":{"text":5}}',
        b'{"id":"1","asker":"z","kind":"greet","details":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"id":"1","asker":"z","kind":"unheard","details":{}}',
        b'{"id":"1","asker":"z","kind":"break","details":{"text":""}}',
    ],
)
async def test_what_another_release_or_a_bug_says_ends_nothing(payload: bytes) -> None:
    broker: Broker = MemoryBroker()
    alone = Instance(broker, "a")
    async with running(alone):
        await until(lambda: _hears(alone.registry))
        await broker.publish(QUESTIONS, payload)
        good = b'{"id":"1","asker":"z","kind":"greet","details":{"text":"after"}}'
        await broker.publish(QUESTIONS, good)
        await until(lambda: alone.heard == ["after"])


async def test_answers_that_pile_up_are_given_up_instead_of_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 3)
    broker = FaultyBroker()
    alone = Instance(broker, "a")
    good = b'{"id":"1","asker":"z","kind":"greet","details":{"text":"more"}}'
    async with running(alone):
        await until(lambda: _hears(alone.registry))
        for _ in range(10):
            await broker.inner.publish(QUESTIONS, good)
        assert len(alone.heard) == 10
        assert alone.fleet._queue.qsize() == 3


def _hears(registry: Registry) -> bool:
    return registry.position(QUESTIONS.name) is not None


def test_no_client_and_no_outsider_can_name_the_channel() -> None:
    with pytest.raises(CommandError) as caught:
        NAMES.parse(QUESTIONS.name)
    assert caught.value.code is ErrorCode.UNKNOWN_CHANNEL
