"""The rim of HTTP: what every request is given, and what every answer says whatever it is the answer to.

Sockets don't come by here, see `hub.web`: middleware would keep its frames for each of tens of thousands of them.
"""

import random
import re
from collections.abc import Collection, Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.http.client_address import Network, is_secure
from hub.http.envelope import on_bug
from hub.http.limits import EXPOSED_HEADERS, response_headers
from hub.logs import Asked

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")

_names = random.Random()  # noqa: S311 - a name is no secret, and the system's randomness costs a call of the kernel
_GOOD_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_OF_API = (*_DEFAULTS, (b"cache-control", b"no-store"))
_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


def middleware(*, origins: Collection[str], trusted: Sequence[Network]) -> list[Middleware]:
    """All that stands around the routes, from the outside in.

    `origins` are web pages that may call from elsewhere: with cookies where they are named, never for `*`. Without any,
    nothing stands there that every request would have to pass: a browser takes silence for no.
    """
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_credentials="*" not in origins,
        allow_methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=(*EXPOSED_HEADERS, "X-Request-ID"),
        max_age=600,
    )
    return [Middleware(Edge, trusted=trusted), *([cors] if origins else []), Middleware(BugAnswer)]


class Edge:
    """Names each request, and puts into each answer the headers that it doesn't bring itself.

    A request's name stands in `scope["request_id"]`, in every log line that is written because of it, and in
    `X-Request-ID`, from where it is taken over if whoever asks has one. The headers of `response_headers` are added
    too.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[Network] = ()) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, and catches nothing."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _given_id(scope) or f"{_names.getrandbits(64):016x}"
        scope["request_id"] = name
        asked = Asked(name)
        wanted = response_headers(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                given = {name.lower() for name, _ in headers}
                for said, value in wanted.items():
                    if (header := said.lower().encode()) not in given:
                        headers.append((header, value.encode()))
                        given.add(header)
                headers += [default for default in self._defaults(scope) if default[0] not in given]
                headers.append((b"x-request-id", name.encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, answer)
        asked.name = ""  # not after an error, which the server is yet to log

    def _defaults(self, scope: Scope) -> Sequence[tuple[bytes, bytes]]:
        defaults = _OF_API if scope["path"].startswith("/api/") else _DEFAULTS
        return (*defaults, _TRANSPORT) if is_secure(scope, self._trusted) else defaults


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _GOOD_ID.fullmatch(value) else None
    return None


class BugAnswer:
    """Answers for what no handler of an error took, inside of what every answer must pass.

    Starlette's own place for that is outside of all middleware: its answer would lack every header from here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises what comes too late to be answered, so that the connection ends."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as exc:  # the top of a request: a bug in one is told, logged, and nobody else's trouble
            if started or scope["type"] != "http":
                raise
            response = await on_bug(Request(scope), exc)
            await response(scope, receive, send)
