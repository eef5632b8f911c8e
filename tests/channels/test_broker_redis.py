"""What the Redis broker does when Redis, or the network before it, misbehaves."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as redis

from channels.broker import Member
from channels.broker_redis import RedisBroker
from schemas.commands import Position
from schemas.errors import Unavailable
from tests.channels.recorder import NAMES, Recorder, channel, listening, until
from tests.servers import FaultProxy, RedisServer

MARKET = channel("market:NSE:RELIANCE")
OTHER = channel("market:NSE:TCS")
SIGNALS = channel("signals:generated")
PRICE = b'{"price":1.5}'


@asynccontextmanager
async def quick_broker(url: str, *, prefix: str = "hub:", timeout_s: float = 0.5) -> AsyncIterator[RedisBroker]:
    """A broker that notices within tenths of seconds what the real one notices within seconds."""
    broker = RedisBroker(
        url, names=NAMES, prefix=prefix, timeout_s=timeout_s, probe_interval_s=0.05, probe_timeout_s=0.6
    )
    try:
        yield broker
    finally:
        await broker.close()


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[redis.Redis]:
    async with redis.Redis.from_url(url) as client:
        yield client


async def publish_until_heard(broker: RedisBroker, heard: Recorder, payload: bytes) -> None:
    """Publishes again and again until it comes through; prices are like that."""
    async with asyncio.timeout(10):
        while payload not in heard.payloads():
            try:
                await broker.publish(MARKET, payload)
                await heard.until_heard(payload, within_s=0.2)
            except (Unavailable, TimeoutError):
                continue


class TestOutages:
    async def test_a_restart_brings_back_every_subscription_and_a_new_epoch(self, own_redis: RedisServer) -> None:
        async with quick_broker(own_redis.url) as broker, listening(broker) as heard:
            await broker.subscribe([MARKET, SIGNALS])
            before = await broker.publish(SIGNALS, b'{"n":1}')
            price = await broker.publish(MARKET, PRICE)
            await asyncio.to_thread(own_redis.kill)
            await until(lambda: not broker.connected)
            with pytest.raises(Unavailable):
                await broker.publish(SIGNALS, b'{"n":2}')
            await asyncio.to_thread(own_redis.start)
            await heard.until(lambda heard: heard.interruptions == 1)
            after = await broker.publish(SIGNALS, b'{"n":3}')
            later_price = await broker.publish(MARKET, b'{"price":2.5}')
            await heard.until_heard(b'{"price":2.5}')
            page = await broker.history(SIGNALS, since=Position(before.epoch, before.offset), limit=10)
        assert after.epoch != before.epoch
        assert after.offset == 1
        assert not page.complete
        assert later_price.offset > price.offset
        assert heard.payloads(SIGNALS.name) == [b'{"n":1}', b'{"n":3}']
        assert heard.interruptions == 1

    async def test_what_is_wanted_after_a_restart_is_not_taken_for_what_was_wanted_before(
        self, own_redis: RedisServer
    ) -> None:
        async with quick_broker(own_redis.url) as broker:
            await broker.demand(["market:NSE:TCS"], 60)
            before = await broker.demanded()
            await asyncio.to_thread(own_redis.command, "FLUSHALL")
            await broker.demand(["market:NSE:ACC"], 60)
            assert (await broker.demanded(before.version)).names == {"market:NSE:ACC"}

    async def test_a_restart_with_the_data_kept_is_a_new_epoch_too(self) -> None:
        with await asyncio.to_thread(RedisServer(persistent=True).__enter__) as server:
            async with quick_broker(server.url) as broker:
                before = [await broker.publish(SIGNALS, b'{"n":%d}' % number) for number in range(3)]
                price = await broker.publish(MARKET, PRICE)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                page = await broker.history(SIGNALS, since=Position(before[0].epoch, 1), limit=10)
                after = await broker.publish(SIGNALS, b'{"n":9}')
                held = await broker.last([MARKET])
                later_price = await broker.publish(MARKET, PRICE)
        assert (page.complete, page.publications, page.position.offset) == (False, (), 0)
        assert (after.epoch, after.offset) == (page.position.epoch, 1)
        assert held[MARKET.name].payload == PRICE
        assert later_price.offset > price.offset

    async def test_sequences_grow_over_a_server_that_forgot_its_newest_writes(self, redis_url: str) -> None:
        """As after a failover: what is stored is older than what was published, and under another run id."""
        async with quick_broker(redis_url) as broker, client_of(redis_url) as client:
            for _ in range(5):
                before = await broker.publish(MARKET, PRICE)
            (key,) = [key async for key in client.scan_iter("hub:*:last")]
            await client.hset(key, mapping={"": "abcdef 1", MARKET.name: f"{before.offset - 4} {{}}"})
            await asyncio.sleep(0.01)  # a failover takes longer than that
            assert (await broker.publish(MARKET, PRICE)).offset > before.offset

    async def test_a_killed_pubsub_connection_is_made_again(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker) as heard, client_of(redis_url) as client:
            await broker.subscribe([MARKET])
            for round_ in range(1, 4):
                assert await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await heard.until(lambda heard, round_=round_: heard.interruptions == round_)  # type: ignore[misc]
                await broker.publish(MARKET, b'{"n":%d}' % round_)
                await heard.until_heard(b'{"n":%d}' % round_)

    async def test_a_frozen_server_is_unavailable_within_the_deadline(self, own_redis: RedisServer) -> None:
        async with quick_broker(own_redis.url) as broker, listening(broker) as heard:
            await broker.subscribe([MARKET])
            await broker.publish(MARKET, PRICE)
            own_redis.pause()
            loop = asyncio.get_running_loop()
            started = loop.time()
            for call in (
                broker.publish(MARKET, PRICE),
                broker.publish_latest([(MARKET, PRICE)]),
                broker.history(SIGNALS, limit=1),
                broker.last([MARKET]),
                broker.presence(MARKET),
                broker.claim("k", 1),
                broker.check(),
            ):
                with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
                    await call
            assert loop.time() - started < 7 * 0.5 + 1.5
            await until(lambda: not broker.connected)
            own_redis.resume()
            await heard.until(lambda heard: heard.interruptions == 1)
            await publish_until_heard(broker, heard, b'{"n":2}')

    async def test_a_server_that_pauses_shortly_loses_nothing(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker) as heard, client_of(redis_url) as client:
            await broker.subscribe([MARKET])
            await client.execute_command("CLIENT", "PAUSE", "200", "ALL")
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)
        assert heard.interruptions == 0

    async def test_a_connection_gone_silent_is_noticed(self, own_redis: RedisServer) -> None:
        async with (
            FaultProxy(own_redis.host, own_redis.port) as proxy,
            quick_broker(f"redis://{proxy.host}:{proxy.port}") as broker,
            listening(broker) as heard,
        ):
            await broker.subscribe([MARKET])
            proxy.stall()
            await until(lambda: not broker.connected)
            proxy.cut()
            proxy.flow()
            await heard.until(lambda heard: heard.interruptions >= 1)
            await publish_until_heard(broker, heard, PRICE)

    async def test_a_subscription_gone_deaf_is_noticed(self, redis_url: str) -> None:
        """The connection lives and the server answers, but what is published no longer comes through."""
        async with quick_broker(redis_url) as broker, listening(broker) as heard:
            await broker.subscribe([MARKET])
            (wire,) = broker.listener._wires.values()
            await wire.connection.send_command("UNSUBSCRIBE", broker.listener._probe)
            await heard.until(lambda heard: heard.interruptions == 1)
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)

    async def test_a_subscription_that_is_not_confirmed_in_time_is_made_up_for(self, own_redis: RedisServer) -> None:
        async with quick_broker(own_redis.url) as broker, listening(broker) as heard:
            own_redis.pause()
            loop = asyncio.get_running_loop()
            started = loop.time()
            await broker.subscribe([MARKET])
            assert loop.time() - started < 1.0
            own_redis.resume()
            await heard.until(lambda heard: heard.interruptions == 1)
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)

    async def test_who_takes_the_wish_back_waits_no_longer(self, own_redis: RedisServer) -> None:
        async with quick_broker(own_redis.url) as broker, listening(broker) as heard:
            own_redis.pause()
            for _ in range(3):
                wish = asyncio.create_task(broker.subscribe([MARKET]))
                for _ in range(5):  # until it is on its way
                    await asyncio.sleep(0)
                await broker.unsubscribe([MARKET])
                async with asyncio.timeout(0.3):
                    await wish
                for _ in range(5):
                    await asyncio.sleep(0)
            own_redis.resume()
            await broker.subscribe([MARKET])
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)
        assert heard.interruptions == 0

    async def test_redis_may_start_after_the_broker(self, own_redis: RedisServer) -> None:
        await asyncio.to_thread(own_redis.kill)
        async with quick_broker(own_redis.url) as broker, listening(broker, connected=False) as heard:
            await broker.subscribe([MARKET])
            with pytest.raises(Unavailable, match="not reachable"):
                await broker.history(SIGNALS, limit=1)
            await asyncio.to_thread(own_redis.start)
            await heard.until(lambda heard: heard.interruptions == 1)
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)

    async def test_who_subscribes_while_redis_is_away_hears_it_later(self, own_redis: RedisServer) -> None:
        async with quick_broker(own_redis.url) as broker, listening(broker) as heard:
            await asyncio.to_thread(own_redis.kill)
            await until(lambda: not broker.connected)
            await broker.subscribe([MARKET, SIGNALS])
            await broker.unsubscribe([SIGNALS])
            await asyncio.to_thread(own_redis.start)
            await heard.until(lambda heard: heard.interruptions == 1)
            await broker.publish(SIGNALS, b"{}")
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)
        assert heard.payloads() == [PRICE]

    async def test_a_flushed_server_starts_new_epochs_and_knows_the_scripts_again(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, client_of(redis_url) as client:
            before = await broker.publish(SIGNALS, b"{}")
            price = await broker.publish(MARKET, PRICE)
            await client.flushdb()
            await client.script_flush()
            after = await broker.publish(SIGNALS, b"{}")
            await broker.publish_latest([(MARKET, PRICE), (channel("market:NSE:TCS"), PRICE)])
            assert (await broker.last([MARKET]))[MARKET.name].offset > price.offset
        assert (after.offset, after.epoch != before.epoch) == (1, True)


class TestErrors:
    async def test_a_full_server_is_unavailable_and_recovers(self, own_redis: RedisServer) -> None:
        async with quick_broker(own_redis.url) as broker, client_of(own_redis.url) as client:
            receipt = await broker.publish(SIGNALS, b"{}")
            await client.config_set("maxmemory-policy", "noeviction")
            await client.config_set("maxmemory", "1")
            with pytest.raises(Unavailable, match="out of memory"):
                await broker.publish(SIGNALS, b"{}")
            with pytest.raises(Unavailable, match="out of memory"):
                await broker.publish_latest([(MARKET, PRICE)])
            await client.config_set("maxmemory", "0")
            assert (await broker.publish(SIGNALS, b"{}")).offset == receipt.offset + 1

    async def test_a_wrong_type_under_a_key_is_unavailable_and_harms_only_its_channel(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, client_of(redis_url) as client:
            await broker.publish(SIGNALS, b"{}")
            (key,) = [key async for key in client.scan_iter("hub:*pos:signals:generated")]
            await client.set(key, "nonsense")
            with pytest.raises(Unavailable, match="WRONGTYPE"):
                await broker.publish(SIGNALS, b"{}")
            assert (await broker.publish(channel("signals:other"), b"{}")).offset == 1

    async def test_a_wrong_password_is_unavailable_and_not_told(self, own_redis: RedisServer) -> None:
        own_redis.command("CONFIG", "SET", "requirepass", "open-sesame")
        async with quick_broker(f"redis://:wr0ng@{own_redis.host}:{own_redis.port}") as broker:
            with pytest.raises(Unavailable) as caught:
                await broker.check()
            assert str(caught.value) == "Redis is not available: it refused the credentials"

    @pytest.mark.parametrize("prefix", ["{hub}:", "", "@", "hüb:"])
    def test_a_prefix_that_would_mix_things_up_is_refused(self, prefix: str) -> None:
        with pytest.raises(ValueError, match="prefix"):
            RedisBroker("redis://127.0.0.1:1", names=NAMES, prefix=prefix)


class TestCancelling:
    async def test_cancelled_calls_leave_no_connection_behind(self, redis_url: str) -> None:
        async with quick_broker(redis_url, timeout_s=5) as broker, listening(broker):
            for turns in range(200):
                task = asyncio.create_task(broker.publish_latest([(MARKET, PRICE), (OTHER, PRICE)]))
                for _ in range(turns % 20):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            await asyncio.gather(*(broker.publish(MARKET, PRICE) for _ in range(100)))
            await until(lambda: not broker._link._client.connection_pool._in_use_connections)
            assert len(broker._link._client.connection_pool._available_connections) <= 32


class TestLostReplies:
    async def test_a_lost_reply_is_unavailable_and_the_key_publishes_once(self, own_redis: RedisServer) -> None:
        async with (
            FaultProxy(own_redis.host, own_redis.port) as proxy,
            quick_broker(f"redis://{proxy.host}:{proxy.port}") as broker,
            quick_broker(own_redis.url) as other,
            listening(other) as heard,
        ):
            await other.subscribe([SIGNALS])
            await broker.publish(SIGNALS, b'{"n":1}')
            proxy.swallow_next_reply(after=b'{"n":2}')
            with pytest.raises(Unavailable):
                await broker.publish(SIGNALS, b'{"n":2}', key="k")
            assert proxy.swallowed.is_set()
            again = await broker.publish(SIGNALS, b'{"n":2}', key="k")
            await broker.publish(SIGNALS, b'{"n":3}')
            await heard.until_heard(b'{"n":3}')
        assert (again.offset, again.duplicate) == (2, True)
        assert heard.payloads() == [b'{"n":1}', b'{"n":2}', b'{"n":3}']

    async def test_without_a_key_nothing_is_sent_twice(self, own_redis: RedisServer) -> None:
        async with (
            FaultProxy(own_redis.host, own_redis.port) as proxy,
            quick_broker(f"redis://{proxy.host}:{proxy.port}") as broker,
        ):
            await broker.publish(SIGNALS, b'{"n":1}')
            proxy.swallow_next_reply(after=b'{"n":2}')
            with pytest.raises(Unavailable):
                await broker.publish(SIGNALS, b'{"n":2}')
            page = await broker.history(SIGNALS, limit=10)
        assert [publication.payload for publication in page.publications] == [b'{"n":1}', b'{"n":2}']


class TestOutsiders:
    async def test_a_raw_price_is_heard_by_its_full_name(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker) as heard, client_of(redis_url) as client:
            await broker.subscribe([MARKET])
            await client.publish("hub:market:RELIANCE", '{ "price": 2500.5,\n "odd": 1 }')
            await heard.until_heard(b'{"price":2500.5}')
        assert (heard.heard[0].channel, heard.heard[0].offset) == (MARKET.name, 0)

    @pytest.mark.parametrize(
        ("name", "data", "reason"),
        [
            ("hub:market:RELIANCE", b"nonsense", "bad_payload"),
            ("hub:market:RELIANCE", b"[1]", "bad_payload"),
            ("hub:market:RELIANCE", b'{"price":"1"}', "bad_payload"),
            ("hub:market:RELIANCE", b'{"price":-1}', "bad_payload"),
            ("hub:market:RELIANCE", b'{"price":\xff}', "bad_payload"),
            ("hub:market:RELIANCE", b"", "bad_payload"),
            ("hub:signals:generated", b"[" * 60_000, "bad_payload"),
            ("hub:market:RELIANCE", b'{"price":1,"x":"' + b"x" * 1_000_000 + b'"}', "too_big"),
            ("hub:nothing:at:all", b"{}", "unknown_channel"),
            ("hub:market:", b"{}", "unknown_channel"),
            ("hub:market:LSE:VOD", b"{}", "unknown_channel"),
            ("hub:market:REL\x07IANCE", b"{}", "unknown_channel"),
            ("hub:market:RÉLIANCE", b"{}", "unknown_channel"),
            ("hub:control:revocations", b"{}", "unknown_channel"),
            ("hub:alerts:user", b"{}", "unknown_channel"),
            ("hub:", b"{}", "unknown_channel"),
            ("hub:market:" + "X" * 5000, b"{}", "unknown_channel"),
        ],
    )
    async def test_garbage_is_counted_and_dropped(self, redis_url: str, name: str, data: bytes, reason: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker) as heard, client_of(redis_url) as client:
            await broker.subscribe([MARKET])
            await client.publish(name, data)
            await client.publish("hub:market:RELIANCE", PRICE)
            await heard.until_heard(PRICE)
        assert heard.payloads() == [PRICE]
        assert dict(broker.raw_rejected) == {reason: 1}

    async def test_garbage_is_logged_once_and_not_quoted(
        self, redis_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "tickhub")
        async with quick_broker(redis_url) as broker, listening(broker) as heard, client_of(redis_url) as client:
            await broker.subscribe([MARKET])
            for _ in range(10):
                await client.publish("hub:market:RELIANCE", b"secret")
            await client.publish("hub:market:RELIANCE", PRICE)
            await heard.until_heard(PRICE)
        assert [record.message for record in caplog.records] == ["broker.outsider_rejected"]
        assert broker.raw_rejected["bad_payload"] == 10

    async def test_what_the_broker_itself_publishes_is_not_taken_for_raw(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker) as heard:
            await broker.subscribe([MARKET, SIGNALS])
            await broker.presence(MARKET)
            await broker.publish(SIGNALS, b"{}")
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)
        assert heard.payloads() == [b"{}", PRICE]
        assert not broker.raw_rejected

    async def test_garbage_on_the_hubs_own_channels_harms_nothing(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker) as heard, client_of(redis_url) as client:
            await broker.subscribe([MARKET])
            heard.present = {MARKET.name: [Member("c", "u")]}
            for name in (broker.listener._probe, b"@hub:ask", *broker.listener._wanted):
                for data in (b"", b"\xff", b"a b c", b"a\nb", MARKET.name.encode() + b"\nx\n{}"):
                    await client.publish(name, data)
            await broker.publish(MARKET, PRICE)
            await heard.until_heard(PRICE)
            assert await broker.presence(MARKET) == [Member("c", "u")]
        assert heard.payloads() == [PRICE]
        assert heard.interruptions == 0

    async def test_a_prefix_is_taken_literally(self, redis_url: str) -> None:
        async with (
            quick_broker(redis_url, prefix="h[u]*:") as broker,
            listening(broker) as heard,
            client_of(redis_url) as client,
        ):
            await broker.subscribe([MARKET])
            await client.publish("hub:market:RELIANCE", b'{"price":1.0}')
            await client.publish("h[u]*:market:RELIANCE", b'{"price":2.0}')
            await heard.until_heard(b'{"price":2.0}')
        assert heard.payloads() == [b'{"price":2.0}']
        assert not broker.raw_rejected


class TestMeasures:
    async def test_the_listener_measures_its_lag(self, redis_url: str) -> None:
        async with quick_broker(redis_url) as broker, listening(broker):
            await until(lambda: broker.lag_s > 0)
            assert broker.lag_s < 1
            assert broker.received > 0

    async def test_presence_does_not_wait_for_a_process_that_hangs(self, own_redis: RedisServer) -> None:
        """A connection that is subscribed but never answers costs half a second, not the answer."""
        async with (
            quick_broker(own_redis.url) as broker,
            listening(broker),
            client_of(own_redis.url) as client,
            client.pubsub() as deaf,
        ):
            await deaf.subscribe("@hub:ask")
            await deaf.get_message(timeout=1)
            loop = asyncio.get_running_loop()
            started = loop.time()
            assert await broker.presence(MARKET) == []
            assert loop.time() - started < 1.5
