"""An outbox never waits, is never longer than its bound, and ends a reader that is too slow even for that."""

from typing import Any

from channels.outbox import MAX_BUFFERED, Outbox, Subscription, Transport
from channels.shape import Shape
from schemas.errors import CloseCode
from tests.channels.clock import jumping
from tests.channels.floor import floor, pass_time
from tests.channels.recorder import channel
from tests.channels.transports import LineDialect, Pipe, Reader

A = "market:NSE:A"
LOG = "signals:generated"
KILOBYTE = b"x" * 1024


def outbox_on(pipe: Pipe) -> Outbox:
    reader = Reader(lambda _: None)
    reader.pipe = pipe
    pipe.owner = reader
    transport: Transport = pipe
    reader.outbox = Outbox(transport, client="c", user="u")
    reader.pause = lambda: reader.outbox.pause(1.0)  # type: ignore[method-assign]
    return reader.outbox


class TestStalled:
    def test_a_reader_is_stalled_once_it_has_taken_nothing_for_the_set_time(self) -> None:
        outbox = outbox_on(pipe := Pipe(window=0))
        assert not outbox.stalled(100.0, 15.0)
        while not outbox.behind:  # since 1.0
            outbox.put(KILOBYTE)
        assert not outbox.stalled(15.9, 15.0)
        assert outbox.stalled(16.1, 15.0)
        pipe.read()
        outbox.behind = False
        assert not outbox.stalled(100.0, 15.0)

    def test_a_reader_that_takes_little_at_a_time_is_slow_and_not_stalled(self) -> None:
        outbox = outbox_on(pipe := Pipe(window=0))
        while not outbox.behind:
            outbox.put(KILOBYTE)
        for now in range(10, 200, 10):
            pipe.read(1024)
            assert outbox.behind
            assert not outbox.stalled(float(now), 15.0)
        assert outbox.stalled(206.0, 15.0)


class TestPut:
    def test_writes_at_once_and_counts(self) -> None:
        outbox = outbox_on(pipe := Pipe())
        outbox.put(b"one")
        outbox.put(b"three")
        assert pipe.received == [b"one", b"three"]
        assert outbox.sent_bytes == 8

    def test_ends_a_reader_that_is_too_slow_even_for_replies(self) -> None:
        outbox = outbox_on(pipe := Pipe(window=0))
        while pipe.closed is None:
            outbox.put(KILOBYTE)
            assert pipe.buffered() <= MAX_BUFFERED + len(KILOBYTE)
        assert pipe.closed is CloseCode.SLOW
        assert pipe.buffered() > MAX_BUFFERED

    def test_what_is_put_after_the_end_goes_nowhere(self) -> None:
        outbox = outbox_on(pipe := Pipe(window=0))
        pipe.disconnect(CloseCode.FORCED)
        outbox.put(KILOBYTE)
        assert (pipe.closed, pipe.buffered()) == (CloseCode.FORCED, 0)

    def test_any_amount_goes_to_who_reads(self) -> None:
        outbox = outbox_on(pipe := Pipe())
        for _ in range(3 * MAX_BUFFERED // len(KILOBYTE)):
            outbox.put(KILOBYTE)
        assert pipe.closed is None


class TestPause:
    def test_remembers_since_when_it_has_been_behind(self) -> None:
        outbox = outbox_on(Pipe())
        outbox.pause(5.0)
        outbox.pause(9.0)
        assert (outbox.behind, outbox.behind_since) == (True, 5.0)

    @jumping
    async def test_a_reader_that_has_caught_up_starts_counting_anew(self) -> None:
        async with floor() as room:
            reader = room.reader()
            reader.outbox.pause(5.0)
            room.registry.resume(reader.outbox)
            assert not reader.outbox.behind
            reader.outbox.pause(9.0)
            assert reader.outbox.behind_since == 9.0


class TestSlowReaders:
    @jumping
    async def test_a_log_queues_up_to_the_bound_and_then_the_reader_ends(self) -> None:
        async with floor(line_size=10_000) as room:
            slow, quick = room.reader(), room.reader()
            for reader in (slow, quick):
                await room.subscribe(reader, LOG)
            slow.pipe.stall()
            await room.say(LOG, *range(100))
            assert slow.pipe.closed is None
            await room.say(LOG, *range(100, 200))
            assert slow.pipe.closed is CloseCode.SLOW
            assert slow.pipe.buffered() <= MAX_BUFFERED + 10_001
            assert len(quick.told()) == 200
            slow.pipe.read()
            numbers = [line["number"] for line in slow.told()]
            assert numbers == list(range(1, len(numbers) + 1))

    @jumping
    async def test_prices_alone_never_end_a_reader(self) -> None:
        async with floor(line_size=10_000) as room:
            slow = room.reader()
            await room.subscribe(slow, A)
            slow.pipe.stall()
            for number in range(500):
                await room.say(A, number)
            assert slow.pipe.closed is None
            assert slow.pipe.most_buffered <= Pipe.HIGH_WATER

    @jumping
    async def test_replies_go_ahead_of_held_prices(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, A)
            slow.pipe.stall()
            await room.say(A, 1)
            slow.outbox.put(b'{"reply":1}\n')
            await room.say(A, 2)
            slow.pipe.read()
            assert [line.get("reply") or line["value"]["price"] for line in slow.told()] == [1, 2]

    @jumping
    async def test_what_is_released_stops_where_the_reader_is_full_again_and_goes_on_from_there(self) -> None:
        async with floor(line_size=2000) as room:
            slow = room.reader()
            names = [f"market:NSE:S{number}" for number in range(200)]
            for name in names:
                await room.subscribe(slow, name)
            slow.pipe.stall()
            await room.say_at_once(*[(name, 1) for name in names])
            assert len(slow.outbox.held) == 200
            slow.pipe.read(1)
            assert 0 < len(slow.outbox.held) < 200
            assert slow.pipe.most_buffered <= 2 * Pipe.HIGH_WATER
            slow.pipe.read()
            assert slow.outbox.held == {}
            assert [line["channel"] for line in slow.told()] == names

    @jumping
    async def test_the_snapshots_of_many_channels_never_end_an_honest_reader(self) -> None:
        async with floor(line_size=2000) as room:
            keeper = room.reader()
            names = [f"market:NSE:S{number}" for number in range(1000)]
            for name in names:
                await room.subscribe(keeper, name)
            await room.say_at_once(*[(name, 1) for name in names])
            honest = room.reader(window=128 * 1024)
            for name in names:
                await room.subscribe(honest, name, delta=True)
            await room.say_at_once(*[(name, 2) for name in names[:500]])
            await pass_time(0.1)
            assert honest.pipe.closed is None
            told: list[dict[str, Any]] = []
            for _ in range(100):
                honest.pipe.read(64 * 1024)
                told += honest.told()
            honest.pipe.read()
            told += honest.told()
            assert {line["channel"] for line in told if line["snapshot"]} == set(names)
            assert all(line["base"] is None for line in told if line["snapshot"])
            newest = {line["channel"]: line["value"]["price"] for line in told}
            assert newest == {name: 2 if place < 500 else 1 for place, name in enumerate(names)}


def test_a_subscription_starts_with_nothing_given() -> None:
    shape = Shape(LineDialect())
    subscription = Subscription(outbox_on(Pipe()), channel(A), shape)
    assert (subscription.sent, subscription.count, subscription.due) == (None, 0, 0.0)
