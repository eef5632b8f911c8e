"""Recordings: what is written, what is read again, and what a file may have gone through in between."""

import asyncio
import random
import struct
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feeds.brokers.kite import Kite
from feeds.brokers.source import Alive, Conversation, Credentials, Frame, Heard, OrderUpdate
from feeds.errors import BadFile
from feeds.instruments import Instrument, Listing
from feeds.replay import recording
from feeds.replay.recording import Asked, Kind, Meaning, Record, RecordedSource, Recorder, is_recording, read
from tests.feeds.brokers.kite import frame_of, ltp_packet
from tests.feeds.brokers.plain import PlainSource
from tests.feeds.clockwork import START_S, FakeTime, listing, until

START_MS = int(START_S * 1000)
A, B = listing("A", "1"), listing("B", "2")


def block(*records: tuple[int, int, int, bytes], telling: bool = True) -> bytes:
    """A block as the module's docstring has it, made by hand."""
    inside = b"".join(
        bytes([kind]) + struct.pack(">I", talk) + struct.pack(">Q", ms) + struct.pack(">I", len(payload)) + payload
        for kind, talk, ms, payload in records
    )
    data = zlib.compress(inside)
    return b"TICKHUB\x01" + bytes([telling]) + struct.pack(">I", len(data)) + data


def flush(recorder: Recorder) -> None:
    """What is at hand goes to the disk; no loop is left, since reading a file blocks one."""
    asyncio.run(recorder.flush())


def kinds(path: Path) -> list[int]:
    return [record.kind for record in read(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "day.recording"


@pytest.fixture
def recorder(path: Path) -> Recorder:
    return Recorder(path, wall=lambda: START_S)


class Odd(Conversation):
    """Answers each frame with what it is told to; a frame `?` asks for the token 1."""

    ready_at_once = True

    def __init__(self, listings: Mapping[str, Instrument]) -> None:
        self.listings = listings
        self.answer = Heard()

    def greeting(self) -> Sequence[Frame]:
        return ["our password"]

    def subscribe(self, listings: Sequence[Listing], mode: str) -> Sequence[Frame]:
        return ["subscribe"]

    def unsubscribe(self, listings: Sequence[Listing]) -> Sequence[Frame]:
        return ["unsubscribe"]

    def receive(self, frame: Frame, received_ms: int) -> Heard:
        if frame == "?":
            self.listings.get("1")
        if frame == "!":
            raise ZeroDivisionError
        return self.answer


class OddSource(PlainSource):
    def converse(self, credentials: Credentials, listings: Mapping[str, Instrument]) -> Odd:  # type: ignore[override]
        self.last = Odd(listings)
        return self.last


# -- the file ------------------------------------------------------------------------------------------------------


def test_what_is_written_is_bytes_that_anyone_can_take_apart(path: Path, recorder: Recorder) -> None:
    talk = recorder.begin("kite")
    recorder.write(Kind.BINARY, talk, START_MS + 5, b"\x00\xff")
    flush(recorder)
    data = path.read_bytes()
    assert data[:9] == b"TICKHUB\x01\x01"
    assert len(data) == 13 + int.from_bytes(data[9:13], "big")
    inside = zlib.decompress(data[13:])
    assert inside == (
        b"\x01" + b"\x00\x00\x00\x01" + START_MS.to_bytes(8, "big") + b"\x00\x00\x00\x04kite"
        b"\x06" + b"\x00\x00\x00\x01" + (START_MS + 5).to_bytes(8, "big") + b"\x00\x00\x00\x02\x00\xff"
    )  # fmt: skip


def test_a_file_made_by_hand_is_read(path: Path) -> None:
    path.write_bytes(block((1, 7, START_MS, b"kite"), (5, 7, START_MS + 1, "₹".encode())))
    begun, said = read(path)
    assert (begun.kind, begun.conversation, begun.time_ms, begun.source) == (Kind.BEGIN, 7, START_MS, "kite")
    assert said.frame == "₹"


RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from([Kind.BEGIN, Kind.TEXT, Kind.BINARY]),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=300),
    ),
    min_size=1,
)


@given(batches=st.lists(RECORDS, min_size=1, max_size=4))
def test_records_come_back_as_they_were_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Record]]
) -> None:
    path = tmp_path_factory.mktemp("r") / "r"
    recorder = Recorder(path)
    for batch in batches:
        for record in batch:
            recorder.write(*record)
        flush(recorder)
    assert list(read(path)) == [record for batch in batches for record in batch]


@given(
    data=st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=400).map(lambda tail: b"TICKHUB\x01" + tail),
        st.tuples(st.binary(max_size=80), st.binary(max_size=80)).map(
            lambda parts: block((1, 1, 1, b"kite")) + parts[0] + block((5, 1, 2, b"x")) + parts[1]
        ),
        st.binary(max_size=200).map(
            lambda inside: b"TICKHUB\x01\x01" + struct.pack(">I", len(zlib.compress(inside))) + zlib.compress(inside)
        ),
    )
)
def test_any_bytes_are_read_or_are_a_bad_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("r") / "r"
    path.write_bytes(data)
    for only_telling in (False, True):
        try:
            records = list(read(path, only_telling=only_telling))
        except BadFile:
            assert not data.startswith(b"TICKHUB\x01")
        else:
            assert all(record.kind in range(256) for record in records)


@given(payload=st.binary(max_size=60))
@example(payload=b"\x92\xa1\x80")
def test_any_payload_is_understood_or_is_a_bad_file(payload: bytes) -> None:
    record = Record(Kind.MEANING, 1, 1, payload)
    for read_payload in (lambda: record.meaning, lambda: record.asked, lambda: record.ended):
        with suppress(BadFile):
            read_payload()
    assert isinstance(record.source, str)


@pytest.mark.parametrize("data", [b"", b"TICK", b"time,symbol,price\n", b"<!DOCTYPE html><html></html>", b"PK\x03\x04"])
def test_what_is_no_recording_is_told(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert not is_recording(path)
    with pytest.raises(BadFile, match=r"day\.recording is no recording"):
        list(read(path))


def test_a_recording_of_a_later_release_is_told(path: Path) -> None:
    path.write_bytes(b"TICKHUB\x02" + bytes(20))
    with pytest.raises(BadFile, match="another release"):
        is_recording(path)


def test_a_block_that_was_cut_off_ends_the_file_and_nothing_before_it_is_lost(path: Path) -> None:
    whole, torn = block((1, 1, 1, b"kite"), (5, 1, 2, b"x")), block((5, 1, 3, b"y" * 100))
    for size in range(1, len(torn)):
        path.write_bytes(whole + torn[:size])
        assert kinds(path) == [Kind.BEGIN, Kind.TEXT, Kind.GAP]


def test_a_recorder_that_goes_on_after_a_killed_one_loses_only_the_torn_block(path: Path, recorder: Recorder) -> None:
    whole, torn = block((1, 1, 1, b"kite"), (5, 1, 2, b"x")), block((5, 1, 3, b"y" * 100), telling=False)
    for size in (3, 9, 20, len(torn) - 1):
        path.write_bytes(whole + torn[:size])
        recorder.begin("fyers")
        flush(recorder)
        assert kinds(path) == [Kind.BEGIN, Kind.TEXT, Kind.GAP, Kind.BEGIN]
        assert [record.source for record in read(path, only_telling=True) if record.kind == Kind.BEGIN] == [
            "kite",
            "fyers",
        ]


def test_files_that_are_appended_to_each_other_are_one(path: Path) -> None:
    path.write_bytes(block((1, 1, 1, b"kite")) + block((1, 1, 2, b"dhan")))
    assert [record.source for record in read(path)] == ["kite", "dhan"]


def test_a_damaged_block_costs_itself_and_leaves_a_gap(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocks = [block((5, 1, number, bytes(50)), telling=False) for number in range(3)]
    damaged = bytearray(blocks[1])
    damaged[-3] ^= 0x55
    path.write_bytes(block((1, 1, 1, b"kite")) + blocks[0] + damaged + blocks[2])
    assert kinds(path) == [Kind.BEGIN, Kind.TEXT, Kind.GAP, Kind.TEXT]
    assert [record.message for record in caplog.records] == ["recording.damaged"]


def test_a_block_that_unpacks_without_end_is_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_BLOCK", 1000)
    path.write_bytes(block((5, 1, 1, bytes(1000))) + block((5, 1, 2, b"small")))
    assert [record.payload for record in read(path)] == [b"", b"small"]


def test_blocks_without_news_can_be_left_out_unread(path: Path) -> None:
    broken = b"TICKHUB\x01\x00" + struct.pack(">I", 9) + b"not zlib!"
    path.write_bytes(block((1, 1, 1, b"kite")) + broken + block((1, 2, 1, b"dhan")))
    assert [record.source for record in read(path, only_telling=True)] == ["kite", "dhan"]


# -- the recorder --------------------------------------------------------------------------------------------------


async def test_a_recorder_writes_each_second_and_the_rest_when_it_ends(path: Path) -> None:
    time = FakeTime()
    recorder = Recorder(path, wall=time.wall, sleep=time.sleep)
    task = asyncio.create_task(recorder.run())
    await time.until_asleep()
    recorder.begin("kite")
    await time.advance(1)
    assert await asyncio.to_thread(kinds, path) == [Kind.BEGIN]
    recorder.begin("dhan")
    task.cancel()
    await asyncio.wait([task])
    assert await asyncio.to_thread(kinds, path) == [Kind.BEGIN, Kind.BEGIN]
    assert task.cancelled()


async def test_nothing_is_lost_or_mixed_up_when_it_ends_while_the_disk_is_at_work(path: Path) -> None:
    time = FakeTime()
    recorder = Recorder(path, wall=time.wall, sleep=time.sleep)
    task = asyncio.create_task(recorder.run())
    await time.until_asleep()
    for number in range(300):
        recorder.write(Kind.BINARY, 1, number, random.Random(number).randbytes(20_000))
    advancing = asyncio.create_task(time.advance(1))
    await until(lambda: not recorder._pending)
    recorder.write(Kind.BINARY, 1, 300, b"")
    task.cancel()
    await asyncio.wait([task, advancing])
    assert [record.time_ms for record in await asyncio.to_thread(lambda: list(read(path)))] == list(range(301))
    assert recorder.left_out == 0


def test_nobody_else_may_read_a_recording(path: Path, recorder: Recorder) -> None:
    recorder.begin("kite")
    flush(recorder)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_recorder_makes_the_folder_that_it_needs(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a" / "b" / "c")
    recorder.begin("kite")
    flush(recorder)
    assert kinds(tmp_path / "a" / "b" / "c") == [Kind.BEGIN]


def test_what_cant_be_written_is_counted_told_once_and_leaves_a_gap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    recorder = Recorder(folder / "r")
    for number in range(3):
        recorder.write(Kind.BINARY, 1, number, b"lost")
        recorder.write(Kind.BINARY, 1, number, b"lost")
        flush(recorder)
    assert (recorder.left_out, recorder.gaps) == (6, 3)
    assert [record.message for record in caplog.records] == ["recording.unwritten"]
    folder.unlink()
    recorder.write(Kind.BINARY, 1, 9, b"kept")
    flush(recorder)
    assert [(record.kind, record.payload) for record in read(folder / "r")] == [(Kind.GAP, b""), (Kind.BINARY, b"kept")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_counted_and_raises_nothing() -> None:
    recorder = Recorder(Path("/dev/full"))
    recorder.write(Kind.BINARY, 1, 1, b"lost")
    flush(recorder)
    assert recorder.left_out == 1


def test_half_a_block_of_a_full_disk_costs_nothing_more(path: Path, recorder: Recorder) -> None:
    recorder.begin("kite")
    flush(recorder)
    with path.open("ab") as file:
        file.write(block((5, 1, 1, bytes(100)))[:-9])
    recorder.begin("dhan")
    flush(recorder)
    assert kinds(path) == [Kind.BEGIN, Kind.GAP, Kind.BEGIN]


def test_more_than_the_disk_can_follow_is_left_out_with_a_gap(
    path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_PENDING", 100)
    for number in range(10):
        recorder.write(Kind.BINARY, 1, number, bytes(60))
    assert (recorder.left_out, recorder.gaps) == (8, 8)
    flush(recorder)
    recorder.write(Kind.BINARY, 1, 10, b"")
    flush(recorder)
    assert [(record.kind, record.time_ms) for record in read(path)] == [
        (Kind.BINARY, 0),
        (Kind.BINARY, 1),
        (Kind.GAP, 0),
        (Kind.BINARY, 10),
    ]


# -- a source that is recorded -------------------------------------------------------------------------------------


async def test_a_recorded_source_is_the_source_in_everything_else(recorder: Recorder) -> None:
    source, bare = RecordedSource(Kite(), recorder), Kite()
    for name in ("name", "limits", "credential_names", "ping", "silence_s", "hints"):
        assert getattr(source, name) == getattr(bare, name)
    with pytest.raises(AttributeError):
        _ = source.no_such_thing
    credentials = {"api_key": "k", "access_token": "t"}
    assert await source.request(credentials, None) == await bare.request(credentials, None)  # type: ignore[arg-type]
    talk, other = source.converse(credentials, {}), bare.converse(credentials, {})
    assert talk.ready_at_once == other.ready_at_once
    assert talk.greeting() == other.greeting()
    assert talk.subscribe([A, B], "full") == other.subscribe([A, B], "full")
    assert talk.unsubscribe([A]) == other.unsubscribe([A])
    frame = frame_of(ltp_packet(1, 100))
    listings = {"1": A.instrument}
    assert source.converse({}, listings).receive(frame, 5) == bare.converse({}, listings).receive(frame, 5)


def test_what_changes_a_conversation_is_recorded_and_what_we_send_is_not(path: Path, recorder: Recorder) -> None:
    source = OddSource()
    talk = RecordedSource(source, recorder).converse({"password": "our password"}, {"1": A.instrument})
    talk.greeting()
    talk.subscribe([A, B], "ltp")
    talk.receive("?", START_MS + 1)
    talk.receive(b"\x00", START_MS + 2)
    talk.unsubscribe([B])
    flush(recorder)
    begun, asked, meaning, text, binary, ended = read(path)
    assert (begun.kind, begun.source) == (Kind.BEGIN, source.name)
    assert asked.asked == Asked("ltp", [A, B])
    assert meaning.meaning == Meaning("1", A.instrument)
    assert (text.frame, text.time_ms) == ("?", START_MS + 1)
    assert (binary.frame, binary.time_ms) == (b"\x00", START_MS + 2)
    assert ended.ended == [B]
    assert b"password" not in b"".join(record.payload for record in read(path))


def test_a_token_is_told_when_it_is_first_needed_and_whenever_it_means_something_else(
    path: Path, recorder: Recorder
) -> None:
    listings = {"1": A.instrument, "2": B.instrument}
    talk = RecordedSource(OddSource(), recorder).converse({}, listings)
    for change in ({}, {}, {"1": B.instrument}, {}):
        listings.update(change)
        talk.receive("?", START_MS)
    del listings["1"]
    talk.receive("?", START_MS)
    talk.receive("?", START_MS)
    flush(recorder)
    assert [record.meaning for record in read(path) if record.kind == Kind.MEANING] == [
        Meaning("1", A.instrument),
        Meaning("1", B.instrument),
        Meaning("1", None),
    ]


def test_a_decoder_finds_in_a_recorded_source_what_the_list_holds(recorder: Recorder) -> None:
    source = OddSource()
    RecordedSource(source, recorder).converse({}, listings := {"1": A.instrument})
    found = source.last.listings
    listings["2"] = B.instrument
    assert found["2"] is B.instrument
    assert found.get("3") is None
    assert (list(found), len(found), "2" in found, "3" in found) == (["1", "2"], 2, True, False)
    with pytest.raises(KeyError):
        _ = found["3"]


def test_order_updates_stay_with_their_owner(path: Path, recorder: Recorder) -> None:
    source = OddSource()
    talk = RecordedSource(source, recorder).converse({}, {})
    source.last.answer = Heard(events=(OrderUpdate(b"{}"),))
    talk.receive('{"order": "mine"}', START_MS)
    source.last.answer = Heard(events=(Alive(),))
    talk.receive("beat", START_MS)
    flush(recorder)
    assert [record.payload for record in read(path)] == [b"plain", b"beat"]


def test_the_frame_that_a_decoder_fails_on_is_kept(path: Path, recorder: Recorder) -> None:
    talk = RecordedSource(OddSource(), recorder).converse({}, {})
    with pytest.raises(ZeroDivisionError):
        talk.receive("!", START_MS)
    flush(recorder)
    assert kinds(path) == [Kind.BEGIN, Kind.TEXT]


def test_after_a_loss_a_conversation_is_told_anew(path: Path, recorder: Recorder) -> None:
    path.mkdir()
    talk = RecordedSource(OddSource(), recorder).converse({}, {"1": A.instrument})
    talk.receive("?", START_MS)
    flush(recorder)
    path.rmdir()
    talk.receive("?", START_MS + 1)
    talk.receive("?", START_MS + 2)
    flush(recorder)
    assert kinds(path) == [Kind.GAP, Kind.BEGIN, Kind.MEANING, Kind.TEXT, Kind.TEXT]
    assert len({record.conversation for record in read(path)} - {0}) == 1


def test_two_sources_share_a_recorder_without_mixing(path: Path, recorder: Recorder) -> None:
    one, two = (RecordedSource(source, recorder).converse({}, {}) for source in (Kite(), PlainSource()))
    one.receive(b"1", START_MS)
    two.receive("2", START_MS)
    one.receive(b"3", START_MS)
    flush(recorder)
    said: dict[int, list[bytes]] = {}
    for record in read(path):
        said.setdefault(record.conversation, []).append(record.payload)
    assert list(said.values()) == [[b"kite", b"1", b"3"], [b"plain", b"2"]]
