"""Recordings: what came over brokers' wires, with its times, in a file that `FEED=replay` plays.

The frames themselves are kept, not the ticks, so that a recording also serves whoever improves a decoder. The file
begins with MAGIC; then come blocks, one for about each second: length (u32, big endian) and that many bytes of zlib
data. A block that was cut off when a process died is the end of the file; a later recording may be appended.

Inside a block stand records: kind (u8), conversation (u16), Unix milliseconds (u64), length (u32), and the payload:

    BEGIN      a conversation begins, a former one of that number has ended: the source's name
    LISTINGS   it asks for instruments: MessagePack of a list of `Listing`
    TEXT       a text frame came in
    BINARY     a binary frame came in
"""

import asyncio
import logging
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import msgspec

from channels.broker import Clock
from feeds.brokers.source import Conversation, Credentials, Frame, Heard, Http, Mode, Request, Source
from feeds.errors import BadFile
from feeds.instruments import Instrument, Listing
from schemas.durations import Seconds

log = logging.getLogger("tickhub.feeds.recording")

MAGIC = b"TICKHUB\x01"
FLUSH_S: Seconds = 1.0
MAX_PENDING = 64 * 1024 * 1024
"""Bytes that wait for a slow disk; with more, frames are left out."""
MAX_BLOCK = 512 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">BHQI")
_encode = msgspec.msgpack.Encoder().encode
_listings = msgspec.msgpack.Decoder(list[Listing])


class Kind(IntEnum):
    """What a record holds."""

    BEGIN = 1
    LISTINGS = 2
    TEXT = 3
    BINARY = 4


class Record(NamedTuple):
    """One entry of a recording."""

    kind: int
    conversation: int
    time_ms: int
    payload: bytes

    @property
    def frame(self) -> Frame:
        """The frame, of a record that holds one."""
        return self.payload.decode(errors="replace") if self.kind == Kind.TEXT else self.payload

    @property
    def listings(self) -> list[Listing]:
        """The instruments, of a record that holds them. Raises BadFile."""
        try:
            return _listings.decode(self.payload)
        except msgspec.MsgspecError as exc:
            raise BadFile(f"the recording is of another release: {exc}") from exc


class Recorder:
    """Writes one file. `write` may be called from the loop at any rate; `run` keeps the disk out of its way."""

    def __init__(self, path: Path, *, wall: Clock = time.time) -> None:
        self.left_out = 0
        """Records that the disk did not take."""
        self._path = path
        self._wall = wall
        self._pending: list[bytes] = []
        self._size = 0
        self._next = 0
        self._failing = False

    def begin(self, source: str) -> int:
        """A conversation begins; answers its number."""
        self._next = (self._next + 1) % 65_536
        self.write(Kind.BEGIN, self._next, int(self._wall() * 1000), source.encode())
        return self._next

    def ask(self, conversation: int, listings: Sequence[Listing]) -> None:
        """A conversation asks for instruments."""
        self.write(Kind.LISTINGS, conversation, int(self._wall() * 1000), _encode(listings))

    def hear(self, conversation: int, frame: Frame, time_ms: int) -> None:
        """A frame came in."""
        if isinstance(frame, str):
            self.write(Kind.TEXT, conversation, time_ms, frame.encode())
        else:
            self.write(Kind.BINARY, conversation, time_ms, frame)

    def write(self, kind: Kind, conversation: int, time_ms: int, payload: bytes) -> None:
        """Takes one record."""
        if self._size > MAX_PENDING:
            self.left_out += 1
            return
        self._pending += (_HEAD.pack(kind, conversation, time_ms, len(payload)), payload)
        self._size += len(payload)

    async def run(self) -> NoReturn:
        """Writes what was taken, about once a second, until cancelled; then the rest."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Writes what was taken."""
        pending, self._pending, self._size = self._pending, [], 0
        if pending:
            await asyncio.to_thread(self._append, pending)

    def _append(self, parts: list[bytes]) -> None:
        data = zlib.compress(b"".join(parts), level=6)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                if file.tell() == 0:
                    file.write(MAGIC)
                file.write(_LENGTH.pack(len(data)) + data)
            self._failing = False
        except OSError as exc:
            self.left_out += len(parts) // 2
            if not self._failing:
                log.warning("recording.unwritten", extra={"why": exc.strerror})
            self._failing = True


def read(path: Path) -> Iterator[Record]:
    """The records of a file in their order. Blocks; raises BadFile for what is no recording, and OSError."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadFile(f"{path.name} is no recording")
        while block := _block(file):
            yield from _records(block)


def is_recording(path: Path) -> bool:
    """Whether a file begins as recordings do. Blocks; raises OSError."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _block(file: BinaryIO) -> bytes:
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (size,) = _LENGTH.unpack(head)
    data = file.read(min(size, MAX_BLOCK))
    try:
        return zlib.decompress(data)
    except zlib.error:
        log.warning("recording.cut_off", extra={"at": file.tell()})
        return b""


def _records(block: bytes) -> Iterator[Record]:
    place = 0
    while place + _HEAD.size <= len(block):
        kind, conversation, time_ms, size = _HEAD.unpack_from(block, place)
        place += _HEAD.size + size
        yield Record(kind, conversation, time_ms, block[place - size : place])


class RecordedSource:
    """A source whose conversations are recorded; in everything else the source itself."""

    def __init__(self, source: Source, recorder: Recorder) -> None:
        self.name = source.name
        self.limits = source.limits
        self.credential_names = source.credential_names
        self.ping = source.ping
        self.silence_s = source.silence_s
        self._source = source
        self._recorder = recorder

    async def request(self, credentials: Credentials, http: Http) -> Request:
        """The source's."""
        return await self._source.request(credentials, http)

    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Conversation:
        """The source's, recorded."""
        return _RecordedConversation(self._source.converse(credentials, listings), self._recorder, self.name)


class _RecordedConversation:
    """Hands everything on, and writes down what comes in."""

    def __init__(self, conversation: Conversation, recorder: Recorder, source: str) -> None:
        self._conversation = conversation
        self._recorder = recorder
        self._number = recorder.begin(source)

    def greeting(self) -> Sequence[Frame]:
        return self._conversation.greeting()

    @property
    def ready_at_once(self) -> bool:
        return self._conversation.ready_at_once

    def subscribe(self, listings: Sequence[Listing], mode: Mode) -> Sequence[Frame]:
        self._recorder.ask(self._number, listings)
        return self._conversation.subscribe(listings, mode)

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        return self._conversation.unsubscribe(listings)

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        self._recorder.hear(self._number, frame, received_ms)
        return self._conversation.receive(frame, received_ms)
