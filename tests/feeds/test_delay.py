"""The delay line says again what was said before, in order."""

import asyncio
import contextlib
import itertools
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from channels.channel import Channel, ChannelNames
from channels.namespace import Namespaces
from feeds.delay import Batch, DelayLine

NAMES = ChannelNames(Namespaces())
NOON_S = 1_795_000_000.0
TCS = NAMES.parse("market:NSE:TCS")
GOLD = NAMES.parse("depth:MCX:GOLD")
CANDLES = NAMES.parse("candles:1m:NSE:TCS")


class Line:
    """A delay line whose clock a test turns."""

    def __init__(self, folder: Path, *delays_s: int, start_s: float = NOON_S) -> None:
        self.now = start_s
        self.said: list[tuple[float, str, bytes]] = []
        self._go = asyncio.Semaphore(0)
        self._slept = asyncio.Semaphore(0)
        self.line = DelayLine(folder, delays_s, NAMES, self._publish, wall=lambda: self.now, sleep=self._sleep)

    async def _publish(self, batch: Batch) -> None:
        self.said += [(self.now - NOON_S, channel.name, payload) for channel, payload in batch]

    async def _sleep(self, seconds: float) -> None:
        self._slept.release()
        await self._go.acquire()
        self.now += seconds

    async def turn(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self._go.release()
            await self._slept.acquire()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.line.run())
        await self._slept.acquire()
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def values(line: Line, channel: Channel) -> list[tuple[float, bytes]]:
    return [(at, payload) for at, name, payload in line.said if name == channel.name]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.delay"))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does: a write that goes beyond is done in part, the rest fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_value_comes_again_after_the_delay_and_not_before(tmp_path: Path) -> None:
    line = Line(tmp_path, 900)
    async with line.running():
        line.line.write([(TCS, b'{"price":1}')])
        await line.turn(900)
        assert line.said == []
        await line.turn(2)
    ((at, name, payload),) = line.said
    assert 900 <= at <= 902
    assert (name, payload) == ("delayed:900:market:NSE:TCS", b'{"price":1}')


async def test_values_keep_their_order_and_distance(tmp_path: Path) -> None:
    line = Line(tmp_path, 90)
    async with line.running():
        for number in range(200):
            line.line.write([(TCS, b"%d" % number), (GOLD, b"%d" % -number)])
            await line.turn()
        await line.turn(100)
    heard = values(line, TCS.delayed(90))
    assert [payload for _, payload in heard] == [b"%d" % number for number in range(200)]
    assert {later - sooner for (sooner, _), (later, _) in itertools.pairwise(heard)} == {1.0}
    assert len(values(line, GOLD.delayed(90))) == 200


async def test_of_several_values_within_a_second_the_newest_counts(tmp_path: Path) -> None:
    line = Line(tmp_path, 5)
    async with line.running():
        line.line.write([(TCS, b"1"), (TCS, b"2")])
        line.line.write([(TCS, b"3")])
        await line.turn(10)
    assert [payload for _, payload in values(line, TCS.delayed(5))] == [b"3"]


async def test_a_closed_candle_is_not_replaced_by_the_one_that_forms_next(tmp_path: Path) -> None:
    line = Line(tmp_path, 5)
    forming, closed, next_one = (
        b'{"close":%d,"closed":%s}' % (n, c) for n, c in ((1, b"false"), (2, b"true"), (3, b"false"))
    )
    async with line.running():
        line.line.write([(CANDLES, forming), (CANDLES, closed), (TCS, b"1")])
        line.line.write([(CANDLES, next_one), (CANDLES, newest := next_one.replace(b"3", b"4"))])
        await line.turn(10)
    assert [payload for _, payload in values(line, CANDLES.delayed(5))] == [closed, newest]


async def test_closed_candles_that_wait_for_the_disk_are_bounded(tmp_path: Path) -> None:
    line = Line(tmp_path, 5)
    async with line.running():
        for number in range(100):
            line.line.write([(CANDLES, b'{"close":%d,"closed":true}' % number)])
        await line.turn(10)
    heard = [payload for _, payload in values(line, CANDLES.delayed(5))]
    assert heard == [b'{"close":%d,"closed":true}' % number for number in range(84, 100)]


async def test_every_delay_is_a_channel_of_its_own(tmp_path: Path) -> None:
    line = Line(tmp_path, 5, 60)
    async with line.running():
        line.line.write([(TCS, b"1")])
        await line.turn(10)
        assert [name for _, name, _ in line.said] == ["delayed:5:market:NSE:TCS"]
        await line.turn(55)
    assert [name for _, name, _ in line.said] == ["delayed:5:market:NSE:TCS", "delayed:60:market:NSE:TCS"]


async def test_what_was_said_late_is_not_kept_to_be_said_again(tmp_path: Path) -> None:
    line = Line(tmp_path, 5)
    async with line.running():
        line.line.write([(TCS, b"1"), (TCS.delayed(5), b"late")])
        await line.turn(12)
    assert [(name, payload) for _, name, payload in line.said] == [("delayed:5:market:NSE:TCS", b"1")]
    assert line.line.late == 0


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    line = Line(tmp_path, 120)
    async with line.running():
        for number in range(100):
            line.line.write([(TCS, b"%d" % number)])
            await line.turn()
    again = Line(tmp_path, 120, start_s=line.now + 1)
    async with again.running():
        await again.turn(130)
    payloads = [payload for _, payload in values(line, TCS.delayed(120)) + values(again, TCS.delayed(120))]
    assert payloads == [b"%d" % number for number in range(100)]


async def test_of_what_was_due_while_nothing_ran_the_newest_is_said_once_at_the_start(tmp_path: Path) -> None:
    line = Line(tmp_path, 60)
    async with line.running():
        for number in range(3):
            line.line.write([(TCS, b"old %d" % number)])
            await line.turn(2)
        line.line.write([(GOLD, b"gold")])
        await line.turn(2)
    again = Line(tmp_path, 60, start_s=line.now + 300)
    async with again.running():
        assert [payload for _, _, payload in again.said] == [b"old 2", b"gold"]
        again.line.write([(TCS, b"new")])
        await again.turn(70)
    assert [payload for _, payload in values(again, TCS.delayed(60))] == [b"old 2", b"new"]
    assert [payload for _, payload in values(again, GOLD.delayed(60))] == [b"gold"]


async def test_after_a_restart_nothing_is_said_before_its_time(tmp_path: Path) -> None:
    line = Line(tmp_path, 60, 600)
    async with line.running():
        for number in range(90):
            line.line.write([(TCS, b"%d" % number)])
            await line.turn()
    again = Line(tmp_path, 60, 600, start_s=line.now + 30)
    async with again.running():
        # 120 s since the start: number n was written in second n + 1, so 59 is the last that is 60 s old
        assert [(name, payload) for _, name, payload in again.said] == [(TCS.delayed(60).name, b"59")]
        await again.turn(61)
        assert values(again, TCS.delayed(600)) == []
    heard = values(again, TCS.delayed(60))
    assert [payload for _, payload in heard] == [b"%d" % number for number in range(59, 90)]
    assert all(at >= int(payload) + 1 + 60 for at, payload in heard)


async def test_what_is_published_during_the_start_does_not_sweep_away_what_is_unread(tmp_path: Path) -> None:
    line = Line(tmp_path, 60, 600)
    async with line.running():
        line.line.write([(TCS, b"friday")])
        await line.turn(2)
    again = Line(tmp_path, 60, 600, start_s=line.now + 3 * 86_400)
    again.line.write([(GOLD, b"monday")])
    async with again.running():
        assert [name for _, name, _ in again.said] == [TCS.delayed(60).name, TCS.delayed(600).name]
        await again.turn(62)
    assert [payload for _, _, payload in again.said] == [b"friday", b"friday", b"monday"]


async def test_half_a_write_on_a_full_disk_costs_nothing_that_is_written_later(tmp_path: Path) -> None:
    line = Line(tmp_path, 20)
    async with line.running():
        line.line.write([(TCS, b"before")])
        await line.turn()
        (file,) = files(tmp_path)
        whole = file.stat().st_size
        with files_of_at_most(whole + 20):
            for number in range(2):
                line.line.write([(TCS, b"lost %d" % number)])
                await line.turn()
        assert line.line.late == 2
        assert file.stat().st_size == whole + 20
        for number in range(3):
            line.line.write([(TCS, b"after %d" % number)])
            await line.turn()
        assert files(tmp_path) == [file]
        await line.turn(22)
    assert [payload for _, payload in values(line, TCS.delayed(20))] == [b"before", b"after 0", b"after 1", b"after 2"]


async def test_a_record_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    line = Line(tmp_path, 60)
    async with line.running():
        line.line.write([(TCS, b"whole")])
        await line.turn(2)
        line.line.write([(GOLD, b"cut")])
    cut_off(files(tmp_path)[-1])
    again = Line(tmp_path, 60, start_s=line.now + 1)
    async with again.running():
        await again.turn(70)
        again.line.write([(TCS, b"later")])
        await again.turn(70)
    assert [payload for _, _, payload in again.said] == [b"whole", b"later"]


async def test_files_that_have_been_read_go(tmp_path: Path) -> None:
    line = Line(tmp_path, 60)
    async with line.running():
        for number in range(600):
            line.line.write([(TCS, b"%d" % number)])
            await line.turn()
    assert len(files(tmp_path)) <= 5


async def test_a_disk_that_fails_loses_values_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "line").write_text("a file where a folder should be")
    line = Line(tmp_path / "line", 5)
    async with line.running():
        line.line.write([(TCS, b"1")])
        await line.turn(10)
        assert line.line.late
        (tmp_path / "line").unlink()
        line.line.write([(TCS, b"2")])
        await line.turn(10)
    assert [payload for _, payload in values(line, TCS.delayed(5))] == [b"2"]


async def test_delays_come_and_go_while_it_runs(tmp_path: Path) -> None:
    line = Line(tmp_path)
    async with line.running():
        line.line.write([(TCS, b"0")])
        await line.turn(3)
        assert files(tmp_path) == []  # nobody has a delay, nothing is kept
        line.line.replace([5])
        line.line.write([(TCS, b"1")])
        await line.turn(5)
        assert line.said == []
        await line.turn(2)
        assert [payload for _, payload in values(line, TCS.delayed(5))] == [b"1"]
        line.line.replace([5, 10])
        await line.turn(5)
        assert [payload for _, payload in values(line, TCS.delayed(10))] == [b"1"]
        line.line.replace([])
        line.line.write([(TCS, b"2")])
        await line.turn(20)
    assert len(line.said) == 2
