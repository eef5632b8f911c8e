"""Twilio's Messages API on loopback: keeps what it was asked, and answers as a test wants."""

import asyncio
import base64
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl


class TwilioServer:
    """`async with TwilioServer() as server:`; a message is created whatever is answered, unless `refuse` is called."""

    def __init__(self) -> None:
        self.created: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.logins: list[str] = []
        self.hold = asyncio.Event()
        """Cleared, answers are held until it is set."""
        self.hold.set()
        self.cut = False
        """Cut the line instead of answering."""
        self._refusal: tuple[int, bytes] | None = None
        self._answer: tuple[int, bytes] | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/proxy"

    def refuse(self, status: int, code: int | None) -> None:
        """Create nothing, and say so as Twilio does; without a code as something between here and there does."""
        body = {"code": code, "message": "No to +919876543210", "status": status} if code else None
        self._refusal = (status, json.dumps(body).encode() if body else b"<html>Bad Gateway</html>")

    def answer(self, status: int, body: bytes) -> None:
        self._answer = (status, body)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hold.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            status, body = self._act(*await _request(reader))
            await self.hold.wait()
            if not self.cut:
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            self._tasks.discard(task)

    def _act(self, path: str, headers: dict[str, str], form: dict[str, str]) -> tuple[int, bytes]:
        self.paths.append(path)
        self.logins.append(base64.b64decode(headers["authorization"].partition(" ")[2]).decode())
        if self._refusal is not None:
            return self._refusal
        self.created.append(form)
        made: dict[str, Any] = {"sid": f"SM{len(self.created)}", "status": "queued", "body": form["Body"]}
        return self._answer or (201, json.dumps(made).encode())


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return first.split(" ")[1], headers, dict(parse_qsl(body.decode()))
