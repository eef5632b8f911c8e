"""The HTTP side: `/api/v1`, health, metrics and the first page. One envelope for every answer, never a stack trace."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Any, ClassVar

import msgspec
import orjson
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from auth.identity import Identity
from auth.permissions import allow_server
from auth.revocations import Revocation
from auth.tickets import Tickets
from channels.broker import Broker, Publication
from channels.channel import Channel, ChannelNames
from schemas.commands import ChannelName
from schemas.errors import HTTP_STATUS, CommandError, ErrorCode, Unavailable
from schemas.publications import MAX_BYTES

log = logging.getLogger("tickhub.hub.http")

MAX_BODY_BYTES = MAX_BYTES + 4096
"""A publication and what stands around it."""

MAX_SYMBOLS = 500
"""The most symbols that one request may ask prices of."""

_STATUS_CODE = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.PERMISSION_DENIED,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.BAD_REQUEST,
}

Verify = Callable[[str], Awaitable[Identity]]
Check = Callable[[], Awaitable[None]]


class PublishBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST publish`."""

    channel: ChannelName
    data: msgspec.Raw
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


def success(data: Any, status: int = 200) -> Response:
    """The envelope of a good answer."""
    return _json({"status": "success", "data": data, "timestamp": _now()}, status)


def failure(
    code: ErrorCode, message: str, *, status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    """The envelope of a failure; the status is the code's own where none is given."""
    body = {"status": "error", "error": {"code": code, "message": message}, "timestamp": _now()}
    return _json(body, status or HTTP_STATUS[code], headers)


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def on_command_error(_: Request, exc: Exception) -> Response:
    """A refused request."""
    if not isinstance(exc, CommandError):
        raise exc
    unauthorized = exc.code in (ErrorCode.UNAUTHORIZED, ErrorCode.TOKEN_EXPIRED)
    return failure(exc.code, exc.message, headers={"WWW-Authenticate": "Bearer"} if unauthorized else None)


async def on_unavailable(_: Request, exc: Exception) -> Response:
    """A server that we depend on is away."""
    return failure(ErrorCode.NOT_AVAILABLE, str(exc), headers={"Retry-After": "2"})


async def on_http_exception(_: Request, exc: Exception) -> Response:
    """A route that does not exist, or not for this method."""
    if not isinstance(exc, HTTPException):
        raise exc
    headers = dict(exc.headers) if exc.headers else None
    code = _STATUS_CODE.get(exc.status_code, ErrorCode.INTERNAL)
    return failure(code, exc.detail, status=exc.status_code, headers=headers)


async def on_bug(request: Request, exc: Exception) -> Response:
    """Anything else is a bug of ours: the log has it, the caller gets no more than that it happened."""
    log.error("http.bug", exc_info=exc, extra={"method": request.method, "path": request.url.path})
    return failure(ErrorCode.INTERNAL, "Something went wrong on our side")


EXCEPTION_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    CommandError: on_command_error,
    Unavailable: on_unavailable,
    HTTPException: on_http_exception,
    Exception: on_bug,
}


class Api:
    """The routes of `/api/v1` that need no account: publishing, prices, tickets, logging out."""

    def __init__(
        self,
        *,
        broker: Broker,
        names: ChannelNames,
        verify: Verify,
        tickets: Tickets,
        revoke: Callable[[Identity], Awaitable[Revocation]],
        listed: Callable[[Channel], bool],
    ) -> None:
        self._broker = broker
        self._names = names
        self._verify = verify
        self._tickets = tickets
        self._revoke = revoke
        self._listed = listed

    @property
    def routes(self) -> list[Route]:
        """To be mounted at `/api/v1`."""
        return [
            Route("/publish", self.publish, methods=["POST"]),
            Route("/auth/ticket", self.ticket, methods=["POST"]),
            Route("/auth/logout", self.logout, methods=["POST"]),
            Route("/market/prices", self.prices),
            Route("/market/prices/{symbol:path}", self.price),
        ]

    async def publish(self, request: Request) -> Response:
        """`POST publish`: one message on one channel, for servers."""
        identity = await self._bearer(request)
        body = await self._body(request)
        channel = self._names.parse(body.channel)
        allow_server(identity, namespace=channel.namespace.name, access=channel.namespace.access)
        payload = channel.namespace.normalise(bytes(body.data))
        receipt = await self._broker.publish(channel, payload, key=body.idempotency_key)
        answer: dict[str, Any] = {"channel": channel.name, "duplicate": receipt.duplicate}
        if receipt.epoch:
            answer |= {"epoch": receipt.epoch, "offset": receipt.offset}
        return success(answer, 200 if receipt.duplicate else 201)

    async def ticket(self, request: Request) -> Response:
        """`POST auth/ticket`: a single-use ticket for a WebSocket's URL."""
        ticket, expires_in = self._tickets.issue(await self._bearer(request))
        return success({"ticket": ticket, "expires_in": expires_in}, 201)

    async def logout(self, request: Request) -> Response:
        """`POST auth/logout`: the token ends here and now, on every instance, with the sockets it opened."""
        await self._revoke(await self._bearer(request))
        return success({})

    async def price(self, request: Request) -> Response:
        """`GET market/prices/:symbol`: the last price of `RELIANCE`, `NSE:RELIANCE`, or with `?exchange=BSE`."""
        await self._bearer(request)
        symbol = request.path_params["symbol"]
        exchange = request.query_params.get("exchange")
        channel = self._names.parse(f"market:{exchange}:{symbol}" if exchange else f"market:{symbol}")
        found = await self._broker.last([channel])
        if channel.name not in found:
            if not self._listed(channel):
                raise CommandError(ErrorCode.INVALID_SYMBOL, f"No instrument {channel.exchange}:{channel.symbol}")
            raise CommandError(ErrorCode.NOT_FOUND, f"No price of {channel.exchange}:{channel.symbol} yet")
        return success(_price(channel, found[channel.name]))

    async def prices(self, request: Request) -> Response:
        """`GET market/prices?symbols=A,B`: the last prices of several; those without one are named in `missing`."""
        await self._bearer(request)
        symbols = [name for name in request.query_params.get("symbols", "").split(",") if name.strip()]
        if not symbols:
            raise CommandError(ErrorCode.BAD_REQUEST, "Expected `symbols`, comma separated")
        if len(symbols) > MAX_SYMBOLS:
            raise CommandError(ErrorCode.LIMIT_EXCEEDED, f"At most {MAX_SYMBOLS} symbols a request")
        channels = [self._names.parse(f"market:{symbol.strip()}") for symbol in symbols]
        found = await self._broker.last(channels)
        return success(
            {
                "prices": [_price(one, found[one.name]) for one in channels if one.name in found],
                "missing": [f"{one.exchange}:{one.symbol}" for one in channels if one.name not in found],
            }
        )

    async def _bearer(self, request: Request) -> Identity:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise CommandError(ErrorCode.UNAUTHORIZED, "Expected `Authorization: Bearer` with a token")
        return await self._verify(token.strip())

    @staticmethod
    async def _body(request: Request) -> PublishBody:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise CommandError(ErrorCode.LIMIT_EXCEEDED, f"A body holds at most {MAX_BODY_BYTES} bytes")
        except ClientDisconnect as exc:
            raise CommandError(ErrorCode.BAD_REQUEST, "The body ended early") from exc
        try:
            return msgspec.json.decode(bytes(body), type=PublishBody)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise CommandError(ErrorCode.BAD_REQUEST, str(exc)) from exc


def _price(channel: Channel, publication: Publication) -> dict[str, Any]:
    fields = orjson.loads(publication.payload)
    return {"exchange": channel.exchange, "symbol": channel.symbol, **fields, "seq": publication.offset}


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

    def __init__(self, *, symbols: Sequence[tuple[str, str]], demo_token: Callable[[Request], str | None]) -> None:
        self._symbols = symbols
        self._demo_token = demo_token
        folder = files("hub").joinpath("page")
        self._html = folder.joinpath("index.html").read_text(encoding="utf-8")
        self._files = {name: folder.joinpath(name).read_bytes() for name in self._TYPES}

    async def index(self, request: Request) -> Response:
        """The page, told what to subscribe; with a token where this hub is a demonstration."""
        boot = {"token": self._demo_token(request), "symbols": self._symbols}
        text = orjson.dumps(boot).decode().replace("<", "\\u003c")
        return HTMLResponse(self._html.replace("{{boot}}", text), headers=self._HEADERS)

    async def file(self, request: Request) -> Response:
        """One of the page's own files."""
        name = request.path_params["name"]
        if name not in self._files:
            raise CommandError(ErrorCode.NOT_FOUND, "No such file")
        return Response(self._files[name], headers=self._HEADERS, media_type=self._TYPES[name])
