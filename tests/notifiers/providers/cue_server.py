"""An HTTP server on loopback that answers as a test says, and remembers what it was asked."""

import asyncio
import contextlib
import ssl
from types import TracebackType
from typing import Self

import msgspec

CUT = b""
"""An answer: the line is cut instead."""


class Asked(msgspec.Struct, frozen=True):
    """One request; the names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """What the server is to say, all of it."""
    lines = [f"HTTP/1.1 {status} Cue", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class CueServer:
    """`async with CueServer(tls) as server:`; answers in turn what stands in `cues`, the last one for ever."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.cues: list[bytes] = [answer(201)]
        self.asked: list[Asked] = []
        self.connections = 0
        self.hold = asyncio.Event()
        """Cleared, answers are held until it is set."""
        self.hold.set()
        self.endless = False
        """Go on after the answer with more and more of a body."""
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while await self._serve(reader, writer):
                pass
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the line is to be kept."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(method, path, headers, body))
        await self.hold.wait()
        cue = self.cues.pop(0) if len(self.cues) > 1 else self.cues[0]
        writer.write(cue)
        await writer.drain()
        while self.endless:
            writer.write(b"x" * 65536)
            await writer.drain()
        return cue != CUT
