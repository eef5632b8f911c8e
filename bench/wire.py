"""As much of WebSocket (RFC 6455) as a load client needs: the upgrade request, masked text, and a walk over frames."""

import struct
from collections.abc import Iterator

UPGRADED = b"HTTP/1.1 101"
HEADERS_END = b"\r\n\r\n"

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

_NO_MASK = b"\0\0\0\0"
"""Clients must mask, and masking with zeros leaves the payload as it is."""


def upgrade_request(host: str, port: int, path: str, *, subprotocol: str | None = None) -> bytes:
    """The HTTP request that opens a WebSocket; offers no compression."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One masked frame, as a client must send it."""
    size = len(payload)
    if size < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return header + _NO_MASK + payload


def server_frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The whole frames in `data`: opcode, payload, and the position behind each frame."""
    position, end = 0, len(data)
    while position + 2 <= end:
        opcode, size = data[position] & 0x0F, data[position + 1] & 0x7F
        start = position + 2
        if size == 126:
            start += 2
            size = int.from_bytes(data[position + 2 : start], "big")
        elif size == 127:
            start += 8
            size = int.from_bytes(data[position + 2 : start], "big")
        if start > end or start + size > end:
            return
        position = start + size
        yield opcode, data[start:position], position
