"""The contract of a Broker, which every twin must keep."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import pytest
from msgspec import structs

from channels.broker import Count, Demanded, Member
from channels.broker_memory import MemoryBroker
from channels.broker_redis import RedisBroker
from channels.lease import Fence, Lease, LeaseLost
from channels.namespace import Policy
from schemas.commands import Position
from tests.channels.recorder import channel, listening

T = TypeVar("T")
Broker = MemoryBroker | RedisBroker

MARKET = channel("market:NSE:RELIANCE")
OTHER = channel("market:NSE:TCS")
SIGNALS = channel("signals:generated")
SHORT = channel("short:a")


def payload(number: int) -> bytes:
    return b'{"n":%d}' % number


class TestDelivery:
    async def test_a_subscriber_hears_what_is_published(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            await broker.subscribe([MARKET])
            receipt = await broker.publish(MARKET, payload(1))
            await heard.until_heard(payload(1))
        (publication,) = heard.heard
        assert publication.channel == "market:NSE:RELIANCE"
        assert (publication.offset, publication.epoch) == (receipt.offset, "")

    async def test_nobody_hears_a_channel_without_subscribers(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            await broker.subscribe([MARKET])
            await broker.publish(OTHER, payload(1))
            await broker.publish(MARKET, payload(2))
            await heard.until_heard(payload(2))
        assert heard.payloads() == [payload(2)]

    async def test_each_channel_has_one_order(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            await broker.subscribe([MARKET, SIGNALS])
            for number in range(50):
                await broker.publish(MARKET, payload(number))
                await broker.publish(SIGNALS, payload(number))
            await heard.until(lambda heard: len(heard.heard) == 100)
        expected = [payload(number) for number in range(50)]
        assert heard.payloads(MARKET.name) == expected
        assert heard.payloads(SIGNALS.name) == expected

    async def test_every_listener_hears_the_same(self, make_broker: Callable[[], Awaitable[Broker]], twin: str) -> None:
        processes = 1 if twin == "memory" else 2
        brokers = [await make_broker() for _ in range(processes)]
        async with contextlib.AsyncExitStack() as stack:
            hearing = [await stack.enter_async_context(listening(broker)) for broker in brokers]
            for broker in brokers:
                await broker.subscribe([SIGNALS])
            await asyncio.gather(*(broker.publish(SIGNALS, payload(n)) for n in range(20) for broker in brokers))
            for heard in hearing:
                await heard.until(lambda heard: len(heard.heard) == 20 * processes)
        assert all(heard.heard == hearing[0].heard for heard in hearing)
        assert [publication.offset for publication in hearing[0].heard] == list(range(1, 20 * processes + 1))

    async def test_subscriptions_are_counted(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            await broker.subscribe([MARKET, MARKET])
            await broker.unsubscribe([MARKET])
            await broker.publish(MARKET, payload(1))
            await heard.until_heard(payload(1))
            await broker.unsubscribe([MARKET])
            await broker.subscribe([OTHER])
            await broker.publish(MARKET, payload(2))
            await broker.publish(OTHER, payload(3))
            await heard.until_heard(payload(3))
        assert heard.payloads() == [payload(1), payload(3)]

    async def test_subscribing_again_at_once_loses_nothing(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            for number in range(30):
                await broker.subscribe([MARKET])
                await broker.publish(MARKET, payload(number))
                await heard.until_heard(payload(number))
                await broker.unsubscribe([MARKET])
        assert heard.payloads() == [payload(number) for number in range(30)]
        assert heard.interruptions == 0

    async def test_publishing_works_without_a_listener(self, broker: Broker) -> None:
        assert (await broker.publish(SIGNALS, payload(1))).offset == 1

    async def test_a_payload_is_one_line(self, broker: Broker) -> None:
        with pytest.raises(ValueError, match="one line"):
            await broker.publish(MARKET, b'{"n":\n1}')
        with pytest.raises(ValueError, match="one line"):
            await broker.publish_latest([(MARKET, b'{"n":\n1}')])


class TestLatest:
    async def test_the_sequence_grows_by_one(self, broker: Broker) -> None:
        offsets = []
        for number in range(5):
            offsets.append((await broker.publish(MARKET, payload(number))).offset)
            await asyncio.sleep(0.005)  # the server's clock goes on, which must not show
        assert offsets == list(range(offsets[0], offsets[0] + 5))
        assert offsets[0] > 0

    async def test_a_batch_keeps_the_order_of_each_channel(self, broker: Broker) -> None:
        symbols = [channel(f"market:NSE:S{number}") for number in range(100)]
        batch = [(symbols[number % 100], payload(number)) for number in range(1500)]
        async with listening(broker) as heard:
            await broker.subscribe(symbols)
            await broker.publish_latest(batch)
            await heard.until(lambda heard: len(heard.heard) == len(batch))
        for number, symbol in enumerate(symbols):
            publications = [publication for publication in heard.heard if publication.channel == symbol.name]
            assert [held.payload for held in publications] == [payload(n) for n in range(number, 1500, 100)]
            first = publications[0].offset
            assert [held.offset for held in publications] == list(range(first, first + 15))

    async def test_a_batch_and_single_publications_share_one_sequence(self, broker: Broker) -> None:
        first = await broker.publish(MARKET, payload(1))
        await broker.publish_latest([(MARKET, payload(2)), (MARKET, payload(3))])
        assert (await broker.publish(MARKET, payload(4))).offset == first.offset + 3

    async def test_a_batch_may_be_larger_than_a_script_takes(self, broker: Broker) -> None:
        await broker.publish_latest([(MARKET, payload(number)) for number in range(3000)])
        assert (await broker.last([MARKET]))[MARKET.name].payload == payload(2999)

    async def test_an_empty_batch_is_nothing(self, broker: Broker) -> None:
        await broker.publish_latest([])

    async def test_a_batch_refuses_log_channels(self, broker: Broker) -> None:
        with pytest.raises(ValueError, match="no latest channel"):
            await broker.publish_latest([(MARKET, payload(1)), (SIGNALS, payload(2))])
        assert await broker.last([MARKET]) == {}

    async def test_last_knows_the_newest_of_those_that_have_one(self, broker: Broker) -> None:
        await broker.publish_latest([(MARKET, payload(1)), (MARKET, payload(2))])
        receipt = await broker.publish(OTHER, payload(3))
        last = await broker.last([MARKET, OTHER, channel("market:BSE:NOBODY")])
        assert {name: publication.payload for name, publication in last.items()} == {
            MARKET.name: payload(2),
            OTHER.name: payload(3),
        }
        assert last[OTHER.name].offset == receipt.offset
        assert last[OTHER.name].channel == OTHER.name

    async def test_last_of_nothing_is_nothing(self, broker: Broker) -> None:
        assert await broker.last([]) == {}


class TestLog:
    async def test_offsets_count_from_one_in_one_epoch(self, broker: Broker) -> None:
        receipts = [await broker.publish(SIGNALS, payload(number)) for number in range(3)]
        assert [receipt.offset for receipt in receipts] == [1, 2, 3]
        assert len({receipt.epoch for receipt in receipts}) == 1
        assert receipts[0].epoch

    async def test_a_silent_channel_has_a_position_that_stays(self, broker: Broker) -> None:
        before = await broker.history(SIGNALS, limit=10)
        assert (before.position.offset, before.publications, before.complete) == (0, (), True)
        assert (await broker.history(SIGNALS, limit=10)).position == before.position
        receipt = await broker.publish(SIGNALS, payload(1))
        assert (receipt.epoch, receipt.offset) == (before.position.epoch, 1)
        page = await broker.history(SIGNALS, since=before.position, limit=10)
        assert page.complete
        assert [publication.payload for publication in page.publications] == [payload(1)]

    async def test_history_is_the_last_ones_in_order(self, broker: Broker) -> None:
        for number in range(1, 5):
            await broker.publish(SIGNALS, payload(number))
        page = await broker.history(SIGNALS, limit=3)
        assert [publication.offset for publication in page.publications] == [2, 3, 4]
        assert [publication.payload for publication in page.publications] == [payload(2), payload(3), payload(4)]
        assert {publication.channel for publication in page.publications} == {SIGNALS.name}
        assert {publication.epoch for publication in page.publications} == {page.position.epoch}
        assert page.position.offset == 4
        assert page.complete

    async def test_history_is_what_was_delivered(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            await broker.subscribe([SIGNALS])
            for number in range(3):
                await broker.publish(SIGNALS, payload(number))
            await heard.until(lambda heard: len(heard.heard) == 3)
        assert list((await broker.history(SIGNALS, limit=10)).publications) == heard.heard

    @pytest.mark.parametrize(
        ("since", "limit", "offsets", "complete"),
        [
            (0, 10, [], False),
            (3, 10, [4, 5, 6, 7, 8], True),
            (2, 10, [4, 5, 6, 7, 8], False),
            (5, 10, [6, 7, 8], True),
            (5, 2, [6, 7], True),
            (5, 0, [], True),
            (2, 0, [], False),
            (8, 10, [], True),
            (9, 10, [], False),
        ],
    )
    async def test_history_after_a_position(
        self, broker: Broker, since: int, limit: int, offsets: list[int], complete: bool
    ) -> None:
        for number in range(1, 9):
            await broker.publish(SHORT, payload(number))
        epoch = (await broker.history(SHORT, limit=0)).position.epoch
        page = await broker.history(SHORT, since=Position(epoch, since), limit=limit)
        if since:
            assert [publication.offset for publication in page.publications] == offsets
        assert page.complete is complete
        assert page.position == Position(epoch, 8)

    async def test_history_of_another_epoch_is_not_complete(self, broker: Broker) -> None:
        for number in range(1, 4):
            await broker.publish(SHORT, payload(number))
        page = await broker.history(SHORT, since=Position("elsewhere", 2), limit=2)
        assert not page.complete
        assert [publication.offset for publication in page.publications] == [2, 3]

    async def test_history_lapses(self, broker: Broker) -> None:
        brief = channel("brief:a")
        receipt = await broker.publish(brief, payload(1))
        await until_async(lambda: broker.history(brief, limit=10), lambda page: page.publications == ())
        page = await broker.history(brief, since=Position(receipt.epoch, 0), limit=10)
        assert (page.position, page.complete) == (Position(receipt.epoch, 1), False)
        assert (await broker.history(brief, since=page.position, limit=10)).complete

    async def test_a_log_without_history_still_counts(self, broker: Broker) -> None:
        bare = channel("bare:a")
        receipts = [await broker.publish(bare, payload(number)) for number in range(2)]
        page = await broker.history(bare, since=Position(receipts[0].epoch, 1), limit=10)
        assert (page.position.offset, page.publications, page.complete) == (2, (), False)


async def until_async(ask: Callable[[], Awaitable[T]], done: Callable[[T], bool]) -> None:
    async with asyncio.timeout(5):
        while not done(await ask()):  # noqa: ASYNC110 - a server's clock has no event to offer
            await asyncio.sleep(0.01)


class TestIdempotency:
    @pytest.mark.parametrize("target", [MARKET, SIGNALS], ids=["latest", "log"])
    async def test_the_same_key_publishes_once(self, broker: Broker, target: object) -> None:
        chosen = MARKET if target is MARKET else SIGNALS
        async with listening(broker) as heard:
            await broker.subscribe([chosen])
            first = await broker.publish(chosen, payload(1), key="k")
            again = await broker.publish(chosen, payload(2), key="k")
            await broker.publish(chosen, payload(3), key="other")
            await heard.until_heard(payload(3))
        assert heard.payloads() == [payload(1), payload(3)]
        assert not first.duplicate
        assert again.duplicate
        assert (again.offset, again.epoch) == (first.offset, first.epoch)

    async def test_keys_belong_to_their_channel(self, broker: Broker) -> None:
        await broker.publish(SIGNALS, payload(1), key="k")
        assert not (await broker.publish(SHORT, payload(1), key="k")).duplicate

    async def test_one_of_many_at_once_wins(self, broker: Broker) -> None:
        receipts = await asyncio.gather(*(broker.publish(SIGNALS, payload(n), key="k") for n in range(20)))
        assert sum(not receipt.duplicate for receipt in receipts) == 1
        assert {receipt.offset for receipt in receipts} == {1}


class TestClaim:
    async def test_the_first_has_it_until_it_ends(self, broker: Broker) -> None:
        assert await broker.claim("k", 0.1)
        assert not await broker.claim("k", 0.1)
        assert await broker.claim("other", 10)
        await until_async(lambda: broker.claim("k", 10), bool)
        assert not await broker.claim("k", 10)

    async def test_one_of_many_at_once_wins(self, broker: Broker) -> None:
        assert sum(await asyncio.gather(*(broker.claim("k", 10) for _ in range(20)))) == 1


class TestCount:
    async def test_costs_add_up_and_each_key_has_its_own(self, broker: Broker) -> None:
        assert [(await broker.count("k", 30)).count for _ in range(3)] == [1, 2, 3]
        assert (await broker.count("k", 30, 5)).count == 8
        assert (await broker.count("other {x} ü\n", 30)).count == 1

    async def test_it_is_shared_by_all_processes(self, make_broker: Callable[[], Awaitable[Broker]], twin: str) -> None:
        first = await make_broker()
        second = first if twin == "memory" else await make_broker()
        counts = await asyncio.gather(*(one.count("k", 30) for one in (first, second) for _ in range(20)))
        assert sorted(counted.count for counted in counts) == list(range(1, 41))

    async def test_it_begins_with_the_first_cost_and_nothing_prolongs_it(self, broker: Broker) -> None:
        assert await broker.count("k", 0.3) == Count(1, 0.3)
        left = 0.3

        async def look() -> Count:
            return await broker.count("k", 30, 0)

        async with asyncio.timeout(5):
            while (counted := await look()).count:
                assert counted.count == 1
                assert 0 <= counted.resets_in_s <= left
                left = counted.resets_in_s
                await asyncio.sleep(0.01)
        assert counted == Count(0, 30)
        assert (await broker.count("k", 30)).count == 1

    async def test_to_look_costs_nothing_and_begins_nothing(self, broker: Broker) -> None:
        assert await broker.count("k", 60, 0) == Count(0, 60)
        assert await broker.count("k", 30) == Count(1, 30)
        assert (await broker.count("k", 30, 0)).count == 1

    async def test_what_is_given_back_leaves_no_debt(self, broker: Broker) -> None:
        assert await broker.count("k", 30, -1) == Count(0, 30)
        await broker.count("k", 30, 3)
        assert (await broker.count("k", 30, -1)).count == 2
        assert (await broker.count("k", 30, -5)).count == 0
        assert (await broker.count("k", 60)).count == 1
        assert (await broker.count("k", 60)).resets_in_s <= 30


class TestPresence:
    async def test_everyone_is_counted_over_all_processes(
        self, make_broker: Callable[[], Awaitable[Broker]], twin: str
    ) -> None:
        first, second = await make_broker(), await make_broker()
        ann, ben, eve = Member("c2", "ann"), Member("c1", "ben"), Member("c3", "eve")
        async with listening(first) as one:
            one.present = {MARKET.name: [ann, ben], OTHER.name: [eve]}
            if twin == "memory":
                assert await first.presence(MARKET) == [ben, ann]
                return
            async with listening(second) as two:
                two.present = {MARKET.name: [eve]}
                assert await first.presence(MARKET) == [ben, ann, eve]
                assert await second.presence(OTHER) == [eve]
                assert await second.presence(SIGNALS) == []

    async def test_nobody_listens(self, broker: Broker) -> None:
        assert await broker.presence(MARKET) == []


class TestLife:
    async def test_check_and_close(self, broker: Broker) -> None:
        await broker.check()
        await broker.close()
        await broker.close()

    async def test_listening_ends_when_cancelled(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            await broker.subscribe([MARKET])
        await broker.publish(MARKET, payload(1))
        assert heard.payloads() == []

    async def test_cancelled_calls_leave_a_working_broker(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            for turns in range(40):
                task = asyncio.create_task(broker.publish_latest([(MARKET, payload(turns)), (OTHER, payload(turns))]))
                for _ in range(turns % 8):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            await asyncio.gather(*(broker.publish(SIGNALS, payload(n)) for n in range(50)))
            await broker.subscribe([SIGNALS])
            await broker.publish(SIGNALS, payload(99))
            await heard.until_heard(payload(99))
        assert (await broker.history(SIGNALS, limit=1)).position.offset == 51

    async def test_a_cancelled_subscribe_is_no_subscription(self, broker: Broker) -> None:
        async with listening(broker) as heard:
            task = asyncio.create_task(broker.subscribe([MARKET]))
            await asyncio.sleep(0)
            cancelled = task.cancel()
            await asyncio.wait([task])
            if not cancelled or not task.cancelled():
                await broker.unsubscribe([MARKET])
            await broker.subscribe([OTHER])
            await broker.publish(MARKET, payload(1))
            await broker.publish(OTHER, payload(2))
            await heard.until_heard(payload(2))
        assert heard.payloads() == [payload(2)]


class TestLease:
    async def test_one_works_at_a_time_and_another_takes_over(
        self, make_broker: Callable[[], Awaitable[Broker]], twin: str
    ) -> None:
        first = await make_broker()
        second = first if twin == "memory" else await make_broker()
        working: list[tuple[str, Fence]] = []
        began = asyncio.Event()

        async def hold(name: str, lease: Lease) -> NoReturn:
            async def work(fence: Fence) -> NoReturn:
                working.append((name, fence))
                began.set()
                await asyncio.Event().wait()
                raise AssertionError

            await lease.hold(work)

        leases = {"first": first.lease("feeds"), "second": second.lease("feeds")}
        async with asyncio.timeout(15):
            tasks = {"first": asyncio.create_task(hold("first", leases["first"]))}
            await began.wait()
            tasks["second"] = asyncio.create_task(hold("second", leases["second"]))
            await asyncio.sleep(0)
            began.clear()
            assert [name for name, _ in working] == ["first"]
            assert leases["first"].held
            assert not leases["second"].held
            await ended(tasks.pop("first"))
            await began.wait()
            assert not leases["first"].held
            assert leases["second"].held
            await ended(tasks.pop("second"))
        (_, older), (name, newer) = working
        assert (name, older.name, newer.name) == ("second", "feeds", "feeds")
        assert newer.number > older.number

    async def test_a_lease_of_another_name_is_another_lease(self, broker: Broker) -> None:
        began: asyncio.Queue[str] = asyncio.Queue()

        async def work(fence: Fence) -> NoReturn:
            began.put_nowait(fence.name)
            await asyncio.Event().wait()
            raise AssertionError

        tasks = [asyncio.create_task(broker.lease(name).hold(work)) for name in ("kite", "dhan")]
        async with asyncio.timeout(10):
            assert {await began.get(), await began.get()} == {"kite", "dhan"}
        for task in tasks:
            await ended(task)

    async def test_what_the_work_raises_is_raised_and_gives_the_lease_up(self, broker: Broker) -> None:
        async def fail(_: Fence) -> NoReturn:
            raise ZeroDivisionError

        lease = broker.lease("feeds")
        async with asyncio.timeout(10):
            for _ in range(2):
                with pytest.raises((ZeroDivisionError, ExceptionGroup)):
                    await lease.hold(fail)
        assert not lease.held

    async def test_who_has_lost_the_lease_can_publish_no_more(
        self, make_broker: Callable[[], Awaitable[Broker]], twin: str
    ) -> None:
        first = await make_broker()
        second = first if twin == "memory" else await make_broker()
        fences: list[Fence] = []

        async def take(broker: Broker) -> None:
            async def work(fence: Fence) -> NoReturn:
                fences.append(fence)
                await broker.publish_latest([(MARKET, payload(len(fences)))], fence=fence)
                raise LeaseLost

            task = asyncio.create_task(broker.lease("feeds").hold(work))
            async with asyncio.timeout(10):
                count = len(fences)
                while len(fences) == count or not (await broker.last([MARKET])):  # noqa: ASYNC110 - a lease has no event to offer
                    await asyncio.sleep(0.005)
            await ended(task)

        await take(first)
        await take(second)
        newest = (await second.last([MARKET]))[MARKET.name]
        with pytest.raises(LeaseLost):
            await first.publish_latest([(MARKET, payload(9))], fence=fences[0])
        assert (await second.last([MARKET]))[MARKET.name] == newest
        await second.publish_latest([(MARKET, payload(10))], fence=fences[-1])
        await second.publish_latest([(MARKET, payload(11))], fence=Fence("another", 1))
        await second.publish_latest([(MARKET, payload(12))])
        assert (await second.last([MARKET]))[MARKET.name].payload == payload(12)


class TestDemand:
    async def test_what_anybody_wants_is_wanted(self, make_broker: Callable[[], Awaitable[Broker]], twin: str) -> None:
        first = await make_broker()
        second = first if twin == "memory" else await make_broker()
        await first.demand(["market:NSE:TCS", "market:NSE:INFY"], 30)
        await second.demand(["market:NSE:TCS", "depth:NSE:TCS"], 30)
        wanted = await first.demanded()
        assert wanted.names == {"market:NSE:TCS", "market:NSE:INFY", "depth:NSE:TCS"}
        assert await second.demanded(wanted.version) == Demanded(wanted.version)

    async def test_wanting_more_is_noticed_and_wanting_again_is_not(self, broker: Broker) -> None:
        await broker.demand(["a"], 30)
        version = (await broker.demanded()).version
        await broker.demand(["a"], 60)
        assert (await broker.demanded(version)).names is None
        await broker.demand(["b"], 30)
        assert (await broker.demanded(version)).names == {"a", "b"}

    async def test_demand_ends(self, broker: Broker) -> None:
        await broker.demand(["long"], 30)
        await broker.demand(["short"], 0.05)
        async with asyncio.timeout(5):
            while (await broker.demanded()).names != {"long"}:  # noqa: ASYNC110 - the server's clock decides
                await asyncio.sleep(0.01)

    async def test_thousands_are_wanted_at_once(self, broker: Broker) -> None:
        names = {f"market:NSE:S{number}" for number in range(3500)}
        await broker.demand(names, 30)
        assert (await broker.demanded()).names == names


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel it, and wait until it is over."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class TestReplacedNamespaces:
    @pytest.mark.parametrize("late", [False, True])
    async def test_a_channel_may_become_a_log_and_a_latest_one_again(self, broker: Broker, late: bool) -> None:
        """`late`: the old claim is given up only after the new one was made."""
        latest = structs.replace(SHORT, namespace=structs.replace(SHORT.namespace, policy=Policy.LATEST))
        async with listening(broker) as heard:
            for number, (now, before) in enumerate([(SHORT, None), (latest, SHORT), (SHORT, latest)]):
                if before is not None and not late:
                    await broker.unsubscribe([before])
                await broker.subscribe([now])
                if before is not None and late:
                    await broker.unsubscribe([before])
                receipt = await broker.publish(now, payload(number))
                await heard.until_heard(payload(number))
                assert (heard.heard[-1].offset, heard.heard[-1].epoch) == (receipt.offset, receipt.epoch)
        assert len(heard.heard) == 3

    async def test_a_log_keeps_as_much_as_its_namespace_says_by_now(self, broker: Broker) -> None:
        longer = structs.replace(SHORT, namespace=structs.replace(SHORT.namespace, history_size=7))
        for number in range(6):
            await broker.publish(SHORT, payload(number))
        assert len((await broker.history(SHORT, limit=100)).publications) == 5
        for number in range(6):
            await broker.publish(longer, payload(number))
        assert len((await broker.history(longer, limit=100)).publications) == 7
