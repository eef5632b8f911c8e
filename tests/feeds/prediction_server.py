"""A prediction service for tests: a real HTTP server on loopback that answers as it is told, badly too."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PredictionServer:
    """`async with PredictionServer() as server`: an address in `url`, the bodies it got in `questions`."""

    def __init__(self) -> None:
        self.questions: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0
        self.url = ""
        self._reply: Reply = self._good
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/predict", self._predict)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop answering altogether."""
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def says(self, body: str | bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer with these bytes from now on."""
        raw = body.encode() if isinstance(body, str) else body

        async def reply(_: web.Request) -> web.StreamResponse:
            return web.Response(body=raw, status=status, headers=headers, content_type="application/json")

        self._reply = reply

    def predicts(self, direction: str, confidence: float, score: float = 0.5) -> None:
        """Answer well from now on."""
        self.says(json.dumps({"direction": direction, "confidence": confidence, "score": score}))

    def waits(self) -> None:
        """Answer well, but not before `release` is set."""

        async def reply(request: web.Request) -> web.StreamResponse:
            await self.release.wait()
            return await self._good(request)

        self._reply = reply

    def floods(self) -> None:
        """Send a body that never ends."""

        async def reply(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while not self.release.is_set():
                await response.write(b" " * 4096)
            return response

        self._reply = reply

    def hangs_up(self) -> None:
        """Close the connection instead of answering."""

        async def reply(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        self._reply = reply

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        self.questions.append(await request.json())
        self.asked.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._reply(request)
        finally:
            self.at_once -= 1

    async def _good(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"direction": "BUY", "confidence": 0.8, "score": 0.61})
