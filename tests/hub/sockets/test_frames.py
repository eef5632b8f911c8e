"""Frames are read by another's parser as they were written, and by our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from hub.sockets.frames import BINARY, PING_FRAME, TEXT, frame, frames_in

SIZES = [0, 1, 124, 125, 126, 127, 65535, 65536, 65537, 1 << 20]


def read(data: bytes) -> list[Frame]:
    """The frames as the `websockets` package reads what a server sends; raises where they break the protocol."""
    stream = StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    frames = []
    while stream.buffer:
        parser = Frame.parse(stream.read_exact, mask=False)
        try:
            next(parser)
        except StopIteration as end:
            frames.append(end.value)
        else:
            raise AssertionError("the frame is cut short")
    return frames


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("opcode", "word"), [(TEXT, Opcode.TEXT), (BINARY, Opcode.BINARY)])
def test_a_frame_of_any_size_is_read_by_another_parser_as_it_was_written(size: int, opcode: int, word: Opcode) -> None:
    payload = b"x" * size
    (parsed,) = read(frame(opcode, payload))
    assert (parsed.opcode, parsed.data, parsed.fin) == (word, payload, True)
    assert (parsed.rsv1, parsed.rsv2, parsed.rsv3) == (False, False, False)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_what_another_writer_writes(size: int) -> None:
    payload = b"x" * size
    assert frame(TEXT, payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def test_the_ping_frame_is_an_empty_ping() -> None:
    (parsed,) = read(PING_FRAME)
    assert (parsed.opcode, parsed.data) == (Opcode.PING, b"")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([TEXT, BINARY]),
            st.one_of(st.binary(max_size=40), st.sampled_from(SIZES[3:8]).map(lambda size: b"y" * size)),
        ),
        max_size=6,
    )
)
def test_joined_frames_come_apart_again(pairs: list[tuple[int, bytes]]) -> None:
    joined = b"".join(frame(opcode, payload) for opcode, payload in pairs)
    assert list(frames_in(joined)) == pairs
    assert [(int(parsed.opcode), parsed.data) for parsed in read(joined)] == pairs
