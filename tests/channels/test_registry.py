"""What the registry promises: on a log channel every message or a gap that was told, on a latest one the newest."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from channels.broker import Member, Publication
from channels.channel import ChannelNames
from channels.namespace import Access, Policy
from channels.registry import Joined, Wish
from channels.shape import Shape, Update
from schemas.commands import Position
from schemas.errors import CommandError, ErrorCode, Unavailable, UnsubscribeCode
from tests.channels.clock import jumping, run, turns
from tests.channels.floor import Floor, floor, pass_time
from tests.channels.recorder import NAMES, channel
from tests.channels.recorder import SHORT as SHORT_NAMESPACE
from tests.channels.transports import Reader

A = "market:NSE:A"
B = "market:NSE:B"
LOG = "signals:generated"
OTHER_LOG = "signals:other"
SHORT = "short:a"
"""A log that keeps five."""

TOLD = UnsubscribeCode.INSUFFICIENT_STATE


def prices(lines: list[dict[str, Any]], name: str | None = None) -> list[int]:
    return [line["value"]["price"] for line in lines if name in {None, line["channel"]}]


def offsets(lines: list[dict[str, Any]]) -> list[int]:
    return [line["number"] for line in lines]


def losing(*numbers: int) -> Any:
    """Loses the publications with these prices on their way."""
    payloads = {b'{"price":%d}' % number for number in numbers}
    return lambda publication: publication.payload in payloads


class TestGaps:
    @jumping
    async def test_a_lost_message_is_filled_in_from_history_in_order(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            room.broker.loses = losing(2, 3)
            await room.say(LOG, 1, 2, 3, 4, 5)
            await turns()
            assert offsets(reader.told()) == [1, 2, 3, 4, 5]
            assert room.registry.gaps_filled == 1
            assert room.ended == []

    @jumping
    async def test_a_loss_at_the_end_is_filled_in_after_an_interruption(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            room.broker.loses = losing(2, 3)
            await room.say(LOG, 1, 2, 3)
            room.broker.interrupt()
            await turns()
            assert offsets(reader.told()) == [1, 2, 3]

    @jumping
    async def test_what_history_no_longer_holds_is_told(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, SHORT)
            room.broker.loses = losing(*range(2, 9))
            await room.say(SHORT, *range(1, 10))
            await turns()
            assert offsets(reader.told()) == [1]
            assert room.ended == [(reader.outbox, SHORT, TOLD)]
            assert room.registry.channel_count == 0

    @jumping
    async def test_a_new_epoch_is_told(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            await room.say(LOG, 1, 2)
            await room.broker.restart()
            await turns()
            assert room.ended == [(reader.outbox, LOG, TOLD)]

    @jumping
    async def test_an_epoch_that_changes_without_an_interruption_is_told(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            await room.say(LOG, 1)
            room.registry.deliver([Publication(LOG, b'{"price":9}', 2, "another")])
            await turns()
            assert prices(reader.told()) == [1]
            if not room.ended:  # the channel's own epoch went on, so nothing was lost
                await room.say(LOG, 2)
                await turns()
                assert prices(reader.told()) == [2]

    @jumping
    async def test_repeated_and_older_messages_are_not_repeated(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            await room.say(LOG, 1, 2, 3)
            page = await room.broker.history(channel(LOG), limit=10)
            room.registry.deliver(page.publications)
            await turns()
            assert offsets(reader.told()) == [1, 2, 3]

    @jumping
    async def test_messages_that_nobody_counted_pass_through(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            room.registry.deliver([Publication(LOG, b'{"price":7}')])
            await room.say(LOG, 1)
            assert prices(reader.told()) == [7, 1]

    @jumping
    async def test_a_gap_waits_for_a_broker_that_is_away(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            room.broker.loses = losing(2)
            room.broker.away = {"history"}
            await room.say(LOG, 1, 2, 3)
            await pass_time(30)
            await room.say(LOG, 4)
            assert offsets(reader.told()) == [1]
            room.broker.away = set()
            await pass_time(10)
            assert offsets(reader.told()) == [2, 3, 4]
            assert room.ended == []

    @jumping
    async def test_one_channel_that_cannot_be_repaired_holds_no_other_up(self) -> None:
        async with floor() as room:
            reader = room.reader()
            for name in (LOG, OTHER_LOG):
                await room.subscribe(reader, name)
            inner = room.broker.inner.history

            async def history(asked: Any, **options: Any) -> Any:
                if asked.name == LOG:
                    raise Unavailable("broker", "WRONGTYPE")
                return await inner(asked, **options)

            room.broker.inner.history = history  # type: ignore[method-assign]
            room.broker.loses = losing(1)
            await room.say(LOG, 1, 2)
            await room.say(OTHER_LOG, 1, 2)
            await pass_time(30)
            assert prices(reader.told(), OTHER_LOG) == [1, 2]

    @jumping
    async def test_an_interruption_while_a_gap_is_being_filled_is_not_forgotten(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, LOG)
            await room.say(LOG, 1)
            room.broker.loses = losing(2)
            async with room.broker.held("history", answered=True) as gate:
                room.broker.interrupt()
                await gate.arrived.wait()
                await room.say(LOG, 2)  # after the page was read, and lost
                room.broker.interrupt()
                room.broker.hold_no_more("history")
                gate.open()
                await turns()
            await pass_time(10)
            assert offsets(reader.told()) == [1, 2]

    @jumping
    async def test_a_second_gap_behind_one_that_was_told_does_not_silence_the_channel(self) -> None:
        async with floor() as room:
            reader, watched = room.reader(), []
            await room.registry.watch(channel(SHORT), lambda update: watched.append(update.number))
            await room.subscribe(reader, SHORT)
            room.broker.loses = losing(*range(2, 9), 10)
            async with room.broker.held("history", answered=True) as gate:
                await room.say(SHORT, *range(1, 10))
                await gate.arrived.wait()
                await room.say(SHORT, 10, 11)  # 10 is lost while the page is on its way
                room.broker.hold_no_more("history")
                gate.open()
                await turns()
            await pass_time(10)
            assert room.ended == [(reader.outbox, SHORT, TOLD)]
            assert watched[-1] == 11
            await room.say(SHORT, 12)
            assert watched[-1] == 12
            again = await room.join(reader, SHORT)
            assert again.position is not None
            assert again.position.offset == 12

    @jumping
    async def test_a_gap_behind_the_place_a_watcher_starts_from_is_filled(self) -> None:
        async with floor() as room:
            watched: list[int] = []
            room.broker.loses = losing(1)
            async with room.broker.held("history", answered=True) as gate:
                await room.registry.watch(channel(LOG), lambda update: watched.append(update.number))
                await gate.arrived.wait()
                await room.say(LOG, 1, 2)
                room.broker.hold_no_more("history")
                gate.open()
                await turns()
            await room.say(LOG, 3)
            await pass_time(10)
            assert watched == [1, 2, 3]

    @jumping
    async def test_an_interruption_while_the_first_place_is_read_is_not_forgotten(self) -> None:
        async with floor() as room:
            reader = room.reader()
            room.broker.loses = losing(1)
            async with room.broker.held("history", answered=True) as gate:
                joining = asyncio.create_task(room.grant(reader, LOG))
                await gate.arrived.wait()
                await room.say(LOG, 1)
                room.broker.interrupt()
                room.broker.hold_no_more("history")
                gate.open()
                joined = await joining
            assert isinstance(joined, Joined)
            room.registry.start(joined)
            await pass_time(10)
            assert joined.position is not None
            assert joined.position.offset + len(reader.told()) == 1


class TestJoiningALog:
    @jumping
    async def test_starts_at_the_present_place(self) -> None:
        async with floor() as room:
            await room.say(LOG, 1, 2)
            reader = room.reader()
            joined = await room.join(reader, LOG)
            assert (joined.position.offset, joined.recovered) == (2, None)  # type: ignore[union-attr]
            await room.say(LOG, 3)
            assert offsets(reader.told()) == [3]

    @jumping
    async def test_recovers_what_was_missed(self) -> None:
        async with floor() as room:
            first = await room.join(room.reader(), LOG)
            await room.say(LOG, 1, 2, 3)
            reader = room.reader()
            joined = await room.join(reader, LOG, since=Position(first.position.epoch, 1))  # type: ignore[union-attr]
            assert joined.recovered is True
            await room.say(LOG, 4)
            assert offsets(reader.told()) == [2, 3, 4]

    @jumping
    async def test_says_so_where_it_missed_nothing(self) -> None:
        async with floor() as room:
            await room.say(LOG, 1)
            here = (await room.join(room.reader(), LOG)).position
            reader = room.reader()
            joined = await room.join(reader, LOG, since=here)
            assert (joined.recovered, joined.position) == (True, here)
            assert reader.told() == []

    @pytest.mark.parametrize(("epoch", "offset"), [("own", 1), ("another", 9), ("another", 0), ("own", 99)])
    @jumping
    async def test_says_so_where_it_cannot_recover(self, epoch: str, offset: int) -> None:
        async with floor() as room:
            await room.say(SHORT, *range(1, 10))
            here = (await room.join(room.reader(), SHORT)).position
            assert here is not None
            reader = room.reader()
            since = Position(here.epoch if epoch == "own" else epoch, offset)
            joined = await room.join(reader, SHORT, since=since)
            assert (joined.recovered, joined.position) == (False, here)
            await room.say(SHORT, 10)
            assert offsets(reader.told()) == [10]

    @jumping
    async def test_recovers_completely_while_the_channel_moves(self) -> None:
        async with floor() as room:
            first = await room.join(room.reader(), LOG)
            await room.say(LOG, *range(1, 5))
            reader = room.reader()
            since = Position(first.position.epoch, 2)  # type: ignore[union-attr]
            for answered in (False, True):
                async with room.broker.held("history", answered=answered) as gate:
                    joining = asyncio.create_task(room.grant(reader, LOG, since=since))
                    await gate.arrived.wait()
                    await room.say(LOG, 5, 6)
                    gate.open()
                    joined = await joining
                await room.say(LOG, 7)
                assert isinstance(joined, Joined)
                assert joined.recovered is True
                room.registry.start(joined)
                await room.say(LOG, 8)
                told = offsets(reader.told())
                assert told == list(range(3, told[-1] + 1))
                room.registry.leave(joined.subscription)
                position = room.registry.position(LOG)
                assert position is not None
                assert told[-1] == position.offset

    @jumping
    async def test_a_client_that_is_ahead_of_this_process_hears_nothing_twice(self) -> None:
        async with floor() as room:
            first = await room.join(room.reader(), LOG)
            await room.say(LOG, 1)
            room.broker.delay()
            await room.say(LOG, 2, 3)
            reader = room.reader()
            since = Position(first.position.epoch, 2)  # type: ignore[union-attr]  # heard on another instance
            joining = asyncio.create_task(room.join(reader, LOG, since=since))
            await turns()
            room.broker.release()
            joined = await joining
            assert joined.recovered is not True or offsets(reader.told()) == [3]

    @jumping
    async def test_a_gap_that_opened_between_grant_and_start_is_filled(self) -> None:
        async with floor() as room:
            reader, keeper = room.reader(), room.reader()
            await room.subscribe(keeper, LOG)
            joined = await room.grant(reader, LOG)
            assert isinstance(joined, Joined)
            room.broker.loses = losing(2)
            await room.say(LOG, 1, 2, 3)
            await turns()
            room.registry.start(joined)
            await turns()
            assert offsets(reader.told()) == offsets(keeper.told()) == [1, 2, 3]

    @jumping
    async def test_a_gap_that_was_told_between_grant_and_start_is_told_to_the_newcomer_too(self) -> None:
        async with floor() as room:
            reader, keeper = room.reader(), room.reader()
            await room.subscribe(keeper, SHORT)
            joined = await room.grant(reader, SHORT)
            assert isinstance(joined, Joined)
            room.broker.loses = losing(*range(1, 9))
            await room.say(SHORT, *range(1, 10))
            await turns()
            assert (keeper.outbox, SHORT, TOLD) in room.ended
            await room.say(SHORT, 10)  # the channel goes on
            room.registry.start(joined)
            assert (reader.outbox, SHORT, TOLD) in room.ended
            assert reader.told() == []

    @jumping
    async def test_a_new_epoch_between_grant_and_start_is_told(self) -> None:
        async with floor() as room:
            reader = room.reader()
            joined = await room.grant(reader, LOG)
            assert isinstance(joined, Joined)
            await room.broker.restart()
            await turns()
            await room.say(LOG, 1)
            room.registry.start(joined)
            assert room.ended == [(reader.outbox, LOG, TOLD)]
            assert reader.told() == []

    @jumping
    async def test_is_refused_where_the_broker_is_away_and_works_once_it_is_back(self) -> None:
        async with floor() as room:
            reader = room.reader()
            room.broker.away = {"history"}
            refused = await room.grant(reader, LOG)
            assert isinstance(refused, CommandError)
            assert refused.code is ErrorCode.NOT_AVAILABLE
            assert room.registry.channel_count == 0
            room.broker.away = set()
            await room.subscribe(reader, LOG)
            await room.say(LOG, 1)
            assert offsets(reader.told()) == [1]

    @jumping
    async def test_is_refused_while_a_gap_cannot_be_filled_and_the_latest_channels_of_the_command_are_not(self) -> None:
        async with floor() as room:
            keeper = room.reader()
            await room.subscribe(keeper, LOG)
            room.broker.loses = losing(1)
            room.broker.away = {"history"}
            await room.say(LOG, 1, 2)
            answers = await room.registry.join(room.reader().outbox, [room.wish(LOG), room.wish(A)])
            assert isinstance(answers[0], CommandError)
            assert answers[0].code is ErrorCode.NOT_AVAILABLE
            assert isinstance(answers[1], Joined)
            room.registry.start(answers[1])
            room.broker.away = set()
            await pass_time(10)
            assert offsets(keeper.told()) == [1, 2]

    @jumping
    async def test_many_join_at_once_while_messages_flow_and_each_hears_a_gapless_run(self) -> None:
        async with floor() as room:
            readers = [room.reader(str(number)) for number in range(40)]
            joins = []
            for number, reader in enumerate(readers):
                joins.append(asyncio.create_task(room.join(reader, LOG)))
                await room.say(LOG, number)
                await turns(number % 3)
            granted = await asyncio.gather(*joins)
            await room.say(LOG, 40)
            await pass_time(0.1)
            for reader, joined in zip(readers, granted, strict=True):
                assert joined.position is not None
                assert offsets(reader.told()) == list(range(joined.position.offset + 1, 42))


class TestLatest:
    @jumping
    async def test_a_newcomer_gets_the_last_value_of_a_channel_that_nobody_heard(self) -> None:
        async with floor() as room:
            await room.say(A, 1, 2)
            reader = room.reader()
            await room.subscribe(reader, A)
            (line,) = reader.told()
            assert (line["value"]["price"], line["snapshot"]) == (2, True)

    @jumping
    async def test_a_newcomer_gets_the_last_value_though_another_gave_up_on_reading_it(self) -> None:
        async with floor() as room:
            await room.say(A, 1)
            reader = room.reader()
            async with room.broker.held("last") as gate:
                first = asyncio.create_task(room.grant(room.reader(), A))
                await gate.arrived.wait()
                second = asyncio.create_task(room.join(reader, A))
                await turns()
                first.cancel()
                await turns()
            await second
            await pass_time(10)
            assert prices(reader.told()) == [1]

    @jumping
    async def test_everyone_who_joins_at_once_gets_a_snapshot(self) -> None:
        async with floor() as room:
            await room.say(A, 1)
            readers = [room.reader() for _ in range(3)]
            async with room.broker.held("last") as gate:
                joins = [asyncio.create_task(room.join(reader, A)) for reader in readers[:2]]
                await gate.arrived.wait()
                joins.append(asyncio.create_task(room.join(readers[2], A)))
                await turns()
            await asyncio.gather(*joins)
            assert [[line["snapshot"] for line in reader.told()] for reader in readers] == [[True]] * 3

    @jumping
    async def test_the_last_value_comes_later_where_the_broker_is_away(self) -> None:
        async with floor() as room:
            await room.say(A, 1)
            room.broker.away = {"last"}
            reader = room.reader()
            await room.subscribe(reader, A)
            await pass_time(20)
            assert reader.told() == []
            room.broker.away = set()
            await pass_time(10)
            assert prices(reader.told()) == [1]

    @jumping
    async def test_an_older_last_value_never_replaces_a_newer_one(self) -> None:
        async with floor() as room:
            await room.say(A, 1)
            reader = room.reader()
            async with room.broker.held("last", answered=True) as gate:
                joining = asyncio.create_task(room.join(reader, A))
                await gate.arrived.wait()
                await room.say(A, 2)
                gate.open()
                await joining
            await room.say(A, 3)
            assert prices(reader.told()) == [2, 3]

    @jumping
    async def test_after_an_interruption_the_newest_value_comes_once(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            room.broker.loses = losing(2, 3)
            await room.say(A, 1, 2, 3)
            room.broker.interrupt()
            await turns()
            room.broker.interrupt()
            await turns()
            assert prices(reader.told()) == [1, 3]

    @jumping
    async def test_a_repeated_or_older_value_is_not_repeated(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            room.registry.deliver([Publication(A, b'{"price":%d}' % number, number) for number in (5, 5, 4, 6)])
            assert prices(reader.told()) == [5, 6]

    @jumping
    async def test_the_broker_is_asked_once_for_the_value_of_a_channel_that_has_none(self) -> None:
        async with floor() as room:
            for _ in range(3):
                await room.subscribe(room.reader(), A)
            assert room.broker.calls["last"] == 1
            assert room.broker.calls["subscribe"] == 1

    @jumping
    async def test_the_sequence_grows_though_the_brokers_own_count_starts_anew(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            numbers = [500, 501, 0, 502, 0, 0]
            room.registry.deliver([Publication(A, b'{"price":1}', number) for number in numbers])
            room.broker.interrupt()
            await turns()
            room.registry.deliver([Publication(A, b'{"price":2}', number) for number in (1, 2, 3)])
            told = offsets(reader.told())
            assert len(told) == 9
            assert told == sorted(set(told))

    @jumping
    async def test_a_restarted_broker_goes_on_being_heard(self) -> None:
        async with floor() as room:
            reader = room.reader()
            await room.subscribe(reader, A)
            await room.say(A, 1)
            await room.broker.restart()
            await turns()
            await room.say(A, 2)
            assert prices(reader.told()) == [1, 2]

    @jumping
    async def test_many_join_at_once_while_prices_flow_and_each_hears_a_gapless_run(self) -> None:
        async with floor() as room:
            readers = [room.reader(str(number)) for number in range(40)]
            joins = []
            for number, reader in enumerate(readers):
                joins.append(asyncio.create_task(room.join(reader, A)))
                await room.say(A, number)
                await turns(number % 3)
            await asyncio.gather(*joins)
            await room.say(A, 40)
            await pass_time(0.1)
            for reader in readers:
                told = reader.told()
                first = prices(told)[0]
                assert prices(told) == list(range(first, 41))


class TestLeaving:
    @jumping
    async def test_a_channel_that_nobody_hears_is_given_up(self) -> None:
        async with floor() as room:
            reader = room.reader()
            for name in (A, LOG):
                subscription = await room.subscribe(reader, name)
                assert room.registry.channel_count == 1
                room.registry.leave(subscription)
                assert room.registry.channel_count == 0
                await turns()
                assert room.broker.subscribed[name] == 0

    @jumping
    async def test_leaving_twice_is_harmless(self) -> None:
        async with floor() as room:
            first, second = room.reader(), room.reader()
            subscription = await room.subscribe(first, A)
            await room.subscribe(second, A)
            room.registry.leave(subscription)
            room.registry.leave(subscription)
            await room.say(A, 1)
            assert prices(second.told()) == [1]
            assert first.told() == []

    @jumping
    async def test_a_channel_is_given_up_though_the_broker_was_away(self) -> None:
        async with floor() as room:
            subscription = await room.subscribe(room.reader(), A)
            room.broker.away = {"unsubscribe"}
            room.registry.leave(subscription)
            await pass_time(10)
            room.broker.away = set()
            await pass_time(10)
            assert room.broker.subscribed[A] == 0

    @jumping
    async def test_a_channel_given_up_and_wanted_again_at_once_is_heard(self) -> None:
        async with floor() as room:
            reader = room.reader()
            for number in range(5):
                room.registry.leave(await room.subscribe(reader, A))
                await turns(number)
            await room.subscribe(reader, A)
            await turns()
            await room.say(A, 1)
            assert prices(reader.told()) == [1]
            assert room.broker.subscribed[A] == 1

    @jumping
    async def test_members_are_who_hears_it(self) -> None:
        async with floor() as room:
            subscription = await room.subscribe(room.reader("one"), A)
            await room.subscribe(room.reader("two"), A, mode="ltp")
            assert sorted(room.registry.members(A)) == [Member("one", "one"), Member("two", "two")]
            room.registry.leave(subscription)
            assert room.registry.members(A) == [Member("two", "two")]
            assert room.registry.members(B) == []


class TestGivingUpOnTheWay:
    @pytest.mark.parametrize("method", ["subscribe", "last", "history"])
    @pytest.mark.parametrize("answered", [False, True])
    @jumping
    async def test_a_join_cancelled_while_it_waits_leaves_nothing_behind(self, method: str, answered: bool) -> None:
        async with floor() as room:
            await room.say(A, 1)
            await room.say(LOG, 1)
            async with room.broker.held(method, answered=answered) as gate:
                wishes = [room.wish(A), room.wish(LOG), room.wish(B), room.wish(SHORT)]
                joining = asyncio.create_task(room.registry.join(room.reader().outbox, wishes))
                await gate.arrived.wait()
                joining.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await joining
            await turns()
            assert room.registry.channel_count == 0
            assert {name: count for name, count in room.broker.subscribed.items() if count} == {}

    @pytest.mark.parametrize("method", ["subscribe", "last", "history"])
    @pytest.mark.parametrize("answered", [False, True])
    @jumping
    async def test_a_join_cancelled_beside_another_takes_nothing_from_it(self, method: str, answered: bool) -> None:
        async with floor() as room:
            await room.say(A, 1)
            reader = room.reader()
            wishes = [room.wish(A), room.wish(LOG)]
            async with room.broker.held(method, answered=answered) as gate:
                first = asyncio.create_task(room.registry.join(room.reader().outbox, wishes))
                await gate.arrived.wait()
                room.broker.hold_no_more(method)
                second = asyncio.create_task(room.registry.join(reader.outbox, wishes))
                await turns()
                first.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await first
            answers = await second
            for joined in answers:
                assert isinstance(joined, Joined)
                room.registry.start(joined)
            for joined in answers:
                assert isinstance(joined, Joined)
                room.registry.leave(joined.subscription)  # what it claimed is let go of, while another comes
            for name in (A, LOG):
                await room.subscribe(reader, name)
            await turns()
            reader.told()
            await room.say(A, 2)
            await room.say(LOG, 2)
            assert prices(reader.told()) == [2, 2]
            assert room.broker.subscribed == {A: 1, LOG: 1}

    @jumping
    async def test_a_failed_subscribe_counts_for_nothing(self) -> None:
        async with floor() as room:
            room.broker.away = {"subscribe"}
            with pytest.raises(Unavailable):
                await room.grant(room.reader(), A)
            room.broker.away = set()
            reader = room.reader()
            await room.subscribe(reader, A)
            await turns()
            await room.say(A, 1)
            assert prices(reader.told()) == [1]
            assert room.broker.subscribed[A] == 1

    @jumping
    async def test_a_grant_that_is_abandoned_leaves_nothing_behind(self) -> None:
        async with floor() as room:
            for name in (A, LOG):
                joined = await room.grant(room.reader(), name)
                assert isinstance(joined, Joined)
                room.registry.abandon(joined)
                await turns()
                assert room.registry.channel_count == 0
                assert room.broker.subscribed[name] == 0

    @jumping
    async def test_one_refused_channel_takes_nothing_from_the_others(self) -> None:
        async with floor() as room:
            room.broker.away = {"history"}
            reader = room.reader()
            wishes = [room.wish(A), room.wish(LOG), room.wish(B)]
            answers = await room.registry.join(reader.outbox, wishes)
            assert [isinstance(answer, Joined) for answer in answers] == [True, False, True]
            for answer in answers:
                if isinstance(answer, Joined):
                    room.registry.start(answer)
            await room.say_at_once((A, 1), (B, 2))
            assert prices(reader.told()) == [1, 2]
            assert room.registry.channel_count == 2


class TestWatching:
    @jumping
    async def test_a_watcher_hears_every_update_and_keeps_the_channel(self) -> None:
        async with floor() as room:
            heard: list[Update] = []
            await room.registry.watch(channel(A), heard.append)
            await room.registry.watch(channel(LOG), heard.append)
            await turns()
            room.registry.leave(await room.subscribe(room.reader(), A))
            await room.say(A, 1)
            await room.say(LOG, 2)
            assert [update.payload for update in heard] == [b'{"price":1}', b'{"price":2}']
            assert room.registry.channel_count == 2

    @jumping
    async def test_a_watch_cancelled_on_the_way_leaves_nothing_behind(self) -> None:
        async with floor() as room:
            async with room.broker.held("subscribe") as gate:
                watching = asyncio.create_task(room.registry.watch(channel(A), lambda _: None))
                await gate.arrived.wait()
                watching.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await watching
            await turns()
            assert room.registry.channel_count == 0
            assert room.broker.subscribed[A] == 0

    @jumping
    async def test_position_tells_how_far_a_log_channel_is(self) -> None:
        async with floor() as room:
            assert room.registry.position(LOG) is None
            reader = room.reader()
            await room.subscribe(reader, LOG)
            await room.say(LOG, 1)
            position = room.registry.position(LOG)
            assert position is not None
            assert position.offset == 1


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 4)),
        st.tuples(st.just("lose"), st.integers(1, 7)),
        st.tuples(st.just("interrupt"), st.just(0)),
        st.tuples(st.just("join"), st.integers(0, 2)),
        st.tuples(st.just("leave"), st.integers(0, 2)),
        st.tuples(st.just("grant"), st.integers(0, 2)),
        st.tuples(st.just("start"), st.integers(0, 2)),
        st.tuples(st.just("turns"), st.integers(1, 12)),
        st.tuples(st.just("away"), st.just(0)),
        st.tuples(st.just("back"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("delay"), st.just(0)),
        st.tuples(st.just("release"), st.just(0)),
    ),
    max_size=40,
)


class _Client:
    """One reader of SHORT that comes back to where it was, and holds the registry to its word."""

    def __init__(self, room: Floor, name: str) -> None:
        self.room = room
        self.reader: Reader = room.reader(name)
        self.reader.outbox.on_unsubscribed = lambda *_: self.end()
        self.place: Position | None = None
        self.joined: Joined | None = None
        self.live = False
        self.granting: asyncio.Task[Joined | CommandError] | None = None

    def end(self) -> None:
        self.read()
        self.place, self.joined, self.live = None, None, False

    def ask(self) -> None:
        if self.joined is None and self.granting is None:
            wish = Wish(channel(SHORT), Shape(self.room.dialect), self.place)
            self.granting = asyncio.create_task(self._grant(wish))

    async def _grant(self, wish: Wish) -> Joined | CommandError:
        (answer,) = await self.room.registry.join(self.reader.outbox, [wish])
        return answer

    def start(self) -> None:
        if self.granting is None or not self.granting.done():
            return
        answer, self.granting = self.granting.result(), None
        if isinstance(answer, CommandError):
            return
        if answer.recovered is not True:
            self.place = answer.position
        self.joined, self.live = answer, True
        self.room.registry.start(answer)

    def leave(self) -> None:
        if self.joined is not None and self.live:
            self.room.registry.leave(self.joined.subscription)
            self.read()
            self.joined, self.live = None, False

    def read(self) -> None:
        for line in self.reader.told():
            assert self.place is not None
            assert line["number"] == self.place.offset + 1
            self.place = Position(self.place.epoch, line["number"])


@given(ACTS)
def test_a_log_reader_hears_every_message_once_and_in_order_or_is_told(acts: list[tuple[str, int]]) -> None:
    run(_log_story(acts))


async def _log_story(acts: list[tuple[str, int]]) -> None:
    async with floor() as room:
        story = _Story(room)
        for act, count in acts:
            await getattr(story, act)(count)
            for client in story.clients:
                client.read()
        await _come_to_rest(room, story.clients)


class _Story:
    """Three clients, and what may happen to them; each act is a method."""

    def __init__(self, room: Floor) -> None:
        self.room = room
        self.clients = [_Client(room, str(number)) for number in range(3)]
        self.said = 0

    async def say(self, count: int) -> None:
        for _ in range(count):
            self.said += 1
            await self.room.broker.inner.publish(channel(SHORT), b'{"price":%d}' % self.said)

    async def lose(self, count: int) -> None:
        self.room.broker.loses = losing(*range(self.said + 1, self.said + 1 + count))

    async def interrupt(self, _: int) -> None:
        self.room.broker.interrupt()

    async def join(self, client: int) -> None:
        self.clients[client].ask()
        await turns()
        self.clients[client].start()

    async def grant(self, client: int) -> None:
        self.clients[client].ask()
        await turns(3)

    async def start(self, client: int) -> None:
        self.clients[client].start()

    async def leave(self, client: int) -> None:
        self.clients[client].leave()

    async def turns(self, count: int) -> None:
        await turns(count)

    async def away(self, _: int) -> None:
        self.room.broker.away = {"history"}

    async def back(self, _: int) -> None:
        self.room.broker.away = set()

    async def restart(self, _: int) -> None:
        self.room.broker.delayed = None
        await self.room.broker.restart()

    async def delay(self, _: int) -> None:
        self.room.broker.delay()

    async def release(self, _: int) -> None:
        self.room.broker.release()


async def _come_to_rest(room: Floor, clients: list[_Client]) -> None:
    room.broker.away, room.broker.loses = set(), lambda _: False
    room.broker.release()
    room.broker.interrupt()
    await pass_time(30)
    for client in clients:
        client.start()
        client.read()
    page = await room.broker.history(channel(SHORT), limit=0)
    for client in clients:
        if client.live:
            assert client.place == page.position
        client.leave()
    await turns()
    assert room.registry.channel_count == 0
    assert room.broker.subscribed[SHORT] == 0


async def test_channels_of_a_namespace_that_was_replaced_go_by_its_new_rules() -> None:
    async with floor() as room:
        reader = room.reader()
        subscription = await room.subscribe(reader, SHORT)
        untouched = await room.subscribe(reader, A)
        await room.say(SHORT, 1)
        names = ChannelNames(NAMES.namespaces.with_added([structs.replace(SHORT_NAMESPACE, message_type="short:says")]))
        room.registry.renew(names)
        assert subscription.channel.namespace.message_type == "short:says"
        assert untouched.channel is channel(A)
        await room.say(SHORT, 2)
        await room.say(A, 3)
        assert prices(reader.told()) == [1, 2, 3]
        room.registry.leave(subscription)
        assert room.registry.channel_count == 1
    assert room.ended == []


@pytest.mark.parametrize("changes", [{"policy": Policy.LATEST}, {"access": Access.OWNER}])
async def test_a_channel_that_would_be_another_ends_and_may_be_asked_for_again(changes: dict[str, Any]) -> None:
    async with floor() as room:
        reader = room.reader()
        await room.subscribe(reader, SHORT)
        names = ChannelNames(NAMES.namespaces.with_added([structs.replace(SHORT_NAMESPACE, **changes)]))
        room.registry.renew(names)
        assert room.ended == [(reader.outbox, SHORT, TOLD)]
        assert room.registry.channel_count == 0
        again = names.parse(SHORT)
        (joined,) = await room.registry.join(reader.outbox, [Wish(again, Shape(room.dialect))])
        assert isinstance(joined, Joined)
        room.registry.start(joined)
        await turns()
        assert room.broker.subscribed[SHORT] == 1
        await room.broker.publish(again, b'{"price":7}')
        assert prices(reader.told()) == [7]
