"""Replay: a file of the past as a feed, at its own pace, faster, or as fast as possible.

It plays recordings (`feeds.recording`), CSV files of ticks or candles and bhavcopies (`feeds.price_files`). While it
plays, `now_s` is the time of the file: sessions, candles and sanity checks go by it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path

from channels.broker import Clock
from feeds import price_files, recording
from feeds.brokers.source import Bad, Conversation, Source
from feeds.errors import BadFile
from feeds.feed import FeedStatus, Health, Publish, Refusal, Update
from feeds.instruments import Instrument
from feeds.price_files import Moment
from feeds.recording import Kind
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.replay")

AS_FAST_AS_POSSIBLE = 0.0

SourceOf = Callable[[str], Source]
"""The source of a name. Raises KeyError for one that there is not."""

_READ_AT_ONCE = 500
_GRAIN_MS = 10
"""Moments this close to each other are published together."""


class ReplayFeed:
    """Plays one file once; then it rests. `open` it before anything else.

    Args:
        path: a recording, a CSV, or a bhavcopy (zipped or not).
        source_of: the decoders of a recording.
        speed: how many times as fast as it happened; AS_FAST_AS_POSSIBLE.
        clock: monotonic seconds.
        sleep: waits on `clock`.
    """

    name = "replay"

    def __init__(
        self,
        path: Path,
        *,
        source_of: SourceOf,
        speed: float = 1.0,
        clock: Clock = time.monotonic,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.instruments: tuple[Instrument, ...] = ()
        """Those that the file has prices of."""
        self.bad: Counter[str] = Counter()
        """Frames and rows that made no sense, by reason."""
        self.ended = asyncio.Event()
        """Everything has been played."""
        self._path = path
        self._source_of = source_of
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._by_place: dict[tuple[str, str], Instrument] = {}
        self._first_ms = self._now_ms = 0
        self._status = FeedStatus(health=Health.CONNECTING, since_ms=0)

    async def open(self) -> None:
        """Looks the file through: which instruments it has, and when it begins. Raises BadFile or OSError."""
        self._first_ms, self.instruments = await asyncio.to_thread(self._survey)
        self._now_ms = self._first_ms
        self._by_place = {(one.exchange, one.symbol): one for one in self.instruments}

    @property
    def status(self) -> FeedStatus:
        """Live while it plays, closed when it has ended."""
        return self._status

    def now_s(self) -> Seconds:
        """The present of the file (Unix seconds)."""
        return self._now_ms / 1000

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, if the file has prices of it."""
        return self._by_place.get((exchange, symbol))

    def want(self, wanted: Collection[tuple[str, str]]) -> None:
        """The file brings what it brings."""

    def take_refusals(self) -> list[Refusal]:
        """Nothing is refused."""
        return []

    async def run(self, publish: Publish) -> None:
        """Plays the file, and rests until cancelled. Raises BadFile or OSError where it can't be read any more."""
        self._status = FeedStatus(health=Health.LIVE, since_ms=self._first_ms, instruments=len(self.instruments))
        started_s = self._clock()
        moments = self._moments()
        while batch := await asyncio.to_thread(_take, moments, _READ_AT_ONCE):
            for moment in _joined(batch):
                await self._wait_for(moment.time_ms, started_s)
                self._now_ms = max(self._now_ms, moment.time_ms)
                await publish(moment.updates)
        log.info("replay.ended", extra={"file": self._path.name, "bad": sum(self.bad.values())})
        self._status = FeedStatus(health=Health.CLOSED, since_ms=self._now_ms, reason="the file has been played")
        self.ended.set()
        await self._rest()

    async def _wait_for(self, time_ms: int, started_s: Seconds) -> None:
        if self._speed == AS_FAST_AS_POSSIBLE:
            await asyncio.sleep(0)
            return
        due_s = started_s + (time_ms - self._first_ms) / 1000 / self._speed
        while (left_s := due_s - self._clock()) > 0:
            await self._sleep(min(left_s, 1.0))
            self._now_ms = min(time_ms, self._first_ms + int((self._clock() - started_s) * 1000 * self._speed))

    async def _rest(self) -> None:
        """The time of the file goes on, so that what is open closes."""
        ended_s, ended_ms = self._clock(), self._now_ms
        while True:
            await self._sleep(1.0)
            self._now_ms = ended_ms + int((self._clock() - ended_s) * 1000 * (self._speed or 1.0))

    def _survey(self) -> tuple[int, tuple[Instrument, ...]]:
        if not recording.is_recording(self._path):
            return price_files.survey(self._path)
        found: dict[tuple[str, str], Instrument] = {}
        first_ms = 0
        for record in recording.read(self._path):
            first_ms = first_ms or record.time_ms
            if record.kind == Kind.LISTINGS:
                found |= {(one.instrument.exchange, one.instrument.symbol): one.instrument for one in record.listings}
        if not first_ms:
            raise BadFile(f"{self._path.name} is a recording of nothing")
        return first_ms, tuple(found.values())

    def _moments(self) -> Iterator[Moment]:
        if recording.is_recording(self._path):
            return self._recorded()
        return price_files.moments(self._path, self.bad)

    def _recorded(self) -> Iterator[Moment]:
        conversations: dict[int, tuple[Conversation, dict[str, Instrument]]] = {}
        for record in recording.read(self._path):
            if record.kind == Kind.BEGIN:
                listings: dict[str, Instrument] = {}
                conversations[record.conversation] = (self._conversation(record.payload.decode(), listings), listings)
            elif record.conversation not in conversations:
                self.bad["no_conversation"] += 1
            elif record.kind == Kind.LISTINGS:
                conversations[record.conversation][1].update((one.token, one.instrument) for one in record.listings)
            elif record.kind in (Kind.TEXT, Kind.BINARY):
                heard = conversations[record.conversation][0].receive(record.frame, record.time_ms)
                for event in heard.events:
                    if isinstance(event, Bad):
                        self.bad[event.reason] += event.count
                if heard.updates:
                    yield Moment(record.time_ms, heard.updates)

    def _conversation(self, name: str, listings: dict[str, Instrument]) -> Conversation:
        try:
            source = self._source_of(name)
        except KeyError:
            raise BadFile(f"{self._path.name} was recorded from {name!r}, which is no source of this release") from None
        return source.converse({}, listings)


def _take(moments: Iterator[Moment], count: int) -> list[Moment]:
    taken: list[Moment] = []
    for moment in moments:
        taken.append(moment)
        if len(taken) == count:
            break
    return taken


def _joined(moments: Sequence[Moment]) -> Iterator[Moment]:
    """Those within a grain as one, at the time of its last."""
    updates: list[Update] = []
    first_ms = last_ms = 0
    for moment in moments:
        if updates and moment.time_ms - first_ms >= _GRAIN_MS:
            yield Moment(last_ms, updates)
            updates = []
        if not updates:
            first_ms = moment.time_ms
        last_ms = moment.time_ms
        updates.extend(moment.updates)
    if updates:
        yield Moment(last_ms, updates)
