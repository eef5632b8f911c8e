"""`/`: the first page, with live prices."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import ClassVar

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from schemas.errors import CommandError, ErrorCode


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
