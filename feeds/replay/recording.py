"""Recordings: what came over brokers' wires, with its times, in a file that `FEED=replay` plays.

The frames themselves are kept, not the ticks, so that a recording also serves whoever improves a decoder. Neither what
we send nor any credentials are in it, nor the account's order updates, which are nobody else's business.

A file is a row of blocks, one for about each second: MAGIC, whether any instrument or conversation is told in it (u8),
length (u32), and that many bytes of zlib data; all integers here are big endian. A block that was cut off when a
process died, or is damaged, is passed over to the next MAGIC; so files may be appended to each other, and a recorder
appends to what is there.

Inside a block stand records: kind (u8), conversation (u32), Unix milliseconds (u64), length (u32), and the payload:

    BEGIN         a conversation begins, a former one of that number has ended: the source's name
    MEANING       what a token means from now on: MessagePack of `Meaning`, told before the first frame that needs it
    SUBSCRIBE     instruments are asked for: MessagePack of `Asked`
    UNSUBSCRIBE   instruments are asked for no longer: MessagePack of a list of `Listing`
    TEXT          a text frame came in
    BINARY        a binary frame came in
    GAP           of no conversation: records are missing here, and whoever kept what deltas had told must forget it
"""

import asyncio
import logging
import os
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn, TypeVar

import msgspec

from channels.broker import Clock
from feeds.brokers.source import Conversation, Credentials, Frame, Heard, Http, Mode, OrderUpdate, Request, Source
from feeds.errors import BadFile
from feeds.instruments import Instrument, Listing
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.replay.recording")

MAGIC = b"TICKHUB\x01"
FLUSH_S: Seconds = 1.0
MAX_PENDING = 64 * 1024 * 1024
"""Bytes that wait for a slow disk; with more, records are left out."""
MAX_BLOCK = 2 * MAX_PENDING
"""What a block may hold when it is unpacked."""

_KIN = MAGIC[:-1]
"""How recordings of all releases begin."""
_BLOCK = struct.Struct(">8s?I")
_HEAD = struct.Struct(">BIQI")
_SCAN_BYTES = 1024 * 1024


class Kind(IntEnum):
    """What a record holds."""

    BEGIN = 1
    MEANING = 2
    SUBSCRIBE = 3
    UNSUBSCRIBE = 4
    TEXT = 5
    BINARY = 6
    GAP = 7


_TELLING = frozenset({Kind.BEGIN, Kind.MEANING})
_GAP = _HEAD.pack(Kind.GAP, 0, 0, 0)


class Meaning(msgspec.Struct, frozen=True, array_like=True):
    """The instrument that a token stands for; None: it stands for nothing any more."""

    token: str
    instrument: Instrument | None


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """Instruments that are asked for."""

    mode: Literal["ltp", "quote", "full"]
    listings: list[Listing]


class Record(NamedTuple):
    """One entry of a recording."""

    kind: int
    conversation: int
    time_ms: int
    payload: bytes

    @property
    def source(self) -> str:
        """The source's name, of BEGIN."""
        return self.payload.decode(errors="replace")

    @property
    def meaning(self) -> Meaning:
        """Of MEANING. Raises BadFile, as the others do."""
        return _decode(self.payload, Meaning)

    @property
    def asked(self) -> Asked:
        """Of SUBSCRIBE."""
        return _decode(self.payload, Asked)

    @property
    def ended(self) -> list[Listing]:
        """Of UNSUBSCRIBE."""
        return _decode(self.payload, list[Listing])

    @property
    def frame(self) -> Frame:
        """Of TEXT and BINARY."""
        return self.payload.decode(errors="replace") if self.kind == Kind.TEXT else self.payload


_Shape = TypeVar("_Shape")
_encode = msgspec.msgpack.Encoder().encode


def _decode(payload: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.msgpack.decode(payload, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadFile(f"the recording is of another release: {exc}") from exc


# -- writing -------------------------------------------------------------------------------------------------------


class Recorder:
    """Writes one file. `write` may be called from the loop at any rate; `run` keeps the disk out of its way.

    `wall` is Unix seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        wall: Clock = time.time,
        sleep: Callable[[Seconds], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.gaps = 0
        """Grows whenever something was left out: then conversations have to be told anew."""
        self._path = path
        self._wall = wall
        self._sleep = sleep
        self._pending: list[bytes] = []
        self._size = 0
        self._telling = False
        self._overflown = False
        self._refused = self._unwritten = 0
        self._next = 0
        self._failing = False
        # One thread: blocks are written in their order, also by a `run` that is cancelled while one is on its way.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")

    @property
    def left_out(self) -> int:
        """Records that the disk did not take."""
        return self._refused + self._unwritten

    def begin(self, source: str) -> int:
        """A conversation begins; answers its number."""
        self._next = (self._next + 1) % 2**32
        self.write(Kind.BEGIN, self._next, int(self._wall() * 1000), source.encode())
        return self._next

    def note(self, kind: Kind, conversation: int, what: object) -> None:
        """What a conversation does of itself now, as `kind` wants it told."""
        self.write(kind, conversation, int(self._wall() * 1000), _encode(what))

    def write(self, kind: Kind, conversation: int, time_ms: int, payload: bytes) -> None:
        """Takes one record; about 0.5 µs."""
        if self._size > MAX_PENDING:
            self._overflown = True
            self._refused += 1
            self.gaps += 1
            return
        if kind in _TELLING:
            self._telling = True
        self._pending += (_HEAD.pack(kind, conversation, time_ms, len(payload)), payload)
        self._size += _HEAD.size + len(payload)

    async def run(self) -> NoReturn:
        """Writes what was taken, about once a second, until cancelled; then the rest."""
        try:
            while True:
                await self._sleep(FLUSH_S)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Writes what was taken. Cancelling leaves the writing to its thread."""
        parts, telling, gap = self._pending, self._telling, self._overflown
        self._pending, self._telling, self._overflown = ([_GAP, b""] if gap else []), False, False
        self._size = 0
        if parts:
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(self._thread, self._append, parts, telling))

    def _append(self, parts: list[bytes], telling: bool) -> None:
        data = zlib.compress(b"".join([_GAP, *parts] if self._failing else parts), level=6)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)  # prices are licensed, and an account's doings are its owner's
            with self._path.open("ab") as file:
                file.write(_BLOCK.pack(MAGIC, telling, len(data)) + data)
            self._failing = False
        except OSError as exc:
            self._unwritten += len(parts) // 2
            self.gaps += 1
            if not self._failing:
                log.warning("recording.unwritten", extra={"why": exc.strerror})
            self._failing = True


# -- reading -------------------------------------------------------------------------------------------------------


def read(path: Path, *, only_telling: bool = False) -> Iterator[Record]:
    """The records of a file in their order, with a GAP where it is damaged. Blocks; raises BadFile, OSError.

    `only_telling` leaves out blocks without BEGIN and MEANING, which is quick.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadFile(f"{path.name} is no recording")
        for block in _blocks(file, only_telling=only_telling):
            if block is None:
                log.warning("recording.damaged", extra={"file": path.name, "at": file.tell()})
                yield Record(Kind.GAP, 0, 0, b"")
            else:
                yield from _records(block)


def is_recording(path: Path) -> bool:
    """Whether a file begins as recordings do. Blocks; raises OSError, and BadFile for one of another release."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC and start.startswith(_KIN):
        raise BadFile(f"{path.name} is a recording of another release")
    return start == MAGIC


def _blocks(file: BinaryIO, *, only_telling: bool) -> Iterator[bytes | None]:
    """The blocks of a file, unpacked; None for a place where one can't be read."""
    end, at = file.seek(0, os.SEEK_END), 0
    while (start := _next_mark(file, at)) is not None:
        if start > at:
            yield None
        at, telling, data = _block(file, start, end)
        if only_telling and not telling and (at == end or _stands_at(file, at)):
            continue
        block = _unpacked(data)
        if block is None:
            at = start + 1
        else:
            yield block
    if at < end:
        yield None


def _block(file: BinaryIO, start: int, end: int) -> tuple[int, bool, bytes]:
    """Where a block ends, what it says of itself, and its data; no data where it is cut off."""
    file.seek(start)
    head = file.read(_BLOCK.size)
    if len(head) < _BLOCK.size:
        return end, True, b""
    _, telling, size = _BLOCK.unpack(head)
    after = start + _BLOCK.size + size
    return after, telling, file.read(size) if after <= end else b""


def _stands_at(file: BinaryIO, at: int) -> bool:
    """Whether a block begins at a place."""
    file.seek(at)
    return file.read(len(MAGIC)) == MAGIC


def _unpacked(data: bytes) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        block = stream.decompress(data, MAX_BLOCK)
    except zlib.error:
        return None
    return block if stream.eof else None


def _next_mark(file: BinaryIO, at: int) -> int | None:
    """Where the next MAGIC stands, from a place on."""
    file.seek(at)
    held = b""
    while chunk := file.read(len(MAGIC) if not held else _SCAN_BYTES):
        held += chunk
        if (found := held.find(MAGIC)) >= 0:
            return at + found
        at += max(len(held) - len(MAGIC) + 1, 0)
        held = held[-len(MAGIC) + 1 :]
    return None


def _records(block: bytes) -> Iterator[Record]:
    place = 0
    while place + _HEAD.size <= len(block):
        kind, conversation, time_ms, size = _HEAD.unpack_from(block, place)
        place += _HEAD.size + size
        yield Record(kind, conversation, time_ms, block[place - size : place])


# -- recording a source --------------------------------------------------------------------------------------------


class RecordedSource:
    """A source whose conversations are recorded; in everything else the source itself. See `Source`."""

    def __init__(self, source: Source, recorder: Recorder) -> None:
        self.name = source.name
        self.limits = source.limits
        self.credential_names = source.credential_names
        self.ping = source.ping
        self.silence_s = source.silence_s
        self._source = source
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        """Whatever else the source has, such as `hints`."""
        return getattr(self._source, name)

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The source's."""
        return await self._source.request(credentials, http)

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """The source's, recorded."""
        meanings = _Meanings(listings)
        return _RecordedConversation(self._source.converse(credentials, meanings), meanings, self._recorder, self.name)


class _Meanings(Mapping[str, Instrument]):
    """What a connection's tokens mean; `news` has what a decoder has been told and no record says yet.

    So a recording holds exactly what the decoder saw, however the instrument list changes under it.
    """

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self.news: dict[str, Instrument | None] = {}
        self._listings = listings
        self._told: dict[str, Instrument] = {}

    def get(self, token: str, default: Any = None) -> Any:
        """The instrument, as a mapping's `get`."""
        instrument = self._listings.get(token)
        if instrument is not self._told.get(token):
            self._learn(token, instrument)
        return default if instrument is None else instrument

    def __getitem__(self, token: str) -> Instrument:
        if (instrument := self.get(token)) is None:
            raise KeyError(token)
        return instrument  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listings)

    def __len__(self) -> int:
        return len(self._listings)

    def forget(self) -> None:
        """No record says anything yet."""
        self._told.clear()
        self.news.clear()

    def _learn(self, token: str, instrument: Instrument | None) -> None:
        self.news[token] = instrument
        if instrument is None:
            del self._told[token]
        else:
            self._told[token] = instrument


class _RecordedConversation:
    """Hands everything on, and writes down what comes in and what changes the conversation."""

    def __init__(self, conversation: Conversation, meanings: _Meanings, recorder: Recorder, source: str) -> None:
        self._conversation = conversation
        self._meanings = meanings
        self._recorder = recorder
        self._source = source
        self._gaps = recorder.gaps
        self._number = recorder.begin(source)

    def greeting(self) -> Sequence[Frame]:
        return self._conversation.greeting()

    @property
    def ready_at_once(self) -> bool:
        return self._conversation.ready_at_once

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        self._mind_gap()
        self._recorder.note(Kind.SUBSCRIBE, self._number, (mode, listings))
        return self._conversation.subscribe(listings, mode)

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        self._mind_gap()
        self._recorder.note(Kind.UNSUBSCRIBE, self._number, listings)
        return self._conversation.unsubscribe(listings)

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        self._mind_gap()
        heard = Heard()
        try:
            heard = self._conversation.receive(frame, received_ms)
        finally:  # the frame that a decoder fails on is the one to keep
            self._keep(frame, received_ms, heard)
        return heard

    def _keep(self, frame: Frame, received_ms: int, heard: Heard) -> None:
        if self._meanings.news:
            for token, instrument in self._meanings.news.items():
                self._recorder.note(Kind.MEANING, self._number, (token, instrument))
            self._meanings.news.clear()
        if heard.events and not heard.updates and any(isinstance(event, OrderUpdate) for event in heard.events):
            return
        if isinstance(frame, str):
            self._recorder.write(Kind.TEXT, self._number, received_ms, frame.encode())
        else:
            self._recorder.write(Kind.BINARY, self._number, received_ms, frame)

    def _mind_gap(self) -> None:
        """After a loss, begins anew for whoever reads this: the beginning may have been lost, or a meaning."""
        if self._gaps == self._recorder.gaps:
            return
        self._gaps = self._recorder.gaps
        self._meanings.forget()
        self._number = self._recorder.begin(self._source)
