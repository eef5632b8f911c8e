"""The delay line: what channels said N minutes ago, in order.

Everything published passes here on its way and is appended to a file for each minute; N minutes later it is read again
and published to the delayed channels (`Channel.delayed`). So the line holds as much as the disk does, costs no memory,
and goes on where it was after a restart: of what fell due while nothing ran, the newest value of each channel is said
first. Of several values that a channel has within a second the newest is kept, as on every `latest` channel, and every
candle that closed: the next one, which forms already, is no newer state of it.

A record is 14 bytes, big endian — Unix milliseconds (u64), length of the name (u16), length of the payload (u32) —,
the channel's name in ASCII, and the payload.
"""

import asyncio
import logging
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from channels.broker import Clock
from channels.channel import Channel, ChannelNames
from schemas.durations import Seconds
from schemas.errors import CommandError
from schemas.private_folders import make_private

log = logging.getLogger("tickhub.feeds.delay")

Batch = Sequence[tuple[Channel, bytes]]

STEP_S: Seconds = 1.0
_SEGMENT_MS = 60_000
_SUFFIX = ".delay"
_HEAD = struct.Struct(">QHI")
_READ_BYTES = 4 * 1024 * 1024
_MAX_RECORD = 1024 * 1024
_CLOSED = b'"closed":true'
_MOST_PENDING = 16
"""Values of one channel that wait to be written: closed candles, should the disk be slow, and the newest value."""


class Record(NamedTuple):
    """One value of one channel."""

    time_ms: int
    name: str
    payload: bytes


class _Place:
    """How far one delay has been read: a segment and a place in it."""

    def __init__(self, segment: int) -> None:
        self.segment = segment
        self.offset = 0


class DelayLine:
    """Keeps what is published and says it again. `wall` is Unix seconds; `publish` never raises for a broker away.

    `delays_s`: each makes a delayed twin of every channel; with none, nothing is kept.
    """

    def __init__(
        self,
        folder: Path,
        delays_s: Collection[int],
        names: ChannelNames,
        publish: Callable[[Batch], Awaitable[None]],
        *,
        wall: Clock = time.time,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.late = 0
        """Values that could not be kept or read, and so never came."""
        self._folder = folder
        self._delays_s = sorted(delays_s)
        self._names = names
        self._publish = publish
        self._wall = wall
        self._sleep = sleep
        self._pending: dict[str, list[bytes]] = {}
        self._places: dict[int, _Place] = {}
        self._written_ms = 0
        self._whole = (0, 0)
        """The segment that was written last, and its size then."""
        self._writing = threading.Lock()  # cancelling `run` doesn't stop a thread that writes, and then writes the rest
        self._failing = False

    def replace(self, delays_s: Collection[int]) -> None:
        """Other delays from now on. One that is new begins with what was kept for the others, if anything was."""
        self._delays_s = sorted(delays_s)

    def write(self, batch: Batch) -> None:
        """Takes what is being published now; what was said again is not taken again."""
        if not self._delays_s:
            return
        pending = self._pending
        for channel, payload in batch:
            if channel.delay_s:
                continue
            values = pending.setdefault(channel.name, [])
            if values and _CLOSED not in values[-1]:
                values[-1] = payload
            else:
                values.append(payload)
                del values[:-_MOST_PENDING]

    async def run(self) -> NoReturn:
        """Writes and says again, until cancelled; what was not written yet is written then."""
        try:
            await self._catch_up()
            while True:
                await self._sleep(STEP_S)
                await self._store()
                self._follow_delays()
                for delay_s, place in self._places.items():
                    for records in await self._due(place, self._until_ms(delay_s)):
                        await self._say(records, delay_s)
        finally:
            await asyncio.to_thread(self._append, self._take())

    def _follow_delays(self) -> None:
        self._places = {
            delay_s: self._places.get(delay_s) or _Place(self._until_ms(delay_s) // _SEGMENT_MS)
            for delay_s in self._delays_s
        }

    async def _catch_up(self) -> None:
        """Says the newest value of each channel of what fell due while nothing ran; may repeat what was said last."""
        self._places = await asyncio.to_thread(self._left_off)
        for delay_s, place in self._places.items():
            newest: dict[str, Record] = {}
            until_ms = self._until_ms(delay_s)
            while records := await asyncio.to_thread(self._read, place, until_ms):
                newest.update((one.name, one) for one in records)
                if self._now_ms() - self._written_ms >= STEP_S * 1000:
                    await self._store()
            await self._say(sorted(newest.values(), key=lambda one: one.time_ms), delay_s)

    def _left_off(self) -> dict[int, _Place]:
        """Where each delay was at the earliest when the last value was written, give or take a segment."""
        last = max(self._segments(), default=self._now_ms() // _SEGMENT_MS)
        return {
            delay_s: _Place(min((last - 1) * _SEGMENT_MS - delay_s * 1000, self._until_ms(delay_s)) // _SEGMENT_MS)
            for delay_s in self._delays_s
        }

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _until_ms(self, delay_s: int) -> int:
        return self._now_ms() - delay_s * 1000

    async def _store(self) -> None:
        segment, data = self._take()
        if data:
            await asyncio.to_thread(self._append, (segment, data))

    def _take(self) -> tuple[int, bytes]:
        """The pending values as bytes, and the segment that they belong to. Times never go back."""
        pending, self._pending = self._pending, {}
        self._written_ms = max(self._written_ms, self._now_ms())
        parts: list[bytes] = []
        for name, values in pending.items():
            encoded = name.encode("ascii")
            for payload in values:
                parts += (_HEAD.pack(self._written_ms, len(encoded), len(payload)), encoded, payload)
        return self._written_ms // _SEGMENT_MS, b"".join(parts)

    def _append(self, taken: tuple[int, bytes]) -> None:
        segment, data = taken
        if not data:
            return
        try:
            with self._writing:
                if self._write(segment, data):
                    self._sweep(segment)
            self._failing = False
        except OSError as exc:
            self.late += 1
            if not self._failing:
                log.warning("delay.unwritten", extra={"why": exc.strerror})
            self._failing = True

    def _write(self, segment: int, data: bytes) -> bool:
        """Appends to a segment; whether it is a new one."""
        path = self._path(segment)
        make_private(path.parent)
        with path.open("a+b") as file:
            new = file.tell() == 0
            if (segment, file.tell()) != self._whole:
                self._mend(segment, file)
            file.write(data)
            file.flush()
            self._whole = (segment, file.seek(0, SEEK_END))
        return new

    def _mend(self, segment: int, file: BinaryIO) -> None:
        """Cuts off half a record that a full disk or a dying process left at the end: it would hide what follows."""
        size, (known, whole) = file.tell(), self._whole
        start = whole if known == segment and whole <= size else 0
        file.seek(start)
        file.truncate(start + max((end for *_, end in _heads(file.read())), default=0))

    def _segments(self) -> list[int]:
        try:
            return [int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit()]
        except OSError as exc:
            log.warning("delay.unread", extra={"why": exc.strerror})
            return []

    def _sweep(self, segment: int) -> None:
        """Removes what every delay has read."""
        kept = segment - (max(self._delays_s, default=0) * 1000) // _SEGMENT_MS - 2
        oldest = min([kept, *(place.segment for place in self._places.values())])
        for old in self._segments():
            if old < oldest:
                self._path(old).unlink(missing_ok=True)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment}{_SUFFIX}"

    async def _due(self, place: _Place, until_ms: int) -> list[list[Record]]:
        batches: list[list[Record]] = []
        while records := await asyncio.to_thread(self._read, place, until_ms):
            batches.append(records)
        return batches

    def _read(self, place: _Place, until_ms: int) -> list[Record]:
        """The next records that are due, moving on through the segments; none when there are no more."""
        while True:
            data = self._bytes_at(place)
            records, used, due_later = _parse(data, until_ms)
            place.offset += used
            if records or due_later:
                return records
            if place.segment >= until_ms // _SEGMENT_MS:
                return []
            place.segment += 1  # whatever is left there was cut off when a process died
            place.offset = 0

    def _bytes_at(self, place: _Place) -> bytes:
        try:
            with self._path(place.segment).open("rb") as file:
                file.seek(place.offset)
                return file.read(_READ_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as exc:
            self.late += 1
            log.warning("delay.unread", extra={"why": exc.strerror})
            return b""

    async def _say(self, records: Sequence[Record], delay_s: int) -> None:
        batch = [(channel, one.payload) for one in records if (channel := self._twin(one.name, delay_s)) is not None]
        if batch:
            await self._publish(batch)

    def _twin(self, name: str, delay_s: int) -> Channel | None:
        try:
            return self._names.parse(name).delayed(delay_s)
        except CommandError:  # a namespace that was there before the restart
            self.late += 1
            return None


def _parse(data: bytes, until_ms: int) -> tuple[list[Record], int, bool]:
    """Whole records up to a time; how many bytes they take; whether one follows that is due later."""
    records: list[Record] = []
    offset = 0
    for time_ms, name, start, end in _heads(data):
        if time_ms > until_ms:
            return records, offset, True
        records.append(Record(time_ms, name, data[start:end]))
        offset = end
    return records, offset, False


def _heads(data: bytes) -> Iterator[tuple[int, str, int, int]]:
    offset = 0
    while offset + _HEAD.size <= len(data):
        time_ms, name_size, size = _HEAD.unpack_from(data, offset)
        start = offset + _HEAD.size + name_size
        offset = start + size
        if size > _MAX_RECORD or offset > len(data):
            return
        yield time_ms, data[start - name_size : start].decode("ascii", "replace"), start, offset
