"""Replay: what was recorded from brokers' servers comes back tick by tick, at the pace that is asked for."""

import asyncio
import math
import time
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.accounts.runner import BrokerFeed
from feeds.brokers.kite import Kite
from feeds.brokers.source import Source
from feeds.errors import BadFile
from feeds.feed import Feed, Health, Update
from feeds.listings.directory import Directory
from feeds.market_hours.sessions import Sessions
from feeds.replay.player import AS_FAST_AS_POSSIBLE, LONGEST_PAUSE_MS, ReplayFeed
from feeds.replay.recording import Kind, Record, RecordedSource, Recorder, read
from feeds.sanity import Gate
from schemas.market import PRICE_SCALE, MarketState, Tick
from tests.feeds.accounts.test_brokers import BROKERS, PAISA
from tests.feeds.brokers.kite import frame_of, full_packet, ltp_packet
from tests.feeds.clockwork import START_S, FakeTime, Market, Published, listing, until

START_MS = int(START_S * 1000)
RELIANCE, SBIN = listing("RELIANCE", "738561"), listing("SBIN", "779521")
LISTED = {one.token: one.instrument for one in (RELIANCE, SBIN)}


def source_of(name: str) -> Source:
    return BROKERS[name].source()


class Account:
    """One broker's account, recorded by the real runner."""

    def __init__(self, name: str, server: object, recorder: Recorder) -> None:
        broker = BROKERS[name]
        source = RecordedSource(broker.source(), recorder)
        source.limits = msgspec.structs.replace(source.limits, frames_per_second=math.inf)
        self.published = Published()
        credentials = {**broker.credentials(server), "url": server.url}  # type: ignore[attr-defined]
        self.feed = BrokerFeed(
            source,
            directory=Directory([listing(f"S{number}", token) for number, token in enumerate(broker.tokens)]),
            credentials=lambda: credentials,
            session_of=Market(),
            chance=lambda: 0.01,
        )

    def want(self, *numbers: int) -> None:
        self.feed.want([("NSE", f"S{number}") for number in numbers])

    async def until_price(self, number: int, paise: int) -> None:
        place = (f"S{number}", paise * PAISA)
        await self.published.until(
            lambda updates: any(isinstance(one, Tick) and (one.symbol, one.price) == place for one in updates)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.feed.run(self.published))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def a_day(name: str, recorder: Recorder) -> list[Update]:
    """Prices, one that leaves and comes back, a connection that breaks off: what was published of them."""
    broker = BROKERS[name]
    async with broker.server() as server:
        broker.prepare(server, broker.tokens)
        account = Account(name, server, recorder)
        account.want(0, 1)
        async with account.running():
            await server.until_subscribed(broker.tokens[:2])
            for number in range(20):
                await broker.price(server, broker.tokens[number % 2], 10_005 + 5 * number)
            await account.until_price(1, 10_100)
            account.want(0)
            await server.until_subscribed(broker.tokens[:1])
            account.want(0, 1, 2)
            await server.until_subscribed(broker.tokens)
            await broker.price(server, broker.tokens[2], 20_000)
            await broker.price(server, broker.tokens[1], 10_105)
            await account.until_price(1, 10_105)
            server.abort()
            await server.until(lambda: not server.connections)
            await server.until_subscribed(broker.tokens)
            await broker.price(server, broker.tokens[0], 30_000)
            await account.until_price(0, 30_000)
        await recorder.flush()
    return account.published.updates


async def played(path: Path, speed: float = AS_FAST_AS_POSSIBLE) -> tuple[ReplayFeed, Published]:
    """A file that was played to its end."""
    feed, published = ReplayFeed(path, source_of=source_of, speed=speed), Published()
    await feed.open()
    tasks = [asyncio.create_task(feed.run(published)), asyncio.create_task(feed.ended.wait())]
    try:
        async with asyncio.timeout(30):
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task  # raises what the replay has ended with
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return feed, published


@asynccontextmanager
async def running(feed: ReplayFeed, published: Published) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run(published))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


def record(path: Path, *frames: tuple[int, bytes], source: Source | None = None) -> None:
    """A recording of Kite's frames at seconds of the morning. Blocks."""
    clock = [START_S]
    recorder = Recorder(path, wall=lambda: clock[0])
    talk = RecordedSource(source or Kite(), recorder).converse({}, LISTED)
    for second, frame in frames:
        clock[0] = START_S + second
        talk.receive(frame, START_MS + 1000 * second)
    asyncio.run(recorder.flush())


def reliance(paise: int) -> bytes:
    return frame_of(ltp_packet(738561, paise))


def prices(updates: Sequence[Update]) -> list[int]:
    return [one.price // PAISA for one in updates if isinstance(one, Tick)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "day.recording"


# -- recordings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BROKERS))
async def test_a_day_that_was_recorded_comes_back_tick_by_tick(name: str, path: Path) -> None:
    recorder = Recorder(path)
    published = await a_day(name, recorder)
    feed, again = await played(path)
    assert len(published) > 20
    assert again.updates == published
    assert {one.symbol for one in feed.instruments} == {"S0", "S1", "S2"}
    assert recorder.left_out == 0
    assert "unknown_token" not in feed.bad


async def test_two_brokers_that_were_recorded_one_after_the_other_come_back_in_one_file(path: Path) -> None:
    kite = await a_day("kite", Recorder(path))
    fyers = await a_day("fyers", Recorder(path))
    assert (await played(path))[1].updates == [*kite, *fyers]


async def test_several_accounts_in_one_recorder_come_back_apart(path: Path) -> None:
    recorder = Recorder(path)
    shoonya, dhan = await asyncio.gather(a_day("shoonya", recorder), a_day("dhan", recorder))
    _, again = await played(path)
    assert len(again.updates) == len(shoonya) + len(dhan)
    assert [one for one in again.updates if one in shoonya] == [
        one for one in shoonya if one in again.updates
    ]  # each in its own order
    assert all(one in again.updates for one in [*shoonya, *dhan])


@pytest.mark.parametrize("name", ["fyers", "shoonya"])
async def test_after_a_loss_no_delta_is_put_upon_what_was_told_before_it(name: str, path: Path) -> None:
    recorder = Recorder(path)
    published = await a_day(name, recorder)
    records = await asyncio.to_thread(lambda: list(read(path)))
    frames = [number for number, one in enumerate(records) if one.kind in (Kind.TEXT, Kind.BINARY)]
    cut = frames[len(frames) // 3]
    holed = path.with_name("holed")
    for part in (records[:cut], [Record(Kind.GAP, 0, 0, b""), *records[cut:]]):
        again = Recorder(holed)
        for one in part:
            again.write(*one)
        await again.flush()
    feed, replayed = await played(holed)
    assert feed.bad["gap"] == 1
    assert feed.bad["no_snapshot"] + feed.bad["unknown_topic"] > 0
    assert 0 < len(replayed.updates) < len(published)
    assert replayed.updates[-1] == published[-1]


def test_a_replay_is_a_feed_and_knows_its_instruments(path: Path) -> None:
    record(path, (0, reliance(100)), (1, frame_of(ltp_packet(779521, 200))))

    async def look() -> None:
        feed = ReplayFeed(path, source_of=source_of)
        as_feed: Feed = feed
        await feed.open()
        assert as_feed.status.health is Health.CONNECTING
        assert set(feed.instruments) == {RELIANCE.instrument, SBIN.instrument}
        assert as_feed.find("NSE", "SBIN") == SBIN.instrument
        assert as_feed.find("BSE", "SBIN") is None
        as_feed.want([("NSE", "TCS")])
        assert as_feed.take_refusals() == []
        assert as_feed.name == "replay"

    asyncio.run(look())


def test_a_recording_that_was_cut_off_plays_to_where_it_broke(path: Path) -> None:
    record(path, (0, reliance(100)))
    whole = path.stat().st_size
    record(path, (1, reliance(200)))
    data = path.read_bytes()
    for size in (whole + 1, whole + 15, len(data) - 1):
        path.write_bytes(data[:size])
        assert prices(asyncio.run(played(path))[1].updates) == [100]


def test_a_recording_goes_on_after_a_process_was_killed(path: Path) -> None:
    record(path, (0, reliance(100)))
    record(path, (1, reliance(200)))
    path.write_bytes(path.read_bytes()[:-5])
    record(path, (9, reliance(300)))
    feed, published = asyncio.run(played(path))
    assert prices(published.updates) == [100, 300]
    assert feed.bad == {"gap": 1}


def test_what_makes_no_sense_is_counted(path: Path) -> None:
    record(path, (0, frame_of(ltp_packet(1, 100), bytes(9))), (1, reliance(100)))
    recorder = Recorder(path)
    recorder.write(Kind.TEXT, 99, START_MS, b"{}")
    recorder.write(77, 1, START_MS, b"{}")
    asyncio.run(recorder.flush())
    feed, published = asyncio.run(played(path))
    assert prices(published.updates) == [100]
    assert feed.bad == {"unknown_token": 1, "unknown_length": 1, "no_conversation": 1, "unknown_record": 1}


def test_a_token_means_what_it_meant_when_it_was_recorded(path: Path) -> None:
    listings = {"738561": RELIANCE.instrument}
    recorder = Recorder(path, wall=lambda: START_S)
    talk = RecordedSource(Kite(), recorder).converse({}, listings)
    for meaning in (RELIANCE, SBIN, None, SBIN):
        listings.pop("738561", None)
        listings |= {} if meaning is None else {"738561": meaning.instrument}
        talk.receive(reliance(100), START_MS)
    asyncio.run(recorder.flush())
    feed, published = asyncio.run(played(path))
    assert [one.symbol for one in published.updates] == ["RELIANCE", "SBIN", "SBIN"]
    assert feed.bad == {"unknown_token": 1}


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([Record(Kind.BEGIN, 1, 1, b"nobody")], "'nobody', which is no source"),
        ([Record(Kind.BEGIN, 1, 1, b"\xff")], "no source"),
        ([Record(Kind.BEGIN, 1, 1, b"kite"), Record(Kind.MEANING, 1, 1, b"\xc1")], "another release"),
        ([Record(Kind.GAP, 0, 0, b"")], "recording of nothing"),
    ],
)
def test_a_recording_that_cant_be_played_is_told_when_it_is_opened(
    path: Path, records: list[Record], told: str
) -> None:
    write(path, records)
    with pytest.raises(BadFile, match=told):
        asyncio.run(ReplayFeed(path, source_of=source_of).open())


@pytest.mark.parametrize(
    "last",
    [
        Record(Kind.SUBSCRIBE, 1, 1, b"\xc1"),
        Record(Kind.UNSUBSCRIBE, 1, 1, b"\x01"),
        Record(Kind.SUBSCRIBE, 1, 1, msgspec.msgpack.encode(("full", [listing("X", "no number")]))),
        Record(Kind.SUBSCRIBE, 1, 1, msgspec.msgpack.encode(("everything", []))),
    ],
)
def test_a_record_of_another_release_ends_the_replay_with_its_reason(path: Path, last: Record) -> None:
    write(path, [Record(Kind.BEGIN, 1, 1, b"kite"), last])
    with pytest.raises(BadFile, match="another release"):
        asyncio.run(played(path))


def write(path: Path, records: Sequence[Record]) -> None:
    recorder = Recorder(path)
    for one in records:
        recorder.write(*one)
    asyncio.run(recorder.flush())


@given(data=st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: b"TICKHUB\x01" + tail))
def test_any_bytes_play_or_are_a_bad_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("r") / "r.csv"
    path.write_bytes(data)
    with pytest.raises(BadFile):
        asyncio.run(ReplayFeed(path, source_of=source_of).open())


@given(
    records=st.lists(
        st.builds(
            Record,
            st.integers(0, 8),
            st.just(1),
            st.integers(0, 2**63),
            st.binary(max_size=60) | st.sampled_from([name.encode() for name in BROKERS]),
        ),
        min_size=1,
    )
)
def test_any_records_play_or_are_a_bad_file(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = tmp_path_factory.mktemp("r") / "r"
    write(path, [Record(Kind.BEGIN, 1, 1, b"shoonya"), *records])
    try:
        asyncio.run(played(path))
    except BadFile as exc:
        assert str(exc)  # noqa: PT017 - either is right


async def test_a_file_that_isnt_there_is_an_os_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await ReplayFeed(path, source_of=source_of).open()


# -- pace ----------------------------------------------------------------------------------------------------------


async def test_at_its_own_pace_each_price_comes_when_it_came(path: Path) -> None:
    await asyncio.to_thread(record, path, (0, reliance(1)), (10, reliance(2)), (25, reliance(3)))
    clock, published = FakeTime(), Published()
    feed = ReplayFeed(path, source_of=source_of, speed=1, clock=clock.clock, sleep=clock.sleep)
    await feed.open()
    assert feed.now_s() == START_S
    async with running(feed, published):
        await published.until(lambda got: prices(got) == [1])
        assert feed.status.health is Health.LIVE
        await clock.until_asleep()
        await clock.advance(9)
        assert (prices(published.updates), feed.now_s()) == ([1], START_S + 9)
        await clock.advance(1)
        await published.until(lambda got: prices(got) == [1, 2])
        await clock.until_asleep()
        await clock.advance(14.5)
        assert (prices(published.updates), feed.now_s()) == ([1, 2], START_S + 24.5)
        await clock.advance(0.5)
        await published.until(lambda got: prices(got) == [1, 2, 3])
        await feed.ended.wait()


async def test_ten_times_as_fast_the_time_of_the_file_is_ten_times_as_fast(path: Path) -> None:
    await asyncio.to_thread(record, path, (0, reliance(1)), (600, reliance(2)))
    clock, published = FakeTime(), Published()
    feed = ReplayFeed(path, source_of=source_of, speed=10, clock=clock.clock, sleep=clock.sleep)
    await feed.open()
    async with running(feed, published):
        await published.until(lambda got: prices(got) == [1])
        await clock.until_asleep()
        await clock.advance(59)
        assert (prices(published.updates), feed.now_s()) == ([1], START_S + 590)
        await clock.advance(1)
        await published.until(lambda got: prices(got) == [1, 2])
        assert feed.now_s() == START_S + 600


async def test_once_played_it_rests_and_the_time_of_the_file_goes_on(path: Path) -> None:
    await asyncio.to_thread(record, path, (0, reliance(1)), (5, reliance(2)))
    for speed, pace in ((AS_FAST_AS_POSSIBLE, 1), (1, 1), (50, 50)):
        clock, published = FakeTime(), Published()
        feed = ReplayFeed(path, source_of=source_of, speed=speed, clock=clock.clock, sleep=clock.sleep)
        await feed.open()
        async with running(feed, published):
            if speed:
                await clock.until_asleep()
                await clock.advance(5 / speed)
            await feed.ended.wait()
            assert feed.now_s() == START_S + 5
            assert (feed.status.health, feed.status.reason) == (Health.CLOSED, "the file has been played")
            await clock.advance(60)
            assert feed.now_s() == START_S + 5 + 60 * pace


async def test_while_a_publisher_is_slow_the_time_of_the_file_waits_for_it(path: Path) -> None:
    await asyncio.to_thread(record, path, (0, reliance(1)), (5, reliance(2)), (9, reliance(3)))
    clock, gate = FakeTime(), asyncio.Event()
    feed = ReplayFeed(path, source_of=source_of, speed=1, clock=clock.clock, sleep=clock.sleep)
    got: list[Update] = []

    async def publish(updates: Sequence[Update]) -> None:
        got.extend(updates)
        await gate.wait()

    await feed.open()
    task = asyncio.create_task(feed.run(publish))
    await until(lambda: bool(got))
    clock.now_s = 100.0
    assert feed.now_s() == START_S
    gate.set()
    await feed.ended.wait()
    assert prices(got) == [1, 2, 3]
    task.cancel()
    await asyncio.wait([task])


async def test_a_night_is_passed_over_and_time_never_goes_back(path: Path) -> None:
    night_s = LONGEST_PAUSE_MS // 1000 + 3600
    frames = [(0, reliance(1)), (night_s, reliance(2)), (night_s + 3, reliance(3)), (1, reliance(4)), (4, reliance(5))]
    await asyncio.to_thread(record, path, *frames)
    clock, published = FakeTime(), Published()
    feed = ReplayFeed(path, source_of=source_of, speed=1, clock=clock.clock, sleep=clock.sleep)
    await feed.open()
    async with running(feed, published):
        await published.until(lambda got: prices(got) == [1, 2])
        assert feed.now_s() == START_S + night_s
        await clock.until_asleep()
        await clock.advance(3)
        await published.until(lambda got: prices(got) == [1, 2, 3, 4])
        await clock.until_asleep()
        assert feed.now_s() == START_S + night_s + 3
        await clock.advance(3)
        await published.until(lambda got: prices(got) == [1, 2, 3, 4, 5])
        assert feed.now_s() == START_S + night_s + 3


async def test_as_fast_as_possible_waits_for_nothing_and_keeps_the_order(path: Path) -> None:
    frames = [(second, reliance(second + 1)) for second in range(3000)]
    await asyncio.to_thread(record, path, *frames)
    started = time.monotonic()
    _, published = await played(path)
    assert prices(published.updates) == list(range(1, 3001))
    assert time.monotonic() - started < 20


async def test_prices_of_one_moment_are_published_together(path: Path) -> None:
    def make() -> None:
        recorder = Recorder(path)
        talk = RecordedSource(Kite(), recorder).converse({}, LISTED)
        for number, ms in enumerate((0, 4, 9, 10, 50)):
            talk.receive(reliance(number + 1), START_MS + ms)
        asyncio.run(recorder.flush())

    await asyncio.to_thread(make)
    _, published = await played(path)
    assert published.batches == [3, 1, 1]
    assert prices(published.updates) == [1, 2, 3, 4, 5]


async def test_run_again_it_plays_from_the_beginning(path: Path) -> None:
    await asyncio.to_thread(record, path, (0, reliance(1)), (5, reliance(2)), (6, frame_of(bytes(9))))
    feed = ReplayFeed(path, source_of=source_of, speed=AS_FAST_AS_POSSIBLE)
    await feed.open()
    for _ in range(2):
        published = Published()
        async with running(feed, published):
            await published.until(lambda got: prices(got) == [1, 2])
            await feed.ended.wait()
            assert feed.bad == {"unknown_length": 1}


async def test_by_the_time_of_the_file_a_gate_finds_all_as_it_was(path: Path) -> None:
    def packet(second: int, paise: int) -> bytes:
        at_s = int(START_S) + second
        return frame_of(full_packet(738561, paise, exchange_s=at_s, last_trade_s=at_s, volume=second + 1, close=10_000))

    await asyncio.to_thread(record, path, *[(second, packet(second, 10_000 + second)) for second in range(0, 600, 10)])
    feed = ReplayFeed(path, source_of=source_of, speed=AS_FAST_AS_POSSIBLE)
    await feed.open()
    gate = Gate(Sessions(), feed.find)
    passed: list[Update] = []

    async def publish(updates: Sequence[Update]) -> None:
        passed.extend(gate.sift(updates, int(feed.now_s() * 1000)))

    task = asyncio.create_task(feed.run(publish))
    await feed.ended.wait()
    task.cancel()
    await asyncio.wait([task])
    ticks = [one for one in passed if isinstance(one, Tick)]
    assert len(ticks) == 60
    assert gate.refused == {}
    assert {one.state for one in ticks} == {MarketState.CONTINUOUS}


# -- price files ---------------------------------------------------------------------------------------------------


async def test_a_csv_is_played_by_its_times(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv.zip"
    text = "time,symbol,price\n2026-11-23T10:00:10,RELIANCE,2500.05\n2026-11-23T10:00:00,SBIN,801\n,SBIN,1\n"

    def make() -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ticks.csv", text)

    await asyncio.to_thread(make)
    clock, published = FakeTime(), Published()
    feed = ReplayFeed(path, source_of=source_of, speed=1, clock=clock.clock, sleep=clock.sleep)
    await feed.open()
    assert feed.now_s() == START_S
    assert {one.symbol for one in feed.instruments} == {"RELIANCE", "SBIN"}
    async with running(feed, published):
        await published.until(bool)
        await clock.until_asleep()
        await clock.advance(10)
        await published.until(lambda got: len(got) == 2)
        await feed.ended.wait()
    assert published.updates == [
        Tick(exchange="NSE", symbol="SBIN", price=801 * PRICE_SCALE, time_ms=START_MS),
        Tick(exchange="NSE", symbol="RELIANCE", price=25_000_500_000, time_ms=START_MS + 10_000),
    ]
    assert feed.bad == {"no_time": 1}
