"""HTTP beside the API of markets and signals: publishing, tickets, health and the first page."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Annotated, Any, ClassVar

import msgspec
import orjson
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from auth.identity import Identity
from auth.permissions import allow_server
from auth.revocations import Revocation
from auth.tickets import Tickets
from channels.broker import Broker
from channels.channel import ChannelNames
from hub.envelope import success
from hub.requests import Verify, bearer, body
from schemas.commands import ChannelName
from schemas.errors import CommandError, ErrorCode, Unavailable

log = logging.getLogger("tickhub.hub.http")

Check = Callable[[], Awaitable[None]]


class PublishBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST publish`."""

    channel: ChannelName
    data: msgspec.Raw
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class Api:
    """The routes of `/api/v1` for publishing, tickets and logging out."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        verify: Verify,
        tickets: Tickets,
        revoke: Callable[[Identity], Awaitable[Revocation]],
    ) -> None:
        self._broker = broker
        self._names = names
        self._verify = verify
        self._tickets = tickets
        self._revoke = revoke

    @property
    def routes(self) -> list[Route]:
        """To be mounted at `/api/v1`."""
        return [
            Route("/publish", self.publish, methods=["POST"]),
            Route("/auth/ticket", self.ticket, methods=["POST"]),
            Route("/auth/logout", self.logout, methods=["POST"]),
        ]

    async def publish(self, request: Request) -> Response:
        """`POST publish`: one message on one channel, for servers."""
        identity = await bearer(request, self._verify)
        asked = await body(request, PublishBody)
        channel = self._names.parse(asked.channel)
        allow_server(identity, namespace=channel.namespace.name, access=channel.namespace.access)
        payload = channel.namespace.normalise(bytes(asked.data))
        receipt = await self._broker.publish(channel, payload, key=asked.idempotency_key)
        answer: dict[str, Any] = {"channel": channel.name, "duplicate": receipt.duplicate}
        if receipt.epoch:
            answer |= {"epoch": receipt.epoch, "offset": receipt.offset}
        return success(answer, 200 if receipt.duplicate else 201)

    async def ticket(self, request: Request) -> Response:
        """`POST auth/ticket`: a single-use ticket for a WebSocket's URL."""
        ticket, expires_in = self._tickets.issue(await bearer(request, self._verify))
        return success({"ticket": ticket, "expires_in": expires_in}, 201)

    async def logout(self, request: Request) -> Response:
        """`POST auth/logout`: the token ends here and now, on every instance, with the sockets it opened."""
        await self._revoke(await bearer(request, self._verify))
        return success({})


class Health:
    """`/health` says whether the process lives; `/health/detailed` also asks everything that it depends on."""

    def __init__(self, *, checks: dict[str, Check], facts: Callable[[], dict[str, Any]]) -> None:
        self._checks = checks
        self._facts = facts
        self._started = time.monotonic()

    async def health(self, _: Request) -> Response:
        """Alive: the loop turns and answers. Whether Redis does is no reason to restart this process."""
        return success({"status": "ok", "uptime": round(time.monotonic() - self._started, 1)})

    async def detailed(self, _: Request) -> Response:
        """Each dependency with its round trip in milliseconds; 503 where one is away."""
        parts: dict[str, Any] = {}
        for name, check in self._checks.items():
            before = time.perf_counter()
            try:
                await check()
                parts[name] = {"status": "ok", "ms": round((time.perf_counter() - before) * 1000, 2)}
            except Unavailable as exc:
                parts[name] = {"status": "unavailable", "reason": exc.why}
        well = all(part["status"] == "ok" for part in parts.values())
        facts = {"uptime": round(time.monotonic() - self._started, 1), **self._facts()}
        return success({"status": "ok" if well else "degraded", "parts": parts, **facts}, 200 if well else 503)


class Page:
    """`/`: live prices in a browser, over the same socket as everyone's. Three files, nothing from elsewhere."""

    _TYPES: ClassVar[dict[str, str]] = {"app.js": "text/javascript", "style.css": "text/css"}
    _HEADERS: ClassVar[dict[str, str]] = {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:;"
            " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }

    def __init__(
        self, *, symbols: Callable[[], Sequence[tuple[str, str]]], demo_token: Callable[[Request], str | None]
    ) -> None:
        self._symbols = symbols
        self._demo_token = demo_token
        folder = files("hub").joinpath("page")
        self._html = folder.joinpath("index.html").read_text(encoding="utf-8")
        self._files = {name: folder.joinpath(name).read_bytes() for name in self._TYPES}

    async def index(self, request: Request) -> Response:
        """The page, told what to subscribe; with a token where this hub is a demonstration."""
        boot = {"token": self._demo_token(request), "symbols": self._symbols()}
        text = orjson.dumps(boot).decode().replace("<", "\\u003c")
        return HTMLResponse(self._html.replace("{{boot}}", text), headers=self._HEADERS)

    async def file(self, request: Request) -> Response:
        """One of the page's own files."""
        name = request.path_params["name"]
        if name not in self._files:
            raise CommandError(ErrorCode.NOT_FOUND, "No such file")
        return Response(self._files[name], headers=self._HEADERS, media_type=self._TYPES[name])
