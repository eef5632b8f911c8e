"""The runner against the plain vendor on loopback."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from math import inf

import pytest

from feeds.accounts.runner import BrokerFeed
from feeds.brokers.source import Credentials, Limits, MarketStatus, Ping
from feeds.errors import CredentialsMissing
from feeds.feed import Feed, Health, Refusal
from feeds.listings.directory import Directory
from schemas.errors import ErrorCode
from schemas.market import PRICE_SCALE, MarketState, Tick
from schemas.phrases import Phrase
from tests.feeds.brokers.plain import PlainServer, PlainSource, price
from tests.feeds.clockwork import START_S, FakeTime, Market, Published, listing, until

DIRECTORY = Directory(listing(f"S{number}", str(number)) for number in range(1, 21))
S1, S2, S3, S4 = (("NSE", f"S{number}") for number in range(1, 5))


class Rig:
    """A feed, its vendor, its time, its market, and what it has published."""

    def __init__(self, server: PlainServer, source: PlainSource | None = None) -> None:
        self.server = server
        self.source = source or PlainSource()
        self.time = FakeTime()
        self.market = Market()
        self.published = Published()
        self.credentials = {"token": "good", "url": server.url}
        self.read: Callable[[], Credentials] = lambda: dict(self.credentials)
        self.orders: list[bytes] = []
        self.statuses: list[MarketStatus] = []
        self.feed = BrokerFeed(
            self.source,
            directory=DIRECTORY,
            credentials=self._read,
            session_of=self.market,
            on_order=self.orders.append,
            on_market=self.statuses.append,
            clock=self.time.clock,
            wall=self.time.wall,
            sleep=self.time.sleep,
            chance=lambda: 0.5,
        )

    def _read(self) -> Credentials:
        return self.read()

    @property
    def health(self) -> Health:
        return self.feed.status.health

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.feed.run(self.published), name="feed")
        try:
            yield
        finally:
            task.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait([task])
            assert task.cancelled()

    async def until(self, health: Health) -> None:
        await until(lambda: self.health is health)


@pytest.fixture
async def server() -> AsyncIterator[PlainServer]:
    async with PlainServer() as server:
        yield server


async def test_what_is_wanted_is_subscribed_and_its_prices_are_published(server: PlainServer) -> None:
    rig = Rig(server)
    feed: Feed = rig.feed
    feed.want([S1, S2])
    async with rig.running():
        await server.until_subscribed(["1", "2"])
        await server.send(price("2", 10_050))
        await rig.published.until(bool)
        assert feed.status.health is Health.LIVE
        assert (feed.status.instruments, feed.status.limit) == (2, 9)
    now_ms = int(START_S * 1000)
    assert rig.published.updates == [Tick(exchange="NSE", symbol="S2", price=1_005 * PRICE_SCALE // 10, time_ms=now_ms)]
    assert not server.connections


async def test_frames_that_came_together_are_published_together_and_in_order(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        await server.send(*[price("1", paise) for paise in range(100, 600)])
        await rig.published.until(lambda updates: len(updates) == 500)
    prices = [update.price // (PRICE_SCALE // 100) for update in rig.published.updates if isinstance(update, Tick)]
    assert prices == list(range(100, 600))
    assert len(rig.published.batches) < 250


async def test_a_changed_wish_changes_the_subscription_and_nothing_else(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1, S2])
    async with rig.running():
        await server.until_subscribed(["1", "2"])
        server.heard.clear()
        rig.feed.want([S2, S3])
        await server.until_subscribed(["2", "3"])
        assert sorted(server.heard) == ['{"sub": ["3"]}', '{"unsub": ["1"]}']
        assert server.handshakes == 1


async def test_instruments_are_spread_over_sockets_which_close_when_they_are_not_needed(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([("NSE", f"S{number}") for number in range(1, 8)])
    async with rig.running():
        await server.until_subscribed(str(number) for number in range(1, 8))
        assert sorted(len(tokens) for tokens in server.carried.values()) == [1, 3, 3]
        rig.feed.want([S1])
        await server.until(lambda: len(server.connections) == 1 and set(server.subscribed) == {"1"})
        rig.feed.want([S1, S2, S3, S4])
        await server.until_subscribed(["1", "2", "3", "4"])
        assert len(server.connections) == 2
        assert rig.health is Health.LIVE
        assert rig.feed.reconnects == 1


async def test_a_socket_is_opened_without_instruments_so_that_the_credentials_are_tried(server: PlainServer) -> None:
    rig = Rig(server)
    async with rig.running():
        await rig.until(Health.LIVE)
        assert len(server.connections) == 1


async def test_what_does_not_fit_and_what_is_not_listed_is_refused_once(server: PlainServer) -> None:
    rig = Rig(server)
    wanted = [("NSE", "NOSUCH"), *[("NSE", f"S{number}") for number in range(1, 12)]]
    rig.feed.want(wanted)
    refusals = {refusal.symbol: refusal for refusal in rig.feed.take_refusals()}
    assert refusals.keys() == {"NOSUCH", "S10", "S11"}
    assert refusals["NOSUCH"].code == ErrorCode.INVALID_SYMBOL
    assert refusals["S10"] == Refusal(
        exchange="NSE",
        symbol="S10",
        code=ErrorCode.LIMIT_EXCEEDED,
        reason=Phrase("the account carries at most {count} instruments", {"count": 9}),
    )
    rig.feed.want(wanted)
    assert rig.feed.take_refusals() == []
    async with rig.running():
        await server.until_subscribed(str(number) for number in range(1, 10))


async def test_an_instrument_that_the_vendor_refuses_is_told_and_its_place_is_free(server: PlainServer) -> None:
    rig = Rig(server, PlainSource(limits=Limits(connections=1, instruments_per_connection=2, frames_per_second=inf)))
    rig.feed.want([S1, S2])
    async with rig.running():
        await server.until_subscribed(["1", "2"])
        await server.send('{"refused": "1"}')
        await server.until_subscribed(["2"])
        assert [(one.symbol, one.code, str(one.reason)) for one in rig.feed.take_refusals()] == [
            ("S1", ErrorCode.INVALID_SYMBOL, "we don't carry it")
        ]
        assert rig.feed.refused == 1
        rig.feed.want([S1, S2, S3])
        await server.until_subscribed(["2", "3"])


async def test_subscriptions_are_sent_a_frame_at_a_time_and_not_faster_than_allowed(server: PlainServer) -> None:
    limits = Limits(connections=1, instruments_per_connection=20, instruments_per_frame=4, frames_per_second=2)
    rig = Rig(server, PlainSource(limits=limits))
    rig.feed.want([("NSE", f"S{number}") for number in range(1, 11)])
    async with rig.running():
        await server.until(lambda: len(server.heard) == 1)
        await rig.time.until_asleep()
        assert server.heard == ['{"sub": ["1", "2", "3", "4"]}']
        await rig.time.advance(0.5)
        await server.until(lambda: len(server.heard) == 2)
        await rig.time.advance(0.5)
        await server.until(lambda: len(server.heard) == 3)
    assert server.heard[2] == '{"sub": ["9", "10"]}'


async def test_a_login_on_the_socket_comes_before_the_first_subscription(server: PlainServer) -> None:
    rig = Rig(server, PlainSource(login=True))
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
    assert server.heard[:2] == ['{"login": "good"}', '{"sub": ["1"]}']


async def test_a_vendor_that_asks_is_answered_and_pinged_when_it_is_time(server: PlainServer) -> None:
    rig = Rig(server, PlainSource(ping=Ping(frame='{"ping": 1}', interval_s=5)))
    async with rig.running():
        await rig.until(Health.LIVE)
        await server.send('{"ping": 1}')
        await server.until(lambda: server.heard == ['{"pong": 1}'])
        await rig.time.advance(5)
        await server.until(lambda: server.heard[1:] == ['{"ping": 1}'])


async def test_everything_wanted_is_subscribed_again_after_an_abrupt_end(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1, S2])
    async with rig.running():
        await server.until_subscribed(["1", "2"])
        server.abort()
        await rig.until(Health.CONNECTING)
        assert rig.feed.status.reason == "the connection broke off"
        rig.feed.want([S2, S3])
        await rig.time.advance(0.6)
        await server.until_subscribed(["2", "3"])
        await rig.until(Health.LIVE)
        assert rig.feed.reconnects == 1


async def test_an_hour_of_403_brings_few_attempts_and_a_new_token_gets_in_at_once(server: PlainServer) -> None:
    rig = Rig(server)
    rig.credentials["token"] = "yesterday's"
    rig.feed.want([S1, ("NSE", "S5"), S2, S3, S4])
    async with rig.running():
        await rig.until(Health.TOKEN_EXPIRED)
        assert rig.feed.status.reason == "the credentials are refused (HTTP 403)"
        since_ms = rig.feed.status.since_ms
        await rig.time.advance(3600)
        assert server.handshakes < 12
        assert rig.health is Health.TOKEN_EXPIRED
        assert rig.feed.status.since_ms == since_ms
        rig.credentials["token"] = "good"
        await rig.time.advance(2)
        await server.until_subscribed(["1", "2", "3", "4", "5"])
        await rig.until(Health.LIVE)


async def test_a_token_that_dies_on_the_socket_is_read_again_before_the_next_attempt(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        server.token = rig.credentials["token"] = "the next day's"
        await server.send('{"expired": "it is six o\'clock"}')
        await rig.until(Health.TOKEN_EXPIRED)
        await rig.time.until_asleep()
        await rig.time.advance(1)
        await server.until_subscribed(["1"])
    assert [asked["token"] for asked in rig.source.asked] == ["good", "the next day's"]


async def test_a_dead_token_on_the_socket_is_not_tried_again_at_once(server: PlainServer) -> None:
    rig = Rig(server)
    async with rig.running():
        await rig.until(Health.LIVE)
        await server.send('{"expired": "it is six o\'clock"}')
        await rig.until(Health.TOKEN_EXPIRED)
        assert rig.feed.status.reason == "it is six o'clock"
        await rig.time.until_asleep()
        await rig.time.advance(59)
        assert server.handshakes == 1


async def test_a_vendor_that_refuses_in_its_first_frame_is_asked_slowly(server: PlainServer) -> None:
    server.first_words = '{"expired": "wrong token"}'
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await rig.until(Health.TOKEN_EXPIRED)
        await rig.time.until_asleep()
        for _ in range(60):
            await rig.time.advance(60)
            await until(lambda: not server.connections)
        assert rig.feed.status.reason == "wrong token"
        assert rig.feed.status.since_ms == int(START_S * 1000)
        assert 2 < server.handshakes < 12


async def test_missing_credentials_are_waited_for(server: PlainServer, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(server)
    there = rig.read

    def missing() -> Credentials:
        raise CredentialsMissing(["PLAIN_TOKEN"])

    rig.read = missing
    async with rig.running():
        await rig.until(Health.TOKEN_EXPIRED)
        assert rig.feed.status.reason == "PLAIN_TOKEN must be set"
        await rig.time.until_asleep()
        await rig.time.advance(30)
        assert server.handshakes == 0
        rig.read = there
        await rig.time.advance(1)
        await rig.until(Health.LIVE)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == ["feed.lost"]


async def test_429_is_waited_out_as_long_as_the_vendor_says(server: PlainServer) -> None:
    rig = Rig(server)
    server.refuse_with, server.retry_after = HTTPStatus.TOO_MANY_REQUESTS, "300"
    async with rig.running():
        await rig.until(Health.REFUSED)
        assert rig.feed.status.reason == "too many connections or attempts (HTTP 429)"
        await rig.time.until_asleep()
        await rig.time.advance(299)
        assert server.handshakes == 1
        server.refuse_with = None
        await rig.time.advance(20)
        await rig.until(Health.LIVE)


async def test_an_hour_of_429_without_more_words_brings_few_attempts(server: PlainServer) -> None:
    rig = Rig(server)
    server.refuse_with = HTTPStatus.TOO_MANY_REQUESTS
    async with rig.running():
        await rig.until(Health.REFUSED)
        await rig.time.until_asleep()
        await rig.time.advance(3600)
        assert 2 < server.handshakes < 12


async def test_a_socket_too_many_leaves_the_others_alone(server: PlainServer) -> None:
    server.most_connections = 1
    rig = Rig(server)
    rig.feed.want([S1, S2, S3, S4])
    async with rig.running():
        await rig.until(Health.REFUSED)
        await server.until_subscribed(["1", "2", "3"])
        await server.send(price("3", 500))
        await rig.published.until(bool)


async def test_an_hour_of_a_vendor_that_is_down_brings_pauses_up_to_a_minute(server: PlainServer) -> None:
    rig = Rig(server)
    server.refuse_with = HTTPStatus.BAD_GATEWAY
    async with rig.running():
        await until(lambda: rig.feed.status.reason == "refused with HTTP 502")
        assert rig.health is Health.CONNECTING
        await rig.time.until_asleep()
        await rig.time.advance(3600)
        assert 100 < server.handshakes < 150  # half of a minute each, as the tests' chance is a half


async def test_silence_in_an_open_market_ends_the_connection(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        await rig.time.advance(10)
        assert rig.health is Health.LIVE
        await rig.time.advance(2)
        await server.until(lambda: server.handshakes == 2)
        await server.until_subscribed(["1"])
    assert rig.feed.reconnects == 1


async def test_a_silent_connection_is_called_stale_before_it_is_opened_again(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        server.refuse_with = HTTPStatus.BAD_GATEWAY
        await rig.time.advance(11)
        await rig.until(Health.STALE)
        assert rig.feed.status.reason == "nothing at all was heard for 10 s in an open market"


@pytest.mark.parametrize("state", [MarketState.CLOSED, MarketState.POST_CLOSE, MarketState.HALTED])
async def test_silence_is_right_while_nothing_trades(server: PlainServer, state: MarketState) -> None:
    rig = Rig(server)
    rig.market.state = state
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        await rig.time.advance(3600)
        assert rig.health is Health.CLOSED
        rig.market.state = MarketState.CONTINUOUS
        await rig.time.advance(5)
        assert rig.health is Health.LIVE
    assert server.handshakes == 1


async def test_heartbeats_without_prices_bring_a_second_subscription_and_then_a_second_connection(
    server: PlainServer,
) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])

        async def beat(seconds: int) -> None:
            for _ in range(0, seconds, 5):
                frames = rig.feed.frames
                await server.send('{"hb": 1}')
                await until(lambda before=frames: rig.feed.frames > before)
                await rig.time.advance(5)

        await beat(60)
        assert rig.health is Health.LIVE
        await beat(5)
        assert rig.health is Health.STALE
        assert rig.feed.status.reason == "the socket is open, but no prices come, though the market is open"
        await server.until(lambda: server.heard == ['{"sub": ["1"]}', '{"sub": ["1"]}'])
        assert server.handshakes == 1
        await beat(15)
        await rig.time.advance(5)
        await server.until(lambda: server.handshakes == 2)


async def test_prices_after_a_second_subscription_make_the_feed_live_again(server: PlainServer) -> None:
    rig = Rig(server, PlainSource(silence_s=1000))
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        server.prices["1"] = 100
        await rig.time.advance(62)
        await rig.published.until(bool)
        await rig.time.advance(1)
        assert rig.health is Health.LIVE
        await rig.time.advance(100)
    assert server.handshakes == 1


async def test_a_vendor_that_repeats_itself_is_logged_once_a_minute(
    server: PlainServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tickhub.feeds")
    rig = Rig(server)
    async with rig.running():
        await rig.until(Health.LIVE)
        await server.send(*['{"say": "good morning"}'] * 5, *["garbage"] * 3, '{"order": {"id": 7}}', '{"market": 1}')
        await until(lambda: bool(rig.statuses))
    said = [record for record in caplog.records if record.message == "feed.said"]
    assert [record.__dict__["text"] for record in said] == ["good morning"]
    assert rig.feed.bad == {"no_json": 3}
    assert rig.orders == [b'{"id": 7}']
    assert rig.statuses == [MarketStatus("NSE", "open")]


async def test_garbage_and_unknown_tokens_are_counted_and_prices_go_on(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        await server.send(b"\xff\x00", "[]", price("99", 1), price("1", 100))
        await rig.published.until(bool)
    assert rig.feed.bad == {"no_json": 1, "no_message": 1, "unknown_token": 1}
    assert server.handshakes == 1


async def test_a_frame_beyond_all_measure_ends_the_connection_and_not_the_feed(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    async with rig.running():
        await server.until_subscribed(["1"])
        await server.send(b"x" * (5 << 20))
        await rig.until(Health.CONNECTING)
        await rig.time.until_asleep()
        await rig.time.advance(1)
        await server.until(lambda: server.handshakes == 2)


async def test_a_newer_directory_takes_effect_at_once(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1, ("NSE", "NEW")])
    assert [refusal.symbol for refusal in rig.feed.take_refusals()] == ["NEW"]
    async with rig.running():
        await server.until_subscribed(["1"])
        rig.feed.directory = Directory([listing("S1", "1"), listing("NEW", "77")])
        await server.until_subscribed(["1", "77"])
        assert rig.feed.take_refusals() == []
        assert server.handshakes == 1
        assert rig.feed.find("NSE", "NEW") == listing("NEW", "77").instrument
        assert rig.feed.find("NSE", "S2") is None


async def test_a_token_that_now_means_another_instrument_never_gets_the_old_ones_price(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1, S2])
    async with rig.running():
        await server.until_subscribed(["1", "2"])
        rig.feed.directory = Directory([listing("S1", "2"), listing("S2", "1")])
        await server.send(price("1", 111))  # on the old connection, for the old meaning
        await rig.time.until_asleep()
        await until(lambda: rig.health is Health.CONNECTING)
        await rig.time.advance(1)
        await server.until(lambda: server.handshakes == 2)
        await server.until_subscribed(["1", "2"])
        await server.send(price("1", 222))
        await rig.published.until(bool)
    assert [(one.symbol, one.price) for one in rig.published.updates if isinstance(one, Tick)] == [
        ("S2", 222 * PRICE_SCALE // 100)
    ]


async def test_a_slow_publisher_holds_the_reader_back_and_not_the_watch(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    rig.feed._batches.MOST = 10
    gate = asyncio.Event()
    taken: list[int] = []

    async def publish(updates: object) -> None:
        taken.append(len(updates))  # type: ignore[arg-type]
        await gate.wait()

    task = asyncio.create_task(rig.feed.run(publish))
    await server.until_subscribed(["1"])
    await server.send(*[price("1", paise) for paise in range(1, 101)])
    await until(lambda: rig.feed._batches.full)
    await rig.time.advance(30)
    assert rig.health is Health.LIVE
    assert rig.feed.frames < 100
    gate.set()
    await until(lambda: sum(taken) == 100)
    task.cancel()
    await asyncio.wait([task])
    assert server.handshakes == 1


async def test_a_feed_runs_again_after_it_was_stopped(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])
    for _ in range(2):
        async with rig.running():
            await server.until_subscribed(["1"])
        await server.until(lambda: not server.connections)
        assert rig.feed.status.reason == "not running"
    assert rig.feed.reconnects == 1


async def test_a_fault_in_the_program_is_raised_and_leaves_no_socket(server: PlainServer) -> None:
    rig = Rig(server)
    rig.feed.want([S1])

    async def publish(updates: object) -> None:
        raise ZeroDivisionError

    server.prices["1"] = 100
    with pytest.raises(ExceptionGroup) as caught:
        await rig.feed.run(publish)
    assert caught.group_contains(ZeroDivisionError)
    await server.until(lambda: not server.connections)


async def test_cancelling_does_not_wait_for_a_vendor_that_says_nothing(server: PlainServer) -> None:
    rig = Rig(server, PlainSource(login=True))
    server.silent = True
    async with rig.running():
        await server.until(lambda: bool(server.connections))
