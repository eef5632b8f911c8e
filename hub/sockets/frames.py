"""WebSocket frames as a server writes them: unmasked, unfragmented, uncompressed (RFC 6455, section 5.2)."""

from collections.abc import Iterator

TEXT = 0x1
BINARY = 0x2
PING = 0x9

_FINAL = 0x80
_SHORT = 126
_LONG = 127


def frame(opcode: int, payload: bytes) -> bytes:
    """One frame, ready for the transport."""
    size = len(payload)
    if size < _SHORT:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((_FINAL | opcode, _SHORT, size >> 8, size & 0xFF)) + payload
    return bytes((_FINAL | opcode, _LONG)) + size.to_bytes(8, "big") + payload


PING_FRAME = frame(PING, b"")


def frames_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (opcode, payload) pairs of frames that `frame` wrote, joined; for servers that want messages, not bytes."""
    at = 0
    while at < len(data):
        opcode, size, at = data[at] & 0x0F, data[at + 1], at + 2
        if size == _SHORT:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        elif size == _LONG:
            size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
        yield opcode, data[at : at + size]
        at += size
