"""What fan-out promises: one encoding a shape, one write a socket and flush, nothing repeated, nothing lost unsaid."""

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from channels import fanout
from tests.channels.clock import jumping, run, turns
from tests.channels.floor import INTERVAL_S, Floor, floor, pass_time
from tests.channels.recorder import channel
from tests.channels.transports import Reader

A = "market:NSE:A"
B = "market:NSE:B"
LOG = "signals:generated"


def prices(lines: list[dict[str, Any]], name: str | None = None) -> list[int]:
    return [line["value"]["price"] for line in lines if name in {None, line["channel"]}]


class TestEncodingAndWriting:
    @jumping
    async def test_an_update_is_encoded_once_for_all_members_of_a_shape(self) -> None:
        async with floor() as room:
            readers = [room.reader(str(number)) for number in range(50)]
            for reader in readers:
                await room.subscribe(reader, A)
            await room.say(A, 1, 2, 3)
            assert room.dialect.calls == 3
            assert [prices(reader.told()) for reader in readers] == [[1, 2, 3]] * 50

    @jumping
    async def test_each_shape_is_encoded_once(self) -> None:
        async with floor() as room:
            shapes = [{}, {"mode": "ltp"}, {"delta": True}, {"mode": "ltp", "delta": True}]
            for shape in shapes * 3:
                await room.subscribe(room.reader(), A, **shape)
            await room.say(A, 1)
            assert room.dialect.calls == len(shapes)

    @jumping
    async def test_a_snapshot_is_encoded_once_for_all_who_come(self) -> None:
        async with floor() as room:
            keeper = room.reader()
            await room.subscribe(keeper, A)
            await room.say(A, 1)
            before = room.dialect.calls
            late = [room.reader() for _ in range(20)]
            for reader in late:
                await room.subscribe(reader, A)
            assert room.dialect.calls == before + 1
            assert all(prices(reader.told()) == [1] for reader in late)

    @jumping
    async def test_updates_of_many_channels_at_once_share_one_write(self) -> None:
        async with floor() as room:
            reader = room.reader()
            for number in range(30):
                await room.subscribe(reader, f"market:NSE:S{number}")
            await room.say_at_once(*[(f"market:NSE:S{number}", number) for number in range(30)])
            assert reader.pipe.writes == 1
            assert prices(reader.told()) == list(range(30))

    @jumping
    async def test_a_quiet_hub_writes_at_once(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            await room.say(A, 1)
            assert prices(reader.told()) == [1]

    @jumping
    async def test_a_busy_hub_writes_once_an_interval(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            await room.subscribe(reader, LOG)
            await room.busy()
            await room.say(A, *range(20))
            await room.say(LOG, *range(20))
            assert reader.pipe.writes == 0
            await pass_time(fanout.MAX_STRETCH * INTERVAL_S)
            assert reader.pipe.writes == 1
            told = reader.told()
            assert prices(told, A) == list(range(20))
            assert prices(told, LOG) == list(range(20))

    @jumping
    async def test_a_busy_hub_writes_log_messages_before_prices(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            await room.subscribe(reader, LOG)
            await room.busy()
            await room.say(A, 1)
            await room.say(LOG, 2)
            await pass_time(fanout.MAX_STRETCH * INTERVAL_S)
            assert [line["channel"] for line in reader.told()] == [LOG, A]

    @jumping
    async def test_a_hub_that_was_busy_writes_at_once_again_when_it_is_quiet(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            await room.busy()
            await pass_time(1.0)
            await room.say(A, 1)
            assert prices(reader.told()) == [1]

    @jumping
    async def test_no_timer_is_left_when_nothing_waits(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            await room.subscribe(reader, B, max_frequency=10)
            await room.busy()
            await room.say(A, 1)
            await room.say(B, 1, 2)
            await pass_time(1.0)
            loop = asyncio.get_running_loop()
            assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]


class TestStretching:
    @jumping
    async def test_the_interval_stretches_only_to_its_bound(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            loop = asyncio.get_running_loop()
            plain = reader.pipe.write
            written: list[float] = []

            def costly(data: bytes) -> None:
                written.append(loop.time())
                loop.now += 0.9 * INTERVAL_S  # type: ignore[attr-defined]
                plain(data)

            reader.pipe.write = costly  # type: ignore[method-assign]
            for _ in range(200):
                await room.say_at_once(*[(A, number) for number in range(200)])
                await asyncio.sleep(INTERVAL_S / 10)
            gaps = [after - before for before, after in pairwise(written)][-10:]
            assert max(gaps) <= fanout.MAX_STRETCH * INTERVAL_S + INTERVAL_S / 5
            assert min(gaps) > 1.1 * INTERVAL_S


class TestComingAndGoing:
    @jumping
    async def test_who_joins_while_updates_wait_gets_the_snapshot_and_only_what_follows(self) -> None:
        async with floor() as room:
            first, second = room.reader(), room.reader()
            await room.subscribe(first, A)
            await room.busy()
            await room.say(A, 1, 2)
            await room.subscribe(second, A)
            await room.say(A, 3, 4)
            await pass_time(0.1)
            told = second.told()
            assert prices(told) == [2, 3, 4]
            assert [line["snapshot"] for line in told] == [True, False, False]
            assert prices(first.told()) == [1, 2, 3, 4]

    @jumping
    async def test_who_leaves_while_updates_wait_gets_those_and_nothing_after(self) -> None:
        async with floor() as room:
            first, second = room.reader(), room.reader()
            await room.subscribe(first, A)
            subscription = await room.subscribe(second, A)
            await room.busy()
            await room.say(A, 1, 2)
            room.registry.leave(subscription)
            await room.say(A, 3)
            await pass_time(0.1)
            assert prices(second.told()) == [1, 2]
            assert prices(first.told()) == [1, 2, 3]

    @jumping
    async def test_a_log_reader_that_joins_while_messages_wait_gets_only_what_follows(self) -> None:
        async with floor() as room:
            first, second = room.reader(), room.reader()
            await room.subscribe(first, LOG)
            await room.busy()
            await room.say(LOG, 1, 2)
            joined = await room.join(second, LOG)
            assert joined.position is not None
            assert joined.position.offset == 2
            await room.say(LOG, 3)
            await pass_time(0.1)
            assert prices(second.told()) == [3]
            assert prices(first.told()) == [1, 2, 3]

    @jumping
    async def test_deltas_of_who_joins_late_start_from_the_snapshot(self) -> None:
        async with floor() as room:
            first, second = room.reader(), room.reader()
            await room.subscribe(first, A, delta=True)
            await room.busy()
            await room.say(A, 1, 2)
            await room.subscribe(second, A, delta=True)
            await room.say(A, 3)
            await pass_time(0.1)
            assert_chained(first.told())
            assert_chained(second.told())

    @jumping
    async def test_a_channel_changed_to_another_shape_and_back_in_one_interval_repeats_nothing(self) -> None:
        async with floor() as room:
            reader = room.reader()
            subscription = await room.subscribe(reader, A, delta=True)
            await room.busy()
            await room.say(A, 1)
            for shape in ({"mode": "ltp"}, {"delta": True}):
                answer = await room.grant(reader, A, **shape)
                room.registry.leave(subscription)
                subscription = answer.subscription  # type: ignore[union-attr]
                room.registry.start(answer)  # type: ignore[arg-type]
                await room.say(A, 2)
            await pass_time(0.1)
            assert prices(reader.told()) == [1, 1, 2, 2, 2]


def assert_chained(lines: list[dict[str, Any]]) -> None:
    """Each delta starts from what the reader was given just before; the first message is whole."""
    assert lines
    assert lines[0]["base"] is None
    for before, line in pairwise(lines):
        assert line["base"] == before["number"]


class TestSlowReader:
    @jumping
    async def test_gets_the_newest_value_and_the_number_of_those_it_missed(self) -> None:
        async with floor() as room:
            slow, quick = room.reader(), room.reader()
            for reader in (slow, quick):
                await room.subscribe(reader, A)
            await room.say(A, 0)
            slow.pipe.stall()
            await room.say(A, *range(1, 11))
            assert prices(slow.told()) == [0]
            slow.pipe.read()
            (line,) = slow.told()
            assert (line["value"]["price"], line["missed"]) == (10, 9)
            assert prices(quick.told()) == list(range(11))

    @jumping
    async def test_one_update_while_away_is_not_missed(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, A)
            await room.say(A, 0)
            slow.pipe.stall()
            await room.say(A, 1)
            slow.pipe.read()
            assert [(line["value"]["price"], line["missed"]) for line in slow.told()] == [(0, 0), (1, 0)]

    @jumping
    async def test_nothing_is_sent_where_nothing_was_missed(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, A)
            await room.say(A, 0)
            slow.told()
            slow.pipe.stall()
            slow.pipe.read()
            assert slow.told() == []

    @jumping
    async def test_that_came_before_the_first_value_is_told_what_it_missed(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, A)
            slow.pipe.stall()
            await room.say(A, 1, 2, 3)
            slow.pipe.read()
            (line,) = slow.told()
            assert (line["value"]["price"], line["missed"], line["base"]) == (3, 2, None)

    @jumping
    async def test_no_channel_starves_another(self) -> None:
        async with floor(line_size=1000) as room:
            slow = room.reader()
            names = [f"market:NSE:S{number}" for number in range(200)]
            for name in names:
                await room.subscribe(slow, name)
            await room.say_at_once(*[(name, 0) for name in names])
            slow.told()
            slow.pipe.stall()
            served = set()
            for number in range(1, 40):
                await room.say_at_once(*[(name, number) for name in names])
                slow.pipe.read(40_000)
                served |= {line["channel"] for line in slow.told()}
                if len(served) == len(names):
                    break
            assert served == set(names)

    @jumping
    async def test_what_waits_for_it_is_bounded_by_its_channels_not_by_their_updates(self) -> None:
        async with floor(line_size=1000) as room:
            slow = room.reader(window=0)
            names = [f"market:NSE:S{number}" for number in range(20)]
            for name in names:
                await room.subscribe(slow, name)
            slow.pipe.stall()
            for number in range(500):
                await room.say_at_once(*[(name, number) for name in names])
            assert slow.pipe.most_buffered <= 2 * slow.pipe.HIGH_WATER
            assert len(slow.outbox.held) == len(names)
            assert not slow.outbox.chunks

    @jumping
    async def test_log_messages_are_never_conflated(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, LOG)
            slow.pipe.stall()
            await room.say(LOG, *range(100))
            slow.pipe.read()
            told = slow.told()
            assert prices(told) == list(range(100))
            assert [line["number"] for line in told] == list(range(1, 101))

    @jumping
    async def test_deltas_start_from_what_it_was_given_last(self) -> None:
        async with floor() as room:
            slow, quick = room.reader(), room.reader()
            for reader in (slow, quick):
                await room.subscribe(reader, A, delta=True)
            await room.say(A, 0)
            slow.pipe.stall()
            await room.say(A, 1, 2, 3)
            slow.pipe.read()
            await room.say(A, 4)
            assert_chained(slow.told())
            assert_chained(quick.told())

    @jumping
    async def test_that_catches_up_while_updates_wait_for_the_tick_gets_them_once(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, A, delta=True)
            await room.say(A, 0)
            slow.pipe.stall()
            await room.say(A, 1, 2)
            await room.busy()
            await room.say(A, 3)
            slow.pipe.read()
            await pass_time(0.1)
            told = slow.told()
            assert_chained(told)
            assert prices(told) == [0, 2, 3]
            assert sum(line["missed"] for line in told) == 1

    @jumping
    async def test_who_comes_back_to_a_channel_while_slow_gets_a_snapshot_and_what_follows(self) -> None:
        async with floor() as room:
            slow, quick = room.reader(), room.reader()
            subscription = await room.subscribe(slow, A)
            await room.subscribe(quick, A)
            slow.pipe.stall()
            await room.say(A, 1, 2)
            room.registry.leave(subscription)
            await room.subscribe(slow, A)
            await room.say(A, 3, 4)
            slow.pipe.read()
            told = slow.told()
            assert told[0]["snapshot"]
            assert told[0]["value"]["price"] >= 2
            assert prices(told)[-1] == 4
            assert sum(line["missed"] for line in told) + len(told) - 1 == 4 - told[0]["value"]["price"]

    @jumping
    async def test_what_fanout_counts_as_delivered_and_conflated_adds_up(self) -> None:
        async with floor() as room:
            slow = room.reader()
            await room.subscribe(slow, A)
            await room.say(A, 0)
            slow.pipe.stall()
            await room.say(A, *range(1, 11))
            slow.pipe.read()
            assert room.fanout.deliveries == 2
            assert room.fanout.conflated == 9


class TestPaced:
    @jumping
    async def test_gets_no_more_than_it_asked_for_on_average_and_the_newest_in_the_end(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.say(A, -1)
            await room.subscribe(reader, A, max_frequency=5)
            published = 0
            for _ in range(400):  # ten seconds
                await room.say(A, published)
                published += 1
                await pass_time(0.025)
            told = reader.told()
            assert 45 <= len(told) <= 52
            await pass_time(1.0)
            told += reader.told()
            assert told[-1]["value"]["price"] == published - 1
            assert len(told) - 1 + sum(line["missed"] for line in told) == published

    @jumping
    async def test_a_first_value_comes_at_once_and_the_rest_in_its_time(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A, max_frequency=1)
            await room.say(A, 1)
            await pass_time(0.05)
            assert prices(reader.told()) == [1]
            await room.say(A, 2, 3)
            await pass_time(0.5)
            assert reader.told() == []
            await pass_time(0.6)
            (line,) = reader.told()
            assert (line["value"]["price"], line["missed"]) == (3, 1)

    @jumping
    async def test_updates_before_the_first_turn_are_counted_as_missed(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A, max_frequency=1)
            await room.say(A, 1, 2, 3)
            await pass_time(2.0)
            (line,) = reader.told()
            assert (line["value"]["price"], line["missed"]) == (3, 2)

    @jumping
    async def test_deltas_start_from_what_it_was_given_last(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.say(A, 0)
            await room.subscribe(reader, A, max_frequency=10, delta=True)
            for number in range(1, 100):
                await room.say(A, number)
                await pass_time(0.01)
            await pass_time(1.0)
            told = reader.told()
            assert_chained(told)
            assert told[-1]["value"]["price"] == 99

    @jumping
    async def test_readers_that_are_served_together_share_one_encoding(self) -> None:
        async with floor() as room:
            await room.say(A, 0)
            readers = [room.reader() for _ in range(50)]
            for reader in readers:
                await room.subscribe(reader, A, max_frequency=1, delta=True)
            before = room.dialect.calls
            await room.say(A, 1, 2, 3)
            await pass_time(1.5)
            assert all(prices(reader.told()) == [0, 3] for reader in readers)
            assert room.dialect.calls == before + 1

    @jumping
    async def test_a_paced_reader_that_is_slow_too_gets_the_newest_when_it_can(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.say(A, 0)
            await room.subscribe(reader, A, max_frequency=100)
            reader.pipe.stall()
            await room.say(A, 1, 2, 3)
            await pass_time(1.0)
            await room.say(A, 4)
            await pass_time(1.0)
            reader.told()
            reader.pipe.read()
            await pass_time(1.0)
            (line,) = reader.told()
            assert (line["value"]["price"], line["missed"]) == (4, 3)

    @jumping
    async def test_who_left_is_served_no_more(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.say(A, 0)
            subscription = await room.subscribe(reader, A, max_frequency=1)
            await room.say(A, 1)
            room.registry.leave(subscription)
            await pass_time(3.0)
            assert prices(reader.told()) == [0]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 5)),
        st.tuples(st.just("stall"), st.integers(0, 2)),
        st.tuples(st.just("read"), st.integers(0, 2)),
        st.tuples(st.just("some"), st.integers(0, 2)),
        st.tuples(st.just("time"), st.integers(1, 60)),
        st.tuples(st.just("busy"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS, st.booleans(), st.sampled_from([None, 3.0, 50.0]))
def test_whatever_the_readers_do_each_ends_with_the_newest_and_an_exact_count(
    steps: list[tuple[str, int]], delta: bool, frequency: float | None
) -> None:
    run(_story(steps, {"delta": delta, "max_frequency": frequency}))


async def _story(steps: list[tuple[str, int]], shape: dict[str, Any]) -> None:
    async with floor(line_size=5000) as room:
        readers = [room.reader(str(number)) for number in range(3)]
        for reader in readers:
            await room.subscribe(reader, A, **shape)
        said = await _play(room, readers, steps)
        for reader in readers:
            reader.pipe.read()
        await pass_time(2.0)
        for reader in readers:
            _check(reader, said)


async def _play(room: Floor, readers: list[Reader], steps: list[tuple[str, int]]) -> int:
    said = 0
    for step, count in steps:
        match step:
            case "say":
                await room.say(A, *range(said, said + count))
                said += count
            case "stall":
                readers[count].pipe.stall()
            case "read":
                readers[count].pipe.read()
            case "some":
                readers[count].pipe.read(20_000)
            case "time":
                await pass_time(count / 1000)
            case _:
                await room.busy()
    return said


def _check(reader: Reader, said: int) -> None:
    told = reader.told()
    assert len(told) + sum(line["missed"] for line in told) == said
    assert prices(told) == sorted(set(prices(told)))
    if said:
        assert prices(told)[-1] == said - 1
        assert reader.outbox.held == {}
    for before, line in pairwise(told):
        assert line["base"] in {None, before["number"]}
        assert line["value"]["price"] - before["value"]["price"] == line["missed"] + 1


@jumping
async def test_a_stalled_reader_costs_the_others_nothing() -> None:
    async with floor() as room:
        stalled, others = room.reader(), [room.reader() for _ in range(10)]
        for reader in (stalled, *others):
            await room.subscribe(reader, A)
        stalled.pipe.stall()
        for number in range(50):
            await room.say(A, number)
        assert all(prices(reader.told()) == list(range(50)) for reader in others)
        assert stalled.pipe.writes == 0


@jumping
async def test_an_outbox_that_left_everything_is_held_by_nothing() -> None:
    async with floor() as room:
        reader = room.reader()
        subscriptions = [await room.subscribe(reader, A), await room.subscribe(reader, B, max_frequency=1)]
        await room.say(A, 1)
        reader.pipe.stall()
        await room.say(A, 2)
        await room.say(B, 2, 3)
        for subscription in subscriptions:
            room.registry.leave(subscription)
        await turns()
        await pass_time(1.0)
        assert reader.outbox.held == {}
        assert room.registry.channel_count == 0
        assert room.registry.members(channel(A).name) == []
