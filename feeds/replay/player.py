"""Replay: a file of the past as a feed, at its own pace, faster, or as fast as possible.

It plays recordings (`feeds.replay.recording`), CSV files of ticks or candles and bhavcopies
(`feeds.replay.price_files`). While it plays, `now_s` is the time of the file: sessions, candles and sanity checks go by
it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path

from channels.broker import Clock
from feeds.brokers.source import Bad, Conversation, Source
from feeds.errors import BadFile
from feeds.feed import FeedStatus, Health, Publish, Refusal, Update
from feeds.instruments import Instrument
from feeds.replay import price_files, recording
from feeds.replay.price_files import Moment
from feeds.replay.recording import Kind, Record
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.replay.player")

AS_FAST_AS_POSSIBLE = 0.0

SourceOf = Callable[[str], Source]
"""The source of a name. Raises KeyError for one that there is not."""

LONGEST_PAUSE_MS = 3_600_000
"""A longer pause is passed over: the night between two days of a recording, or a weekend."""

_MOMENTS_AT_ONCE = 500
_UPDATES_AT_ONCE = 10_000
_GRAIN_MS = 10
"""Moments this close to each other are published together."""
_JOINED_AT_MOST = 1_000


class ReplayFeed:
    """Plays one file; then it rests. `open` it before anything else.

    Args:
        path: a recording, a CSV, or a bhavcopy (packed or not).
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
        self._next_ms: int | None = None  # up to where the time of the file may go on by itself
        self._pace: Pace | None = None
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
        """The present of the file (Unix seconds). Never goes back while it plays."""
        if self._pace is not None:
            here_ms = self._pace.now_ms()
            self._now_ms = max(self._now_ms, here_ms if self._next_ms is None else min(here_ms, self._next_ms))
        return self._now_ms / 1000

    @property
    def exchanges(self) -> Collection[str]:
        """Those of the file's instruments."""
        return frozenset(one.exchange for one in self.instruments)

    def find(self, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, if the file has prices of it."""
        return self._by_place.get((exchange, symbol))

    def want(self, wanted: Collection[tuple[str, str]]) -> None:
        """The file brings what it brings."""

    def take_refusals(self) -> list[Refusal]:
        """Nothing is refused."""
        return []

    async def run(self, publish: Publish) -> None:
        """Plays the file from its beginning, and rests until cancelled; the time of the file goes on then.

        Raises BadFile or OSError where it can't be read any more.
        """
        self._begin()
        moments = self._moments()
        while batch := await asyncio.to_thread(_take, moments):
            for moment in _joined(batch):
                await self._wait_for(moment.time_ms)
                await publish(moment.updates)
        self._end()
        await asyncio.Event().wait()

    def _begin(self) -> None:
        self._now_ms = self._next_ms = self._first_ms
        self._pace = Pace(self._speed, self._clock, self._first_ms) if self._speed > AS_FAST_AS_POSSIBLE else None
        self.bad.clear()
        self.ended.clear()
        self._status = FeedStatus(health=Health.LIVE, since_ms=self._first_ms, instruments=len(self.instruments))

    def _end(self) -> None:
        log.info("replay.ended", extra={"file": self._path.name, "bad": sum(self.bad.values())})
        self._status = FeedStatus(health=Health.CLOSED, since_ms=self._now_ms, reason="the file has been played")
        if self._pace is None:
            self._pace = Pace(1.0, self._clock, self._now_ms)
        self._next_ms = None
        self.ended.set()

    async def _wait_for(self, time_ms: int) -> None:
        if self._pace is None:
            await asyncio.sleep(0)
        else:
            self._next_ms = time_ms
            while (left_s := self._pace.left_s(time_ms)) > 0:
                await self._sleep(left_s)
        self._now_ms = max(self._now_ms, time_ms)

    # -- in a thread ------------------------------------------------------------------------------------------------

    def _survey(self) -> tuple[int, tuple[Instrument, ...]]:
        if not recording.is_recording(self._path):
            return price_files.survey(self._path)
        found: dict[tuple[str, str], Instrument] = {}
        first_ms = 0
        for record in recording.read(self._path, only_telling=True):
            first_ms = first_ms or record.time_ms
            if record.kind == Kind.BEGIN:
                self._source(record.source)
            elif record.kind == Kind.MEANING and (instrument := record.meaning.instrument) is not None:
                found[instrument.exchange, instrument.symbol] = instrument
        if not first_ms:
            raise BadFile(f"{self._path.name} is a recording of nothing")
        return first_ms, tuple(found.values())

    def _moments(self) -> Iterator[Moment]:
        if recording.is_recording(self._path):
            yield from self._recorded()
        else:
            yield from price_files.moments(self._path, self.bad)

    def _recorded(self) -> Iterator[Moment]:
        talks: dict[int, _Talk] = {}
        for record in recording.read(self._path):
            if record.kind == Kind.BEGIN:
                talks[record.conversation] = _Talk(self._source(record.source))
            elif record.kind == Kind.GAP:
                self.bad["gap"] += 1
                for talk in talks.values():
                    talk.begin()
            elif (known := talks.get(record.conversation)) is None:
                self.bad["no_conversation"] += 1
            elif updates := known.take(record, self.bad):
                yield Moment(record.time_ms, updates)

    def _source(self, name: str) -> Source:
        try:
            return self._source_of(name)
        except KeyError:
            raise BadFile(f"{self._path.name} was recorded from {name!r}, which is no source of this release") from None


class Pace:
    """Which time of a file it is by the clock. Pure but for the clock."""

    def __init__(self, speed: float, clock: Clock, start_ms: int) -> None:
        self._speed = speed
        self._clock = clock
        self._last_ms = start_ms
        self._anchor = (clock(), start_ms)

    def now_ms(self) -> int:
        """The time of the file, if nothing holds it up."""
        at_s, at_ms = self._anchor
        return at_ms + int((self._clock() - at_s) * 1000 * self._speed)

    def left_s(self, time_ms: int) -> Seconds:
        """How long until a time of the file; less than 0 where that has passed.

        Asked for one moment after the other. Over a pause of more than LONGEST_PAUSE_MS, or a jump back as far (a
        recording of an earlier day, appended), it goes on at once.
        """
        if abs(time_ms - self._last_ms) > LONGEST_PAUSE_MS:
            self._anchor = (self._clock(), time_ms)
        self._last_ms = time_ms
        at_s, at_ms = self._anchor
        return at_s + (time_ms - at_ms) / 1000 / self._speed - self._clock()


class _Talk:
    """One conversation of a recording."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._listings: dict[str, Instrument] = {}
        self._conversation: Conversation
        self.begin()

    def begin(self) -> None:
        """Forgets whatever was said, but not what tokens mean."""
        self._conversation = self._source.converse({}, self._listings)

    def take(self, record: Record, bad: Counter[str]) -> Sequence[Update]:
        """What a record brings. Raises BadFile."""
        match record.kind:
            case Kind.MEANING:
                self._learn(record)
            case Kind.SUBSCRIBE | Kind.UNSUBSCRIBE:
                self._ask(record)
            case Kind.TEXT | Kind.BINARY:
                heard = self._conversation.receive(record.frame, record.time_ms)
                for event in heard.events:
                    if isinstance(event, Bad):
                        bad[event.reason] += event.count
                return heard.updates
            case _:
                bad["unknown_record"] += 1
        return ()

    def _learn(self, record: Record) -> None:
        meaning = record.meaning
        if meaning.instrument is None:
            self._listings.pop(meaning.token, None)
        else:
            self._listings[meaning.token] = meaning.instrument

    def _ask(self, record: Record) -> None:
        """Nothing is sent; but some sources keep what they have asked for, and forget what it has told."""
        try:
            if record.kind == Kind.SUBSCRIBE:
                self._conversation.subscribe(record.asked.listings, record.asked.mode)
            else:
                self._conversation.unsubscribe(record.ended)
        except (ValueError, KeyError) as exc:  # tokens that are not this vendor's
            raise BadFile(f"the recording is of another release: {self._source.name} can't ask for {exc}") from exc


def _take(moments: Iterator[Moment]) -> list[Moment]:
    taken: list[Moment] = []
    updates = 0
    for moment in moments:
        taken.append(moment)
        updates += len(moment.updates)
        if len(taken) == _MOMENTS_AT_ONCE or updates >= _UPDATES_AT_ONCE:
            break
    return taken


def _joined(moments: Sequence[Moment]) -> Iterator[Moment]:
    """Those within a grain as one, at the time of its last."""
    updates: list[Update] = []
    first_ms = last_ms = 0
    for moment in moments:
        if updates and (abs(moment.time_ms - first_ms) >= _GRAIN_MS or len(updates) >= _JOINED_AT_MOST):
            yield Moment(last_ms, updates)
            updates = []
        if not updates:
            first_ms = moment.time_ms
        last_ms = moment.time_ms
        updates.extend(moment.updates)
    if updates:
        yield Moment(last_ms, updates)
